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

    A part is as many whole windows as surely fit `max_bytes`, at least one. Raises AudioError, OSError, and
    SpeechError once `stopped()`.
    """
    longest = MAX_WINDOW_SECONDS * SAMPLE_RATE
    if max_bytes is not None:
        longest = min(longest, int((max_bytes - _HEADER_BYTES) / _MOST_BYTES_PER_SAMPLE))
    coming = windows(source, start=start, longest=longest, stopped=stopped)
    window = next(coming, None)
    while window is not None:
        first = window.start
        end, window = _write(target, window, coming, max_bytes, stopped)
        yield Cut(first, end)


def _write(
    target: Path,
    window: Window,
    coming: Iterator[Window],
    max_bytes: int | None,
    stopped: Callable[[], bool],
) -> tuple[int, Window | None]:
    """The sample at which the file ends, and the window that did not fit."""
    later: Window | None = window
    with av.open(str(target), "w", format="flac") as file:
        stream = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        stream.format = "s16"
        size = _HEADER_BYTES
        while later is not None and (later is window or _fits(size, later, max_bytes)):
            for packet in stream.encode(_frame(later, window.start)):
                size += packet.size
                file.mux(packet)
            end, later = later.end, next(coming, None)
            if stopped():
                raise SpeechError("stopped", "the recording is no longer wanted", retryable=True)
        file.mux(stream.encode(None))
    return end, later


def _fits(size: int, window: Window, max_bytes: int | None) -> bool:
    """Whether it surely does, the frame that the encoder still holds counted."""
    samples = len(window.samples) + _FRAME_SAMPLES * 4
    return max_bytes is None or size + samples * _MOST_BYTES_PER_SAMPLE <= max_bytes


def _frame(window: Window, first: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(window.samples[None, :], "s16", "mono")
    frame.sample_rate = SAMPLE_RATE
    frame.pts = window.start - first
    return frame
