// Package storetest opens states of SQLite for tests, and checks stores of the journal: a directory or a store comes in, an open store or
// the faults of a test go out.
package storetest

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// empty is the file of an empty state. It is made once and copied from then on, because migrations take a fifth of the time of tests
// that need many states.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "awoooi-state-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := store.OpenSQLite(context.Background(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "state.db-wal")); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("the write-ahead log was not removed at the end")
	}
	return os.ReadFile(filepath.Join(dir, "state.db"))
})

// Empty puts the file of an empty state into a directory that has no state yet.
func Empty(dir string) error {
	path := filepath.Join(dir, "state.db")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err := empty()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o600)
}

// Open opens the state in a directory, an empty one if there is none, until the test ends.
func Open(tb testing.TB, dir string) *store.Store {
	tb.Helper()
	if err := Empty(dir); err != nil {
		tb.Fatal(err)
	}
	s, err := store.OpenSQLite(tb.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
