"""The room that is left is what is left once the write-ahead log has been moved into the database."""

import asyncio
import contextlib
import shutil
import subprocess
import sys

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.disk import LOOK_BYTES, LOOK_SECONDS, OVERHEAD_BYTES, Disk
from tests.support.store import accept, event, open_store
from tests.support.waiting import eventually

GIB = 2**30
HOLD_CHECKPOINT_LOCK = """
import fcntl, sys
shared = open(sys.argv[1], "r+b")
fcntl.lockf(shared, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 121)
print("held", flush=True)
sys.stdin.read()
"""
"""As another program does while it moves the log. The byte is SQLite's WAL_CKPT_LOCK."""


@pytest.fixture
def disk(path):
    path.write_bytes(b"")
    disk = Disk(path)
    disk.look()
    return disk


def test_what_is_in_the_log_takes_its_room_again(disk):
    free = disk.free_bytes
    disk.written(free - disk.needed_bytes + GIB)
    with pytest.raises(StoreUnavailable, match=f"{disk.needed_bytes} are kept"):
        disk.demand_room()
    disk.moved(disk.unmoved_bytes)
    disk.look()
    disk.demand_room()


def test_what_came_while_it_was_moved_is_still_in_the_log(disk):
    disk.written(1000)
    before = disk.unmoved_bytes
    disk.written(500)
    disk.moved(before)
    assert disk.unmoved_bytes == 500 + OVERHEAD_BYTES


def test_a_mebibyte_that_was_written_is_seen_at_once(disk):
    disk.demand_room()
    disk.written(disk.free_bytes)
    with pytest.raises(StoreUnavailable):
        disk.demand_room()


async def test_what_is_taken_away_or_replaced_takes_no_more_until_it_is_back(path):
    async with open_store(path) as store:
        await accept(store, event(1))
        away = path.rename(path.with_name("away"))
        for is_replaced in (False, True):
            if is_replaced:
                path.write_bytes(away.read_bytes())
            await refuses(store)
            with pytest.raises(StoreUnavailable, match="was taken away or replaced"):
                await store.stats()
        away.replace(path)
        await store.stats()
        await accept(store, event(3))


async def refuses(store):
    await asyncio.sleep(2 * LOOK_SECONDS)
    with pytest.raises(StoreUnavailable, match="was taken away or replaced"):
        await accept(store, event(2))


def test_the_log_of_a_process_that_was_killed_is_counted(path):
    path.write_bytes(b"")
    path.with_name(f"{path.name}-wal").write_bytes(bytes(LOOK_BYTES))
    assert Disk(path).unmoved_bytes == LOOK_BYTES


async def test_a_refusal_moves_the_log_though_nothing_is_written(path):
    async with open_store(path) as store:
        await accept(store, event(0))
        disk = store._disk  # noqa: SLF001 - nobody else has so full a disk
        disk.written(shutil.disk_usage(path.parent).total)
        with pytest.raises(StoreUnavailable, match="left"):
            await accept(store, event(1))
        eventually(lambda: disk.unmoved_bytes == 0)
        disk.look()
        await accept(store, event(1))


async def test_a_log_that_another_program_is_moving_still_counts(path):
    async with open_store(path) as store:
        await accept(store, event(0))
        unmoved = store._disk.unmoved_bytes  # noqa: SLF001 - what it counts is the point
        with checkpoint_lock_held(path):
            move(store)
            assert store._disk.unmoved_bytes == unmoved  # noqa: SLF001
        move(store)
        assert store._disk.unmoved_bytes == 0  # noqa: SLF001


async def test_after_the_end_a_full_disk_is_still_refused_in_words(path):
    async with open_store(path) as store:
        disk = store._disk  # noqa: SLF001 - nobody else has so full a disk
        disk.written(shutil.disk_usage(path.parent).total)
    with pytest.raises(StoreUnavailable, match="left"):
        await accept(store, event(1))


def test_a_disk_that_went_away_is_named(disk, path):
    folder = path.parent
    disk.written(LOOK_BYTES)
    folder.rename(folder.with_name("elsewhere"))
    try:
        with pytest.raises(StoreUnavailable, match="cannot be looked at"):
            disk.demand_room()
    finally:
        folder.with_name("elsewhere").rename(folder)


@contextlib.contextmanager
def checkpoint_lock_held(path):
    shared = path.with_name(f"{path.name}-shm")
    command = [sys.executable, "-c", HOLD_CHECKPOINT_LOCK, shared]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        yield
        other.stdin.close()


def move(store):
    store._checkpoints.make_room()  # noqa: SLF001
    store._checkpoints._making_room.result(10)  # noqa: SLF001
