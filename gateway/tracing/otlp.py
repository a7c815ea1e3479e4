"""Sends spans to an OpenTelemetry collector, from a thread of the SDK's. Imported only where one is configured.

Spans are made whole once what they tell of is over, and not by the SDK's tracer: their ids are made of the event's, and it
would cost the event loop seven times as much.
"""

import asyncio
import contextlib
import threading
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from opentelemetry.context import Context as Surroundings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from gateway.clock import Clock
from gateway.config import Destination, TracingSettings
from gateway.model import Accepted, Claim, Dead, Event, EventId, Outcome, Rejected, RetryAt, Verdict
from gateway.tracing import context
from gateway.tracing.complaints import Complaints
from gateway.tracing.context import RANDOM, SAMPLED, Context

REFUSALS_PERIOD_SECONDS = 1.0
"""One refusal in this time has a span: strangers can make any number of them."""
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000
OK, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
NOTHING_AROUND = Surroundings()

Attributes = dict[str, str | int]


class OtlpTracing:
    """What the standard's variables say besides `settings` (sampler, service, batches, certificates) the SDK reads itself."""

    def __init__(
        self, settings: TracingSettings, *, destinations: Sequence[Destination], version: str, clock: Clock
    ) -> None:
        self._clock = clock
        self._complaints = Complaints(settings, clock=clock)
        provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        self._resource, self._sampler = provider.resource, provider.sampler
        self._scope = InstrumentationScope("gateway", version)
        exporter = OTLPSpanExporter(endpoint=settings.endpoint, headers=settings.headers)
        self._processor = BatchSpanProcessor(exporter)
        self._servers = {one.name: _server(one) for one in destinations}
        self._chance = RandomIdGenerator()
        self._next_refusal = clock.monotonic()

    def accepted(self, event: Event, accepted: Accepted, *, started: float, asked: float) -> None:
        producer = _producer(event)
        parent, own = _remote(producer), self._accepting(event.id, producer)
        if parent is None and accepted.status == "duplicate":  # its place is with the first
            parent = self._accepting(accepted.event_id, None)
            own = _child(parent, own.span_id)
        if not own.trace_flags.sampled:
            return
        end, now = self._clock.now_ms() * NS_PER_MS, self._clock.monotonic()
        began, asked_at = (end - round((now - at) * NS_PER_SECOND) for at in (started, asked))
        told = _of_acceptance(event, accepted)
        self._end("webhook accept", own, parent, told, kind=SpanKind.SERVER, time=(began, end))
        store = _child(own, self._chance.generate_span_id())
        self._end("event store", store, own, {}, kind=SpanKind.INTERNAL, time=(asked_at, end))

    def refused(self, source: str, rejected: Rejected, event: Event | None) -> None:
        """What a stranger says of its trace is not believed."""
        began = end = self._clock.now_ms() * NS_PER_MS
        told = {**_of_request(source), "error.type": rejected.reason}
        parent = None
        if event is not None:
            producer = _producer(event)
            parent, own = _remote(producer), self._accepting(event.id, producer)
            began = min(event.received_at * NS_PER_MS, end)
            told["gateway.event_id"] = event.id
        elif (now := self._clock.monotonic()) >= self._next_refusal:
            self._next_refusal = now + REFUSALS_PERIOD_SECONDS
            own = self._by_chance()
        else:
            return
        self._end("webhook accept", own, parent, told, kind=SpanKind.SERVER, time=(began, end), status=FAILED)

    def attempted(self, claim: Claim, outcome: Outcome, verdict: Verdict) -> None:
        accept = self._accepting(claim.event.id, _producer(claim.event))
        if not accept.trace_flags.sampled:
            return
        own, *before = [
            _child(accept, context.attempt_id(claim, number))
            for number in range(claim.attempt, max(0, claim.attempt - 2), -1)
        ]
        began = outcome.started_at * NS_PER_MS
        self._end(
            "delivery attempt",
            own,
            accept,
            {**self._servers.get(claim.destination, {}), **_of_attempt(claim, outcome, verdict)},
            kind=SpanKind.CLIENT,
            time=(began, began + outcome.duration_ms * NS_PER_MS),
            status=OK if outcome.kind == "success" else Status(StatusCode.ERROR, outcome.error),
            links=[Link(one) for one in before],
        )

    def traceparent(self, claim: Claim, producer: bytes | None) -> bytes:
        accept = self._accepting(claim.event.id, None if producer is None else context.read(producer))
        span_id = context.attempt_id(claim, claim.attempt)
        return Context(accept.trace_id, span_id, accept.trace_flags).header()

    async def close(self, *, grace_seconds: float) -> None:
        """Where the collector hangs, the threads are left to end with the process."""
        loop, sent = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=end, name="tracing-end", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await sent.wait()
            self._complaints.close()  # else what the threads still say would be said with its secrets

    def _accepting(self, event_id: EventId, producer: Context | None) -> SpanContext:
        """The span of the event's acceptance."""
        own = context.read(context.made_of(event_id))
        trace_id = own.trace_id if producer is None else producer.trace_id
        flags = self._flags(producer, trace_id)
        return SpanContext(trace_id, own.span_id, is_remote=False, trace_flags=flags)

    def _by_chance(self) -> SpanContext:
        trace_id, span_id = self._chance.generate_trace_id(), self._chance.generate_span_id()
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=self._flags(None, trace_id))

    def _flags(self, producer: Context | None, trace_id: int) -> TraceFlags:
        """The standard's samplers decide by these two alone: what they said of an acceptance they say of its attempts."""
        around, flags = NOTHING_AROUND, 0
        if (parent := _remote(producer)) is not None:
            around, flags = set_span_in_context(NonRecordingSpan(parent), around), parent.trace_flags & RANDOM
        decision = self._sampler.should_sample(around, trace_id, "webhook accept").decision
        return TraceFlags(flags | SAMPLED if decision is Decision.RECORD_AND_SAMPLE else flags)

    def _end(
        self,
        name: str,
        own: SpanContext,
        parent: SpanContext | None,
        attributes: Attributes,
        *,
        kind: SpanKind,
        time: tuple[int, int],
        status: Status = OK,
        links: Sequence[Link] = (),
    ) -> None:
        """If it is sampled, into the queue; of a full one, from which nobody takes, the oldest goes. `time`: Unix ns, from and to."""
        span = ReadableSpan(
            name,
            own,
            parent,
            self._resource,
            attributes,
            kind=kind,
            links=links,
            status=status,
            start_time=time[0],
            end_time=time[1],
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(span)


def _resource(version: str) -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come before what is said here."""
    given = Resource.create()
    if str(given.attributes["service.name"]).startswith("unknown_service"):
        given = given.merge(Resource({"service.name": "gateway"}))
    return Resource({"service.version": version}).merge(given)


def _producer(event: Event) -> Context | None:
    """Its span."""
    header = context.received(event.webhook)
    return None if header is None else context.read(header)


def _remote(producer: Context | None) -> SpanContext | None:
    if producer is None:
        return None
    flags = TraceFlags(producer.flags)
    return SpanContext(producer.trace_id, producer.span_id, is_remote=True, trace_flags=flags)


def _child(parent: SpanContext, span_id: int) -> SpanContext:
    """In the trace of `parent`."""
    return SpanContext(parent.trace_id, span_id, is_remote=False, trace_flags=parent.trace_flags)


def _server(destination: Destination) -> Mapping[str, str | int]:
    """Not the whole URL: keys are written in paths and queries too."""
    parts = urlsplit(destination.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"url.scheme": parts.scheme, "server.address": parts.hostname or "", "server.port": port}


def _of_request(source: str) -> Attributes:
    return {"http.request.method": "POST", "http.route": "/webhooks/{source}", "gateway.source": source}


def _of_acceptance(event: Event, accepted: Accepted) -> Attributes:
    told = {
        **_of_request(event.source),
        "http.response.status_code": 200,
        "http.request.body.size": len(event.webhook.body),
        "gateway.event_id": accepted.event_id,
        "gateway.outcome": "id_reused" if accepted.id_reused else accepted.status,
    }
    if event.type is not None:
        told["gateway.event_type"] = event.type
    return told


def _of_attempt(claim: Claim, outcome: Outcome, verdict: Verdict) -> Attributes:
    told: Attributes = {
        "http.request.method": "POST",
        "gateway.event_id": claim.event.id,
        "gateway.source": claim.event.source,
        "gateway.destination": claim.destination,
        "gateway.attempt": claim.attempt,
        "gateway.outcome": outcome.kind,
    }
    if claim.attempt > 1:
        told["http.request.resend_count"] = claim.attempt - 1
    if outcome.status is not None:
        told["http.response.status_code"] = outcome.status
    if outcome.kind != "success":
        told["error.type"] = outcome.kind if outcome.status is None else str(outcome.status)
    if isinstance(verdict, RetryAt):
        told["gateway.retry_at"] = verdict.at
    if isinstance(verdict, Dead):
        told["gateway.dead_reason"] = verdict.reason
    return told
