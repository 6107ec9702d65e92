package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// sent is a query that was sent and whose answer was not read yet.
type sent struct {
	question question
	pipeline *pgconn.Pipeline
	before   int             // statements in the pipeline before the query
	ctx      context.Context //nolint:containedctx // it lives as long as the query
	cancel   context.CancelFunc
}

// question is one query with its limits in this scrape.
type question struct {
	compiled
	since, until    time.Time
	statement, lock time.Duration
	last            bool // no other query waits
}

var timestamptz = []uint32{pgtype.TimestamptzOID, pgtype.TimestamptzOID}

// instant is the text of a timestamptz, which every TimeZone and DateStyle reads alike.
func instant(t time.Time) []byte { return t.UTC().AppendFormat(nil, "2006-01-02 15:04:05.000000+00") }

// ask runs one query in one round trip, or reads the answer to the one that was sent with the start. After a failure it rolls back
// to the savepoint, so that the next query can use the transaction.
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
		// The query has ended the transaction: later ones would neither read the snapshot nor be read-only.
		err = errNoSelect
		c.conn.Conn().Close(qctx)
	}
	if err == nil {
		c.keep(qctx, q)
		if !q.last && !c.statementMode && !c.lost() && c.statuses() != c.link.statuses {
			c.back(ctx) // it has changed a setting, which would change the results of other queries
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

// send sends a query, after the statements that must precede it.
func (c *session) send(ctx context.Context, q question) *sent {
	// The server ends the query at its timeout; the client's own deadline is for a server that does not answer.
	qctx, cancel := context.WithTimeout(ctx, q.statement+time.Second)
	p := c.conn.Conn().PgConn().StartPipeline(qctx)
	out := &sent{question: q, pipeline: p, before: c.prepare(p, q), ctx: qctx, cancel: cancel}
	c.sendQuery(p, q)
	_ = p.Sync() // receive returns its error
	return out
}

// sendQuery sends a query, and after the last one the end of the transaction.
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

// name is that of the query's prepared statement; "" if it has none.
func (c *session) name(q question) string {
	if !c.prepared {
		return ""
	}
	return c.link.named[q.sql]
}

// discard stops the use of a prepared statement that failed with err.
func (c *session) discard(ctx context.Context, sql string, err error) {
	if misplaced(err) {
		c.s.unprepared.Store(true)
		c.prepared = false
		return
	}
	if err := c.conn.Conn().PgConn().Deallocate(ctx, c.link.named[sql]); err != nil {
		c.back(ctx)
	}
	delete(c.link.named, sql)
}

// back returns to the savepoint after an error.
func (c *session) back(ctx context.Context) {
	if _, err := c.conn.Conn().PgConn().Exec(ctx, "ROLLBACK TO SAVEPOINT q").ReadAll(); err != nil {
		c.conn.Conn().Close(ctx) // the transaction cannot be used any more
	}
	c.set = c.atSavepoint
}

// prepare sends the statements that must precede the query, and returns their number.
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

// receive reads the answers of a pipeline, and returns the rows of its query.
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
	errTooManyRows = fmt.Errorf("more than %d rows", collector.MaxRows)
	errTooLarge    = fmt.Errorf("more than %d MiB", maxBytes>>20)
	errLargeRow    = fmt.Errorf("a row of more than %d MiB", maxRow>>20)
	errNoSelect    = errors.New("the statement gives no rows, want one SELECT")
)

// read reads the rows of a query, up to the limits.
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
			if more++; more > collector.MaxRows {
				c.conn.Conn().Close(context.Background()) // instead of reading many more rows
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
		case len(rows.Values) > collector.MaxRows:
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
