"""Lets the next delivery of an ordering key go."""

import sqlite3
from collections.abc import Iterable

from gateway.model import DestinationName
from gateway.store.sqlite import rows
from gateway.store.sqlite.standing import Standings

Key = tuple[DestinationName, str]

# The first of a key that has not yielded becomes due, if it waits: then nothing before it holds it back. Only the
# first can be due already, so that this costs the same however many wait.
PROMOTE = """
UPDATE deliveries SET next_attempt_at = v.column3, running_since = v.column4 FROM (VALUES {rows}) v
WHERE deliveries.id = (
  SELECT o.id FROM deliveries o
  WHERE o.destination = v.column1 AND o.ordering_key = v.column2 AND o.state = 'pending' AND o.yielded = 0
  ORDER BY o.id LIMIT 1
) AND deliveries.next_attempt_at IS NULL AND v.column1 IS NOT 0
RETURNING destination, ordering_key
"""


def promote(db: sqlite3.Connection, keys: Iterable[Key], standings: Standings, *, now: int) -> set[Key]:
    """The keys of which a later delivery became due. `now` in Unix ms."""
    now -= standings.offset_ms
    free = [(name, key, now, now - standings.stopped_ms(name, now=now)) for name, key in keys]
    return {(DestinationName(name), key) for name, key in rows.each(db, PROMOTE, free)}
