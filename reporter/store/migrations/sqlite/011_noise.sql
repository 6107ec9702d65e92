-- Episodes that overlap a window are found by their end; the columns that a review of noise reads are in the index.
CREATE INDEX alerts_ended ON alerts (ends_at, starts_at, name);

-- How long the alerts fired that are no longer kept one by one, in microseconds, and how many were short.
ALTER TABLE folded_alerts ADD COLUMN firing INTEGER NOT NULL DEFAULT 0;
ALTER TABLE folded_alerts ADD COLUMN short INTEGER NOT NULL DEFAULT 0;
