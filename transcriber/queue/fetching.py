"""The first step of a job whose recording is still at its address: fetched, judged by its content, stored for good."""

import asyncio
from collections.abc import Callable

from transcriber import audio
from transcriber.intake.fetch import Fetcher, no_room
from transcriber.metrics import RunOutcome
from transcriber.model import Assignment, Audio, AudioName, AudioUrl, JobId
from transcriber.store.recordings import Recordings, is_full
from transcriber.store.work import Work


class Fetching:
    name = "fetch"

    def __init__(self, *, work: Work, fetcher: Fetcher, recordings: Recordings) -> None:
        self._work = work
        self._fetcher = fetcher
        self._recordings = recordings
        self.concurrency = fetcher.concurrency

    async def prepare(self) -> None:
        """Nothing: the first fetch shows whether there is a network."""

    async def take(self, assignment: Assignment, over: Callable[[JobId], None]) -> RunOutcome:  # noqa: ARG002 (nothing is told on the way)
        """The job has its recording, and waits for the engine as one that was uploaded does.

        Raises SpeechError, or JobOverError if the job ended meanwhile; then nothing stays on the disk. A process that
        ends in between leaves a file that no job knows: the next one removes it, and fetches again.
        """
        if not isinstance(assignment.audio, AudioUrl):
            raise TypeError("a recording that is here is not fetched")
        name = self._recordings.new_name()
        try:
            stored = await self._store(name, assignment.audio)
        except BaseException as error:
            self._recordings.remove(name)
            if is_full(error):
                raise no_room() from error
            raise
        await self._work.attach(assignment.job.job_id, stored)
        return "fetched"

    async def _store(self, name: AudioName, source: AudioUrl) -> Audio:
        path = self._recordings.path(name)
        size_bytes = await self._fetcher.fetch(source, path)
        stored = Audio(name, await asyncio.to_thread(audio.identify, path), size_bytes)
        await asyncio.to_thread(self._recordings.keep, name)
        return stored
