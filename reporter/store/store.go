// Package store keeps the reporter's state, in SQLite or in PostgreSQL: incidents, deliveries and claimed due times come
// in, and go out again after any restart. It is the only package of the reporter with SQL on its state.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// Store is the state in one SQLite file, which one process runs on, or in one PostgreSQL schema, which any number of
// processes share.
type Store struct {
	write  *sql.DB // SQLite: one connection, so that writers queue here rather than in SQLite's busy handler
	read   *sql.DB
	pool   *pgxpool.Pool // under write and read; nil on SQLite
	pooled bool          // a pooler keeps no settings of a session, so that each transaction sets them
	lock   *os.File      // held by the one process that runs on a SQLite file; nil before Exclusive, and on PostgreSQL
	holder string        // names this process in leases
	log    *slog.Logger
	path   string      // of the SQLite file
	file   os.FileInfo // of it, when it was opened

	writable struct { // what Ping found
		mu  sync.Mutex
		at  time.Time
		err error
	}
	shared clock         // of processes that share the state
	wake   chan struct{} // a delivery was put into the state by this process

	statements statements         // of writing transactions on SQLite
	readings   statements         // of readers there
	extracts   singleflight.Group // of incidents that are read in part
	now        func() time.Time   // of tests; nil is the real clock, of PostgreSQL the database's

	writers journalWriters // of the journal, outside any transaction

	updates chan *update // to the committer
	closing chan struct{}
	close   sync.Once
	stopped sync.WaitGroup
}

// start begins the work that every open store does.
func (s *Store) start() {
	s.holder = rand.Text()
	s.writers = newJournalWriters(querier{sqlite: !s.postgres()})
	s.updates, s.closing, s.wake = make(chan *update), make(chan struct{}), make(chan struct{}, 1)
	s.stopped.Go(s.commitLoop)
	if s.postgres() {
		s.stopped.Go(s.clockLoop)
	}
}

// SetClock replaces the clock that events are dated by; call it before anything else. Without it that is the database's own
// with PostgreSQL, and the process's with SQLite.
func (s *Store) SetClock(now func() time.Time) { s.now = now }

func (s *Store) clock() time.Time {
	if s.now != nil {
		return s.now()
	}
	return time.Now()
}

// Wakes has a value when this process has put a delivery into the state. What other processes put there is found by
// looking.
func (s *Store) Wakes() <-chan struct{} { return s.wake }

// postgres says which of the two databases this is.
func (s *Store) postgres() bool { return s.pool != nil }

// querier runs statements in the one dialect that this package writes, with $1, $2 … for arguments, on a database or in
// a transaction of either kind.
type querier struct {
	on     runner
	sqlite bool
}

// runner is a database or a transaction.
type runner interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (q querier) text(query string) string {
	if q.sqlite { // "$1" would be a named argument there, "?1" is the first
		return strings.ReplaceAll(query, "$", "?")
	}
	return query
}

func (q querier) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return q.on.QueryContext(ctx, q.text(query), args...)
}

func (q querier) row(ctx context.Context, query string, args ...any) *sql.Row {
	return q.on.QueryRowContext(ctx, q.text(query), args...)
}

// exec returns how many rows were changed.
func (q querier) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := q.on.ExecContext(ctx, q.text(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (s *Store) reading() querier {
	if !s.postgres() {
		return querier{preparedDB{s.read, &s.readings}, true}
	}
	return querier{s.outside(s.read), false}
}

func (s *Store) writing() querier { return querier{s.outside(s.write), !s.postgres()} }

// tx is a writing transaction.
type tx struct {
	querier
	raw  *sql.Tx
	wake *bool // set where a delivery is put into the state
}

// tx runs fn in one writing transaction: all of it is kept, or nothing. What would be written to a file that is gone is refused.
func (s *Store) tx(ctx context.Context, fn func(tx) error) error {
	if err := s.checkFile(); err != nil {
		return err
	}
	raw, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	defer raw.Rollback() // after a commit it does nothing; after an error or a panic it undoes
	if s.pooled {
		if _, err := raw.ExecContext(ctx, pg.Statement(sessionSettings...)); err != nil {
			return fmt.Errorf("transaction: %w", err)
		}
	}
	wake := false
	t := tx{querier{raw, !s.postgres()}, raw, &wake}
	var prepared *preparedTx
	if !s.postgres() { // pgx prepares statements by itself
		prepared = s.statements.begin(raw)
		t.on = prepared
	}
	if err := fn(t); err != nil {
		return err
	}
	if err := raw.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if prepared != nil {
		s.statements.end(ctx, s.write, prepared)
	}
	if wake {
		select {
		case s.wake <- struct{}{}:
		default: // It is awake already.
		}
	}
	return nil
}

const (
	// writeCheckEvery is how often Ping writes; what it found is answered in between.
	writeCheckEvery = 5 * time.Second
	// writeCheck is how much it writes on SQLite: more than what a log that was larger once holds without a new page of the disk.
	writeCheck = 64 << 10
)

// Ping says whether the state can be read and written.
func (s *Store) Ping(ctx context.Context) error {
	s.writable.mu.Lock()
	defer s.writable.mu.Unlock()
	if !s.writable.at.IsZero() && time.Since(s.writable.at) < writeCheckEvery {
		return s.writable.err
	}
	s.writable.at, s.writable.err = time.Now(), nil
	if err := s.checkFile(); err != nil {
		s.writable.err = fmt.Errorf("state: %w", err)
		return s.writable.err
	}
	fill := ""
	if !s.postgres() {
		fill = strings.Repeat("x", writeCheck)
	}
	_, err := s.writing().exec(ctx, `INSERT INTO gates (key, detail, since) VALUES ('check of writes', $1, $2)
		ON CONFLICT (key) DO UPDATE SET detail = excluded.detail, since = excluded.since`, fill, s.Now().UnixMicro())
	if err != nil {
		s.writable.err = fmt.Errorf("state cannot be written: %w", err)
	}
	return s.writable.err
}

// checkFile says whether the file that is open is still the one in the state's directory.
func (s *Store) checkFile() error {
	if s.file == nil {
		return nil
	}
	now, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("the file was deleted while the program runs, stop it and restore the file: %w", err)
	}
	if !os.SameFile(s.file, now) {
		return fmt.Errorf("%s was replaced while the program runs: restart it", s.path)
	}
	return nil
}

// Close ends all connections. What was accepted is on the disk.
func (s *Store) Close() error {
	var errs []error
	s.close.Do(func() { errs = s.end() })
	return errors.Join(errs...)
}

func (s *Store) end() []error {
	if s.closing != nil {
		close(s.closing)
		s.stopped.Wait()
	}
	var errs []error
	if s.read != nil && s.read != s.write {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errs
}

// micros is the stored form of a time; the zero time is NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// moment reads a stored time.
func moment(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}
