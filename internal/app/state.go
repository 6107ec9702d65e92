package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// pruneEvery is how often what is older than state.retention is deleted.
const pruneEvery = time.Hour

// openState opens the state where the configuration says it is.
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

// prune keeps the state from growing, until ctx ends.
func (a *App) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		gone, err := a.store.Prune(ctx, a.opts.Now().Add(-a.texts.reading.Load().cfg.State.Retention))
		switch {
		case err != nil && ctx.Err() == nil:
			a.log.Error("old state was not deleted", "err", err)
		case gone != (store.Pruned{}):
			a.log.Info("old state deleted", "incidents", gone.Incidents, "deliveries", gone.Deliveries, "claims", gone.Claims)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
