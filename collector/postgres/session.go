package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/neterr"
	"github.com/awoooi/awoooi-reporter/internal/pg"
)

const readOnly = "ISOLATION LEVEL REPEATABLE READ READ ONLY"

// session is a connection in a transaction with the source's settings, or, in statement mode, one that puts each query
// and its settings into a transaction of their own.
type session struct {
	s             *Source
	conn          *pgxpool.Conn
	snapshot      string // that others can join; "" if there is none
	statementMode bool
	link          *link
	prepared      bool     // whether statements may stay prepared on it
	naive         []column // columns without time zone that the zone check found
	// The limits that the session has without ours, 0 for none; ours are never longer.
	ownStatement, ownLock time.Duration
	// The limits that are set now, 0 for none of ours.
	statement, lock time.Duration
}

// column is a column of a table.
type column struct{ table, name string }

// begin opens a session on a new snapshot, which it exports. check is a further SELECT of tables and columns.
func (s *Source) begin(ctx context.Context, check string) (*session, error) {
	return s.open(ctx, &session{s: s}, check, func(net.Conn) {})
}

// join opens a further session on a snapshot. The first statement may wait in a pooler for as long as other sessions live:
// starting takes its connection, which can be closed then. It is not cancelled.
func (s *Source) join(ctx context.Context, snapshot string, starting func(net.Conn)) (*session, error) {
	return s.open(ctx, &session{s: s, snapshot: snapshot}, "", starting)
}

// joinPause is how long no further sessions are tried where they had to wait until the first was done: a pooler may have
// one connection only.
const joinPause = 10 * time.Minute

// joins says whether further sessions are of use.
func (s *Source) joins() bool { return time.Now().UnixNano() >= s.joinAfter.Load() }

func (s *Source) joinLater() { s.joinAfter.Store(time.Now().Add(joinPause).UnixNano()) }

// open takes a connection and starts c on it. The pool may hold connections that died with the server since; each of them
// is tried once.
func (s *Source) open(ctx context.Context, c *session, check string, starting func(net.Conn)) (*session, error) {
	snapshot, start := c.snapshot, ctx
	if snapshot != "" {
		start = context.WithoutCancel(ctx)
	}
	for attempt := 0; ; attempt++ {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, s.connecting(ctx, err)
		}
		*c = session{s: s, conn: conn, snapshot: snapshot, statementMode: s.statementMode.Load(), link: linkOf(conn.Conn().PgConn())}
		starting(conn.Conn().PgConn().Conn())
		if err = c.start(start, check); err == nil {
			return c, nil
		}
		dead := c.lost()
		c.end(ctx)
		switch {
		case pg.NeedsStatements(err) && !c.statementMode:
			s.statementMode.Store(true)
		case prepareFails(err) && !s.plain.Swap(true):
		case c.prepared && misplaced(err) && !s.plain.Swap(true):
		case exportFails(err) && snapshot == "" && !s.alone.Swap(true):
		case snapshot != "", !dead, attempt > s.max, ctx.Err() != nil:
			return nil, s.safe(ctx, err)
		}
	}
}

// exportFails says whether the server knows no exported snapshots, as some that only speak PostgreSQL's protocol.
func exportFails(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42883" || e.Code == "0A000" || e.Code == "25001") &&
		strings.Contains(e.Message, "snapshot")
}

// start begins the transaction, with a savepoint that every failed query goes back to.
func (c *session) start(ctx context.Context, check string) error {
	var b strings.Builder
	pgc, settings := c.conn.Conn().PgConn(), c.s.settings
	c.prepared = !c.statementMode && c.s.prepares(pgc, c.link)
	if c.prepared && !slices.ContainsFunc(settings, func(s pg.Setting) bool { return s.Name == customPlan.Name }) {
		settings = append(slices.Clone(settings), customPlan)
	}
	limits := "current_setting('statement_timeout'), current_setting('lock_timeout')"
	if c.statementMode { // one message is one transaction
		fmt.Fprintf(&b, "SET TRANSACTION %s; %s, %s; %s", readOnly, pg.Statement(settings...), limits, check)
	} else {
		fmt.Fprintf(&b, "BEGIN %s; ", readOnly)
		pid := "0"
		if !c.link.known && !c.s.plain.Load() {
			pid = "pg_backend_pid()"
		}
		limits += ", " + pid
		if c.snapshot != "" { // the server's own word: hexadecimal digits and dashes
			fmt.Fprintf(&b, "SET TRANSACTION SNAPSHOT '%s'; ", c.snapshot)
		} else if !c.s.alone.Load() {
			limits += ", pg_export_snapshot()"
		}
		fmt.Fprintf(&b, "%s, %s; ", pg.Statement(settings...), limits)
		if check != "" {
			b.WriteString(c.link.zoneCheck(check, c.prepared) + "; ")
		}
		b.WriteString("SAVEPOINT q")
	}
	results, err := pgc.Exec(ctx, b.String()).ReadAll()
	if err != nil {
		return err
	}
	if c.prepared && check != "" {
		c.link.check = check
	}
	for _, r := range results {
		switch {
		case len(r.Rows) == 1 && len(r.Rows[0]) > len(settings):
			own := r.Rows[0][len(settings):]
			c.ownStatement, c.ownLock = parseLimit(string(own[0])), parseLimit(string(own[1]))
			if !c.statementMode && !c.link.known {
				c.link.known, c.link.direct = true, string(own[2]) == strconv.FormatUint(uint64(pgc.PID()), 10)
			}
			if len(own) > 3 {
				c.snapshot = string(own[3])
			}
		case len(r.FieldDescriptions) == 2 && r.FieldDescriptions[0].Name == checkTable:
			for _, row := range r.Rows {
				c.naive = append(c.naive, column{string(row[0]), string(row[1])})
			}
		}
	}
	return nil
}

// parseLimit reads a setting with the server's units, such as 500ms, 5s or 1min; 0 means none.
func parseLimit(text string) time.Duration {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0
	}
	unit := map[string]time.Duration{
		"": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[text[len(digits):]]
	return time.Duration(n) * unit
}

func (c *session) lost() bool { return c.conn.Conn().IsClosed() }

// end finishes the transaction, also of a scrape that was cut, and gives the connection back.
func (c *session) end(ctx context.Context) {
	defer c.conn.Release() // a closed or dirty connection is destroyed by the pool
	pgc := c.conn.Conn().PgConn()
	if c.lost() || pgc.IsBusy() || pgc.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if _, err := pgc.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		c.conn.Conn().Close(ctx)
	}
}

// question is one query with the limits that it has now.
type question struct {
	compiled
	since, until    time.Time
	statement, lock time.Duration
	last            bool // no query waits behind it
}

var timestamptz = []uint32{pgtype.TimestamptzOID, pgtype.TimestamptzOID}

// instant is the text of a timestamptz, the same in every zone and style.
func instant(t time.Time) []byte { return t.UTC().AppendFormat(nil, "2006-01-02 15:04:05.000000+00") }

// ask runs one query, all in one round trip; a failure rolls back to the savepoint, so that the next query finds the
// transaction sound.
func (c *session) ask(ctx context.Context, q question) (collector.Rows, error) {
	// The server ends the query at its timeout; the client's own deadline is for a server that does not answer at all.
	qctx, cancel := context.WithTimeout(ctx, q.statement+time.Second)
	defer cancel()
	pgc := c.conn.Conn().PgConn()
	batch := &pgconn.Batch{}
	before := c.prepare(batch, q)
	var params [][]byte
	for _, name := range q.names {
		params = append(params, instant(map[string]time.Time{kpi.Since: q.since, kpi.Until: q.until}[name]))
	}
	name := ""
	if c.prepared {
		name = c.link.named[q.sql]
	}
	if name != "" {
		batch.ExecPrepared(name, params, nil, nil)
	} else {
		batch.ExecParams(q.sql, params, timestamptz[:len(params)], nil, nil)
	}
	if q.last && !c.statementMode {
		batch.ExecParams("ROLLBACK", nil, nil, nil, nil)
	}
	start := time.Now()
	rows, err := c.receive(pgc.ExecBatch(qctx, batch), before)
	if !c.lost() && !c.statementMode && !q.last && pgc.TxStatus() == 'I' {
		// What came after it would be neither of the snapshot nor kept from writing.
		err = errNoSelect
		c.conn.Conn().Close(qctx)
	}
	if err == nil {
		c.keep(qctx, q)
		return rows, nil
	}
	took := time.Since(start)
	retry := name != "" && (misplaced(err) || outdated(err))
	if !c.lost() && ctx.Err() == nil && pgc.TxStatus() != 'I' && (!q.last || retry) {
		c.back(ctx)
		if retry && !c.lost() {
			c.discard(ctx, q.sql, err)
			return c.ask(ctx, q)
		}
	}
	return collector.Rows{}, c.explain(qctx, err, q, took)
}

// discard leaves a prepared statement that failed.
func (c *session) discard(ctx context.Context, sql string, err error) {
	if misplaced(err) {
		c.s.plain.Store(true)
		c.prepared = false
		return
	}
	if err := c.conn.Conn().PgConn().Deallocate(ctx, c.link.named[sql]); err != nil {
		c.back(ctx)
	}
	delete(c.link.named, sql)
}

// back makes the transaction sound again after an error.
func (c *session) back(ctx context.Context) {
	if _, err := c.conn.Conn().PgConn().Exec(ctx, "ROLLBACK TO SAVEPOINT q").ReadAll(); err != nil {
		c.conn.Conn().Close(ctx) // nothing more can be asked in this transaction
	}
	c.statement, c.lock = 0, 0 // what was set after the savepoint is undone
}

// prepare puts what must come before the query into the batch, and returns how many statements that are.
func (c *session) prepare(batch *pgconn.Batch, q question) int {
	statement, lock := shorter(q.statement, c.ownStatement), shorter(q.lock, c.ownLock)
	limits := []pg.Setting{
		{Name: "statement_timeout", Value: strconv.FormatInt(max(1, statement.Milliseconds()), 10)},
		{Name: "lock_timeout", Value: strconv.FormatInt(max(1, lock.Milliseconds()), 10)},
	}
	switch {
	case c.statementMode:
		batch.ExecParams("SET TRANSACTION "+readOnly, nil, nil, nil, nil)
		batch.ExecParams(pg.Statement(append(limits, c.s.settings...)...), nil, nil, nil, nil)
		return 2
	case statement == c.statement && lock == c.lock:
		return 0
	}
	batch.ExecParams(pg.Statement(limits...), nil, nil, nil, nil)
	c.statement, c.lock = statement, lock
	return 1
}

// shorter returns the shorter of two limits, where 0 means none.
func shorter(ours, own time.Duration) time.Duration {
	if own > 0 {
		return min(ours, own)
	}
	return ours
}

// receive reads the answers to ask's batch; the query's own is the one after the first before.
func (c *session) receive(mrr *pgconn.MultiResultReader, before int) (rows collector.Rows, err error) {
	for n := 0; mrr.NextResult(); n++ {
		if n != before {
			_, _ = mrr.ResultReader().Close() // mrr.Close returns its error
			continue
		}
		if rows, err = c.read(mrr.ResultReader()); err != nil {
			break
		}
	}
	if err != nil && !errors.As(err, new(*pgconn.PgError)) { // an error of ours, in the midst of the rows
		_ = mrr.Close()
		return rows, err
	}
	if closing := mrr.Close(); closing != nil {
		return rows, closing
	}
	return rows, err
}

var (
	errTooManyRows = fmt.Errorf("more than %d rows", maxRows)
	errTooLarge    = fmt.Errorf("more than %d MiB", maxBytes>>20)
	errNoSelect    = errors.New("the statement has no rows: want one SELECT")
)

func (c *session) read(rr *pgconn.ResultReader) (rows collector.Rows, err error) {
	fields := rr.FieldDescriptions()
	convert := make([]func(string) collector.Exact, len(fields))
	for n, f := range fields {
		rows.Columns = append(rows.Columns, f.Name)
		convert[n] = c.s.converter(f.DataTypeOID)
	}
	size, more := 0, 0
	for rr.NextRow() {
		if err != nil {
			if more++; more > maxRows {
				c.conn.Conn().Close(context.Background()) // rather than read on for long
				return rows, err
			}
			continue
		}
		row := make([]any, len(fields))
		for n, text := range rr.Values() {
			size += len(text)
			if text != nil {
				row[n] = convert[n](string(text))
			}
		}
		rows.Values = append(rows.Values, row)
		switch {
		case len(rows.Values) > maxRows:
			err = errTooManyRows
		case size > maxBytes:
			err = errTooLarge
		}
	}
	if _, closing := rr.Close(); closing != nil {
		return rows, closing
	}
	if len(fields) == 0 {
		err = errNoSelect
	}
	return rows, err
}

// explain says why a query has no answer, in words of ours where there are some.
func (c *session) explain(ctx context.Context, err error, q question, took time.Duration) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return c.s.safe(ctx, err)
	}
	statement, lock := shorter(q.statement, c.ownStatement), shorter(q.lock, c.ownLock)
	switch cause := pg.Message(e, c.s.hide...); {
	case ctx.Err() != nil && cause == pg.Cancelled:
		return fmt.Errorf("postgres: %s: %w", pg.Cancelled, context.Cause(ctx))
	// A server that speaks another language does not say which limit it was.
	case cause == pg.StatementTimeout, cause == pg.Cancelled && took >= statement:
		return fmt.Errorf("postgres: %s: the query took longer than %v", pg.StatementTimeout, statement.Round(time.Millisecond))
	case cause == pg.LockTimeout:
		return fmt.Errorf("postgres: %s: the query waited longer than %v for a lock that another session holds",
			pg.LockTimeout, lock.Round(time.Millisecond))
	default:
		return fmt.Errorf("postgres: %s", cause)
	}
}

// connecting says why there is no connection.
func (s *Source) connecting(ctx context.Context, err error) error {
	var connect *pgconn.ConnectError
	if ctx.Err() != nil && !errors.As(err, &connect) {
		return fmt.Errorf("postgres: no connection before the scrape's deadline: %w", context.Cause(ctx))
	}
	return fmt.Errorf("postgres: %w", pg.Connecting(err))
}

// safe keeps what the server said, or that a deadline passed. Errors of the connection name host, user and database,
// which is more than a log that many may read should say.
func (s *Source) safe(ctx context.Context, err error) error {
	var e *pgconn.PgError
	switch {
	case errors.As(err, &e) && (e.Code == "22023" || e.Code == "42704"):
		for _, set := range s.settings {
			if strings.Contains(strings.ToLower(e.Message), `"`+strings.ToLower(set.Name)+`"`) {
				return fmt.Errorf("postgres: the server refuses the setting %s of the DSN or the source (SQLSTATE %s)", set.Name, e.Code)
			}
		}
		return fmt.Errorf("postgres: %s", pg.Message(e, s.hide...))
	case errors.As(err, &e):
		return fmt.Errorf("postgres: %s", pg.Message(e, s.hide...))
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: no answer: %w", context.Cause(ctx))
	case errors.Is(err, errTooManyRows), errors.Is(err, errTooLarge), errors.Is(err, errNoSelect):
		return fmt.Errorf("postgres: %w", err)
	}
	if cause := neterr.Cause(err); cause != "" {
		return fmt.Errorf("postgres: %s", cause)
	}
	return fmt.Errorf("postgres: %w", err)
}
