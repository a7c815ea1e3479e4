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
from transcriber.store import attempts, parts, rows
from transcriber.store.changes import Store, finish, let_audio_go, record


class Work:
    """The jobs of one lane: those whose recordings are `to_fetch`, or the others. `engine` names what they are tried on."""

    def __init__(self, store: Store, *, engine: str, to_fetch: bool) -> None:
        self._store = store
        self._engine = engine
        self._to_fetch = to_fetch
        self.queued = store.to_fetch if to_fetch else store.queued

    def wake(self) -> None:
        """Whoever takes jobs looks again, in either lane."""
        self._store.wake()

    async def claim(self) -> Assignment | None:
        """The job whose turn it is, now in hand and processing; None if none is due, or one is tried alone."""
        assignment = await self._store.database.transaction(self._claim)
        if assignment:
            self._store.written.set()
        return assignment

    async def next_due_at(self) -> UnixMs | None:
        """None if nothing waits, or what waits does so for a job that is tried alone."""

        def work(connection: sqlite3.Connection) -> UnixMs | None:
            if rows.suspect_is_in_hand(connection):
                return None
            return rows.next_due_at(connection, self._store.now(), to_fetch=self._to_fetch)

        return await self._store.database.transaction(work)

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
            finish(connection, states.complete(row.job, result, now), "completed", now)
            rows.keep_transcript(connection, job_id, transcript_data(transcript))
            parts.forget(connection, job_id)
            return let_audio_go(connection, row)

        self._store.drop(await self._store.change(job_id, work))

    async def fail(self, job_id: JobId, error: Failure) -> None:
        """Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> None:
            row = _existing(connection, job_id)
            now = self._store.moment(row)
            finish(connection, states.fail(row.job, error, now), "failed", now)

        await self._store.change(job_id, work)

    async def postpone(self, job_id: JobId, error: Failure, delay_seconds: float) -> None:
        """The job, still processing, waits for another attempt behind those accepted so far.

        Raises JobOverError if it is over.
        """

        def work(connection: sqlite3.Connection) -> None:
            self._postpone(connection, job_id, error, delay_seconds)

        await self._store.database.transaction(work)
        self._store.wake()

    async def wait_for_engine(self, job_id: JobId, error: Failure, delay_seconds: float) -> None:
        """As `postpone`, but the attempt does not count, and that the engine pauses until then is kept too."""

        def work(connection: sqlite3.Connection) -> None:
            due = self._postpone(connection, job_id, error, delay_seconds)
            rows.uncount_attempt(connection, job_id)
            attempts.pause_engine(connection, self._engine, due)

        await self._store.database.transaction(work)
        self._store.wake()

    async def pause_seconds(self) -> float:
        """How long the engine still pauses, as a process before this one noted; 0 if it does not."""
        until = await self._store.database.transaction(
            lambda connection: attempts.engine_paused_until(connection, self._engine)
        )
        return max(0, until - self._store.now()) / 1000

    async def give_all_back(self) -> None:
        """Every job in hand here is free to be taken up again; its attempt does not count."""

        def work(connection: sqlite3.Connection) -> None:
            attempts.stop_all(connection, self._engine, self._store.now())
            rows.give_all_back(connection, to_fetch=self._to_fetch)

        await self._store.database.transaction(work)

    async def _attach(self, job_id: JobId, audio: Audio) -> None:
        def work(connection: sqlite3.Connection) -> None:
            row = rows.find(connection, job_id)
            if row is None or row.job.status in OVER:
                raise JobOverError(f"job {job_id} is over: its recording is not needed")
            rows.attach(connection, job_id, audio)
            attempts.end(connection, job_id, "fetched", self._store.moment(row))

        try:
            await self._store.database.transaction(work)
        except (JobOverError, sqlite3.Error):
            self._store.drop(audio.name)
            raise
        self._store.queued.set()

    def _claim(self, connection: sqlite3.Connection) -> Assignment | None:
        if rows.suspect_is_in_hand(connection):
            return None
        row = rows.next_waiting(connection, self._store.now(), to_fetch=self._to_fetch)
        if row is None or (audio := row.audio or row.audio_url) is None:
            return None
        job, now = row.job, self._store.moment(row)
        if job.status == "queued":
            job = record(connection, states.start(job, now), "started", now)
        turn = attempts.begin(connection, job.job_id, self._engine, now)
        attempts.trim(connection, job.job_id)
        rows.take_in_hand(connection, job.job_id, turn)
        return Assignment(job=job, options=row.options, audio=audio, attempt=row.attempts + 1)

    def _postpone(
        self, connection: sqlite3.Connection, job_id: JobId, error: Failure, delay_seconds: float
    ) -> UnixMs:
        """Until when."""
        row = _existing(connection, job_id)
        if row.job.status in OVER:
            raise JobOverError(f"job {job_id} is {row.job.status}")
        due = self._store.now() + round(delay_seconds * 1000)
        rows.postpone(connection, job_id, due)
        attempts.end(connection, job_id, "postponed", self._store.moment(row), failure=error, retry_at=due)
        return due


def _existing(connection: sqlite3.Connection, job_id: JobId) -> rows.Row:
    row = rows.find(connection, job_id)
    if row is None:
        raise JobOverError(f"job {job_id} does not exist")
    return row
