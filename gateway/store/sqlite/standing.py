"""Whether a destination gets its deliveries, and for how long it did not.

A destination's running time is store time without the time it was paused or held. Retry horizons and waits for an
ordering key are kept in running time, so that a stop moves none of them and costs one row.
"""

import sqlite3

from gateway.model import DestinationName
from gateway.store import Standing, StandingChange
from gateway.store.sqlite.clock import offset_ms

# Expressions of statements count in store time, `:now` too; the functions take and return Unix ms.

# How long the destination stood still until :now; an expression over :destination and :now.
STOPPED_MS = """coalesce((
  SELECT stopped_ms + max(0, coalesce(:now - stopped_at, 0)) FROM destinations WHERE name = :destination), 0)"""

UNIX = "paused_at + offset_ms, held_at + offset_ms, quiet_until + offset_ms"

READ = f"SELECT {UNIX} FROM destinations, clock WHERE name = :destination"

READ_ALL = f"SELECT name, {UNIX} FROM destinations, clock"

# One row without a name where there is no destination yet.
READ_TIMES = """
SELECT offset_ms, name, paused_at, held_at, quiet_until, stopped_at, stopped_ms FROM clock LEFT JOIN destinations
"""

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


class Standings:
    """Of every destination, as they are now, in store time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        found = db.execute(READ_TIMES).fetchall()
        self.offset_ms: int = found[0][0]
        self._times = {name: times for _, name, *times in found}

    def of(self, destination: DestinationName) -> Standing:
        """In Unix ms."""
        times = self._times.get(destination, (None, None, None))[:3]
        return Standing(*(None if at is None else at + self.offset_ms for at in times))

    def stands_still(self, destination: DestinationName, *, now: int) -> bool:
        """Whether nothing may be claimed for it."""
        if (times := self._times.get(destination)) is None:
            return False
        paused_at, held_at, quiet_until, _, _ = times
        return paused_at is not None or held_at is not None or (quiet_until is not None and quiet_until > now)

    def stopped_ms(self, destination: DestinationName, *, now: int) -> int:
        """For how long it was paused or held; as STOPPED_MS."""
        if (times := self._times.get(destination)) is None:
            return 0
        *_, stopped_at, stopped_ms = times
        return int(stopped_ms) + (0 if stopped_at is None else max(0, now - int(stopped_at)))


def change(
    db: sqlite3.Connection, destination: DestinationName, what: StandingChange, *, now: int
) -> Standing:
    row = {"destination": destination, "now": now - offset_ms(db)}
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
    row = {"destination": destination, "until": until - offset_ms(db)}
    db.execute(ADD, row)
    db.execute(QUIET, row)


def forget_quiet(db: sqlite3.Connection, *, now: int) -> None:
    """Of a quiet time that nobody can have asked for."""
    db.execute(FORGET_QUIET, {"now": now - offset_ms(db), "longest_ms": LONGEST_QUIET_MS})


def end_quiet(db: sqlite3.Connection, destination: DestinationName, *, now: int) -> None:
    """If its time has come."""
    db.execute(QUIET_IS_OVER, {"destination": destination, "now": now - offset_ms(db)})


def pause_all(db: sqlite3.Connection, destinations: tuple[DestinationName, ...], *, now: int) -> None:
    """Those given, and every one that was stopped before."""
    for destination in destinations:
        db.execute(ADD, {"destination": destination})
    db.execute(PAUSE_ALL, {"now": now - offset_ms(db)})
