"""A recording encoded anew, for engines that do not take it as it is: FLAC loses nothing that they hear."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from transcriber.audio.windows import MAX_WINDOW_SECONDS, SAMPLE_RATE, Window, windows
from transcriber.errors import SpeechError

EXTENSION = "flac"
_HEADER_BYTES = 16_384  # FFmpeg leaves 8 KiB of padding
# What FLAC makes of noise: samples as they are, and at most 32 bytes around each of its frames.
_FRAME_SAMPLES = 1_152
_MOST_BYTES_PER_SAMPLE = 2 + 32 / _FRAME_SAMPLES


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of a recording, in samples at 16 kHz from its start: `end` is the first that is not in it."""

    start: int
    end: int


def cuts(
    source: Path, target: Path, *, start: int, max_bytes: int | None, stopped: Callable[[], bool]
) -> Iterator[Cut]:
    """`source` from sample `start` on, part by part: for each, `target` is written anew, 16 kHz mono FLAC.

    A part is as many whole windows as surely fit `max_bytes`, at least one. Raises AudioError, SpeechError if
    `target` cannot be written, and StoppedError once `stopped()`.
    """
    longest = MAX_WINDOW_SECONDS * SAMPLE_RATE
    if max_bytes is not None:
        longest = min(longest, int((max_bytes - _HEADER_BYTES) / _MOST_BYTES_PER_SAMPLE))
    coming = windows(source, start=start, longest=longest, stopped=stopped)
    window = next(coming, None)
    while window is not None:
        cut, window = _write(target, window, coming, max_bytes)
        yield cut


def _write(
    target: Path, first: Window, coming: Iterator[Window], max_bytes: int | None
) -> tuple[Cut, Window | None]:
    """What the file holds now, and the window that did not fit."""
    size, end = _HEADER_BYTES, first.start
    window: Window | None = first
    try:
        with av.open(str(target), "w", format="flac") as file:
            stream = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
            stream.format = "s16"
            while window is not None and (window is first or _fits(size, window, max_bytes)):
                packets = stream.encode(_frame(window, first.start))
                size += sum(packet.size for packet in packets)
                file.mux(packets)
                end, window = window.end, next(coming, None)
            file.mux(stream.encode(None))
    except av.error.FFmpegError as error:
        raise SpeechError(
            "disk_full", f"the recording cannot be encoded: {error.strerror}", retryable=True
        ) from error
    return Cut(first.start, end), window


def _fits(size: int, window: Window, max_bytes: int | None) -> bool:
    """Whether it surely does, the frame that the encoder still holds counted."""
    samples = len(window.samples) + _FRAME_SAMPLES * 4
    return max_bytes is None or size + samples * _MOST_BYTES_PER_SAMPLE <= max_bytes


def _frame(window: Window, first: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(window.samples[None, :], "s16", "mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = window.start - first
    return frame
