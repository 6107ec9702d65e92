-- Alerts that always fire, so that their absence says that monitoring is broken.
CREATE TABLE heartbeats (
	fingerprint    TEXT NOT NULL,
	cluster        TEXT NOT NULL,
	route          TEXT NOT NULL,
	group_key      TEXT NOT NULL, -- a hash
	labels         TEXT NOT NULL, -- JSON
	annotations    TEXT NOT NULL, -- JSON
	external_url   TEXT NOT NULL,
	starts_at      INTEGER,
	first_seen     INTEGER,
	seen_at        INTEGER,
	seen_counted   INTEGER NOT NULL, -- heartbeat_watch.counted then
	resolved_start INTEGER, -- the newest resolve
	resolved_end   INTEGER,
	resolved_at    INTEGER,
	outage         TEXT NOT NULL DEFAULT '', -- the one that lasts
	missing_at     INTEGER,
	PRIMARY KEY (fingerprint, cluster)
) STRICT, WITHOUT ROWID;
CREATE INDEX heartbeats_group ON heartbeats (group_key);

CREATE TABLE heartbeat_outages (
	id            TEXT PRIMARY KEY,
	cluster       TEXT NOT NULL,
	fingerprint   TEXT NOT NULL,
	route         TEXT NOT NULL,
	labels        TEXT NOT NULL, -- JSON
	annotations   TEXT NOT NULL, -- JSON
	external_url  TEXT NOT NULL,
	severity      TEXT NOT NULL,
	cause         TEXT NOT NULL,
	missing_after INTEGER NOT NULL,
	seen_at       INTEGER,
	missing_at    INTEGER NOT NULL,
	returned_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX heartbeat_outages_missing ON heartbeat_outages (missing_at);

-- The time that counts for heartbeats: one row, key 1.
CREATE TABLE heartbeat_watch (
	key     INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	counted INTEGER NOT NULL
) STRICT;
