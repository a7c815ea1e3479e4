"""The store in one SQLite file, owned by one process."""

import asyncio
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.config import Retention
from gateway.errors import StoreUnavailable, StoreUnusable
from gateway.model import Accepted, Claim, DestinationName, Event, EventId, Outcome, Verdict
from gateway.store import Claimed, EventFilter, EventRecord, Finished, Stats
from gateway.store.sqlite import accept, dispatch, prune, read
from gateway.store.sqlite.migrate import migrate
from gateway.store.sqlite.writer import Writer

T = TypeVar("T")

NEEDED_SQLITE = (3, 37, 0)
FOREVER = 2**62


class SqliteStore:
    """See `Store`. Writes go through one thread and are grouped; reads have a connection and a thread of their own.

    The process holds a lock on `PATH.lock` while the store is open, so that at its start every lease is known to be
    a dead process's and is taken back at once.
    """

    def __init__(
        self,
        path: Path,
        *,
        destinations: Iterable[DestinationName],
        now: int,
        on_commit: Callable[[float, int], None],
    ) -> None:
        """Open or create. Raise StoreUnusable with a sentence for the operator where that cannot be."""
        if sqlite3.sqlite_version_info < NEEDED_SQLITE:
            raise StoreUnusable(f"SQLite 3.37 or later is needed; this Python has {sqlite3.sqlite_version}")
        self._path = path
        self._destinations = tuple(destinations)
        self._lock = _lock(path)
        try:
            connection = _open(path)
            migrate(connection)
            connection.execute("BEGIN IMMEDIATE")
            dispatch.take_back(connection, ended_by=FOREVER, now=now)
            connection.execute("COMMIT")
            self._reading = _connect(path)
        except sqlite3.Error as error:
            os.close(self._lock)
            raise StoreUnusable(f"{path}: {error}") from None
        self._connection = connection
        self._writer = Writer(connection, on_commit=on_commit)
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")

    async def accept(self, event: Event, *, same_id_is_duplicate: bool) -> Accepted:
        return await self._writer.submit(
            lambda db: accept.accept(db, event, same_id_is_duplicate=same_id_is_duplicate)
        )

    async def claim(self, destination: DestinationName, *, limit: int, now: int, lease_until: int) -> Claimed:
        return await self._writer.submit(
            lambda db: dispatch.claim(db, destination, limit=limit, now=now, lease_until=lease_until)
        )

    async def record(
        self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int, yields_at: int | None
    ) -> Finished:
        return await self._writer.submit(
            lambda db: dispatch.record(db, claim, outcome, verdict, now=now, yields_at=yields_at)
        )

    async def give_back(self, claims: Sequence[Claim], *, now: int) -> None:
        await self._writer.submit(lambda db: dispatch.give_back(db, claims, now=now))

    async def prune(self, retention: Retention, *, now: int, limit: int) -> int:
        return await self._writer.submit(lambda db: prune.prune(db, retention, now=now, limit=limit))

    async def ping(self) -> None:
        await self._writer.submit(lambda db: db.execute("SELECT 1").fetchone())

    async def events(self, where: EventFilter, *, before: int | None, limit: int) -> list[EventRecord]:
        return await self._read(lambda db: read.events(db, where, before=before, limit=limit))

    async def event(self, event_id: EventId) -> EventRecord | None:
        return await self._read(lambda db: read.event(db, event_id))

    async def stats(self) -> Stats:
        return await self._read(self._stats)

    async def close(self) -> None:
        await self._writer.close()
        self._reader.shutdown()
        self._reading.close()
        self._connection.close()
        os.close(self._lock)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._reader, work, self._reading)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the store cannot read: {error}") from error
        except RuntimeError:  # the executor is shut down
            raise StoreUnavailable("the store is closed") from None

    def _stats(self, db: sqlite3.Connection) -> Stats:
        oldest = {name: read.oldest_pending(db, name) for name in self._destinations}
        files = (self._path, Path(f"{self._path}-wal"))
        return Stats(
            deliveries=read.counts(db),
            oldest_pending={name: at for name, at in oldest.items() if at is not None},
            size_bytes=sum(file.stat().st_size for file in files if file.exists()),
            free_bytes=shutil.disk_usage(self._path.parent).free,
        )


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:///relative` or `sqlite:////absolute`."""
    return Path(url.removeprefix("sqlite:///"))


def _lock(path: Path) -> int:
    """A file descriptor that holds the lock; the system releases it however the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreUnusable(f"{path} is in use by another gateway; one process owns the file") from None
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    new = not path.exists()
    connection = _connect(path)
    if new:
        path.chmod(0o600)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
