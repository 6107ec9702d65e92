-- What alerts are counted under beside their category.
ALTER TABLE alerts ADD COLUMN name TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE alerts SET name = COALESCE(labels::json ->> 'alertname', '') WHERE position('\u0000' IN labels) = 0;

-- A delivery that went out as a part of a digest names the digest.
ALTER TABLE deliveries ADD COLUMN merged_into BIGINT;
CREATE INDEX deliveries_merged ON deliveries (merged_into) WHERE merged_into IS NOT NULL;
