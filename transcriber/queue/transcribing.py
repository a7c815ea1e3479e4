"""What is done with a job whose recording is here: measured, given to the engine, its result stored."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import audio, results
from transcriber.errors import SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Audio, JobId, Transcript
from transcriber.queue.pace import Pace
from transcriber.queue.parts import Parts
from transcriber.queue.progress import Gauge, reported
from transcriber.speech import Engine, Progress, Recording
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work
from transcriber.threads import in_thread

# The slowest machine that is worth running on: ten times slower than speech, and never less than this.
LEAST_RUN_SECONDS = 600.0
RUN_SECONDS_PER_AUDIO_SECOND = 10.0


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
        self._parts = Parts(engine=engine, recordings=recordings, work=work)
        self._recordings = recordings
        self._metrics = metrics
        self._pace = pace
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
        gauge = Gauge(recording.seconds)
        async with (
            reported(
                self._work,
                assignment.job.job_id,
                gauge,
                least_seconds=self._bounds.progress_seconds,
                over=over,
            ),
            self._pace.turn() as works,
        ):

            def advance(done_seconds: float) -> None:
                works()
                gauge.advance(done_seconds)

            transcript = await self._ask(assignment, recording, advance)
            works()
            return transcript

    async def _ask(self, assignment: Assignment, recording: Recording, progress: Progress) -> Transcript:
        """The engine's answer, within a time that grows with the recording. Raises SpeechError."""
        limit = max(LEAST_RUN_SECONDS, recording.seconds * RUN_SECONDS_PER_AUDIO_SECOND)
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                transcript = await self._parts.transcribe(
                    assignment.job.job_id, recording, assignment.options, progress
                )
        except TimeoutError as error:
            raise SpeechError("engine_timeout", f"not done after {limit:.0f} s", retryable=True) from error
        self._metrics.heard(
            engine=self.name, audio_seconds=recording.seconds, duration_seconds=time.monotonic() - began
        )
        return transcript

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
