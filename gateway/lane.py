"""The way to one destination: takes its due deliveries from the store, has them forwarded, and records what came of it.

Memory is bounded by twice `max_in_flight`: attempts under way, and results that wait for the store.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Protocol

from gateway.account import Account
from gateway.clock import Clock
from gateway.config import Destination
from gateway.errors import StoreUnavailable
from gateway.log import emit
from gateway.metrics import Metrics
from gateway.model import Claim, Outcome, RetryAt, Verdict, value
from gateway.pace import Outlook, Pace, quiet_until
from gateway.retry import QUIET_STATUSES, judge
from gateway.store import Claimed, Finished, Standing, StandingChange, Store
from gateway.tracing import Tracing

LEASE_MARGIN_SECONDS = 30
"""Beyond an attempt's time-out: for the results that wait to be recorded."""
LOOK_SECONDS = 1.0
"""How often a destination with nothing due is looked at without being woken."""
STORE_RETRY_SECONDS = 1.0

CHANGES: dict[StandingChange, tuple[str, int]] = {
    "hold": ("destination.held", logging.ERROR),
    "release": ("destination.released", logging.INFO),
}


class Forwards(Protocol):
    async def forward(self, claim: Claim) -> Outcome: ...


@value
class Place:
    """Of an attempt that may begin."""

    lease_until: int
    stepped_ms: int
    """How far the clock had been set when the place was given."""


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
        tracing: Tracing | None = None,
    ) -> None:
        self._destination = destination
        self._store = store
        self._forwarder = forwarder
        self._clock = clock
        self._account = Account(destination.name, metrics=metrics, tracing=tracing)
        self._rng = rng
        self._pace = Pace(
            max_in_flight=destination.max_in_flight, rate_per_second=destination.rate_per_second
        )
        self._claims: dict[asyncio.Task[None], Claim] = {}
        """Every one whose result is not in the store."""
        self._in_flight = 0
        """Attempts under way."""
        self._again_in_flight = 0
        """Of these, retries and replays."""
        self._reserved = 0
        self._caught_up = False
        """The last claim left nothing behind that is due, and nothing was heard of since."""
        self._stopped = False
        self._stepped_ms = 0
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something may be due."""
        self._caught_up = False
        self._wake.set()

    def look(self) -> None:
        """Its standing was changed by hand; what the store says of it is asked for at once."""
        self._pace.look()
        self.wake()

    def outlook(self) -> Outlook:
        return self._pace.outlook(in_flight=self._taken(), now=self._clock.now_ms())

    def reserve(self) -> Place | None:
        """A place for what is accepted next, so that it need not be claimed; None where it has to queue.

        To be ended by `take` or `forgo`.
        """
        if self._stopped or not self._caught_up or not self._pace.has_place(in_flight=self._taken()):
            return None
        self._reserved += 1
        return Place(self._lease_until(self._clock.now_ms()), self._stepped_ms)

    def take(self, place: Place, claim: Claim) -> None:
        """Begin its attempt; not after a stop: the next start takes the lease back."""
        self._reserved -= 1
        if not self._stopped:
            self._begin([claim], stepped_ms=place.stepped_ms, now=self._clock.now_ms())

    def forgo(self) -> None:
        self._reserved -= 1
        self._have_room()

    async def run(self) -> None:
        """Until cancelled; attempts under way go on then, and `stop` ends them."""
        while True:
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
        while True:
            self._caught_up = False
            self._wake.clear()
            now = self._clock.now_ms()
            turn = self._pace.turn(in_flight=self._taken(), again_in_flight=self._again_in_flight, now=now)
            if not turn.room.total:
                return turn.look_at
            stepped_ms = self._stepped_ms
            claimed = await self._store.claim(
                self._destination.name,
                room=turn.room,
                probe=turn.probe,
                now=now,
                lease_until=self._lease_until(now),
            )
            now = self._clock.now_ms()  # the store may have taken its time
            was_held = self._pace.held
            self._pace.follow(claimed.standing, now=now)
            self._begin(claimed.claims, stepped_ms=stepped_ms, now=now)
            if len(claimed.claims) < turn.room.total and self._pace.held == was_held:
                self._caught_up = self._left_nothing(claimed, now=now)
                return claimed.next_at

    def _left_nothing(self, claimed: Claimed, *, now: int) -> bool:
        more = claimed.waits or (claimed.next_at is not None and claimed.next_at <= now)
        return not more and claimed.standing == Standing() and not self._wake.is_set()

    def clock_stepped(self, by_ms: int) -> None:
        """What was claimed counts from times of the clock before; see `Store.clock_stepped`."""
        self._pace.clock_stepped(by_ms)
        self._stepped_ms += by_ms

    async def drain(self) -> None:
        """Waits for the attempts under way."""
        while self._claims:
            await asyncio.wait(list(self._claims))

    async def stop(self, *, grace_seconds: float) -> None:
        """Lets attempts under way finish; those that do not in time are given back. No other begins."""
        self._stopped = True
        if self._claims:
            await asyncio.wait(list(self._claims), timeout=grace_seconds)
        unfinished = dict(self._claims)
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

    def _lease_until(self, now: int) -> int:
        return now + round((self._destination.timeout_seconds + LEASE_MARGIN_SECONDS) * 1000)

    def _finish(self, task: asyncio.Task[None]) -> None:
        del self._claims[task]
        self._have_room()
        if not task.cancelled() and (error := task.exception()) is not None:
            emit(
                "delivery.failed", level=logging.ERROR, destination=self._destination.name, error=repr(error)
            )

    def _taken(self) -> int:
        """Places that are not free. Results that wait for the store take up those that they are over `max_in_flight` by."""
        waiting = len(self._claims) - self._destination.max_in_flight
        return max(self._in_flight, waiting) + self._reserved

    def _have_room(self) -> None:
        if not self._caught_up:
            self._wake.set()

    def _begin(self, claims: Sequence[Claim], *, stepped_ms: int, now: int) -> None:
        again = sum(claim.again for claim in claims)
        self._pace.claimed(first=len(claims) - again, again=again, now=now)
        self._in_flight += len(claims)
        self._again_in_flight += again
        for claim in claims:
            task = asyncio.create_task(self._deliver(claim, stepped_ms=stepped_ms))
            self._claims[task] = claim
            task.add_done_callback(self._finish)

    async def _deliver(self, claim: Claim, *, stepped_ms: int) -> None:
        outcome = await self._forward(claim)
        now, judged_ms = self._clock.now_ms(), self._stepped_ms
        change = self._pace.observe(claim, outcome, now=now)
        verdict = judge(
            outcome,
            tries=claim.tries,
            live_since=claim.live_since + judged_ms - stepped_ms,
            now=now,
            policy=self._destination.retry,
            dead_on=self._destination.dead_on,
            held=self._pace.held and change is None,
            jitter=self._rng.uniform(-1, 1),
        )
        if change is not None or outcome.status in QUIET_STATUSES:
            await self._stand(outcome, change, now=now)
        finished = await self._record(claim, outcome, verdict, stepped_ms=judged_ms, now=now)
        if finished.released or isinstance(verdict, RetryAt) or change is not None:
            self.wake()
        self._account.note(claim, outcome, verdict, now=now, counted=finished.counted)

    async def _forward(self, claim: Claim) -> Outcome:
        try:
            return await self._forwarder.forward(claim)
        finally:
            self._in_flight -= 1
            self._again_in_flight -= claim.again
            self._have_room()

    async def _stand(self, outcome: Outcome, change: StandingChange | None, *, now: int) -> None:
        """What the attempt says of the destination itself. A store that cannot take it now learns it from the next attempt."""
        name = self._destination.name
        horizon_ms = round(self._destination.retry.horizon_hours * 3_600_000)
        until = quiet_until(outcome, now=now, horizon_ms=horizon_ms)
        try:
            if until is not None:  # at once: the clock may be set while the store takes its time
                await self._store.quiet(name, until=until, now=now)
                emit("destination.quiet", level=logging.WARNING, destination=name, until=until)
            if change is not None:
                await self._store.set_standing(name, change, now=self._clock.now_ms())
                event, level = CHANGES[change]
                why = {"error": outcome.error} if change == "hold" else {}
                emit(event, level=level, destination=name, **why)
        except StoreUnavailable as error:
            self._emit_error("store.unavailable", error=str(error))

    async def _record(
        self, claim: Claim, outcome: Outcome, verdict: Verdict, *, stepped_ms: int, now: int
    ) -> Finished:
        """Until the store takes it or the lease is over: then somebody else makes the attempt again."""
        wait = self._destination.order_wait_seconds
        yields_at = now + round(wait * 1000) if wait and isinstance(verdict, RetryAt) else None
        deadline = self._clock.monotonic() + LEASE_MARGIN_SECONDS
        while True:
            by_ms = self._stepped_ms - stepped_ms  # since the verdict
            try:
                return await self._store.record(
                    claim,
                    outcome,
                    _moved(verdict, by_ms),
                    now=now + by_ms,
                    yields_at=None if yields_at is None else yields_at + by_ms,
                )
            except StoreUnavailable as error:
                emit("store.unavailable", level=logging.ERROR, event_id=claim.event.id, error=str(error))
                if self._clock.monotonic() >= deadline:
                    return Finished(counted=False, released=False)
                await asyncio.sleep(STORE_RETRY_SECONDS)


def _moved(verdict: Verdict, by_ms: int) -> Verdict:
    return RetryAt(verdict.at + by_ms, counts=verdict.counts) if isinstance(verdict, RetryAt) else verdict
