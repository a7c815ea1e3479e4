-- Who is next, what was tried, how many there are, and how long they are kept.

-- Every attempt at a job that is not deleted, the newest of them only where there are many.
CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of all attempts
    job_id     TEXT NOT NULL REFERENCES jobs (job_id),
    number     INTEGER NOT NULL,                   -- of the job's attempts, from 1
    engine     TEXT NOT NULL,
    started_at INTEGER NOT NULL,                   -- Unix ms
    ended_at   INTEGER,                            -- Unix ms; null while it runs, and where nobody saw its end
    outcome    TEXT CHECK (outcome IN ('fetched', 'completed', 'failed', 'postponed', 'stopped', 'interrupted')),  -- null while it runs
    code       TEXT,
    message    TEXT,
    retry_at   INTEGER,                            -- Unix ms: not before then is the job tried again
    UNIQUE (job_id, number)
) STRICT;

-- Rate limits outlive the process that met them.
CREATE TABLE engine_pauses (
    engine       TEXT PRIMARY KEY,
    paused_until INTEGER NOT NULL  -- Unix ms
) STRICT;

ALTER TABLE jobs ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;    -- id of its latest attempt; 0 before the first
ALTER TABLE jobs ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;  -- position of the job that it was last put behind
ALTER TABLE jobs ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;  -- in a row: attempts during which the process died
UPDATE jobs SET in_hand = 0 WHERE status <> 'processing';

DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs ((audio IS NULL), user_id, not_before, behind)
    WHERE status IN ('queued', 'processing') AND in_hand = 0;
CREATE INDEX jobs_in_hand ON jobs (user_id) WHERE in_hand = 1;
CREATE INDEX jobs_by_turn ON jobs (user_id, turn);

-- Of a job that is over the latest event is that of its end, or of its deletion.
CREATE INDEX jobs_over ON jobs (changed_at) WHERE status IN ('completed', 'failed', 'cancelled');
CREATE INDEX jobs_deleted ON jobs (changed_at) WHERE status = 'deleted';
CREATE INDEX jobs_by_retry ON jobs (retry_of) WHERE retry_of IS NOT NULL;

-- How many jobs there are of each status: counting them would take longer the more are kept.
CREATE TABLE job_counts (
    status TEXT PRIMARY KEY,
    jobs   INTEGER NOT NULL
) STRICT;

INSERT INTO job_counts (status, jobs)
SELECT value, (SELECT count(*) FROM jobs WHERE status = value)
FROM json_each('["queued", "processing", "completed", "failed", "cancelled", "deleted"]');

CREATE TRIGGER job_counted AFTER INSERT ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER job_recounted AFTER UPDATE ON jobs WHEN NEW.status <> OLD.status BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;
    UPDATE job_counts SET jobs = jobs + 1 WHERE status = NEW.status;
END;

CREATE TRIGGER job_uncounted AFTER DELETE ON jobs BEGIN
    UPDATE job_counts SET jobs = jobs - 1 WHERE status = OLD.status;
END;
