"""Takes the results of attempts in, a group of them at a time."""

import sqlite3
from collections.abc import Sequence
from typing import assert_never

from gateway.model import Claim, Dead, Delivered, Outcome, RetryAt, Verdict, value
from gateway.store import Finished
from gateway.store.sqlite import keys, rows
from gateway.store.sqlite.standing import Standings

# The attempt's number is the fence: a result of a lease that was lost is none. By the results' own numbers, from 1.
COUNTED = """
SELECT group_concat(v.column1) FROM (VALUES {rows}) v CROSS JOIN deliveries d ON d.id = v.column2
WHERE d.attempts = v.column3 AND d.lease_until IS NOT NULL
"""

RECORD = """
UPDATE deliveries
SET state = v.column2, next_attempt_at = v.column3, finished_at = v.column4, dead_reason = v.column5,
    last_status = v.column6, last_error = v.column7, yields_at = coalesce(yields_at, v.column8),
    tries = tries + v.column9, again = 1, lease_until = NULL, leased_at = NULL
FROM (VALUES {rows}) v WHERE deliveries.id = v.column1
"""

INSERT_ATTEMPTS = """
INSERT INTO attempts (delivery_id, number, started_at, duration_ms, outcome, status, error, response)
SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT 0
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


@value
class Result:
    claim: Claim
    outcome: Outcome
    verdict: Verdict
    now: int
    yields_at: int | None


def record(db: sqlite3.Connection, results: Sequence[Result]) -> list[Finished]:
    """All in one transaction, which the caller begins and commits; as if one came after the other."""
    standings = Standings(db)
    asked = [(number, one.claim.delivery_id, one.claim.attempt) for number, one in enumerate(results, 1)]
    counted = set(rows.numbers([text for (text,) in rows.each(db, COUNTED, asked)]))
    taken = [one for number, one in enumerate(results, 1) if number in counted]
    rows.each(db, RECORD, [_delivery_row(one, standings) for one in taken if not _is_put_last(one)])
    _put_last(db, [one for one in taken if _is_put_last(one)], standings)
    rows.each(db, INSERT_ATTEMPTS, [_attempt_row(one) for one in taken])
    over = {
        key for one in taken if not isinstance(one.verdict, RetryAt) and (key := _key(one.claim)) is not None
    }
    released = keys.promote(db, over, standings, now=max(one.now for one in results))
    return [
        Finished(counted=number in counted, released=number in counted and _key(one.claim) in released)
        for number, one in enumerate(results, 1)
    ]


def _is_put_last(result: Result) -> bool:
    return isinstance(result.verdict, RetryAt) and not result.verdict.counts


def _put_last(db: sqlite3.Connection, results: Sequence[Result], standings: Standings) -> None:
    """One behind the other, each behind all that waits."""
    for one in results:
        row = _delivery_row(one, standings)
        turn = {"destination": one.claim.destination, "at": row[NEXT_ATTEMPT_AT]}
        (last,) = db.execute(LAST_IN_TURN, turn).fetchone()
        rows.each(db, RECORD, [(*row[:NEXT_ATTEMPT_AT], last, *row[NEXT_ATTEMPT_AT + 1 :])])


def _key(claim: Claim) -> keys.Key | None:
    key = claim.event.ordering_key
    return None if key is None else (claim.destination, key)


NEXT_ATTEMPT_AT = 2
"""Its place in a row of RECORD."""


def _delivery_row(result: Result, standings: Standings) -> tuple[object, ...]:
    claim, outcome, verdict = result.claim, result.outcome, result.verdict
    offset = standings.offset_ms
    state, next_attempt_at, finished_at, dead_reason, counts = "pending", None, None, None, True
    match verdict:
        case Delivered():
            state, finished_at = "delivered", result.now
        case Dead(reason):
            state, finished_at, dead_reason = "dead", result.now, reason
        case RetryAt(at, counts):
            next_attempt_at = at - offset
        case _:
            assert_never(verdict)
    yields_at = None
    if result.yields_at is not None and claim.event.ordering_key is not None:
        stopped = standings.stopped_ms(claim.destination, now=result.now - offset)
        yields_at = result.yields_at - offset - stopped
    return (
        claim.delivery_id,
        state,
        next_attempt_at,
        finished_at,
        dead_reason,
        outcome.status,
        outcome.error,
        yields_at,
        int(counts),
    )


def _attempt_row(result: Result) -> tuple[object, ...]:
    outcome = result.outcome
    return (
        result.claim.delivery_id,
        result.claim.attempt,
        outcome.started_at,
        outcome.duration_ms,
        outcome.kind,
        outcome.status,
        outcome.error,
        outcome.response,
    )
