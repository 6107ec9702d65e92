package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A lease is a process's right to do what its name says. Its holder renews it; one that cannot stops leaseMargin before the
// lease ends, which is longer than the outbox takes to end a send. Times are the database's own.
const (
	leaseFor    = 20 * time.Second
	leaseRenew  = 3 * time.Second
	leaseMargin = 10 * time.Second
	databaseNow = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
)

var errLeaseLost = errors.New("the lease was lost")

// Lease takes the lease of that name, and returns a nil context if another process has it. The context ends when the lease
// can no longer be held. On SQLite, where one process runs, it is free.
func (s *Store) Lease(ctx context.Context, name string) (leased context.Context, release func(), err error) {
	if !s.postgres() {
		leased, cancel := context.WithCancel(ctx)
		return leased, cancel, nil
	}
	since := time.Now()
	n, err := s.writing().exec(ctx, `INSERT INTO leases AS l (name, holder, until)
		VALUES ($1, $2, `+databaseNow+` + $3) ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE l.until < `+databaseNow+` OR l.holder = excluded.holder`, name, s.holder, leaseFor.Microseconds())
	if err != nil {
		return nil, nil, fmt.Errorf("lease of %s: %w", name, err)
	}
	if n == 0 {
		return nil, nil, nil
	}
	leased, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(ended)
		s.renew(renewing, name, since, cancel)
	}()
	return leased, func() {
		stop()
		<-ended
		cancel(nil)
		bounded, done := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
		defer done()
		_, err := s.writing().exec(bounded, `DELETE FROM leases WHERE name = $1 AND holder = $2`, name, s.holder)
		if err != nil {
			s.log.Warn("lease was not given back, and ends by itself", "lease", name, "err", err)
		}
	}, nil
}

func (s *Store) renew(ctx context.Context, name string, since time.Time, lost context.CancelCauseFunc) {
	ticker := time.NewTicker(leaseRenew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		began := time.Now()
		bounded, done := context.WithTimeout(ctx, leaseRenew)
		n, err := s.writing().exec(bounded, `UPDATE leases SET until = `+databaseNow+` + $1
			WHERE name = $2 AND holder = $3`, leaseFor.Microseconds(), name, s.holder)
		done()
		switch {
		case err == nil && n == 1:
			since = began
		case err == nil || time.Since(since) > leaseFor-leaseMargin-leaseRenew:
			lost(errLeaseLost)
			return
		}
	}
}

// UpgradeOver says whether no process of a version before leases had names can still be sending. It renewed its own leases,
// of receivers, which are taken over as one.
func (s *Store) UpgradeOver(ctx context.Context) (bool, error) {
	if !s.postgres() {
		return true, nil
	}
	var n int
	err := s.reading().row(ctx, `SELECT count(*) FROM leases WHERE name = 'before gates' AND until > `+databaseNow).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("leases: %w", err)
	}
	return n == 0, nil
}
