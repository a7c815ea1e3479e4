"""An OpenTelemetry collector on a real socket, which keeps the spans that it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Span:
    """Ids in hex; times in Unix ns."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty: it is a root."""
    kind: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    """Trace and span."""
    start: int
    end: int
    failed: bool
    said: str
    """What its status says."""
    resource: dict[str, Any]


@dataclass(slots=True)
class Collector:
    endpoint: str
    status: int = 200
    """What it answers from now on. 0: nothing, until it is closed."""
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: bytes = b""
    """All that it was sent."""
    taken: list[Span] = field(default_factory=list)

    def spans(self, name: str, number: int) -> list[Span]:
        """Those of that name, once there are so many, by their time."""
        eventually(lambda: len(self._named(name)) >= number)
        found = self._named(name)
        assert len(found) == number
        return found

    def _named(self, name: str) -> list[Span]:
        return sorted((one for one in self.taken if one.name == name), key=lambda one: one.start)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector, closed = Collector(""), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.paths.append(self.path)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.raw += body
            if not collector.status:
                closed.wait()
                return
            if collector.status == 200:
                collector.taken += _read(body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        closed.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _read(body: bytes) -> list[Span]:
    sent = ExportTraceServiceRequest.FromString(body).resource_spans
    return [_span(span, of) for of in sent for scope in of.scope_spans for span in scope.spans]


def _span(sent: SentSpan, of: ResourceSpans) -> Span:
    return Span(
        name=sent.name,
        trace_id=sent.trace_id.hex(),
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_span_id.hex(),
        kind=SentSpan.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        attributes=_values(sent.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in sent.links],
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        failed=sent.status.code == Status.STATUS_CODE_ERROR,
        said=sent.status.message,
        resource=_values(of.resource.attributes),
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in pairs}
