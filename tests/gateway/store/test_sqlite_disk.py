"""The room that is left is what is left once the write-ahead log has been moved into the database."""

import shutil

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.disk import COMMIT_BYTES, LOOK_BYTES, Disk
from tests.support.store import accept, event, open_store
from tests.support.waiting import eventually

GIB = 2**30


@pytest.fixture
def disk(path):
    path.write_bytes(b"")
    return Disk(path)


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
    assert disk.unmoved_bytes == 500 + COMMIT_BYTES


def test_a_mebibyte_that_was_written_is_seen_at_once(disk):
    disk.demand_room()
    disk.written(disk.free_bytes)
    with pytest.raises(StoreUnavailable):
        disk.demand_room()


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
