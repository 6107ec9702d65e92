-- Messages that were sent and show what has changed since: one row for each, whatever number of changes.
CREATE TABLE edits (
	delivery_id  INTEGER PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
	receiver     TEXT NOT NULL,
	version      INTEGER NOT NULL DEFAULT 1, -- of the latest change
	created_at   INTEGER NOT NULL, -- when the first change happened that the message does not show
	next_attempt INTEGER NOT NULL,
	attempts     INTEGER NOT NULL DEFAULT 0, -- in a row that failed
	composing    INTEGER NOT NULL DEFAULT 0, -- its text is being composed, or the process ended meanwhile
	crashes      INTEGER NOT NULL DEFAULT 0, -- compositions in a row that ended with their process
	last_error   TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX edits_due ON edits (next_attempt);

-- A message that was deleted in its chat was sent once more.
ALTER TABLE deliveries ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0;
