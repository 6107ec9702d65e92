// Package app is the program: a configuration comes in, running parts that serve and send come out. It is the only place
// where the parts are wired.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"
	_ "time/tzdata" // Reports are in the reader's zone even where the system has no zone files.

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// webhookPath is Alertmanager's door.
const webhookPath = "/api/v1/alertmanager/webhook"

// stopWithin bounds a graceful stop.
const stopWithin = 10 * time.Second

// The roles of a process.
const (
	RoleAll       = "all"
	RoleCollector = "collector"
	RoleReporter  = "reporter"
)

// Options is what New takes beside the configuration.
type Options struct {
	Role   string
	Load   func() (*config.Config, error) // reads the configuration again, for a reload
	Stdout io.Writer                      // of the terminal channel
	Now    func() time.Time
}

// App is the wired program.
type App struct {
	opts      Options
	log       *slog.Logger
	registry  *prometheus.Registry
	listeners []net.Listener
	server    *http.Server

	store     *store.Store // nil for the collector's role alone
	counts    journal.Counts
	embedded  *promql.Embedded // nil with a real Prometheus
	collector *collector.Collector
	journal   *incident.Journal
	reconcile *incident.Reconciler
	webhook   *webhook.Handler
	outbox    *outbox.Outbox
	scheduler *report.Scheduler
	texts     *texts
	access    *access

	reloading   sync.Mutex
	cfg         *config.Config // of the last good load; guarded by reloading
	reloadGood  prometheus.Gauge
	reloadStamp prometheus.Gauge
}

// New wires everything and listens, but serves nothing yet.
func New(ctx context.Context, c *config.Config, opts Options, log *slog.Logger) (_ *App, err error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a := &App{opts: opts, log: log, registry: prometheus.NewRegistry(), cfg: c}
	a.access = newAccess(c, log, a.registry, opts.Now)
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("awoooi_reporter"),
	)
	a.reloadGood = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "awoooi_reporter_config_last_reload_successful",
		Help: "Whether the last load of the configuration was taken (1) or refused (0).",
	})
	a.reloadStamp = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "awoooi_reporter_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in use was loaded.",
	})
	a.registry.MustRegister(a.reloadGood, a.reloadStamp)
	if opts.Role != RoleCollector {
		a.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "awoooi_reporter_time_seconds",
			Help: "The process's own clock, by which reports are due, in seconds since 1970.",
		}, func() float64 { return float64(opts.Now().UnixMilli()) / 1000 }))
		if err := a.wireReporter(ctx, c); err != nil {
			return nil, err
		}
	}
	if opts.Role != RoleReporter {
		if err := a.wireCollector(c); err != nil {
			return nil, err
		}
	}
	if err := a.listen(ctx, c); err != nil {
		return nil, err
	}
	a.reloadGood.Set(1)
	a.reloadStamp.Set(float64(opts.Now().Unix()))
	return a, nil
}

func (a *App) wireReporter(ctx context.Context, c *config.Config) error {
	var err error
	if a.store, err = openState(ctx, c, a.log); err != nil {
		return err
	}
	if err := a.store.Exclusive(c.State.Path); err != nil {
		return err
	}
	a.counts = storeCounts{a.store}
	if c.Prometheus.URL == "" && a.opts.Role == RoleAll {
		a.embedded, err = promql.OpenEmbedded(promql.EmbeddedConfig{
			Dir: filepath.Join(c.State.Path, "tsdb"), Retention: c.Embedded.Retention,
			Timeout: c.Prometheus.Timeout, Log: a.log.With("component", "tsdb"),
		})
		if err != nil {
			return fmt.Errorf("embedded database: %w", err)
		}
	}
	r, err := newReading(c, a.store, a.embedded, a.log, a.opts.Now)
	if err != nil {
		return err
	}
	a.texts = newTexts(a.store, r, a.opts.Now, a.log)
	chans, err := channels(c, a.opts.Stdout, a.log)
	if err != nil {
		return err
	}
	a.outbox = outbox.New(a.store, a.texts, chans, outboxConfig(c, a.opts.Now), a.log, a.registry)
	a.journal = incident.New(incidentConfig(c), a.store, a.log, a.registry, a.opts.Now)
	rc, err := reconcileConfig(c)
	if err != nil {
		return err
	}
	a.reconcile = incident.NewReconciler(rc, a.journal, a.store, a.log, a.registry, a.opts.Now)
	a.webhook = webhook.New(webhookConfig(c, a.access.logins), a.journal, a.log, a.registry)
	a.scheduler, err = report.NewScheduler(report.SchedulerConfig{
		Claims: a.store, Definitions: r.definitions, Log: a.log, Now: a.opts.Now,
	})
	return err
}

func (a *App) wireCollector(c *config.Config) error {
	qs, err := queries(c, a.counts != nil, a.log)
	if err != nil {
		return err
	}
	ss, err := sources(c, a.counts)
	if err != nil {
		return err
	}
	a.collector = collector.New(collectorConfig(c, qs, ss), a.log, a.opts.Now)
	return nil
}

func (a *App) listen(ctx context.Context, c *config.Config) error {
	if err := web.Validate(c.Web.ConfigFile); err != nil {
		return fmt.Errorf("web.config_file: %w", err)
	}
	mux, err := a.mux()
	if err != nil {
		return err
	}
	a.server = &http.Server{
		Handler: a.access.origins.SameOrigin(mux), ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, WriteTimeout: 5 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	for _, addr := range c.Web.ListenAddresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("web.listen_addresses: %w", err)
		}
		a.listeners = append(a.listeners, l)
		a.access.listens(l)
		host, _, _ := net.SplitHostPort(addr)
		ip := net.ParseIP(host)
		if c.Web.ConfigFile != "" || host == "localhost" || (ip != nil && ip.IsLoopback()) {
			continue
		}
		if a.webhook != nil && webhookConfig(c, nil).Open() {
			a.log.Warn("anyone who reaches this address can post alerts: set webhook.bearer_token_file or web.config_file", "address", addr)
		}
		if pagesGuard(c).Open() {
			a.log.Warn("anyone who reaches this address can read the pages and reload: set web.username or web.config_file", "address", addr)
		}
	}
	return nil
}

// Addr is the first address that the program listens on.
func (a *App) Addr() string { return a.listeners[0].Addr().String() }

func (a *App) mux() (http.Handler, error) {
	mux := http.NewServeMux()
	if a.texts != nil {
		people := http.NewServeMux()
		a.pages().Register(people)
		mux.Handle("/", a.access.forPages(pages.SecureHeaders(people)))
		a.access.announce()
	} else { // A collector alone has nothing to show that its metrics do not.
		landing, err := web.NewLandingPage(web.LandingConfig{
			Name: "awoooi-reporter", Description: "KPI gauges", Version: version.Version, Profiling: "false",
			Links: []web.LandingLinks{
				{Address: "/metrics", Text: "Metrics"}, {Address: "/-/healthy", Text: "Health"}, {Address: "/-/ready", Text: "Readiness"},
			},
		})
		if err != nil {
			return nil, fmt.Errorf("landing page: %w", err)
		}
		mux.Handle("/", a.access.public(landing))
	}
	if a.webhook != nil {
		mux.Handle(webhookPath, a.access.forWebhook(a.webhook))
	}
	mux.Handle("GET /metrics", a.access.public(a.metrics()))
	mux.Handle("/-/reload", a.access.forPages(http.HandlerFunc(a.handleReload)))
	var checks []pages.Check
	if a.store != nil {
		checks = append(checks,
			pages.Check{Name: "state", Err: func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				return a.store.Ping(ctx)
			}},
			pages.Check{Name: "receivers", Warns: true, Err: func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				stopped, err := a.outbox.Stopped(ctx)
				errs := []error{err}
				for name, why := range stopped {
					errs = append(errs, fmt.Errorf("%s is stopped: %s", name, why))
				}
				return errors.Join(errs...)
			}})
	}
	health := http.NewServeMux()
	pages.RegisterHealth(health, a.log, checks...)
	mux.Handle("/-/", a.access.public(health))
	return mux, nil
}

func (a *App) metrics() http.Handler {
	if a.collector == nil {
		return collector.ProcessHandler(a.registry)
	}
	return a.collector.Handler(a.registry)
}

// Serve runs until ctx ends or a part fails, and then stops gracefully.
func (a *App) Serve(ctx context.Context) error {
	defer a.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	if a.outbox != nil {
		parts.Go(func() {
			if err := a.outbox.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("outbox: %w", err))
			}
		})
		parts.Go(func() { a.scheduler.Run(ctx) })
		parts.Go(func() { a.reconcile.Run(ctx) })
		parts.Go(func() { a.prune(ctx) })
	}
	if a.embedded != nil && a.collector != nil {
		interval := a.config().Embedded.ScrapeInterval
		parts.Go(func() { a.embedded.RunScrapes(ctx, interval, a.gather) })
	}
	parts.Go(func() {
		flags := &web.FlagConfig{WebConfigFile: &a.access.webConfig}
		if err := web.ServeMultiple(a.listeners, a.server, flags, a.log); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("web server: %w", err))
		}
	})
	<-ctx.Done()
	cause := context.Cause(ctx)
	a.log.Info("stopping")
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer done()
	if err := a.server.Shutdown(stop); err != nil {
		a.log.Warn("requests were cut by the stop", "err", err)
		a.server.Close()
	}
	stopped := make(chan struct{})
	go func() { parts.Wait(); close(stopped) }()
	select {
	case <-stopped:
	case <-stop.Done():
		a.log.Warn("stopped before every part had ended")
	}
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

// config is the configuration in force.
func (a *App) config() *config.Config {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	return a.cfg
}

// gather is the embedded database's scrape.
func (a *App) gather(ctx context.Context) ([]*dto.MetricFamily, error) {
	return prometheus.Gatherers{a.collector.Gatherer(ctx), a.registry}.Gather()
}

func (a *App) close() {
	for _, l := range a.listeners {
		l.Close()
	}
	if a.collector != nil {
		a.collector.Close()
	}
	if a.texts != nil {
		if r := a.texts.reading.Load(); r != nil {
			r.close()
		}
	}
	if a.embedded != nil {
		if err := a.embedded.Close(); err != nil {
			a.log.Error("embedded database was not closed well", "err", err)
		}
	}
	if a.store != nil {
		if err := a.store.Close(); err != nil {
			a.log.Error("state was not closed well", "err", err)
		}
	}
}

// storeCounts is the arrow from the incident journal to the collector.
type storeCounts struct{ store *store.Store }

func (s storeCounts) Counts(ctx context.Context, what string, since, until time.Time) ([]journal.Count, error) {
	counts, err := s.store.Counts(ctx, what, since, until)
	if err != nil {
		return nil, err
	}
	out := make([]journal.Count, 0, len(counts))
	for _, c := range counts {
		out = append(out, journal.Count(c))
	}
	return out, nil
}
