"""What a person does with events: replay, discard, erase, and the replays of many."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gateway.model import DestinationName, EventId, ReplayId
from gateway.store import EventFilter, Queueing, ReplayRecord, ReplayState
from gateway.store.sqlite import keys, leases, numbers
from gateway.store.sqlite.clock import offset_ms
from gateway.store.sqlite.standing import STOPPED_MS, Standings

FIND = "SELECT seq, ordering_key FROM events WHERE id = :id AND erased_at IS NULL"

# An expression over :destination, :ordering_key and :now: when what is queued now is due; null: its key is busy.
DUE_AT = """CASE WHEN EXISTS (
    SELECT 1 FROM deliveries
    WHERE destination = :destination AND ordering_key = :ordering_key AND state = 'pending' AND yielded = 0
  ) THEN NULL ELSE :now END"""

# To the end of its key, which is the end of all: ids ascend in the order of queueing.
QUEUE = f"""
UPDATE deliveries SET id = :id, state = 'pending', again = 1, tries = 0,
  queued_at = :now, running_since = :now - {STOPPED_MS}, finished_at = NULL, dead_reason = NULL,
  yields_at = NULL, yielded = 0, replay_id = :replay_id, next_attempt_at = {DUE_AT}
WHERE event_seq = :seq AND destination = :destination AND state <> 'pending'
"""

INSERT = f"""
INSERT INTO deliveries (id, event_seq, destination, ordering_key, again, replay_id, queued_at, running_since, next_attempt_at)
VALUES (:id, :seq, :destination, :ordering_key, 1, :replay_id, :now, :now - {STOPPED_MS}, {DUE_AT})
"""

IS_PENDING = """
SELECT 1 FROM deliveries WHERE event_seq = :seq AND destination = :destination AND state = 'pending'
"""

ROUTED = "UPDATE events SET unrouted = 0 WHERE seq = :seq"

PENDING = """
SELECT d.id, d.destination, d.ordering_key, d.attempts
FROM deliveries d JOIN events e ON e.seq = d.event_seq
WHERE e.id = :id AND d.state = 'pending' ORDER BY d.id
"""

DISCARD = """
UPDATE deliveries SET state = 'dead', dead_reason = 'discarded', next_attempt_at = NULL, finished_at = :now WHERE id = :id
"""

ERASE_ATTEMPTS = """
UPDATE attempts SET response = zeroblob(0)
WHERE delivery_id IN (SELECT d.id FROM deliveries d JOIN events e ON e.seq = d.event_seq WHERE e.id = :id)
"""

ERASE = """
UPDATE events SET query = zeroblob(0), headers = '[]', body = zeroblob(0), erased_at = coalesce(erased_at, :now)
WHERE id = :id
"""

COLUMNS = "id, created_at, filter, rate_per_second, last_seq, matched, cursor, queued, done, failed, state"

BEGIN = f"""
INSERT INTO replays ({COLUMNS})
VALUES (:id, :created_at, :filter, :rate_per_second, :last_seq, :matched, :cursor, :queued, :done, :failed, :state)
"""

READ = f"SELECT {COLUMNS} FROM replays WHERE id = :id"

READ_ALL = f"SELECT {COLUMNS} FROM replays WHERE :state IS NULL OR state = :state ORDER BY created_at, id"

CANCEL = "UPDATE replays SET state = 'cancelled' WHERE id = :id AND state = 'running'"

# Only if nobody has made this step already.
ADVANCE = """
UPDATE replays SET cursor = :cursor, queued = queued + :number
WHERE id = :id AND state = 'running' AND cursor = :from_cursor
"""

COUNT = "UPDATE replays SET done = done + :done, failed = failed + :failed WHERE id = :id"

# Events that were gone or did not match any more when their turn came are not part of it.
ALL_QUEUED = """
UPDATE replays SET matched = queued, cursor = last_seq, state = iif(done + failed >= queued, 'done', state)
WHERE id = :id AND state = 'running'
"""

REMAINING = "SELECT coalesce(sum(max(0, matched - done - failed)), 0) FROM replays WHERE state = 'running'"


def replay(
    db: sqlite3.Connection,
    event_id: EventId,
    destinations: Sequence[DestinationName],
    *,
    now: int,
    replay_id: ReplayId | None = None,
) -> list[DestinationName]:
    found = db.execute(FIND, {"id": event_id}).fetchone()
    if found is None:
        return []
    seq, ordering_key = found
    return [
        destination
        for destination in destinations
        if _queue(
            db, seq=seq, destination=destination, ordering_key=ordering_key, now=now, replay_id=replay_id
        )
    ]


def discard(db: sqlite3.Connection, event_id: EventId, *, now: int) -> list[DestinationName]:
    pending = db.execute(PENDING, {"id": event_id}).fetchall()
    for delivery_id, destination, key, attempts in pending:
        leases.end_lease(db, delivery_id, attempt=attempts, now=now)
        db.execute(DISCARD, {"id": delivery_id, "now": now})
        if key is not None:
            keys.promote(db, [(DestinationName(destination), key)], Standings(db), now=now)
    return [destination for _, destination, _, _ in pending]


def erase(db: sqlite3.Connection, event_id: EventId, *, now: int) -> list[DestinationName]:
    discarded = discard(db, event_id, now=now)
    db.execute(ERASE_ATTEMPTS, {"id": event_id})
    db.execute(ERASE, {"id": event_id, "now": now})
    return discarded


def begin(db: sqlite3.Connection, record: ReplayRecord) -> None:
    row = asdict(record)
    db.execute(BEGIN, {**row, "filter": json.dumps(row.pop("where"))})


def queue(db: sqlite3.Connection, record: ReplayRecord, queueing: Queueing, *, now: int) -> bool:
    row = {
        "id": record.id,
        "from_cursor": record.cursor,
        "cursor": queueing.cursor,
        "number": len(queueing.events),
    }
    if db.execute(ADVANCE, row).rowcount == 0:
        return False
    for event_id, destinations in queueing.events:
        queued = replay(db, event_id, destinations, now=now, replay_id=record.id)
        if not queued:  # one that is pending already needs nothing
            pending = {destination for _, destination, _, _ in db.execute(PENDING, {"id": event_id})}
            on_its_way = bool(
                pending if record.where.destination is None else {record.where.destination} & pending
            )
            db.execute(COUNT, {"id": record.id, "done": on_its_way, "failed": not on_its_way})
    if queueing.last:
        db.execute(ALL_QUEUED, {"id": record.id})
    return True


def cancel(db: sqlite3.Connection, replay_id: ReplayId) -> None:
    db.execute(CANCEL, {"id": replay_id})


def find(db: sqlite3.Connection, replay_id: ReplayId) -> ReplayRecord | None:
    row = db.execute(READ, {"id": replay_id}).fetchone()
    return None if row is None else _record(row)


def find_all(db: sqlite3.Connection, state: ReplayState | None) -> list[ReplayRecord]:
    return [_record(row) for row in db.execute(READ_ALL, {"state": state}).fetchall()]


def remaining(db: sqlite3.Connection) -> int:
    return int(db.execute(REMAINING).fetchone()[0])


def _queue(
    db: sqlite3.Connection,
    *,
    seq: int,
    destination: DestinationName,
    ordering_key: str | None,
    now: int,
    replay_id: ReplayId | None,
) -> bool:
    row = {
        "id": numbers.upcoming(db)[1],
        "seq": seq,
        "destination": destination,
        "ordering_key": ordering_key,
        "now": now - offset_ms(db),
        "replay_id": replay_id,
    }
    if db.execute(QUEUE, row).rowcount:
        return True
    if db.execute(IS_PENDING, row).fetchone():
        return False
    db.execute(INSERT, row)
    db.execute(ROUTED, row)
    return True


def _record(row: Sequence[Any]) -> ReplayRecord:
    replay_id, created_at, where, rate, last_seq, matched, cursor, queued, done, failed, state = row
    return ReplayRecord(
        id=ReplayId(replay_id),
        created_at=created_at,
        where=EventFilter(**json.loads(where)),
        rate_per_second=rate,
        last_seq=last_seq,
        matched=matched,
        cursor=cursor,
        queued=queued,
        done=done,
        failed=failed,
        state=state,
    )
