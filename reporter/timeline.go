package reporter

import (
	"cmp"
	"slices"
	"time"
)

// TimelineEvent is the start or the end of an alert.
type TimelineEvent struct {
	At     time.Time
	Firing bool // the start
	Alert  string
	About  bool // At is approximate: the end is presumed from a reconciliation or an expiry
}

// PersonEvent is an event of an incident's timeline that a person caused.
type PersonEvent struct {
	At     time.Time
	Entry  Entry // of a note: its latest version
	Edited bool  // the note was changed after At
}

// PeopleEvents returns the events that people caused, in the order of time: acknowledgements and releases, notes with their latest
// text at the time of their first version, and the last edit of each section by each person. Removed notes are left out. The
// entries are those of one incident, in the order of their ids.
func PeopleEvents(entries []Entry) []PersonEvent {
	byID := make(map[int64]Entry, len(entries))
	for _, e := range entries {
		byID[e.ID] = e
	}
	first := func(e Entry) Entry { // of the versions of a note
		for range entries {
			before, ok := byID[e.Supersedes]
			if !ok {
				break
			}
			e = before
		}
		return e
	}
	type edit struct {
		kind                 EntryKind
		authorKind           AuthorKind
		authorID, authorName string
	}
	of := func(e Entry) edit { return edit{e.Kind, e.AuthorKind, e.AuthorID, e.Author} }
	last := map[edit]int64{}
	for _, e := range entries {
		last[of(e)] = e.ID
	}
	_, notes := Current(entries)
	var out []PersonEvent
	for _, e := range entries {
		if e.Kind == EntryAcknowledgement || (slices.Contains(Sections(), e.Kind) && last[of(e)] == e.ID) {
			out = append(out, PersonEvent{At: e.WrittenAt, Entry: e})
		}
	}
	for _, e := range notes {
		written := first(e)
		e.Author, e.AuthorKind, e.AuthorID = written.Author, written.AuthorKind, written.AuthorID
		out = append(out, PersonEvent{At: written.WrittenAt, Entry: e, Edited: written.ID != e.ID})
	}
	slices.SortStableFunc(out, func(a, b PersonEvent) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Entry.ID, b.Entry.ID)) })
	return out
}
