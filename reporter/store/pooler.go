package store

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// sessionSettings are what every statement needs.
var sessionSettings = []pg.Setting{
	{Name: "search_path", Value: Schema},
	// A 200 promises that the row is on the disk, whatever the server's default is.
	{Name: "synchronous_commit", Value: "on"},
	{Name: "idle_in_transaction_session_timeout", Value: "60000"},
}

// openPool connects. pooled says that a pooler such as PgBouncer stands in between, which refuses or ignores settings of the
// session: each transaction sets them then.
func openPool(ctx context.Context, dsn secret.Text) (pool *pgxpool.Pool, pooled bool, err error) {
	cfg, err := pg.Parse(dsn)
	if err != nil {
		return nil, false, err
	}
	direct, err := pgxpool.ParseConfig(strings.TrimSpace(dsn.Reveal()))
	if err != nil {
		return nil, false, errors.New("the DSN cannot be used") // it was parsed above
	}
	for _, c := range []*pgxpool.Config{direct, cfg.Pool} {
		c.MaxConns = max(c.MaxConns, maxConns)
		if c.ConnConfig.ConnectTimeout == 0 {
			c.ConnConfig.ConnectTimeout = 5 * time.Second
		}
	}
	params := direct.ConnConfig.RuntimeParams
	if params["application_name"] == "" {
		params["application_name"] = "awoooi-reporter"
	}
	for _, s := range sessionSettings {
		params[s.Name] = s.Value
	}
	pool, err = connectPool(ctx, direct)
	if err == nil || !pg.RefusesSettings(err) {
		return pool, false, err
	}
	// The description of a statement is kept here, and the statement is not prepared there: the next transaction may run in
	// another session.
	cfg.Pool.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.Pool.ConnConfig.DescriptionCacheCapacity = 512
	pool, err = connectPool(ctx, cfg.Pool)
	return pool, true, err
}

// connectPool opens a pool whose sessions have the settings of its startup parameters.
func connectPool(ctx context.Context, c *pgxpool.Config) (*pgxpool.Pool, error) {
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, errors.New("the DSN cannot be used")
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		pool.Close()
		return nil, pg.Connecting(err)
	}
	defer conn.Release()
	want, set := c.ConnConfig.RuntimeParams["search_path"]
	if !set {
		return pool, nil
	}
	var have string
	if err = conn.QueryRow(ctx, `SHOW search_path`).Scan(&have); err == nil && have != want {
		err = pg.ErrSettingsRefused // a pooler that ignores what it does not know
	}
	if err != nil {
		conn.Release()
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// outside runs statements outside of a transaction.
func (s *Store) outside(db *sql.DB) runner {
	if s.pooled {
		return pooledDB{db}
	}
	return db
}

// pooledDB runs single statements behind a pooler, where the search path cannot be set for them.
type pooledDB struct{ db *sql.DB }

func (p pooledDB) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.db.QueryContext(ctx, qualified(query), args...)
}

func (p pooledDB) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.db.QueryRowContext(ctx, qualified(query), args...)
}

// ExecContext writes in a transaction, so that a commit reaches the disk.
func (p pooledDB) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, pg.Statement(sessionSettings...)); err != nil {
		return nil, err
	}
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return res, tx.Commit()
}

// tableNames are the tables of a statement outside of a transaction, where the search path cannot be set.
var tableNames = regexp.MustCompile(`(?i)\b(FROM|JOIN|INTO|UPDATE)(\s+)([a-z_]+)\b`)

// qualified is a statement with the names of our tables in their schema.
func qualified(query string) string {
	if text, ok := qualifiedTexts.Load(query); ok {
		return text.(string)
	}
	text := tableNames.ReplaceAllStringFunc(query, func(match string) string {
		m := tableNames.FindStringSubmatch(match)
		if !ourTables[strings.ToLower(m[3])] {
			return match
		}
		return m[1] + m[2] + Schema + "." + m[3]
	})
	qualifiedTexts.Store(query, text)
	return text
}

// qualifiedTexts are kept because texts are few and asked often.
var qualifiedTexts sync.Map

// ourTables are those that the migrations make.
var ourTables = func() map[string]bool {
	out := map[string]bool{}
	files, _ := migrations.ReadDir("migrations/postgres") // embedded, so that it is there
	for _, f := range files {
		text, _ := migrations.ReadFile("migrations/postgres/" + f.Name())
		for _, m := range createTable.FindAllStringSubmatch(string(text), -1) {
			out[strings.ToLower(m[1])] = true
		}
	}
	return out
}()

var createTable = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)`)
