package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// A silence that outlasts its incident can be ended, and the notice shows that it is being ended, and that it has.
func TestASilenceOutlastsItsIncident(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, -1))
		if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryFiring, "I", "r", s.Now())); err != nil {
			t.Fatal(err)
		}
		send(t, s, reporter.DeliverySent, reporter.DeliveryFiring, "I")
		n := reporter.Silence{ID: "1", Incident: "I", Cluster: "default", StartsAt: day, EndsAt: day.Add(time.Hour), State: reporter.SilencePending, NextAt: day}
		if added, err := s.AddSilence(t.Context(), n); !added || err != nil {
			t.Fatal(added, err)
		}
		n.State, n.APIID = reporter.SilenceActive, "api"
		if saved, err := s.SaveSilence(t.Context(), n, reporter.SilencePending); !saved || err != nil {
			t.Fatal(saved, err)
		}
		put(t, s, incident("I", 0, 5))
		before := due(t, s, time.Hour)
		edited := func(when string) {
			t.Helper()
			after := due(t, s, time.Hour)
			if slices.Equal(before, after) {
				t.Errorf("%s the notice does not wait for another edit: %q", when, after)
			}
			before = after
		}
		if ending, err := s.EndSilences(t.Context(), "I", "Bob", day); ending != 1 || err != nil {
			t.Errorf("%d silences are to end, %v", ending, err)
		}
		edited("once it is being ended,")
		n.State, n.EndedAt = reporter.SilenceEnded, day
		if saved, err := s.SaveSilence(t.Context(), n, reporter.SilenceEnding); !saved || err != nil {
			t.Fatal(saved, err)
		}
		edited("once it has ended,")
	})
}

func TestSilences(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, -1), incident("J", 0, 5))
		if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryFiring, "I", "r", s.Now())); err != nil {
			t.Fatal(err)
		}
		send(t, s, reporter.DeliverySent, reporter.DeliveryFiring, "I")
		silence := func(id, incident string, ends time.Duration) reporter.Silence {
			return reporter.Silence{
				ID: id, Incident: incident, Cluster: "default", By: reporter.Person{Kind: reporter.AuthorTelegram, ID: "7", Name: "王小明"},
				Matchers: []reporter.SilenceMatcher{{Name: "a", Value: "b\"\\"}, {Name: "alertname", Value: "A|B", Regex: true}},
				StartsAt: day, EndsAt: day.Add(ends), State: reporter.SilencePending, NextAt: day,
			}
		}
		add := func(n reporter.Silence, added bool, want error) {
			t.Helper()
			if got, err := s.AddSilence(t.Context(), n); got != added || !errors.Is(err, want) {
				t.Errorf("%s: %v, %v; want %v, %v", n.ID, got, err, added, want)
			}
		}
		first, second := silence("1", "I", time.Hour), silence("2", "I", 4*time.Hour)
		add(first, true, nil)
		add(silence("x", "I", time.Hour), false, nil) // which lasts already
		add(second, true, nil)
		add(silence("x", "J", time.Hour), false, reporter.ErrResolved)
		add(silence("x", "K", time.Hour), false, reporter.ErrNotFound)
		stored, err := s.Silences(t.Context(), "I")
		if diff := cmp.Diff([]reporter.Silence{first, second}, stored); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		if got := due(t, s, time.Hour); len(got) != 1 || got[0] != "firing I v2" {
			t.Errorf("the notice waits for %q", got)
		}
		active := first
		active.State, active.APIID, active.Attempts, active.NextAt = reporter.SilenceActive, "api", 1, day.Add(time.Minute)
		if saved, err := s.SaveSilence(t.Context(), active, reporter.SilencePending); !saved || err != nil {
			t.Errorf("saved %v, %v", saved, err)
		}
		waiting, err := s.DueSilences(t.Context(), "default", day, 10)
		if err != nil || len(waiting) != 1 || waiting[0].ID != "2" {
			t.Errorf("due: %+v, %v", waiting, err)
		}
		if other, err := s.DueSilences(t.Context(), "other", day, 10); err != nil || len(other) != 0 {
			t.Errorf("due of another cluster: %+v, %v", other, err)
		}
		for _, want := range []struct {
			at       time.Time
			clusters []string
		}{{day.Add(-time.Second), nil}, {day, []string{"default"}}} {
			if got, err := s.ClustersDue(t.Context(), want.at); err != nil || !slices.Equal(got, want.clusters) {
				t.Errorf("clusters to be asked at %v: %q, %v; want %q", want.at, got, err, want.clusters)
			}
		}
		for _, want := range []int64{2, 0} {
			if n, err := s.EndSilences(t.Context(), "I", "Bob", day); n != want || err != nil {
				t.Errorf("%d silences are to end, %v; want %d", n, err, want)
			}
		}
		if _, err := s.EndSilences(t.Context(), "K", "Bob", day); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("of no incident: %v", err)
		}
		// What an attempt finds out that began before the person ended it does not undo that; the cluster's id is kept.
		late := second
		late.State, late.APIID = reporter.SilenceActive, "late"
		if saved, err := s.SaveSilence(t.Context(), late, reporter.SilencePending); saved || err != nil {
			t.Errorf("saved %v, %v", saved, err)
		}
		stored, err = s.Silences(t.Context(), "I")
		if err != nil || stored[0].State != reporter.SilenceEnding || stored[1].State != reporter.SilenceEnding || stored[1].APIID != "late" || stored[1].EndedBy != "Bob" {
			t.Errorf("%+v, %v", stored, err)
		}
		before := due(t, s, time.Hour)
		stuck := stored[1]
		stuck.Error = "504"
		for _, state := range []reporter.SilenceState{reporter.SilenceEnding, reporter.SilenceEnded} { // The notice shows both.
			stuck.State = state
			if saved, err := s.SaveSilence(t.Context(), stuck, reporter.SilenceEnding); !saved || err != nil {
				t.Errorf("saved %v, %v", saved, err)
			}
			after := due(t, s, time.Hour)
			if slices.Equal(before, after) {
				t.Errorf("%s: the notice does not wait for another edit: %q", state, after)
			}
			before = after
		}
		if _, err := s.Prune(t.Context(), day.Add(1000*time.Hour)); err != nil {
			t.Fatal(err)
		}
		put(t, s, incident("I", 0, 5))
		if _, err := s.Prune(t.Context(), day.Add(1000*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if left, err := s.Silences(t.Context(), "I"); len(left) > 0 || err != nil {
			t.Errorf("silences of a deleted incident: %+v, %v", left, err)
		}
	})
}
