"""The SQL of the jobs table: one statement a function, each inside its caller's transaction."""

import json
import sqlite3
from dataclasses import asdict, dataclass

from transcriber.model import (
    Audio,
    AudioName,
    AudioUrl,
    Job,
    JobId,
    Options,
    Status,
    Submission,
    UnixMs,
    job_data,
    job_from_data,
)

MAX_PAGE_BYTES = 8_000_000
SUSPECT_CRASHES = 2
"""A job that was in hand at so many crashes in a row may be their cause: it is tried alone, before all others."""
FARTHEST_MS = 7_200_000
"""No attempt is put off for so long: a time farther ahead was noted before the clock was set back, and is due."""


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs as JSON. `next_before` is the position to go on from; None on the last page."""

    items: list[str]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Census:
    by_status: dict[Status, int]
    oldest_queued_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class Row:
    """A job with what only the store knows of it.

    `audio` is None once it is no longer needed, or before it is fetched: only then is there an `audio_url`.
    """

    position: int
    job: Job
    data: str
    changed_at: UnixMs
    digest: str
    options: Options
    audio: Audio | None
    audio_url: AudioUrl | None
    attempts: int
    retry_of: JobId | None


def find(connection: sqlite3.Connection, job_id: JobId) -> Row | None:
    row = connection.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else _row(row)


def next_waiting(connection: sqlite3.Connection, now: UnixMs, *, to_fetch: bool) -> Row | None:
    """Of the jobs that are due, in nobody's hand, and with their recording yet to fetch or not, a suspect, else one of the
    user with the fewest such jobs in hand.

    Of several such users the one served longest ago; of that user's jobs the one accepted first, where a job that was
    put behind another counts as accepted just after it.
    """
    # the indexes are named, as the planner would read all jobs of a user to count the few in hand
    row = connection.execute(
        "WITH due AS ("
        " SELECT position, user_id, behind, crashes >= :suspect AND NOT :to_fetch AS suspect FROM jobs INDEXED BY jobs_waiting"
        " WHERE status IN ('queued', 'processing') AND in_hand = 0 AND (audio IS NULL) = :to_fetch"
        " AND NOT not_before BETWEEN :now + 1 AND :now + :farthest),"
        " users AS ("
        " SELECT user_id,"
        " (SELECT count(*) FROM jobs INDEXED BY jobs_in_hand"
        " WHERE user_id = due.user_id AND in_hand = 1 AND (audio IS NULL) = :to_fetch) AS in_hand,"
        " (SELECT max(turn) FROM jobs WHERE user_id = due.user_id) AS turn"
        " FROM due GROUP BY user_id)"
        " SELECT * FROM jobs WHERE position = ("
        " SELECT position FROM due JOIN users USING (user_id)"
        " ORDER BY suspect DESC, in_hand, turn, max(behind, position), behind, position LIMIT 1)",
        {"suspect": SUSPECT_CRASHES, "now": now, "farthest": FARTHEST_MS, "to_fetch": to_fetch},
    ).fetchone()
    return None if row is None else _row(row)


def suspect_is_in_hand(connection: sqlite3.Connection) -> bool:
    """Of those that an engine has: a fetch does not crash the process, and must not keep the engine from others."""
    row = connection.execute(
        "SELECT 1 FROM jobs INDEXED BY jobs_in_hand"
        " WHERE in_hand = 1 AND crashes >= ? AND audio IS NOT NULL LIMIT 1",
        (SUSPECT_CRASHES,),
    ).fetchone()
    return row is not None


def next_due_at(connection: sqlite3.Connection, now: UnixMs, *, to_fetch: bool) -> UnixMs | None:
    row = connection.execute(
        "SELECT min(iif(not_before > :now + :farthest, :now, not_before)) FROM jobs INDEXED BY jobs_waiting"
        " WHERE status IN ('queued', 'processing') AND in_hand = 0 AND (audio IS NULL) = :to_fetch",
        {"now": now, "farthest": FARTHEST_MS, "to_fetch": to_fetch},
    ).fetchone()
    due: UnixMs | None = row[0]
    return due


# Only what is asked for becomes part of the statement, so that an index serves it.
_PAGE_CONDITIONS = {
    "user_id": "user_id = :user_id",
    "status": "status = :status",
    "before": "position < :before",
}


def page(
    connection: sqlite3.Connection,
    *,
    user_id: str | None,
    status: Status | None,
    before: int | None,
    limit: int,
) -> Page:
    """Newest first, fewer than `limit` where the jobs are large; without a status, deleted jobs are left out."""
    values = {"user_id": user_id, "status": status, "before": before, "limit": limit}
    asked_for = [text for name, text in _PAGE_CONDITIONS.items() if values[name] is not None]
    condition = " AND ".join(asked_for if status else [*asked_for, "status <> 'deleted'"])
    cursor = connection.execute(
        f"SELECT position, data FROM jobs WHERE {condition} ORDER BY position DESC LIMIT :limit + 1", values
    )
    items: list[str] = []
    position, size = 0, 0
    for row in cursor:
        if len(items) == limit or (items and size + len(row["data"]) > MAX_PAGE_BYTES):
            return Page(items, next_before=position)
        items.append(row["data"])
        position, size = row["position"], size + len(row["data"])
    return Page(items, next_before=None)


def insert(
    connection: sqlite3.Connection, submission: Submission, job: Job, now: UnixMs, retry_of: JobId | None
) -> None:
    audio = submission.audio
    stored, url = (None, audio.url) if isinstance(audio, AudioUrl) else (audio, None)
    connection.execute(
        "INSERT INTO jobs"
        " (job_id, data, changed_at, digest, options, audio, extension, size_bytes, audio_url, retry_of)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            job.job_id,
            job_data(job),
            now,
            submission.digest,
            json.dumps(asdict(submission.options)),
            stored and stored.name,
            stored.extension if stored else "",
            stored.size_bytes if stored else 0,
            url,
            retry_of,
        ),
    )


def update(connection: sqlite3.Connection, job: Job, now: UnixMs) -> None:
    connection.execute(
        "UPDATE jobs SET data = ?, changed_at = ? WHERE job_id = ?", (job_data(job), now, job.job_id)
    )


def take_in_hand(connection: sqlite3.Connection, job_id: JobId, turn: int) -> None:
    connection.execute(
        "UPDATE jobs SET in_hand = 1, attempts = attempts + 1, turn = ? WHERE job_id = ?", (turn, job_id)
    )


def let_go(connection: sqlite3.Connection, job_id: JobId) -> None:
    """Nobody has it in hand any more; its attempt counts."""
    connection.execute("UPDATE jobs SET in_hand = 0 WHERE job_id = ? AND in_hand = 1", (job_id,))


def let_all_crash(connection: sqlite3.Connection) -> int:
    """The number of jobs that were in hand when their process died; their attempts count."""
    return connection.execute("UPDATE jobs SET in_hand = 0, crashes = crashes + 1 WHERE in_hand = 1").rowcount


def give_all_back(connection: sqlite3.Connection, *, to_fetch: bool) -> None:
    """Their attempts do not count: they were stopped, not failed."""
    connection.execute(
        "UPDATE jobs SET in_hand = 0, attempts = attempts - 1 WHERE in_hand = 1 AND (audio IS NULL) = ?",
        (to_fetch,),
    )


def postpone(connection: sqlite3.Connection, job_id: JobId, due: UnixMs) -> None:
    """Behind every job accepted so far, so that it takes no place of theirs."""
    connection.execute(
        "UPDATE jobs SET in_hand = 0, crashes = 0, not_before = ?, behind = (SELECT max(position) FROM jobs) WHERE job_id = ?",
        (due, job_id),
    )


def uncount_attempt(connection: sqlite3.Connection, job_id: JobId) -> None:
    """The latest one was not the job's fault."""
    connection.execute("UPDATE jobs SET attempts = attempts - 1 WHERE job_id = ?", (job_id,))


def attach(connection: sqlite3.Connection, job_id: JobId, audio: Audio) -> None:
    """The fetched recording in place of its address. The job is free again, and what fetching took counts no more."""
    connection.execute(
        "UPDATE jobs SET audio = ?, extension = ?, size_bytes = ?, audio_url = NULL,"
        " in_hand = 0, attempts = 0, crashes = 0 WHERE job_id = ?",
        (audio.name, audio.extension, audio.size_bytes, job_id),
    )


def forget_audio(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("UPDATE jobs SET audio = NULL WHERE job_id = ?", (job_id,))


def forget_options(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("UPDATE jobs SET options = '{}' WHERE job_id = ?", (job_id,))


def forget_audio_url(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("UPDATE jobs SET audio_url = NULL WHERE job_id = ?", (job_id,))


def audio_is_used(connection: sqlite3.Connection, name: AudioName) -> bool:
    return connection.execute("SELECT 1 FROM jobs WHERE audio = ? LIMIT 1", (name,)).fetchone() is not None


def audio_names(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT DISTINCT audio FROM jobs WHERE audio IS NOT NULL")
    return {row["audio"] for row in rows}


def keep_transcript(connection: sqlite3.Connection, job_id: JobId, data: str) -> None:
    connection.execute("INSERT INTO transcripts (job_id, data) VALUES (?, ?)", (job_id, data))


def transcript(connection: sqlite3.Connection, job_id: JobId) -> str | None:
    row = connection.execute("SELECT data FROM transcripts WHERE job_id = ?", (job_id,)).fetchone()
    return None if row is None else row["data"]


def forget_transcript(connection: sqlite3.Connection, job_id: JobId) -> None:
    connection.execute("DELETE FROM transcripts WHERE job_id = ?", (job_id,))


def count_waiting(connection: sqlite3.Connection) -> int:
    """Jobs in nobody's hand, also those between two attempts and those whose recording was fetched: each keeps the disk."""
    (count,) = connection.execute(
        "SELECT (SELECT sum(jobs) FROM job_counts WHERE status IN ('queued', 'processing'))"
        " - (SELECT count(*) FROM jobs INDEXED BY jobs_in_hand WHERE in_hand = 1)"
    ).fetchone()
    return int(count)


def census(connection: sqlite3.Connection) -> Census:
    """Takes as long however many jobs are kept."""
    counts = connection.execute("SELECT status, jobs FROM job_counts")
    by_status: dict[Status, int] = {row["status"]: row["jobs"] for row in counts}
    oldest = connection.execute(
        "SELECT changed_at FROM jobs WHERE status = 'queued' ORDER BY position LIMIT 1"
    ).fetchone()
    return Census(by_status, None if oldest is None else oldest["changed_at"])


def _row(row: sqlite3.Row) -> Row:
    options = json.loads(row["options"])
    options["granularities"] = tuple(options.get("granularities", ()))
    return Row(
        position=row["position"],
        job=job_from_data(row["data"]),
        data=row["data"],
        changed_at=row["changed_at"],
        digest=row["digest"],
        options=Options(**options),
        audio=None
        if row["audio"] is None
        else Audio(name=AudioName(row["audio"]), extension=row["extension"], size_bytes=row["size_bytes"]),
        audio_url=None if row["audio_url"] is None else AudioUrl(row["audio_url"]),
        attempts=row["attempts"],
        retry_of=row["retry_of"],
    )
