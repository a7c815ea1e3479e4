"""Where events, deliveries and attempts are kept. `Store` is what the rest of the gateway asks of it.

One transaction is one method. Times are Unix ms and always given: a store asks no clock. Every method may raise
StoreUnavailable; then nothing was changed, or (after a time-out) it may have been.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.config import Retention
from gateway.model import Accepted, Claim, DestinationName, Event, EventId, Outcome, ReplayId, Verdict, value


@value
class Room:
    """How many deliveries a claim may take."""

    total: int
    again: int
    """Of these, for retries and replays while first attempts wait."""


@value
class Standing:
    """Whether a destination gets its deliveries now."""

    paused_at: int | None = None
    """By hand."""
    held_at: int | None = None
    """Because it is down; probes are made."""
    quiet_until: int | None = None
    """It asked to be left alone until then."""


StandingChange = Literal["pause", "resume", "hold", "release"]


@value
class Claimed:
    claims: list[Claim]
    next_at: int | None
    """When something of this destination becomes due, or yields its place; the time of the claim where more may be due
    already; None: nothing is known to."""
    standing: Standing
    waits: bool = False
    """Something is due, but its key has an attempt under way, the end of which nothing else will tell."""


@value
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
    """destination → when its oldest pending delivery was accepted or replayed."""
    standings: dict[str, Standing]
    replay_remaining: int
    """Events of running replays that are neither delivered nor failed."""
    size_bytes: int
    free_bytes: int
    needed_free_bytes: int
    """With less than this free the store accepts nothing more, so that what it holds can still be delivered."""


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
    erased_at: int | None
    """When query, headers and body were erased; the event cannot be sent since."""
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
    """Which events a list shows or a replay takes; None: any."""

    source: str | None = None
    destination: str | None = None
    state: str | None = None
    type: str | None = None
    key: str | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Matched:
    count: int
    newest_seq: int
    """Of all events, matching or not: a replay takes none that was accepted later."""


ReplayState = Literal["running", "done", "cancelled"]


@dataclass(frozen=True, slots=True)
class ReplayRecord:
    """Events that a person asked for again. Counted in events, not in deliveries."""

    id: ReplayId
    created_at: int
    where: EventFilter
    rate_per_second: float
    """Events queued a second; 0: as fast as they are delivered."""
    last_seq: int
    """The last event it takes."""
    matched: int
    cursor: int = 0
    """The sequence number of the last event dealt with."""
    queued: int = 0
    """Events dealt with so far."""
    done: int = 0
    """Events of which every replayed delivery was delivered."""
    failed: int = 0
    """Events with a replayed delivery that died again, or that could not be replayed: erased, or wanted by nobody."""
    state: ReplayState = "running"


@dataclass(frozen=True, slots=True)
class Queueing:
    """One step of a replay."""

    events: Sequence[tuple[EventId, Sequence[DestinationName]]]
    """In order of acceptance; without destinations: it cannot be replayed."""
    cursor: int
    last: bool
    """Nothing that matches is left."""


NO_LEASES: Mapping[DestinationName, int] = {}


class Store(Protocol):
    async def accept(
        self, event: Event, *, same_id_is_duplicate: bool, leases: Mapping[DestinationName, int] = NO_LEASES
    ) -> Accepted:
        """Event, dedupe key and deliveries in one transaction that is on disk when this returns.

        `leases` says for which destinations a delivery that is due at once is leased at once, and until when: that saves
        the claim. It is not where its key is busy or the destination stands still. A caller that is cancelled gets no
        claims; what was leased for it is given back.
        """
        ...

    async def claim(
        self, destination: DestinationName, *, room: Room, probe: bool, now: int, lease_until: int
    ) -> Claimed:
        """Due deliveries, oldest due first, at most one of an ordering key, leased until `lease_until`.

        None of a destination that is paused, quiet, or held. With `probe` one of a held one, due or not: the newest of
        those that were not tried, or where `room` has a place for them, the next in turn of those that were.
        Before that, deliveries whose time to hold back others is over let the next of their key pass.
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

    async def end_leases(self, *, now: int) -> int:
        """Takes back the leases that ended by `now`; how many."""
        ...

    async def set_standing(
        self, destination: DestinationName, change: StandingChange, *, now: int
    ) -> Standing:
        """`resume` ends a hold and a quiet time as well; `release` only the hold. A change that is none is none."""
        ...

    async def quiet(self, destination: DestinationName, *, until: int, now: int) -> None:
        """Nothing is claimed before `until`; a time that is set already is never shortened."""
        ...

    async def clock_stepped(self, by_ms: int) -> None:
        """The wall clock was set: what waits is due as much later or earlier, so that no wait becomes another.

        Returns once that is on disk. Where it cannot be now, it will be before anything that is asked for later.
        """
        ...

    async def replay(
        self, event_id: EventId, destinations: Sequence[DestinationName], *, now: int
    ) -> list[DestinationName]:
        """Queues the event's deliveries again, at the end of their key; those pending stay as they are. Which were queued."""
        ...

    async def discard(self, event_id: EventId, *, now: int) -> list[DestinationName]:
        """Pending deliveries become dead, reason `discarded`, also while an attempt is under way. Which."""
        ...

    async def erase(self, event_id: EventId, *, now: int) -> list[DestinationName]:
        """Overwrites query, headers, body and the kept answers; pending deliveries are discarded. Which."""
        ...

    async def count(self, where: EventFilter) -> Matched: ...

    async def begin_replay(self, begun: ReplayRecord) -> None: ...

    async def replay_page(self, running: ReplayRecord, *, limit: int) -> list[EventRecord]:
        """The next events, oldest first, with their content, without attempts."""
        ...

    async def queue_replay(self, running: ReplayRecord, queueing: Queueing, *, now: int) -> bool:
        """One step. False, and nothing changed, where somebody else has made it or the replay was cancelled."""
        ...

    async def cancel_replay(self, replay_id: ReplayId) -> None:
        """Queues no more of it; what is queued is delivered. Changes nothing where it is over."""
        ...

    async def replays(self, *, state: ReplayState | None = None) -> list[ReplayRecord]:
        """Oldest first."""
        ...

    async def find_replay(self, replay_id: ReplayId) -> ReplayRecord | None: ...

    async def stats(self) -> Stats: ...

    async def ping(self) -> None:
        """Returns when the store has written something, so that one that can only be read is found out."""
        ...

    async def events(self, where: EventFilter, *, before: int | None, limit: int) -> list[EventRecord]:
        """Newest first, from below the sequence number `before`; without query, headers, body and attempts."""
        ...

    async def event(self, event_id: EventId) -> EventRecord | None:
        """With every attempt."""
        ...

    async def prune(self, retention: Retention, *, now: int, limit: int) -> int:
        """Deletes up to `limit` things of each kind that are past their time, and gives space back; how many went."""
        ...

    async def close(self) -> None:
        """Finishes what was begun. Calls after this raise StoreUnavailable."""
        ...
