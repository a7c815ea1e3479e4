"""What is done with a job whose recording is here: measured, given to the engine, its result stored."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import audio, results
from transcriber.errors import SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Audio, JobId, Transcript
from transcriber.queue.asking import Asking
from transcriber.queue.pace import Pace
from transcriber.queue.parts import Parts
from transcriber.queue.progress import Gauge, reported
from transcriber.speech import Engine, Recording
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work
from transcriber.threads import in_thread


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a recording's length, and of the time between two progress events."""

    max_audio_seconds: int
    progress_seconds: float


class Transcribing:
    """`transcript_url` makes the address of a job's transcript."""

    def __init__(
        self,
        *,
        work: Work,
        engine: Engine,
        recordings: Recordings,
        metrics: Metrics,
        pace: Pace,
        bounds: Bounds,
        transcript_url: Callable[[JobId], str],
    ) -> None:
        self._work = work
        self._engine = engine
        asking = Asking(engine=engine, pace=pace, metrics=metrics)
        self._parts = Parts(engine=asking, recordings=recordings, work=work)
        self._recordings = recordings
        self._metrics = metrics
        self._bounds = bounds
        self._transcript_url = transcript_url
        self.name = engine.name
        self.concurrency = engine.concurrency

    async def prepare(self) -> None:
        """Loads the engine. Raises SpeechError if that cannot be used."""
        await self._engine.prepare()

    async def take(self, assignment: Assignment, over: Callable[[JobId], None]) -> RunOutcome:
        """Raises SpeechError, or JobOverError if the job ended by other hands: `over` may hear of that first."""
        if not isinstance(assignment.audio, Audio):
            raise TypeError("a recording is fetched before it is transcribed")
        job_id = assignment.job.job_id
        recording = await self._measure(assignment.audio)
        transcript = await self._transcribe(assignment, recording, over)
        result = await asyncio.to_thread(results.fit, transcript, self._transcript_url(job_id))
        await self._work.complete(job_id, transcript, result)
        self._metrics.transcribed(engine=self.name, audio_seconds=transcript.duration_seconds)
        return "completed"

    async def _transcribe(
        self, assignment: Assignment, recording: Recording, over: Callable[[JobId], None]
    ) -> Transcript:
        job_id, gauge = assignment.job.job_id, Gauge(recording.seconds)
        async with reported(
            self._work, job_id, gauge, least_seconds=self._bounds.progress_seconds, over=over
        ):
            return await self._parts.transcribe(job_id, recording, assignment.options, gauge.advance)

    async def _measure(self, stored: Audio) -> Recording:
        path = self._recordings.path(stored.name)
        stop = threading.Event()

        def measure() -> float:
            return audio.measure(path, max_seconds=self._bounds.max_audio_seconds, stopped=stop.is_set)

        try:
            seconds = await in_thread(measure, stop=stop)
        except FileNotFoundError as error:
            raise SpeechError("audio_gone", "the recording is no longer stored: send it again") from error
        return Recording(path=path, audio=stored, seconds=seconds)
