"""Takes due deliveries from the store, has them forwarded, and records what came of it.

One `Lane` a destination, so that a slow one holds up no other. Memory is bounded by `max_in_flight`.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway.clock import Clock
from gateway.config import Destination
from gateway.errors import StoreUnavailable
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import Claim, Dead, Delivered, DestinationName, Outcome, RetryAt, Verdict
from gateway.retry import judge
from gateway.store import Store

LEASE_MARGIN_SECONDS = 30
"""Beyond an attempt's time-out: for the results that wait to be recorded."""
LOOK_SECONDS = 1.0
"""How often a destination with nothing due is looked at without being woken."""
STORE_RETRY_SECONDS = 1.0


class Forwards(Protocol):
    async def forward(self, claim: Claim) -> Outcome: ...


class Lane:
    """The way to one destination."""

    def __init__(
        self,
        destination: Destination,
        *,
        store: Store,
        forwarder: Forwards,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        self._destination = destination
        self._store = store
        self._forwarder = forwarder
        self._clock = clock
        self._metrics = metrics
        self._rng = rng
        self._in_flight: dict[asyncio.Task[None], Claim] = {}
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; attempts under way go on then, and `stop` ends them."""
        while True:
            self._wake.clear()
            try:
                next_at = await self.step()
            except StoreUnavailable as error:
                self._emit_error("store.unavailable", error=str(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - a fault here must not end deliveries for good
                self._emit_error("dispatch.failed", error=repr(error))
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                await self._sleep_until(next_at)

    async def step(self) -> int | None:
        """Claims what is due and there is room for, and begins its attempts. When to look again, in Unix ms."""
        next_at: int | None = None
        while free := self._destination.max_in_flight - len(self._in_flight):
            now = self._clock.now_ms()
            lease_ms = round((self._destination.timeout_seconds + LEASE_MARGIN_SECONDS) * 1000)
            claimed = await self._store.claim(
                self._destination.name, limit=free, now=now, lease_until=now + lease_ms
            )
            next_at = claimed.next_at
            if not claimed.claims:
                break
            for claim in claimed.claims:
                task = asyncio.create_task(self._deliver(claim))
                self._in_flight[task] = claim
                task.add_done_callback(self._finish)
        return next_at

    async def drain(self) -> None:
        """Waits for the attempts under way."""
        while self._in_flight:
            await asyncio.wait(list(self._in_flight))

    async def stop(self, *, grace_seconds: float) -> None:
        """Lets attempts under way finish; those that do not in time are given back."""
        if self._in_flight:
            await asyncio.wait(list(self._in_flight), timeout=grace_seconds)
        unfinished = dict(self._in_flight)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if unfinished:
            with contextlib.suppress(StoreUnavailable):  # the next start takes the leases back
                await self._store.give_back(list(unfinished.values()), now=self._clock.now_ms())

    async def _sleep_until(self, next_at: int | None) -> None:
        seconds = LOOK_SECONDS
        if next_at is not None:
            seconds = min(seconds, max(0.0, (next_at - self._clock.now_ms()) / 1000))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _emit_error(self, event: str, **fields: str) -> None:
        emit(event, level=logging.ERROR, destination=self._destination.name, **fields)

    def _finish(self, task: asyncio.Task[None]) -> None:
        del self._in_flight[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            emit(
                "delivery.failed", level=logging.ERROR, destination=self._destination.name, error=repr(error)
            )

    async def _deliver(self, claim: Claim) -> None:
        outcome = await self._forwarder.forward(claim)
        now = self._clock.now_ms()
        verdict = judge(
            outcome,
            attempt=claim.attempt,
            live_since=claim.live_since,
            now=now,
            policy=self._destination.retry,
            dead_on=self._destination.dead_on,
            jitter=self._rng.uniform(-1, 1),
        )
        counted = await self._record(claim, outcome, verdict, now=now)
        self._observe(claim, outcome, verdict, now=now, counted=counted)

    async def _record(self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int) -> bool:
        """Until the store takes it or the lease is over: then somebody else makes the attempt again."""
        wait = self._destination.order_wait_seconds
        yields_at = now + round(wait * 1000) if wait and isinstance(verdict, RetryAt) else None
        deadline = self._clock.monotonic() + LEASE_MARGIN_SECONDS
        while True:
            try:
                finished = await self._store.record(claim, outcome, verdict, now=now, yields_at=yields_at)
            except StoreUnavailable as error:
                emit("store.unavailable", level=logging.ERROR, event_id=claim.event.id, error=str(error))
                if self._clock.monotonic() >= deadline:
                    return False
                await asyncio.sleep(STORE_RETRY_SECONDS)
            else:
                return finished.counted

    def _observe(self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int, counted: bool) -> None:
        name = self._destination.name
        self._metrics.attempts.labels(name, outcome.kind).inc()
        self._metrics.attempt_duration.labels(name).observe(outcome.duration_ms / 1000)
        if claim.attempt > 1:
            self._metrics.retries.labels(name).inc()
        fields = {"event_id": claim.event.id, "destination": name, "attempt": claim.attempt}
        emit(
            "delivery.attempted",
            level=logging.INFO if outcome.kind == "success" else logging.WARNING,
            **fields,
            outcome=outcome.kind,
            status=outcome.status,
            error=outcome.error,
            duration_ms=outcome.duration_ms,
            retry_at=verdict.at if isinstance(verdict, RetryAt) else None,
            counted=counted,
        )
        if not counted:
            return
        if isinstance(verdict, Delivered):
            self._metrics.delivery_latency.labels(name).observe(max(0, now - claim.event.received_at) / 1000)
        if isinstance(verdict, Dead):
            self._metrics.dead.labels(name, verdict.reason).inc()
            emit("delivery.dead", level=logging.ERROR, **fields, reason=verdict.reason)


class Dispatcher:
    def __init__(self, lanes: Mapping[DestinationName, Lane]) -> None:
        self._lanes = lanes
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(lane.run()) for lane in self._lanes.values()]

    def wake(self, destinations: Iterable[DestinationName]) -> None:
        for name in destinations:
            self._lanes[name].wake()

    async def stop(self, *, grace_seconds: float) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.stop(grace_seconds=grace_seconds) for lane in self._lanes.values()))
