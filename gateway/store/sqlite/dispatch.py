"""Hands deliveries out for an attempt and takes the results in."""

import sqlite3
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, assert_never

from gateway.model import Claim, Dead, Delivered, DeliveryId, DestinationName, Outcome, RetryAt, Verdict
from gateway.store import Claimed, Finished, Room, Standing
from gateway.store.sqlite import standing
from gateway.store.sqlite.read import EVENT_COLUMNS, event_from_row
from gateway.store.sqlite.standing import STOPPED_MS

# Deliveries that have held back later ones of their key for long enough.
YIELD = """
UPDATE deliveries INDEXED BY deliveries_yielding SET yielded = 1
WHERE destination = :destination AND state = 'pending' AND yielded = 0 AND yields_at <= :running
RETURNING ordering_key
"""

# The first of a key that has not yielded becomes due, if it waits: then nothing before it holds it back. Only the
# first can be due already, so that this costs the same however many wait.
PROMOTE = f"""
UPDATE deliveries SET next_attempt_at = :now, running_since = :now - {STOPPED_MS}
WHERE id = (
  SELECT id FROM deliveries
  WHERE destination = :destination AND ordering_key = :key AND state = 'pending' AND yielded = 0
  ORDER BY id LIMIT 1
) AND next_attempt_at IS NULL
"""

# Oldest due first, of one class. A key with an attempt under way is left alone: its deliveries go out one at a time.
DUE = f"""
SELECT d.next_attempt_at, d.id, d.attempts, d.tries, d.again, d.queued_at, d.running_since, d.ordering_key, {EVENT_COLUMNS}
FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.destination = :destination AND d.state = 'pending' AND d.lease_until IS NULL
  AND d.again = :again AND d.next_attempt_at <= :due_by
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
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 0
      AND next_attempt_at > :now
  UNION ALL
  SELECT min(next_attempt_at) FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 1
      AND next_attempt_at > :now
  UNION ALL
  SELECT min(yields_at) + :stopped FROM deliveries INDEXED BY deliveries_yielding
    WHERE destination = :destination AND state = 'pending' AND yielded = 0 AND yields_at > :running
)
"""

# Behind everything that waits, however far away that is: the end of the hold makes all of it due.
LAST_IN_TURN = """
SELECT max(:at, coalesce(max(next_at) + 1, 0)) FROM (
  SELECT max(next_attempt_at) AS next_at FROM deliveries INDEXED BY deliveries_due
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 0
      AND next_attempt_at IS NOT NULL
  UNION ALL
  SELECT max(next_attempt_at) FROM deliveries INDEXED BY deliveries_due
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 1
      AND next_attempt_at IS NOT NULL
)
"""

RECORD = """
UPDATE deliveries
SET state = :state, next_attempt_at = :next_attempt_at, finished_at = :finished_at, dead_reason = :dead_reason,
    last_status = :status, last_error = :error, yields_at = coalesce(yields_at, :yields_at),
    tries = tries + :counts, again = 1, lease_until = NULL, leased_at = NULL
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""

INSERT_ATTEMPT = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, status, error, response)
VALUES (:id, :attempt, :started_at, :duration_ms, :outcome, :status, :error, :response)
"""

FOREVER = 2**62


def claim(
    db: sqlite3.Connection,
    destination: DestinationName,
    *,
    room: Room,
    probe: bool,
    now: int,
    lease_until: int,
) -> Claimed:
    stands = standing.read(db, destination)
    if (wait := _wait(stands, probe=probe, now=now)) is not None:
        return Claimed([], wait or None, stands)
    if stands.quiet_until is not None:
        standing.end_quiet(db, destination, now=now)
    stopped = standing.stopped_ms(db, destination, now=now)
    row = {"destination": destination, "now": now, "stopped": stopped, "running": now - stopped}
    for (key,) in db.execute(YIELD, row).fetchall():
        promote(db, destination=destination, key=key, now=now)
    held = stands.held_at is not None
    due = _next_in_turn(db, destination) if held else _due(db, destination, room=room, now=now)
    claims = _lease(db, destination, due, stopped=stopped, now=now, lease_until=lease_until)
    if len(claims) == room.total or len(claims) < len(due):  # several of a key took the place of others
        return Claimed(claims, now, stands)
    (next_at,) = db.execute(NEXT_AT, row).fetchone()
    return Claimed(claims, next_at, stands)


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
        "yields_at": None,
        **_columns(verdict, now=now),
    }
    key = claim.event.ordering_key
    if yields_at is not None and key is not None:
        row["yields_at"] = yields_at - standing.stopped_ms(db, claim.destination, now=now)
    if isinstance(verdict, RetryAt) and not verdict.counts:
        turn = {"destination": claim.destination, "at": verdict.at}
        (row["next_attempt_at"],) = db.execute(LAST_IN_TURN, turn).fetchone()
    if db.execute(RECORD, row).rowcount == 0:
        return Finished(counted=False, released=False)
    db.execute(INSERT_ATTEMPT, row)
    if key is None or isinstance(verdict, RetryAt):
        return Finished(counted=True, released=False)
    return Finished(counted=True, released=promote(db, destination=claim.destination, key=key, now=now))


def promote(db: sqlite3.Connection, *, destination: DestinationName, key: str, now: int) -> bool:
    """Whether a later delivery of the key became due."""
    return db.execute(PROMOTE, {"destination": destination, "key": key, "now": now}).rowcount > 0


def _wait(stands: Standing, *, probe: bool, now: int) -> int | None:
    """When to look again at a destination that gets nothing now; 0: nobody knows. None: it gets its deliveries."""
    if stands.paused_at is not None:
        return 0
    if stands.quiet_until is not None and stands.quiet_until > now:
        return stands.quiet_until
    return 0 if stands.held_at is not None and not probe else None


def _due(db: sqlite3.Connection, destination: DestinationName, *, room: Room, now: int) -> list[Any]:
    """First attempts, and others up to their share; more of these where first attempts leave room."""
    others = _find(db, destination, again=True, due_by=now, limit=room.total)
    first = _find(db, destination, again=False, due_by=now, limit=room.total - min(len(others), room.again))
    return first + others[: room.total - len(first)]


def _next_in_turn(db: sqlite3.Connection, destination: DestinationName) -> list[Any]:
    """The one that has waited longest; a probe that failed is the last from then on."""
    found = [
        row for again in (False, True) for row in _find(db, destination, again=again, due_by=FOREVER, limit=1)
    ]
    return sorted(found, key=itemgetter(0))[:1]


def _find(
    db: sqlite3.Connection, destination: DestinationName, *, again: bool, due_by: int, limit: int
) -> list[Any]:
    row = {"destination": destination, "again": again, "due_by": due_by, "limit": limit}
    return db.execute(DUE, row).fetchall()


def _lease(
    db: sqlite3.Connection,
    destination: DestinationName,
    due: Sequence[Any],
    *,
    stopped: int,
    now: int,
    lease_until: int,
) -> list[Claim]:
    claims: list[Claim] = []
    keys: set[str] = set()
    for _, delivery_id, attempts, tries, again, queued_at, running_since, key, *event in due:
        if key in keys:
            continue
        if key is not None:
            keys.add(key)
        db.execute(LEASE, {"id": delivery_id, "now": now, "lease_until": lease_until})
        claims.append(
            Claim(
                delivery_id=DeliveryId(delivery_id),
                attempt=attempts + 1,
                destination=destination,
                event=event_from_row(event),
                tries=tries,
                again=bool(again),
                queued_at=queued_at,
                live_since=running_since + stopped,
            )
        )
    return claims


def _columns(verdict: Verdict, *, now: int) -> dict[str, object]:
    over = {"next_attempt_at": None, "finished_at": now, "counts": True}
    match verdict:
        case Delivered():
            return {"state": "delivered", "dead_reason": None, **over}
        case Dead(reason):
            return {"state": "dead", "dead_reason": reason, **over}
        case RetryAt(at, counts):
            return {
                "state": "pending",
                "dead_reason": None,
                "next_attempt_at": at,
                "finished_at": None,
                "counts": counts,
            }
        case _:
            assert_never(verdict)
