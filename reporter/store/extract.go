package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// An incident of more alerts than extractWhole is read in part: extractFirst alerts by start, extractLast by start and by
// end, and the first of each severity, up to extractSeverities.
const (
	extractWhole      = 1000
	extractFirst      = 500
	extractLast       = 250
	extractSeverities = 20
	extractTime       = 20 * time.Second
)

// IncidentExtract returns the incident of that ID with all its alerts, or, if they are very many, with a selection of them
// and what all have in common (Incident.Partial): what is read takes a bounded amount of memory. The error is
// reporter.ErrNotFound if there is none.
func (s *Store) IncidentExtract(ctx context.Context, id string) (reporter.Incident, error) {
	q := s.reading()
	found, err := queryIncidentRows(ctx, q, `WHERE id = $1`, id)
	if err != nil {
		return reporter.Incident{}, err
	}
	if len(found) == 0 {
		return reporter.Incident{}, fmt.Errorf("incident %s: %w", id, reporter.ErrNotFound)
	}
	in := found[0]
	var count int
	err = q.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM alerts WHERE incident_id = $1 LIMIT $2) n`, id, extractWhole+1).Scan(&count)
	if err != nil {
		return reporter.Incident{}, fmt.Errorf("alerts of %s: %w", id, err)
	}
	if count <= extractWhole && len(in.Folded) == 0 {
		in.Alerts, err = queryAlerts(ctx, q, id, extractWhole)
		return in, err
	}
	// Many readers of the same storm share one selection. Its time is bounded by itself: the first of them may leave.
	select {
	case <-ctx.Done():
		return reporter.Incident{}, ctx.Err()
	case r := <-s.extracts.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), extractTime)
		defer cancel()
		return s.partOf(ctx, in)
	}):
		if r.Err != nil {
			return reporter.Incident{}, r.Err
		}
		return r.Val.(reporter.Incident), nil
	}
}

// partOf reads the selection of an incident's alerts, and what is true of all.
func (s *Store) partOf(ctx context.Context, in reporter.Incident) (reporter.Incident, error) {
	var err error
	if in.Alerts, err = s.someAlerts(ctx, in.ID); err != nil {
		return in, err
	}
	var count, ended int
	err = s.reading().row(ctx, `SELECT count(*), count(ends_at) FROM alerts WHERE incident_id = $1`, in.ID).Scan(&count, &ended)
	if err != nil {
		return in, fmt.Errorf("alerts of %s: %w", in.ID, err)
	}
	folded := in.FoldedCount()
	in.Partial = &reporter.Partial{Alerts: count + folded, Events: count + ended + 2*folded}
	in.Partial.CommonLabels, err = s.commonLabels(ctx, in.ID, reporter.CommonLabels(in.Alerts))
	return in, err
}

// someAlerts reads the selection of an incident's alerts, in their order.
func (s *Store) someAlerts(ctx context.Context, id string) ([]reporter.Alert, error) {
	q := s.reading()
	var out []reporter.Alert
	err := eachAlert(ctx, q, `WHERE incident_id = $1 AND (starts_at, fingerprint) IN (
		SELECT starts_at, fingerprint FROM (SELECT starts_at, fingerprint FROM alerts WHERE incident_id = $1
			ORDER BY starts_at, fingerprint LIMIT $2) a
		UNION SELECT starts_at, fingerprint FROM (SELECT starts_at, fingerprint FROM alerts WHERE incident_id = $1
			ORDER BY starts_at DESC, fingerprint DESC LIMIT $3) b
		UNION SELECT starts_at, fingerprint FROM (SELECT starts_at, fingerprint FROM alerts WHERE incident_id = $1
			AND ends_at IS NOT NULL ORDER BY ends_at DESC, starts_at DESC, fingerprint DESC LIMIT $3) c)`,
		func(_ string, a reporter.Alert) { out = append(out, a) }, id, extractFirst, extractLast)
	if err != nil {
		return nil, err
	}
	severities, err := s.severities(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, severity := range severities {
		err := eachAlert(ctx, q, `WHERE incident_id = $1 AND `+s.severityExpr()+` = $2 ORDER BY starts_at, fingerprint LIMIT 1`,
			func(_ string, a reporter.Alert) { out = append(out, a) }, id, severity)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b reporter.Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return slices.CompactFunc(out, func(a, b reporter.Alert) bool { return keyOf(a) == keyOf(b) }), nil
}

// severityExpr is an alert's severity, in SQL. PostgreSQL cannot read JSON that holds a NUL, which old rows may.
func (s *Store) severityExpr() string {
	if s.postgres() {
		return `CASE WHEN position('\u0000' IN labels) = 0 THEN labels::json ->> 'severity' END`
	}
	return `labels ->> 'severity'`
}

func (s *Store) severities(ctx context.Context, id string) ([]string, error) {
	rows, err := s.reading().query(ctx, `SELECT DISTINCT `+s.severityExpr()+` AS severity FROM alerts WHERE incident_id = $1 AND `+
		s.severityExpr()+` IS NOT NULL LIMIT $2`, id, extractSeverities)
	if err != nil {
		return nil, fmt.Errorf("severities of %s: %w", id, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var severity string
		if err := rows.Scan(&severity); err != nil {
			return nil, fmt.Errorf("severities of %s: %w", id, err)
		}
		out = append(out, severity)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("severities of %s: %w", id, err)
	}
	return out, nil
}

// commonLabels returns those of the candidates that all alerts of the incident have. It looks for an alert without one of
// them, which takes one pass where all are common, and drops what that alert lacks.
func (s *Store) commonLabels(ctx context.Context, id string, candidates map[string]string) (map[string]string, error) {
	lacks := `instr(labels, $) = 0` // LIKE ignores case in SQLite
	if s.postgres() {
		lacks = `strpos(labels, $) = 0`
	}
	for len(candidates) > 0 {
		var w where
		w.add(`incident_id = $`, id)
		var conditions []string
		var args []any
		for _, name := range slices.Sorted(maps.Keys(candidates)) {
			conditions = append(conditions, lacks)
			// Quotes within stored texts are escaped, so that this is found as a label only.
			args = append(args, `"`+inJSON(name)+`":"`+inJSON(candidates[name])+`"`)
		}
		w.add(`(`+strings.Join(conditions, ` OR `)+`)`, args...)
		var without []reporter.Alert
		err := eachAlert(ctx, s.reading(), w.text()+` LIMIT 1`, func(_ string, a reporter.Alert) { without = append(without, a) }, w.args...)
		if err != nil {
			return nil, err
		}
		if len(without) == 0 {
			break
		}
		before := len(candidates)
		maps.DeleteFunc(candidates, func(k, v string) bool { return without[0].Labels[k] != v })
		if len(candidates) == before {
			return nil, fmt.Errorf("labels of %s: stored in an unknown form", id)
		}
	}
	return candidates, nil
}

// ListAlerts returns alerts of an incident for a page, at most f.Limit. An incident that does not exist has none.
func (s *Store) ListAlerts(ctx context.Context, f reporter.AlertFilter) (reporter.AlertPage, error) {
	q := s.reading()
	var w where
	w.add(`incident_id = $`, f.Incident)
	order := ` ORDER BY starts_at, fingerprint`
	switch {
	case f.After != nil:
		w.add(`(starts_at, fingerprint) > ($, $)`, f.After.StartsAt.UnixMicro(), f.After.Fingerprint)
	case f.Before != nil:
		w.add(`(starts_at, fingerprint) < ($, $)`, f.Before.StartsAt.UnixMicro(), f.Before.Fingerprint)
		order = ` ORDER BY starts_at DESC, fingerprint DESC`
	}
	var page reporter.AlertPage
	err := eachAlert(ctx, q, w.text()+order+w.limit(f.Limit), func(_ string, a reporter.Alert) {
		page.Alerts = append(page.Alerts, a)
	}, w.args...)
	if err != nil {
		return page, err
	}
	if f.Before != nil {
		slices.Reverse(page.Alerts)
	}
	err = q.row(ctx, `SELECT count(*) FROM alerts WHERE incident_id = $1`, f.Incident).Scan(&page.Count)
	if err != nil {
		return page, fmt.Errorf("alerts of %s: %w", f.Incident, err)
	}
	if len(page.Alerts) == 0 {
		return page, nil
	}
	first := page.Alerts[0]
	err = q.row(ctx, `SELECT count(*) FROM alerts WHERE incident_id = $1 AND (starts_at, fingerprint) < ($2, $3)`,
		f.Incident, first.StartsAt.UnixMicro(), first.Fingerprint).Scan(&page.Offset)
	if err != nil {
		return page, fmt.Errorf("alerts of %s: %w", f.Incident, err)
	}
	return page, nil
}
