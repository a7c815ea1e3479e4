"""/healthz, /readyz, /metrics and the contract."""

import asyncio
import functools
import json
from collections.abc import Sequence
from importlib.resources import files

import yaml
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.clock import UNSOUND_MS, Clock
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.model import DestinationName
from gateway.problem import problem
from gateway.store import Store

ANSWER_SECONDS = 2.0
CONTRACT = files("gateway") / "openapi.yaml"


class Operations:
    def __init__(
        self, *, store: Store, metrics: Metrics, clock: Clock, destinations: Sequence[DestinationName]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._destinations = list(destinations)
        self._contract = CONTRACT.read_text("utf-8")

    def routes(self) -> list[Route]:
        return [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/openapi.yaml", self.openapi_yaml),
            Route("/openapi.json", self.openapi_json),
        ]

    async def healthz(self, _: Request) -> Response:
        """The process lives; nothing else is asked."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _: Request) -> Response:
        """The store answers, the disk has room, and the clock is sound; else 503, which says what is not."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._store.ping()
                stats = await self._store.stats()
        except (StoreUnavailable, TimeoutError) as error:
            return problem(503, f"The store does not answer: {str(error) or 'it takes too long'}.")
        if stats.free_bytes < stats.needed_free_bytes:
            return problem(
                503, f"The disk has {stats.free_bytes} bytes left; {stats.needed_free_bytes} are needed."
            )
        if abs(moved_ms := self._clock.moved_ms()) > UNSOUND_MS:
            return problem(
                503,
                f"The wall clock was set by {moved_ms / 1000:.0f} s since the start. If it is right now, restart the gateway.",
            )
        return JSONResponse({"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                stats = await self._store.stats()
        except (StoreUnavailable, TimeoutError) as error:
            return problem(503, f"The store does not answer: {str(error) or 'it takes too long'}.")
        text = self._metrics.exposition(
            stats, destinations=list(self._destinations), now=self._clock.now_ms()
        )
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def openapi_yaml(self, _: Request) -> Response:
        return Response(self._contract, media_type="application/yaml")

    async def openapi_json(self, _: Request) -> Response:
        return Response(self._contract_json, media_type="application/json")

    @functools.cached_property
    def _contract_json(self) -> str:
        """Made once: to make it for everybody who asks would keep webhooks waiting."""
        return json.dumps(yaml.safe_load(self._contract))
