-- Incidents that are held open are found by their group.
CREATE INDEX incidents_held ON incidents (group_key) WHERE held;
