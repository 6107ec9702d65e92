package app

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
)

// collectorPart turns the sources of the configuration, and those of this process, into gauges.
type collectorPart struct {
	collector    *collector.Collector
	own          []collector.NamedSource // sources of this process, in addition to the configured ones
	reporterOnly bool                    // the process is a reporter without collector: only KPIs of the set reporter
	log          *slog.Logger
	changed      chan struct{} // the sources are new and not verified yet
}

func newCollectorPart(c *config.Config, own []collector.NamedSource, log *slog.Logger, now func() time.Time) (*collectorPart, error) {
	p := &collectorPart{own: own, log: log, changed: make(chan struct{}, 1)}
	p.changed <- struct{}{}
	cfg, err := p.build(c)
	if err != nil {
		return nil, err
	}
	p.collector = collector.New(cfg, log, now)
	p.announce(c)
	return p, nil
}

// newOwnKPIs makes the part that exposes the KPIs of the journal in a process without a collector.
func newOwnKPIs(c *config.Config, journal collector.NamedSource, log *slog.Logger, now func() time.Time) (*collectorPart, error) {
	p := &collectorPart{own: []collector.NamedSource{journal}, reporterOnly: true, log: log, changed: make(chan struct{}, 1)}
	p.changed <- struct{}{}
	cfg, err := p.build(c)
	if err != nil {
		return nil, err
	}
	p.collector = collector.New(cfg, log, now)
	return p, nil
}

// build opens the sources of a configuration and loads its queries.
func (p *collectorPart) build(c *config.Config) (collector.Config, error) {
	log := p.log
	if p.reporterOnly {
		log = slog.New(slog.DiscardHandler) // the collector's process warns of queries that are left out
	}
	qs, err := queries(c, p.own, log)
	if err != nil {
		return collector.Config{}, err
	}
	if p.reporterOnly {
		if qs, err = reporterQueries(c, qs); err != nil {
			return collector.Config{}, err
		}
		out := collectorConfig(c, qs, p.own)
		out.ReporterOnly = true
		return out, nil
	}
	ss, err := sources(c, p.own)
	if err != nil {
		return collector.Config{}, err
	}
	return collectorConfig(c, qs, ss), nil
}

func (p *collectorPart) prepare(c *config.Config) (change, error) {
	cfg, err := p.build(c)
	if err != nil {
		return change{}, err
	}
	return change{
		commit: func() {
			p.collector.Reload(cfg)
			p.announce(c)
			select {
			case p.changed <- struct{}{}:
			default:
			}
		},
		discard: func() {
			for _, s := range cfg.Sources {
				s.Source.Close()
			}
		},
	}, nil
}

// announce logs the sources that a configuration names.
func (p *collectorPart) announce(c *config.Config) {
	if p.reporterOnly {
		return
	}
	for _, s := range c.Sources {
		if k, ok := sourceKindOf(s.Kind); ok {
			p.log.Info("source", "name", s.Name, "kind", s.Kind, "address", k.describe(s))
		}
	}
}

// run queries every source once after a start and a reload, so that a source that cannot work is known before the first
// scrape. Everything else happens when the collector is scraped.
func (p *collectorPart) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
			p.collector.Verify(ctx)
		}
	}
}

func (p *collectorPart) close() { p.collector.Close() }

// handler serves the KPI gauges beside the metrics of the process.
func (p *collectorPart) handler(process prometheus.Gatherer) http.Handler {
	return p.collector.Handler(process)
}

// collectorStatus returns the last outcome of each query of the collector in this process; here is false if it has none.
type collectorStatus func() (queries []pages.Query, here bool)

// noCollector is the collectorStatus of a reporter alone.
func noCollector() ([]pages.Query, bool) { return nil, false }

// status is the collectorStatus of this part.
func (p *collectorPart) status() ([]pages.Query, bool) {
	var out []pages.Query
	for _, o := range p.collector.Outcomes() {
		q := pages.Query{
			Source: o.Source, Kind: o.Kind, Name: o.Query, At: o.At, LastSuccess: o.LastSuccess,
			Duration: o.Duration, Dropped: o.Dropped, Up: o.Up,
		}
		if o.Err != nil {
			q.Fault = o.Err.Error()
		}
		out = append(out, q)
	}
	return out, true
}

// landingPage is the start page of a process without a reporter; it links to metrics and health.
func landingPage() (http.Handler, error) {
	return web.NewLandingPage(web.LandingConfig{
		Name: "awoooi-reporter", Description: "KPI gauges", Version: version.Version, Profiling: "false",
		Links: []web.LandingLinks{
			{Address: "/metrics", Text: "Metrics"}, {Address: "/-/healthy", Text: "Health"}, {Address: "/-/ready", Text: "Readiness"},
		},
	})
}
