package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

func TestMergeMakesOneDeliveryOfMany(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		ctx := t.Context()
		composed := reporter.NewDelivery(reporter.DeliveryPostmortem, "composed", "oncall", day)
		composed.Message, composed.Parts = &reporter.Message{Title: "x"}, []reporter.Part{{HTML: "x", MessageID: "77", SentAt: day}}
		ds := []reporter.Delivery{composed, reporter.NewDelivery(reporter.DeliveryReport, "daily@x", "oncall", day), reporter.NewDelivery(reporter.DeliveryPostmortem, "P-0", "other", day)}
		for n := range 5 {
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprintf("P-%d", n), "oncall", day)
			d.NextAttempt = day.Add(time.Duration(n+1) * time.Minute)
			ds = append(ds, d)
		}
		if _, err := s.Enqueue(ctx, ds...); err != nil {
			t.Fatal(err)
		}
		for name, call := range map[string]struct {
			receiver string
			now      time.Time
			from     int
		}{
			"nothing is due":  {"oncall", day.Add(59 * time.Second), 5},
			"too few":         {"oncall", day.Add(time.Minute), 6},
			"another chat":    {"other", day.Add(time.Hour), 2},
			"an unknown chat": {"nobody", day.Add(time.Hour), 2},
		} {
			if n, err := s.Merge(ctx, call.receiver, reporter.DeliveryPostmortem, reporter.DeliveryDigest, call.now, call.from); err != nil || n != 0 {
				t.Errorf("%s: merged %d, %v", name, n, err)
			}
		}
		if n, err := s.Merge(ctx, "oncall", reporter.DeliveryPostmortem, reporter.DeliveryDigest, day.Add(time.Minute), 5); err != nil || n != 5 {
			t.Fatalf("merged %d, %v", n, err)
		}
		all, err := s.Deliveries(ctx, 100)
		if err != nil {
			t.Fatal(err)
		}
		digest := all[0]
		if digest.Kind != reporter.DeliveryDigest || digest.State != reporter.DeliveryPending || digest.Receiver != "oncall" {
			t.Fatalf("the newest delivery is %+v", digest)
		}
		states := map[string]int{}
		for _, d := range all {
			states[string(d.State)]++
			if (d.State == reporter.DeliveryMerged) != (d.MergedInto == digest.ID) {
				t.Errorf("%s is %s and went into %d", d.Key, d.State, d.MergedInto)
			}
		}
		same(t, "states", map[string]int{"pending": 4, "merged": 5}, states)
		subjects, err := s.MergedInto(ctx, digest.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "subjects", "P-0 P-1 P-2 P-3 P-4", strings.Join(subjects, " "))
		// A person may still ask for one of them by itself.
		merged := all[len(all)-4]
		if err := s.RetryDelivery(ctx, merged.ID, day); err != nil {
			t.Fatal(err)
		}
		if d, err := s.Delivery(ctx, merged.ID); err != nil || d.State != reporter.DeliveryPending || d.MergedInto != 0 {
			t.Errorf("after a retry: %+v, %v", d, err)
		}
	})
}

func TestAlikeAndMeanOfEarlierIncidents(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		named := func(id, name string, start, minutes int) reporter.Incident {
			in := incident(id, start, minutes)
			for n := range 25 {
				a := in.Alerts[0]
				a.Fingerprint, a.Labels = fmt.Sprint(n), map[string]string{"alertname": name}
				in.Alerts = append(in.Alerts, a)
			}
			return in
		}
		put(t, s, named("A1", "A", -100, 10), named("A2", "A", -50, 30), named("B1", "B", -60, 5), named("C1", "C", -40, 5), named("OPEN", "A", -30, -1), named("NOW", "A", 0, 5))
		got, err := s.Alike(t.Context(), []string{"A", "B", "'; DROP TABLE alerts; --"}, day.Add(-99*time.Minute), day, 10)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, in := range got {
			ids = append(ids, in.ID)
			if len(in.Alerts) != 20 {
				t.Errorf("%s comes with %d alerts", in.ID, len(in.Alerts))
			}
		}
		same(t, "alike", "A2 B1", strings.Join(ids, " "))
		if got, err := s.Alike(t.Context(), []string{"A", "B"}, day.Add(-99*time.Minute), day, 1); err != nil || len(got) != 1 || got[0].ID != "A2" {
			t.Errorf("the latest one: %v, %v", got, err)
		}
		if got, err := s.Alike(t.Context(), nil, day.Add(-time.Hour), day, 10); err != nil || len(got) != 0 {
			t.Errorf("of no names: %v, %v", got, err)
		}
		e, err := s.Earlier(t.Context(), incident("ANOTHER", 0, -1))
		if err != nil {
			t.Fatal(err)
		}
		same(t, "earlier", reporter.Earlier{Days7: 5, Days30: 5, Resolved: 4, MeanResolve: 12*time.Minute + 30*time.Second}, e)
		unknown := incident("ANOTHER", 0, -1)
		unknown.Alerts[0].Fingerprint = "unknown"
		if e, err := s.Earlier(t.Context(), unknown); err != nil || e != (reporter.Earlier{}) {
			t.Errorf("of an unknown alert: %+v, %v", e, err)
		}
	})
}
