"""Lists, counts and figures say what is stored, and change nothing."""

import pytest

from gateway.model import Dead, Delivered, ReplayId
from gateway.store import EventFilter, ReplayRecord
from tests.support.store import NOW, A, B, accept, claim, deliveries, event, finish, number_of

FILTERS = [
    (EventFilter(), [6, 5, 4, 3, 2, 1]),
    (EventFilter(source="producer"), [6, 4, 3, 2, 1]),
    (EventFilter(source="other"), [5]),
    (EventFilter(source="nobody"), []),
    (EventFilter(destination="b"), [6, 2]),
    (EventFilter(type="one"), [1]),
    (EventFilter(key="k"), [4, 1]),
    (EventFilter(state="unrouted"), [3]),
    (EventFilter(state="pending"), [6, 5]),
    (EventFilter(state="dead"), [2]),
    (EventFilter(state="delivered"), [4, 1]),
    (EventFilter(state="no such state"), []),
    (EventFilter(since=NOW + 4), [6, 5, 4]),
    (EventFilter(until=NOW + 4), [3, 2, 1]),
    (EventFilter(since=NOW + 2, until=NOW + 5), [4, 3, 2]),
    (EventFilter(state="dead", destination="b"), [2]),
    (EventFilter(state="delivered", type="one", key="k", source="producer"), [1]),
    (EventFilter(state="pending", type="one"), []),
]

OF_ONE = [
    ("dead", "a", [7]),
    ("dead", "b", [2]),
    ("pending", "a", [5]),
    ("pending", "b", [7, 6]),
    ("delivered", "a", [6, 4, 2, 1]),
    ("delivered", "b", []),
    ("unrouted", "a", []),
    ("pending", "nobody", []),
]


@pytest.fixture
async def filled(store):
    """1 and 4 delivered, 2 delivered and dead, 3 unrouted, 5 and half of 6 pending."""
    await accept(
        store,
        event(1, type="one", ordering_key="k", received_at=NOW + 1),
        event(2, destinations=(A, B), received_at=NOW + 2),
        event(3, destinations=(), type=None, received_at=NOW + 3),
        event(4, ordering_key="k", received_at=NOW + 4),
        event(5, source="other", received_at=NOW + 5),
        event(6, destinations=(A, B), received_at=NOW + 6),
    )
    for destination in (A, B):
        while claims := await claim(store, destination, now=NOW + 10):
            for one in claims:
                number = number_of(one.event.id)
                if (number, destination) in {(5, A), (6, B)}:
                    continue
                verdict = Dead("horizon") if (number, destination) == (2, B) else Delivered()
                await finish(store, one, verdict, now=NOW + 10)
    return store


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[str(where) for where, _ in FILTERS])
async def test_a_list_and_a_count_hold_what_the_filter_says_newest_first(filled, where, expected):
    found = await filled.events(where, before=None, limit=100)
    assert [number_of(record.event.id) for record in found] == expected
    assert (await filled.count(where)).count == len(expected)


@pytest.mark.parametrize(("state", "destination", "expected"), OF_ONE)
async def test_with_a_destination_the_state_is_that_of_its_delivery_alone(
    filled, state, destination, expected
):
    await accept(filled, event(7, destinations=(A, B), received_at=NOW + 7))
    (one,) = await claim(filled, A, now=NOW + 10)
    await finish(filled, one, Dead("horizon"), now=NOW + 10)
    where = EventFilter(state=state, destination=destination)
    found = await filled.events(where, before=None, limit=100)
    assert [number_of(record.event.id) for record in found] == expected
    matched = await filled.count(where)
    assert (matched.count, matched.newest_seq) == (len(expected), 7)
    replay = ReplayRecord(ReplayId("rpl_1"), NOW, where, 0.0, matched.newest_seq, matched.count)
    page = await filled.replay_page(replay, limit=100)
    assert [number_of(record.event.id) for record in page] == expected[::-1]


async def test_an_events_state_is_that_of_its_deliveries(filled):
    found = await filled.events(EventFilter(), before=None, limit=100)
    assert {number_of(one.event.id): one.state for one in found} == {
        1: "delivered",
        2: "dead",
        3: "unrouted",
        4: "delivered",
        5: "pending",
        6: "pending",
    }


@pytest.mark.parametrize(
    "where", [EventFilter(), EventFilter(destination="a"), EventFilter(state="delivered")]
)
async def test_pages_join_without_gap_or_repetition_while_events_arrive(filled, where):
    whole = [one.seq for one in await filled.events(where, before=None, limit=100)]
    joined, before = [], None
    while page := await filled.events(where, before=before, limit=2):
        assert len(page) <= 2
        joined += [one.seq for one in page]
        before = page[-1].seq
        await accept(filled, event(100 + len(joined)))
    assert joined == whole


async def test_a_list_carries_no_content_and_no_attempts(filled):
    (record,) = await filled.events(EventFilter(type="one"), before=None, limit=1)
    webhook = record.event.webhook
    assert (webhook.body, webhook.query, webhook.headers) == (b"", b"", ())
    assert record.deliveries[0].attempts == 1
    assert record.deliveries[0].history == ()


async def test_one_event_carries_everything(filled):
    record = await filled.event(event(1).id)
    assert record.event == event(1, type="one", ordering_key="k", received_at=NOW + 1, destinations=())
    assert [one.outcome for one in record.deliveries[0].history] == ["success"]
    assert await filled.event(event(99).id) is None


async def test_counts_follow_every_change_of_state(filled):
    counted = (await filled.stats()).deliveries
    assert {key: number for key, number in counted.items() if number} == {
        ("a", "delivered"): 4,
        ("a", "pending"): 1,
        ("b", "dead"): 1,
        ("b", "pending"): 1,
    }
    await filled.replay(event(2).id, [B], now=NOW + 20)
    await filled.discard(event(5).id, now=NOW + 20)
    counted = (await filled.stats()).deliveries
    assert {key: number for key, number in counted.items() if number} == {
        ("a", "delivered"): 4,
        ("a", "dead"): 1,
        ("b", "pending"): 2,
    }


async def test_the_oldest_pending_is_known_for_each_destination_that_has_one(filled):
    assert (await filled.stats()).oldest_pending == {"a": NOW + 5, "b": NOW + 6}
    await filled.discard(event(5).id, now=NOW + 20)
    assert (await filled.stats()).oldest_pending == {"b": NOW + 6}


async def test_figures_of_the_disk_are_those_of_the_disk(filled):
    stats = await filled.stats()
    assert stats.size_bytes > 0
    assert stats.free_bytes > stats.needed_free_bytes > 0


async def test_a_delivery_that_waits_for_its_key_has_no_next_attempt(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    assert (await deliveries(store, 1))["a"].next_attempt_at == NOW
    assert (await deliveries(store, 2))["a"].next_attempt_at is None


async def test_a_store_that_works_answers(store):
    await store.ping()
