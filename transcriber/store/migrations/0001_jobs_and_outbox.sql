-- `data` is the job as the API shows it: what the job's latest event carried, byte for byte. The generated columns only index it.
CREATE TABLE jobs (
    position   INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of acceptance
    job_id     TEXT NOT NULL UNIQUE,
    data       TEXT NOT NULL,
    status     TEXT NOT NULL GENERATED ALWAYS AS (json_extract(data, '$.status')) STORED
               CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'cancelled', 'deleted')),
    user_id    TEXT NOT NULL GENERATED ALWAYS AS (json_extract(data, '$.userId')) STORED,
    changed_at INTEGER NOT NULL,            -- Unix ms of the latest event: no later time may be smaller
    digest     TEXT NOT NULL,               -- of the audio and every field: what makes a repeated job_id the same job
    options    TEXT NOT NULL,               -- JSON
    audio      TEXT,                        -- file name in the audio folder; null once no longer needed
    extension  TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    retry_of   TEXT REFERENCES jobs (job_id),
    attempts   INTEGER NOT NULL DEFAULT 0,  -- begun and not given back
    not_before INTEGER NOT NULL DEFAULT 0,  -- Unix ms: when the next attempt is due
    in_hand    INTEGER NOT NULL DEFAULT 0   -- 1 while a worker of the running process has it
) STRICT;

CREATE INDEX jobs_waiting ON jobs (position) WHERE status IN ('queued', 'processing');
CREATE INDEX jobs_by_status ON jobs (status, position);
CREATE INDEX jobs_by_user ON jobs (user_id, position);
CREATE INDEX jobs_by_audio ON jobs (audio) WHERE audio IS NOT NULL;

CREATE TABLE transcripts (
    job_id TEXT PRIMARY KEY REFERENCES jobs (job_id),
    data   TEXT NOT NULL
) STRICT;

-- Events that were not taken yet. One that was tried (attempts > 0) never changes.
CREATE TABLE outbox (
    webhook_id      TEXT NOT NULL UNIQUE,
    job_id          TEXT NOT NULL REFERENCES jobs (job_id),
    sequence        INTEGER NOT NULL,
    step            TEXT NOT NULL,
    written_at      INTEGER NOT NULL,            -- Unix ms
    body            TEXT NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,  -- begun
    next_attempt_at INTEGER NOT NULL,            -- Unix ms
    PRIMARY KEY (job_id, sequence)
) STRICT, WITHOUT ROWID;

CREATE INDEX outbox_due ON outbox (next_attempt_at);
