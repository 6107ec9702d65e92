package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const deliveryColumns = `id, key, kind, subject, receiver, state, message, parts, attempts, last_error, created_at,
	next_attempt, finished_at`

// Due returns pending deliveries whose next attempt is not after now, oldest first, at most limit, and the time of the
// next one that is not yet due; zero if there is none. While a delivery that has its message waits for its next attempt,
// its receiver waits with it: Telegram asked for that, or does not answer, and order is kept.
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]reporter.Delivery, time.Time, error) {
	due, err := s.queryDeliveries(ctx, `AS d WHERE state = 'pending' AND next_attempt <= ?1 AND NOT EXISTS (
		SELECT 1 FROM deliveries w WHERE w.receiver = d.receiver AND w.state = 'pending' AND w.message IS NOT NULL
			AND w.next_attempt > ?1) ORDER BY id LIMIT ?2`, now.UnixMicro(), limit)
	if err != nil {
		return nil, time.Time{}, err
	}
	var next sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT min(next_attempt) FROM deliveries WHERE state = 'pending' AND next_attempt > ?`,
		now.UnixMicro()).Scan(&next)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
	}
	return due, moment(next), nil
}

// Pending counts the pending deliveries of each receiver, and says when the oldest was made; zero if there is none.
func (s *Store) Pending(ctx context.Context) (byReceiver map[string]int, oldest time.Time, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT receiver, count(*), min(created_at) FROM deliveries
		WHERE state = 'pending' GROUP BY receiver`)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	byReceiver = map[string]int{}
	for rows.Next() {
		var receiver string
		var n int
		var created sql.NullInt64
		if err := rows.Scan(&receiver, &n, &created); err != nil {
			return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
		}
		byReceiver[receiver] = n
		if t := moment(created); oldest.IsZero() || t.Before(oldest) {
			oldest = t
		}
	}
	if err := rows.Err(); err != nil {
		return nil, time.Time{}, fmt.Errorf("deliveries: %w", err)
	}
	return byReceiver, oldest, nil
}

// Save replaces the delivery of d's ID in one commit. One that was cancelled meanwhile stays cancelled, but keeps what
// was sent of it. reporter.ErrNotFound: there is no such delivery.
func (s *Store) Save(ctx context.Context, d reporter.Delivery) error {
	return s.tx(ctx, func(tx *sql.Tx) error { return saveDelivery(ctx, tx, d) })
}

// GiveUp saves d and inserts the notice, if there is one and its key is new, in one commit.
func (s *Store) GiveUp(ctx context.Context, d reporter.Delivery, notice *reporter.Delivery) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if err := saveDelivery(ctx, tx, d); err != nil || notice == nil {
			return err
		}
		_, err := insertDelivery(ctx, tx, *notice)
		return err
	})
}

// Enqueue inserts the deliveries whose keys are new, and returns how many those were.
func (s *Store) Enqueue(ctx context.Context, ds ...reporter.Delivery) (added int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		added = 0
		for _, d := range ds {
			is, err := insertDelivery(ctx, tx, d)
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
	list, err := s.queryDeliveries(ctx, `WHERE id = ?`, id)
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
	return s.queryDeliveries(ctx, `ORDER BY id DESC LIMIT ?`, limit)
}

// RetryDelivery makes a delivery that was not sent due now, and its age begin anew, so that it is not given up at once.
func (s *Store) RetryDelivery(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, id, "is sent already", `UPDATE deliveries SET state = 'pending', created_at = ?, next_attempt = ?,
		finished_at = NULL WHERE id = ? AND state != 'sent'`, now.UnixMicro(), now.UnixMicro(), id)
}

// CancelDelivery ends a pending delivery; parts that were sent stay sent.
func (s *Store) CancelDelivery(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, id, "is not pending", `UPDATE deliveries SET state = 'cancelled', finished_at = ?
		WHERE id = ? AND state = 'pending'`, now.UnixMicro(), id)
}

// change runs an UPDATE of one delivery; refusal is why it may match none.
func (s *Store) change(ctx context.Context, id int64, refusal, query string, args ...any) error {
	if _, err := s.Delivery(ctx, id); err != nil {
		return err
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("delivery %d: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("delivery %d %s", id, refusal), err)
		}
		return nil
	})
}

// Claim inserts (report, due) together with the deliveries, and returns false where it is claimed already.
func (s *Store) Claim(ctx context.Context, report string, due time.Time, ds []reporter.Delivery) (claimed bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO claims (report, due, claimed_at) VALUES (?,?,?) ON CONFLICT DO NOTHING`,
			report, due.UnixMicro(), time.Now().UnixMicro())
		if err != nil {
			return fmt.Errorf("claim of %s: %w", report, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return fmt.Errorf("claim of %s: %w", report, err)
		}
		if claimed = n == 1; !claimed {
			return nil
		}
		for _, d := range ds {
			if _, err := insertDelivery(ctx, tx, d); err != nil {
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
	if err := s.read.QueryRowContext(ctx, `SELECT max(due) FROM claims WHERE report = ?`, report).Scan(&due); err != nil {
		return time.Time{}, false, fmt.Errorf("claims of %s: %w", report, err)
	}
	return moment(due), due.Valid, nil
}

// Address returns where the receiver's chat has moved to; "" if it never did.
func (s *Store) Address(ctx context.Context, receiver string) (string, error) {
	var a string
	err := s.read.QueryRowContext(ctx, `SELECT address FROM addresses WHERE receiver = ?`, receiver).Scan(&a)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("address of %s: %w", receiver, err)
	}
	return a, nil
}

// SetAddress remembers where the receiver's chat has moved to.
func (s *Store) SetAddress(ctx context.Context, receiver, address string) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO addresses (receiver, address) VALUES (?,?)
		ON CONFLICT (receiver) DO UPDATE SET address = excluded.address`, receiver, address)
	if err != nil {
		return fmt.Errorf("address of %s: %w", receiver, err)
	}
	return nil
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

func insertDelivery(ctx context.Context, q querier, d reporter.Delivery) (bool, error) {
	message, parts, err := encode(d)
	if err != nil {
		return false, err
	}
	res, err := q.ExecContext(ctx, `INSERT INTO deliveries (key, kind, subject, receiver, state, message, parts, attempts,
		last_error, created_at, next_attempt, finished_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (key) DO NOTHING`,
		d.Key, string(d.Kind), d.Subject, d.Receiver, string(d.State), message, parts, d.Attempts, d.LastError,
		micros(d.CreatedAt), micros(d.NextAttempt), micros(d.FinishedAt))
	if err != nil {
		return false, fmt.Errorf("delivery %s: %w", d.Key, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("delivery %s: %w", d.Key, err)
	}
	return n == 1, nil
}

func saveDelivery(ctx context.Context, q querier, d reporter.Delivery) error {
	message, parts, err := encode(d)
	if err != nil {
		return err
	}
	res, err := q.ExecContext(ctx, `UPDATE deliveries SET state = CASE state WHEN 'cancelled' THEN state ELSE ? END,
		message = ?, parts = ?, attempts = ?, last_error = ?, created_at = ?, next_attempt = ?,
		finished_at = CASE state WHEN 'cancelled' THEN finished_at ELSE ? END WHERE id = ?`,
		string(d.State), message, parts, d.Attempts, d.LastError, micros(d.CreatedAt), micros(d.NextAttempt),
		micros(d.FinishedAt), d.ID)
	if err != nil {
		return fmt.Errorf("delivery %d: %w", d.ID, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("delivery %d: %w", d.ID, err)
	}
	if n == 0 {
		return fmt.Errorf("delivery %d: %w", d.ID, reporter.ErrNotFound)
	}
	return nil
}

func (s *Store) queryDeliveries(ctx context.Context, where string, args ...any) ([]reporter.Delivery, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	defer rows.Close()
	var out []reporter.Delivery
	for rows.Next() {
		var d reporter.Delivery
		var message, parts sql.NullString
		var created, next, finished sql.NullInt64
		if err := rows.Scan(&d.ID, &d.Key, &d.Kind, &d.Subject, &d.Receiver, &d.State, &message, &parts, &d.Attempts,
			&d.LastError, &created, &next, &finished); err != nil {
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
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("deliveries: %w", err)
	}
	return out, nil
}
