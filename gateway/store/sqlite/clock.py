"""Store time: the wall clock's without its steps, so that one row moves all that waits when the clock is set.

Statements count in it what is due, leased, paused or held; callers speak Unix ms.
"""

import sqlite3
from collections.abc import Sequence

from gateway.model import DestinationName

OFFSET = "SELECT offset_ms FROM clock"

STEP = "UPDATE clock SET offset_ms = offset_ms + :by"

NEWEST_PENDING = """
SELECT queued_at FROM deliveries WHERE destination = :destination AND state = 'pending' ORDER BY id DESC LIMIT 1
"""


def offset_ms(db: sqlite3.Connection) -> int:
    """Unix time less store time."""
    return int(db.execute(OFFSET).fetchone()[0])


def clock_stepped(db: sqlite3.Connection, by_ms: int) -> None:
    db.execute(STEP, {"by": by_ms})


def follow_set_back(db: sqlite3.Connection, destinations: Sequence[DestinationName], *, now: int) -> None:
    """Where the clock was set back while nobody ran: what waits is then not from the future, and due as it was."""
    newest = [
        row[0]
        for destination in destinations
        if (row := db.execute(NEWEST_PENDING, {"destination": destination}).fetchone())
    ]
    if newest and (ahead := max(newest) + offset_ms(db) - now) > 0:
        clock_stepped(db, -ahead)
