package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// journalTx is one update's view of the journal, inside a transaction that it may share with others.
type journalTx struct {
	tx
	store *Store
	// alerts is what is stored of the incidents that were read or put, so that only what changes is written.
	alerts map[string]map[alertKey]reporter.Alert
	// put is what is to be written at the end, or before it is read, by ID: many rows go into one statement.
	put map[string]reporter.Incident
	// read is what was read ahead, with what was put since.
	read map[reporter.JournalQuestion][]reporter.Incident
}

// readAtOnce is how many questions are answered ahead; an update of more keys asks the rest one by one.
const readAtOnce = 500

// question is one as the map knows it: times of one moment differ by their zones.
func question(key string, since time.Time) reporter.JournalQuestion {
	return reporter.JournalQuestion{Key: key, Since: since.UTC().Round(0)}
}

// readAhead answers what the updates are going to ask, in two statements rather than two for each.
func (t journalTx) readAhead(ctx context.Context, share []*update) error {
	var asked []reporter.JournalQuestion
	for _, u := range share {
		for _, q := range u.asks {
			q = question(q.Key, q.Since)
			if _, ok := t.read[q]; !ok && len(asked) < readAtOnce {
				asked = append(asked, q)
				t.read[q] = nil
			}
		}
	}
	if len(asked) < 2 { // which is no work less
		clear(t.read)
		return nil
	}
	var values strings.Builder
	var args []any
	for n, q := range padded(asked) {
		fmt.Fprintf(&values, ",(CAST($%d AS TEXT), CAST($%d AS BIGINT))", 2*n+1, 2*n+2)
		args = append(args, q.Key, q.Since.UnixMicro())
	}
	found, err := queryIncidents(ctx, t.querier, `WHERE id IN (WITH asked (k, since) AS (VALUES `+values.String()[1:]+`)
		SELECT i.id FROM asked JOIN incidents i ON i.key = asked.k AND (i.state = 'open' OR i.ended_at >= asked.since))
		ORDER BY started_at, id`, args...)
	if err != nil {
		return err
	}
	for _, in := range found {
		t.remember(in)
		t.changed(in)
	}
	return nil
}

// padded repeats the last of a list until its length is a power of 2, so that the texts of statements are few.
func padded[T any](list []T) []T {
	n := 1 << bits.Len(uint(len(list)-1))
	return append(list[:len(list):len(list)], slices.Repeat(list[len(list)-1:], n-len(list))...)
}

// changed lays an incident over what was read ahead: updates that share a commit often speak of the same one.
func (t journalTx) changed(in reporter.Incident) {
	for q, found := range t.read {
		if q.Key != in.Key {
			continue
		}
		found = slices.DeleteFunc(slices.Clone(found), func(have reporter.Incident) bool { return have.ID == in.ID })
		if in.State == reporter.IncidentOpen || in.EndedAt.UnixMicro() >= q.Since.UnixMicro() {
			found = append(found, in)
			slices.SortFunc(found, func(a, b reporter.Incident) int {
				return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
			})
		}
		t.read[q] = found
	}
}

// alertKey tells the alerts of one incident apart.
type alertKey struct {
	fingerprint string
	start       int64
}

func keyOf(a reporter.Alert) alertKey { return alertKey{a.Fingerprint, a.StartsAt.UnixMicro()} }

func (t journalTx) remember(in reporter.Incident) {
	m := make(map[alertKey]reporter.Alert, len(in.Alerts))
	for _, a := range in.Alerts {
		m[keyOf(a)] = a
	}
	t.alerts[in.ID] = m
}

const incidentColumns = `id, key, group_key, receiver, external_url, group_labels, state, started_at, ended_at,
	close_reason, truncated, first_seen, last_seen, notified, sample`

func (t journalTx) Incidents(ctx context.Context, key string, since time.Time) ([]reporter.Incident, error) {
	if found, ok := t.read[question(key, since)]; ok {
		return slices.Clone(found), nil
	}
	for _, in := range t.put {
		if in.Key == key {
			if err := t.flush(ctx); err != nil {
				return nil, err
			}
			break
		}
	}
	found, err := queryIncidents(ctx, t.querier, `WHERE key = $1 AND (state = 'open' OR ended_at >= $2) ORDER BY started_at, id`,
		key, since.UnixMicro())
	for _, in := range found {
		t.remember(in)
	}
	return found, err
}

func (t journalTx) Incident(ctx context.Context, id string) (reporter.Incident, error) {
	if in, ok := t.put[id]; ok {
		return in, nil
	}
	in, err := oneIncident(ctx, t.querier, id)
	if err == nil || errors.Is(err, reporter.ErrNotFound) {
		in.ID = id
		t.remember(in)
	}
	return in, err
}

func (t journalTx) DeleteIncident(ctx context.Context, id string) error {
	delete(t.alerts, id)
	delete(t.put, id)
	for q, found := range t.read {
		t.read[q] = slices.DeleteFunc(slices.Clone(found), func(have reporter.Incident) bool { return have.ID == id })
	}
	if _, err := t.exec(ctx, `DELETE FROM incidents WHERE id = $1`, id); err != nil {
		return fmt.Errorf("incident %s: %w", id, err)
	}
	return nil
}

func (t journalTx) PutIncident(ctx context.Context, in reporter.Incident) error {
	if _, known := t.alerts[in.ID]; !known {
		if _, err := t.Incident(ctx, in.ID); err != nil && !errors.Is(err, reporter.ErrNotFound) {
			return err
		}
	}
	t.put[in.ID] = in
	t.changed(in)
	return nil
}

const incidentValues = 15

// flush writes what was put.
func (t journalTx) flush(ctx context.Context) error {
	incidents := t.rows(`INSERT INTO incidents (`+incidentColumns+`) VALUES `, incidentValues, `
		ON CONFLICT (id) DO UPDATE SET key=excluded.key, group_key=excluded.group_key, receiver=excluded.receiver,
			external_url=excluded.external_url, group_labels=excluded.group_labels, state=excluded.state,
			started_at=excluded.started_at, ended_at=excluded.ended_at, close_reason=excluded.close_reason,
			truncated=excluded.truncated, first_seen=excluded.first_seen, last_seen=excluded.last_seen,
			notified=excluded.notified, sample=excluded.sample`)
	for _, id := range slices.Sorted(maps.Keys(t.put)) {
		in := t.put[id]
		groupLabels, err := json.Marshal(in.GroupLabels)
		if err != nil {
			return fmt.Errorf("incident %s: %w", in.ID, err)
		}
		if err := incidents.add(ctx, in.ID, in.Key, in.GroupKey, in.Receiver, in.ExternalURL, string(groupLabels),
			string(in.State), in.StartedAt.UnixMicro(), micros(in.EndedAt), string(in.CloseReason), int64(in.Truncated),
			micros(in.FirstSeenAt), micros(in.LastSeenAt), in.Notified, in.Sample); err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
	}
	if err := incidents.end(ctx); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	if err := t.flushAlerts(ctx); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	clear(t.put)
	return nil
}

// flushAlerts writes those alerts of the incidents that differ from what is stored.
func (t journalTx) flushAlerts(ctx context.Context) error {
	alerts := t.rows(`INSERT INTO alerts (incident_id, fingerprint, starts_at, ends_at, firing, seen_at, presumed_at,
		presumed_why, labels, annotations, generator_url, category, name) VALUES `, alertColumns, `
		ON CONFLICT (incident_id, starts_at, fingerprint) DO UPDATE SET ends_at=excluded.ends_at,
		firing=excluded.firing, seen_at=excluded.seen_at, presumed_at=excluded.presumed_at,
		presumed_why=excluded.presumed_why, labels=excluded.labels, annotations=excluded.annotations,
		generator_url=excluded.generator_url, category=excluded.category, name=excluded.name`)
	for id, in := range t.put {
		stored := t.alerts[id]
		kept := make(map[alertKey]bool, len(in.Alerts))
		for _, a := range in.Alerts {
			k := keyOf(a)
			kept[k] = true
			if have, ok := stored[k]; ok && sameAlert(have, a) {
				continue
			}
			labels, err := json.Marshal(a.Labels)
			if err != nil {
				return err
			}
			annotations, err := json.Marshal(a.Annotations)
			if err != nil {
				return err
			}
			if err := alerts.add(ctx, id, a.Fingerprint, a.StartsAt.UnixMicro(), micros(a.EndsAt), a.Firing, micros(a.SeenAt),
				micros(a.PresumedAt), string(a.PresumedWhy), string(labels), string(annotations), a.GeneratorURL,
				category(a), a.Labels["alertname"]); err != nil {
				return err
			}
		}
		for k := range stored {
			if !kept[k] {
				_, err := t.exec(ctx, `DELETE FROM alerts WHERE incident_id = $1 AND starts_at = $2 AND fingerprint = $3`,
					id, k.start, k.fingerprint)
				if err != nil {
					return err
				}
			}
		}
		t.remember(in)
	}
	return alerts.end(ctx)
}

const (
	// rowsAtOnce is how many rows one statement inserts, a power of 2; both databases take well over 32767 arguments.
	rowsAtOnce   = 256
	alertColumns = 13
)

// rowInserter gathers rows into statements of many.
type rowInserter struct {
	querier
	head, tail string
	columns    int
	args       []any
}

func (q querier) rows(head string, columns int, tail string) *rowInserter {
	return &rowInserter{querier: q, head: head, tail: tail, columns: columns}
}

func (r *rowInserter) add(ctx context.Context, row ...any) error {
	r.args = append(r.args, row...)
	if len(r.args) >= rowsAtOnce*r.columns {
		return r.end(ctx)
	}
	return nil
}

// end inserts what has gathered, by statements whose numbers of rows are powers of 2: PostgreSQL plans each text anew, and
// there are few texts that way.
func (r *rowInserter) end(ctx context.Context) error {
	rest := r.args
	for len(rest) > 0 {
		n := 1 << (bits.Len(uint(len(rest)/r.columns)) - 1) * r.columns
		if err := r.insert(ctx, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	r.args = r.args[:0]
	return nil
}

func (r *rowInserter) insert(ctx context.Context, args []any) error {
	var b strings.Builder
	b.WriteString(r.head)
	for n := range args {
		switch {
		case n == 0:
			b.WriteString("(")
		case n%r.columns == 0:
			b.WriteString("),(")
		default:
			b.WriteString(",")
		}
		if r.sqlite { // which searches a list for the name of each numbered argument
			b.WriteString("?")
		} else {
			b.WriteString("$" + strconv.Itoa(n+1))
		}
	}
	b.WriteString(")" + r.tail)
	_, err := r.exec(ctx, b.String(), args...)
	return err
}

func sameAlert(a, b reporter.Alert) bool {
	return a.EndsAt.Equal(b.EndsAt) && a.Firing == b.Firing && a.SeenAt.Equal(b.SeenAt) && a.PresumedAt.Equal(b.PresumedAt) &&
		a.PresumedWhy == b.PresumedWhy && a.GeneratorURL == b.GeneratorURL && maps.Equal(a.Labels, b.Labels) &&
		maps.Equal(a.Annotations, b.Annotations)
}

// category is what the KPI of alerts by category counts an alert under.
func category(a reporter.Alert) string {
	return cmp.Or(a.Labels["alert_category"], a.Labels["category"], "uncategorized")
}

func (t journalTx) PutDelivery(ctx context.Context, d reporter.Delivery) error {
	_, err := t.store.insertDelivery(ctx, t.tx, d)
	return err
}

// Incident returns the incident of that ID, or reporter.ErrNotFound.
func (s *Store) Incident(ctx context.Context, id string) (reporter.Incident, error) {
	return oneIncident(ctx, s.reading(), id)
}

// Incidents returns the newest incidents, at most limit.
func (s *Store) Incidents(ctx context.Context, limit int) ([]reporter.Incident, error) {
	return queryIncidents(ctx, s.reading(), `ORDER BY started_at DESC, id DESC LIMIT $1`, limit)
}

// Open returns the incidents that are open, oldest first.
func (s *Store) Open(ctx context.Context) ([]reporter.Incident, error) {
	return queryIncidents(ctx, s.reading(), `WHERE state = 'open' ORDER BY started_at, id`)
}

// Earlier counts the incidents of the key that began in the 7 and 30 days before that moment, and averages how long those
// of the 30 days took that are over.
func (s *Store) Earlier(ctx context.Context, key string, before time.Time) (reporter.Earlier, error) {
	var e reporter.Earlier
	const day = 24 * time.Hour
	var mean sql.NullFloat64
	err := s.reading().row(ctx, `SELECT count(*) FILTER (WHERE started_at >= $1), count(*),
		count(*) FILTER (WHERE state = 'resolved'), avg(ended_at - started_at) FILTER (WHERE state = 'resolved')
		FROM incidents WHERE key = $2 AND started_at >= $3 AND started_at < $4`,
		before.Add(-7*day).UnixMicro(), key, before.Add(-30*day).UnixMicro(), before.UnixMicro()).
		Scan(&e.Days7, &e.Days30, &e.Resolved, &mean)
	if err != nil {
		return e, fmt.Errorf("earlier incidents: %w", err)
	}
	e.MeanResolve = time.Duration(mean.Float64 * float64(time.Microsecond))
	return e, nil
}

const (
	// alikeAlerts is how many alerts of each incident Alike returns: enough to tell what it was about.
	alikeAlerts = 20
	alikeNames  = 20
)

// Alike returns incidents that are over, began within since <= t < before, and have an alert of one of these names: the
// latest first, at most limit, each with its first alerts.
func (s *Store) Alike(ctx context.Context, names []string, since, before time.Time, limit int) ([]reporter.Incident, error) {
	names = names[:min(len(names), alikeNames)]
	if len(names) == 0 {
		return nil, nil
	}
	args := []any{since.UnixMicro(), before.UnixMicro(), limit}
	var list strings.Builder
	for _, n := range names {
		args = append(args, n)
		fmt.Fprintf(&list, ",$%d", len(args))
	}
	found, err := queryIncidentRows(ctx, s.reading(), `WHERE state = 'resolved' AND started_at >= $1 AND started_at < $2
		AND id IN (SELECT incident_id FROM alerts WHERE starts_at >= $1 AND name IN (`+list.String()[1:]+`))
		ORDER BY started_at DESC, id LIMIT $3`, args...)
	if err != nil {
		return nil, err
	}
	for n := range found {
		if found[n].Alerts, err = queryAlerts(ctx, s.reading(), found[n].ID, alikeAlerts); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func oneIncident(ctx context.Context, q querier, id string) (reporter.Incident, error) {
	list, err := queryIncidents(ctx, q, `WHERE id = $1`, id)
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
func queryIncidents(ctx context.Context, q querier, where string, args ...any) ([]reporter.Incident, error) {
	out, err := queryIncidentRows(ctx, q, where, args...)
	if err != nil {
		return nil, err
	}
	places := make(map[string]int, len(out))
	for chunk := range slices.Chunk(out, readAtOnce) {
		var ids strings.Builder
		var args []any
		for _, in := range chunk {
			places[in.ID] = len(places)
		}
		for _, in := range padded(chunk) {
			args = append(args, in.ID)
			fmt.Fprintf(&ids, ",$%d", len(args))
		}
		err := eachAlert(ctx, q, `WHERE incident_id IN (`+ids.String()[1:]+`) ORDER BY incident_id, starts_at, fingerprint`,
			func(incident string, a reporter.Alert) {
				out[places[incident]].Alerts = append(out[places[incident]].Alerts, a)
			}, args...)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// queryIncidentRows reads incidents without their alerts.
func queryIncidentRows(ctx context.Context, q querier, where string, args ...any) ([]reporter.Incident, error) {
	rows, err := q.query(ctx, `SELECT `+incidentColumns+` FROM incidents `+where, args...)
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
	return out, nil
}

// queryAlerts reads the first alerts of an incident, at most limit.
func queryAlerts(ctx context.Context, q querier, incident string, limit int64) (out []reporter.Alert, err error) {
	err = eachAlert(ctx, q, `WHERE incident_id = $1 ORDER BY starts_at, fingerprint LIMIT $2`,
		func(_ string, a reporter.Alert) { out = append(out, a) }, incident, limit)
	return out, err
}

// eachAlert calls f with each alert that is asked for, and the ID of its incident.
func eachAlert(ctx context.Context, q querier, where string, f func(incident string, a reporter.Alert), args ...any) error {
	rows, err := q.query(ctx, `SELECT incident_id, fingerprint, starts_at, ends_at, firing, seen_at, presumed_at, presumed_why,
		labels, annotations, generator_url FROM alerts `+where, args...)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var a reporter.Alert
		var incident, labels, annotations string
		var starts, ends, seen, presumed sql.NullInt64
		if err := rows.Scan(&incident, &a.Fingerprint, &starts, &ends, &a.Firing, &seen, &presumed, &a.PresumedWhy, &labels,
			&annotations, &a.GeneratorURL); err != nil {
			return fmt.Errorf("alerts: %w", err)
		}
		a.StartsAt, a.EndsAt, a.SeenAt, a.PresumedAt = moment(starts), moment(ends), moment(seen), moment(presumed)
		if err := errors.Join(json.Unmarshal([]byte(labels), &a.Labels), json.Unmarshal([]byte(annotations), &a.Annotations)); err != nil {
			return fmt.Errorf("alerts of %s: %w", incident, err)
		}
		f(incident, a)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}
