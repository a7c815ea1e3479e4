"""The course of a delivery: queued, leased, failed, finished, and what must be true of each."""

from gateway.model import Claim, Dead, DestinationName, EventId, Outcome, RetryAt
from tests.support.simulation.delivery import Delivery
from tests.support.simulation.ledger import SLACK_MS, TALLY, Ledger, name_of
from tests.support.simulation.way import Way

LONGEST_WAIT_MS = 3600 * 1200
"""The last of the waits, with its jitter."""


class Course:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._places = 0

    def queue(
        self,
        event_id: EventId,
        destination: DestinationName,
        key: str | None,
        *,
        at: int,
        again: bool = False,
    ) -> None:
        way = self._ledger.ways[destination]
        before = self._ledger.deliveries.pop((event_id, destination), None)
        TALLY["replayed" if again else "queued"] += 1
        self._places += 1
        self._ledger.routed.add(event_id)
        self._ledger.deliveries[event_id, destination] = Delivery(
            event=event_id,
            destination=destination,
            key=key,
            place=self._places,
            queued=self._ledger.running(way, at),
            again=again,
            attempts=before.attempts if before else 0,
            answered=before.answered if before else 0,
            loose=way.loose,
        )

    def lease(self, way: Way, claim: Claim, *, lease_until: int) -> None:
        one = self._ledger.of(claim)
        if one is None or one.state != "pending":
            self._ledger.check(False, f"an attempt of {name_of(claim)}, which is {one and one.state}")
            return
        self._ledger.check(one.lease is None, f"{name_of(claim)}: claimed while leased")
        self._ledger.check(
            claim.attempt == one.attempts + 1, f"{name_of(claim)} after {one.attempts} attempts"
        )
        self._ledger.check(claim.again == one.again, f"{name_of(claim)}: again {claim.again}")
        early = one.not_before - self._ledger.now()
        self._ledger.check(
            early <= SLACK_MS or one.loose or way.held, f"{name_of(claim)}: {early} ms too early"
        )
        for other in self._ledger.of_key(one):
            self._ledger.check(other.lease is None, f"{name_of(claim)} and {other} are leased at once")
            if other.place < one.place:
                TALLY["yielded"] += 1
                self._ledger.check(
                    self._ledger.yielded(other, margin=-SLACK_MS), f"{name_of(claim)} overtakes {other}"
                )
        one.attempts, one.lease = claim.attempt, (claim.attempt, self._ledger.steady(lease_until))
        if one.live is None:
            one.live = max([one.queued, *self._ledger.releases(way, one)])

    def failed(self, way: Way, one: Delivery, outcome: Outcome, verdict: RetryAt, *, now: int) -> None:
        self._ledger.check(
            outcome.kind not in ("success", "payload"), f"{one} is to be retried after {outcome}"
        )
        self._ledger.check(
            outcome.status not in way.settings.dead_on, f"{one} is to be retried after {outcome}"
        )
        horizon = round(way.settings.retry.horizon_hours * 3_600_000)
        bound = max(LONGEST_WAIT_MS, min(horizon, _asked(outcome)))
        self._ledger.check(
            verdict.at - now <= bound, f"{one}: the next attempt is {verdict.at - now} ms away"
        )
        if way.held and way.probed and way.probed[1] is one:
            self._ledger.check(not verdict.counts, f"{one} pays for the outage")
            others = [
                other for other in self._ledger.claimable(way.settings.name, due=False) if other is not one
            ]
            way.probed = *way.probed[:2], others
        one.not_before = self._ledger.steady(verdict.at)
        if one.failed is None:
            one.failed = self._ledger.running(way, now)

    def died(self, way: Way, one: Delivery, outcome: Outcome, verdict: Dead, *, now: int) -> None:
        match verdict.reason:
            case "dead_on":
                self._ledger.check(outcome.status in way.settings.dead_on, f"{one} died of {outcome}")
            case "payload":
                self._ledger.check(outcome.kind == "payload", f"{one} died of {outcome}")
            case "horizon":
                horizon = round(way.settings.retry.horizon_hours * 3_600_000)
                lived = self._ledger.running(way, now) - (one.live or 0)
                self._ledger.check(
                    lived >= horizon - SLACK_MS or one.loose, f"{one} died after {lived} ms of {horizon}"
                )
                self._ledger.check(
                    not (way.probed and way.probed[1] is one and way.held), f"{one} died of an outage"
                )
            case reason:
                self._ledger.check(False, f"{one} died: {reason}")

    def finish(self, one: Delivery, state: str, *, at: int) -> None:
        way = self._ledger.ways[one.destination]
        one.state, one.finished_at = state, at
        if one.key is not None:
            released = self._ledger.running(way)
            if way.wait and one.failed is not None:
                released = min(released, one.failed + way.wait)
            way.releases.setdefault(one.key, []).append((one.place, released))


def _asked(outcome: Outcome) -> int:
    return 2**62 if outcome.retry_after is not None else 0
