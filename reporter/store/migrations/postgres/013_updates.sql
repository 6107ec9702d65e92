-- What people did in chats, in the order in which it was received. What is done is kept for a while, to recognize copies.
CREATE TABLE updates (
	seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	account    TEXT COLLATE "C" NOT NULL,
	update_id  BIGINT NOT NULL, -- the channel's
	body       TEXT NOT NULL, -- JSON; '' once it is done
	stored_at  BIGINT NOT NULL,
	attempts   BIGINT NOT NULL DEFAULT 0, -- that ended the process
	applied_at BIGINT,
	answer     TEXT NOT NULL DEFAULT '', -- JSON, of what is applied and not done
	done_at    BIGINT,
	UNIQUE (account, update_id)
);
CREATE INDEX updates_waiting ON updates (account, seq) WHERE done_at IS NULL;
CREATE INDEX updates_done ON updates (done_at) WHERE done_at IS NOT NULL;

-- Up to where the updates of each account are stored.
CREATE TABLE update_offsets (
	account TEXT COLLATE "C" PRIMARY KEY,
	next    BIGINT NOT NULL -- the first update to ask for
);

-- Which delivery each message in a chat is of: the program fills it in.
CREATE TABLE sent_messages (
	receiver    TEXT COLLATE "C" NOT NULL,
	message_id  TEXT COLLATE "C" NOT NULL, -- the channel's
	chat        TEXT COLLATE "C" NOT NULL DEFAULT '', -- key of the chat's gate, as a group that becomes another one counts again; '' is not known
	delivery_id BIGINT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
	PRIMARY KEY (receiver, message_id, chat)
);
CREATE INDEX sent_messages_delivery ON sent_messages (delivery_id);

-- What a delivery replies to, where that does not follow from its subject: the channel's id of a message.
ALTER TABLE deliveries ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
