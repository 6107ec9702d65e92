package journal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

type counts func(what string, since, until time.Time) ([]journal.Count, error)

func (c counts) Counts(_ context.Context, what string, since, until time.Time) ([]journal.Count, error) {
	return c(what, since, until)
}

func TestCountsBecomeRows(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	s := journal.New(counts(func(what string, since, to time.Time) ([]journal.Count, error) {
		if !to.Equal(until) || !since.Equal(until.Add(-time.Hour)) {
			t.Errorf("window is %v to %v", since, to)
		}
		switch what {
		case "alerts":
			return []journal.Count{
				{Labels: map[string]string{"category": "a"}, Values: map[string]float64{"value": 1}},
				{Labels: map[string]string{"category": "b"}, Values: map[string]float64{"value": 2}},
			}, nil
		case "incidents_open":
			return []journal.Count{{Values: map[string]float64{"value": 0}}}, nil
		case "alerts_grouped":
			return nil, errors.New("disk")
		}
		return nil, nil
	}))
	defer s.Close()
	for what, want := range map[string]string{
		"alerts": "{[category value] [[a 1] [b 2]]} <nil>", "incidents_open": "{[value] [[0]]} <nil>",
		"resolution_seconds": "{[] []} <nil>", "alerts_grouped": "{[] []} journal: disk",
	} {
		q := kpi.Query{Journal: what, Metrics: []kpi.Metric{{Window: time.Hour}}}.WithDefaults()
		var r collector.Result
		s.Read(t.Context(), until, []kpi.Query{q}, func(_ int, given collector.Result) { r = given })
		if got := fmt.Sprint(r.Rows, " ", r.Err); got != want {
			t.Errorf("%s gives %s, want %s", what, got, want)
		}
	}
	if journal.Check(kpi.Query{Journal: "alerts"}) != nil || journal.Check(kpi.Query{Journal: "x"}) == nil {
		t.Error("Check knows the wrong counts")
	}
}
