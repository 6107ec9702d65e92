package promql_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
)

func openEmbedded(t *testing.T, dir string) *promql.Embedded {
	t.Helper()
	e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir, Job: "job", Instance: "i"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closeEmbedded(t *testing.T, e *promql.Embedded) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// alerts gathers awoooi_alerts with the given values by category.
func alerts(t *testing.T, byCategory map[string]float64) []*dto.MetricFamily {
	t.Helper()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "awoooi_alerts"}, []string{"category"})
	for c, v := range byCategory {
		g.WithLabelValues(c).Set(v)
	}
	return gathered(t, g)
}

func gathered(t *testing.T, c prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func appendAt(t *testing.T, e *promql.Embedded, at time.Time, families []*dto.MetricFamily) {
	t.Helper()
	if err := e.Append(t.Context(), at, families); err != nil {
		t.Fatal(err)
	}
}

func query(t *testing.T, e *promql.Embedded, expr string, at time.Time) []reporter.Sample {
	t.Helper()
	s, err := e.Query(t.Context(), expr, at)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	return s
}

func sum(t *testing.T, e *promql.Embedded, at time.Time) (float64, bool) {
	t.Helper()
	return reporter.Figure{Samples: query(t, e, "sum(awoooi_alerts)", at)}.Value()
}

func TestEmbeddedAnswersAsOfTheMomentAskedFor(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	appendAt(t, e, noon.Add(-24*time.Hour), alerts(t, map[string]float64{"network": 100}))
	appendAt(t, e, noon, alerts(t, map[string]float64{"network": 60, "storage": 0}))
	want := []reporter.Sample{
		{Labels: map[string]string{"__name__": "awoooi_alerts", "category": "network", "instance": "i", "job": "job"}, Value: 60},
		{Labels: map[string]string{"__name__": "awoooi_alerts", "category": "storage", "instance": "i", "job": "job"}, Value: 0},
	}
	if diff := cmp.Diff(want, query(t, e, "sort_desc(awoooi_alerts)", noon.Add(time.Minute))); diff != "" {
		t.Error(diff)
	}
	tests := map[string]struct {
		at    time.Time
		want  float64
		known bool
	}{
		"just before":         {noon.Add(-time.Millisecond), 0, false},
		"at the sample":       {noon, 60, true},
		"within the lookback": {noon.Add(5*time.Minute - time.Millisecond), 60, true},
		"after the lookback":  {noon.Add(5*time.Minute + time.Second), 0, false},
		"the day before":      {noon.Add(-24 * time.Hour), 100, true},
	}
	for name, tt := range tests {
		if got, known := sum(t, e, tt.at); got != tt.want || known != tt.known {
			t.Errorf("%s: got %v %v, want %v %v", name, got, known, tt.want, tt.known)
		}
	}
}

func TestEmbeddedKeepsToTheRulesOfFigures(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	if got := query(t, e, "1", noon); len(got) != 1 || got[0].Value != 1 {
		t.Errorf("a scalar gives %v, want 1", got)
	}
	if got := query(t, e, "vector(0/0)", noon); len(got) != 1 || !math.IsNaN(got[0].Value) {
		t.Errorf("0/0 gives %v, want NaN", got)
	}
	for expr, want := range map[string]string{
		`"x"`:    "the result is a string",
		"up[5m]": "the result is a matrix",
		"sum(":   "parse error",
	} {
		if _, err := e.Query(t.Context(), expr, noon); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q", expr, err, want)
		}
	}
}

func TestEmbeddedRangesHaveGaps(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	start := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	for n, v := range []map[string]float64{{"a": 1, "b": 5}, {"a": 2}, {"a": math.NaN()}, {"a": 4, "b": 8}} {
		appendAt(t, e, start.Add(time.Duration(n)*time.Minute), alerts(t, v))
	}
	got, err := e.QueryRange(t.Context(), "max by (category) (awoooi_alerts)", start, start.Add(3*time.Minute), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int, v float64) reporter.Point {
		return reporter.Point{At: start.Add(time.Duration(n) * time.Minute), Value: v}
	}
	want := []reporter.Series{
		{Labels: map[string]string{"category": "a"}, Points: []reporter.Point{at(0, 1), at(1, 2), at(3, 4)}},
		{Labels: map[string]string{"category": "b"}, Points: []reporter.Point{at(0, 5), at(3, 8)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, err := e.QueryRange(t.Context(), "nothing", start, start.Add(time.Minute), time.Minute); err != nil || len(got) != 0 {
		t.Errorf("a range of nothing is %v, %v", got, err)
	}
	if _, err := e.QueryRange(t.Context(), "sum(", start, start.Add(time.Minute), time.Minute); err == nil {
		t.Error("a bad expression is no error")
	}
}

func TestVanishedSeriesIsAbsentAtOnce(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	appendAt(t, e, noon, alerts(t, map[string]float64{"network": 60, "storage": 5}))
	appendAt(t, e, noon.Add(time.Minute), alerts(t, map[string]float64{"network": 61}))
	if got, _ := sum(t, e, noon.Add(time.Minute)); got != 61 {
		t.Errorf("sum is %v, want 61 without the vanished series", got)
	}
	appendAt(t, e, noon.Add(2*time.Minute), nil)
	if got, known := sum(t, e, noon.Add(2*time.Minute)); known {
		t.Errorf("sum is %v, want no data", got)
	}
	appendAt(t, e, noon.Add(3*time.Minute), alerts(t, map[string]float64{"network": 7}))
	if got, _ := sum(t, e, noon.Add(3*time.Minute)); got != 7 {
		t.Errorf("sum is %v, want 7 after the series came back", got)
	}
}

func TestEmbeddedAfterRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openEmbedded(t, dir)
	appendAt(t, e, noon, alerts(t, map[string]float64{"network": 60, "storage": 5}))
	if _, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir}); err == nil {
		t.Error("a second opening of the directory succeeded")
	}
	closeEmbedded(t, e)

	e = openEmbedded(t, dir)
	defer closeEmbedded(t, e)
	if got, _ := sum(t, e, noon.Add(time.Minute)); got != 65 {
		t.Errorf("sum is %v, want 65: a restart must not make an absent figure", got)
	}
	appendAt(t, e, noon.Add(2*time.Minute), alerts(t, map[string]float64{"network": 61}))
	if got, _ := sum(t, e, noon.Add(2*time.Minute)); got != 61 {
		t.Errorf("sum is %v, want 61: what vanished over the restart is stale", got)
	}
}

func TestEmbeddedRefusesThePastAndGoesOn(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	appendAt(t, e, noon, alerts(t, map[string]float64{"network": 60}))
	if err := e.Append(t.Context(), noon.Add(-time.Minute), alerts(t, map[string]float64{"network": 1})); err == nil {
		t.Error("an earlier sample was taken")
	}
	appendAt(t, e, noon.Add(time.Minute), alerts(t, map[string]float64{"network": 62}))
	if got, _ := sum(t, e, noon.Add(time.Minute)); got != 62 {
		t.Errorf("sum is %v, want 62", got)
	}
}

func TestEmbeddedStoresEveryKindAsAScrapeWould(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total", ConstLabels: prometheus.Labels{"job": "own"}})
	counter.Add(3)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{0.5, 1}})
	h.Observe(0.7)
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.5: 0.1}})
	s.Observe(2)
	families := gathered(t, counter)
	families = append(families, gathered(t, h)...)
	families = append(families, gathered(t, s)...)
	appendAt(t, e, noon, families)
	for expr, want := range map[string]float64{
		`c_total{exported_job="own",job="job"}`: 3,
		`h_bucket{le="0.5"}`:                    0,
		`h_bucket{le="1"}`:                      1,
		`h_bucket{le="+Inf"}`:                   1,
		`h_count`:                               1,
		`h_sum`:                                 0.7,
		`s{quantile="0.5"}`:                     2,
		`s_sum`:                                 2,
		`count({job="job"})`:                    9,
	} {
		if got := query(t, e, expr, noon); len(got) != 1 || got[0].Value != want {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}
}

// A day at one scrape a minute is compacted into blocks, and the retention deletes the first of them.
func TestEmbeddedRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *promql.Embedded {
		e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: dir, Job: "job", Instance: "i", Retention: 6 * time.Hour, Reload: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := open()
	const minutes = 24 * 60
	for n := range minutes {
		appendAt(t, e, noon.Add(time.Duration(n)*time.Minute), alerts(t, map[string]float64{"network": float64(n)}))
	}
	closeEmbedded(t, e)
	e = open() // Opening compacts and reloads at once. A running database does so within a minute.
	defer closeEmbedded(t, e)
	if got, _ := sum(t, e, noon.Add((minutes-1)*time.Minute)); got != minutes-1 {
		t.Errorf("newest is %v, want %d", got, minutes-1)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); ; <-tick.C {
		got, known := sum(t, e, noon.Add(time.Minute))
		if !known {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("oldest is still %v, want it deleted", got)
		}
	}
}

func TestScrapesGoOnAfterFailures(t *testing.T) {
	t.Parallel()
	e := openEmbedded(t, t.TempDir())
	defer closeEmbedded(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	gatherings, proceed := make(chan int), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		n := 0
		e.RunScrapes(ctx, 20*time.Millisecond, func(context.Context) ([]*dto.MetricFamily, error) {
			n++
			select {
			case gatherings <- n:
				<-proceed
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if n == 2 {
				return nil, errors.New("the source is down")
			}
			return alerts(t, map[string]float64{"network": float64(n)}), nil
		})
	}()
	for n := 1; n <= 4; n++ {
		if got := <-gatherings; got != n {
			t.Fatalf("gathering %d, want %d", got, n)
		}
		switch got, known := sum(t, e, time.Now()); {
		case n == 2 && got != 1, n == 4 && got != 3:
			t.Errorf("at gathering %d the sum is %v, want the last one's", n, got)
		case n == 3 && known:
			t.Errorf("after the failed gathering the sum is %v, want no data", got)
		}
		proceed <- struct{}{}
	}
	cancel()
	<-done
	if got, _ := sum(t, e, time.Now()); got < 3 {
		t.Error("stopping made the figures absent")
	}
}
