"""The dispatcher over a real store, stepped by a clock that a test moves, with a destination that does as it is told."""

import asyncio
import random
from collections import defaultdict

import pytest

from gateway.config import Destination
from gateway.dispatch import Lane
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.retry import RetryPolicy
from tests.support.clock import ManualClock
from tests.support.store import NOW, A, event, open_store, outcome


class Scripted:
    """Answers an event's attempts with the kinds it was given, then with success; notes what it saw."""

    def __init__(self, script=None):
        self.script = defaultdict(list, script or {})
        self.seen = []
        self.under_way = 0
        self.most_under_way = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def forward(self, claim):
        number = int(claim.event.id[4:], 16)
        self.seen.append((number, claim.attempt))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        return outcome(self.script[number].pop(0) if self.script[number] else "success")


class Rig:
    def __init__(self, store, scripted, **settings):
        self.clock = ManualClock(NOW)
        self.store = store
        self.scripted = scripted
        self.metrics = Metrics(version="test")
        self.lane = Lane(
            Destination(name=A, url="http://destination.invalid", **settings),
            store=store,
            forwarder=scripted,
            clock=self.clock,
            metrics=self.metrics,
            rng=random.Random(1),
        )

    async def accept(self, *events):
        for one in events:
            await self.store.accept(one, same_id_is_duplicate=False)

    async def settle(self):
        """Steps until nothing is due at this moment."""
        await self.lane.drain()
        while True:
            before = len(self.scripted.seen)
            await self.lane.step()
            await self.lane.drain()
            if len(self.scripted.seen) == before:
                return

    async def later(self, seconds):
        self.clock.advance(seconds)
        await self.settle()

    async def state(self, number):
        (delivery,) = (await self.store.event(event(number).id)).deliveries
        return delivery.state

    def value(self, name, **labels):
        return self.metrics.registry.get_sample_value(name, {"destination": "a", **labels})


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gateway.db") as opened:
        yield opened


async def test_a_failing_delivery_is_tried_again_on_schedule_until_it_is_delivered(store):
    rig = Rig(store, Scripted({1: ["server_error", "timeout", "no_answer"]}))
    await rig.accept(event(1))
    await rig.settle()
    assert rig.scripted.seen == [(1, 1)]
    for seconds, attempts in ((0.3, 1), (0.4, 2), (1.5, 2), (1.0, 3), (3.9, 3), (2.2, 4)):
        await rig.later(seconds)
        assert len(rig.scripted.seen) == attempts, f"after {seconds} s more"
    assert await rig.state(1) == "delivered"
    assert rig.value("gateway_retries_total") == 3
    assert rig.value("gateway_delivery_attempts_total", outcome="timeout") == 1
    assert rig.value("gateway_delivery_latency_seconds_count") == 1


async def test_an_answer_that_no_retry_can_change_is_dead_at_once_and_releases_its_key(store):
    rig = Rig(store, Scripted({1: ["client_error"]}), dead_on=frozenset([404]))
    await rig.accept(event(1, ordering_key="x"), event(2, ordering_key="x"))
    await rig.settle()
    assert rig.scripted.seen == [(1, 1), (2, 1)]
    assert (await rig.state(1), await rig.state(2)) == ("dead", "delivered")
    assert rig.value("gateway_deliveries_dead_total", reason="dead_on") == 1


async def test_the_last_attempt_is_at_the_horizon_and_then_the_delivery_is_dead(store):
    rig = Rig(store, Scripted({1: ["server_error"] * 100}), retry=RetryPolicy(horizon_hours=1))
    await rig.accept(event(1))
    await rig.settle()
    for _ in range(60):
        await rig.later(60)
    assert await rig.state(1) == "dead"
    (delivery,) = (await store.event(event(1).id)).deliveries
    assert delivery.dead_reason == "horizon"
    assert len(delivery.history) == len(rig.scripted.seen) > 5


async def test_waiting_for_the_key_does_not_use_up_the_horizon(store):
    rig = Rig(
        store, Scripted({1: ["server_error"] * 100, 2: ["server_error"]}), retry=RetryPolicy(horizon_hours=1)
    )
    await rig.accept(event(1, ordering_key="x"), event(2, ordering_key="x"))
    await rig.settle()
    for _ in range(61):
        await rig.later(60)
    assert await rig.state(1) == "dead"
    await rig.later(60)
    assert await rig.state(2) == "delivered"


async def test_order_of_a_key_is_kept_through_failures(store):
    rig = Rig(store, Scripted({1: ["server_error"] * 3, 3: ["timeout"]}))
    await rig.accept(*(event(n, ordering_key="x") for n in range(1, 6)))
    await rig.settle()
    for _ in range(60):
        await rig.later(1)
    delivered = [number for number, _ in rig.scripted.seen]
    assert delivered == [1, 1, 1, 1, 2, 3, 3, 4, 5]


async def test_a_failing_delivery_holds_its_key_back_for_its_order_wait_only(store):
    rig = Rig(store, Scripted({1: ["server_error"] * 50}), order_wait_seconds=5)
    await rig.accept(event(1, ordering_key="x"), event(2, ordering_key="x"))
    await rig.settle()
    await rig.later(4.9)
    assert await rig.state(2) == "pending"
    await rig.later(0.2)
    assert await rig.state(2) == "delivered"
    assert await rig.state(1) == "pending"


async def test_a_stuck_key_holds_up_no_other(store):
    rig = Rig(store, Scripted({1: ["server_error"] * 50}))
    await rig.accept(
        event(1, ordering_key="x"), event(2, ordering_key="x"), event(3, ordering_key="y"), event(4)
    )
    await rig.settle()
    assert [await rig.state(n) for n in (1, 2, 3, 4)] == ["pending", "pending", "delivered", "delivered"]


async def test_no_more_than_max_in_flight_attempts_are_under_way_whatever_the_backlog(store):
    scripted = Scripted()
    rig = Rig(store, scripted, max_in_flight=3)
    await rig.accept(*(event(n) for n in range(20)))
    scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    assert scripted.under_way == 3
    scripted.gate.set()
    await rig.settle()
    assert scripted.most_under_way == 3
    assert len(scripted.seen) == 20


async def test_a_stop_gives_unfinished_attempts_back_and_the_next_start_takes_them_up(store):
    scripted = Scripted()
    rig = Rig(store, scripted)
    await rig.accept(event(1))
    scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    await rig.lane.stop(grace_seconds=0.01)
    (delivery,) = (await store.event(event(1).id)).deliveries
    assert [one.outcome for one in delivery.history] == ["interrupted"]
    again = Rig(store, Scripted())
    await again.settle()
    assert again.scripted.seen == [(1, 2)]


async def test_a_stop_lets_attempts_under_way_finish(store):
    scripted = Scripted()
    rig = Rig(store, scripted)
    await rig.accept(event(1))
    scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    stopping = asyncio.create_task(rig.lane.stop(grace_seconds=30))
    scripted.gate.set()
    await stopping
    assert await rig.state(1) == "delivered"


async def test_the_lane_runs_by_itself_when_woken(store):
    rig = Rig(store, Scripted())
    running = asyncio.create_task(rig.lane.run())
    await rig.accept(event(1))
    rig.lane.wake()
    async with asyncio.timeout(10):
        while not rig.scripted.seen:
            await asyncio.sleep(0.001)
    running.cancel()
    await rig.lane.stop(grace_seconds=10)
    assert await rig.state(1) == "delivered"


async def test_a_fault_of_the_gateway_itself_ends_no_deliveries_for_good(store, caplog):
    class Faulty(Failing):
        async def claim(self, *arguments, **named):
            if self.failures:
                self.failures -= 1
                raise RuntimeError("a fault")
            return await store.claim(*arguments, **named)

    rig = Rig(Faulty(store, 1), Scripted())
    await rig.accept(event(1))
    running = asyncio.create_task(rig.lane.run())
    async with asyncio.timeout(10):
        while not rig.scripted.seen:
            await asyncio.sleep(0.01)
    running.cancel()
    assert "dispatch.failed" in [record.message for record in caplog.records]


class Failing:
    """A store whose next `record` calls fail."""

    def __init__(self, store, failures):
        self._store = store
        self.failures = failures

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def record(self, *arguments, **named):
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        return await self._store.record(*arguments, **named)


async def test_a_result_that_the_store_cannot_take_is_kept_and_recorded_when_it_can(store, caplog):
    rig = Rig(Failing(store, 1), Scripted())
    await rig.accept(event(1))
    await rig.settle()
    assert await rig.state(1) == "delivered"
    assert rig.scripted.seen == [(1, 1)]
    assert any(record.message == "store.unavailable" for record in caplog.records)
