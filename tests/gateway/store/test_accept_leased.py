"""What can go at once is leased in the transaction that accepts it; nothing else is."""

import asyncio
from dataclasses import replace

import pytest

from gateway.model import Delivered, RetryAt
from tests.support.store import LEASE, NOW, A, B, accept, claim, deliveries, event, finish, numbers, rows

LEASES = {A: LEASE, B: LEASE}


async def accept_leased(store, *events, leases=None):
    """In this order; all of them wait for the store at once."""
    return await asyncio.gather(
        *(
            store.accept(one, same_id_is_duplicate=False, leases=LEASES if leases is None else leases)
            for one in events
        )
    )


async def test_it_is_claimed_by_nobody_else_and_its_result_counts(store):
    (accepted,) = await accept_leased(store, event(1))
    (one,) = accepted.claims
    assert (one.attempt, one.tries, one.again, one.queued_at, one.live_since) == (1, 0, False, NOW, NOW)
    assert one.event == event(1)
    assert accepted.due == ()
    assert await claim(store) == []
    assert (await finish(store, one, Delivered())).counted
    assert (await deliveries(store, 1))["a"].state == "delivered"


async def test_it_is_leased_for_those_destinations_alone_that_have_room(store):
    (accepted,) = await accept_leased(store, event(1, destinations=(A, B)), leases={B: LEASE})
    assert [one.destination for one in accepted.claims] == [B]
    assert accepted.due == (A,)
    assert numbers(await claim(store, A)) == [1]


async def test_what_waits_has_no_lease_in_the_file_and_what_waits_for_its_key_no_time(store, path):
    await accept_leased(store, event(1, ordering_key="x"), event(2, ordering_key="x"), event(3), leases={})
    await accept_leased(store, event(4))
    sql = "SELECT next_attempt_at, attempts, leased_at, lease_until FROM deliveries ORDER BY id"
    assert rows(path, sql) == [
        (NOW, 0, None, None),
        (None, 0, None, None),
        (NOW, 0, None, None),
        (NOW, 1, NOW, LEASE),
    ]


@pytest.mark.parametrize("now", [-1, 0, 1])
async def test_a_clock_that_begins_anew_leaves_no_delivery_behind(store, now):
    await accept_leased(store, event(1, received_at=now), leases={})
    assert numbers(await claim(store, now=now)) == [1]


async def test_a_busy_key_is_neither_leased_nor_due_until_it_is_released(store):
    first, second, third = await accept_leased(
        store, event(1, ordering_key="x"), event(2, ordering_key="x"), event(3, ordering_key="y")
    )
    assert (second.claims, second.due) == ((), ())
    assert len(third.claims) == 1
    assert await claim(store) == []
    assert (await finish(store, first.claims[0], Delivered())).released
    assert numbers(await claim(store)) == [2]


async def test_one_whose_key_is_under_way_elsewhere_is_due_but_not_leased(store):
    """The one under way has failed before, and let others of its key pass."""
    (first,) = await accept_leased(store, event(1, ordering_key="x"))
    await finish(store, first.claims[0], RetryAt(NOW + 1000), yields_at=NOW + 500)
    (again,) = await claim(store, now=NOW + 1000)
    (second,) = await accept_leased(store, event(2, ordering_key="x", received_at=NOW + 1000))
    assert (second.claims, second.due) == ((), (A,))
    assert await claim(store, now=NOW + 1000) == []
    await finish(store, again, Delivered(), now=NOW + 1000)
    assert numbers(await claim(store, now=NOW + 1000)) == [2]


@pytest.mark.parametrize("change", ["pause", "hold"])
async def test_a_destination_that_stands_still_gets_none(store, change):
    await store.set_standing(A, change, now=NOW)
    (accepted,) = await accept_leased(store, event(1, destinations=(A, B)))
    assert [one.destination for one in accepted.claims] == [B]
    assert accepted.due == ()
    await store.set_standing(A, "resume", now=NOW)
    assert numbers(await claim(store)) == [1]


async def test_a_quiet_destination_gets_none_until_its_time_is_over(store):
    await store.quiet(A, until=NOW + 1000, now=NOW)
    early, late = await accept_leased(store, event(1), event(2, received_at=NOW + 1000))
    assert (early.claims, early.due) == ((), ())
    assert len(late.claims) == 1


async def test_a_duplicate_is_not_leased(store):
    first, second = await accept_leased(store, event(1), replace(event(1), id=event(2).id))
    assert len(first.claims) == 1
    assert (second.status, second.claims, second.due) == ("duplicate", (), ())


async def test_the_lease_ends_when_it_was_said_to(store):
    (accepted,) = await accept_leased(store, event(1))
    assert await store.end_leases(now=LEASE - 1) == 0
    assert await store.end_leases(now=LEASE) == 1
    (again,) = await claim(store, now=LEASE)
    assert again.attempt == 2
    assert not (await finish(store, accepted.claims[0], Delivered(), now=LEASE)).counted


async def test_a_restart_takes_it_back(open_store):
    async with open_store() as store:
        await accept_leased(store, event(1))
    async with open_store() as store:
        (again,) = await claim(store)
        assert (numbers([again]), again.attempt) == ([1], 2)


async def test_what_was_leased_for_a_caller_that_went_away_is_given_back(store):
    waiting = asyncio.ensure_future(store.accept(event(1), same_id_is_duplicate=False, leases=LEASES))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await accept(store, event(2))  # after it
    while not (claims := [one for one in await claim(store, total=1) if numbers([one]) == [1]]):
        await asyncio.sleep(0.01)
    assert claims[0].attempt == 2
