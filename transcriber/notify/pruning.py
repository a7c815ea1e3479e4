"""Forgets events that were taken long ago."""

import asyncio
from collections.abc import Callable

from transcriber import log
from transcriber.model import UnixMs
from transcriber.store.history import History

EVERY_SECONDS = 600.0
AT_ONCE = 500  # events of one transaction: jobs wait for no more than that
DAY_MS = 86_400_000


class Pruning:
    """`days`: how long a taken event is kept."""

    def __init__(self, *, history: History, days: int, now: Callable[[], UnixMs]) -> None:
        self._history = history
        self._days = days
        self._now = now

    async def run(self) -> None:
        """At once and then every ten minutes, until cancelled."""
        while True:
            await self.prune()
            await asyncio.sleep(EVERY_SECONDS)

    async def prune(self) -> None:
        taken_before, forgotten = self._now() - self._days * DAY_MS, 0
        while number := await self._history.prune(taken_before=taken_before, limit=AT_ONCE):
            forgotten += number
        if forgotten:
            log.info("events.forgotten", events=forgotten)
