"""A destination that stands still loses no time: stops, quiet times and a clock that is set move what waits with them."""

import pytest

from gateway.model import Delivered, RetryAt
from gateway.store import Standing
from tests.support.store import LEASE, NOW, A, B, accept, claim, deliveries, event, finish, look, numbers

MINUTE = 60_000
DAY = 86_400_000


async def live_since(store, *, now):
    (one,) = await claim(store, now=now)
    return one.live_since


async def test_at_first_a_destination_gets_its_deliveries(store):
    assert (await look(store)).standing == Standing()
    assert (await store.stats()).standings.get(A, Standing()) == Standing()


async def test_a_standing_is_what_it_was_set_to_and_is_seen_everywhere(store):
    standing = await store.set_standing(A, "pause", now=NOW)
    assert standing == Standing(paused_at=NOW)
    assert (await look(store)).standing == standing
    assert (await store.stats()).standings[A] == standing
    assert (await look(store, B)).standing == Standing()


async def test_a_standing_outlives_the_process(open_store):
    async with open_store() as store:
        await store.set_standing(A, "hold", now=NOW)
        await store.quiet(A, until=NOW + 5, now=NOW)
    async with open_store() as store:
        assert (await look(store)).standing == Standing(held_at=NOW, quiet_until=NOW + 5)


@pytest.mark.parametrize(("change", "column"), [("pause", "paused_at"), ("hold", "held_at")])
async def test_stopping_twice_keeps_the_first_time(store, change, column):
    await accept(store, event(1))
    await store.set_standing(A, change, now=NOW + 1000)
    again = await store.set_standing(A, change, now=NOW + 5000)
    assert getattr(again, column) == NOW + 1000
    await store.set_standing(A, "resume", now=NOW + 9000)
    assert await live_since(store, now=NOW + 9000) == NOW + 8000


async def test_a_change_that_is_none_is_none(store):
    await accept(store, event(1))
    assert await store.set_standing(A, "resume", now=NOW + 1000) == Standing()
    assert await store.set_standing(A, "release", now=NOW + 2000) == Standing()
    assert await live_since(store, now=NOW + 3000) == NOW


async def test_resuming_ends_a_hold_and_a_quiet_time_as_well(store):
    await accept(store, event(1))
    await store.set_standing(A, "hold", now=NOW)
    await store.quiet(A, until=NOW + MINUTE, now=NOW)
    assert await store.set_standing(A, "resume", now=NOW) == Standing()
    assert numbers(await claim(store)) == [1]


async def test_a_release_ends_neither_a_pause_nor_a_quiet_time(store):
    await accept(store, event(1))
    await store.set_standing(A, "pause", now=NOW)
    await store.set_standing(A, "hold", now=NOW + 1)
    await store.quiet(A, until=NOW + MINUTE, now=NOW)
    released = await store.set_standing(A, "release", now=NOW + 2)
    assert released == Standing(paused_at=NOW, quiet_until=NOW + MINUTE)
    assert await claim(store, now=NOW + 3) == []


async def test_a_quiet_time_is_never_shortened(store):
    await store.quiet(A, until=NOW + 5000, now=NOW)
    await store.quiet(A, until=NOW + 2000, now=NOW + 1000)
    assert (await look(store, now=NOW + 2500)).standing.quiet_until == NOW + 5000
    await store.quiet(A, until=NOW + 9000, now=NOW + 1000)
    assert (await look(store, now=NOW + 5000)).standing.quiet_until == NOW + 9000


async def test_a_quiet_time_that_is_over_already_is_none(store):
    await accept(store, event(1))
    await store.quiet(A, until=NOW, now=NOW)
    assert numbers(await claim(store)) == [1]


@pytest.mark.parametrize(("stop", "start"), [("pause", "resume"), ("hold", "release"), ("hold", "resume")])
async def test_the_time_that_a_destination_stood_still_is_not_part_of_the_retry_horizon(store, stop, start):
    await accept(store, event(1))
    await store.set_standing(A, stop, now=NOW + 1000)
    await accept(store, event(3, received_at=NOW + 3000))
    await store.set_standing(A, start, now=NOW + 5000)
    await accept(store, event(4, received_at=NOW + 6000))
    since = {
        number: one.live_since for one in await claim(store, now=NOW + 7000) for number in numbers([one])
    }
    assert since == {1: NOW + 4000, 3: NOW + 5000, 4: NOW + 6000}


async def test_a_stop_within_a_stop_is_counted_once(store):
    await accept(store, event(1))
    await store.set_standing(A, "hold", now=NOW + 1000)
    await store.set_standing(A, "pause", now=NOW + 2000)
    await store.set_standing(A, "release", now=NOW + 3000)
    await store.set_standing(A, "resume", now=NOW + 4000)
    assert await live_since(store, now=NOW + 5000) == NOW + 3000


async def test_stops_add_up(store):
    await accept(store, event(1))
    for second in (1, 3, 5):
        await store.set_standing(A, "pause", now=NOW + second * 1000)
        await store.set_standing(A, "resume", now=NOW + second * 1000 + 500)
    assert await live_since(store, now=NOW + 9000) == NOW + 1500


async def test_the_horizon_stands_still_for_a_probe_too(store):
    await accept(store, event(1))
    await store.set_standing(A, "hold", now=NOW + 1000)
    (one,) = await claim(store, total=1, probe=True, now=NOW + 5000)
    assert one.live_since == NOW + 4000


async def test_a_stop_of_one_destination_moves_nothing_of_another(store):
    await accept(store, event(1, destinations=(A, B)))
    await store.set_standing(A, "pause", now=NOW)
    (one,) = await claim(store, B, now=NOW + MINUTE)
    assert one.live_since == NOW


async def test_attempts_that_end_while_the_destination_is_paused_are_recorded(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await store.set_standing(A, "pause", now=NOW)
    assert (await finish(store, one, Delivered(), now=NOW + 10)).counted


@pytest.mark.parametrize("start", ["release", "resume"])
async def test_once_a_hold_ends_what_failed_is_due_again_at_once(store, start):
    await accept(store, event(1), event(2))
    for one in await claim(store):
        await finish(store, one, RetryAt(NOW + 60 * MINUTE))
    await store.set_standing(A, "hold", now=NOW)
    await store.set_standing(A, start, now=NOW + MINUTE)
    assert numbers(await claim(store, now=NOW + MINUTE)) == [1, 2]


async def test_a_resume_without_a_hold_hurries_nothing(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 60 * MINUTE))
    await store.set_standing(A, "pause", now=NOW)
    await store.set_standing(A, "resume", now=NOW + MINUTE)
    assert await claim(store, now=NOW + MINUTE) == []


@pytest.mark.parametrize("by", [DAY, -DAY], ids=["forward", "back"])
class TestClockStepped:
    async def test_what_is_due_is_due_and_what_waits_waits_as_long_as_before(self, store, by):
        await accept(store, event(1), event(2))
        (one,) = await claim(store, total=1)
        await finish(store, one, RetryAt(NOW + 5000))
        await store.clock_stepped(by)
        looked = await look(store, now=NOW + by)
        assert (numbers(looked.claims), looked.next_at) == ([2], NOW + by + 5000)
        assert await claim(store, now=NOW + by + 4999) == []
        assert numbers(await claim(store, now=NOW + by + 5000)) == [1]

    async def test_a_lease_lasts_as_long_as_before(self, store, by):
        await accept(store, event(1), event(2))
        (one, _) = await claim(store)
        await store.clock_stepped(by)
        assert await store.end_leases(now=LEASE + by - 1) == 0
        assert (await finish(store, one, Delivered(), now=NOW + by)).counted
        assert await store.end_leases(now=LEASE + by) == 1
        (cut_off,) = (await deliveries(store, 2))["a"].history
        assert (cut_off.started_at, cut_off.duration_ms) == (NOW + by, 30_000)

    async def test_the_retry_horizon_is_as_far_away_as_before(self, store, by):
        await accept(store, event(1))
        await store.set_standing(A, "pause", now=NOW + 1000)
        await store.clock_stepped(by)
        await store.set_standing(A, "resume", now=NOW + by + 3000)
        (one,) = await claim(store, now=NOW + by + 4000)
        assert (one.live_since, one.queued_at) == (NOW + by + 2000, NOW + by)

    async def test_an_order_wait_ends_as_much_later_as_before(self, store, by):
        await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
        (one,) = await claim(store)
        await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 5000)
        await store.clock_stepped(by)
        assert await claim(store, now=NOW + by + 4999) == []
        assert numbers(await claim(store, now=NOW + by + 5000)) == [2]

    async def test_a_quiet_time_lasts_as_long_as_before(self, store, by):
        await accept(store, event(1))
        await store.quiet(A, until=NOW + 5000, now=NOW)
        await store.set_standing(B, "pause", now=NOW)
        await store.clock_stepped(by)
        assert await claim(store, now=NOW + by + 4999) == []
        assert numbers(await claim(store, now=NOW + by + 5000)) == [1]
        assert (await store.stats()).standings[B] == Standing(paused_at=NOW + by)

    async def test_the_age_of_the_oldest_is_what_it_was(self, store, by):
        await accept(store, event(1))
        await store.clock_stepped(by)
        assert (await store.stats()).oldest_pending == {A: NOW + by}

    async def test_what_happened_stays_as_it_was_noted(self, store, by):
        await accept(store, event(1))
        (one,) = await claim(store)
        await finish(store, one, Delivered())
        before = await store.event(event(1).id)
        await store.clock_stepped(by)
        assert await store.event(event(1).id) == before
