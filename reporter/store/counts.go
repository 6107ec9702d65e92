package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// Count is one row of a count: its labels, and its numbers by name.
type Count struct {
	Labels map[string]string
	Values map[string]float64
}

// Counts answers what the journal's KPIs ask of a window, since <= t < until: alerts (by category), alerts_by_name,
// alerts_resolved, alerts_converged (beyond the first of their incident), alerts_grouped (of an incident with more than
// one), alerts_chronic (firing, of chronic incidents, now), incidents_open (now), incidents_oldest_open (when the oldest of them
// began, in seconds since 1970; no row where none is open), incidents_chronic (now), incidents_resolved, resolution_seconds (by stat:
// avg, p50, p95; no rows where none was resolved), heartbeats (by state: received, missing; now), acknowledgements (the numbers
// acknowledged, of incidents that were first acknowledged in the window, and never, of those that ended in it and were not at any time,
// which is left out while no incident that is kept was ever acknowledged), acknowledged_ever (of the incidents that are kept),
// acknowledgement_seconds (from the start of an incident to its first acknowledgement, of those of the window, as resolution_seconds).
func (s *Store) Counts(ctx context.Context, what string, since, until time.Time) ([]Count, error) {
	const (
		window = ` FROM alerts a WHERE a.starts_at >= $1 AND a.starts_at < $2`
		folded = `(SELECT COALESCE(sum(count), 0) FROM folded_alerts WHERE starts_at >= $1 AND starts_at < $2)`
	)
	from, to := since.UnixMicro(), until.UnixMicro()
	// An incident has an end while it is resolved only: conditions on the end alone are answered by its index.
	switch what {
	case "alerts":
		return s.alertsBy(ctx, "category", from, to)
	case "alerts_by_name":
		return s.alertsBy(ctx, "name", from, to)
	case "alerts_resolved":
		return s.single(ctx, `SELECT count(*) + `+folded+window+` AND a.ends_at IS NOT NULL`, from, to)
	case "alerts_converged":
		// Each incident has one first alert, and begins with it.
		return s.single(ctx, `SELECT (SELECT count(*) + `+folded+window+`) -
			(SELECT count(*) FROM incidents WHERE started_at >= $1 AND started_at < $2)`, from, to)
	case "alerts_grouped":
		return s.single(ctx, `SELECT count(*) + `+folded+window+` AND EXISTS (SELECT 1 FROM alerts b
			WHERE b.incident_id = a.incident_id AND (b.starts_at != a.starts_at OR b.fingerprint != a.fingerprint))`, from, to)
	case "incidents_open":
		return s.single(ctx, `SELECT count(*) FROM incidents WHERE state = 'open'`)
	case "incidents_chronic":
		return s.single(ctx, `SELECT count(*) FROM incidents WHERE state = 'chronic'`)
	case "alerts_chronic":
		return s.single(ctx, `SELECT count(*) FROM incidents i JOIN alerts a ON a.incident_id = i.id
			WHERE i.state = 'chronic' AND a.ends_at IS NULL`)
	case "heartbeats":
		return s.labelled(ctx, "state", `SELECT CASE outage WHEN '' THEN 'received' ELSE 'missing' END, count(*) FROM heartbeats
			GROUP BY 1 ORDER BY 1`)
	case "incidents_oldest_open":
		return s.oldestOpen(ctx)
	case "incidents_resolved":
		return s.single(ctx, `SELECT count(*) FROM incidents WHERE ended_at >= $1 AND ended_at < $2`, from, to)
	case "resolution_seconds":
		return s.durations(ctx, `SELECT (ended_at - started_at) / 1000000.0 FROM incidents
			WHERE ended_at >= $1 AND ended_at < $2`, from, to)
	case "acknowledgements":
		return s.acknowledgements(ctx, from, to)
	case "acknowledged_ever":
		return s.everAcknowledged(ctx)
	case "acknowledgement_seconds":
		return s.toAcknowledge(ctx, from, to)
	}
	return nil, fmt.Errorf("the journal has no count %q", what)
}

func (s *Store) single(ctx context.Context, query string, args ...any) ([]Count, error) {
	var n float64
	if err := s.reading().row(ctx, query, args...).Scan(&n); err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	return []Count{{Values: map[string]float64{"value": n}}}, nil
}

func (s *Store) oldestOpen(ctx context.Context) ([]Count, error) {
	var started sql.NullInt64
	if err := s.reading().row(ctx, `SELECT min(started_at) FROM incidents WHERE state = 'open'`).Scan(&started); err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	if !started.Valid {
		return nil, nil
	}
	return []Count{{Values: map[string]float64{"value": float64(started.Int64) / 1e6}}}, nil
}

// labelled reads rows of a label's value and a number.
func (s *Store) labelled(ctx context.Context, label, query string, args ...any) ([]Count, error) {
	rows, err := s.reading().query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	defer rows.Close()
	var out []Count
	for rows.Next() {
		var value string
		var n float64
		if err := rows.Scan(&value, &n); err != nil {
			return nil, fmt.Errorf("count: %w", err)
		}
		out = append(out, Count{Labels: map[string]string{label: value}, Values: map[string]float64{"value": n}})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	return out, nil
}

// alertsBy counts by one of the columns of alerts.
func (s *Store) alertsBy(ctx context.Context, column string, from, to int64) ([]Count, error) {
	return s.labelled(ctx, column, `SELECT `+column+`, sum(n) FROM (
		SELECT `+column+`, count(*) AS n FROM alerts WHERE starts_at >= $1 AND starts_at < $2 GROUP BY 1
		UNION ALL SELECT `+column+`, sum(count) FROM folded_alerts WHERE starts_at >= $1 AND starts_at < $2 GROUP BY 1) c
		GROUP BY 1 ORDER BY 1`, from, to)
}

// durations are the average and percentiles of seconds, by stat; no rows of none. One below 0, of clocks that differ, is 0.
func (s *Store) durations(ctx context.Context, query string, args ...any) ([]Count, error) {
	rows, err := s.reading().query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	defer rows.Close()
	var seconds []float64
	var sum float64
	for rows.Next() {
		var d sql.NullFloat64
		if err := rows.Scan(&d); err != nil {
			return nil, fmt.Errorf("count: %w", err)
		}
		seconds = append(seconds, max(d.Float64, 0))
		sum += max(d.Float64, 0)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count: %w", err)
	}
	if len(seconds) == 0 {
		return nil, nil
	}
	slices.Sort(seconds)
	var out []Count
	for _, stat := range []struct {
		name  string
		value float64
	}{
		{"avg", sum / float64(len(seconds))}, {"p50", percentile(seconds, 0.5)}, {"p95", percentile(seconds, 0.95)},
	} {
		out = append(out, Count{Labels: map[string]string{"stat": stat.name}, Values: map[string]float64{"value": stat.value}})
	}
	return out, nil
}

// percentile interpolates linearly, as PostgreSQL's percentile_cont does; sorted is not empty.
func percentile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}
