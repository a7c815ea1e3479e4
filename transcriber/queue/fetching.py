"""The first step of a job whose recording is still at its address: fetched, judged by its content, stored for good."""

import asyncio

from transcriber import audio
from transcriber.intake.fetch import Fetcher, no_room
from transcriber.model import Audio, AudioName, AudioUrl, JobId
from transcriber.store.recordings import Recordings, is_full
from transcriber.store.work import Work


class Fetching:
    def __init__(self, *, work: Work, fetcher: Fetcher, recordings: Recordings) -> None:
        self._work = work
        self._fetcher = fetcher
        self._recordings = recordings

    async def run(self, job_id: JobId, source: AudioUrl) -> None:
        """The job has its recording, and waits for the engine as one that was uploaded does.

        Raises SpeechError, or JobOverError if the job ended meanwhile; then nothing stays on the disk. A process that
        ends in between leaves a file that no job knows: the next one removes it, and fetches again.
        """
        name = self._recordings.new_name()
        try:
            stored = await self._store(name, source)
        except BaseException as error:
            self._recordings.remove(name)
            if is_full(error):
                raise no_room() from error
            raise
        await self._work.attach(job_id, stored)

    async def _store(self, name: AudioName, source: AudioUrl) -> Audio:
        path = self._recordings.path(name)
        size_bytes = await self._fetcher.fetch(source, path)
        stored = Audio(name, await asyncio.to_thread(audio.identify, path), size_bytes)
        await asyncio.to_thread(self._recordings.keep, name)
        return stored
