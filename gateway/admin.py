"""/v1: what the gateway holds, for whoever has the admin token."""

import base64
import hashlib
import hmac
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import StoreUnavailable
from gateway.model import EventId
from gateway.problem import problem
from gateway.store import DeliveryRecord, EventFilter, EventRecord, EventState, Store

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
LARGEST = 2**63 - 1
FILTERS = ("source", "destination", "state", "type", "key")
PARAMETERS = {*FILTERS, "since", "until", "cursor", "limit"}


class Admin:
    def __init__(self, *, store: Store, token: str | None) -> None:
        self._store = store
        self.take_token(token)

    def take_token(self, token: str | None) -> None:
        """From now on this one is asked for; None: nobody may ask."""
        self._token = None if token is None else _digest(token)

    def routes(self) -> list[Route]:
        return [Route("/v1/events", self.events), Route("/v1/events/{id}", self.event)]

    async def events(self, request: Request) -> Response:
        if refusal := self._refuse(request):
            return refusal
        try:
            where, before, limit = _parse(request)
        except ValueError as error:
            return problem(400, str(error))
        try:
            found = await self._store.events(where, before=before, limit=limit + 1)
        except StoreUnavailable as error:
            return problem(503, f"{error}.", headers={"retry-after": "5"})
        page = found[:limit]
        cursor = str(page[-1].seq) if len(found) > limit else None
        return JSONResponse({"items": [_summary(record) for record in page], "next_cursor": cursor})

    async def event(self, request: Request) -> Response:
        if refusal := self._refuse(request):
            return refusal
        try:
            record = await self._store.event(EventId(request.path_params["id"]))
        except StoreUnavailable as error:
            return problem(503, f"{error}.", headers={"retry-after": "5"})
        if record is None:
            return problem(404, "There is no event of this id.")
        return JSONResponse(_whole(record))

    def _refuse(self, request: Request) -> Response | None:
        if self._token is None:
            return problem(
                403,
                "The admin API is off: no admin token is set (server.admin_token or GATEWAY_ADMIN_TOKEN).",
            )
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(_digest(token.strip()), self._token):
            return problem(
                401, "The admin token is missing or wrong.", headers={"www-authenticate": "Bearer"}
            )
        return None


def _parse(request: Request) -> tuple[EventFilter, int | None, int]:
    given = request.query_params
    for name in given:
        if name not in PARAMETERS:
            raise ValueError(
                f"There is no parameter {name[:50]!r}; there are {', '.join(sorted(PARAMETERS))}."
            )
        if len(given.getlist(name)) > 1:
            raise ValueError(f"The parameter {name} stands more than once.")
    state = given.get("state")
    if state is not None and state not in get_args(EventState):
        raise ValueError(f"The parameter state must be one of {', '.join(get_args(EventState))}.")
    where = EventFilter(
        **{name: given.get(name) for name in FILTERS},
        since=_whole_number(given.get("since"), "since"),
        until=_whole_number(given.get("until"), "until"),
    )
    limit = _whole_number(given.get("limit"), "limit")
    limit = DEFAULT_LIMIT if limit is None else limit
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"The parameter limit must be from 1 to {MAX_LIMIT}.")
    return where, _whole_number(given.get("cursor"), "cursor"), limit


def _whole_number(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > LARGEST:
        raise ValueError(f"The parameter {name} must be a whole number.")
    return int(text)


def _summary(record: EventRecord) -> dict[str, Any]:
    event = record.event
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "dedupe_key": event.dedupe_key,
        "ordering_key": event.ordering_key,
        "received_at": event.received_at,
        "state": record.state,
        "deliveries": [_delivery(delivery) for delivery in record.deliveries],
    }


def _whole(record: EventRecord) -> dict[str, Any]:
    webhook = record.event.webhook
    summary = _summary(record)
    for shown, delivery in zip(summary["deliveries"], record.deliveries, strict=True):
        shown["history"] = [
            {
                "number": attempt.number,
                "started_at": attempt.started_at,
                "duration_ms": attempt.duration_ms,
                "outcome": attempt.outcome,
                "status": attempt.status,
                "error": attempt.error,
                "response_base64": base64.b64encode(attempt.response).decode(),
            }
            for attempt in delivery.history
        ]
    return {
        **summary,
        "query": webhook.query.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in webhook.headers],
        "body_base64": base64.b64encode(webhook.body).decode(),
    }


def _delivery(delivery: DeliveryRecord) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "next_attempt_at": delivery.next_attempt_at,
        "last_status": delivery.last_status,
        "last_error": delivery.last_error,
    }


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
