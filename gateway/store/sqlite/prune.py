"""Deletes what is past its time, in small steps."""

import sqlite3

from gateway.config import Retention

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

KEYS_PAST = """
DELETE FROM dedupe_keys WHERE (source, dedupe_key, body_sha256) IN (
  SELECT source, dedupe_key, body_sha256 FROM dedupe_keys WHERE seen_at < :cutoff LIMIT :limit
)
"""


def prune(db: sqlite3.Connection, retention: Retention, *, now: int, limit: int) -> int:
    """An event goes with the last of its deliveries; attempts go with their delivery."""
    gone = 0
    for state, days in (("delivered", retention.delivered_days), ("dead", retention.dead_days)):
        row = {"state": state, "cutoff": _cutoff(now, days), "limit": limit}
        past = db.execute(DELIVERIES_PAST, row).fetchall()
        db.executemany(EVENT_WITHOUT_DELIVERIES, [{"seq": seq} for (seq,) in past])
        gone += len(past)
    for statement, days in ((UNROUTED_PAST, retention.unrouted_days), (KEYS_PAST, retention.dedupe_days)):
        gone += db.execute(statement, {"cutoff": _cutoff(now, days), "limit": limit}).rowcount
    return gone


def _cutoff(now: int, days: float) -> int:
    return now - round(days * DAY_MS)
