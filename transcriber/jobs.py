"""The jobs: every change of one is a transaction that also writes its event."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from transcriber import outbox, rows, states
from transcriber.database import Database
from transcriber.errors import JobOverError, RequestError
from transcriber.model import (
    OVER,
    Assignment,
    AudioName,
    Failure,
    Job,
    JobId,
    Result,
    Status,
    Step,
    Submission,
    Transcript,
    UnixMs,
    job_data,
    transcript_data,
    transcript_from_data,
)
from transcriber.recordings import Recordings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job as JSON, exactly the `data` of its latest event, and its status."""

    status: Status
    data: str


class Jobs:
    """Wakes `queued` when a worker has something to take, and `written` when an event waits in the outbox."""

    def __init__(
        self, *, database: Database, recordings: Recordings, now: Callable[[], UnixMs], max_queued: int
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._now = now
        self._max_queued = max_queued
        self.queued = asyncio.Event()
        self.written = asyncio.Event()

    async def submit(self, submission: Submission) -> Snapshot:
        """The job, new or as it is if its id is known with the same content; it then owns the recording.

        Raises RequestError: 409 if the id is known with other content, 429 if the queue is full.
        """
        snapshot, orphan = await self._database.transaction(
            lambda connection: self._submit(connection, submission)
        )
        self._drop(orphan)
        self.written.set()
        self.queued.set()
        return snapshot

    async def find(self, job_id: JobId) -> Snapshot | None:
        row = await self._database.transaction(lambda connection: rows.find(connection, job_id))
        return None if row is None else Snapshot(row.job.status, row.data)

    async def transcript(self, job_id: JobId) -> Transcript | None:
        """None unless the job is completed."""
        data = await self._database.transaction(lambda connection: rows.transcript(connection, job_id))
        return None if data is None else transcript_from_data(data)

    async def page(
        self, *, user_id: str | None, status: Status | None, before: int | None, limit: int
    ) -> rows.Page:
        """Newest first; shorter than `limit` where the jobs are large."""
        return await self._database.transaction(
            lambda connection: rows.page(
                connection, user_id=user_id, status=status, before=before, limit=limit
            )
        )

    async def cancel(self, job_id: JobId) -> tuple[Snapshot, bool] | None:
        """The job and whether it was this call that ended it; None if it is unknown."""

        def work(connection: sqlite3.Connection) -> tuple[Snapshot, bool] | None:
            row = rows.find(connection, job_id)
            if row is None:
                return None
            if row.job.status in OVER:
                return Snapshot(row.job.status, row.data), False
            now = self._moment(row)
            return _snapshot(_record(connection, states.cancel(row.job, now), "cancelled", now)), True

        answer = await self._database.transaction(work)
        self.written.set()
        return answer

    async def retry(self, job_id: JobId, new_id: JobId) -> Snapshot | None:
        """A new job from the same audio; None if the job is unknown.

        Raises RequestError: 409 unless failed or cancelled, 410 if the audio is gone, 429 if the queue is full.
        """

        def work(connection: sqlite3.Connection) -> Snapshot | None:
            row = rows.find(connection, job_id)
            if row is None:
                return None
            return self._create(connection, self._again(row, new_id), retry_of=job_id)

        snapshot = await self._database.transaction(work)
        self.written.set()
        self.queued.set()
        return snapshot

    async def delete(self, job_id: JobId) -> Snapshot | None:
        """The tombstone, the audio and the result removed; None if the job is unknown."""

        def work(connection: sqlite3.Connection) -> tuple[Snapshot, AudioName | None] | None:
            row = rows.find(connection, job_id)
            return None if row is None else self._delete(connection, row)

        answer = await self._database.transaction(work)
        if answer is None:
            return None
        self._drop(answer[1])
        self.written.set()
        return answer[0]

    async def claim(self) -> Assignment | None:
        """The job that waits longest, now in hand and processing; None if none is due."""
        assignment = await self._database.transaction(self._claim)
        self.written.set()
        return assignment

    async def next_due_at(self) -> UnixMs | None:
        return await self._database.transaction(rows.next_due_at)

    async def progress(self, job_id: JobId, percent: int) -> None:
        """Raises JobOverError if the job is over. No event if `percent` is no step forward."""

        def work(connection: sqlite3.Connection) -> None:
            row = _existing(connection, job_id)
            job = states.progress(row.job, percent)
            if job != row.job:
                _record(connection, job, "progress", self._moment(row))

        await self._database.transaction(work)
        self.written.set()

    async def complete(self, job_id: JobId, transcript: Transcript, result: Result) -> None:
        """Keeps the transcript and lets the audio go. Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> AudioName | None:
            row = _existing(connection, job_id)
            now = self._moment(row)
            _record(connection, states.complete(row.job, result, now), "completed", now)
            rows.keep_transcript(connection, job_id, transcript_data(transcript))
            return _let_audio_go(connection, row)

        self._drop(await self._database.transaction(work))
        self.written.set()

    async def fail(self, job_id: JobId, error: Failure) -> None:
        """Raises JobOverError if the job is over."""

        def work(connection: sqlite3.Connection) -> None:
            row = _existing(connection, job_id)
            now = self._moment(row)
            _record(connection, states.fail(row.job, error, now), "failed", now)

        await self._database.transaction(work)
        self.written.set()

    async def postpone(self, job_id: JobId, delay_seconds: float) -> None:
        """The job waits for another attempt, still processing."""
        due = self._now() + round(delay_seconds * 1000)
        await self._database.transaction(lambda connection: rows.postpone(connection, job_id, due))
        self.queued.set()

    async def give_back(self, job_id: JobId) -> None:
        """The job is free to be taken up again; its attempt does not count. Nothing happens to one that is over."""
        await self._database.transaction(lambda connection: rows.give_back(connection, job_id))
        self.queued.set()

    async def recover(self) -> int:
        """The number of jobs that a process which ended without giving them back had in hand; removes stray files."""

        def work(connection: sqlite3.Connection) -> tuple[int, set[str]]:
            return rows.drop_all_hands(connection), rows.audio_names(connection)

        count, known = await self._database.transaction(work)
        await asyncio.to_thread(self._recordings.sweep, known)
        return count

    async def census(self) -> rows.Census:
        return await self._database.transaction(rows.census)

    def _submit(
        self, connection: sqlite3.Connection, submission: Submission
    ) -> tuple[Snapshot, AudioName | None]:
        known = rows.find(connection, submission.job_id)
        if known is None:
            return self._create(connection, submission, retry_of=None), None
        if known.digest != submission.digest:
            raise RequestError(
                409,
                "job_id_reused",
                f"job {submission.job_id} exists with other content: choose another job_id",
            )
        return Snapshot(known.job.status, known.data), submission.audio.name

    def _create(
        self, connection: sqlite3.Connection, submission: Submission, *, retry_of: JobId | None
    ) -> Snapshot:
        if rows.count_queued(connection) >= self._max_queued:
            raise RequestError(
                429,
                "queue_full",
                f"{self._max_queued} jobs are waiting: try again later",
                {"Retry-After": "30"},
            )
        now = self._now()
        job = states.create(submission.job_id, submission.user_id, now)
        rows.insert(connection, submission, job, now, retry_of)
        return _snapshot(_record(connection, job, "queued", now))

    def _again(self, row: rows.Row, new_id: JobId) -> Submission:
        if row.job.status == "deleted" or (row.audio and not self._recordings.path(row.audio.name).exists()):
            raise RequestError(410, "audio_gone", f"the audio of job {row.job.job_id} is gone: send it again")
        if row.job.status not in {"failed", "cancelled"} or row.audio is None:
            raise RequestError(
                409,
                "not_retryable",
                f"job {row.job.job_id} is {row.job.status}: only failed and cancelled jobs are retried",
            )
        return Submission(
            job_id=new_id, user_id=row.job.user_id, options=row.options, audio=row.audio, digest=row.digest
        )

    def _delete(self, connection: sqlite3.Connection, row: rows.Row) -> tuple[Snapshot, AudioName | None]:
        if row.job.status == "deleted":
            return Snapshot(row.job.status, row.data), None
        job, now = row.job, self._moment(row)
        if job.status not in OVER:
            job = _record(connection, states.cancel(job, now), "cancelled", now)
        job = _record(connection, states.delete(job), "deleted", now)
        rows.forget_transcript(connection, job.job_id)
        rows.forget_options(connection, job.job_id)
        return _snapshot(job), _let_audio_go(connection, row)

    def _claim(self, connection: sqlite3.Connection) -> Assignment | None:
        row = rows.next_waiting(connection, self._now())
        if row is None or row.audio is None:
            return None
        job, now = row.job, self._moment(row)
        if job.status == "queued":
            job = _record(connection, states.start(job, now), "started", now)
        rows.take_in_hand(connection, job.job_id)
        return Assignment(job=job, options=row.options, audio=row.audio, attempt=row.attempts + 1)

    def _moment(self, row: rows.Row) -> UnixMs:
        """Now, or the time of the job's latest event if the clock has stepped back since."""
        return max(self._now(), row.changed_at)

    def _drop(self, orphan: AudioName | None) -> None:
        if orphan is not None:
            self._recordings.remove(orphan)


def _record(connection: sqlite3.Connection, job: Job, step: Step, now: UnixMs) -> Job:
    """The job as stored with its event: the two cannot differ, and neither is stored without the other."""
    numbered = outbox.append(connection, job, step, now)
    rows.update(connection, numbered, now)
    return numbered


def _existing(connection: sqlite3.Connection, job_id: JobId) -> rows.Row:
    row = rows.find(connection, job_id)
    if row is None:
        raise JobOverError(f"job {job_id} does not exist")
    return row


def _let_audio_go(connection: sqlite3.Connection, row: rows.Row) -> AudioName | None:
    """The recording's name if no other job needs it: to be removed once the transaction is on disk."""
    rows.forget_audio(connection, row.job.job_id)
    if row.audio is None or rows.audio_is_used(connection, row.audio.name):
        return None
    return row.audio.name


def _snapshot(job: Job) -> Snapshot:
    return Snapshot(job.status, job_data(job))
