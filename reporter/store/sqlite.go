package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	// applicationID marks our files, so that a database of something else is never written to (SQLite's PRAGMA
	// application_id); the bytes spell "AWOI".
	applicationID = 0x41574f49
	busyTimeout   = 10 * time.Second
	readers       = 4
	// walLimit is what is left of the write-ahead log after a burst of writes has made it larger.
	walLimit = 16 << 20
	// checkpointPages is from how many pages on, of 4 KiB, the write-ahead log is copied into the file: one that was changed several
	// times since is copied once.
	checkpointPages = walLimit >> 12
	// writerCache is how much of the file the writing connection keeps in memory.
	writerCache = 4 << 20
)

// OpenSQLite opens DIR/state.db, and makes both if they are not there. A file that is damaged, is not ours or was
// written by a newer version is an error, and stays as it is.
func OpenSQLite(ctx context.Context, dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, "state.db")
	// A process has run here before if its lock is there.
	if _, err := os.Stat(filepath.Join(dir, "state.lock")); err == nil {
		if f, err := os.Stat(path); err != nil || f.Size() == 0 {
			log.Error("the state file is missing or empty, though there was one: incidents, deliveries and what was sent are forgotten; "+
				"stop the program and restore it from a backup if it was not removed on purpose", "file", path)
		}
	}
	if err := private(path); err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	s := &Store{log: log, path: path}
	var err error
	if s.file, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("state file: %w", err)
	}
	if s.write, err = openFile(path, 1, fmt.Sprintf("cache_size(-%d)", writerCache>>10)); err != nil {
		return nil, err
	}
	if s.read, err = openFile(path, readers); err != nil {
		s.write.Close()
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("state file %s: %w", path, err), s.Close())
	}
	s.start()
	return s, nil
}

// Exclusive makes this the one process that runs on a SQLite file, until Close or the process's end. On PostgreSQL it
// does nothing: any number of processes may share it.
func (s *Store) Exclusive(dir string) error {
	if s.postgres() {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, "state.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("state lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("state directory %s: another process runs on it: %w", dir, err), f.Close())
	}
	s.lock = f
	return nil
}

// private makes the file before SQLite does, because SQLite's own would be readable by all.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func openFile(path string, connections int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{}
	q.Set("_txlock", "immediate")
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))
	q.Add("_pragma", "foreign_keys(1)")
	// FULL: a commit that was confirmed is on the disk, also when the power fails.
	q.Add("_pragma", "synchronous(FULL)")
	q.Add("_pragma", fmt.Sprintf("journal_size_limit(%d)", walLimit))
	// What undoes a statement within its transaction is not written to a file: no crash needs it.
	q.Add("_pragma", "temp_store(MEMORY)")
	q.Add("_pragma", fmt.Sprintf("wal_autocheckpoint(%d)", checkpointPages))
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	return openDSN(path, q, connections)
}

func openDSN(path string, q url.Values, connections int) (*sql.DB, error) {
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
		return fmt.Errorf("cannot be read, move it away to start with a new one: %w", err)
	}
	if err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return fmt.Errorf("cannot be read, move it away to start with a new one: %w", err)
	}
	if app != applicationID && (app != 0 || tables != 0) {
		return errors.New("belongs to another program")
	}
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	files, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("has schema version %d, this program knows %d: it was written by a newer version", have, len(files))
	}
	if tables != 0 {
		var fault string
		if err := s.write.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&fault); err != nil || fault != "ok" {
			return errors.Join(fmt.Errorf("is damaged (%s), restore it or move it away to start with a new one", fault), err)
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
	return s.tx(ctx, func(tx tx) error {
		var have int
		if err := tx.row(ctx, "PRAGMA user_version").Scan(&have); err != nil || have != n {
			return err
		}
		if _, err := tx.raw.ExecContext(ctx, string(text)); err != nil {
			return err
		}
		if err := afterMigration(ctx, tx.querier, n+1); err != nil {
			return err
		}
		_, err := tx.raw.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", n+1, applicationID))
		return err
	})
}
