package reporter

import (
	"errors"
	"time"
)

// EntryKind is what an entry is: a section of the postmortem that people write, or a note.
type EntryKind string

// The kinds of entries.
const (
	EntryImpact  EntryKind = "impact"
	EntryCause   EntryKind = "cause"
	EntryLessons EntryKind = "lessons"
	EntryActions EntryKind = "actions"
	EntryOwner   EntryKind = "owner" // who takes care of the postmortem; one line
	EntryNote    EntryKind = "note"  // a remark in the timeline; there may be any number
)

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
	Receiver   string // the chat of the message that it comes from; "" is none
	MessageID  string // the channel's id of that message
	WrittenAt  time.Time
	Supersedes int64 // the version before it; 0 is none
}

// ErrConflict means that somebody else has written a newer version.
var ErrConflict = errors.New("a newer version was written meanwhile")

// ErrTooMany means that so much of the same kind is stored that no more is taken.
var ErrTooMany = errors.New("too many")

// Current returns the latest version of each section by kind, also one that has no text any more, and the latest version of each
// note that has one. The entries are those of one incident, in the order of their ids.
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
