package store_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// A state that cannot be written, or whose file is gone, is no state; one that has vanished since the last run is said to have.
func TestAStateThatIsGoneIsNoticed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := storetest.Open(t, dir)
	if err := s.Exclusive(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "deleted while the program runs") {
		t.Errorf("a deleted file: %v", err)
	}
	// What is accepted now would be lost with the process: a sender must try again.
	err := s.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges { return reporter.JournalChanges{} })
	if err == nil || !strings.Contains(err.Error(), "deleted while the program runs") {
		t.Errorf("an update of a deleted file: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	again, err := store.OpenSQLite(t.Context(), dir, slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if !strings.Contains(logs.String(), "missing or empty") {
		t.Errorf("the log says %q", &logs)
	}
	if err := again.Ping(t.Context()); err != nil {
		t.Errorf("a new state: %v", err)
	}
	logs.Reset()
	first, err := store.OpenSQLite(t.Context(), t.TempDir(), slog.New(slog.NewTextHandler(&logs, nil)))
	if err != nil || logs.Len() > 0 {
		t.Errorf("a first start: %v, %q", err, &logs)
	}
	t.Cleanup(func() { first.Close() })
}
