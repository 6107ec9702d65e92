package reporter

// Person acts on incidents in a chat, on a page or on the command line.
type Person struct {
	Kind AuthorKind
	ID   string // the person's id in Kind, such as Telegram's user id; "" where Kind has names only
	Name string // current display name
}

// ActionKind is what a button does to an incident.
type ActionKind string

// The actions of buttons.
const (
	ActionAcknowledge ActionKind = "ack"
	ActionRelease     ActionKind = "release" // takes back the acknowledgement of any person
	ActionSilence1h   ActionKind = "silence1h"
	ActionSilence4h   ActionKind = "silence4h"
	ActionUnsilence   ActionKind = "unsilence" // ends the silences of the incident that were created through this program
)

// ActionTokenLen is the length of a button's token in characters: 128 bits in base64url. Telegram allows 64 bytes for a button's
// data, which are the action, a colon and the token.
const ActionTokenLen = 22
