"""The SQL of the parts table: what was heard of a recording that is not done yet, one statement a function."""

import sqlite3

from transcriber.model import JobId, Part, transcript_data, transcript_from_data


def keep(connection: sqlite3.Connection, job_id: JobId, part: Part) -> None:
    connection.execute(
        "INSERT INTO parts (job_id, start_sample, end_sample, transcript) VALUES (?, ?, ?, ?)",
        (job_id, part.start, part.end, transcript_data(part.transcript)),
    )


def of(connection: sqlite3.Connection, job_id: JobId) -> list[Part]:
    """In their order: each starts where the one before it ends, the first at 0."""
    rows = connection.execute("SELECT * FROM parts WHERE job_id = ? ORDER BY start_sample", (job_id,))
    return [
        Part(row["start_sample"], row["end_sample"], transcript_from_data(row["transcript"])) for row in rows
    ]


def copy(connection: sqlite3.Connection, job_id: JobId, new_id: JobId) -> None:
    connection.execute(
        "INSERT INTO parts (job_id, start_sample, end_sample, transcript)"
        " SELECT ?, start_sample, end_sample, transcript FROM parts WHERE job_id = ?",
        (new_id, job_id),
    )


def forget(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("DELETE FROM parts WHERE job_id = ?", (job_id,))
