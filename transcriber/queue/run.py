"""One attempt at a job: measured, transcribed, its result stored; or judged."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import audio, log, results
from transcriber.backoff import Backoff
from transcriber.errors import JobOverError, SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Failure, JobId, Options, Transcript, UnixMs
from transcriber.queue.pace import Pace
from transcriber.queue.progress import Gauge, reported
from transcriber.speech import Engine, Progress, Recording
from transcriber.store.recordings import Recordings
from transcriber.store.work import Work

MAX_ATTEMPTS = 10  # with the backoff below: about nine minutes of an engine that is away
BACKOFF = Backoff(first_seconds=1, longest_seconds=256)
LONGEST_RETRY_AFTER_SECONDS = 3_600.0
LONGEST_LIMITED_MS = (
    24 * 3_600_000
)  # since its first start: whom rate limits have kept out for so long, they always will
# The slowest machine that is worth running on: ten times slower than speech, and never less than this.
LEAST_RUN_SECONDS = 600.0
RUN_SECONDS_PER_AUDIO_SECOND = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    max_audio_seconds: int
    progress_seconds: float
    backoff: Backoff = BACKOFF
    max_attempts: int = MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a job, and why if it is not done; `delay_seconds` says when it is tried again."""

    outcome: RunOutcome
    error: SpeechError | None = None
    delay_seconds: float | None = None


class Runs:
    """`transcript_url` makes the address of a job's transcript. `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        work: Work,
        engine: Engine,
        recordings: Recordings,
        metrics: Metrics,
        pace: Pace,
        limits: Limits,
        transcript_url: Callable[[JobId], str],
        chance: Callable[[], float],
        now: Callable[[], UnixMs],
    ) -> None:
        self._work = work
        self._engine = engine
        self._recordings = recordings
        self._metrics = metrics
        self._pace = pace
        self._limits = limits
        self._transcript_url = transcript_url
        self._chance = chance
        self._now = now

    async def attempt(self, assignment: Assignment, *, over: Callable[[JobId], None]) -> Ended:
        """What became of the job. Raises JobOverError if it ended by other hands; `over` may hear of that first."""
        job_id = assignment.job.job_id
        try:
            transcript = await self._transcribe(assignment, over)
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
        return Ended("completed")

    async def _judge(self, assignment: Assignment, error: SpeechError) -> Ended:
        """Another attempt where that may help, else the end of the job."""
        job_id, failure = assignment.job.job_id, Failure(error.code, error.message)
        self._metrics.engine_failed(engine=self._engine.name, code=error.code)
        if error.pauses_engine and self._may_wait_longer(assignment):
            delay = self._pace.seconds_left()
            await self._work.wait_for_engine(job_id, failure, delay)
            return Ended("postponed", error, delay)
        if error.retryable and not error.pauses_engine and assignment.attempt < self._limits.max_attempts:
            delay = self._limits.backoff.delay_seconds(assignment.attempt, self._chance())
            delay = max(delay, min(error.retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))
            await self._work.postpone(job_id, failure, delay)
            return Ended("postponed", error, delay)
        await self._work.fail(job_id, failure)
        return Ended("failed", error)

    def _may_wait_longer(self, assignment: Assignment) -> bool:
        started_at = assignment.job.started_at
        return started_at is None or self._now() - started_at < LONGEST_LIMITED_MS

    async def _transcribe(self, assignment: Assignment, over: Callable[[JobId], None]) -> Transcript:
        if assignment.attempt > self._limits.max_attempts:
            raise SpeechError("gave_up", f"the job was interrupted {self._limits.max_attempts} times")
        recording = await self._measure(assignment)
        gauge = Gauge(recording.seconds)
        async with (
            reported(
                self._work,
                assignment.job.job_id,
                gauge,
                least_seconds=self._limits.progress_seconds,
                over=over,
            ),
            self._pace.turn() as works,
        ):

            def advance(done_seconds: float) -> None:
                works()
                gauge.advance(done_seconds)

            transcript = await self._ask(recording, assignment.options, advance)
            works()
            return transcript

    async def _ask(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        """The engine's answer, within a time that grows with the recording. Raises SpeechError."""
        limit = max(LEAST_RUN_SECONDS, recording.seconds * RUN_SECONDS_PER_AUDIO_SECOND)
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                transcript = await self._engine.transcribe(recording, options, progress)
        except TimeoutError as error:
            raise SpeechError("engine_timeout", f"not done after {limit:.0f} s", retryable=True) from error
        self._metrics.heard(
            engine=self._engine.name,
            audio_seconds=recording.seconds,
            duration_seconds=time.monotonic() - began,
        )
        return transcript

    async def _measure(self, assignment: Assignment) -> Recording:
        path = self._recordings.path(assignment.audio.name)
        stopped = False
        try:
            seconds = await asyncio.to_thread(
                audio.measure, path, max_seconds=self._limits.max_audio_seconds, stopped=lambda: stopped
            )
        except FileNotFoundError as error:
            raise SpeechError("audio_gone", "the recording is no longer stored: send it again") from error
        finally:
            stopped = True
        return Recording(path=path, audio=assignment.audio, seconds=seconds)
