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

// link is what is known of a connection beyond its transactions. Where no pooler stands in between, statements stay prepared
// on it: parsing and rewriting them again would take the server a tenth of the time of a scrape of small tables.
type link struct {
	known  bool   // whether its first transaction has begun
	direct bool   // its server process is the one that it was opened to
	own    limits // that its last transaction began with
	// statuses are the settings that the server reports of a transaction that has begun.
	statuses string
	named    map[string]string // names of prepared statements by their SQL; "" is one that cannot be prepared
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

// statementName is the same for the same SQL only: even where something that was taken for a server shares its sessions, a
// name never stands for another query.
func statementName(sql string) string {
	sum := sha256.Sum256([]byte(sql))
	return fmt.Sprintf("awoooi_%x", sum[:12])
}

// customPlan keeps the plan of a prepared statement that of its window: one for any window would be made for a small part of
// a table.
var customPlan = pg.Setting{Name: "plan_cache_mode", Value: "force_custom_plan"}

// noWorkers keeps a query to its own connection. The queries of a scrape run side by side already: workers of their own would
// compete with them, and with those whom the database is for.
var noWorkers = pg.Setting{Name: "max_parallel_workers_per_gather", Value: "0"}

// prepares says whether statements may stay prepared on a connection. The setting customPlan is there since PostgreSQL 12.
func (s *Source) prepares(pgc *pgconn.PgConn, l *link) bool {
	return l.direct && serverMajor(pgc) >= 12 && !s.plain.Load()
}

// serverMajor is the server's version as far as it is known, else 0.
func serverMajor(pgc *pgconn.PgConn) int {
	major, _, _ := strings.Cut(pgc.ParameterStatus("server_version"), ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}

// send sends a statement, which is prepared when it is sent for the first time, and returns how many answers that gives.
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

// sent notes that all that send has sent is prepared.
func (l *link) sent() {
	for _, sql := range l.sending {
		l.named[sql] = statementName(sql)
	}
	l.sending = nil
}

// prepareFails says whether an error is that of a server that does not know what prepared statements need here.
func prepareFails(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "42883" || e.Code == "42704" || e.Code == "0A000") &&
		slices.ContainsFunc([]string{"pg_backend_pid", customPlan.Name, noWorkers.Name}, func(name string) bool {
			return strings.Contains(e.Message, name)
		})
}

// misplaced says whether an error is that of a prepared statement that somebody has discarded, or that is there already: the
// session is not ours alone.
func misplaced(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "26000" || e.Code == "42P05")
}

// outdated says whether an error is that of a prepared statement whose tables have changed since.
func outdated(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "0A000" && e.Routine == "RevalidateCachedQuery"
}

// keep prepares a statement that has just succeeded, and whose tables the transaction has locked, for the next scrape.
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

// namesMoment says whether SQL may hold a constant such as 'today', which the server reads when a statement is prepared.
func namesMoment(sql string) bool {
	for _, at := range momentWord.FindAllStringIndex(sql, -1) {
		if !strings.HasPrefix(strings.TrimLeft(sql[at[1]:], " \t\r\n"), "(") { // now() is a function
			return true
		}
	}
	return false
}
