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
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

const readOnly = "ISOLATION LEVEL REPEATABLE READ READ ONLY"

// session is a connection in a transaction with the source's settings, or, in statement mode, one that puts each query with its
// settings into a transaction of its own.
type session struct {
	s             *Source
	conn          *pgxpool.Conn
	snapshot      string // exported by this session, or joined; "" if there is none
	statementMode bool
	link          *link
	prepared      bool     // statements may stay prepared on the connection
	naive         []column // columns without time zone that the zone check found
	own           limits   // of the database, the role or the DSN; the source's are never longer
	set           limits   // of the source, as they are set now
	atSavepoint   limits   // of the source, as they are after a return to the savepoint
	sent          *sent    // the query that was sent and whose answer is read next; nil if there is none
}

// lead returns the query that is sent together with the start of a session, or nil for none. It is called only if statements stay
// prepared. An error means that the session is not needed.
type lead func() (*question, error)

// column is a column of a table.
type column struct{ table, name string }

// begin opens a session on a new snapshot, which it exports. check is a further SELECT of tables and columns, or "".
func (s *Source) begin(ctx context.Context, check string, first lead) (*session, error) {
	return s.open(ctx, &session{s: s}, check, func(net.Conn) {}, first)
}

// join opens a further session on a snapshot. Its first statement may wait in a pooler until the other sessions end: it is not
// cancelled, and starting is called with the connection, so that it can be closed.
func (s *Source) join(ctx context.Context, snapshot string, starting func(net.Conn), first lead) (*session, error) {
	return s.open(ctx, &session{s: s, snapshot: snapshot}, "", starting, first)
}

// joinPause is how long no further sessions are tried after some had to wait until the first one ended, as behind a pooler with
// one connection.
const joinPause = 10 * time.Minute

// joins reports whether further sessions are tried.
func (s *Source) joins() bool { return time.Now().UnixNano() >= s.joinAfter.Load() }

func (s *Source) joinLater() { s.joinAfter.Store(time.Now().Add(joinPause).UnixNano()) }

// open takes a connection and starts c on it. The pool may hold connections that were lost with the server; each of them is tried
// once.
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
		case prepareFails(err) && !s.unprepared.Swap(true):
		case c.prepared && misplaced(err) && !s.unprepared.Swap(true):
		case exportFails(err) && snapshot == "" && !s.noExport.Swap(true):
		case snapshot != "", !dead, attempt > s.max, ctx.Err() != nil:
			return nil, s.safe(ctx, err)
		}
	}
}

// exportFails reports whether the error is that of a server without exported snapshots, as of a database that only has
// PostgreSQL's protocol.
func exportFails(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42883" || e.Code == "0A000" || e.Code == "25001") &&
		strings.Contains(e.Message, "snapshot")
}

const savepoint = "SAVEPOINT q"

// ownLimits selects the limits of a session before the source's are set.
const ownLimits = "current_setting('statement_timeout'), current_setting('lock_timeout')"

// start begins the transaction, with a savepoint to which every failed query returns.
func (c *session) start(ctx context.Context, check string) error {
	var b strings.Builder
	pgc, settings := c.conn.Conn().PgConn(), c.settings()
	if c.statementMode { // one message is one transaction
		fmt.Fprintf(&b, "SET TRANSACTION %s; %s, %s; %s", readOnly, pg.Statement(settings...), ownLimits, check)
	} else {
		fmt.Fprintf(&b, "BEGIN %s; ", readOnly)
		more := ownLimits
		if c.link.known || c.s.unprepared.Load() {
			more += ", 0"
		} else {
			more += ", pg_backend_pid()"
		}
		if c.snapshot != "" {
			b.WriteString(c.takeSnapshot() + "; ")
		} else if !c.s.noExport.Load() {
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

// statuses are the values of those settings that change the result of a query, as far as the server reports them.
func (c *session) statuses() string {
	var b strings.Builder
	for _, name := range []string{"TimeZone", "DateStyle", "IntervalStyle", "client_encoding", plainStrings.Name, "search_path"} {
		b.WriteString(c.conn.Conn().PgConn().ParameterStatus(name) + "\n")
	}
	return b.String()
}

// startWith does the same as start with prepared statements, and sends the first query after them, without waiting for their
// answer. If one of them fails, the server skips the query too.
func (c *session) startWith(ctx context.Context, check string, q question) error {
	c.own = c.link.own // those of the transaction before: the current ones are known only after the query was sent
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
	exports := c.snapshot == "" && c.s.max > 1 && !c.s.noExport.Load()
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
	p.SendFlushRequest() // so that the answers do not wait for the query
	c.sendQuery(p, q)
	err := p.Sync()
	for n := 0; n < results && err == nil; n++ {
		err = c.receiveStart(p, len(settings), exports)
	}
	switch {
	case err == nil:
		c.link.sent()
	case len(c.link.sending) > 0: // some of them may be prepared now
		c.conn.Conn().Close(qctx)
	}
	return err
}

// receiveStart reads the answer to one of the statements that startWith sends before the query.
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

// settings are those of the transaction; those of the DSN come first and win.
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
	if !c.s.unprepared.Load() && serverMajor(pgc) >= 10 {
		add(noWorkers)
	}
	if pgc.ParameterStatus(plainStrings.Name) == "off" {
		add(plainStrings)
	}
	return settings
}

// plainStrings makes a backslash in a string without E an ordinary character, as internal/sqltext reads it. A database or a role may
// have it off.
var plainStrings = pg.Setting{Name: "standard_conforming_strings", Value: "on"}

// takeSnapshot is the statement that joins c.snapshot, which comes from the server and consists of hexadecimal digits and dashes.
func (c *session) takeSnapshot() string {
	return fmt.Sprintf("SET TRANSACTION SNAPSHOT '%s'", c.snapshot)
}

// began stores the limits that the session has without the source's.
func (c *session) began(statement, lock []byte) {
	c.own = limits{parseLimit(string(statement)), parseLimit(string(lock))}
	c.link.own = c.own
}

// checked stores the columns that the zone check found.
func (c *session) checked(rows [][][]byte) {
	for _, row := range rows {
		c.naive = append(c.naive, column{string(row[0]), string(row[1])})
	}
}

func (c *session) lost() bool { return c.conn.Conn().IsClosed() }

// end rolls back the transaction, also after the end of ctx, and releases the connection.
func (c *session) end(ctx context.Context) {
	defer c.conn.Release() // the pool destroys a connection that is closed or in a transaction
	if c.sent != nil {
		_ = c.sent.pipeline.Close() // its error was returned by open
		c.sent.cancel()
	}
	pgc := c.conn.Conn().PgConn()
	if c.lost() || pgc.IsBusy() || pgc.TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := pgc.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		c.conn.Conn().Close(ctx)
	}
}

// finish ends the session in the background, so that the scrape does not wait for the rollback. Behind a pooler it waits: the next
// session could take another connection, which a pooler with one connection serves only once this one is released.
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
