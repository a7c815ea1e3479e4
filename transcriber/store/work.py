"""The jobs as the worker has them: taken in hand, brought forward, given back or ended."""

import asyncio
import sqlite3

from transcriber import states
from transcriber.errors import JobOverError
from transcriber.model import (
    OVER,
    Assignment,
    Audio,
    AudioName,
    Failure,
    JobId,
    Part,
    Result,
    Transcript,
    UnixMs,
    transcript_data,
)
from transcriber.store import parts, rows
from transcriber.store.changes import Store, let_audio_go, record


class Work:
    def __init__(self, store: Store) -> None:
        self._store = store
        self.queued = store.queued
        self.to_fetch = store.to_fetch

    async def claim(self, *, to_fetch: bool = False) -> Assignment | None:
        """The job that waits longest, now in hand and processing; None if none is due.

        Either one whose recording is stored, or one whose recording is `to_fetch`.
        """
        assignment = await self._store.database.transaction(
            lambda connection: self._claim(connection, to_fetch=to_fetch)
        )
        if assignment:
            self._store.written.set()
        return assignment

    async def next_due_at(self, *, to_fetch: bool = False) -> UnixMs | None:
        return await self._store.database.transaction(
            lambda connection: rows.next_due_at(connection, to_fetch=to_fetch)
        )

    async def attach(self, job_id: JobId, audio: Audio) -> None:
        """The job owns the fetched recording and waits to be transcribed. Raises JobOverError if it is over: it is removed.

        A caller that is cancelled loses only the answer, so that there is never a recording that nobody knows.
        """
        await asyncio.shield(self._attach(job_id, audio))

    async def progress(self, job_id: JobId, percent: int) -> None:
        """Raises JobOverError if the job is over. No event if `percent` is no step forward."""

        def work(connection: sqlite3.Connection) -> None:
            row = _existing(connection, job_id)
            job = states.progress(row.job, percent)
            if job != row.job:
                record(connection, job, "progress", self._store.moment(row))

        await self._store.change(job_id, work)

    async def parts(self, job_id: JobId) -> list[Part]:
        """What earlier attempts heard already, from the start of the recording without a gap."""
        return await self._store.database.transaction(lambda connection: parts.of(connection, job_id))

    async def keep_part(self, job_id: JobId, part: Part) -> None:
        """Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> None:
            if _existing(connection, job_id).job.status in OVER:
                raise JobOverError(f"job {job_id} is over: nothing more is kept of it")
            parts.keep(connection, job_id, part)

        await self._store.database.transaction(work)

    async def complete(self, job_id: JobId, transcript: Transcript, result: Result) -> None:
        """Keeps the transcript and lets the audio go. Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> AudioName | None:
            row = _existing(connection, job_id)
            now = self._store.moment(row)
            record(connection, states.complete(row.job, result, now), "completed", now)
            rows.keep_transcript(connection, job_id, transcript_data(transcript))
            parts.forget(connection, job_id)
            return let_audio_go(connection, row)

        self._store.drop(await self._store.change(job_id, work))

    async def fail(self, job_id: JobId, error: Failure) -> None:
        """Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> None:
            row = _existing(connection, job_id)
            now = self._store.moment(row)
            record(connection, states.fail(row.job, error, now), "failed", now)

        await self._store.change(job_id, work)

    async def postpone(self, job_id: JobId, delay_seconds: float) -> None:
        """The job waits for another attempt, still processing."""
        due = self._store.now() + round(delay_seconds * 1000)
        await self._store.database.transaction(lambda connection: rows.postpone(connection, job_id, due))
        self._store.wake()

    async def give_back(self, job_id: JobId) -> None:
        """The job is free to be taken up again; its attempt does not count. Nothing happens to one that is over."""
        await self._store.database.transaction(lambda connection: rows.give_back(connection, job_id))
        self._store.wake()

    async def recover(self) -> int:
        """The number of jobs that a process which ended without giving them back had in hand; removes stray files."""

        def work(connection: sqlite3.Connection) -> tuple[int, set[str]]:
            return rows.drop_all_hands(connection), rows.audio_names(connection)

        count, known = await self._store.database.transaction(work)
        await asyncio.to_thread(self._store.recordings.sweep, known)
        return count

    async def _attach(self, job_id: JobId, audio: Audio) -> None:
        def work(connection: sqlite3.Connection) -> None:
            row = rows.find(connection, job_id)
            if row is None or row.job.status in OVER:
                raise JobOverError(f"job {job_id} is over: its recording is not needed")
            rows.attach(connection, job_id, audio)

        try:
            await self._store.database.transaction(work)
        except (JobOverError, sqlite3.Error):
            self._store.drop(audio.name)
            raise
        self._store.queued.set()

    def _claim(self, connection: sqlite3.Connection, *, to_fetch: bool) -> Assignment | None:
        row = rows.next_waiting(connection, self._store.now(), to_fetch=to_fetch)
        if row is None or (audio := row.audio or row.audio_url) is None:
            return None
        job, now = row.job, self._store.moment(row)
        if job.status == "queued":
            job = record(connection, states.start(job, now), "started", now)
        rows.take_in_hand(connection, job.job_id)
        return Assignment(job=job, options=row.options, audio=audio, attempt=row.attempts + 1)


def _existing(connection: sqlite3.Connection, job_id: JobId) -> rows.Row:
    row = rows.find(connection, job_id)
    if row is None:
        raise JobOverError(f"job {job_id} does not exist")
    return row
