package reporter_test

import (
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestTimeFiring(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return day.Add(time.Duration(minute) * time.Minute) }
	alert := func(from, to int) reporter.Alert { return reporter.Alert{StartsAt: at(from), EndsAt: at(to)} }
	presumed := reporter.Alert{StartsAt: at(40), Firing: true, SeenAt: at(45), PresumedAt: at(50), PresumedWhy: reporter.ClosedReconciled}
	over := func(alerts ...reporter.Alert) reporter.Incident {
		return reporter.Incident{State: reporter.IncidentResolved, StartedAt: at(0), EndedAt: at(60), Alerts: alerts}
	}
	open, folded, part := over(alert(0, 60)), over(alert(0, 60)), over(alert(0, 60))
	open.State, folded.Folded, part.Partial = reporter.IncidentOpen, []reporter.Folded{{Name: "A", Count: 1}}, &reporter.Partial{}
	for name, tc := range map[string]struct {
		in    reporter.Incident
		want  int
		known bool
	}{
		"one":                  {over(alert(0, 60)), 60, true},
		"gaps":                 {over(alert(0, 10), alert(20, 30), alert(55, 60)), 25, true},
		"in any order":         {over(alert(55, 60), alert(0, 10), alert(20, 30)), 25, true},
		"overlapping":          {over(alert(0, 30), alert(10, 20), alert(25, 40), alert(40, 45)), 45, true},
		"one within another":   {over(alert(0, 60), alert(10, 20)), 60, true},
		"a presumed end":       {over(alert(0, 10), presumed), 20, true},
		"no time at all":       {over(alert(5, 5)), 0, true},
		"without alerts":       {over(), 0, false},
		"open":                 {open, 0, false},
		"some are folded":      {folded, 0, false},
		"some are not at hand": {part, 0, false},
	} {
		if got, known := tc.in.TimeFiring(); got != time.Duration(tc.want)*time.Minute || known != tc.known {
			t.Errorf("%s: %v, %v; want %d min, %v", name, got, known, tc.want, tc.known)
		}
	}
}
