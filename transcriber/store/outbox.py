"""The events that were not taken yet: written with the change they tell of, in the same transaction."""

import json
import sqlite3
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from transcriber.model import Job, JobId, Step, UnixMs, WebhookId, job_data
from transcriber.store.database import Database

# Before every clock: an event's own time may be ahead of a clock that has stepped back since.
AT_ONCE: UnixMs = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One event for one attempt, whose number counts from 1. `body` is sent as it is."""

    webhook_id: WebhookId
    job_id: JobId
    sequence: int
    step: Step
    body: str
    written_at: UnixMs
    attempt: int


@dataclass(frozen=True, slots=True)
class Backlog:
    waiting: int
    oldest_written_at: UnixMs | None


def append(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> Job:
    """The job with the sequence of its new event, in the transaction of the caller.

    A waiting progress event that was never tried is replaced by the next one, keeping its sequence and id.
    """
    if step == "progress" and _replace(connection, job, now):
        return job
    numbered = replace(job, sequence=job.sequence + 1)
    connection.execute(
        "INSERT INTO outbox (webhook_id, job_id, sequence, step, written_at, body, next_attempt_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            f"msg_{uuid.uuid4().hex}",
            job.job_id,
            numbered.sequence,
            step,
            now,
            _body(numbered, step, now),
            AT_ONCE,
        ),
    )
    return numbered


class Outbox:
    """The sender's side: what is due, and what became of it."""

    def __init__(self, *, database: Database, now: Callable[[], UnixMs]) -> None:
        self._database = database
        self._now = now

    async def claim(self, *, busy: Collection[JobId], limit: int) -> list[Event]:
        """The first waiting event of each job that is not busy, where due: counted as tried before it is."""
        now = self._now()
        return await self._database.transaction(lambda connection: _claim(connection, busy, limit, now))

    async def next_due_at(self, *, busy: Collection[JobId]) -> UnixMs | None:
        """When the next attempt of a job that is not busy is due; None if nothing waits."""
        return await self._database.transaction(lambda connection: _next_due_at(connection, busy))

    async def taken(self, event: Event) -> None:
        """The event is done."""
        await self._database.transaction(
            lambda connection: connection.execute(
                "DELETE FROM outbox WHERE webhook_id = ?", (event.webhook_id,)
            )
        )

    async def postpone(self, event: Event, delay_seconds: float) -> None:
        """The event, and with it the job's later ones, waits."""
        due = self._now() + round(delay_seconds * 1000)
        await self._database.transaction(
            lambda connection: connection.execute(
                "UPDATE outbox SET next_attempt_at = ? WHERE webhook_id = ?", (due, event.webhook_id)
            )
        )

    async def wake(self) -> None:
        """Makes everything due: whatever the receiver was when this process last ran, it may have changed."""
        await self._database.transaction(
            lambda connection: connection.execute("UPDATE outbox SET next_attempt_at = ?", (AT_ONCE,))
        )

    async def backlog(self) -> Backlog:
        return await self._database.transaction(_backlog)


def _replace(connection: sqlite3.Connection, job: Job, now: UnixMs) -> bool:
    cursor = connection.execute(
        "UPDATE outbox SET body = ?, written_at = ?"
        " WHERE job_id = ? AND sequence = ? AND step = 'progress' AND attempts = 0",
        (_body(job, "progress", now), now, job.job_id, job.sequence),
    )
    return cursor.rowcount == 1


def _body(job: Job, step: Step, now: UnixMs) -> str:
    moment = datetime.fromtimestamp(now / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"type":"transcription.job.{step}","timestamp":"{moment}","data":{job_data(job)}}}'


def _claim(connection: sqlite3.Connection, busy: Collection[JobId], limit: int, now: UnixMs) -> list[Event]:
    rows = connection.execute(
        "UPDATE outbox SET attempts = attempts + 1 WHERE (job_id, sequence) IN ("
        " SELECT job_id, sequence FROM outbox AS event"
        " WHERE next_attempt_at <= ? AND job_id NOT IN (SELECT value FROM json_each(?))"
        " AND sequence = (SELECT min(sequence) FROM outbox WHERE job_id = event.job_id)"
        " ORDER BY next_attempt_at, written_at LIMIT ?)"
        " RETURNING webhook_id, job_id, sequence, step, body, written_at, attempts AS attempt",
        (now, json.dumps(list(busy)), limit),
    ).fetchall()
    return [Event(**row) for row in rows]


def _next_due_at(connection: sqlite3.Connection, busy: Collection[JobId]) -> UnixMs | None:
    row = connection.execute(
        "SELECT min(next_attempt_at) FROM outbox AS event"
        " WHERE job_id NOT IN (SELECT value FROM json_each(?))"
        " AND sequence = (SELECT min(sequence) FROM outbox WHERE job_id = event.job_id)",
        (json.dumps(list(busy)),),
    ).fetchone()
    due: UnixMs | None = row[0]
    return due


def _backlog(connection: sqlite3.Connection) -> Backlog:
    waiting, oldest = connection.execute("SELECT count(*), min(written_at) FROM outbox").fetchone()
    return Backlog(waiting=waiting, oldest_written_at=oldest)
