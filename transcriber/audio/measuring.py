"""How long a recording really is, and whether it is whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
from av.container import InputContainer

from transcriber.audio.reading import frames, id3_bytes, no_sound, opened
from transcriber.errors import AudioError

# Containers whose header counts the sound. Others estimate it from a bit rate, or find it at the file's end.
_COUNTING = {"mov", "flac", "aiff"}
_STREAMED_BYTES = (
    2**31 - 1
)  # a WAV that promises this much or more was written without a way back to its header
_LOST_SECONDS, _LOST_SHARE = 1.0, 0.05  # less is an encoder's padding


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
    if seconds == 0:
        raise no_sound()
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
            "audio_truncated", f"the file ends early, after {seconds:.1f} s of sound: send it whole"
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
    counts = name in _COUNTING or (name == "mp3" and _mp3_counts_frames(path))
    if not counts or stream.duration is None or stream.time_base is None:
        return 0.0
    return float(stream.duration * stream.time_base)


def _mp3_counts_frames(path: Path) -> bool:
    """Whether its first frame carries a Xing or Info header: without one FFmpeg guesses from the file's size."""
    tag = id3_bytes(path)
    with path.open("rb") as file:
        file.seek(tag)
        frame = file.read(1_024)
    return b"Xing" in frame or b"Info" in frame


def _riff_data(path: Path) -> _RiffData | None:
    """None for what is no WAV, or one written as a stream, whose header promises nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        while len(chunk := file.read(8)) == 8:
            length, begin = int.from_bytes(chunk[4:], "little"), file.tell()
            file.seek(begin + length + length % 2)
            if chunk[:4] == b"data":
                if length == 0 or length >= _STREAMED_BYTES:
                    return None
                rest = max(0, size - file.tell())
                named = file.read(4).isalnum()
                return _RiffData(length, min(length, size - begin), astray=0 if named else rest)
    return None
