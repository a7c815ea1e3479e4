"""The SQLite file: owned by one process, reported where it is damaged, no larger than it needs to be."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from gateway.config import Retention
from gateway.errors import StoreUnavailable, StoreUnusable
from gateway.model import Dead, Delivered, RetryAt
from gateway.store.sqlite import SqliteStore
from gateway.store.sqlite.prune import SPARE_PAGES
from tests.support.store import (
    NOW,
    A,
    accept,
    claim,
    event,
    finish,
    number_of,
    open_store,
    outcome,
    rows,
)

DAY = 86_400_000
PAGE = 4096
NOBODY = 65_534

OPEN_AND_CLAIM = """
import asyncio, sys
from pathlib import Path
from tests.support.store import accept, claim, event, open_store

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await accept(store, event(1), event(2))
        await claim(store)
        print("claimed", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def open_at(path):
    return SqliteStore(path, destinations=[], now=NOW, on_commit=lambda _seconds, _tasks: None)


async def make(path, *, events=300):
    """A file of some pages."""
    async with open_store(path) as store:
        await accept(store, *(event(number, body=os.urandom(500)) for number in range(events)))


@contextlib.contextmanager
def without_root(folder):
    """Permissions say nothing to root, so for a moment this process is somebody else, who owns the folder."""
    if os.geteuid() != 0:
        yield
        return
    for one in (folder, *folder.iterdir()):
        os.chown(one, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def folder():
    """One that others can get to."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


async def test_a_second_process_is_refused_with_a_clear_message(child, path):
    child(OPEN_AND_CLAIM, path).line()
    with pytest.raises(StoreUnusable, match="in use by another gateway"):
        open_at(path)


async def test_a_killed_process_leaves_no_lock_and_its_leases_are_taken_back_at_the_next_start(child, path):
    other = child(OPEN_AND_CLAIM, path)
    assert other.line() == "claimed"
    other.kill()
    async with open_store(path, now=NOW + 10) as store:
        again = await claim(store, now=NOW + 10)
        assert [(number_of(one.event.id), one.attempt, one.tries) for one in again] == [(1, 2, 0), (2, 2, 0)]
        (interrupted,) = (await store.event(event(1).id)).deliveries[0].history
        assert (interrupted.outcome, interrupted.duration_ms) == ("interrupted", 10)


async def test_a_clock_that_was_set_back_while_nothing_ran_delays_no_retry_by_more_than_its_wait(path):
    async with open_store(path) as store:
        await accept(store, event(1))
        (one,) = await claim(store)
        await finish(store, one, RetryAt(NOW + 2000))
    earlier = NOW - DAY
    async with open_store(path, now=earlier) as store:
        assert await claim(store, now=earlier + 1999) == []
        (again,) = await claim(store, now=earlier + 2000)
        assert again.live_since == earlier


async def test_a_quiet_time_from_a_clock_that_was_far_ahead_ends_with_the_next_start(path):
    async with open_store(path) as store:
        await store.quiet(A, until=NOW + 365 * DAY, now=NOW + 365 * DAY - 2000)
    async with open_store(path) as store:
        await accept(store, event(1))
        assert len(await claim(store)) == 1


async def test_a_file_is_for_its_owner_alone(path):
    await make(path, events=1)
    assert {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {
        "gateway.db": 0o600,
        "gateway.db.lock": 0o600,
    }


async def test_what_a_start_that_was_cut_off_left_behind_is_no_hindrance(path):
    path.with_name(".gateway.db.new").write_bytes(b"half a file")
    await make(path, events=1)
    assert sorted(one.name for one in path.parent.iterdir()) == ["gateway.db", "gateway.db.lock"]


async def test_a_file_of_a_later_version_is_refused(path):
    await make(path, events=1)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreUnusable, match="later version"):
        open_at(path)


async def test_another_programs_database_is_refused_and_left_as_it_is(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="not a gateway's"):
        open_at(path)
    assert path.read_bytes() == before


DAMAGES = {
    "another kind of file": lambda _whole: b"this is no database, and somebody may still want it" * 100,
    "a few bytes": lambda _whole: b"oops",
    "nothing": lambda _whole: b"",
    "the first half": lambda whole: whole[: len(whole) // 2 // PAGE * PAGE],
    "the first half of a page": lambda whole: whole[: PAGE // 2],
    "all but its end": lambda whole: whole[: -PAGE - 1],
    "another beginning": lambda whole: b"\0" * 16 + whole[16:],
    "a page of zeros for a header": lambda whole: b"\0" * PAGE + whole[PAGE:],
    "a schema that cannot be read": lambda whole: whole[:100] + b"\xff" * 400 + whole[500:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_file_is_reported_and_left_as_it_is_for_whoever_repairs_it(path, damage):
    await make(path)
    whole = path.read_bytes()
    damaged = damage(whole)
    path.write_bytes(damaged)
    with pytest.raises(StoreUnusable, match=r"gateway\.db"):
        open_at(path)
    assert path.read_bytes() == damaged
    path.write_bytes(whole)
    async with open_store(path) as store:  # the refusal keeps no lock
        assert len(await claim(store, total=1000)) == 300


async def test_an_empty_file_is_never_taken_for_a_new_one(path):
    """The gateway gives a file its name when it is whole, so that one of zero bytes has lost what it held."""
    path.touch()
    with pytest.raises(StoreUnusable, match="is empty, and was not when it was made"):
        open_at(path)


async def test_a_missing_file_whose_log_is_there_is_reported_and_not_made_anew(path):
    log = path.with_name("gateway.db-wal")
    log.write_bytes(b"what was accepted last")
    with pytest.raises(StoreUnusable, match=r"gateway\.db-wal is there"):
        open_at(path)
    assert log.read_bytes() == b"what was accepted last"
    assert not path.exists()


async def test_a_read_only_file_is_reported(folder):
    path = folder / "gateway.db"
    await make(path, events=1)
    path.chmod(0o400)
    with without_root(folder), pytest.raises(StoreUnusable, match="readonly"):
        open_at(path)


async def test_a_read_only_folder_is_reported(folder):
    folder.chmod(0o555)
    with without_root(folder), pytest.raises(StoreUnusable, match="Permission denied"):
        open_at(folder / "gateway.db")


async def test_a_path_that_is_a_folder_or_below_a_file_is_reported(path):
    path.mkdir()
    with pytest.raises(StoreUnusable, match=r"gateway\.db"):
        open_at(path)
    file = path.with_name("file")
    file.write_bytes(b"")
    with pytest.raises(StoreUnusable, match="file"):
        open_at(file / "gateway.db")


async def test_a_folder_that_is_missing_is_made(tmp_path):
    await make(tmp_path / "some" / "where" / "gateway.db", events=1)


async def test_commits_are_synced_to_disk(path):
    async with open_store(path) as store:
        settings = [
            store._connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: SLF001 - settings are per connection
            for name in ("journal_mode", "synchronous", "foreign_keys", "auto_vacuum", "secure_delete")
        ]
    assert settings == ["wal", 2, 1, 2, 1]


async def test_pruning_gives_space_back_to_the_disk(path):
    async with open_store(path) as store:
        await accept(store, *(event(number, body=os.urandom(40_000)) for number in range(300)))
        while claims := await claim(store, total=1000):
            for one in claims:
                await finish(store, one, Delivered())
        full = (await store.stats()).size_bytes
        steps = 0
        while await store.prune(Retention(), now=NOW + 8 * DAY, limit=500):
            steps += 1
    assert full > 12_000_000
    assert steps < 20
    assert path.stat().st_size < (SPARE_PAGES + 100) * PAGE


async def test_the_write_ahead_log_stays_small_however_much_is_written(path):
    log = path.with_name("gateway.db-wal")
    async with open_store(path) as store:
        for number in range(0, 800, 5):
            await accept(store, *(event(number + more, body=bytes(80_000)) for more in range(5)))
        assert path.stat().st_size > 48_000_000
        assert log.stat().st_size < 16_000_000


async def test_what_was_erased_is_nowhere_in_the_files(path):
    """Rows move while the store is used: keys are replayed, attempts follow their delivery, pages are split and joined."""
    async with open_store(path) as store:
        for start in range(0, 120, 40):
            marks = {number: f"secret-{number:04d}-".encode() for number in range(start, start + 40)}
            await accept(store, *(event(number, body=mark * (number + 1)) for number, mark in marks.items()))
            for one in await claim(store, total=100):
                mark = b"answer-" + f"{number_of(one.event.id):04d}-".encode()
                verdict = RetryAt(NOW) if one.attempt % 2 else Dead("horizon")
                await store.record(
                    one, outcome("server_error", response=mark * 9), verdict, now=NOW, yields_at=None
                )
            for number in range(start, start + 40, 3):
                await store.replay(event(number).id, [A], now=NOW)
        for number in range(0, 120, 4):
            await store.erase(event(number).id, now=NOW)
        content = path.read_bytes() + path.with_name("gateway.db-wal").read_bytes()
    kept = [number for number in range(120) if number % 4]
    for word in ("secret", "answer"):
        assert [number for number in range(120) if f"{word}-{number:04d}".encode() in content] == kept


async def test_an_erasure_does_not_hold_up_writers_for_a_reader(path):
    async with open_store(path) as store:
        await accept(store, event(1, body=b"secret"))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
            async with asyncio.timeout(2):
                _, (accepted,) = await asyncio.gather(
                    store.erase(event(1).id, now=NOW), accept(store, event(2))
                )
            reader.execute("COMMIT")
    assert accepted.status == "accepted"
    assert rows(path, "SELECT body FROM events WHERE erased_at IS NOT NULL") == [(b"",)]


async def test_with_too_little_room_on_the_disk_nothing_is_accepted_and_deliveries_go_on(path):
    async with open_store(path) as store:
        await accept(store, event(1))
        disk = store._disk  # noqa: SLF001 - no disk is full here
        needed, disk.needed_bytes = disk.needed_bytes, 2**62
        with pytest.raises(StoreUnavailable, match="bytes left"):
            await accept(store, event(2))
        stats = await store.stats()
        assert stats.free_bytes < stats.needed_free_bytes == 2**62
        (one,) = await claim(store)
        assert (await finish(store, one, Delivered())).counted
        await store.ping()
        disk.needed_bytes = needed
        (accepted,) = await accept(store, event(2))
    assert accepted.status == "accepted"
