package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
)

// risingServer has the rule of every alert, and answers every expression with a line that rises.
type risingServer struct{ noFigures }

func (risingServer) AlertRules(context.Context, string) ([]reporter.AlertRule, error) {
	return []reporter.AlertRule{{Expr: "load > 1"}}, nil
}

func (risingServer) QueryRange(_ context.Context, _ string, start, end time.Time, step time.Duration) ([]reporter.Series, error) {
	var s reporter.Series
	for at := start; !at.After(end); at = at.Add(step) {
		s.Points = append(s.Points, reporter.Point{At: at, Value: float64(len(s.Points))})
	}
	return []reporter.Series{s}, nil
}

// The picture of an incident has the language of its route, as its postmortem has.
func TestPictureHasTheLanguageOfItsRoute(t *testing.T) {
	t.Parallel()
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	after := time.Minute
	c.Routes = []config.Route{{Name: "abroad", Locale: "en", MinDuration: &after}, {Name: "here", MinDuration: &after}}
	r, err := newContent(c, nil, noFigures{}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	drawn, ok := r.set(nil).Pictures.(pictures)
	if !ok {
		t.Fatal("the pictures are of another type")
	}
	drawn.postmortem = postmortem.New(postmortem.Config{}, nil, nil, risingServer{}, risingServer{}, slog.New(slog.DiscardHandler))
	for route, want := range map[string]string{"abroad": "lowest", "here": "最低", "": "最低"} {
		got, err := drawn.Incident(t.Context(), reporter.Incident{
			ID: "INC", Route: route, State: reporter.IncidentResolved, StartedAt: began, EndedAt: began.Add(time.Hour),
			Alerts: []reporter.Alert{{Labels: map[string]string{"alertname": "Load"}, StartsAt: began, EndsAt: began.Add(time.Hour)}},
		})
		if err != nil || !strings.Contains(got.Text, want) {
			t.Errorf("route %q: %q, %v, want %s", route, got.Text, err, want)
		}
	}
}
