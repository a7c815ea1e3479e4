"""Replays of many events: taken page by page, fenced by their cursor, counted in events."""

from dataclasses import replace

import pytest

from gateway.config import Retention
from gateway.model import Dead, Delivered, ReplayId
from gateway.store import EventFilter, Queueing, ReplayRecord
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, number_of, numbers

DAY = 86_400_000
DEAD = EventFilter(state="dead")


async def finish_all(store, verdict, *, destination=A):
    while claims := await claim(store, destination, total=100):
        for one in claims:
            await finish(store, one, verdict)


async def accept_dead(store, *events):
    await accept(store, *events)
    await finish_all(store, Dead("horizon"))
    await finish_all(store, Dead("horizon"), destination=B)


async def begin(store, where=DEAD, *, name="rpl_1", created_at=NOW):
    """As a person's request does it."""
    matched = await store.count(where)
    replay = ReplayRecord(
        id=ReplayId(name),
        created_at=created_at,
        where=where,
        rate_per_second=0.0,
        last_seq=matched.newest_seq,
        matched=matched.count,
    )
    await store.begin_replay(replay)
    return replay


def step_of(page, *, last, destinations=(A,)):
    return Queueing(
        events=[(record.event.id, destinations) for record in page],
        cursor=page[-1].seq if page else 0,
        last=last,
    )


async def queue_all(store, replay, *, limit=100, destinations=(A,)):
    """Page by page, as the dispatcher does it; what the store says of it then."""
    last = False
    while not last:
        current = await store.find_replay(replay.id)
        page = await store.replay_page(current, limit=limit)
        last = len(page) < limit
        step = step_of(page, last=last, destinations=destinations)
        assert await store.queue_replay(current, step, now=NOW)
    return await store.find_replay(replay.id)


def counts(replay):
    return replay.matched, replay.queued, replay.done, replay.failed, replay.state


async def test_what_matches_is_counted_before_anything_is_queued(store):
    await accept_dead(store, *(event(number) for number in range(3)))
    await accept(store, event(10, destinations=()))
    matched = await store.count(DEAD)
    newest = (await store.events(EventFilter(), before=None, limit=1))[0]
    assert (matched.count, matched.newest_seq) == (3, newest.seq)
    assert await claim(store) == []


async def test_of_an_empty_store_nothing_matches(store):
    matched = await store.count(EventFilter())
    assert (matched.count, matched.newest_seq) == (0, 0)


async def test_a_replay_is_kept_as_it_was_asked_for(open_store):
    where = EventFilter("producer", A, "dead", "thing.*", "x", NOW - 5, NOW + 5)
    replay = ReplayRecord(
        id=ReplayId("rpl_1"), created_at=NOW, where=where, rate_per_second=2.5, last_seq=7, matched=3
    )
    async with open_store() as store:
        await store.begin_replay(replay)
    async with open_store() as store:
        assert await store.find_replay(ReplayId("rpl_1")) == replay
        assert await store.find_replay(ReplayId("rpl_2")) is None


async def test_a_page_is_in_order_of_acceptance_with_content_and_goes_on_after_the_cursor(store):
    await accept_dead(store, *(event(number) for number in range(5)))
    replay = await begin(store)
    first = await store.replay_page(replay, limit=2)
    assert [number_of(record.event.id) for record in first] == [0, 1]
    assert first[0].event.webhook == event(0).webhook
    assert [one.destination for one in first[0].deliveries] == ["a"]
    rest = await store.replay_page(replace(replay, cursor=first[-1].seq), limit=10)
    assert [number_of(record.event.id) for record in rest] == [2, 3, 4]


async def test_a_replay_takes_no_event_that_was_accepted_after_it_was_asked_for(store):
    await accept_dead(store, event(1))
    replay = await begin(store)
    await accept_dead(store, event(2))
    assert [number_of(one.event.id) for one in await store.replay_page(replay, limit=10)] == [1]


async def test_what_a_page_holds_matches_the_filter(store):
    await accept_dead(
        store, event(1, type="one"), event(2, type="two"), event(3, type="one", ordering_key="k")
    )
    replay = await begin(store, EventFilter(type="one", key="k"))
    assert replay.matched == 1
    assert [number_of(one.event.id) for one in await store.replay_page(replay, limit=10)] == [3]


async def test_queued_events_are_due_and_the_replay_is_done_when_they_are_delivered(store):
    await accept_dead(store, *(event(number) for number in range(5)))
    queued = await queue_all(store, await begin(store), limit=2)
    assert counts(queued) == (5, 5, 0, 0, "running")
    assert (await store.stats()).replay_remaining == 5
    for left, one in enumerate(await claim(store)):
        assert one.again
        await finish(store, one, Delivered())
        assert (await store.stats()).replay_remaining == (4 - left)
    assert counts(await store.find_replay(queued.id)) == (5, 5, 5, 0, "done")


async def test_several_events_of_a_key_are_replayed_in_order_of_acceptance(store):
    await accept_dead(store, *(event(number, ordering_key="x") for number in range(4)))
    await queue_all(store, await begin(store), limit=3)
    went = []
    while claims := await claim(store):
        went += numbers(claims)
        await finish(store, claims[0], Delivered())
    assert went == [0, 1, 2, 3]


@pytest.mark.parametrize("late", ["an earlier cursor", "a cancelled replay", "a replay that is over"])
async def test_a_step_that_somebody_else_has_made_or_that_is_not_wanted_any_more_changes_nothing(store, late):
    await accept_dead(store, event(1), event(2))
    replay = await begin(store)
    page = await store.replay_page(replay, limit=1)
    if late == "an earlier cursor":
        assert await store.queue_replay(replay, step_of(page, last=False), now=NOW)
    elif late == "a cancelled replay":
        await store.cancel_replay(replay.id)
    else:
        await queue_all(store, replay)
        await finish_all(store, Delivered())
    before = await store.find_replay(replay.id), await store.event(event(1).id)
    assert not await store.queue_replay(replay, step_of(page, last=False), now=NOW + 5)
    assert (await store.find_replay(replay.id), await store.event(event(1).id)) == before


async def test_a_cancelled_replay_queues_no_more_and_what_is_queued_is_delivered_and_counted(store):
    await accept_dead(store, event(1), event(2))
    replay = await begin(store)
    page = await store.replay_page(replay, limit=1)
    await store.queue_replay(replay, step_of(page, last=False), now=NOW)
    await store.cancel_replay(replay.id)
    await finish_all(store, Delivered())
    assert counts(await store.find_replay(replay.id)) == (2, 1, 1, 0, "cancelled")
    assert (await deliveries(store, 2))["a"].state == "dead"
    assert (await store.stats()).replay_remaining == 0


async def test_cancelling_what_is_over_or_unknown_changes_nothing(store):
    replay = await begin(store)
    done = await queue_all(store, replay)
    await store.cancel_replay(replay.id)
    await store.cancel_replay(ReplayId("rpl_other"))
    assert await store.find_replay(replay.id) == done
    assert done.state == "done"


async def test_an_event_of_several_destinations_counts_once_and_only_when_all_are_over(store):
    await accept_dead(store, event(1, destinations=(A, B)))
    replay = await begin(store)
    await queue_all(store, replay, destinations=(A, B))
    await finish_all(store, Delivered())
    assert counts(await store.find_replay(replay.id)) == (1, 1, 0, 0, "running")
    await finish_all(store, Delivered(), destination=B)
    assert counts(await store.find_replay(replay.id)) == (1, 1, 1, 0, "done")


@pytest.mark.parametrize("order", [(A, B), (B, A)], ids=["dead first", "dead last"])
async def test_an_event_of_which_one_delivery_dies_again_has_failed(store, order):
    await accept_dead(store, event(1, destinations=(A, B)))
    replay = await begin(store)
    await queue_all(store, replay, destinations=(A, B))
    for destination in order:
        verdict = Dead("horizon") if destination == A else Delivered()
        await finish_all(store, verdict, destination=destination)
    assert counts(await store.find_replay(replay.id)) == (1, 1, 0, 1, "done")


async def test_a_discarded_event_of_a_replay_has_failed(store):
    await accept_dead(store, event(1))
    replay = await begin(store)
    await queue_all(store, replay)
    await store.discard(event(1).id, now=NOW)
    assert counts(await store.find_replay(replay.id)) == (1, 1, 0, 1, "done")


async def test_an_event_that_cannot_be_replayed_has_failed(store):
    await accept_dead(store, event(1), event(2))
    await accept(store, event(3, destinations=()))
    replay = await begin(store, EventFilter())
    await store.erase(event(1).id, now=NOW)
    page = await store.replay_page(replay, limit=10)
    assert [record.erased_at for record in page] == [NOW, None, None]
    wanted = {event(1).id: (A,), event(2).id: (A,), event(3).id: ()}
    step = Queueing([(one.event.id, wanted[one.event.id]) for one in page], cursor=page[-1].seq, last=True)
    await store.queue_replay(replay, step, now=NOW)
    assert counts(await store.find_replay(replay.id)) == (3, 3, 0, 2, "running")
    await finish_all(store, Delivered())
    assert counts(await store.find_replay(replay.id)) == (3, 3, 1, 2, "done")


async def test_an_event_that_is_pending_anyway_needs_no_replay(store):
    await accept(store, event(1))
    replay = await begin(store, EventFilter(state="pending"))
    before = await store.event(event(1).id)
    assert counts(await queue_all(store, replay)) == (1, 1, 1, 0, "done")
    assert await store.event(event(1).id) == before


async def test_events_that_were_gone_when_their_turn_came_are_no_part_of_it(store):
    await accept_dead(store, event(1), event(2))
    replay = await begin(store)
    await store.replay(event(1).id, [A], now=NOW)  # by hand: it is dead no more
    await finish_all(store, Delivered())
    assert counts(await queue_all(store, replay)) == (1, 1, 0, 0, "running")
    await finish_all(store, Delivered())
    assert counts(await store.find_replay(replay.id)) == (1, 1, 1, 0, "done")


async def test_a_replay_of_nothing_is_done_with_its_first_step(store):
    assert counts(await queue_all(store, await begin(store))) == (0, 0, 0, 0, "done")


async def test_a_replay_of_which_all_were_over_before_the_last_step_is_done_with_it(store):
    await accept_dead(store, event(1), event(2))
    await accept(store, event(3, destinations=()))
    replay = await begin(store)
    page = await store.replay_page(replay, limit=10)
    await store.queue_replay(replay, step_of(page, last=False), now=NOW)
    await finish_all(store, Delivered())
    assert counts(await queue_all(store, replay)) == (2, 2, 2, 0, "done")


async def test_a_replay_that_got_to_its_last_event_needs_no_further_step(store):
    await accept_dead(store, event(1), event(2))
    replay = await begin(store)
    page = await store.replay_page(replay, limit=2)
    await store.queue_replay(replay, step_of(page, last=False), now=NOW)
    await finish_all(store, Delivered())
    assert counts(await store.find_replay(replay.id)) == (2, 2, 2, 0, "done")


async def test_a_delivery_that_was_replayed_by_hand_since_counts_for_no_earlier_replay(store):
    await accept_dead(store, event(1))
    replay = await begin(store)
    await queue_all(store, replay)
    await finish_all(store, Dead("horizon"))
    failed = await store.find_replay(replay.id)
    await store.replay(event(1).id, [A], now=NOW)
    await finish_all(store, Delivered())
    assert await store.find_replay(replay.id) == failed
    assert counts(failed) == (1, 1, 0, 1, "done")


async def test_two_replays_count_their_own_events(store):
    await accept_dead(store, event(1, type="one"), event(2, type="two"))
    one = await begin(store, EventFilter(type="one"), name="rpl_1")
    two = await begin(store, EventFilter(type="two"), name="rpl_2", created_at=NOW + 1)
    await queue_all(store, one)
    await queue_all(store, two)
    first, second = await claim(store)
    await finish(store, first, Delivered())
    await finish(store, second, Dead("horizon"))
    assert counts(await store.find_replay(one.id)) == (1, 1, 1, 0, "done")
    assert counts(await store.find_replay(two.id)) == (1, 1, 0, 1, "done")


async def test_replays_are_listed_oldest_first_and_by_state(store):
    newer = await begin(store, name="rpl_1", created_at=NOW + 1)
    older = await begin(store, name="rpl_2", created_at=NOW)
    assert [one.id for one in await store.replays()] == [older.id, newer.id]
    await store.cancel_replay(older.id)
    assert [one.id for one in await store.replays(state="running")] == [newer.id]
    assert [one.id for one in await store.replays(state="cancelled")] == [older.id]


async def test_a_replay_goes_on_where_it_was_when_the_store_is_opened_again(open_store):
    async with open_store() as store:
        await accept_dead(store, *(event(number) for number in range(3)))
        replay = await begin(store)
        page = await store.replay_page(replay, limit=2)
        await store.queue_replay(replay, step_of(page, last=False), now=NOW)
    async with open_store() as store:
        (current,) = await store.replays(state="running")
        assert [number_of(one.event.id) for one in await store.replay_page(current, limit=10)] == [2]
        await queue_all(store, current)
        await finish_all(store, Delivered())
        assert counts(await store.find_replay(replay.id)) == (3, 3, 3, 0, "done")


async def test_pruning_keeps_a_replay_that_runs_and_takes_the_others_with_the_dead(store):
    running = await begin(store, name="rpl_1")
    over = await begin(store, name="rpl_2")
    await store.cancel_replay(over.id)
    await store.prune(Retention(dead_days=30), now=NOW + 30 * DAY, limit=100)
    assert await store.find_replay(over.id) is not None
    await store.prune(Retention(dead_days=30), now=NOW + 30 * DAY + 1, limit=100)
    assert [one.id for one in await store.replays()] == [running.id]
