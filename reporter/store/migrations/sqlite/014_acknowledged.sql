-- When incidents were first acknowledged, which is the first version of their acknowledgement.
CREATE INDEX entries_acknowledged ON entries (written_at, incident_id) WHERE kind = 'acknowledgement' AND supersedes = 0;
