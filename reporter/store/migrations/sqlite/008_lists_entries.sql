-- What lists show and filter by, which follows from an incident's alerts: the program fills it in.
ALTER TABLE incidents ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN severity TEXT NOT NULL DEFAULT '';
ALTER TABLE incidents ADD COLUMN team TEXT NOT NULL DEFAULT '';
-- Lists walk this index in their order, and filter and count by it alone.
DROP INDEX incidents_listed;
CREATE INDEX incidents_listed ON incidents (state, started_at, id, severity, team, cluster);
-- The interface for programs lists all states by age.
DROP INDEX incidents_started;
CREATE INDEX incidents_started ON incidents (started_at, id);
-- The values to filter by.
CREATE INDEX incidents_severity ON incidents (severity);
CREATE INDEX incidents_team ON incidents (team);
CREATE INDEX incidents_of_cluster ON incidents (cluster, state, started_at);

-- What an incident is found by, in lower case.
CREATE TABLE incident_texts (
	incident_id TEXT PRIMARY KEY REFERENCES incidents (id) ON DELETE CASCADE,
	text        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What people wrote about an incident: a version of a section of its postmortem, or a note. Rows are only added. A version
-- supersedes the one that its author saw, and only one row can supersede another.
CREATE TABLE entries (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	incident_id TEXT NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	kind        TEXT NOT NULL, -- impact, cause, lessons, actions, owner, note
	text        TEXT NOT NULL, -- '' removes what it supersedes
	author_kind TEXT NOT NULL, -- where the author is known: page, telegram, command
	author_id   TEXT NOT NULL DEFAULT '', -- there
	author      TEXT NOT NULL, -- name, as it was then
	receiver    TEXT NOT NULL DEFAULT '', -- the chat of the message that it comes from
	message_id  TEXT NOT NULL DEFAULT '', -- the channel's id of that
	written_at  INTEGER NOT NULL,
	supersedes  INTEGER NOT NULL DEFAULT 0 -- the entry before it; 0 is none
) STRICT;
CREATE UNIQUE INDEX entries_version ON entries (incident_id, kind, supersedes) WHERE kind != 'note' OR supersedes != 0;
CREATE INDEX entries_incident ON entries (incident_id, id);
CREATE INDEX entries_message ON entries (receiver, message_id) WHERE message_id != '';
