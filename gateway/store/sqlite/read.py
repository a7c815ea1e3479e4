"""Reads what is stored, for lists, for one event, for metrics. Changes nothing."""

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from gateway.model import Event, EventId, SourceName, Webhook
from gateway.store import AttemptRecord, DeliveryRecord, EventFilter, EventRecord, Matched
from gateway.store.sqlite.accept import headers_from_text

LAST_SEQ = 2**62
"""Beyond every sequence number. A bound that is always there lets a page begin where the one before it ended."""

EVENT_COLUMNS = "e.id, e.source, e.type, e.dedupe_key, e.body_sha256, e.ordering_key, e.received_at, e.body_authenticated, e.query, e.headers, e.body"

WITHOUT_CONTENT = EVENT_COLUMNS.replace("e.query, e.headers, e.body", "x'', '[]', x''")

# An expression over the event `e` and the values of an EventFilter. With a destination the state is that of its delivery.
MATCHES = """(:source IS NULL OR e.source = :source)
  AND (:type IS NULL OR e.type = :type)
  AND (:key IS NULL OR e.ordering_key = :key)
  AND (:since IS NULL OR e.received_at >= :since)
  AND (:until IS NULL OR e.received_at < :until)
  AND (:destination IS NULL OR EXISTS (
    SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.destination = :destination
      AND (:state IS NULL OR d.state = :state)))
  AND (:state IS NULL OR :destination IS NOT NULL OR :state = CASE
    WHEN NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq) THEN 'unrouted'
    WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.state = 'pending') THEN 'pending'
    WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.state = 'dead') THEN 'dead'
    ELSE 'delivered' END)"""

# Newest first.
EVENTS = f"""
SELECT e.seq, e.erased_at, {WITHOUT_CONTENT} FROM {{events}}
WHERE {{seq}} < :before AND {MATCHES}{{few}}
GROUP BY {{seq}} ORDER BY {{seq}} DESC LIMIT :limit
"""

# Oldest first, with their content: what a replay takes next.
PAGE = f"""
SELECT e.seq, e.erased_at, {EVENT_COLUMNS} FROM {{events}}
WHERE {{seq}} > :cursor AND {{seq}} <= :last_seq AND {MATCHES}{{few}}
GROUP BY {{seq}} ORDER BY {{seq}} LIMIT :limit
"""

COUNT = f"SELECT {{count}} FROM {{events}} WHERE {MATCHES}{{few}}"

NEWEST = "SELECT coalesce(max(seq), 0) FROM events"

# Where the events come from; for states that few are in, from an index that holds no others.
ALL = {"events": "events e", "seq": "e.seq", "count": "count(*)", "few": ""}
FEW = {
    "dead": {
        "events": "deliveries f INDEXED BY deliveries_dead CROSS JOIN events e ON e.seq = f.event_seq",
        "seq": "f.event_seq",
        "count": "count(DISTINCT f.event_seq)",
        "few": " AND f.state = 'dead'",
    },
    "pending": {
        **ALL,
        "few": " AND e.seq IN (SELECT event_seq FROM deliveries WHERE state = 'pending')",
    },
    "pending of one": {
        **ALL,
        "few": " AND e.seq IN (SELECT event_seq FROM deliveries WHERE state = 'pending' AND destination = :destination)",
    },
    "unrouted": {**ALL, "few": " AND e.unrouted = 1"},
}

EVENT = f"SELECT e.seq, e.erased_at, {EVENT_COLUMNS} FROM events e WHERE e.id = :id"

DELIVERIES = """
SELECT id, destination, state, attempts, next_attempt_at + offset_ms, last_status, last_error, dead_reason
FROM deliveries, clock WHERE event_seq = :seq ORDER BY id
"""

ATTEMPTS = """
SELECT number, started_at, duration_ms, outcome, status, error, response
FROM attempts WHERE delivery_id = :id ORDER BY number
"""

COUNTS = "SELECT destination, state, n FROM delivery_counts"

OLDEST_PENDING = """
SELECT queued_at + offset_ms FROM deliveries, clock
WHERE destination = :destination AND state = 'pending' ORDER BY id LIMIT 1
"""


def events(
    db: sqlite3.Connection, where: EventFilter, *, before: int | None, limit: int
) -> list[EventRecord]:
    row = {**asdict(where), "before": LAST_SEQ if before is None else before, "limit": limit}
    return _records(db, db.execute(_narrowed(EVENTS, where), row).fetchall())


def page(
    db: sqlite3.Connection, where: EventFilter, *, cursor: int, last_seq: int, limit: int
) -> list[EventRecord]:
    row = {**asdict(where), "cursor": cursor, "last_seq": last_seq, "limit": limit}
    return _records(db, db.execute(_narrowed(PAGE, where), row).fetchall())


def count(db: sqlite3.Connection, where: EventFilter) -> Matched:
    (matched,) = db.execute(_narrowed(COUNT, where), asdict(where)).fetchone()
    (newest,) = db.execute(NEWEST).fetchone()
    return Matched(matched, newest)


def event(db: sqlite3.Connection, event_id: EventId) -> EventRecord | None:
    found = db.execute(EVENT, {"id": event_id}).fetchone()
    if found is None:
        return None
    seq, erased_at, *columns = found
    return EventRecord(seq, event_from_row(columns), erased_at, _deliveries(db, seq, with_attempts=True))


def counts(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    return {(destination, state): n for destination, state, n in db.execute(COUNTS)}


def oldest_pending(db: sqlite3.Connection, destination: str) -> int | None:
    row = db.execute(OLDEST_PENDING, {"destination": destination}).fetchone()
    return None if row is None else int(row[0])


def event_from_row(row: Sequence[Any]) -> Event:
    """From the columns of EVENT_COLUMNS."""
    event_id, source, type_, dedupe_key, body_sha256, ordering_key, received_at, authenticated, *content = row
    query, headers, body = content
    return Event(
        id=EventId(event_id),
        source=SourceName(source),
        type=type_,
        dedupe_key=dedupe_key,
        body_sha256=body_sha256,
        ordering_key=ordering_key,
        received_at=received_at,
        webhook=Webhook(headers=headers_from_text(headers), query=query, body=body),
        destinations=(),
        body_authenticated=bool(authenticated),
    )


def _narrowed(sql: str, where: EventFilter) -> str:
    of_one = where.state == "pending" and where.destination is not None
    return sql.format(**FEW["pending of one"] if of_one else FEW.get(where.state or "", ALL))


def _records(db: sqlite3.Connection, found: Sequence[Sequence[Any]]) -> list[EventRecord]:
    return [
        EventRecord(seq, event_from_row(columns), erased_at, _deliveries(db, seq, with_attempts=False))
        for seq, erased_at, *columns in found
    ]


def _deliveries(db: sqlite3.Connection, seq: int, *, with_attempts: bool) -> tuple[DeliveryRecord, ...]:
    records = []
    for delivery_id, *columns in db.execute(DELIVERIES, {"seq": seq}).fetchall():
        history = db.execute(ATTEMPTS, {"id": delivery_id}).fetchall() if with_attempts else ()
        attempts = tuple(AttemptRecord(*attempt) for attempt in history)
        records.append(replace(DeliveryRecord(*columns), history=attempts))
    return tuple(records)
