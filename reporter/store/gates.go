package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const gateColumns = `key, wait_until, failures, sent, reason, detail, since, moved_to`

// DueWork returns the receivers with a pending delivery or an edit that is due, those with a delivery that was made at or before
// expired, and all gates.
func (s *Store) DueWork(ctx context.Context, now, expired time.Time) (out reporter.DueWork, err error) {
	q := s.reading()
	out.Due, err = queryTexts(ctx, q, `SELECT DISTINCT receiver FROM deliveries WHERE state = 'pending' AND next_attempt <= $1`,
		now.UnixMicro())
	if err != nil {
		return out, fmt.Errorf("deliveries: %w", err)
	}
	out.Expired, err = queryTexts(ctx, q, `SELECT DISTINCT receiver FROM deliveries WHERE state = 'pending' AND created_at <= $1
		AND kind != 'notice'`, expired.UnixMicro())
	if err != nil {
		return out, fmt.Errorf("deliveries: %w", err)
	}
	edits, err := queryTexts(ctx, q, `SELECT DISTINCT e.receiver FROM edits e JOIN deliveries d ON d.id = e.delivery_id
		WHERE e.next_attempt <= $1 AND d.state != 'pending'`, now.UnixMicro())
	if err != nil {
		return out, fmt.Errorf("edits: %w", err)
	}
	out.Due = append(out.Due, edits...)
	var next sql.NullInt64
	err = q.row(ctx, `SELECT min(next_attempt) FROM (SELECT min(next_attempt) AS next_attempt FROM deliveries
		WHERE state = 'pending' AND next_attempt > $1 UNION ALL SELECT min(next_attempt) FROM edits WHERE next_attempt > $1) n`,
		now.UnixMicro()).Scan(&next)
	if err != nil {
		return out, fmt.Errorf("deliveries: %w", err)
	}
	out.Next = moment(next)
	out.Gates, err = queryGates(ctx, q, `WHERE key != 'check of writes'`)
	return out, err
}

// Gates returns the gates of the keys, in that order; one that was never written is open.
func (s *Store) Gates(ctx context.Context, keys ...string) ([]reporter.Gate, error) {
	return gatesOf(ctx, s.reading(), "", keys)
}

// Suspended returns the gates that a person has to open, by changing a token, a right or the configuration.
func (s *Store) Suspended(ctx context.Context) ([]reporter.Gate, error) {
	return queryGates(ctx, s.reading(), `WHERE reason != '' ORDER BY key`)
}

// UpdateGate changes the gate of the key in one transaction.
func (s *Store) UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error {
	return s.tx(ctx, func(tx tx) error {
		gates, err := s.lockGates(ctx, tx, []string{key})
		if err != nil {
			return err
		}
		change(&gates[0])
		return saveGate(ctx, tx.querier, gates[0])
	})
}

// Suspend closes the gate of the key until a person has changed something, and lets the notice say so if it was open
// before. Until then it is tried again after until.
func (s *Store) Suspend(
	ctx context.Context, key string, why reporter.Reason, detail string, until time.Time, notice reporter.NoticeTo,
) (closed bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		gates, err := s.lockGates(ctx, tx, []string{key})
		if err != nil {
			return err
		}
		g := gates[0]
		closed = g.Reason == reporter.ReasonNone
		if closed {
			g.Since = s.Now().UTC()
		}
		g.Reason, g.Detail, g.WaitUntil, g.Failures = why, detail, until.UTC(), g.Failures+1
		if err := saveGate(ctx, tx.querier, g); err != nil || !closed || notice.Receiver == "" {
			return err
		}
		id, err := s.noticeFor(ctx, tx, notice)
		if err != nil {
			return err
		}
		if _, err := tx.exec(ctx, `UPDATE gates SET notice_id = $1 WHERE key = $2`, id, key); err != nil {
			return fmt.Errorf("gate %s: %w", key, err)
		}
		return nil
	})
	return closed, err
}

// Begin saves d, which is about to be sent, and counts the send at the gates that it passes. Where one of them has to be
// waited for, it changes nothing and returns until when.
func (s *Store) Begin(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) (until time.Time, err error) {
	err = s.tx(ctx, func(tx tx) (err error) {
		if until, err = s.pass(ctx, tx, passes); err != nil || !until.IsZero() {
			return err
		}
		return saveDelivery(ctx, tx.querier, d)
	})
	return until, err
}

// pass counts a send at the gates that it passes. Where one of them has to be waited for, it changes nothing and returns until when.
func (s *Store) pass(ctx context.Context, tx tx, passes []reporter.Pass) (until time.Time, err error) {
	keys := make([]string, 0, len(passes))
	for _, p := range passes {
		keys = append(keys, p.Key)
	}
	gates, err := s.lockGates(ctx, tx, keys)
	if err != nil {
		return time.Time{}, err
	}
	now := s.Now().UTC()
	for n, g := range gates {
		until = latest(until, g.WaitUntil)
		for _, l := range passes[n].Limits {
			if at := len(g.Sent) - passes[n].Most(l); at >= 0 {
				until = latest(until, g.Sent[at].Add(l.Per))
			}
		}
	}
	if until.After(now) {
		return until, nil
	}
	for n, g := range gates {
		most := 0
		for _, l := range passes[n].Limits {
			most = max(most, l.N)
		}
		if most == 0 {
			continue
		}
		g.Sent = append(g.Sent, now)
		g.Sent = g.Sent[max(0, len(g.Sent)-most):]
		if err := saveGate(ctx, tx.querier, g); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// End saves d, whose send has ended, and counts the send at the gates as of now: it may have arrived as late as that, and
// whoever counts arrivals counts from then.
func (s *Store) End(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) error {
	return s.tx(ctx, func(tx tx) error {
		if err := s.passed(ctx, tx, passes); err != nil {
			return err
		}
		return saveDelivery(ctx, tx.querier, d)
	})
}

// passed counts the last send at the gates as of now.
func (s *Store) passed(ctx context.Context, tx tx, passes []reporter.Pass) error {
	var keys []string
	for _, p := range passes {
		if len(p.Limits) > 0 {
			keys = append(keys, p.Key)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	gates, err := s.lockGates(ctx, tx, keys)
	if err != nil {
		return err
	}
	now := s.Now().UTC()
	for _, g := range gates {
		if n := len(g.Sent); n > 0 && now.After(g.Sent[n-1]) {
			g.Sent[n-1] = now
		}
		if err := saveGate(ctx, tx.querier, g); err != nil {
			return err
		}
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lockGates reads gates that are about to be written, in the order of the keys. All who write several lock them in the same
// order.
func (s *Store) lockGates(ctx context.Context, tx tx, keys []string) ([]reporter.Gate, error) {
	for _, k := range slices.Sorted(slices.Values(keys)) {
		if _, err := tx.exec(ctx, `INSERT INTO gates (key) VALUES ($1) ON CONFLICT (key) DO NOTHING`, k); err != nil {
			return nil, fmt.Errorf("gate %s: %w", k, err)
		}
	}
	lock := " ORDER BY key"
	if s.postgres() {
		lock += " FOR UPDATE"
	}
	return gatesOf(ctx, tx.querier, lock, keys)
}

func gatesOf(ctx context.Context, q querier, suffix string, keys []string) ([]reporter.Gate, error) {
	found, err := queryGates(ctx, q, `WHERE key IN (`+placeholders(1, len(keys))+`)`+suffix, anys(keys)...)
	if err != nil {
		return nil, err
	}
	out := make([]reporter.Gate, len(keys))
	for n, k := range keys {
		out[n].Key = k
		if at := slices.IndexFunc(found, func(g reporter.Gate) bool { return g.Key == k }); at >= 0 {
			out[n] = found[at]
		}
	}
	return out, nil
}

func saveGate(ctx context.Context, q querier, g reporter.Gate) error {
	sent := make([]int64, 0, len(g.Sent))
	for _, t := range g.Sent {
		sent = append(sent, t.UnixMicro())
	}
	list, err := json.Marshal(sent)
	if err != nil {
		return fmt.Errorf("gate %s: %w", g.Key, err)
	}
	_, err = q.exec(ctx, `UPDATE gates SET wait_until = $1, failures = $2, sent = $3, reason = $4, detail = $5, since = $6,
		moved_to = $7 WHERE key = $8`, zeroMicros(g.WaitUntil), g.Failures, string(list), string(g.Reason), g.Detail,
		micros(g.Since), g.MovedTo, g.Key)
	if err != nil {
		return fmt.Errorf("gate %s: %w", g.Key, err)
	}
	return nil
}

// zeroMicros is micros for a column that is compared, where the zero time is 0.
func zeroMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func queryGates(ctx context.Context, q querier, where string, args ...any) ([]reporter.Gate, error) {
	rows, err := q.query(ctx, `SELECT `+gateColumns+` FROM gates `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("gates: %w", err)
	}
	defer rows.Close()
	var out []reporter.Gate
	for rows.Next() {
		var g reporter.Gate
		var wait int64
		var since sql.NullInt64
		var sent string
		if err := rows.Scan(&g.Key, &wait, &g.Failures, &sent, &g.Reason, &g.Detail, &since, &g.MovedTo); err != nil {
			return nil, fmt.Errorf("gates: %w", err)
		}
		if wait > 0 {
			g.WaitUntil = time.UnixMicro(wait).UTC()
		}
		g.Since = moment(since)
		var times []int64
		if err := json.Unmarshal([]byte(sent), &times); err != nil {
			return nil, fmt.Errorf("gate %s: %w", g.Key, err)
		}
		for _, t := range times {
			g.Sent = append(g.Sent, time.UnixMicro(t).UTC())
		}
		out = append(out, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("gates: %w", err)
	}
	return out, nil
}

// noticeFor returns the notice to the receiver that is not composed yet, or makes one. At most one a while goes to each
// receiver, so that many failures are one notice with a count.
func (s *Store) noticeFor(ctx context.Context, tx tx, to reporter.NoticeTo) (id int64, err error) {
	const open = ` FROM deliveries WHERE kind = 'notice' AND subject = $1 AND receiver = $2 AND state = 'pending'
		AND message IS NULL AND composing_at IS NULL ORDER BY id LIMIT 1`
	ids, err := queryIDs(ctx, tx.querier, `SELECT id`+open, reporter.SubjectFailures, to.Receiver)
	if err != nil {
		return 0, err
	}
	var last sql.NullInt64
	err = tx.row(ctx, `SELECT max(created_at) FROM deliveries WHERE kind = 'notice' AND receiver = $1 AND id != $2`,
		to.Receiver, first(ids)).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("notices: %w", err)
	}
	now := s.Now().UTC()
	at := now.Add(to.After)
	if last.Valid {
		at = latest(at, moment(last).Add(max(to.Apart, to.Suspension)))
	}
	if id = first(ids); id != 0 { // One that was to wait longer waits no longer than this failure.
		_, err := tx.exec(ctx, `UPDATE deliveries SET next_attempt = $1 WHERE id = $2 AND next_attempt > $1`, at.UnixMicro(), id)
		if err != nil {
			return 0, fmt.Errorf("notice %d: %w", id, err)
		}
		return id, nil
	}
	notice := reporter.NewDelivery(reporter.DeliveryNotice, reporter.SubjectFailures, to.Receiver, now)
	notice.Key += "@" + now.Format(time.RFC3339Nano)
	notice.NextAttempt = at
	if _, err := s.insertDelivery(ctx, tx, notice); err != nil {
		return 0, err
	}
	ids, err = queryIDs(ctx, tx.querier, `SELECT id FROM deliveries WHERE key = $1`, notice.Key)
	return first(ids), err
}

// BookWaiting books on a notice what waits for the gates that it is about, by the receivers of each gate: the notice names
// and counts it, so that its failure needs no notice of its own while they are closed.
func (s *Store) BookWaiting(ctx context.Context, notice int64, receivers map[string][]string) error {
	return s.tx(ctx, func(tx tx) error {
		gates, err := queryGates(ctx, tx.querier, `WHERE notice_id = $1 AND reason != ''`, notice)
		if err != nil {
			return err
		}
		for _, g := range gates {
			of := receivers[g.Key]
			if len(of) == 0 {
				continue
			}
			_, err := tx.exec(ctx, `UPDATE deliveries SET notice_id = $1 WHERE state = 'pending' AND kind != 'notice'
				AND receiver IN (`+placeholders(2, len(of))+`)`, append([]any{notice}, anys(of)...)...)
			if err != nil {
				return fmt.Errorf("notice %d: %w", notice, err)
			}
		}
		return nil
	})
}

// named returns the notice that has named the delivery as waiting, if that has arrived or still will; else 0.
func (s *Store) named(ctx context.Context, tx tx, delivery int64) (int64, error) {
	query := `SELECT notice_id FROM deliveries d WHERE id = $1 AND EXISTS (SELECT 1 FROM deliveries n WHERE n.id = d.notice_id
		AND n.state IN ('pending', 'sent'))`
	if s.postgres() {
		query += ` FOR UPDATE OF d`
	}
	ids, err := queryIDs(ctx, tx.querier, query, delivery)
	if err != nil {
		return 0, fmt.Errorf("delivery %d: %w", delivery, err)
	}
	return first(ids), nil
}

func first(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// Fail saves d, which was not sent and will not be, and lets the notice say so.
func (s *Store) Fail(ctx context.Context, d reporter.Delivery, notice reporter.NoticeTo) error {
	return s.tx(ctx, func(tx tx) (err error) {
		d.NoticeID = 0
		if notice.Suspension > 0 {
			if d.NoticeID, err = s.named(ctx, tx, d.ID); err != nil {
				return err
			}
		}
		if notice.Receiver != "" && d.NoticeID == 0 {
			if d.NoticeID, err = s.noticeFor(ctx, tx, notice); err != nil {
				return err
			}
		}
		return saveDelivery(ctx, tx.querier, d)
	})
}

// Failures returns what a notice is about: the first few deliveries, their count, and the gates that are still closed with
// what was booked as waiting for them.
func (s *Store) Failures(ctx context.Context, notice int64, limit int) (reporter.Failures, error) {
	var out reporter.Failures
	q := s.reading()
	if err := q.row(ctx, `SELECT count(*) FROM deliveries WHERE notice_id = $1 AND state = 'given_up'`, notice).Scan(&out.Count); err != nil {
		return out, fmt.Errorf("notice %d: %w", notice, err)
	}
	var err error
	out.Deliveries, err = queryDeliveries(ctx, q, `WHERE notice_id = $1 AND state = 'given_up' ORDER BY id LIMIT $2`, notice, limit)
	if err != nil {
		return out, err
	}
	for n := range out.Deliveries {
		out.Deliveries[n].Parts = nil
	}
	out.Suspended, err = queryGates(ctx, q, `WHERE notice_id = $1 AND reason != '' ORDER BY key`, notice)
	if err != nil || len(out.Suspended) == 0 {
		return out, err
	}
	const waiting = `FROM deliveries WHERE notice_id = $1 AND state = 'pending'`
	if err := q.row(ctx, `SELECT count(*) `+waiting, notice).Scan(&out.WaitCount); err != nil {
		return out, fmt.Errorf("notice %d: %w", notice, err)
	}
	out.Waiting, err = queryDeliveries(ctx, q, `WHERE notice_id = $1 AND state = 'pending' ORDER BY id LIMIT $2`, notice, limit)
	for n := range out.Waiting {
		out.Waiting[n].Parts = nil
	}
	return out, err
}

func queryTexts(ctx context.Context, q querier, query string, args ...any) ([]string, error) {
	return queryColumn[string](ctx, q, query, args...)
}

func queryIDs(ctx context.Context, q querier, query string, args ...any) ([]int64, error) {
	return queryColumn[int64](ctx, q, query, args...)
}

func queryColumn[T any](ctx context.Context, q querier, query string, args ...any) ([]T, error) {
	rows, err := q.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// placeholders are $from, … for so many arguments.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

func anys(texts []string) []any {
	out := make([]any, 0, len(texts))
	for _, t := range texts {
		out = append(out, t)
	}
	return out
}
