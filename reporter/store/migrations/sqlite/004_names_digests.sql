-- What alerts are counted under beside their category.
ALTER TABLE alerts ADD COLUMN name TEXT NOT NULL DEFAULT '';
UPDATE alerts SET name = COALESCE(json_extract(labels, '$.alertname'), '');

-- A delivery that went out as a part of a digest names the digest.
ALTER TABLE deliveries ADD COLUMN merged_into INTEGER;
CREATE INDEX deliveries_merged ON deliveries (merged_into) WHERE merged_into IS NOT NULL;
