package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// link is the state of a connection between its transactions. If there is no pooler, statements stay prepared on it: parsing them
// again takes the server a tenth of the time of a scrape of small tables.
type link struct {
	known  bool   // its first transaction has begun, so that direct is known
	direct bool   // it is served by the server process to which it was opened: there is no pooler
	own    limits // of the session at the start of its last transaction
	// statuses are those of the session after the start of its transaction.
	statuses string
	named    map[string]string // names of prepared statements by their SQL; "" for one that cannot be prepared
	// sending are the statements that are being prepared.
	sending []string
}

// customLink is the key of a connection's link.
const customLink = "collector_link"

func linkOf(pgc *pgconn.PgConn) *link {
	if l, ok := pgc.CustomData()[customLink].(*link); ok {
		return l
	}
	l := &link{named: map[string]string{}}
	pgc.CustomData()[customLink] = l
	return l
}

// statementName derives the name from the SQL: even if a pooler that was not recognised shares the session with others, a name never
// stands for another query.
func statementName(sql string) string {
	sum := sha256.Sum256([]byte(sql))
	return fmt.Sprintf("awoooi_%x", sum[:12])
}

// customPlan plans a prepared statement for its window at each scrape: a generic plan assumes that a window selects a small part of a
// table.
var customPlan = pg.Setting{Name: "plan_cache_mode", Value: "force_custom_plan"}

// noWorkers runs a query in its own server process. The queries of a scrape run concurrently already: parallel workers would compete
// with them, and with the application whose database it is.
var noWorkers = pg.Setting{Name: "max_parallel_workers_per_gather", Value: "0"}

// prepares reports whether statements may stay prepared on a connection. The setting of customPlan exists since PostgreSQL 12.
func (s *Source) prepares(pgc *pgconn.PgConn, l *link) bool {
	return l.direct && serverMajor(pgc) >= 12 && !s.unprepared.Load()
}

// serverMajor is the server's major version, or 0 if it is unknown.
func serverMajor(pgc *pgconn.PgConn) int {
	major, _, _ := strings.Cut(pgc.ParameterStatus("server_version"), ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}

// send sends a statement, which is prepared first if it is new, and returns the number of answers to read.
func (l *link) send(p *pgconn.Pipeline, sql string, params [][]byte) (answers int) {
	name, known := l.named[sql]
	if !known {
		name, answers = statementName(sql), 1
		p.SendPrepare(name, sql, nil)
		l.sending = append(l.sending, sql)
	}
	p.SendQueryPrepared(name, params, nil, nil)
	return answers + 1
}

// sent stores that all statements that were sent are prepared.
func (l *link) sent() {
	for _, sql := range l.sending {
		l.named[sql] = statementName(sql)
	}
	l.sending = nil
}

// prepareFails reports whether the error is that of a server without a function or setting that prepared statements need here.
func prepareFails(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42883" || e.Code == "42704" || e.Code == "0A000") &&
		slices.ContainsFunc([]string{"pg_backend_pid", customPlan.Name, noWorkers.Name}, func(name string) bool {
			return strings.Contains(e.Message, name)
		})
}

// misplaced reports whether the error is that of a prepared statement that was discarded, or that exists already: another client uses
// the session too.
func misplaced(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "26000" || e.Code == "42P05")
}

// outdated reports whether the error is that of a prepared statement whose tables have changed since.
func outdated(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "0A000" && e.Routine == "RevalidateCachedQuery"
}

// keep prepares a statement that has just succeeded for the next scrape. The transaction holds locks of its tables, so that it does
// not wait.
func (c *session) keep(ctx context.Context, q question) {
	if !c.prepared || q.last || q.moment || c.lost() {
		return
	}
	pgc := c.conn.Conn().PgConn()
	if _, ok := c.link.named[q.sql]; ok || pgc.TxStatus() != 'T' {
		return
	}
	name := statementName(q.sql)
	if _, err := pgc.Prepare(ctx, name, q.sql, timestamptz[:len(q.names)]); err != nil {
		c.back(ctx)
		name = "" // not tried again on this connection
	}
	c.link.named[q.sql] = name
}

var momentWord = regexp.MustCompile(`(?i)\b(now|today|tomorrow|yesterday)\b`)

// namesMoment reports whether the SQL may hold a constant such as 'today', which the server evaluates when it prepares a statement.
func namesMoment(sql string) bool {
	for _, at := range momentWord.FindAllStringIndex(sql, -1) {
		if !strings.HasPrefix(strings.TrimLeft(sql[at[1]:], " \t\r\n"), "(") { // now() is a function
			return true
		}
	}
	return false
}
