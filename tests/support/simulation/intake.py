"""What the store took in: events, their deliveries, and which of these it leased or called due at once."""

from collections.abc import Mapping, Sequence

from gateway.model import Accepted, Claim, DestinationName, Event
from gateway.store import EventRecord
from tests.support.simulation.course import Course
from tests.support.simulation.delivery import Delivery
from tests.support.simulation.ledger import SLACK_MS, TALLY, Ledger


class Intake:
    def __init__(self, ledger: Ledger, course: Course) -> None:
        self._ledger = ledger
        self._course = course

    def saw_accept(
        self,
        result: Accepted,
        event: Event,
        *,
        same_id_is_duplicate: bool,
        leases: Mapping[DestinationName, int],
    ) -> None:
        known = self._ledger.dedupe.setdefault((event.source, event.dedupe_key), {})
        self._ledger.check(not same_id_is_duplicate, "not simulated")
        if event.body_sha256 in known:
            self._ledger.check(
                result == Accepted(known[event.body_sha256][0], "duplicate"),
                f"{event.id}: {result} of a duplicate",
            )
            return
        status = "accepted" if event.destinations else "unrouted"
        found = (result.event_id, result.status, result.id_reused)
        self._ledger.check(found == (event.id, status, bool(known)), f"{event.id}: {result}, not {status}")
        known[event.body_sha256] = event.id, event.received_at
        self._ledger.events[event.id] = event
        claims = {claim.destination: claim for claim in result.claims}
        self._ledger.check(
            claims.keys() <= leases.keys(), f"{event.id}: {result} where {leases} were asked for"
        )
        for destination in event.destinations:
            self._course.queue(event.id, destination, event.ordering_key, at=event.received_at)
            self._door(destination, claims.get(destination), leases, event, is_due=destination in result.due)

    def saw_unheard(
        self,
        stored: EventRecord | None,
        event: Event,
        *,
        same_id_is_duplicate: bool,
        leases: Mapping[DestinationName, int],
    ) -> None:
        """Its caller was told nothing; what was leased for it is given back."""
        del same_id_is_duplicate
        known = self._ledger.dedupe.setdefault((event.source, event.dedupe_key), {})
        is_fresh = event.body_sha256 not in known
        self._ledger.check((stored is not None) == is_fresh, f"{event.id}: {stored} is stored")
        if stored is None:
            return
        known[event.body_sha256] = event.id, event.received_at
        self._ledger.events[event.id] = event
        attempts = {one.destination: one.attempts for one in stored.deliveries}
        for destination in event.destinations:
            self._course.queue(event.id, destination, event.ordering_key, at=event.received_at)
            number = self._ledger.deliveries[event.id, destination].attempts = attempts[destination]
            TALLY["leased for nobody"] += number
            self._ledger.check(number <= (destination in leases), f"{event.id}: {number} attempts")

    def _door(
        self,
        destination: DestinationName,
        claim: Claim | None,
        leases: Mapping[DestinationName, int],
        event: Event,
        *,
        is_due: bool,
    ) -> None:
        """Whether a delivery was leased, or was said to be due, as it was accepted."""
        way, one = self._ledger.ways[destination], self._ledger.deliveries[event.id, destination]
        if claim is not None:
            TALLY["leased at once"] += 1
            self._ledger.check(
                not way.stopped_now, f"{event.id}: leased for {destination}, which stands still"
            )
            self._ledger.check(
                way.quiet_until <= self._ledger.now() + SLACK_MS or way.loose, f"{destination} is quiet"
            )
            self._ledger.check(not is_due, f"{event.id}: leased and due")
            left = [other for other in self._ledger.claimable(destination) if _is_of(other, way.left)]
            self._ledger.check(not left, f"{event.id}: leased for {destination}, while {left[:1]} waits")
            self._course.lease(way, claim, lease_until=leases[destination])
            return
        if way.stopped_now or way.loose or way.quiet_until > self._ledger.now() - SLACK_MS:
            return
        before = [other for other in self._ledger.of_key(one) if other.place < one.place]
        if not before:  # else it may have to be let pass
            self._ledger.check(is_due, f"{event.id}: nobody was told that {destination} may have it")
            self._ledger.check(destination not in leases, f"{event.id}: not leased for {destination}")


def _is_of(one: Delivery, some: Sequence[Delivery]) -> bool:
    return any(one is other for other in some)
