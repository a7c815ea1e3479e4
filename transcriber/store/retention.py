"""What is kept only for a time: finished jobs, the tombstones they leave, and events that were taken."""

import sqlite3

from transcriber.model import AudioName, JobId, UnixMs
from transcriber.store import events, rows
from transcriber.store.changes import Store, delete

# A transaction of these is short, so that nobody waits long for the store.
JOBS_AT_ONCE = 10
EVENTS_AT_ONCE = 500
TOMBSTONES_AT_ONCE = 100


class Retention:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def delete_some(self, *, ended_before: UnixMs) -> list[JobId]:
        """Deletes the jobs that ended first, as if each were asked for. Empty once there are no more."""

        def work(connection: sqlite3.Connection) -> list[tuple[JobId, AudioName | None]]:
            deleted: list[tuple[JobId, AudioName | None]] = []
            for row in _ended(connection, ended_before):
                _, orphan = delete(connection, row, self._store.moment(row))
                deleted.append((row.job.job_id, orphan))
            return deleted

        deleted = await self._store.database.transaction(work)
        for _, orphan in deleted:
            self._store.drop(orphan)
        self._store.written.set()
        return [job_id for job_id, _ in deleted]

    async def forget_some(self, *, taken_before: UnixMs) -> int:
        """The number of events removed, the longest taken first. 0 once there are no more."""
        return await self._store.database.transaction(
            lambda connection: events.forget(connection, taken_before=taken_before, limit=EVENTS_AT_ONCE)
        )

    async def bury_some(self, *, deleted_before: UnixMs) -> int:
        """The number of tombstones removed whose events are all gone. 0 once there are no more."""

        def work(connection: sqlite3.Connection) -> int:
            positions = _tombstones(connection, deleted_before)
            for position in positions:
                _forget_origin(connection, position)
                _bury(connection, position)
            return len(positions)

        return await self._store.database.transaction(work)


def _ended(connection: sqlite3.Connection, before: UnixMs) -> list[rows.Row]:
    found = connection.execute(
        "SELECT job_id FROM jobs INDEXED BY jobs_over"
        " WHERE status IN ('completed', 'failed', 'cancelled') AND changed_at < ? ORDER BY changed_at LIMIT ?",
        (before, JOBS_AT_ONCE),
    ).fetchall()
    return [row for one in found if (row := rows.find(connection, JobId(one["job_id"]))) is not None]


def _tombstones(connection: sqlite3.Connection, before: UnixMs) -> list[int]:
    found = connection.execute(
        "SELECT position FROM jobs INDEXED BY jobs_deleted WHERE status = 'deleted' AND changed_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM events WHERE events.job_id = jobs.job_id) LIMIT ?",
        (before, TOMBSTONES_AT_ONCE),
    )
    return [row["position"] for row in found]


def _forget_origin(connection: sqlite3.Connection, position: int) -> None:
    """Of the jobs that were made of this one."""
    connection.execute(
        "UPDATE jobs SET retry_of = NULL WHERE retry_of = (SELECT job_id FROM jobs WHERE position = ?)",
        (position,),
    )


def _bury(connection: sqlite3.Connection, position: int) -> None:
    connection.execute("DELETE FROM jobs WHERE position = ?", (position,))
