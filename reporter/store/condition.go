package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// Condition is what a state looks like from outside.
type Condition struct {
	SchemaVersion
	Running bool // SQLite: a process runs on it
	// Clock is PostgreSQL's, and Asked when it was asked.
	Clock, Asked time.Time
}

// ConditionOfSQLite looks at DIR/state.db, and creates and changes nothing.
func ConditionOfSQLite(ctx context.Context, dir string) (out Condition, err error) {
	if out.SchemaVersion, err = InspectSQLite(ctx, dir); err != nil {
		return out, err
	}
	if lock, err := os.Open(filepath.Join(dir, "state.lock")); err == nil {
		out.Running = errors.Is(syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
		if err := lock.Close(); err != nil { // gives the lock back
			return out, err
		}
	}
	path := filepath.Join(dir, "state.db")
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return out, nil // there is none yet
	}
	db, err := openDSN(path, url.Values{"mode": {"ro"}}, 1)
	if err != nil {
		return out, err
	}
	defer db.Close()
	var app, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return out, fmt.Errorf("state file %s: %w", path, err)
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return out, fmt.Errorf("state file %s: %w", path, err)
	}
	if app != applicationID && (app != 0 || tables != 0) {
		return out, fmt.Errorf("state file %s belongs to another program", path)
	}
	return out, nil
}

// ConditionOfPostgres looks at the database of dsn, and creates and changes nothing. A database that cannot be written, or
// where the user may not make what is missing, is an error. The error does not show the DSN.
func ConditionOfPostgres(ctx context.Context, dsn secret.Text) (out Condition, err error) {
	if out.SchemaVersion, err = InspectPostgres(ctx, dsn); err != nil {
		return out, err
	}
	pool, _, err := openPool(ctx, dsn)
	if err != nil {
		return out, err
	}
	defer pool.Close()
	var standby, create bool
	asked := time.Now()
	err = pool.QueryRow(ctx, `SELECT pg_is_in_recovery(), clock_timestamp(),
		COALESCE(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE'))`,
		Schema).Scan(&standby, &out.Clock, &create)
	out.Asked = asked.Add(time.Since(asked) / 2)
	switch {
	case err != nil:
		return out, pg.Connecting(err)
	case standby:
		return out, errors.New("is a standby, which cannot be written")
	case !create && out.Have == 0:
		return out, errors.New("the user may not create the schema " + Schema)
	case !create && out.Have < out.Want:
		return out, errors.New("the user may not change the schema " + Schema + ", which is of an earlier version")
	}
	return out, nil
}
