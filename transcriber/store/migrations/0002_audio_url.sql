-- Where a recording is yet to be fetched from; null once it is stored, or its job deleted. Until then `audio` is null,
-- `extension` empty and `size_bytes` 0.
ALTER TABLE jobs ADD COLUMN audio_url TEXT;

-- Apart, those that wait for their recordings and those that have them.
DROP INDEX jobs_waiting;
CREATE INDEX jobs_waiting ON jobs ((audio IS NULL), position) WHERE status IN ('queued', 'processing');
