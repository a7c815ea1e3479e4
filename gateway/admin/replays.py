"""/v1/replays: replays of all events that match a filter."""

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin import asked, shown
from gateway.admin.access import Refusal
from gateway.clock import Clock
from gateway.model import ReplayId
from gateway.replay import Choice, Replayer
from gateway.store import EventFilter, Matched, ReplayRecord, Store

MAX_RATE = 100_000
FIELDS = (*asked.FILTERS, "dry_run", "rate_per_second")


class Replays:
    def __init__(self, *, store: Store, choice: Choice, replayer: Replayer, clock: Clock) -> None:
        self._store = store
        self._choice = choice
        self._replayer = replayer
        self._clock = clock

    async def list(self, request: Request) -> Response:
        """Newest first: ids ascend with the time."""
        given = asked.parameters(request, asked.PAGING)
        limit, before = asked.page_limit(given), given.get("cursor")
        records = sorted(await self._store.replays(), key=lambda record: record.id, reverse=True)
        found = [record for record in records if before is None or record.id < before]
        page = found[:limit]
        cursor = page[-1].id if len(found) > limit else None
        return JSONResponse({"items": [shown.replay(record) for record in page], "next_cursor": cursor})

    async def show(self, request: Request) -> Response:
        return JSONResponse(shown.replay(await self._find(request)))

    async def begin(self, request: Request) -> Response:
        fields = await asked.body(request, FIELDS)
        if fields is None:
            raise Refusal(400, "Say what to replay; {} is every event.")
        where = self._checked(asked.filter_in_body(fields))
        rate = asked.rate(fields, "rate_per_second", most=MAX_RATE)
        dry_run = asked.boolean(fields, "dry_run")
        record = self._record(where, rate, await self._store.count(where))
        if dry_run:
            shape = shown.replay(record)
            known = {name: shape[name] for name in ("matched", "filters", "rate_per_second")}
            return JSONResponse({"dry_run": True, **known})
        await self._store.begin_replay(record)
        self._replayer.started(record)
        return JSONResponse(
            shown.replay(record), status_code=202, headers={"location": f"/v1/replays/{record.id}"}
        )

    async def cancel(self, request: Request) -> Response:
        record = await self._find(request)
        await self._store.cancel_replay(record.id)
        self._replayer.wake()
        return JSONResponse(shown.replay(await self._find(request)))

    async def _find(self, request: Request) -> ReplayRecord:
        record = await self._store.find_replay(ReplayId(request.path_params["id"]))
        if record is None:
            raise Refusal(404, "There is no replay of this id.")
        return record

    def _checked(self, where: EventFilter) -> EventFilter:
        if where.state == "pending":
            raise Refusal(400, "Pending events are on their way already; replay those of another state.")
        if where.destination is not None:
            asked.destinations([where.destination], self._choice.names)
        return where

    def _record(self, where: EventFilter, rate_per_second: float, matched: Matched) -> ReplayRecord:
        now = self._clock.now_ms()
        return ReplayRecord(
            id=ReplayId(f"rpl_{now:012x}{secrets.token_hex(10)}"),
            created_at=now,
            where=where,
            rate_per_second=rate_per_second,
            last_seq=matched.newest_seq,
            matched=matched.count,
            state="running" if matched.count else "done",
        )
