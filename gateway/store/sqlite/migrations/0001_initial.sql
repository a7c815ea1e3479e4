-- Events as accepted, their deliveries, and the attempts made. Times are Unix milliseconds.

CREATE TABLE events (
  seq          INTEGER PRIMARY KEY,      -- the order of acceptance
  id           TEXT    NOT NULL UNIQUE,  -- evt_…
  source       TEXT    NOT NULL,
  type         TEXT,
  dedupe_key   TEXT,                     -- null: its source has no duplicates
  body_sha256  BLOB    NOT NULL,
  ordering_key TEXT,
  received_at  INTEGER NOT NULL,
  query        BLOB    NOT NULL,
  headers      TEXT    NOT NULL,         -- JSON: [[name, value], …], bytes as Latin-1
  body         BLOB    NOT NULL,
  unrouted     INTEGER NOT NULL CHECK (unrouted IN (0, 1)),
  id_reused    INTEGER NOT NULL CHECK (id_reused IN (0, 1))
) STRICT;

CREATE INDEX events_unrouted ON events (received_at) WHERE unrouted = 1;

-- What makes a webhook a duplicate. A table of its own, because keys outlive the events.
CREATE TABLE dedupe_keys (
  source      TEXT    NOT NULL,
  dedupe_key  TEXT    NOT NULL,
  body_sha256 BLOB    NOT NULL,
  event_id    TEXT    NOT NULL,
  seen_at     INTEGER NOT NULL,
  PRIMARY KEY (source, dedupe_key, body_sha256)
) STRICT, WITHOUT ROWID;

CREATE INDEX dedupe_keys_seen ON dedupe_keys (seen_at);

CREATE TABLE deliveries (
  id              INTEGER PRIMARY KEY,   -- ascending in order of acceptance
  event_seq       INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
  destination     TEXT    NOT NULL,
  ordering_key    TEXT,
  state           TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
  attempts        INTEGER NOT NULL DEFAULT 0,
  next_attempt_at INTEGER,               -- null: waits for its ordering key, or is over
  live_since      INTEGER,               -- the retry horizon counts from here
  leased_at       INTEGER,
  lease_until     INTEGER,               -- null: nobody works on it
  yields_at       INTEGER,               -- when it lets later deliveries of its key pass; null: not before it is over
  yielded         INTEGER NOT NULL DEFAULT 0 CHECK (yielded IN (0, 1)),
  last_status     INTEGER,
  last_error      TEXT,
  dead_reason     TEXT,
  finished_at     INTEGER,
  UNIQUE (event_seq, destination)
) STRICT;

CREATE INDEX deliveries_due ON deliveries (destination, next_attempt_at, id)
  WHERE state = 'pending' AND lease_until IS NULL AND next_attempt_at IS NOT NULL;
CREATE INDEX deliveries_of_key ON deliveries (destination, ordering_key, id)
  WHERE state = 'pending' AND ordering_key IS NOT NULL;
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX deliveries_leased_key ON deliveries (destination, ordering_key) WHERE lease_until IS NOT NULL;
CREATE INDEX deliveries_yielding ON deliveries (yields_at) WHERE state = 'pending' AND yielded = 0 AND yields_at IS NOT NULL;
CREATE INDEX deliveries_pending ON deliveries (destination, id) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (state, finished_at) WHERE state <> 'pending';

CREATE TABLE attempts (
  delivery_id INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
  number      INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  outcome     TEXT    NOT NULL,
  status      INTEGER,
  error       TEXT,
  response    BLOB    NOT NULL,
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- How many deliveries are in each state, kept by triggers, so that asking costs the same however many there are.
CREATE TABLE delivery_counts (
  destination TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  n           INTEGER NOT NULL,
  PRIMARY KEY (destination, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER deliveries_inserted AFTER INSERT ON deliveries BEGIN
  INSERT INTO delivery_counts (destination, state, n) VALUES (NEW.destination, NEW.state, 1)
    ON CONFLICT (destination, state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER deliveries_deleted AFTER DELETE ON deliveries BEGIN
  UPDATE delivery_counts SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
END;

CREATE TRIGGER deliveries_moved AFTER UPDATE OF state ON deliveries WHEN NEW.state <> OLD.state BEGIN
  UPDATE delivery_counts SET n = n - 1 WHERE destination = OLD.destination AND state = OLD.state;
  INSERT INTO delivery_counts (destination, state, n) VALUES (NEW.destination, NEW.state, 1)
    ON CONFLICT (destination, state) DO UPDATE SET n = n + 1;
END;
