"""Stores and events for the tests of what lies behind the edges."""

import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.model import DestinationName, Event, EventId, Outcome, SourceName, Webhook
from gateway.store.sqlite import SqliteStore

A = DestinationName("a")
B = DestinationName("b")
NOW = 1_795_341_600_000
LEASE = NOW + 30_000


@asynccontextmanager
async def open_store(
    path: Path, *, now: int = NOW, on_commit: Callable[[float, int], None] = lambda _seconds, _tasks: None
) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, destinations=[A, B], now=now, on_commit=on_commit)
    try:
        yield store
    finally:
        await store.close()


def event(number: int, **changes: Any) -> Event:
    """Event number `number`: an id, a dedupe key and a body of its own, wanted by `a`."""
    body = changes.pop("body", json.dumps({"n": number}).encode())
    values: dict[str, Any] = {
        "id": EventId(f"evt_{number:032x}"),
        "source": SourceName("producer"),
        "type": "thing.happened",
        "dedupe_key": f"msg_{number}",
        "body_sha256": hashlib.sha256(body).digest(),
        "ordering_key": None,
        "received_at": NOW,
        "webhook": Webhook(headers=((b"content-type", b"application/json"),), query=b"", body=body),
        "destinations": (A,),
    }
    return Event(**{**values, **changes})


def outcome(kind: str = "success", **changes: Any) -> Outcome:
    statuses = {"success": 200, "client_error": 404, "server_error": 500}
    values = {"kind": kind, "started_at": NOW, "duration_ms": 3, "status": statuses.get(kind)}
    return Outcome(**{**values, **changes})


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Reads the file as another program would."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
