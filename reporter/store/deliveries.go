package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const deliveryColumns = `id, key, kind, subject, receiver, state, message, parts, attempts, last_error, created_at,
	next_attempt, finished_at, merged_into, composing_at, crashes, reason, notice_id, reply_to, replaced`

// urgency orders deliveries: reports and notices of new incidents come before older, less urgent messages.
const urgency = `CASE kind WHEN 'report' THEN 0 WHEN 'firing' THEN 0 WHEN 'firing_digest' THEN 0
	WHEN 'heartbeat_missing' THEN 0 WHEN 'heartbeat_returned' THEN 0 WHEN 'heartbeats_missing' THEN 0
	WHEN 'heartbeats_returned' THEN 0 WHEN 'answer' THEN 0 WHEN 'notice' THEN 1 ELSE 2 END`

// Due returns the receivers' pending deliveries whose next attempt is not after now, the most urgent and oldest first, at
// most limit.
func (s *Store) Due(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.DueDelivery, error) {
	args := append([]any{now.UnixMicro(), limit}, anys(receivers)...)
	rows, err := s.reading().query(ctx, `SELECT id, receiver, kind, parts IS NOT NULL, crashes, composing_at IS NOT NULL
		FROM deliveries WHERE state = 'pending' AND next_attempt <= $1 AND receiver IN (`+placeholders(3, len(receivers))+`)
		ORDER BY `+urgency+`, id LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	var out []reporter.DueDelivery
	for rows.Next() {
		var d reporter.DueDelivery
		if err := rows.Scan(&d.ID, &d.Receiver, &d.Kind, &d.Composed, &d.Crashes, &d.Interrupted); err != nil {
			return nil, fmt.Errorf("deliveries: %w", err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return out, nil
}

// Expired returns the ids of the receivers' pending deliveries that were made at or before then, the oldest first, at most
// limit. Notices are made when something fails; they have until noticesBefore.
func (s *Store) Expired(
	ctx context.Context, receivers []string, before, noticesBefore time.Time, limit int,
) ([]int64, error) {
	args := append([]any{before.UnixMicro(), noticesBefore.UnixMicro(), limit}, anys(receivers)...)
	ids, err := queryIDs(ctx, s.reading(), `SELECT id FROM deliveries WHERE state = 'pending'
		AND created_at <= CASE kind WHEN 'notice' THEN CAST($2 AS BIGINT) ELSE CAST($1 AS BIGINT) END
		AND receiver IN (`+placeholders(4, len(receivers))+`) ORDER BY id LIMIT $3`, args...)
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return ids, nil
}

// Pending counts the pending deliveries of each receiver, and returns since when the oldest that is due waits; zero if none is due.
func (s *Store) Pending(ctx context.Context) (byReceiver map[string]int, oldest time.Time, err error) {
	rows, err := s.reading().query(ctx, `SELECT receiver, count(*),
			min(CASE WHEN attempts > 0 OR reason <> '' THEN created_at WHEN next_attempt <= $1 THEN next_attempt END)
		FROM deliveries WHERE state = 'pending' GROUP BY receiver`, s.Now().UnixMicro())
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	byReceiver = map[string]int{}
	for rows.Next() {
		var receiver string
		var n int
		var due sql.NullInt64
		if err := rows.Scan(&receiver, &n, &due); err != nil {
			return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
		}
		byReceiver[receiver] = n
		if t := moment(due); !t.IsZero() && (oldest.IsZero() || t.Before(oldest)) {
			oldest = t
		}
	}
	if err := rows.Err(); err != nil {
		return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
	}
	return byReceiver, oldest, nil
}

// Save replaces the delivery of d's ID in one commit. One that was cancelled meanwhile stays cancelled, but keeps what
// was sent of it, and one that a notice names stays named. reporter.ErrNotFound: there is no such delivery.
func (s *Store) Save(ctx context.Context, d reporter.Delivery) error {
	return s.tx(ctx, func(tx tx) error { return saveDelivery(ctx, tx.querier, d) })
}

// Enqueue inserts the deliveries whose keys are new, and returns how many those were.
func (s *Store) Enqueue(ctx context.Context, ds ...reporter.Delivery) (added int, err error) {
	err = s.tx(ctx, func(tx tx) error {
		added = 0
		for _, d := range ds {
			is, err := s.insertDelivery(ctx, tx, d)
			if err != nil {
				return err
			}
			if is {
				added++
			}
		}
		return nil
	})
	return added, err
}

// Delivery returns the delivery of that ID, or reporter.ErrNotFound.
func (s *Store) Delivery(ctx context.Context, id int64) (reporter.Delivery, error) {
	return oneDelivery(ctx, s.reading(), id)
}

func oneDelivery(ctx context.Context, q querier, id int64) (reporter.Delivery, error) {
	list, err := queryDeliveries(ctx, q, `WHERE id = $1`, id)
	if err != nil {
		return reporter.Delivery{}, err
	}
	if len(list) == 0 {
		return reporter.Delivery{}, fmt.Errorf("delivery %d: %w", id, reporter.ErrNotFound)
	}
	return list[0], nil
}

// Deliveries returns the newest deliveries, at most limit.
func (s *Store) Deliveries(ctx context.Context, limit int) ([]reporter.Delivery, error) {
	return queryDeliveries(ctx, s.reading(), `ORDER BY id DESC LIMIT $1`, limit)
}

// RetryDelivery makes a delivery that was not sent due now, and its age start again, so that it is not given up at once.
// Parts that may or may not have arrived are sent again, with the mark of a repeat.
func (s *Store) RetryDelivery(ctx context.Context, id int64, now time.Time) error {
	return s.tx(ctx, func(tx tx) error { return retryDelivery(ctx, tx, id, now) })
}

func retryDelivery(ctx context.Context, tx tx, id int64, now time.Time) error {
	d, err := oneDelivery(ctx, tx.querier, id)
	if err != nil {
		return err
	}
	if d.State == reporter.DeliverySent {
		return fmt.Errorf("delivery %d is sent already", id)
	}
	d.State, d.CreatedAt, d.NextAttempt, d.FinishedAt = reporter.DeliveryPending, now.UTC(), now.UTC(), time.Time{}
	d.Crashes, d.NoticeID, d.Reason = 0, 0, reporter.ReasonNone
	for n := range d.Parts {
		if p := &d.Parts[n]; p.Uncertain {
			p.Uncertain, p.SentAt, p.Ambiguous = false, time.Time{}, 0
			p.Interrupted++
		}
	}
	// A cancelled delivery stays so for whoever is sending it, but not for a person.
	if _, err := tx.exec(ctx, `UPDATE deliveries SET state = 'pending', merged_into = NULL, notice_id = NULL WHERE id = $1`, id); err != nil {
		return fmt.Errorf("delivery %d: %w", id, err)
	}
	if err := saveDelivery(ctx, tx.querier, d); err != nil {
		return err
	}
	*tx.wake = true
	return nil
}

const (
	// causesAtMost is how many causes are distinguished.
	causesAtMost = 50
	// retriedAtOnce is how many deliveries one transaction retries, and retriedAtMost how many one request does.
	retriedAtOnce = 100
	retriedAtMost = 10_000
)

// caused are deliveries that were not sent, or that wait for something.
const caused = `(state = 'given_up' OR (state = 'pending' AND reason != ''))`

// DeliveryCauses returns why deliveries were not sent, or wait longer than for their turn: the latest cause first.
func (s *Store) DeliveryCauses(ctx context.Context) (out []reporter.DeliveryCause, err error) {
	rows, err := s.reading().query(ctx, `SELECT receiver, state, reason, count(*), min(created_at), max(id) FROM deliveries
		WHERE `+caused+` GROUP BY receiver, state, reason ORDER BY max(id) DESC LIMIT $1`, causesAtMost)
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c reporter.DeliveryCause
		var oldest sql.NullInt64
		if err := rows.Scan(&c.Receiver, &c.State, &c.Reason, &c.Count, &oldest, &c.Latest); err != nil {
			return nil, fmt.Errorf("deliveries: %w", err)
		}
		c.Oldest = moment(oldest)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return out, nil
}

// RetryCause retries the deliveries of the cause, up to its latest, and returns how many those were.
func (s *Store) RetryCause(ctx context.Context, c reporter.DeliveryCause, now time.Time) (retried int, err error) {
	for after := int64(0); retried < retriedAtMost; {
		n := 0
		err := s.tx(ctx, func(tx tx) error {
			n = 0
			ids, err := queryIDs(ctx, tx.querier, `SELECT id FROM deliveries WHERE `+caused+` AND receiver = $1 AND state = $2 AND reason = $3
				AND id > $4 AND id <= $5 ORDER BY id LIMIT $6`, c.Receiver, string(c.State), string(c.Reason), after, c.Latest, retriedAtOnce)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := retryDelivery(ctx, tx, id, now); err != nil {
					return err
				}
				after = id
			}
			n = len(ids)
			return nil
		})
		if err != nil {
			return retried, err
		}
		retried += n
		if n < retriedAtOnce {
			break
		}
	}
	return retried, nil
}

// CancelDelivery ends a pending delivery; parts that were sent stay sent.
func (s *Store) CancelDelivery(ctx context.Context, id int64, now time.Time) error {
	if _, err := s.Delivery(ctx, id); err != nil {
		return err
	}
	n, err := s.writing().exec(ctx, `UPDATE deliveries SET state = 'cancelled', finished_at = $1
		WHERE id = $2 AND state = 'pending'`, now.UnixMicro(), id)
	if err != nil {
		return fmt.Errorf("delivery %d: %w", id, err)
	}
	if n == 0 {
		return fmt.Errorf("delivery %d is not pending", id)
	}
	return nil
}

// Merge turns the receiver's deliveries of that kind whose composition has not begun into one digest, if the first of them
// is due and there are at least so many, and returns how many it merged. Later ones go along, so that a storm gives one
// message.
func (s *Store) Merge(
	ctx context.Context, receiver string, kind, into reporter.DeliveryKind, now time.Time, from int,
) (merged int, err error) {
	waiting := ` FROM deliveries WHERE receiver = $1 AND state = 'pending' AND message IS NULL AND composing_at IS NULL
		AND NOT replaced AND kind = '` + string(kind) + `'`
	var first, due sql.NullInt64
	storm := func(q querier) (bool, error) {
		var n int
		if err := q.row(ctx, `SELECT count(*), min(id), min(next_attempt)`+waiting, receiver).Scan(&n, &first, &due); err != nil {
			return false, fmt.Errorf("deliveries: %w", err)
		}
		return n >= from && due.Valid && due.Int64 <= now.UnixMicro(), nil
	}
	// It is asked before each send, and nearly always there is nothing to merge: writers need not wait for that.
	if is, err := storm(s.reading()); !is || err != nil {
		return 0, err
	}
	err = s.tx(ctx, func(tx tx) error {
		merged = 0
		if is, err := storm(tx.querier); !is || err != nil {
			return err
		}
		digest := reporter.NewDelivery(into, strconv.FormatInt(first.Int64, 10), receiver, now)
		// A postmortem that a person asked to be sent again was the first of another digest before.
		digest.Key += "@" + now.UTC().Format(time.RFC3339Nano)
		if _, err := s.insertDelivery(ctx, tx, digest); err != nil {
			return err
		}
		rows, err := tx.exec(ctx, `UPDATE deliveries SET state = 'merged', finished_at = $2, last_error = '',
			merged_into = (SELECT id FROM deliveries WHERE key = $3)
			WHERE id IN (SELECT id`+waiting+`)`, receiver, now.UnixMicro(), digest.Key)
		if err != nil {
			return fmt.Errorf("deliveries: %w", err)
		}
		merged = int(rows)
		return nil
	})
	return merged, err
}

// MergedInto returns the subjects of the deliveries that went into a digest, in order.
func (s *Store) MergedInto(ctx context.Context, digest int64) ([]string, error) {
	rows, err := s.reading().query(ctx, `SELECT subject FROM deliveries WHERE merged_into = $1 ORDER BY id`, digest)
	if err != nil {
		return nil, fmt.Errorf("digest %d: %w", digest, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var subject string
		if err := rows.Scan(&subject); err != nil {
			return nil, fmt.Errorf("digest %d: %w", digest, err)
		}
		out = append(out, subject)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("digest %d: %w", digest, err)
	}
	return out, nil
}

// ReplyTo returns the channel's id of the message that a delivery replies to: of a postmortem the first one of its incident, else
// the notice of the incident's begin, and of the return of a heartbeat the message that it is missing. "" if nothing was sent
// that it could reply to.
func (s *Store) ReplyTo(ctx context.Context, d reporter.Delivery) (string, error) {
	if d.ReplyTo != "" {
		return d.ReplyTo, nil
	}
	var kinds []reporter.DeliveryKind
	switch d.Kind {
	case reporter.DeliveryPostmortem:
		kinds = []reporter.DeliveryKind{reporter.DeliveryPostmortem, reporter.DeliveryFiring}
	case reporter.DeliveryHeartbeatReturned:
		kinds = []reporter.DeliveryKind{reporter.DeliveryHeartbeatMissing}
	}
	for _, kind := range kinds {
		list, err := queryDeliveries(ctx, s.reading(), `WHERE kind = $1 AND subject = $2 AND receiver = $3 AND id < $4 ORDER BY id`,
			string(kind), d.Subject, d.Receiver, d.ID)
		if err != nil {
			return "", err
		}
		for _, before := range list {
			if before.MergedInto != 0 { // It went out with others.
				if before, err = oneDelivery(ctx, s.reading(), before.MergedInto); err != nil {
					continue
				}
			}
			if len(before.Parts) > 0 && before.Parts[0].MessageID != "" {
				return before.Parts[0].MessageID, nil
			}
		}
	}
	return "", nil
}

// Updates says whether the receiver has had a postmortem of the incident before the one of this delivery.
func (s *Store) Updates(ctx context.Context, d reporter.Delivery) (bool, error) {
	list, err := queryDeliveries(ctx, s.reading(), `WHERE kind = 'postmortem' AND subject = $1 AND receiver = $2 AND id < $3`,
		d.Subject, d.Receiver, d.ID)
	if err != nil {
		return false, err
	}
	for _, before := range list {
		if before.MergedInto != 0 { // It went out with others.
			if before, err = oneDelivery(ctx, s.reading(), before.MergedInto); err != nil {
				continue
			}
		}
		if before.State == reporter.DeliverySent || begun(before) {
			return true, nil
		}
	}
	return false, nil
}

// Claim inserts (report, due) together with the deliveries, and returns false where it is claimed already.
func (s *Store) Claim(ctx context.Context, report string, due time.Time, ds []reporter.Delivery) (claimed bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		n, err := tx.exec(ctx, `INSERT INTO claims (report, due, claimed_at) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING`,
			report, due.UnixMicro(), s.Now().UnixMicro())
		if err != nil {
			return fmt.Errorf("claim of %s: %w", report, err)
		}
		if claimed = n == 1; !claimed {
			return nil
		}
		for _, d := range ds {
			if _, err := s.insertDelivery(ctx, tx, d); err != nil {
				return err
			}
		}
		return nil
	})
	return claimed && err == nil, err
}

// LastClaim returns the latest due time ever claimed for the report, and false where there is none.
func (s *Store) LastClaim(ctx context.Context, report string) (time.Time, bool, error) {
	var due sql.NullInt64
	if err := s.reading().row(ctx, `SELECT max(due) FROM claims WHERE report = $1`, report).Scan(&due); err != nil {
		return time.Time{}, false, fmt.Errorf("claims of %s: %w", report, err)
	}
	return moment(due), due.Valid, nil
}

func encode(d reporter.Delivery) (message, parts any, err error) {
	if d.Message != nil {
		b, err := json.Marshal(d.Message)
		if err != nil {
			return nil, nil, fmt.Errorf("delivery %s: %w", d.Key, err)
		}
		message = string(b)
	}
	if d.Parts != nil {
		b, err := json.Marshal(d.Parts)
		if err != nil {
			return nil, nil, fmt.Errorf("delivery %s: %w", d.Key, err)
		}
		parts = string(b)
	}
	return message, parts, nil
}

// insertDelivery inserts the delivery, unless the key is there already. Its next attempt is its wake-up.
func (s *Store) insertDelivery(ctx context.Context, tx tx, d reporter.Delivery) (bool, error) {
	message, parts, err := encode(d)
	if err != nil {
		return false, err
	}
	var id int64
	err = tx.row(ctx, `INSERT INTO deliveries (key, kind, subject, receiver, state, message, parts, attempts,
		last_error, created_at, next_attempt, finished_at, reason, reply_to) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)
		ON CONFLICT (key) DO NOTHING RETURNING id`,
		d.Key, string(d.Kind), d.Subject, d.Receiver, string(d.State), message, parts, d.Attempts, d.LastError,
		micros(d.CreatedAt), micros(d.NextAttempt), micros(d.FinishedAt), string(d.Reason), d.ReplyTo).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("delivery %s: %w", d.Key, err)
	}
	*tx.wake = true
	return true, nil
}

// nullID is the stored form of an id; 0 is NULL.
func nullID(id int64) any {
	if id == 0 {
		return nil
	}
	return id
}

func saveDelivery(ctx context.Context, q querier, d reporter.Delivery) error {
	message, parts, err := encode(d)
	if err != nil {
		return err
	}
	n, err := q.exec(ctx, `UPDATE deliveries SET state = CASE state WHEN 'cancelled' THEN state ELSE $1 END,
		message = $2, parts = $3, attempts = $4, last_error = $5, created_at = $6, next_attempt = $7,
		finished_at = CASE state WHEN 'cancelled' THEN finished_at ELSE $8 END, composing_at = $9, crashes = $10,
		reason = $11, notice_id = COALESCE($12, notice_id) WHERE id = $13`,
		string(d.State), message, parts, d.Attempts, d.LastError, micros(d.CreatedAt), micros(d.NextAttempt),
		micros(d.FinishedAt), micros(d.ComposingAt), d.Crashes, string(d.Reason), nullID(d.NoticeID), d.ID)
	if err != nil {
		return fmt.Errorf("delivery %d: %w", d.ID, err)
	}
	if n == 0 {
		return fmt.Errorf("delivery %d: %w", d.ID, reporter.ErrNotFound)
	}
	return saveMessages(ctx, q, d)
}

func queryDeliveries(ctx context.Context, q querier, where string, args ...any) ([]reporter.Delivery, error) {
	rows, err := q.query(ctx, `SELECT `+deliveryColumns+` FROM deliveries `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	var out []reporter.Delivery
	for rows.Next() {
		var d reporter.Delivery
		var message, parts sql.NullString
		var created, next, finished, merged, composing, notice sql.NullInt64
		if err := rows.Scan(&d.ID, &d.Key, &d.Kind, &d.Subject, &d.Receiver, &d.State, &message, &parts, &d.Attempts,
			&d.LastError, &created, &next, &finished, &merged, &composing, &d.Crashes, &d.Reason, &notice,
			&d.ReplyTo, &d.Replaced); err != nil {
			return nil, fmt.Errorf("deliveries: %w", err)
		}
		if message.Valid {
			d.Message = new(reporter.Message)
			if err := json.Unmarshal([]byte(message.String), d.Message); err != nil {
				return nil, fmt.Errorf("delivery %d: message: %w", d.ID, err)
			}
		}
		if parts.Valid {
			if err := json.Unmarshal([]byte(parts.String), &d.Parts); err != nil {
				return nil, fmt.Errorf("delivery %d: parts: %w", d.ID, err)
			}
		}
		d.CreatedAt, d.NextAttempt, d.FinishedAt = moment(created), moment(next), moment(finished)
		d.MergedInto, d.ComposingAt, d.NoticeID = merged.Int64, moment(composing), notice.Int64
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return out, nil
}
