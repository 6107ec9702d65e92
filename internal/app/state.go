package app

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// pruneEvery is how often what is older than state.retention is deleted.
const pruneEvery = time.Hour

// statePart holds the state and deletes what is older than the retention.
type statePart struct {
	store     *store.Store
	retention atomic.Int64 // of type time.Duration
	hours     atomic.Pointer[reporter.WorkingHours]
	log       *slog.Logger
	now       func() time.Time
}

func newStatePart(ctx context.Context, c *config.Config, log *slog.Logger, now func() time.Time) (*statePart, error) {
	st, err := openState(ctx, c, log)
	if err != nil {
		return nil, err
	}
	p := &statePart{store: st, log: log, now: now}
	p.retention.Store(int64(c.State.Retention))
	p.hours.Store(&c.Hours)
	if err := st.Exclusive(c.State.Path); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// openState opens the configured state: PostgreSQL if state.dsn is set, else SQLite in state.path.
func openState(ctx context.Context, c *config.Config, log *slog.Logger) (*store.Store, error) {
	open := func() (*store.Store, error) { return store.OpenSQLite(ctx, c.State.Path, log) }
	if !c.State.DSN.Empty() {
		open = func() (*store.Store, error) { return store.OpenPostgres(ctx, c.State.DSN, log) }
	}
	s, err := open()
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return s, nil
}

func (p *statePart) prepare(c *config.Config) (change, error) {
	ch := unchanged()
	ch.commit = func() {
		p.retention.Store(int64(c.State.Retention))
		p.hours.Store(&c.Hours)
	}
	return ch, nil
}

// run deletes old state every pruneEvery until ctx ends.
func (p *statePart) run(ctx context.Context) error {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		gone, err := p.store.Prune(ctx, p.now().Add(-time.Duration(p.retention.Load())))
		switch {
		case err != nil && ctx.Err() == nil:
			p.log.Error("old state was not deleted", "err", err)
		case gone != (store.Pruned{}):
			p.log.Info("old state deleted", "incidents", gone.Incidents, "deliveries", gone.Deliveries, "claims", gone.Claims)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (p *statePart) close() {
	if err := p.store.Close(); err != nil {
		p.log.Error("state was not closed cleanly", "err", err)
	}
}

// journalSource lets a collector read the incident journal in the state.
func (p *statePart) journalSource() collector.NamedSource {
	return collector.NamedSource{
		Name: config.JournalSource, Kind: kpi.KindJournal, Source: journal.New(&storeCounts{store: p.store, hours: &p.hours}),
	}
}
