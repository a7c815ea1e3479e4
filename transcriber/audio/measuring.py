"""What a recording is: its container, how long it really is, and whether it is whole."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from transcriber.audio.reading import extension, frames, id3_bytes, opened
from transcriber.audio.windows import converted
from transcriber.errors import AudioError

# Containers whose header counts the sound. Others estimate it from a bit rate, or find it at the file's end.
_COUNTING = {"mov", "flac", "aiff"}
# A WAV that promises this much or more was written without a way back to its header.
_STREAMED_BYTES = 2**31 - 1
_XING = re.compile(rb"(?:Xing|Info)\0\0\0[\x01\x03\x05\x07\x09\x0b\x0d\x0f](?P<frames>.{4})", re.DOTALL)
_MPEG1_LEAST_RATE = 32_000
_MOST_CHUNKS = 1_000  # before the sound: the empty ones of a hostile file would be millions
_LOST_SECONDS, _LOST_SHARE = 1.0, 0.05  # less is an encoder's padding


def identify(path: Path) -> str:
    """The container's extension, once a first sound is decoded. Raises AudioError; reads little of the file."""
    if path.stat().st_size == 0:
        raise AudioError("empty", "the file is empty")
    with opened(path) as container:
        for _ in converted(frames(container, stopped=lambda: False)):
            return extension(container)
    raise _no_sound()


def measure(path: Path, *, max_seconds: int, stopped: Callable[[], bool]) -> float:
    """Seconds of sound that decode, to the millisecond: what headers say is often wrong.

    Raises AudioError if it is truncated, longer than `max_seconds`, or does not decode; StoppedError once `stopped()`.
    """
    seconds = 0.0
    with opened(path) as container:
        promised = _promised_seconds(container, path)
        for frame in frames(container, stopped=stopped):
            seconds += frame.samples / frame.sample_rate
            if seconds > max_seconds + 0.001:
                raise AudioError("audio_too_long", f"the recording is longer than {max_seconds} s")
    if round(seconds, 3) == 0:
        raise _no_sound()
    _require_whole(seconds, promised, _riff_data(path))
    return round(seconds, 3)


@dataclass(frozen=True, slots=True)
class _RiffData:
    """The bytes of sound in a WAV: promised by its header, present, and what follows them that is no chunk."""

    promised: int
    present: int
    astray: int


def _require_whole(seconds: float, promised: float, riff: _RiffData | None) -> None:
    astray = 0.0
    if riff is not None and riff.present > 0:
        promised = max(promised, seconds * riff.promised / riff.present)
        astray = seconds * riff.astray / riff.present
    if promised - seconds > max(_LOST_SECONDS, _LOST_SHARE * promised):
        raise AudioError(
            "audio_truncated",
            f"the file is cut off or damaged: {seconds:.1f} s of {promised:.1f} s of sound decode: send it whole",
        )
    if astray > max(_LOST_SECONDS, _LOST_SHARE * seconds):
        raise AudioError(
            "audio_header_wrong", f"the header says {seconds:.1f} s of sound, but more follows: mend the file"
        )


def _promised_seconds(container: InputContainer, path: Path) -> float:
    """What the header promises of the sound, where its word can be trusted; else 0."""
    name = container.format.name.split(",")[0]
    stream = container.streams.audio[0]
    if name == "matroska" and len(container.streams) == 1 and container.duration:
        return float(container.duration / av.time_base)
    if name == "mp3":
        return _mp3_seconds(path, stream.rate)
    if name not in _COUNTING or stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def _mp3_seconds(path: Path, rate: int) -> float:
    """By the count of frames in its Xing or Info header; else 0. FFmpeg would guess from the file's size instead."""
    tag = id3_bytes(path)
    with path.open("rb") as file:
        file.seek(tag)
        found = _XING.search(file.read(1_024))
    if found is None or rate <= 0:
        return 0.0
    frame_samples = 1_152 if rate >= _MPEG1_LEAST_RATE else 576
    return int.from_bytes(found.group("frames"), "big") * frame_samples / rate


def _riff_data(path: Path) -> _RiffData | None:
    """None for what is no WAV, or one whose header promises nothing: written as a stream, or hard to find in it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        for _ in range(_MOST_CHUNKS):
            chunk = file.read(8)
            if len(chunk) < 8:
                return None
            length, begin = int.from_bytes(chunk[4:], "little"), file.tell()
            file.seek(begin + length + length % 2)
            if chunk[:4] == b"data":
                if length == 0 or length >= _STREAMED_BYTES:
                    return None
                rest = max(0, size - file.tell())
                name = file.read(4).decode("latin-1")
                astray = 0 if name.isascii() and name.isprintable() and name != "RIFF" else rest
                return _RiffData(length, min(length, size - begin), astray)
    return None


def _no_sound() -> AudioError:
    return AudioError("no_audio", "the file has an audio stream, but no sound in it")
