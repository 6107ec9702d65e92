package collector

import (
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

//go:embed sets/*.yaml
var sets embed.FS

// SetReporter is the KPI set that is loaded wherever the reporter runs.
const SetReporter = "reporter"

// Builtin returns the builtin KPI set of that name: "awoooi", "journal" or SetReporter. It is an error if there is none.
func Builtin(name string) (kpi.Set, error) {
	b, err := sets.ReadFile("sets/" + name + ".yaml")
	if err != nil {
		return kpi.Set{}, fmt.Errorf("unknown kpi set %q (have awoooi, journal, reporter)", name)
	}
	set, err := kpi.ParseSet(b)
	for n := range set.Queries {
		set.Queries[n].Builtin = true
	}
	return set, err
}

// Config is the sources and queries of a collector, and its time limits.
type Config struct {
	Sources       []NamedSource
	Queries       []kpi.Query   // validated, with their defaults
	TTL           time.Duration // successful results younger than this are served again; 0 disables the cache
	TimeoutOffset time.Duration // subtracted from the scraper's timeout
	ScrapeTimeout time.Duration // for a scraper that sends no timeout
	// ReporterOnly means that the process runs the reporter role only, with the KPIs of the set SetReporter. The metrics by which
	// rules and reports recognise a collector, and the KPIs that it is configured to give, are left out.
	ReporterOnly bool
}

// Collector answers scrapes. Scrapes that start while a run is under way share its result.
type Collector struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	current *generation
	running *flight
	known   map[queryKey]memory
	last    *snapshot // of the last complete run; nil before the first one, and after a reload
}

type queryKey struct{ source, query string }

// memory is the state of a query between scrapes.
type memory struct {
	lastSuccess time.Time
	fault       string // the last error that was logged; "" after a success
}

// flight is one run that any number of scrapes wait for. It is cancelled when no scrape waits for it any more.
type flight struct {
	run     *run
	ends    time.Time // its deadline
	done    chan struct{}
	snap    *snapshot // set before done is closed
	waiting int
	cancel  context.CancelCauseFunc // called with the reason why the last scrape left
}

// New makes a collector, which closes the sources. now may be nil for time.Now.
func New(cfg Config, log *slog.Logger, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	return &Collector{log: log, now: now, current: newGeneration(cfg), known: map[queryKey]memory{}}
}

// Reload replaces sources and queries. A run that is under way ends on the old sources, which are closed after it.
func (c *Collector) Reload(cfg Config) {
	c.mu.Lock()
	old := c.current
	c.current = newGeneration(cfg)
	c.running = nil // the next scrape starts a new run
	kept := map[queryKey]memory{}
	for _, q := range cfg.Queries {
		if m, ok := c.known[queryKey{q.Source, q.Name}]; ok {
			kept[queryKey{q.Source, q.Name}] = m
		}
	}
	c.known = kept
	c.last = nil
	c.mu.Unlock()
	old.retire()
}

// Close closes the sources, after the run that is under way.
func (c *Collector) Close() {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	g.retire() // outside the lock, because closing a pool may take long
}

// longestRun bounds a run whose scraper sends a very long timeout.
const longestRun = 5 * time.Minute

// scrape returns the snapshot of a new run, or of the one that other scrapes are waiting for. A scrape whose deadline passes first
// gets the answers that have arrived, and the run continues for the other scrapes; a scraper that disconnected gets an error.
func (c *Collector) scrape(ctx context.Context) (*snapshot, error) {
	c.mu.Lock()
	f := c.running
	if f == nil || f.endsEarly(ctx) {
		g := c.current
		if !g.acquire() {
			c.mu.Unlock()
			return nil, errors.New("the collector is closed")
		}
		// The run belongs to no single scrape: it lives as long as at least one waits for it.
		shared, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		limit := runTime(ctx, g.cfg.ScrapeTimeout)
		f = &flight{
			run: newRun(g, c.now().UTC().Truncate(time.Microsecond)), ends: time.Now().Add(limit), done: make(chan struct{}), cancel: cancel,
		}
		c.running = f
		go c.execute(shared, f, limit)
	}
	f.waiting++
	c.mu.Unlock()

	var left error
	select {
	case <-f.done:
	case <-ctx.Done():
		left = context.Cause(ctx)
	}
	c.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last {
		f.cancel(left)
		if c.running == f {
			c.running = nil
		}
	}
	c.mu.Unlock()
	if left == nil {
		return f.snap, nil
	}
	if last {
		// The run was cancelled above. Sources that respect that get a moment to give their answers.
		select {
		case <-f.done:
			return f.snap, nil
		case <-time.After(2 * lateAnswer):
		}
	}
	if !errors.Is(left, context.DeadlineExceeded) {
		return nil, left
	}
	snap := f.run.snapshot(left)
	c.mu.Lock()
	c.recall(snap)
	c.mu.Unlock()
	return snap, nil
}

// runTime is how long a run may take that is started by a scrape under ctx, so that its sources have the scraper's deadline.
// Scrapes that join later do not prolong it: otherwise overlapping scrapes could keep one run, with an ageing window, for ever.
func runTime(ctx context.Context, usual time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(time.Until(deadline), longestRun)
	}
	return usual
}

// endsEarly reports whether the flight has much less time left than a scrape under ctx, as when the scraper that started it has a
// short timeout.
func (f *flight) endsEarly(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(f.ends) < time.Until(deadline)/3
}

// execute runs a flight and publishes its snapshot.
func (c *Collector) execute(ctx context.Context, f *flight, limit time.Duration) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	snap := f.run.do(ctx)
	f.run.g.release()
	c.mu.Lock()
	c.remember(snap, context.Cause(ctx))
	if f.run.g == c.current && !errors.Is(context.Cause(ctx), context.Canceled) {
		c.last = snap
	}
	if c.running == f {
		c.running = nil
	}
	c.mu.Unlock()
	f.snap = snap
	close(f.done)
}

// remember stores the successes, and logs an error once when it appears, changes or ends. The errors of a run that was cancelled
// because its scrapers disconnected are not those of the sources.
func (c *Collector) remember(snap *snapshot, cut error) {
	for n := range snap.queries {
		q := &snap.queries[n]
		key := queryKey{q.source, q.name}
		m := c.known[key]
		switch {
		case q.err == nil:
			if m.fault != "" {
				c.log.Info("query works again", "source_name", q.source, "query", q.name)
			}
			m = memory{lastSuccess: latest(m.lastSuccess, q.at)}
		case errors.Is(cut, context.Canceled): // the scrapers disconnected; a deadline is context.DeadlineExceeded
		case m.fault != q.err.Error():
			m.fault = q.err.Error()
			c.log.Error("query failed", "source_name", q.source, "query", q.name, "err", q.err)
		}
		q.lastSuccess = m.lastSuccess
		c.known[key] = m
	}
}

// recall sets the last successes in a snapshot that was taken before its run ended.
func (c *Collector) recall(snap *snapshot) {
	for n := range snap.queries {
		q := &snap.queries[n]
		q.lastSuccess = c.known[queryKey{q.source, q.name}].lastSuccess
		if q.err == nil {
			q.lastSuccess = latest(q.lastSuccess, q.at)
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// deadline is the time that is left to answer before the scraper gives up.
func (c *Collector) deadline(r *http.Request) time.Duration {
	c.mu.Lock()
	cfg := c.current.cfg
	c.mu.Unlock()
	stated, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || !(stated > 0 && stated <= longestRun.Seconds()) { // so that NaN is refused too
		return cfg.ScrapeTimeout
	}
	d := time.Duration(stated * float64(time.Second))
	if d > 2*cfg.TimeoutOffset {
		return d - cfg.TimeoutOffset
	}
	return d / 2 // subtracting the offset would leave too little time for any query
}

// Handler serves /metrics: the KPIs, the collector's own metrics, and those of process. It answers 200 even if every source
// fails.
func (c *Collector) Handler(process prometheus.Gatherer) http.Handler {
	return compressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), c.deadline(r))
		defer cancel()
		metricsHandler(prometheus.Gatherers{c.Gatherer(ctx), prefetched(process)}).ServeHTTP(w, r)
	}))
}

// prefetched starts to gather at once, concurrently with the sources.
func prefetched(g prometheus.Gatherer) prometheus.Gatherer {
	var families []*dto.MetricFamily
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		families, err = g.Gather()
	}()
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		<-done
		return families, err
	})
}

// compressed compresses answers for clients that accept it. promhttp's own compression uses a slow level, which takes more time
// than the rest of the handler.
func compressed(h http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.ContentTypeFilter(gzhttp.CompressAllContentTypeFilter))
	if err != nil { // only for invalid options
		return h
	}
	return wrap(h)
}

func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		// A metric that cannot be gathered does not affect the others.
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true,
		DisableCompression: true, // compressed does that
	})
}

// Verify reads every source once, as a scrape does. The results are in Outcomes and in the log.
func (c *Collector) Verify(ctx context.Context) {
	c.mu.Lock()
	limit := c.current.cfg.ScrapeTimeout
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, _ = c.scrape(ctx) // fails only if ctx or the collector ends
}

// Gatherer gathers one scrape under ctx. A scrape whose deadline passes gives the answers that have arrived; one that is
// cancelled gives an error.
func (c *Collector) Gatherer(ctx context.Context) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		snap, err := c.scrape(ctx)
		if err != nil {
			return nil, fmt.Errorf("scrape: %w", err)
		}
		reg := prometheus.NewRegistry()
		if err := reg.Register(snap); err != nil {
			return nil, fmt.Errorf("scrape: %w", err)
		}
		return reg.Gather()
	})
}
