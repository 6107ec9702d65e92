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
	// reportTime is kept free at the end of a scrape, for the server to say why it ended a query.
	reportTime = 100 * time.Millisecond
	// leastTime, or the leastShare-th part of the scrape's time if that is more, is reserved for each query that still waits, so that
	// slow ones do not take the whole scrape.
	leastTime  = 50 * time.Millisecond
	leastShare = 20
	// aheadShare bounds the queries that are sent ahead: to a part of what each connection has to do, so that those that wait
	// can still make up for one that takes longer than the last time.
	aheadShare = 5
)

var errNotStarted = errors.New("not started before the scrape's deadline: the queries before it took too long")

// read is one round of queries. Connections take them one after the other.
type read struct {
	s       *Source
	ctx     context.Context //nolint:containedctx // it lives as long as the read
	until   time.Time
	queries []kpi.Query
	sql     []compiled
	give    collector.Give
	begun   time.Time

	mu       sync.Mutex
	todo     []int         // in the order in which they are asked
	brief    time.Duration // what a query takes at most that is sent ahead
	started  []time.Time
	answered []bool
	starting map[int]net.Conn // further connections whose first statement has no answer yet
	leading  int              // further connections that have taken a query, and whose start has no answer yet
	led      sync.Cond        // leading has become smaller
	working  sync.WaitGroup   // connections that take queries
	closed   bool             // no further connection may take any
	direct   bool             // no pooler stands in between, in which a connection could wait
}

// Read answers the queries from one snapshot of the database: the first connection exports it, and up to MaxConns work
// through the queries side by side, the longest first, and those that failed the last time at the end. A connection that
// is lost costs the query that ran on it. Behind a pooler that allows no transaction each query has its own snapshot.
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
	// At the deadline every query has its answer at once, without waiting for the server to confirm a cancellation.
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

// order puts the longest queries first, so that they run beside the others, and those that failed last, so that they
// hold nothing up.
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
	var total time.Duration
	for _, n := range r.todo {
		total += r.s.history[r.queries[n].Name].took
	}
	r.brief = min(total/time.Duration(r.s.max*aheadShare), leastTime)
}

// taken is a query that a connection has taken, and those that wait behind it.
type taken struct {
	n       int
	waiting []int
	last    bool // the transaction can end with it
}

// round works through the queries from one snapshot. Queries are left when all of its connections were lost; the next
// round's snapshot is milliseconds younger, which is better than no figures.
func (r *read) round() error {
	idle := &spare{r.s.pool.AcquireAllIdle(r.ctx)}
	defer idle.release()
	var lead *taken
	first, err := r.s.begin(r.ctx, idle, r.zoneCheck(), func() (*taken, *question, error) {
		if lead == nil {
			lead = r.next(0)
		}
		return lead, r.question(lead), nil
	})
	if err != nil {
		return err
	}
	defer first.finish(r.ctx) // others may still have to join its snapshot until then
	for n, fault := range r.zoneFaults(first.naive) {
		r.answer(n, collector.Result{Err: fault})
	}
	joining, stop := context.WithCancel(r.ctx)
	defer stop()
	r.mu.Lock()
	r.closed, r.direct, r.starting = false, first.link.direct, map[int]net.Conn{}
	more := len(r.todo)
	if lead == nil {
		more-- // first takes one
	}
	more = min(r.s.max-1, more)
	r.mu.Unlock()
	if first.snapshot == "" && !first.statementMode || !r.s.joins() {
		more = 0
	}
	for slot := 1; slot <= more; slot++ {
		if !r.joinAtOnce(idle, slot, first.snapshot) {
			go r.join(joining, slot, first.snapshot)
		}
	}
	idle.release()
	r.work(first, lead, 0)
	r.mu.Lock()
	r.closed = true
	if len(r.starting) > 0 && !r.direct {
		for _, c := range r.starting {
			c.Close()
		}
		r.s.joinLater()
	}
	r.mu.Unlock()
	r.working.Wait()
	return nil
}

var errNotNeeded = errors.New("all queries are taken")

// joinAtOnce lets a spare connection take queries, and says whether there is one.
func (r *read) joinAtOnce(idle *spare, slot int, snapshot string) bool {
	var t *taken
	c, err := r.s.joinAtOnce(r.ctx, idle, snapshot, func() (*taken, *question, error) {
		if t = r.take(slot); t == nil {
			return nil, nil, errNotNeeded
		}
		return t, r.question(t), nil
	})
	switch {
	case err != nil && t != nil: // no time is left for it
		r.joined(slot, t, err)
		r.working.Done()
		fallthrough
	case err != nil:
		return errors.Is(err, errNotNeeded)
	}
	go func() {
		defer r.working.Done()
		err := c.await(r.ctx)
		r.joined(slot, t, err)
		if err == nil {
			r.work(c, t, slot)
			c.finish(r.ctx)
		}
	}()
	return true
}

// join lets a further connection take queries. One that cannot be had is done without, and one that waits in a pooler's
// queue is not waited for.
func (r *read) join(ctx context.Context, slot int, snapshot string) {
	var lead *taken
	c, err := r.s.join(ctx, snapshot, func(c net.Conn) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case !r.closed:
			r.starting[slot] = c
		case !r.direct:
			c.Close()
		}
	}, func() (*taken, *question, error) {
		if lead == nil {
			lead = r.take(slot)
		}
		if lead == nil {
			return nil, nil, errNotNeeded
		}
		return lead, r.question(lead), nil
	})
	if lead != nil {
		r.joined(slot, lead, err)
	}
	if lead == nil && !r.enter(slot, err) {
		if err == nil {
			c.end(ctx)
		}
		return
	}
	defer r.working.Done()
	if err == nil {
		r.work(c, lead, slot)
		c.finish(r.ctx)
	}
}

// take gives a further connection its first query, before the connection has started.
func (r *read) take(slot int) *taken {
	if !r.enter(-1, nil) {
		return nil
	}
	t := r.next(slot)
	if t == nil {
		r.working.Done()
		return nil
	}
	r.mu.Lock()
	r.leading++
	r.mu.Unlock()
	return t
}

// joined says that the connection to which take gave a query has started, or why not. The query is left to the others then.
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

// enter says whether a further connection, which has started unless err says why not, may take queries.
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

// work takes queries until all are taken, or the connection is lost. t may have been taken before.
func (r *read) work(c *session, t *taken, slot int) {
	var again []*taken
	if t != nil && len(c.queue) == 0 {
		again = []*taken{t}
	}
	for {
		if len(c.queue) == 0 {
			if len(again) > 0 {
				t, again = again[0], again[1:]
			} else if t = r.next(slot); t == nil {
				return
			}
			q := r.question(t)
			if q == nil {
				r.answer(t.n, collector.Result{Err: fmt.Errorf("postgres: %w", errNotStarted)})
				continue
			}
			c.send(r.ctx, t, *q)
		}
		if len(again) == 0 {
			r.ahead(c, slot)
		}
		n := c.queue[0].taken.n
		start := time.Now()
		rows, more, err := c.ask(r.ctx)
		took := time.Since(start)
		again = append(more, again...)
		if err == nil && len(more) > 0 { // this one is asked again too
			continue
		}
		if r.ctx.Err() == nil {
			r.s.remember(r.queries[n].Name, asked{took, err != nil})
		}
		r.answer(n, collector.Result{Rows: rows, Err: err, Duration: took})
		if c.lost() {
			r.putBack(again...)
			return
		}
	}
}

// ahead sends the next query behind one that is running, so that the server does not wait for us in between. Only brief ones
// whose limits are the same are sent ahead: what was sent cannot be left to another connection.
func (r *read) ahead(c *session, slot int) {
	if len(c.queue) != 1 || !c.prepared || c.queue[0].last || !r.short(c, c.queue[0].taken.n) {
		return
	}
	r.mu.Lock()
	at := slices.IndexFunc(r.todo, func(n int) bool { return !r.answered[n] && r.short(c, n) })
	if at < 0 {
		r.mu.Unlock()
		return
	}
	t := r.takeAt(at, slot)
	r.mu.Unlock()
	if q := r.question(t); q != nil && c.limits(*q) == c.set {
		c.send(r.ctx, t, *q)
	} else {
		r.putBack(t)
	}
}

// short says whether a query is prepared and brief. Time is reserved for such ones in any case.
func (r *read) short(c *session, n int) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	a := r.s.history[r.queries[n].Name]
	return c.link.named[r.sql[n].sql] != "" && !a.failed && a.took > 0 && a.took <= r.brief
}

// next takes a query, or returns nil when none is left for this connection. The first connection, whose snapshot the others
// join, waits until they have joined.
func (r *read) next(slot int) *taken {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		r.todo = slices.DeleteFunc(r.todo, func(n int) bool { return r.answered[n] })
		if len(r.todo) > 0 {
			return r.takeAt(0, slot)
		}
		if slot > 0 || r.leading == 0 {
			return nil
		}
		r.led.Wait()
	}
}

// takeAt takes the query at a place of r.todo. r.mu is held.
func (r *read) takeAt(at, slot int) *taken {
	n := r.todo[at]
	r.todo = slices.Delete(r.todo, at, at+1)
	r.started[n] = time.Now()
	return &taken{n, slices.Clone(r.todo), len(r.todo) == 0 && (slot > 0 || r.leading == 0)}
}

// putBack leaves queries that were not asked to the others.
func (r *read) putBack(all ...*taken) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range all {
		r.todo = slices.Insert(r.todo, 0, t.n)
		r.started[t.n] = time.Time{}
	}
}

// question is a query with its limits, or nil where no time is left for it.
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

// limits are the server's time limits for a query: its own timeout, or what the scrape has left when something is kept
// for those that wait. A lock is waited for in the first half of the time only, so that the error distinguishes a lock from a slow
// query, and so that many queries that need the same table do not wait for its lock one after the other.
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

// expected is how long queries will take together, by what they took the last time.
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

// fail answers all queries that are left.
func (r *read) fail(err error) {
	for n := range r.queries {
		r.answer(n, collector.Result{Err: err, Duration: time.Since(r.begun)})
	}
}

// cut answers all queries that are left when the scrape ends.
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
