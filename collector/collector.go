package collector

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

//go:embed sets/*.yaml
var sets embed.FS

// Builtin returns the KPI set of that name that the program brings along: "awoooi" or "journal".
func Builtin(name string) (kpi.Set, error) {
	b, err := sets.ReadFile("sets/" + name + ".yaml")
	if err != nil {
		return kpi.Set{}, fmt.Errorf("kpi set %q: not builtin, there are awoooi and journal", name)
	}
	return kpi.ParseSet(b)
}

// Config is what a collector asks, and how.
type Config struct {
	Sources       []NamedSource
	Queries       []kpi.Query   // checked, with their defaults
	TTL           time.Duration // good results younger than this are served again; 0 is off
	TimeoutOffset time.Duration // taken off the scraper's timeout
	ScrapeTimeout time.Duration // of a scraper that states none
}

// Collector answers scrapes. Scrapes that come while one is running share its result.
type Collector struct {
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	current *generation
	running *flight
	told    map[queryKey]memory
}

type queryKey struct{ source, query string }

// memory is what is known of a query beyond one scrape.
type memory struct {
	lastSuccess time.Time
	fault       string // the last one that was logged; "" while all is well
}

// flight is one run that any number of scrapes wait for. It is cancelled when nobody waits any more.
type flight struct {
	done    chan struct{}
	snap    *snapshot
	waiting int
	cancel  context.CancelCauseFunc // with why the last one left
}

// New makes a collector; it owns the sources.
func New(cfg Config, log *slog.Logger, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	return &Collector{log: log, now: now, current: newGeneration(cfg), told: map[queryKey]memory{}}
}

// Reload replaces sources and queries at once. A run under way ends on the old sources, which are closed after it.
func (c *Collector) Reload(cfg Config) {
	c.mu.Lock()
	old := c.current
	c.current = newGeneration(cfg)
	c.running = nil // the next scrape starts a run of its own
	kept := map[queryKey]memory{}
	for _, q := range cfg.Queries {
		if m, ok := c.told[queryKey{q.Source, q.Name}]; ok {
			kept[queryKey{q.Source, q.Name}] = m
		}
	}
	c.told = kept
	c.mu.Unlock()
	old.retire()
}

// Close closes the sources, after a run that is under way.
func (c *Collector) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.retire()
}

// longestRun bounds a run whose scrapers wait for ever.
const longestRun = 5 * time.Minute

// scrape returns the snapshot of a run that began after the call, or that others were waiting for at that time already.
// It returns ctx's error when ctx ends first; the run goes on for those who still wait.
func (c *Collector) scrape(ctx context.Context) (*snapshot, error) {
	c.mu.Lock()
	f := c.running
	if f == nil {
		g := c.current
		if !g.acquire() {
			c.mu.Unlock()
			return nil, errors.New("the collector is closed")
		}
		// The run is no scraper's own: it lives as long as anybody waits for it.
		run, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		f = &flight{done: make(chan struct{}), cancel: cancel}
		c.running = f
		go c.fly(run, f, g)
	}
	f.waiting++
	c.mu.Unlock()

	var err error
	select {
	case <-f.done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.mu.Lock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel(err)
		if c.running == f {
			c.running = nil
		}
	}
	c.mu.Unlock()
	if err != nil {
		// The run may end in the same moment, cancelled by us; what it says of the sources that did answer still counts.
		select {
		case <-f.done:
			return f.snap, nil
		case <-time.After(2 * straggle):
			return nil, err
		}
	}
	return f.snap, nil
}

func (c *Collector) fly(ctx context.Context, f *flight, g *generation) {
	ctx, stop := context.WithTimeout(ctx, longestRun)
	defer stop()
	snap := g.run(ctx, c.now().UTC().Truncate(time.Microsecond))
	g.release()
	c.mu.Lock()
	c.remember(snap, context.Cause(ctx))
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
		m := c.told[key]
		switch {
		case q.err == nil:
			if m.fault != "" {
				c.log.Info("query works again", "source_name", q.source, "query", q.name)
			}
			m = memory{lastSuccess: snap.until}
		case errors.Is(cut, context.Canceled): // the scrapers hung up; a deadline is another matter
		case m.fault != q.err.Error():
			m.fault = q.err.Error()
			c.log.Error("query failed", "source_name", q.source, "query", q.name, "err", q.err)
		}
		q.lastSuccess = m.lastSuccess
		c.told[key] = m
	}
}

// deadline is when an answer must be ready for a scraper that gives up at its own timeout.
func (c *Collector) deadline(r *http.Request) time.Duration {
	c.mu.Lock()
	cfg := c.current.cfg
	c.mu.Unlock()
	stated, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64)
	if err != nil || stated <= 0 || stated > longestRun.Seconds() {
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), c.deadline(r))
		defer cancel()
		metricsHandler(prometheus.Gatherers{c.Gatherer(ctx), process}).ServeHTTP(w, r)
	})
}

// ProcessHandler serves /metrics of a process without a collector.
func ProcessHandler(process prometheus.Gatherer) http.Handler { return metricsHandler(process) }

func metricsHandler(g prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{
		// A metric that cannot be gathered costs itself only.
		ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true,
	})
}

// Gatherer gathers one scrape under ctx. A scrape that ctx cuts short gives what had been answered by then.
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
