"""Takes the jobs of a lane in their turn, as many at a time as its step can, and sees each run to its end."""

import asyncio
import sqlite3
import time
from collections.abc import Callable

from transcriber import log
from transcriber.errors import JobOverError, SpeechError
from transcriber.metrics import Metrics
from transcriber.model import Assignment, Failure, JobId, UnixMs
from transcriber.queue.pace import Pace
from transcriber.queue.run import Ended, Runs, Step
from transcriber.store.work import Work

STORE_PAUSE_SECONDS = 1.0


class Worker:
    """Of one lane. There are two, so that hosts which answer slowly never keep the engine from what is there."""

    def __init__(
        self,
        *,
        work: Work,
        runs: Runs,
        step: Step,
        pace: Pace,
        metrics: Metrics,
        now: Callable[[], UnixMs],
    ) -> None:
        self._work = work
        self._runs = runs
        self._step = step
        self._pace = pace
        self._metrics = metrics
        self._now = now
        self._running: dict[JobId, asyncio.Task[None]] = {}
        self.fault: str | None = "the engine is still loading"

    async def run(self) -> None:
        """Until cancelled: then every job in hand is given back, to be taken up when the service starts again.

        Loads what its step needs first, beside the API that already takes jobs. Returns if it cannot be used: `fault` says why.
        """
        if not await self._prepare():
            return
        await self._go_on_pausing()
        slots = asyncio.Semaphore(self._step.concurrency)
        try:
            while True:
                await slots.acquire()
                self._begin(await self._next(), slots)
        finally:
            for task in self._running.values():
                task.cancel()
            try:
                # also one whose claim was on its way to the disk when this was cancelled
                await self._work.give_all_back()
            finally:
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
            await self._step.prepare()
        except SpeechError as error:
            self.fault = error.message
            log.error("engine.unusable", error, engine=self._step.name)
            return False
        self.fault = None
        log.info("engine.ready", engine=self._step.name, duration_ms=round((time.monotonic() - began) * 1000))
        return True

    async def _go_on_pausing(self) -> None:
        """A rate limit does not end because this process was started again."""
        if seconds := await self._work.pause_seconds():
            self._pace.pause(seconds)

    async def _next(self) -> Assignment:
        while True:
            await self._pace.free()
            self._work.queued.clear()
            try:
                if assignment := await self._work.claim():
                    return assignment
                await self._wait_for_work()
            except sqlite3.Error as error:
                log.error("store.failed", error)
                await asyncio.sleep(STORE_PAUSE_SECONDS)

    async def _wait_for_work(self) -> None:
        due = await self._work.next_due_at()
        timeout = None if due is None else max(0.0, (due - self._now()) / 1000)
        try:
            async with asyncio.timeout(timeout):
                await self._work.queued.wait()
        except TimeoutError:
            pass  # another attempt is due

    def _begin(self, assignment: Assignment, slots: asyncio.Semaphore) -> None:
        job_id = assignment.job.job_id
        task = asyncio.create_task(self._run(assignment), name=f"job {job_id}")
        self._running[job_id] = task

        def ended(_: asyncio.Task[None]) -> None:
            # else the job was postponed and is taken again already, before this heard that it had ended
            if self._running.get(job_id) is task:
                del self._running[job_id]
            slots.release()
            self._work.wake()  # if it was tried alone, the others may come now

        task.add_done_callback(ended)

    async def _run(self, assignment: Assignment) -> None:
        job_id, began = assignment.job.job_id, time.monotonic()
        log.info("job.started", job_id=job_id, attempt=assignment.attempt, engine=self._step.name)
        ended = Ended("stopped")
        try:
            ended = await self._runs.attempt(assignment, over=self.stop)
        except JobOverError:
            pass  # cancelled or deleted meanwhile: whoever did that has told
        except sqlite3.Error as error:
            log.error("store.failed", error, job_id=job_id)
            ended = await self._postpone_at_last(job_id)
        except Exception as error:  # noqa: BLE001 (a job that stayed in hand would be processing for ever)
            log.error("job.crashed", error, job_id=job_id)
            ended = await self._postpone_at_last(job_id)
        finally:
            duration = time.monotonic() - began
            self._metrics.ran(engine=self._step.name, outcome=ended.outcome, duration_seconds=duration)
            _tell(job_id, ended, duration)

    async def _postpone_at_last(self, job_id: JobId) -> Ended:
        """Until the store works again: a job that stayed in hand would be processing for ever."""
        error = SpeechError("store_unavailable", "the result could not be stored", retryable=True)
        while True:
            await asyncio.sleep(STORE_PAUSE_SECONDS)
            try:
                await self._work.postpone(job_id, Failure(error.code, error.message), 0)
            except JobOverError:
                return Ended("stopped")
            except sqlite3.Error as failed:
                log.error("store.failed", failed, job_id=job_id)
            else:
                return Ended("postponed", error, 0.0)


def _tell(job_id: JobId, ended: Ended, duration_seconds: float) -> None:
    """One line for a run, with all that there is to know of its end."""
    duration_ms = round(duration_seconds * 1000)
    if ended.error is None:
        log.info(f"job.{ended.outcome}", job_id=job_id, duration_ms=duration_ms)
        return
    delay = {} if ended.delay_seconds is None else {"delay_seconds": round(ended.delay_seconds, 3)}
    log.warning(
        f"job.{ended.outcome}",
        job_id=job_id,
        duration_ms=duration_ms,
        code=ended.error.code,
        reason=ended.error.message,
        **delay,
    )
