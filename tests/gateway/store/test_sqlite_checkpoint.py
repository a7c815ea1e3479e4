"""What the write-ahead log holds goes into the database beside the commits, and the log starts anew."""

import contextlib
import sqlite3

from gateway.store.sqlite.checkpoint import COMMITS
from tests.support.store import accept, event, open_store, rows

ROUNDS = 12


def log_of(path):
    return path.with_name(f"{path.name}-wal")


async def write(store, first, number):
    """So many transactions of one event each."""
    for one in range(first, first + number):
        await accept(store, event(one))


async def test_the_log_starts_anew_while_there_is_always_something_to_write(path):
    async with open_store(path) as store:
        await write(store, 0, 3 * COMMITS)
        size = log_of(path).stat().st_size
        for number in range(1, ROUNDS):
            await write(store, number * 3 * COMMITS, 3 * COMMITS)
        assert log_of(path).stat().st_size < 2 * size


async def test_a_reader_that_stays_holds_up_the_log_and_nothing_else(path):
    async with open_store(path) as store:
        await write(store, 0, 2 * COMMITS)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            (seen,) = reader.execute("SELECT count(*) FROM events").fetchone()
            await write(store, 1000, 4 * COMMITS)
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (seen,)
        grown = log_of(path).stat().st_size
        await write(store, 2000, 8 * COMMITS)
        assert log_of(path).stat().st_size < 1.5 * grown
    assert rows(path, "SELECT count(*) FROM events") == [(14 * COMMITS,)]


async def test_a_log_that_cannot_be_moved_is_told_of_and_holds_what_was_committed(path, caplog):
    caplog.set_level("INFO", logger="gateway")
    async with open_store(path) as store:
        store._checkpoints._connection.close()  # noqa: SLF001 - a disk that fails for the database's file alone
        await write(store, 0, 3 * COMMITS)
        assert log_of(path).stat().st_size > path.stat().st_size
    assert {record.getMessage() for record in caplog.records} == {"store.checkpoint_failed"}
    assert rows(path, "SELECT count(*) FROM events") == [(3 * COMMITS,)]


async def test_a_store_that_was_closed_leaves_no_log(path):
    async with open_store(path) as store:
        await write(store, 0, 2 * COMMITS)
    assert not log_of(path).exists()
