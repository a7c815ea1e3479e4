-- What was heard of a recording that an engine takes in parts, kept until the job is completed or deleted.
CREATE TABLE parts (
    job_id       TEXT NOT NULL REFERENCES jobs (job_id),
    start_sample INTEGER NOT NULL,  -- of the recording, mono at 16 kHz: the first of the part
    end_sample   INTEGER NOT NULL,  -- the first that is no longer in it
    transcript   TEXT NOT NULL,     -- JSON, its times counted from the start of the part
    PRIMARY KEY (job_id, start_sample)
) STRICT, WITHOUT ROWID;
