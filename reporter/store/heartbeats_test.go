package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

func heartbeat(fingerprint, cluster, group string) reporter.Heartbeat {
	return reporter.Heartbeat{
		Fingerprint: fingerprint, Cluster: cluster, Group: group, Route: "beat", Labels: map[string]string{"alertname": "Watchdog", "日": "本\x00"},
		Annotations: map[string]string{"runbook_url": "http://r"}, ExternalURL: "http://am", StartsAt: day, FirstSeenAt: day.Add(time.Second),
		SeenAt: day.Add(time.Minute), SeenCounted: 90*time.Second + time.Microsecond,
		Resolved: reporter.HeartbeatResolve{StartsAt: day, EndsAt: day.Add(time.Hour), At: day.Add(2 * time.Hour)},
	}
}

func outage(id string, missing time.Time) reporter.HeartbeatOutage {
	return reporter.HeartbeatOutage{
		ID: id, Cluster: "x", Fingerprint: "a", Route: "beat", Labels: map[string]string{"alertname": "Watchdog"},
		Annotations: map[string]string{}, ExternalURL: "http://am", Severity: "critical", Cause: reporter.HeartbeatSilent,
		MissingAfter: 5 * time.Minute, SeenAt: day, MissingAt: missing,
	}
}

// What is stored of heartbeats is found again by those who ask for it, after a restart too.
func TestHeartbeatsAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		a, b, c := heartbeat("a", "x", "g1"), heartbeat("a", "y", "g2"), heartbeat("c", "x", "g1")
		b.Outage, b.MissingAt = "HB-1", day
		watch := reporter.HeartbeatWatch{At: day, Counted: time.Hour + time.Microsecond}
		err := s.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
			return reporter.JournalChanges{
				Heartbeats: []reporter.Heartbeat{a, b, c}, HeartbeatOutages: []reporter.HeartbeatOutage{outage("HB-1", day)}, HeartbeatWatch: &watch,
				Deliveries: []reporter.Delivery{reporter.NewDelivery(reporter.DeliveryHeartbeatMissing, "HB-1", "oncall", day)},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(s *store.Store, q reporter.JournalQuery) (v reporter.JournalView) {
			t.Helper()
			err := s.Update(t.Context(), q, func(got reporter.JournalView) reporter.JournalChanges {
				v = got
				return reporter.JournalChanges{}
			})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		s.Close()
		s = open()
		for name, tc := range map[string]struct {
			q    reporter.JournalQuery
			want []reporter.Heartbeat
		}{
			"by fingerprint": {reporter.JournalQuery{Heartbeats: []string{"a"}}, []reporter.Heartbeat{a, b}},
			"by group":       {reporter.JournalQuery{HeartbeatGroups: []string{"g1"}}, []reporter.Heartbeat{a, c}},
			"all":            {reporter.JournalQuery{AllHeartbeats: true}, []reporter.Heartbeat{a, c, b}},
			"none of those":  {reporter.JournalQuery{Heartbeats: []string{"z"}}, nil},
		} {
			v := ask(s, tc.q)
			same(t, name, tc.want, v.Heartbeats)
			if v.HeartbeatTotal != 3 || v.HeartbeatWatch != watch {
				t.Errorf("%s: %d heartbeats, watch %v", name, v.HeartbeatTotal, v.HeartbeatWatch)
			}
			if wants := slices.ContainsFunc(tc.want, reporter.Heartbeat.Missing); wants != (len(v.HeartbeatOutages) == 1) {
				t.Errorf("%s: outages %v", name, v.HeartbeatOutages)
			}
		}
		if v := ask(s, reporter.JournalQuery{}); len(v.Heartbeats) != 0 || v.HeartbeatTotal != 0 {
			t.Errorf("who asks for none gets %d", len(v.Heartbeats))
		}
		counts, err := s.Counts(t.Context(), "heartbeats", time.Time{}, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "counts", []store.Count{
			{Labels: map[string]string{"state": "missing"}, Values: map[string]float64{"value": 1}},
			{Labels: map[string]string{"state": "received"}, Values: map[string]float64{"value": 2}},
		}, counts)
		list, err := s.Heartbeats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "listed, the missing one first", []reporter.Heartbeat{b, a, c}, list)
		o, err := s.HeartbeatOutage(t.Context(), "HB-1")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "outage", outage("HB-1", day), o)
		if _, err := s.HeartbeatOutage(t.Context(), "HB-2"); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("an outage that there was not: %v", err)
		}

		b.Outage, b.MissingAt = "", time.Time{}
		err = s.Update(t.Context(), reporter.JournalQuery{AllHeartbeats: true}, func(v reporter.JournalView) reporter.JournalChanges {
			return reporter.JournalChanges{Heartbeats: []reporter.Heartbeat{b}, HeartbeatsForgotten: []reporter.Heartbeat{a}}
		})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "after a return and a removal", []reporter.Heartbeat{c, b}, ask(s, reporter.JournalQuery{AllHeartbeats: true}).Heartbeats)
	})
}

// Updates that share a commit see each other's heartbeats.
func TestHeartbeatsOfSharedCommits(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		errs := make(chan error)
		const writers, rounds = 8, 10
		for range writers {
			go func() {
				for range rounds {
					err := s.Update(t.Context(), reporter.JournalQuery{Heartbeats: []string{"a"}}, func(v reporter.JournalView) reporter.JournalChanges {
						h := heartbeat("a", "x", "g")
						if len(v.Heartbeats) == 1 {
							h.SeenCounted = v.Heartbeats[0].SeenCounted
						}
						h.SeenCounted += time.Second
						return reporter.JournalChanges{Heartbeats: []reporter.Heartbeat{h}}
					})
					if err != nil {
						errs <- err
						return
					}
				}
				errs <- nil
			}()
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Heartbeats(t.Context())
		want := heartbeat("a", "x", "g").SeenCounted + writers*rounds*time.Second
		if err != nil || len(list) != 1 || list[0].SeenCounted != want {
			t.Errorf("%+v, want %v, %v", list, want, err)
		}
	})
}

// Outages are deleted by age, unless they last or their message is still to be sent.
func TestPruneOfHeartbeatOutages(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		h := heartbeat("a", "x", "g")
		h.Outage, h.MissingAt = "LASTS", day
		err := s.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
			return reporter.JournalChanges{
				Heartbeats: []reporter.Heartbeat{h},
				HeartbeatOutages: []reporter.HeartbeatOutage{
					outage("LASTS", day), outage("OVER", day), outage("TO-SEND", day), outage("NEW", day.Add(time.Hour)),
				},
				Deliveries: []reporter.Delivery{reporter.NewDelivery(reporter.DeliveryHeartbeatReturned, "TO-SEND", "oncall", day)},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prune(t.Context(), day.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, id := range []string{"LASTS", "OVER", "TO-SEND", "NEW"} {
			if _, err := s.HeartbeatOutage(t.Context(), id); err == nil {
				left = append(left, id)
			}
		}
		if got := fmt.Sprint(strings.Join(left, " ")); got != "LASTS TO-SEND NEW" {
			t.Errorf("left are %s", got)
		}
	})
}
