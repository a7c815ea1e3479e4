"""What is past its time goes, in small steps; what is pending and what makes a duplicate stays."""

from dataclasses import replace

from gateway.config import Retention
from gateway.model import Dead, Delivered, RetryAt
from gateway.store import EventFilter
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, number_of

DAY = 86_400_000
RETENTION = Retention(delivered_days=7, dead_days=30, unrouted_days=20, dedupe_days=60)


async def stored(store):
    found = await store.events(EventFilter(), before=None, limit=100)
    return sorted(number_of(record.event.id) for record in found)


async def prune(store, *, days, more_ms=0, limit=100):
    return await store.prune(RETENTION, now=NOW + days * DAY + more_ms, limit=limit)


async def test_each_kind_goes_when_its_days_are_over_and_not_before(store):
    await accept(store, *(event(number) for number in range(3)), event(3, destinations=()))
    delivered, dead, pending = await claim(store)
    await finish(store, delivered, Delivered())
    await finish(store, dead, Dead("horizon"))
    await finish(store, pending, RetryAt(NOW + 5000))
    remaining = []
    for days in (7, 20, 30):
        assert await prune(store, days=days) == 0
        assert await prune(store, days=days, more_ms=1) == 1
        remaining.append(await stored(store))
    assert remaining == [[1, 2, 3], [1, 2], [2]]


async def test_what_is_pending_is_kept_however_old_it_is(store):
    await accept(store, event(1))
    await store.prune(RETENTION, now=NOW + 10_000 * DAY, limit=100)
    assert [one.event.id for one in await claim(store)] == [event(1).id]


async def test_dedupe_keys_outlive_the_events(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, Delivered())
    await prune(store, days=59)
    assert await stored(store) == []
    (again,) = await accept(store, replace(event(1), id=event(2).id))
    assert (again.status, again.event_id) == ("duplicate", event(1).id)
    await prune(store, days=60, more_ms=1)
    (new,) = await accept(store, replace(event(1), id=event(3).id))
    assert (new.status, new.event_id) == ("accepted", event(3).id)


async def test_an_event_goes_with_the_last_of_its_deliveries(store):
    await accept(store, event(1, destinations=(A, B)))
    (one,) = await claim(store)
    await finish(store, one, Delivered())
    await prune(store, days=8)
    assert set(await deliveries(store, 1)) == {"b"}
    (one,) = await claim(store, B)
    await finish(store, one, Delivered())
    await prune(store, days=8)
    assert await store.event(event(1).id) is None


async def test_days_count_from_the_end_of_a_delivery_not_from_its_acceptance(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, Delivered(), now=NOW + 5 * DAY)
    await prune(store, days=11)
    assert await stored(store) == [1]
    await prune(store, days=13)
    assert await stored(store) == []


async def test_an_event_that_was_replayed_is_kept_as_long_as_any_other(store):
    await accept(store, event(1, destinations=()))
    await store.replay(event(1).id, [A], now=NOW)
    await prune(store, days=50)
    assert await stored(store) == [1]


async def test_pruning_goes_in_steps_of_the_limit(store):
    await accept(store, *(event(number, destinations=()) for number in range(5)))
    assert [await prune(store, days=21, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_counts_do_not_count_what_is_gone(store):
    await accept(store, event(1), event(2))
    (one, _) = await claim(store)
    await finish(store, one, Delivered())
    await prune(store, days=8)
    counted = (await store.stats()).deliveries
    assert {key: number for key, number in counted.items() if number} == {("a", "pending"): 1}


async def test_an_id_that_was_pruned_can_be_asked_for_and_is_unknown(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, Delivered())
    await prune(store, days=8)
    assert await store.event(event(1).id) is None
    assert await store.replay(event(1).id, [A], now=NOW) == []


async def test_the_numbers_of_what_is_gone_are_not_given_again(open_store):
    """A replay's cursor and an attempt's fence go by them."""
    async with open_store() as store:
        await accept(store, *(event(number) for number in range(5)))
        claims = await claim(store)
        for one in claims:
            await finish(store, one, Delivered())
        newest = (await store.count(EventFilter())).newest_seq
        assert await prune(store, days=7, more_ms=1) == 5
        assert (await store.count(EventFilter())).count == 0
    async with open_store() as store:
        await accept(store, event(10))
        (one,) = await claim(store)
        assert one.delivery_id > max(before.delivery_id for before in claims)
        assert (await store.count(EventFilter())).newest_seq > newest
