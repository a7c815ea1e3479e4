"""A copy is of one moment, whole or not there, marked as one, and serves nobody before a person says so."""

import contextlib
import os
import sqlite3

import pytest

from gateway.errors import StoreUnusable
from gateway.model import Delivered
from gateway.store import Standing
from gateway.store.sqlite import file
from tests.gateway.store.test_sqlite_migrations import fill
from tests.support.store import (
    NOW,
    A,
    B,
    accept,
    claim,
    deliveries,
    event,
    finish,
    number_of,
    numbers,
    open_store,
    rows,
)

WRITE_ON_AND_ON = """
import asyncio, sys
from pathlib import Path
from tests.support.store import A, B, accept, claim, event, finish, open_store
from gateway.model import Delivered

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        number = 0
        while True:
            await accept(store, *(event(number + more, body=bytes(3000), destinations=(A, B)) for more in range(20)))
            for one in await claim(store, total=10):
                await finish(store, one, Delivered())
            number += 20
            if number == 200:
                print("writing", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "copy.db"


async def test_a_copy_holds_what_the_store_held_and_says_when_it_was_made(path, target):
    async with open_store(path) as store:
        await accept(store, event(1, destinations=(A, B), ordering_key="x"), event(2, ordering_key="x"))
        (one,) = await claim(store)
        size = file.copy(path, target, now=NOW + 5)
        await finish(store, one, Delivered())
    assert size == target.stat().st_size > 0
    async with open_store(target, now=NOW + 100) as copy:
        assert copy.copied_at == NOW + 5
        assert {name: delivery.state for name, delivery in (await deliveries(copy, 1)).items()} == {
            "a": "pending",
            "b": "pending",
        }
        (repeated,) = await accept(copy, event(1))
        assert repeated.status == "duplicate"


async def test_a_copy_starts_with_every_destination_paused_until_a_person_resumes_it(path, target):
    async with open_store(path) as store:
        await accept(store, event(1, destinations=(A, B)))
        await store.set_standing("gone", "hold", now=NOW)
        file.copy(path, target, now=NOW + 5)
        assert numbers(await claim(store)) == [1]  # the store itself goes on
    async with open_store(target, now=NOW + 100) as copy:
        standings = (await copy.stats()).standings
        assert {name: one.paused_at for name, one in standings.items()} == dict.fromkeys(
            ("a", "b", "gone"), NOW + 5
        )
        assert await claim(copy, now=NOW + 200) == []
        await copy.set_standing(A, "resume", now=NOW + 300)
        (one,) = await claim(copy, now=NOW + 300)
        # What went by since the copy was made is no part of the retry horizon.
        assert (number_of(one.event.id), one.live_since) == (1, NOW + 295)
    async with open_store(target, now=NOW + 400) as copy:  # paused once, not at every start
        assert copy.copied_at is None
        assert (await copy.stats()).standings[A] == Standing()
        assert (await copy.stats()).standings[B] == Standing(paused_at=NOW + 5)


async def test_the_store_that_was_copied_is_not_marked(path, target):
    async with open_store(path):
        file.copy(path, target, now=NOW)
    async with open_store(path) as store:
        assert store.copied_at is None


async def test_a_copy_of_a_copy_says_when_it_was_made_itself(path, target):
    async with open_store(path):
        file.copy(path, target, now=NOW)
    file.copy(target, target.with_name("again.db"), now=NOW + 9)
    async with open_store(target.with_name("again.db")) as copy:
        assert copy.copied_at == NOW + 9


async def test_a_copy_is_of_one_moment_while_another_process_writes(child, path, target):
    writing = child(WRITE_ON_AND_ON, path)
    assert writing.line() == "writing"
    copies = [target.with_name(f"{number}.db") for number in range(3)]
    for one in copies:
        file.copy(path, one, now=NOW)
    assert writing.process.poll() is None
    counted = []
    for one in copies:
        assert rows(one, "PRAGMA integrity_check") == [("ok",)]
        ((events, keys, pairs),) = rows(
            one,
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM dedupe_keys), (SELECT count(*) FROM deliveries)",
        )
        assert keys == events
        assert pairs == 2 * events
        assert rows(one, "SELECT sum(n) FROM delivery_counts") == [(pairs,)]
        ((delivered, attempts),) = rows(
            one,
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'delivered'), (SELECT count(*) FROM attempts)",
        )
        assert delivered == attempts
        counted.append(events)
    assert counted == sorted(counted)
    assert counted[0] >= 180


async def test_a_copy_is_one_file_for_its_owner_alone(path, target):
    async with open_store(path) as store:
        await accept(store, event(1))
        file.copy(path, target, now=NOW)
        assert [one.name for one in target.parent.iterdir()] == ["copy.db"]
        assert target.stat().st_mode & 0o777 == 0o600
        assert rows(target, "PRAGMA journal_mode") == [("delete",)]


async def test_a_store_that_nobody_has_open_can_be_copied(path, target):
    async with open_store(path) as store:
        await accept(store, event(1))
    file.copy(path, target, now=NOW)
    assert rows(target, "SELECT count(*) FROM events") == [(1,)]


async def test_a_copy_of_an_older_version_is_one_of_this_version(path, target):
    fill(path)
    before = rows(path, "PRAGMA user_version")
    file.copy(path, target, now=NOW)
    assert rows(path, "PRAGMA user_version") == before == [(1,)]
    async with open_store(target) as copy:
        assert copy.copied_at == NOW
        assert (await copy.stats()).deliveries[A, "pending"] == 6


async def test_a_file_that_exists_is_never_overwritten(path, target):
    async with open_store(path):
        target.write_bytes(b"an earlier copy")
        with pytest.raises(StoreUnusable, match="exists"):
            file.copy(path, target, now=NOW)
    assert target.read_bytes() == b"an earlier copy"
    assert list(target.parent.iterdir()) == [target]


async def test_what_is_no_store_is_not_copied_and_no_part_of_a_copy_is_left(path, target):
    with pytest.raises(StoreUnusable, match="there is no store"):
        file.copy(path, target, now=NOW)
    path.write_bytes(os.urandom(5000))
    with pytest.raises(StoreUnusable, match="not a database"):
        file.copy(path, target, now=NOW)
    assert list(target.parent.iterdir()) == []


async def test_a_damaged_store_gives_no_copy(path, target):
    async with open_store(path) as store:
        await accept(store, *(event(number, body=bytes(500)) for number in range(100)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreUnusable, match="malformed"):
        file.copy(path, target, now=NOW)
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("where", ["no/such/folder/copy.db", "file/copy.db"])
async def test_a_target_that_cannot_be_written_is_reported(path, tmp_path, where):
    (tmp_path / "file").write_bytes(b"")
    async with open_store(path):
        with pytest.raises(StoreUnusable, match=r"copy\.db"):
            file.copy(path, tmp_path / where, now=NOW)


async def test_what_a_copy_that_was_cut_off_left_behind_is_no_hindrance(path, target):
    target.with_name(".copy.db.partial").write_bytes(b"half a copy")
    async with open_store(path):
        file.copy(path, target, now=NOW)
    assert [one.name for one in target.parent.iterdir()] == ["copy.db"]


async def test_a_copy_can_be_read_by_any_sqlite(path, target):
    async with open_store(path) as store:
        await accept(store, event(1))
        file.copy(path, target, now=NOW)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        assert connection.execute("SELECT id FROM events").fetchall() == [(event(1).id,)]
