"""Opens the store's file for the one process that owns it, and copies it while it is in use."""

import contextlib
import fcntl
import os
import sqlite3
import sys
from pathlib import Path

from gateway.errors import StoreUnusable
from gateway.store.sqlite.disk import kept_bytes
from gateway.store.sqlite.migrate import migrate

NEEDED_SQLITE = (3, 37, 0)
WRITER_CACHE_KIB = 32_768
READER_CACHE_KIB = 8_192
WAL_SHARE = 2
"""A write-ahead log that grew beyond half of the room that is kept, under a long read, is cut back when it starts anew."""

STATEMENTS = 256
"""Kept prepared: more than there are, with those for many rows in each of their lengths."""

EMPTYING_SECONDS = 0.25


def lock(path: Path) -> int:
    """A file descriptor that holds `PATH.lock`; the system releases it however the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnusable(f"{error.filename}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreUnusable(
            f"{path} is in use by another gateway; one process owns the file: end that one, or set GATEWAY_STORE_URL"
        ) from None
    except OSError as error:  # a network file system without locks
        os.close(descriptor)
        raise StoreUnusable(f"{path}.lock: {error.strerror}") from None
    return descriptor


def open_to_write(path: Path) -> sqlite3.Connection:
    """Opens or creates it, in this version's schema. May raise sqlite3.Error or OSError."""
    if sqlite3.sqlite_version_info < NEEDED_SQLITE:
        raise StoreUnusable(f"SQLite 3.37 or later is needed; this Python has {sqlite3.sqlite_version}")
    if not path.exists():
        _create(path)
    if path.stat().st_size == 0:
        raise StoreUnusable(f"{path} is empty, and was not when it was made: put the file back, or remove it")
    connection = _connect(path, cache_kib=WRITER_CACHE_KIB)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    return _connect(path, cache_kib=READER_CACHE_KIB)


def open_to_checkpoint(path: Path) -> sqlite3.Connection:
    connection = _connect(path, cache_kib=0)
    _sync_fully(connection)
    return connection


def empty_log(path: Path) -> None:
    """Brings what the write-ahead log holds into the file, and cuts it to nothing.

    Writers wait meanwhile, so it gives up soon where another program is reading; then what comes next is written
    over it.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=EMPTYING_SECONDS)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def touch(connection: sqlite3.Connection) -> None:
    """Writes what is there already."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def copy(path: Path, target: Path, *, now: int) -> int:
    """A consistent copy, marked as one, whole or not at all; its bytes. The gateway may run meanwhile.

    Raise StoreUnusable with a sentence for the operator.
    """
    if not path.exists():
        raise StoreUnusable(f"{path}: there is no store")
    if target.exists():
        raise StoreUnusable(f"{target} exists; name a new file")
    partial = target.with_name(f".{target.name}.partial")
    try:
        _copy(path, partial, now=now)
        os.link(partial, target)
        _sync(target.parent)
        return target.stat().st_size
    except FileExistsError:
        raise StoreUnusable(f"{target} exists; name a new file") from None
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error  # it names a file that nobody asked for
        raise StoreUnusable(f"{target}: {reason}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _create(path: Path) -> None:
    """A whole store without events gets the name at once; a file cut short is never a new one."""
    if Path(f"{path}-wal").exists():
        raise StoreUnusable(
            f"{path} is missing, but its write-ahead log {path.name}-wal is there: put the file back, or remove both"
        )
    partial = path.with_name(f".{path.name}.new")
    _make_anew(partial)
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # nobody misses it before it has its name
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        migrate(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    _sync(partial)
    partial.rename(path)
    _sync(path.parent)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("PRAGMA user_version").fetchone() == (0,):
        raise StoreUnusable(f"{path} is a database, but not a gateway's: name another file")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoint.py
    _sync_fully(connection)
    connection.execute(f"PRAGMA journal_size_limit = {kept_bytes(path) // WAL_SHARE}")
    # Always, not only for an erasure: rows move, and what is erased may have been in several places.
    connection.execute("PRAGMA secure_delete = ON")
    migrate(connection)
    _let_it_shrink(connection)


def _copy(path: Path, partial: Path, *, now: int) -> None:
    _make_anew(partial)
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    copied = sqlite3.connect(partial, isolation_level=None)
    try:
        source.backup(copied)  # in one step: the copy is of one moment, and writers of a WAL file do not wait
        copied.execute("PRAGMA journal_mode = DELETE")
        migrate(copied)
        copied.execute("DELETE FROM copied")
        copied.execute("INSERT INTO copied (at) VALUES (?)", (now,))
    finally:
        copied.close()
        source.close()
    _sync(partial)


def _make_anew(path: Path) -> None:
    """Empty, and for nobody else to read."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _sync(path: Path) -> None:
    """A file's content, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(path: Path, *, cache_kib: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=5, cached_statements=STATEMENTS
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")  # statements of many rows keep a journal of their own
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def _sync_fully(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


def _let_it_shrink(connection: sqlite3.Connection) -> None:
    """Once, for files of the first version: they could not give space back."""
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    if mode != 2:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # Without room for it the file works all the same, and the next start tries again.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("VACUUM")
