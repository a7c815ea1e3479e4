"""Deletes what was kept long enough: an hourly round, in small steps that let everyone else in between."""

import asyncio
import time
from collections.abc import Callable

from transcriber import log
from transcriber.model import UnixMs
from transcriber.store.retention import Retention

ROUND_SECONDS = 3_600.0
TOMBSTONE_DAYS = 180
DAY_MS = 86_400_000
UNSOUND_MS = 300_000
"""A wall clock that was set by more than this is not believed in what cannot be undone."""


def steady_ms() -> int:
    """Ms since some moment; counts the time that the machine was suspended too, where the system can tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class Keeper:
    """`retention_days` of 0 keeps finished jobs for ever; events go `event_days` after they were taken, tombstones after a
    fixed time.

    `now` and `steady` are compared from here on: a clock that was wrong before that cannot be found out.
    """

    def __init__(
        self,
        *,
        retention: Retention,
        retention_days: int,
        event_days: int,
        now: Callable[[], UnixMs],
        steady: Callable[[], int] = steady_ms,
    ) -> None:
        self._retention = retention
        self._retention_days = retention_days
        self._event_days = event_days
        self._now = now
        self._steady = steady
        self._offset_ms = now() - steady()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.round()
            await asyncio.sleep(ROUND_SECONDS)

    async def round(self) -> None:
        """Nothing is deleted once the clock was set: that shows in the log until the service starts again."""
        now = self._now()
        moved_ms = now - self._steady() - self._offset_ms
        if abs(moved_ms) > UNSOUND_MS:
            advice = "the wall clock was set: start the service again once it is right"
            log.warning("retention.refused", clock_moved_seconds=round(moved_ms / 1000), advice=advice)
            return
        if self._retention_days:
            await self._delete(ended_before=now - self._retention_days * DAY_MS)
        await self._forget(taken_before=now - self._event_days * DAY_MS)
        await self._bury(deleted_before=now - TOMBSTONE_DAYS * DAY_MS)

    async def _delete(self, *, ended_before: UnixMs) -> None:
        while deleted := await self._retention.delete_some(ended_before=ended_before):
            for job_id in deleted:
                log.info("job.deleted", job_id=job_id, reason="retention")

    async def _forget(self, *, taken_before: UnixMs) -> None:
        forgotten = 0
        while some := await self._retention.forget_some(taken_before=taken_before):
            forgotten += some
        if forgotten:
            log.info("events.forgotten", events=forgotten)

    async def _bury(self, *, deleted_before: UnixMs) -> None:
        buried = 0
        while some := await self._retention.bury_some(deleted_before=deleted_before):
            buried += some
        if buried:
            log.info("retention.tombstones_removed", count=buried)
