"""A recording as mono samples, piece by piece: memory does not grow with its length."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler

from transcriber.audio.reading import frames, opened
from transcriber.errors import AudioError

SAMPLE_RATE = 16_000
MAX_WINDOW_SECONDS = 120
_TAIL_SECONDS = 15  # a window ends at the quietest moment of its tail, so that no word is cut
_QUIET_SECONDS = 0.2

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Window:
    """Mono samples of 16 bit at 16 kHz. `start` counts the samples of the recording before them, `end` those up to the last."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


def windows(
    path: Path,
    *,
    start: int = 0,
    longest: int = MAX_WINDOW_SECONDS * SAMPLE_RATE,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Window]:
    """The recording from sample `start` on, in pieces of at most `longest` samples. Raises AudioError and StoppedError.

    Where they are cut depends on the recording and on `start` alone: from one cut on, the later ones are the same.
    """
    held: list[Samples] = []
    count = 0
    for chunk in _from(start, _resampled(path, stopped)):
        held.append(chunk)
        count += len(chunk)
        while count >= longest:
            joined = np.concatenate(held)
            cut = _quietest(joined[:longest])
            yield Window(start, joined[:cut])
            start, count, held = start + cut, count - cut, [joined[cut:]]
    if count:
        yield Window(start, np.concatenate(held))


def _from(start: int, chunks: Iterator[Samples]) -> Iterator[Samples]:
    position = 0
    for chunk in chunks:
        if position + len(chunk) > start:
            yield chunk[max(0, start - position) :]
        position += len(chunk)


def _resampled(path: Path, stopped: Callable[[], bool]) -> Iterator[Samples]:
    """Pieces of about a second."""
    held: list[Samples] = []
    with opened(path) as container:
        for piece in converted(frames(container, stopped=stopped)):
            held.append(piece)
            if sum(map(len, held)) >= SAMPLE_RATE:
                yield np.concatenate(held)
                held = []
    if held:
        yield np.concatenate(held)


def converted(sound: Iterable[av.AudioFrame]) -> Iterator[Samples]:
    """Mono samples at 16 kHz. Raises AudioError for what cannot be converted, such as a hundred channels.

    Each run of frames of one form has a resampler of its own: recordings that were put together change theirs.
    """
    for _, run in groupby(sound, key=lambda frame: (frame.sample_rate, frame.layout.name, frame.format.name)):
        resampler = AudioResampler("s16", "mono", SAMPLE_RATE)
        for frame in chain(run, [None]):
            try:
                pieces = resampler.resample(frame)
            except (av.error.FFmpegError, ValueError) as error:
                raise AudioError("not_decodable", "the sound is in a form that cannot be followed") from error
            for piece in pieces:
                yield piece.to_ndarray()[0]


def _quietest(samples: Samples) -> int:
    """The middle of the quietest 0.2 s of the last 15 s, or of the second half of less than 30, as an index."""
    step = int(_QUIET_SECONDS * SAMPLE_RATE)
    tail = samples[-min(_TAIL_SECONDS * SAMPLE_RATE, len(samples) // 2) :].astype(np.float32)
    energy = np.square(tail[: len(tail) // step * step].reshape(-1, step)).sum(axis=1)
    return len(samples) - len(tail) + int(energy.argmin()) * step + step // 2
