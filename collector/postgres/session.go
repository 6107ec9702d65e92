package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	own           limits   // that the session has without ours; ours are never longer
	set           limits   // of ours that are set now
	atSavepoint   limits   // of ours that a return to the savepoint leaves

	queue    []*sent // queries that were sent and not answered
	pipeline *pgconn.Pipeline
	pipeCtx  context.Context //nolint:containedctx // the pipeline's, while there is one
	cancel   context.CancelCauseFunc
	patience *time.Timer  // ends pipeCtx after until
	until    atomic.Int64 // in ns since 1970
	starts   int          // answers to the start that are still to come
	unsent   bool         // whether the queue's end is still to be written
}

// limits are time limits on the server, 0 for none.
type limits struct{ statement, lock time.Duration }

// sent is a query that is on its way.
type sent struct {
	question
	taken  *taken
	before int   // statements that came before the query
	cut    error // why the query was cut by us, if it was
}

// lead gives the query that is sent together with the start of a session, with nil for none. It is asked where statements
// stay prepared only; an error is why the session need not be started.
type lead func() (*taken, *question, error)

// column is a column of a table.
type column struct{ table, name string }

// begin opens a session on a new snapshot, which it exports. check is a further SELECT of tables and columns. A connection
// of idle is taken first.
func (s *Source) begin(ctx context.Context, idle *spare, check string, first lead) (*session, error) {
	return s.open(ctx, idle, "", check, func(net.Conn) {}, first)
}

// join opens a further session on a snapshot. The first statement may wait in a pooler for as long as other sessions live:
// starting takes its connection, which can be closed then. It is not cancelled.
func (s *Source) join(ctx context.Context, snapshot string, starting func(net.Conn), first lead) (*session, error) {
	return s.open(ctx, &spare{}, snapshot, "", starting, first)
}

// joinAtOnce sends the start of a further session, and its first query, over a spare connection where statements stay prepared.
// await tells what came of it.
func (s *Source) joinAtOnce(ctx context.Context, idle *spare, snapshot string, first lead) (*session, error) {
	conn := idle.take()
	if conn == nil {
		return nil, errNoSpare
	}
	c := s.session(conn, snapshot)
	if !c.prepared {
		conn.Release()
		return nil, errNoSpare
	}
	t, q, err := first()
	if err != nil {
		conn.Release()
		return nil, err
	}
	if q == nil {
		conn.Release()
		return nil, errNoSpare
	}
	c.sendStart(ctx, "", t, *q)
	return c, nil
}

// await waits for a session that joinAtOnce has started.
func (c *session) await(ctx context.Context) error {
	err := c.receiveStart()
	if err != nil {
		c.end(ctx)
		c.s.learn(err, c)
		err = c.s.safe(context.Cause(ctx), err)
	}
	return err
}

var errNoSpare = errors.New("no spare connection can be started at once")

// spare are idle connections that a round has taken from the pool.
type spare struct{ conns []*pgxpool.Conn }

func (s *spare) take() *pgxpool.Conn {
	if len(s.conns) == 0 {
		return nil
	}
	conn := s.conns[0]
	s.conns = s.conns[1:]
	return conn
}

func (s *spare) release() {
	for conn := s.take(); conn != nil; conn = s.take() {
		conn.Release()
	}
}

// joinPause is how long no further sessions are tried where they had to wait until the first was done: a pooler may have
// one connection only.
const joinPause = 10 * time.Minute

// joins says whether further sessions are of use.
func (s *Source) joins() bool { return time.Now().UnixNano() >= s.joinAfter.Load() }

func (s *Source) joinLater() { s.joinAfter.Store(time.Now().Add(joinPause).UnixNano()) }

// session is one on conn, before its start.
func (s *Source) session(conn *pgxpool.Conn, snapshot string) *session {
	pgc := conn.Conn().PgConn()
	c := &session{s: s, conn: conn, snapshot: snapshot, statementMode: s.statementMode.Load(), link: linkOf(pgc)}
	c.prepared = !c.statementMode && s.prepares(pgc, c.link)
	return c
}

// open takes a connection and starts a session on it. The pool may hold connections that died with the server since; each of
// them is tried once.
func (s *Source) open(
	ctx context.Context, idle *spare, snapshot, check string, starting func(net.Conn), first lead,
) (*session, error) {
	for attempt := 0; ; attempt++ {
		conn, err := idle.take(), error(nil)
		if conn == nil {
			conn, err = s.pool.Acquire(ctx)
		}
		if err != nil {
			return nil, s.connecting(ctx, err)
		}
		c := s.session(conn, snapshot)
		var t *taken
		var q *question
		if c.prepared {
			if t, q, err = first(); err != nil {
				conn.Release()
				return nil, err
			}
		}
		switch start := ctx; {
		case q != nil:
			c.sendStart(ctx, check, t, *q)
			err = c.receiveStart()
		default:
			if snapshot != "" {
				start = context.WithoutCancel(ctx)
			}
			starting(conn.Conn().PgConn().Conn())
			err = c.start(start, check)
		}
		if err == nil {
			return c, nil
		}
		dead := c.lost()
		c.end(ctx)
		if !s.learn(err, c) && (snapshot != "" || !dead || attempt > s.max || ctx.Err() != nil) {
			return nil, s.safe(context.Cause(ctx), err)
		}
	}
}

// learn notes what the failed start of a session says about the server, and returns whether another try may fare better.
func (s *Source) learn(err error, c *session) bool {
	switch {
	case pg.NeedsStatements(err) && !c.statementMode:
		s.statementMode.Store(true)
	case prepareFails(err) && !s.plain.Swap(true):
	case c.prepared && misplaced(err) && !s.plain.Swap(true):
	case exportFails(err) && c.snapshot == "" && !s.alone.Swap(true):
	default:
		return false
	}
	return true
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
	return nil
}

// sendStart does the same as start with prepared statements, and sends the first query behind them, so that it does not wait
// for their answer. Where one of them fails, the server skips the query too.
func (c *session) sendStart(ctx context.Context, check string, t *taken, q question) {
	c.own = c.link.own // as it was in the transaction before; what it is now is known when the query is on its way
	c.set = c.limits(q)
	c.atSavepoint = c.set
	c.openPipeline(ctx)
	list := pg.Statement(c.settings()...) + ", " + ownLimits
	var params [][]byte
	for n, limit := range c.set.settings() {
		list += fmt.Sprintf(", set_config('%s', $%d, true)", limit.Name, n+1)
		params = append(params, []byte(limit.Value))
	}
	if c.snapshot == "" && c.s.max > 1 && !c.s.alone.Load() {
		list += ", pg_export_snapshot()"
	}
	c.starts = c.link.send(c.pipeline, "BEGIN "+readOnly, nil)
	if c.snapshot != "" {
		c.pipeline.SendQueryParams(c.takeSnapshot(), nil, nil, nil, nil)
		c.starts++
	}
	c.starts += c.link.send(c.pipeline, list, params)
	if check != "" {
		c.starts += c.link.send(c.pipeline, check, nil)
	}
	c.starts += c.link.send(c.pipeline, savepoint, nil)
	c.pipeline.SendFlushRequest() // what has come so far is answered at once
	c.send(ctx, t, q)
	c.flush(q)
}

// receiveStart reads the answers to what sendStart has sent before the query.
func (c *session) receiveStart() (err error) {
	for ; c.starts > 0 && err == nil; c.starts-- {
		err = c.receiveStarted()
	}
	switch {
	case err == nil:
		c.link.sent()
	case len(c.link.sending) > 0: // which of them are prepared now is not known
		c.conn.Conn().Close(c.pipeCtx)
	}
	return err
}

func (c *session) receiveStarted() error {
	result, err := c.pipeline.GetResults()
	rr, rows := result.(*pgconn.ResultReader)
	if err != nil || !rows {
		return err
	}
	r, settings := rr.Read(), len(c.settings())
	switch {
	case r.Err != nil:
		return r.Err
	case len(r.FieldDescriptions) == 2 && r.FieldDescriptions[0].Name == checkTable:
		c.checked(r.Rows)
	case len(r.Rows) == 1 && len(r.Rows[0]) > settings:
		row := r.Rows[0][settings:]
		c.began(row[0], row[1])
		if len(row) > 4 {
			c.snapshot = string(row[4])
		}
	}
	return nil
}

// openPipeline begins a pipeline, unless there is one.
func (c *session) openPipeline(ctx context.Context) {
	if c.pipeline != nil {
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	c.pipeCtx, c.cancel = ctx, cancel
	c.pipeline = c.conn.Conn().PgConn().StartPipeline(ctx)
}

// closePipeline ends the pipeline, with the answers that were not read.
func (c *session) closePipeline() error {
	if c.pipeline == nil {
		return nil
	}
	err := c.pipeline.Close()
	if c.patience != nil {
		c.patience.Stop()
	}
	c.cancel(nil)
	c.pipeline, c.queue, c.patience = nil, nil, nil
	return err
}

// settings are what the transaction sets for itself; those of the DSN come first.
func (c *session) settings() []pg.Setting {
	settings := slices.Clone(c.s.settings)
	add := func(extra pg.Setting) {
		if !slices.ContainsFunc(settings, func(s pg.Setting) bool { return s.Name == extra.Name }) {
			settings = append(settings, extra)
		}
	}
	if c.prepared {
		add(customPlan)
	}
	if !c.s.plain.Load() && serverMajor(c.conn.Conn().PgConn()) >= 10 {
		add(noWorkers)
	}
	return settings
}

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
	_ = c.closePipeline()  // why it failed was returned
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

// ask waits for the answer to the query that was sent first. A failure rolls back to the savepoint, so that the next query
// finds the transaction sound. again are queries that are still to be asked, since the server skipped them behind one that
// failed, or since a prepared statement was no longer good.
func (c *session) ask(ctx context.Context) (rows collector.Rows, again []*taken, err error) {
	s, pgc := c.queue[0], c.conn.Conn().PgConn()
	prepared := c.name(s.question) != ""
	start := time.Now()
	rows, err = c.receive()
	if !c.lost() && !c.statementMode && !s.last && pgc.TxStatus() == 'I' {
		// What came after it would be neither of the snapshot nor kept from writing.
		err = errNoSelect
		c.conn.Conn().Close(ctx)
	}
	if err == nil {
		c.keep(ctx, s.question)
		return rows, nil, nil
	}
	took := time.Since(start)
	if c.lost() || pgc.TxStatus() != 'T' || len(c.queue) == 0 {
		for _, skipped := range c.queue {
			again = append(again, skipped.taken)
		}
		_ = c.closePipeline() // they were skipped
	}
	retry := prepared && (misplaced(err) || outdated(err))
	if !c.lost() && ctx.Err() == nil && pgc.TxStatus() == 'E' && (!s.last || retry) {
		c.back(ctx)
		if retry && !c.lost() {
			c.discard(ctx, s.sql, err)
			return collector.Rows{}, append([]*taken{s.taken}, again...), nil
		}
	}
	return collector.Rows{}, again, c.explain(err, s, took)
}

// send sends a query, and what must come before it, behind those that were sent before. ask writes it.
func (c *session) send(ctx context.Context, t *taken, q question) {
	c.openPipeline(ctx)
	c.queue = append(c.queue, &sent{question: q, taken: t, before: c.prepare(c.pipeline, q)})
	c.sendQuery(c.pipeline, q)
	c.pipeline.SendPipelineSync()
	c.unsent = true
}

// flush writes what was sent. The server ends a query at its timeout; the client's own deadline is for a server that does not
// answer at all.
func (c *session) flush(q question) {
	left := q.statement + time.Second
	c.until.Store(time.Now().Add(left).UnixNano())
	if c.patience == nil {
		c.patience = c.wait(left, c.cancel)
	}
	if c.unsent {
		c.unsent = false
		_ = c.pipeline.Flush() // its error is the answer too
	}
}

// wait ends a pipeline after c.until, which moves as queries are answered.
func (c *session) wait(left time.Duration, cancel context.CancelCauseFunc) (timer *time.Timer) {
	var mu sync.Mutex // until timer is there
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if left := time.Until(time.Unix(0, c.until.Load())); left > 0 {
			timer.Reset(left)
		} else {
			cancel(context.DeadlineExceeded)
		}
	})
	return timer
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

// receive reads the answers to the query that was sent first; its own is the one after the first before.
func (c *session) receive() (rows collector.Rows, err error) {
	s := c.queue[0]
	c.flush(s.question)
	for n := 0; ; n++ {
		result, fault := c.pipeline.GetResults()
		rr, more := result.(*pgconn.ResultReader)
		switch {
		case !more:
		case n == s.before:
			rows, fault = c.read(rr)
		default:
			_, fault = rr.Close()
		}
		if err == nil {
			err = fault
		}
		if !more && !errors.As(fault, new(*pgconn.PgError)) || c.lost() { // the end, or no connection
			break
		}
	}
	s.cut = context.Cause(c.pipeCtx)
	c.queue = c.queue[1:]
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
func (c *session) explain(err error, s *sent, took time.Duration) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return c.s.safe(s.cut, err)
	}
	limit := c.limits(s.question)
	switch cause := pg.Message(e, c.s.hide...); {
	case s.cut != nil && cause == pg.Cancelled:
		return fmt.Errorf("postgres: %s: %w", pg.Cancelled, s.cut)
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

// safe keeps what the server said, or why we cut it. Errors of the connection name host, user and database,
// which is more than a log that many may read should say.
func (s *Source) safe(cut, err error) error {
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
	case cut != nil:
		return fmt.Errorf("postgres: no answer: %w", cut)
	case errors.Is(err, errTooManyRows), errors.Is(err, errTooLarge), errors.Is(err, errNoSelect):
		return fmt.Errorf("postgres: %w", err)
	}
	if cause := neterr.Cause(err); cause != "" {
		return fmt.Errorf("postgres: %s", cause)
	}
	return fmt.Errorf("postgres: %w", err)
}
