package store_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	journal "github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
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
			in.Key, in.GroupLabels = fmt.Sprintf("k%d", n%3), map[string]string{"cluster": fmt.Sprintf("Prod_%d", n), "all": "Disk-All"}
			in.Alerts[0].Annotations["summary"] = fmt.Sprintf("磁碟 <%d>%% full", n)
			in.Alerts[0].Labels["severity"], in.Alerts[0].Labels["team"] = []string{"critical", "warning", ""}[n%3], []string{"dba", ""}[n%2]
			if n == 9 {
				in.Cluster = "tpe-2"
			}
			put(t, s, in)
		}
		ids := func(f reporter.IncidentFilter) string {
			t.Helper()
			page, err := s.ListIncidents(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			f.Limit = 100
			if all, err := s.ListIncidents(t.Context(), f); err != nil || page.More || page.Count != len(all.Rows) {
				t.Errorf("%+v: %d counted of %d, %v", f, page.Count, len(all.Rows), err)
			}
			return idsOf(page)
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
			"of a severity":               {reporter.IncidentFilter{Severity: "critical", Limit: 20}, "I6 I0 I9 I3"},
			"of a team":                   {reporter.IncidentFilter{Team: "dba", Limit: 20}, "I8 I6 I4 I2 I0"},
			"of a cluster":                {reporter.IncidentFilter{Cluster: "tpe-2", Limit: 20}, "I9"},
			"from then on":                {reporter.IncidentFilter{From: day.Add(2 * time.Minute), Limit: 20}, "I8 I9"},
			"before then":                 {reporter.IncidentFilter{To: day.Add(time.Minute), Limit: 20}, "I2 I0 I3 I1"},
			"of all these":                {reporter.IncidentFilter{Team: "dba", Severity: "critical", Text: "PROD_8", Limit: 20}, ""},
			"of all those":                {reporter.IncidentFilter{Team: "dba", Severity: "critical", Text: "TEAM=DBA", Limit: 20}, "I6 I0"},
			"of a key":                    {reporter.IncidentFilter{Key: "k1", Limit: 20}, "I4 I7 I1"},
			"by id, whatever its case":    {reporter.IncidentFilter{Text: "i7", Limit: 20}, "I7"},
			"by a group label":            {reporter.IncidentFilter{Text: "prod_3", Limit: 20}, "I3"},
			"a wildcard is a character":   {reporter.IncidentFilter{Text: "prod%3", Limit: 20}, ""},
			"an underscore is one too":    {reporter.IncidentFilter{Text: "p_od", Limit: 20}, ""},
			"a star is one":               {reporter.IncidentFilter{Text: "disk*all", Limit: 20}, ""},
			"brackets are":                {reporter.IncidentFilter{Text: "[d]isk", Limit: 20}, ""},
			"so is a question mark":       {reporter.IncidentFilter{Text: "disk?all", Limit: 20}, ""},
			"by an annotation":            {reporter.IncidentFilter{Text: "磁碟 <4>%", Limit: 20}, "I4"},
			"by a quote":                  {reporter.IncidentFilter{Text: `"'`, State: reporter.IncidentResolved, Limit: 1}, "I9"},
			"by nothing that is anywhere": {reporter.IncidentFilter{Text: "nothing", Limit: 20}, ""},
		} {
			if got := ids(tc.f); got != tc.want {
				t.Errorf("%s: %q, want %q", name, got, tc.want)
			}
		}
		// Page by page, of any size, every incident comes once and in the same order, and the pages before it are the same.
		for _, text := range []string{"", "disk-all"} {
			for size := 1; size < 11; size++ {
				var got, back []string
				f := reporter.IncidentFilter{Limit: size, Text: text}
				var first reporter.IncidentCursor
				for {
					page, err := s.ListIncidents(t.Context(), f)
					if err != nil {
						t.Fatal(err)
					}
					if len(page.Rows) == 0 {
						break
					}
					got = append(got, idsOf(page))
					f.After, first = cursorOf(page.Rows[len(page.Rows)-1]), *cursorOf(page.Rows[0])
				}
				if strings.Join(got, " ") != all {
					t.Errorf("pages of %d: %v", size, got)
				}
				f.After, f.Before = nil, &first
				for {
					page, err := s.ListIncidents(t.Context(), f)
					if err != nil {
						t.Fatal(err)
					}
					if len(page.Rows) == 0 {
						break
					}
					back = append([]string{idsOf(page)}, back...)
					f.Before = cursorOf(page.Rows[0])
				}
				if !slices.Equal(back, got[:len(got)-1]) {
					t.Errorf("pages of %d, backwards: %v, want %v", size, back, got[:len(got)-1])
				}
			}
		}
		// Programs read them by age, whatever their state.
		for size := 1; size < 11; size++ {
			var got []string
			f := reporter.IncidentFilter{Limit: size, Text: "disk-all", From: day, To: day.AddDate(0, 0, 1)}
			for {
				rows, err := s.IncidentsAfter(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if len(rows) == 0 {
					break
				}
				for _, r := range rows {
					got = append(got, r.Incident.ID)
				}
				f.After = cursorOf(rows[len(rows)-1])
			}
			if strings.Join(got, " ") != "I9 I8 I7 I6 I5 I4 I3 I2 I1 I0" {
				t.Errorf("by age, %d at a time: %v", size, got)
			}
		}
		rows, err := s.IncidentsAfter(t.Context(), reporter.IncidentFilter{State: reporter.IncidentOpen, Team: "dba", Limit: 2})
		if err != nil || len(rows) != 2 || rows[0].Incident.ID != "I8" || rows[0].Title != "磁碟 <8>% full" || rows[0].Team != "dba" || rows[0].Count != 1 {
			t.Errorf("open ones of a team: %+v, %v", rows, err)
		}
		facets, err := s.IncidentFacets(t.Context())
		want := reporter.IncidentFacets{Severities: []reporter.Severity{"critical", "warning"}, Teams: []string{"dba"}, Clusters: []string{"default", "tpe-2"}}
		if diff := cmp.Diff(want, facets); diff != "" || err != nil {
			t.Errorf("facets: %s, %v", diff, err)
		}
	})
}

func idsOf(page reporter.IncidentPage) string {
	var out []string
	for _, r := range page.Rows {
		out = append(out, r.Incident.ID)
	}
	return strings.Join(out, " ")
}

func cursorOf(r reporter.IncidentRow) *reporter.IncidentCursor {
	return &reporter.IncidentCursor{State: r.Incident.State, StartedAt: r.Incident.StartedAt, ID: r.Incident.ID}
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
		in.AlertsTotal = len(in.Alerts)
		put(t, s, in)
		page, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 1})
		if err != nil || len(page.Rows) != 1 {
			t.Fatalf("%d rows, %v", len(page.Rows), err)
		}
		row := page.Rows[0]
		if row.Severity != "emergency" || row.Title != "A1090" || row.Count != 1101 || len(row.Incident.Alerts) != 20 {
			t.Errorf("%q %q, %d alerts, %d read", row.Severity, row.Title, row.Count, len(row.Incident.Alerts))
		}
	})
}

// What lists show follows the alerts, also where an update does not read all of them, and is filled in for what an earlier version
// stored.
func TestListedSummaryFollowsTheAlerts(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		j := journal.New(journal.Config{By: journal.ByGroup, Receivers: []string{"oncall"}}, s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		fire := func(from, to int, severity string, more ...string) {
			t.Helper()
			var events []reporter.AlertEvent
			for n := from; n < to; n++ {
				e := reporter.AlertEvent{
					Receiver: "r", GroupKey: "g", Fingerprint: fmt.Sprintf("%04d", n), StartsAt: day.Add(time.Duration(n) * time.Second), Firing: true,
					Labels: map[string]string{"alertname": fmt.Sprint("A", n), "severity": severity},
				}
				for k := 0; k < len(more); k += 2 {
					e.Labels[more[k]] = more[k+1]
				}
				events = append(events, e)
			}
			if err := j.Accept(t.Context(), events); err != nil {
				t.Fatal(err)
			}
		}
		listed := func(want string) {
			t.Helper()
			page, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			r := page.Rows[0]
			if got := fmt.Sprintf("%s %s %q %d", r.Severity, r.Title, r.Team, r.Count); got != want {
				t.Errorf("listed %s, want %s", got, want)
			}
		}
		fire(0, 1, "warning")
		listed(`warning A0 "" 1`)
		fire(1, 200, "info", "team", "dba")
		listed(`warning A0 "dba" 200`)
		fire(200, 201, "info", "team", "web")
		listed(`warning A0 "dba" 201`)
		fire(201, 202, "critical", "team", "web")
		listed(`critical A201 "web" 202`)
		fire(202, 203, "warning")
		listed(`critical A201 "web" 203`)
		fire(0, 1, "warning", "note", "Ｎew")
		page, err := s.ListIncidents(t.Context(), reporter.IncidentFilter{Text: "alertname=a3", Limit: 1})
		if err != nil || page.Count != 1 {
			t.Errorf("found %d by an early alert, %v", page.Count, err)
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

func TestRetryOfACause(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		ctx, s := t.Context(), open()
		for n := range 260 {
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprint("INC-", n), []string{"a", "b"}[n%2], day.Add(time.Duration(n)*time.Second))
			d.State, d.Reason, d.FinishedAt = reporter.DeliveryGivenUp, reporter.ReasonNotAnswered, day
			switch n {
			case 0:
				d.Reason = reporter.ReasonRefused
			case 2:
				d.State, d.Reason, d.FinishedAt = reporter.DeliveryPending, reporter.ReasonWait, time.Time{}
			case 4:
				d.State, d.Reason, d.FinishedAt = reporter.DeliveryPending, reporter.ReasonNone, time.Time{}
			case 6:
				d.State, d.Reason = reporter.DeliverySent, reporter.ReasonNone
			}
			if _, err := s.Enqueue(ctx, d); err != nil {
				t.Fatal(err)
			}
		}
		causes := func() (out []string) {
			t.Helper()
			list, err := s.DeliveryCauses(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				out = append(out, fmt.Sprint(c.Receiver, " ", c.State, " ", c.Reason, " ", c.Count, " ", c.Oldest.Sub(day).Seconds(), " ", c.Latest))
			}
			return out
		}
		want := []string{"b given_up not_answered 130 1 260", "a given_up not_answered 126 8 259", "a pending wait 1 2 3", "a given_up refused 1 0 1"}
		if diff := cmp.Diff(want, causes()); diff != "" {
			t.Fatal(diff)
		}
		// One that came after the page was made is not retried with them.
		n, err := s.RetryCause(ctx, reporter.DeliveryCause{Receiver: "a", State: reporter.DeliveryGivenUp, Reason: reporter.ReasonNotAnswered, Latest: 257}, day.Add(time.Hour))
		if err != nil || n != 125 {
			t.Errorf("%d retried, %v", n, err)
		}
		want = []string{"b given_up not_answered 130 1 260", "a given_up not_answered 1 258 259", "a pending wait 1 2 3", "a given_up refused 1 0 1"}
		if diff := cmp.Diff(want, causes()); diff != "" {
			t.Error(diff)
		}
		d, err := s.Delivery(ctx, 9)
		if err != nil || d.State != reporter.DeliveryPending || !d.NextAttempt.Equal(day.Add(time.Hour)) || d.Reason != reporter.ReasonNone || !d.FinishedAt.IsZero() {
			t.Errorf("retried: %+v, %v", d, err)
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

// A large journal: the list reads a page, counts, and looks for texts, and does not read all there is.
func BenchmarkListIncidents(b *testing.B) {
	for kind, s := range map[string]*store.Store{"sqlite": storetest.Open(b, b.TempDir()), "postgres": openPostgres(b, database(b))} {
		fill(b, s, 100_000)
		for name, f := range map[string]reporter.IncidentFilter{
			"all":               {},
			"state and team":    {State: reporter.IncidentResolved, Team: "team3", Severity: "warning"},
			"a month":           {From: day.AddDate(0, 0, 10), To: day.AddDate(0, 0, 40)},
			"in the middle":     {After: &reporter.IncidentCursor{State: reporter.IncidentResolved, StartedAt: day.AddDate(0, 0, 45)}},
			"backwards":         {Before: &reporter.IncidentCursor{State: reporter.IncidentResolved, StartedAt: day.AddDate(0, 0, 45)}},
			"a frequent text":   {Text: "kubelet"},
			"a rare text":       {Text: "node-77777."},
			"found in one team": {Text: "節點失聯", Team: "team3"},
			"sought in vain":    {Text: "nowhere"},
		} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				f.Limit = 31
				for b.Loop() {
					if _, err := s.ListIncidents(b.Context(), f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(kind+"/facets", func(b *testing.B) {
			for b.Loop() {
				if _, err := s.IncidentFacets(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// fill makes n incidents over 90 days, as a journal has them.
func fill(tb testing.TB, s *store.Store, n int) {
	tb.Helper()
	var ins []reporter.Incident
	for i := range n {
		start := day.Add(time.Duration(i) * 90 * 24 * time.Hour / time.Duration(n))
		node := fmt.Sprintf("node-%d.k8s.tpe-1.example.org:9100", i)
		in := reporter.Incident{
			ID: fmt.Sprintf("INC-%06d", i*7919%n), Key: fmt.Sprint("k", i%1000), Cluster: "default", Receiver: "awoooi",
			GroupKey: fmt.Sprintf(`{}/{team="x"}:{alertname="NodeNotReady", cluster="tpe-%d"}`, i%3), ExternalURL: "http://alertmanager:9093",
			GroupLabels: map[string]string{"alertname": "NodeNotReady", "cluster": fmt.Sprint("tpe-", i%3)},
			State:       reporter.IncidentOpen, StartedAt: start, FirstSeenAt: start, LastSeenAt: start, AlertsTotal: 1,
		}
		a := reporter.Alert{
			Fingerprint: fmt.Sprint(i), StartsAt: start, Firing: true, SeenAt: start,
			Labels: map[string]string{
				"alertname": "NodeNotReady", "severity": []string{"critical", "warning", "info"}[i%3], "team": fmt.Sprint("team", i%7),
				"instance": node, "cluster": fmt.Sprint("tpe-", i%3), "job": "node",
			},
			Annotations: map[string]string{
				"summary":     "節點失聯：" + node,
				"description": "The kubelet of " + node + " has not reported its state for more than five minutes.",
				"runbook_url": "https://runbooks.example.org/NodeNotReady",
			},
		}
		if i%100 != 0 {
			in.State, in.EndedAt, in.CloseReason = reporter.IncidentResolved, start.Add(20*time.Minute), reporter.ClosedResolved
			a.Firing, a.EndsAt = false, in.EndedAt
		}
		in.Alerts = []reporter.Alert{a}
		if ins = append(ins, in); len(ins) == 1000 || i == n-1 {
			put(tb, s, ins...)
			ins = ins[:0]
		}
	}
}
