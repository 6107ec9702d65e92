// Package journal is the source of KPIs out of the incident journal: the name of a count comes in, its rows go out.
package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// Count is one row of a count: its labels, and its numbers by name. A count with one number calls it "value".
type Count struct {
	Labels map[string]string
	Values map[string]float64
}

// Counts is the journal. A count of a window takes since <= t < until; a real zero is a row.
type Counts interface {
	Counts(ctx context.Context, what string, since, until time.Time) ([]Count, error)
}

// Names are the counts there are. alerts has the label category, alerts_by_name the label name, resolution_seconds and
// acknowledgement_seconds the label stat (avg, p50, p95), heartbeats the label state. noise has the label name, and the numbers
// episodes, flaps, off_hours, short_ratio, firing_seconds, resolution_seconds, resolved, acknowledged_ratio, acknowledgement_seconds
// and acknowledged, those of which too little is known left out; noise_candidates has the labels name and reason and the number share,
// and noise_totals counts the rows of both: names, candidates. acknowledgements has the numbers acknowledged and never, the latter left
// out while no incident was ever acknowledged.
var Names = []string{
	"alerts", "alerts_by_name", "alerts_resolved", "alerts_converged", "alerts_grouped", "alerts_chronic", "incidents_open",
	"incidents_oldest_open", "incidents_resolved", "resolution_seconds", "heartbeats", "noise", "noise_totals", "noise_candidates",
	"acknowledgements", "acknowledged_ever", "acknowledgement_seconds",
}

// Source asks the journal.
type Source struct{ counts Counts }

// New makes the source.
func New(counts Counts) *Source { return &Source{counts: counts} }

// Check refuses a query for a count that the journal does not keep.
func Check(q kpi.Query) error {
	if !slices.Contains(Names, q.Journal) {
		return fmt.Errorf("query %q: the journal has no count %q, there are %v", q.Name, q.Journal, Names)
	}
	return nil
}

// Close does nothing: the journal belongs to the store.
func (s *Source) Close() {}

// Read answers the queries.
func (s *Source) Read(ctx context.Context, until time.Time, queries []kpi.Query, give collector.Give) {
	collector.Each(ctx, queries, give, func(ctx context.Context, q kpi.Query) (collector.Rows, error) {
		counts, err := s.counts.Counts(ctx, q.Journal, until.Add(-q.Window()), until)
		if err != nil {
			return collector.Rows{}, fmt.Errorf("journal: %w", err)
		}
		return rows(counts, q.Metrics), nil
	})
}

// rows lays counts out as a table: the labels, then the numbers, each in order of name. A number that no row has is NULL in all.
func rows(counts []Count, metrics []kpi.Metric) collector.Rows {
	labels, values := map[string]bool{}, map[string]bool{}
	for _, m := range metrics {
		if m.Optional && len(counts) > 0 {
			values[m.Value] = true
		}
	}
	for _, c := range counts {
		for l := range c.Labels {
			labels[l] = true
		}
		for v := range c.Values {
			values[v] = true
		}
	}
	names, numbers := slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(values))
	out := collector.Rows{Columns: append(slices.Clone(names), numbers...)}
	for _, c := range counts {
		var row []any
		for _, n := range names {
			row = append(row, c.Labels[n])
		}
		for _, n := range numbers {
			if v, ok := c.Values[n]; ok {
				row = append(row, v)
			} else {
				row = append(row, nil)
			}
		}
		out.Values = append(out.Values, row)
	}
	return out
}
