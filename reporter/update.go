package reporter

import (
	"context"
	"errors"
	"time"
)

// ErrOvertaken means that another process has stored updates of the account meanwhile.
var ErrOvertaken = errors.New("another process receives the updates of this account")

// UpdateKind is what people did.
type UpdateKind string

// The kinds of updates. Others are not stored.
const (
	UpdateTap    UpdateKind = "tap"    // of a button
	UpdateText   UpdateKind = "text"   // a command, or a reply to a message of ours
	UpdateEdit   UpdateKind = "edit"   // of such a text
	UpdateMoved  UpdateKind = "moved"  // the chat has another address
	UpdateMember UpdateKind = "member" // the account was added to the chat, or removed from it
)

// UpdateTextMax bounds the characters of an update's text, which is as long as a message of Telegram may be.
const UpdateTextMax = 4096

// Update is what people did in a chat, as a channel received it. Its text is theirs, and is never markup. It is stored as JSON
// until it is worked off, also across versions of this program.
type Update struct {
	Account  string     `json:"account"` // that received it, as Chat.Account
	ID       int64      `json:"id"`      // the channel's; of two updates with the same one, the second is a copy
	Kind     UpdateKind `json:"kind"`
	Chat     string     `json:"chat"`                // address
	ChatName string     `json:"chat_name,omitempty"` // public name as an address, such as "@team"; "" means none
	Private  bool       `json:"private,omitempty"`   // the chat is with one person
	Channel  bool       `json:"channel,omitempty"`   // only administrators write in the chat
	Topic    int        `json:"topic,omitempty"`     // of a group; 0 means none
	Message  string     `json:"message,omitempty"`   // the channel's id: of the text, or of what was tapped
	ReplyTo  string     `json:"reply_to,omitempty"`  // of a text: id of the message of ours that it answers; "" means none
	From     Person     `json:"from"`
	// InName says that the author writes in the name of the chat, which only administrators can: From has no ID.
	InName bool      `json:"in_name,omitempty"`
	Text   string    `json:"text,omitempty"`
	Tap    string    `json:"tap,omitempty"`  // id of a tap, to answer it
	Data   string    `json:"data,omitempty"` // of the button that was tapped, or of the first button of the message that a text replies to
	To     string    `json:"to,omitempty"`   // of UpdateMoved: the new address
	Gone   bool      `json:"gone,omitempty"` // of UpdateMember: removed
	SentAt time.Time `json:"sent_at"`        // by the channel's clock; of a tap when it was received
}

// UpdateAnswer is what a person is shown at once. Each of its calls may be repeated. The zero value is nothing.
type UpdateAnswer struct {
	Tap   string `json:"tap,omitempty"`  // the tap that Text answers
	Text  string `json:"text,omitempty"` // plain; of a tap at most UpdateAnswerMax characters
	Alert bool   `json:"alert,omitempty"`
	// Chat and Message name what is marked as taken, where Mark is set; else a message that Text replies to, in a chat that is not
	// configured.
	Chat    string `json:"chat,omitempty"`
	Message string `json:"message,omitempty"`
	Mark    bool   `json:"mark,omitempty"`
}

// UpdateAnswerMax bounds the characters of an answer to a tap: https://core.telegram.org/bots/api#answercallbackquery
const UpdateAnswerMax = 200

// UpdateWork is what can be done in the transaction that marks an update as applied.
type UpdateWork interface {
	// Acknowledge and Release are those of the store.
	Acknowledge(ctx context.Context, incident string, by Person, from MessageRef) (who Entry, changed bool, err error)
	Release(ctx context.Context, incident string, by Person, from MessageRef) (who Entry, changed bool, err error)
	// Write adds entries. ErrConflict: one supersedes a version that is not the latest any more; nothing else can be done then.
	Write(ctx context.Context, entries ...Entry) ([]Entry, error)
	// AddSilence and EndSilences are those of the store, for whoever asks the clusters.
	AddSilence(ctx context.Context, n Silence) (added bool, err error)
	EndSilences(ctx context.Context, incident, by string, now time.Time) (ended int64, err error)
	// Enqueue inserts deliveries.
	Enqueue(ctx context.Context, ds ...Delivery) error
	// UpdateGate changes a gate.
	UpdateGate(ctx context.Context, key string, change func(*Gate)) error
}

// UpdateState is an update that is not done, with how far it is.
type UpdateState struct {
	Update
	Seq      int64 // order in which they were stored
	Applied  bool
	Answer   UpdateAnswer // to be given once it is applied
	Attempts int          // how often working it off has ended the process
	StoredAt time.Time
}

// ChatMessage is a message of ours in a chat, and what it is about.
type ChatMessage struct {
	Kind      DeliveryKind
	Subject   string
	Incidents []string // ids; several of a digest
}

// OpenIncident is a row of a short list of incidents that are not over.
type OpenIncident struct {
	ID        string
	Title     string
	Severity  Severity
	State     IncidentState
	StartedAt time.Time
	By        string // who has acknowledged it; "" is nobody
}

// The subjects of answers. One of AnswerText is stored with its message; the others end with what they are about: the id of an
// incident, or the Subject of a report as of any moment.
const (
	AnswerText     = "text"
	AnswerIncident = "incident/"
	AnswerReport   = "report/"
)

// Updates are what one poll gave.
type Updates struct {
	List    []Update
	Next    int64 // the first update to ask for next
	Skipped int   // updates of no use
}

// Membership is what a person is in a chat.
type Membership string

// The memberships.
const (
	MemberNone  Membership = ""
	MemberYes   Membership = "member"
	MemberAdmin Membership = "administrator"
)

// ChatCommand is a command that a chat offers: Name is what people type behind "/", and Text says what it does.
type ChatCommand struct{ Name, Text string }
