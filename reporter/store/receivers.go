package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Address returns where the receiver's chat has moved to; "" if it never did.
func (s *Store) Address(ctx context.Context, receiver string) (string, error) {
	var a string
	err := s.reading().row(ctx, `SELECT address FROM receivers WHERE receiver = $1`, receiver).Scan(&a)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("address of %s: %w", receiver, err)
	}
	return a, nil
}

// SetAddress remembers where the receiver's chat has moved to.
func (s *Store) SetAddress(ctx context.Context, receiver, address string) error {
	_, err := s.writing().exec(ctx, `INSERT INTO receivers (receiver, address) VALUES ($1,$2)
		ON CONFLICT (receiver) DO UPDATE SET address = excluded.address`, receiver, address)
	if err != nil {
		return fmt.Errorf("address of %s: %w", receiver, err)
	}
	return nil
}

// Stopped returns the receivers that refuse everything, with the reason.
func (s *Store) Stopped(ctx context.Context) (map[string]string, error) {
	rows, err := s.reading().query(ctx, `SELECT receiver, stopped FROM receivers WHERE stopped != ''`)
	if err != nil {
		return nil, fmt.Errorf("stopped receivers: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var receiver, why string
		if err := rows.Scan(&receiver, &why); err != nil {
			return nil, fmt.Errorf("stopped receivers: %w", err)
		}
		out[receiver] = why
	}
	return out, rows.Err()
}

// SetStopped remembers that the receiver refuses everything; why "" ends that. What waits for a receiver that is no longer
// stopped is due at once.
func (s *Store) SetStopped(ctx context.Context, receiver, why string, now time.Time) error {
	return s.tx(ctx, func(tx tx) error {
		_, err := tx.exec(ctx, `INSERT INTO receivers (receiver, stopped) VALUES ($1,$2)
			ON CONFLICT (receiver) DO UPDATE SET stopped = excluded.stopped`, receiver, why)
		if err == nil && why == "" {
			_, err = tx.exec(ctx, `UPDATE deliveries SET next_attempt = $1
				WHERE receiver = $2 AND state = 'pending' AND next_attempt > $1`, now.UnixMicro(), receiver)
		}
		if err != nil {
			return fmt.Errorf("receiver %s: %w", receiver, err)
		}
		return nil
	})
}

// A lease is a process's right to send to a receiver. Its holder renews it; one that cannot stops sending leaseMargin
// before the lease ends, which is longer than the outbox takes to end a send. Times are the database's own.
const (
	leaseFor    = 20 * time.Second
	leaseRenew  = 3 * time.Second
	leaseMargin = 10 * time.Second
	databaseNow = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`
)

var errLeaseLost = errors.New("the receiver's lease was lost")

// lease takes the receiver, and returns a nil context if another process has it. The context ends when the lease can no
// longer be held.
func (s *Store) lease(ctx context.Context, receiver string) (leased context.Context, release func(), err error) {
	since := time.Now()
	n, err := s.writing().exec(ctx, `INSERT INTO receivers AS r (receiver, lease_holder, lease_until)
		VALUES ($1, $2, `+databaseNow+` + $3) ON CONFLICT (receiver) DO UPDATE
		SET lease_holder = excluded.lease_holder, lease_until = excluded.lease_until
		WHERE r.lease_until < `+databaseNow+` OR r.lease_holder = excluded.lease_holder`,
		receiver, s.holder, leaseFor.Microseconds())
	if err != nil {
		return nil, nil, fmt.Errorf("lease of %s: %w", receiver, err)
	}
	if n == 0 {
		return nil, nil, nil
	}
	leased, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(ended)
		s.renew(renewing, receiver, since, cancel)
	}()
	return leased, func() {
		stop()
		<-ended
		cancel(nil)
		bounded, done := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
		defer done()
		_, err := s.writing().exec(bounded, `UPDATE receivers SET lease_until = 0 WHERE receiver = $1 AND lease_holder = $2`,
			receiver, s.holder)
		if err != nil {
			s.log.Warn("lease was not given back, and ends by itself", "receiver", receiver, "err", err)
		}
	}, nil
}

func (s *Store) renew(ctx context.Context, receiver string, since time.Time, lost context.CancelCauseFunc) {
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
		n, err := s.writing().exec(bounded, `UPDATE receivers SET lease_until = `+databaseNow+` + $1
			WHERE receiver = $2 AND lease_holder = $3`, leaseFor.Microseconds(), receiver, s.holder)
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
