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
	"github.com/jackc/pgx/v5/pgproto3"
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
	own           limits   // that the session has without ours; ours are never longer
	set           limits   // of ours that are set now
	atSavepoint   limits   // of ours that a return to the savepoint leaves
	sent          *sent    // the query whose answer is next to be read, if one was sent
}

// limits are time limits on the server, 0 for none.
type limits struct{ statement, lock time.Duration }

// sent is a query that is on its way.
type sent struct {
	question question
	pipeline *pgconn.Pipeline
	before   int             // statements that came before the query
	ctx      context.Context //nolint:containedctx // it lives as long as the query
	cancel   context.CancelFunc
}

// lead gives the query that is sent together with the start of a session, or nil for none. It is asked where statements
// stay prepared only; an error is why the session need not be started.
type lead func() (*question, error)

// column is a column of a table.
type column struct{ table, name string }

// begin opens a session on a new snapshot, which it exports. check is a further SELECT of tables and columns.
func (s *Source) begin(ctx context.Context, check string, first lead) (*session, error) {
	return s.open(ctx, &session{s: s}, check, func(net.Conn) {}, first)
}

// join opens a further session on a snapshot. The first statement may wait in a pooler for as long as other sessions live:
// starting takes its connection, which can be closed then. It is not cancelled.
func (s *Source) join(ctx context.Context, snapshot string, starting func(net.Conn), first lead) (*session, error) {
	return s.open(ctx, &session{s: s, snapshot: snapshot}, "", starting, first)
}

// joinPause is how long no further sessions are tried where they had to wait until the first was done: a pooler may have
// one connection only.
const joinPause = 10 * time.Minute

// joins says whether further sessions are of use.
func (s *Source) joins() bool { return time.Now().UnixNano() >= s.joinAfter.Load() }

func (s *Source) joinLater() { s.joinAfter.Store(time.Now().Add(joinPause).UnixNano()) }

// open takes a connection and starts c on it. The pool may hold connections that died with the server since; each of them
// is tried once.
func (s *Source) open(ctx context.Context, c *session, check string, starting func(net.Conn), first lead) (*session, error) {
	snapshot := c.snapshot
	for attempt := 0; ; attempt++ {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return nil, s.connecting(ctx, err)
		}
		pgc := conn.Conn().PgConn()
		*c = session{s: s, conn: conn, snapshot: snapshot, statementMode: s.statementMode.Load(), link: linkOf(pgc)}
		c.prepared = !c.statementMode && s.prepares(pgc, c.link)
		var q *question
		if c.prepared {
			if q, err = first(); err != nil {
				conn.Release()
				return nil, err
			}
		}
		switch start := ctx; {
		case q != nil:
			err = c.startWith(ctx, check, *q)
		default:
			if snapshot != "" {
				start = context.WithoutCancel(ctx)
			}
			starting(pgc.Conn())
			err = c.start(start, check)
		}
		if err == nil {
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

const savepoint = "SAVEPOINT q"

// ownLimits are the limits that a session has before ours are set.
const ownLimits = "current_setting('statement_timeout'), current_setting('lock_timeout')"

// start begins the transaction, with a savepoint that every failed query goes back to.
func (c *session) start(ctx context.Context, check string) error {
	var b strings.Builder
	pgc, settings := c.conn.Conn().PgConn(), c.settings()
	if c.statementMode { // one message is one transaction
		fmt.Fprintf(&b, "SET TRANSACTION %s; %s, %s; %s", readOnly, pg.Statement(settings...), ownLimits, check)
	} else {
		fmt.Fprintf(&b, "BEGIN %s; ", readOnly)
		more := ownLimits
		if c.link.known || c.s.plain.Load() {
			more += ", 0"
		} else {
			more += ", pg_backend_pid()"
		}
		if c.snapshot != "" {
			b.WriteString(c.takeSnapshot() + "; ")
		} else if !c.s.alone.Load() {
			more += ", pg_export_snapshot()"
		}
		fmt.Fprintf(&b, "%s, %s; ", pg.Statement(settings...), more)
		if check != "" {
			b.WriteString(check + "; ")
		}
		b.WriteString(savepoint)
	}
	results, err := pgc.Exec(ctx, b.String()).ReadAll()
	if err != nil {
		return err
	}
	for _, r := range results {
		switch {
		case len(r.Rows) == 1 && len(r.Rows[0]) > len(settings):
			own := r.Rows[0][len(settings):]
			if !c.statementMode && !c.link.known {
				c.link.known, c.link.direct = true, string(own[2]) == strconv.FormatUint(uint64(pgc.PID()), 10)
			}
			c.began(own[0], own[1])
			if len(own) > 3 {
				c.snapshot = string(own[3])
			}
		case len(r.FieldDescriptions) == 2 && r.FieldDescriptions[0].Name == checkTable:
			c.checked(r.Rows)
		}
	}
	c.link.statuses = c.statuses()
	return nil
}

// statuses are the settings that the server reports when they change, of those that change what a query gives.
func (c *session) statuses() string {
	var b strings.Builder
	for _, name := range []string{"TimeZone", "DateStyle", "IntervalStyle", "client_encoding", plainStrings.Name, "search_path"} {
		b.WriteString(c.conn.Conn().PgConn().ParameterStatus(name) + "\n")
	}
	return b.String()
}

// startWith does the same as start with prepared statements, and sends the first query behind them, so that it does not wait
// for their answer. Where one of them fails, the server skips the query too.
func (c *session) startWith(ctx context.Context, check string, q question) error {
	c.own = c.link.own // as it was in the transaction before; what it is now is known when the query is on its way
	c.set = c.limits(q)
	c.atSavepoint = c.set
	qctx, cancel := context.WithTimeout(ctx, q.statement+time.Second)
	p := c.conn.Conn().PgConn().StartPipeline(qctx)
	c.sent = &sent{question: q, pipeline: p, ctx: qctx, cancel: cancel}
	settings := c.settings()
	list := pg.Statement(settings...) + ", " + ownLimits
	var params [][]byte
	for n, limit := range c.set.settings() {
		list += fmt.Sprintf(", set_config('%s', $%d, true)", limit.Name, n+1)
		params = append(params, []byte(limit.Value))
	}
	exports := c.snapshot == "" && c.s.max > 1 && !c.s.alone.Load()
	if exports {
		list += ", pg_export_snapshot()"
	}
	results := c.link.send(p, "BEGIN "+readOnly, nil)
	if c.snapshot != "" {
		p.SendQueryParams(c.takeSnapshot(), nil, nil, nil, nil)
		results++
	}
	results += c.link.send(p, list, params)
	if check != "" {
		results += c.link.send(p, check, nil)
	}
	results += c.link.send(p, savepoint, nil)
	p.SendFlushRequest() // what has come so far is answered at once
	c.sendQuery(p, q)
	err := p.Sync()
	for n := 0; n < results && err == nil; n++ {
		err = c.receiveStart(p, len(settings), exports)
	}
	switch {
	case err == nil:
		c.link.sent()
	case len(c.link.sending) > 0: // which of them are prepared now is not known
		c.conn.Conn().Close(qctx)
	}
	return err
}

// receiveStart reads one answer to what startWith has sent before the query.
func (c *session) receiveStart(p *pgconn.Pipeline, settings int, exports bool) error {
	result, err := p.GetResults()
	rr, rows := result.(*pgconn.ResultReader)
	if err != nil || !rows {
		return err
	}
	r := rr.Read()
	switch {
	case r.Err != nil:
		return r.Err
	case len(r.FieldDescriptions) == 2 && r.FieldDescriptions[0].Name == checkTable:
		c.checked(r.Rows)
	case len(r.Rows) == 1 && len(r.Rows[0]) > settings:
		row := r.Rows[0]
		c.began(row[settings], row[settings+1])
		if exports {
			c.snapshot = string(row[len(row)-1])
		}
	}
	return nil
}

// settings are what the transaction sets for itself; those of the DSN come first.
func (c *session) settings() []pg.Setting {
	settings := slices.Clone(c.s.settings)
	add := func(extra pg.Setting) {
		if !slices.ContainsFunc(settings, func(s pg.Setting) bool { return s.Name == extra.Name }) {
			settings = append(settings, extra)
		}
	}
	pgc := c.conn.Conn().PgConn()
	if c.prepared {
		add(customPlan)
	}
	if !c.s.plain.Load() && serverMajor(pgc) >= 10 {
		add(noWorkers)
	}
	if pgc.ParameterStatus(plainStrings.Name) == "off" {
		add(plainStrings)
	}
	return settings
}

// plainStrings makes a backslash in a string without E an ordinary character, as it was when the names of parameters were looked
// for. A database or a role may have it off.
var plainStrings = pg.Setting{Name: "standard_conforming_strings", Value: "on"}

// takeSnapshot is the statement that joins c.snapshot, the server's own word: hexadecimal digits and dashes.
func (c *session) takeSnapshot() string {
	return fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", c.snapshot)
}

// began notes the limits that the session has without ours.
func (c *session) began(statement, lock []byte) {
	c.own = limits{parseLimit(string(statement)), parseLimit(string(lock))}
	c.link.own = c.own
}

// checked notes what the zone check found.
func (c *session) checked(rows [][][]byte) {
	for _, row := range rows {
		c.naive = append(c.naive, column{string(row[0]), string(row[1])})
	}
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
	if c.sent != nil {
		_ = c.sent.pipeline.Close() // why it failed was returned
		c.sent.cancel()
	}
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

// finish ends the session without waiting for the server, if the transaction has not ended. Behind a pooler it waits: the next
// session could take another connection meanwhile, to which a pooler with one connection gives it when this one is closed.
func (c *session) finish(ctx context.Context) {
	if !c.link.direct || c.lost() || c.conn.Conn().PgConn().TxStatus() == 'I' {
		c.end(ctx)
		return
	}
	c.s.ending.Add(1)
	go func() {
		defer c.s.ending.Add(-1)
		c.end(ctx)
	}()
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

// ask runs one query, all in one round trip, unless it was sent with the start; a failure rolls back to the savepoint, so
// that the next query finds the transaction sound.
func (c *session) ask(ctx context.Context, q question) (collector.Rows, error) {
	sent := c.sent
	if c.sent = nil; sent == nil {
		sent = c.send(ctx, q)
	}
	defer sent.cancel()
	qctx, pgc, prepared := sent.ctx, c.conn.Conn().PgConn(), c.name(q) != ""
	start := time.Now()
	rows, err := c.receive(sent)
	if !c.lost() && !c.statementMode && !q.last && pgc.TxStatus() == 'I' {
		// What came after it would be neither of the snapshot nor kept from writing.
		err = errNoSelect
		c.conn.Conn().Close(qctx)
	}
	if err == nil {
		c.keep(qctx, q)
		if !q.last && !c.statementMode && !c.lost() && c.statuses() != c.link.statuses {
			c.back(ctx) // it has changed a setting, by which others would read their times otherwise
		}
		return rows, nil
	}
	took := time.Since(start)
	retry := prepared && (misplaced(err) || outdated(err))
	if !c.lost() && ctx.Err() == nil && pgc.TxStatus() != 'I' && (!q.last || retry) {
		c.back(ctx)
		if retry && !c.lost() {
			c.discard(ctx, q.sql, err)
			return c.ask(ctx, q)
		}
	}
	return collector.Rows{}, c.explain(qctx, err, q, took)
}

// send sends a query, and what must come before it.
func (c *session) send(ctx context.Context, q question) *sent {
	// The server ends the query at its timeout; the client's own deadline is for a server that does not answer at all.
	qctx, cancel := context.WithTimeout(ctx, q.statement+time.Second)
	p := c.conn.Conn().PgConn().StartPipeline(qctx)
	out := &sent{question: q, pipeline: p, before: c.prepare(p, q), ctx: qctx, cancel: cancel}
	c.sendQuery(p, q)
	_ = p.Sync() // its error is the answer too
	return out
}

// sendQuery sends a query, and the end of the transaction behind the last one.
func (c *session) sendQuery(p *pgconn.Pipeline, q question) {
	var params [][]byte
	for _, name := range q.names {
		params = append(params, instant(map[string]time.Time{kpi.Since: q.since, kpi.Until: q.until}[name]))
	}
	if name := c.name(q); name != "" {
		p.SendQueryPrepared(name, params, nil, nil)
	} else {
		p.SendQueryParams(q.sql, params, timestamptz[:len(params)], nil, nil)
	}
	if q.last && !c.statementMode {
		p.SendQueryParams("ROLLBACK", nil, nil, nil, nil)
	}
}

// name is that of the prepared statement of a query, or "".
func (c *session) name(q question) string {
	if !c.prepared {
		return ""
	}
	return c.link.named[q.sql]
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
	c.set = c.atSavepoint
}

// prepare sends what must come before the query, and returns how many statements that are.
func (c *session) prepare(p *pgconn.Pipeline, q question) int {
	now := c.limits(q)
	switch {
	case c.statementMode:
		p.SendQueryParams("SET TRANSACTION "+readOnly, nil, nil, nil, nil)
		p.SendQueryParams(pg.Statement(append(now.settings(), c.settings()...)...), nil, nil, nil, nil)
		return 2
	case now == c.set:
		return 0
	}
	p.SendQueryParams(pg.Statement(now.settings()...), nil, nil, nil, nil)
	c.set = now
	return 1
}

// limits are those of a query in this session.
func (c *session) limits(q question) limits {
	return limits{shorter(q.statement, c.own.statement), shorter(q.lock, c.own.lock)}
}

func (l limits) settings() []pg.Setting {
	return []pg.Setting{
		{Name: "statement_timeout", Value: strconv.FormatInt(max(1, l.statement.Milliseconds()), 10)},
		{Name: "lock_timeout", Value: strconv.FormatInt(max(1, l.lock.Milliseconds()), 10)},
	}
}

// shorter returns the shorter of two limits, where 0 means none.
func shorter(ours, own time.Duration) time.Duration {
	if own > 0 {
		return min(ours, own)
	}
	return ours
}

// receive reads the answers to what was sent; the query's own is the one after the first before.
func (c *session) receive(s *sent) (rows collector.Rows, err error) {
	for n := 0; err == nil; n++ {
		var result any
		if result, err = s.pipeline.GetResults(); err != nil {
			break
		}
		rr, more := result.(*pgconn.ResultReader)
		if !more { // the end
			break
		}
		if n == s.before {
			rows, err = c.read(rr)
		} else {
			_, err = rr.Close()
		}
	}
	if closing := s.pipeline.Close(); err == nil {
		err = closing
	}
	return rows, err
}

var (
	errTooManyRows = fmt.Errorf("more than %d rows", maxRows)
	errTooLarge    = fmt.Errorf("more than %d MiB", maxBytes>>20)
	errLargeRow    = fmt.Errorf("a row of more than %d MiB", maxRow>>20)
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
	limit := c.limits(q)
	switch cause := pg.Message(e, c.s.hide...); {
	case ctx.Err() != nil && cause == pg.Cancelled:
		return fmt.Errorf("postgres: %s: %w", pg.Cancelled, context.Cause(ctx))
	// A server that speaks another language does not say which limit it was.
	case cause == pg.StatementTimeout, cause == pg.Cancelled && took >= limit.statement:
		return fmt.Errorf("postgres: %s: the query took longer than %v", pg.StatementTimeout, limit.statement.Round(time.Millisecond))
	case cause == pg.LockTimeout:
		return fmt.Errorf("postgres: %s: the query waited longer than %v for a lock that another session holds",
			pg.LockTimeout, limit.lock.Round(time.Millisecond))
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
	var (
		e    *pgconn.PgError
		long *pgproto3.ExceededMaxBodyLenErr
	)
	switch {
	case errors.As(err, &long):
		return fmt.Errorf("postgres: %w", errLargeRow)
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
	cause := neterr.Cause(err)
	if strings.HasSuffix(err.Error(), "conn closed") { // pgconn's own error has no type
		cause = neterr.Lost
	}
	if cause != "" {
		return fmt.Errorf("postgres: %s", cause)
	}
	return fmt.Errorf("postgres: %w", err)
}
