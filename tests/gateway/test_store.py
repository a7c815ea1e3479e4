"""What the store promises: one event for a webhook however often it comes, order per key, leases that fence."""

import asyncio
import json
import sqlite3
import threading
from dataclasses import replace

import pytest

from gateway.config import Retention
from gateway.errors import StoreUnavailable, StoreUnusable
from gateway.model import Dead, Delivered, RetryAt
from gateway.store import EventFilter
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.writer import MAX_GROUP, MAX_WAITING
from tests.support.store import LEASE, NOW, A, B, event, open_store, outcome, rows

DAY = 86_400_000


async def accept(store, *events, same_id_is_duplicate=False):
    return [await store.accept(one, same_id_is_duplicate=same_id_is_duplicate) for one in events]


async def claim(store, destination=A, *, limit=10, now=NOW, lease_until=LEASE):
    return (await store.claim(destination, limit=limit, now=now, lease_until=lease_until)).claims


async def finish(store, one, verdict, *, kind="success", now=NOW, yields_at=None):
    return await store.record(one, outcome(kind), verdict, now=now, yields_at=yields_at)


def ids(claims):
    return [one.event.id for one in claims]


@pytest.fixture
async def store(tmp_path):
    async with open_store(tmp_path / "gateway.db") as opened:
        yield opened


async def test_a_repeated_webhook_is_a_duplicate_with_the_first_ones_id(store):
    first, second = await accept(store, event(1), replace(event(1), id=event(2).id))
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert second.event_id == first.event_id == event(1).id


async def test_duplicates_at_the_same_moment_yield_one_event(store):
    copies = [replace(event(1), id=event(100 + number).id) for number in range(50)]
    accepted = await asyncio.gather(*(store.accept(one, same_id_is_duplicate=False) for one in copies))
    assert [one.status for one in accepted].count("accepted") == 1
    assert len({one.event_id for one in accepted}) == 1
    assert len(await claim(store)) == 1


async def test_a_known_key_with_another_body_is_a_new_event_and_marked(store):
    await accept(store, event(1))
    (reused,) = await accept(store, event(2, dedupe_key="msg_1"))
    assert (reused.status, reused.id_reused, reused.event_id) == ("accepted", True, event(2).id)


async def test_a_known_key_with_another_body_is_a_duplicate_where_the_source_says_so(store):
    await accept(store, event(1))
    (repeated,) = await accept(store, event(2, dedupe_key="msg_1"), same_id_is_duplicate=True)
    assert (repeated.status, repeated.event_id) == ("duplicate", event(1).id)


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
    assert record.event.webhook.body == b'{"n": 1}'


async def test_headers_query_and_body_are_kept_byte_for_byte(store):
    webhook = replace(
        event(1).webhook,
        headers=((b"X-Odd", b"\xff\x01"), (b"x-odd", b"twice")),
        query=b"a=%00&b=\xfe",
        body=b"\x00\xff",
    )
    await accept(store, event(1, webhook=webhook))
    assert (await store.event(event(1).id)).event.webhook == webhook


async def test_every_destination_gets_its_own_delivery(store):
    await accept(store, event(1, destinations=(A, B)))
    (for_a,), (for_b,) = await claim(store, A), await claim(store, B)
    await finish(store, for_a, Delivered())
    await finish(store, for_b, Dead("dead_on"), kind="client_error")
    record = await store.event(event(1).id)
    assert [(one.destination, one.state, one.dead_reason) for one in record.deliveries] == [
        ("a", "delivered", None),
        ("b", "dead", "dead_on"),
    ]
    assert record.state == "dead"


async def test_one_key_goes_out_one_at_a_time_in_order_and_other_keys_do_not_wait(store):
    await accept(
        store, *(event(n, ordering_key="x") for n in (1, 2, 3)), event(4, ordering_key="y"), event(5)
    )
    first = await claim(store)
    assert ids(first) == [event(1).id, event(4).id, event(5).id]
    assert await claim(store) == []
    assert (await finish(store, first[0], Delivered())).released
    second = await claim(store)
    assert ids(second) == [event(2).id]
    await finish(store, second[0], Dead("dead_on"), kind="client_error")
    assert ids(await claim(store)) == [event(3).id]


async def test_a_failing_delivery_holds_back_its_key_until_it_is_over(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 60_000), kind="server_error")
    assert await claim(store, now=NOW + 59_999, lease_until=NOW + 90_000) == []
    (again,) = await claim(store, now=NOW + 60_000, lease_until=NOW + 90_000)
    assert (again.event.id, again.attempt) == (event(1).id, 2)


async def test_after_its_order_wait_a_failing_delivery_lets_the_next_of_its_key_pass_one_at_a_time(store):
    await accept(store, *(event(n, ordering_key="x") for n in (1, 2, 3)))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 60_000), kind="server_error", yields_at=NOW + 5000)
    assert await claim(store, now=NOW + 4999, lease_until=LEASE) == []
    (two,) = await claim(store, now=NOW + 5000, lease_until=LEASE + 60_000)
    assert two.event.id == event(2).id
    assert await claim(store, now=NOW + 60_000, lease_until=LEASE + 60_000) == []
    await finish(store, two, Delivered(), now=NOW + 60_000)
    both = await claim(store, now=NOW + 60_000, lease_until=LEASE + 60_000)
    assert ids(both) in ([event(1).id], [event(3).id])


async def test_the_next_look_is_when_something_becomes_due_or_yields(store):
    await accept(store, event(1, ordering_key="x"), event(2, ordering_key="x"))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW + 60_000), kind="server_error", yields_at=NOW + 5000)
    looked = await store.claim(A, limit=10, now=NOW, lease_until=LEASE)
    assert looked.next_at == NOW + 5000


async def test_a_claim_takes_no_more_than_its_limit(store):
    await accept(store, *(event(n) for n in range(5)))
    assert len(await claim(store, limit=2)) == 2
    assert len(await claim(store, limit=10)) == 3


async def test_a_late_result_of_a_lost_lease_changes_nothing(store):
    await accept(store, event(1))
    (lost,) = await claim(store)
    (taken_over,) = await claim(store, now=LEASE, lease_until=LEASE + 30_000)
    assert (taken_over.attempt, lost.attempt) == (2, 1)
    assert not (await finish(store, lost, Delivered())).counted
    assert (await store.event(event(1).id)).state == "pending"
    assert (await finish(store, taken_over, Delivered())).counted


async def test_a_result_counts_once(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    assert (await finish(store, one, RetryAt(NOW + 1), kind="server_error")).counted
    assert not (await finish(store, one, Delivered())).counted


async def test_every_attempt_is_in_the_history_also_the_one_that_was_cut_off(store):
    await accept(store, event(1))
    (one,) = await claim(store)
    await finish(store, one, RetryAt(NOW), kind="server_error")
    (two,) = await claim(store)
    await store.give_back([two], now=NOW + 40)
    (three,) = await claim(store)
    await finish(store, three, Delivered())
    (delivery,) = (await store.event(event(1).id)).deliveries
    history = [(one.number, one.outcome, one.status) for one in delivery.history]
    assert history == [(1, "server_error", 500), (2, "interrupted", None), (3, "success", 200)]


async def test_at_its_start_a_store_takes_the_leases_of_a_dead_process_back(tmp_path):
    async with open_store(tmp_path / "gateway.db") as store:
        await accept(store, event(1))
        await claim(store)
    async with open_store(tmp_path / "gateway.db", now=NOW + 10) as store:
        (again,) = await claim(store, now=NOW + 10)
        assert (again.event.id, again.attempt) == (event(1).id, 2)


async def test_tasks_that_wait_share_one_transaction(tmp_path):
    groups = []
    async with open_store(
        tmp_path / "gateway.db", on_commit=lambda _seconds, tasks: groups.append(tasks)
    ) as store:
        await asyncio.gather(*(store.accept(event(n), same_id_is_duplicate=False) for n in range(200)))
    assert sum(groups) == 200
    assert len(groups) < 50


async def test_more_waiting_tasks_than_the_bound_are_refused_at_once_and_the_others_done(store):
    stuck = threading.Event()
    blocking = asyncio.ensure_future(store._writer.submit(lambda _: stuck.wait(20)))  # noqa: SLF001 - a disk that hangs
    waiting = [
        asyncio.ensure_future(store.accept(event(n), same_id_is_duplicate=False))
        for n in range(MAX_WAITING + MAX_GROUP + 50)
    ]
    done, _ = await asyncio.wait(waiting, timeout=0.5)
    assert len(done) >= 50
    assert all(isinstance(one.exception(), StoreUnavailable) for one in done)
    stuck.set()
    await blocking
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(not isinstance(one, Exception) for one in results) == len(waiting) - len(done)


async def test_a_task_that_fails_undoes_nothing_of_its_group(store):
    good = [store.accept(event(n), same_id_is_duplicate=False) for n in range(20)]
    bad = store.accept(replace(event(99), type=object()), same_id_is_duplicate=False)
    results = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [one.status for one in results[:-1]] == ["accepted"] * 20
    assert isinstance(results[-1], Exception)
    assert len(await claim(store, limit=100)) == 20


async def test_a_full_disk_is_an_error_for_the_callers_and_nothing_that_was_stored_is_lost(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path) as store:
        await accept(store, event(0))
        store._connection.execute("PRAGMA max_page_count = 1")  # noqa: SLF001 - no disk is full here
        attempts = (
            store.accept(event(n, body=bytes(4000)), same_id_is_duplicate=False) for n in range(1, 200)
        )
        results = [result for one in attempts for result in await asyncio.gather(one, return_exceptions=True)]
        refusals = [result for result in results if isinstance(result, Exception)]
        assert refusals
        assert all(isinstance(one, StoreUnavailable) and "full" in str(one) for one in refusals)
        store._connection.execute("PRAGMA max_page_count = 1000000")  # noqa: SLF001 - room again
        (accepted,) = await accept(store, event(500))
        assert accepted.status == "accepted"
    stored = rows(path, "SELECT count(*) FROM events")[0][0]
    assert stored == 200 - len(refusals) + 1


async def test_counts_follow_every_change_of_state(store):
    await accept(store, *(event(n) for n in range(3)))
    one, two, _ = await claim(store)
    await finish(store, one, Delivered())
    await finish(store, two, Dead("horizon"), kind="server_error")
    stats = await store.stats()
    assert {state: stats.deliveries.get(("a", state)) for state in ("pending", "delivered", "dead")} == {
        "pending": 1,
        "delivered": 1,
        "dead": 1,
    }
    assert stats.oldest_pending == {"a": NOW}
    assert stats.size_bytes > 0
    assert stats.free_bytes > 0


async def test_pruning_deletes_what_is_past_its_time_and_nothing_else(store, tmp_path):
    await accept(store, *(event(n) for n in range(3)), event(3, destinations=()))
    delivered, dead, _pending = await claim(store)
    await finish(store, delivered, Delivered())
    await finish(store, dead, Dead("horizon"), kind="server_error")
    retention = Retention(delivered_days=7, dead_days=30, unrouted_days=30, dedupe_days=60)
    assert await store.prune(retention, now=NOW + 7 * DAY, limit=100) == 0
    assert await store.prune(retention, now=NOW + 7 * DAY + 1, limit=100) == 1
    assert await store.event(event(0).id) is None
    assert await store.event(event(1).id) is not None
    await store.prune(retention, now=NOW + 31 * DAY, limit=100)
    assert [record.event.id for record in await store.events(EventFilter(), before=None, limit=10)] == [
        event(2).id
    ]
    (repeated,) = await accept(store, event(0))
    assert repeated.status == "duplicate"
    assert rows(tmp_path / "gateway.db", "SELECT count(*) FROM attempts") == [(0,)]


async def test_pruning_goes_in_small_steps(store):
    await accept(store, *(event(n, destinations=()) for n in range(5)))
    retention = Retention(dedupe_days=60)
    assert await store.prune(retention, now=NOW + 31 * DAY, limit=2) == 2


async def test_lists_are_filtered_and_newest_first(store):
    await accept(
        store,
        event(1, type="one", ordering_key="k"),
        event(2, destinations=(B,), received_at=NOW + 5),
        event(3, destinations=()),
    )

    async def found(**where):
        return [
            int(one.event.id[4:], 16)
            for one in await store.events(EventFilter(**where), before=None, limit=10)
        ]

    assert await found() == [3, 2, 1]
    assert await found(type="one") == [1]
    assert await found(key="k") == [1]
    assert await found(destination="b") == [2]
    assert await found(state="unrouted") == [3]
    assert await found(state="pending") == [2, 1]
    assert await found(since=NOW + 5) == [2]
    assert await found(until=NOW + 5) == [3, 1]
    assert await found(source="nobody") == []


@pytest.mark.usefixtures("store")
async def test_a_second_process_is_refused_with_a_clear_message(tmp_path):
    with pytest.raises(StoreUnusable, match="in use by another gateway"):
        SqliteStore(
            tmp_path / "gateway.db", destinations=[], now=NOW, on_commit=lambda _seconds, _tasks: None
        )


async def test_a_corrupt_file_is_reported_and_left_as_it_is(tmp_path):
    path = tmp_path / "gateway.db"
    path.write_bytes(b"this is no database, and somebody may still want it" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="not a database"):
        SqliteStore(path, destinations=[], now=NOW, on_commit=lambda _seconds, _tasks: None)
    assert path.read_bytes() == before


async def test_a_file_of_a_later_version_is_refused(tmp_path):
    path = tmp_path / "gateway.db"
    async with open_store(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreUnusable, match="later version"):
        SqliteStore(path, destinations=[], now=NOW, on_commit=lambda _seconds, _tasks: None)


async def test_a_closed_store_says_so(tmp_path):
    async with open_store(tmp_path / "gateway.db") as store:
        pass
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ping()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.stats()


async def test_commits_are_synced_to_disk(tmp_path):
    async with open_store(tmp_path / "gateway.db") as store:
        settings = [
            store._connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001 - settings are per connection
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]


@pytest.mark.parametrize(
    "statement_of",
    [
        ("gateway.store.sqlite.dispatch", "DUE"),
        ("gateway.store.sqlite.dispatch", "PROMOTE"),
        ("gateway.store.sqlite.dispatch", "YIELD"),
        ("gateway.store.sqlite.dispatch", "NEXT_AT"),
        ("gateway.store.sqlite.dispatch", "END_LEASES"),
        ("gateway.store.sqlite.accept", "INSERT_DELIVERY"),
        ("gateway.store.sqlite.accept", "KNOWN"),
        ("gateway.store.sqlite.read", "OLDEST_PENDING"),
        ("gateway.store.sqlite.prune", "DELIVERIES_PAST"),
    ],
    ids=lambda value: value[1],
)
async def test_no_statement_of_the_hot_path_reads_a_whole_table(store, statement_of):
    module, name = statement_of
    statement = getattr(__import__(module, fromlist=[name]), name)
    values = dict.fromkeys(
        (
            "destination",
            "now",
            "limit",
            "key",
            "ordering_key",
            "seq",
            "ended_by",
            "source",
            "dedupe_key",
            "body_sha256",
            "state",
            "cutoff",
        )
    )
    plan = store._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()  # noqa: SLF001
    scans = [
        row[3]
        for row in plan
        if row[3].startswith("SCAN") and "CONSTANT ROW" not in row[3] and "(subquery" not in row[3]
    ]
    assert scans == [], json.dumps([row[3] for row in plan], indent=1)
