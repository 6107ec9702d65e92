package promql_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
)

// many fills a database with so many series, each of some 150 bytes of labels.
func many(tb testing.TB, series int) (*promql.Embedded, time.Time) {
	tb.Helper()
	e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: tb.TempDir(), Job: "job", Instance: "i"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	r := prometheus.NewRegistry()
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "many"}, []string{"name", "path"})
	r.MustRegister(g)
	for n := range series {
		g.WithLabelValues(fmt.Sprint(n), strings.Repeat("x", 100)).Set(float64(n))
	}
	families, err := r.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	at := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	for n := range 3 {
		if err := e.Append(tb.Context(), at.Add(time.Duration(n)*time.Minute), families); err != nil {
			tb.Fatal(err)
		}
	}
	return e, at.Add(2 * time.Minute)
}

// labelBomb doubles a label with each call, in 1.6 KB of text.
func labelBomb(calls int, of string) string {
	return strings.Repeat("label_join(", calls) + of + strings.Repeat(`,"path","","path","path")`, calls)
}

func TestEmbeddedBoundsTheLabelsOfAResult(t *testing.T) {
	t.Parallel()
	e, at := many(t, 500)
	wide := strings.Repeat(`,"path"`, 900)
	for name, expr := range map[string]string{
		"label_join in label_join":          labelBomb(40, `{__name__=~".+"}`),
		"label_join of many labels":         `label_join(many,"a",""` + wide + `)`,
		"label_join of a long separator":    `label_join(many,"a","` + strings.Repeat("s", 1000) + `"` + strings.Repeat(`,"path"`, 100) + `)`,
		"label_join of no series":           labelBomb(40, `label_replace(vector(1),"path","aaaa","","")`),
		"label_replace in label_replace":    strings.Repeat("label_replace(", 40) + "many" + strings.Repeat(`,"path","$1$1","path","(.*)")`, 40),
		"label_replace of many references":  `label_replace(many,"a","` + strings.Repeat("${1}", 2000) + `","path","(.*)")`,
		"label_replace in parentheses":      `label_replace(many,"a",("` + strings.Repeat("$1", 4000) + `"),"path","(.*)")`,
		"label_replace in an aggregation":   `count by (path) (` + labelBomb(40, "many") + `)`,
		"label_replace below an operator":   `many and on(path) ` + labelBomb(40, "many"),
		"labels of the other side of joins": strings.Repeat(`(many * on(name) group_left(path) `, 30) + labelBomb(8, "many") + strings.Repeat(")", 30),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := e.Query(t.Context(), expr, at)
			if !errors.Is(err, promql.ErrLabels) {
				t.Errorf("Query: %v, want %v", err, promql.ErrLabels)
			}
			_, err = e.QueryRange(t.Context(), expr, at.Add(-time.Hour), at, time.Minute)
			if !errors.Is(err, promql.ErrLabels) {
				t.Errorf("QueryRange: %v, want %v", err, promql.ErrLabels)
			}
		})
	}
}

func TestEmbeddedBoundsSeriesThatAppearAtEachStep(t *testing.T) {
	t.Parallel()
	e, at := many(t, 500)
	for _, expr := range []string{
		`count_values without() ("v", many)`,
		`sum_over_time((count_values without() ("v", many))[10h:1s])`,
		`many * on(name) group_left(path) many`,
	} {
		if _, err := e.QueryRange(t.Context(), expr, at.Add(-10*time.Hour), at, time.Second); !errors.Is(err, promql.ErrLabels) {
			t.Errorf("%s: %v, want %v", expr, err, promql.ErrLabels)
		}
	}
}

func TestEmbeddedAnswersWhatIsWithinItsBounds(t *testing.T) {
	t.Parallel()
	e, at := many(t, 500)
	for _, expr := range []string{
		`{__name__=~".+"}`,
		`label_replace(many, "host", "$1", "path", "(.*)")`,
		labelBomb(4, "many"),
		`count_values("v", many)`,
		`many * on(name) group_left(path) many`,
		`absent(nothing{a="b"})`,
		`sum(many) / count(many)`,
	} {
		if s, err := e.Query(t.Context(), expr, at); err != nil || len(s) == 0 {
			t.Errorf("Query %s: %d samples, %v", expr, len(s), err)
		}
		if s, err := e.QueryRange(t.Context(), expr, at.Add(-2*time.Minute), at, 30*time.Second); err != nil || len(s) == 0 {
			t.Errorf("QueryRange %s: %d series, %v", expr, len(s), err)
		}
	}
}

func TestEmbeddedChecksBeforeItParses(t *testing.T) {
	t.Parallel()
	e, at := many(t, 1)
	for name, expr := range map[string]string{
		"10 MB of nested calls": strings.Repeat("min(", 2_500_000),
		"400 KB of parentheses": strings.Repeat("(", 200_000) + "1" + strings.Repeat(")", 200_000),
		"parentheses":           strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000),
	} {
		if _, err := e.Query(t.Context(), expr, at); !errors.Is(err, promexpr.ErrLimit) {
			t.Errorf("%s: Query: %v, want %v", name, err, promexpr.ErrLimit)
		}
		if _, err := e.QueryRange(t.Context(), expr, at, at, time.Minute); !errors.Is(err, promexpr.ErrLimit) {
			t.Errorf("%s: QueryRange: %v, want %v", name, err, promexpr.ErrLimit)
		}
	}
}

func TestEmbeddedBoundsSamplesAndTime(t *testing.T) {
	t.Parallel()
	e, at := many(t, 1)
	_, err := e.Query(t.Context(), `sum_over_time(vector(1)[100d:1s])`, at)
	if err == nil || !strings.Contains(err.Error(), "too many samples") {
		t.Errorf("%v, want too many samples", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Query(ctx, `sum_over_time(many[1000d:1s])`, at); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("%v, want an end with its context", err)
	}
}

// BenchmarkEmbeddedPeak measures the memory of the most expensive queries that are answered, and of the cheapest one that is
// refused, each of 10,000 series.
func BenchmarkEmbeddedPeak(b *testing.B) {
	e, at := many(b, 10_000)
	for name, expr := range map[string]string{
		"all series":        `{__name__=~".+"}`,
		"largest label":     `label_join(many,"a",""` + strings.Repeat(`,"path"`, 13) + `)`,
		"largest, repeated": `label_join(many,"a",""` + strings.Repeat(`,"path"`, 7) + `) or label_join(many,"b",""` + strings.Repeat(`,"path"`, 7) + `)`,
		"bomb":              labelBomb(40, `{__name__=~".+"}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var peak atomic.Uint64
			stop, stopped := make(chan struct{}), make(chan struct{})
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			go func() {
				defer close(stopped)
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak.Store(max(peak.Load(), m.HeapAlloc))
					select {
					case <-stop:
						return
					case <-tick.C:
					}
				}
			}()
			var err error
			for b.Loop() {
				_, err = e.Query(b.Context(), expr, at)
			}
			close(stop)
			<-stopped
			b.ReportMetric(float64(peak.Load()-before.HeapAlloc)/(1<<20), "peak-MB")
			if refused := errors.Is(err, promql.ErrLabels); refused != (name == "bomb") {
				b.Errorf("%v", err)
			}
		})
	}
}
