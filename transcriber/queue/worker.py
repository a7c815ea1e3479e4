"""Takes jobs in their turn, as many at a time as the engine, or who fetches, can, and sees each run to its end."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Protocol

from transcriber import log
from transcriber.errors import JobOverError, SpeechError
from transcriber.metrics import Metrics, RunOutcome
from transcriber.model import Assignment, JobId, UnixMs
from transcriber.queue.run import Runs
from transcriber.store.work import Work

STORE_PAUSE_SECONDS = 1.0


class Station(Protocol):
    """What a run is made on: an engine, or the fetcher."""

    @property
    def name(self) -> str: ...

    @property
    def concurrency(self) -> int: ...

    async def prepare(self) -> None: ...


class Worker:
    """With `to_fetch` it takes the jobs whose recordings are still at their addresses, else the others.

    Two workers, so that hosts which answer slowly never keep the engine from what is there.
    """

    def __init__(
        self,
        *,
        work: Work,
        runs: Runs,
        engine: Station,
        to_fetch: bool,
        metrics: Metrics,
        now: Callable[[], UnixMs],
    ) -> None:
        self._work = work
        self._runs = runs
        self._engine = engine
        self._to_fetch = to_fetch
        self._woken = work.to_fetch if to_fetch else work.queued
        self._metrics = metrics
        self._now = now
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
            self._woken.clear()
            if assignment := await self._work.claim(to_fetch=self._to_fetch):
                return assignment
            await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        due = await self._work.next_due_at(to_fetch=self._to_fetch)
        timeout = None if due is None else max(0.0, (due - self._now()) / 1000)
        try:
            async with asyncio.timeout(timeout):
                await self._woken.wait()
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
            outcome = await self._runs.attempt(assignment, over=self.stop)
        except JobOverError:
            pass  # cancelled or deleted meanwhile: whoever did that has told
        except asyncio.CancelledError:
            await self._work.give_back(job_id)
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
                await self._work.postpone(job_id, 0)
            except sqlite3.Error as error:
                log.error("store.failed", error, job_id=job_id)
            else:
                return
