"""A gateway over a real store on a real server, a producer that signs for it, and a destination that remembers."""

import base64
import hashlib
import hmac
import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from gateway import app
from gateway.clock import Clock, SystemClock
from gateway.config import Config, load
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.store.sqlite import SqliteStore
from gateway.tracing.otlp import OtlpTracing
from tests.support.gateway_server import serving

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "made-up-admin-token"
MAX_BODY_BYTES = 65_536

SOURCES = f"""
[server]
admin_token = "{TOKEN}"
max_body_bytes = {MAX_BODY_BYTES}

[[sources]]
name = "producer"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
ordering_key = "json:data.jobId"
"""

_numbers = itertools.count(1)


def fresh_id() -> str:
    """A message id that no other test uses."""
    return f"msg_{next(_numbers)}"


def signed(
    body: bytes, *, message_id: str | None = None, at: int | str | None = None, key: bytes = KEY
) -> dict[str, str]:
    """The headers of a Standard Webhooks producer, made without the gateway's own code. `at` in Unix seconds."""
    message_id = message_id or fresh_id()
    timestamp = str(int(time.time()) if at is None else at)
    mac = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    path: Path
    """The store's file."""
    metrics: Metrics
    client: httpx.Client
    """For everything: to make one costs more than most tests."""
    gateway: app.Gateway

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(
        self,
        body: bytes = b"{}",
        *,
        source: str = "producer",
        message_id: str | None = None,
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """A signed webhook."""
        headers = {
            "content-type": "application/json",
            **signed(body, message_id=message_id),
            **(headers or {}),
        }
        return self.client.post(f"{self.url}/webhooks/{source}{query}", content=body, headers=headers)

    def admin(self, path: str, **parameters: str | int) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return self.client.get(f"{self.url}{path}", params=parameters, headers=headers)

    def admin_post(self, path: str, content: object = None) -> httpx.Response:
        """`content` becomes JSON; None: nothing is sent."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        return self.client.post(f"{self.url}{path}", json=content, headers=headers)

    def event(self, event_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.admin(f"/v1/events/{event_id}").json()
        return shown

    def count(self, name: str, **labels: str) -> float:
        """A value as of now, or for what the store holds as of the last scrape; 0 where it was never touched."""
        registries = (self.metrics.registry, self.metrics.stored.registry)
        return next((value for one in registries if (value := one.get_sample_value(name, labels))), 0.0)

    def webhooks(self) -> dict[tuple[str, str], float]:
        """(source, outcome) → how many, of those that happened."""
        (family,) = (one for one in self.metrics.registry.collect() if one.name == "gateway_webhooks")
        return {
            (sample.labels["source"], sample.labels["outcome"]): sample.value
            for sample in family.samples
            if sample.value
        }


def configuration(text: str, folder: Path, *, environ: Mapping[str, str] | None = None) -> Config:
    path = folder / "gateway.toml"
    path.write_text(text, "utf-8")
    return load(path, environ=environ or {})


@contextmanager
def running_gateway(
    folder: Path, text: str = SOURCES, *, clock: Clock | None = None, environ: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """The gateway of the configuration `text`, with its store in `folder`, on a free port."""
    config, metrics = configuration(text, folder, environ=environ), Metrics(version="test")
    clock = clock or SystemClock()
    tracing = config.tracing and OtlpTracing(
        config.tracing, destinations=config.destinations, version="test", clock=clock
    )
    store = open_store(config, folder / "gateway.db", metrics, clock=clock)
    created = app.create(config, store=store, clock=clock, metrics=metrics, tracing=tracing)
    with (
        serving(created.app, limits=Limits(), metrics=metrics) as served,
        httpx.Client(trust_env=False, timeout=20) as client,
    ):
        url = f"http://127.0.0.1:{served.port}"
        yield Running(url, folder / "gateway.db", metrics, client, created)


@contextmanager
def gateway_without_server(
    folder: Path, text: str = SOURCES
) -> Iterator[tuple[httpx.AsyncClient, SqliteStore]]:
    """A client that calls the application directly, and the store, for the test to break; nothing is dispatched."""
    config, metrics = configuration(text, folder), Metrics(version="test")
    store = open_store(config, folder / "gateway.db", metrics)
    created = app.create(config, store=store, clock=SystemClock(), metrics=metrics)
    yield httpx.AsyncClient(transport=httpx.ASGITransport(created.app), base_url="http://gateway"), store


def open_store(config: Config, path: Path, metrics: Metrics, *, clock: Clock | None = None) -> SqliteStore:
    return SqliteStore(
        path,
        destinations=[destination.name for destination in config.destinations],
        now=(clock or SystemClock()).now_ms(),
        on_commit=metrics.on_commit,
    )


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass(slots=True)
class Destination:
    url: str
    received: list[Received] = field(default_factory=list)
    status: int = 200
    """What it answers from now on."""
    echoes: bool = False
    """Whether it answers with all that it was sent."""


@contextmanager
def recording_destination() -> Iterator[Destination]:
    """Remembers every POST before it answers it."""
    destination = Destination("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = destination.status  # as of now: whoever sees that this has come may set another
            destination.received.append(Received(self.path, self.headers.items(), body))
            said = f"{self.path}\n{self.headers}".encode() + body if destination.echoes else b""
            self.send_response(status)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    destination.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield destination
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def problem_of(response: httpx.Response) -> dict[str, object]:
    """The problem in a refusal, after checking that it is one."""
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = response.json()
    assert problem["status"] == response.status_code
    assert {"type", "title", "detail"} <= set(problem)
    return problem
