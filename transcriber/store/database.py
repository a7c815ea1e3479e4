"""The SQLite file, owned by one process: every transaction runs on one thread, one after another."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TypeVar

from transcriber.errors import StoreError

T = TypeVar("T")

_BUSY_SECONDS = 1.0  # only a person's own tool can be in the way

# FULL: a commit is on the disk when it returns, also in WAL mode. fullfsync: macOS needs it for the same promise.
# secure_delete: a deleted transcript leaves no readable pages behind.
_PRAGMAS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA fullfsync = ON;
PRAGMA checkpoint_fullfsync = ON;
PRAGMA foreign_keys = ON;
PRAGMA secure_delete = ON;
"""


class Database:
    """Opening takes the lock and migrates. Raises StoreError if another process has it or it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "transcriber.db"
        self._lock = _lock(folder / "transcriber.lock")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            self._connection = self._thread.submit(_open, self._path).result()
        except sqlite3.Error as error:
            self._release()
            raise StoreError(f"{self._path} cannot be used: {error}") from error
        except BaseException:
            self._release()
            raise

    async def transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, committed to disk; nothing of it is stored if it raises.

        It also happens when its caller is cancelled, before whatever is asked for later: cancellation loses only the answer.
        """
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, self._transact, work))

    def size_bytes(self) -> int:
        """On the disk, with the write-ahead log."""
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """After the transactions under way. Later ones raise RuntimeError."""
        self._thread.submit(self._connection.close).result()
        self._release()

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            answer = work(self._connection)
            self._connection.execute("COMMIT")
        except BaseException:
            # a failed commit, on a full disk, may leave the transaction open, or have rolled it back itself
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        return answer

    def _release(self) -> None:
        self._thread.shutdown()
        os.close(self._lock)


def _lock(path: Path) -> int:
    """A descriptor that holds the lock until it is closed, or its process ends in any way."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(
            f"another transcriber is using {path.parent}: stop it, or set TRANSCRIBER_DATA_DIR to another folder"
        ) from error
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
    try:
        connection.row_factory = sqlite3.Row
        connection.executescript(_PRAGMAS)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Applies what is missing, each migration with its number in one transaction. Numbers have no gaps."""
    scripts = _migrations()
    (done,) = connection.execute("PRAGMA user_version").fetchone()
    if done > len(scripts):
        raise StoreError(
            f"{path} was written by a newer transcriber (schema {done}, known {len(scripts)}): upgrade"
        )
    for number, script in enumerate(scripts[done:], start=done + 1):
        connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")


def _migrations() -> list[str]:
    folder = resources.files("transcriber.store") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return [file.read_text(encoding="utf-8") for file in files]
