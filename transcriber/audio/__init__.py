"""Reads recordings by their content, never by their name: no playlist, no network, no other file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from transcriber.errors import AudioError

SAMPLE_RATE = 16_000
MAX_WINDOW_SECONDS = 120
# Demuxers that read one file and nothing else. FFmpeg's playlists (hls, concat, dash …) would follow addresses inside.
FORMATS = "wav,w64,mp3,mov,mp4,m4a,3gp,3g2,mj2,ogg,matroska,webm,flac,aac,aiff,amr"
# The first of FFmpeg's format names → the extension under which engines know the container.
_EXTENSIONS = {"mov": "m4a", "matroska": "webm"}
_OPEN_SECONDS = 10.0
_TAIL_SECONDS = 15  # a window ends at the quietest moment of its tail, so that no word is cut
_QUIET_SECONDS = 0.2

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """Mono samples at 16 kHz, and where they start in the recording."""

    start_seconds: float
    samples: Samples


def identify(path: Path) -> str:
    """The container's extension, once a first sound is decoded. Raises AudioError; reads little of the file."""
    if path.stat().st_size == 0:
        raise AudioError("empty", "the file is empty")
    with _opened(path) as container:
        for _ in _frames(container):
            name = container.format.name.split(",")[0]
            return _EXTENSIONS.get(name, name)
    raise AudioError("no_audio", "the file has an audio stream, but no sound in it")


def measure(path: Path, *, max_seconds: int, stopped: Callable[[], bool]) -> float:
    """Seconds of sound that decode, to the millisecond: what headers say is often wrong. Returns early once `stopped()`.

    Raises AudioError if it is truncated, longer than `max_seconds`, or does not decode.
    """
    seconds = 0.0
    with _opened(path) as container:
        promised = _promised_seconds(container, path)
        for frame in _frames(container):
            seconds += frame.samples / frame.sample_rate
            if seconds > max_seconds + 0.001:
                raise AudioError("audio_too_long", f"the recording is longer than {max_seconds} s")
            if stopped():
                return seconds
    if seconds == 0:
        raise AudioError("no_audio", "the file has an audio stream, but no sound in it")
    if _riff_is_cut(path) or promised - seconds > max(1.0, 0.05 * promised):
        raise AudioError(
            "audio_truncated", f"the file ends early, after {seconds:.1f} s of sound: send it whole"
        )
    return round(seconds, 3)


def windows(path: Path) -> Iterator[Window]:
    """The recording in pieces of at most 120 s, so that memory does not grow with its length."""
    start, held = 0, np.empty(0, dtype=np.float32)
    for chunk in _resampled(path):
        held = np.concatenate([held, chunk])
        while len(held) >= MAX_WINDOW_SECONDS * SAMPLE_RATE:
            cut = _quietest(held[: MAX_WINDOW_SECONDS * SAMPLE_RATE])
            yield Window(start / SAMPLE_RATE, held[:cut])
            start, held = start + cut, held[cut:]
    if len(held):
        yield Window(start / SAMPLE_RATE, held)


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    """The file, with an audio stream in it. Raises AudioError if it is not audio, FileNotFoundError if it is gone."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
    try:
        container = av.open(
            str(path), mode="r", options=options, timeout=_OPEN_SECONDS, metadata_errors="ignore"
        )
    except FileNotFoundError:
        raise
    except (av.error.FFmpegError, ValueError) as error:
        raise AudioError("not_audio", "the file is not audio in a format that is known here") from error
    with container:
        if not container.streams.audio:
            raise AudioError("no_audio", "the file has no audio stream")
        yield container


def _frames(container: InputContainer) -> Iterator[av.AudioFrame]:
    """What decodes of the first audio stream: a damaged packet is left out, as players do."""
    stream = container.streams.audio[0]
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            continue
        for frame in frames:
            if frame.sample_rate:
                yield frame


def _resampled(path: Path) -> Iterator[Samples]:
    """Pieces of about a second."""
    resampler = AudioResampler("s16", "mono", SAMPLE_RATE)
    held: list[npt.NDArray[np.int16]] = []
    with _opened(path) as container:
        try:
            for frame in _frames(container):
                held.extend(piece.to_ndarray()[0] for piece in resampler.resample(frame))
                if sum(map(len, held)) >= SAMPLE_RATE:
                    yield _floats(held)
                    held = []
            held.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioError(
                "not_decodable", "the sound changes its format in a way that cannot be followed"
            ) from error
    if held:
        yield _floats(held)


def _floats(pieces: list[npt.NDArray[np.int16]]) -> Samples:
    return np.concatenate(pieces).astype(np.float32) / 32_768.0


def _quietest(samples: Samples) -> int:
    """The middle of the quietest 0.2 s of the last 15 s, as an index."""
    step = int(_QUIET_SECONDS * SAMPLE_RATE)
    tail = samples[-_TAIL_SECONDS * SAMPLE_RATE :]
    energy = np.square(tail[: len(tail) // step * step].reshape(-1, step)).sum(axis=1)
    return len(samples) - len(tail) + int(energy.argmin()) * step + step // 2


def _promised_seconds(container: InputContainer, path: Path) -> float:
    """What the header promises, where its word can be trusted; else 0. Other headers are estimates or absent."""
    name = container.format.name.split(",")[0]
    exact = name in {"mov", "flac"} or (name == "mp3" and _mp3_counts_frames(path))
    return container.duration / av.time_base if exact and container.duration else 0.0


def _mp3_counts_frames(path: Path) -> bool:
    """Whether its first frame carries a Xing or Info header: without one FFmpeg guesses from the file's size."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = 0
        if head[:3] == b"ID3" and len(head) == 10:
            tag = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        file.seek(tag)
        frame = file.read(1_024)
    return b"Xing" in frame or b"Info" in frame


def _riff_is_cut(path: Path) -> bool:
    """Whether a WAV's data chunk promises more than the file holds. Sizes of 2 GiB and more mean "a stream"."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return False
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                return length < 2**31 - 1 and file.tell() + length > size
            file.seek(length + length % 2, 1)
    return False
