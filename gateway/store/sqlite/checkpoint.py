"""Moves what the write-ahead log holds into the database, beside the commits.

SQLite does it within a COMMIT, which then waits until a thousand pages, each of them anywhere in the file, are written.
Here another thread writes most of them while transactions go on. What came meanwhile is little; that is moved between
two transactions, for only a log of which nothing is left can be written from its beginning again.
"""

import contextlib
import logging
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from gateway.log import emit
from gateway.store.sqlite import file
from gateway.store.sqlite.disk import Disk

COMMITS = 100
"""After so many it begins: under load some ten megabytes of log."""

COMMIT_BYTES = 2**16
"""Of content are another commit."""


class Checkpoints:
    def __init__(self, path: Path, disk: Disk) -> None:
        """May raise sqlite3.Error."""
        self._disk = disk
        self._connection = file.open_to_checkpoint(path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-checkpoint")
        self._commits = 0
        self._moving: Future[None] | None = None
        self._making_room: Future[None] | None = None
        self._at_it = threading.Lock()

    def committed(self, content_bytes: int) -> None:
        """Called after each transaction and before the next one, always from the same thread. Raise nothing."""
        self._disk.written(content_bytes)
        self._commits += 1 + content_bytes // COMMIT_BYTES
        if self._moving is not None:
            if self._moving.done():
                self._moving = None
                self._commits = 0
                self._move()
        elif self._commits >= COMMITS:
            self._moving = self._thread.submit(self._move)

    def make_room(self) -> None:
        """Moves what there is though little or nothing is written. Always called from the same thread. Raise nothing."""
        if self._making_room is None or self._making_room.done():
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                self._making_room = self._thread.submit(self._move)

    def close(self) -> None:
        """After the last call of `committed`."""
        self._thread.shutdown()
        self._connection.close()

    def _move(self) -> None:
        """As far as nobody reads from the log what it held before; not at all while another thread is at it."""
        if not self._at_it.acquire(blocking=False):
            return
        unmoved_bytes = self._disk.unmoved_bytes
        try:
            ((busy, in_log, moved),) = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:  # the log holds all of it still, and grows
            emit("store.checkpoint_failed", level=logging.ERROR, error=str(error))
        else:
            if not busy and in_log == moved:  # all that was in it when this began
                self._disk.moved(unmoved_bytes)
        finally:
            self._at_it.release()
