-- Keys of duplicates in the order in which they were seen, found by a number of eight bytes. An index on the keys
-- themselves is ten times as long, so that with a million of them each new one dirties a page of its own.

CREATE TABLE dedupe_keys_2 (
  number      INTEGER PRIMARY KEY,  -- ascending in the order of acceptance
  source      TEXT    NOT NULL,
  dedupe_key  TEXT    NOT NULL,
  hash        INTEGER NOT NULL,     -- of both; others may have the same
  body_sha256 BLOB    NOT NULL,
  event_id    TEXT    NOT NULL,
  seen_at     INTEGER NOT NULL
) STRICT;
INSERT INTO dedupe_keys_2 (source, dedupe_key, hash, body_sha256, event_id, seen_at)
SELECT source, dedupe_key, dedupe_hash(source, dedupe_key), body_sha256, event_id, seen_at
FROM dedupe_keys ORDER BY seen_at, event_id;
DROP TABLE dedupe_keys;
ALTER TABLE dedupe_keys_2 RENAME TO dedupe_keys;
CREATE INDEX dedupe_keys_hash ON dedupe_keys (hash);
