"""Takes queued jobs, oldest first, and brings each to its end."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import audio, log, results
from transcriber.backoff import Backoff
from transcriber.errors import JobOverError, SpeechError
from transcriber.jobs import Jobs
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, Failure, JobId, Transcript, UnixMs
from transcriber.recordings import Recordings
from transcriber.speech import Engine, Recording

MAX_ATTEMPTS = 10  # with the backoff below: about nine minutes of an engine that is away
BACKOFF = Backoff(first_seconds=1, longest_seconds=256)
LONGEST_RETRY_AFTER_SECONDS = 3_600.0
# The slowest machine that is worth running on: ten times slower than speech, and never less than this.
LEAST_RUN_SECONDS = 600.0
RUN_SECONDS_PER_AUDIO_SECOND = 10.0
STORE_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    max_audio_seconds: int
    progress_seconds: float
    backoff: Backoff = BACKOFF
    max_attempts: int = MAX_ATTEMPTS


class Worker:
    """`transcript_url` makes the address of a job's transcript. `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        engine: Engine,
        recordings: Recordings,
        metrics: Metrics,
        limits: Limits,
        transcript_url: Callable[[JobId], str],
        now: Callable[[], UnixMs],
        chance: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._engine = engine
        self._recordings = recordings
        self._metrics = metrics
        self._limits = limits
        self._transcript_url = transcript_url
        self._now = now
        self._chance = chance
        self._running: dict[JobId, asyncio.Task[None]] = {}
        self.fault: str | None = "the engine is still loading"

    async def run(self) -> None:
        """Until cancelled: then every job in hand is given back, to be taken up when the service starts again.

        Loads the engine first, beside the API that already takes jobs. Returns if it cannot be used: `fault` says why.
        """
        if not await self._prepare():
            return
        slots = asyncio.Semaphore(self._engine.concurrency)
        try:
            while True:
                await slots.acquire()
                self._begin(await self._next(), slots)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def stop(self, job_id: JobId) -> None:
        """Ends the run of a job that is over; nothing happens if it is not running."""
        if task := self._running.get(job_id):
            task.cancel()

    async def _prepare(self) -> bool:
        if self.fault is None:
            return True
        began = time.monotonic()
        try:
            await self._engine.prepare()
        except SpeechError as error:
            self.fault = error.message
            log.error("engine.unusable", error, engine=self._engine.name)
            return False
        self.fault = None
        log.info(
            "engine.ready", engine=self._engine.name, duration_ms=round((time.monotonic() - began) * 1000)
        )
        return True

    async def _next(self) -> Assignment:
        while True:
            self._jobs.queued.clear()
            if assignment := await self._jobs.claim():
                return assignment
            await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        due = await self._jobs.next_due_at()
        timeout = None if due is None else max(0.0, (due - self._now()) / 1000)
        try:
            async with asyncio.timeout(timeout):
                await self._jobs.queued.wait()
        except TimeoutError:
            pass  # another attempt is due

    def _begin(self, assignment: Assignment, slots: asyncio.Semaphore) -> None:
        job_id = assignment.job.job_id
        task = asyncio.create_task(self._run(assignment), name=f"job {job_id}")
        self._running[job_id] = task

        def ended(_: asyncio.Task[None]) -> None:
            del self._running[job_id]
            slots.release()

        task.add_done_callback(ended)

    async def _run(self, assignment: Assignment) -> None:
        job_id, began = assignment.job.job_id, time.monotonic()
        log.info("job.started", job_id=job_id, attempt=assignment.attempt, engine=self._engine.name)
        outcome: RunOutcome = "stopped"
        try:
            outcome = await self._attempt(assignment)
        except JobOverError:
            pass  # cancelled or deleted meanwhile: whoever did that has told
        except asyncio.CancelledError:
            await self._jobs.give_back(job_id)
            raise
        except sqlite3.Error as error:
            log.error("store.failed", error, job_id=job_id)
            await self._postpone_at_last(job_id)
        finally:
            duration = time.monotonic() - began
            self._metrics.ran(engine=self._engine.name, outcome=outcome, duration_seconds=duration)
            log.info(f"job.{outcome}", job_id=job_id, duration_ms=round(duration * 1000))

    async def _postpone_at_last(self, job_id: JobId) -> None:
        """Until the store works again: a job that stayed in hand would be processing for ever."""
        while True:
            await asyncio.sleep(STORE_PAUSE_SECONDS)
            try:
                await self._jobs.postpone(job_id, 0)
            except sqlite3.Error as error:
                log.error("store.failed", error, job_id=job_id)
            else:
                return

    async def _attempt(self, assignment: Assignment) -> RunOutcome:
        """What became of the job. Raises JobOverError if it ended by other hands."""
        job_id = assignment.job.job_id
        try:
            transcript = await self._transcribe(assignment)
            result = await asyncio.to_thread(results.fit, transcript, self._transcript_url(job_id))
            await self._jobs.complete(job_id, transcript, result)
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

    async def _judge(self, assignment: Assignment, error: SpeechError) -> RunOutcome:
        """Another attempt where that may help, else the end of the job."""
        job_id, attempt = assignment.job.job_id, assignment.attempt
        if error.retryable and attempt < self._limits.max_attempts:
            delay = self._limits.backoff.delay_seconds(attempt, self._chance())
            delay = max(delay, min(error.retry_after_seconds or 0.0, LONGEST_RETRY_AFTER_SECONDS))
            await self._jobs.postpone(job_id, delay)
            log.warning(
                "job.attempt_failed",
                job_id=job_id,
                code=error.code,
                reason=error.message,
                delay_seconds=delay,
            )
            return "postponed"
        await self._jobs.fail(job_id, Failure(error.code, error.message))
        log.warning("job.gave_up", job_id=job_id, code=error.code, reason=error.message)
        return "failed"

    async def _transcribe(self, assignment: Assignment) -> Transcript:
        if assignment.attempt > self._limits.max_attempts:
            raise SpeechError("gave_up", f"the job was interrupted {self._limits.max_attempts} times")
        recording = await self._measure(assignment)
        gauge = _Gauge(recording.seconds)
        reporter = asyncio.create_task(self._report(assignment.job.job_id, gauge))
        limit = max(LEAST_RUN_SECONDS, recording.seconds * RUN_SECONDS_PER_AUDIO_SECOND)
        try:
            async with asyncio.timeout(limit):
                return await self._engine.transcribe(recording, assignment.options, gauge.advance)
        except TimeoutError as error:
            raise SpeechError("engine_timeout", f"not done after {limit:.0f} s", retryable=True) from error
        finally:
            reporter.cancel()

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

    async def _report(self, job_id: JobId, gauge: "_Gauge") -> None:
        """One progress event for each new whole per cent, with the least time between two."""
        while True:
            await gauge.moved.wait()
            gauge.moved.clear()
            try:
                await self._jobs.progress(job_id, gauge.percent)
            except JobOverError:
                self.stop(job_id)
                return
            await asyncio.sleep(self._limits.progress_seconds)


class _Gauge:
    """How far an engine is: whole per cents of the seconds of audio."""

    def __init__(self, total_seconds: float) -> None:
        self._total_seconds = total_seconds
        self.percent = 0
        self.moved = asyncio.Event()

    def advance(self, done_seconds: float) -> None:
        percent = min(99, int(100 * done_seconds / self._total_seconds))
        if percent > self.percent:
            self.percent = percent
            self.moved.set()
