-- What people asked the Alertmanager of an incident to silence: a row before the cluster is asked, so that it is asked once.
CREATE TABLE silences (
	id          TEXT PRIMARY KEY, -- ours, which the silence's comment in the cluster names
	incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	cluster     TEXT NOT NULL,
	author_kind TEXT NOT NULL,
	author_id   TEXT NOT NULL DEFAULT '',
	author      TEXT NOT NULL,
	matchers    TEXT NOT NULL, -- JSON
	starts_at   INTEGER NOT NULL,
	ends_at     INTEGER NOT NULL,
	state       TEXT NOT NULL, -- pending, active, ending, ended, failed
	api_id      TEXT NOT NULL DEFAULT '', -- the cluster's; '' if it is not known
	ended_at    INTEGER,
	ended_by    TEXT NOT NULL DEFAULT '',
	error       TEXT NOT NULL DEFAULT '',
	attempts    INTEGER NOT NULL DEFAULT 0,
	next_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX silences_incident ON silences (incident_id, starts_at);
CREATE INDEX silences_due ON silences (next_at) WHERE state IN ('pending', 'active', 'ending');
