-- A composition is stored before it begins, so that one that ends the process counts as an attempt.
ALTER TABLE deliveries ADD COLUMN composing_at BIGINT;
ALTER TABLE deliveries ADD COLUMN crashes BIGINT NOT NULL DEFAULT 0;
