"""One attempt at a job: its recording fetched, or measured and transcribed, the result stored; or judged."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import audio, log, results
from transcriber.backoff import Backoff
from transcriber.errors import JobOverError, SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Audio, AudioUrl, Failure, JobId, Options, Transcript
from transcriber.queue.fetching import Fetching
from transcriber.queue.parts import Parts
from transcriber.queue.progress import Gauge, reported
from transcriber.speech import Engine, Recording
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work
from transcriber.threads import in_thread

MAX_ATTEMPTS = 10  # with the backoff below: about nine minutes of an engine that is away
BACKOFF = Backoff(first_seconds=1, longest_seconds=256)
LONGEST_RETRY_AFTER_SECONDS = 3_600.0
# The slowest machine that is worth running on: ten times slower than speech, and never less than this.
LEAST_RUN_SECONDS = 600.0
RUN_SECONDS_PER_AUDIO_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    max_audio_seconds: int
    progress_seconds: float
    backoff: Backoff = BACKOFF
    max_attempts: int = MAX_ATTEMPTS


class Runs:
    """`transcript_url` makes the address of a job's transcript. `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        work: Work,
        fetching: Fetching,
        engine: Engine,
        recordings: Recordings,
        metrics: Metrics,
        limits: Limits,
        transcript_url: Callable[[JobId], str],
        chance: Callable[[], float],
    ) -> None:
        self._work = work
        self._fetching = fetching
        self._engine = engine
        self._parts = Parts(engine=engine, recordings=recordings, work=work)
        self._recordings = recordings
        self._metrics = metrics
        self._limits = limits
        self._transcript_url = transcript_url
        self._chance = chance

    async def attempt(self, assignment: Assignment, *, over: Callable[[JobId], None]) -> RunOutcome:
        """What became of the job. Raises JobOverError if it ended by other hands; `over` may hear of that first."""
        job_id = assignment.job.job_id
        try:
            self._require_left(assignment.attempt)
            if isinstance(assignment.audio, AudioUrl):
                await self._fetching.run(job_id, assignment.audio)
                return "fetched"
            transcript = await self._transcribe(job_id, assignment.audio, assignment.options, over)
            result = await asyncio.to_thread(results.fit, transcript, self._transcript_url(job_id))
            await self._work.complete(job_id, transcript, result)
        except SpeechError as error:
            return await self._judge(assignment, error)
        except (JobOverError, sqlite3.Error):
            raise
        except Exception as error:  # noqa: BLE001 (nothing that an engine does may leave a job processing for ever)
            log.error("job.crashed", error, job_id=job_id)
            return await self._judge(
                assignment, SpeechError("internal", "the transcription failed unexpectedly")
            )
        self._metrics.transcribed(engine=self._engine.name, audio_seconds=transcript.duration_seconds)
        return "completed"

    def _require_left(self, attempt: int) -> None:
        if attempt > self._limits.max_attempts:
            raise SpeechError("gave_up", f"the job was interrupted {self._limits.max_attempts} times")

    async def _judge(self, assignment: Assignment, error: SpeechError) -> RunOutcome:
        """Another attempt where that may help, else the end of the job."""
        job_id, attempt = assignment.job.job_id, assignment.attempt
        if error.retryable and attempt < self._limits.max_attempts:
            delay = self._limits.backoff.delay_seconds(attempt, self._chance())
            delay = max(delay, min(error.retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))
            await self._work.postpone(job_id, delay)
            log.warning(
                "job.attempt_failed",
                job_id=job_id,
                code=error.code,
                reason=error.message,
                delay_seconds=delay,
            )
            return "postponed"
        await self._work.fail(job_id, Failure(error.code, error.message))
        log.warning("job.gave_up", job_id=job_id, code=error.code, reason=error.message)
        return "failed"

    async def _transcribe(
        self, job_id: JobId, stored: Audio, options: Options, over: Callable[[JobId], None]
    ) -> Transcript:
        recording = await self._measure(stored)
        gauge = Gauge(recording.seconds)
        limit = max(LEAST_RUN_SECONDS, recording.seconds * RUN_SECONDS_PER_AUDIO_SECOND)
        async with reported(
            self._work,
            job_id,
            gauge,
            least_seconds=self._limits.progress_seconds,
            over=over,
        ):
            try:
                async with asyncio.timeout(limit):
                    return await self._parts.transcribe(job_id, recording, options, gauge.advance)
            except TimeoutError as error:
                raise SpeechError(
                    "engine_timeout", f"not done after {limit:.0f} s", retryable=True
                ) from error

    async def _measure(self, stored: Audio) -> Recording:
        path = self._recordings.path(stored.name)
        stop = threading.Event()

        def measure() -> float:
            return audio.measure(path, max_seconds=self._limits.max_audio_seconds, stopped=stop.is_set)

        try:
            seconds = await in_thread(measure, stop=stop)
        except FileNotFoundError as error:
            raise SpeechError("audio_gone", "the recording is no longer stored: send it again") from error
        return Recording(path=path, audio=stored, seconds=seconds)
