"""The SQL of the attempts table: one statement a function, each inside its caller's transaction."""

import sqlite3

from transcriber.model import Attempt, AttemptOutcome, Failure, JobId, UnixMs

MAX_ROWS = 50
"""Of one job: it may wait for a rate limit more often than anyone would read of."""


def begin(connection: sqlite3.Connection, job_id: JobId, engine: str, now: UnixMs) -> int:
    """The attempt's id, greater than that of every earlier one."""
    cursor = connection.execute(
        "INSERT INTO attempts (job_id, number, engine, started_at)"
        " SELECT :job_id, coalesce(max(number), 0) + 1, :engine, :now FROM attempts WHERE job_id = :job_id",
        {"job_id": job_id, "engine": engine, "now": now},
    )
    return cursor.lastrowid or 0


def end(
    connection: sqlite3.Connection,
    job_id: JobId,
    outcome: AttemptOutcome,
    now: UnixMs,
    *,
    failure: Failure | None = None,
    retry_at: UnixMs | None = None,
) -> None:
    """Of the one that runs; nothing happens if none does."""
    connection.execute(
        "UPDATE attempts SET outcome = ?, ended_at = ?, code = ?, message = ?, retry_at = ?"
        " WHERE job_id = ? AND outcome IS NULL",
        (outcome, now, failure and failure.code, failure and failure.message, retry_at, job_id),
    )


def stop_all(connection: sqlite3.Connection, engine: str, now: UnixMs) -> None:
    """Those that run on this engine."""
    connection.execute(
        "UPDATE attempts SET outcome = 'stopped', ended_at = ? WHERE outcome IS NULL AND engine = ?"
        " AND job_id IN (SELECT job_id FROM jobs WHERE in_hand = 1)",
        (now, engine),
    )


def interrupt_all(connection: sqlite3.Connection) -> None:
    """Those that ran when their process died; nobody saw them end."""
    connection.execute(
        "UPDATE attempts SET outcome = 'interrupted'"
        " WHERE outcome IS NULL AND job_id IN (SELECT job_id FROM jobs WHERE in_hand = 1)"
    )


def trim(connection: sqlite3.Connection, job_id: JobId) -> None:
    """Leaves the newest."""
    connection.execute(
        "DELETE FROM attempts WHERE job_id = :job_id"
        " AND number <= (SELECT max(number) FROM attempts WHERE job_id = :job_id) - :kept",
        {"job_id": job_id, "kept": MAX_ROWS},
    )


def forget(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("DELETE FROM attempts WHERE job_id = ?", (job_id,))


def of_job(connection: sqlite3.Connection, job_id: JobId) -> list[Attempt]:
    """In their order."""
    rows = connection.execute(
        "SELECT number, engine, started_at, ended_at, outcome, code, message, retry_at"
        " FROM attempts WHERE job_id = ? ORDER BY number",
        (job_id,),
    )
    return [Attempt(**row) for row in rows]


def pause_engine(connection: sqlite3.Connection, engine: str, until: UnixMs) -> None:
    connection.execute(
        "INSERT INTO engine_pauses (engine, paused_until) VALUES (?, ?)"
        " ON CONFLICT (engine) DO UPDATE SET paused_until = excluded.paused_until",
        (engine, until),
    )


def engine_paused_until(connection: sqlite3.Connection, engine: str) -> UnixMs:
    """0 if it never was."""
    row = connection.execute("SELECT paused_until FROM engine_pauses WHERE engine = ?", (engine,)).fetchone()
    return 0 if row is None else int(row["paused_until"])
