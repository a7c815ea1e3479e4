"""A gateway's dispatcher, its store, its destinations and its time, all in one hand."""

import asyncio
import contextlib
import itertools
import logging
import random
import shutil
import tempfile
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from gateway.config import Destination, Retention
from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.lane import LOOK_SECONDS, Lane
from gateway.log import LOGGER
from gateway.metrics import Metrics
from gateway.model import DestinationName, EventId, ReplayId
from gateway.replay import Choice, Replayer
from gateway.retry import RetryPolicy
from gateway.route import Router
from gateway.store import EventFilter, ReplayRecord, ReplayState, StandingChange
from gateway.store.sqlite import SqliteStore
from tests.support.clock import ManualClock
from tests.support.simulation.attempts import Attempts
from tests.support.simulation.calls import Calls
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.loop import Aside, VirtualLoop
from tests.support.simulation.pruning import went
from tests.support.simulation.reality import Reality
from tests.support.simulation.remote import SUCCESS, Remote
from tests.support.simulation.store import WatchedStore
from tests.support.store import event

YIELDING, STRICT = DestinationName("yielding"), DestinationName("strict")
DESTINATIONS = (
    Destination(name=YIELDING, url="http://y.invalid", order_wait_seconds=5, max_in_flight=2),
    Destination(
        name=STRICT,
        url="http://s.invalid",
        rate_per_second=20,
        dead_on=frozenset((409,)),
        max_in_flight=4,
        retry=RetryPolicy(horizon_hours=2),
    ),
)
MOST_ROUNDS = 300
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder in memory, where there is one: nothing here is about the disk
METRICS = Metrics(version="simulation")


class _Faults(logging.Handler):
    """What the dispatcher would only have logged: a fault in its own code."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() in ("delivery.failed", "dispatch.failed"):
            self._ledger.check(False, f"{record.getMessage()}: {getattr(record, 'fields', None)}")


class World:
    def __init__(self, *, seed: int, delay: int) -> None:
        """Answers of the store come `delay` turns of the event loop late."""
        self.clock = ManualClock()
        self.loop = VirtualLoop(self.clock)
        self.ledger = Ledger(self.clock, DESTINATIONS)
        self._attempts = Attempts(self.ledger)
        self._calls = Calls(self.ledger)
        self._aside = Aside()
        self._rng = random.Random(seed)
        self._delay = delay
        self._folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self._numbers = itertools.count(1)
        self._steps: dict[DestinationName, asyncio.Task[int | None]] = {}
        self._jobs: set[asyncio.Task[Any]] = set()
        self._keeping: asyncio.Task[Any] | None = None
        self._replaying: asyncio.Task[Any] | None = None
        self._looked: set[DestinationName] = set()
        self.next_at: dict[DestinationName, int | None] = {}
        self._handler = _Faults(self.ledger)
        self._was = LOGGER.level, LOGGER.propagate
        LOGGER.setLevel(logging.ERROR)
        LOGGER.propagate = False
        LOGGER.addHandler(self._handler)
        self.remotes = {one.name: Remote(clock=self.clock, attempts=self._attempts) for one in DESTINATIONS}
        self._start()
        self._reality = Reality(self._folder / "gateway.db")

    # -- what others do ----------------------------------------------------------------------------------------

    def accept(self, of: Sequence[tuple[str | None, Iterable[DestinationName]]]) -> None:
        """Events that the store takes in as one group, by their keys and destinations."""
        self.store.expect(len(of))
        for key, to in of:
            self._accept(ordering_key=key, destinations=tuple(to))

    def accept_unheard(self, key: str | None, to: Iterable[DestinationName]) -> None:
        """The caller gives up before it is answered."""
        self._accept(heard=False, ordering_key=key, destinations=tuple(to))

    def accept_again(self, event_id: EventId, *, body: bytes | None = None) -> None:
        """With its dedupe key, and its body or another."""
        known = self.ledger.events[event_id]
        self._accept(
            body=known.webhook.body if body is None else body,
            dedupe_key=known.dedupe_key,
            ordering_key=known.ordering_key,
            destinations=known.destinations,
        )

    def do(self, name: str, *arguments: Any) -> None:
        """A call of the store, with the time of the moment that it is made, for the destinations that it returns."""

        async def done() -> None:
            self.dispatcher.wake(await getattr(self.store, name)(*arguments, now=self.clock.now_ms()))

        self._begin(done())

    def stand(self, destination: DestinationName, change: StandingChange) -> None:
        """Somebody asks for it until it is done; the lane is told as the admin API tells it, of a hold never."""

        async def done() -> None:
            while True:
                with contextlib.suppress(StoreUnavailable):
                    await self.store.set_standing(destination, change, now=self.clock.now_ms())
                    break
            if change != "hold":
                self.dispatcher.look(destination)

        self._begin(done())

    def release(self, destination: DestinationName, index: int, answer: Any) -> bool:
        return self.remotes[destination].release(index, answer)

    # -- what the gateway does by itself -----------------------------------------------------------------------

    def step(self, destination: DestinationName) -> None:
        """Begins a step of its lane, unless one is under way."""
        if destination in self._steps:
            return
        self.ledger.looks(destination)
        task = self.loop.create_task(self.lanes[destination].step())
        self._steps[destination] = task
        task.add_done_callback(lambda done: self._stepped(destination, done))

    def keep(self) -> None:
        if self._keeping is None or self._keeping.done():
            self._keeping = self._begin(self.dispatcher.keep())

    def prune(self, retention: Retention) -> None:
        self.settle()
        now = self.clock.now_ms()
        self._begin(self.store.prune(retention, now=now, limit=1000))
        self.settle()
        went(
            self.ledger,
            deliveries=self._reality.deliveries(),
            events=self._reality.events(),
            keys=self._reality.keys(),
            retention=retention,
            now=now,
        )

    def begin_replay(self, where: EventFilter, *, rate_per_second: float) -> None:
        self._begin(self._begin_replay(where, rate_per_second=rate_per_second))

    def queue_replays(self) -> None:
        """One step of those that run."""
        if self._replaying is None or self._replaying.done():
            self._replaying = self._begin(self.replayer.step())

    def cancel_replay(self) -> None:
        """The oldest that runs."""
        for one in self.replays("running")[:1]:
            self._begin(self.store.cancel_replay(one.id))

    # -- time and processes ------------------------------------------------------------------------------------

    def settle(self) -> None:
        self.loop.settle()
        for name in self._looked:
            self._attempts.stepped_lane(name)
        self._looked.clear()

    def turn(self, rounds: int) -> None:
        self.loop.turn(rounds)

    def advance(self, ms: int) -> None:
        self.clock.advance(ms / 1000)
        self.ledger.passed(ms)

    def crash(self) -> None:
        self._end()
        self._start()

    def stop(self, grace_seconds: float) -> None:
        """As `serve` does when it is told to end."""
        stopping = self.loop.create_task(self.dispatcher.stop(grace_seconds=grace_seconds))
        self.settle()
        while not stopping.done():
            self.advance(round(grace_seconds * 1000) + 1)
            self.settle()
        stopping.result()
        self.crash()

    def compare(self) -> list[str]:
        return self.ledger.faults or self._reality.compare(self.ledger)

    def finish(self) -> None:
        """Everything is well again: whatever waits must be delivered. Steps as the lanes' own loops would."""
        self.store.troubles.clear()
        for remote in self.remotes.values():
            remote.mood = lambda _claim: SUCCESS
            while remote.release(0, SUCCESS):
                pass
        self.settle()
        for name in self.lanes:
            self.stand(name, "resume")
        for _ in range(MOST_ROUNDS):
            self.keep()
            self.settle()
            for name in self.lanes:
                self.step(name)
            self.queue_replays()
            self.settle()
            if self.compare():
                return
            if not self.ledger.pending() and not self.replays("running"):
                self._check_replays()
                return
            self.advance(self._sleep_ms())
        left = self.ledger.pending()
        self.ledger.check(
            False, f"after {MOST_ROUNDS} rounds {len(left)} wait, {left[:1]}; next {self.next_at}"
        )

    def close(self) -> None:
        self._reality.close()
        self._end()
        self.loop.close()
        self._aside.close()
        shutil.rmtree(self._folder)
        LOGGER.removeHandler(self._handler)
        level, LOGGER.propagate = self._was
        LOGGER.setLevel(level)

    # ----------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.clock.follow()
        now = self.clock.now_ms()
        self._file = SqliteStore(
            self._folder / "gateway.db",
            destinations=[YIELDING, STRICT],
            now=now,
            on_commit=lambda _seconds, _tasks: None,
        )
        self.ledger.restarted()
        self.store = WatchedStore(self._file, calls=self._calls, aside=self._aside, delay=self._delay)
        self.lanes = {
            one.name: Lane(
                one,
                store=self.store,  # type: ignore[arg-type]
                forwarder=self.remotes[one.name],
                clock=self.clock,
                metrics=METRICS,
                rng=self._rng,
            )
            for one in DESTINATIONS
        }
        self.dispatcher = Dispatcher(self.lanes, store=self.store, clock=self.clock)  # type: ignore[arg-type]
        self.replayer = Replayer(
            store=self.store,  # type: ignore[arg-type]
            choice=Choice(Router(DESTINATIONS), [one.name for one in DESTINATIONS]),
            wake=self.dispatcher.wake,
            clock=self.clock,
        )

    def _end(self) -> None:
        self.store.die()
        self._looked.clear()  # its lanes owe nothing any more
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.settle()
        self._steps.clear()
        self._aside.do(self._file.close())

    def _accept(self, *, heard: bool = True, **values: Any) -> None:
        number = next(self._numbers)

        async def accepted() -> None:
            fresh = event(number, received_at=self.clock.now_ms(), **values)
            if not heard:
                self.store.unheard.add(fresh.id)
            await self.dispatcher.accept(fresh, same_id_is_duplicate=False)

        self._begin(accepted())

    def replays(self, state: ReplayState) -> list[ReplayRecord]:
        return list(self._aside.do(self._file.replays(state=state)))

    def _check_replays(self) -> None:
        for one in self.replays("done"):
            self.ledger.check(one.done + one.failed == one.matched == one.queued, f"{one} is done")

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, StoreUnavailable):
            self.ledger.check(False, repr(error))

    def _stepped(self, destination: DestinationName, task: asyncio.Task[int | None]) -> None:
        self._steps.pop(destination, None)
        if task.cancelled():
            return
        error = task.exception()
        self.next_at[destination] = None if error else task.result()
        if error and not isinstance(error, StoreUnavailable):
            self.ledger.check(False, repr(error))
        self._looked.discard(destination) if error else self._looked.add(destination)

    def _sleep_ms(self) -> int:
        """As long as the first of the lanes would sleep, but no shorter than makes progress."""
        due = [at for at in self.next_at.values() if at is not None]
        if not due:
            return round(LOOK_SECONDS * 1000)
        return max(50, min(due) - self.clock.now_ms())

    async def _begin_replay(self, where: EventFilter, *, rate_per_second: float) -> None:
        matched = await self.store.count(where)
        await self.store.begin_replay(
            ReplayRecord(
                id=ReplayId(f"rpl_{next(self._numbers)}"),
                created_at=self.clock.now_ms(),
                where=where,
                rate_per_second=rate_per_second,
                last_seq=matched.newest_seq,
                matched=matched.count,
                state="running" if matched.count else "done",
            )
        )
