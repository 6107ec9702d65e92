-- What names the incident and the receiver in the data of a button, and cannot be guessed. It is kept as long as the incident.
CREATE TABLE action_tokens (
	token       TEXT COLLATE "C" PRIMARY KEY, -- 128 random bits in base64url
	incident_id TEXT COLLATE "C" NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
	receiver    TEXT NOT NULL,
	UNIQUE (incident_id, receiver)
);
