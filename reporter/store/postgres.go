package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/awoooi/awoooi-reporter/internal/pg"
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
	_, err := pg.Parse(dsn)
	return err
}

// OpenPostgres connects to the database of dsn, and makes our schema in it if it is not there. One that was written by
// a newer version is an error. The error never shows the DSN.
func OpenPostgres(ctx context.Context, dsn secret.Text, log *slog.Logger) (*Store, error) {
	pool, pooled, err := openPool(ctx, dsn)
	if err != nil {
		return nil, fmt.Errorf("state.dsn: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	s := &Store{write: db, read: db, pool: pool, pooled: pooled, log: log}
	if err := s.prepareSchema(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("schema %s: %w", Schema, err), s.Close())
	}
	if err := s.readClock(ctx); err != nil {
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
	// The lock is a transaction's, because a pooler may give each transaction another session.
	lock, err := conn.Begin(ctx)
	switch {
	case pg.NeedsStatements(err):
		return errors.New("the pooler allows no transaction (pool_mode = statement)")
	case err != nil:
		return fmt.Errorf("lock: %w", err)
	}
	defer lock.Rollback(context.WithoutCancel(ctx))
	if _, err := lock.Exec(ctx, `SET LOCAL idle_in_transaction_session_timeout = 0`); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if _, err := lock.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	var there bool
	// CREATE SCHEMA IF NOT EXISTS asks for a right that is not needed where somebody else has made the schema.
	if err := s.pool.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, Schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := s.pool.Exec(ctx, `CREATE SCHEMA `+Schema); err != nil {
			return err
		}
	}
	if _, err := s.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+Schema+`.schema_version (version INTEGER NOT NULL)`); err != nil {
		return err
	}
	var have int
	if err := s.pool.QueryRow(ctx, `SELECT COALESCE(max(version), 0) FROM `+Schema+`.schema_version`).Scan(&have); err != nil {
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
	return nil
}
