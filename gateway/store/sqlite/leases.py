"""Ends leases: of attempts that nobody finished, and of those that are given back."""

import sqlite3
from collections.abc import Sequence

from gateway.model import Claim
from gateway.store.sqlite.clock import offset_ms

# `:now`, `:ended_by` and what they are compared with count in store time; an attempt is noted in Unix time.

# An attempt that nobody finished stays visible in the delivery's history.
NOTE_INTERRUPTED = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, response)
SELECT id, attempts, leased_at + :offset, max(0, :now - leased_at), 'interrupted', x'' FROM deliveries
WHERE lease_until <= :ended_by
"""

END_LEASES = "UPDATE deliveries SET lease_until = NULL, leased_at = NULL WHERE lease_until <= :ended_by"

NOTE_ONE_INTERRUPTED = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, response)
SELECT id, attempts, leased_at + :offset, max(0, :now - leased_at), 'interrupted', x'' FROM deliveries
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""

END_ONE_LEASE = """
UPDATE deliveries SET lease_until = NULL, leased_at = NULL
WHERE id = :id AND attempts = :attempt AND lease_until IS NOT NULL
"""


def end_leases(db: sqlite3.Connection, *, ended_by: int, now: int) -> int:
    """Leases that ended by `ended_by` are over; what they were for is due again."""
    offset = offset_ms(db)
    row = {"ended_by": ended_by - offset, "now": now - offset, "offset": offset}
    db.execute(NOTE_INTERRUPTED, row)
    return db.execute(END_LEASES, row).rowcount


def give_back(db: sqlite3.Connection, claims: Sequence[Claim], *, now: int) -> None:
    for one in claims:
        end_lease(db, one.delivery_id, attempt=one.attempt, now=now)


def end_lease(db: sqlite3.Connection, delivery_id: int, *, attempt: int, now: int) -> None:
    offset = offset_ms(db)
    row = {"id": delivery_id, "attempt": attempt, "now": now - offset, "offset": offset}
    db.execute(NOTE_ONE_INTERRUPTED, row)
    db.execute(END_ONE_LEASE, row)
