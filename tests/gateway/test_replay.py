"""To whom an event goes again, and replays of many: every matching event once, resumable, within bounds."""

import asyncio
import contextlib

import pytest

from gateway.config import Destination
from gateway.errors import StoreUnavailable
from gateway.model import Dead, Delivered, DestinationName, EventId, ReplayId, Webhook
from gateway.replay import FULL_SECONDS, LOOK_SECONDS, MOST_UNDER_WAY, PAGE, Choice, Replayer
from gateway.route import Router
from gateway.store import EventFilter, ReplayRecord, Room
from tests.support.clock import ManualClock
from tests.support.store import NOW, A, B, event, open_store, outcome

C = DestinationName("c")
"""Not configured any more."""


def choice(**of_b):
    """`a` wants everything; `b` what its settings say, by default nothing."""
    return Choice(
        Router(
            [
                Destination(name=A, url="http://a"),
                Destination(name=B, url="http://b", **(of_b or {"sources": ()})),
            ]
        ),
        (A, B),
    )


class Replaying:
    """A replayer that is stepped, and a destination that takes everything at once."""

    def __init__(self, store, **of_b):
        self.store = store
        self.clock = ManualClock(NOW)
        self.woken = []
        self.replayer = Replayer(store=store, choice=choice(**of_b), wake=self.woken.extend, clock=self.clock)

    async def begin(self, number=1, *, rate=0.0, **where):
        filters = EventFilter(**where)
        matched = await self.store.count(filters)
        record = ReplayRecord(
            id=ReplayId(f"rpl_{number}"),
            created_at=NOW,
            where=filters,
            rate_per_second=rate,
            last_seq=matched.newest_seq,
            matched=matched.count,
        )
        await self.store.begin_replay(record)
        self.replayer.started(record)
        return record.id

    async def step(self, times=1):
        for _ in range(times):
            seconds = await self.replayer.step()
        return seconds

    async def deliver(self, limit=1000, *, to=A, kind="success"):
        """The ids of what was due, in the order of delivery."""
        now = self.clock.now_ms()
        claimed = await self.store.claim(
            to, room=Room(limit, limit), probe=False, now=now, lease_until=now + 30_000
        )
        verdict = Delivered() if kind == "success" else Dead("dead_on")
        await asyncio.gather(
            *(
                self.store.record(claim, outcome(kind), verdict, now=now, yields_at=None)
                for claim in claimed.claims
            )
        )
        return [claim.event.id for claim in claimed.claims]

    async def find(self, replay_id):
        return await self.store.find_replay(replay_id)


@contextlib.asynccontextmanager
async def replaying(tmp_path, *, dead=0, **of_b):
    async with open_store(tmp_path / "gateway.db") as store:
        await kill_all(store, [event(number) for number in range(1, dead + 1)])
        yield Replaying(store, **of_b)


async def kill(store, one):
    await store.accept(one, same_id_is_duplicate=False)
    await store.discard(one.id, now=NOW)
    return one.id


async def kill_all(store, several):
    await asyncio.gather(*(store.accept(one, same_id_is_duplicate=False) for one in several))
    await asyncio.gather(*(store.discard(one.id, now=NOW) for one in several))


def ids(*numbers):
    return [EventId(f"evt_{number:032x}") for number in numbers]


async def chosen(store, event_id, where=None, **of_b):
    return choice(**of_b).of(await store.event(event_id), where=where or EventFilter())


async def test_an_event_goes_again_to_those_that_it_is_dead_for_and_to_no_other(tmp_path):
    async with replaying(tmp_path) as it:
        await it.store.accept(event(1, destinations=(A, B)), same_id_is_duplicate=False)
        await it.deliver(to=B)
        await it.store.discard(event(1).id, now=NOW)
        assert await chosen(it.store, event(1).id, sources=("producer",)) == (A,)


@pytest.mark.parametrize(("of_b", "expected"), [({}, (A,)), ({"event_types": ("thing.*",)}, (A, B)), ({"filter": "n == `1`"}, (A, B)), ({"filter": "n == `2`"}, (A,))])  # fmt: skip
async def test_one_that_is_dead_for_nobody_goes_to_every_destination_that_wants_it_now(
    tmp_path, of_b, expected
):
    async with replaying(tmp_path) as it:
        await it.store.accept(event(1, destinations=()), same_id_is_duplicate=False)
        assert await chosen(it.store, event(1).id, **of_b) == expected


async def test_a_destination_that_is_not_configured_any_more_is_never_chosen(tmp_path):
    async with replaying(tmp_path) as it:
        await kill(it.store, event(1, destinations=(C,)))
        assert await chosen(it.store, event(1).id) == (A,)
        assert await chosen(it.store, event(1).id, EventFilter(destination=C)) == ()


async def test_with_a_destination_in_the_filter_only_that_one_is_chosen(tmp_path):
    async with replaying(tmp_path) as it:
        await kill(it.store, event(1, destinations=(A, B)))
        assert await chosen(it.store, event(1).id, EventFilter(destination=B)) == (B,)
        await it.store.accept(event(2, destinations=()), same_id_is_duplicate=False)
        assert await chosen(it.store, event(2).id, EventFilter(destination=B)) == ()


@pytest.mark.parametrize("state", ["delivered", None])
async def test_what_was_delivered_to_a_destination_goes_to_it_again_though_it_is_dead_for_another(
    tmp_path, state
):
    async with replaying(tmp_path) as it:
        await it.store.accept(event(1, destinations=(A, B)), same_id_is_duplicate=False)
        await it.deliver()
        await it.store.discard(event(1).id, now=NOW)
        replay_id = await it.begin(state=state, destination=A)
        await it.step(2)
        assert await it.deliver() == ids(1)
        done = await it.find(replay_id)
        assert (done.matched, done.done, done.failed, done.state) == (1, 1, 0, "done")
        assert [one.state for one in (await it.store.event(event(1).id)).deliveries] == ["dead", "delivered"]


async def test_what_is_on_its_way_to_another_destination_counts_as_nothing_done_for_the_one_that_was_named(
    tmp_path,
):
    """B had it, and wants it no more."""
    async with replaying(tmp_path) as it:
        await it.store.accept(event(1, destinations=(A, B)), same_id_is_duplicate=False)
        await it.deliver(to=B)
        replay_id = await it.begin(state="delivered", destination=B)
        await it.step(2)
        replay = await it.find(replay_id)
        assert (replay.matched, replay.done, replay.failed, replay.state) == (1, 0, 1, "done")


async def test_an_erased_event_goes_to_nobody(tmp_path):
    async with replaying(tmp_path, dead=1) as it:
        await it.store.erase(event(1).id, now=NOW)
        assert await chosen(it.store, event(1).id) == ()


async def test_a_replay_queues_every_event_that_matches_once_and_oldest_first(tmp_path):
    async with replaying(tmp_path, dead=PAGE * 2 + 3) as it:
        replay_id = await it.begin(state="dead")
        await it.step(3)
        expected = ids(*range(1, PAGE * 2 + 4))
        assert await it.deliver() == expected
        record = await it.find(replay_id)
        assert (record.state, record.matched, record.queued, record.done, record.failed) == (
            "done", len(expected), len(expected), len(expected), 0,
        )  # fmt: skip
        assert (set(it.woken), await it.step()) == ({A}, LOOK_SECONDS)
        assert await it.deliver() == []


@pytest.mark.parametrize("dead", [1, PAGE - 1, PAGE, PAGE + 1, PAGE * 2])
async def test_a_replay_ends_however_its_events_fill_its_pages(tmp_path, dead):
    async with replaying(tmp_path, dead=dead) as it:
        replay_id = await it.begin(state="dead")
        await it.step(4)
        await it.deliver()
        record = await it.find(replay_id)
        assert (record.state, record.done) == ("done", dead)


async def test_events_accepted_after_a_replay_began_are_no_part_of_it(tmp_path):
    async with replaying(tmp_path, dead=2) as it:
        replay_id = await it.begin()
        await kill(it.store, event(3))
        await it.step(2)
        assert await it.deliver() == ids(1, 2)
        assert (await it.find(replay_id)).state == "done"


async def test_what_dies_again_is_erased_or_is_wanted_by_nobody_has_failed(tmp_path):
    async with replaying(tmp_path, dead=2) as it:
        await it.store.accept(event(3, destinations=()), same_id_is_duplicate=False)
        await it.store.erase(event(2).id, now=NOW)
        replay_id = await it.begin(destination=None, until=NOW + 1)
        it.replayer = Replayer(
            store=it.store, choice=Choice(Router([]), (A,)), wake=lambda _: None, clock=it.clock
        )
        await it.step(2)
        await it.deliver(kind="client_error")
        record = await it.find(replay_id)
        assert (record.state, record.queued, record.done, record.failed) == ("done", 3, 0, 3)


async def test_dead_at_one_destination_means_no_event_that_is_dead_at_another(tmp_path):
    async with replaying(tmp_path) as it:
        for number, over in ((1, A), (2, B)):
            await it.store.accept(event(number, destinations=(A, B)), same_id_is_duplicate=False)
            await it.deliver(to=over)
            await it.store.discard(event(number).id, now=NOW)
        replay_id = await it.begin(state="dead", destination=B)
        await it.step(2)
        assert (await it.deliver(to=A), await it.deliver(to=B)) == ([], ids(1))
        record = await it.find(replay_id)
        assert (record.state, record.matched, record.done) == ("done", 1, 1)


async def test_a_replay_whose_last_page_is_full_ends_with_what_it_queued(tmp_path):
    async with replaying(tmp_path) as it:
        await kill_all(it.store, [event(number, destinations=(A, B)) for number in range(PAGE)])
        await it.store.replay(event(3).id, [B], now=NOW)
        await it.deliver(to=B)
        replay_id = await it.begin(state="dead", destination=B)
        await it.step(3)
        await it.deliver(to=B)
        record = await it.find(replay_id)
        assert (record.state, record.matched, record.done) == ("done", PAGE - 1, PAGE - 1)


async def test_no_more_than_a_bounded_number_of_its_events_is_under_way(tmp_path):
    async with replaying(tmp_path, dead=MOST_UNDER_WAY + 40) as it:
        await it.begin(state="dead")
        steps = -(-MOST_UNDER_WAY // PAGE)
        assert await it.step(steps + 1) == FULL_SECONDS
        pending = EventFilter(state="pending")
        assert (await it.store.count(pending)).count == MOST_UNDER_WAY
        await it.deliver(30)
        await it.step(5)
        assert (await it.store.count(pending)).count == MOST_UNDER_WAY
        await it.deliver()
        await it.step(2)
        assert len(await it.deliver()) == 10


async def test_a_rate_is_kept(tmp_path):
    async with replaying(tmp_path, dead=60) as it:
        await it.begin(state="dead", rate=10.0)
        queued = []
        for _ in range(40):
            await it.step()
            queued += await it.deliver()
            it.clock.advance(0.1)
        assert 39 <= len(queued) <= 41
        assert queued == ids(*range(1, len(queued) + 1))


async def test_a_rate_of_less_than_one_waits_for_its_time(tmp_path):
    async with replaying(tmp_path, dead=3) as it:
        await it.begin(state="dead", rate=0.1)
        await it.step(3)
        assert len(await it.deliver()) == 1
        assert await it.step() == pytest.approx(10, abs=0.1)
        it.clock.advance(10)
        await it.step(2)
        assert len(await it.deliver()) == 1


async def test_a_restart_goes_on_where_it_was(tmp_path):
    async with replaying(tmp_path, dead=PAGE * 3) as it:
        replay_id = await it.begin(state="dead")
        await it.step()
        before = await it.deliver()
    async with open_store(tmp_path / "gateway.db") as store:
        it = Replaying(store)
        await it.step(3)
        after = await it.deliver()
        assert before + after == ids(*range(1, PAGE * 3 + 1))
        assert (await it.find(replay_id)).state == "done"


async def test_two_that_work_on_one_replay_at_once_queue_every_event_once(tmp_path):
    async with replaying(tmp_path, dead=PAGE * 4) as it:
        replay_id = await it.begin(state="dead")
        other = Replaying(it.store)
        for _ in range(6):
            await asyncio.gather(it.step(), other.step())
        assert await it.deliver() == ids(*range(1, PAGE * 4 + 1))
        assert (await it.find(replay_id)).queued == PAGE * 4


async def test_a_cancelled_replay_queues_no_more_and_what_is_queued_is_delivered(tmp_path, caplog):
    async with replaying(tmp_path, dead=PAGE * 2) as it:
        replay_id = await it.begin(state="dead")
        await it.step()
        await it.store.cancel_replay(replay_id)
        await it.step(3)
        assert len(await it.deliver()) == PAGE
        record = await it.find(replay_id)
        assert (record.state, record.done) == ("cancelled", PAGE)
    assert events(caplog) == ["replay.started", "replay.cancelled"]


async def test_a_page_that_was_read_before_a_cancellation_is_not_queued_after_it(tmp_path):
    async with replaying(tmp_path, dead=1) as it:
        replay_id = await it.begin(state="dead")
        before = Cancelling(it.store, replay_id)
        it.replayer = Replayer(store=before, choice=choice(), wake=lambda _: None, clock=it.clock)
        await it.step()
        assert await it.deliver() == []


async def test_a_replay_is_said_to_be_done_once_all_is_delivered_and_not_before(tmp_path, caplog):
    async with replaying(tmp_path, dead=2) as it:
        await it.begin(state="dead")
        await it.step(3)
        assert events(caplog) == ["replay.started"]
        await it.deliver()
        await it.step(2)
        assert events(caplog) == ["replay.started", "replay.done"]
        assert caplog.records[-1].fields == {"replay_id": "rpl_1", "matched": 2, "done": 2, "failed": 0}


async def test_every_running_replay_gets_a_page_a_turn(tmp_path):
    async with replaying(tmp_path, dead=PAGE * 2) as it:
        await kill_all(it.store, [event(1000 + number, type="other") for number in range(PAGE * 2)])
        first = await it.begin(1, type="thing.happened")
        second = await it.begin(2, type="other")
        await it.step()
        assert [(await it.find(one)).queued for one in (first, second)] == [PAGE, PAGE]


async def test_replayed_deliveries_of_one_key_keep_their_order_behind_what_waits(tmp_path):
    async with replaying(tmp_path) as it:
        for number in (1, 2, 3):
            await kill(it.store, event(number, ordering_key="k"))
        await it.store.accept(event(4, ordering_key="k"), same_id_is_duplicate=False)
        await it.begin(state="dead")
        await it.step(2)
        assert [*(await it.deliver()), *(await it.deliver()), *(await it.deliver()), *(await it.deliver())] == ids(4, 1, 2, 3)  # fmt: skip


async def test_what_needs_routing_is_routed_by_what_was_stored(tmp_path):
    async with replaying(tmp_path, filter="wanted") as it:
        for number, body in ((1, b'{"wanted": true}'), (2, b'{"wanted": false}'), (3, b"not JSON")):
            webhook = Webhook(headers=(), query=b"", body=body)
            await it.store.accept(event(number, destinations=(), webhook=webhook), same_id_is_duplicate=False)
        await it.begin(state="unrouted")
        await it.step(2)
        assert (await it.deliver(to=A), await it.deliver(to=B)) == (ids(1, 2, 3), ids(1))


async def test_a_store_that_is_unavailable_for_a_while_ends_no_replay(tmp_path):
    async with replaying(tmp_path, dead=3) as it:
        await it.begin(state="dead")
        flaky = Flaky(it.store)
        it.replayer = Replayer(store=flaky, choice=choice(), wake=it.woken.extend, clock=it.clock)
        running = asyncio.create_task(it.replayer.run())
        async with asyncio.timeout(10):
            while not it.woken:
                await asyncio.sleep(0.01)
        running.cancel()
        assert flaky.failures == 2
        assert await it.deliver() == ids(1, 2, 3)


async def test_one_that_begins_while_the_replayer_sleeps_does_not_wait_for_its_next_look(tmp_path):
    async with replaying(tmp_path, dead=1) as it:
        running = asyncio.create_task(it.replayer.run())
        await asyncio.sleep(0.05)  # it has looked, and sleeps for a second
        await it.begin(state="dead")
        async with asyncio.timeout(0.5):
            while not it.woken:
                await asyncio.sleep(0.01)
        running.cancel()


class Proxy:
    """The store, with a fault."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)


class Flaky(Proxy):
    failures = 0

    async def replays(self, **given):
        if self.failures == 0:
            self.failures = 1
            raise StoreUnavailable("for a while")
        return await self._store.replays(**given)

    async def queue_replay(self, *given, **more):
        if self.failures == 1:
            self.failures = 2
            raise StoreUnavailable("for another")
        return await self._store.queue_replay(*given, **more)


class Cancelling(Proxy):
    def __init__(self, store, replay_id):
        super().__init__(store)
        self._replay_id = replay_id

    async def replay_page(self, *given, **more):
        page = await self._store.replay_page(*given, **more)
        await self._store.cancel_replay(self._replay_id)
        return page


def events(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "gateway"]


@pytest.fixture(autouse=True)
def _every_line(caplog):
    caplog.set_level("INFO", logger="gateway")
