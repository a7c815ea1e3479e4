"""/healthz, /readyz and /metrics."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.clock import UNSOUND_MS, Clock
from gateway.errors import StoreUnavailable
from gateway.metrics import Metrics
from gateway.model import DestinationName
from gateway.problem import problem
from gateway.store import Stats, Store

ANSWER_SECONDS = 2.0
REST = 9
"""Times that it took to write the metrics before they are written again: anybody may ask, and with many sources and
destinations it takes tens of milliseconds."""


class Operations:
    def __init__(
        self, *, store: Store, metrics: Metrics, clock: Clock, destinations: Sequence[DestinationName]
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._destinations = list(destinations)
        self._telling: asyncio.Task[bytes] | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        """Of their own: the event loop's few threads verify long bodies, and anybody may send those."""
        self._rest_until = 0.0

    def probes(self) -> list[Route]:
        """For whoever asks whether the process should be there, at any port."""
        return [Route("/healthz", self.healthz), Route("/readyz", self.readyz)]

    def routes(self) -> list[Route]:
        return [*self.probes(), Route("/metrics", self.metrics)]

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
            return _not_now(f"The store does not answer: {str(error) or 'it takes too long'}.")
        if stats.free_bytes < stats.needed_free_bytes:
            return _not_now(
                f"The disk has {stats.free_bytes} bytes left; {stats.needed_free_bytes} are needed."
            )
        if abs(moved_ms := self._clock.moved_ms()) > UNSOUND_MS:
            return _not_now(
                f"The wall clock was set by {moved_ms / 1000:.0f} s since the start. If it is right now, restart the gateway.",
            )
        return JSONResponse({"status": "ready"})

    async def metrics(self, _: Request) -> Response:
        """All who wait for them get them together."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())
        return Response(await asyncio.shield(self._telling), media_type=CONTENT_TYPE_LATEST)

    async def _tell(self) -> bytes:
        """What is counted here is told also while the store does not answer: that is when it is asked for."""
        await asyncio.sleep(self._rest_until - self._clock.monotonic())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                stats = await self._store.stats()
        except (StoreUnavailable, TimeoutError):
            stats = None
        text, seconds = await asyncio.get_running_loop().run_in_executor(self._beside, self._write, stats)
        self._rest_until = self._clock.monotonic() + REST * seconds
        return text

    def _write(self, stats: Stats | None) -> tuple[bytes, float]:
        """With the seconds that it took."""
        began = self._clock.monotonic()
        text = self._metrics.exposition(stats, destinations=self._destinations, now=self._clock.now_ms())
        return text, self._clock.monotonic() - began


def _not_now(detail: str) -> Response:
    return problem(503, detail, headers={"retry-after": "5"})
