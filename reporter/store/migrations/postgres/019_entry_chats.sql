-- The channel's id of the chat of the message that an entry comes from, as ids of messages begin again in another chat; '' is not known.
ALTER TABLE entries ADD COLUMN chat TEXT NOT NULL DEFAULT '';
