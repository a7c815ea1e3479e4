"""Hands deliveries out for an attempt and takes the results in."""

import sqlite3
from collections.abc import Sequence
from typing import assert_never

from gateway.model import Claim, Dead, Delivered, DeliveryId, DestinationName, Outcome, RetryAt, Verdict
from gateway.store import Claimed, Finished
from gateway.store.sqlite.read import EVENT_COLUMNS, event_from_row

# An attempt that nobody finished stays visible in the delivery's history.
NOTE_INTERRUPTED = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, response)
SELECT id, attempts, leased_at, max(0, :now - leased_at), 'interrupted', x'' FROM deliveries
WHERE lease_until <= :ended_by
"""

END_LEASES = "UPDATE deliveries SET lease_until = NULL, leased_at = NULL WHERE lease_until <= :ended_by"

NOTE_ONE_INTERRUPTED = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, response)
SELECT id, attempts, leased_at, max(0, :now - leased_at), 'interrupted', x'' FROM deliveries
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""

END_ONE_LEASE = """
UPDATE deliveries SET lease_until = NULL, leased_at = NULL
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""

# Deliveries that have held back later ones of their key for long enough.
YIELD = """
UPDATE deliveries SET yielded = 1
WHERE destination = :destination AND state = 'pending' AND yielded = 0 AND yields_at <= :now
RETURNING ordering_key
"""

# The next of a key becomes due, if nothing before it holds it back.
PROMOTE = """
UPDATE deliveries SET next_attempt_at = :now, live_since = :now
WHERE id = (
  SELECT min(id) FROM deliveries
  WHERE destination = :destination AND ordering_key = :key AND state = 'pending' AND next_attempt_at IS NULL
) AND NOT EXISTS (
  SELECT 1 FROM deliveries
  WHERE destination = :destination AND ordering_key = :key AND state = 'pending'
    AND next_attempt_at IS NOT NULL AND yielded = 0
)
"""

# Oldest due first. A key with an attempt under way is left alone: its deliveries go out one at a time.
DUE = f"""
SELECT d.id, d.attempts, d.live_since, d.ordering_key, {EVENT_COLUMNS}
FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.destination = :destination AND d.state = 'pending' AND d.lease_until IS NULL AND d.next_attempt_at <= :now
  AND (d.ordering_key IS NULL OR NOT EXISTS (
    SELECT 1 FROM deliveries o
    WHERE o.destination = d.destination AND o.ordering_key = d.ordering_key AND o.lease_until IS NOT NULL
  ))
ORDER BY d.next_attempt_at, d.id LIMIT :limit
"""

LEASE = """
UPDATE deliveries SET attempts = attempts + 1, leased_at = :now, lease_until = :lease_until WHERE id = :id
"""

NEXT_AT = """
SELECT min(at) FROM (
  SELECT min(next_attempt_at) AS at FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND next_attempt_at > :now
  UNION ALL
  SELECT min(yields_at) FROM deliveries WHERE state = 'pending' AND yielded = 0 AND yields_at > :now
  UNION ALL
  SELECT min(lease_until) FROM deliveries WHERE lease_until > :now
)
"""

RECORD = """
UPDATE deliveries
SET state = :state, next_attempt_at = :next_attempt_at, finished_at = :finished_at, dead_reason = :dead_reason,
    last_status = :status, last_error = :error, yields_at = coalesce(yields_at, :yields_at),
    lease_until = NULL, leased_at = NULL
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""

INSERT_ATTEMPT = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, status, error, response)
VALUES (:id, :attempt, :started_at, :duration_ms, :outcome, :status, :error, :response)
"""


def claim(
    db: sqlite3.Connection, destination: DestinationName, *, limit: int, now: int, lease_until: int
) -> Claimed:
    take_back(db, ended_by=now, now=now)
    for (key,) in db.execute(YIELD, {"destination": destination, "now": now}).fetchall():
        _promote(db, destination=destination, key=key, now=now)
    due = db.execute(DUE, {"destination": destination, "now": now, "limit": limit}).fetchall()
    claims: list[Claim] = []
    keys: set[str] = set()
    for delivery_id, attempts, live_since, key, *event in due:
        if key in keys:
            continue
        if key is not None:
            keys.add(key)
        db.execute(LEASE, {"id": delivery_id, "now": now, "lease_until": lease_until})
        claims.append(
            Claim(DeliveryId(delivery_id), attempts + 1, destination, event_from_row(event), live_since)
        )
    (next_at,) = db.execute(NEXT_AT, {"destination": destination, "now": now}).fetchone()
    return Claimed(claims, next_at)


def take_back(db: sqlite3.Connection, *, ended_by: int, now: int) -> None:
    """Leases that ended by `ended_by` are over; what they were for is due again."""
    db.execute(NOTE_INTERRUPTED, {"ended_by": ended_by, "now": now})
    db.execute(END_LEASES, {"ended_by": ended_by})


def give_back(db: sqlite3.Connection, claims: Sequence[Claim], *, now: int) -> None:
    for one in claims:
        row = {"id": one.delivery_id, "attempt": one.attempt, "now": now}
        db.execute(NOTE_ONE_INTERRUPTED, row)
        db.execute(END_ONE_LEASE, row)


def record(
    db: sqlite3.Connection,
    claim: Claim,
    outcome: Outcome,
    verdict: Verdict,
    *,
    now: int,
    yields_at: int | None,
) -> Finished:
    row = {
        "id": claim.delivery_id,
        "attempt": claim.attempt,
        "started_at": outcome.started_at,
        "duration_ms": outcome.duration_ms,
        "outcome": outcome.kind,
        "status": outcome.status,
        "error": outcome.error,
        "response": outcome.response,
        "yields_at": yields_at,
        **_columns(verdict, now=now),
    }
    if db.execute(RECORD, row).rowcount == 0:
        return Finished(counted=False, released=False)
    db.execute(INSERT_ATTEMPT, row)
    key = claim.event.ordering_key
    if key is None or isinstance(verdict, RetryAt):
        return Finished(counted=True, released=False)
    return Finished(counted=True, released=_promote(db, destination=claim.destination, key=key, now=now))


def _columns(verdict: Verdict, *, now: int) -> dict[str, object]:
    match verdict:
        case Delivered():
            return {"state": "delivered", "next_attempt_at": None, "finished_at": now, "dead_reason": None}
        case Dead(reason):
            return {"state": "dead", "next_attempt_at": None, "finished_at": now, "dead_reason": reason}
        case RetryAt(at):
            return {"state": "pending", "next_attempt_at": at, "finished_at": None, "dead_reason": None}
        case _:
            assert_never(verdict)


def _promote(db: sqlite3.Connection, *, destination: DestinationName, key: str, now: int) -> bool:
    return db.execute(PROMOTE, {"destination": destination, "key": key, "now": now}).rowcount > 0
