"""What the store handed out for attempts, and how each of these leases ended."""

from collections.abc import Sequence

from gateway.model import Claim, Dead, Delivered, DestinationName, Outcome, RetryAt, Verdict
from gateway.store import Claimed, Finished, Room
from tests.support.simulation.course import Course
from tests.support.simulation.ledger import SLACK_MS, TALLY, Ledger, name_of
from tests.support.simulation.standings import stands_so
from tests.support.simulation.way import Way


class Leases:
    def __init__(self, ledger: Ledger, course: Course) -> None:
        self._ledger = ledger
        self._course = course

    def saw_claim(
        self,
        result: Claimed,
        destination: DestinationName,
        *,
        room: Room,
        probe: bool,
        now: int,
        lease_until: int,
    ) -> None:
        self._ledger.looks(destination)
        way = self._ledger.ways[destination]
        way.left = []
        self._ledger.check(len(result.claims) <= room.total, f"{len(result.claims)} claims for {room}")
        stands_so(self._ledger, way, result.standing)
        stands = result.standing
        asked = not way.paused and (probe or not way.held)
        quiet_until = max(self._ledger.steady(stands.quiet_until or 0), way.quiet_until - SLACK_MS)
        if asked and quiet_until <= self._ledger.now():
            way.quiet_until = 0  # it is over, and forgotten
        if result.claims:
            self._ledger.check(not way.paused, f"{destination} is paused")
            self._ledger.check(
                way.quiet_until <= self._ledger.now() + SLACK_MS or way.loose, f"{destination} is quiet"
            )
            self._ledger.check(not way.held or (probe and len(result.claims) == 1), f"{destination} is held")
            if way.held:
                way.probe = result.claims[0].delivery_id, result.claims[0].attempt
        for claim in result.claims:
            self._course.lease(way, claim, lease_until=lease_until)
        if way.stopped_now or way.loose or way.quiet_until > self._ledger.now():
            return
        self._half(way, result.claims, room)
        waiting = self._ledger.claimable(destination)
        way.left = waiting
        if len(result.claims) < room.total and not (result.next_at is not None and result.next_at <= now):
            self._ledger.check(not waiting, f"{destination}: {waiting[:1]} is due and was not claimed")

    def saw_record(
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
        way, one = self._ledger.ways[claim.destination], self._ledger.of(claim)
        counts = one is not None and one.lease is not None and one.lease[0] == claim.attempt
        self._ledger.check(
            result.counted == counts, f"{name_of(claim)}: counted {result.counted}, not {counts}"
        )
        if one is None or not counts:
            TALLY["late results"] += 1
            return
        one.lease, one.again = None, True
        if isinstance(verdict, RetryAt):
            self._course.failed(way, one, outcome, verdict, now=now)
            return
        if isinstance(verdict, Dead):
            self._course.died(way, one, outcome, verdict, now=now)
        else:
            self._ledger.check(
                isinstance(verdict, Delivered) and outcome.kind == "success", f"{name_of(claim)}: {outcome}"
            )
        TALLY["delivered" if isinstance(verdict, Delivered) else f"dead, {verdict.reason}"] += 1
        self._course.finish(one, "delivered" if isinstance(verdict, Delivered) else "dead", at=now)

    def saw_give_back(self, _: None, claims: Sequence[Claim], *, now: int) -> None:
        del now
        for claim in claims:
            one = self._ledger.of(claim)
            if one is not None and one.lease is not None and one.lease[0] == claim.attempt:
                one.lease = None

    def saw_end_leases(self, number: int, *, now: int) -> None:
        ended = [
            one
            for one in self._ledger.deliveries.values()
            if one.lease and one.lease[1] <= self._ledger.steady(now)
        ]
        self._ledger.check(len(ended) == number, f"{number} leases ended, not {len(ended)}")
        TALLY["leases lost"] += len(ended)
        for one in ended:
            one.lease = None

    def _half(self, way: Way, claims: Sequence[Claim], room: Room) -> None:
        """Retries and replays take no more than their share while a first attempt waits."""
        if not any(claim.again for claim in claims):
            return
        TALLY["claims of retries"] += 1
        again = sum(claim.again for claim in claims) + sum(
            other.again for other in self._ledger.under_way.values() if other.destination == way.settings.name
        )
        share = max(1, way.settings.max_in_flight // 2)
        waiting = [one for one in self._ledger.claimable(way.settings.name) if not one.again]
        self._ledger.check(
            again <= share or not waiting, f"{again} retries under way in {room}, while {waiting[:1]} waits"
        )
