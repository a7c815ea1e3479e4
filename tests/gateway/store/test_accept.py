"""One event for a webhook however often it comes, kept as it came."""

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.model import Dead, Delivered
from gateway.store import EventFilter
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, numbers


async def test_a_repeated_webhook_is_a_duplicate_with_the_first_ones_id(store):
    first, second = await accept(store, event(1), replace(event(1), id=event(2).id))
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert second.event_id == first.event_id == event(1).id
    assert await store.event(event(2).id) is None


async def test_duplicates_at_the_same_moment_yield_one_event_and_one_id(store):
    copies = [replace(event(1), id=event(100 + number).id) for number in range(50)]
    accepted = await accept(store, *copies)
    assert sorted(one.status for one in accepted) == ["accepted"] + ["duplicate"] * 49
    assert len({one.event_id for one in accepted}) == 1
    assert len(await claim(store, total=100)) == 1


async def test_duplicates_of_many_webhooks_at_the_same_moment_yield_one_event_each(store):
    copies = [
        replace(event(number), id=event(1000 * copy + number).id)
        for copy in range(1, 9)
        for number in range(20)
    ]
    accepted = await accept(store, *copies)
    assert len({one.event_id for one in accepted}) == 20
    assert (await store.count(EventFilter())).count == 20


async def test_a_known_key_with_another_body_is_a_new_event_and_marked(store):
    await accept(store, event(1))
    (reused,) = await accept(store, event(2, dedupe_key="msg_1"))
    assert (reused.status, reused.id_reused, reused.event_id) == ("accepted", True, event(2).id)


async def test_both_bodies_of_a_reused_key_are_known_from_then_on(store):
    await accept(store, event(1), event(2, dedupe_key="msg_1"))
    again = await accept(
        store, replace(event(1), id=event(3).id), replace(event(2), dedupe_key="msg_1", id=event(4).id)
    )
    assert [(one.status, one.event_id) for one in again] == [
        ("duplicate", event(1).id),
        ("duplicate", event(2).id),
    ]


async def test_a_known_key_with_another_body_is_a_duplicate_where_the_source_says_so(store):
    await accept(store, event(1))
    (repeated,) = await accept(store, event(2, dedupe_key="msg_1"), same_id_is_duplicate=True)
    assert (repeated.status, repeated.event_id, repeated.id_reused) == ("duplicate", event(1).id, False)


async def test_the_same_key_of_another_source_is_no_duplicate(store):
    _, other = await accept(store, event(1), replace(event(1), id=event(2).id, source="other"))
    assert (other.status, other.id_reused) == ("accepted", False)


async def test_without_a_dedupe_key_nothing_is_a_duplicate(store):
    accepted = await accept(store, event(1, dedupe_key=None), event(2, dedupe_key=None, body=b'{"n": 1}'))
    assert [one.status for one in accepted] == ["accepted", "accepted"]


async def test_an_event_that_nobody_wants_is_kept_as_unrouted(store):
    (accepted,) = await accept(store, event(1, destinations=()))
    assert accepted.status == "unrouted"
    record = await store.event(event(1).id)
    assert record.state == "unrouted"
    assert record.event.webhook == event(1).webhook


async def test_a_repeated_unrouted_webhook_is_a_duplicate(store):
    _, again = await accept(
        store, event(1, destinations=()), replace(event(1), id=event(2).id, destinations=(A,))
    )
    assert (again.status, again.event_id) == ("duplicate", event(1).id)


async def test_headers_query_and_body_are_kept_byte_for_byte(store):
    webhook = replace(
        event(1).webhook,
        headers=((b"X-Odd", b"\xff\x01"), (b"x-odd", b"twice"), (b"", b"")),
        query=b"a=%00&b=\xfe",
        body=bytes(range(256)) * 100,
    )
    await accept(store, event(1, webhook=webhook))
    assert (await store.event(event(1).id)).event.webhook == webhook
    (one,) = await claim(store)
    assert one.event.webhook == webhook


@pytest.mark.parametrize("authenticated", [True, False])
async def test_whether_the_body_was_authenticated_is_kept_and_claimed(store, authenticated):
    await accept(store, event(1, body_authenticated=authenticated))
    assert (await store.event(event(1).id)).event.body_authenticated is authenticated
    (one,) = await claim(store)
    assert one.event.body_authenticated is authenticated


async def test_every_destination_gets_its_own_delivery(store):
    await accept(store, event(1, destinations=(A, B)))
    (for_a,), (for_b,) = await claim(store, A), await claim(store, B)
    await finish(store, for_a, Delivered())
    await finish(store, for_b, Dead("dead_on"))
    found = await deliveries(store, 1)
    assert [(name, one.state, one.dead_reason) for name, one in found.items()] == [
        ("a", "delivered", None),
        ("b", "dead", "dead_on"),
    ]
    assert (await store.event(event(1).id)).state == "dead"


async def test_what_was_accepted_is_there_when_the_store_is_opened_again(open_store):
    async with open_store() as store:
        await accept(store, event(1, destinations=(A, B), ordering_key="x"), event(2, ordering_key="x"))
    async with open_store() as store:
        (repeated,) = await accept(store, replace(event(1), id=event(3).id))
        assert (repeated.status, repeated.event_id) == ("duplicate", event(1).id)
        (one,) = await claim(store)
        assert (one.event, one.queued_at) == (event(1, ordering_key="x", destinations=()), NOW)
        assert numbers(await claim(store, B)) == [1]


async def test_a_caller_that_goes_away_does_not_undo_what_it_asked_for(store):
    asked = asyncio.ensure_future(store.accept(event(1), same_id_is_duplicate=False))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    (again,) = await accept(store, replace(event(1), id=event(2).id))
    assert (again.status, again.event_id) == ("duplicate", event(1).id)


async def test_a_closed_store_says_so(open_store):
    async with open_store() as store:
        pass
    for call in (store.ping(), store.stats(), store.accept(event(1), same_id_is_duplicate=False)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


async def test_closing_finishes_what_was_begun(open_store):
    async with open_store() as store:
        begun = [
            asyncio.ensure_future(store.accept(event(number), same_id_is_duplicate=False))
            for number in range(50)
        ]
        await asyncio.sleep(0)
    assert [(await one).status for one in begun] == ["accepted"] * 50
