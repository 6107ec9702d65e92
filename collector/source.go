// Package collector turns KPIs into gauges: queries and the rows of their sources come in at each scrape, one consistent set of
// samples goes out at /metrics.
package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// Source answers the queries of one scrape.
type Source interface {
	// Read answers every query as of until, and calls give with the answer to query number n as soon as it is known, from
	// any goroutine. Each query fails alone. ctx carries the scrape's deadline, and each query has its own timeout within
	// it. Read returns once every query has its answer; only the first answer to a query counts.
	Read(ctx context.Context, until time.Time, queries []kpi.Query, give Give)
	// Close releases connections. No Read is under way, and none follows.
	Close()
}

// Give receives the answer to query number n, counted from 0.
type Give func(n int, r Result)

// Pool is an optional interface of a Source.
type Pool interface {
	// Connections returns the number of open connections by state, such as "idle".
	Connections() map[string]float64
}

// NamedSource is a configured source; Kind is one of kpi.KindPostgres and so on.
type NamedSource struct {
	Name, Kind string
	Source     Source
}

// Result is the answer to one query: its rows, or an error that shows no secret.
type Result struct {
	Rows     Rows
	Duration time.Duration
	Err      error
}

// MaxRows bounds the rows of one query in a source, far above any sensible number of series.
const MaxRows = 10_000

// Rows is a table of driver-neutral Go values: nil, bool, int64, float64, string, Exact, time.Time, time.Duration or the
// like.
type Rows struct {
	Columns []string
	Values  [][]any
}

// Exact is a value as its source writes it. As a label it is Text, to the last digit; as a value it is Number, unless NotNumber
// is the reason why it cannot be one.
type Exact struct {
	Text      string
	Number    float64
	NotNumber error
}

// errTooSlow is the error of a query whose answer did not come before the scrape's deadline.
var errTooSlow = errors.New("the query took longer than its timeout or the scrape's deadline")

// Each answers queries concurrently, for sources where each query is a request of its own. A query fails at its timeout or when
// ctx ends, even if ask does not return.
func Each(ctx context.Context, queries []kpi.Query, give Give, ask func(context.Context, kpi.Query) (Rows, error)) {
	var wg sync.WaitGroup
	start := time.Now()
	for n, q := range queries {
		wg.Go(func() {
			qctx, cancel := context.WithTimeout(ctx, q.Timeout)
			answered := make(chan Result, 1)
			go func() {
				defer cancel()
				rows, err := ask(qctx, q)
				answered <- Result{Rows: rows, Err: err, Duration: time.Since(start)}
			}()
			select {
			case r := <-answered:
				give(n, r)
				return
			case <-qctx.Done():
			}
			// An answer that arrived at the same moment still counts.
			select {
			case r := <-answered:
				give(n, r)
			default:
				give(n, Result{Err: late(qctx), Duration: time.Since(start)})
			}
		})
	}
	wg.Wait()
}

// late is the error of a query that was cut off by the end of ctx.
func late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errTooSlow, cause)
	}
	return cause
}
