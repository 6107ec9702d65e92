// Package postgres is the source of KPIs out of PostgreSQL: SQL comes in, rows of one consistent snapshot go out.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const (
	connectTimeout = 3 * time.Second
	// maxRows bounds the memory of one query, far above any sensible number of series.
	maxRows = 10_000
	// tidyTimeout is for the end of a transaction after its scrape was cut.
	tidyTimeout = 2 * time.Second
)

// Config is which database.
type Config struct {
	Name     string
	DSN      secret.Text
	MaxConns int32
}

// Source asks one database, over at most MaxConns connections.
type Source struct {
	pool *pgxpool.Pool
	max  int
}

// Open prepares the source; it connects when it is first asked, and again after any loss. The error is a DSN that
// cannot be read, and shows nothing of it.
func Open(c Config) (*Source, error) {
	cfg, err := pgxpool.ParseConfig(c.DSN.Reveal())
	if err != nil {
		return nil, errors.New("postgres: the DSN cannot be parsed") // pgx's own error quotes parts of it
	}
	cfg.MaxConns = c.MaxConns
	cfg.MinConns = 0
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	// Nothing is prepared beyond one execution: a column that changes its type, or a table that is made anew, heals at
	// the next scrape, and a pooler in transaction mode may stand in between.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.ConnConfig.RuntimeParams["application_name"] = "awoooi-reporter"
	cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	// A scrape that is cut cancels its query on the server, rather than leaving it to run for nobody.
	cfg.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Second}
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, errors.New("postgres: the DSN cannot be used")
	}
	return &Source{pool: pool, max: int(c.MaxConns)}, nil
}

// Close ends the connections.
func (s *Source) Close() { s.pool.Close() }

// Connections counts the pool's connections by state.
func (s *Source) Connections() map[string]float64 {
	st := s.pool.Stat()
	return map[string]float64{"in_use": float64(st.AcquiredConns()), "idle": float64(st.IdleConns()), "max": float64(st.MaxConns())}
}

// Read answers the queries from one snapshot of the database: the first connection exports it, and up to MaxConns work
// through the queries side by side. A connection that is lost costs the query that ran on it.
func (s *Source) Read(ctx context.Context, until time.Time, queries []kpi.Query) []collector.Result {
	results := make([]collector.Result, len(queries))
	if len(queries) == 0 {
		return results
	}
	first, snapshot, err := s.begin(ctx)
	if err != nil {
		for n := range results {
			results[n].Err = err
		}
		return results
	}
	todo := make(chan int, len(queries))
	for n := range queries {
		todo <- n
	}
	close(todo)
	work := func(conn *pgxpool.Conn) {
		defer s.end(ctx, conn)
		for n := range todo {
			start := time.Now()
			rows, err := ask(ctx, conn, until, queries[n])
			results[n] = collector.Result{Rows: rows, Err: err, Duration: time.Since(start)}
			if conn.Conn().IsClosed() {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range min(s.max, len(queries)) - 1 {
		wg.Go(func() {
			// One that cannot be had is done without; the first has the snapshot and does the work alone.
			if conn, err := s.join(ctx, snapshot, todo); err == nil {
				work(conn)
			}
		})
	}
	work(first)
	wg.Wait()
	if len(todo) > 0 { // left by connections that were lost
		// The snapshot is lost with them. A new one is milliseconds younger, which is better than no figures.
		if conn, _, err := s.begin(ctx); err == nil {
			work(conn)
		}
	}
	for n := range todo {
		results[n].Err = errors.New("postgres: the connection was lost")
	}
	return results
}

// begin starts the transaction whose snapshot all others share. The pool may hold connections that died with the
// server since; each of them is tried once.
func (s *Source) begin(ctx context.Context) (*pgxpool.Conn, string, error) {
	for attempt := 0; ; attempt++ {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, "", safe(ctx, err)
		}
		got, err := conn.Conn().PgConn().Exec(ctx,
			"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot()").ReadAll()
		if err == nil {
			return conn, string(got[1].Rows[0][0]), nil
		}
		dead := conn.Conn().IsClosed()
		s.end(ctx, conn)
		if !dead || attempt >= s.max || ctx.Err() != nil {
			return nil, "", safe(ctx, err)
		}
	}
}

// join starts a transaction on the exported snapshot, unless there is nothing left to do.
func (s *Source) join(ctx context.Context, snapshot string, todo <-chan int) (*pgxpool.Conn, error) {
	if len(todo) == 0 {
		return nil, context.Canceled
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	// The snapshot's name is the server's own: hexadecimal digits and dashes.
	_, err = conn.Conn().PgConn().Exec(ctx,
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '"+snapshot+"'").ReadAll()
	if err != nil {
		s.end(ctx, conn)
		return nil, err
	}
	return conn, nil
}

// end finishes the transaction, also of a scrape that was cut, and gives the connection back.
func (s *Source) end(ctx context.Context, conn *pgxpool.Conn) {
	defer conn.Release() // a closed or dirty connection is destroyed by the pool
	if conn.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, "ROLLBACK"); err != nil {
		conn.Conn().Close(ctx)
	}
}

// ask runs one query within a savepoint, all in one round trip; a failure rolls back to the savepoint, so that the next
// query finds the transaction sound.
func ask(ctx context.Context, conn *pgxpool.Conn, until time.Time, q kpi.Query) (collector.Rows, error) {
	// The server ends the query at its timeout; the client's own deadline is for a server that does not answer at all.
	qctx, cancel := context.WithTimeout(ctx, q.Timeout+time.Second)
	defer cancel()
	batch := &pgx.Batch{}
	batch.Queue("SAVEPOINT q")
	batch.Queue(fmt.Sprintf("SET LOCAL statement_timeout = %d", max(1, q.Timeout.Milliseconds())))
	// A lock is waited for half as long, so that the error tells a lock from a slow query.
	batch.Queue(fmt.Sprintf("SET LOCAL lock_timeout = %d", max(1, q.Timeout.Milliseconds()/2)))
	var args []any
	if q.UsesWindow() {
		args = append(args, pgx.NamedArgs{"since": until.Add(-q.Window()), "until": until})
	}
	batch.Queue(q.SQL, args...)
	batch.Queue("RELEASE SAVEPOINT q")
	rows, err := receive(conn.SendBatch(qctx, batch))
	if err == nil {
		return rows, nil
	}
	if !conn.Conn().IsClosed() && ctx.Err() == nil {
		if _, err := conn.Exec(ctx, "ROLLBACK TO SAVEPOINT q"); err != nil {
			conn.Conn().Close(ctx) // nothing more can be asked in this transaction
		}
	}
	return collector.Rows{}, safe(qctx, err)
}

// receive reads the answers to ask's batch.
func receive(br pgx.BatchResults) (rows collector.Rows, err error) {
	defer func() {
		if closing := br.Close(); err == nil {
			err = closing
		}
	}()
	for range 3 {
		if _, err := br.Exec(); err != nil {
			return rows, err
		}
	}
	return read(br.Query())
}

func read(answer pgx.Rows, err error) (collector.Rows, error) {
	var rows collector.Rows
	if err != nil {
		return rows, err
	}
	defer answer.Close()
	for _, f := range answer.FieldDescriptions() {
		rows.Columns = append(rows.Columns, f.Name)
	}
	for answer.Next() {
		if len(rows.Values) == maxRows {
			return rows, fmt.Errorf("more than %d rows", maxRows)
		}
		values, err := answer.Values()
		if err != nil {
			return rows, err
		}
		for n, v := range values {
			values[n] = plain(v)
		}
		rows.Values = append(rows.Values, values)
	}
	return rows, answer.Err()
}

// plain turns pgx's own types into driver-neutral ones.
func plain(v any) any {
	switch v := v.(type) {
	case pgtype.Numeric:
		f, err := v.Float64Value()
		if err != nil || !f.Valid {
			return nil
		}
		return f.Float64
	case pgtype.Interval:
		if !v.Valid {
			return nil
		}
		// PostgreSQL itself takes a month for 30 days where it needs seconds of an interval (EXTRACT(EPOCH)).
		return float64(v.Microseconds)/1e6 + (float64(v.Days)+30*float64(v.Months))*24*60*60
	case [16]byte:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[0:4], v[4:6], v[6:8], v[8:10], v[10:16])
	}
	return v
}

// safe keeps what the server said, or that a deadline passed. Errors of the connection name host, user and database,
// which is more than a log that many may read should say.
func safe(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &pg) && pg.Code == "57014" && ctx.Err() != nil:
		return fmt.Errorf("postgres: cancelled: %w", context.Cause(ctx))
	case errors.As(err, &pg):
		return fmt.Errorf("postgres: %s (SQLSTATE %s)", pg.Message, pg.Code)
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: %w", context.Cause(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("postgres: no connection in time")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return errors.New("postgres: the server cannot be reached")
	}
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		return errors.New("postgres: the DSN cannot be used")
	}
	return fmt.Errorf("postgres: %w", err)
}
