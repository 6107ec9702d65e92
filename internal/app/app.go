// Package app wires the program: a configuration comes in, running parts that collect, serve and send go out. No other package
// connects the parts.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // for systems without zone files

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
)

// Alertmanager and Grafana post to webhookPath, Alertmanagers of a cluster with a name to clusterPath.
const (
	webhookPath = "/api/v1/alertmanager/webhook"
	clusterPath = "/api/v1/alertmanager/{cluster}/webhook"
)

// stopWithin bounds a graceful shutdown.
const stopWithin = 10 * time.Second

// The roles of a process.
const (
	RoleAll       = "all"
	RoleCollector = "collector"
	RoleReporter  = "reporter"
)

// Options are the settings of New that are not in the configuration.
type Options struct {
	Role   string                         // RoleAll, RoleCollector or RoleReporter
	Load   func() (*config.Config, error) // reads the configuration again, for a reload
	Stdout io.Writer                      // where the terminal channel writes
	Now    func() time.Time               // default time.Now
	Sample bool                           // post the sample alerts to this process's webhook, and send the reports at once; RoleAll only
}

// part is one component of the program.
type part interface {
	// run works until ctx ends. An error ends the program.
	run(ctx context.Context) error
	// prepare builds what the part takes from a configuration. Nothing changes before the commit.
	prepare(c *config.Config) (change, error)
	// close releases what the part holds, after run has returned.
	close()
}

// change is a prepared change of a part. Exactly one of its functions is called, once.
type change struct {
	commit  func()
	discard func() // releases what was prepared
}

// unchanged is the change of a part that takes nothing from a new configuration.
func unchanged() change { return change{commit: func() {}, discard: func() {}} }

// App is the wired program.
type App struct {
	opts      Options
	realClock bool // opts.Now is time.Now
	log       *slog.Logger
	registry  *prometheus.Registry
	access    *access
	parts     []part // in the order of their start; closed in reverse
	listeners []net.Listener
	server    *http.Server

	reloading   sync.Mutex
	cfg         *config.Config // in use since the start or the last successful reload; guarded by reloading
	reloadGood  prometheus.Gauge
	reloadStamp prometheus.Gauge
}

// New wires the parts of a role and opens the listeners; Serve serves them. It returns an error if the configuration cannot be
// used, or the state or an address cannot be opened.
func New(ctx context.Context, c *config.Config, opts Options, log *slog.Logger) (_ *App, err error) {
	realClock := opts.Now == nil
	if realClock {
		opts.Now = time.Now
	}
	a := &App{opts: opts, realClock: realClock, log: log, registry: processRegistry(), cfg: c}
	a.access = newAccess(c, log, a.registry, opts.Now)
	a.parts = append(a.parts, a.access)
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	a.reloadGood = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "awoooi_reporter_config_last_reload_successful",
		Help: "Whether the last load of the configuration succeeded (1) or was refused (0).",
	})
	a.reloadStamp = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "awoooi_reporter_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration in use was loaded.",
	})
	a.registry.MustRegister(a.reloadGood, a.reloadStamp)
	mux := http.NewServeMux()
	switch opts.Role {
	case RoleAll:
		err = a.wireAll(ctx, c, mux)
	case RoleCollector:
		err = a.wireCollector(c, mux)
	case RoleReporter:
		err = a.wireReporter(ctx, c, mux)
	default:
		err = fmt.Errorf("unknown role %q (have %s, %s, %s)", opts.Role, RoleAll, RoleCollector, RoleReporter)
	}
	if err != nil {
		return nil, err
	}
	mux.Handle("/-/reload", a.access.forPages(http.HandlerFunc(a.handleReload)))
	if c.Web.Pprof {
		mux.Handle(profilePath, a.access.profiles())
	}
	if err := a.listen(ctx, c, mux); err != nil {
		return nil, err
	}
	a.reloadGood.Set(1)
	a.reloadStamp.Set(float64(opts.Now().Unix()))
	logStart(c, opts.Role, opts.Now(), log)
	return a, nil
}

// processRegistry returns a registry with the metrics of the Go runtime, the process and the build.
func processRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector("awoooi_reporter"),
	)
	return r
}

// wireCollector adds a collector alone. Its start page only links to metrics and health.
func (a *App) wireCollector(c *config.Config, mux *http.ServeMux) error {
	col, err := a.addCollector(c)
	if err != nil {
		return err
	}
	landing, err := landingPage()
	if err != nil {
		return fmt.Errorf("landing page: %w", err)
	}
	mux.Handle("/", a.access.public(landing))
	a.serveMetrics(mux, col.handler(a.registry))
	a.serveHealth(mux)
	return nil
}

// wireReporter adds a reporter alone, which exposes the KPIs of the set reporter.
func (a *App) wireReporter(ctx context.Context, c *config.Config, mux *http.ServeMux) error {
	state, err := a.addState(ctx, c)
	if err != nil {
		return err
	}
	rep, err := a.addReporter(c, state.store, noFigures{})
	if err != nil {
		return err
	}
	own, err := newOwnKPIs(c, state.journalSource(), a.log, a.opts.Now)
	if err != nil {
		return err
	}
	a.parts = append(a.parts, own)
	if c.State.DSN.Empty() {
		a.addControl(ctx, c, state.store, rep)
	}
	rep.register(mux, noCollector)
	a.serveMetrics(mux, own.handler(a.registry))
	a.serveHealth(mux, rep.checks()...)
	return nil
}

// wireAll adds a reporter, a collector that also reads the reporter's journal, and an embedded time-series database between them
// if no Prometheus is configured.
func (a *App) wireAll(ctx context.Context, c *config.Config, mux *http.ServeMux) error {
	state, err := a.addState(ctx, c)
	if err != nil {
		return err
	}
	var col *collectorPart // set below, before Serve starts the first scrape
	figures, err := a.addFigures(c, func(ctx context.Context) ([]*dto.MetricFamily, error) {
		return prometheus.Gatherers{col.collector.Gatherer(ctx), a.registry}.Gather()
	})
	if err != nil {
		return err
	}
	rep, err := a.addReporter(c, state.store, figures)
	if err != nil {
		return err
	}
	if col, err = a.addCollector(c, state.journalSource()); err != nil {
		return err
	}
	if a.opts.Sample {
		a.parts = append(a.parts, &samplePart{reporter: rep, addr: a.Addr, stdout: a.opts.Stdout, now: a.opts.Now, log: a.log})
	}
	if c.State.DSN.Empty() || c.Prometheus.URL == "" { // else commands can read everything without this process
		a.addControl(ctx, c, state.store, rep)
	}
	rep.register(mux, col.status)
	a.serveMetrics(mux, col.handler(a.registry))
	a.serveHealth(mux, rep.checks()...)
	return nil
}

func (a *App) addState(ctx context.Context, c *config.Config) (*statePart, error) {
	p, err := newStatePart(ctx, c, a.log, a.opts.Now)
	if err == nil && !a.realClock {
		p.store.SetClock(a.opts.Now)
	}
	if err != nil {
		return nil, err
	}
	a.parts = append(a.parts, p)
	return p, nil
}

// addFigures adds the embedded database and returns it for queries, unless a Prometheus is configured.
func (a *App) addFigures(c *config.Config, gather gatherFunc) (postmortem.Querier, error) {
	if c.Prometheus.URL != "" {
		return noFigures{}, nil
	}
	p, err := newEmbeddedPart(c, gather, a.log.With("component", "tsdb"))
	if err != nil {
		return nil, err
	}
	a.parts = append(a.parts, p)
	return p.db, nil
}

func (a *App) addReporter(c *config.Config, st *store.Store, figures postmortem.Querier) (*reporterPart, error) {
	p, err := newReporterPart(c, reporterDeps{
		Store: st, Figures: figures, Access: a.access, Registry: a.registry, Stdout: a.opts.Stdout, Log: a.log,
		Now: st.Now, // processes that share a state share its clock
	})
	if err != nil {
		return nil, err
	}
	a.parts = append(a.parts, p)
	return p, nil
}

func (a *App) addCollector(c *config.Config, own ...collector.NamedSource) (*collectorPart, error) {
	p, err := newCollectorPart(c, own, a.log, a.opts.Now)
	if err != nil {
		return nil, err
	}
	a.parts = append(a.parts, p)
	return p, nil
}

func (a *App) addControl(ctx context.Context, c *config.Config, st *store.Store, rep *reporterPart) {
	box := &toolbox{store: st, content: rep.content.Load, texts: rep.texts, log: a.log, now: rep.now}
	a.parts = append(a.parts, newControlPart(ctx, c, box, a.log))
}

func (a *App) serveMetrics(mux *http.ServeMux, h http.Handler) {
	mux.Handle("GET /metrics", a.access.public(h))
}

func (a *App) serveHealth(mux *http.ServeMux, checks ...pages.Check) {
	health := http.NewServeMux()
	pages.RegisterHealth(health, a.log, checks...)
	mux.Handle("/-/", a.access.public(health))
}

// listen opens the addresses of the configuration, and warns of those that are open to everyone on the network.
func (a *App) listen(ctx context.Context, c *config.Config, handler http.Handler) error {
	if err := web.Validate(c.Web.ConfigFile); err != nil {
		return fmt.Errorf("web.config_file: %w", err)
	}
	a.server = &http.Server{
		Handler: a.access.origins.SameOrigin(handler), ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, WriteTimeout: 5 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
	}
	for _, addr := range c.Web.ListenAddresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("web.listen_addresses: %w", err)
		}
		a.listeners = append(a.listeners, l)
		if loopback := a.access.addListener(l); loopback || c.Web.ConfigFile != "" {
			continue
		}
		if a.opts.Role != RoleCollector && webhookConfig(c, nil).Open() {
			a.log.Warn("everyone who can reach this address can post alerts: set webhook.bearer_token_file or web.config_file", "address", addr)
		}
		if pagesGuard(c).Open() {
			a.log.Warn("everyone who can reach this address can read the pages and reload: set web.username or web.config_file", "address", addr)
		}
	}
	return nil
}

// Addr returns the first address that the program listens on, as host:port.
func (a *App) Addr() string { return a.listeners[0].Addr().String() }

// Serve runs the parts until ctx ends or a part fails, and then shuts down gracefully, within stopWithin. It returns the error of
// the part that failed.
func (a *App) Serve(ctx context.Context) error {
	defer a.close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for _, p := range a.parts {
		running.Go(func() {
			if err := p.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	running.Go(func() {
		flags := &web.FlagConfig{WebConfigFile: &a.access.webConfig}
		if err := web.ServeMultiple(a.listeners, a.server, flags, a.log); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("web server: %w", err))
		}
	})
	<-ctx.Done()
	cause := context.Cause(ctx)
	a.log.Info("shutting down")
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer done()
	if err := a.server.Shutdown(stop); err != nil {
		a.log.Warn("requests did not end in time and are cut off", "err", err)
		a.server.Close()
	}
	stopped := make(chan struct{})
	go func() { running.Wait(); close(stopped) }()
	select {
	case <-stopped:
	case <-stop.Done():
		a.log.Warn("parts did not end in time; what they had not sent is in the state")
	}
	if errors.Is(cause, context.Canceled) {
		return nil
	}
	return cause
}

func (a *App) close() {
	for _, l := range a.listeners {
		l.Close()
	}
	for _, p := range slices.Backward(a.parts) {
		p.close()
	}
}
