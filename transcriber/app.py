"""The composition root: settings in, the application out; its lifespan runs the worker and the notifier."""

import asyncio
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route

from transcriber import log, notify
from transcriber.api.access import Access
from transcriber.api.access_log import AccessLog
from transcriber.api.events import Events
from transcriber.api.jobs import Api
from transcriber.api.openai.routes import OpenAi
from transcriber.api.ops import Ops
from transcriber.api.problems import on_crash, on_http_exception, on_request_error, on_store_error
from transcriber.api.receiving import Receiving
from transcriber.api.waiting import Waiting
from transcriber.backoff import Backoff
from transcriber.errors import RequestError, StoreError
from transcriber.intake.resolve import Resolve, resolve_by_system
from transcriber.metrics import Metrics
from transcriber.model import JobId, UnixMs
from transcriber.notify import Notifier
from transcriber.queue import run
from transcriber.queue.fetching import Fetching
from transcriber.queue.keeping import Keeper
from transcriber.queue.lanes import Lanes
from transcriber.queue.run import Patience
from transcriber.queue.worker import Worker
from transcriber.settings import Settings, Webhook
from transcriber.speech import Engine
from transcriber.store.changes import Store
from transcriber.store.database import Database
from transcriber.store.history import History
from transcriber.store.jobs import Jobs
from transcriber.store.outbox import Outbox
from transcriber.store.recordings import Recordings
from transcriber.store.recovery import recover
from transcriber.store.retention import Retention

STOP_SECONDS = 5.0
CRASH_PAUSE_SECONDS = 1.0

Service = Callable[[], Awaitable[None]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def wall_clock() -> UnixMs:
    return time.time_ns() // 1_000_000


def build(
    settings: Settings,
    *,
    engine: Engine | None = None,
    now: Callable[[], UnixMs] = wall_clock,
    run_backoff: Backoff = run.BACKOFF,
    max_attempts: int = run.MAX_ATTEMPTS,
    webhook_backoff: Backoff = notify.BACKOFF,
    resolve: Resolve = resolve_by_system,
    stopping: asyncio.Event | None = None,
) -> Starlette:
    """The application, owning the data folder from now on. Raises StoreError if it cannot.

    Set `stopping` when it begins to stop, before requests are waited for: it ends those that wait for a job.
    """
    parts = _assemble(settings, engine or make_engine(settings), now)
    lanes = Lanes(
        settings=settings,
        store=parts.store,
        metrics=parts.metrics,
        patience=Patience(run_backoff, max_attempts),
        transcript_url=_transcript_url(settings.public_url),
    )
    runner, fetching = lanes.transcribing(parts.engine), lanes.fetching(resolve)
    notifiers = [_notifier(webhook, parts, webhook_backoff) for webhook in settings.webhooks]
    services: list[Service] = [
        runner.run,
        fetching.run,
        *(notifier.run for notifier in notifiers),
        _keeper(settings, parts).run,
        parts.metrics.watch_event_loop,
    ]
    parts.metrics.expect(
        engines=[parts.engine.name, Fetching.name], webhooks=[webhook.name for webhook in settings.webhooks]
    )
    routes = [
        *_api(settings, parts, [runner, fetching], stopping or asyncio.Event()),
        *_ops(parts, runner).routes(),
    ]
    return _application(settings, parts, routes, services)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the worker, the notifier and the routes share."""

    engine: Engine
    store: Store
    jobs: Jobs
    outbox: Outbox
    history: History
    metrics: Metrics


def _assemble(settings: Settings, engine: Engine, now: Callable[[], UnixMs]) -> _Parts:
    recordings = Recordings(_folder(settings.data_dir / "audio"))
    store = Store(Database(settings.data_dir), recordings, now)
    return _Parts(
        engine=engine,
        store=store,
        jobs=Jobs(store, max_queued=settings.max_queued_jobs),
        outbox=Outbox(database=store.database, now=now, keeps_taken=settings.event_days > 0),
        history=History(store),
        metrics=Metrics(),
    )


def _application(
    settings: Settings, parts: _Parts, routes: list[Route], services: list[Service]
) -> Starlette:
    store_failed = on_store_error(parts.metrics)
    application = Starlette(
        routes=routes,
        middleware=_middleware(settings),
        exception_handlers={
            RequestError: on_request_error(parts.metrics),
            HTTPException: on_http_exception,
            sqlite3.Error: store_failed,
            OSError: store_failed,
            Exception: on_crash,
        },
        lifespan=_lifespan(settings, parts, services),
    )
    # a redirect would be built from whatever Host the sender names
    application.router.redirect_slashes = False
    return application


def _keeper(settings: Settings, parts: _Parts) -> Keeper:
    return Keeper(
        retention=Retention(parts.store),
        retention_days=settings.retention_days,
        event_days=settings.event_days,
        now=parts.store.now,
    )


def _notifier(webhook: Webhook, parts: _Parts, backoff: Backoff) -> Notifier:
    return Notifier(
        outbox=parts.outbox,
        written=parts.store.written.listen(),
        webhook=webhook,
        metrics=parts.metrics,
        now=parts.store.now,
        chance=random.random,
        backoff=backoff,
    )


def _api(
    settings: Settings, parts: _Parts, workers: Sequence[Worker], stopping: asyncio.Event
) -> list[Route]:
    def stop(job_id: JobId) -> None:
        for worker in workers:
            worker.stop(job_id)

    jobs, access = parts.jobs, Access(settings.api_key, settings.require_key)
    receiving = Receiving(
        jobs=jobs,
        recordings=parts.store.recordings,
        engine=parts.engine,
        max_upload_bytes=settings.max_upload_bytes,
        allow_private_urls=settings.allow_private_audio_urls,
    )
    waiting = Waiting(jobs=jobs, stopping=stopping)
    api = Api(jobs=jobs, receiving=receiving, stop=stop, access=access)
    openai = OpenAi(
        jobs=jobs, receiving=receiving, waiting=waiting, stop=stop, access=access, metrics=parts.metrics
    )
    events = Events(history=parts.history, outbox=parts.outbox, webhooks=settings.webhooks, access=access)
    return [*api.routes(), *openai.routes(), *events.routes()]


def _ops(parts: _Parts, runner: Worker) -> Ops:
    return Ops(
        jobs=parts.jobs,
        outbox=parts.outbox,
        recordings=parts.store.recordings,
        database=parts.store.database,
        metrics=parts.metrics,
        engine_fault=lambda: runner.fault,
        now=parts.store.now,
    )


def make_engine(settings: Settings) -> Engine:
    """Imports only the engine that is used: the other's libraries may not be there."""
    if settings.engine == "groq":
        from transcriber.speech.groq import GroqEngine  # noqa: PLC0415 (see above)

        return GroqEngine(
            api_key=settings.groq_api_key,
            base_url=settings.groq_base_url,
            max_file_bytes=settings.groq_max_file_bytes,
        )
    from transcriber.speech.local import LocalEngine  # noqa: PLC0415 (see above)

    return LocalEngine()


def _lifespan(settings: Settings, parts: _Parts, services: list[Service]) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await _address(settings, parts.outbox)
        recovered = await recover(parts.store)
        log.info("service.started", recovered_jobs=recovered)
        tasks = [asyncio.create_task(_supervise(service)) for service in services]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
            try:
                await parts.engine.close()
            finally:
                parts.store.database.close()
                log.info("service.stopped")

    return lifespan


async def _address(settings: Settings, outbox: Outbox) -> None:
    """Events are for the configured webhooks from now on; warns of what nobody will send."""
    await outbox.configure([(webhook.name, webhook.event_types) for webhook in settings.webhooks])
    if not settings.webhooks:
        log.warning(
            "webhook.unset", advice="events are kept and not sent: set TRANSCRIBER_WEBHOOK_URL and _SECRET"
        )
    for backlog in await outbox.backlogs():
        if not backlog.configured:
            log.warning(
                "webhook.removed",
                webhook=backlog.webhook,
                waiting=backlog.waiting,
                advice="configure it again, or discard what waits for it: POST /v1/webhooks/{name}/discard",
            )


async def _supervise(service: Service) -> None:
    """Runs it again after a pause whenever it fails: a full disk or a locked file passes."""
    while True:
        try:
            await service()
        except Exception as error:  # noqa: BLE001 (a service that stays down would stop the queue without a word)
            log.error("service.crashed", error)
            await asyncio.sleep(CRASH_PAUSE_SECONDS)
        else:
            return


def _middleware(settings: Settings) -> list[Middleware]:
    logging = Middleware(AccessLog)
    if not settings.cors_origins:
        return [logging]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],  # SDKs send many of their own, and more every year
        expose_headers=["ETag", "Location", "Retry-After", "x-should-retry"],
    )
    return [logging, cors]


def _transcript_url(public_url: str) -> Callable[[JobId], str]:
    return lambda job_id: f"{public_url}/v1/jobs/{job_id}/transcript"


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be made: {error}: set TRANSCRIBER_DATA_DIR to a folder that can"
        ) from error
    return path
