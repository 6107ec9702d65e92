-- Alerts are looked up by their cluster, too: many clusters have alerts of the same fingerprints. It is "default" also in an incident
-- that was one of that cluster before its own got a name, as copies from any cluster update that.
ALTER TABLE alerts ADD COLUMN cluster TEXT NOT NULL DEFAULT 'default';
UPDATE alerts SET cluster = i.cluster FROM incidents i WHERE i.id = incident_id AND i.cluster != 'default' AND i.adopted = 0;
DROP INDEX alerts_fingerprint;
-- What is firing ends after all times, so that one condition finds it, which no planner looks up in the index of ends.
CREATE INDEX alerts_fingerprint ON alerts (fingerprint, cluster, (COALESCE(ends_at, 9223372036854775807)));

-- The few incidents of a group are found by incidents_key_ended as well.
DROP INDEX incidents_key;
