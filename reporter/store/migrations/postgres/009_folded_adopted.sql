-- Whether the incident was one of the cluster "default" before its cluster got a name.
ALTER TABLE incidents ADD COLUMN adopted BOOLEAN NOT NULL DEFAULT FALSE;

-- When the alerts began that are no longer kept one by one, so that counts of a window have them.
CREATE TABLE folded_alerts (
	incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	starts_at   BIGINT NOT NULL,
	name        TEXT NOT NULL,
	category    TEXT NOT NULL,
	count       INTEGER NOT NULL,
	PRIMARY KEY (incident_id, starts_at, name, category)
);
CREATE INDEX folded_alerts_started ON folded_alerts (starts_at);
