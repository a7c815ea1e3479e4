"""Deliveries are handed out in order, one of a key at a time, and only while their destination takes any."""

import asyncio

import pytest

from gateway.model import Delivered, RetryAt
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, look, numbers

MINUTE = 60_000


async def accept_due(store, *due_after_ms):
    """Event n fails once and is due again after the n-th of these times."""
    await accept(store, *(event(n) for n in range(len(due_after_ms))))
    for one, after in zip(await claim(store, total=100), due_after_ms, strict=True):
        await finish(store, one, RetryAt(NOW + after))


async def test_the_oldest_due_goes_first_whatever_the_order_of_acceptance(store):
    await accept_due(store, 3000, 1000, 2000)
    assert numbers(await claim(store, now=NOW + 5000)) == [1, 2, 0]


async def test_what_was_accepted_together_goes_in_order_of_acceptance(store):
    await accept(store, *(event(number) for number in (5, 3, 4)))
    assert numbers(await claim(store)) == [5, 3, 4]


async def test_a_claim_takes_no_more_than_there_is_room_for(store):
    await accept(store, *(event(number) for number in range(5)))
    assert numbers(await claim(store, total=2)) == [0, 1]
    assert numbers(await claim(store, total=10)) == [2, 3, 4]
    assert await claim(store) == []


async def test_a_claim_takes_only_its_destinations_deliveries(store):
    await accept(store, event(1, destinations=(A,)), event(2, destinations=(B,)))
    assert numbers(await claim(store, B)) == [2]
    assert numbers(await claim(store, A)) == [1]


async def test_nothing_is_claimed_before_its_time(store):
    await accept_due(store, 1000)
    assert await claim(store, now=NOW + 999) == []
    (one,) = await claim(store, now=NOW + 1000)
    assert (one.attempt, one.tries, one.again) == (2, 1, True)


async def test_retries_get_no_more_than_their_share_while_first_attempts_wait(store):
    await accept_due(store, *([1000] * 6))
    await accept(store, *(event(number, received_at=NOW + 2000) for number in range(10, 16)))
    claims = await claim(store, total=6, again=2, now=NOW + 2000)
    assert sorted(one.again for one in claims) == [False] * 4 + [True] * 2


async def test_first_attempts_leave_retries_the_room_that_they_do_not_need(store):
    await accept_due(store, *([1000] * 6))
    await accept(store, event(10, received_at=NOW + 2000))
    claims = await claim(store, total=6, again=2, now=NOW + 2000)
    assert sorted(numbers(claims)) == [0, 1, 2, 3, 4, 10]


async def test_retries_without_a_share_wait_for_the_first_attempts_only(store):
    await accept_due(store, 1000)
    await accept(store, *(event(number, received_at=NOW + 2000) for number in (10, 11)))
    assert numbers(await claim(store, total=2, again=0, now=NOW + 2000)) == [10, 11]
    assert numbers(await claim(store, total=2, again=0, now=NOW + 2000)) == [0]


async def test_one_key_goes_out_one_at_a_time_in_order_and_other_keys_do_not_wait(store):
    await accept(
        store, *(event(n, ordering_key="x") for n in (1, 2, 3)), event(4, ordering_key="y"), event(5)
    )
    first = await claim(store)
    assert numbers(first) == [1, 4, 5]
    assert await claim(store) == []
    assert (await finish(store, first[0], Delivered())).released
    assert numbers(await claim(store)) == [2]
    assert await claim(store) == []


async def test_the_same_key_of_two_destinations_is_two_keys(store):
    await accept(store, *(event(number, ordering_key="x", destinations=(A, B)) for number in (1, 2)))
    (one,) = await claim(store, A)
    await finish(store, one, Delivered())
    assert numbers(await claim(store, A)) == [2]
    assert numbers(await claim(store, B)) == [1]


async def test_a_failing_delivery_holds_back_its_key_until_it_is_over(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    assert not (await finish(store, one, RetryAt(NOW + MINUTE))).released
    assert await claim(store, now=NOW + MINUTE - 1) == []
    (again,) = await claim(store, now=NOW + MINUTE)
    assert numbers([again]) == [1]
    await finish(store, again, Delivered(), now=NOW + MINUTE)
    assert numbers(await claim(store, now=NOW + MINUTE)) == [2]


async def test_what_is_accepted_while_its_key_is_busy_waits_and_shows_no_time(store):
    await accept(store, event(1, ordering_key="x"))
    await claim(store)
    await accept(store, event(2, ordering_key="x"))
    assert (await deliveries(store, 2))["a"].next_attempt_at is None
    assert await claim(store) == []


async def test_after_its_order_wait_a_failing_delivery_lets_the_next_of_its_key_pass_one_at_a_time(store):
    await accept(store, *(event(n, ordering_key="x") for n in (1, 2, 3)))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 5000)
    assert await claim(store, now=NOW + 4999) == []
    (two,) = await claim(store, now=NOW + 5000, lease_ms=2 * MINUTE)
    assert numbers([two]) == [2]
    assert await claim(store, now=NOW + MINUTE) == []
    await finish(store, two, Delivered(), now=NOW + MINUTE)
    (either,) = await claim(store, now=NOW + MINUTE)
    await finish(store, either, Delivered(), now=NOW + MINUTE)
    (other,) = await claim(store, now=NOW + MINUTE)
    assert sorted(numbers([either, other])) == [1, 3]


async def test_an_order_wait_begins_with_the_first_failure(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 1000), yields_at=NOW + 5000)
    (one,) = await claim(store, now=NOW + 1000)
    await finish(store, one, RetryAt(NOW + MINUTE), now=NOW + 1000, yields_at=NOW + 6000)
    assert numbers(await claim(store, now=NOW + 5000)) == [2]


async def test_what_is_accepted_behind_one_that_yielded_does_not_wait(store):
    await accept(store, event(1, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 5000)
    await claim(store, now=NOW + 5000)
    await accept(store, event(2, ordering_key="x", received_at=NOW + 6000))
    assert numbers(await claim(store, now=NOW + 6000)) == [2]


async def test_a_destination_that_stands_still_does_not_use_up_an_order_wait(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 10 * MINUTE), yields_at=NOW + 5000)
    await store.set_standing(A, "pause", now=NOW + 1000)
    await store.set_standing(A, "resume", now=NOW + MINUTE)
    looked = await look(store, now=NOW + MINUTE + 3999)
    assert (looked.claims, looked.next_at) == ([], NOW + MINUTE + 4000)
    assert numbers(await claim(store, now=NOW + MINUTE + 4000)) == [2]


async def test_deliveries_of_one_key_that_are_due_together_take_no_other_deliverys_place(store):
    await accept(store, *(event(number, ordering_key="x") for number in (1, 2, 3)))
    for step in range(3):
        (one,) = await claim(store, now=NOW + step * 1000)
        await finish(
            store, one, RetryAt(NOW + MINUTE), now=NOW + step * 1000, yields_at=NOW + (step + 1) * 1000
        )
    await accept(store, event(4, received_at=NOW + 2 * MINUTE))
    claimed = []
    while True:  # until the store says that there is nothing more at this moment
        looked = await look(store, total=2 - len(claimed), now=NOW + 2 * MINUTE)
        claimed += numbers(looked.claims)
        if len(claimed) == 2 or looked.next_at != NOW + 2 * MINUTE:
            break
    assert sorted(claimed)[1:] == [4]


async def test_the_next_look_is_when_something_becomes_due(store):
    await accept_due(store, 7000, 3000)
    assert (await look(store)).next_at == NOW + 3000


async def test_the_next_look_is_when_something_yields(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 5000)
    assert (await look(store)).next_at == NOW + 5000


async def test_what_has_no_key_holds_nothing_back_and_yields_nothing(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 5000)
    assert (await look(store)).next_at == NOW + MINUTE


async def test_with_nothing_waiting_there_is_no_next_look(store):
    assert (await look(store)).next_at is None
    await accept(store, event(1, destinations=(B,)))
    assert (await look(store)).next_at is None


async def test_where_the_room_is_full_the_next_look_is_at_once(store):
    await accept(store, event(1), event(2))
    assert (await look(store, total=1)).next_at == NOW


async def test_a_first_attempt_says_so_and_counts_from_its_acceptance(store):
    await accept(store, event(1))
    (one,) = await claim(store, now=NOW + 500)
    assert (one.attempt, one.tries, one.again) == (1, 0, False)
    assert (one.queued_at, one.live_since) == (NOW, NOW)


async def test_time_spent_waiting_for_the_key_is_not_part_of_the_retry_horizon(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, Delivered(), now=NOW + MINUTE)
    (two,) = await claim(store, now=NOW + MINUTE)
    assert (two.queued_at, two.live_since) == (NOW, NOW + MINUTE)


@pytest.mark.parametrize("change", ["pause", "hold"])
async def test_a_destination_that_is_stopped_gets_nothing_and_the_others_do(store, change):
    await accept(store, event(1, destinations=(A, B)))
    standing = await store.set_standing(A, change, now=NOW)
    looked = await look(store)
    assert (looked.claims, looked.next_at, looked.standing) == ([], None, standing)
    assert numbers(await claim(store, B)) == [1]


async def test_a_quiet_destination_gets_nothing_until_its_time(store):
    await accept(store, event(1))
    await store.quiet(A, until=NOW + 5000, now=NOW)
    looked = await look(store, now=NOW + 4999)
    assert (looked.claims, looked.next_at) == ([], NOW + 5000)
    assert looked.standing.quiet_until == NOW + 5000
    assert numbers(await claim(store, now=NOW + 5000)) == [1]


async def test_a_probe_of_a_held_destination_takes_the_one_that_has_waited_longest_due_or_not(store):
    await accept_due(store, 5 * MINUTE, 4 * MINUTE, 6 * MINUTE)
    await store.set_standing(A, "hold", now=NOW)
    assert await claim(store) == []
    assert numbers(await claim(store, total=1, probe=True)) == [1]


async def test_a_probe_takes_what_was_not_tried_or_what_was_as_its_room_says(store):
    await accept_due(store, 5 * MINUTE, 4 * MINUTE)
    await accept(store, event(10), event(11))
    await store.set_standing(A, "hold", now=NOW)
    (tried,) = await claim(store, total=1, again=1, probe=True)
    assert numbers([tried]) == [1]
    await finish(store, tried, RetryAt(NOW, counts=False))
    assert numbers(await claim(store, total=1, again=0, probe=True)) == [11]


async def test_no_probe_takes_the_same_twice_running_while_another_waits(store):
    await accept_due(store, 5 * MINUTE)
    await accept(store, event(10))
    await store.set_standing(A, "hold", now=NOW)
    assert numbers(await claim(store, total=1, again=1, probe=True)) == [10]


@pytest.mark.parametrize("again", [0, 1])
async def test_a_probe_takes_the_other_sort_where_there_is_none_of_its_own(store, again):
    await accept_due(store, *([5 * MINUTE] * (1 - again)))
    await accept(store, *(event(number) for number in range(10, 10 + again)))
    await store.set_standing(A, "hold", now=NOW)
    assert len(await claim(store, total=1, again=again, probe=True)) == 1


async def test_probes_go_round(store):
    await accept(store, *(event(number, ordering_key=f"k{number}") for number in range(3)))
    await store.set_standing(A, "hold", now=NOW)
    probed = []
    for second in range(9):
        now = NOW + 1000 * second
        (one,) = await claim(store, total=1, again=second % 2, probe=True, now=now)
        probed += numbers([one])
        await finish(store, one, RetryAt(now + 1, counts=False), now=now)
    assert probed == [2, 1, 0, 2, 1, 0, 2, 1, 0]


async def test_a_probe_takes_none_that_waits_for_its_key_or_whose_key_is_under_way(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    await claim(store)
    await store.set_standing(A, "hold", now=NOW)
    assert await claim(store, total=1, probe=True) == []


@pytest.mark.parametrize("stop", ["pause", "quiet"])
async def test_a_destination_that_is_paused_or_quiet_is_not_probed(store, stop):
    await accept(store, event(1))
    await store.set_standing(A, "hold", now=NOW)
    if stop == "pause":
        await store.set_standing(A, "pause", now=NOW)
    else:
        await store.quiet(A, until=NOW + 5000, now=NOW)
    assert await claim(store, total=1, probe=True) == []


async def test_a_probe_of_a_destination_that_is_held_no_more_takes_only_what_is_due(store):
    await accept_due(store, MINUTE)
    assert await claim(store, total=1, probe=True) == []
    assert numbers(await claim(store, total=1, probe=True, now=NOW + MINUTE)) == [0]


async def test_a_claim_brings_no_more_content_than_it_takes_a_moment_to_read(store):
    await accept(store, *(event(number, body=bytes(600_000)) for number in range(5)))
    claimed = []
    while (looked := await look(store)).claims:
        assert len(looked.claims) <= 2
        claimed += numbers(looked.claims)
        assert len(claimed) == 5 or looked.next_at == NOW
    assert claimed == [0, 1, 2, 3, 4]


async def test_more_keys_than_one_claim_lets_pass_go_on_with_the_next(store):
    await accept(store, *(event(n, ordering_key=f"k{n}") for n in range(700)))
    for one in await claim(store, total=1000):
        await finish(store, one, RetryAt(NOW + MINUTE), yields_at=NOW + 1000)
    await accept(store, *(event(1000 + n, ordering_key=f"k{n}") for n in range(700)))
    assert await claim(store, now=NOW + 999, total=1000) == []
    first = await look(store, now=NOW + 1000, total=1000)
    assert (len(first.claims), first.next_at) == (500, NOW + 1000)
    assert len(await claim(store, now=NOW + 1000, total=1000)) == 200


async def test_what_is_due_behind_an_attempt_of_its_key_is_said_to_wait(store):
    """Its release will not tell: it is due already."""
    await accept(store, event(1, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 1000), yields_at=NOW + 500)
    assert not (await look(store, now=NOW + 500)).waits
    (one,) = await claim(store, now=NOW + 1000)
    await accept(store, event(2, ordering_key="x", received_at=NOW + 1000))
    looked = await look(store, now=NOW + 1000)
    assert (looked.claims, looked.waits) == ([], True)
    await finish(store, one, Delivered(), now=NOW + 1000)
    assert numbers(await claim(store, now=NOW + 1000)) == [2]


async def test_what_fails_together_while_its_destination_is_down_keeps_its_order_at_the_end(store):
    await accept_due(store, 0, 0, 0, 50 * MINUTE)
    claims = await claim(store, total=3)
    await store.set_standing(A, "hold", now=NOW)
    one, two, three = claims
    counting = finish(store, two, RetryAt(NOW + 90 * MINUTE))
    await asyncio.gather(
        finish(store, three, RetryAt(NOW, counts=False)),
        counting,
        finish(store, one, RetryAt(NOW, counts=False)),
    )
    waiting = {number: (await deliveries(store, number))["a"].next_attempt_at for number in range(4)}
    assert sorted(waiting, key=waiting.get) == [3, 1, 2, 0]
