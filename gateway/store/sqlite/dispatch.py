"""Hands deliveries out for an attempt. Statements count in store time, functions take and return Unix ms."""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from gateway.model import Claim, DeliveryId, DestinationName, value
from gateway.store import Claimed, Room, Standing
from gateway.store.sqlite import keys, rows, standing
from gateway.store.sqlite.read import EVENT_COLUMNS, event_from_row
from gateway.store.sqlite.standing import Standings

# Deliveries that have held back later ones of their key for long enough.
YIELD = """
UPDATE deliveries SET yielded = 1 WHERE id IN (
  SELECT id FROM deliveries INDEXED BY deliveries_yielding
  WHERE destination = :destination AND state = 'pending' AND yielded = 0 AND yields_at <= :running
  LIMIT :limit
) RETURNING ordering_key
"""

# Oldest due first, of one class. A key with an attempt under way is left alone: its deliveries go out one at a time.
DUE = f"""
SELECT d.ordering_key, d.id, d.attempts, d.tries, d.again, d.queued_at, d.running_since, {EVENT_COLUMNS}
FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE d.destination = :destination AND d.state = 'pending' AND d.lease_until IS NULL
  AND d.again = :again AND d.next_attempt_at <= :due_by
  AND (d.ordering_key IS NULL OR NOT EXISTS (
    SELECT 1 FROM deliveries o
    WHERE o.destination = d.destination AND o.ordering_key = d.ordering_key AND o.lease_until IS NOT NULL
  ))
ORDER BY d.next_attempt_at, d.id LIMIT :limit
"""

# For a probe: what came last is what a destination that is up again, or was never down, is most likely to take.
NEWEST = DUE.replace("ORDER BY d.next_attempt_at, d.id", "ORDER BY d.next_attempt_at DESC, d.id DESC")

LEASE = """
UPDATE deliveries SET attempts = attempts + 1, leased_at = v.column2, lease_until = v.column3
FROM (VALUES {rows}) v WHERE deliveries.id = v.column1
"""

# When something is due next, and whether something is now: after a claim only what waits for a lease of its key.
NEXT_AT = """
SELECT min(at), max(waits) FROM (
  SELECT min(next_attempt_at) AS at, 0 AS waits FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 0
      AND next_attempt_at > :now
  UNION ALL
  SELECT min(next_attempt_at), 0 FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 1
      AND next_attempt_at > :now
  UNION ALL
  SELECT min(yields_at) + :stopped, 0 FROM deliveries INDEXED BY deliveries_yielding
    WHERE destination = :destination AND state = 'pending' AND yielded = 0 AND yields_at > :running
  UNION ALL
  SELECT NULL, EXISTS (SELECT 1 FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 0
      AND next_attempt_at <= :now)
  UNION ALL
  SELECT NULL, EXISTS (SELECT 1 FROM deliveries
    WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND again = 1
      AND next_attempt_at <= :now)
)
"""

FOREVER = 2**62

MOST_YIELDS = 500
"""Keys that are let pass by one claim: it must not take long."""

MAX_BYTES = 2**20
"""Content that one claim brings, but for the last of it. What is over that is left for the next."""


def claim(
    db: sqlite3.Connection,
    destination: DestinationName,
    *,
    room: Room,
    probe: bool,
    now: int,
    lease_until: int,
) -> Claimed:
    standings = Standings(db)
    stands = standings.of(destination)
    if (wait := _wait(stands, probe=probe, now=now)) is not None:
        return Claimed([], wait or None, stands)
    if stands.quiet_until is not None:
        standing.end_quiet(db, destination, now=now)
    offset = standings.offset_ms
    is_more = _let_pass(db, destination, standings, now=now)
    if stands.held_at is None:
        due = _due(db, destination, room=room, due_by=now - offset)
    else:
        due = _next_in_turn(db, destination, again=room.again > 0)
    claims = [_claim(destination, row, standings, now=now) for row in _one_of_each_key(due.rows)]
    rows.each(db, LEASE, [(one.delivery_id, now - offset, lease_until - offset) for one in claims])
    # Where several of a key were found, they took the place of others.
    if is_more or due.is_cut or len(claims) == room.total or len(claims) < len(due.rows):
        return Claimed(claims, now, stands)
    next_at, waits = _next(db, destination, standings, now=now)
    return Claimed(claims, next_at, stands, waits=waits)


def _wait(stands: Standing, *, probe: bool, now: int) -> int | None:
    """When to look again at a destination that gets nothing now; 0: nobody knows. None: it gets its deliveries."""
    if stands.paused_at is not None:
        return 0
    if stands.quiet_until is not None and stands.quiet_until > now:
        return stands.quiet_until
    return 0 if stands.held_at is not None and not probe else None


def _let_pass(
    db: sqlite3.Connection, destination: DestinationName, standings: Standings, *, now: int
) -> bool:
    """What has held back its key for long enough does so no more. Whether there may be more of it."""
    stored = now - standings.offset_ms
    running = stored - standings.stopped_ms(destination, now=stored)
    row = {"destination": destination, "running": running, "limit": MOST_YIELDS}
    yielding = db.execute(YIELD, row).fetchall()
    keys.promote(db, {(destination, key) for (key,) in yielding}, standings, now=now)
    return len(yielding) == MOST_YIELDS


@value
class _Found:
    rows: list[Any]
    """Of DUE."""
    is_cut: bool = False
    """There are more, but these are enough content for one claim."""


def _due(db: sqlite3.Connection, destination: DestinationName, *, room: Room, due_by: int) -> _Found:
    """First attempts, and others up to their share; more of these where first attempts leave room."""
    others = _find(db, destination, again=True, due_by=due_by, limit=room.total)
    left = room.total - min(len(others.rows), room.again)
    first = _find(db, destination, again=False, due_by=due_by, limit=left)
    found = first.rows + others.rows[: room.total - len(first.rows)]
    return _Found(found, first.is_cut or others.is_cut)


def _next_in_turn(db: sqlite3.Connection, destination: DestinationName, *, again: bool) -> _Found:
    """Of those that were tried the one that has waited longest, or of those that were not the newest. None is tried twice running while others wait."""
    tried = _find(db, destination, again=True, due_by=FOREVER, limit=2).rows
    untried = _find(db, destination, again=False, due_by=FOREVER, limit=1, sql=NEWEST).rows
    if untried and (len(tried) < 2 or not again):
        return _Found(untried)
    return _Found(tried[:1])


def _find(
    db: sqlite3.Connection,
    destination: DestinationName,
    *,
    again: bool,
    due_by: int,
    limit: int,
    sql: str = DUE,
) -> _Found:
    row = {"destination": destination, "again": again, "due_by": due_by, "limit": limit}
    found: list[Any] = []
    content_bytes = 0
    with contextlib.closing(db.execute(sql, row)) as cursor:
        for one in cursor:
            found.append(one)
            content_bytes += len(one[-1])
            if content_bytes > MAX_BYTES:
                return _Found(found, is_cut=True)
    return _Found(found)


def _one_of_each_key(due: Sequence[Any]) -> list[Any]:
    """The first of each, without the key; `due` are rows of DUE."""
    seen: set[str] = set()
    found = []
    for key, *row in due:
        if key is None or key not in seen:
            seen.add(key)
            found.append(row)
    return found


def _claim(destination: DestinationName, row: Sequence[Any], standings: Standings, *, now: int) -> Claim:
    """`row` is one of DUE without its key, `now` in Unix ms."""
    delivery_id, attempts, tries, again, queued_at, running_since, *event = row
    offset = standings.offset_ms
    return Claim(
        delivery_id=DeliveryId(delivery_id),
        attempt=attempts + 1,
        destination=destination,
        event=event_from_row(event),
        tries=tries,
        again=bool(again),
        queued_at=queued_at + offset,
        live_since=running_since + standings.stopped_ms(destination, now=now - offset) + offset,
    )


def _next(
    db: sqlite3.Connection, destination: DestinationName, standings: Standings, *, now: int
) -> tuple[int | None, bool]:
    """When something is due next, and whether something is that has to wait for its key."""
    stored = now - standings.offset_ms
    stopped = standings.stopped_ms(destination, now=stored)
    row = {"destination": destination, "now": stored, "running": stored - stopped, "stopped": stopped}
    at, waits = db.execute(NEXT_AT, row).fetchone()
    return None if at is None else int(at) + standings.offset_ms, bool(waits)
