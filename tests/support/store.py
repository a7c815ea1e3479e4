"""Stores and events for the tests of what lies behind the edges, and the steps that these tests are written in."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.model import (
    Accepted,
    Claim,
    Delivered,
    DestinationName,
    Event,
    EventId,
    Outcome,
    SourceName,
    Verdict,
    Webhook,
)
from gateway.store import Claimed, DeliveryRecord, Finished, Room, Store
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


def fill(store: SqliteStore, number: int, *, key: str | None = None) -> None:
    """So many pending deliveries of events of their own: all due, or of one key, the first due and the others behind it."""
    values = {"last": number - 1, "key": key, "now": NOW}
    db = store._connection  # noqa: SLF001 - by the thousand
    db.execute("BEGIN")
    db.execute(
        """
        WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)
        INSERT INTO events (id, source, body_sha256, ordering_key, received_at, query, headers, body, unrouted, id_reused)
        SELECT 'evt_' || format('%032x', n), 'producer', x'', :key, :now, x'', '[]', x'00', 0, 0 FROM numbers
        """,
        values,
    )
    db.execute(
        """
        INSERT INTO deliveries (event_seq, destination, ordering_key, next_attempt_at, running_since, queued_at)
        SELECT seq, 'a', :key, iif(:key IS NULL OR seq = 1, :now, NULL), :now, :now FROM events ORDER BY seq
        """,
        values,
    )
    db.execute("COMMIT")


def number_of(event_id: str) -> int:
    """The number that `event` made the id of."""
    return int(event_id.removeprefix("evt_"), 16)


def outcome(kind: str = "success", **changes: Any) -> Outcome:
    statuses = {"success": 200, "client_error": 404, "server_error": 500}
    values = {"kind": kind, "started_at": NOW, "duration_ms": 3, "status": statuses.get(kind)}
    return Outcome(**{**values, **changes})


async def accept(store: Store, *events: Event, same_id_is_duplicate: bool = False) -> list[Accepted]:
    """In this order; all of them wait for the store at once."""
    return await asyncio.gather(
        *(store.accept(one, same_id_is_duplicate=same_id_is_duplicate) for one in events)
    )


async def look(
    store: Store,
    destination: DestinationName = A,
    *,
    total: int = 10,
    again: int | None = None,
    probe: bool = False,
    now: int = NOW,
    lease_ms: int = 30_000,
) -> Claimed:
    """Claims; retries and replays may take all of the room unless `again` says otherwise."""
    room = Room(total, total if again is None else again)
    return await store.claim(destination, room=room, probe=probe, now=now, lease_until=now + lease_ms)


async def claim(store: Store, destination: DestinationName = A, **values: Any) -> list[Claim]:
    return (await look(store, destination, **values)).claims


async def finish(
    store: Store, one: Claim, verdict: Verdict, *, now: int = NOW, yields_at: int | None = None
) -> Finished:
    """Records an attempt that ended as the verdict would have it."""
    kind = "success" if isinstance(verdict, Delivered) else "server_error"
    return await store.record(one, outcome(kind, started_at=now), verdict, now=now, yields_at=yields_at)


def numbers(claims: Sequence[Claim]) -> list[int]:
    return [number_of(one.event.id) for one in claims]


async def deliveries(store: Store, number: int) -> dict[str, DeliveryRecord]:
    """Those of event number `number`, by destination."""
    found = await store.event(event(number).id)
    assert found is not None
    return {one.destination: one for one in found.deliveries}


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    """Reads the file as another program would."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
