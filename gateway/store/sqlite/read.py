"""Reads what is stored, for lists, for one event, for metrics. Changes nothing."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.model import Event, EventId, SourceName, Webhook
from gateway.store import AttemptRecord, DeliveryRecord, EventFilter, EventRecord
from gateway.store.sqlite.accept import headers_from_text

EVENT_COLUMNS = "e.id, e.source, e.type, e.dedupe_key, e.body_sha256, e.ordering_key, e.received_at, e.query, e.headers, e.body"

WITHOUT_CONTENT = EVENT_COLUMNS.replace("e.query, e.headers, e.body", "x'', '[]', x''")

EVENTS = f"""
SELECT e.seq, {WITHOUT_CONTENT} FROM events e
WHERE (:before IS NULL OR e.seq < :before)
  AND (:source IS NULL OR e.source = :source)
  AND (:type IS NULL OR e.type = :type)
  AND (:key IS NULL OR e.ordering_key = :key)
  AND (:since IS NULL OR e.received_at >= :since)
  AND (:until IS NULL OR e.received_at < :until)
  AND (:destination IS NULL OR EXISTS (
    SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.destination = :destination))
  AND (:state IS NULL OR :state = CASE
    WHEN NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq) THEN 'unrouted'
    WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.state = 'pending') THEN 'pending'
    WHEN EXISTS (SELECT 1 FROM deliveries d WHERE d.event_seq = e.seq AND d.state = 'dead') THEN 'dead'
    ELSE 'delivered' END)
ORDER BY e.seq DESC LIMIT :limit
"""

EVENT = f"SELECT e.seq, {EVENT_COLUMNS} FROM events e WHERE e.id = :id"

DELIVERIES = """
SELECT id, destination, state, attempts, next_attempt_at, last_status, last_error, dead_reason
FROM deliveries WHERE event_seq = :seq ORDER BY id
"""

ATTEMPTS = """
SELECT number, started_at, duration_ms, outcome, status, error, response
FROM attempts WHERE delivery_id = :id ORDER BY number
"""

COUNTS = "SELECT destination, state, n FROM delivery_counts"

OLDEST_PENDING = """
SELECT e.received_at FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.destination = :destination AND d.state = 'pending' ORDER BY d.id LIMIT 1
"""


def events(
    db: sqlite3.Connection, where: EventFilter, *, before: int | None, limit: int
) -> list[EventRecord]:
    row = {
        "before": before,
        "limit": limit,
        "source": where.source,
        "destination": where.destination,
        "state": where.state,
        "type": where.type,
        "key": where.key,
        "since": where.since,
        "until": where.until,
    }
    found = db.execute(EVENTS, row).fetchall()
    return [
        EventRecord(seq, event_from_row(event), _deliveries(db, seq, with_attempts=False))
        for seq, *event in found
    ]


def event(db: sqlite3.Connection, event_id: EventId) -> EventRecord | None:
    found = db.execute(EVENT, {"id": event_id}).fetchone()
    if found is None:
        return None
    seq, *columns = found
    return EventRecord(seq, event_from_row(columns), _deliveries(db, seq, with_attempts=True))


def counts(db: sqlite3.Connection) -> dict[tuple[str, str], int]:
    return {(destination, state): n for destination, state, n in db.execute(COUNTS)}


def oldest_pending(db: sqlite3.Connection, destination: str) -> int | None:
    row = db.execute(OLDEST_PENDING, {"destination": destination}).fetchone()
    return None if row is None else int(row[0])


def event_from_row(row: Sequence[Any]) -> Event:
    """From the columns of EVENT_COLUMNS."""
    event_id, source, type_, dedupe_key, body_sha256, ordering_key, received_at, query, headers, body = row
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
    )


def _deliveries(db: sqlite3.Connection, seq: int, *, with_attempts: bool) -> tuple[DeliveryRecord, ...]:
    records = []
    for delivery_id, *columns in db.execute(DELIVERIES, {"seq": seq}).fetchall():
        history = db.execute(ATTEMPTS, {"id": delivery_id}).fetchall() if with_attempts else ()
        attempts = tuple(AttemptRecord(*attempt) for attempt in history)
        records.append(replace(DeliveryRecord(*columns), history=attempts))
    return tuple(records)
