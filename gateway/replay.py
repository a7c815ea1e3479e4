"""What goes out again, and to whom: the destinations of a replayed event, and replays of many, a page at a time."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Any

from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.log import emit
from gateway.model import DestinationName, ReplayId
from gateway.pace import Bucket
from gateway.route import Router
from gateway.selector import Content
from gateway.store import EventFilter, EventRecord, Queueing, ReplayRecord, Store

PAGE = 25
"""Events of one step; their bodies are in memory meanwhile."""
MOST_UNDER_WAY = 500
"""Events of one replay that are queued and not over: the rest of it stays where it takes no turn and no room."""
STEP_SECONDS = 0.005
"""Between two steps, for everybody else who writes."""
FULL_SECONDS = 0.1
"""How soon to look again at a replay of which enough is under way."""
LOOK_SECONDS = 1.0
"""How soon to look for replays that begin or end without a word: another process can begin one."""
RETRY_SECONDS = 1.0
ANY = EventFilter()


class Choice:
    """To whom an event goes when it is replayed."""

    def __init__(self, router: Router, names: Iterable[DestinationName]) -> None:
        self._router = router
        self.names = tuple(names)
        """Every destination that there is."""

    def of(self, record: EventRecord, *, where: EventFilter = ANY) -> tuple[DestinationName, ...]:
        """Those that it is dead for; if there is none, every one that wants it now. Where `where` names one, of that one alone.

        Where a destination that it is dead for is gone, those that have it do not get it again for that.
        """
        if record.erased_at is not None:
            return ()
        dead = {
            one.destination
            for one in record.deliveries
            if one.state == "dead" and _is_meant(one.destination, where)
        }
        chosen = tuple(name for name in self.names if name in dead)
        if chosen:
            return chosen
        event = record.event
        wanted = self._router.destinations(event.source, event.type, Content(event.webhook))
        served = {delivery.destination for delivery in record.deliveries} if dead else set()
        return tuple(name for name in wanted if name not in served and _is_meant(name, where))


class Replayer:
    """Queues the events of running replays. All of their state is in the store, so that a restart goes on with them."""

    def __init__(
        self,
        *,
        store: Store,
        choice: Choice,
        wake: Callable[[Iterable[DestinationName]], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._choice = choice
        self._wake_lanes = wake
        self._clock = clock
        self._running: set[ReplayId] = set()
        self._buckets: dict[ReplayId, Bucket] = {}
        self._wake = asyncio.Event()

    def started(self, record: ReplayRecord) -> None:
        """It is in the store."""
        emit("replay.started", replay_id=record.id, matched=record.matched)
        self._running.add(record.id)
        self.wake()

    def wake(self) -> None:
        """A replay began or was cancelled."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            try:
                seconds = await self.step()
            except StoreUnavailable as error:
                emit("store.unavailable", level=logging.ERROR, error=str(error))
                seconds = RETRY_SECONDS
            except Exception as error:  # noqa: BLE001 - a fault here must not end replays for good
                emit("replay.failed", level=logging.ERROR, error=repr(error))
                seconds = RETRY_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()

    async def step(self) -> float:
        """Queues a page of every running replay. After how many seconds another step may find something to do."""
        running = await self._store.replays(state="running")
        await self._note_ended({record.id for record in running})
        return min([await self._queue(record) for record in running], default=LOOK_SECONDS)

    async def _note_ended(self, running: set[ReplayId]) -> None:
        for replay_id in sorted(self._running - running):
            record = await self._store.find_replay(replay_id)
            self._buckets.pop(replay_id, None)
            if record is not None:
                _emit_end(record)
        self._running = running

    async def _queue(self, record: ReplayRecord) -> float:
        if record.cursor >= record.last_seq:  # what is queued has still to be delivered
            return LOOK_SECONDS
        room = min(PAGE, MOST_UNDER_WAY - (record.queued - record.done - record.failed))
        if room <= 0:
            return FULL_SECONDS
        if (bucket := self._bucket(record)) is not None:
            now = self._clock.now_ms()
            room = min(room, bucket.level(now))
            if not room:
                return max(STEP_SECONDS, (bucket.next_at(now) - now) / 1000)
        page = await self._store.replay_page(record, limit=room)
        queueing = self._queueing(record, page, last=len(page) < room)
        now = self._clock.now_ms()
        if await self._store.queue_replay(record, queueing, now=now):
            if bucket is not None:
                bucket.take(len(queueing.events), now=now)
            self._wake_lanes({name for _, names in queueing.events for name in names})
        return STEP_SECONDS

    def _bucket(self, record: ReplayRecord) -> Bucket | None:
        if not record.rate_per_second:
            return None
        return self._buckets.setdefault(record.id, Bucket(record.rate_per_second))

    def _queueing(self, record: ReplayRecord, page: list[EventRecord], *, last: bool) -> Queueing:
        cursor = record.last_seq if last else page[-1].seq
        return Queueing(
            events=[(one.event.id, self._choice.of(one, where=record.where)) for one in page],
            cursor=cursor,
            last=cursor >= record.last_seq,
        )


def _is_meant(name: str, where: EventFilter) -> bool:
    return where.destination is None or name == where.destination


def _emit_end(record: ReplayRecord) -> None:
    counts = {"matched": record.matched, "done": record.done, "failed": record.failed}
    fields: dict[str, Any] = {"replay_id": record.id, **counts}
    if record.state == "done":
        emit("replay.done", **fields)
    elif record.state == "cancelled":
        emit("replay.cancelled", **fields)
