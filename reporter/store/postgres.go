package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const (
	// Schema holds all of our tables in a PostgreSQL database.
	Schema = "awoooi_reporter"
	// migrationLock is the advisory lock of those who change the schema.
	migrationLock = journalLock + 1
	maxConns      = 10
)

// CheckDSN says whether dsn is a connection string, without connecting. Its error shows nothing of it.
func CheckDSN(dsn secret.Text) error {
	if _, err := pgxpool.ParseConfig(dsn.Reveal()); err != nil {
		return errors.New("is not a PostgreSQL connection string") // pgx quotes it
	}
	return nil
}

// OpenPostgres connects to the database of dsn, and makes our schema in it if it is not there. One that was written by
// a newer version is an error. The error never shows the DSN.
func OpenPostgres(ctx context.Context, dsn secret.Text, log *slog.Logger) (*Store, error) {
	c, err := pgxpool.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, errors.New("state.dsn: is not a PostgreSQL connection string") // pgx quotes it
	}
	c.MaxConns = max(c.MaxConns, maxConns)
	c.ConnConfig.RuntimeParams["application_name"] = "awoooi-reporter"
	c.ConnConfig.RuntimeParams["search_path"] = Schema
	// A 200 promises that the row is on the disk, whatever the server's default is.
	c.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	c.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	if c.ConnConfig.ConnectTimeout == 0 {
		c.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{write: db, read: db, pool: pool, log: log}
	if err := s.prepareSchema(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("schema %s: %w", Schema, err), s.Close())
	}
	if s.jobs, err = inserter(riverdatabasesql.New(db), Schema, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.start()
	return s, nil
}

// prepareSchema brings the schema up to date. Replicas that start together take turns.
func (s *Store) prepareSchema(ctx context.Context) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, migrationLock); err != nil {
			conn.Conn().Close(context.WithoutCancel(ctx)) // which ends the lock too
		}
	}()
	var there bool
	// CREATE SCHEMA IF NOT EXISTS asks for a right that is not needed where somebody else has made the schema.
	if err := conn.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, Schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := conn.Exec(ctx, `CREATE SCHEMA `+Schema); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)`); err != nil {
		return err
	}
	var have int
	if err := conn.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM schema_version`).Scan(&have); err != nil {
		return err
	}
	files, err := fs.Glob(migrations, "migrations/postgres/*.sql")
	if err != nil {
		return err
	}
	if have > len(files) {
		return fmt.Errorf("has version %d, this program knows %d: it was written by a newer version", have, len(files))
	}
	for n := have; n < len(files); n++ {
		text, err := migrations.ReadFile(files[n])
		if err != nil {
			return err
		}
		err = s.tx(ctx, func(tx tx) error {
			if _, err := tx.exec(ctx, string(text)); err != nil {
				return err
			}
			if err := afterMigration(ctx, tx.querier, n+1); err != nil {
				return err
			}
			_, err := tx.exec(ctx, `INSERT INTO schema_version (version) VALUES ($1)`, n+1)
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", files[n], err)
		}
	}
	return migrateQueue(ctx, riverpgxv5.New(s.pool), Schema, s.log)
}
