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
from gateway.clock import UNSOUND_MS, Clock
from gateway.config import Config, Retention, Source
from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.forward import Forwarder
from gateway.ingest import Ingest
from gateway.lane import Lane
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import DestinationName, EventId, SourceName
from gateway.ops import Operations
from gateway.replay import Choice, Replayer
from gateway.route import Router
from gateway.site import Lifespan, front, site
from gateway.store import Store
from gateway.tracing import Tracing
from gateway.tracing.context import passed_on
from gateway.verify import NoVerifier

STOP_GRACE_SECONDS = 6.0
"""For attempts under way at a stop: with the requests' two before, within the ten that container runtimes give."""
TRACES_GRACE_SECONDS = 1.0
"""Then for the spans that wait."""
LAG_PERIOD_SECONDS = 0.5
EVENT_ID_CHANCE_BYTES = 10
PRUNE_PERIOD_SECONDS = 60.0
PRUNE_PAUSE_SECONDS = 0.01
PRUNE_STEP = 20


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

    def reload(self, config: Config) -> None:
        """Takes the secrets from `config`; everything else of it needs a restart.

        Of a source with another scheme it takes none: they would be read as that one's, or none be needed any more.
        """
        for source in config.sources:
            served = self.sources.get(source.name)
            if served is None:
                continue
            if (served.verify, served.public_url) != (source.verify, source.public_url):
                emit("config.scheme_kept", level=logging.WARNING, source=source.name)
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


def create(
    config: Config, *, store: Store, clock: Clock, metrics: Metrics, tracing: Tracing | None = None
) -> Gateway:
    """The application closes the store when it ends, and `tracing`."""
    traceparent = passed_on if tracing is None else tracing.traceparent
    sources = {source.name: source for source in config.sources}
    metrics.expect(config.sources, (destination.name for destination in config.destinations))
    forwarders = {
        destination.name: Forwarder(destination, sources=sources, clock=clock, traceparent=traceparent)
        for destination in config.destinations
    }
    dispatcher = _dispatcher(config, forwarders, store=store, clock=clock, metrics=metrics, tracing=tracing)
    router = Router(config.destinations)
    choice = Choice(router, forwarders)
    replayer = Replayer(store=store, choice=choice, wake=dispatcher.wake, clock=clock)
    ingest = Ingest(
        sources,
        accepts=dispatcher,
        router=router,
        clock=clock,
        metrics=metrics,
        new_event_id=EventIds(),
        max_body_bytes=config.server.max_body_bytes,
        trusted_proxies=config.server.trusted_proxies,
        tracing=tracing,
    )
    operations = Operations(store=store, metrics=metrics, clock=clock, destinations=tuple(forwarders))
    admin = Admin(
        store=store,
        token=config.server.admin_token,
        sources=sources,
        destinations=config.destinations,
        choice=choice,
        replayer=replayer,
        wake=dispatcher.wake,
        look=dispatcher.look,
        clock=clock,
        metrics=metrics,
    )
    chores = (
        replayer.run,
        lambda: _watch_event_loop(metrics),
        lambda: _survey(store, forwarders),
        lambda: _prune(store, config.store.retention, clock=clock),
    )
    every = [*operations.routes(), *contract.routes(), *admin.routes()]
    own_port = config.server.admin_listen is not None
    lifespan = _lifespan(
        config, dispatcher, forwarders, store=store, clock=clock, tracing=tracing, chores=chores
    )
    return Gateway(
        app=front(ingest, site(operations.probes() if own_port else every, lifespan=lifespan)),
        admin_app=site(every) if own_port else None,
        routes=every,
        sources=sources,
        forwarders=forwarders,
        admin=admin,
        metrics=metrics,
    )


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


def _lifespan(
    config: Config,
    dispatcher: Dispatcher,
    forwarders: Mapping[DestinationName, Forwarder],
    *,
    store: Store,
    clock: Clock,
    tracing: Tracing | None,
    chores: Iterable[Callable[[], Coroutine[None, None, None]]],
) -> Lifespan:
    """Dispatches while the application runs; at its end lets attempts finish before the store is closed."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        _warn(config, now=clock.wall_ms() // 1000)
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


def _warn(config: Config, *, now: int) -> None:
    """`now` in Unix seconds."""
    for source in config.sources:
        if isinstance(source.verifier, NoVerifier):
            emit("source.unverified", level=logging.WARNING, source=source.name)
        elif not any(secret.counts(now) for secret in source.secrets):
            emit("source.without_secret", level=logging.WARNING, source=source.name)
    if not config.destinations:
        emit("destinations.none", level=logging.WARNING)


async def _survey(store: Store, forwarders: Mapping[DestinationName, Forwarder]) -> None:
    """Warns of what a start finds that will not deliver. It is no reason not to start."""
    for name, forwarder in forwarders.items():
        if why := await forwarder.address_refusal():
            emit("destination.address_refused", level=logging.WARNING, destination=name, error=why)
    for (destination, state), number in (await store.stats()).deliveries.items():
        if state == "pending" and number and destination not in forwarders:
            emit("destination.unknown", level=logging.WARNING, destination=destination, pending=number)


async def _watch_event_loop(metrics: Metrics) -> None:
    loop = asyncio.get_running_loop()
    while True:
        expected = loop.time() + LAG_PERIOD_SECONDS
        await asyncio.sleep(LAG_PERIOD_SECONDS)
        metrics.event_loop_lags.append(max(0.0, loop.time() - expected))


async def _prune(store: Store, retention: Retention, *, clock: Clock) -> None:
    while True:
        gone = 0
        try:
            if abs(clock.moved_ms()) <= UNSOUND_MS:  # else what is not yet past would be gone for good
                gone = await store.prune(retention, now=clock.now_ms(), limit=PRUNE_STEP)
        except StoreUnavailable as error:
            emit("store.unavailable", level=logging.ERROR, error=str(error))
        except Exception as error:  # noqa: BLE001 - a fault here must not end this for good
            emit("prune.failed", level=logging.ERROR, error=repr(error))
        await asyncio.sleep(PRUNE_PAUSE_SECONDS if gone else PRUNE_PERIOD_SECONDS)
