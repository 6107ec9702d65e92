package reporter

import (
	"errors"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// EntryKind is what an entry is: a section of the postmortem that people write, a note, or an acknowledgement.
type EntryKind string

// The kinds of entries.
const (
	EntryImpact  EntryKind = "impact"
	EntryCause   EntryKind = "cause"
	EntryLessons EntryKind = "lessons"
	EntryActions EntryKind = "actions"
	EntryOwner   EntryKind = "owner" // who takes care of the postmortem; one line
	EntryNote    EntryKind = "note"  // a remark in the timeline; there may be any number
	// EntryAcknowledgement says that its author takes care of the incident: its text is EntryAcknowledged. A version without a text
	// releases the incident.
	EntryAcknowledgement EntryKind = "acknowledgement"
)

// EntryAcknowledged is the text of an acknowledgement, which no person writes.
const EntryAcknowledged = "acknowledged"

// Sections are the kinds of which the latest version stands in the postmortem, in its order.
func Sections() []EntryKind {
	return []EntryKind{EntryOwner, EntryImpact, EntryCause, EntryLessons, EntryActions}
}

// EntryMax bounds the characters of an entry's text, and EntryOwnerMax those of an owner's name.
const (
	EntryMax      = 4000
	EntryOwnerMax = 100
)

// AuthorKind says where the author of an entry is known.
type AuthorKind string

// The kinds of authors.
const (
	AuthorPage     AuthorKind = "page"     // a user of the pages
	AuthorTelegram AuthorKind = "telegram" // a member of a chat
	AuthorCommand  AuthorKind = "command"  // a user of the command line
)

// Entry is what a person wrote about an incident. Entries are never changed: a new version supersedes the one that its author
// saw.
type Entry struct {
	ID         int64
	Incident   string
	Kind       EntryKind
	Text       string // plain; "" removes what it supersedes
	AuthorKind AuthorKind
	AuthorID   string // where the author is known; "" if there are names only
	Author     string // the name, as it was then
	Receiver   string // of the chat of the message that it comes from; "" means none
	Chat       string // the channel's id of that chat; "" means not known
	MessageID  string // the channel's id of that message, which is unique in the chat only
	WrittenAt  time.Time
	Supersedes int64 // the version before it; 0 means none
}

// MessageRef names a message of a chat. The zero value means none.
type MessageRef struct {
	Receiver  string // that the message was sent to
	MessageID string // the channel's
}

// Tidy is a text of the kind as it is stored: an owner is one line, the others have line breaks without CR, and none holds what could
// control a terminal or show the text as another one. It may be longer than Max.
func (k EntryKind) Tidy(text string) string {
	if k == EntryOwner {
		return strings.TrimSpace(safetext.Line(text, 0))
	}
	return strings.TrimSpace(safetext.Text(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)))
}

// Word is the key of the kind's word in the catalogues.
func (k EntryKind) Word() string {
	if k == EntryCause {
		return "root_cause"
	}
	return string(k)
}

// Max is how many characters a text of the kind has at most.
func (k EntryKind) Max() int {
	if k == EntryOwner {
		return EntryOwnerMax
	}
	return EntryMax
}

// ErrTooLong means that the text of an entry has more characters than its kind allows.
var ErrTooLong = errors.New("text is too long")

// ErrResolved means that what was asked for needs an incident that is not resolved.
var ErrResolved = errors.New("already resolved")

// ErrConflict means that somebody else has written a newer version.
var ErrConflict = errors.New("a newer version was written meanwhile")

// ErrTooMany means that so much of the same kind is stored that no more is taken.
var ErrTooMany = errors.New("too many")

// Current returns the latest version of each section, and of the acknowledgement, by kind, also one that has no text any more, and
// the latest version of each note that has one. The entries are those of one incident, in the order of their ids.
func Current(entries []Entry) (sections map[EntryKind]Entry, notes []Entry) {
	superseded := map[int64]bool{}
	for _, e := range entries {
		superseded[e.Supersedes] = true
	}
	sections = map[EntryKind]Entry{}
	for _, e := range entries {
		switch {
		case superseded[e.ID]:
		case e.Kind == EntryNote && e.Text != "":
			notes = append(notes, e)
		case e.Kind != EntryNote:
			sections[e.Kind] = e
		}
	}
	return sections, notes
}

// Acknowledgement is who takes care of an incident, as its entries say.
type Acknowledgement struct {
	By    Person
	Since time.Time // when it was last acknowledged
	// First is when it was acknowledged for the first time, also if it was released since, and FirstBy by whom.
	First   time.Time
	FirstBy Person
}

// Active says whether the incident is acknowledged now.
func (a Acknowledgement) Active() bool { return !a.Since.IsZero() }

// AcknowledgementOf finds the acknowledgement among the entries of one incident, in the order of their ids.
func AcknowledgementOf(entries []Entry) (a Acknowledgement) {
	for _, e := range entries {
		switch {
		case e.Kind != EntryAcknowledgement:
		case e.Text == "":
			a.By, a.Since = Person{}, time.Time{}
		default:
			a.By, a.Since = Person{e.AuthorKind, e.AuthorID, e.Author}, e.WrittenAt
			if a.First.IsZero() {
				a.First, a.FirstBy = a.Since, a.By
			}
		}
	}
	return a
}
