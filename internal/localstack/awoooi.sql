-- The tables that the builtin KPI set awoooi asks, as a throw-away copy for tests and the demo.
CREATE TABLE incidents (
	incident_id    text PRIMARY KEY,
	title          text,
	severity       text,
	status         text NOT NULL,
	alert_category text,
	hit_count      integer,
	alert_group_id text,
	root_cause     text,
	action         text,
	ai_decision    text,
	retry_count    integer,
	created_at     timestamptz NOT NULL,
	resolved_at    timestamptz
);
CREATE INDEX incidents_created_at ON incidents (created_at);
CREATE INDEX incidents_resolved_at ON incidents (resolved_at);

-- The real database holds statuses in both cases.
CREATE TYPE approval_status AS ENUM ('PENDING', 'APPROVED', 'REJECTED', 'EXPIRED', 'EXECUTION_SUCCESS', 'EXECUTION_FAILED',
	'pending', 'approved', 'rejected', 'expired', 'execution_success', 'execution_failed');
CREATE TABLE approval_records (
	id          bigserial PRIMARY KEY,
	incident_id text,
	status      approval_status NOT NULL,
	approved_by text,
	action      text,
	created_at  timestamptz NOT NULL
);
CREATE INDEX approval_records_created_at ON approval_records (created_at);
CREATE INDEX approval_records_incident ON approval_records (incident_id);

CREATE TABLE knowledge_entries (
	id         bigserial PRIMARY KEY,
	title      text NOT NULL,
	created_at timestamptz NOT NULL
);
CREATE INDEX knowledge_entries_created_at ON knowledge_entries (created_at);
