"""Recordings for engines that do not take them as they are: encoded anew, in parts, and put together again."""

import threading
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from transcriber import audio
from transcriber.audio import SAMPLE_RATE, Cut
from transcriber.errors import SpeechError
from transcriber.model import Audio, JobId, Options, Part, Segment, Transcript, Word
from transcriber.speech import Progress, Recording, Takes
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work
from transcriber.threads import in_thread

# Beside a part's file there must be room for the database, which notes what becomes of the jobs.
ROOM_BYTES = 50_000_000
Timed = TypeVar("Timed", Segment, Word)


class Hears(Protocol):
    """What of an engine is needed here."""

    @property
    def takes(self) -> Takes: ...

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript: ...


class Parts:
    """What was heard of a part is stored before the next one begins: no later attempt pays for it again."""

    def __init__(self, *, engine: Hears, recordings: Recordings, work: Work) -> None:
        self._engine = engine
        self._recordings = recordings
        self._work = work

    async def transcribe(
        self, job_id: JobId, recording: Recording, options: Options, progress: Progress
    ) -> Transcript:
        """What was said in any recording. Raises SpeechError, and JobOverError if the job ended meanwhile."""
        if self._engine.takes.as_it_is(recording.audio):
            return await self._engine.transcribe(recording, options, progress)
        parts = await self._work.parts(job_id)
        start = parts[-1].end if parts else 0
        progress(start / SAMPLE_RATE)
        async with aclosing(self._files(recording.path, start)) as files:
            async for cut, file in files:
                heard = await self._engine.transcribe(file, options, _later(progress, cut.start))
                parts.append(Part(cut.start, cut.end, heard))
                await self._work.keep_part(job_id, parts[-1])
        return joined(parts, recording.seconds)

    async def _files(self, source: Path, start: int) -> AsyncGenerator[tuple[Cut, Recording], None]:
        """One part after the other, all in the same file, which is gone at the end."""
        name, stop = self._recordings.new_name(), threading.Event()
        path, max_bytes = self._recordings.path(name), self._engine.takes.max_bytes
        cuts = audio.cuts(source, path, start=start, max_bytes=max_bytes, stopped=stop.is_set)
        try:
            while cut := await self._next(cuts, stop):
                part = Audio(name, "flac", path.stat().st_size)
                yield cut, Recording(path, part, (cut.end - cut.start) / SAMPLE_RATE)
        finally:
            self._recordings.remove(name)

    async def _next(self, cuts: Iterator[Cut], stop: threading.Event) -> Cut | None:
        if self._recordings.free_bytes() < ROOM_BYTES + (self._engine.takes.max_bytes or 0):
            raise SpeechError("disk_full", "there is no room to encode the recording", retryable=True)
        return await in_thread(lambda: next(cuts, None), stop=stop)


def joined(parts: Sequence[Part], seconds: float) -> Transcript:
    """One transcript with the times of the whole recording; its language is that of the most seconds."""
    words = [word for part in parts for word in _moved(part.transcript.words or (), part)]
    return Transcript(
        text=" ".join(part.transcript.text for part in parts if part.transcript.text),
        language=_language(parts),
        duration_seconds=seconds,
        segments=tuple(segment for part in parts for segment in _moved(part.transcript.segments, part)),
        words=None if any(part.transcript.words is None for part in parts) else tuple(words),
    )


def _later(progress: Progress, start: int) -> Progress:
    return lambda seconds: progress(start / SAMPLE_RATE + seconds)


def _moved(heard: Iterable[Timed], part: Part) -> Iterator[Timed]:
    """From the part's times to the recording's. None is later than the part's end: engines pad what they hear."""
    offset, length = part.start / SAMPLE_RATE, (part.end - part.start) / SAMPLE_RATE
    for item in heard:
        start, end = (round(offset + min(time, length), 3) for time in (item.start, item.end))
        yield replace(item, start=start, end=end)


def _language(parts: Sequence[Part]) -> str | None:
    samples: Counter[str] = Counter()
    for part in parts:
        if part.transcript.language is not None:
            samples[part.transcript.language] += part.end - part.start
    return max(samples, key=lambda language: samples[language], default=None)
