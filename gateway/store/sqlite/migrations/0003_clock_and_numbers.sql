-- Clock steps in one row; numbers that are never given twice.

-- What waits is kept in store time: the wall clock's, less all by which that was set since the store was made. These
-- are the times of pending deliveries (next_attempt_at, running_since, yields_at, queued_at, leased_at, lease_until)
-- and of destinations. What has happened (received_at, seen_at, started_at, finished_at) is Unix time for good.
CREATE TABLE clock (offset_ms INTEGER NOT NULL) STRICT;
INSERT INTO clock (offset_ms) VALUES (0);

-- The highest that were given before the rows that had them were deleted.
CREATE TABLE highest (event_seq INTEGER NOT NULL, delivery_id INTEGER NOT NULL) STRICT;
INSERT INTO highest (event_seq, delivery_id) VALUES (0, 0);
