-- What holds sends back: one row for an account, for each chat and for each receiver.
CREATE TABLE gates (
	key        TEXT COLLATE "C" PRIMARY KEY,
	wait_until BIGINT NOT NULL DEFAULT 0,
	failures   BIGINT NOT NULL DEFAULT 0,
	sent       TEXT NOT NULL DEFAULT '[]', -- times of the latest sends, for the limits
	reason     TEXT NOT NULL DEFAULT '', -- why a person has to change something first
	detail     TEXT NOT NULL DEFAULT '',
	since      BIGINT,
	moved_to   TEXT NOT NULL DEFAULT '',
	notice_id  BIGINT -- the notice about reason
);
-- What was known of receivers. An address is moved to the gate of its chat when the configuration is known.
INSERT INTO gates (key, reason, detail, since, moved_to, wait_until)
	SELECT 'receiver ' || r.receiver, CASE r.stopped WHEN '' THEN '' ELSE 'receiver' END, r.stopped,
		CASE r.stopped WHEN '' THEN NULL ELSE (extract(epoch FROM clock_timestamp()) * 1000000)::bigint END, r.address,
		-- While one that had its message waited, its receiver waited too.
		COALESCE((SELECT max(d.next_attempt) FROM deliveries d WHERE d.receiver = r.receiver AND d.state = 'pending'
			AND d.message IS NOT NULL AND d.last_error LIKE 'retry after %'), 0)
	FROM (SELECT receiver, address, stopped FROM receivers UNION ALL SELECT DISTINCT d.receiver, '', '' FROM deliveries d
		WHERE d.state = 'pending' AND d.receiver NOT IN (SELECT receiver FROM receivers)) r;

-- The right of one process to do what the name says. Processes of the version before hold receivers.
CREATE TABLE leases (
	name   TEXT COLLATE "C" PRIMARY KEY,
	holder TEXT NOT NULL,
	until  BIGINT NOT NULL
);
INSERT INTO leases SELECT 'before gates', '', max(lease_until) FROM receivers HAVING max(lease_until) > 0;
DROP TABLE receivers;

ALTER TABLE deliveries ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN notice_id BIGINT;
CREATE INDEX deliveries_notice ON deliveries (notice_id) WHERE notice_id IS NOT NULL;

-- The queue of jobs beside the deliveries; a delivery's next attempt is its own wake-up now.
DROP TABLE IF EXISTS river_client_queue, river_client, river_job, river_leader, river_queue, river_notification, river_migration CASCADE;
DROP FUNCTION IF EXISTS river_job_notify CASCADE;
DROP FUNCTION IF EXISTS river_job_state_in_bitmask CASCADE;
DROP TYPE IF EXISTS river_job_state;
