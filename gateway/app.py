"""Puts the parts together: configuration, store, clock in; a Starlette application out, whose lifespan dispatches."""

import asyncio
import contextlib
import dataclasses
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway import contract
from gateway.admin import Admin
from gateway.chores import prune, recall, survey, warn, watch_event_loop
from gateway.clock import Clock
from gateway.config import Config, Source
from gateway.dispatch import Dispatcher
from gateway.forward import Forwarder
from gateway.ingest import Ingest
from gateway.lane import Lane
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import DestinationName, EventId, SourceName
from gateway.ops import Operations
from gateway.refusals import Strays
from gateway.replay import Choice, Replayer
from gateway.route import Router
from gateway.site import Lifespan, front, site, until_stopped
from gateway.store import Store
from gateway.tracing import Tracing
from gateway.tracing.context import passed_on
from gateway.turns import Turns
from gateway.turnstile import Turnstile

STOP_GRACE_SECONDS = 6.0
"""For attempts under way at a stop: with the requests' two before, within the ten that container runtimes give."""
TRACES_GRACE_SECONDS = 1.0
"""Then for the spans that wait."""
BEGUN_IN_A_TURN = 4
"""Requests of nobody known, in one turn of the event loop."""
EVENT_ID_CHANCE_BYTES = 10
STRANGERS_PER_SECOND = 200.0
OTHERS_PER_SECOND = 100.0
"""Answers to webhooks that are not authentic and to handshakes, and to all that is no webhook, before one has to wait."""
Chore = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Gateway:
    app: ASGIApp
    """What is answered at the webhooks' port."""
    admin_app: ASGIApp | None
    """What is answered at `admin_listen`, where that is set; the rest of `routes` is then found there alone."""
    routes: Sequence[BaseRoute]
    """All but the webhooks'."""
    sources: dict[SourceName, Source]
    forwarders: dict[DestinationName, Forwarder]
    admin: Admin
    metrics: Metrics

    def reload(self, config: Config) -> bool:
        """Takes the secrets from `config`; everything else of it needs a restart. Whether every source's were taken.

        Of a source with another scheme it takes none: they would be read as that one's, or none be needed any more.
        """
        kept = 0
        for source in config.sources:
            served = self.sources.get(source.name)
            if served is None:
                continue
            if (served.verify, served.public_url) != (source.verify, source.public_url):
                kept += 1
                emit(
                    "config.scheme_kept",
                    level=logging.WARNING,
                    source=source.name,
                    detail="its scheme or public_url was changed: nothing of it was taken, nor its secrets; restart",
                )
            else:
                self.sources[source.name] = dataclasses.replace(
                    served,
                    verifier=source.verifier,
                    shadow=source.shadow,
                    secrets=source.secrets,
                    verify_token=source.verify_token,
                )
        for destination in config.destinations:
            if forwarder := self.forwarders.get(destination.name):
                forwarder.take_secrets(destination)
        self.metrics.expect(self.sources.values(), self.forwarders)
        self.admin.take_token(config.server.admin_token)
        return not kept


def create(
    config: Config, *, store: Store, clock: Clock, metrics: Metrics, tracing: Tracing | None = None
) -> Gateway:
    """The application closes the store when it ends, and `tracing`."""
    sources = {source.name: source for source in config.sources}
    metrics.expect(config.sources, (destination.name for destination in config.destinations))
    forwarders = _forwarders(config, sources, clock=clock, tracing=tracing)
    dispatcher = _dispatcher(config, forwarders, store=store, clock=clock, metrics=metrics, tracing=tracing)
    router = Router(config.destinations)
    choice = Choice(router, forwarders)
    replayer = Replayer(store=store, choice=choice, wake=dispatcher.wake, clock=clock)
    ingest = _ingest(config, sources, dispatcher, router, clock=clock, metrics=metrics, tracing=tracing)
    operations = Operations(store=store, metrics=metrics, clock=clock, destinations=tuple(forwarders))
    strays = Strays(metrics=metrics, monotonic=clock.monotonic, trusted_proxies=config.server.trusted_proxies)
    admin = Admin(
        store=store,
        token=config.server.admin_token,
        sources=sources,
        destinations=config.destinations,
        choice=choice,
        replayer=replayer,
        lanes=dispatcher,
        clock=clock,
        metrics=metrics,
        strays=strays,
    )
    chores = _chores(config, forwarders, replayer, store=store, clock=clock, metrics=metrics)
    every = [*operations.routes(), *contract.routes(), *admin.routes()]
    own_port = config.server.admin_listen is not None
    lifespan = _lifespan(
        config, dispatcher, forwarders, store=store, clock=clock, tracing=tracing, chores=chores
    )
    others = site(operations.probes() if own_port else every, strays=strays, lifespan=lifespan)
    turnstile = _turnstile(config, per_second=OTHERS_PER_SECOND)
    return Gateway(
        app=until_stopped(front(ingest, others, turnstile=turnstile, turns=Turns(BEGUN_IN_A_TURN))),
        admin_app=until_stopped(site(every, strays=strays)) if own_port else None,
        routes=every,
        sources=sources,
        forwarders=forwarders,
        admin=admin,
        metrics=metrics,
    )


def _forwarders(
    config: Config, sources: Mapping[SourceName, Source], *, clock: Clock, tracing: Tracing | None
) -> dict[DestinationName, Forwarder]:
    traceparent = passed_on if tracing is None else tracing.traceparent
    return {
        destination.name: Forwarder(destination, sources=sources, clock=clock, traceparent=traceparent)
        for destination in config.destinations
    }


def _ingest(
    config: Config,
    sources: dict[SourceName, Source],
    dispatcher: Dispatcher,
    router: Router,
    *,
    clock: Clock,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Ingest:
    return Ingest(
        sources,
        accepts=dispatcher,
        router=router,
        clock=clock,
        metrics=metrics,
        new_event_id=EventIds(),
        max_body_bytes=config.server.max_body_bytes,
        trusted_proxies=config.server.trusted_proxies,
        tracing=tracing,
        strangers=_turnstile(config, per_second=STRANGERS_PER_SECOND),
    )


def _turnstile(config: Config, *, per_second: float) -> Turnstile:
    return Turnstile(per_second=per_second, most_waiting=config.server.max_connections // 4)


def _dispatcher(
    config: Config,
    forwarders: Mapping[DestinationName, Forwarder],
    *,
    store: Store,
    clock: Clock,
    metrics: Metrics,
    tracing: Tracing | None,
) -> Dispatcher:
    rng = random.Random()  # noqa: S311 - jitter is no secret
    return Dispatcher(
        {
            destination.name: Lane(
                destination,
                store=store,
                forwarder=forwarders[destination.name],
                clock=clock,
                metrics=metrics,
                rng=rng,
                tracing=tracing,
            )
            for destination in config.destinations
        },
        store=store,
        clock=clock,
    )


def _chores(
    config: Config,
    forwarders: Mapping[DestinationName, Forwarder],
    replayer: Replayer,
    *,
    store: Store,
    clock: Clock,
    metrics: Metrics,
) -> Sequence[Chore]:
    return (
        replayer.run,
        lambda: watch_event_loop(metrics),
        lambda: survey(store, forwarders),
        lambda: prune(store, config.store.retention, clock=clock),
    )


def _lifespan(
    config: Config,
    dispatcher: Dispatcher,
    forwarders: Mapping[DestinationName, Forwarder],
    *,
    store: Store,
    clock: Clock,
    tracing: Tracing | None,
    chores: Iterable[Chore],
) -> Lifespan:
    """Dispatches while the application runs; at its end lets attempts finish before the store is closed."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        warn(config, now=clock.wall_ms() // 1000)
        await recall(store, forwarders)
        dispatcher.start()
        running = [asyncio.create_task(chore()) for chore in chores]
        yield
        for chore in running:
            chore.cancel()
        await dispatcher.stop(grace_seconds=STOP_GRACE_SECONDS)
        await asyncio.gather(*(forwarder.close() for forwarder in forwarders.values()))
        await store.close()
        if tracing is not None:
            await tracing.close(grace_seconds=TRACES_GRACE_SECONDS)

    return lifespan


class EventIds:
    """Unguessable, and ascending with the time, so that the index on ids grows at its end.

    Chance is fetched for many at once: to ask the system gives way to other threads, which costs more than the asking.
    """

    def __init__(self) -> None:
        self._chance = b""

    def __call__(self, now: int) -> EventId:
        if not self._chance:
            self._chance = secrets.token_bytes(EVENT_ID_CHANCE_BYTES * 200)
        mine, self._chance = self._chance[:EVENT_ID_CHANCE_BYTES], self._chance[EVENT_ID_CHANCE_BYTES:]
        return EventId(f"evt_{now:012x}{mine.hex()}")
