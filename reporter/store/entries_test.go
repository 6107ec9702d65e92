package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

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
		note.Chat = "-1"
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
		versions, err := s.EntriesOfMessage(t.Context(), "oncall", "-1", "7")
		if err != nil || len(versions) != 2 || versions[1].Text != "restarted twice" {
			t.Errorf("of the message: %+v, %v", versions, err)
		}
		if versions, err := s.EntriesOfMessage(t.Context(), "oncall", "-2", "7"); err != nil || len(versions) != 0 {
			t.Errorf("of the message of that id in another chat: %+v, %v", versions, err)
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
			"of too many characters":        {written(reporter.EntryNote, strings.Repeat("磁", reporter.EntryMax+1), 0), reporter.ErrTooLong},
			"of too long a line":            {written(reporter.EntryOwner, strings.Repeat("磁", reporter.EntryOwnerMax+1), 0), reporter.ErrTooLong},
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

// What people type is stored as plain text that can be shown: nothing of it is lost but what controls terminals and directions.
func TestEntriesAreStoredTidied(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, 5))
		for name, tc := range map[string]struct{ given, want string }{
			"markup":           {"<b>x</b> & {{.}} '); DROP TABLE entries;--", "<b>x</b> & {{.}} '); DROP TABLE entries;--"},
			"lines of forms":   {" one\r\ntwo\rthree\n\n", "one\ntwo\nthree"},
			"control":          {"a\x00b\x1b[2Jc\x07", "ab[2Jc"},
			"direction":        {"a\u202egpj.exe\u2066", "agpj.exe"},
			"no UTF-8":         {"a\xffb", "a\ufffdb"},
			"the longest":      {strings.Repeat("磁", reporter.EntryMax), strings.Repeat("磁", reporter.EntryMax)},
			"longest but tidy": {strings.Repeat("磁", reporter.EntryMax) + "\r\n\x00", strings.Repeat("磁", reporter.EntryMax)},
		} {
			e := written(reporter.EntryNote, tc.given, 0)
			e.Author = "a\u202e\x00\nb" + strings.Repeat("x", reporter.EntryOwnerMax)
			out, err := s.Write(t.Context(), e)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			all, err := s.Entries(t.Context(), "I")
			if err != nil || all[len(all)-1].Text != tc.want || out[0].Text != tc.want {
				t.Errorf("%s: stored %q, %v", name, all[len(all)-1].Text, err)
			}
			if a := all[len(all)-1].Author; !strings.HasPrefix(a, "a bx") || utf8.RuneCountInString(a) != reporter.EntryOwnerMax {
				t.Errorf("%s: author %q", name, a)
			}
		}
	})
}

func TestAcknowledge(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		now := day
		s.SetClock(func() time.Time { return now })
		chronic, over := incident("chronic", 0, -1), incident("over", 0, 5)
		chronic.State, chronic.Key, over.Key = reporter.IncidentChronic, "c", "o"
		put(t, s, incident("I", 0, -1), chronic, over)
		ann := reporter.Person{Kind: reporter.AuthorTelegram, ID: "42", Name: "安\u202e <b>"}
		bob := reporter.Person{Kind: reporter.AuthorPage, Name: "bob"}
		message := reporter.MessageRef{Receiver: "oncall", MessageID: "7"}
		acknowledgement := func() reporter.Acknowledgement {
			t.Helper()
			entries, err := s.Entries(t.Context(), "I")
			if err != nil {
				t.Fatal(err)
			}
			return reporter.AcknowledgementOf(entries)
		}
		expect := func(what string, who reporter.Entry, changed bool, err error, author string, text string, at time.Time, wantChanged bool) {
			t.Helper()
			if err != nil || changed != wantChanged || who.Author != author || who.Text != text || !who.WrittenAt.Equal(at) {
				t.Errorf("%s: %+v, changed %v, %v", what, who, changed, err)
			}
		}
		who, changed, err := s.Release(t.Context(), "I", bob, reporter.MessageRef{})
		if err != nil || changed || who.ID != 0 {
			t.Errorf("release of what nobody acknowledged: %+v, %v, %v", who, changed, err)
		}
		now = day.Add(time.Minute)
		who, changed, err = s.Acknowledge(t.Context(), "I", ann, message)
		expect("acknowledge", who, changed, err, "安 <b>", reporter.EntryAcknowledged, now, true)
		if who.AuthorKind != ann.Kind || who.AuthorID != "42" || who.Receiver != "oncall" || who.MessageID != "7" {
			t.Errorf("acknowledged by %+v", who)
		}
		now = day.Add(2 * time.Minute)
		who, changed, err = s.Acknowledge(t.Context(), "I", bob, reporter.MessageRef{})
		expect("the second", who, changed, err, "安 <b>", reporter.EntryAcknowledged, day.Add(time.Minute), false)
		now = day.Add(3 * time.Minute)
		who, changed, err = s.Release(t.Context(), "I", bob, reporter.MessageRef{})
		expect("release", who, changed, err, "bob", "", now, true)
		if a := acknowledgement(); a.Active() || !a.First.Equal(day.Add(time.Minute)) {
			t.Errorf("released: %+v", a)
		}
		now = day.Add(4 * time.Minute)
		who, changed, err = s.Release(t.Context(), "I", ann, reporter.MessageRef{})
		expect("release again", who, changed, err, "bob", "", day.Add(3*time.Minute), false)
		who, changed, err = s.Acknowledge(t.Context(), "I", bob, reporter.MessageRef{})
		expect("acknowledge again", who, changed, err, "bob", reporter.EntryAcknowledged, now, true)
		want := reporter.Acknowledgement{By: bob, Since: now.UTC(), First: day.Add(time.Minute).UTC(), FirstBy: reporter.Person{Kind: ann.Kind, ID: ann.ID, Name: "安 <b>"}}
		if diff := cmp.Diff(want, acknowledgement()); diff != "" {
			t.Error(diff)
		}
		if _, changed, err := s.Acknowledge(t.Context(), "chronic", bob, reporter.MessageRef{}); err != nil || !changed {
			t.Errorf("a chronic incident: %v, %v", changed, err)
		}
		// At its end the acknowledgement stays as it is.
		put(t, s, incident("I", 0, 5))
		for name, act := range map[string]func(string) (reporter.Entry, bool, error){
			"acknowledge": func(id string) (reporter.Entry, bool, error) {
				return s.Acknowledge(t.Context(), id, ann, reporter.MessageRef{})
			},
			"release": func(id string) (reporter.Entry, bool, error) {
				return s.Release(t.Context(), id, ann, reporter.MessageRef{})
			},
		} {
			if who, changed, err := act("I"); !errors.Is(err, reporter.ErrResolved) || changed || who.Author != "bob" {
				t.Errorf("%s what is resolved: %+v, %v, %v", name, who, changed, err)
			}
			if who, changed, err := act("over"); !errors.Is(err, reporter.ErrResolved) || changed || who.ID != 0 {
				t.Errorf("%s what was never acknowledged: %+v, %v, %v", name, who, changed, err)
			}
			if _, changed, err := act("none"); !errors.Is(err, reporter.ErrNotFound) || changed {
				t.Errorf("%s nothing: %v, %v", name, changed, err)
			}
		}
		if diff := cmp.Diff(want, acknowledgement()); diff != "" {
			t.Error(diff)
		}
	})
}

// Of taps at the same time on several replicas one acknowledges, and the others get to know who did.
func TestOneOfManyAcknowledges(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		stores := []*store.Store{open(), open()}
		put(t, stores[0], incident("I", 0, -1))
		for round := range 3 {
			for _, act := range []func(*store.Store, reporter.Person) (reporter.Entry, bool, error){
				func(s *store.Store, p reporter.Person) (reporter.Entry, bool, error) {
					return s.Acknowledge(t.Context(), "I", p, reporter.MessageRef{})
				},
				func(s *store.Store, p reporter.Person) (reporter.Entry, bool, error) {
					return s.Release(t.Context(), "I", p, reporter.MessageRef{})
				},
			} {
				var won atomic.Int64
				who := make([]reporter.Entry, 8)
				var people sync.WaitGroup
				for n := range who {
					people.Go(func() {
						var changed bool
						var err error
						who[n], changed, err = act(stores[n%2], reporter.Person{Kind: reporter.AuthorPage, Name: fmt.Sprint(n)})
						if err != nil {
							t.Error(err)
						}
						if changed {
							won.Add(1)
						}
					})
				}
				people.Wait()
				for _, e := range who {
					if won.Load() != 1 || e.ID == 0 || e != who[0] {
						t.Errorf("round %d: %d won, %+v", round, won.Load(), who)
						break
					}
				}
			}
		}
		if all, err := stores[0].Entries(t.Context(), "I"); err != nil || len(all) != 6 {
			t.Errorf("%d entries, %v", len(all), err)
		}
	})
}

// Nothing is said of what nobody acknowledged while nobody acknowledges anything; and the first acknowledgement counts, whatever came later.
func TestCountsOfAcknowledgements(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		now := day
		s.SetClock(func() time.Time { return now })
		count := func(what string, since, until int) string {
			t.Helper()
			rows, err := s.Counts(t.Context(), what, day.Add(time.Duration(since)*time.Minute), day.Add(time.Duration(until)*time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			var parts []string
			for _, r := range rows {
				parts = append(parts, fmt.Sprint(r.Labels, r.Values))
			}
			return strings.Join(parts, " ")
		}
		expect := func(when string, since, until int, want map[string]string) {
			t.Helper()
			for what, want := range want {
				if got := count(what, since, until); got != want {
					t.Errorf("%s: %s is %q, want %q", when, what, got, want)
				}
			}
		}
		var all []reporter.Incident
		for n, id := range []string{"A", "B", "C", "EARLY", "NEVER"} {
			in := incident(id, 0, -1)
			in.Key, in.Alerts[0].Fingerprint = id, fmt.Sprint(n)
			all = append(all, in)
		}
		all[3].StartedAt = day.Add(time.Hour) // by a clock that is ahead
		ended := incident("ENDED", 0, 30)
		ended.Key = "ended"
		put(t, s, append(all, ended)...)
		expect("before any", 0, 60, map[string]string{
			"acknowledgements": "map[] map[acknowledged:0]", "acknowledged_ever": "map[] map[value:0]", "acknowledgement_seconds": "",
		})
		act := func(minute int, do func(context.Context, string, reporter.Person, reporter.MessageRef) (reporter.Entry, bool, error), id string) {
			t.Helper()
			now = day.Add(time.Duration(minute) * time.Minute)
			if _, changed, err := do(t.Context(), id, reporter.Person{Kind: reporter.AuthorPage, Name: "sre"}, reporter.MessageRef{}); err != nil || !changed {
				t.Fatal(id, changed, err)
			}
		}
		act(2, s.Acknowledge, "A")
		act(5, s.Release, "A")
		act(10, s.Acknowledge, "B")
		act(20, s.Acknowledge, "A")
		act(59, s.Acknowledge, "EARLY")
		act(60, s.Acknowledge, "C")
		never := incident("NEVER", 0, 40)
		never.Key = "NEVER"
		released := incident("A", 0, 50)
		released.Key = "A"
		put(t, s, never, released)
		expect("the first hour", 0, 60, map[string]string{
			"acknowledgements":        "map[] map[acknowledged:3 never:2]",
			"acknowledged_ever":       "map[] map[value:4]",
			"acknowledgement_seconds": "map[stat:avg] map[value:240] map[stat:p50] map[value:120] map[stat:p95] map[value:552]",
		})
		expect("the second", 60, 120, map[string]string{
			"acknowledgements": "map[] map[acknowledged:1 never:0]", "acknowledgement_seconds": "map[stat:avg] map[value:3600] map[stat:p50] map[value:3600] map[stat:p95] map[value:3600]",
		})
		expect("a quiet one", 200, 260, map[string]string{"acknowledgements": "map[] map[acknowledged:0 never:0]", "acknowledgement_seconds": ""})
		of, err := s.Acknowledgements(t.Context(), []string{"A", "NEVER", "none", "C"})
		sre := reporter.Person{Kind: reporter.AuthorPage, Name: "sre"}
		want := map[string]reporter.Acknowledgement{
			"A": {By: sre, Since: day.Add(20 * time.Minute).UTC(), First: day.Add(2 * time.Minute).UTC(), FirstBy: sre},
			"C": {By: sre, Since: day.Add(time.Hour).UTC(), First: day.Add(time.Hour).UTC(), FirstBy: sre},
		}
		if diff := cmp.Diff(want, of); diff != "" || err != nil {
			t.Error(diff, err)
		}
	})
}

func TestNoiseOfAcknowledgedIncidents(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		now := day
		s.SetClock(func() time.Time { return now })
		until := day.Add(reporter.NoiseWindow)
		review := func() reporter.NoiseReview {
			t.Helper()
			r, err := s.Noise(t.Context(), day, until, reporter.WorkingHours{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		// Each incident has two episodes of Disk and one of Net; one began before the window.
		for n := range 5 {
			in := incident(fmt.Sprint(n), n, -1)
			in.Key, in.Alerts, in.AlertsTotal = fmt.Sprint(n), nil, 3
			for k, name := range []string{"Disk", "Disk", "Net"} {
				in.Alerts = append(in.Alerts, reporter.Alert{
					Fingerprint: fmt.Sprint(n, k), StartsAt: in.StartedAt, Firing: true, Labels: map[string]string{"alertname": name},
				})
			}
			put(t, s, in)
		}
		before := incident("before", -60, -1)
		before.Key, before.Alerts[0].Fingerprint, before.Alerts[0].Labels = "before", "b", map[string]string{"alertname": "Disk"}
		put(t, s, before)
		if r := review(); r.Acknowledging || r.Rows[0].Acknowledged != 0 {
			t.Errorf("before any acknowledgement: %+v", r)
		}
		for n, id := range []string{"0", "1", "2", "before"} {
			now = day.Add(time.Duration(n*3) * time.Minute)
			if _, _, err := s.Acknowledge(t.Context(), id, reporter.Person{Kind: reporter.AuthorPage, Name: "sre"}, reporter.MessageRef{}); err != nil {
				t.Fatal(err)
			}
		}
		r := review()
		if !r.Acknowledging || len(r.Rows) != 2 || r.Rows[0].Name != "Disk" {
			t.Fatalf("%+v", r)
		}
		for n, want := range []struct {
			share    float64
			episodes int
		}{{0.6, 6}, {0.6, 3}} {
			row := r.Rows[n]
			share, _ := row.AcknowledgedShare()
			mean, known := row.MeanAcknowledgement()
			// 0, 2 and 4 minutes after the start of each
			if share != want.share || row.Acknowledged != want.episodes || row.AcknowledgedIncidents != 3 || mean != 2*time.Minute || !known {
				t.Errorf("%s: share %v, mean %v, %+v", row.Name, share, mean, row)
			}
		}
	})
}
