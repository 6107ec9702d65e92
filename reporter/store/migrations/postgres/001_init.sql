-- Times are microseconds since 1970 UTC; NULL is no time. Texts are ordered by their bytes, as in SQLite.
CREATE TABLE incidents (
	id           TEXT COLLATE "C" PRIMARY KEY,
	key          TEXT COLLATE "C" NOT NULL,
	group_key    TEXT NOT NULL,
	receiver     TEXT NOT NULL,
	external_url TEXT NOT NULL,
	group_labels TEXT NOT NULL, -- JSON
	state        TEXT NOT NULL,
	started_at   BIGINT NOT NULL,
	ended_at     BIGINT,
	close_reason TEXT NOT NULL,
	truncated    BIGINT NOT NULL,
	first_seen   BIGINT,
	last_seen    BIGINT,
	notified     BOOLEAN NOT NULL,
	sample       BOOLEAN NOT NULL
);
CREATE INDEX incidents_key ON incidents (key, started_at);
CREATE INDEX incidents_state ON incidents (state);
CREATE INDEX incidents_started ON incidents (started_at);
CREATE INDEX incidents_ended ON incidents (ended_at);

CREATE TABLE alerts (
	incident_id   TEXT COLLATE "C" NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	fingerprint   TEXT COLLATE "C" NOT NULL,
	starts_at     BIGINT NOT NULL,
	ends_at       BIGINT,
	firing        BOOLEAN NOT NULL,
	seen_at       BIGINT, -- when it was last received as firing
	presumed_at   BIGINT, -- taken for ended then, though nobody said so
	presumed_why  TEXT NOT NULL DEFAULT '',
	labels        TEXT NOT NULL, -- JSON
	annotations   TEXT NOT NULL, -- JSON
	generator_url TEXT NOT NULL,
	category      TEXT COLLATE "C" NOT NULL,
	PRIMARY KEY (incident_id, starts_at, fingerprint)
);
CREATE INDEX alerts_started ON alerts (starts_at);

CREATE TABLE deliveries (
	id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key          TEXT NOT NULL UNIQUE,
	kind         TEXT NOT NULL,
	subject      TEXT NOT NULL,
	receiver     TEXT NOT NULL,
	state        TEXT NOT NULL,
	message      TEXT, -- JSON
	parts        TEXT, -- JSON
	attempts     BIGINT NOT NULL,
	last_error   TEXT NOT NULL,
	created_at   BIGINT,
	next_attempt BIGINT,
	finished_at  BIGINT
);
CREATE INDEX deliveries_due ON deliveries (next_attempt) WHERE state = 'pending';
CREATE INDEX deliveries_receiver ON deliveries (receiver, id) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (finished_at);

-- One row for each due time of a report that was dealt with.
CREATE TABLE claims (
	report     TEXT NOT NULL,
	due        BIGINT NOT NULL,
	claimed_at BIGINT NOT NULL,
	PRIMARY KEY (report, due)
);

-- What is known of a receiver beside its configuration.
CREATE TABLE receivers (
	receiver     TEXT PRIMARY KEY,
	address      TEXT NOT NULL DEFAULT '', -- where its chat has moved to
	stopped      TEXT NOT NULL DEFAULT '', -- why it refuses everything
	lease_holder TEXT NOT NULL DEFAULT '', -- the process that sends to it
	lease_until  BIGINT NOT NULL DEFAULT 0
);
