package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

var (
	heartbeatTable = table{"heartbeats", columns("fingerprint", "cluster"), columns(
		"route", "group_key", "labels", "annotations", "external_url", "starts_at INT", "first_seen INT", "seen_at INT",
		"seen_counted INT", "resolved_start INT", "resolved_end INT", "resolved_at INT", "outage", "missing_at INT",
	)}
	outageTable = table{"heartbeat_outages", columns("id"), columns(
		"cluster", "fingerprint", "route", "labels", "annotations", "external_url", "severity", "cause", "missing_after INT", "seen_at INT",
		"missing_at INT", "returned_at INT",
	)}
)

// heartbeatKey identifies a heartbeat.
type heartbeatKey struct{ fingerprint, cluster string }

// heartbeatsTx is the heartbeats inside a transaction that updates may share, as the updates so far left them.
type heartbeatsTx struct {
	known   map[heartbeatKey]reporter.Heartbeat
	outages map[string]reporter.HeartbeatOutage
	total   int
	watch   reporter.HeartbeatWatch
}

// loadHeartbeats reads what the queries ask for of heartbeats.
func (t *journalTx) loadHeartbeats(ctx context.Context, queries []reporter.JournalQuery) error {
	var fingerprints, groups [][]any
	asked, all := false, false
	for _, q := range queries {
		all = all || q.AllHeartbeats
		for _, f := range q.Heartbeats {
			fingerprints = append(fingerprints, []any{f})
		}
		for _, g := range q.HeartbeatGroups {
			groups = append(groups, []any{g})
		}
		asked = asked || asksHeartbeats(q)
	}
	if !asked {
		return nil
	}
	h := &t.heartbeats
	where, args := "", []any(nil)
	if !all {
		one, err1 := array(fingerprints)
		two, err2 := array(groups)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("heartbeats: %w", err)
		}
		where = `WHERE fingerprint IN (SELECT ` + t.element(0) + ` FROM ` + t.each(1) + ` v)
			OR group_key IN (SELECT ` + t.element(0) + ` FROM ` + t.each(2) + ` v)`
		args = []any{one, two}
	}
	list, err := queryHeartbeats(ctx, t.querier, where, args...)
	if err != nil {
		return err
	}
	var missing [][]any
	for _, hb := range list {
		h.known[heartbeatKey{hb.Fingerprint, hb.Cluster}] = hb
		if hb.Missing() {
			missing = append(missing, []any{hb.Outage})
		}
	}
	if len(missing) > 0 {
		ids, err := array(missing)
		if err != nil {
			return fmt.Errorf("heartbeats: %w", err)
		}
		outages, err := queryOutages(ctx, t.querier, `WHERE id IN (SELECT `+t.element(0)+` FROM `+t.each(1)+` v)`, ids)
		if err != nil {
			return err
		}
		for _, o := range outages {
			h.outages[o.ID] = o
		}
	}
	var at, counted sql.NullInt64
	err = t.row(ctx, `SELECT (SELECT count(*) FROM heartbeats), (SELECT at FROM heartbeat_watch WHERE key = 1),
		(SELECT counted FROM heartbeat_watch WHERE key = 1)`).Scan(&h.total, &at, &counted)
	if err != nil {
		return fmt.Errorf("heartbeats: %w", err)
	}
	h.watch = reporter.HeartbeatWatch{At: moment(at), Counted: time.Duration(counted.Int64) * time.Microsecond}
	return nil
}

// asksHeartbeats says whether a query asks for anything of heartbeats.
func asksHeartbeats(q reporter.JournalQuery) bool {
	return q.AllHeartbeats || len(q.Heartbeats)+len(q.HeartbeatGroups) > 0
}

// view adds what one update asked for.
func (h *heartbeatsTx) view(q reporter.JournalQuery, v *reporter.JournalView) {
	if !asksHeartbeats(q) {
		return
	}
	v.HeartbeatTotal, v.HeartbeatWatch = h.total, h.watch
	for _, hb := range h.known {
		if !q.AllHeartbeats && !slices.Contains(q.Heartbeats, hb.Fingerprint) && !slices.Contains(q.HeartbeatGroups, hb.Group) {
			continue
		}
		v.Heartbeats = append(v.Heartbeats, hb)
		if o, ok := h.outages[hb.Outage]; ok {
			v.HeartbeatOutages = append(v.HeartbeatOutages, o)
		}
	}
	slices.SortFunc(v.Heartbeats, func(a, b reporter.Heartbeat) int {
		if c := strings.Compare(a.Cluster, b.Cluster); c != 0 {
			return c
		}
		return strings.Compare(a.Fingerprint, b.Fingerprint)
	})
}

// changeHeartbeats stores what an update changes of heartbeats.
func (t *journalTx) changeHeartbeats(ctx context.Context, c reporter.JournalChanges) error {
	if len(c.Heartbeats)+len(c.HeartbeatsForgotten)+len(c.HeartbeatOutages) == 0 && c.HeartbeatWatch == nil {
		return nil
	}
	h := &t.heartbeats
	for _, hb := range c.HeartbeatsForgotten {
		if _, err := t.exec(ctx, `DELETE FROM heartbeats WHERE fingerprint = $1 AND cluster = $2`, hb.Fingerprint, hb.Cluster); err != nil {
			return fmt.Errorf("heartbeats: %w", err)
		}
		delete(h.known, heartbeatKey{hb.Fingerprint, hb.Cluster})
		h.total--
	}
	outages, heartbeats := t.upsert(outageTable), t.upsert(heartbeatTable)
	for _, o := range c.HeartbeatOutages {
		row, err := outageRow(o)
		if err == nil {
			err = outages.add(ctx, row...)
		}
		if err != nil {
			return fmt.Errorf("heartbeat outage %s: %w", o.ID, err)
		}
		h.outages[o.ID] = o
	}
	for _, hb := range c.Heartbeats {
		row, err := heartbeatRow(hb)
		if err == nil {
			err = heartbeats.add(ctx, row...)
		}
		if err != nil {
			return fmt.Errorf("heartbeat %s: %w", hb.Fingerprint, err)
		}
		key := heartbeatKey{hb.Fingerprint, hb.Cluster}
		if _, have := h.known[key]; !have {
			h.total++
		}
		h.known[key] = hb
	}
	if err := errors.Join(outages.end(ctx), heartbeats.end(ctx)); err != nil {
		return fmt.Errorf("heartbeats: %w", err)
	}
	if c.HeartbeatWatch == nil {
		return nil
	}
	h.watch = *c.HeartbeatWatch
	_, err := t.exec(ctx, `INSERT INTO heartbeat_watch (key, at, counted) VALUES (1, $1, $2)
		ON CONFLICT (key) DO UPDATE SET at = excluded.at, counted = excluded.counted`, h.watch.At.UnixMicro(), h.watch.Counted.Microseconds())
	if err != nil {
		return fmt.Errorf("heartbeats: %w", err)
	}
	return nil
}

// Heartbeats returns all heartbeats, those that are missing first, then by cluster and name.
func (s *Store) Heartbeats(ctx context.Context) ([]reporter.Heartbeat, error) {
	list, err := queryHeartbeats(ctx, s.reading(), "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b reporter.Heartbeat) int {
		switch {
		case a.Missing() != b.Missing() && a.Missing():
			return -1
		case a.Missing() != b.Missing():
			return 1
		}
		return slices.Compare([]string{a.Cluster, a.Name(), a.Fingerprint}, []string{b.Cluster, b.Name(), b.Fingerprint})
	})
	return list, nil
}

// HeartbeatOutage returns the outage of that ID, or reporter.ErrNotFound.
func (s *Store) HeartbeatOutage(ctx context.Context, id string) (reporter.HeartbeatOutage, error) {
	list, err := queryOutages(ctx, s.reading(), `WHERE id = $1`, id)
	if err != nil {
		return reporter.HeartbeatOutage{}, err
	}
	if len(list) == 0 {
		return reporter.HeartbeatOutage{}, fmt.Errorf("heartbeat outage %s: %w", id, reporter.ErrNotFound)
	}
	return list[0], nil
}

func heartbeatRow(h reporter.Heartbeat) ([]any, error) {
	labels, annotations, err := twoMaps(h.Labels, h.Annotations)
	if err != nil {
		return nil, err
	}
	return []any{
		h.Fingerprint, h.Cluster, h.Route, h.Group, labels, annotations, h.ExternalURL, micros(h.StartsAt), micros(h.FirstSeenAt),
		micros(h.SeenAt), h.SeenCounted.Microseconds(), micros(h.Resolved.StartsAt), micros(h.Resolved.EndsAt), micros(h.Resolved.At),
		h.Outage, micros(h.MissingAt),
	}, nil
}

func outageRow(o reporter.HeartbeatOutage) ([]any, error) {
	labels, annotations, err := twoMaps(o.Labels, o.Annotations)
	if err != nil {
		return nil, err
	}
	return []any{
		o.ID, o.Cluster, o.Fingerprint, o.Route, labels, annotations, o.ExternalURL, string(o.Severity), string(o.Cause),
		o.MissingAfter.Microseconds(), micros(o.SeenAt), micros(o.MissingAt), micros(o.ReturnedAt),
	}, nil
}

func twoMaps(labels, annotations map[string]string) (string, string, error) {
	one, err1 := json.Marshal(labels)
	two, err2 := json.Marshal(annotations)
	return string(one), string(two), errors.Join(err1, err2)
}

func queryHeartbeats(ctx context.Context, q querier, where string, args ...any) ([]reporter.Heartbeat, error) {
	rows, err := q.query(ctx, `SELECT `+heartbeatTable.list()+` FROM heartbeats `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("heartbeats: %w", err)
	}
	defer rows.Close()
	var out []reporter.Heartbeat
	for rows.Next() {
		var h reporter.Heartbeat
		var labels, annotations string
		var starts, first, seen, resolvedStart, resolvedEnd, resolvedAt, missing sql.NullInt64
		var counted int64
		if err := rows.Scan(&h.Fingerprint, &h.Cluster, &h.Route, &h.Group, &labels, &annotations, &h.ExternalURL, &starts, &first, &seen,
			&counted, &resolvedStart, &resolvedEnd, &resolvedAt, &h.Outage, &missing); err != nil {
			return nil, fmt.Errorf("heartbeats: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(labels), &h.Labels), json.Unmarshal([]byte(annotations), &h.Annotations)); err != nil {
			return nil, fmt.Errorf("heartbeat %s: %w", h.Fingerprint, err)
		}
		h.StartsAt, h.FirstSeenAt, h.SeenAt, h.MissingAt = moment(starts), moment(first), moment(seen), moment(missing)
		h.SeenCounted = time.Duration(counted) * time.Microsecond
		h.Resolved = reporter.HeartbeatResolve{StartsAt: moment(resolvedStart), EndsAt: moment(resolvedEnd), At: moment(resolvedAt)}
		out = append(out, h)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("heartbeats: %w", err)
	}
	return out, nil
}

func queryOutages(ctx context.Context, q querier, where string, args ...any) ([]reporter.HeartbeatOutage, error) {
	rows, err := q.query(ctx, `SELECT `+outageTable.list()+` FROM heartbeat_outages `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("heartbeat outages: %w", err)
	}
	defer rows.Close()
	var out []reporter.HeartbeatOutage
	for rows.Next() {
		var o reporter.HeartbeatOutage
		var labels, annotations string
		var seen, missing, returned sql.NullInt64
		var after int64
		if err := rows.Scan(&o.ID, &o.Cluster, &o.Fingerprint, &o.Route, &labels, &annotations, &o.ExternalURL, &o.Severity, &o.Cause, &after,
			&seen, &missing, &returned); err != nil {
			return nil, fmt.Errorf("heartbeat outages: %w", err)
		}
		if err := errors.Join(json.Unmarshal([]byte(labels), &o.Labels), json.Unmarshal([]byte(annotations), &o.Annotations)); err != nil {
			return nil, fmt.Errorf("heartbeat outage %s: %w", o.ID, err)
		}
		o.MissingAfter = time.Duration(after) * time.Microsecond
		o.SeenAt, o.MissingAt, o.ReturnedAt = moment(seen), moment(missing), moment(returned)
		out = append(out, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("heartbeat outages: %w", err)
	}
	return out, nil
}
