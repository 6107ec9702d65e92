package reporter

import (
	"context"
	"errors"
	"time"
)

// ErrOvertaken means that another process has stored later updates of the account.
var ErrOvertaken = errors.New("another process receives the updates of this account")

// UpdateKind is the kind of an update.
type UpdateKind string

// The kinds of updates. Others are not stored.
const (
	UpdateTap    UpdateKind = "tap"    // on a button
	UpdateText   UpdateKind = "text"   // a command, or a reply to a message of this program
	UpdateEdit   UpdateKind = "edit"   // of such a text
	UpdateMoved  UpdateKind = "moved"  // the chat has another address
	UpdateMember UpdateKind = "member" // the account was added to the chat, or removed from it
)

// UpdateTextMax is the most characters of an update's text: those of a Telegram message.
const UpdateTextMax = 4096

// Update is an event in a chat, as a channel received it. Its text is untrusted plain text. It is stored as JSON until it is
// done, so the format must stay readable by the next version.
type Update struct {
	Account  string     `json:"account"` // the receiving account, see Chat.Account
	ID       int64      `json:"id"`      // the channel's id: two updates with the same id are copies
	Kind     UpdateKind `json:"kind"`
	Chat     string     `json:"chat"`                // address
	ChatName string     `json:"chat_name,omitempty"` // public name as an address, such as "@team"; "" means none
	Private  bool       `json:"private,omitempty"`   // a chat with one person
	Channel  bool       `json:"channel,omitempty"`   // a chat in which only administrators write
	Topic    int        `json:"topic,omitempty"`     // of a group; 0 means none
	Message  string     `json:"message,omitempty"`   // the channel's id of the text, or of the message with the button
	ReplyTo  string     `json:"reply_to,omitempty"`  // of a text: id of the message of this program that it replies to; "" means none
	From     Person     `json:"from"`
	// InName means that the author writes in the name of the chat, which only administrators can. From has no ID then.
	InName bool      `json:"in_name,omitempty"`
	Text   string    `json:"text,omitempty"`
	Tap    string    `json:"tap,omitempty"`  // id of the tap, for its answer
	Data   string    `json:"data,omitempty"` // of the tapped button, or of the first button of the message that a text replies to
	To     string    `json:"to,omitempty"`   // of UpdateMoved: the new address
	Gone   bool      `json:"gone,omitempty"` // of UpdateMember: removed
	SentAt time.Time `json:"sent_at"`        // by the channel's clock; of a tap: when it was received
}

// UpdateAnswer is the immediate answer to an update. Each of its calls may be repeated. The zero value means no answer.
type UpdateAnswer struct {
	Tap   string `json:"tap,omitempty"`  // id of the tap that Text answers
	Text  string `json:"text,omitempty"` // plain text; at most UpdateAnswerMax characters for a tap
	Alert bool   `json:"alert,omitempty"`
	// With Mark, Chat and Message identify the message that is marked as read with a reaction. Without it, Text is a reply to that
	// message, in a chat that is not configured.
	Chat    string `json:"chat,omitempty"`
	Message string `json:"message,omitempty"`
	Mark    bool   `json:"mark,omitempty"`
}

// UpdateAnswerMax is the most characters of an answer to a tap: https://core.telegram.org/bots/api#answercallbackquery
const UpdateAnswerMax = 200

// UpdateWork holds the changes that are possible in the transaction that marks an update as applied.
type UpdateWork interface {
	// Acknowledge and Release are those of the store.
	Acknowledge(ctx context.Context, incident string, by Person, from MessageRef) (who Entry, changed bool, err error)
	Release(ctx context.Context, incident string, by Person, from MessageRef) (who Entry, changed bool, err error)
	// Write adds entries. ErrConflict: one supersedes a version that is no longer the latest; the transaction cannot go on then.
	Write(ctx context.Context, entries ...Entry) ([]Entry, error)
	// AddSilence and EndSilences are those of the store. The requests to the cluster are made later.
	AddSilence(ctx context.Context, n Silence) (added bool, err error)
	EndSilences(ctx context.Context, incident, by string, now time.Time) (ended int64, err error)
	// Enqueue inserts deliveries.
	Enqueue(ctx context.Context, ds ...Delivery) error
	// UpdateGate changes a gate.
	UpdateGate(ctx context.Context, key string, change func(*Gate)) error
}

// UpdateState is a stored update that is not done yet, with its progress.
type UpdateState struct {
	Update
	Seq      int64 // order of storage
	Applied  bool
	Answer   UpdateAnswer // to be sent once it is applied
	Attempts int          // how often the process crashed while it applied the update
	StoredAt time.Time
}

// ChatMessage is a message that this program sent to a chat, with its subject.
type ChatMessage struct {
	Kind      DeliveryKind
	Subject   string
	Incidents []string // ids; a digest has several
}

// OpenIncident is an open or chronic incident in a short list.
type OpenIncident struct {
	ID        string
	Title     string
	Severity  Severity
	State     IncidentState
	StartedAt time.Time
	By        string // name of the person who has acknowledged it; "" means nobody
}

// The subjects of answers. An answer with AnswerText is stored with its message. The other two are prefixes: of the id of an
// incident, and of the Subject of a report as of any time.
const (
	AnswerText     = "text"
	AnswerIncident = "incident/"
	AnswerReport   = "report/"
)

// Updates is the result of one poll.
type Updates struct {
	List    []Update
	Next    int64 // id of the first update of the next poll
	Skipped int   // number of updates of kinds that are not stored
}

// Membership is the role of a person in a chat.
type Membership string

// The memberships.
const (
	MemberNone  Membership = ""
	MemberYes   Membership = "member"
	MemberAdmin Membership = "administrator"
)

// ChatCommand is a command that a chat offers: people type "/" and Name, and Text describes it.
type ChatCommand struct{ Name, Text string }
