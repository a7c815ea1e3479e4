"""What a person told the store to do with events."""

from collections.abc import Sequence

from gateway.model import DestinationName, EventId
from gateway.store import Queueing, ReplayRecord
from tests.support.simulation.course import Course
from tests.support.simulation.ledger import Ledger


class Orders:
    def __init__(self, ledger: Ledger, course: Course) -> None:
        self._ledger = ledger
        self._course = course

    def saw_replay(
        self,
        queued: list[DestinationName],
        event_id: EventId,
        destinations: Sequence[DestinationName],
        *,
        now: int,
    ) -> None:
        expected = self._replayed(event_id, destinations, at=now)
        self._ledger.check(queued == expected, f"replay of {event_id}: {queued}, not {expected}")

    def saw_queue_replay(self, done: bool, _: ReplayRecord, queueing: Queueing, *, now: int) -> None:
        if done:
            for event_id, destinations in queueing.events:
                self._replayed(event_id, destinations, at=now)

    def saw_begin_replay(self, _: None, record: ReplayRecord) -> None:
        self._ledger.replays.add(record.id)

    def saw_discard(self, discarded: list[DestinationName], event_id: EventId, *, now: int) -> None:
        pending = [one for one in self._ledger.pending() if one.event == event_id]
        self._ledger.check(
            {one.destination for one in pending} == set(discarded), f"discard of {event_id}: {discarded}"
        )
        for one in pending:
            one.lease = None
            self._course.finish(one, "dead", at=now)

    def saw_erase(self, _: None, event_id: EventId, *, now: int) -> None:
        self._ledger.erased.add(event_id)
        self.saw_discard(
            [one.destination for one in self._ledger.pending() if one.event == event_id], event_id, now=now
        )

    def _replayed(
        self, event_id: EventId, destinations: Sequence[DestinationName], *, at: int
    ) -> list[DestinationName]:
        event = self._ledger.events.get(event_id)
        if event is None or event_id in self._ledger.erased:
            return []
        queued = []
        for destination in destinations:
            one = self._ledger.deliveries.get((event_id, destination))
            if one is None or one.state != "pending":
                self._course.queue(event_id, destination, event.ordering_key, at=at, again=True)
                queued.append(destination)
        return queued
