"""Takes an event in: dedupe key, event and deliveries, or the first one's id."""

import json
import sqlite3

from gateway.model import Accepted, DestinationName, Event, EventId, Headers, ReplayId
from gateway.store.sqlite.standing import STOPPED_MS

# One with the same body first.
KNOWN = """
SELECT event_id, body_sha256 = :body_sha256 AS same_body FROM dedupe_keys
WHERE source = :source AND dedupe_key = :dedupe_key ORDER BY same_body DESC LIMIT 1
"""

INSERT_KEY = """
INSERT INTO dedupe_keys (source, dedupe_key, body_sha256, event_id, seen_at)
VALUES (:source, :dedupe_key, :body_sha256, :id, :received_at)
"""

INSERT_EVENT = """
INSERT INTO events (id, source, type, dedupe_key, body_sha256, ordering_key, received_at, query, headers, body,
                    unrouted, id_reused)
VALUES (:id, :source, :type, :dedupe_key, :body_sha256, :ordering_key, :received_at, :query, :headers, :body,
        :unrouted, :id_reused)
"""

# Due at once, unless an earlier delivery of the same key still holds it back.
INSERT_DELIVERY = f"""
INSERT INTO deliveries (event_seq, destination, ordering_key, again, replay_id, queued_at, running_since, next_attempt_at)
VALUES (:seq, :destination, :ordering_key, :again, :replay_id, :now, :now - {STOPPED_MS}, CASE WHEN EXISTS (
  SELECT 1 FROM deliveries
  WHERE destination = :destination AND ordering_key = :ordering_key AND state = 'pending' AND yielded = 0
) THEN NULL ELSE :now END)
"""


def accept(db: sqlite3.Connection, event: Event, *, same_id_is_duplicate: bool) -> Accepted:
    row = _row(event)
    reused = False
    if event.dedupe_key is not None:
        known = db.execute(KNOWN, row).fetchone()
        if known is not None and (known[1] or same_id_is_duplicate):
            return Accepted(EventId(known[0]), "duplicate")
        reused = known is not None
        db.execute(INSERT_KEY, row)
    seq = db.execute(INSERT_EVENT, {**row, "id_reused": reused}).lastrowid
    for destination in event.destinations:
        insert_delivery(
            db, seq=seq, destination=destination, ordering_key=event.ordering_key, now=event.received_at
        )
    return Accepted(event.id, "accepted" if event.destinations else "unrouted", id_reused=reused)


def headers_to_text(headers: Headers) -> str:
    return json.dumps([[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers])


def headers_from_text(text: str) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(text))


def insert_delivery(
    db: sqlite3.Connection,
    *,
    seq: int | None,
    destination: DestinationName,
    ordering_key: str | None,
    now: int,
    again: bool = False,
    replay_id: ReplayId | None = None,
) -> None:
    row = {
        "seq": seq,
        "destination": destination,
        "ordering_key": ordering_key,
        "again": again,
        "replay_id": replay_id,
        "now": now,
    }
    db.execute(INSERT_DELIVERY, row)


def _row(event: Event) -> dict[str, object]:
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "dedupe_key": event.dedupe_key,
        "body_sha256": event.body_sha256,
        "ordering_key": event.ordering_key,
        "received_at": event.received_at,
        "query": event.webhook.query,
        "headers": headers_to_text(event.webhook.headers),
        "body": event.webhook.body,
        "unrouted": not event.destinations,
    }
