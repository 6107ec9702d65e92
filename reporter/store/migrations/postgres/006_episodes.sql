-- Keys are hashes, so that they may be of any length: the program computes them again. Incidents belong to a cluster and a
-- route, and keep what follows from alerts that are not read at each update.
ALTER TABLE incidents
	ADD COLUMN cluster     TEXT COLLATE "C" NOT NULL DEFAULT 'default',
	ADD COLUMN route       TEXT NOT NULL DEFAULT '',
	ADD COLUMN alert_count BIGINT NOT NULL DEFAULT 0,
	ADD COLUMN folded      TEXT NOT NULL DEFAULT '[]', -- JSON: alerts that are no longer kept one by one
	ADD COLUMN last_end    BIGINT,
	ADD COLUMN last_why    TEXT NOT NULL DEFAULT '',
	ADD COLUMN held        BOOLEAN NOT NULL DEFAULT false;
UPDATE incidents SET last_end = ended_at, last_why = close_reason,
	alert_count = (SELECT count(*) FROM alerts a WHERE a.incident_id = incidents.id);

-- What was received of an episode, and when: resolves is JSON, [[ends_at, first received, last received], …]. ends_at is NULL
-- while it is firing, and only then.
ALTER TABLE alerts
	ADD COLUMN resolves     TEXT NOT NULL DEFAULT '[]',
	ADD COLUMN confirmed_at BIGINT,
	ADD COLUMN dismissed_at BIGINT,
	ADD COLUMN doubtful     BOOLEAN NOT NULL DEFAULT false,
	ADD COLUMN links        TEXT NOT NULL DEFAULT '[]'; -- JSON
UPDATE alerts SET resolves = '[[' || ends_at || ',' || received || ',' || received || ']]'
	FROM (SELECT id, COALESCE(last_seen, ended_at, started_at) AS received FROM incidents) i
	WHERE i.id = incident_id AND NOT firing AND ends_at IS NOT NULL;
UPDATE alerts SET ends_at = presumed_at WHERE firing AND presumed_at IS NOT NULL AND (seen_at IS NULL OR seen_at <= presumed_at);
UPDATE alerts SET firing = FALSE, ends_at = COALESCE((SELECT i.ended_at FROM incidents i WHERE i.id = incident_id), starts_at)
	WHERE ends_at IS NULL AND incident_id IN (SELECT id FROM incidents WHERE state = 'resolved');
UPDATE alerts SET firing = FALSE, ends_at = (SELECT min(b.starts_at) FROM alerts b
		WHERE b.incident_id = alerts.incident_id AND b.fingerprint = alerts.fingerprint AND b.starts_at > alerts.starts_at)
	WHERE ends_at IS NULL AND EXISTS (SELECT 1 FROM alerts b
		WHERE b.incident_id = alerts.incident_id AND b.fingerprint = alerts.fingerprint AND b.starts_at > alerts.starts_at);

CREATE INDEX incidents_key_ended ON incidents (key, ended_at);
CREATE INDEX incidents_cluster ON incidents (cluster) WHERE ended_at IS NULL;
CREATE INDEX alerts_fingerprint ON alerts (fingerprint, ends_at);
CREATE INDEX alerts_doubtful ON alerts (incident_id) WHERE doubtful;
