package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// SchemaVersion is the version of a state's schema beside the one that this program writes.
type SchemaVersion struct{ Have, Want int } // Have is 0 where there is no state

// Err says what to do before a command can use the state; nil if it can.
func (v SchemaVersion) Err() error {
	switch {
	case v.Have > v.Want:
		return fmt.Errorf("has schema version %d, this program knows %d: use the version that runs on it", v.Have, v.Want)
	case v.Have < v.Want:
		return fmt.Errorf("has schema version %d, this program needs %d: start the new version once, which upgrades it", v.Have, v.Want)
	}
	return nil
}

// InspectSQLite reads the schema version of DIR/state.db, and creates and changes nothing.
func InspectSQLite(ctx context.Context, dir string) (SchemaVersion, error) {
	v, err := wanted("sqlite")
	if err != nil {
		return v, err
	}
	path := filepath.Join(dir, "state.db")
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return v, nil
	case err != nil:
		return v, fmt.Errorf("state file: %w", err)
	case info.Size() == 0:
		return v, nil
	}
	db, err := openDSN(path, url.Values{"mode": {"ro"}}, 1)
	if err != nil {
		return v, err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v.Have); err != nil {
		return v, fmt.Errorf("state file %s: schema version: %w", path, err)
	}
	return v, nil
}

// InspectPostgres reads the schema version of the state in the database of dsn, and creates and changes nothing. The error
// never shows the DSN.
func InspectPostgres(ctx context.Context, dsn secret.Text) (SchemaVersion, error) {
	v, err := wanted("postgres")
	if err != nil {
		return v, err
	}
	pool, _, err := openPool(ctx, dsn)
	if err != nil {
		return v, fmt.Errorf("state.dsn: %w", err)
	}
	defer pool.Close()
	var there bool
	if err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, Schema+".schema_version").Scan(&there); err != nil {
		return v, fmt.Errorf("state.dsn: %w", pg.Connecting(err))
	}
	if !there {
		return v, nil
	}
	err = pool.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM `+Schema+`.schema_version`).Scan(&v.Have)
	if err != nil {
		return v, fmt.Errorf("state.dsn: schema version: %w", pg.Connecting(err))
	}
	return v, nil
}

func wanted(database string) (SchemaVersion, error) {
	files, err := fs.Glob(migrations, "migrations/"+database+"/*.sql")
	return SchemaVersion{Want: len(files)}, err
}
