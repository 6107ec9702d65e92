// Package journal is the source of KPIs from the incident journal: the name of a count comes in, its rows go out.
package journal

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// Count is one row of a count: its labels, and its numbers by name. A count with one number calls it "value".
type Count struct {
	Labels map[string]string
	Values map[string]float64
}

// Counts is the incident journal.
type Counts interface {
	// Counts returns the rows of the count what, which is one of Names. A count of a window has since <= t < until. A real zero is a
	// row, and a number that is unknown is left out.
	Counts(ctx context.Context, what string, since, until time.Time) ([]Count, error)
}

// Names are the counts of the journal. Their labels and numbers:
//   - alerts: label category; alerts_by_name: label name; heartbeats: label state.
//   - resolution_seconds and acknowledgement_seconds: label stat (avg, p50, p95).
//   - noise: label name; numbers episodes, flaps, off_hours, short_ratio, firing_seconds, resolution_seconds, resolved,
//     acknowledged_ratio, acknowledgement_seconds and acknowledged, of which those with too few episodes are left out.
//   - noise_candidates: labels name and reason; number share. noise_totals counts the rows of both: names, candidates.
//   - acknowledgements: numbers acknowledged and never; never is left out while no incident was ever acknowledged.
//   - All others have the one number value.
var Names = []string{
	"alerts", "alerts_by_name", "alerts_resolved", "alerts_converged", "alerts_grouped", "alerts_chronic", "incidents_open",
	"incidents_oldest_open", "incidents_resolved", "resolution_seconds", "heartbeats", "noise", "noise_totals", "noise_candidates",
	"acknowledgements", "acknowledged_ever", "acknowledgement_seconds",
}

// Source reads the journal.
type Source struct{ counts Counts }

// New makes the source; the counts stay the caller's.
func New(counts Counts) *Source { return &Source{counts: counts} }

// Check refuses a query for a count that is not one of Names.
func Check(q kpi.Query) error {
	if !slices.Contains(Names, q.Journal) {
		return fmt.Errorf("query %q: the journal has no count %q (have %s)", q.Name, q.Journal, strings.Join(Names, ", "))
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

// rows makes a table of counts: the labels, then the numbers, both sorted by name. A number that a row does not have is NULL.
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
