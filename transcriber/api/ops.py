"""What operators ask: does it live, is it ready, what does it do, how is it spoken to."""

import sqlite3
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from transcriber.api import contract
from transcriber.metrics import Metrics
from transcriber.model import UnixMs
from transcriber.store.database import Database
from transcriber.store.jobs import Jobs
from transcriber.store.outbox import Outbox
from transcriber.store.recordings import MIN_FREE_BYTES, Recordings


class Ops:
    """`engine_fault` says why the engine cannot be used now; None if it can."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        outbox: Outbox,
        recordings: Recordings,
        database: Database,
        metrics: Metrics,
        engine_fault: Callable[[], str | None],
        now: Callable[[], UnixMs],
    ) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._recordings = recordings
        self._database = database
        self._metrics = metrics
        self._engine_fault = engine_fault
        self._now = now

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.health, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            *contract.routes(),
        ]

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """503 with every reason. Jobs are taken all the same: the queue keeps them until the engine is there."""
        faults = {
            "engine": self._engine_fault(),
            "store": await self._store_fault(),
            "disk": self._disk_fault(),
        }
        found = {name: fault for name, fault in faults.items() if fault is not None}
        status = "not ready" if found else "ready"
        return JSONResponse({"status": status, "faults": found}, status_code=503 if found else 200)

    async def metrics(self, _: Request) -> Response:
        census, backlogs = await self._jobs.census(), await self._outbox.backlogs()
        self._metrics.measured(
            free_bytes=self._recordings.free_bytes(), store_bytes=self._database.size_bytes()
        )
        text = self._metrics.exposition(census, backlogs, self._now())
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _store_fault(self) -> str | None:
        try:
            await self._jobs.census()
        except sqlite3.Error as error:
            return f"the store does not answer: {error}"
        return None

    def _disk_fault(self) -> str | None:
        try:
            free = self._recordings.free_bytes()
        except OSError as error:
            return f"the recordings' folder cannot be used: {error.strerror}"
        return None if free >= MIN_FREE_BYTES else f"{free} bytes are free, less than {MIN_FREE_BYTES}"
