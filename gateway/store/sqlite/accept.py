"""Takes events in: dedupe keys, events and deliveries, or the first ones' ids. A group of them at a time."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from gateway.model import (
    Accepted,
    AcceptStatus,
    Claim,
    DeliveryId,
    DestinationName,
    Event,
    EventId,
    Headers,
    value,
)
from gateway.store.sqlite import numbers, rows
from gateway.store.sqlite.dedupe import dedupe_hash
from gateway.store.sqlite.standing import Standings

# CROSS JOIN: from each of the rows to its index entry, not the other way round.
KNOWN = """
SELECT k.source, k.dedupe_key, k.hash, k.body_sha256, k.event_id
FROM (VALUES {rows}) v CROSS JOIN dedupe_keys k
  ON k.hash = v.column3 AND k.source = v.column1 AND k.dedupe_key = v.column2
WHERE v.column1 IS NOT 0
ORDER BY k.number
"""

# OR FAIL: to undo a statement that fails, SQLite would copy each page first. It is undone with its transaction or savepoint:
# nothing may catch its error within. A foreign key, as deliveries have, makes SQLite copy them all the same.
INSERT_KEYS = """
INSERT OR FAIL INTO dedupe_keys (source, dedupe_key, hash, body_sha256, event_id, seen_at)
SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT 0
"""

INSERT_EVENTS = """
INSERT OR FAIL INTO events (seq, id, source, type, dedupe_key, body_sha256, ordering_key, received_at, query, headers, body,
                    unrouted, id_reused, body_authenticated)
SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT 0
"""

# Of which keys an earlier delivery holds back what comes now, and of which an attempt is under way; by their numbers, from 1.
BUSY = """
SELECT
  group_concat(CASE WHEN EXISTS (SELECT 1 FROM deliveries
    WHERE destination = v.column2 AND ordering_key = v.column3 AND state = 'pending' AND yielded = 0
  ) THEN v.column1 END),
  group_concat(CASE WHEN EXISTS (SELECT 1 FROM deliveries
    WHERE destination = v.column2 AND ordering_key = v.column3 AND lease_until IS NOT NULL
  ) THEN v.column1 END)
FROM (VALUES {rows}) v
"""

NEVER = -(2**62)
"""In place of a time that is null in the table."""

INSERT_DELIVERIES = f"""
INSERT INTO deliveries (id, event_seq, destination, ordering_key, queued_at, running_since, next_attempt_at, attempts,
                        leased_at, lease_until)
SELECT column1, column2, column3, column4, column5, column6, nullif(column7, {NEVER}), column8,
       nullif(column9, {NEVER}), nullif(column10, {NEVER})
FROM (VALUES {rows.ROWS}) WHERE column1 IS NOT 0
"""

Key = tuple[str, str, int]
"""Source, dedupe key, and the hash of both."""

quoted = json.encoder.encode_basestring_ascii


@value
class Arrival:
    event: Event
    same_id_is_duplicate: bool
    leases: Mapping[DestinationName, int]
    """Until when a delivery that can go at once is leased, in Unix ms, for the destinations that have room for it."""


@dataclass(slots=True)
class _Delivering:
    """What becomes of the deliveries of one event."""

    claims: list[Claim] = field(default_factory=list)
    due: list[DestinationName] = field(default_factory=list)


def accept(db: sqlite3.Connection, arrivals: Sequence[Arrival]) -> list[Accepted]:
    """All in one transaction, which the caller begins and commits; as if one came after the other."""
    keys = [_keys(one.event) for one in arrivals]
    known, fresh, learned = _sort(db, arrivals, keys)
    events = [arrivals[index].event for index in fresh]
    new_keys = [
        (*key, rows.Blob(event.body_sha256), event.id, event.received_at)
        for index, event in zip(fresh, events, strict=True)
        for key in keys[index]
    ]
    rows.each(db, INSERT_KEYS, [*new_keys, *learned])
    if not fresh:
        return [known[index] for index in range(len(arrivals))]
    seq, next_id = numbers.upcoming(db)
    rows.each(
        db,
        INSERT_EVENTS,
        [
            _event_row(event, seq=seq + n, id_reused=fresh[index])
            for n, (index, event) in enumerate(zip(fresh, events, strict=True))
        ],
        content_bytes=sum(len(event.webhook.body) for event in events),
    )
    delivering = _deliver(db, [arrivals[index] for index in fresh], first_seq=seq, next_id=next_id)
    for (index, id_reused), event, one in zip(fresh.items(), events, delivering, strict=True):
        status: AcceptStatus = "accepted" if event.destinations else "unrouted"
        known[index] = Accepted(event.id, status, id_reused, tuple(one.claims), tuple(one.due))
    return [known[index] for index in range(len(arrivals))]


def headers_to_text(headers: Headers) -> str:
    pairs = [f"[{_name(name)}, {quoted(value.decode('latin-1'))}]" for name, value in headers]
    return f"[{', '.join(pairs)}]"


@lru_cache(maxsize=128)
def _name(name: bytes) -> str:
    """Producers send the same few again and again."""
    return quoted(name.decode("latin-1"))


def headers_from_text(text: str) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(text))


def _sort(
    db: sqlite3.Connection, arrivals: Sequence[Arrival], keys: Sequence[Sequence[Key]]
) -> tuple[dict[int, Accepted], dict[int, bool], list[tuple[object, ...]]]:
    """By their places: the answers to those that are known, and of the others whether their dedupe key is.

    And rows of keys: signatures that were not known, of those that are. They were signed anew, by another secret or with
    another body, and a copy of one is no new event either.
    """
    found: dict[Key, dict[bytes, EventId]] = {}
    for source, dedupe_key, hash_, sha256, event_id in rows.each(db, KNOWN, list(set(chain(*keys)))):
        found.setdefault((source, dedupe_key, hash_), {}).setdefault(sha256, EventId(event_id))
    known: dict[int, Accepted] = {}
    fresh: dict[int, bool] = {}
    learned: list[tuple[object, ...]] = []
    for index, (one, its_keys) in enumerate(zip(arrivals, keys, strict=True)):
        event = one.event
        of_keys = [found.setdefault(key, {}) for key in its_keys]
        bodies = of_keys[0] if event.dedupe_key is not None else {}
        first = bodies.get(event.body_sha256)
        if first is None and bodies and one.same_id_is_duplicate:
            first = next(iter(bodies.values()))
        if first is None and event.signature is not None:
            first = next(iter(of_keys[-1].values()), None)
        if first is not None:
            known[index] = Accepted(first, "duplicate")
            if event.signature is not None and not of_keys[-1]:
                of_keys[-1][event.body_sha256] = first
                learned.append((*its_keys[-1], rows.Blob(event.body_sha256), first, event.received_at))
            continue
        fresh[index] = bool(bodies)
        for others in of_keys:
            others[event.body_sha256] = event.id
    return known, fresh, learned


def _deliver(
    db: sqlite3.Connection, arrivals: Sequence[Arrival], *, first_seq: int, next_id: int
) -> list[_Delivering]:
    """A delivery to each destination that wants the event: leased, due, or waiting for its key."""
    wanted = [(name, one.event.ordering_key) for one in arrivals for name in one.event.destinations]
    queue = _Queue(db, wanted, next_id=next_id)
    delivering = []
    for seq, one in enumerate(arrivals, first_seq):
        of = _Delivering()
        for name in one.event.destinations:
            queue.add(one, name, of=of, seq=seq)
        delivering.append(of)
    rows.each(db, INSERT_DELIVERIES, queue.rows)
    return delivering


class _Queue:
    """The places of new deliveries."""

    def __init__(
        self, db: sqlite3.Connection, wanted: Sequence[tuple[DestinationName, str | None]], *, next_id: int
    ) -> None:
        self.rows: list[tuple[object, ...]] = []
        self._standings = Standings(db)
        self._next_id = next_id
        keys = list({(name, key) for name, key in wanted if key is not None})
        busy = rows.each(db, BUSY, [(number, *key) for number, key in enumerate(keys, 1)])
        self._held_back = {keys[number - 1] for number in rows.numbers([one for one, _ in busy])}
        self._leased = {keys[number - 1] for number in rows.numbers([one for _, one in busy])}

    def add(self, arrival: Arrival, name: DestinationName, *, of: _Delivering, seq: int) -> None:
        event, key = arrival.event, arrival.event.ordering_key
        now = event.received_at - self._standings.offset_ms
        due_at, leased_at, lease_until = now, NEVER, NEVER
        if key is not None and (name, key) in self._held_back:
            due_at = NEVER
        elif not self._standings.stands_still(name, now=now):
            room_until = arrival.leases.get(name)
            if room_until is None or (key is not None and (name, key) in self._leased):
                of.due.append(name)
            else:
                leased_at, lease_until = now, room_until - self._standings.offset_ms
                of.claims.append(_claim(event, name, delivery_id=self._next_id))
        if key is not None:
            self._held_back.add((name, key))
            if lease_until != NEVER:
                self._leased.add((name, key))
        running_since = now - self._standings.stopped_ms(name, now=now)
        attempts = 0 if lease_until == NEVER else 1
        self.rows.append(
            (self._next_id, seq, name, key, now, running_since, due_at, attempts, leased_at, lease_until)
        )
        self._next_id += 1


def _claim(event: Event, name: DestinationName, *, delivery_id: int) -> Claim:
    """Its first attempt."""
    return Claim(
        delivery_id=DeliveryId(delivery_id),
        attempt=1,
        destination=name,
        event=event,
        tries=0,
        again=False,
        queued_at=event.received_at,
        live_since=event.received_at,
    )


def _keys(event: Event) -> list[Key]:
    """What makes another webhook a duplicate of this one: its dedupe key, then its signature, as far as it has them."""
    keys = []
    if event.dedupe_key is not None:
        keys.append((str(event.source), event.dedupe_key))
    if event.signature is not None:  # in a place of its own: no source's name has a colon
        keys.append((f"{event.source}:signature", event.signature.hex()))
    return [(source, key, dedupe_hash(source, key)) for source, key in keys]


def _event_row(event: Event, *, seq: int, id_reused: bool) -> tuple[object, ...]:
    return (
        seq,
        event.id,
        event.source,
        event.type,
        event.dedupe_key,
        rows.Blob(event.body_sha256),
        event.ordering_key,
        event.received_at,
        rows.Blob(event.webhook.query),
        headers_to_text(event.webhook.headers),
        rows.Blob(event.webhook.body),
        int(not event.destinations),
        int(id_reused),
        int(event.body_authenticated),
    )
