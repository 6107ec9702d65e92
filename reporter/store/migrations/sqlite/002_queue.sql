-- Alerts are identified by fingerprint and start, which do not move when an earlier one turns up.
CREATE TABLE alerts_by_start (
	incident_id   TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	fingerprint   TEXT NOT NULL,
	starts_at     INTEGER NOT NULL,
	ends_at       INTEGER,
	firing        INTEGER NOT NULL,
	seen_at       INTEGER, -- when it was last received as firing
	presumed_at   INTEGER, -- taken for ended then, though nobody said so
	presumed_why  TEXT NOT NULL DEFAULT '',
	labels        TEXT NOT NULL, -- JSON
	annotations   TEXT NOT NULL, -- JSON
	generator_url TEXT NOT NULL,
	category      TEXT NOT NULL,
	PRIMARY KEY (incident_id, starts_at, fingerprint)
) STRICT, WITHOUT ROWID;
INSERT INTO alerts_by_start (incident_id, fingerprint, starts_at, ends_at, firing, labels, annotations, generator_url, category)
	SELECT incident_id, fingerprint, starts_at, ends_at, firing, labels, annotations, generator_url, category FROM alerts;
DROP TABLE alerts;
ALTER TABLE alerts_by_start RENAME TO alerts;
CREATE INDEX alerts_started ON alerts (starts_at);

CREATE INDEX deliveries_receiver ON deliveries (receiver, id) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (finished_at);

-- What is known of a receiver beside its configuration.
CREATE TABLE receivers (
	receiver     TEXT PRIMARY KEY,
	address      TEXT NOT NULL DEFAULT '', -- where its chat has moved to
	stopped      TEXT NOT NULL DEFAULT ''  -- why it refuses everything
) STRICT, WITHOUT ROWID;
INSERT INTO receivers (receiver, address) SELECT receiver, address FROM addresses;
DROP TABLE addresses;
