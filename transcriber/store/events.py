"""The events: each written once with the change it tells of, for whoever wants it then, and kept for a while once taken.

Several at a time are named by a JSON list of their positions.
"""

import json
import sqlite3
import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from transcriber.model import Job, JobId, Step, UnixMs, WebhookName, event_type, job_data


def append(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> Job:
    """The job with the sequence of its new event, in the transaction of the caller.

    A waiting progress event that was never tried is replaced by the next one, keeping its sequence and id. What was
    taken before a deletion is erased with it; what still waits, once it is taken.
    """
    if step == "progress" and _replace(connection, job, now):
        return job
    numbered = replace(job, sequence=job.sequence + 1)
    address(connection, [_insert(connection, numbered, step, now)], now)
    if step == "deleted":
        _erase_job(connection, job.job_id)
    return numbered


def address(
    connection: sqlite3.Connection,
    positions: Collection[int],
    now: UnixMs,
    names: Collection[WebhookName] | None = None,
) -> int:
    """The events wait for each configured webhook that wants their type, or for those of `names`; again if taken.

    Returns the number of deliveries that this makes.
    """
    listed = json.dumps(list(positions))
    number = _add_deliveries(connection, listed, None if names is None else json.dumps(list(names)))
    _wait(connection, listed)
    _line_up(connection, listed)
    settle(connection, positions, now)
    return number


def settle(connection: sqlite3.Connection, positions: Collection[int], now: UnixMs) -> None:
    """Those events that no longer wait are taken: progress is forgotten, and the body of a deleted job's erased."""
    listed = json.dumps(list(positions))
    _take(connection, listed, now)
    _forget_progress(connection, listed)
    _erase_deleted(connection, listed)


def forget(connection: sqlite3.Connection, *, taken_before: UnixMs, limit: int) -> int:
    """The number of events removed, at most `limit`, the longest taken first."""
    return connection.execute(
        "DELETE FROM events WHERE position IN"
        " (SELECT position FROM events WHERE taken_at <= ? ORDER BY taken_at LIMIT ?)",
        (taken_before, limit),
    ).rowcount


def _insert(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> int:
    cursor = connection.execute(
        "INSERT INTO events (webhook_id, job_id, sequence, step, written_at, body) VALUES (?, ?, ?, ?, ?, ?)",
        (f"msg_{uuid.uuid4().hex}", job.job_id, job.sequence, step, now, _body(job, step, now)),
    )
    return int(cursor.lastrowid or 0)


def _replace(connection: sqlite3.Connection, job: Job, now: UnixMs) -> bool:
    cursor = connection.execute(
        "UPDATE events SET body = ?, written_at = ? WHERE job_id = ? AND sequence = ? AND step = 'progress'"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = position AND attempts > 0)",
        (_body(job, "progress", now), now, job.job_id, job.sequence),
    )
    return cursor.rowcount == 1


def _body(job: Job, step: Step, now: UnixMs) -> str:
    moment = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"type":"{event_type(step)}","timestamp":"{moment}","data":{job_data(job)}}}'


def _add_deliveries(connection: sqlite3.Connection, positions: str, names: str | None) -> int:
    cursor = connection.execute(
        "INSERT INTO deliveries (event, webhook, job_id)"
        " SELECT position, name, job_id FROM events JOIN webhooks ON configured = 1"
        " WHERE position IN (SELECT value FROM json_each(:positions))"
        " AND CASE WHEN :names IS NULL"
        " THEN EXISTS (SELECT 1 FROM json_each(event_types) WHERE 'transcription.job.' || step GLOB value)"
        " ELSE name IN (SELECT value FROM json_each(:names)) END"
        " ON CONFLICT (event, webhook) DO UPDATE SET taken_at = NULL",
        {"positions": positions, "names": names},
    )
    return cursor.rowcount


def _wait(connection: sqlite3.Connection, positions: str) -> None:
    connection.execute(
        "UPDATE events SET taken_at = NULL WHERE position IN (SELECT value FROM json_each(?))", (positions,)
    )


def _line_up(connection: sqlite3.Connection, positions: str) -> None:
    """Whoever waits for one of these is due; where later events of the job are waited for, these go first."""
    connection.execute(
        "INSERT INTO lanes (webhook, job_id, head) SELECT webhook, job_id, min(event) FROM deliveries"
        " WHERE event IN (SELECT value FROM json_each(?)) AND taken_at IS NULL GROUP BY webhook, job_id"
        " ON CONFLICT (webhook, job_id) DO UPDATE SET head = excluded.head, next_attempt_at = 0"
        " WHERE excluded.head < head",
        (positions,),
    )


def _take(connection: sqlite3.Connection, positions: str, now: UnixMs) -> None:
    connection.execute(
        "UPDATE events SET taken_at = ? WHERE position IN (SELECT value FROM json_each(?)) AND taken_at IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = position AND deliveries.taken_at IS NULL)",
        (now, positions),
    )


def _forget_progress(connection: sqlite3.Connection, positions: str) -> None:
    connection.execute(
        "DELETE FROM events WHERE position IN (SELECT value FROM json_each(?))"
        " AND step = 'progress' AND taken_at IS NOT NULL",
        (positions,),
    )


def _erase_deleted(connection: sqlite3.Connection, positions: str) -> None:
    connection.execute(
        "UPDATE events SET body = NULL WHERE position IN (SELECT value FROM json_each(?))"
        " AND step <> 'deleted' AND taken_at IS NOT NULL"
        " AND (SELECT status FROM jobs WHERE jobs.job_id = events.job_id) = 'deleted'",
        (positions,),
    )


def _erase_job(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute(
        "UPDATE events SET body = NULL WHERE job_id = ? AND step <> 'deleted' AND taken_at IS NOT NULL",
        (job_id,),
    )
