package report_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// flaky answers with 1, but for what failing says; it counts what it was asked.
type flaky struct {
	mu      sync.Mutex
	asked   map[string]int
	failing map[string]error
}

func (f *flaky) Query(_ context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[expr]++
	if err := f.failing[expr]; err != nil {
		return nil, err
	}
	if expr == "empty" {
		return nil, nil
	}
	return number(1), nil
}

var overloaded = &reporter.UnansweredError{Err: errors.New("server error: 503")}

// retrying is one that asks at clock.
type retrying struct {
	*report.Retries
	b     *report.Builder
	clock time.Time
	log   strings.Builder
	reg   *prometheus.Registry
}

func newRetrying(q report.Querier) *retrying {
	r := &retrying{clock: due, reg: prometheus.NewRegistry()}
	now := func() time.Time { return r.clock }
	r.Retries = report.NewRetries(slog.New(slog.NewTextHandler(&r.log, nil)), now, r.reg)
	r.b = report.NewBuilder(report.BuilderConfig{Querier: q, Now: now})
	return r
}

func figures(exprs ...string) report.Definition {
	d := report.Definition{Name: "daily", Lookback: 24 * time.Hour}
	for _, e := range exprs {
		d.Figures = append(d.Figures, report.FigureDefinition{Name: e, Expr: e})
	}
	return d
}

func TestOnlyUnansweredQueriesAreRetried(t *testing.T) {
	t.Parallel()
	q := &flaky{failing: map[string]error{"b": overloaded, "c": overloaded, "refused": errors.New("execution: 422")}}
	r := newRetrying(q)
	d := figures("a", "b", "c", "refused", "empty")
	var waits []time.Duration
	for n := range 10 {
		if n == 2 {
			delete(q.failing, "b")
		}
		if n == 4 {
			delete(q.failing, "c")
		}
		rep, err := r.Build(t.Context(), r.b, d, due, due)
		var later *reporter.RetryAfterError
		if errors.As(err, &later) {
			waits = append(waits, later.After)
			r.clock = r.clock.Add(later.After)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"a": true, "b": true, "c": true, "refused": false, "empty": false} {
			if _, known := rep.Figure(name).Value(); known != want {
				t.Errorf("figure %s has data: %v", name, known)
			}
		}
		break
	}
	if diff := cmp.Diff([]time.Duration{5 * time.Second, 5 * time.Second, 5 * time.Second, 7500 * time.Millisecond}, waits); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 3, "c": 5, "refused": 1, "empty": 1}, q.asked); diff != "" {
		t.Error(diff)
	}
	// A second receiver of the report repeats no query, and missing data is logged and counted once.
	if _, err := r.Build(t.Context(), r.b, d, due, due); err != nil {
		t.Error(err)
	}
	if q.asked["a"] != 1 || q.asked["c"] != 5 {
		t.Errorf("the second receiver asked again: %v", q.asked)
	}
	if n := strings.Count(r.log.String(), "execution: 422"); n != 1 {
		t.Errorf("the reason is logged %d times:\n%s", n, r.log.String())
	}
	err := testutil.CollectAndCompare(r.reg, strings.NewReader(`
# HELP awoooi_reporter_figures_without_data_total Figures of due reports that had no data, by reason: the result was empty, the query failed, or no answer came in time.
# TYPE awoooi_reporter_figures_without_data_total counter
awoooi_reporter_figures_without_data_total{reason="empty"} 1
awoooi_reporter_figures_without_data_total{reason="failed"} 1
awoooi_reporter_figures_without_data_total{reason="unanswered"} 0
`))
	if err != nil {
		t.Error(err)
	}
}

func TestAReportIsSentWithoutWhatIsNotAnsweredInTime(t *testing.T) {
	t.Parallel()
	q := &flaky{failing: map[string]error{"b": overloaded}}
	r := newRetrying(q)
	built := func(d report.Definition, due time.Time) time.Duration {
		queued := due.Add(time.Second)
		r.clock = queued
		for {
			rep, err := r.Build(t.Context(), r.b, d, due, queued)
			var later *reporter.RetryAfterError
			if !errors.As(err, &later) {
				if err != nil || len(rep.Figures) != len(d.Figures) {
					t.Fatalf("%v, figures %v", err, rep.Figures)
				}
				return r.clock.Sub(queued)
			}
			if later.After <= 0 || later.After > time.Minute {
				t.Fatalf("waits %v", later.After)
			}
			r.clock = r.clock.Add(later.After)
		}
	}
	if took := built(figures("a", "b"), due); took != report.Patience {
		t.Errorf("the first report is sent after %v, want %v", took, report.Patience)
	}
	// A figure that failed in the last report is not waited for; another one is.
	if took := built(figures("a", "b"), due.AddDate(0, 0, 1)); took != 0 {
		t.Errorf("the second report is sent after %v, want at once", took)
	}
	q.failing["a"] = overloaded
	if took := built(figures("a", "b", "c"), due.AddDate(0, 0, 2)); took != report.Patience {
		t.Errorf("the third report is sent after %v, want %v", took, report.Patience)
	}
	// After it has succeeded once, it is waited for again.
	clear(q.failing)
	built(figures("a", "b"), due.AddDate(0, 0, 3))
	q.failing["b"] = overloaded
	if took := built(figures("a", "b"), due.AddDate(0, 0, 4)); took != report.Patience {
		t.Errorf("after it worked, a report is sent after %v, want %v", took, report.Patience)
	}
}

// If every query times out, an attempt does not run all of them.
func TestAnUnresponsiveServerCostsOneTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := 0
		b := report.NewBuilder(report.BuilderConfig{
			Timeout: 30 * time.Second,
			Querier: fakeQuerier(func(ctx context.Context, _ string, _ time.Time) ([]reporter.Sample, error) {
				mu.Lock()
				asked++
				mu.Unlock()
				<-ctx.Done()
				return nil, ctx.Err()
			}),
		})
		began := time.Now()
		d, err := report.Builtin("daily")
		if err != nil {
			t.Fatal(err)
		}
		rep, err := b.Build(t.Context(), d, due)
		if u := (*reporter.UnreachableError)(nil); !errors.As(err, &u) {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(began); took != 30*time.Second || asked != 4 {
			t.Errorf("%d queries in %v, want 4 in 30 s", asked, took)
		}
		if len(rep.Unanswered) < len(rep.Figures) {
			t.Errorf("%d of %d figures may be answered later", len(rep.Unanswered), len(rep.Figures))
		}
		if f := rep.Figure(d.Asked()[0].Name); f.Reason != "no answer within 30s" {
			t.Errorf("reason is %q", f.Reason)
		}
	})
}

// Slow queries do not keep the others from being run, however many they are.
func TestSlowQueriesAreAskedLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRetrying(fakeQuerier(func(ctx context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
			if strings.HasPrefix(expr, "slow") {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return number(1), nil
		}))
		d := figures("slow1", "slow2", "slow3", "slow4", "slow5", "a", "b")
		for range 2 {
			_, err := r.Build(t.Context(), r.b, d, due, due)
			if later := (*reporter.RetryAfterError)(nil); !errors.As(err, &later) {
				t.Fatalf("%v, want a later attempt", err)
			}
		}
		r.clock = due.Add(report.Patience)
		rep, err := r.Build(t.Context(), r.b, d, due, due)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{"a": true, "b": true, "slow1": false, "slow5": false} {
			if _, known := rep.Figure(name).Value(); known != want {
				t.Errorf("figure %s has data: %v", name, known)
			}
		}
	})
}
