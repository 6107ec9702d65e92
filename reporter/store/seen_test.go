package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// Whatever part of an incident's alerts is received again, ends or fires again, each keeps its own times, though most are stored once
// for all of them.
func TestAlertsKeepTheirTimes(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		in := incident("I", 0, -1)
		in.Alerts = nil
		for n := range 130 { // so many that they are not all read by an update
			in.Alerts = append(in.Alerts, reporter.Alert{
				Fingerprint: fmt.Sprintf("%03d", n), StartsAt: day, Firing: true, SeenAt: day, Labels: map[string]string{}, Annotations: map[string]string{},
			})
		}
		in.AlertsTotal = len(in.Alerts)
		put(t, s, in)
		want := map[string]reporter.Alert{}
		for _, a := range in.Alerts {
			want[a.Fingerprint] = a
		}
		random := rand.New(rand.NewPCG(1, 2))
		for step := range 60 {
			now := day.Add(time.Duration(step+1) * time.Minute)
			share := []float64{1, 1, 0.9, 0.5, 0.02}[step%5] // of the alerts that a webhook is about
			query := reporter.JournalQuery{Incidents: []string{"I"}}
			chosen := map[string]bool{}
			for f := range want {
				if random.Float64() < share {
					chosen[f] = true
					query.Alerts = append(query.Alerts, reporter.JournalSince{Of: f, Cluster: "default", Since: day.Add(-time.Hour)})
				}
			}
			err := s.Update(t.Context(), query, func(v reporter.JournalView) reporter.JournalChanges {
				got := v.Incidents[0]
				got.Alerts = slices.Clone(got.Alerts)
				for n := range got.Alerts {
					a := &got.Alerts[n]
					if !chosen[a.Fingerprint] {
						continue
					}
					switch end, _ := a.Ended(); random.IntN(20) {
					case 0:
						a.Firing, a.EndsAt = false, now
						a.Resolves = []reporter.Resolve{{EndsAt: now, First: now, Last: now}}
					case 1:
						if end.IsZero() {
							a.PresumedAt, a.PresumedWhy = now, reporter.ClosedExpired
						}
					default: // It is received again, which ends a presumption.
						a.Firing, a.EndsAt, a.SeenAt = true, time.Time{}, now
					}
					want[a.Fingerprint] = *a
				}
				return reporter.JournalChanges{Incidents: []reporter.Incident{got}}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		stored, err := s.Incident(t.Context(), "I")
		if err != nil {
			t.Fatal(err)
		}
		firing := map[string]time.Time{}
		for _, a := range stored.Alerts {
			same(t, a.Fingerprint, want[a.Fingerprint], a)
			if end, _ := a.Ended(); end.IsZero() {
				firing[a.Fingerprint] = a.SeenAt
			}
		}
		if len(stored.Alerts) != len(want) || len(firing) < 20 || len(firing) == len(want) {
			t.Errorf("%d alerts, %d are firing", len(stored.Alerts), len(firing))
		}
		list, err := s.FiringAlerts(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]time.Time{}
		for _, a := range list {
			got[a.Fingerprint] = a.SeenAt
		}
		same(t, "firing", firing, got)
	})
}
