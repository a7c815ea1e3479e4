"""The jobs as the API has them: every change of one is a transaction that also writes its event."""

import sqlite3
from dataclasses import dataclass

from transcriber import states
from transcriber.errors import RequestError
from transcriber.model import (
    OVER,
    Attempt,
    AudioName,
    AudioUrl,
    Job,
    JobId,
    Status,
    Submission,
    Transcript,
    job_data,
    transcript_from_data,
)
from transcriber.store import attempts, parts, rows
from transcriber.store.changes import Store, delete, finish, record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A job as JSON, exactly the `data` of its latest event, and its status."""

    status: Status
    data: str


class Jobs:
    def __init__(self, store: Store, *, max_queued: int) -> None:
        self._store = store
        self._max_queued = max_queued

    async def submit(self, submission: Submission) -> Snapshot:
        """The job, new or as it is if its id is known with the same content; it then owns the recording.

        Raises RequestError: 409 if the id is known with other content, 429 if the queue is full.
        """
        snapshot, orphan = await self._store.change(
            submission.job_id, lambda connection: self._submit(connection, submission)
        )
        self._store.drop(orphan)
        (self._store.to_fetch if isinstance(submission.audio, AudioUrl) else self._store.queued).set()
        return snapshot

    async def find(self, job_id: JobId) -> Snapshot | None:
        row = await self._store.database.transaction(lambda connection: rows.find(connection, job_id))
        return None if row is None else Snapshot(row.job.status, row.data)

    async def ended(self, job_id: JobId) -> Snapshot | None:
        """The job once it is over, whoever ends it; None if it is unknown. Asks the store only where the job changed."""
        with self._store.watched(job_id) as changed:
            while True:
                changed.clear()
                snapshot = await self.find(job_id)
                if snapshot is None or snapshot.status in OVER:
                    return snapshot
                await changed.wait()

    async def transcript(self, job_id: JobId) -> Transcript | None:
        """None unless the job is completed."""
        data = await self._store.database.transaction(lambda connection: rows.transcript(connection, job_id))
        return None if data is None else transcript_from_data(data)

    async def heard(self, job_id: JobId) -> tuple[Snapshot, Transcript | None] | None:
        """The job, and its transcript if it is completed, as of one moment; None if it is unknown."""

        def work(connection: sqlite3.Connection) -> tuple[Snapshot, str | None] | None:
            row = rows.find(connection, job_id)
            return (
                None
                if row is None
                else (Snapshot(row.job.status, row.data), rows.transcript(connection, job_id))
            )

        found = await self._store.database.transaction(work)
        if found is None:
            return None
        snapshot, data = found
        return snapshot, None if data is None else transcript_from_data(data)

    async def attempts(self, job_id: JobId) -> list[Attempt] | None:
        """The newest of them, in their order; None if the job is unknown."""

        def work(connection: sqlite3.Connection) -> list[Attempt] | None:
            known = rows.find(connection, job_id)
            return None if known is None else attempts.of_job(connection, job_id)

        return await self._store.database.transaction(work)

    async def page(
        self, *, user_id: str | None, status: Status | None, before: int | None, limit: int
    ) -> rows.Page:
        """Newest first; shorter than `limit` where the jobs are large."""
        return await self._store.database.transaction(
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
            now = self._store.moment(row)
            return _snapshot(finish(connection, states.cancel(row.job, now), "cancelled", now)), True

        return await self._store.change(job_id, work)

    async def retry(self, job_id: JobId, new_id: JobId) -> Snapshot | None:
        """A new job from the same audio, or the one that an earlier call made under this id; None if the job is unknown.

        Raises RequestError: 409 unless failed or cancelled, or if the new id is another job's, 410 if the audio is gone,
        429 if the queue is full.
        """

        def work(connection: sqlite3.Connection) -> Snapshot | None:
            row = rows.find(connection, job_id)
            if row is None:
                return None
            known = rows.find(connection, new_id)
            if known is None:
                snapshot = self._create(connection, self._again(row, new_id), retry_of=job_id)
                parts.copy(connection, job_id, new_id)
                return snapshot
            if known.retry_of != job_id:
                raise _id_reused(new_id)
            return Snapshot(known.job.status, known.data)

        snapshot = await self._store.change(new_id, work)
        self._store.wake()
        return snapshot

    async def delete(self, job_id: JobId) -> Snapshot | None:
        """The tombstone, the audio and the result removed; None if the job is unknown."""

        def work(connection: sqlite3.Connection) -> tuple[Snapshot, AudioName | None] | None:
            row = rows.find(connection, job_id)
            return None if row is None else self._delete(connection, row)

        answer = await self._store.change(job_id, work)
        if answer is None:
            return None
        self._store.drop(answer[1])
        return answer[0]

    async def census(self) -> rows.Census:
        return await self._store.database.transaction(rows.census)

    def _submit(
        self, connection: sqlite3.Connection, submission: Submission
    ) -> tuple[Snapshot, AudioName | None]:
        known = rows.find(connection, submission.job_id)
        if known is None:
            return self._create(connection, submission, retry_of=None), None
        if known.digest != submission.digest:
            raise _id_reused(submission.job_id)
        orphan = None if isinstance(submission.audio, AudioUrl) else submission.audio.name
        return Snapshot(known.job.status, known.data), orphan

    def _create(
        self, connection: sqlite3.Connection, submission: Submission, *, retry_of: JobId | None
    ) -> Snapshot:
        if rows.count_waiting(connection) >= self._max_queued:
            raise RequestError(
                429,
                "queue_full",
                f"{self._max_queued} jobs are waiting: try again later",
                {"Retry-After": "30"},
            )
        now = self._store.now()
        job = states.create(submission.job_id, submission.user_id, now)
        rows.insert(connection, submission, job, now, retry_of)
        return _snapshot(record(connection, job, "queued", now))

    def _again(self, row: rows.Row, new_id: JobId) -> Submission:
        if row.job.status == "deleted" or (
            row.audio and not self._store.recordings.path(row.audio.name).exists()
        ):
            raise RequestError(410, "audio_gone", f"the audio of job {row.job.job_id} is gone: send it again")
        audio = row.audio or row.audio_url
        if row.job.status not in {"failed", "cancelled"} or audio is None:
            raise RequestError(
                409,
                "not_retryable",
                f"job {row.job.job_id} is {row.job.status}: only failed and cancelled jobs are retried",
            )
        return Submission(
            job_id=new_id, user_id=row.job.user_id, options=row.options, audio=audio, digest=row.digest
        )

    def _delete(self, connection: sqlite3.Connection, row: rows.Row) -> tuple[Snapshot, AudioName | None]:
        if row.job.status == "deleted":
            return Snapshot(row.job.status, row.data), None
        job, orphan = delete(connection, row, self._store.moment(row))
        return _snapshot(job), orphan


def _id_reused(job_id: JobId) -> RequestError:
    return RequestError(
        409, "job_id_reused", f"job {job_id} exists with other content: choose another job_id"
    )


def _snapshot(job: Job) -> Snapshot:
    return Snapshot(job.status, job_data(job))
