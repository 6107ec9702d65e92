package reporter

import (
	"errors"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// EntryKind is a section of the postmortem that people write, a note, or an acknowledgement.
type EntryKind string

// The kinds of entries.
const (
	EntryImpact  EntryKind = "impact"
	EntryCause   EntryKind = "cause"
	EntryLessons EntryKind = "lessons"
	EntryActions EntryKind = "actions"
	EntryOwner   EntryKind = "owner" // name of the postmortem's owner; one line
	EntryNote    EntryKind = "note"  // a note in the timeline; an incident may have any number
	// EntryAcknowledgement acknowledges the incident in the name of its author, with the text EntryAcknowledged. A version with an
	// empty text releases it.
	EntryAcknowledgement EntryKind = "acknowledgement"
)

// EntryAcknowledged is the text of every acknowledgement.
const EntryAcknowledged = "acknowledged"

// Sections lists the sections of the postmortem that people write, in the order of the postmortem.
func Sections() []EntryKind {
	return []EntryKind{EntryOwner, EntryImpact, EntryCause, EntryLessons, EntryActions}
}

// EntryMax is the most characters of an entry's text, EntryOwnerMax of an owner's name.
const (
	EntryMax      = 4000
	EntryOwnerMax = 100
)

// AuthorKind is the way by which an author wrote an entry.
type AuthorKind string

// The kinds of authors.
const (
	AuthorPage     AuthorKind = "page"     // a user of the pages
	AuthorTelegram AuthorKind = "telegram" // a member of a chat
	AuthorCommand  AuthorKind = "command"  // a user of the command line
)

// Entry is a version of a text that a person wrote about an incident, or an acknowledgement. Entries are never changed: a new
// version supersedes the one that its author saw.
type Entry struct {
	ID         int64
	Incident   string
	Kind       EntryKind
	Text       string // plain text; "" removes the superseded version
	AuthorKind AuthorKind
	AuthorID   string // the author's id in AuthorKind; "" where it has names only
	Author     string // display name at WrittenAt
	Receiver   string // receiver of the chat that it was written in; "" means none
	Chat       string // the channel's id of that chat; "" means not known
	MessageID  string // the channel's id of the message that it was written as; unique in Chat only
	WrittenAt  time.Time
	Supersedes int64 // id of the version before; 0 means none
}

// MessageRef identifies a message in a chat. The zero value means none.
type MessageRef struct {
	Receiver  string // that the message was sent to
	MessageID string // the channel's id
}

// Tidy returns the text as it is stored: an owner is one line, other kinds have line breaks without CR, and control and
// bidirectional characters are removed. The result may be longer than Max.
func (k EntryKind) Tidy(text string) string {
	if k == EntryOwner {
		return strings.TrimSpace(safetext.Line(text, 0))
	}
	return strings.TrimSpace(safetext.Text(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)))
}

// Word returns the key of the kind's name in the message catalogues.
func (k EntryKind) Word() string {
	if k == EntryCause {
		return "root_cause"
	}
	return string(k)
}

// Max returns the most characters of a text of the kind.
func (k EntryKind) Max() int {
	if k == EntryOwner {
		return EntryOwnerMax
	}
	return EntryMax
}

// ErrTooLong means that the text of an entry has more characters than its kind allows.
var ErrTooLong = errors.New("text is too long")

// ErrResolved means that an action needs an incident that is not resolved.
var ErrResolved = errors.New("already resolved")

// ErrConflict means that another author has written a newer version.
var ErrConflict = errors.New("a newer version was written meanwhile")

// ErrTooMany means that the limit of stored items of this kind is reached.
var ErrTooMany = errors.New("too many")

// Current returns the latest version of each section and of the acknowledgement by kind, including those with an empty text, and
// the latest version of each note that was not removed. The entries are those of one incident, in the order of their ids.
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

// Acknowledgement is the state of an incident's acknowledgement. The zero value means never acknowledged.
type Acknowledgement struct {
	By    Person    // zero if it was released
	Since time.Time // of the current acknowledgement; zero if it was released
	// First and FirstBy describe the first acknowledgement, even if it was released since.
	First   time.Time
	FirstBy Person
}

// Active reports whether the incident is acknowledged now.
func (a Acknowledgement) Active() bool { return !a.Since.IsZero() }

// AcknowledgementOf returns the acknowledgement by the entries of one incident, in the order of their ids.
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
