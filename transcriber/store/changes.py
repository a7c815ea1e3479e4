"""One change of a job and its event: neither is stored without the other."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from transcriber.model import AudioName, Job, Step, UnixMs
from transcriber.store import outbox, rows
from transcriber.store.database import Database
from transcriber.store.recordings import Recordings


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
    written: asyncio.Event = field(default_factory=asyncio.Event)

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
    numbered = outbox.append(connection, job, step, now)
    rows.update(connection, numbered, now)
    return numbered


def let_audio_go(connection: sqlite3.Connection, row: rows.Row) -> AudioName | None:
    """The recording's name if no other job needs it: to be removed once the transaction is on disk."""
    rows.forget_audio(connection, row.job.job_id)
    if row.audio is None or rows.audio_is_used(connection, row.audio.name):
        return None
    return row.audio.name
