// Package collector turns sources into gauges: KPI queries go to databases and APIs at each scrape, and one consistent
// set of samples comes out at /metrics.
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
	// Read answers every query as of until, and hands the answer to query number n to give as soon as it is there, from
	// any goroutine. Each query fails alone. ctx carries the scrape's deadline, and each query has its own timeout within
	// it. Read returns once every query has its answer; only the first answer to a query counts.
	Read(ctx context.Context, until time.Time, queries []kpi.Query, give Give)
	Close()
}

// Give takes the answer to query number n.
type Give func(n int, r Result)

// Pool is what a Source may have beside: the number of its connections by state.
type Pool interface {
	Connections() map[string]float64
}

// NamedSource is a source as it is configured.
type NamedSource struct {
	Name, Kind string
	Source     Source
}

// Result is the answer to one query.
type Result struct {
	Rows     Rows
	Duration time.Duration
	Err      error
}

// Rows is a table of driver-neutral Go values: nil, bool, int64, float64, string, Exact, time.Time, time.Duration or the
// like.
type Rows struct {
	Columns []string
	Values  [][]any
}

// Exact is a value in its source's own words. As a label it is Text, to the last digit; as a value it is Number, unless
// NotNumber says why it is none.
type Exact struct {
	Text      string
	Number    float64
	NotNumber error
}

// errTooSlow is the error of a query whose answer did not come before the scrape's deadline.
var errTooSlow = errors.New("the query took longer than its timeout or the scrape's deadline")

// Each answers queries side by side, for sources where each is a request of its own. A query fails when its time or ctx
// is over, even where ask does not return then.
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
			// What came in the same moment as the end still counts.
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

// late is the error of a query that ctx has cut.
func late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errTooSlow, cause)
	}
	return cause
}
