"""/webhooks/{source}: handshakes answered; what is posted verified, within bounds, accepted, answered."""

import asyncio
import dataclasses
import hashlib
import logging
from collections.abc import Callable
from typing import Protocol

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answer import Stored, refusal, shaken
from gateway.clock import Clock
from gateway.config import Networks, Source
from gateway.door import Door
from gateway.errors import StoreUnavailable
from gateway.log import Alike, emit
from gateway.metrics import UNKNOWN, Metrics, Series
from gateway.model import (
    Accepted,
    Event,
    EventId,
    Rejected,
    SourceName,
    VerifiedWebhook,
    Webhook,
)
from gateway.patience import Patience
from gateway.reading import Reading
from gateway.route import Router
from gateway.tracing import Tracing
from gateway.turns import sender_of
from gateway.turnstile import Turnstile
from gateway.verify import Verifier
from gateway.verify.handshake import Reply

PATH = "/webhooks/"
"""What follows it is the name of a source."""
ANSWER_SECONDS = 1.0
"""Producers give an answer between one and a few seconds; after this they are asked to come again."""

MOST_VERIFIED_AT_ONCE_BYTES = 2**18
"""Of a body. What takes longer to go through is gone through beside the event loop, which answers others meanwhile."""

AUTHENTIC = ("rate_limited", "unavailable")
"""Reasons to refuse what is no stranger's."""


class Accepts(Protocol):
    async def accept(self, event: Event, *, same_id_is_duplicate: bool) -> Accepted:
        """Returns when it is on disk. Raise StoreUnavailable."""
        ...


class Ingest:
    """An ASGI application for all paths below `PATH`. It answers every method itself."""

    def __init__(
        self,
        sources: dict[SourceName, Source],
        *,
        accepts: Accepts,
        router: Router,
        clock: Clock,
        metrics: Metrics,
        new_event_id: Callable[[int], EventId],
        max_body_bytes: int,
        trusted_proxies: Networks,
        strangers: Turnstile,
        tracing: Tracing | None = None,
    ) -> None:
        self._sources = sources
        self._accepts = accepts
        self._router = router
        self._clock = clock
        self._accept_duration = metrics.accept_duration
        self._webhooks = Series(metrics.webhooks)
        self._rejected = Series(metrics.rejected)
        self._secret_used = metrics.secret_used
        self._shadows = Series(metrics.shadows)
        self._new_event_id = new_event_id
        self._max_body_bytes = max_body_bytes
        self._tracing = tracing
        self._door = Door(sources.values(), trusted_proxies=trusted_proxies, clock=clock)
        self._patience = Patience(ANSWER_SECONDS)
        self._strangers = strangers
        self._lines = Alike(clock.monotonic)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._handle(scope, receive)
        except asyncio.CancelledError:  # the grace time of a stop is over
            answer = self._refuse(scope, Rejected("unavailable", "the gateway is stopping"))
        await answer(scope, receive, send)

    def _known(self, scope: Scope) -> str:
        name = SourceName(scope["path"][len(PATH) :])
        return name if name in self._sources else UNKNOWN

    async def _handle(self, scope: Scope, receive: Receive) -> ASGIApp:
        started = self._clock.monotonic()
        name = SourceName(scope["path"][len(PATH) :])
        source = self._sources.get(name)
        if source is None:
            return self._refuse(scope, Rejected("unknown_source", "no source has this name"))
        if (answer := self._door.answer(source, scope)) is not None:
            return self._shake(scope, name, answer)
        received = await self._receive(scope, receive, source)
        if isinstance(received, Rejected):
            return self._refuse(scope, received)
        is_long = len(received.body) > MOST_VERIFIED_AT_ONCE_BYTES
        verified = (
            await asyncio.to_thread(self._verify, source, received)
            if is_long
            else self._verify(source, received)
        )
        sender_of(scope).is_known = isinstance(verified, VerifiedWebhook) and verified.secret >= 0
        if isinstance(verified, Rejected):
            return self._refuse(scope, verified)
        return await self._take(scope, source, received, verified, started=started)

    async def _take(
        self, scope: Scope, source: Source, received: Webhook, verified: VerifiedWebhook, *, started: float
    ) -> ASGIApp:
        if (reply := self._door.answer_verified(source, verified)) is not None:
            return self._shake(scope, source.name, reply)
        if (over := self._door.over_rate(source)) is not None:
            return self._refuse(scope, over)
        self._try_shadows(source, received, verified)
        if source.shadow is not None:
            verified = _without_credential(source.shadow, verified)
        return await self._accept(scope, source, verified, started=started)

    async def _receive(self, scope: Scope, receive: Receive, source: Source) -> Webhook | Rejected:
        headers = tuple(scope["headers"])
        named = dict(headers)
        for required in source.verifier.required_headers:
            if required not in named:
                return Rejected("missing_header", f"there is no {required.decode()} header")
        if self._is_too_large(named.get(b"content-length", b"")):
            return self._too_large()
        body = await self._body(receive)
        if isinstance(body, Rejected):
            return body
        return Webhook(headers=headers, query=scope["query_string"], body=body)

    async def _body(self, receive: Receive) -> bytes | Rejected:
        """The whole body, unless it turns out to be too large: then no more of it is read.

        The server gives it a time; after that it is as if the client had gone away.
        """
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return Rejected("too_slow", "the connection ended before the body was here")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body_bytes:
                return self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _is_too_large(self, announced: bytes) -> bool:
        return announced.isdigit() and (len(announced) > 18 or int(announced) > self._max_body_bytes)

    def _too_large(self) -> Rejected:
        return Rejected("too_large", f"the body is longer than {self._max_body_bytes} bytes")

    def _verify(self, source: Source, webhook: Webhook) -> VerifiedWebhook | Rejected:
        """By the wall clock. Where that was set, a wrong time is no fault of the producer, who is to come again."""
        verified = source.verifier.verify(webhook, now=self._clock.wall_ms() // 1000)
        if isinstance(verified, Rejected) and verified.reason in ("too_old", "too_new"):
            moved = self._clock.moved_ms() / 1000
            if abs(moved) > source.verifier.tolerance_seconds:
                return Rejected(
                    "unavailable", f"{verified.detail}, but the gateway's clock was set by {moved:+.0f} s"
                )
        return source.handshake.refused(webhook.body) or verified

    def _shake(self, scope: Scope, source: SourceName, reply: Reply | Rejected) -> ASGIApp:
        """What is answered in place of taking a webhook."""
        if isinstance(reply, Rejected):
            return self._refuse(scope, reply)
        self._webhooks[source, "handshake"].inc()
        self._lines.emit("handshake.answered", level=logging.INFO, alike=source, source=source)
        return self._strangers.before(shaken(reply))

    def _try_shadows(self, source: Source, received: Webhook, verified: VerifiedWebhook) -> None:
        """Counts what secrets and a scheme that are only tried would have done with it."""
        for index, matches in verified.shadows:
            self._shadows[source.name, f"secret {index}", "match" if matches else "bad_signature"].inc()
        if source.shadow is not None:
            tried = source.shadow.verify(received, now=self._clock.wall_ms() // 1000)
            outcome = tried.reason if isinstance(tried, Rejected) else "match"
            self._shadows[source.name, "scheme", outcome].inc()

    async def _accept(
        self, scope: Scope, source: Source, verified: VerifiedWebhook, *, started: float
    ) -> ASGIApp:
        event = self._event(source, verified)
        asked = 0.0 if self._tracing is None else self._clock.monotonic()
        try:
            with self._patience.limit():
                accepted = await self._accepts.accept(
                    event, same_id_is_duplicate=source.same_id == "duplicate"
                )
        except StoreUnavailable as error:
            return self._refuse(scope, Rejected("unavailable", str(error)), event)
        except TimeoutError:
            return self._refuse(scope, Rejected("unavailable", "the store did not answer in time"), event)
        if verified.secret >= 0:
            self._secret_used[source.name, str(verified.secret)].inc()
        self._count(event, accepted, started=started)
        if self._tracing is not None:
            self._tracing.accepted(event, accepted, started=started, asked=asked)
        return Stored(accepted) if source.acknowledgement == "json" else Response()

    def _event(self, source: Source, verified: VerifiedWebhook) -> Event:
        reading = Reading(source, verified)
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
            body_authenticated=verified.body_authenticated,
            signature=self._guarded(source, verified),
        )

    def _guarded(self, source: Source, verified: VerifiedWebhook) -> bytes | None:
        if not source.replay_guard or verified.signature is None:
            return None
        return hashlib.sha256(verified.signature).digest()

    def _count(self, event: Event, accepted: Accepted, *, started: float) -> None:
        outcome = "id_reused" if accepted.id_reused else accepted.status
        self._webhooks[event.source, outcome].inc()
        self._accept_duration.observe(self._clock.monotonic() - started)
        emit(
            "webhook.accepted",
            source=event.source,
            event_id=accepted.event_id,
            outcome=outcome,
            type=event.type,
            ordering_key=event.ordering_key,
            bytes=len(event.webhook.body),
        )

    def _refuse(self, scope: Scope, rejected: Rejected, event: Event | None = None) -> ASGIApp:
        source = self._known(scope)
        unknown = scope["path"][len(PATH) :] if source == UNKNOWN else None
        self._webhooks[source, "rejected"].inc()
        self._rejected[source, rejected.reason].inc()
        self._lines.emit(
            "webhook.rejected",
            level=logging.WARNING,
            alike=f"{source} {rejected.reason}",
            more=lambda: self._door.seen(scope, unknown=unknown),
            source=source,
            reason=rejected.reason,
            detail=rejected.detail,
        )
        if self._tracing is not None:
            self._tracing.refused(source, rejected, event)
        answer = refusal(rejected)
        return answer if rejected.reason in AUTHENTIC else self._strangers.before(answer)


def _without_credential(shadow: Verifier, verified: VerifiedWebhook) -> VerifiedWebhook:
    """A scheme that is only tried has secrets too."""
    webhook = shadow.without_credential(verified.webhook)
    return dataclasses.replace(verified, webhook=webhook, content=verified.content.of(webhook))
