-- Whom events are for. The one without a name stands for whoever is configured at a later start: it is configured
-- while nobody else is.
CREATE TABLE webhooks (
    name        TEXT PRIMARY KEY,
    event_types TEXT NOT NULL,               -- JSON: globs, of which one must match
    configured  INTEGER NOT NULL,            -- 1 as of the latest start
    waiting     INTEGER NOT NULL DEFAULT 0,  -- deliveries not yet taken: counted as they change, as there may be very many
    last_status INTEGER,                     -- of its latest attempt; null without an answer
    last_error  TEXT                         -- of its latest attempt; null where that was taken
) STRICT, WITHOUT ROWID;

INSERT INTO webhooks (name, event_types, configured) VALUES ('', '["*"]', 1), ('default', '["*"]', 0);

-- `body` stands last: what is before it is read without it.
CREATE TABLE events (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of writing: within a job, that of its sequence
    webhook_id TEXT NOT NULL UNIQUE,
    job_id     TEXT NOT NULL REFERENCES jobs (job_id),
    sequence   INTEGER NOT NULL,
    step       TEXT NOT NULL,
    written_at INTEGER NOT NULL,                   -- Unix ms
    taken_at   INTEGER,                            -- Unix ms since when no delivery waits; null while one does
    body       TEXT,                               -- null once erased
    UNIQUE (job_id, sequence)
) STRICT;

CREATE INDEX events_waiting ON events (position) WHERE taken_at IS NULL;
CREATE INDEX events_taken ON events (taken_at) WHERE taken_at IS NOT NULL;

CREATE TABLE deliveries (
    event       INTEGER NOT NULL REFERENCES events (position) ON DELETE CASCADE,
    webhook     TEXT NOT NULL REFERENCES webhooks (name),
    job_id      TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,        -- begun, those of before a replay too
    last_status INTEGER,
    last_error  TEXT,
    taken_at    INTEGER,                           -- Unix ms; null while it waits
    PRIMARY KEY (event, webhook)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_waiting ON deliveries (webhook, job_id, event) WHERE taken_at IS NULL;

CREATE TRIGGER delivery_begins AFTER INSERT ON deliveries WHEN NEW.taken_at IS NULL BEGIN
    UPDATE webhooks SET waiting = waiting + 1 WHERE name = NEW.webhook;
END;

CREATE TRIGGER delivery_changes AFTER UPDATE OF taken_at ON deliveries
WHEN (OLD.taken_at IS NULL) <> (NEW.taken_at IS NULL) BEGIN
    UPDATE webhooks SET waiting = waiting + iif(NEW.taken_at IS NULL, 1, -1) WHERE name = NEW.webhook;
END;

CREATE TRIGGER delivery_ends AFTER DELETE ON deliveries WHEN OLD.taken_at IS NULL BEGIN
    UPDATE webhooks SET waiting = waiting - 1 WHERE name = OLD.webhook;
END;

-- The waiting deliveries of one job to one webhook go one at a time: only the first of each lane can be due.
CREATE TABLE lanes (
    webhook         TEXT NOT NULL,
    job_id          TEXT NOT NULL,
    head            INTEGER NOT NULL,              -- the event of its first waiting delivery
    next_attempt_at INTEGER NOT NULL DEFAULT 0,    -- Unix ms
    in_hand         INTEGER NOT NULL DEFAULT 0,    -- 1 while one of its deliveries is on its way
    PRIMARY KEY (webhook, job_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX lanes_due ON lanes (webhook, next_attempt_at, head) WHERE in_hand = 0;
CREATE INDEX lanes_by_head ON lanes (webhook, head);

-- What was tried was tried at the one webhook that there was. What no attempt was made for goes to whoever is configured now.
INSERT INTO events (webhook_id, job_id, sequence, step, written_at, body)
SELECT webhook_id, job_id, sequence, step, written_at, body FROM outbox ORDER BY written_at, sequence;

INSERT INTO deliveries (event, webhook, job_id, attempts)
SELECT position, iif(job_id IN (SELECT job_id FROM outbox WHERE attempts > 0), 'default', ''), job_id, attempts
FROM events JOIN outbox USING (webhook_id, job_id);

INSERT INTO lanes (webhook, job_id, head) SELECT webhook, job_id, min(event) FROM deliveries GROUP BY webhook, job_id;

DROP TABLE outbox;
