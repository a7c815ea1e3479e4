"""The routes for operators: the events as they are kept, their deliveries, and where they go. All ask for the API key."""

import json
from collections.abc import Collection
from typing import Any, cast, get_args

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from transcriber import log
from transcriber.api import asked
from transcriber.api.access import Access
from transcriber.errors import RequestError
from transcriber.model import WebhookName, event_type
from transcriber.settings import Webhook
from transcriber.store.history import Delivery, DeliveryState, Filter, History, Record
from transcriber.store.outbox import NOBODY, Backlog, Outbox

OF_MANY = ("job_id", "webhook", "since", "until", "dry_run")


class Events:
    """`webhooks` are those configured."""

    def __init__(
        self, *, history: History, outbox: Outbox, webhooks: Collection[Webhook], access: Access
    ) -> None:
        self._history = history
        self._outbox = outbox
        self._webhooks = {webhook.name: webhook for webhook in webhooks}
        self._access = access

    def routes(self) -> list[Route]:
        return [
            Route("/v1/events", self.page, methods=["GET"]),
            Route("/v1/events/{id}", self.get, methods=["GET"]),
            Route("/v1/events/{id}/replay", self.replay, methods=["POST"]),
            Route("/v1/replays", self.replay_many, methods=["POST"]),
            Route("/v1/webhooks", self.webhooks, methods=["GET"]),
            Route("/v1/webhooks/{name}/discard", self.discard, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        self._access.check_list(request)
        query = request.query_params
        found = await self._history.page(
            _filter(query), before=asked.position(query.get("cursor")), limit=asked.limit(query.get("limit"))
        )
        cursor = None if found.next_before is None else str(found.next_before)
        return _json({"items": [_event(record) for record in found.items], "next_cursor": cursor})

    async def get(self, request: Request) -> Response:
        self._access.check_list(request)
        found = await self._history.find(request.path_params["id"])
        if found is None:
            raise _unknown(request)
        record, body = found
        return _json({**_event(record), "body": body})

    async def replay(self, request: Request) -> Response:
        self._access.check_list(request)
        fields = await asked.body(request, ("webhooks",))
        names = asked.texts(fields, "webhooks")
        record = await self._history.replay(
            request.path_params["id"], None if names is None else [WebhookName(name) for name in names]
        )
        if record is None:
            raise _unknown(request)
        log.info("event.replayed", webhook_id=record.webhook_id, job_id=record.job_id)
        return _json(_event(record), status=202)

    async def replay_many(self, request: Request) -> Response:
        self._access.check_list(request)
        fields = await asked.body(request, OF_MANY, unsent="say what to replay: {} is every event")
        wanted = Filter(
            job_id=asked.text(fields, "job_id"),
            webhook=asked.text(fields, "webhook"),
            since=asked.time(fields, "since"),
            until=asked.time(fields, "until"),
        )
        dry_run = asked.flag(fields, "dry_run")
        matched = await self._history.replay_many(wanted, dry_run=dry_run)
        log.info("events.replayed", events=matched, dry_run=dry_run)
        return _json({"matched": matched}, status=200 if dry_run else 202)

    async def webhooks(self, request: Request) -> Response:
        self._access.check_list(request)
        backlogs = await self._outbox.backlogs()
        return _json({"items": [self._webhook(one) for one in backlogs if one.webhook != NOBODY]})

    async def discard(self, request: Request) -> Response:
        self._access.check_list(request)
        name = WebhookName(request.path_params["name"])
        discarded = await self._history.discard(name)
        if discarded is None:
            raise RequestError(404, "unknown_webhook", f"there is no webhook {name[:100]!r}")
        log.info("webhook.discarded", webhook=name, deliveries=discarded)
        return _json({"discarded": discarded})

    def _webhook(self, backlog: Backlog) -> dict[str, object]:
        webhook = self._webhooks.get(backlog.webhook)
        return {
            "name": backlog.webhook,
            "configured": backlog.configured,
            "url": None if webhook is None else webhook.shown_url,
            "eventTypes": None if webhook is None else list(webhook.event_types),
            "waiting": backlog.waiting,
            "oldestWrittenAt": backlog.oldest_written_at,
            "lastStatus": backlog.last_status,
            "lastError": backlog.last_error,
        }


def _filter(query: QueryParams) -> Filter:
    return Filter(
        job_id=query.get("job_id"),
        webhook=query.get("webhook"),
        state=_state(query.get("state")),
        since=asked.moment("since", query.get("since")),
        until=asked.moment("until", query.get("until")),
    )


def _state(value: str | None) -> DeliveryState | None:
    for state in get_args(DeliveryState):
        if value == state:
            return cast("DeliveryState", state)
    if value is None:
        return None
    raise RequestError(400, "bad_query", "state must be waiting or taken")


def _event(record: Record) -> dict[str, object]:
    return {
        "id": record.webhook_id,
        "jobId": record.job_id,
        "sequence": record.sequence,
        "type": event_type(record.step),
        "writtenAt": record.written_at,
        "deliveries": [_delivery(delivery) for delivery in record.deliveries],
    }


def _delivery(delivery: Delivery) -> dict[str, object]:
    """`webhook` is null for what waits for whoever is configured at a later start."""
    return {
        "webhook": delivery.webhook or None,
        "state": "waiting" if delivery.taken_at is None else "taken",
        "attempts": delivery.attempts,
        "nextAttemptAt": delivery.next_attempt_at,
        "lastStatus": delivery.last_status,
        "lastError": delivery.last_error,
        "takenAt": delivery.taken_at,
    }


def _unknown(request: Request) -> RequestError:
    return RequestError(
        404, "unknown_event", f"there is no event {request.path_params['id'][:100]!r}: it may be forgotten"
    )


def _json(value: Any, *, status: int = 200) -> Response:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status_code=status, media_type="application/json")
