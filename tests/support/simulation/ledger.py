"""What must be true of the deliveries, kept in plain Python beside the store: told what was done, it says what was wrong.

Times are ms of the simulation's own steady clock, which nobody sets; a destination's running time is that without the
time it was paused or held.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.config import Destination, Retention
from gateway.model import (
    Accepted,
    Claim,
    Dead,
    Delivered,
    DestinationName,
    Event,
    EventId,
    Outcome,
    RetryAt,
    Verdict,
)
from gateway.pace import LOOKED_AT, NEEDED_KEYS, is_down
from gateway.store import Claimed, Finished, Queueing, ReplayRecord, Room, Standing, StandingChange
from tests.support.clock import ManualClock

SLACK_MS = 5
LONGEST_WAIT_MS = 3600 * 1200
"""The last of the waits, with its jitter."""
LEAST_PROBE_MS, MOST_PROBE_MS = 1_000, 30_000

TALLY: Counter[str] = Counter()
"""What happened in all histories of this process: a promise that nothing tried is not kept, only unbroken."""

Key = tuple[EventId, DestinationName]


@dataclass(slots=True)
class Delivery:
    event: EventId
    destination: DestinationName
    key: str | None
    place: int
    """In the order of queueing."""
    queued: int
    """In running time, as are the next two."""
    live: int | None = None
    """When its key was free for it, at the earliest; None: no attempt yet."""
    failed: int | None = None
    """Its first failure since it was queued."""
    not_before: int = 0
    again: bool = False
    state: str = "pending"
    attempts: int = 0
    lease: tuple[int, int] | None = None
    """Attempt and end."""
    finished_at: int = 0
    """Unix ms, as the gateway's clock had it."""
    loose: bool = False
    """A clock was set while no process watched: its times mean nothing any more."""
    answered: int = 0
    """Attempts that the destination took."""


@dataclass(slots=True)
class Way:
    """What is known of one destination."""

    settings: Destination
    paused: bool = False
    held: bool = False
    quiet_until: int = 0
    stopped: int = 0
    """For how long it was paused or held."""
    loose: bool = False
    held_since: int = 0
    probed: tuple[int, Delivery, list[Delivery]] | None = None
    """The last probe of this hold, by this process, and what waited when its failure was recorded."""
    probe: tuple[int, int] | None = None
    """The delivery and attempt last claimed as one."""
    tried_at: int = 0
    """When the last attempt ended, or the hold began."""
    looked_at: tuple[int, int] = (0, 0)
    """Changes and time when its lane last looked for work."""
    begun: list[int] = field(default_factory=list)
    """When this process began attempts."""
    last: deque[tuple[object, bool]] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))
    since: deque[tuple[object, bool]] = field(default_factory=lambda: deque(maxlen=LOOKED_AT))
    """The same, since anything may have made the gateway forget them."""
    releases: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Key → the places of deliveries of it that are over, or were queued anew, and when they let the next pass; in running time."""

    @property
    def wait(self) -> int:
        return round(self.settings.order_wait_seconds * 1000)

    @property
    def stopped_now(self) -> bool:
        return self.paused or self.held

    def is_down(self, last: deque[tuple[object, bool]]) -> bool:
        keys = {key for key, _ in last}
        return len(last) == LOOKED_AT and all(down for _, down in last) and len(keys) >= NEEDED_KEYS


class Ledger:
    def __init__(self, clock: ManualClock, destinations: Iterable[Destination]) -> None:
        self._clock = clock
        self.ways = {one.name: Way(one) for one in destinations}
        self.faults: list[str] = []
        self.events: dict[EventId, Event] = {}
        self.erased: set[EventId] = set()
        self.deliveries: dict[Key, Delivery] = {}
        self.dedupe: dict[tuple[str, str | None], dict[bytes, tuple[EventId, int]]] = {}
        self.under_way: dict[tuple[int, int], Claim] = {}
        self.replays: set[str] = set()
        self.changes = 0
        self.stepped = 0
        """What the store was told of the clock."""
        self._routed: set[EventId] = set()
        self._places = 0
        self._start = clock.now_ms() - self.now()

    def now(self) -> int:
        return round(self._clock.monotonic() * 1000)

    def running(self, way: Way, at: int | None = None) -> int:
        """`at` in Unix ms, by the gateway's clock."""
        return (self.now() if at is None else self.steady(at)) - way.stopped

    def steady(self, at: int) -> int:
        return at - (self._clock.now_ms() - self.now())

    def in_step(self) -> bool:
        """Whether the store knows of everything that was done to the clock."""
        return self._clock.now_ms() - self.now() == self._start + self.stepped

    def check(self, promise: bool, broken: str) -> None:
        if not promise:
            self.faults.append(broken)

    def saw(self, name: str, result: Any, *arguments: Any, **named: Any) -> None:
        """The store has done it."""
        self.changes += 1
        if noted := getattr(self, f"_saw_{name}", None):
            noted(result, *arguments, **named)

    def saw_trouble(self, name: str) -> None:
        if name == "set_standing":
            for way in self.ways.values():
                way.since.clear()

    def passed(self, ms: int) -> None:
        for way in self.ways.values():
            if way.stopped_now:
                way.stopped += ms

    def restarted(self) -> None:
        """A process ended, however it did, and the next has opened the store."""
        TALLY["starts"] += 1
        self.under_way.clear()
        for delivery in self.deliveries.values():
            delivery.lease = None
        for way in self.ways.values():
            way.probed = None
            way.tried_at = self.now()
            way.begun.clear()
            way.last.clear()
            way.since.clear()
        if not self.in_step():
            self._lose_times()

    def of(self, claim: Claim) -> Delivery | None:
        return self.deliveries.get((claim.event.id, claim.destination))

    def pending(self, destination: DestinationName | None = None) -> list[Delivery]:
        return [
            one
            for one in self.deliveries.values()
            if one.state == "pending" and destination in (None, one.destination)
        ]

    def claimable(self, destination: DestinationName, *, due: bool = True) -> list[Delivery]:
        """What an attempt may surely be made of now; without `due`: when its time comes."""
        return [
            one
            for one in self.pending(destination)
            if not (due and (one.not_before > self.now() or one.loose))
            and one.lease is None
            and not any(other.lease for other in self._of_key(one))
            and all(
                self._yielded(other, margin=SLACK_MS)
                for other in self._of_key(one)
                if other.place < one.place
            )
        ]

    def began(self, claim: Claim) -> None:
        """An attempt."""
        way = self.ways[claim.destination]
        for other in self.under_way.values():
            if other.destination == claim.destination and _same_key(other, claim):
                held = (
                    (one := self.of(other)) is not None
                    and one.lease is not None
                    and one.lease[0] == other.attempt
                )
                self.check(not held, f"two attempts of one key under way: {_name(other)} and {_name(claim)}")
        TALLY["attempts"] += 1
        self.under_way[claim.delivery_id, claim.attempt] = claim
        number = sum(other.destination == claim.destination for other in self.under_way.values())
        self.check(
            number <= way.settings.max_in_flight, f"{number} attempts of {claim.destination} under way"
        )
        self._rate(way)
        if way.probe == (claim.delivery_id, claim.attempt):
            self._probe(way, claim)

    def abandoned(self, claim: Claim) -> None:
        TALLY["attempts cut off"] += 1
        self.under_way.pop((claim.delivery_id, claim.attempt), None)

    def answered(self, claim: Claim, outcome: Outcome) -> None:
        self.changes += 1
        self.under_way.pop((claim.delivery_id, claim.attempt), None)
        way = self.ways[claim.destination]
        way.tried_at = self.now()
        if outcome.kind == "success":
            way.last.clear()
            way.since.clear()
            if one := self.of(claim):
                one.answered += 1
        elif outcome.kind == "payload":  # nothing was sent: it was no probe
            way.probed = None
        else:
            seen = (claim.event.ordering_key or claim.delivery_id, is_down(outcome))
            way.last.append(seen)
            way.since.append(seen)

    def looks(self, destination: DestinationName) -> None:
        """Its lane, for work."""
        self.ways[destination].looked_at = self.changes, self.now()

    def stepped_lane(self, destination: DestinationName) -> None:
        """The lane has taken all it could, unless something has happened since it looked."""
        way = self.ways[destination]
        if way.looked_at != (self.changes, self.now()):
            return
        busy = any(one.destination == destination for one in self.under_way.values())
        if busy or way.paused or way.loose or way.quiet_until > self.now():
            return
        if way.held:
            waited = self.now() - max(way.tried_at, way.held_since)
            if waited > MOST_PROBE_MS + SLACK_MS:
                self.check(
                    not self.claimable(destination, due=False), f"{destination}: no probe for {waited} ms"
                )
            return
        if way.is_down(way.since):
            self.check(False, f"{destination} is down and not held")
        rate = way.settings.rate_per_second
        if rate and way.begun and self.now() - way.begun[-1] < 3000 / rate:
            return
        if waiting := self.claimable(destination):
            self.check(False, f"{destination}: nothing under way though {waiting[0]} is due")

    def _saw_accept(
        self,
        result: Accepted,
        event: Event,
        *,
        same_id_is_duplicate: bool,
        leases: Mapping[DestinationName, int],
    ) -> None:
        known = self.dedupe.setdefault((event.source, event.dedupe_key), {})
        self.check(not same_id_is_duplicate, "not simulated")
        if event.body_sha256 in known:
            self.check(
                result == Accepted(known[event.body_sha256][0], "duplicate"),
                f"{event.id}: {result} of a duplicate",
            )
            return
        status = "accepted" if event.destinations else "unrouted"
        found = (result.event_id, result.status, result.id_reused)
        self.check(found == (event.id, status, bool(known)), f"{event.id}: {result}, not {status}")
        known[event.body_sha256] = event.id, event.received_at
        self.events[event.id] = event
        claims = {claim.destination: claim for claim in result.claims}
        self.check(claims.keys() <= leases.keys(), f"{event.id}: {result} where {leases} were asked for")
        for destination in event.destinations:
            self._queue(event.id, destination, event.ordering_key, at=event.received_at)
            self._saw_door(
                destination, claims.get(destination), leases, event, is_due=destination in result.due
            )

    def _saw_door(
        self,
        destination: DestinationName,
        claim: Claim | None,
        leases: Mapping[DestinationName, int],
        event: Event,
        *,
        is_due: bool,
    ) -> None:
        """Whether a delivery was leased, or was said to be due, as it was accepted."""
        way, one = self.ways[destination], self.deliveries[event.id, destination]
        if claim is not None:
            TALLY["leased at once"] += 1
            self.check(not way.stopped_now, f"{event.id}: leased for {destination}, which stands still")
            self.check(way.quiet_until <= self.now() + SLACK_MS or way.loose, f"{destination} is quiet")
            self.check(not is_due, f"{event.id}: leased and due")
            self._lease(way, claim, lease_until=leases[destination])
            return
        if way.stopped_now or way.loose or way.quiet_until > self.now() - SLACK_MS:
            return
        if not any(other.place < one.place for other in self._of_key(one)):  # else it may have to be let pass
            self.check(is_due, f"{event.id}: nobody was told that {destination} may have it")
            self.check(destination not in leases, f"{event.id}: not leased for {destination}")

    def _saw_claim(
        self,
        result: Claimed,
        destination: DestinationName,
        *,
        room: Room,
        probe: bool,
        now: int,
        lease_until: int,
    ) -> None:
        self.looks(destination)
        way = self.ways[destination]
        self.check(len(result.claims) <= room.total, f"{len(result.claims)} claims for {room}")
        self._standing(way, result.standing)
        stands = result.standing
        asked = not way.paused and (probe or not way.held)
        if asked and max(self.steady(stands.quiet_until or 0), way.quiet_until - SLACK_MS) <= self.now():
            way.quiet_until = 0  # it is over, and forgotten
        if result.claims:
            self.check(not way.paused, f"{destination} is paused")
            self.check(way.quiet_until <= self.now() + SLACK_MS or way.loose, f"{destination} is quiet")
            self.check(not way.held or (probe and len(result.claims) == 1), f"{destination} is held")
            if way.held:
                way.probe = result.claims[0].delivery_id, result.claims[0].attempt
        for claim in result.claims:
            self._lease(way, claim, lease_until=lease_until)
        if way.stopped_now or way.loose or way.quiet_until > self.now():
            return
        self._half(way, result.claims, room)
        if len(result.claims) < room.total and not (result.next_at is not None and result.next_at <= now):
            waiting = self.claimable(destination)
            self.check(not waiting, f"{destination}: {waiting[:1]} is due and was not claimed")

    def _saw_record(
        self,
        result: Finished,
        claim: Claim,
        outcome: Outcome,
        verdict: Verdict,
        *,
        now: int,
        yields_at: int | None,
    ) -> None:
        del yields_at
        way, one = self.ways[claim.destination], self.of(claim)
        counts = one is not None and one.lease is not None and one.lease[0] == claim.attempt
        self.check(result.counted == counts, f"{_name(claim)}: counted {result.counted}, not {counts}")
        if one is None or not counts:
            TALLY["late results"] += 1
            return
        one.lease, one.again = None, True
        if isinstance(verdict, RetryAt):
            self._failed(way, one, outcome, verdict, now=now)
            return
        if isinstance(verdict, Dead):
            self._died(way, one, outcome, verdict, now=now)
        else:
            self.check(
                isinstance(verdict, Delivered) and outcome.kind == "success", f"{_name(claim)}: {outcome}"
            )
        TALLY["delivered" if isinstance(verdict, Delivered) else f"dead, {verdict.reason}"] += 1
        self._finish(one, "delivered" if isinstance(verdict, Delivered) else "dead", at=now)

    def _saw_give_back(self, _: None, claims: Sequence[Claim], *, now: int) -> None:
        del now
        for claim in claims:
            one = self.of(claim)
            if one is not None and one.lease is not None and one.lease[0] == claim.attempt:
                one.lease = None

    def _saw_end_leases(self, number: int, *, now: int) -> None:
        ended = [one for one in self.deliveries.values() if one.lease and one.lease[1] <= self.steady(now)]
        self.check(len(ended) == number, f"{number} leases ended, not {len(ended)}")
        TALLY["leases lost"] += len(ended)
        for one in ended:
            one.lease = None

    def _saw_set_standing(
        self,
        result: Standing,
        destination: DestinationName,
        change: StandingChange,
        *,
        now: int,
        by_hand: bool = False,
    ) -> None:
        del now, by_hand
        way = self.ways[destination]
        was_held, was_quiet = way.held, way.quiet_until > 0
        TALLY[f"destination {change}"] += 1
        way.since.clear()
        match change:
            case "pause":
                way.paused = True
            case "resume":
                way.paused = way.held = False
                way.quiet_until = 0
            case "hold":
                way.held = True
            case "release":
                way.held = False
        self._standing(way, result)
        if way.held and not was_held:
            way.probed, way.held_since = None, self.now()
        if (was_held or (was_quiet and change == "resume")) and not way.held:
            for one in self.pending(destination):
                one.not_before = min(one.not_before, self.now())
        way.loose = way.loose and change != "resume"

    def _saw_quiet(self, _: None, destination: DestinationName, *, until: int, now: int) -> None:
        del now
        way = self.ways[destination]
        TALLY["quiet"] += 1
        way.quiet_until = max(way.quiet_until, self.steady(until))

    def _saw_clock_stepped(self, _: None, by_ms: int) -> None:
        self.stepped += by_ms
        TALLY["clock stepped"] += 1

    def _saw_replay(
        self,
        queued: list[DestinationName],
        event_id: EventId,
        destinations: Sequence[DestinationName],
        *,
        now: int,
    ) -> None:
        expected = self._replayed(event_id, destinations, at=now)
        self.check(queued == expected, f"replay of {event_id}: {queued}, not {expected}")

    def _saw_queue_replay(self, done: bool, _: ReplayRecord, queueing: Queueing, *, now: int) -> None:
        if done:
            for event_id, destinations in queueing.events:
                self._replayed(event_id, destinations, at=now)

    def _saw_begin_replay(self, _: None, record: ReplayRecord) -> None:
        self.replays.add(record.id)

    def _saw_discard(self, discarded: list[DestinationName], event_id: EventId, *, now: int) -> None:
        pending = [one for one in self.pending() if one.event == event_id]
        self.check(
            {one.destination for one in pending} == set(discarded), f"discard of {event_id}: {discarded}"
        )
        for one in pending:
            one.lease = None
            self._finish(one, "dead", at=now)

    def _saw_erase(self, _: None, event_id: EventId, *, now: int) -> None:
        self.erased.add(event_id)
        self._saw_discard(
            [one.destination for one in self.pending() if one.event == event_id], event_id, now=now
        )

    def went(
        self,
        *,
        deliveries: set[Key],
        events: set[EventId],
        keys: set[tuple[Any, ...]],
        retention: Retention,
        now: int,
    ) -> None:
        """A pruning left these."""
        day = 86_400_000
        for key in self.deliveries.keys() - deliveries:
            one = self.deliveries.pop(key)
            TALLY["pruned"] += 1
            days = retention.delivered_days if one.state == "delivered" else retention.dead_days
            old = one.state != "pending" and one.finished_at < now - days * day
            self.check(old, f"{one} was pruned")
        for event_id in self.events.keys() - events:
            event = self.events.pop(event_id)
            old = event_id in self._routed or event.received_at < now - retention.unrouted_days * day
            self.check(old, f"{event_id} was pruned, unrouted")
            self.check(
                all(one.event != event_id for one in self.deliveries.values()), f"{event_id} was pruned"
            )
        for (source, dedupe_key), known in self.dedupe.items():
            for body_sha256, (event_id, seen_at) in list(known.items()):
                if (source, dedupe_key, body_sha256) not in keys:
                    del known[body_sha256]
                    self.check(
                        seen_at < now - retention.dedupe_days * day, f"{event_id}: its dedupe key was pruned"
                    )

    def _replayed(
        self, event_id: EventId, destinations: Sequence[DestinationName], *, at: int
    ) -> list[DestinationName]:
        event = self.events.get(event_id)
        if event is None or event_id in self.erased:
            return []
        queued = []
        for destination in destinations:
            one = self.deliveries.get((event_id, destination))
            if one is None or one.state != "pending":
                self._queue(event_id, destination, event.ordering_key, at=at, again=True)
                queued.append(destination)
        return queued

    def _queue(
        self,
        event_id: EventId,
        destination: DestinationName,
        key: str | None,
        *,
        at: int,
        again: bool = False,
    ) -> None:
        way = self.ways[destination]
        before = self.deliveries.pop((event_id, destination), None)
        TALLY["replayed" if again else "queued"] += 1
        self._places += 1
        self._routed.add(event_id)
        self.deliveries[event_id, destination] = Delivery(
            event=event_id,
            destination=destination,
            key=key,
            place=self._places,
            queued=self.running(way, at),
            again=again,
            attempts=before.attempts if before else 0,
            answered=before.answered if before else 0,
            loose=way.loose,
        )

    def _lease(self, way: Way, claim: Claim, *, lease_until: int) -> None:
        one = self.of(claim)
        if one is None or one.state != "pending":
            self.check(False, f"an attempt of {_name(claim)}, which is {one and one.state}")
            return
        self.check(one.lease is None, f"{_name(claim)}: claimed while leased")
        self.check(claim.attempt == one.attempts + 1, f"{_name(claim)} after {one.attempts} attempts")
        self.check(claim.again == one.again, f"{_name(claim)}: again {claim.again}")
        early = one.not_before - self.now()
        self.check(early <= SLACK_MS or one.loose or way.held, f"{_name(claim)}: {early} ms too early")
        for other in self._of_key(one):
            self.check(other.lease is None, f"{_name(claim)} and {other} are leased at once")
            if other.place < one.place:
                TALLY["yielded"] += 1
                self.check(self._yielded(other, margin=-SLACK_MS), f"{_name(claim)} overtakes {other}")
        one.attempts, one.lease = claim.attempt, (claim.attempt, self.steady(lease_until))
        if one.live is None:
            one.live = max([one.queued, *self._releases(way, one)])

    def _releases(self, way: Way, one: Delivery) -> Iterator[int]:
        if one.key is None:
            return
        yield from (at for place, at in way.releases.get(one.key, ()) if place < one.place)
        for other in self._of_key(one):
            if other.place < one.place and other.failed is not None:
                yield other.failed + way.wait

    def _yielded(self, other: Delivery, *, margin: int) -> bool:
        way = self.ways[other.destination]
        if not way.wait or other.failed is None:
            return False
        if other.loose:
            return margin < 0
        return self.running(way) - other.failed >= way.wait + margin

    def _of_key(self, one: Delivery) -> list[Delivery]:
        if one.key is None:
            return []
        return [
            other
            for other in self.pending(one.destination)
            if other.key == one.key and other.event != one.event
        ]

    def _failed(self, way: Way, one: Delivery, outcome: Outcome, verdict: RetryAt, *, now: int) -> None:
        self.check(outcome.kind not in ("success", "payload"), f"{one} is to be retried after {outcome}")
        self.check(outcome.status not in way.settings.dead_on, f"{one} is to be retried after {outcome}")
        horizon = round(way.settings.retry.horizon_hours * 3_600_000)
        bound = max(LONGEST_WAIT_MS, min(horizon, _asked(outcome)))
        self.check(verdict.at - now <= bound, f"{one}: the next attempt is {verdict.at - now} ms away")
        if way.held and way.probed and way.probed[1] is one:
            self.check(not verdict.counts, f"{one} pays for the outage")
            others = [other for other in self.claimable(way.settings.name, due=False) if other is not one]
            way.probed = *way.probed[:2], others
        one.not_before = self.steady(verdict.at)
        if one.failed is None:
            one.failed = self.running(way, now)

    def _died(self, way: Way, one: Delivery, outcome: Outcome, verdict: Dead, *, now: int) -> None:
        match verdict.reason:
            case "dead_on":
                self.check(outcome.status in way.settings.dead_on, f"{one} died of {outcome}")
            case "payload":
                self.check(outcome.kind == "payload", f"{one} died of {outcome}")
            case "horizon":
                horizon = round(way.settings.retry.horizon_hours * 3_600_000)
                lived = self.running(way, now) - (one.live or 0)
                self.check(
                    lived >= horizon - SLACK_MS or one.loose, f"{one} died after {lived} ms of {horizon}"
                )
                self.check(not (way.probed and way.probed[1] is one and way.held), f"{one} died of an outage")
            case reason:
                self.check(False, f"{one} died: {reason}")

    def _finish(self, one: Delivery, state: str, *, at: int) -> None:
        way = self.ways[one.destination]
        one.state, one.finished_at = state, at
        if one.key is not None:
            released = self.running(way)
            if way.wait and one.failed is not None:
                released = min(released, one.failed + way.wait)
            way.releases.setdefault(one.key, []).append((one.place, released))

    def _standing(self, way: Way, stands: Standing) -> None:
        self.check((stands.paused_at is not None) == way.paused, f"{way.settings.name}: {stands}")
        self.check((stands.held_at is not None) == way.held, f"{way.settings.name}: {stands}")

    def _probe(self, way: Way, claim: Claim) -> None:
        TALLY["probes"] += 1
        one, now = self.of(claim), self.now()
        if one is None:
            return
        if way.probed is not None:
            apart = now - way.probed[0]
            self.check(apart >= LEAST_PROBE_MS - SLACK_MS, f"probes {apart} ms apart")
            _, last, passed_over = way.probed
            left = [other for other in passed_over if other in self.claimable(way.settings.name, due=False)]
            self.check(last is not one or not left, f"{_name(claim)} is probed again, {left[:1]} waits")
        way.probed = now, one, []

    def _half(self, way: Way, claims: Sequence[Claim], room: Room) -> None:
        """Retries and replays take no more than their share while a first attempt waits."""
        if not any(claim.again for claim in claims):
            return
        TALLY["claims of retries"] += 1
        again = sum(claim.again for claim in claims) + sum(
            other.again for other in self.under_way.values() if other.destination == way.settings.name
        )
        share = max(1, way.settings.max_in_flight // 2)
        waiting = [one for one in self.claimable(way.settings.name) if not one.again]
        self.check(
            again <= share or not waiting, f"{again} retries under way in {room}, while {waiting[:1]} waits"
        )

    def _rate(self, way: Way) -> None:
        rate = way.settings.rate_per_second
        way.begun.append(self.now())
        if rate:
            most = max(1.0, rate / 10)
            for index, at in enumerate(way.begun):
                number, allowed = len(way.begun) - index, most + (self.now() - at) * rate / 1000
                self.check(number <= allowed + 0.001, f"{number} attempts in {self.now() - at} ms")

    def _lose_times(self) -> None:
        self.stepped = self._clock.now_ms() - self.now() - self._start
        for one in self.pending():
            one.loose = True
        for way in self.ways.values():
            way.loose = way.loose or way.stopped_now or way.quiet_until > self.now()


def _asked(outcome: Outcome) -> int:
    return 2**62 if outcome.retry_after is not None else 0


def _same_key(one: Claim, other: Claim) -> bool:
    if one.event.id == other.event.id:
        return True
    return one.event.ordering_key is not None and one.event.ordering_key == other.event.ordering_key


def _name(claim: Claim) -> str:
    return f"{claim.event.id[-4:]} attempt {claim.attempt} to {claim.destination}"


def differences(expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> list[str]:
    return [
        f"{key}: {found.get(key)} is stored, not {expected.get(key)}"
        for key in {**expected, **found}
        if expected.get(key) != found.get(key)
    ]
