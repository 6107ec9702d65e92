package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// firstAlerts is how many alerts of an incident a list looks at, for its title and for a text that is sought.
	firstAlerts = 20
	// countedAlerts is where the count of an incident's alerts stops.
	countedAlerts = 1000
)

// ListIncidents returns rows for a page, at most f.Limit.
func (s *Store) ListIncidents(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error) {
	var out []reporter.IncidentRow
	states := []reporter.IncidentState{reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved}
	for n, state := range states {
		passed := f.After != nil && n < slices.Index(states, f.After.State)
		if passed || (f.State != "" && f.State != state) || len(out) >= f.Limit {
			continue
		}
		rows, err := s.incidentsOf(ctx, state, f, f.Limit-len(out))
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func (s *Store) incidentsOf(
	ctx context.Context, state reporter.IncidentState, f reporter.IncidentFilter, limit int,
) ([]reporter.IncidentRow, error) {
	var w where
	w.add(`state = $`, string(state))
	if f.Key != "" {
		w.add(`key = $`, f.Key)
	}
	if f.After != nil && f.After.State == state {
		w.add(`(started_at, id) < ($, $)`, f.After.StartedAt.UnixMicro(), f.After.ID)
	}
	if f.Text != "" {
		p, j := containing(f.Text), containing(inJSON(f.Text))
		w.add(`(lower(id) LIKE lower($) ESCAPE '!' OR lower(group_labels) LIKE lower($) ESCAPE '!' OR EXISTS (
			SELECT 1 FROM (SELECT labels, annotations FROM alerts a WHERE a.incident_id = incidents.id
				ORDER BY a.starts_at, a.fingerprint LIMIT `+fmt.Sprint(firstAlerts)+`) f
			WHERE lower(f.labels) LIKE lower($) ESCAPE '!' OR lower(f.annotations) LIKE lower($) ESCAPE '!'))`, p, j, j, j)
	}
	found, err := queryIncidentRows(ctx, s.reading(), w.text()+` ORDER BY started_at DESC, id DESC`+w.limit(limit), w.args...)
	if err != nil {
		return nil, err
	}
	out := make([]reporter.IncidentRow, len(found))
	for n, in := range found {
		if in.Alerts, err = queryAlerts(ctx, s.reading(), in.ID, firstAlerts); err != nil {
			return nil, err
		}
		if len(in.Alerts) == firstAlerts {
			if in.Alerts, err = s.withWorst(ctx, in); err != nil {
				return nil, err
			}
		}
		row := reporter.IncidentRow{Incident: in, Count: min(len(in.Alerts), firstAlerts)}
		if row.Count == firstAlerts {
			err := s.reading().row(ctx, `SELECT count(*) FROM (SELECT 1 FROM alerts WHERE incident_id = $1 LIMIT $2) n`,
				in.ID, countedAlerts+1).Scan(&row.Count)
			if err != nil {
				return nil, fmt.Errorf("alerts of %s: %w", in.ID, err)
			}
			if row.Count > countedAlerts {
				row.Count, row.More = countedAlerts, true
			}
		}
		out[n] = row
	}
	return out, nil
}

// withWorst returns the incident's alerts with its most severe one, by which it is named, if that is not among them.
func (s *Store) withWorst(ctx context.Context, in reporter.Incident) ([]reporter.Alert, error) {
	severities, err := s.severities(ctx, in.ID)
	if err != nil || len(severities) == 0 {
		return in.Alerts, err
	}
	worst := slices.MinFunc(severities, func(a, b string) int {
		return cmp.Compare(reporter.Severity(a).Rank(), reporter.Severity(b).Rank())
	})
	if reporter.Severity(worst).Rank() >= in.Severity().Rank() {
		return in.Alerts, nil
	}
	err = eachAlert(ctx, s.reading(), `WHERE incident_id = $1 AND `+s.severityExpr()+` = $2 ORDER BY starts_at, fingerprint LIMIT 1`,
		func(_ string, a reporter.Alert) { in.Alerts = append(in.Alerts, a) }, in.ID, worst)
	return in.Alerts, err
}

// ListDeliveries returns deliveries for a page, at most f.Limit.
func (s *Store) ListDeliveries(ctx context.Context, f reporter.DeliveryFilter) ([]reporter.Delivery, error) {
	var w where
	for _, c := range []struct{ column, is string }{
		{"state", string(f.State)}, {"receiver", f.Receiver}, {"kind", string(f.Kind)}, {"subject", f.Subject},
	} {
		if c.is != "" {
			w.add(c.column+` = $`, c.is)
		}
	}
	if f.Before > 0 {
		w.add(`id < $`, f.Before)
	}
	return queryDeliveries(ctx, s.reading(), w.text()+` ORDER BY id DESC`+w.limit(f.Limit), w.args...)
}

// ReportDeliveries returns the deliveries of the report's latest due times before that moment, at most limit due times,
// the latest first. The zero time is no bound.
func (s *Store) ReportDeliveries(ctx context.Context, report string, before time.Time, limit int) ([]reporter.Delivery, error) {
	from, to := reporter.SubjectRange(report, before)
	return queryDeliveries(ctx, s.reading(), `WHERE kind = 'report' AND subject IN (SELECT DISTINCT subject FROM deliveries
		WHERE kind = 'report' AND subject >= $1 AND subject < $2 AND length(subject) = $3 ORDER BY subject DESC LIMIT $4)
		ORDER BY subject DESC, id`, from, to, len([]rune(report))+1+reporter.SubjectDueLen, limit)
}

// where gathers conditions; each $ in one stands for its next argument.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	var b strings.Builder
	for _, r := range condition {
		b.WriteRune(r)
		if r == '$' {
			w.args = append(w.args, args[0])
			args = args[1:]
			fmt.Fprint(&b, len(w.args))
		}
	}
	w.conditions = append(w.conditions, b.String())
}

func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.conditions, " AND ")
}

func (w *where) limit(n int) string {
	w.args = append(w.args, max(n, 0))
	return fmt.Sprintf(" LIMIT $%d", len(w.args))
}

// containing is the LIKE pattern of texts that hold s.
func containing(s string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s) + "%"
}

// inJSON writes s as it stands within a text in stored JSON.
func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s // a string always marshals
	}
	return string(b[1 : len(b)-1])
}
