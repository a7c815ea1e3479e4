"""What the store's file says, read as another program would, against what the ledger says."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.model import DestinationName, EventId
from tests.support.simulation.ledger import SLACK_MS, Ledger

DELIVERIES = """
SELECT e.id, d.destination, d.state, d.attempts, d.lease_until IS NOT NULL, d.again, d.id, d.next_attempt_at + offset_ms
FROM deliveries d JOIN events e ON e.seq = d.event_seq, clock ORDER BY d.id
"""

ATTEMPTS = """
SELECT e.id, d.destination, a.number
FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN events e ON e.seq = d.event_seq
ORDER BY a.delivery_id, a.number
"""

NUMBERS = """
SELECT 'event', seq, id, NULL FROM events
UNION ALL
SELECT 'delivery', d.id, e.id, d.destination FROM deliveries d JOIN events e ON e.seq = d.event_seq
"""

COUNTED = "SELECT destination, state, n FROM delivery_counts WHERE n <> 0"

COUNTS = "SELECT destination, state, count(*) FROM deliveries GROUP BY destination, state"

KEYS = "SELECT source, dedupe_key, body_sha256 FROM dedupe_keys"


class Reality:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
        self._named: dict[tuple[str, int], tuple[EventId, DestinationName | None]] = {}
        """What a number was given to."""

    def close(self) -> None:
        self._connection.close()

    def events(self) -> set[EventId]:
        return {event_id for (event_id,) in self._all("SELECT id FROM events")}

    def deliveries(self) -> set[tuple[EventId, DestinationName]]:
        return {(event_id, destination) for event_id, destination, *_ in self._all(DELIVERIES)}

    def keys(self) -> set[tuple[Any, ...]]:
        return set(self._all(KEYS))

    def compare(self, ledger: Ledger) -> list[str]:
        """What is in one and not in the other."""
        rows = self._all(DELIVERIES)
        found = {(event_id, destination): columns for event_id, destination, *columns in rows}
        expected = {
            key: [one.state, one.attempts, one.lease is not None, one.again]
            for key, one in ledger.deliveries.items()
        }
        faults = _differences(expected, {key: columns[:4] for key, columns in found.items()})
        if faults:
            return faults
        places = [ledger.deliveries[event_id, destination].place for event_id, destination, *_ in rows]
        if places != sorted(places):
            faults.append(f"queued in the order {places}")
        if self.events() != set(ledger.events):
            faults.append(f"events lost or invented: {self.events() ^ set(ledger.events)}")
        faults += _differences(_numbers(ledger), self._numbers())
        faults += self._given_twice()
        faults += _differences(dict(self._pairs(COUNTS)), dict(self._pairs(COUNTED)))
        if ledger.in_step():
            faults += self._late(ledger, found)
        return faults

    def _late(self, ledger: Ledger, found: dict[Any, Any]) -> list[str]:
        """Deliveries whose next attempt is further away than what was decided of them."""
        late = []
        for key, (*_, at) in found.items():
            one = ledger.deliveries[key]
            if at is None or one.loose or ledger.ways[one.destination].held:
                continue  # the end of a hold makes all of it due
            by = ledger.steady(at) - max(one.not_before, ledger.now())
            if by > SLACK_MS:
                late.append(f"{one} is due {by} ms too late")
        return late

    def _given_twice(self) -> list[str]:
        """Numbers of events and deliveries that were another's before, be it that one which is gone."""
        faults = []
        for kind, number, *of in self._all(NUMBERS):
            first = self._named.setdefault((kind, number), (*of,))
            if first != (*of,):
                faults.append(f"{kind} {number} is {of}, and was {first}")
        return faults

    def _numbers(self) -> dict[Any, list[int]]:
        numbers: dict[Any, list[int]] = {}
        for event_id, destination, number in self._all(ATTEMPTS):
            numbers.setdefault((event_id, destination), []).append(number)
        return numbers

    def _pairs(self, sql: str) -> list[tuple[Any, int]]:
        return [((destination, state), number) for destination, state, number in self._all(sql)]

    def _all(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()


def _numbers(ledger: Ledger) -> dict[Any, list[int]]:
    """Every attempt from 1 on, but the one under way."""
    return {
        key: numbers
        for key, one in ledger.deliveries.items()
        if (numbers := list(range(1, one.attempts + 1 - (one.lease is not None))))
    }


def _differences(expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> list[str]:
    return [
        f"{key}: {found.get(key)} is stored, not {expected.get(key)}"
        for key in {**expected, **found}
        if expected.get(key) != found.get(key)
    ]
