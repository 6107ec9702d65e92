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

// Each answers queries side by side, for sources where each is a request of its own.
func Each(ctx context.Context, queries []kpi.Query, ask func(context.Context, kpi.Query) (Rows, error)) []Result {
	results := make([]Result, len(queries))
	done := make(chan int)
	for n, q := range queries {
		go func() {
			start := time.Now()
			qctx, cancel := context.WithTimeout(ctx, q.Timeout)
			defer cancel()
			rows, err := ask(qctx, q)
			results[n] = Result{Rows: rows, Err: err, Duration: time.Since(start)}
			done <- n
		}()
	}
	for range queries {
		<-done
	}
	return results
}
