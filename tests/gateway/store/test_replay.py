"""What a person does with one event: replay it, discard it, erase it."""

import asyncio

import pytest

from gateway.model import Dead, Delivered, RetryAt
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, numbers, outcome

MINUTE = 60_000


async def finish_all(store, verdict, *, destination=A, now=NOW):
    while claims := await claim(store, destination, total=100, now=now):
        for one in claims:
            await finish(store, one, verdict, now=now)


@pytest.mark.parametrize("verdict", [Dead("horizon"), Delivered()], ids=["dead", "delivered"])
async def test_a_replay_makes_the_same_delivery_due_again_as_a_retry_with_a_fresh_schedule(store, verdict):
    await accept(store, event(1))
    await finish_all(store, verdict)
    assert await store.replay(event(1).id, [A], now=NOW + MINUTE) == [A]
    delivery = (await deliveries(store, 1))["a"]
    assert (delivery.state, delivery.next_attempt_at, delivery.dead_reason) == ("pending", NOW + MINUTE, None)
    (one,) = await claim(store, now=NOW + MINUTE)
    assert (one.event.id, one.attempt, one.tries, one.again) == (event(1).id, 2, 0, True)
    assert (one.queued_at, one.live_since) == (NOW + MINUTE, NOW + MINUTE)


async def test_a_replay_keeps_the_history_and_goes_on_counting(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW))
    await finish_all(store, Dead("horizon"))
    await store.replay(event(1).id, [A], now=NOW)
    await finish_all(store, Delivered())
    await store.replay(event(1).id, [A], now=NOW)
    await finish_all(store, Delivered())
    delivery = (await deliveries(store, 1))["a"]
    assert (delivery.state, delivery.attempts) == ("delivered", 4)
    assert [(one.number, one.outcome) for one in delivery.history] == [
        (1, "server_error"),
        (2, "server_error"),
        (3, "success"),
        (4, "success"),
    ]


async def test_a_replayed_delivery_joins_the_end_of_its_key(store):
    await accept(store, *(event(number, ordering_key="x") for number in (1, 2, 3)))
    (one,) = await claim(store)
    await finish(store, one, Dead("dead_on"))
    await store.replay(event(1).id, [A], now=NOW)
    assert (await deliveries(store, 1))["a"].next_attempt_at is None
    await accept(store, event(4, ordering_key="x"))
    went = []
    while claims := await claim(store):
        went += numbers(claims)
        await finish(store, claims[0], Delivered())
    assert went == [2, 3, 1, 4]


async def test_several_replayed_deliveries_keep_their_order_of_acceptance(store):
    await accept(store, *(event(number, ordering_key="x") for number in range(4)))
    await finish_all(store, Dead("dead_on"))
    for number in range(4):
        await store.replay(event(number).id, [A], now=NOW)
    went = []
    while claims := await claim(store):
        went += numbers(claims)
        await finish(store, claims[0], Delivered())
    assert went == [0, 1, 2, 3]


async def test_a_replay_leaves_what_is_pending_as_it_is(store):
    await accept(store, event(1, destinations=(A, B)))
    await finish_all(store, Dead("dead_on"), destination=B)
    (one,) = await claim(store)
    before = (await deliveries(store, 1))["a"]
    assert await store.replay(event(1).id, [A, B], now=NOW) == [B]
    assert (await deliveries(store, 1))["a"] == before
    assert (await finish(store, one, Delivered())).counted


async def test_two_replays_at_once_are_one(store):
    await accept(store, event(1))
    await finish_all(store, Dead("dead_on"))
    both = await asyncio.gather(*(store.replay(event(1).id, [A], now=NOW) for _ in range(2)))
    assert both == [[A], []]
    assert len(await claim(store)) == 1


async def test_a_replay_takes_only_the_destinations_that_it_names(store):
    await accept(store, event(1, destinations=(A, B)))
    await finish_all(store, Dead("dead_on"))
    await finish_all(store, Dead("dead_on"), destination=B)
    await store.replay(event(1).id, [B], now=NOW)
    assert {name: one.state for name, one in (await deliveries(store, 1)).items()} == {
        "a": "dead",
        "b": "pending",
    }


async def test_an_unrouted_event_is_routed_by_a_replay(store):
    await accept(store, event(1, destinations=(), ordering_key="x"))
    assert await store.replay(event(1).id, [A, B], now=NOW + MINUTE) == [A, B]
    assert (await store.event(event(1).id)).state == "pending"
    (one,) = await claim(store, now=NOW + MINUTE)
    assert (one.attempt, one.again, one.queued_at) == (1, True, NOW + MINUTE)
    assert one.event == event(1, destinations=(), ordering_key="x")


async def test_a_replay_can_add_a_destination_that_the_event_did_not_have(store):
    await accept(store, event(1), event(2, ordering_key="x", destinations=(B,)))
    await accept(store, event(3, ordering_key="x"))
    assert await store.replay(event(3).id, [B], now=NOW) == [B]
    assert set(await deliveries(store, 3)) == {"a", "b"}
    assert numbers(await claim(store, B)) == [2]  # the third waits at the end of its key


async def test_an_event_that_nobody_knows_is_replayed_nowhere(store):
    assert await store.replay(event(1).id, [A], now=NOW) == []
    assert await store.discard(event(1).id, now=NOW) == []
    await store.erase(event(1).id, now=NOW)


async def test_the_age_of_a_replayed_delivery_counts_from_the_replay(store):
    await accept(store, event(1))
    await finish_all(store, Dead("dead_on"))
    await store.replay(event(1).id, [A], now=NOW + MINUTE)
    assert (await store.stats()).oldest_pending == {A: NOW + MINUTE}


async def test_a_replay_while_the_destination_stands_still_waits_with_the_others(store):
    await accept(store, event(1))
    await finish_all(store, Dead("dead_on"))
    await store.set_standing(A, "pause", now=NOW)
    await store.replay(event(1).id, [A], now=NOW + 1000)
    await store.set_standing(A, "resume", now=NOW + 5000)
    (one,) = await claim(store, now=NOW + 5000)
    assert one.live_since == NOW + 5000


async def test_a_replayed_delivery_that_failed_before_its_order_wait_holds_its_key_back_again(store):
    await accept(store, event(1, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 1000), yields_at=NOW + 500)
    await finish_all(store, Dead("horizon"), now=NOW + 1000)
    await store.replay(event(1).id, [A], now=NOW + 2000)
    await accept(store, event(2, ordering_key="x", received_at=NOW + 2000))
    assert numbers(await claim(store, now=NOW + 2000)) == [1]


async def test_a_discarded_delivery_is_dead_and_says_why(store):
    await accept(store, event(1, destinations=(A, B)))
    await finish_all(store, Delivered(), destination=B)
    assert await store.discard(event(1).id, now=NOW) == [A]
    found = await deliveries(store, 1)
    assert (found["a"].state, found["a"].dead_reason, found["a"].next_attempt_at) == (
        "dead",
        "discarded",
        None,
    )
    assert found["b"].state == "delivered"
    assert await claim(store, now=NOW + 10**9) == []
    assert await store.discard(event(1).id, now=NOW) == []


async def test_a_delivery_is_discarded_also_while_an_attempt_is_under_way_which_stays_in_its_history(store):
    await accept(store, event(1))
    await claim(store)
    assert await store.discard(event(1).id, now=NOW + 40) == [A]
    delivery = (await deliveries(store, 1))["a"]
    assert delivery.state == "dead"
    assert [(one.number, one.outcome, one.duration_ms) for one in delivery.history] == [
        (1, "interrupted", 40)
    ]
    assert await store.end_leases(now=NOW + 10**9) == 0


@pytest.mark.parametrize("under_way", [True, False])
async def test_a_discard_releases_the_key(store, under_way):
    await accept(store, *(event(number, ordering_key="x", destinations=(A, B)) for number in (1, 2)))
    if under_way:
        await claim(store)
    await store.discard(event(1).id, now=NOW)
    assert numbers(await claim(store)) == [2]
    assert numbers(await claim(store, B)) == [2]


async def test_a_discard_in_the_middle_of_a_key_releases_nothing(store):
    await accept(store, *(event(number, ordering_key="x") for number in (1, 2, 3)))
    (one,) = await claim(store)
    await store.discard(event(2).id, now=NOW)
    assert await claim(store) == []
    await finish(store, one, Delivered())
    assert numbers(await claim(store)) == [3]


async def test_a_discard_in_the_middle_of_a_key_leaves_the_first_ones_schedule_alone(store):
    await accept(store, *(event(number, ordering_key="x") for number in (1, 2)))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + MINUTE))
    await store.discard(event(2).id, now=NOW + 1000)
    assert await claim(store, now=NOW + MINUTE - 1) == []
    (again,) = await claim(store, now=NOW + MINUTE)
    assert again.live_since == NOW


async def test_a_discarded_delivery_can_be_replayed(store):
    await accept(store, event(1))
    await store.discard(event(1).id, now=NOW)
    assert await store.replay(event(1).id, [A], now=NOW) == [A]
    assert numbers(await claim(store)) == [1]


async def test_erasing_takes_the_content_and_keeps_ids_and_digest(store):
    secret = event(1, body=b"private", ordering_key="x")
    await accept(store, secret)
    (one,) = await claim(store)
    answer = outcome("server_error", response=b"private answer")
    await store.record(one, answer, Dead("horizon"), now=NOW, yields_at=None)
    await store.erase(secret.id, now=NOW + 5)
    found = await store.event(secret.id)
    assert found.erased_at == NOW + 5
    webhook = found.event.webhook
    assert (webhook.body, webhook.query, webhook.headers) == (b"", b"", ())
    assert (found.event.body_sha256, found.event.dedupe_key, found.event.ordering_key) == (
        secret.body_sha256,
        "msg_1",
        "x",
    )
    (attempt,) = found.deliveries[0].history
    assert (attempt.outcome, attempt.response) == ("server_error", b"")


async def test_erasing_discards_what_is_pending_and_releases_its_key(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (late,) = await claim(store)
    assert await store.erase(event(1).id, now=NOW) == [A]
    assert (await deliveries(store, 1))["a"].dead_reason == "discarded"
    assert numbers(await claim(store)) == [2]
    assert not (await finish(store, late, Delivered())).counted


async def test_erasing_twice_keeps_the_first_time(store):
    await accept(store, event(1))
    await store.erase(event(1).id, now=NOW)
    await store.erase(event(1).id, now=NOW + 5)
    assert (await store.event(event(1).id)).erased_at == NOW


async def test_an_erased_event_is_never_sent_again_and_still_known_as_a_duplicate(store):
    await accept(store, event(1))
    await store.erase(event(1).id, now=NOW)
    assert await store.replay(event(1).id, [A, B], now=NOW) == []
    assert await claim(store, now=NOW + 10**9) == []
    (again,) = await accept(store, event(1))
    assert again.status == "duplicate"
