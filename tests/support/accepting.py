"""What takes webhooks in, alone: ingest over a real store on the real server, with a clock that the test may hold."""

from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Route

from gateway.clock import Clock, SystemClock
from gateway.ingest import Ingest
from gateway.limits import Limits
from gateway.metrics import Metrics
from gateway.model import EventId
from gateway.route import Router
from gateway.turnstile import Turnstile
from tests.support.gateway_app import SOURCES, configuration, fresh_id, open_store
from tests.support.gateway_server import serving


@dataclass(frozen=True, slots=True)
class Accepting:
    port: int
    path: Path
    """The store's file."""
    metrics: Metrics

    def rejected(self, reason: str) -> float:
        labels = {"source": "producer", "reason": reason}
        return self.metrics.registry.get_sample_value("gateway_webhooks_rejected_total", labels) or 0.0


@contextmanager
def accepting(
    folder: Path,
    text: str = SOURCES,
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
    max_connections: int = 1000,
    strangers: Turnstile | None = None,
) -> Iterator[Accepting]:
    """Nothing is dispatched."""
    config, metrics = configuration(text, folder), Metrics(version="test")
    store = open_store(config, folder / "gateway.db", metrics)
    ingest = Ingest(
        {source.name: source for source in config.sources},
        accepts=store,
        router=Router(config.destinations),
        clock=clock or SystemClock(),
        metrics=metrics,
        new_event_id=lambda _: EventId(fresh_id()),
        trusted_proxies=(),
        max_body_bytes=config.server.max_body_bytes,
        strangers=strangers or Turnstile(per_second=1000, most_waiting=max_connections),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette):
        yield
        await store.close()

    app = Starlette(routes=[Route("/webhooks/{source:path}", ingest)], lifespan=lifespan)
    with serving(app, limits=limits or Limits(), metrics=metrics, max_connections=max_connections) as server:
        yield Accepting(server.port, folder / "gateway.db", metrics)
