-- When the alerts were last received firing whose seen_at is 0: a webhook is about all alerts of its group, and a repeat of thousands
-- changes one row.
ALTER TABLE incidents ADD COLUMN seen_all INTEGER;
