package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// checkTime bounds one check of /-/ready.
const checkTime = 2 * time.Second

// reporterDeps is what a reporterPart uses of the process.
type reporterDeps struct {
	Store    *store.Store
	Figures  postmortem.Querier // read without prometheus.url
	Access   *access
	Registry *prometheus.Registry
	Stdout   io.Writer // where the terminal channel writes
	Log      *slog.Logger
	Now      func() time.Time
}

// reporterPart receives webhooks, makes reports and postmortems, and sends them.
type reporterPart struct {
	log      *slog.Logger
	now      func() time.Time
	stdout   io.Writer
	registry *prometheus.Registry
	access   *access

	store     *store.Store
	figures   postmortem.Querier // read without prometheus.url
	journal   *incident.Journal
	reconcile *incident.Reconciler
	silences  *silence.Silencer
	watch     *incident.Watch
	webhook   *webhook.Handler
	outbox    *outbox.Outbox
	scheduler *report.Scheduler
	texts     *compose.Composer
	content   atomic.Pointer[content]
	retries   *report.Retries
	verifier  *verifier
	chats     *chat.Listener
}

func newReporterPart(c *config.Config, d reporterDeps) (*reporterPart, error) {
	p := &reporterPart{
		log: d.Log, now: d.Now, stdout: d.Stdout, registry: d.Registry, access: d.Access, store: d.Store, figures: d.Figures,
	}
	p.silences = silence.New(silence.Config{}, p.store, p.store, p.log)
	s, err := p.build(c)
	if err != nil {
		return nil, err
	}
	p.silences.SetConfig(s.silence)
	p.retries = report.NewRetries(p.log, p.now, p.registry)
	p.content.Store(s.content)
	p.texts = compose.New(p.store, s.content.set(p.retries), p.now, p.log)
	p.verifier = newVerifier(p.log, p.now)
	p.verifier.setChannels(s.channels)
	p.outbox = outbox.New(p.store, p.texts, s.channels, s.outbox, p.log, p.registry)
	if p.chats, err = chat.New(p.store, s.chats, p.log.With("component", "chat"), p.registry); err != nil {
		s.content.close()
		return nil, err
	}
	p.journal = incident.New(s.incident, p.store, p.log, p.registry)
	p.reconcile = incident.NewReconciler(s.reconcile, p.journal, p.store, p.log, p.registry, p.now)
	p.watch = incident.NewWatch(p.journal, p.log)
	p.webhook = webhook.New(s.webhook, p.journal, p.log, p.registry)
	p.scheduler, err = report.NewScheduler(report.SchedulerConfig{
		Claims: p.store, Definitions: s.content.definitions, Log: p.log, Now: p.now,
	})
	if err != nil {
		s.content.close()
		return nil, err
	}
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "awoooi_reporter_time_seconds",
		Help: "The clock by which reports are due, in seconds since 1970; the shared database's, if there is one.",
	}, func() float64 { return float64(p.now().UnixMilli()) / 1000 }))
	p.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "awoooi_reporter_clock_skew_seconds",
		Help: "How far the machine's clock is ahead of the clock of the state's database, by which reports are due; 0 on SQLite.",
	}, func() float64 { return p.store.Skew().Seconds() }))
	p.announce(c)
	return p, nil
}

// announce logs the configured receivers.
func (p *reporterPart) announce(c *config.Config) {
	for _, r := range c.Receivers {
		if k, ok := channelKindOf(r); ok {
			p.log.Info("receiver", "name", r.Name, "kind", k.name, "chat", k.describe(r))
		}
	}
}

// reporterSettings is what the reporter takes from a configuration.
type reporterSettings struct {
	content   *content
	channels  map[string]outbox.Channel
	outbox    outbox.Config
	incident  incident.Config
	reconcile incident.ReconcileConfig
	silence   silence.Config
	webhook   webhook.Config
	chats     chat.Config
}

// build makes the settings of a configuration; it connects to nothing. It returns all errors that it finds.
func (p *reporterPart) build(c *config.Config) (reporterSettings, error) {
	s := reporterSettings{
		outbox: outboxConfig(c), webhook: webhookConfig(c, p.access.logins),
	}
	var err1, err2, err3, err4, err5 error
	s.incident, err1 = incidentConfig(c)
	s.channels, err2 = channels(c, p.stdout, p.log)
	s.reconcile, err3 = reconcileConfig(c)
	s.silence = silenceConfig(c, s.reconcile.Clusters)
	if s.content, err4 = newContent(c, p.store, p.figures, p.log, p.now); err4 == nil {
		s.chats, err5 = chatConfig(c, s.content.definitions, p.log)
	}
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		if err4 == nil {
			s.content.close()
		}
		return reporterSettings{}, err
	}
	s.chats.Silencer = p.silences
	return s, nil
}

func (p *reporterPart) prepare(c *config.Config) (change, error) {
	s, err := p.build(c)
	if err != nil {
		return change{}, err
	}
	schedule, err := p.scheduler.Prepare(s.content.definitions)
	if err != nil {
		s.content.close()
		return change{}, err
	}
	return change{
		discard: s.content.close,
		commit: func() {
			schedule()
			p.texts.Use(s.content.set(p.retries))
			old := p.content.Swap(s.content)
			old.close()
			p.outbox.SetConfig(s.outbox)
			p.outbox.SetChannels(s.channels)
			p.verifier.setChannels(s.channels)
			p.journal.SetConfig(s.incident)
			p.reconcile.SetConfig(s.reconcile)
			p.silences.SetConfig(s.silence)
			p.webhook.SetConfig(s.webhook)
			p.chats.SetConfig(s.chats)
			p.announce(c)
		},
	}, nil
}

// run works until ctx ends. An error ends the program.
func (p *reporterPart) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() { p.scheduler.Run(ctx) })
	tasks.Go(func() { p.reconcile.Run(ctx) })
	tasks.Go(func() { p.silences.Run(ctx) })
	tasks.Go(func() { p.watch.Run(ctx) })
	tasks.Go(func() { p.verifier.run(ctx) })
	tasks.Go(func() { p.chats.Run(ctx) })
	err := p.outbox.Run(ctx)
	failed := err != nil && ctx.Err() == nil
	if failed {
		stop()
	}
	tasks.Wait()
	if failed {
		return fmt.Errorf("outbox: %w", err)
	}
	return nil
}

func (p *reporterPart) close() { p.content.Load().close() }

// register adds the pages and the webhook to mux.
func (p *reporterPart) register(mux *http.ServeMux, queries collectorStatus) {
	people := http.NewServeMux()
	p.pages(queries).Register(people)
	mux.Handle("/", p.access.forPages(pages.SecureHeaders(people)))
	for _, path := range []string{webhookPath, clusterPath} {
		mux.Handle(path, p.access.forWebhook(p.webhook))
		mux.Handle(path+"/{$}", p.access.forWebhook(p.webhook)) // a common slip in a URL
	}
	p.access.announce()
}

// checks are those of /-/ready.
func (p *reporterPart) checks() []pages.Check {
	bounded := func(check func(ctx context.Context) error) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			return check(ctx)
		}
	}
	return []pages.Check{
		{Name: "state", Err: bounded(p.store.Ping)},
		{Name: "receivers", Warns: true, Err: bounded(p.checkReceivers)},
		{Name: "chats", Warns: true, Err: bounded(p.checkChats)},
	}
}

// checkReceivers returns an error for each receiver that is suspended.
func (p *reporterPart) checkReceivers(ctx context.Context) error {
	suspended, err := p.outbox.Suspended(ctx)
	errs := []error{err}
	for name, gate := range suspended {
		errs = append(errs, fmt.Errorf("%s is suspended: %s", name, gate.Detail))
	}
	return errors.Join(errs...)
}

// checkChats returns an error for each bot whose updates cannot be received.
func (p *reporterPart) checkChats(ctx context.Context) error {
	faults, err := p.chats.Faults(ctx)
	errs := []error{err}
	for account, gate := range faults {
		errs = append(errs, fmt.Errorf("%s: updates are not received: %s", account, gate.Detail))
	}
	return errors.Join(errs...)
}
