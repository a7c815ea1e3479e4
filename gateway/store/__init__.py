"""Where events, deliveries and attempts are kept. `Store` is what the rest of the gateway asks of it.

One transaction is one method. Times are Unix ms and always given: a store asks no clock. Every method may raise
StoreUnavailable; then nothing was changed, or (after a time-out) it may have been.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.config import Retention
from gateway.model import Accepted, Claim, DestinationName, Event, EventId, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Claimed:
    claims: list[Claim]
    next_at: int | None
    """When something of this destination becomes due, or yields its place; None: nothing is known to."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What `record` made of an attempt."""

    counted: bool
    """False: the lease was lost, and this late result changed nothing."""
    released: bool
    """A later delivery of the same key became due."""


@dataclass(frozen=True, slots=True)
class Stats:
    deliveries: dict[tuple[str, str], int]
    """(destination, state) → how many."""
    oldest_pending: dict[str, int]
    """destination → when the event of its oldest pending delivery was received."""
    size_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    number: int
    started_at: int
    duration_ms: int
    outcome: str
    status: int | None
    error: str | None
    response: bytes


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    destination: str
    state: str
    attempts: int
    next_attempt_at: int | None
    last_status: int | None
    last_error: str | None
    dead_reason: str | None
    history: tuple[AttemptRecord, ...] = ()


EventState = Literal["unrouted", "pending", "dead", "delivered"]


@dataclass(frozen=True, slots=True)
class EventRecord:
    seq: int
    event: Event
    deliveries: tuple[DeliveryRecord, ...]

    @property
    def state(self) -> EventState:
        states = {delivery.state for delivery in self.deliveries}
        if not states:
            return "unrouted"
        if "pending" in states:
            return "pending"
        return "dead" if "dead" in states else "delivered"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a list shows; None: any."""

    source: str | None = None
    destination: str | None = None
    state: str | None = None
    type: str | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None


class Store(Protocol):
    async def accept(self, event: Event, *, same_id_is_duplicate: bool) -> Accepted:
        """Event, dedupe key and deliveries in one transaction that is on disk when this returns."""
        ...

    async def claim(self, destination: DestinationName, *, limit: int, now: int, lease_until: int) -> Claimed:
        """Up to `limit` due deliveries, oldest due first, at most one of an ordering key, leased until `lease_until`.

        Before that, leases that ended by `now` are taken back, and deliveries whose time to hold back others is over
        let the next of their key pass.
        """
        ...

    async def record(
        self, claim: Claim, outcome: Outcome, verdict: Verdict, *, now: int, yields_at: int | None
    ) -> Finished:
        """The attempt and what follows from it. `yields_at` is when a failing delivery lets its key's next one pass."""
        ...

    async def give_back(self, claims: Sequence[Claim], *, now: int) -> None:
        """Ends the leases of attempts that were not finished; they are due at once."""
        ...

    async def stats(self) -> Stats: ...

    async def ping(self) -> None:
        """Returns when the store answers."""
        ...

    async def events(self, where: EventFilter, *, before: int | None, limit: int) -> list[EventRecord]:
        """Newest first, from below the sequence number `before`; without query, headers, body and attempts."""
        ...

    async def event(self, event_id: EventId) -> EventRecord | None:
        """With every attempt."""
        ...

    async def prune(self, retention: Retention, *, now: int, limit: int) -> int:
        """Deletes up to `limit` things of each kind that are past their time; how many went."""
        ...

    async def close(self) -> None:
        """Finishes what was begun. Calls after this raise StoreUnavailable."""
        ...
