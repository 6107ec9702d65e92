package app

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
)

// gatherFunc gathers the metrics of this process, like a scrape of /metrics.
type gatherFunc func(ctx context.Context) ([]*dto.MetricFamily, error)

// embeddedPart is the time-series database of a process without prometheus.url, which scrapes the process itself.
type embeddedPart struct {
	db       *promql.Embedded
	gather   gatherFunc
	interval time.Duration
	log      *slog.Logger
}

func newEmbeddedPart(c *config.Config, gather gatherFunc, log *slog.Logger) (*embeddedPart, error) {
	db, err := openEmbedded(c, log)
	if err != nil {
		return nil, err
	}
	return &embeddedPart{db: db, gather: gather, interval: c.Embedded.ScrapeInterval, log: log}, nil
}

// openEmbedded opens the embedded database beside the state.
func openEmbedded(c *config.Config, log *slog.Logger) (*promql.Embedded, error) {
	return promql.OpenEmbedded(promql.EmbeddedConfig{
		Dir: filepath.Join(c.State.Path, "tsdb"), Retention: c.Embedded.Retention, Timeout: c.Prometheus.Timeout, Log: log,
	})
}

func (p *embeddedPart) run(ctx context.Context) error {
	p.db.RunScrapes(ctx, p.interval, p.gather)
	return nil
}

// prepare has nothing to do: a change of these settings needs a restart, and restartOnly refuses it.
func (p *embeddedPart) prepare(*config.Config) (change, error) { return unchanged(), nil }

func (p *embeddedPart) close() {
	if err := p.db.Close(); err != nil {
		p.log.Error("embedded database was not closed cleanly", "err", err)
	}
}
