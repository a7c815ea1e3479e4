"""/v1/sources and /v1/destinations: who sends, who receives, and whether they do."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin import asked, shown
from gateway.admin.access import Refusal
from gateway.clock import Clock
from gateway.config import Destination, Source
from gateway.log import emit
from gateway.model import DestinationName, SourceName
from gateway.pace import Outlook
from gateway.store import Standing, Stats, Store
from gateway.verify import NoVerifier


class Sources:
    def __init__(self, sources: Mapping[SourceName, Source]) -> None:
        self._sources = sources

    async def list(self, request: Request) -> Response:
        asked.parameters(request, ())
        items = [
            {
                "name": name,
                "path": f"/webhooks/{name}",
                "verified": not isinstance(source.verifier, NoVerifier),
            }
            for name, source in self._sources.items()
        ]
        return _whole_list(items)


class Destinations:
    def __init__(
        self,
        destinations: Iterable[Destination],
        *,
        store: Store,
        look: Callable[[DestinationName], None],
        outlook: Callable[[DestinationName], Outlook],
        clock: Clock,
    ) -> None:
        self._destinations = {one.name: one for one in destinations}
        self._store = store
        self._look = look
        self._outlook = outlook
        self._clock = clock

    async def list(self, request: Request) -> Response:
        asked.parameters(request, ())
        stats = await self._store.stats()
        return _whole_list([self._shown(one, stats) for one in self._destinations.values()])

    async def pause(self, request: Request) -> Response:
        one = self._find(request)
        before = await self._standing(one)
        await self._store.set_standing(one.name, "pause", now=self._clock.now_ms())
        if before.paused_at is None:
            emit("destination.paused", destination=one.name)
        return await self._show(one)

    async def resume(self, request: Request) -> Response:
        one = self._find(request)
        before = await self._standing(one)
        await self._store.set_standing(one.name, "resume", now=self._clock.now_ms())
        if before.held_at is not None:
            emit("destination.released", destination=one.name)
        if before != Standing():
            emit("destination.resumed", destination=one.name)
        return await self._show(one)

    def _find(self, request: Request) -> Destination:
        one = self._destinations.get(request.path_params["name"])
        if one is None:
            known = ", ".join(self._destinations) or "none"
            raise Refusal(404, f"There is no destination of this name; there are: {known}.")
        return one

    async def _standing(self, one: Destination) -> Standing:
        return (await self._store.stats()).standings.get(one.name, Standing())

    async def _show(self, one: Destination) -> Response:
        self._look(one.name)
        return JSONResponse(self._shown(one, await self._store.stats()))

    def _shown(self, one: Destination, stats: Stats) -> dict[str, Any]:
        return shown.destination(one, stats, self._outlook(one.name), now=self._clock.now_ms())


def _whole_list(items: list[dict[str, Any]]) -> Response:
    return JSONResponse({"items": items, "next_cursor": None})
