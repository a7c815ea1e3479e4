"""One change of a job and its event: neither is stored without the other."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from transcriber import states
from transcriber.model import OVER, AttemptOutcome, AudioName, FinalStep, Job, JobId, Step, UnixMs
from transcriber.store import attempts, events, parts, rows
from transcriber.store.database import Database
from transcriber.store.recordings import Recordings

T = TypeVar("T")


class Notice:
    """Wakes everyone who listens: each has an event of its own, and clears it."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Event] = []

    def listen(self) -> asyncio.Event:
        event = asyncio.Event()
        self._listeners.append(event)
        return event

    def set(self) -> None:
        for event in self._listeners:
            event.set()


@dataclass(frozen=True, slots=True)
class Store:
    """What every part of the store works with.

    `queued` wakes who transcribes, `to_fetch` who fetches recordings, `written` who sends events.
    """

    database: Database
    recordings: Recordings
    now: Callable[[], UnixMs]
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    to_fetch: asyncio.Event = field(default_factory=asyncio.Event)
    written: Notice = field(default_factory=Notice)
    _watched: dict[JobId, list[asyncio.Event]] = field(default_factory=dict)

    async def change(self, job_id: JobId, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` returns, committed to disk; then wakes who sends events and who watches this job.

        They are woken even if the caller is cancelled, as the transaction then goes on: what they read comes after it.
        """
        try:
            return await self.database.transaction(work)
        finally:
            self.written.set()
            for changed in self._watched.get(job_id, ()):
                changed.set()

    @contextmanager
    def watched(self, job_id: JobId) -> Iterator[asyncio.Event]:
        """Inside, the event is set at every change of the job."""
        changed = asyncio.Event()
        watchers = self._watched.setdefault(job_id, [])
        watchers.append(changed)
        try:
            yield changed
        finally:
            watchers.remove(changed)
            if not watchers:
                del self._watched[job_id]

    def moment(self, row: rows.Row) -> UnixMs:
        """Now, or the time of the job's latest event if the clock has stepped back since."""
        return max(self.now(), row.changed_at)

    def wake(self) -> None:
        """Whoever takes jobs looks again."""
        self.queued.set()
        self.to_fetch.set()

    def drop(self, orphan: AudioName | None) -> None:
        if orphan is not None:
            self.recordings.remove(orphan)


def record(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> Job:
    """The job as stored with its event: the two cannot differ."""
    numbered = events.append(connection, job, step, now)
    rows.update(connection, numbered, now)
    return numbered


def finish(connection: sqlite3.Connection, job: Job, step: FinalStep, now: UnixMs) -> Job:
    """The job as stored with its last event but its deletion; nobody has it in hand any more."""
    outcome: AttemptOutcome = "stopped" if step == "cancelled" else step
    attempts.end(connection, job.job_id, outcome, now, failure=job.error)
    rows.let_go(connection, job.job_id)
    return record(connection, job, step, now)


def delete(connection: sqlite3.Connection, row: rows.Row, now: UnixMs) -> tuple[Job, AudioName | None]:
    """The tombstone of a job that is none yet, and the recording's name as `let_audio_go` has it."""
    job = row.job
    if job.status not in OVER:
        job = finish(connection, states.cancel(job, now), "cancelled", now)
    job = record(connection, states.delete(job), "deleted", now)
    rows.forget_transcript(connection, job.job_id)
    rows.forget_options(connection, job.job_id)
    rows.forget_audio_url(connection, job.job_id)
    parts.forget(connection, job.job_id)
    attempts.forget(connection, job.job_id)
    return job, let_audio_go(connection, row)


def let_audio_go(connection: sqlite3.Connection, row: rows.Row) -> AudioName | None:
    """The recording's name if no other job needs it: to be removed once the transaction is on disk."""
    rows.forget_audio(connection, row.job.job_id)
    if row.audio is None or rows.audio_is_used(connection, row.audio.name):
        return None
    return row.audio.name
