// Package store keeps the reporter's state: incidents, deliveries and claimed due times come in, and go out again after
// any restart. It is the only room of the reporter with SQL.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// applicationID marks our files, so that a database of something else is never written to (SQLite's PRAGMA
	// application_id); the bytes spell "AWOI".
	applicationID = 0x41574f49
	busyTimeout   = 10 * time.Second
	readers       = 4
)

// Store is the state in one SQLite file. Several processes may have it open.
type Store struct {
	write *sql.DB // one connection: writers queue here rather than in SQLite's busy handler
	read  *sql.DB
	log   *slog.Logger
}

// OpenSQLite opens DIR/state.db, and makes both if they are not there. A file that is damaged, is not ours or was
// written by a newer version is an error, and stays as it is.
func OpenSQLite(ctx context.Context, dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, "state.db")
	if err := private(path); err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	s := &Store{log: log}
	var err error
	if s.write, err = open(path, 1); err != nil {
		return nil, err
	}
	if s.read, err = open(path, readers); err != nil {
		s.write.Close()
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), s.Close())
	}
	return s, nil
}

// private makes the file before SQLite does, because SQLite's own would be readable by all.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func open(path string, connections int) (*sql.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	// FULL: a commit that was told is on the disk, also when the power fails.
	q.Add("_pragma", "synchronous(FULL)")
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// prepare checks whose file it is before the first write, and brings the schema up to date.
func (s *Store) prepare(ctx context.Context) error {
	var app, have, tables int
	if err := s.write.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return fmt.Errorf("cannot be read, move it away to start anew: %w", err)
	}
	if err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return fmt.Errorf("cannot be read, move it away to start anew: %w", err)
	}
	if app != applicationID && (app != 0 || tables != 0) {
		return errors.New("belongs to another program")
	}
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("has schema version %d, this program knows %d: it was written by a newer version", have, len(files))
	}
	if tables != 0 {
		var fault string
		if err := s.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&fault); err != nil || fault != "ok" {
			return errors.Join(fmt.Errorf("is damaged (%s), restore it or move it away to start anew", fault), err)
		}
	}
	if _, err := s.write.ExecContext(ctx, "PRAGMA journal_mode = WAL"); err != nil {
		return fmt.Errorf("write-ahead log: %w", err)
	}
	for n := have; n < len(files); n++ {
		if err := s.migrate(ctx, n, files[n]); err != nil {
			return fmt.Errorf("migration %s: %w", files[n], err)
		}
	}
	return nil
}

// migrate takes the schema from version n to n+1, unless another process has just done so.
func (s *Store) migrate(ctx context.Context, n int, file string) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		var have int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil || have != n {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", n+1, applicationID))
		return err
	})
}

// tx runs fn in one writing transaction: all of it is kept, or nothing.
func (s *Store) tx(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("transaction: %w", err)
	}
	defer tx.Rollback() // after a commit it does nothing; after an error or a panic it undoes
	if err := fn(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Ping says whether the state can be reached.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM addresses").Scan(&one); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Close ends all connections.
func (s *Store) Close() error {
	return errors.Join(s.read.Close(), s.write.Close())
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
