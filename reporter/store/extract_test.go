package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// storm is an incident of n alerts, half of which have ended; each starts a second after the one before.
func storm(id string, n int, edit func(n int, a *reporter.Alert)) reporter.Incident {
	in := incident(id, 0, -1)
	in.Alerts = nil
	for k := range n {
		a := reporter.Alert{
			Fingerprint: fmt.Sprintf("f%06d", k), StartsAt: day.Add(time.Duration(k) * time.Second), Firing: k%2 == 0,
			Labels:      map[string]string{"alertname": "Disk", "cluster": `a "quoted" <name>`, "severity": "warning", "n": fmt.Sprint(k)},
			Annotations: map[string]string{"summary": fmt.Sprint("Disk of host ", k)},
		}
		if !a.Firing {
			a.EndsAt = a.StartsAt.Add(time.Minute)
		}
		if edit != nil {
			edit(k, &a)
		}
		in.Alerts = append(in.Alerts, a)
	}
	return in
}

func TestExtractOfAnIncidentOfUsualSizeIsTheIncident(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		for _, n := range []int{1, 1000} {
			id := fmt.Sprint("I", n)
			put(t, s, storm(id, n, nil))
			whole, err := s.Incident(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.IncidentExtract(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			same(t, id, whole, got)
			if got.AlertCount() != n {
				t.Errorf("%d alerts, want %d", got.AlertCount(), n)
			}
		}
		if _, err := s.IncidentExtract(t.Context(), "none"); !errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("of none: %v", err)
		}
	})
}

func TestExtractOfAStorm(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		const n = 1801
		put(t, s, storm("STORM", n, func(k int, a *reporter.Alert) {
			switch k {
			case 901: // in the middle, and the last to end
				a.EndsAt = day.Add(24 * time.Hour)
			case 900, 902:
				a.Labels["severity"] = "critical"
			case 904: // presumed to have ended before the last
				a.PresumedAt, a.PresumedWhy = day.Add(23*time.Hour), reporter.ClosedExpired
			case 906: // the presumption was undone
				a.PresumedAt, a.SeenAt, a.PresumedWhy = day.Add(25*time.Hour), day.Add(26*time.Hour), reporter.ClosedExpired
			case 1000: // says by its text what the others' labels are, and is without the label
				a.Labels["note"], a.Labels["cluster"] = `"alertname":"Disk"`, `A "QUOTED" <NAME>`
			}
		}))
		whole, err := s.Incident(t.Context(), "STORM")
		if err != nil {
			t.Fatal(err)
		}
		byEnd := slices.DeleteFunc(slices.Clone(whole.Alerts), func(a reporter.Alert) bool { end, _ := a.Ended(); return end.IsZero() })
		ended := len(byEnd)
		slices.SortStableFunc(byEnd, func(a, b reporter.Alert) int {
			x, _ := a.Ended()
			y, _ := b.Ended()
			return x.Compare(y)
		})
		want := map[string]bool{"900": true} // the first that is critical
		for _, a := range slices.Concat(whole.Alerts[:500], whole.Alerts[n-250:], byEnd[ended-250:]) {
			want[a.Labels["n"]] = true
		}
		in, err := s.IncidentExtract(t.Context(), "STORM")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, a := range in.Alerts {
			got[a.Labels["n"]] = true
		}
		if len(got) != len(in.Alerts) || !maps.Equal(got, want) || !want["901"] || !want["904"] || want["906"] {
			t.Errorf("%d alerts read, want %d:\n%v\n%v", len(in.Alerts), len(want), slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		}
		if !slices.IsSortedFunc(in.Alerts, func(a, b reporter.Alert) int { return a.StartsAt.Compare(b.StartsAt) }) {
			t.Error("the alerts are not in order")
		}
		if in.AlertCount() != n || in.Partial.Events != n+ended {
			t.Errorf("%d alerts and %d events, want %d and %d", in.AlertCount(), in.Partial.Events, n, n+ended)
		}
		if common := in.CommonLabels(); !maps.Equal(common, map[string]string{"alertname": "Disk"}) {
			t.Errorf("in common: %v", common)
		}
		if !maps.Equal(whole.CommonLabels(), in.CommonLabels()) {
			t.Errorf("the whole incident has %v in common", whole.CommonLabels())
		}
	})
}

// Any labels in any writing: what an extract says that all alerts have in common is what they have.
func TestCommonLabelsOfAStorm(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		for name, edit := range map[string]func(k int, a *reporter.Alert){
			"all":              func(int, *reporter.Alert) {},
			"none":             func(k int, a *reporter.Alert) { a.Labels = map[string]string{"n": fmt.Sprint(k)} },
			"no labels at all": func(k int, a *reporter.Alert) { a.Labels = nil },
			"one without any": func(k int, a *reporter.Alert) {
				maps.DeleteFunc(a.Labels, func(string, string) bool { return k == 700 })
			},
			"empty values": func(_ int, a *reporter.Alert) { a.Labels["x"] = "" },
			"hard characters": func(_ int, a *reporter.Alert) {
				a.Labels[`k"\`] = "磁碟 \\ \" \u2028 \x01 </script> %_!$1?"
			},
			"the end of another's": func(k int, a *reporter.Alert) {
				a.Labels["x"] = "y"
				if k == 700 {
					delete(a.Labels, "x")
					a.Labels["xx"], a.Labels["ax"] = "y", "y"
				}
			},
			"the begin of another's": func(k int, a *reporter.Alert) {
				a.Labels["x"] = "y"
				if k == 700 {
					a.Labels["x"] = "yy"
				}
			},
		} {
			s := open()
			in := storm("S", 1100, edit)
			put(t, s, in)
			got, err := s.IncidentExtract(t.Context(), "S")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if want := reporter.CommonLabels(in.Alerts); !maps.Equal(got.CommonLabels(), want) {
				t.Errorf("%s: %v, want %v", name, got.CommonLabels(), want)
			}
		}
	})
}

func TestListAlerts(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		// Pairs start at the same moment.
		put(t, s, storm("S", 11, func(k int, a *reporter.Alert) { a.StartsAt = day.Add(time.Duration(k/2) * time.Second) }))
		put(t, s, storm("OTHER", 3, nil))
		numbers := func(p reporter.AlertPage) string {
			var out []string
			for _, a := range p.Alerts {
				out = append(out, a.Labels["n"])
			}
			return fmt.Sprintf("%s; %d before, of %d", strings.Join(out, " "), p.Offset, p.Count)
		}
		cursor := func(a reporter.Alert) *reporter.AlertCursor {
			return &reporter.AlertCursor{StartsAt: a.StartsAt, Fingerprint: a.Fingerprint}
		}
		list := func(f reporter.AlertFilter) reporter.AlertPage {
			t.Helper()
			f.Incident, f.Limit = "S", 4
			p, err := s.ListAlerts(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		check := func(p reporter.AlertPage, want string) reporter.AlertPage {
			t.Helper()
			if got := numbers(p); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			return p
		}
		one := check(list(reporter.AlertFilter{}), "0 1 2 3; 0 before, of 11")
		two := check(list(reporter.AlertFilter{After: cursor(one.Alerts[3])}), "4 5 6 7; 4 before, of 11")
		three := check(list(reporter.AlertFilter{After: cursor(two.Alerts[3])}), "8 9 10; 8 before, of 11")
		check(list(reporter.AlertFilter{After: cursor(three.Alerts[2])}), "; 0 before, of 11")
		back := check(list(reporter.AlertFilter{Before: cursor(three.Alerts[0])}), "4 5 6 7; 4 before, of 11")
		check(list(reporter.AlertFilter{Before: cursor(back.Alerts[0])}), "0 1 2 3; 0 before, of 11")
		check(list(reporter.AlertFilter{Before: cursor(one.Alerts[1])}), "0; 0 before, of 11")
		if p, err := s.ListAlerts(t.Context(), reporter.AlertFilter{Incident: "none", Limit: 4}); err != nil || numbers(p) != "; 0 before, of 0" {
			t.Errorf("of none: %q, %v", numbers(p), err)
		}
	})
}
