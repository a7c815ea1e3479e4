"""Moves what waits with a wall clock that was set."""

import sqlite3
from collections.abc import Sequence

from gateway.model import DestinationName

# Every time that says when something happens next; what has happened stays as it was noted.
STEP = """
UPDATE deliveries SET next_attempt_at = next_attempt_at + :by, running_since = running_since + :by,
  yields_at = yields_at + :by, queued_at = queued_at + :by, leased_at = leased_at + :by, lease_until = lease_until + :by
WHERE state = 'pending'
"""

STEP_STANDING = """
UPDATE destinations SET paused_at = paused_at + :by, held_at = held_at + :by, quiet_until = quiet_until + :by,
  stopped_at = stopped_at + :by
"""

NEWEST_PENDING = """
SELECT queued_at FROM deliveries WHERE destination = :destination AND state = 'pending' ORDER BY id DESC LIMIT 1
"""


def clock_stepped(db: sqlite3.Connection, by_ms: int) -> None:
    db.execute(STEP, {"by": by_ms})
    db.execute(STEP_STANDING, {"by": by_ms})


def follow_set_back(db: sqlite3.Connection, destinations: Sequence[DestinationName], *, now: int) -> None:
    """Where the clock was set back while nobody ran: what waits is then not from the future, and due as it was."""
    newest = [
        row[0]
        for destination in destinations
        if (row := db.execute(NEWEST_PENDING, {"destination": destination}).fetchone())
    ]
    if newest and max(newest) > now:
        clock_stepped(db, now - max(newest))
