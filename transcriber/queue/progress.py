"""How far a run is: true, never backwards, and not chatty."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from transcriber import log
from transcriber.errors import JobOverError
from transcriber.model import JobId
from transcriber.store.work import Work


class Gauge:
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


@asynccontextmanager
async def reported(
    work: Work, job_id: JobId, gauge: Gauge, *, least_seconds: float, over: Callable[[JobId], None]
) -> AsyncIterator[None]:
    """Inside, progress becomes events, `least_seconds` apart; `over` hears of a job that ended meanwhile."""

    async def report() -> None:
        while True:
            await gauge.moved.wait()
            # The pause is first: a run that ends within it tells its end at once, and not that it was about to.
            await asyncio.sleep(least_seconds)
            gauge.moved.clear()
            try:
                await work.progress(job_id, gauge.percent)
            except JobOverError:
                over(job_id)
                return
            except sqlite3.Error as error:
                log.error("store.failed", error, job_id=job_id)  # the next step tells of this one too

    reporter = asyncio.create_task(report(), name=f"progress of {job_id}")
    try:
        yield
    finally:
        reporter.cancel()
