// Package collector turns sources into gauges: KPI queries go to databases and APIs at each scrape, and one consistent
// set of samples comes out at /metrics.
package collector

import (
	"context"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// Source answers the queries of one scrape.
type Source interface {
	// Read answers every query as of until, in order; each fails alone. ctx carries the scrape's deadline, and each
	// query has its own timeout within it.
	Read(ctx context.Context, until time.Time, queries []kpi.Query) []Result
	Close()
}

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

// Rows is a table of driver-neutral Go values: nil, bool, int64, float64, string, time.Time, time.Duration or the like.
type Rows struct {
	Columns []string
	Values  [][]any
}

// Each answers queries side by side, for sources where each is a request of its own. When ctx ends, those that were
// answered keep their rows, and the others fail, even where ask does not heed its context.
func Each(ctx context.Context, queries []kpi.Query, ask func(context.Context, kpi.Query) (Rows, error)) []Result {
	type answer struct {
		n      int
		result Result
	}
	start := time.Now()
	answers := make(chan answer, len(queries))
	for n, q := range queries {
		go func() {
			qctx, cancel := context.WithTimeout(ctx, q.Timeout)
			defer cancel()
			rows, err := ask(qctx, q)
			answers <- answer{n, Result{Rows: rows, Err: err, Duration: time.Since(start)}}
		}()
	}
	results := make([]Result, len(queries))
	answered := make([]bool, len(queries))
	take := func(a answer) { results[a.n], answered[a.n] = a.result, true }
	for range queries {
		select {
		case a := <-answers:
			take(a)
		case <-ctx.Done():
		}
	}
	// What came in the same moment as the end still counts.
	for len(answers) > 0 {
		take(<-answers)
	}
	for n := range results {
		if !answered[n] {
			results[n] = Result{Err: context.Cause(ctx), Duration: time.Since(start)}
		}
	}
	return results
}
