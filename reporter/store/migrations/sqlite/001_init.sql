-- Times are microseconds since 1970 UTC; NULL is no time.
CREATE TABLE incidents (
	id           TEXT PRIMARY KEY,
	key          TEXT NOT NULL,
	group_key    TEXT NOT NULL,
	receiver     TEXT NOT NULL,
	external_url TEXT NOT NULL,
	group_labels TEXT NOT NULL, -- JSON
	state        TEXT NOT NULL,
	started_at   INTEGER NOT NULL,
	ended_at     INTEGER,
	close_reason TEXT NOT NULL,
	truncated    INTEGER NOT NULL,
	first_seen   INTEGER,
	last_seen    INTEGER,
	notified     INTEGER NOT NULL,
	sample       INTEGER NOT NULL
) STRICT;
CREATE INDEX incidents_key ON incidents (key, started_at);
CREATE INDEX incidents_state ON incidents (state);
CREATE INDEX incidents_started ON incidents (started_at);
CREATE INDEX incidents_ended ON incidents (ended_at);

CREATE TABLE alerts (
	incident_id   TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	n             INTEGER NOT NULL, -- place in the incident's order
	fingerprint   TEXT NOT NULL,
	starts_at     INTEGER NOT NULL,
	ends_at       INTEGER,
	firing        INTEGER NOT NULL,
	labels        TEXT NOT NULL, -- JSON
	annotations   TEXT NOT NULL, -- JSON
	generator_url TEXT NOT NULL,
	category      TEXT NOT NULL,
	PRIMARY KEY (incident_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_started ON alerts (starts_at);

CREATE TABLE deliveries (
	id           INTEGER PRIMARY KEY AUTOINCREMENT,
	key          TEXT NOT NULL UNIQUE,
	kind         TEXT NOT NULL,
	subject      TEXT NOT NULL,
	receiver     TEXT NOT NULL,
	state        TEXT NOT NULL,
	message      TEXT, -- JSON
	parts        TEXT, -- JSON
	attempts     INTEGER NOT NULL,
	last_error   TEXT NOT NULL,
	created_at   INTEGER,
	next_attempt INTEGER,
	finished_at  INTEGER
) STRICT;
CREATE INDEX deliveries_due ON deliveries (next_attempt) WHERE state = 'pending';

-- One row for each due time of a report that was dealt with.
CREATE TABLE claims (
	report     TEXT NOT NULL,
	due        INTEGER NOT NULL,
	claimed_at INTEGER NOT NULL,
	PRIMARY KEY (report, due)
) STRICT, WITHOUT ROWID;

-- Where a receiver's chat has moved to.
CREATE TABLE addresses (
	receiver TEXT PRIMARY KEY,
	address  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
