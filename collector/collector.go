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

// Builtin returns the KPI set of that name that the program brings along: "awoooi", "journal" or SetReporter.
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

// Config is what a collector asks, and how.
type Config struct {
	Sources       []NamedSource
	Queries       []kpi.Query   // checked, with their defaults
	TTL           time.Duration // good results younger than this are served again; 0 is off
	TimeoutOffset time.Duration // taken off the scraper's timeout
	ScrapeTimeout time.Duration // of a scraper that states none
	// Beside says that the process is no collector, and has KPIs of its own only. Then what says that there is a collector, and
	// what it is configured to give, is left out.
	Beside bool
}

// Collector answers scrapes. Scrapes that come while one is running share its result.
type Collector struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	current *generation
	running *flight
	known   map[queryKey]memory
	last    *snapshot // of the last whole run; nil before the first one, and after a reload
}

type queryKey struct{ source, query string }

// memory is what is known of a query beyond one scrape.
type memory struct {
	lastSuccess time.Time
	fault       string // the last one that was logged; "" while all is well
}

// flight is one run that any number of scrapes wait for. It is cancelled when no scrape waits for it any more.
type flight struct {
	run     *run
	ends    time.Time // its deadline
	done    chan struct{}
	snap    *snapshot // once done
	waiting int
	cancel  context.CancelCauseFunc // with why the last one left
}

// New makes a collector; it owns the sources.
func New(cfg Config, log *slog.Logger, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	return &Collector{log: log, now: now, current: newGeneration(cfg), known: map[queryKey]memory{}}
}

// Reload replaces sources and queries at once. A run under way ends on the old sources, which are closed after it.
func (c *Collector) Reload(cfg Config) {
	c.mu.Lock()
	old := c.current
	c.current = newGeneration(cfg)
	c.running = nil // the next scrape starts a run of its own
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

// Close closes the sources, after a run that is under way.
func (c *Collector) Close() {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	g.retire() // outside the lock, because a pool may take its time to close
}

// longestRun bounds a run whose scraper states a very long timeout.
const longestRun = 5 * time.Minute

// scrape returns the snapshot of a run that began after the call, or that others were waiting for at that time already.
// A scrape whose deadline passes first gets what has been answered by then, and the run goes on for those who still
// wait; one that hung up gets an error.
func (c *Collector) scrape(ctx context.Context) (*snapshot, error) {
	c.mu.Lock()
	f := c.running
	if f == nil || f.endsEarly(ctx) {
		g := c.current
		if !g.acquire() {
			c.mu.Unlock()
			return nil, errors.New("the collector is closed")
		}
		// The run is no scraper's own: it lives as long as anybody waits for it.
		shared, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		limit := runTime(ctx, g.cfg.ScrapeTimeout)
		f = &flight{
			run: newRun(g, c.now().UTC().Truncate(time.Microsecond)), ends: time.Now().Add(limit), done: make(chan struct{}), cancel: cancel,
		}
		c.running = f
		go c.fly(shared, f, limit)
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
		// The run ends now, cancelled by us. Sources that respect it get a moment to say what they have.
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

// runTime is how long a run may take that a scrape under ctx starts. Its sources know by it when the scraper leaves.
// Scrapes that join later share its end, so that overlapping scrapes cannot keep one run, and its ageing window, alive for
// ever.
func runTime(ctx context.Context, usual time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(time.Until(deadline), longestRun)
	}
	return usual
}

// endsEarly says whether the flight leaves its queries much less time than a scrape under ctx would give them, as when
// the scraper that it was started for has a short timeout.
func (f *flight) endsEarly(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(f.ends) < time.Until(deadline)/3
}

func (c *Collector) fly(ctx context.Context, f *flight, limit time.Duration) {
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

// remember notes successes, and logs each fault once when it comes, changes or goes. A run that was cut short because
// its scrapers left says nothing of the sources.
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
		case errors.Is(cut, context.Canceled): // the scrapers hung up; a deadline is another matter
		case m.fault != q.err.Error():
			m.fault = q.err.Error()
			c.log.Error("query failed", "source_name", q.source, "query", q.name, "err", q.err)
		}
		q.lastSuccess = m.lastSuccess
		c.known[key] = m
	}
}

// recall fills in the last successes of a snapshot that is not the whole run's.
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

// deadline is when an answer must be ready for a scraper that gives up at its own timeout.
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
	return d / 2 // an offset that leaves no time would fail every query
}

// Handler serves /metrics: the KPIs, the collector's own metrics, and what process gathers. It answers 200 whatever
// becomes of the sources.
func (c *Collector) Handler(process prometheus.Gatherer) http.Handler {
	return compressed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), c.deadline(r))
		defer cancel()
		metricsHandler(prometheus.Gatherers{c.Gatherer(ctx), beside(process)}).ServeHTTP(w, r)
	}))
}

// beside gathers at once, so that it takes no time of its own after the sources have answered.
func beside(g prometheus.Gatherer) prometheus.Gatherer {
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

// ProcessHandler serves /metrics of a process without a collector.
func ProcessHandler(process prometheus.Gatherer) http.Handler {
	return compressed(metricsHandler(process))
}

// compressed compresses answers for those who accept it. promhttp would do so as small as it can, which takes more time than
// all else that is done with the samples.
func compressed(h http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.ContentTypeFilter(gzhttp.CompressAllContentTypeFilter))
	if err != nil { // one of the options is unknown
		return h
	}
	return wrap(h)
}

func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		// A metric that cannot be gathered costs itself only.
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true,
		DisableCompression: true, // compressed does that
	})
}

// Verify asks every source once, as a scrape does; what came of it is in Outcomes and in the log.
func (c *Collector) Verify(ctx context.Context) {
	c.mu.Lock()
	limit := c.current.cfg.ScrapeTimeout
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, _ = c.scrape(ctx) // it fails when ctx or the collector ends
}

// Gatherer gathers one scrape under ctx. A scrape whose deadline passes gives what had been answered by then; one that
// is cancelled gives an error.
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
