"""A lease fences: what was lost, given back or discarded can change nothing any more."""

import pytest

from gateway.model import Dead, Delivered, RetryAt
from tests.support.store import LEASE, NOW, A, B, accept, claim, deliveries, event, finish, numbers, outcome


async def test_a_result_ends_the_delivery(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    finished = await finish(store, one, Delivered())
    assert (finished.counted, finished.released) == (True, False)
    delivery = (await deliveries(store, 1))["a"]
    assert (delivery.state, delivery.attempts, delivery.last_status) == ("delivered", 1, 200)
    assert delivery.next_attempt_at is None
    assert await claim(store, now=NOW + 10**9) == []


async def test_a_result_counts_once(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    assert (await finish(store, one, RetryAt(NOW + 1))).counted
    assert not (await finish(store, one, Delivered())).counted
    assert (await deliveries(store, 1))["a"].state == "pending"


@pytest.mark.parametrize("lost", ["ended", "given back", "discarded", "taken over"])
@pytest.mark.parametrize(
    "verdict", [Delivered(), Dead("dead_on"), RetryAt(NOW + 5)], ids=["2xx", "dead", "retry"]
)
async def test_a_late_result_of_a_lost_lease_changes_nothing(store, lost, verdict):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (late,) = await claim(store)
    if lost == "given back":
        await store.give_back([late], now=NOW)
    elif lost == "discarded":
        await store.discard(event(1).id, now=NOW)
    else:
        await store.end_leases(now=LEASE)
    if lost == "taken over":
        assert numbers(await claim(store, now=LEASE)) == [1]
    before = [await store.event(event(number).id) for number in (1, 2)]
    finished = await finish(store, late, verdict, now=LEASE)
    assert (finished.counted, finished.released) == (False, False)
    assert [await store.event(event(number).id) for number in (1, 2)] == before


async def test_whoever_took_over_is_counted(store):
    await accept(store, event(1))
    (lost,) = await claim(store)
    await store.end_leases(now=LEASE)
    (taken_over,) = await claim(store, now=LEASE)
    assert (lost.attempt, taken_over.attempt, taken_over.tries) == (1, 2, 0)
    assert not (await finish(store, lost, Delivered(), now=LEASE)).counted
    assert (await finish(store, taken_over, Delivered(), now=LEASE)).counted


async def test_a_late_result_of_a_delivery_that_was_replayed_since_changes_nothing(store):
    await accept(store, event(1))
    (late,) = await claim(store)
    await store.discard(event(1).id, now=NOW)
    await store.replay(event(1).id, [A], now=NOW)
    await claim(store)
    assert not (await finish(store, late, Delivered())).counted
    assert (await deliveries(store, 1))["a"].state == "pending"


async def test_leases_end_at_their_time_and_not_before(store):
    await accept(store, event(1), event(2))
    await claim(store, total=1, lease_ms=1000)
    await claim(store, total=1, lease_ms=2000)
    assert await store.end_leases(now=NOW + 999) == 0
    assert await store.end_leases(now=NOW + 1000) == 1
    assert numbers(await claim(store, now=NOW + 1000)) == [1]
    assert await store.end_leases(now=NOW + 2000) == 1


async def test_a_leased_delivery_is_handed_out_to_nobody_else_however_long_it_takes(store):
    await accept(store, event(1))
    await claim(store)
    assert await claim(store, now=LEASE + 10**9) == []


async def test_what_is_given_back_is_due_at_once_and_used_nothing_up(store):
    await accept(store, event(1, ordering_key="x"), event(2), event(3))
    one, two, three = await claim(store)
    await store.give_back([one, three], now=NOW + 40)
    again = await claim(store, now=NOW + 40)
    assert numbers(again) == [1, 3]
    assert [(claimed.attempt, claimed.tries, claimed.again) for claimed in again] == [(2, 0, False)] * 2
    assert (await finish(store, two, Delivered())).counted


async def test_giving_back_what_is_recorded_already_changes_nothing(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, Delivered())
    before = await store.event(event(1).id)
    await store.give_back([one], now=NOW)
    assert await store.event(event(1).id) == before


async def test_giving_nothing_back_is_nothing(store):
    await store.give_back([], now=NOW)


async def test_every_attempt_is_in_the_history_also_the_one_that_was_cut_off(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    answer = outcome("server_error", error="HTTP 500", response=b"\x00no\xff", duration_ms=70)
    await store.record(one, answer, RetryAt(NOW), now=NOW, yields_at=None)
    (two,) = await claim(store)
    await store.give_back([two], now=NOW + 40)
    (three,) = await claim(store, now=NOW + 50, lease_ms=10)
    await store.end_leases(now=NOW + 60)
    (four,) = await claim(store, now=NOW + 60)
    await finish(store, four, Delivered())
    assert three.attempt == 3
    history = (await deliveries(store, 1))["a"].history
    assert [(one.number, one.outcome, one.status) for one in history] == [
        (1, "server_error", 500),
        (2, "interrupted", None),
        (3, "interrupted", None),
        (4, "success", 200),
    ]
    assert (history[0].error, history[0].response, history[0].duration_ms) == ("HTTP 500", b"\x00no\xff", 70)
    assert [(one.started_at, one.duration_ms) for one in history[1:3]] == [(NOW, 40), (NOW + 50, 10)]


async def test_attempts_that_count_move_the_schedule_and_others_do_not(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW))
    (two,) = await claim(store)
    await finish(store, two, RetryAt(NOW, counts=False))
    (three,) = await claim(store)
    assert (three.attempt, three.tries, three.again) == (3, 1, True)


async def test_a_failed_attempt_shows_why_and_when_the_next_is(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    failed = outcome("no_answer", error="connection refused")
    await store.record(one, failed, RetryAt(NOW + 500), now=NOW, yields_at=None)
    delivery = (await deliveries(store, 1))["a"]
    assert (delivery.state, delivery.next_attempt_at) == ("pending", NOW + 500)
    assert (delivery.last_status, delivery.last_error) == (None, "connection refused")


@pytest.mark.parametrize("verdict", [Delivered(), Dead("horizon")], ids=["delivered", "dead"])
async def test_a_delivery_that_is_over_releases_its_key(store, verdict):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    assert (await finish(store, one, verdict)).released
    (two,) = await claim(store)
    assert numbers([two]) == [2]
    assert not (await finish(store, two, verdict)).released


async def test_a_lost_lease_leaves_its_delivery_first_of_its_key(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    await claim(store)
    await store.end_leases(now=LEASE)
    assert numbers(await claim(store, now=LEASE)) == [1]


async def test_what_one_destination_answered_says_nothing_of_another(store):
    await accept(store, event(1, destinations=(A, B)))
    (one,) = await claim(store, A)
    await finish(store, one, Dead("dead_on"))
    assert (await store.event(event(1).id)).state == "pending"
    (other,) = await claim(store, B)
    assert (other.attempt, other.again) == (1, False)
