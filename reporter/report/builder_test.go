package report_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// fakeQuerier answers by expression.
type fakeQuerier func(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)

func (f fakeQuerier) Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
	return f(ctx, expr, at)
}

func number(v float64) []reporter.Sample {
	return []reporter.Sample{{Labels: map[string]string{}, Value: v}}
}

var due = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

func TestEachFigureIsOnItsOwn(t *testing.T) {
	t.Parallel()
	q := fakeQuerier(func(_ context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
		switch {
		case expr == "known" && at.Equal(due):
			return number(128), nil
		case expr == "known" && at.Equal(due.Add(-24*time.Hour)):
			return number(116), nil
		case expr == "zero":
			return number(0), nil
		case expr == "nan":
			return number(math.NaN()), nil
		case expr == "refused":
			return nil, errors.New("bad_data: no")
		}
		return nil, nil
	})
	built := due.Add(2*time.Hour + 13*time.Minute)
	b := report.NewBuilder(report.BuilderConfig{Querier: q, Now: func() time.Time { return built }})
	d := report.Definition{
		Name: "daily", Title: "AWOOOI", Zone: zone(t, "Asia/Taipei"), Lookback: 24 * time.Hour, Locale: "en", Template: "t",
		Health: reporter.DefaultHealth,
		Figures: []report.FigureDefinition{
			{Name: "alerts", Expr: "known", Compare: []time.Duration{24 * time.Hour, 7 * 24 * time.Hour}}, {Name: "zero", Expr: "zero"}, {Name: "nan", Expr: "nan"},
			{Name: "refused", Expr: "refused"}, {Name: "empty", Expr: "empty", Compare: []time.Duration{time.Hour}},
		},
	}
	got, err := b.Build(t.Context(), d, due.In(d.Zone))
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Value  float64
		Known  bool
		Reason string
	}
	figures := map[string]view{}
	for name, f := range got.Figures {
		v, known := f.Value()
		figures[name] = view{v, known, f.Reason}
		if f.Name != name || f.Expr == "" || f.At.Location() != time.UTC {
			t.Errorf("figure %s is %+v", name, f)
		}
	}
	want := map[string]view{
		"alerts": {128, true, ""}, "alerts_before": {116, true, ""}, "alerts_before2": {0, false, "the query has an empty result"}, "zero": {0, true, ""},
		"nan":          {0, false, "the result is not a finite number"},
		"refused":      {0, false, "bad_data: no"},
		"empty":        {0, false, "the query has an empty result"},
		"empty_before": {0, false, "the query has an empty result"},
	}
	if diff := cmp.Diff(want, figures); diff != "" {
		t.Error(diff)
	}
	got.Figures = nil
	wantReport := reporter.Report{
		Name: "daily", Title: "AWOOOI", Locale: "en", Template: "t", Due: due, Since: due.Add(-24 * time.Hour), Built: built,
		Health: reporter.DefaultHealth, Zone: d.Zone,
	}
	if diff := cmp.Diff(wantReport, got, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
		t.Error(diff)
	}
}

func TestUnansweredReportIsWholeAndSaysSo(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	b := report.NewBuilder(report.BuilderConfig{
		Querier: fakeQuerier(func(context.Context, string, time.Time) ([]reporter.Sample, error) { return nil, down }),
	})
	d := definition(t, "daily", "0 8 * * *")
	r, err := b.Build(t.Context(), d, due)
	if u := (*reporter.UnreachableError)(nil); !errors.As(err, &u) || !errors.Is(err, down) {
		t.Errorf("error is %v, want an UnreachableError", err)
	}
	if f := r.Figure("alerts"); f.Reason != "connection refused" || len(f.Samples) != 0 {
		t.Errorf("figure is %+v, want no data and the reason", f)
	}
}

func TestBuildStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := report.NewBuilder(report.BuilderConfig{
		Querier: fakeQuerier(func(ctx context.Context, _ string, _ time.Time) ([]reporter.Sample, error) {
			cancel()
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	})
	if _, err := b.Build(ctx, definition(t, "daily", "0 8 * * *"), due); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want canceled", err)
	}
}

// A weekly figure is the sum of its days. If days have no data, it has the number of days with data, and the trend has a gap.
func TestFiguresOfManyDays(t *testing.T) {
	t.Parallel()
	taipei := zone(t, "Asia/Taipei")
	q := fakeQuerier(func(_ context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
		back := int(due.Sub(at).Hours()) / 24
		if at != due.AddDate(0, 0, -back) {
			return nil, fmt.Errorf("asked at %v", at)
		}
		switch {
		case expr == "gap" && (back == 2 || back == 4):
			return nil, nil
		case expr == "never":
			return nil, nil
		case expr == "labels":
			return []reporter.Sample{{Labels: map[string]string{"c": "a"}, Value: 1}, {Labels: map[string]string{"c": fmt.Sprint(back % 2)}, Value: 10}}, nil
		}
		return number(float64(100 + back)), nil
	})
	b := report.NewBuilder(report.BuilderConfig{Querier: q})
	d := report.Definition{
		Name: "weekly", Zone: taipei, Lookback: 7 * 24 * time.Hour,
		Figures: []report.FigureDefinition{
			{Name: "all", Expr: "all", EachDay: true, Compare: []time.Duration{7 * 24 * time.Hour}}, {Name: "gap", Expr: "gap", EachDay: true},
			{Name: "never", Expr: "never", EachDay: true}, {Name: "labels", Expr: "labels", EachDay: true}, {Name: "now", Expr: "now"},
		},
		Trend: &report.TrendDefinition{Days: 5, Figures: []string{"all", "gap"}},
	}
	r, err := b.Build(t.Context(), d, due)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		value       float64
		known       bool
		days, ofAll int
	}{
		"all": {721, true, 7, 7}, "all_before": {770, true, 7, 7}, "gap": {515, true, 5, 7}, "never": {0, false, 0, 7},
		"labels": {77, true, 7, 7}, "now": {100, true, 0, 0},
	} {
		f := r.Figure(name)
		if v, known := f.Value(); v != want.value || known != want.known || f.DaysKnown != want.days || f.Days != want.ofAll {
			t.Errorf("%s is %v (%v) of %d in %d days, want %+v", name, v, known, f.DaysKnown, f.Days, want)
		}
	}
	byLabel := map[string]float64{}
	for _, s := range r.Figure("labels").Samples {
		byLabel[s.Labels["c"]] += s.Value
	}
	if diff := cmp.Diff(map[string]float64{"a": 7, "0": 40, "1": 30}, byLabel); diff != "" {
		t.Error(diff)
	}
	nan := math.NaN()
	want := &reporter.Trend{
		Days:    []time.Time{due.AddDate(0, 0, -4), due.AddDate(0, 0, -3), due.AddDate(0, 0, -2), due.AddDate(0, 0, -1), due},
		Figures: []reporter.TrendFigure{{Name: "all", Values: []float64{104, 103, 102, 101, 100}}, {Name: "gap", Values: []float64{nan, 103, nan, 101, 100}}},
	}
	if diff := cmp.Diff(want, r.Trend, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

// Days are calendar days of the zone: when the clocks change, the hour stays.
func TestDaysAcrossAClockChange(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	var mu sync.Mutex
	var asked []string
	q := fakeQuerier(func(_ context.Context, _ string, at time.Time) ([]reporter.Sample, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, at.In(berlin).Format("01-02 15:04"))
		return number(1), nil
	})
	d := report.Definition{
		Name: "x", Zone: berlin, Lookback: 3 * 24 * time.Hour, Figures: []report.FigureDefinition{{Name: "a", Expr: "a", EachDay: true}},
	}
	if _, err := report.NewBuilder(report.BuilderConfig{Querier: q}).Build(t.Context(), d, time.Date(2026, 3, 30, 8, 0, 0, 0, berlin)); err != nil {
		t.Fatal(err)
	}
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"03-28 08:00", "03-29 08:00", "03-30 08:00"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestCalendarMonths(t *testing.T) {
	t.Parallel()
	d := report.Definition{Zone: zone(t, "Asia/Taipei"), Months: 1}
	for due, want := range map[string]string{
		"2026-03-01T08:00:00+08:00": "2026-02-01T08:00:00+08:00",
		"2026-01-01T08:00:00+08:00": "2025-12-01T08:00:00+08:00",
		"2024-03-31T08:00:00+08:00": "2024-02-29T08:00:00+08:00",
		"2026-05-31T08:00:00+08:00": "2026-04-30T08:00:00+08:00",
	} {
		at, err := time.Parse(time.RFC3339, due)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Since(at).In(d.Zone).Format(time.RFC3339); got != want {
			t.Errorf("a month before %s is %s, want %s", due, got, want)
		}
	}
}

func TestBuiltinsAreValid(t *testing.T) {
	t.Parallel()
	for _, name := range report.Builtins {
		d, err := report.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if d, err = d.Complete(report.Defaults{Zone: zone(t, "Asia/Taipei")}); err != nil {
			t.Fatal(err)
		}
		if err := d.Validate(); err != nil {
			t.Error(err)
		}
		for _, f := range d.Asked() {
			if err := promexpr.CheckFigure(f.Expr); err != nil {
				t.Error(err)
			}
		}
	}
	d, err := report.Builtin("daily")
	if err != nil {
		t.Fatal(err)
	}
	if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil || d.Zone != time.UTC || d.Title != "AWOOOI" || d.Locale != "zh-TW" || d.CatchUp != 12*time.Hour || d.Lookback != 24*time.Hour || d.Health != reporter.DefaultHealth {
		t.Errorf("settings are %+v", d)
	}
	if _, err := report.Builtin("hourly"); err == nil {
		t.Error("a report that is not builtin was found")
	}
}

func TestFaultsOfADefinition(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ yaml, want string }{
		"unknown key": {"name: x\nschedul: a", "schedul"},
		"zone":        {"name: x\ntimezone: Asia/Taibei", "Asia/Taibei"},
		"schedule":    {"name: x\nschedule: 0 25 * * *\nfigures: [{name: a, expr: b}]", "25"},
		"name":        {"name: a/b\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b}]", "want letters"},
		"no figures":  {"name: x\nschedule: 0 8 * * *", "no figures"},
		"twice":       {"name: x\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b}, {name: a, expr: c}]", `"a" is defined twice`},
		"taken by a compared figure": {
			"name: x\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b, compare: [1h]}, {name: a_before, expr: c}]", `"a_before" is defined twice`,
		},
		"no expression":         {"name: x\nschedule: 0 8 * * *\nfigures: [{name: a}]", "expr is missing"},
		"health":                {"name: x\nschedule: 0 8 * * *\nhealth: {good: 0.9, excellent: 0.8}\nfigures: [{name: a, expr: b}]", "good 0.9"},
		"trend of nothing":      {"name: x\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b}]\ntrend: {days: 7, figures: [z]}", `no figure "z"`},
		"trend of a day":        {"name: x\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b}]\ntrend: {days: 1, figures: [a]}", "days 1"},
		"a negative comparison": {"name: x\nschedule: 0 8 * * *\nfigures: [{name: a, expr: b, compare: [-1h]}]", "not above 0"},
		"a target":              {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b, target: '= 3'}]}]", "comparison such as"},
		"a target of no number": {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b, target: '>= high'}]}]", "want a number after >="},
		"a format":              {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b, format: percentage}]}]", `unknown format "percentage" (have`},
		"no title":              {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, expr: b}]}]", `"a" has no title`},
		"a ratio of nothing":    {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b}, {name: r, title: R, ratio: {part: a, of: [z]}}]}]", `no figure "z"`},
		"neither":               {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A}]}]", "neither expr nor ratio"},
		"an endless list":       {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, expr: b, list: {top: 500}}]}]", "top 500"},
		"an empty section":      {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S}]\nfigures: [{name: a, expr: b}]", "has no figures"},
		"a section twice":       {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b}]}, {name: s, title: S, figures: [{name: c, title: C, expr: b}]}]", "each name once"},
		"a blank title":         {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: {en: ' '}, expr: b}]}]", `"a" has no title`},
		"a ratio twice":         {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b}, {name: r, title: R, ratio: {part: a, of: [a]}}, {name: r, title: R, ratio: {part: a, of: [a]}}]}]", `"r" is defined twice`},
		"a line twice":          {"name: x\nschedule: 0 8 * * *\nsections: [{name: s, title: S, figures: [{name: a, title: A, expr: b}, {name: a, title: A, expr: b}]}]", `"a" is defined twice`},
		"catch up":              {"name: x\nschedule: 0 8 * * *\ncatch_up: -1h\nfigures: [{name: a, expr: b}]", "negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := report.Parse([]byte(tt.yaml))
			if err == nil {
				d, err = d.Complete(report.Defaults{Zone: time.UTC})
			}
			if err == nil {
				err = d.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want %q", err, tt.want)
			}
			if n := strings.Count(err.Error(), "is defined twice"); n > 1 {
				t.Errorf("one fault is reported %d times: %v", n, err)
			}
		})
	}
}
