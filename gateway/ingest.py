"""POST /webhooks/{source}: bounded body, verified, accepted, answered."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.clock import Clock
from gateway.config import Source
from gateway.errors import StoreUnavailable
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import (
    Accepted,
    DestinationName,
    Event,
    EventId,
    Rejected,
    RejectionReason,
    SourceName,
    VerifiedWebhook,
    Webhook,
)
from gateway.problem import problem
from gateway.route import Router
from gateway.selector import Content, Selector
from gateway.store import Store

MAX_TYPE = 200
MAX_KEY = 256
MAX_DEDUPE_KEY = 512
ANSWER_SECONDS = 1.0
"""Producers give an answer between one and a few seconds; after this they are asked to come again."""
BODY_SECONDS = 10.0
"""A body that is not here by then is not waited for."""
UNAUTHORIZED = "The request could not be authenticated. The reason is in the gateway's log."


class Reading:
    """What a source's webhook says of itself. Content is never a reason to refuse: what does not fit is None."""

    def __init__(self, source: Source, webhook: Webhook) -> None:
        self.content = Content(webhook)
        self.digest = hashlib.sha256(webhook.body).digest()
        self.event_type = _as_type(source.event_type.find(self.content))
        self.ordering_key = self._key(source.ordering_key, longest=MAX_KEY)
        self.dedupe_key: str | None = None
        if source.dedupe_key is not None:
            self.dedupe_key = (
                self._key(source.dedupe_key, longest=MAX_DEDUPE_KEY) or f"sha256:{self.digest.hex()}"
            )

    def _key(self, selector: Selector | None, *, longest: int) -> str | None:
        return None if selector is None else _as_key(selector.find(self.content), longest=longest)


class Ingest:
    """An ASGI application, because it answers every method itself."""

    def __init__(
        self,
        sources: dict[SourceName, Source],
        *,
        store: Store,
        router: Router,
        wake: Callable[[tuple[DestinationName, ...]], None],
        clock: Clock,
        metrics: Metrics,
        new_event_id: Callable[[int], EventId],
        max_body_bytes: int,
    ) -> None:
        self._sources = sources
        self._store = store
        self._router = router
        self._wake = wake
        self._clock = clock
        self._metrics = metrics
        self._new_event_id = new_event_id
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handle(Request(scope, receive))
        await response(scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        started = self._clock.monotonic()
        name = SourceName(request.path_params["source"])
        source = self._sources.get(name)
        if source is None:
            return self._refuse("unknown", Rejected("unknown_source", "no source has this name"))
        if request.method != "POST":
            return self._refuse(name, Rejected("method", f"{request.method} is not POST"))
        received = await self._receive(request, source)
        if isinstance(received, Rejected):
            return self._refuse(name, received)
        verified = source.verifier.verify(received, now=self._clock.now_ms() // 1000)
        if isinstance(verified, Rejected):
            return self._refuse(name, verified)
        return await self._accept(source, verified, started=started)

    async def _receive(self, request: Request, source: Source) -> Webhook | Rejected:
        headers = tuple(request.headers.raw)
        for required in source.verifier.required_headers:
            if required.decode() not in request.headers:
                return Rejected("missing_header", f"there is no {required.decode()} header")
        body = await self._body(request)
        if isinstance(body, Rejected):
            return body
        return Webhook(headers=headers, query=request.scope["query_string"], body=body)

    async def _body(self, request: Request) -> bytes | Rejected:
        """The whole body, unless it is announced or turns out to be too large: then no more of it is read."""
        too_large = Rejected("too_large", f"the body is longer than {self._max_body_bytes} bytes")
        announced = request.headers.get("content-length", "")
        if announced.isascii() and announced.isdigit() and int(announced) > self._max_body_bytes:
            return too_large
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._max_body_bytes:
                        return too_large
        except TimeoutError:
            return Rejected("too_slow", f"the body did not arrive within {BODY_SECONDS:g} s")
        except ClientDisconnect:
            return Rejected("too_slow", "the client went away before its body was here")
        return bytes(body)

    async def _accept(self, source: Source, verified: VerifiedWebhook, *, started: float) -> Response:
        event = self._event(source, verified)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                accepted = await self._store.accept(event, same_id_is_duplicate=source.same_id == "duplicate")
        except StoreUnavailable as error:
            return self._refuse(source.name, Rejected("unavailable", str(error)))
        except TimeoutError:
            return self._refuse(source.name, Rejected("unavailable", "the store did not answer in time"))
        if accepted.status == "accepted":
            self._wake(event.destinations)
        if verified.secret >= 0:
            self._metrics.secret_used.labels(source.name, verified.secret).inc()
        return self._answer(event, accepted, started=started)

    def _event(self, source: Source, verified: VerifiedWebhook) -> Event:
        reading = Reading(source, verified.webhook)
        now = self._clock.now_ms()
        return Event(
            id=self._new_event_id(now),
            source=source.name,
            type=reading.event_type,
            dedupe_key=reading.dedupe_key,
            body_sha256=reading.digest,
            ordering_key=reading.ordering_key,
            received_at=now,
            webhook=verified.webhook,
            destinations=self._router.destinations(source.name, reading.event_type, reading.content),
        )

    def _answer(self, event: Event, accepted: Accepted, *, started: float) -> Response:
        outcome = "id_reused" if accepted.id_reused else accepted.status
        self._metrics.webhooks.labels(event.source, outcome).inc()
        self._metrics.accept_duration.observe(self._clock.monotonic() - started)
        emit(
            "webhook.accepted",
            source=event.source,
            event_id=accepted.event_id,
            outcome=outcome,
            type=event.type,
            ordering_key=event.ordering_key,
            bytes=len(event.webhook.body),
        )
        content: dict[str, Any] = {"event_id": accepted.event_id, "status": accepted.status}
        if accepted.id_reused:
            content["id_reused"] = True
        return JSONResponse(content)

    def _refuse(self, source: str, rejected: Rejected) -> Response:
        self._metrics.webhooks.labels(source, "rejected").inc()
        self._metrics.rejected.labels(source, rejected.reason).inc()
        emit(
            "webhook.rejected",
            level=logging.WARNING,
            source=source,
            reason=rejected.reason,
            detail=rejected.detail,
        )
        return _refusal(rejected.reason, rejected.detail)


def _refusal(reason: RejectionReason, detail: str) -> Response:
    """What the sender is told. One answer for every failure to authenticate, so that it teaches a forger nothing."""
    sentence = f"{detail[0].upper()}{detail[1:]}."
    answers: dict[RejectionReason, tuple[int, str, dict[str, str]]] = {
        "unknown_source": (
            404,
            "There is no source of this name; the URL is /webhooks/ and a source's name.",
            {},
        ),
        "method": (405, "Webhooks are sent by POST.", {"allow": "POST"}),
        "too_slow": (408, sentence, {"connection": "close"}),
        "too_large": (413, sentence, {"connection": "close"}),
        "unavailable": (503, "The event could not be stored now; send it again.", {"retry-after": "5"}),
    }
    status, text, headers = answers.get(reason, (401, UNAUTHORIZED, {}))
    return problem(status, text, headers=headers)


def _as_type(value: Any) -> str | None:
    return value if isinstance(value, str) and len(value) <= MAX_TYPE and _storable(value) else None


def _as_key(value: Any, *, longest: int) -> str | None:
    """A string or a number that is not too long, as text; else None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = json.dumps(value, allow_nan=False)
        except ValueError:  # infinite, or an integer of thousands of digits
            return None
    if isinstance(value, str) and 0 < len(value) <= longest and _storable(value):
        return value
    return None


def _storable(text: str) -> bool:
    """JSON can carry half of a surrogate pair, which is no text."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
