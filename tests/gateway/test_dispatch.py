"""The dispatcher over a real store, stepped by a clock that a test moves, with a destination that does as it is told."""

import asyncio
import random
from collections import defaultdict

import pytest

from gateway.config import Destination
from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.lane import LOOK_SECONDS, Lane
from gateway.metrics import Metrics
from gateway.retry import RetryPolicy
from gateway.store import Standing
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
        self.down = None

    async def forward(self, claim):
        number = int(claim.event.id[4:], 16)
        self.seen.append((number, claim.attempt))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        if self.down is not None:
            return self.down
        told = self.script[number].pop(0) if self.script[number] else "success"
        return outcome(told) if isinstance(told, str) else told


class Rig:
    def __init__(self, store, scripted, **settings):
        self.clock = ManualClock(NOW)
        self.store = store
        self.scripted = scripted
        self.metrics = Metrics(version="test")
        self.settings = settings
        self.start()

    def start(self):
        """A lane that remembers nothing, as after a restart."""
        self.lane = Lane(
            Destination(name=A, url="http://destination.invalid", **self.settings),
            store=self.store,
            forwarder=self.scripted,
            clock=self.clock,
            metrics=self.metrics,
            rng=random.Random(1),
        )
        self.dispatcher = Dispatcher({A: self.lane}, store=self.store, clock=self.clock)

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

    async def delivery(self, number):
        (delivery,) = (await self.store.event(event(number).id)).deliveries
        return delivery

    async def standing(self):
        return (await self.store.stats()).standings.get(A, Standing())

    def outlook(self):
        shown = self.dispatcher.outlook(A)
        return shown.next_probe_at, shown.last_error, shown.last_error_at

    async def set_clock(self, by_seconds):
        self.clock.set_wall(by_seconds)
        await self.dispatcher.keep()

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


DOWN = outcome("server_error", status=502, error="made-up")
DAY = 86_400


async def hold(rig, *numbers):
    """An outage that is noticed."""
    rig.scripted.down = DOWN
    await rig.accept(*(event(number, ordering_key=f"key-{number}") for number in numbers or range(1, 6)))
    await rig.settle()
    assert (await rig.standing()).held_at is not None


async def test_an_outage_uses_up_no_attempt_of_what_waits_and_is_over_with_the_first_success(store, caplog):
    caplog.set_level("INFO", "gateway")
    rig = Rig(store, Scripted(), max_in_flight=4)
    await hold(rig)
    await rig.accept(*(event(number) for number in range(6, 40)))
    before = len(rig.scripted.seen)
    for _ in range(3600):
        await rig.later(1)
    probes = len(rig.scripted.seen) - before
    assert 110 <= probes <= 130, "one in 30 s"
    rig.scripted.down = None
    await rig.later(30)
    assert {await rig.state(number) for number in range(1, 40)} == {"delivered"}
    assert (await rig.standing()).held_at is None
    told = [(one.message, one.fields) for one in caplog.records if one.message.startswith("destination.")]
    assert told == [
        ("destination.held", {"destination": A, "error": "made-up"}),
        ("destination.released", {"destination": A}),
    ]


async def test_while_it_is_held_the_dispatcher_knows_why_and_when_it_is_tried_next(store):
    rig = Rig(store, Scripted())
    assert rig.outlook() == (NOW, None, None)
    await hold(rig)
    assert rig.outlook() == (NOW + 1000, "made-up", NOW)
    rig.scripted.down = outcome("timeout", status=None, error="no answer")
    await rig.later(1)
    assert rig.outlook() == (NOW + 3000, "no answer", NOW + 1000)
    rig.scripted.down = None
    rig.clock.advance(2)
    rig.scripted.gate.clear()
    await rig.lane.step()
    assert rig.outlook() == (None, "no answer", NOW + 1000), "it is being tried"
    rig.scripted.gate.set()
    await rig.lane.drain()
    assert rig.outlook() == (NOW + 3000, None, None)


async def test_after_a_restart_it_is_tried_at_once_and_the_error_is_known_when_that_has_failed(store):
    rig = Rig(store, Scripted())
    await hold(rig)
    rig.clock.advance(0.1)
    rig.start()
    assert rig.outlook() == (NOW + 100, None, None)
    await rig.settle()
    assert rig.outlook() == (NOW + 2100, "made-up", NOW + 100)


async def test_after_an_outage_the_backlog_starts_with_one_attempt_at_once(store):
    rig = Rig(store, Scripted(), max_in_flight=8)
    await hold(rig)
    await rig.accept(*(event(number) for number in range(6, 40)))
    rig.scripted.down = None
    rig.clock.advance(1)
    widths = []
    for _ in range(5):
        rig.scripted.gate.clear()
        await rig.lane.step()
        await asyncio.sleep(0)
        widths.append(rig.scripted.under_way)
        rig.scripted.gate.set()
        await rig.lane.drain()
    assert widths == [1, 1, 2, 4, 8]


async def test_each_probe_is_of_the_next_key_so_that_a_poison_event_holds_nothing_for_ever(store):
    rig = Rig(store, Scripted())
    await hold(rig)
    rig.scripted.down = None
    rig.scripted.script = defaultdict(list, {1: [DOWN] * 1000})
    await rig.later(1)
    await rig.later(2)
    assert (await rig.standing()).held_at is None
    assert {await rig.state(number) for number in range(2, 6)} == {"delivered"}


async def test_an_outage_longer_than_the_horizon_kills_nothing(store):
    rig = Rig(store, Scripted(), retry=RetryPolicy(horizon_hours=1))
    await hold(rig)
    for _ in range(24 * 60):
        await rig.later(60)
    assert {await rig.state(number) for number in range(1, 6)} == {"pending"}
    rig.scripted.down = None
    await rig.later(30)
    assert {await rig.state(number) for number in range(1, 6)} == {"delivered"}


async def test_a_hold_goes_on_after_a_restart_and_is_probed_at_once(store):
    rig = Rig(store, Scripted())
    await hold(rig)
    rig.start()
    before = len(rig.scripted.seen)
    await rig.settle()
    assert len(rig.scripted.seen) == before + 1


async def test_an_outage_keeps_the_order_of_a_key_though_it_may_wait_a_few_seconds_only(store):
    rig = Rig(store, Scripted(), order_wait_seconds=5)
    await rig.accept(*(event(number, ordering_key="x") for number in (6, 7, 8)))
    await hold(rig)
    for _ in range(600):
        await rig.later(1)
    rig.scripted.seen.clear()
    rig.scripted.down = None
    for _ in range(60):
        await rig.later(1)
    assert [number for number, _ in rig.scripted.seen if number in (6, 7, 8)] == [6, 7, 8]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_delays_every_delivery_of_the_destination_also_after_a_restart(store, status):
    rig = Rig(store, Scripted({1: [outcome("server_error", status=status, retry_after="20")]}))
    await rig.accept(event(1))
    await rig.settle()
    await rig.accept(event(2))
    rig.start()
    await rig.later(19)
    assert rig.scripted.seen == [(1, 1)]
    await rig.later(1)
    assert (2, 1) in rig.scripted.seen


async def test_retry_after_on_another_status_delays_its_delivery_only(store):
    rig = Rig(store, Scripted({1: [outcome("client_error", status=404, retry_after="20")]}))
    await rig.accept(event(1), event(2))
    await rig.settle()
    await rig.later(19)
    assert sorted(rig.scripted.seen) == [(1, 1), (2, 1)]
    await rig.later(1)
    assert (1, 2) in rig.scripted.seen


async def test_a_paused_destination_gets_nothing_and_its_horizon_stands_still(store):
    rig = Rig(store, Scripted({1: ["client_error"] * 2}), retry=RetryPolicy(horizon_hours=1))
    await rig.accept(event(1))
    await rig.settle()
    await store.set_standing(A, "pause", now=rig.clock.now_ms())
    await rig.later(100 * 3600)
    assert rig.scripted.seen == [(1, 1)]
    await store.set_standing(A, "resume", now=rig.clock.now_ms())
    await rig.settle()
    assert await rig.state(1) == "pending"
    await rig.later(3)
    assert await rig.state(1) == "delivered"


async def test_a_resume_by_hand_ends_a_hold_at_once_and_not_at_the_next_probe(store):
    rig = Rig(store, Scripted())
    await hold(rig)
    for _ in range(60):
        await rig.later(1)
    rig.scripted.down = None
    rig.scripted.seen.clear()
    await store.set_standing(A, "resume", now=rig.clock.now_ms())
    rig.dispatcher.look(A)
    await rig.settle()
    assert {await rig.state(number) for number in range(1, 6)} == {"delivered"}


async def test_no_more_attempts_begin_in_a_second_than_the_rate_says(store):
    rig = Rig(store, Scripted(), rate_per_second=10, max_in_flight=100)
    await rig.accept(*(event(number) for number in range(50)))
    await rig.settle()
    counts = []
    for _ in range(4):
        before = len(rig.scripted.seen)
        for _ in range(20):
            await rig.later(0.05)
        counts.append(len(rig.scripted.seen) - before)
    assert counts == [10, 10, 10, 10]


async def test_the_late_result_of_a_lost_lease_changes_nothing(store):
    rig = Rig(store, Scripted({1: ["client_error"]}))
    await rig.accept(event(1))
    rig.scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    rig.clock.advance(60)
    await rig.dispatcher.keep()
    second = Scripted()
    rig.scripted, first = second, rig.scripted
    old, _ = rig.lane, rig.start()
    await rig.settle()
    assert second.seen == [(1, 2)]
    first.gate.set()
    await old.drain()
    delivery = await rig.delivery(1)
    assert (delivery.state, delivery.last_status) == ("delivered", 200)
    assert [one.outcome for one in delivery.history] == ["interrupted", "success"]


@pytest.mark.parametrize("by_days", [1, -1, 30])
async def test_a_clock_that_is_set_moves_no_retry_and_kills_nothing(store, by_days):
    rig = Rig(store, Scripted({1: ["client_error"] * 4}), retry=RetryPolicy(horizon_hours=2))
    await rig.accept(event(1))
    await rig.settle()
    await rig.set_clock(by_days * DAY)
    await rig.later(0.3)
    assert rig.scripted.seen == [(1, 1)]
    await rig.later(0.3)
    assert rig.scripted.seen == [(1, 1), (1, 2)]
    assert await rig.state(1) == "pending"


@pytest.mark.parametrize("by_days", [1, -1, 30])
async def test_a_clock_that_is_set_during_an_attempt_repeats_nothing_and_kills_nothing(store, by_days):
    rig = Rig(store, Scripted({1: ["client_error"]}), retry=RetryPolicy(horizon_hours=2))
    await rig.accept(event(1))
    rig.scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    await rig.set_clock(by_days * DAY)
    await rig.lane.step()
    assert rig.scripted.seen == [(1, 1)]
    rig.scripted.gate.set()
    await rig.lane.drain()
    assert await rig.state(1) == "pending"
    await rig.later(0.7)
    assert await rig.state(1) == "delivered"


async def test_a_clock_that_is_set_while_a_result_waits_for_the_store_delays_no_retry(store):
    class Stepping(Failing):
        async def record(self, *arguments, **named):
            if self.failures:
                self.failures -= 1
                await rig.set_clock(DAY)
                raise StoreUnavailable("the disk is full")
            return await store.record(*arguments, **named)

    rig = Rig(Stepping(store, 1), Scripted({1: ["client_error"]}))
    await rig.accept(event(1))
    await rig.settle()
    assert rig.scripted.seen == [(1, 1)]
    assert (await rig.delivery(1)).next_attempt_at - rig.clock.now_ms() < 700
    await rig.later(0.7)
    assert await rig.state(1) == "delivered"


async def test_failed_probes_go_to_the_end_also_behind_what_waits_for_its_retry(store):
    rig = Rig(store, Scripted({1: ["client_error"] * 4}))
    await rig.accept(event(1))
    for _ in range(4):
        await rig.later(7)
    assert (await rig.delivery(1)).next_attempt_at > rig.clock.now_ms() + 10_000, "far from due"
    await hold(rig, 2, 3, 4, 5, 6)
    rig.scripted.seen.clear()
    for _ in range(100):
        await rig.later(1)
    probed = [number for number, _ in rig.scripted.seen]
    assert set(probed[:6]) == {1, 2, 3, 4, 5, 6}


async def test_replays_starve_no_first_attempt_where_the_rate_is_the_bound(store):
    rig = Rig(store, Scripted(), rate_per_second=10, max_in_flight=8)
    await rig.accept(*(event(number) for number in range(30)))
    for _ in range(40):
        await rig.later(0.1)
    for number in range(30):
        await store.replay(event(number).id, [A], now=rig.clock.now_ms())
    await rig.accept(*(event(number) for number in range(30, 40)))
    rig.scripted.seen.clear()
    for _ in range(22):
        await rig.later(0.1)
    assert {await rig.state(number) for number in range(30, 40)} == {"delivered"}


async def test_a_resume_ends_a_quiet_time_for_what_was_answered_with_it_too(store):
    told = outcome("server_error", status=503, retry_after="86400")
    rig = Rig(store, Scripted({1: [told]}))
    await rig.accept(event(1, ordering_key="x"), event(2, ordering_key="x"))
    await rig.settle()
    await rig.later(60)
    assert rig.scripted.seen == [(1, 1)]
    await store.set_standing(A, "resume", now=rig.clock.now_ms())
    await rig.settle()
    assert rig.scripted.seen == [(1, 1), (1, 2), (2, 1)]


async def test_replays_leave_first_attempts_half_of_the_places(store):
    scripted = Scripted()
    rig = Rig(store, scripted, max_in_flight=4)
    await rig.accept(*(event(number) for number in range(10)))
    await rig.settle()
    for number in range(10):
        await store.replay(event(number).id, [A], now=rig.clock.now_ms())
    await rig.accept(*(event(number) for number in range(10, 20)))
    scripted.seen.clear()
    scripted.gate.clear()
    await rig.lane.step()
    await asyncio.sleep(0)
    assert sorted(number < 10 for number, _ in scripted.seen) == [False, False, True, True]
    scripted.gate.set()
    await rig.lane.drain()


# What is accepted while nothing else is due


class Counting:
    """A store that counts the claims it is asked for."""

    def __init__(self, store):
        self._store = store
        self.claims = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def claim(self, *arguments, **named):
        self.claims += 1
        return await self._store.claim(*arguments, **named)


async def caught_up(store, scripted, **settings):
    rig = Rig(Counting(store), scripted, **settings)
    await rig.settle()
    rig.store.claims = 0
    return rig


async def test_its_attempt_begins_without_a_claim(store):
    rig = await caught_up(store, Scripted())
    for number in range(5):
        await rig.dispatcher.accept(event(number), same_id_is_duplicate=False)
    await rig.lane.drain()
    assert rig.scripted.seen == [(number, 1) for number in range(5)]
    assert [await rig.state(number) for number in range(5)] == ["delivered"] * 5
    assert rig.store.claims == 0


async def test_no_more_attempts_begin_than_there_are_places_and_the_rest_is_claimed(store):
    scripted = Scripted()
    scripted.gate.clear()
    rig = await caught_up(store, scripted, max_in_flight=3)
    accepting = (rig.dispatcher.accept(event(number), same_id_is_duplicate=False) for number in range(8))
    await asyncio.gather(*accepting)
    await asyncio.sleep(0)
    assert scripted.under_way == 3
    scripted.gate.set()
    await rig.settle()
    assert scripted.most_under_way == 3
    assert sorted(scripted.seen) == [(number, 1) for number in range(8)]


async def test_it_takes_its_place_behind_what_is_due_already(store):
    scripted = Scripted()
    rig = Rig(store, scripted, max_in_flight=1)
    await rig.accept(*(event(number) for number in range(3)))
    await rig.dispatcher.accept(event(3), same_id_is_duplicate=False)
    await rig.settle()
    assert [number for number, _ in scripted.seen] == [0, 1, 2, 3]


async def test_where_the_store_cannot_take_it_the_place_is_free_again(store):
    rig = await caught_up(store, Scripted(), max_in_flight=1)
    claim_all, rig.store._store = rig.store._store, Unavailable()  # noqa: SLF001 - a disk that is full
    with pytest.raises(StoreUnavailable):
        await rig.dispatcher.accept(event(1), same_id_is_duplicate=False)
    rig.store._store = claim_all  # noqa: SLF001
    await rig.dispatcher.accept(event(2), same_id_is_duplicate=False)
    await rig.lane.drain()
    assert rig.scripted.seen == [(2, 1)]
    assert rig.store.claims == 0


class Unavailable:
    async def accept(self, *_, **__):
        raise StoreUnavailable("it is full")


async def test_a_destination_with_a_rate_is_asked_for_by_claims_alone(store):
    rig = await caught_up(store, Scripted(), rate_per_second=10)
    await rig.dispatcher.accept(event(1), same_id_is_duplicate=False)
    await rig.lane.drain()
    assert rig.scripted.seen == []
    await rig.settle()
    assert rig.scripted.seen == [(1, 1)]


async def test_while_it_is_paused_nothing_begins_and_afterwards_all(store):
    rig = await caught_up(store, Scripted())
    await store.set_standing(A, "pause", now=NOW)
    await rig.dispatcher.accept(event(1), same_id_is_duplicate=False)
    await rig.settle()
    assert rig.scripted.seen == []
    await store.set_standing(A, "resume", now=NOW)
    await rig.settle()
    assert rig.scripted.seen == [(1, 1)]


@pytest.mark.parametrize("poisoned", [5, 100])
async def test_events_that_always_fail_keep_a_destination_from_no_other_for_long(store, poisoned):
    """All of the poisoned wait; every few seconds comes one that the destination would take."""
    scripted = Scripted()
    rig = Rig(store, scripted, max_in_flight=8)
    bad = [event(number, ordering_key=f"bad-{number}") for number in range(poisoned)]
    for one in bad:
        scripted.script[int(one.id[4:], 16)] = ["server_error"] * 10_000
    await rig.accept(*bad)
    await rig.settle()
    waits = []
    for number in range(1000, 1060):
        await rig.accept(event(number, received_at=rig.clock.now_ms(), ordering_key=f"good-{number}"))
        await rig.settle()
        waits.append(0)
        while await rig.state(number) != "delivered":
            await rig.later(1)
            waits[-1] += 1
            assert waits[-1] <= 62
    assert sorted(waits)[len(waits) // 2] <= 31


async def test_what_waits_for_an_attempt_of_its_key_goes_when_that_is_over(store):
    scripted = Scripted({1: ["client_error"]})
    rig = Rig(store, scripted, order_wait_seconds=0.2)
    await rig.accept(event(1, ordering_key="x"))
    await rig.settle()
    await rig.later(0.3)
    rig.clock.advance(5)
    scripted.gate.clear()
    running = asyncio.create_task(rig.lane.run())
    await until(lambda: scripted.under_way == 1)
    await rig.dispatcher.accept(
        event(2, ordering_key="x", received_at=rig.clock.now_ms()), same_id_is_duplicate=False
    )
    await asyncio.sleep(0.05)
    scripted.gate.set()
    async with asyncio.timeout(LOOK_SECONDS / 2):
        await until(lambda: (2, 1) in scripted.seen)
    running.cancel()


async def until(holds):
    while not holds():
        await asyncio.sleep(0.001)


async def test_after_a_stop_no_attempt_begins_of_what_was_accepted_meanwhile(store):
    rig = await caught_up(store, Scripted())
    accepting = asyncio.ensure_future(rig.dispatcher.accept(event(1), same_id_is_duplicate=False))
    await asyncio.sleep(0)
    await rig.dispatcher.stop(grace_seconds=0)
    assert (await accepting).status == "accepted"
    await rig.dispatcher.accept(event(2), same_id_is_duplicate=False)
    await asyncio.sleep(0.01)
    assert rig.scripted.seen == []
    rig.start()
    await store.end_leases(now=NOW + 60_000)
    await rig.settle()
    assert sorted(rig.scripted.seen) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("by_seconds", [-7200, 7200])
async def test_a_clock_that_is_set_while_a_hold_is_written_moves_no_quiet_time(store, by_seconds):
    rig = Rig(SlowToHold(store), Scripted(), max_in_flight=5)
    rig.store.rig = rig
    rig.store.by_seconds = by_seconds
    rig.scripted.down = outcome("server_error", status=503, retry_after="60")
    await rig.accept(*(event(number) for number in range(5)))
    await rig.lane.step()
    await rig.lane.drain()
    assert rig.store.held
    quiet_until = (await rig.standing()).quiet_until
    assert 0 < quiet_until - rig.clock.now_ms() <= 60_000


class SlowToHold:
    """A store; while it writes a hold, the clock is set."""

    def __init__(self, store):
        self._store = store
        self.held = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def set_standing(self, destination, change, *, now):
        if change == "hold":
            self.held = True
            await self.rig.set_clock(self.by_seconds)
        return await self._store.set_standing(destination, change, now=now)


async def test_what_cannot_be_signed_is_no_endless_probe_of_a_destination_that_is_down(store):
    rig = Rig(store, Scripted())
    rig.scripted.down = outcome("server_error", status=503)
    await rig.accept(*(event(number) for number in range(1, 6)))
    await rig.settle()
    assert (await rig.standing()).held_at is not None
    rig.scripted.down = outcome("unsigned")
    before = len(rig.scripted.seen)
    async with asyncio.timeout(10):
        for _ in range(60):
            await rig.later(1)
    assert 3 <= len(rig.scripted.seen) - before <= 8
    rig.scripted.down = None
    for _ in range(60):
        await rig.later(1)
    assert {await rig.state(number) for number in range(1, 6)} == {"delivered"}
    assert (await rig.standing()).held_at is None


async def test_what_cannot_be_signed_is_tried_on_schedule_holds_nothing_and_is_dead_at_the_horizon(store):
    rig = Rig(store, Scripted(), retry=RetryPolicy(horizon_hours=1))
    rig.scripted.down = outcome("unsigned")
    await rig.accept(*(event(number) for number in range(1, 8)))
    await rig.settle()
    for _ in range(59):
        await rig.later(60)
    assert {await rig.state(number) for number in range(1, 8)} == {"pending"}
    assert (await rig.standing()).held_at is None
    for _ in range(3):
        await rig.later(60)
    assert {await rig.state(number) for number in range(1, 8)} == {"dead"}
    assert rig.value("gateway_deliveries_dead_total", reason="horizon") == 7
    assert rig.value("gateway_delivery_attempts_total", outcome="unsigned") > 14
