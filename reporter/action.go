package reporter

// Person is who acts on an incident, in a chat, on a page or on the command line.
type Person struct {
	Kind AuthorKind
	ID   string // where the person is known; "" if there are names only
	Name string // as it is now
}

// ActionKind is what a person does to an incident with a button.
type ActionKind string

// The actions of buttons.
const (
	ActionAcknowledge ActionKind = "ack"
	ActionRelease     ActionKind = "release" // takes back an acknowledgement, whoever's it is
	ActionSilence1h   ActionKind = "silence1h"
	ActionSilence4h   ActionKind = "silence4h"
	ActionUnsilence   ActionKind = "unsilence" // ends the silences of the incident that people made here
)

// ActionTokenLen is the length of a button's token in characters: 128 bits in base64url. Telegram allows 64 bytes for a button's
// data, which are the action, a colon and the token.
const ActionTokenLen = 22
