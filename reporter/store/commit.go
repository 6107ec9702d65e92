package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// mostShared is how many updates share one commit. More would save little and delay the early ones.
	mostShared = 128
	// commitTimeout bounds one shared transaction.
	commitTimeout = 30 * time.Second
	// journalLock is the PostgreSQL advisory lock of journal writers. They take turns, because what one webhook changes depends on
	// what the one before it changed; sharing commits makes that cheap.
	journalLock = 0x61776f6f6f69
)

// lookups is what makes PostgreSQL look up each row that a transaction of the journal asks for by an index. Its planner does not know
// that the lists which it is given are short, and would read whole tables.
const lookups = `set_config('enable_seqscan', 'off', true) || set_config('enable_hashjoin', 'off', true) ||
	set_config('enable_mergejoin', 'off', true)`

// update is one caller's share of a commit.
type update struct {
	query reporter.JournalQuery
	apply func(reporter.JournalView) reporter.JournalChanges
	taken atomic.Bool // by the committer, or by the caller who gave up waiting
	done  chan error
}

// errClosed is the error of a store that is being closed.
var errClosed = errors.New("state is being closed")

// Update looks up what q asks for, gives it to apply, and stores what that changes, in one transaction: all of it is kept, or
// nothing, and it is on the disk when Update returns nil. Callers at the same time share a transaction and its one fsync, and
// what they ask is read for all of them at once; each sees what the one before it changed. apply may run again, where
// another's share made the common transaction fail.
func (s *Store) Update(ctx context.Context, q reporter.JournalQuery, apply func(reporter.JournalView) reporter.JournalChanges) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{query: q, apply: apply, done: make(chan error, 1)}
	select {
	case s.updates <- u:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-u.done:
		return err
	case <-ctx.Done():
		if u.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-u.done
	}
}

// commitLoop makes the shared transactions. While one is being written to the disk the callers of the next gather.
func (s *Store) commitLoop() {
	waiting := make([]*update, 0, mostShared)
	for {
		select {
		case <-s.closing:
			return
		case u := <-s.updates:
			waiting = append(waiting[:0], u)
		}
	gather:
		for len(waiting) < mostShared {
			select {
			case u := <-s.updates:
				waiting = append(waiting, u)
			default:
				break gather
			}
		}
		share := waiting[:0]
		for _, u := range waiting {
			if u.taken.CompareAndSwap(false, true) {
				share = append(share, u)
			}
		}
		s.commit(share)
	}
}

// commit writes the updates together. If that fails, each is written on its own, so that a bad one costs only itself.
func (s *Store) commit(share []*update) {
	if len(share) > 1 && s.apply(share...) == nil {
		for _, u := range share {
			u.done <- nil
		}
		return
	}
	for _, u := range share {
		u.done <- s.apply(u)
	}
}

func (s *Store) apply(share ...*update) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	defer func() {
		if r := recover(); r != nil { // One caller's defect must not end the others' committer.
			err = fmt.Errorf("update panicked: %v", r)
			s.log.Error("journal update panicked", "err", err)
		}
	}()
	return s.tx(ctx, func(tx tx) error {
		now, err := s.journalTurn(ctx, tx)
		if err != nil {
			return err
		}
		queries := make([]reporter.JournalQuery, len(share))
		for n, u := range share {
			queries[n] = u.query
		}
		j := newJournalTx(s, tx)
		if err := j.load(ctx, queries, now); err != nil {
			return err
		}
		for n, u := range share {
			// Each update has a time of its own, so that what is received later is later.
			view := j.view(u.query, now.Add(time.Duration(n)*time.Microsecond))
			if err := j.change(ctx, u.apply(view), view.Now); err != nil {
				return err
			}
		}
		return j.flush(ctx)
	})
}

// journalTurn waits for the turn of this transaction among the journal's writers, and returns the time of the state's clock.
func (s *Store) journalTurn(ctx context.Context, tx tx) (time.Time, error) {
	if !s.postgres() {
		return s.clock().UTC().Truncate(time.Microsecond), nil
	}
	var locked, plans string
	var now int64
	// The columns are evaluated in their order: the time is that after the lock was got.
	turn := tx.row(ctx, `SELECT pg_advisory_xact_lock($1)::text, `+databaseNow+`, `+lookups, journalLock)
	if err := turn.Scan(&locked, &now, &plans); err != nil {
		return time.Time{}, fmt.Errorf("journal lock: %w", err)
	}
	if s.now != nil {
		return s.now().UTC().Truncate(time.Microsecond), nil
	}
	return time.UnixMicro(now).UTC(), nil
}
