package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

func TestListIncidents(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		// Both states in turn, and two of each that began in the same moment.
		for n := range 10 {
			minutes := 5
			if n%2 == 0 {
				minutes = -1
			}
			in := incident(fmt.Sprintf("I%d", n), n/4, minutes)
			in.Key, in.GroupLabels = fmt.Sprintf("k%d", n%3), map[string]string{"cluster": fmt.Sprintf("Prod_%d", n)}
			in.Alerts[0].Annotations["summary"] = fmt.Sprintf("磁碟 <%d>%% full", n)
			put(t, s, in)
		}
		ids := func(f reporter.IncidentFilter) string {
			t.Helper()
			rows, err := s.ListIncidents(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, r := range rows {
				out = append(out, r.Incident.ID)
			}
			return strings.Join(out, " ")
		}
		const all = "I8 I6 I4 I2 I0 I9 I7 I5 I3 I1"
		for name, tc := range map[string]struct {
			f    reporter.IncidentFilter
			want string
		}{
			"all, open first":             {reporter.IncidentFilter{Limit: 20}, all},
			"none":                        {reporter.IncidentFilter{}, ""},
			"across the states":           {reporter.IncidentFilter{Limit: 6}, "I8 I6 I4 I2 I0 I9"},
			"open":                        {reporter.IncidentFilter{State: reporter.IncidentOpen, Limit: 20}, "I8 I6 I4 I2 I0"},
			"resolved":                    {reporter.IncidentFilter{State: reporter.IncidentResolved, Limit: 2}, "I9 I7"},
			"of a key":                    {reporter.IncidentFilter{Key: "k1", Limit: 20}, "I4 I7 I1"},
			"by id, whatever its case":    {reporter.IncidentFilter{Text: "i7", Limit: 20}, "I7"},
			"by a group label":            {reporter.IncidentFilter{Text: "prod_3", Limit: 20}, "I3"},
			"a wildcard is a character":   {reporter.IncidentFilter{Text: "prod%3", Limit: 20}, ""},
			"an underscore is one too":    {reporter.IncidentFilter{Text: "p_od", Limit: 20}, ""},
			"so is the escape":            {reporter.IncidentFilter{Text: "!", Limit: 20}, ""},
			"by an annotation":            {reporter.IncidentFilter{Text: "磁碟 <4>%", Limit: 20}, "I4"},
			"by a quote":                  {reporter.IncidentFilter{Text: `"'`, State: reporter.IncidentResolved, Limit: 1}, "I9"},
			"by nothing that is anywhere": {reporter.IncidentFilter{Text: "nothing", Limit: 20}, ""},
		} {
			if got := ids(tc.f); got != tc.want {
				t.Errorf("%s: %q, want %q", name, got, tc.want)
			}
		}
		// Page by page, of any size, every incident comes once and in the same order.
		for size := 1; size < 11; size++ {
			var got []string
			f := reporter.IncidentFilter{Limit: size}
			for {
				rows, err := s.ListIncidents(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) == 0 {
					break
				}
				for _, r := range rows {
					got = append(got, r.Incident.ID)
				}
				last := rows[len(rows)-1].Incident
				f.After = &reporter.IncidentCursor{State: last.State, StartedAt: last.StartedAt, ID: last.ID}
			}
			if strings.Join(got, " ") != all {
				t.Errorf("pages of %d: %v", size, got)
			}
		}
	})
}

// A list names an incident as its message does.
func TestListIncidentsReadsTheMostSevereAlert(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		in := incident("I", 0, -1)
		for n := range 1100 {
			a := reporter.Alert{
				Fingerprint: fmt.Sprint(n), StartsAt: day.Add(time.Duration(n) * time.Second), Firing: true,
				Labels: map[string]string{"alertname": fmt.Sprint("A", n), "severity": "info"},
			}
			if n == 1090 {
				a.Labels["severity"] = "emergency"
			}
			in.Alerts = append(in.Alerts, a)
		}
		put(t, s, in)
		rows, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 1})
		if err != nil || len(rows) != 1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		row := rows[0]
		if row.Incident.Severity() != "emergency" || row.Incident.Title() != "A1090" || row.Count != 1000 {
			t.Errorf("%q %q, %d alerts", row.Incident.Severity(), row.Incident.Title(), row.Count)
		}
	})
}

func TestListIncidentsReadsFewAlerts(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		want := map[string]struct {
			alerts, read, count int
			more                bool
		}{
			"one": {1, 1, 1, false}, "some": {20, 20, 20, false}, "many": {21, 20, 21, false},
			"bound": {1000, 20, 1000, false}, "storm": {1001, 20, 1000, true},
		}
		for id, w := range want {
			in := incident(id, 0, -1)
			for n := 1; n < w.alerts; n++ {
				in.Alerts = append(in.Alerts, reporter.Alert{Fingerprint: fmt.Sprint(n), StartsAt: day.Add(time.Duration(n) * time.Second), Firing: true})
			}
			put(t, s, in)
		}
		rows, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 10})
		if err != nil || len(rows) != len(want) {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, r := range rows {
			w := want[r.Incident.ID]
			if len(r.Incident.Alerts) != w.read || r.Count != w.count || r.More != w.more {
				t.Errorf("%s: %d alerts read, %d counted, more: %v", r.Incident.ID, len(r.Incident.Alerts), r.Count, r.More)
			}
			if r.Incident.Alerts[0].Fingerprint != "f" {
				t.Errorf("%s: the first alert is %q", r.Incident.ID, r.Incident.Alerts[0].Fingerprint)
			}
		}
	})
}

func TestListDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		ctx := t.Context()
		s := open()
		for n := range 8 {
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprintf("INC-%d", n/2), []string{"a", "b"}[n%2], day)
			if n >= 6 {
				d.State, d.FinishedAt = reporter.DeliverySent, day
			}
			if _, err := s.Enqueue(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		for name, tc := range map[string]struct {
			f    reporter.DeliveryFilter
			want string
		}{
			"all":             {reporter.DeliveryFilter{Limit: 20}, "8 7 6 5 4 3 2 1"},
			"a page":          {reporter.DeliveryFilter{Limit: 3}, "8 7 6"},
			"the next page":   {reporter.DeliveryFilter{Limit: 3, Before: 6}, "5 4 3"},
			"of a state":      {reporter.DeliveryFilter{State: reporter.DeliverySent, Limit: 20}, "8 7"},
			"of a receiver":   {reporter.DeliveryFilter{Receiver: "b", State: reporter.DeliveryPending, Limit: 20}, "6 4 2"},
			"of an incident":  {reporter.DeliveryFilter{Kind: reporter.DeliveryPostmortem, Subject: "INC-1", Limit: 20}, "4 3"},
			"of another kind": {reporter.DeliveryFilter{Kind: reporter.DeliveryReport, Subject: "INC-1", Limit: 20}, ""},
			"none":            {reporter.DeliveryFilter{}, ""},
		} {
			list, err := s.ListDeliveries(ctx, tc.f)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range list {
				got = append(got, fmt.Sprint(d.ID))
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%s: %q, want %q", name, s, tc.want)
			}
		}
	})
}

func TestReportDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		ctx := t.Context()
		s := open()
		due := func(n int) time.Time { return day.Truncate(time.Second).AddDate(0, 0, n) }
		subject := func(name string, n int) string { return name + "@" + due(n).Format(time.RFC3339) }
		for n := range 4 {
			for _, name := range []string{"日報", "日報2", "日報@1"} {
				for _, receiver := range []string{"a", "b"} {
					if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryReport, subject(name, n), receiver, day)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, subject("日報", 9), "a", day)); err != nil {
			t.Fatal(err)
		}
		for name, tc := range map[string]struct {
			report string
			before time.Time
			limit  int
			want   []int
		}{
			"the latest":           {"日報", time.Time{}, 2, []int{3, 2}},
			"all":                  {"日報", time.Time{}, 20, []int{3, 2, 1, 0}},
			"before":               {"日報", due(2), 20, []int{1, 0}},
			"of a name with an at": {"日報@1", time.Time{}, 1, []int{3}},
			"unknown":              {"daily", time.Time{}, 20, nil},
		} {
			list, err := s.ReportDeliveries(ctx, tc.report, tc.before, tc.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, d := range list {
				got = append(got, d.Subject+" "+d.Receiver)
			}
			for _, n := range tc.want {
				want = append(want, subject(tc.report, n)+" a", subject(tc.report, n)+" b")
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	})
}

// A journal in a storm: the list reads a page, and not all there is.
func BenchmarkListIncidents(b *testing.B) {
	s := open(b, b.TempDir())
	for n := range 100 {
		in := incident(fmt.Sprintf("I%d", n), n, -1)
		for k := range 10000 {
			in.Alerts = append(in.Alerts, reporter.Alert{
				Fingerprint: fmt.Sprint(k), StartsAt: day.Add(time.Duration(k) * time.Second), Firing: true,
				Labels: map[string]string{"alertname": "NodeDown", "instance": fmt.Sprint(k), "x": strings.Repeat("x", 200)},
			})
		}
		put(b, s, in)
	}
	for name, text := range map[string]string{"all": "", "sought in vain": "nowhere"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ListIncidents(b.Context(), reporter.IncidentFilter{Text: text, Limit: 30}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
