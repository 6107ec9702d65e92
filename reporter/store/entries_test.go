package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

func written(kind reporter.EntryKind, text string, supersedes int64) reporter.Entry {
	return reporter.Entry{
		Incident: "I", Kind: kind, Text: text, AuthorKind: reporter.AuthorPage, Author: "sre", WrittenAt: day, Supersedes: supersedes,
	}
}

func TestEntries(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, 5), incident("J", 0, 5))
		write := func(e ...reporter.Entry) []reporter.Entry {
			t.Helper()
			out, err := s.Write(t.Context(), e...)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		first := write(written(reporter.EntryCause, "the <disk> was full 磁碟", 0), written(reporter.EntryImpact, "none", 0))
		second := write(written(reporter.EntryCause, "the log was not rotated", first[0].ID))
		note := written(reporter.EntryNote, "restarted", 0)
		note.AuthorKind, note.AuthorID, note.Author, note.Receiver, note.MessageID = reporter.AuthorTelegram, "42", "王小明", "oncall", "7"
		notes := write(note, written(reporter.EntryNote, "another", 0))
		edited := note
		edited.Text, edited.Supersedes, edited.WrittenAt = "restarted twice", notes[0].ID, day.Add(time.Minute)
		edited = write(edited)[0]
		all, err := s.Entries(t.Context(), "I")
		if err != nil {
			t.Fatal(err)
		}
		want := append(append(append(first, second...), notes...), edited)
		if diff := cmp.Diff(want, all); diff != "" {
			t.Error(diff)
		}
		sections, current := reporter.Current(all)
		if len(sections) != 2 || sections[reporter.EntryCause].Text != "the log was not rotated" || len(current) != 2 || current[1].Text != "restarted twice" {
			t.Errorf("sections %+v, notes %+v", sections, current)
		}
		of, err := s.EntriesOf(t.Context(), []string{"J", "I", "none"})
		if err != nil || len(of) != 1 || len(of["I"]) != len(all) {
			t.Errorf("of some incidents: %+v, %v", of, err)
		}
		versions, err := s.EntriesOfMessage(t.Context(), "oncall", "7")
		if err != nil || len(versions) != 2 || versions[1].Text != "restarted twice" {
			t.Errorf("of the message: %+v, %v", versions, err)
		}
		for name, tc := range map[string]struct {
			e    reporter.Entry
			want error
		}{
			"a version that was superseded": {written(reporter.EntryCause, "x", first[0].ID), reporter.ErrConflict},
			"a first version beside one":    {written(reporter.EntryImpact, "x", 0), reporter.ErrConflict},
			"of another section":            {written(reporter.EntryImpact, "x", second[0].ID), reporter.ErrNotFound},
			"of nothing":                    {written(reporter.EntryImpact, "x", 9999), reporter.ErrNotFound},
			"a note twice":                  {written(reporter.EntryNote, "x", notes[0].ID), reporter.ErrConflict},
			"of no incident":                {reporter.Entry{Incident: "K", Kind: reporter.EntryNote, WrittenAt: day}, reporter.ErrNotFound},
			"of another incident":           {reporter.Entry{Incident: "J", Kind: reporter.EntryCause, WrittenAt: day, Supersedes: second[0].ID}, reporter.ErrNotFound},
		} {
			// What is written beside it is not kept either.
			if _, err := s.Write(t.Context(), written(reporter.EntryNote, "beside", 0), tc.e); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", name, err, tc.want)
			}
		}
		if again, err := s.Entries(t.Context(), "I"); err != nil || len(again) != len(all) {
			t.Errorf("%d entries after refusals, %v", len(again), err)
		}
		var many []reporter.Entry
		for n := range 1000 - len(all) {
			many = append(many, written(reporter.EntryNote, fmt.Sprint(n), 0))
		}
		write(many...)
		if _, err := s.Write(t.Context(), written(reporter.EntryNote, "one more", 0)); !errors.Is(err, reporter.ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		// They go with their incident.
		if _, err := s.Prune(t.Context(), day.AddDate(1, 0, 0)); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Entries(t.Context(), "I"); err != nil || len(left) != 0 {
			t.Errorf("%d entries of a deleted incident, %v", len(left), err)
		}
	})
}

// However many processes write a version at the same time, one of them does, and the others are refused.
func TestOneVersionSupersedesAnother(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		stores := []*store.Store{open(), open()}
		put(t, stores[0], incident("I", 0, 5))
		var last int64
		for round := range 5 {
			var won, lost atomic.Int64
			var writers sync.WaitGroup
			for n := range 8 {
				writers.Go(func() {
					out, err := stores[n%2].Write(t.Context(), written(reporter.EntryCause, strings.Repeat("x", n+1), last))
					switch {
					case err == nil:
						won.Store(out[0].ID)
					case errors.Is(err, reporter.ErrConflict):
						lost.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			writers.Wait()
			if lost.Load() != 7 || won.Load() == 0 {
				t.Errorf("round %d: %d refused", round, lost.Load())
			}
			last = won.Load()
		}
	})
}
