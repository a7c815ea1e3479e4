"""Deletes what is past its time, in small steps."""

import sqlite3

from gateway.config import Retention
from gateway.store.sqlite import numbers

DAY_MS = 86_400_000

# The second condition on the state is what lets the partial index be used.
DELIVERIES_PAST = """
DELETE FROM deliveries WHERE id IN (
  SELECT id FROM deliveries WHERE state = :state AND state <> 'pending' AND finished_at < :cutoff LIMIT :limit
) RETURNING event_seq
"""

EVENT_WITHOUT_DELIVERIES = """
DELETE FROM events WHERE seq = :seq AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event_seq = :seq)
"""

UNROUTED_PAST = """
DELETE FROM events WHERE seq IN (
  SELECT seq FROM events WHERE unrouted = 1 AND received_at < :cutoff LIMIT :limit
)
"""

# From the oldest on. Those that were seen while the clock was ahead stay until it has come there.
KEYS_PAST = """
DELETE FROM dedupe_keys WHERE number IN (SELECT number FROM dedupe_keys ORDER BY number LIMIT :limit) AND seen_at < :cutoff
"""

REPLAYS_PAST = "DELETE FROM replays WHERE state <> 'running' AND created_at < :cutoff"

SPARE_PAGES = 1000
"""Free pages that stay in the file for what comes next."""


def prune(db: sqlite3.Connection, retention: Retention, *, now: int, limit: int) -> int:
    """An event goes with the last of its deliveries; attempts go with their delivery. Pages that got free leave the file."""
    numbers.keep(db)
    gone = 0
    for state, days in (("delivered", retention.delivered_days), ("dead", retention.dead_days)):
        row = {"state": state, "cutoff": _cutoff(now, days), "limit": limit}
        past = db.execute(DELIVERIES_PAST, row).fetchall()
        db.executemany(EVENT_WITHOUT_DELIVERIES, [{"seq": seq} for (seq,) in past])
        gone += len(past)
    for statement, days in ((UNROUTED_PAST, retention.unrouted_days), (KEYS_PAST, retention.dedupe_days)):
        gone += db.execute(statement, {"cutoff": _cutoff(now, days), "limit": limit}).rowcount
    db.execute(REPLAYS_PAST, {"cutoff": _cutoff(now, retention.dead_days)})
    return gone + _give_space_back(db, limit=limit)


def _give_space_back(db: sqlite3.Connection, *, limit: int) -> int:
    """Up to `limit` pages; how many. The file itself shrinks at the next checkpoint."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    pages = min(limit, max(0, int(free) - SPARE_PAGES))
    # One a call: the statement has no columns, and Python runs such a one for a single step, whatever it asks for.
    for _ in range(pages):
        db.execute("PRAGMA incremental_vacuum(1)")
    return pages


def _cutoff(now: int, days: float) -> int:
    return now - round(days * DAY_MS)
