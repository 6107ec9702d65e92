-- Whether the last webhook that listed an alert of the incident left others of its group out. Such incidents are found by their group.
ALTER TABLE incidents ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
UPDATE incidents SET left_out = 1 WHERE truncated > 0 AND ended_at IS NULL;
DROP INDEX incidents_held;
CREATE INDEX incidents_left_out ON incidents (group_key) WHERE left_out AND ended_at IS NULL;
