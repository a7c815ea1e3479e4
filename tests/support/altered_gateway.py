"""The gateway's commands with one thing altered: where the process dies, what SQLite is told, what the clock says.

`serve` puts the same parts together as the command line does. Nothing in the gateway knows of any of this.
"""

import functools
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from gateway import app, cli, server
from gateway.clock import SystemClock
from gateway.config import load
from gateway.errors import GatewayError
from gateway.limits import Limits
from gateway.log import set_up
from gateway.metrics import Metrics
from gateway.store import Claimed, Store
from gateway.store.sqlite import SqliteStore, sqlite_path

VARIABLE = "ALTERATIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alterations:
    dies_before: tuple[str, int] | None = None
    """A method of the store, and at the how manyeth call."""
    dies_after: tuple[str, int] | None = None
    """The same; calls that came back with nothing are not counted."""
    dies_at: tuple[str, int] | None = None
    """A piece of an SQL statement, before the how manyeth one of which the process dies."""
    instead: tuple[str, str] | None = None
    """A whole SQL statement, and what is executed in its place."""
    most_pages: int = 0
    """What the store's file may grow to; 0: whatever the disk takes."""
    clock_file: str = ""
    """See `set_clock`. Empty: the clock is the system's."""

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


class Countdown:
    """Kills this process at the end of it, as nothing but a `kill -9` would."""

    def __init__(self, times: int) -> None:
        self._left = times

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            die()


class MortalStore:
    """A store of which one method is the process's last."""

    def __init__(self, store: SqliteStore, alterations: Alterations) -> None:
        self._store = store
        self._before, before = alterations.dies_before or ("", 0)
        self._after, after = alterations.dies_after or ("", 0)
        self._countdown = Countdown(before or after)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._dying(method) if name in {self._before, self._after} else method

    def _dying(
        self, method: Callable[..., Coroutine[Any, Any, Any]]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        @functools.wraps(method)
        async def dying(*arguments: Any, **named: Any) -> Any:
            if self._before:
                self._countdown.count()
            result = await method(*arguments, **named)
            if self._after and not _is_nothing(result):
                self._countdown.count()
            return result

        return dying


class AlteredConnection(sqlite3.Connection):
    """Executes `instead` where it is given, and says so to nobody."""

    instead: tuple[str, str] | None = None

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if self.instead is not None and sql == self.instead[0]:
            sql = self.instead[1]
        return super().execute(sql, *arguments)


def set_clock(path: Path, by_ms: int) -> None:
    """The wall clock of whoever reads this file is that far off from now on."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.pwrite(file, f"{by_ms:20}".encode(), 0)  # over what was there: a reader sees the one or the other
    os.close(file)


class SettableClock(SystemClock):
    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        super().__init__()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000 + int(os.pread(self._file, 20, 0))


def main() -> int:
    alterations = Alterations(**json.loads(os.environ[VARIABLE]))
    alter_sqlite(alterations)
    if sys.argv[1] != "serve":
        return cli.main(sys.argv[1:])
    try:
        serve(Path(sys.argv[3]), alterations)
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - as the command line does
        return 1
    return 0


def serve(path: Path, alterations: Alterations) -> None:
    config = load(path, environ=os.environ)
    set_up(level=config.server.log_level)
    clock = SettableClock(Path(alterations.clock_file)) if alterations.clock_file else SystemClock()
    metrics = Metrics(version="altered")
    listener = server.bind(config.server.host, config.server.port)
    store = SqliteStore(
        sqlite_path(config.store.url),
        destinations=[destination.name for destination in config.destinations],
        now=clock.now_ms(),
        on_commit=metrics.on_commit,
    )
    mortal = cast(Store, MortalStore(store, alterations))
    created = app.create(config, store=mortal, clock=clock, metrics=metrics)
    server.serve(
        created.app, listener, limits=Limits(), max_connections=1000, metrics=metrics, on_hangup=lambda: None
    )


def alter_sqlite(alterations: Alterations) -> None:
    AlteredConnection.instead = alterations.instead
    connect = sqlite3.connect

    def altered(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **named, factory=AlteredConnection)
        if alterations.most_pages:
            connection.execute(f"PRAGMA max_page_count = {alterations.most_pages}")
        if watch is not None:
            connection.set_trace_callback(watch)
        return connection

    watch = None if alterations.dies_at is None else _watch(*alterations.dies_at)
    sqlite3.connect = altered  # type: ignore[assignment]


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nothing survives that")


def _watch(piece: str, times: int) -> Callable[[str], None]:
    countdown = Countdown(times)

    def watch(statement: str) -> None:
        if piece in statement:
            countdown.count()

    return watch


def _is_nothing(result: Any) -> bool:
    if isinstance(result, Claimed):
        return not result.claims
    return result in (0, False)


if __name__ == "__main__":
    sys.exit(main())
