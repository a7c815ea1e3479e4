"""Whether destinations get their deliveries: what was changed, and whether the store says the same."""

from gateway.model import DestinationName
from gateway.store import Standing, StandingChange
from tests.support.simulation.ledger import TALLY, Ledger
from tests.support.simulation.way import Way


class Standings:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def saw_set_standing(
        self,
        result: Standing,
        destination: DestinationName,
        change: StandingChange,
        *,
        now: int,
        by_hand: bool = False,
    ) -> None:
        del now, by_hand
        way = self._ledger.ways[destination]
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
        stands_so(self._ledger, way, result)
        if way.held and not was_held:
            way.probed, way.held_since = None, self._ledger.now()
        if (was_held or (was_quiet and change == "resume")) and not way.held:
            for one in self._ledger.pending(destination):
                one.not_before = min(one.not_before, self._ledger.now())
        way.loose = way.loose and change != "resume"

    def saw_quiet(self, _: None, destination: DestinationName, *, until: int, now: int) -> None:
        del now
        way = self._ledger.ways[destination]
        TALLY["quiet"] += 1
        way.quiet_until = max(way.quiet_until, self._ledger.steady(until))

    def saw_clock_stepped(self, _: None, by_ms: int) -> None:
        self._ledger.stepped += by_ms
        TALLY["clock stepped"] += 1


def stands_so(ledger: Ledger, way: Way, stands: Standing) -> None:
    ledger.check((stands.paused_at is not None) == way.paused, f"{way.settings.name}: {stands}")
    ledger.check((stands.held_at is not None) == way.held, f"{way.settings.name}: {stands}")
