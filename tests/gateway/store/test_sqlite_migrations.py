"""A file of every released version becomes one of this version, whole, or stays as it was."""

import contextlib
import hashlib
import sqlite3

import pytest

from gateway.model import Delivered, RetryAt
from gateway.store import EventFilter, Standing
from gateway.store.sqlite.migrate import migrations
from tests.support.store import (
    LEASE,
    NOW,
    A,
    B,
    accept,
    claim,
    deliveries,
    event,
    finish,
    look,
    number_of,
    numbers,
    open_store,
    rows,
)

MINUTE = 60_000
NEWEST = migrations()[-1][0]

EVENT_1 = """
INSERT INTO events (id, source, type, dedupe_key, body_sha256, ordering_key, received_at, query, headers, body, unrouted,
                    id_reused)
VALUES (:id, 'producer', 'thing.happened', :dedupe_key, :sha256, :key, :at, x'', '[["content-type", "application/json"]]',
        :body, :unrouted, 0)
"""

KEY_1 = "INSERT INTO dedupe_keys VALUES ('producer', :dedupe_key, :sha256, :id, :at)"

DELIVERY_1 = """
INSERT INTO deliveries (event_seq, destination, ordering_key, state, attempts, next_attempt_at, live_since, leased_at,
                        lease_until, yields_at, yielded, last_status, last_error, dead_reason, finished_at)
VALUES (:seq, :destination, :key, :state, :attempts, :next, :live, :leased_at, :lease_until, :yields_at, :yielded,
        :status, :error, :reason, :finished)
"""

ATTEMPT_1 = "INSERT INTO attempts VALUES (:delivery, :number, :at, 7, :outcome, :status, :error, :response)"


class Version1:
    """A store as version 0.1.0 left it, filled by that version's statements alone."""

    def __init__(self, path):
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(dict(migrations())[1])
        self._db.execute("PRAGMA user_version = 1")

    def event(self, number, *, key=None, unrouted=False):
        one = event(number)
        row = {
            "id": one.id,
            "dedupe_key": one.dedupe_key,
            "sha256": hashlib.sha256(one.webhook.body).digest(),
            "key": key,
            "at": NOW + number,
            "body": one.webhook.body,
            "unrouted": unrouted,
        }
        self._db.execute(KEY_1, row)
        return self._db.execute(EVENT_1, row).lastrowid

    def delivery(self, seq, *, attempts=(), **columns):
        """`attempts` are the outcomes of those that were recorded."""
        values = dict.fromkeys(
            (
                "key",
                "next",
                "live",
                "leased_at",
                "lease_until",
                "yields_at",
                "status",
                "error",
                "reason",
                "finished",
            )
        )
        values |= {"seq": seq, "destination": A, "state": "pending", "yielded": 0, "attempts": len(attempts)}
        delivery = self._db.execute(DELIVERY_1, values | columns).lastrowid
        for number, kind in enumerate(attempts, 1):
            row = {"delivery": delivery, "number": number, "at": NOW + number, "outcome": kind}
            answer = {"status": 500, "error": "HTTP 500", "response": b"answer"}
            self._db.execute(ATTEMPT_1, row | answer)

    def close(self):
        self._db.close()


def fill(path):
    """One event for each thing that a delivery could be."""
    old = Version1(path)
    old.delivery(old.event(1), next=NOW + 1, live=NOW + 1)
    leased = old.event(2, key="x")
    old.delivery(
        leased,
        key="x",
        attempts=["server_error"],
        next=NOW + 2,
        live=NOW + 2,
    )
    old._db.execute(  # noqa: SLF001 - its second attempt is under way
        "UPDATE deliveries SET attempts = 2, leased_at = ?, lease_until = ? WHERE event_seq = ?",
        (NOW, LEASE, leased),
    )
    old.delivery(old.event(3, key="x"), key="x")
    dead = old.event(4)
    old.delivery(
        dead,
        attempts=["server_error", "interrupted", "server_error"],
        state="dead",
        live=NOW,
        status=500,
        error="HTTP 500",
        reason="horizon",
        finished=NOW + 50,
    )
    old.delivery(
        dead, destination=B, attempts=["success"], state="delivered", live=NOW, status=200, finished=NOW
    )
    old.event(5, unrouted=True)
    yielded = {"yields_at": NOW + 100, "yielded": 1}
    old.delivery(
        old.event(6, key="y"), key="y", attempts=["timeout"] * 3, next=NOW + MINUTE, live=NOW + 6, **yielded
    )
    old.delivery(
        old.event(7, key="y"),
        key="y",
        attempts=["timeout", "interrupted"],
        next=NOW + 2 * MINUTE,
        live=NOW + 7,
        yields_at=NOW + 5000,
    )
    old.delivery(old.event(8, key="y"), key="y")
    old.close()


async def assert_means_what_it_meant(store):
    """Through this version's eyes."""
    assert (await store.count(EventFilter())).count == 8
    states = {
        number_of(one.event.id): one.state for one in await store.events(EventFilter(), before=None, limit=99)
    }
    assert states == {
        1: "pending",
        2: "pending",
        3: "pending",
        4: "dead",
        5: "unrouted",
        6: "pending",
        7: "pending",
        8: "pending",
    }
    stats = await store.stats()
    assert stats.deliveries == {("a", "pending"): 6, ("a", "dead"): 1, ("b", "delivered"): 1}
    assert stats.oldest_pending == {"a": NOW + 1}
    assert await store.replays() == []

    dead = (await deliveries(store, 4))["a"]
    assert (dead.attempts, dead.dead_reason, dead.last_status) == (3, "horizon", 500)
    assert [(one.number, one.outcome, one.response) for one in dead.history] == [
        (1, "server_error", b"answer"),
        (2, "interrupted", b"answer"),
        (3, "server_error", b"answer"),
    ]
    record = await store.event(event(4).id)
    assert (record.event.webhook, record.erased_at) == (event(4).webhook, None)
    (again,) = await accept(store, event(4, id=event(100).id))
    assert (again.status, again.event_id) == ("duplicate", event(4).id)


async def assert_goes_on_where_it_was(store):
    looked = await look(store, now=NOW + 10)
    assert looked.standing == Standing()
    assert looked.next_at == NOW + 5000
    first, second = looked.claims
    assert (number_of(first.event.id), first.attempt, first.tries, first.again) == (1, 1, 0, False)
    assert (first.live_since, first.queued_at) == (NOW + 1, NOW + 1)
    # The attempt that the old process did not finish is noted, and used nothing up.
    assert (number_of(second.event.id), second.attempt, second.tries, second.again) == (2, 3, 1, True)
    assert [one.outcome for one in (await deliveries(store, 2))["a"].history] == [
        "server_error",
        "interrupted",
    ]
    assert (await finish(store, second, Delivered(), now=NOW + 20)).released
    (third,) = await claim(store, now=NOW + 20)
    assert (number_of(third.event.id), third.tries, third.live_since) == (3, 0, NOW + 20)
    (eighth,) = await claim(store, now=NOW + 5000)
    assert numbers([eighth]) == [8]
    await finish(store, eighth, RetryAt(NOW + 60 * MINUTE), now=NOW + 5000)
    (sixth,) = await claim(store, now=NOW + 2 * MINUTE)
    assert (number_of(sixth.event.id), sixth.attempt, sixth.tries, sixth.again) == (6, 4, 3, True)
    await finish(store, sixth, Delivered(), now=NOW + 2 * MINUTE)
    (seventh,) = await claim(store, now=NOW + 2 * MINUTE)
    assert (number_of(seventh.event.id), seventh.attempt, seventh.tries) == (7, 3, 1)
    assert await store.replay(event(4).id, [A], now=NOW) == [A]
    assert await store.replay(event(5).id, [A], now=NOW) == [A]
    assert len((await deliveries(store, 4))["a"].history) == 3


async def test_a_store_of_the_first_version_means_what_it_meant_and_goes_on_where_it_was(path):
    fill(path)
    async with open_store(path, now=NOW + 10) as store:
        await assert_means_what_it_meant(store)
        await assert_goes_on_where_it_was(store)


async def test_the_bodies_of_the_first_version_count_as_authenticated_as_they_were(path):
    fill(path)
    async with open_store(path, now=NOW + 10) as store:
        known = await store.events(EventFilter(), before=None, limit=99)
        assert [one.event.body_authenticated for one in known] == [True] * 8
        assert {one.event.body_authenticated for one in await claim(store, now=NOW + 10)} == {True}
        await accept(store, event(9, body_authenticated=False))
        newest = await store.event(event(9).id)
        assert newest is not None
        assert newest.event.body_authenticated is False


async def test_a_migrated_file_has_the_same_schema_as_a_new_one(path):
    fill(path)
    new = path.with_name("new.db")
    for one in (path, new):
        async with open_store(one):
            pass
    schema = "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY 1, 2"
    assert rows(path, schema) == rows(new, schema)
    for pragma in ("auto_vacuum", "user_version", "journal_mode"):
        assert rows(path, f"PRAGMA {pragma}") == rows(new, f"PRAGMA {pragma}")
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []


async def test_a_store_is_migrated_once(path):
    fill(path)
    for _ in range(2):
        async with open_store(path, now=NOW + 10) as store:
            await assert_means_what_it_meant(store)


MIGRATE_AND_DIE = """
import os, shutil, signal, sqlite3, sys
from pathlib import Path
from gateway.store.sqlite import file

def migrate(path, limit):
    '''Steps of the database engine that it took; the process is killed in step number `limit`.'''
    connection = sqlite3.connect(path, isolation_level=None)
    steps = 0
    def step():
        nonlocal steps
        steps += 1
        if steps == limit:
            os.kill(os.getpid(), signal.SIGKILL)
    connection.set_progress_handler(step, 1)
    file._prepare(connection, path)
    connection.close()
    return steps

old, folder, deaths = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
whole = folder / "whole.db"
shutil.copy(old, whole)
steps = migrate(whole, 0)
for number in range(deaths):
    path = folder / f"{number}.db"
    shutil.copy(old, path)
    child = os.fork()
    if not child:
        migrate(path, 1 + steps * number // deaths)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), (number, status)
print("done")
"""


async def test_a_process_killed_at_any_moment_of_a_migration_leaves_a_whole_version(child, path, tmp_path):
    fill(path)
    folder = tmp_path / "killed"
    folder.mkdir()
    deaths = 12
    assert child(MIGRATE_AND_DIE, path, folder, deaths).line() == "done"
    versions = set()
    for number in range(deaths):
        killed = folder / f"{number}.db"
        with contextlib.closing(sqlite3.connect(killed)) as connection:
            versions |= set(connection.execute("PRAGMA user_version").fetchall())
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        async with open_store(killed, now=NOW + 10) as store:
            await assert_means_what_it_meant(store)
        assert rows(killed, "PRAGMA auto_vacuum") == [(2,)]
    assert {(1,), (NEWEST,)} <= versions


@pytest.fixture
def small_files():
    """As on a disk that is almost full, a file may grow to 1 MB and no more."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextlib.contextmanager
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


async def test_without_room_to_be_written_anew_an_old_file_works_all_the_same(path, small_files):
    fill(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE events SET query = zeroblob(2000000) WHERE seq = 1")
        connection.commit()
    with small_files():
        async with open_store(path, now=NOW + 10) as store:
            await assert_goes_on_where_it_was(store)
    assert rows(path, "PRAGMA auto_vacuum") == [(0,)]
    async with open_store(path, now=NOW + 10):
        pass
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
