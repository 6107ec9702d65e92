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
	// mostShared is how many updates share one commit. More would save little and hold the early ones up.
	mostShared = 128
	// commitTimeout bounds one shared transaction.
	commitTimeout = 30 * time.Second
	// journalLock is the PostgreSQL advisory lock of journal writers. They take turns, because what one webhook says of an
	// incident depends on what the one before it said; sharing commits makes that cheap.
	journalLock = 0x61776f6f6f69
)

// update is one caller's share of a commit.
type update struct {
	fn    func(context.Context, reporter.JournalTx) error
	asks  []reporter.JournalQuestion
	taken atomic.Bool // by the committer, or by the caller who gave up waiting
	done  chan error
}

// errClosed is what a store that is being closed says.
var errClosed = errors.New("state is being closed")

// Update runs fn on the incident journal in one transaction: what it puts is kept together, or not at all, and is on
// the disk when Update returns nil. Callers at the same time share a transaction and its one fsync; fn may run again
// where another's share spoiled the common one, and must then begin anew. What the updates ask is read for all of them at
// once.
func (s *Store) Update(
	ctx context.Context, fn func(ctx context.Context, tx reporter.JournalTx) error, asks ...reporter.JournalQuestion,
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	u := &update{fn: fn, asks: asks, done: make(chan error, 1)}
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
		if r := recover(); r != nil { // One caller's defect must not take down the others' committer.
			err = fmt.Errorf("update panicked: %v", r)
			s.log.Error("journal update panicked", "err", err)
		}
	}()
	return s.tx(ctx, func(tx tx) error {
		if s.postgres() {
			if _, err := tx.exec(ctx, `SELECT pg_advisory_xact_lock($1)`, journalLock); err != nil {
				return fmt.Errorf("journal lock: %w", err)
			}
		}
		j := journalTx{
			tx: tx, store: s, alerts: map[string]map[alertKey]reporter.Alert{}, put: map[string]reporter.Incident{},
			read: map[reporter.JournalQuestion][]reporter.Incident{},
		}
		if err := j.readAhead(ctx, share); err != nil {
			return err
		}
		for _, u := range share {
			if err := u.fn(ctx, j); err != nil {
				return err
			}
		}
		return j.flush(ctx)
	})
}
