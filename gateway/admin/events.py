"""/v1/events: list, show, replay, discard, erase."""

import logging
from collections.abc import Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin import asked, shown
from gateway.admin.access import Refusal
from gateway.clock import Clock
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import DestinationName, EventId
from gateway.replay import Choice
from gateway.store import EventRecord, Store

ERASED = "The event was erased: there is nothing left to send."


class Events:
    def __init__(
        self,
        *,
        store: Store,
        choice: Choice,
        wake: Callable[[Iterable[DestinationName]], None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._choice = choice
        self._wake = wake
        self._clock = clock
        self._metrics = metrics

    async def list(self, request: Request) -> Response:
        given = asked.parameters(request, (*asked.FILTERS, *asked.PAGING))
        where, before = asked.filter_in_query(given), asked.number_in(given, "cursor")
        limit = asked.page_limit(given)
        found = await self._store.events(where, before=before, limit=limit + 1)
        page = found[:limit]
        cursor = str(page[-1].seq) if len(found) > limit else None
        return JSONResponse({"items": [shown.summary(record) for record in page], "next_cursor": cursor})

    async def show(self, request: Request) -> Response:
        return JSONResponse(shown.whole(await self._find(request)))

    async def replay(self, request: Request) -> Response:
        fields = await asked.body(request, ("destinations",))
        named = asked.texts(fields or {}, "destinations")
        record = await self._find(request)
        if named is None:
            destinations = self._choice.of(record)
        else:
            destinations = asked.destinations(named, self._choice.names)
        if record.erased_at is None and not destinations:
            raise Refusal(409, "No destination wants this event; name those it is to be sent to.")
        queued = await self._store.replay(record.event.id, destinations, now=self._clock.now_ms())
        record = await self._find(request)
        if record.erased_at is not None:
            raise Refusal(409, ERASED)
        if queued:  # else it waits there already
            emit("event.replayed", event_id=record.event.id, destinations=queued)
        self._wake(queued)
        return JSONResponse({**shown.summary(record), "queued": queued}, status_code=202)

    async def discard(self, request: Request) -> Response:
        record = await self._find(request)
        self._tell(record.event.id, await self._store.discard(record.event.id, now=self._clock.now_ms()))
        return JSONResponse(shown.summary(await self._find(request)))

    async def erase(self, request: Request) -> Response:
        record = await self._find(request)
        self._tell(record.event.id, await self._store.erase(record.event.id, now=self._clock.now_ms()))
        if record.erased_at is None:
            emit("event.erased", event_id=record.event.id)
        return Response(status_code=204)

    async def _find(self, request: Request) -> EventRecord:
        record = await self._store.event(EventId(request.path_params["id"]))
        if record is None:
            raise Refusal(404, "There is no event of this id.")
        return record

    def _tell(self, event_id: EventId, discarded: Sequence[DestinationName]) -> None:
        for destination in discarded:
            self._metrics.dead.labels(destination, "discarded").inc()
            emit(
                "delivery.dead",
                level=logging.WARNING,
                event_id=event_id,
                destination=destination,
                reason="discarded",
            )
        self._wake(discarded)
