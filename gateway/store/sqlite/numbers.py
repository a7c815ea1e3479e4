"""Numbers of events and deliveries: ascending in order of acceptance, and never given twice.

A replay's cursor and an attempt's fence rely on that. SQLite by itself gives a number again when the row that had the
highest is deleted.
"""

import sqlite3

NEXT = """
SELECT max(coalesce((SELECT max(seq) FROM events), 0), event_seq) + 1,
  max(coalesce((SELECT max(id) FROM deliveries), 0), delivery_id) + 1
FROM highest
"""

KEEP = "UPDATE highest SET event_seq = :event_seq, delivery_id = :delivery_id"


def upcoming(db: sqlite3.Connection) -> tuple[int, int]:
    """The next event's and the next delivery's."""
    event_seq, delivery_id = db.execute(NEXT).fetchone()
    return event_seq, delivery_id


def keep(db: sqlite3.Connection) -> None:
    """Before rows are deleted."""
    event_seq, delivery_id = upcoming(db)
    db.execute(KEEP, {"event_seq": event_seq - 1, "delivery_id": delivery_id - 1})
