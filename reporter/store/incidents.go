package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

var (
	incidentTable = table{"incidents", columns("id"), columns(
		"key", "cluster", "route", "group_key", "receiver", "external_url", "group_labels", "state", "started_at INT", "ended_at INT",
		"close_reason", "alert_count INT", "folded", "last_end INT", "last_why", "truncated INT", "held BOOL", "left_out BOOL", "first_seen INT",
		"last_seen INT", "seen_all INT", "notified BOOL", "sample BOOL", "adopted BOOL", "title", "severity", "team",
	)}
	// incidentSeen is what a repeat changes of an incident, and incidentState what its end and its continuation do.
	incidentSeen = incidentTable.part("external_url", "group_labels", "last_end", "last_why", "truncated", "held", "left_out", "first_seen",
		"last_seen", "seen_all", "notified")
	incidentState = incidentTable.part("external_url", "group_labels", "last_end", "last_why", "truncated", "held", "left_out", "first_seen",
		"last_seen", "seen_all", "notified", "state", "ended_at", "close_reason")

	alertTable = table{"alerts", columns("incident_id", "starts_at INT", "fingerprint"), columns(
		"ends_at INT", "firing BOOL", "seen_at INT", "resolves", "confirmed_at INT", "dismissed_at INT", "doubtful BOOL", "presumed_at INT",
		"presumed_why", "labels", "annotations", "generator_url", "links", "category", "name", "cluster",
	)}
	// alertSeen is what a repeat changes of an alert, and alertState what else changes while its words stay.
	alertSeen  = alertTable.part("seen_at")
	alertState = alertTable.part("ends_at", "firing", "seen_at", "resolves", "confirmed_at", "dismissed_at", "doubtful", "presumed_at",
		"presumed_why")

	// alertColumns are those of alertTable, with seen_at as it is meant.
	alertColumns = strings.Replace(alertTable.list(), "seen_at",
		`CASE seen_at WHEN 0 THEN (SELECT i.seen_all FROM incidents i WHERE i.id = alerts.incident_id) ELSE seen_at END`, 1)
)

// alertEnd is when an alert ended, or the end of all times while it is firing, as the index alerts_fingerprint has it. A condition on
// ends_at lets PostgreSQL read all firing alerts for each that is looked up, where it does not know how many there are.
const alertEnd = `COALESCE(a.ends_at, 9223372036854775807)`

// extras are what is stored of an incident beside itself.
type extras struct {
	summary
	seenAll time.Time // when those of its alerts were last received firing that are stored as seen with all
}

// incidentRow is the values of an incident, in the order of incidentTable.
func incidentRow(in reporter.Incident, and extras) ([]any, error) {
	folded := "[]"
	if len(in.Folded) > 0 {
		b, err := json.Marshal(in.Folded)
		if err != nil {
			return nil, err
		}
		folded = string(b)
	}
	return []any{
		in.ID, in.Key, cmp.Or(in.Cluster, reporter.ClusterDefault), in.Route, in.GroupKey, in.Receiver, in.ExternalURL,
		encodePairs(in.GroupLabels), string(in.State), in.StartedAt.UnixMicro(), micros(in.EndedAt), string(in.CloseReason), in.AlertsTotal,
		folded, micros(in.LastEnd), string(in.LastWhy),
		int64(in.Truncated), in.Held, in.LeftOut, micros(in.FirstSeenAt), //nolint:gosec // read back as uint64
		micros(in.LastSeenAt), micros(and.seenAll), in.Notified, in.Sample, in.Adopted, and.title, string(and.severity), and.team,
	}, nil
}

func scanIncident(rows *sql.Rows) (in reporter.Incident, and extras, err error) {
	var groupLabels, folded string
	var truncated int64
	var started, ended, lastEnd, first, last, all sql.NullInt64
	if err := rows.Scan(&in.ID, &in.Key, &in.Cluster, &in.Route, &in.GroupKey, &in.Receiver, &in.ExternalURL, &groupLabels,
		&in.State, &started, &ended, &in.CloseReason, &in.AlertsTotal, &folded, &lastEnd, &in.LastWhy, &truncated, &in.Held, &in.LeftOut, &first,
		&last, &all, &in.Notified, &in.Sample, &in.Adopted, &and.title, &and.severity, &and.team); err != nil {
		return in, and, err
	}
	if in.GroupLabels, err = decodePairs(groupLabels); err == nil && folded != "[]" {
		err = json.Unmarshal([]byte(folded), &in.Folded)
	}
	if err != nil {
		return in, and, fmt.Errorf("%s: %w", in.ID, err)
	}
	in.Truncated = uint64(truncated) //nolint:gosec // back from int64, as it was stored
	in.StartedAt, in.EndedAt, in.LastEnd = moment(started), moment(ended), moment(lastEnd)
	in.FirstSeenAt, in.LastSeenAt, and.seenAll = moment(first), moment(last), moment(all)
	return in, and, nil
}

// seenWithAll is the seen_at of an alert that was last received firing at its incident's seen_all.
const seenWithAll = 0

// clusterOfAlerts is the cluster that alerts of an incident are looked up by. Copies from any cluster update one that was adopted from
// the default cluster, which is looked up beside each other one.
func clusterOfAlerts(in reporter.Incident) string {
	if in.Adopted {
		return reporter.ClusterDefault
	}
	return cmp.Or(in.Cluster, reporter.ClusterDefault)
}

// alertRow is the values of an alert, in the order of alertTable; words says whether its labels, annotations and links are wanted.
// ends_at is NULL while it is firing. withAll stores it as seen with all.
func alertRow(in reporter.Incident, a reporter.Alert, words, withAll bool) ([]any, error) {
	resolves, links, labels, annotations := "[]", "[]", "", ""
	if len(a.Resolves) > 0 {
		list := make([][3]int64, len(a.Resolves))
		for n, r := range a.Resolves {
			list[n] = [3]int64{r.EndsAt.UnixMicro(), r.First.UnixMicro(), r.Last.UnixMicro()}
		}
		b, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		resolves = string(b)
	}
	if words {
		labels, annotations = encodePairs(a.Labels), encodePairs(a.Annotations)
		if len(a.Links) > 0 {
			b, err := json.Marshal(a.Links)
			if err != nil {
				return nil, err
			}
			links = string(b)
		}
	}
	ended, _ := a.Ended()
	seen := micros(a.SeenAt)
	if withAll {
		seen = int64(seenWithAll)
	}
	return []any{
		in.ID, a.StartsAt.UnixMicro(), a.Fingerprint, micros(ended), a.Firing, seen, resolves, micros(a.ConfirmedAt),
		micros(a.DismissedAt), a.Doubtful, micros(a.PresumedAt), string(a.PresumedWhy), labels, annotations, a.GeneratorURL, links,
		category(a), a.Labels["alertname"], clusterOfAlerts(in),
	}, nil
}

func scanAlert(rows *sql.Rows) (incident string, a reporter.Alert, err error) {
	var resolves, labels, annotations, links, category, name, cluster string
	var starts, ends, seen, confirmed, dismissed, presumed sql.NullInt64
	if err := rows.Scan(&incident, &starts, &a.Fingerprint, &ends, &a.Firing, &seen, &resolves, &confirmed, &dismissed, &a.Doubtful,
		&presumed, &a.PresumedWhy, &labels, &annotations, &a.GeneratorURL, &links, &category, &name, &cluster); err != nil {
		return "", a, err
	}
	a.StartsAt, a.SeenAt, a.PresumedAt = moment(starts), moment(seen), moment(presumed)
	a.ConfirmedAt, a.DismissedAt = moment(confirmed), moment(dismissed)
	if !a.Firing {
		a.EndsAt = moment(ends)
	}
	if resolves != "[]" {
		var list [][3]int64
		err = json.Unmarshal([]byte(resolves), &list)
		for _, r := range list {
			a.Resolves = append(a.Resolves, reporter.Resolve{
				EndsAt: time.UnixMicro(r[0]).UTC(), First: time.UnixMicro(r[1]).UTC(), Last: time.UnixMicro(r[2]).UTC(),
			})
		}
	}
	if links != "[]" {
		err = errors.Join(err, json.Unmarshal([]byte(links), &a.Links))
	}
	var wrong1, wrong2 error
	a.Labels, wrong1 = decodePairs(labels)
	a.Annotations, wrong2 = decodePairs(annotations)
	if err = errors.Join(err, wrong1, wrong2); err != nil {
		return "", a, fmt.Errorf("%s: %w", incident, err)
	}
	return incident, a, nil
}

// category is what the KPI of alerts by category counts an alert under.
func category(a reporter.Alert) string {
	return cmp.Or(a.Labels["alert_category"], a.Labels["category"], "uncategorized")
}

// Incident returns the incident of that ID, or reporter.ErrNotFound.
func (s *Store) Incident(ctx context.Context, id string) (reporter.Incident, error) {
	return oneIncident(ctx, s.reading(), id)
}

// Incidents returns the newest incidents, at most limit.
func (s *Store) Incidents(ctx context.Context, limit int) ([]reporter.Incident, error) {
	return queryIncidents(ctx, s.reading(), `ORDER BY started_at DESC, id DESC LIMIT $1`, limit)
}

// OpenClusters returns the clusters that have an open incident or an alert in doubt.
func (s *Store) OpenClusters(ctx context.Context) ([]string, error) {
	return s.texts(ctx, `SELECT DISTINCT cluster FROM incidents WHERE ended_at IS NULL
		OR id IN (SELECT incident_id FROM alerts WHERE doubtful) ORDER BY 1`)
}

// HeldIncidents returns the incidents of a cluster that are open only because webhooks of their group left alerts out, without
// their alerts.
func (s *Store) HeldIncidents(ctx context.Context, cluster string) ([]reporter.Incident, error) {
	return queryIncidentRows(ctx, s.reading(), `WHERE cluster = $1 AND held AND ended_at IS NULL
		AND id NOT IN (SELECT incident_id FROM alerts WHERE ends_at IS NULL) ORDER BY id`, cluster)
}

// TimeDue returns incidents that change by time alone: open ones that began at or before started, and those with an alert in
// doubt.
func (s *Store) TimeDue(ctx context.Context, started time.Time) ([]string, error) {
	return s.texts(ctx, `SELECT id FROM incidents WHERE (state = 'open' AND started_at <= $1)
		OR id IN (SELECT incident_id FROM alerts WHERE doubtful) ORDER BY started_at, id`, started.UnixMicro())
}

func (s *Store) texts(ctx context.Context, query string, args ...any) (out []string, err error) {
	return texts(ctx, s.reading(), query, args...)
}

func texts(ctx context.Context, q querier, query string, args ...any) (out []string, err error) {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, fmt.Errorf("incidents: %w", err)
		}
		out = append(out, text)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	return out, nil
}

// FiringAlerts returns the alerts of a cluster that are firing, or whose end is in doubt.
func (s *Store) FiringAlerts(ctx context.Context, cluster string) (out []reporter.JournalAlert, err error) {
	rows, err := s.reading().query(ctx, `SELECT a.incident_id, a.fingerprint, a.starts_at,
		COALESCE(CASE a.seen_at WHEN 0 THEN i.seen_all ELSE a.seen_at END, i.last_seen), a.doubtful
		FROM incidents i JOIN alerts a ON a.incident_id = i.id WHERE i.cluster = $1 AND (a.ends_at IS NULL OR a.doubtful)
		AND (i.ended_at IS NULL OR i.id IN (SELECT incident_id FROM alerts WHERE doubtful))`, cluster)
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		a := reporter.JournalAlert{Cluster: cluster}
		var starts, seen sql.NullInt64
		if err := rows.Scan(&a.Incident, &a.Fingerprint, &starts, &seen, &a.Doubtful); err != nil {
			return nil, fmt.Errorf("alerts: %w", err)
		}
		a.StartsAt, a.SeenAt = moment(starts), moment(seen)
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	return out, nil
}

// earlierAlerts is how many alerts of an incident Earlier looks at.
const earlierAlerts = 100

// Earlier counts the incidents that share an alert with this one and began in the 7 and 30 days before it, and averages how
// long those of the 30 days took that are over.
func (s *Store) Earlier(ctx context.Context, in reporter.Incident) (reporter.Earlier, error) {
	var e reporter.Earlier
	const day = 24 * time.Hour
	var fingerprints [][]any
	for _, a := range in.Alerts[:min(len(in.Alerts), earlierAlerts)] {
		fingerprints = append(fingerprints, []any{a.Fingerprint})
	}
	asked, err := array(fingerprints)
	if err != nil {
		return e, fmt.Errorf("earlier incidents: %w", err)
	}
	var mean sql.NullFloat64
	q := s.reading()
	err = q.row(ctx, `SELECT count(*) FILTER (WHERE started_at >= $1), count(*),
		count(*) FILTER (WHERE state = 'resolved'), avg(ended_at - started_at) FILTER (WHERE state = 'resolved')
		FROM incidents WHERE id != $2 AND cluster = $3 AND started_at >= $4 AND started_at < $5
		AND id IN (SELECT a.incident_id FROM `+q.each(6)+` v JOIN alerts a ON a.fingerprint = `+q.element(0)+`
			AND a.cluster IN ($3, '`+reporter.ClusterDefault+`') AND `+alertEnd+` >= $4)`,
		in.StartedAt.Add(-7*day).UnixMicro(), in.ID, cmp.Or(in.Cluster, reporter.ClusterDefault),
		in.StartedAt.Add(-30*day).UnixMicro(), in.StartedAt.UnixMicro(), asked).
		Scan(&e.Days7, &e.Days30, &e.Resolved, &mean)
	if err != nil {
		return e, fmt.Errorf("earlier incidents: %w", err)
	}
	e.MeanResolve = time.Duration(mean.Float64 * float64(time.Microsecond))
	return e, nil
}

const (
	// alikeAlerts is how many alerts of each incident Alike returns: enough to know what it was about.
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
	if err != nil || len(out) == 0 {
		return out, err
	}
	places := make(map[string]int, len(out))
	ids := make([][]any, len(out))
	for n, in := range out {
		places[in.ID], ids[n] = n, []any{in.ID}
	}
	asked, err := array(ids)
	if err != nil {
		return nil, err
	}
	err = eachAlert(ctx, q, `WHERE incident_id IN (SELECT `+q.element(0)+` FROM `+q.each(1)+` v) ORDER BY incident_id, starts_at, fingerprint`,
		func(incident string, a reporter.Alert) {
			out[places[incident]].Alerts = append(out[places[incident]].Alerts, a)
		}, asked)
	return out, err
}

// queryIncidentRows reads incidents without their alerts.
func queryIncidentRows(ctx context.Context, q querier, where string, args ...any) (out []reporter.Incident, err error) {
	err = eachIncident(ctx, q, where, func(in reporter.Incident, _ extras) { out = append(out, in) }, args...)
	return out, err
}

// eachIncident calls f with each incident that is asked for, without its alerts, and what lists show of it.
func eachIncident(ctx context.Context, q querier, where string, f func(reporter.Incident, extras), args ...any) error {
	rows, err := q.query(ctx, `SELECT `+incidentTable.list()+` FROM incidents `+where, args...)
	if err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		in, and, err := scanIncident(rows)
		if err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
		f(in, and)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	return nil
}

// queryAlerts reads the first alerts of an incident, at most limit.
func queryAlerts(ctx context.Context, q querier, incident string, limit int64) (out []reporter.Alert, err error) {
	err = eachAlert(ctx, q, `WHERE incident_id = $1 ORDER BY starts_at, fingerprint LIMIT $2`,
		func(_ string, a reporter.Alert) { out = append(out, a) }, incident, limit)
	return out, err
}

// eachAlert calls f with each alert that is asked for, and the ID of its incident.
func eachAlert(ctx context.Context, q querier, where string, f func(incident string, a reporter.Alert), args ...any) error {
	return eachAlertOf(ctx, q, alertColumns, where, f, args...)
}

// eachAlertOf is eachAlert with the columns that stand for those of alertTable.
func eachAlertOf(
	ctx context.Context, q querier, columns, where string, f func(incident string, a reporter.Alert), args ...any,
) error {
	rows, err := q.query(ctx, `SELECT `+columns+` FROM alerts `+where, args...)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		incident, a, err := scanAlert(rows)
		if err != nil {
			return fmt.Errorf("alerts: %w", err)
		}
		f(incident, a)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}
