-- The pages list incidents by state and age, and find deliveries by state and by what they are of.
CREATE INDEX incidents_listed ON incidents (state, started_at, id);
DROP INDEX incidents_state;
ALTER TABLE deliveries ALTER COLUMN subject TYPE TEXT COLLATE "C";
CREATE INDEX deliveries_state ON deliveries (state, id);
CREATE INDEX deliveries_subject ON deliveries (kind, subject);
