"""The sender's side of the events: whom they are for, what is due, and what became of it."""

import json
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass

from transcriber.model import JobId, Step, UnixMs, WebhookId, WebhookName
from transcriber.store import events
from transcriber.store.database import Database

NOBODY = WebhookName("")
"""Stands for whoever is configured at a later start."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event for one attempt at a webhook, whose number counts from 1. `body` is sent as it is."""

    position: int
    webhook: WebhookName
    webhook_id: WebhookId
    job_id: JobId
    sequence: int
    step: Step
    body: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one webhook, and its latest attempt: `last_error` is None if that was taken, or there was none."""

    webhook: WebhookName
    configured: bool
    waiting: int
    oldest_written_at: UnixMs | None
    last_status: int | None
    last_error: str | None


class Outbox:
    """`keeps_taken`: events stay once they are taken, until they are pruned."""

    def __init__(self, *, database: Database, now: Callable[[], UnixMs], keeps_taken: bool = True) -> None:
        self._database = database
        self._now = now
        self._keeps_taken = keeps_taken

    async def configure(self, webhooks: Collection[tuple[WebhookName, Collection[str]]]) -> None:
        """From now on events are written for these, each with the globs of the types it wants.

        They also get what was written while there were none. What waits for another goes on waiting.
        """
        now = self._now()
        await self._database.transaction(lambda connection: _configure(connection, webhooks, now))

    async def resume(self, webhook: WebhookName) -> None:
        """Everything is due: whatever the receiver was when this was last sent, it may have changed."""
        await self._database.transaction(
            lambda connection: connection.execute(
                "UPDATE lanes SET in_hand = 0, next_attempt_at = 0"
                " WHERE webhook = ? AND (in_hand = 1 OR next_attempt_at > 0)",
                (webhook,),
            )
        )

    async def wake(self, webhook: WebhookName) -> None:
        """Whatever is not on its way is due."""
        await self._database.transaction(
            lambda connection: connection.execute(
                "UPDATE lanes SET next_attempt_at = 0 WHERE webhook = ? AND in_hand = 0 AND next_attempt_at > 0",
                (webhook,),
            )
        )

    async def claim(self, webhook: WebhookName, *, limit: int) -> list[Event]:
        """The first waiting event of each job, where due, the oldest first: counted as tried before it is."""
        now = self._now()
        return await self._database.transaction(lambda connection: _claim(connection, webhook, limit, now))

    async def next_due_at(self, webhook: WebhookName) -> UnixMs | None:
        """When the next attempt is due; None if nothing waits but what is on its way."""
        return await self._database.transaction(lambda connection: _next_due_at(connection, webhook))

    async def taken(self, event: Event, status: int) -> None:
        """The event is done for this webhook; the job's next is due."""
        now = self._now()

        def work(connection: sqlite3.Connection) -> None:
            _note(connection, event, status, None, taken_at=now)
            _move_on(connection, event.webhook, event.job_id)
            events.settle(connection, [event.position], now)
            if not self._keeps_taken:
                events.forget(connection, taken_before=now, limit=1)

        await self._database.transaction(work)

    async def postpone(self, event: Event, delay_seconds: float, *, status: int | None, error: str) -> None:
        """The event, and with it the job's later ones, waits."""
        due = self._now() + round(delay_seconds * 1000)

        def work(connection: sqlite3.Connection) -> None:
            _note(connection, event, status, error, taken_at=None)
            connection.execute(
                "UPDATE lanes SET in_hand = 0, next_attempt_at = ? WHERE webhook = ? AND job_id = ?",
                (due, event.webhook, event.job_id),
            )

        await self._database.transaction(work)

    async def backlogs(self) -> list[Backlog]:
        """Of every webhook that is configured or has something waiting, the nameless one among them."""
        return await self._database.transaction(_backlogs)


def discard(connection: sqlite3.Connection, webhook: WebhookName, now: UnixMs) -> int:
    """The number of deliveries that waited for the webhook and no longer do."""
    waited = connection.execute(
        "DELETE FROM deliveries WHERE webhook = ? AND taken_at IS NULL RETURNING event", (webhook,)
    ).fetchall()
    connection.execute("DELETE FROM lanes WHERE webhook = ?", (webhook,))
    events.settle(connection, [row["event"] for row in waited], now)
    return len(waited)


def _configure(
    connection: sqlite3.Connection, webhooks: Collection[tuple[WebhookName, Collection[str]]], now: UnixMs
) -> None:
    connection.execute("UPDATE webhooks SET configured = iif(name = '', ?, 0)", (not webhooks,))
    connection.executemany(
        "INSERT INTO webhooks (name, event_types, configured) VALUES (?, ?, 1)"
        " ON CONFLICT (name) DO UPDATE SET event_types = excluded.event_types, configured = 1",
        [(name, json.dumps(list(event_types))) for name, event_types in webhooks],
    )
    if webhooks:
        _hand_over(connection, now)


def _hand_over(connection: sqlite3.Connection, now: UnixMs) -> None:
    """What waits for nobody waits for the configured webhooks."""
    kept = connection.execute("DELETE FROM deliveries WHERE webhook = '' RETURNING event").fetchall()
    connection.execute("DELETE FROM lanes WHERE webhook = ''")
    events.address(connection, [row["event"] for row in kept], now)


def _claim(connection: sqlite3.Connection, webhook: WebhookName, limit: int, now: UnixMs) -> list[Event]:
    lanes = connection.execute(
        "UPDATE lanes SET in_hand = 1 WHERE (webhook, job_id) IN ("
        " SELECT webhook, job_id FROM lanes WHERE webhook = ? AND in_hand = 0 AND next_attempt_at <= ?"
        " ORDER BY next_attempt_at, head LIMIT ?)"
        " RETURNING head",
        (webhook, now, limit),
    ).fetchall()
    return [_try(connection, webhook, position) for position in sorted(lane["head"] for lane in lanes)]


def _try(connection: sqlite3.Connection, webhook: WebhookName, position: int) -> Event:
    connection.execute(
        "UPDATE deliveries SET attempts = attempts + 1 WHERE event = ? AND webhook = ?", (position, webhook)
    )
    row = connection.execute(
        "SELECT position, webhook, webhook_id, events.job_id, sequence, step, body, attempts AS attempt"
        " FROM events JOIN deliveries ON event = position WHERE position = ? AND webhook = ?",
        (position, webhook),
    ).fetchone()
    return Event(**row)


def _next_due_at(connection: sqlite3.Connection, webhook: WebhookName) -> UnixMs | None:
    row = connection.execute(
        "SELECT min(next_attempt_at) FROM lanes WHERE webhook = ? AND in_hand = 0", (webhook,)
    ).fetchone()
    due: UnixMs | None = row[0]
    return due


def _note(
    connection: sqlite3.Connection,
    event: Event,
    status: int | None,
    error: str | None,
    *,
    taken_at: UnixMs | None,
) -> None:
    connection.execute(
        "UPDATE deliveries SET last_status = ?, last_error = ?, taken_at = ? WHERE event = ? AND webhook = ?",
        (status, error, taken_at, event.position, event.webhook),
    )
    connection.execute(
        "UPDATE webhooks SET last_status = ?, last_error = ? WHERE name = ?", (status, error, event.webhook)
    )


def _move_on(connection: sqlite3.Connection, webhook: WebhookName, job_id: JobId) -> None:
    """The lane's next delivery is its head, and due; without one the lane ends."""
    next_row = connection.execute(
        "SELECT min(event) AS head FROM deliveries WHERE webhook = ? AND job_id = ? AND taken_at IS NULL",
        (webhook, job_id),
    ).fetchone()
    if next_row["head"] is None:
        connection.execute("DELETE FROM lanes WHERE webhook = ? AND job_id = ?", (webhook, job_id))
    else:
        connection.execute(
            "UPDATE lanes SET in_hand = 0, next_attempt_at = 0, head = ? WHERE webhook = ? AND job_id = ?",
            (next_row["head"], webhook, job_id),
        )


def _backlogs(connection: sqlite3.Connection) -> list[Backlog]:
    rows = connection.execute(
        "SELECT name AS webhook, configured, waiting, last_status, last_error,"
        " (SELECT written_at FROM events"
        " WHERE position = (SELECT min(head) FROM lanes WHERE webhook = name)) AS oldest_written_at"
        " FROM webhooks WHERE configured = 1 OR waiting > 0 ORDER BY name"
    ).fetchall()
    return [Backlog(**{**dict(row), "configured": bool(row["configured"])}) for row in rows]
