package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	sendWorkers = 20
	// jobTimeout is when River cuts a worker, far beyond what a drain's turn takes.
	jobTimeout = 15 * time.Minute
	rescue     = 20 * time.Minute
	// sweepEvery is how often each process looks for due deliveries whose job has been lost, as a process that is killed
	// takes its running jobs along until River rescues them.
	sweepEvery = 15 * time.Second
	busySnooze = 10 * time.Second
	// longestSnooze bounds how long a job sleeps, so that a clock that was set back does not hold it for hours.
	longestSnooze = 5 * time.Minute
	pollSQLite    = 250 * time.Millisecond
	pollPostgres  = time.Second // beside LISTEN
)

// sendJob is the job of one delivery. It only says that there may be something to do; the deliveries are the truth.
type sendJob struct {
	Delivery int64  `json:"delivery"`
	Receiver string `json:"receiver"`
}

// Kind names the job in River's tables.
func (sendJob) Kind() string { return "send" }

// Drain sends what is due for one receiver, in order. No other drain of the receiver runs meanwhile, in any process;
// ctx ends when that can no longer be promised, and when the process stops.
type Drain = func(ctx context.Context, receiver string)

// migrateQueue brings River's own tables up to date.
func migrateQueue[TTx any](ctx context.Context, driver riverdriver.Driver[TTx], schema string, log *slog.Logger) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: quiet(log)})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// inserter is the client that puts jobs into our own transactions.
func inserter(driver riverdriver.Driver[*sql.Tx], schema string, log *slog.Logger) (*river.Client[*sql.Tx], error) {
	c, err := river.NewClient(driver, &river.Config{Schema: schema, Logger: quiet(log)})
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return c, nil
}

// quiet drops River's chatter; its warnings stay.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(warnings{log.Handler()}).With("component", "queue")
}

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }

func (s *Store) enqueueJob(ctx context.Context, tx tx, id int64, receiver string, at time.Time) error {
	opts := &river.InsertOpts{MaxAttempts: 10000}
	if at.After(time.Now()) {
		opts.ScheduledAt = at
	}
	if _, err := s.jobs.InsertTx(ctx, tx.raw, sendJob{Delivery: id, Receiver: receiver}, opts); err != nil {
		return fmt.Errorf("job of delivery %d: %w", id, err)
	}
	return nil
}

// Work drains receivers whenever they have something due, until ctx ends and the drains have ended.
func (s *Store) Work(ctx context.Context, drain Drain) error {
	w := &sendWorker{store: s, drain: drain, run: ctx, busy: map[string]bool{}}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	cfg := &river.Config{
		ID: s.holder, Logger: quiet(s.log), Workers: workers, JobTimeout: jobTimeout, RescueStuckJobsAfter: rescue,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: sendWorkers}},
		// The deliveries keep the history; finished jobs are of no use.
		CompletedJobRetentionPeriod: 10 * time.Minute, CancelledJobRetentionPeriod: time.Hour, DiscardedJobRetentionPeriod: time.Hour,
	}
	var client interface {
		Start(ctx context.Context) error
		StopAndCancel(ctx context.Context) error
		Stop(ctx context.Context) error
	}
	var err error
	if s.postgres() {
		cfg.Schema, cfg.FetchPollInterval = Schema, pollPostgres
		client, err = river.NewClient(riverpgxv5.New(s.pool), cfg)
	} else {
		cfg.PollOnly, cfg.FetchPollInterval = true, pollSQLite
		client, err = river.NewClient(riversqlite.New(s.write), cfg)
	}
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	// River's own context must outlive ctx: a send that has begun is given the time to end and to be recorded.
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := client.Start(running); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	w.sweep(ctx)
	stopping, done := context.WithTimeout(running, stopTimeout)
	defer done()
	if err := client.Stop(stopping); err != nil {
		s.log.Warn("queue did not stop in time", "err", err)
	}
	w.sweeps.Wait()
	return nil
}

// stopTimeout is a little more than what the outbox gives a send that is under way when the process stops.
const stopTimeout = 9 * time.Second

// sendWorker is River's worker, and the sweep beside it.
type sendWorker struct {
	river.WorkerDefaults[sendJob]
	store  *Store
	drain  Drain
	run    context.Context // of the process; River's own goes on a little longer
	sweeps sync.WaitGroup

	mu   sync.Mutex
	busy map[string]bool // receivers that this process drains
}

// NextRetry is soon: what fails here is the state's database, not the channel.
func (w *sendWorker) NextRetry(*river.Job[sendJob]) time.Time { return time.Now().Add(5 * time.Second) }

// Work lets the delivery's receiver be drained, and ends the job once the delivery is over.
func (w *sendWorker) Work(ctx context.Context, job *river.Job[sendJob]) error {
	if over, err := w.over(ctx, job.Args.Delivery); over || err != nil {
		return err
	}
	mine, err := w.turn(ctx, job.Args.Receiver)
	if err != nil {
		return err
	}
	if !mine {
		return river.JobSnooze(busySnooze) // whoever drains the receiver now sends this delivery too
	}
	d, err := w.store.Delivery(ctx, job.Args.Delivery)
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		return nil
	case err != nil:
		return err
	case d.State != reporter.DeliveryPending:
		return nil
	}
	return river.JobSnooze(min(max(time.Until(d.NextAttempt), time.Second), longestSnooze))
}

func (w *sendWorker) over(ctx context.Context, id int64) (bool, error) {
	d, err := w.store.Delivery(ctx, id)
	if errors.Is(err, reporter.ErrNotFound) {
		return true, nil
	}
	return err == nil && d.State != reporter.DeliveryPending, err
}

// turn drains the receiver if nobody else does, and says whether it did.
func (w *sendWorker) turn(ctx context.Context, receiver string) (bool, error) {
	w.mu.Lock()
	if w.busy[receiver] || w.run.Err() != nil {
		w.mu.Unlock()
		return false, nil
	}
	w.busy[receiver] = true
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.busy, receiver)
		w.mu.Unlock()
	}()
	draining, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(w.run, cancel)
	defer stop()
	if !w.store.postgres() { // One process runs on a SQLite file.
		w.drain(draining, receiver)
		return true, nil
	}
	leased, release, err := w.store.lease(draining, receiver)
	if err != nil || leased == nil {
		return false, err
	}
	defer release()
	w.drain(leased, receiver)
	return true, nil
}

// sweep looks at once, and then now and again, for receivers with something due, until the process stops.
func (w *sendWorker) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		receivers, err := w.store.dueReceivers(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			w.store.log.Error("due deliveries could not be read", "err", err)
		}
		for _, r := range receivers {
			w.sweeps.Go(func() {
				if _, err := w.turn(context.WithoutCancel(ctx), r); err != nil && ctx.Err() == nil {
					w.store.log.Error("receiver could not be leased", "receiver", r, "err", err)
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *Store) dueReceivers(ctx context.Context, now time.Time) ([]string, error) {
	rows, err := s.reading().query(ctx, `SELECT DISTINCT receiver FROM deliveries WHERE state = 'pending' AND next_attempt <= $1`,
		now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var r string
		if err := rows.Scan(&r); err != nil {
			return nil, fmt.Errorf("deliveries: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
