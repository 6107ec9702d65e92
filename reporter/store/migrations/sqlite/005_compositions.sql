-- A composition is stored before it begins, so that one that ends the process counts as an attempt.
ALTER TABLE deliveries ADD COLUMN composing_at INTEGER;
ALTER TABLE deliveries ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
