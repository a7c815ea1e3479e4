"""Whether a destination gets its deliveries, and for how long it did not.

A destination's running time is the wall clock's without the time it was paused or held. Retry horizons and waits for
an ordering key are kept in running time, so that a stop moves none of them and costs one row.
"""

import sqlite3

from gateway.model import DestinationName
from gateway.store import Standing, StandingChange

# How long the destination stood still until :now; an expression over :destination and :now.
STOPPED_MS = """coalesce((
  SELECT stopped_ms + max(0, coalesce(:now - stopped_at, 0)) FROM destinations WHERE name = :destination), 0)"""

READ = "SELECT paused_at, held_at, quiet_until FROM destinations WHERE name = :destination"

READ_STOPPED = f"SELECT {STOPPED_MS}"

READ_ALL = "SELECT name, paused_at, held_at, quiet_until FROM destinations"

ADD = "INSERT INTO destinations (name) VALUES (:destination) ON CONFLICT (name) DO NOTHING"

CHANGES: dict[StandingChange, str] = {
    "pause": "UPDATE destinations SET paused_at = coalesce(paused_at, :now) WHERE name = :destination",
    "resume": "UPDATE destinations SET paused_at = NULL, held_at = NULL, quiet_until = NULL WHERE name = :destination",
    "hold": "UPDATE destinations SET held_at = coalesce(held_at, :now) WHERE name = :destination",
    "release": "UPDATE destinations SET held_at = NULL WHERE name = :destination",
}

STOP = """
UPDATE destinations SET stopped_at = :now
WHERE name = :destination AND stopped_at IS NULL AND (paused_at IS NOT NULL OR held_at IS NOT NULL)
"""

START = """
UPDATE destinations SET stopped_ms = stopped_ms + max(0, :now - stopped_at), stopped_at = NULL
WHERE name = :destination AND stopped_at IS NOT NULL AND paused_at IS NULL AND held_at IS NULL
"""

# What failed because the destination was down need not wait any longer once it is back.
HURRY = """
UPDATE deliveries SET next_attempt_at = :now
WHERE destination = :destination AND state = 'pending' AND lease_until IS NULL AND next_attempt_at > :now AND again = 1
"""

QUIET = (
    "UPDATE destinations SET quiet_until = max(coalesce(quiet_until, 0), :until) WHERE name = :destination"
)

QUIET_IS_OVER = "UPDATE destinations SET quiet_until = NULL WHERE name = :destination AND quiet_until <= :now"

# One that was set by a clock far ahead would never end.
FORGET_QUIET = "UPDATE destinations SET quiet_until = NULL WHERE quiet_until > :now + :longest_ms"

LONGEST_QUIET_MS = 30 * 86_400_000
"""Longer than any destination asks for; what is further off at a start comes from a wrong clock."""

PAUSE_ALL = "UPDATE destinations SET paused_at = :now, stopped_at = coalesce(stopped_at, :now)"


def read(db: sqlite3.Connection, destination: DestinationName) -> Standing:
    row = db.execute(READ, {"destination": destination}).fetchone()
    return Standing() if row is None else Standing(*row)


def read_all(db: sqlite3.Connection) -> dict[str, Standing]:
    return {name: Standing(*columns) for name, *columns in db.execute(READ_ALL)}


def stopped_ms(db: sqlite3.Connection, destination: DestinationName, *, now: int) -> int:
    return int(db.execute(READ_STOPPED, {"destination": destination, "now": now}).fetchone()[0])


def change(
    db: sqlite3.Connection, destination: DestinationName, what: StandingChange, *, now: int
) -> Standing:
    row = {"destination": destination, "now": now}
    db.execute(ADD, row)
    before = read(db, destination)
    db.execute(CHANGES[what], row)
    db.execute(STOP, row)
    db.execute(START, row)
    standing = read(db, destination)
    was_stopped = before.held_at is not None or before.quiet_until is not None
    if was_stopped and standing.held_at is None and standing.quiet_until is None:
        db.execute(HURRY, row)
    return standing


def quiet(db: sqlite3.Connection, destination: DestinationName, *, until: int) -> None:
    row = {"destination": destination, "until": until}
    db.execute(ADD, row)
    db.execute(QUIET, row)


def forget_quiet(db: sqlite3.Connection, *, now: int) -> None:
    """Of a quiet time that nobody can have asked for."""
    db.execute(FORGET_QUIET, {"now": now, "longest_ms": LONGEST_QUIET_MS})


def end_quiet(db: sqlite3.Connection, destination: DestinationName, *, now: int) -> None:
    """If its time has come."""
    db.execute(QUIET_IS_OVER, {"destination": destination, "now": now})


def pause_all(db: sqlite3.Connection, destinations: tuple[DestinationName, ...], *, now: int) -> None:
    """Those given, and every one that was stopped before."""
    for destination in destinations:
        db.execute(ADD, {"destination": destination})
    db.execute(PAUSE_ALL, {"now": now})
