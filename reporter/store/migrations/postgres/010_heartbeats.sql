-- Alerts that always fire, so that their absence says that monitoring is broken.
CREATE TABLE heartbeats (
	fingerprint    TEXT COLLATE "C" NOT NULL,
	cluster        TEXT COLLATE "C" NOT NULL,
	route          TEXT NOT NULL,
	group_key      TEXT COLLATE "C" NOT NULL, -- a hash
	labels         TEXT NOT NULL, -- JSON
	annotations    TEXT NOT NULL, -- JSON
	external_url   TEXT NOT NULL,
	starts_at      BIGINT,
	first_seen     BIGINT,
	seen_at        BIGINT,
	seen_counted   BIGINT NOT NULL, -- heartbeat_watch.counted then
	resolved_start BIGINT, -- the newest resolve
	resolved_end   BIGINT,
	resolved_at    BIGINT,
	outage         TEXT NOT NULL DEFAULT '', -- the one that lasts
	missing_at     BIGINT,
	PRIMARY KEY (fingerprint, cluster)
);
CREATE INDEX heartbeats_group ON heartbeats (group_key);

CREATE TABLE heartbeat_outages (
	id            TEXT COLLATE "C" PRIMARY KEY,
	cluster       TEXT NOT NULL,
	fingerprint   TEXT NOT NULL,
	route         TEXT NOT NULL,
	labels        TEXT NOT NULL, -- JSON
	annotations   TEXT NOT NULL, -- JSON
	external_url  TEXT NOT NULL,
	severity      TEXT NOT NULL,
	cause         TEXT NOT NULL,
	missing_after BIGINT NOT NULL,
	seen_at       BIGINT,
	missing_at    BIGINT NOT NULL,
	returned_at   BIGINT
);
CREATE INDEX heartbeat_outages_missing ON heartbeat_outages (missing_at);

-- The time that counts for heartbeats: one row, key 1.
CREATE TABLE heartbeat_watch (
	key     BIGINT PRIMARY KEY,
	at      BIGINT NOT NULL,
	counted BIGINT NOT NULL
);
