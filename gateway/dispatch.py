"""Runs a lane for every destination, so that a slow one holds up no other; accepts events for them, and keeps leases and the clock."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.lane import Lane
from gateway.log import emit
from gateway.model import Accepted, DestinationName, Event
from gateway.pace import Outlook
from gateway.store import Store

KEEP_SECONDS = 1.0
"""How often leases and the clock are looked at."""


class Dispatcher:
    def __init__(self, lanes: Mapping[DestinationName, Lane], *, store: Store, clock: Clock) -> None:
        self._lanes = lanes
        self._store = store
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(lane.run()) for lane in self._lanes.values()]
        self._tasks.append(asyncio.create_task(self._keep_running()))

    async def accept(self, event: Event, *, same_id_is_duplicate: bool) -> Accepted:
        """As `Store.accept`; where a lane has room and nothing else is due, the first attempt begins without a claim."""
        places = {
            name: place
            for name in event.destinations
            if (lane := self._lanes.get(name)) is not None and (place := lane.reserve()) is not None
        }
        try:
            accepted = await self._store.accept(
                event,
                same_id_is_duplicate=same_id_is_duplicate,
                leases={name: place.lease_until for name, place in places.items()},
            )
            for claim in accepted.claims:
                self._lanes[claim.destination].take(places.pop(claim.destination), claim)
        finally:
            for name in places:
                self._lanes[name].forgo()
        self.wake(accepted.due)
        return accepted

    def wake(self, destinations: Iterable[DestinationName]) -> None:
        for name in destinations:
            if lane := self._lanes.get(name):
                lane.wake()

    def look(self, destination: DestinationName) -> None:
        """Somebody paused or resumed it."""
        self._lanes[destination].look()

    def outlook(self, destination: DestinationName) -> Outlook:
        return self._lanes[destination].outlook()

    async def keep(self) -> None:
        """Takes back leases that are over, and follows a wall clock that was set."""
        if by_ms := self._clock.follow():
            emit("clock.stepped", level=logging.ERROR, by_ms=by_ms)
            for lane in self._lanes.values():
                lane.clock_stepped(by_ms)
            await self._store.clock_stepped(by_ms)
        if await self._store.end_leases(now=self._clock.now_ms()):
            self.wake(self._lanes)

    async def stop(self, *, grace_seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.stop(grace_seconds=grace_seconds) for lane in self._lanes.values()))

    async def _keep_running(self) -> None:
        while True:
            try:
                await self.keep()
            except StoreUnavailable as error:
                emit("store.unavailable", level=logging.ERROR, error=str(error))
            except Exception as error:  # noqa: BLE001 - a fault here must not end this for good
                emit("dispatch.failed", level=logging.ERROR, error=repr(error))
            await asyncio.sleep(KEEP_SECONDS)
