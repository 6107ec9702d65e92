package collector_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixed is a source that gives the same rows for each query of a name.
type fixed struct {
	rows   map[string]collector.Rows
	errs   map[string]error
	reads  atomic.Int64
	closed atomic.Int64
	block  func(ctx context.Context) // called by each Read
}

func (f *fixed) Read(ctx context.Context, _ time.Time, queries []kpi.Query, give collector.Give) {
	f.reads.Add(1)
	for n := range queries {
		if f.closed.Load() > 0 {
			give(n, collector.Result{Err: errors.New("read after close")})
		}
	}
	if f.block != nil {
		f.block(ctx)
	}
	for n, q := range queries {
		r := collector.Result{Rows: f.rows[q.Name], Err: f.errs[q.Name], Duration: 25 * time.Millisecond}
		if ctx.Err() != nil {
			r.Err = context.Cause(ctx)
		}
		give(n, r)
	}
}

func (f *fixed) Close() { f.closed.Add(1) }

func (f *fixed) Connections() map[string]float64 { return map[string]float64{"idle": 2, "in_use": 1} }

func table(columns string, rows ...[]any) collector.Rows {
	return collector.Rows{Columns: strings.Fields(columns), Values: rows}
}

func query(name string, edits ...func(*kpi.Query)) kpi.Query {
	q := kpi.Query{Name: name, Source: "db", SQL: "SELECT", Metrics: []kpi.Metric{
		{Name: "acme_" + name, Help: "What " + name + " gives.", Value: "n", Labels: []string{"c"}},
	}}
	for _, e := range edits {
		e(&q)
	}
	return q.WithDefaults()
}

var fixedNow = time.Date(2026, 4, 22, 0, 0, 0, 123456789, time.UTC)

func clock() time.Time { return fixedNow }

func newCollector(t *testing.T, cfg collector.Config, logs io.Writer, now func() time.Time) *collector.Collector {
	t.Helper()
	if cfg.ScrapeTimeout == 0 {
		cfg.ScrapeTimeout = 10 * time.Second
	}
	if cfg.TimeoutOffset == 0 {
		cfg.TimeoutOffset = 500 * time.Millisecond
	}
	return collector.New(cfg, slog.New(slog.NewTextHandler(logs, nil)), now)
}

func named(s collector.Source) []collector.NamedSource {
	return []collector.NamedSource{{Name: "db", Kind: kpi.KindPostgres, Source: s}}
}

// scrape returns the exposition text of one scrape, without what depends on the machine.
func scrape(t *testing.T, c *collector.Collector, header ...string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	c.Handler(prometheus.NewRegistry()).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return regexp.MustCompile(`(?m)^(awoooi_collector_scrape_duration_seconds) .*$`).ReplaceAllString(w.Body.String(), "$1 0.1")
}

// Every fault of a query's rows fails only that query, is named in the log, and is visible in the self-metrics.
func TestExpositionOfGoodAndBadQueries(t *testing.T) {
	t.Parallel()
	src := &fixed{rows: map[string]collector.Rows{}, errs: map[string]error{}}
	var queries []kpi.Query
	add := func(q kpi.Query, rows collector.Rows) {
		src.rows[q.Name] = rows
		queries = append(queries, q)
	}
	add(query("good"), table("c n", []any{"a", int64(3)}, []any{"b", 1.5}))
	add(query("empty"), table("c n"))
	add(query("zero"), table("c n", []any{"a", int64(0)}))
	add(query("zero_filled", func(q *kpi.Query) { q.Metrics[0].ZeroFill = []string{"a", "z"} }), table("c n", []any{"a", int64(7)}))
	add(query("null_value"), table("c n", []any{"a", int64(1)}, []any{"b", nil}))
	add(query("null_optional", func(q *kpi.Query) { q.Metrics[0].Optional = true }), table("c n", []any{"a", int64(1)}, []any{"b", nil}))
	add(query("null_label"), table("c n", []any{nil, int64(1)}))
	add(query("not_a_number"), table("c n", []any{"a", "many"}))
	add(query("infinite"), table("c n", []any{"a", "Infinity"}))
	add(query("text_number"), table("c n", []any{"a", "42.5"}))
	add(query("boolean"), table("c n", []any{"a", true}))
	add(query("moment"), table("c n", []any{"a", time.Unix(1000, 500000000)}))
	add(query("wrong_column"), table("c m", []any{"a", int64(1)}))
	add(query("wrong_label"), table("d n", []any{"a", int64(1)}))
	add(query("duplicate"), table("c n", []any{"a", int64(1)}, []any{"a", int64(2)}))
	add(query("duplicate_folded", func(q *kpi.Query) { q.OnDuplicate = kpi.OnFold }), table("c n", []any{"a", int64(1)}, []any{"a", int64(2)}))
	many := [][]any{{"a", int64(5)}, {"b", int64(4)}, {"c", int64(3)}, {"d", int64(2)}, {"other", int64(1)}}
	add(query("overflow", func(q *kpi.Query) { q.MaxSeries = 3 }), table("c n", many...))
	add(query("overflow_folded", func(q *kpi.Query) { q.MaxSeries, q.OnOverflow = 3, kpi.OnFold }), table("c n", many...))
	add(query("overflow_zero_filled", func(q *kpi.Query) { // what is always there is not folded
		q.MaxSeries, q.OnOverflow, q.Metrics[0].ZeroFill = 3, kpi.OnFold, []string{"d", "z"}
	}), table("c n", many...))
	add(query("long_label"), table("c n", []any{strings.Repeat("x", 513), int64(1)}))
	add(query("bad_utf8"), table("c n", []any{"\xff", int64(1)}))
	add(query("hostile_label"), table("c n", []any{"\"}\n evil{x=\"", int64(1)}))
	add(query("two_metrics", func(q *kpi.Query) {
		q.Metrics = []kpi.Metric{{Name: "acme_first", Help: "First.", Value: "x"}, {Name: "acme_second", Help: "Second.", Value: "y"}}
	}), table("x y", []any{int64(1), nil}))
	add(query("short_row"), table("c n", []any{"a"}))
	add(query("not_a_number_kind"), table("c n", []any{"a", []int{1}}))
	add(query("sum_overflows", func(q *kpi.Query) { q.OnDuplicate = kpi.OnFold }), table("c n", []any{"a", 1e308}, []any{"a", 1e308}))
	add(query("kinds"), table("c n", []any{"int8", int8(-1)}, []any{"uint", uint(2)}, []any{"uint32", uint32(3)}, []any{"float32", float32(0.5)},
		[]any{"json", json.Number("6.25")}, []any{"duration", 1500 * time.Millisecond}))
	add(query("two_labels_folded", func(q *kpi.Query) {
		q.MaxSeries, q.OnOverflow, q.Metrics[0].Labels = 2, kpi.OnFold, []string{"c", "d"}
	}), table("c d n", []any{"a", "x", 9}, []any{"b", "x", 2}, []any{"other", "x", 1}, []any{"other", "other", 4}))
	add(query("fails"), collector.Rows{})
	src.errs["fails"] = errors.New("relation does not exist")
	var logs bytes.Buffer
	c := newCollector(t, collector.Config{Sources: named(src), Queries: queries}, &logs, clock)
	got := scrape(t, c)
	golden(t, "faults.prom", got)
	again := scrape(t, c)
	for _, q := range []string{"null_value", "null_label", "not_a_number", "infinite", "wrong_column", "wrong_label", "duplicate", "overflow", "bad_utf8", "two_metrics", "short_row", "not_a_number_kind", "sum_overflows", "fails"} {
		if n := strings.Count(logs.String(), "query="+q+" "); n != 1 {
			t.Errorf("query %s is named %d times in the log, want once in two scrapes", q, n)
		}
	}
	if again != got {
		t.Errorf("two scrapes of the same rows differ:\n%s", cmp.Diff(got, again))
	}
	lint(t, got)
}

func lint(t *testing.T, text string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

func TestBuiltinSetsAreGood(t *testing.T) {
	t.Parallel()
	want := []string{
		"awoooi_alerts", "awoooi_alerts_auto_resolved", "awoooi_alerts_by_name", "awoooi_alerts_converged", "awoooi_alerts_grouped", "awoooi_alerts_human_approved",
		"awoooi_alerts_resolved", "awoooi_incident_resolution_seconds",
		"awoooi_incidents_oldest_open_timestamp_seconds", "awoooi_incidents_open", "awoooi_incidents_resolved", "awoooi_knowledge_entries_created",
		"awoooi_playbooks_active", "awoooi_repairs_failed", "awoooi_repairs_succeeded",
	}
	kinds := map[string]string{"awoooi": kpi.KindPostgres, "awoooi_api": kpi.KindHTTP, "journal": kpi.KindJournal}
	for _, name := range []string{"awoooi", "journal"} {
		set, err := collector.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := kpi.Validate(set.Queries, kinds); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var text strings.Builder
		var have []string
		for _, q := range set.Queries {
			if q.Journal != "" {
				if err := journal.Check(q); err != nil {
					t.Error(err)
				}
			}
			for _, m := range q.Metrics {
				have = append(have, m.Name)
				text.WriteString("# HELP " + m.Name + " " + m.Help + "\n# TYPE " + m.Name + " gauge\n" + m.Name + " 1\n")
				if window := "trailing 24 hours"; (m.Window > 0) != strings.Contains(m.Help, window) {
					t.Errorf("%s: the help does not state its window of %v: %s", m.Name, m.Window, m.Help)
				}
				if m.Window == 0 && !strings.HasSuffix(m.Help, ", now.") {
					t.Errorf("%s: the help does not say that it is of now: %s", m.Name, m.Help)
				}
			}
		}
		lint(t, text.String())
		slices.Sort(have)
		if name == "awoooi" && !slices.Equal(have, want) {
			t.Errorf("set awoooi gives %v, want %v", have, want)
		}
		for _, m := range have {
			if !slices.Contains(want, m) {
				t.Errorf("set %s gives %s, which the set awoooi does not", name, m)
			}
		}
	}
	if _, err := collector.Builtin("nothing"); err == nil {
		t.Error("an unknown set is no error")
	}
}

func TestConcurrentScrapesShareOneRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}, block: func(context.Context) { <-release }}
		c := newCollector(t, collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}}, io.Discard, time.Now)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if text := scrape(t, c); !strings.Contains(text, `acme_good{c="a"} 3`) {
					t.Errorf("a scrape without the sample:\n%s", text)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if n := src.reads.Load(); n != 1 {
			t.Errorf("8 scrapes at once read %d times", n)
		}
		scrape(t, c)
		if n := src.reads.Load(); n != 2 {
			t.Errorf("a scrape after them did not read again: %d reads", n)
		}
	})
}

// One scraper that disconnects does not cancel the run of the others; when all have disconnected, the run is cancelled.
func TestDisconnectCancelsOnlyTheLastScrape(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cancelled := make(chan struct{})
		src := &fixed{block: func(ctx context.Context) { <-ctx.Done(); close(cancelled) }}
		var logs bytes.Buffer
		c := newCollector(t, collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}}, &logs, time.Now)
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, ctx := range []context.Context{first, second} {
			wg.Go(func() { _, _ = c.Gatherer(ctx).Gather() })
		}
		synctest.Wait()
		leaveFirst()
		time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock, which does not wait
		select {
		case <-cancelled:
			t.Error("the first hang-up cancelled the run of the second")
		default:
		}
		leaveSecond()
		<-cancelled
		wg.Wait()
		if logs.Len() > 0 {
			t.Errorf("a disconnected scraper is logged as a fault of the source: %s", &logs)
		}
	})
}

// A source that ignores its deadline loses only its own figures, and the answer is in the scraper's time.
func TestScrapeEndsUnderTheScrapersDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			header string
			most   time.Duration
		}{
			"stated":         {"3", 3 * time.Second},
			"with fractions": {"0.6", 600 * time.Millisecond},
			"not stated":     {"", 10500 * time.Millisecond},
			"nonsense":       {"soon", 10500 * time.Millisecond},
			"not a number":   {"NaN", 10500 * time.Millisecond},
			"long":           {"5", 5 * time.Second},
		} {
			release := make(chan struct{})
			silent := &fixed{block: func(context.Context) { <-release }}
			good := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}}
			var logs bytes.Buffer
			c := newCollector(t, collector.Config{
				Sources: append(named(good), collector.NamedSource{Name: "silent", Kind: kpi.KindHTTP, Source: silent}),
				Queries: []kpi.Query{query("good"), query("lost", func(q *kpi.Query) { q.Source = "silent" })},
			}, &logs, time.Now)
			start := time.Now()
			text := scrape(t, c, "X-Prometheus-Scrape-Timeout-Seconds", tc.header)
			if took := time.Since(start); took > tc.most {
				t.Errorf("%s: the scrape took %v", name, took)
			}
			for _, want := range []string{
				`acme_good{c="a"} 3`, `awoooi_collector_query_success{query="lost",source="silent"} 0`, `awoooi_collector_up{kind="http",source="silent"} 0`,
			} {
				if !strings.Contains(text, want) {
					t.Errorf("%s: the scrape does not say %s:\n%s", name, want, text)
				}
			}
			if !strings.Contains(logs.String(), "query=lost") {
				t.Errorf("%s: the log does not name the query: %s", name, &logs)
			}
			close(release)
			synctest.Wait()
		}
	})
}

// The scraper whose deadline passes first gets the answers of the healthy sources, and the other one waits on.
func TestEachScraperLeavesAtItsOwnDeadlineWithWhatIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		slow := &fixed{rows: map[string]collector.Rows{"late": table("c n", []any{"a", int64(1)})}, block: func(context.Context) { <-release }}
		good := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}}
		c := newCollector(t, collector.Config{
			Sources: append(named(good), collector.NamedSource{Name: "slow", Kind: kpi.KindHTTP, Source: slow}),
			Queries: []kpi.Query{query("good"), query("late", func(q *kpi.Query) { q.Source = "slow" })},
		}, io.Discard, time.Now)
		whole := make(chan string, 1)
		go func() { whole <- scrape(t, c, "X-Prometheus-Scrape-Timeout-Seconds", "9") }()
		synctest.Wait()
		start := time.Now()
		text := scrape(t, c, "X-Prometheus-Scrape-Timeout-Seconds", "2")
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("it left after %v, want its own deadline less the offset", took)
		}
		for _, want := range []string{
			`acme_good{c="a"} 3`, `awoooi_collector_query_success{query="late",source="slow"} 0`,
			`awoooi_collector_query_last_success_timestamp_seconds{query="good",source="db"}`, `awoooi_collector_up{kind="http",source="slow"} 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the first to leave does not get %s:\n%s", want, text)
			}
		}
		close(release)
		if text := <-whole; !strings.Contains(text, `acme_late{c="a"} 1`) || !strings.Contains(text, `acme_good{c="a"} 3`) {
			t.Errorf("the one that stayed lost samples:\n%s", text)
		}
		if n := slow.reads.Load(); n != 1 {
			t.Errorf("two scrapes at once read %d times", n)
		}
	})
}

// Scrapers that always overlap on a source that never answers must not keep one run, with an ageing window, alive.
func TestOverlappingScrapesDoNotProlongARun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		silent := &fixed{block: func(context.Context) { <-release }}
		good := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}}
		c := newCollector(t, collector.Config{
			Sources: append(named(good), collector.NamedSource{Name: "silent", Kind: kpi.KindHTTP, Source: silent}),
			Queries: []kpi.Query{query("good"), query("lost", func(q *kpi.Query) { q.Source = "silent" })},
		}, io.Discard, time.Now)
		var wg sync.WaitGroup
		for range 30 { // two a run, each coming before the one before has left
			wg.Go(func() {
				if text := scrape(t, c, "X-Prometheus-Scrape-Timeout-Seconds", "10"); !strings.Contains(text, `acme_good{c="a"} 3`) {
					t.Errorf("the healthy source's figures are lost:\n%s", text)
				}
			})
			time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock, which does not wait
		}
		wg.Wait()
		// 150 s of overlapping scrapes, and no run is older than 10.1 s.
		if n := good.reads.Load(); n < 10 {
			t.Errorf("the healthy source was read %d times in 150 s", n)
		}
		if n := silent.reads.Load(); n != 4 {
			t.Errorf("%d reads of the silent source are left behind, want no more than 4", n)
		}
		c.Close()
		if good.closed.Load() != 0 || silent.closed.Load() != 0 {
			t.Error("sources are closed under a read")
		}
		close(release)
		synctest.Wait()
		if good.closed.Load() != 1 || silent.closed.Load() != 1 {
			t.Error("sources are not closed after the last read")
		}
	})
}

func TestEachKeepsTheAnsweredWhenTheScrapeEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		defer close(release)
		queries := []kpi.Query{query("silent"), query("good"), query("own_timeout", func(q *kpi.Query) { q.Timeout = 10 * time.Millisecond })}
		got := make([]collector.Result, len(queries))
		collector.Each(ctx, queries, func(n int, r collector.Result) { got[n] = r }, func(ctx context.Context, q kpi.Query) (collector.Rows, error) {
			switch q.Name {
			case "silent":
				<-release
			case "own_timeout":
				<-ctx.Done()
				return collector.Rows{}, ctx.Err()
			}
			return table("n", []any{1}), nil
		})
		if !errors.Is(got[0].Err, context.DeadlineExceeded) || got[0].Duration != time.Second {
			t.Errorf("silent: %+v", got[0])
		}
		if got[1].Err != nil || len(got[1].Rows.Values) != 1 {
			t.Errorf("good: %+v", got[1])
		}
		if !errors.Is(got[2].Err, context.DeadlineExceeded) || got[2].Duration != 10*time.Millisecond {
			t.Errorf("own timeout: %+v", got[2])
		}
	})
}

func TestRowFaultsAreNotCachedAndCachedResultsKeepTheirTime(t *testing.T) {
	t.Parallel()
	now := fixedNow
	src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", nil})}}
	c := newCollector(t, collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}, TTL: time.Minute}, io.Discard,
		func() time.Time { return now })
	scrape(t, c)
	src.rows["good"] = table("c n", []any{"a", int64(3)})
	text := scrape(t, c)
	if n := src.reads.Load(); n != 2 || !strings.Contains(text, `acme_good{c="a"} 3`) {
		t.Errorf("a row's fault was served again: %d reads\n%s", n, text)
	}
	now = now.Add(30 * time.Second)
	const last = `awoooi_collector_query_last_success_timestamp_seconds{query="good",source="db"} 1.776816000123e+09`
	if text := scrape(t, c); src.reads.Load() != 2 || !strings.Contains(text, last) {
		t.Errorf("a cached result counts as a new success:\n%s", text)
	}
	now = now.Add(-time.Hour) // a clock that was set back
	if scrape(t, c); src.reads.Load() != 3 {
		t.Error("a result of the future is served again")
	}
}

func TestHandlerNegotiatesAndAnswers200WithEverythingDown(t *testing.T) {
	t.Parallel()
	src := &fixed{errs: map[string]error{"bad": errors.New("down")}}
	sources := append(named(src), collector.NamedSource{Name: "idle", Kind: kpi.KindRedis, Source: &fixed{}})
	c := newCollector(t, collector.Config{Sources: sources, Queries: []kpi.Query{query("bad")}}, io.Discard, clock)
	text := scrape(t, c, "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasSuffix(text, "# EOF\n") || !strings.Contains(text, `awoooi_collector_up{kind="postgres",source="db"} 0`) {
		t.Errorf("not OpenMetrics, or the source is not down:\n%s", text)
	}
	if strings.Contains(text, `awoooi_collector_up{kind="redis"`) {
		t.Errorf("a source without queries is called up or down:\n%s", text)
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	process := prometheus.NewRegistry()
	process.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "acme_process", Help: "Of the process."}))
	c.Handler(process).ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !strings.Contains(string(b), "\nacme_process 0\n") || !strings.Contains(string(b), "awoooi_collector_up") {
		t.Errorf("gzip: %v\n%s", err, b)
	}
}

func TestReloadKeepsLastSuccessesOfQueriesThatStay(t *testing.T) {
	t.Parallel()
	rows := map[string]collector.Rows{"stays": table("c n", []any{"a", 1}), "goes": table("c n", []any{"a", 1})}
	c := newCollector(t, collector.Config{Sources: named(&fixed{rows: rows}), Queries: []kpi.Query{query("stays"), query("goes")}}, io.Discard, clock)
	scrape(t, c)
	down := &fixed{errs: map[string]error{"stays": errors.New("down"), "goes": errors.New("down")}}
	reload := func(names ...string) {
		cfg := collector.Config{Sources: named(down), ScrapeTimeout: 10 * time.Second}
		for _, n := range names {
			cfg.Queries = append(cfg.Queries, query(n))
		}
		c.Reload(cfg)
	}
	const last = `awoooi_collector_query_last_success_timestamp_seconds{query="`
	reload("stays")
	if text := scrape(t, c); !strings.Contains(text, last+"stays") {
		t.Errorf("the last success was lost:\n%s", text)
	}
	down = &fixed{errs: down.errs}
	reload("stays", "goes")
	if text := scrape(t, c); !strings.Contains(text, last+"stays") || strings.Contains(text, last+"goes") {
		t.Errorf("a query that was removed kept its last success:\n%s", text)
	}
}

func TestOnlyGoodResultsAreCached(t *testing.T) {
	t.Parallel()
	now := fixedNow
	src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}, errs: map[string]error{}}
	c := newCollector(t, collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}, TTL: time.Minute}, io.Discard,
		func() time.Time { return now })
	reads := func() int64 { scrape(t, c); return src.reads.Load() }
	if n := reads(); n != 1 {
		t.Fatalf("%d reads", n)
	}
	now = now.Add(59 * time.Second)
	if n := reads(); n != 1 {
		t.Errorf("a good result is not served again within the TTL: %d reads", n)
	}
	now = now.Add(time.Second)
	src.errs["good"] = errors.New("down")
	if n := reads(); n != 2 {
		t.Errorf("a result as old as the TTL is served again: %d reads", n)
	}
	src.errs = nil
	if n := reads(); n != 3 {
		t.Errorf("a failure is served again: %d reads", n)
	}
}

func TestFaultsAndRecoveriesAreLoggedOnce(t *testing.T) {
	t.Parallel()
	src := &fixed{rows: map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}, errs: map[string]error{}}
	var logs bytes.Buffer
	now := fixedNow
	c := newCollector(t, collector.Config{Sources: named(src), Queries: []kpi.Query{query("good")}}, &logs, func() time.Time { return now })
	step := func(err error, want string) string {
		t.Helper()
		logs.Reset()
		src.errs["good"] = err
		now = now.Add(time.Minute)
		text := scrape(t, c)
		if want == "" && logs.Len() > 0 || !strings.Contains(logs.String(), want) {
			t.Errorf("after %v the log says %q, want %q", err, logs.String(), want)
		}
		return text
	}
	const last = "awoooi_collector_query_last_success_timestamp_seconds{"
	if text := step(errors.New("down"), "err=down"); strings.Contains(text, last) || strings.Contains(text, "acme_good{") {
		t.Errorf("a query that never succeeded has a last success or a sample:\n%s", text)
	}
	step(errors.New("down"), "")
	step(errors.New("denied"), "err=denied")
	good := step(nil, "query works again")
	if !strings.Contains(good, `acme_good{c="a"} 3`) {
		t.Errorf("after the repair:\n%s", good)
	}
	step(nil, "")
	if text := step(errors.New("down"), "err=down"); !strings.Contains(text, last) || strings.Contains(text, "acme_good{") {
		t.Errorf("a stale sample, or no last success:\n%s", text)
	}
}

func TestReloadUnderScrapes(t *testing.T) {
	t.Parallel()
	rows := map[string]collector.Rows{"good": table("c n", []any{"a", int64(3)})}
	var all []*fixed
	open := func() *fixed {
		s := &fixed{rows: rows}
		all = append(all, s)
		return s
	}
	var logs localstack.Buffer
	c := newCollector(t, collector.Config{Sources: named(open()), Queries: []kpi.Query{query("good")}}, &logs, time.Now)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if text := scrape(t, c); !strings.Contains(text, `acme_good{c="a"} 3`) {
						t.Errorf("a scrape during a reload lost its samples:\n%s", text)
					}
				}
			}
		})
	}
	for range 200 {
		c.Reload(collector.Config{Sources: named(open()), Queries: []kpi.Query{query("good")}, ScrapeTimeout: 10 * time.Second})
	}
	close(done)
	wg.Wait()
	c.Close()
	for n, s := range all {
		if got := s.closed.Load(); got != 1 {
			t.Errorf("source %d was closed %d times", n, got)
		}
	}
	if s := logs.String(); s != "" {
		t.Errorf("faults during reloads: %s", s)
	}
}
