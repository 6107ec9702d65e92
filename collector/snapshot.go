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
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// generation is one configuration of the collector, with its sources open.
type generation struct {
	cfg     Config
	queries map[string][]kpi.Query   // by source
	reads   map[string]chan struct{} // by source; holds one element for each read under way

	mu      sync.Mutex
	cache   map[string]*answers // by source, whose queries all gave their metrics; never changed
	using   int                 // runs and reads under way
	retired bool                // the last of them closes the sources
}

// answers are those that one source has given so far.
type answers struct {
	at      time.Time // the end of the windows that it was asked for
	results []Result  // by query
	given   []bool    // by query
	pool    map[string]float64
}

func newAnswers(at time.Time, queries int) *answers {
	return &answers{at: at, results: make([]Result, queries), given: make([]bool, queries)}
}

// maxReads bounds the reads of one source that did not end with their scrape.
const maxReads = 4

func newGeneration(cfg Config) *generation {
	g := &generation{
		cfg: cfg, queries: map[string][]kpi.Query{}, reads: map[string]chan struct{}{}, cache: map[string]*answers{},
	}
	for _, q := range cfg.Queries {
		g.queries[q.Source] = append(g.queries[q.Source], q)
	}
	for _, s := range cfg.Sources {
		g.reads[s.Name] = make(chan struct{}, maxReads)
	}
	return g
}

// acquire reports whether the generation may still be used; release must follow then.
func (g *generation) acquire() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.retired {
		return false
	}
	g.using++
	return true
}

// hold adds a use to a generation that is in use.
func (g *generation) hold() {
	g.mu.Lock()
	g.using++
	g.mu.Unlock()
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

// retire closes the sources after the last run, and after the last read that did not end with its run.
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

// cached returns the answers that a source gave within the TTL before until.
func (g *generation) cached(name string, until time.Time) (*answers, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.cache[name]
	if !ok {
		return nil, false
	}
	age := until.Sub(p.at)
	return p, age >= 0 && age < g.cfg.TTL
}

// run reads all sources once. Answers arrive query by query.
type run struct {
	g     *generation
	until time.Time
	start time.Time

	mu      sync.Mutex
	answers []*answers // by source
}

func newRun(g *generation, until time.Time) *run {
	r := &run{g: g, until: until, start: time.Now()}
	for _, s := range g.cfg.Sources {
		r.answers = append(r.answers, newAnswers(until, len(g.queries[s.Name])))
	}
	return r
}

// do reads all sources concurrently, and returns when each has answered or has missed the deadline.
func (r *run) do(ctx context.Context) *snapshot {
	var wg sync.WaitGroup
	for n, s := range r.g.cfg.Sources {
		wg.Go(func() { r.ask(ctx, n, s) })
	}
	wg.Wait()
	snap := r.snapshot(context.Cause(ctx))
	if r.g.cfg.TTL > 0 {
		r.keep(snap)
	}
	return snap
}

// keep caches the answers of sources whose queries all gave their metrics.
func (r *run) keep(snap *snapshot) {
	failed := map[string]bool{}
	for _, q := range snap.queries {
		if q.err != nil {
			failed[q.source] = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	for n, s := range r.g.cfg.Sources {
		if p := *r.answers[n]; !failed[s.Name] && !slices.Contains(p.given, false) {
			r.g.cache[s.Name] = &p
		}
	}
}

// ask reads one source, or the cache if that is younger than the TTL. A source that does not return at its deadline is not waited
// for: the queries that it has not answered fail, and later answers are dropped.
func (r *run) ask(ctx context.Context, source int, s NamedSource) {
	if p, ok := r.g.cached(s.Name, r.until); ok {
		r.mu.Lock()
		r.answers[source] = p
		r.mu.Unlock()
		return
	}
	reads := r.g.reads[s.Name]
	select {
	case reads <- struct{}{}:
	case <-ctx.Done():
		return
	}
	r.g.hold() // a source is not closed while it is read
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		s.Source.Read(ctx, r.until, r.g.queries[s.Name], func(n int, result Result) { r.give(source, n, result) })
		if pool, ok := s.Source.(Pool); ok {
			r.mu.Lock()
			r.answers[source].pool = pool.Connections()
			r.mu.Unlock()
		}
		<-reads
		r.g.release()
	}()
	select {
	case <-returned:
		return
	case <-ctx.Done():
	}
	// A source that respects its deadline needs a moment to give its answers.
	select {
	case <-returned:
	case <-time.After(lateAnswer):
	}
}

// give keeps the first answer to a query.
func (r *run) give(source, query int, result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.answers[source]; !p.given[query] {
		p.results[query], p.given[query] = result, true
	}
}

// snapshot returns the answers that have arrived; cut is the reason why the others are not waited for, or nil.
func (r *run) snapshot(cut error) *snapshot {
	r.mu.Lock()
	all := make([]answers, len(r.answers))
	for n, p := range r.answers {
		all[n] = answers{at: p.at, results: slices.Clone(p.results), given: slices.Clone(p.given), pool: p.pool}
	}
	r.mu.Unlock()
	snap := &snapshot{until: r.until, configured: map[string]bool{}, reporterOnly: r.g.cfg.ReporterOnly}
	for n, s := range r.g.cfg.Sources {
		p := all[n]
		for q, given := range p.given {
			if given {
				continue
			}
			err := errors.New("the source gave no answer")
			switch {
			case errors.Is(cut, context.DeadlineExceeded):
				err = fmt.Errorf("%w: %w", errTooSlow, cut)
			case cut != nil:
				err = cut
			}
			p.results[q] = Result{Err: err, Duration: time.Since(r.start)}
		}
		snap.add(cut, s, r.g.queries[s.Name], p)
	}
	snap.duration = time.Since(r.start)
	return snap
}

// lateAnswer is how long after the deadline an answer still counts.
const lateAnswer = 100 * time.Millisecond

// snapshot is the result of one scrape. It is immutable.
type snapshot struct {
	until      time.Time
	duration   time.Duration
	metrics    []prometheus.Metric
	queries    []queryState
	sources    []sourceState
	configured map[string]bool // names of the metrics of all queries
	// reporterOnly is Config.ReporterOnly.
	reporterOnly bool
}

type queryState struct {
	source, name string
	duration     time.Duration
	dropped      int
	err          error
	at           time.Time // the end of its window; earlier than the scrape's where it was cached
	lastSuccess  time.Time // zero if there was none
}

type sourceState struct {
	name, kind string
	queried    bool // whether any query reads it
	up         bool
	pool       map[string]float64
}

// add makes the metrics and the state of a source from its answers. cut is the reason why the run was cut off, or nil.
func (s *snapshot) add(cut error, src NamedSource, queries []kpi.Query, p answers) {
	state := sourceState{name: src.Name, kind: src.Kind, queried: len(queries) > 0, pool: p.pool}
	for n, q := range queries {
		for _, m := range q.Metrics {
			s.configured[m.Name] = true
		}
		r := p.results[n]
		qs := queryState{source: src.Name, name: q.Name, duration: r.Duration, err: r.Err, at: p.at}
		if r.Err != nil && errors.Is(cut, context.DeadlineExceeded) && errors.Is(r.Err, context.Canceled) {
			qs.err = fmt.Errorf("the scrape's deadline passed: %w", cut)
		}
		if r.Err == nil {
			state.up = true // the source answered, even if its rows make no metrics
			var metrics []prometheus.Metric
			if metrics, qs.dropped, qs.err = constMetrics(q, r.Rows); qs.err == nil {
				s.metrics = append(s.metrics, metrics...)
			}
		}
		qs.err = safetext.Error(qs.err) // it may quote columns and labels, which are untrusted
		s.queries = append(s.queries, qs)
	}
	s.sources = append(s.sources, state)
}

// constMetrics makes the metrics of a query from its rows. dropped counts rows that were folded into another series.
func constMetrics(q kpi.Query, rows Rows) (out []prometheus.Metric, dropped int, err error) {
	for _, m := range q.Metrics {
		all, n, err := seriesOf(q, m, rows)
		if err != nil {
			return nil, 0, fmt.Errorf("metric %s: %w", m.Name, err)
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
		"Whether the source answered at least one query of this scrape; absent if it has none.",
		[]string{"source", "kind"}, nil)
	successDesc = prometheus.NewDesc("awoooi_collector_query_success",
		"Whether the query gave its metrics in this scrape.", []string{"source", "query"}, nil)
	durationDesc = prometheus.NewDesc("awoooi_collector_query_duration_seconds",
		"How long the query took.", []string{"source", "query"}, nil)
	lastSuccessDesc = prometheus.NewDesc("awoooi_collector_query_last_success_timestamp_seconds",
		"When the query last gave its metrics; absent if it never did.", []string{"source", "query"}, nil)
	droppedDesc = prometheus.NewDesc("awoooi_collector_query_series_dropped",
		"Rows of this scrape that were folded into another series.", []string{"source", "query"}, nil)
	configuredDesc = prometheus.NewDesc("awoooi_collector_metric_configured",
		"1 for each metric of a loaded query, even if its source fails.", []string{"metric"}, nil)
	windowEndDesc = prometheus.NewDesc("awoooi_collector_window_end_timestamp_seconds",
		"The end of the windows of this scrape; rows of that moment and later are not counted.", nil, nil)
	scrapeDurationDesc = prometheus.NewDesc("awoooi_collector_scrape_duration_seconds",
		"How long all sources of this scrape took.", nil, nil)
	poolDesc = prometheus.NewDesc("awoooi_collector_pool_connections",
		"Connections to the source, by state.", []string{"source", "state"}, nil)
)

// Describe sends nothing, since the metrics are known only after the scrape.
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
		if src.queried { // otherwise it is not known whether the source is up
			gauge(upDesc, boolValue(src.up), src.name, src.kind)
		}
		for _, state := range slices.Sorted(maps.Keys(src.pool)) {
			gauge(poolDesc, src.pool[state], src.name, state)
		}
	}
	for _, q := range s.queries {
		gauge(successDesc, boolValue(q.err == nil), q.source, q.name)
		gauge(durationDesc, q.duration.Seconds(), q.source, q.name)
		gauge(droppedDesc, float64(q.dropped), q.source, q.name)
		if !q.lastSuccess.IsZero() {
			gauge(lastSuccessDesc, float64(q.lastSuccess.UnixMilli())/1000, q.source, q.name)
		}
	}
	if s.reporterOnly {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.configured)) {
		gauge(configuredDesc, 1, name)
	}
	gauge(windowEndDesc, float64(s.until.UnixMicro())/1e6)
	gauge(scrapeDurationDesc, s.duration.Seconds())
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
