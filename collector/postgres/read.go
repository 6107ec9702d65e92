package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/pg"
)

const (
	// reportTime is reserved at the end of a scrape for the server's answer why it ended a query.
	reportTime = 100 * time.Millisecond
	// leastTime, or 1/leastShare of the scrape's time if that is more, is reserved for each query that still waits, so that slow ones
	// do not take the whole scrape.
	leastTime  = 50 * time.Millisecond
	leastShare = 20
)

var errNotStarted = errors.New("not started before the scrape's deadline: the queries before it took too long")

// read is one Read of the source. Several connections take its queries, each one after the other.
type read struct {
	s       *Source
	ctx     context.Context //nolint:containedctx // it lives as long as the read
	until   time.Time
	queries []kpi.Query
	sql     []compiled
	give    collector.Give
	begun   time.Time

	mu       sync.Mutex
	todo     []int // queries that were not taken yet, in order
	started  []time.Time
	answered []bool
	starting map[int]net.Conn // further connections whose first statement was not answered yet
	leading  int              // further connections that have taken a query before their start was answered
	led      sync.Cond        // signals that leading has become smaller
	working  sync.WaitGroup   // connections that take queries
	closed   bool             // no further connection may take queries
}

// Read answers the queries from one snapshot of the database: the first connection exports it, and up to MaxConns connections run
// the queries concurrently, the longest first, and those that failed the last time at the end. If a connection is lost, only the
// query that ran on it fails. Behind a pooler that allows no transaction, each query has its own snapshot.
func (s *Source) Read(ctx context.Context, until time.Time, queries []kpi.Query, give collector.Give) {
	r := &read{
		s: s, ctx: ctx, until: until, queries: queries, give: give, begun: time.Now(), sql: make([]compiled, len(queries)),
		started: make([]time.Time, len(queries)), answered: make([]bool, len(queries)),
	}
	r.led.L = &r.mu
	for n, q := range queries {
		if r.sql[n] = s.compile(q); r.sql[n].err != nil {
			r.answer(n, collector.Result{Err: fmt.Errorf("postgres: %w", r.sql[n].err)})
			continue
		}
		r.todo = append(r.todo, n)
	}
	r.order()
	if len(r.todo) == 0 {
		return
	}
	// At the deadline every query gets its answer at once, without waiting for the server to confirm a cancellation.
	stop := context.AfterFunc(ctx, r.cut)
	defer stop()
	for r.more() && ctx.Err() == nil {
		if err := r.round(); err != nil {
			r.fail(err)
			break
		}
	}
	if ctx.Err() != nil {
		r.cut()
	}
}

// order puts the longest queries first, so that they run concurrently with the others, and those that failed last, so that they
// delay no other.
func (r *read) order() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	rank := func(a asked) int {
		if a.failed {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(r.todo, func(a, b int) int {
		x, y := r.s.history[r.queries[a].Name], r.s.history[r.queries[b].Name]
		return cmp.Or(cmp.Compare(rank(x), rank(y)), cmp.Compare(y.took, x.took))
	})
}

// taken is a query that a connection has taken, with those that still wait.
type taken struct {
	n       int
	waiting []int
	last    bool // the transaction may end with it
}

// round runs the queries on one snapshot. If all of its connections are lost, the queries that are left are run by the next round, on
// a snapshot that is younger by milliseconds.
func (r *read) round() error {
	var lead *taken
	first, err := r.s.begin(r.ctx, r.zoneCheck(), func() (*question, error) {
		if lead == nil {
			lead = r.next(true)
		}
		return r.question(lead), nil
	})
	if err != nil {
		return err
	}
	defer first.finish(r.ctx) // its snapshot can be joined only until then
	for n, fault := range r.zoneFaults(first.naive) {
		r.answer(n, collector.Result{Err: fault})
	}
	joining, stop := context.WithCancel(r.ctx)
	defer stop()
	r.mu.Lock()
	r.closed, r.starting = false, map[int]net.Conn{}
	more := len(r.todo)
	if lead == nil {
		more-- // the first connection takes one
	}
	more = min(r.s.max-1, more)
	r.mu.Unlock()
	if first.snapshot == "" && !first.statementMode || !r.s.joins() {
		more = 0
	}
	for n := range more {
		go r.join(joining, n, first.snapshot)
	}
	r.work(first, lead, true)
	r.mu.Lock()
	r.closed = true
	for _, c := range r.starting {
		c.Close()
	}
	if len(r.starting) > 0 {
		r.s.joinLater()
	}
	r.mu.Unlock()
	r.working.Wait()
	return nil
}

var errNotNeeded = errors.New("all queries are taken")

// join lets a further connection take queries. If it cannot be opened, the others take its queries; one that waits in a pooler's
// queue is not waited for.
func (r *read) join(ctx context.Context, n int, snapshot string) {
	var lead *taken
	c, err := r.s.join(ctx, snapshot, func(c net.Conn) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.closed {
			c.Close()
		} else {
			r.starting[n] = c
		}
	}, func() (*question, error) {
		if lead == nil {
			lead = r.take()
		}
		if lead == nil {
			return nil, errNotNeeded
		}
		return r.question(lead), nil
	})
	if lead != nil {
		r.joined(n, lead, err)
	}
	if lead == nil && !r.enter(n, err) {
		if err == nil {
			c.end(ctx)
		}
		return
	}
	defer r.working.Done()
	if err == nil {
		r.work(c, lead, false)
		c.finish(r.ctx)
	}
}

// take gives a further connection its first query, before the connection has started.
func (r *read) take() *taken {
	if !r.enter(-1, nil) {
		return nil
	}
	t := r.next(false)
	if t == nil {
		r.working.Done()
		return nil
	}
	r.mu.Lock()
	r.leading++
	r.mu.Unlock()
	return t
}

// joined ends the start of a connection to which take gave a query. If it failed, the query is left to the others.
func (r *read) joined(n int, t *taken, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		delete(r.starting, n)
	}
	if err != nil {
		r.todo = slices.Insert(r.todo, 0, t.n)
		r.started[t.n] = time.Time{}
	}
	r.leading--
	r.led.Broadcast()
}

// enter reports whether a further connection may take queries; err is the error of its start.
func (r *read) enter(n int, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		delete(r.starting, n)
	}
	if err != nil || r.closed || len(r.todo) == 0 {
		return false
	}
	r.working.Add(1)
	return true
}

// work runs queries until all are taken, or the connection is lost. t is the first one, or nil. The first connection, whose snapshot
// the others join, waits until they have joined.
func (r *read) work(c *session, t *taken, first bool) {
	for ; ; t = nil {
		if t == nil {
			if t = r.next(first); t == nil {
				return
			}
		}
		q := r.question(t)
		if c.sent != nil {
			q = &c.sent.question
		}
		if q == nil {
			r.answer(t.n, collector.Result{Err: fmt.Errorf("postgres: %w", errNotStarted)})
			continue
		}
		start := time.Now()
		rows, err := c.ask(r.ctx, *q)
		took := time.Since(start)
		if r.ctx.Err() == nil {
			r.s.remember(r.queries[t.n].Name, asked{took, err != nil})
		}
		r.answer(t.n, collector.Result{Rows: rows, Err: err, Duration: took})
		if c.lost() {
			return
		}
	}
}

// next takes a query, or returns nil if none is left for this connection.
func (r *read) next(first bool) *taken {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for len(r.todo) > 0 {
			n := r.todo[0]
			r.todo = r.todo[1:]
			if !r.answered[n] {
				r.started[n] = time.Now()
				return &taken{n, slices.Clone(r.todo), len(r.todo) == 0 && (!first || r.leading == 0)}
			}
		}
		if !first || r.leading == 0 {
			return nil
		}
		r.led.Wait()
	}
}

// question is a query with its limits, or nil if no time is left for it.
func (r *read) question(t *taken) *question {
	if t == nil {
		return nil
	}
	statement, lock := r.limits(t.n, t.waiting)
	if statement <= 0 {
		return nil
	}
	return &question{
		compiled: r.sql[t.n], since: r.until.Add(-r.queries[t.n].Window()), until: r.until,
		statement: statement, lock: lock, last: t.last,
	}
}

func (r *read) more() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.todo, func(n int) bool { return !r.answered[n] })
}

// limits are the server's time limits for a query: its own timeout, or the rest of the scrape's time less the part that is reserved
// for the queries that wait. A lock is waited for only in the first half of the time, so that the error distinguishes a lock from a
// slow query, and so that many queries of one table do not wait for its lock one after the other.
func (r *read) limits(n int, waiting []int) (statement, lock time.Duration) {
	now := time.Now()
	statement = r.queries[n].Timeout
	half := statement / 2
	if deadline, ok := r.ctx.Deadline(); ok {
		left := deadline.Sub(now)
		left -= min(reportTime, left/10)
		statement = min(statement, left-min(r.expected(waiting)/time.Duration(r.s.max), left/2))
		half = min(half, r.begun.Add(deadline.Sub(r.begun)/2).Sub(now))
	}
	return statement, max(min(half, statement/2), min(leastTime, statement/2))
}

// expected estimates how long queries will take together, from their last runs.
func (r *read) expected(queries []int) (total time.Duration) {
	least := leastTime
	if deadline, ok := r.ctx.Deadline(); ok {
		least = max(least, deadline.Sub(r.begun)/leastShare)
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, n := range queries {
		if h := r.s.history[r.queries[n].Name]; h.failed {
			total += least
		} else {
			total += max(least, 2*h.took)
		}
	}
	return total
}

func (r *read) answer(n int, result collector.Result) {
	r.mu.Lock()
	first := !r.answered[n]
	r.answered[n] = true
	r.mu.Unlock()
	if first {
		r.give(n, result)
	}
}

// fail answers all queries that are left with an error.
func (r *read) fail(err error) {
	for n := range r.queries {
		r.answer(n, collector.Result{Err: err, Duration: time.Since(r.begun)})
	}
}

// cut answers all queries that are left with the reason why the scrape has ended.
func (r *read) cut() {
	cause := context.Cause(r.ctx)
	for n := range r.queries {
		r.mu.Lock()
		started := r.started[n]
		r.mu.Unlock()
		err, took := fmt.Errorf("%w: %w", errNotStarted, cause), time.Since(r.begun)
		if !started.IsZero() {
			took = time.Since(started)
			err = fmt.Errorf("no answer within %v: %w", took.Round(time.Millisecond), cause)
		}
		if errors.Is(cause, context.Canceled) {
			err = fmt.Errorf("%s: %w", pg.Cancelled, cause)
		}
		r.answer(n, collector.Result{Err: fmt.Errorf("postgres: %w", err), Duration: took})
	}
}
