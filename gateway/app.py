"""Puts the parts together: configuration, store, clock in; a Starlette application out, whose lifespan dispatches."""

import asyncio
import contextlib
import dataclasses
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin import Admin
from gateway.clock import UNSOUND_MS, Clock
from gateway.config import Config, Retention, Source
from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.forward import Forwarder
from gateway.ingest import PATH, Ingest
from gateway.lane import Lane
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import DestinationName, EventId, SourceName
from gateway.ops import Operations
from gateway.problem import problem
from gateway.replay import Choice, Replayer
from gateway.route import Router
from gateway.store import Store
from gateway.turnstile import Turnstile
from gateway.verify import NoVerifier

Lifespan = Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]

STOP_GRACE_SECONDS = 6.0
"""For attempts under way at a stop: with the requests' two before, within the ten that container runtimes give."""
LAG_PERIOD_SECONDS = 0.5
EVENT_ID_CHANCE_BYTES = 10
STRANGERS_PER_SECOND = 200.0
OTHERS_PER_SECOND = 100.0
"""Answers to webhooks that are not authentic and to handshakes, and to all that is no webhook, before one has to wait."""
PRUNE_PERIOD_SECONDS = 60.0
PRUNE_PAUSE_SECONDS = 0.01
PRUNE_STEP = 20


@dataclass(frozen=True, slots=True)
class Gateway:
    app: ASGIApp
    routes: list[BaseRoute]
    """All but the webhooks'."""
    sources: dict[SourceName, Source]
    forwarders: dict[DestinationName, Forwarder]
    admin: Admin

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
        self.admin.take_token(config.server.admin_token)


def create(config: Config, *, store: Store, clock: Clock, metrics: Metrics) -> Gateway:
    """The application closes the store when it ends."""
    sources = {source.name: source for source in config.sources}
    forwarders = {
        destination.name: Forwarder(destination, sources=sources, clock=clock)
        for destination in config.destinations
    }
    dispatcher = _dispatcher(config, forwarders, store=store, clock=clock, metrics=metrics)
    router = Router(config.destinations)
    choice = Choice(router, forwarders)
    replayer = Replayer(store=store, choice=choice, wake=dispatcher.wake, clock=clock)
    spared = config.server.max_connections // 4
    ingest = Ingest(
        sources,
        accepts=dispatcher,
        router=router,
        clock=clock,
        metrics=metrics,
        new_event_id=EventIds(),
        max_body_bytes=config.server.max_body_bytes,
        trusted_proxies=config.server.trusted_proxies,
        strangers=Turnstile(per_second=STRANGERS_PER_SECOND, most_waiting=spared),
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
    others = Starlette(
        routes=[*operations.routes(), *admin.routes()],
        exception_handlers={HTTPException: _http_problem, Exception: _unexpected},
        lifespan=_lifespan(config, dispatcher, forwarders, store=store, clock=clock, chores=chores),
    )
    others.router.redirect_slashes = False  # a redirect would be built from whatever Host the sender names
    return Gateway(
        _front(ingest, others, turnstile=Turnstile(per_second=OTHERS_PER_SECOND, most_waiting=spared)),
        others.routes,
        sources,
        forwarders,
        admin,
    )


def _front(ingest: Ingest, others: Starlette, *, turnstile: Turnstile) -> ASGIApp:
    """Webhooks go straight to `ingest`: the way through Starlette's routing costs more than their verification.

    Everything else takes turns, so that nobody has so much of it made that webhooks wait. Whether the process lives is
    answered at once: whoever is kept waiting for that restarts the gateway.
    """

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await others(scope, receive, send)
            return
        is_webhook = scope["path"].startswith(PATH)
        try:
            if not is_webhook and scope["path"] != "/healthz":
                await turnstile.wait()
            await (ingest if is_webhook else others)(scope, receive, send)
        except asyncio.CancelledError:  # the grace time of a stop is over
            with contextlib.suppress(RuntimeError):  # its answer has begun
                await _stopping()(scope, receive, send)
        except Exception as error:
            if is_webhook:  # Starlette has answered for the others
                with contextlib.suppress(RuntimeError):
                    await _failed(scope["path"], error)(scope, receive, send)
            raise  # the server logs where it was

    return front


def _dispatcher(
    config: Config,
    forwarders: Mapping[DestinationName, Forwarder],
    *,
    store: Store,
    clock: Clock,
    metrics: Metrics,
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

    return lifespan


def _stopping() -> Response:
    headers = {"retry-after": "5", "connection": "close"}
    return problem(503, "The gateway is stopping; send it again.", headers=headers)


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
        metrics.event_loop_lag.set(max(0.0, loop.time() - expected))


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


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    details = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    return problem(
        error.status_code, details.get(error.status_code, error.detail), headers=dict(error.headers or {})
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    return _failed(request.url.path, error)


def _failed(path: str, error: Exception) -> Response:
    emit("request.failed", level=logging.ERROR, path=path, error=repr(error))
    return problem(500, "The gateway failed to handle this request; its log says why.")
