-- Whether a changed body would have been noticed: 0 where the producer does not sign it.
ALTER TABLE events ADD COLUMN body_authenticated INTEGER NOT NULL DEFAULT 1 CHECK (body_authenticated IN (0, 1));
