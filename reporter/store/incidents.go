package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Update runs fn on the incident journal in one transaction: what it puts is kept together, or not at all.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx reporter.JournalTx) error) error {
	return s.tx(ctx, func(tx *sql.Tx) error { return fn(ctx, journalTx{tx}) })
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

type journalTx struct{ q querier }

const incidentColumns = `id, key, group_key, receiver, external_url, group_labels, state, started_at, ended_at,
	close_reason, truncated, first_seen, last_seen, notified, sample`

func (t journalTx) Incidents(ctx context.Context, key string, since time.Time) ([]reporter.Incident, error) {
	return queryIncidents(ctx, t.q, `WHERE key = ? AND (state = 'open' OR ended_at >= ?) ORDER BY started_at, id`,
		key, since.UnixMicro())
}

func (t journalTx) Incident(ctx context.Context, id string) (reporter.Incident, error) {
	return oneIncident(ctx, t.q, id)
}

func (t journalTx) DeleteIncident(ctx context.Context, id string) error {
	if _, err := t.q.ExecContext(ctx, `DELETE FROM incidents WHERE id = ?`, id); err != nil {
		return fmt.Errorf("incident %s: %w", id, err)
	}
	return nil
}

func (t journalTx) PutIncident(ctx context.Context, in reporter.Incident) error {
	groupLabels, err := json.Marshal(in.GroupLabels)
	if err != nil {
		return fmt.Errorf("incident %s: %w", in.ID, err)
	}
	_, err = t.q.ExecContext(ctx, `INSERT INTO incidents (`+incidentColumns+`) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET key=excluded.key, group_key=excluded.group_key, receiver=excluded.receiver,
			external_url=excluded.external_url, group_labels=excluded.group_labels, state=excluded.state,
			started_at=excluded.started_at, ended_at=excluded.ended_at, close_reason=excluded.close_reason,
			truncated=excluded.truncated, first_seen=excluded.first_seen, last_seen=excluded.last_seen,
			notified=excluded.notified, sample=excluded.sample`,
		in.ID, in.Key, in.GroupKey, in.Receiver, in.ExternalURL, string(groupLabels), string(in.State),
		in.StartedAt.UnixMicro(), micros(in.EndedAt), string(in.CloseReason), int64(in.Truncated),
		micros(in.FirstSeenAt), micros(in.LastSeenAt), in.Notified, in.Sample)
	if err != nil {
		return fmt.Errorf("incident %s: %w", in.ID, err)
	}
	if _, err := t.q.ExecContext(ctx, `DELETE FROM alerts WHERE incident_id = ?`, in.ID); err != nil {
		return fmt.Errorf("alerts of %s: %w", in.ID, err)
	}
	for n, a := range in.Alerts {
		labels, err := json.Marshal(a.Labels)
		if err != nil {
			return fmt.Errorf("alerts of %s: %w", in.ID, err)
		}
		annotations, err := json.Marshal(a.Annotations)
		if err != nil {
			return fmt.Errorf("alerts of %s: %w", in.ID, err)
		}
		_, err = t.q.ExecContext(ctx, `INSERT INTO alerts (incident_id, n, fingerprint, starts_at, ends_at, firing, labels,
			annotations, generator_url, category) VALUES (?,?,?,?,?,?,?,?,?,?)`,
			in.ID, n, a.Fingerprint, a.StartsAt.UnixMicro(), micros(a.EndsAt), a.Firing, string(labels),
			string(annotations), a.GeneratorURL, category(a))
		if err != nil {
			return fmt.Errorf("alerts of %s: %w", in.ID, err)
		}
	}
	return nil
}

// category is what the KPI of alerts by category counts an alert under.
func category(a reporter.Alert) string {
	return cmp.Or(a.Labels["alert_category"], a.Labels["category"], "uncategorized")
}

func (t journalTx) PutDelivery(ctx context.Context, d reporter.Delivery) error {
	_, err := insertDelivery(ctx, t.q, d)
	return err
}

// Incident returns the incident of that ID, or reporter.ErrNotFound.
func (s *Store) Incident(ctx context.Context, id string) (reporter.Incident, error) {
	return oneIncident(ctx, s.read, id)
}

// Incidents returns the newest incidents, at most limit.
func (s *Store) Incidents(ctx context.Context, limit int) ([]reporter.Incident, error) {
	return queryIncidents(ctx, s.read, `ORDER BY started_at DESC, id DESC LIMIT ?`, limit)
}

// Earlier counts the incidents of the key that began in the 7 and 30 days before that moment.
func (s *Store) Earlier(ctx context.Context, key string, before time.Time) (reporter.Earlier, error) {
	var e reporter.Earlier
	const day = 24 * time.Hour
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE started_at >= ?), count(*) FROM incidents
		WHERE key = ? AND started_at >= ? AND started_at < ?`,
		before.Add(-7*day).UnixMicro(), key, before.Add(-30*day).UnixMicro(), before.UnixMicro()).Scan(&e.Days7, &e.Days30)
	if err != nil {
		return e, fmt.Errorf("earlier incidents: %w", err)
	}
	return e, nil
}

func oneIncident(ctx context.Context, q querier, id string) (reporter.Incident, error) {
	list, err := queryIncidents(ctx, q, `WHERE id = ?`, id)
	if err != nil {
		return reporter.Incident{}, err
	}
	if len(list) == 0 {
		return reporter.Incident{}, fmt.Errorf("incident %s: %w", id, reporter.ErrNotFound)
	}
	return list[0], nil
}

// queryIncidents reads incidents and then the alerts of each; a transaction has one connection, so the rows of the
// first are read to their end before the next begin.
func queryIncidents(ctx context.Context, q querier, where string, args ...any) (_ []reporter.Incident, err error) {
	rows, err := q.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	defer rows.Close()
	var out []reporter.Incident
	for rows.Next() {
		var in reporter.Incident
		var groupLabels string
		var truncated int64
		var started, ended, first, last sql.NullInt64
		if err := rows.Scan(&in.ID, &in.Key, &in.GroupKey, &in.Receiver, &in.ExternalURL, &groupLabels, &in.State, &started,
			&ended, &in.CloseReason, &truncated, &first, &last, &in.Notified, &in.Sample); err != nil {
			return nil, fmt.Errorf("incidents: %w", err)
		}
		if err := json.Unmarshal([]byte(groupLabels), &in.GroupLabels); err != nil {
			return nil, fmt.Errorf("incident %s: %w", in.ID, err)
		}
		in.Truncated = uint64(truncated)
		in.StartedAt, in.EndedAt, in.FirstSeenAt, in.LastSeenAt = moment(started), moment(ended), moment(first), moment(last)
		out = append(out, in)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	for n := range out {
		if out[n].Alerts, err = queryAlerts(ctx, q, out[n].ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func queryAlerts(ctx context.Context, q querier, incident string) ([]reporter.Alert, error) {
	rows, err := q.QueryContext(ctx, `SELECT fingerprint, starts_at, ends_at, firing, labels, annotations, generator_url
		FROM alerts WHERE incident_id = ? ORDER BY n`, incident)
	if err != nil {
		return nil, fmt.Errorf("alerts of %s: %w", incident, err)
	}
	defer rows.Close()
	var out []reporter.Alert
	for rows.Next() {
		var a reporter.Alert
		var labels, annotations string
		var starts, ends sql.NullInt64
		if err := rows.Scan(&a.Fingerprint, &starts, &ends, &a.Firing, &labels, &annotations, &a.GeneratorURL); err != nil {
			return nil, fmt.Errorf("alerts of %s: %w", incident, err)
		}
		a.StartsAt, a.EndsAt = moment(starts), moment(ends)
		if err := errors.Join(json.Unmarshal([]byte(labels), &a.Labels), json.Unmarshal([]byte(annotations), &a.Annotations)); err != nil {
			return nil, fmt.Errorf("alerts of %s: %w", incident, err)
		}
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("alerts of %s: %w", incident, err)
	}
	return out, nil
}
