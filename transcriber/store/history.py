"""The operator's side of the events: looked at, sent again, and given up."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from transcriber.errors import RequestError
from transcriber.model import JobId, Step, UnixMs, WebhookId, WebhookName
from transcriber.store import events, outbox
from transcriber.store.changes import Store

MAX_REPLAYED = 10_000  # in one transaction: well under a second, in which no job changes

DeliveryState = Literal["waiting", "taken"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """`next_attempt_at` is None while another event of the job goes first, this one is on its way, or nobody sends it."""

    webhook: WebhookName
    attempts: int
    next_attempt_at: UnixMs | None
    last_status: int | None
    last_error: str | None
    taken_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class Record:
    """An event as it is kept, without its body. `erased`: the body is gone with its job's text."""

    position: int
    webhook_id: WebhookId
    job_id: JobId
    sequence: int
    step: Step
    written_at: UnixMs
    erased: bool
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """What an event must be; None is everything. `state` is that at `webhook`, or waiting where anyone waits.

    `since` and `until` are when it was written: from the first on, before the second.
    """

    job_id: str | None = None
    webhook: str | None = None
    state: DeliveryState | None = None
    since: UnixMs | None = None
    until: UnixMs | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """`next_before` is the position to go on from; None on the last page."""

    items: list[Record]
    next_before: int | None


class History:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, wanted: Filter, *, before: int | None, limit: int) -> Page:
        """Newest first."""
        return await self._store.database.transaction(
            lambda connection: _page(connection, wanted, before, limit)
        )

    async def find(self, webhook_id: str) -> tuple[Record, str | None] | None:
        """The event and its body."""
        return await self._store.database.transaction(lambda connection: _find(connection, webhook_id))

    async def replay(self, webhook_id: str, names: Collection[WebhookName] | None) -> Record | None:
        """The event, waiting for these webhooks, or for those that want its type; None if it is unknown.

        Raises RequestError: 409 if nobody wants it, 410 if its body is erased, 422 if a webhook is not configured.
        """

        def work(connection: sqlite3.Connection) -> Record | None:
            found = _find(connection, webhook_id)
            if found is None:
                return None
            _require_body(found[0])
            for name in names or ():
                _require_configured(connection, name)
            if not events.address(connection, [found[0].position], self._store.now(), names):
                raise _unwanted()
            again = _find(connection, webhook_id)
            return None if again is None else again[0]

        record = await self._store.database.transaction(work)
        self._store.written.set()
        return record

    async def replay_many(self, wanted: Filter, *, dry_run: bool) -> int:
        """How many match of those taken whose type a configured webhook (or the filter's) wants: they wait again.

        Raises RequestError, 422: if the webhook is not configured; if more than 10,000 match, and then none waits.
        """

        def work(connection: sqlite3.Connection) -> int:
            if wanted.webhook is not None:
                _require_configured(connection, WebhookName(wanted.webhook))
            positions = _replayable(connection, wanted)
            if len(positions) > MAX_REPLAYED:
                raise _too_many()
            if not dry_run:
                names = None if wanted.webhook is None else [WebhookName(wanted.webhook)]
                events.address(connection, positions, self._store.now(), names)
            return len(positions)

        matched = await self._store.database.transaction(work)
        self._store.written.set()
        return matched

    async def discard(self, webhook: WebhookName) -> int | None:
        """How many deliveries waited for a webhook that is no longer configured; None if it is unknown.

        Raises RequestError, 409, if it is configured.
        """

        def work(connection: sqlite3.Connection) -> int | None:
            configured = _configured(connection, webhook)
            if configured:
                raise RequestError(
                    409,
                    "webhook_configured",
                    f"webhook {webhook!r} is configured: only what waits for one that no longer is can be discarded",
                )
            return None if configured is None else outbox.discard(connection, webhook, self._store.now())

        return await self._store.database.transaction(work)


def _page(connection: sqlite3.Connection, wanted: Filter, before: int | None, limit: int) -> Page:
    condition, values = _condition(wanted)
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM events WHERE {condition} AND (:before IS NULL OR position < :before)"
        " ORDER BY position DESC LIMIT :limit + 1",
        {**values, "before": before, "limit": limit},
    ).fetchall()
    items = _records(connection, rows[:limit])
    return Page(items, next_before=items[-1].position if len(rows) > limit else None)


def _find(connection: sqlite3.Connection, webhook_id: str) -> tuple[Record, str | None] | None:
    row = connection.execute(
        f"SELECT {_COLUMNS}, body FROM events WHERE webhook_id = ?", (webhook_id,)
    ).fetchone()
    return None if row is None else (_records(connection, [row])[0], row["body"])


def _replayable(connection: sqlite3.Connection, wanted: Filter) -> list[int]:
    """At most one more than may be replayed at once."""
    condition, values = _condition(Filter(job_id=wanted.job_id, since=wanted.since, until=wanted.until))
    rows = connection.execute(
        f"SELECT position FROM events WHERE {condition} AND body IS NOT NULL AND EXISTS ("
        " SELECT 1 FROM webhooks JOIN json_each(event_types) ON 'transcription.job.' || step GLOB value"
        " LEFT JOIN deliveries ON event = position AND webhook = name"
        " WHERE configured = 1 AND name <> '' AND name = coalesce(:name, name)"
        " AND (event IS NULL OR deliveries.taken_at IS NOT NULL))"
        " ORDER BY position LIMIT :limit",
        {**values, "name": wanted.webhook, "limit": MAX_REPLAYED + 1},
    ).fetchall()
    return [row["position"] for row in rows]


_COLUMNS = "position, webhook_id, job_id, sequence, step, written_at, body IS NULL AS erased"

# The parts of a condition: only those that are asked for, so that an index serves them.
_CONDITIONS = {
    "job_id": "job_id = :job_id",
    "since": "written_at >= :since",
    "until": "written_at < :until",
}
_OF_EVENT = {"waiting": "taken_at IS NULL", "taken": "taken_at IS NOT NULL", None: "1"}
_OF_DELIVERY = {
    # what waits for one webhook waits: with that said, only waiting events are looked at
    "waiting": "taken_at IS NULL AND EXISTS (SELECT 1 FROM deliveries AS delivery"
    " WHERE event = position AND webhook = :webhook AND delivery.taken_at IS NULL)",
    "taken": "EXISTS (SELECT 1 FROM deliveries AS delivery"
    " WHERE event = position AND webhook = :webhook AND delivery.taken_at IS NOT NULL)",
    None: "EXISTS (SELECT 1 FROM deliveries WHERE event = position AND webhook = :webhook)",
}


def _condition(wanted: Filter) -> tuple[str, dict[str, object]]:
    values: dict[str, object] = {
        name: getattr(wanted, name) for name in (*_CONDITIONS, "webhook") if getattr(wanted, name) is not None
    }
    states = _OF_EVENT if wanted.webhook is None else _OF_DELIVERY
    parts = [text for name, text in _CONDITIONS.items() if name in values]
    return " AND ".join([*parts, states[wanted.state]]), values


def _records(connection: sqlite3.Connection, rows: list[sqlite3.Row]) -> list[Record]:
    deliveries = _deliveries(connection, [row["position"] for row in rows])
    return [
        Record(
            position=row["position"],
            webhook_id=row["webhook_id"],
            job_id=row["job_id"],
            sequence=row["sequence"],
            step=row["step"],
            written_at=row["written_at"],
            erased=bool(row["erased"]),
            deliveries=tuple(deliveries.get(row["position"], ())),
        )
        for row in rows
    ]


def _deliveries(connection: sqlite3.Connection, positions: list[int]) -> dict[int, list[Delivery]]:
    """A delivery that is due at once is due since it was written."""
    rows = connection.execute(
        "SELECT event, deliveries.webhook, deliveries.attempts, deliveries.last_status, deliveries.last_error,"
        " deliveries.taken_at, max(lanes.next_attempt_at, written_at) AS next_attempt_at FROM deliveries"
        " JOIN events ON position = event JOIN webhooks ON name = deliveries.webhook"
        " LEFT JOIN lanes ON lanes.webhook = deliveries.webhook AND lanes.job_id = deliveries.job_id"
        " AND head = event AND in_hand = 0 AND configured = 1 AND name <> ''"
        " WHERE event IN (SELECT value FROM json_each(?)) ORDER BY event, deliveries.webhook",
        (json.dumps(positions),),
    ).fetchall()
    found: dict[int, list[Delivery]] = {}
    for row in rows:
        values = dict(row)
        found.setdefault(values.pop("event"), []).append(Delivery(**values))
    return found


def _configured(connection: sqlite3.Connection, webhook: WebhookName) -> bool | None:
    """None if there never was such a webhook."""
    row = connection.execute(
        "SELECT configured FROM webhooks WHERE name = ? AND name <> ''", (webhook,)
    ).fetchone()
    return None if row is None else bool(row["configured"])


def _require_configured(connection: sqlite3.Connection, webhook: WebhookName) -> None:
    if not _configured(connection, webhook):
        raise RequestError(422, "unknown_webhook", f"no webhook {webhook[:100]!r} is configured")


def _require_body(record: Record) -> None:
    if record.erased:
        raise RequestError(
            410, "event_erased", f"the body of event {record.webhook_id} was erased when its job was deleted"
        )


def _unwanted() -> RequestError:
    return RequestError(
        409, "no_webhook", "no configured webhook wants this event: name one in webhooks, or configure it"
    )


def _too_many() -> RequestError:
    return RequestError(
        422,
        "too_many_events",
        f"more than {MAX_REPLAYED} events match, which is the most for one replay: narrow it by since and until",
    )
