"""One change of a job and its event: neither is stored without the other."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from transcriber.model import AudioName, Job, Step, UnixMs
from transcriber.store import events, rows
from transcriber.store.database import Database
from transcriber.store.recordings import Recordings


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
    """What every part of the store works with. `queued` wakes who takes jobs, `written` who sends events."""

    database: Database
    recordings: Recordings
    now: Callable[[], UnixMs]
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    written: Notice = field(default_factory=Notice)

    def moment(self, row: rows.Row) -> UnixMs:
        """Now, or the time of the job's latest event if the clock has stepped back since."""
        return max(self.now(), row.changed_at)

    def drop(self, orphan: AudioName | None) -> None:
        if orphan is not None:
            self.recordings.remove(orphan)


def record(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> Job:
    """The job as stored with its event: the two cannot differ."""
    numbered = events.append(connection, job, step, now)
    rows.update(connection, numbered, now)
    return numbered


def let_audio_go(connection: sqlite3.Connection, row: rows.Row) -> AudioName | None:
    """The recording's name if no other job needs it: to be removed once the transaction is on disk."""
    rows.forget_audio(connection, row.job.job_id)
    if row.audio is None or rows.audio_is_used(connection, row.audio.name):
        return None
    return row.audio.name
