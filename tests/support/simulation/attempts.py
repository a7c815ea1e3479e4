"""The attempts that the lanes make, and those that they should have made."""

from gateway.model import Claim, DestinationName, Outcome
from gateway.pace import is_down
from tests.support.simulation.ledger import SLACK_MS, TALLY, Ledger, name_of
from tests.support.simulation.way import Way

LEAST_PROBE_MS, MOST_PROBE_MS = 1_000, 30_000


class Attempts:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def began(self, claim: Claim) -> None:
        """An attempt."""
        way = self._ledger.ways[claim.destination]
        for other in self._ledger.under_way.values():
            if other.destination == claim.destination and _same_key(other, claim):
                held = (
                    (one := self._ledger.of(other)) is not None
                    and one.lease is not None
                    and one.lease[0] == other.attempt
                )
                self._ledger.check(
                    not held, f"two attempts of one key under way: {name_of(other)} and {name_of(claim)}"
                )
        TALLY["attempts"] += 1
        self._ledger.under_way[claim.delivery_id, claim.attempt] = claim
        number = sum(other.destination == claim.destination for other in self._ledger.under_way.values())
        self._ledger.check(
            number <= way.settings.max_in_flight, f"{number} attempts of {claim.destination} under way"
        )
        self._rate(way)
        if way.probe == (claim.delivery_id, claim.attempt):
            self._probe(way, claim)

    def abandoned(self, claim: Claim) -> None:
        TALLY["attempts cut off"] += 1
        self._ledger.under_way.pop((claim.delivery_id, claim.attempt), None)

    def answered(self, claim: Claim, outcome: Outcome) -> None:
        self._ledger.changes += 1
        self._ledger.under_way.pop((claim.delivery_id, claim.attempt), None)
        way = self._ledger.ways[claim.destination]
        way.tried_at = self._ledger.now()
        if outcome.kind == "success":
            way.last.clear()
            way.since.clear()
            if one := self._ledger.of(claim):
                one.answered += 1
        elif outcome.kind == "payload":  # nothing was sent: it was no probe
            way.probed = None
        else:
            seen = (claim.event.ordering_key or claim.delivery_id, is_down(outcome))
            way.last.append(seen)
            way.since.append(seen)

    def stepped_lane(self, destination: DestinationName) -> None:
        """The lane has taken all it could, unless something has happened since it looked."""
        way = self._ledger.ways[destination]
        if way.looked_at != (self._ledger.changes, self._ledger.now()):
            return
        busy = any(one.destination == destination for one in self._ledger.under_way.values())
        if busy or way.paused or way.loose or way.quiet_until > self._ledger.now():
            return
        if way.held:
            waited = self._ledger.now() - max(way.tried_at, way.held_since)
            if waited > MOST_PROBE_MS + SLACK_MS:
                self._ledger.check(
                    not self._ledger.claimable(destination, due=False),
                    f"{destination}: no probe for {waited} ms",
                )
            return
        if way.is_down(way.since):
            self._ledger.check(False, f"{destination} is down and not held")
        rate = way.settings.rate_per_second
        if rate and way.begun and self._ledger.now() - way.begun[-1] < 3000 / rate:
            return
        if waiting := self._ledger.claimable(destination):
            self._ledger.check(False, f"{destination}: nothing under way though {waiting[0]} is due")

    def _probe(self, way: Way, claim: Claim) -> None:
        TALLY["probes"] += 1
        one, now = self._ledger.of(claim), self._ledger.now()
        if one is None:
            return
        if way.probed is not None:
            apart = now - way.probed[0]
            self._ledger.check(apart >= LEAST_PROBE_MS - SLACK_MS, f"probes {apart} ms apart")
            _, last, passed_over = way.probed
            left = [
                other
                for other in passed_over
                if other in self._ledger.claimable(way.settings.name, due=False)
            ]
            self._ledger.check(
                last is not one or not left, f"{name_of(claim)} is probed again, {left[:1]} waits"
            )
        way.probed = now, one, []

    def _rate(self, way: Way) -> None:
        rate = way.settings.rate_per_second
        way.begun.append(self._ledger.now())
        if rate:
            most = max(1.0, rate / 10)
            for index, at in enumerate(way.begun):
                number, allowed = len(way.begun) - index, most + (self._ledger.now() - at) * rate / 1000
                self._ledger.check(
                    number <= allowed + 0.001, f"{number} attempts in {self._ledger.now() - at} ms"
                )


def _same_key(one: Claim, other: Claim) -> bool:
    if one.event.id == other.event.id:
        return True
    return one.event.ordering_key is not None and one.event.ordering_key == other.event.ordering_key
