"""What should be in the store, kept in plain Python beside it, and what was found wrong.

Times are ms of the simulation's own steady clock, which nobody sets; a destination's running time is that without the
time it was paused or held.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from gateway.config import Destination
from gateway.model import Claim, DestinationName, Event, EventId
from tests.support.clock import ManualClock
from tests.support.simulation.delivery import Delivery, Key
from tests.support.simulation.way import Way

SLACK_MS = 5

TALLY: Counter[str] = Counter()
"""What happened in all histories of this process: a promise that nothing tried is not kept, only unbroken."""


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
        self.routed: set[EventId] = set()
        """Events that were ever queued for a destination."""
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

    def looks(self, destination: DestinationName) -> None:
        """Its lane, for work."""
        self.ways[destination].looked_at = self.changes, self.now()

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
            and not any(other.lease for other in self.of_key(one))
            and all(
                self.yielded(other, margin=SLACK_MS) for other in self.of_key(one) if other.place < one.place
            )
        ]

    def of_key(self, one: Delivery) -> list[Delivery]:
        """The others that wait with its key."""
        if one.key is None:
            return []
        return [
            other
            for other in self.pending(one.destination)
            if other.key == one.key and other.event != one.event
        ]

    def yielded(self, other: Delivery, *, margin: int) -> bool:
        """Whether it lets those behind it pass, for at least `margin` ms."""
        way = self.ways[other.destination]
        if not way.wait or other.failed is None:
            return False
        if other.loose:
            return margin < 0
        return self.running(way) - other.failed >= way.wait + margin

    def releases(self, way: Way, one: Delivery) -> Iterator[int]:
        """When those before it let it pass, in running time."""
        if one.key is None:
            return
        yield from (at for place, at in way.releases.get(one.key, ()) if place < one.place)
        for other in self.of_key(one):
            if other.place < one.place and other.failed is not None:
                yield other.failed + way.wait

    def _lose_times(self) -> None:
        self.stepped = self._clock.now_ms() - self.now() - self._start
        for one in self.pending():
            one.loose = True
        for way in self.ways.values():
            way.loose = way.loose or way.stopped_now or way.quiet_until > self.now()


def name_of(claim: Claim) -> str:
    return f"{claim.event.id[-4:]} attempt {claim.attempt} to {claim.destination}"
