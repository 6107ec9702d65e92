package collector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// generation is one configuration of the collector, with its sources open.
type generation struct {
	cfg     Config
	queries map[string][]kpi.Query // by source
	cache   map[string]cached      // by source; of good results only
	mu      sync.Mutex             // cache and using
	using   int                    // scrapes under way
	retired bool                   // to be closed by the last of them
}

type cached struct {
	at      time.Time
	results []Result
	pool    map[string]float64
}

func newGeneration(cfg Config) *generation {
	g := &generation{cfg: cfg, queries: map[string][]kpi.Query{}, cache: map[string]cached{}}
	for _, q := range cfg.Queries {
		g.queries[q.Source] = append(g.queries[q.Source], q)
	}
	return g
}

// acquire says whether the generation may still be used; release must follow.
func (g *generation) acquire() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return false
	}
	g.using++
	return true
}

func (g *generation) release() {
	g.mu.Lock()
	g.using--
	last := g.retired && g.using == 0
	g.mu.Unlock()
	if last {
		g.close()
	}
}

// retire closes the sources when the last scrape has ended.
func (g *generation) retire() {
	g.mu.Lock()
	now := !g.retired && g.using == 0
	g.retired = true
	g.mu.Unlock()
	if now {
		g.close()
	}
}

func (g *generation) close() {
	for _, s := range g.cfg.Sources {
		s.Source.Close()
	}
}

// run asks all sources side by side and makes one snapshot.
func (g *generation) run(ctx context.Context, until time.Time) *snapshot {
	snap := &snapshot{until: until}
	start := time.Now()
	results := make([][]Result, len(g.cfg.Sources))
	pools := make([]map[string]float64, len(g.cfg.Sources))
	var wg sync.WaitGroup
	for n, s := range g.cfg.Sources {
		wg.Go(func() { results[n], pools[n] = g.ask(ctx, until, s) })
	}
	wg.Wait()
	for n, s := range g.cfg.Sources {
		snap.add(context.Cause(ctx), s, g.queries[s.Name], results[n], pools[n])
	}
	snap.duration = time.Since(start)
	return snap
}

// ask reads one source, from the cache where that is young enough. A source that does not heed its deadline is left
// behind: its queries fail, and what it answers later is dropped.
func (g *generation) ask(ctx context.Context, until time.Time, s NamedSource) ([]Result, map[string]float64) {
	queries := g.queries[s.Name]
	if g.cfg.TTL > 0 {
		g.mu.Lock()
		c, ok := g.cache[s.Name]
		g.mu.Unlock()
		if ok && until.Sub(c.at) < g.cfg.TTL {
			return c.results, c.pool
		}
	}
	type answer struct {
		results []Result
		pool    map[string]float64
	}
	answered := make(chan answer, 1)
	go func() {
		a := answer{results: s.Source.Read(ctx, until, queries)}
		if p, ok := s.Source.(Pool); ok {
			a.pool = p.Connections()
		}
		answered <- a
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		// A source that heeds its deadline needs a moment to say what it has.
		select {
		case a = <-answered:
		case <-time.After(straggle):
			a.results = make([]Result, len(queries))
			for n := range a.results {
				a.results[n].Err = fmt.Errorf("no answer in time: %w", context.Cause(ctx))
			}
			return a.results, nil
		}
	}
	good := !slices.ContainsFunc(a.results, func(r Result) bool { return r.Err != nil })
	if g.cfg.TTL > 0 && good {
		g.mu.Lock()
		g.cache[s.Name] = cached{at: until, results: a.results, pool: a.pool}
		g.mu.Unlock()
	}
	return a.results, a.pool
}

// straggle is how long an answer may come after the deadline.
const straggle = 100 * time.Millisecond

// snapshot is what one scrape found. It never changes once it is made.
type snapshot struct {
	until    time.Time
	duration time.Duration
	metrics  []prometheus.Metric
	queries  []queryState
	sources  []sourceState
}

type queryState struct {
	source, name string
	duration     time.Duration
	dropped      int
	err          error
	lastSuccess  time.Time // zero is never
}

type sourceState struct {
	name, kind string
	up         bool
	pool       map[string]float64
}

func (s *snapshot) add(cut error, src NamedSource, queries []kpi.Query, results []Result, pool map[string]float64) {
	state := sourceState{name: src.Name, kind: src.Kind, pool: pool}
	for n, q := range queries {
		r := Result{Err: errors.New("the source gave no answer")}
		if n < len(results) {
			r = results[n]
		}
		qs := queryState{source: src.Name, name: q.Name, duration: r.Duration, err: r.Err}
		if r.Err != nil && errors.Is(cut, context.DeadlineExceeded) && errors.Is(r.Err, context.Canceled) {
			qs.err = fmt.Errorf("the scrape's deadline passed: %w", cut)
		}
		if r.Err == nil {
			state.up = true // the source was read, whatever the rows are worth
			var metrics []prometheus.Metric
			if metrics, qs.dropped, qs.err = constMetrics(q, r.Rows); qs.err == nil {
				s.metrics = append(s.metrics, metrics...)
			}
		}
		s.queries = append(s.queries, qs)
	}
	s.sources = append(s.sources, state)
}

func constMetrics(q kpi.Query, rows Rows) (out []prometheus.Metric, dropped int, err error) {
	for _, m := range q.Metrics {
		all, n, err := seriesOf(q, m, rows)
		if err != nil {
			return nil, 0, err
		}
		dropped += n
		desc := prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)
		for _, s := range all {
			metric, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, s.value, s.labels...)
			if err != nil {
				return nil, 0, fmt.Errorf("metric %s: %w", m.Name, err)
			}
			out = append(out, metric)
		}
	}
	return out, dropped, nil
}

// The collector's own metrics.
var (
	upDesc = prometheus.NewDesc("awoooi_collector_up",
		"Whether the source answered at least one query of this scrape.", []string{"source", "kind"}, nil)
	successDesc = prometheus.NewDesc("awoooi_collector_query_success",
		"Whether the query gave its metrics in this scrape.", []string{"source", "query"}, nil)
	durationDesc = prometheus.NewDesc("awoooi_collector_query_duration_seconds",
		"How long the query took.", []string{"source", "query"}, nil)
	lastSuccessDesc = prometheus.NewDesc("awoooi_collector_query_last_success_timestamp_seconds",
		"When the query last gave its metrics; absent if it never did.", []string{"source", "query"}, nil)
	droppedDesc = prometheus.NewDesc("awoooi_collector_query_series_dropped",
		"Rows of this scrape that were folded into another series.", []string{"source", "query"}, nil)
	windowEndDesc = prometheus.NewDesc("awoooi_collector_window_end_timestamp_seconds",
		"The end of every window of this scrape; rows of that moment and later are not counted.", nil, nil)
	scrapeDurationDesc = prometheus.NewDesc("awoooi_collector_scrape_duration_seconds",
		"How long all sources of this scrape took.", nil, nil)
	poolDesc = prometheus.NewDesc("awoooi_collector_pool_connections",
		"Connections to the source, by state.", []string{"source", "state"}, nil)
)

// Describe sends nothing: which metrics there are is known after the scrape only.
func (s *snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *snapshot) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, m := range s.metrics {
		ch <- m
	}
	for _, src := range s.sources {
		gauge(upDesc, truth(src.up), src.name, src.kind)
		for _, state := range slices.Sorted(maps.Keys(src.pool)) {
			gauge(poolDesc, src.pool[state], src.name, state)
		}
	}
	for _, q := range s.queries {
		gauge(successDesc, truth(q.err == nil), q.source, q.name)
		gauge(durationDesc, q.duration.Seconds(), q.source, q.name)
		gauge(droppedDesc, float64(q.dropped), q.source, q.name)
		if !q.lastSuccess.IsZero() {
			gauge(lastSuccessDesc, float64(q.lastSuccess.UnixMilli())/1000, q.source, q.name)
		}
	}
	gauge(windowEndDesc, float64(s.until.UnixMicro())/1e6)
	gauge(scrapeDurationDesc, s.duration.Seconds())
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
