package reporter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestPeopleEvents(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	var entries []reporter.Entry
	write := func(kind reporter.EntryKind, author, text string, supersedes int64) int64 {
		e := reporter.Entry{
			ID: int64(len(entries) + 1), Kind: kind, Author: author, Text: text, Supersedes: supersedes,
			WrittenAt: begin.Add(time.Duration(len(entries)) * time.Minute),
		}
		entries = append(entries, e)
		return e.ID
	}
	ack := write(reporter.EntryAcknowledgement, "ann", reporter.EntryAcknowledged, 0)
	note := write(reporter.EntryNote, "ann", "restarted", 0)
	gone := write(reporter.EntryNote, "ann", "wrong incident", 0)
	cause := write(reporter.EntryCause, "ann", "the disk", 0)
	cause = write(reporter.EntryCause, "ann", "the log", cause)
	write(reporter.EntryCause, "bob", "the log was not rotated", cause)
	note = write(reporter.EntryNote, "ann", "restarted twice", note)
	write(reporter.EntryNote, "ann", "restarted db-3 twice", note)
	write(reporter.EntryNote, "ann", "", gone)
	ack = write(reporter.EntryAcknowledgement, "bob", "", ack)
	write(reporter.EntryAcknowledgement, "bob", reporter.EntryAcknowledged, ack)
	write(reporter.EntryImpact, "bob", "", 0)
	var got []string
	for _, e := range reporter.PeopleEvents(entries) {
		got = append(got, fmt.Sprintf("%v %s %s %q %v", e.At.Sub(begin), e.Entry.Kind, e.Entry.Author, e.Entry.Text, e.Edited))
	}
	want := []string{
		`0s acknowledgement ann "acknowledged" false`,
		`1m0s note ann "restarted db-3 twice" true`,
		`4m0s cause ann "the log" false`,
		`5m0s cause bob "the log was not rotated" false`,
		`9m0s acknowledgement bob "" false`,
		`10m0s acknowledgement bob "acknowledged" false`,
		`11m0s impact bob "" false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := reporter.PeopleEvents(nil); len(none) != 0 {
		t.Errorf("of nothing: %v", none)
	}
	// A cycle of versions, which a store never has, does not loop forever.
	entries = []reporter.Entry{{ID: 1, Kind: reporter.EntryNote, Text: "x", Supersedes: 2}, {ID: 2, Kind: reporter.EntryNote, Text: "y", Supersedes: 1}}
	reporter.PeopleEvents(entries)
}
