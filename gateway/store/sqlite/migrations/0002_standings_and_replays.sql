-- Destinations that are paused, held or quiet; replays; erased events.

-- When it stands still, a destination's running time does too: that is what retry horizons and waits for a key count in.
CREATE TABLE destinations (
  name        TEXT    PRIMARY KEY,
  paused_at   INTEGER,
  held_at     INTEGER,
  quiet_until INTEGER,
  stopped_at  INTEGER,                    -- since when it is paused or held
  stopped_ms  INTEGER NOT NULL DEFAULT 0  -- for how long it was before that
) STRICT, WITHOUT ROWID;

CREATE TABLE replays (
  id              TEXT    PRIMARY KEY,
  created_at      INTEGER NOT NULL,
  filter          TEXT    NOT NULL,  -- JSON
  rate_per_second REAL    NOT NULL,
  last_seq        INTEGER NOT NULL,
  matched         INTEGER NOT NULL,
  cursor          INTEGER NOT NULL,
  queued          INTEGER NOT NULL,
  done            INTEGER NOT NULL,
  failed          INTEGER NOT NULL,
  state           TEXT    NOT NULL CHECK (state IN ('running', 'done', 'cancelled'))
) STRICT, WITHOUT ROWID;

-- A row says that this file is a copy that nobody has served from yet.
CREATE TABLE copied (at INTEGER NOT NULL) STRICT;

ALTER TABLE events ADD COLUMN erased_at INTEGER;

-- In running time from now on; the same until a destination is stopped for the first time.
ALTER TABLE deliveries RENAME COLUMN live_since TO running_since;
ALTER TABLE deliveries ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;  -- attempts that count in the retry schedule
ALTER TABLE deliveries ADD COLUMN again INTEGER NOT NULL DEFAULT 0 CHECK (again IN (0, 1));  -- not its first attempt
ALTER TABLE deliveries ADD COLUMN queued_at INTEGER NOT NULL DEFAULT 0;  -- accepted or replayed
ALTER TABLE deliveries ADD COLUMN replay_id TEXT;
UPDATE deliveries SET queued_at = (SELECT received_at FROM events WHERE seq = event_seq),
  tries = (SELECT count(*) FROM attempts WHERE delivery_id = id AND outcome <> 'interrupted');
UPDATE deliveries SET again = 1 WHERE tries > 0;

-- A replayed delivery gets a new id, at the end; its attempts follow it.
CREATE TABLE attempts_2 (
  delivery_id INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE ON UPDATE CASCADE,
  number      INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  outcome     TEXT    NOT NULL,
  status      INTEGER,
  error       TEXT,
  response    BLOB    NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempts_2 SELECT * FROM attempts;
DROP TABLE attempts;
ALTER TABLE attempts_2 RENAME TO attempts;

DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (destination, again, next_attempt_at, id)
  WHERE state = 'pending' AND lease_until IS NULL AND next_attempt_at IS NOT NULL;
DROP INDEX deliveries_leased;
DROP INDEX deliveries_of_key;
CREATE INDEX deliveries_of_key ON deliveries (destination, ordering_key, id)
  WHERE state = 'pending' AND yielded = 0 AND ordering_key IS NOT NULL;
DROP INDEX deliveries_yielding;
CREATE INDEX deliveries_yielding ON deliveries (destination, yields_at)
  WHERE state = 'pending' AND yielded = 0 AND yields_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (event_seq) WHERE state = 'dead';

-- A replayed event is over with the last of its deliveries that the same replay queued.
CREATE TRIGGER deliveries_replayed AFTER UPDATE OF state ON deliveries
WHEN NEW.replay_id IS NOT NULL AND OLD.state = 'pending' AND NEW.state <> 'pending' AND NOT EXISTS (
  SELECT 1 FROM deliveries WHERE event_seq = NEW.event_seq AND replay_id = NEW.replay_id AND state = 'pending'
) BEGIN
  UPDATE replays SET
    done = done + NOT EXISTS (
      SELECT 1 FROM deliveries WHERE event_seq = NEW.event_seq AND replay_id = NEW.replay_id AND state = 'dead'),
    failed = failed + EXISTS (
      SELECT 1 FROM deliveries WHERE event_seq = NEW.event_seq AND replay_id = NEW.replay_id AND state = 'dead')
  WHERE id = NEW.replay_id;
  UPDATE replays SET state = 'done'
  WHERE id = NEW.replay_id AND state = 'running' AND cursor >= last_seq AND done + failed >= matched;
END;
