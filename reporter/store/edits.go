package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// touched says which messages of an incident show what has changed: of each receiver the notice of its beginning, or its latest
// postmortem, which holds what people wrote.
type touched struct{ notices, postmortems bool }

// countsAfter is how long messages wait that show nothing new but the number of alerts, which may grow again at once.
const countsAfter = 15 * time.Second

// touchMessages lets the messages of the incidents be edited after the time after, in the transaction of the change: those that were
// sent, and those that are about to be, for they may have been composed before the change. A message waits for one edit, whatever the
// number of changes.
func (s *Store) touchMessages(ctx context.Context, tx tx, what touched, after time.Duration, incidents ...string) error {
	if len(incidents) == 0 || what == (touched{}) {
		return nil
	}
	ids := make([][]any, len(incidents))
	for n, id := range incidents {
		ids[n] = []any{id}
	}
	asked, err := array(ids)
	if err != nil {
		return fmt.Errorf("edits: %w", err)
	}
	var of []string
	if what.notices {
		of = append(of, `d.kind = 'firing' AND d.state IN ('pending', 'sent', 'merged')`)
	}
	if what.postmortems {
		of = append(of, `d.kind = 'postmortem' AND d.id = (SELECT max(p.id) FROM deliveries p WHERE p.kind = 'postmortem'
			AND p.subject = d.subject AND p.receiver = d.receiver AND p.state IN ('pending', 'sent'))`)
	}
	now := s.Now()
	n, err := tx.exec(ctx, `INSERT INTO edits (delivery_id, receiver, created_at, next_attempt)
		SELECT DISTINCT COALESCE(d.merged_into, d.id), d.receiver, CAST($2 AS BIGINT), CAST($3 AS BIGINT)
		FROM `+tx.each(1)+` v JOIN deliveries d ON d.subject = `+tx.element(0)+` AND d.kind IN ('firing', 'postmortem')
		WHERE (`+strings.Join(of, ") OR (")+`)
		ON CONFLICT (delivery_id) DO UPDATE SET version = edits.version + 1,
			next_attempt = CASE WHEN edits.attempts > 0 OR edits.next_attempt < excluded.next_attempt THEN edits.next_attempt
				ELSE excluded.next_attempt END`, asked, now.UnixMicro(), now.Add(after).UnixMicro())
	if err != nil {
		return fmt.Errorf("edits: %w", err)
	}
	if n > 0 {
		*tx.wake = true
	}
	return nil
}

const editColumns = `e.delivery_id, e.receiver, e.version, e.created_at, e.next_attempt, e.attempts, e.composing, e.crashes, e.last_error`

// DueEdits returns the edits of the receivers' messages that are to be tried now, the oldest first, at most limit. Those of messages that
// are still to be sent wait for that.
func (s *Store) DueEdits(ctx context.Context, receivers []string, now time.Time, limit int) (out []reporter.Edit, err error) {
	args := append([]any{now.UnixMicro(), limit}, anys(receivers)...)
	rows, err := s.reading().query(ctx, `SELECT `+editColumns+` FROM edits e JOIN deliveries d ON d.id = e.delivery_id
		WHERE e.next_attempt <= $1 AND d.state != 'pending' AND e.receiver IN (`+placeholders(3, len(receivers))+`)
		ORDER BY e.created_at, e.delivery_id LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("edits: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e reporter.Edit
		var created, next sql.NullInt64
		if err := rows.Scan(&e.Delivery, &e.Receiver, &e.Version, &created, &next, &e.Attempts, &e.Composing, &e.Crashes,
			&e.LastError); err != nil {
			return nil, fmt.Errorf("edits: %w", err)
		}
		e.CreatedAt, e.NextAttempt = moment(created), moment(next)
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("edits: %w", err)
	}
	return out, nil
}

// SaveEdit stores what became of an attempt: all but the version and the time of the change, which may be later by now.
func (s *Store) SaveEdit(ctx context.Context, e reporter.Edit) error {
	return s.tx(ctx, func(tx tx) error { return saveEdit(ctx, tx.querier, e) })
}

func saveEdit(ctx context.Context, q querier, e reporter.Edit) error {
	_, err := q.exec(ctx, `UPDATE edits SET next_attempt = $1, attempts = $2, composing = $3, crashes = $4, last_error = $5
		WHERE delivery_id = $6`, e.NextAttempt.UnixMicro(), e.Attempts, e.Composing, e.Crashes, e.LastError, e.Delivery)
	if err != nil {
		return fmt.Errorf("edit of delivery %d: %w", e.Delivery, err)
	}
	return nil
}

// PostponeEdits lets the edits of the receivers' messages that are due wait until then.
func (s *Store) PostponeEdits(ctx context.Context, receivers []string, until time.Time) error {
	args := append([]any{until.UnixMicro()}, anys(receivers)...)
	_, err := s.writing().exec(ctx, `UPDATE edits SET next_attempt = $1 WHERE next_attempt < $1
		AND receiver IN (`+placeholders(2, len(receivers))+`)`, args...)
	if err != nil {
		return fmt.Errorf("edits: %w", err)
	}
	return nil
}

// BeginEdit saves d, a message that is about to be edited, and counts the edit at the gates. Where one of them has to be waited for it
// changes nothing, and returns until when. Current is false, and nothing changed, where something else is to be shown by now.
func (s *Store) BeginEdit(
	ctx context.Context, e reporter.Edit, d reporter.Delivery, passes []reporter.Pass,
) (until time.Time, current bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		until, current = time.Time{}, false
		var version int64
		err := tx.row(ctx, `SELECT version FROM edits WHERE delivery_id = $1`, e.Delivery).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) || (err == nil && version != e.Version) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("edit of delivery %d: %w", e.Delivery, err)
		}
		current = true
		if until, err = s.pass(ctx, tx, passes); err != nil || !until.IsZero() {
			return err
		}
		return saveDelivery(ctx, tx.querier, d)
	})
	return until, current, err
}

// EndEdit saves what a message shows now, counts the edit at the gates as of now, and ends the edit, unless something else is to be shown
// by now. More says that other parts of the message are still to be edited.
func (s *Store) EndEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, more bool, passes []reporter.Pass) error {
	return s.tx(ctx, func(tx tx) error {
		if err := s.passed(ctx, tx, passes); err != nil {
			return err
		}
		if err := saveDelivery(ctx, tx.querier, d); err != nil {
			return err
		}
		if more {
			return saveEdit(ctx, tx.querier, e)
		}
		return s.endEdit(ctx, tx, e)
	})
}

// DropEdit ends an edit that is not to be sent, unless something else is to be shown by now.
func (s *Store) DropEdit(ctx context.Context, e reporter.Edit) error {
	return s.tx(ctx, func(tx tx) error { return s.endEdit(ctx, tx, e) })
}

func (s *Store) endEdit(ctx context.Context, tx tx, e reporter.Edit) error {
	n, err := tx.exec(ctx, `DELETE FROM edits WHERE delivery_id = $1 AND version = $2`, e.Delivery, e.Version)
	if err == nil && n == 0 {
		_, err = tx.exec(ctx, `UPDATE edits SET attempts = 0, composing = false, crashes = 0, created_at = $1
			WHERE delivery_id = $2`, s.Now().UnixMicro(), e.Delivery)
		*tx.wake = true
	}
	if err != nil {
		return fmt.Errorf("edit of delivery %d: %w", e.Delivery, err)
	}
	return nil
}

// RedirectEdit lets the digest that a message went out with be edited instead of it.
func (s *Store) RedirectEdit(ctx context.Context, e reporter.Edit, digest int64) error {
	return s.tx(ctx, func(tx tx) error {
		_, err := tx.exec(ctx, `INSERT INTO edits (delivery_id, receiver, created_at, next_attempt)
			SELECT id, receiver, CAST($1 AS BIGINT), CAST($2 AS BIGINT) FROM deliveries WHERE id = $3
			ON CONFLICT (delivery_id) DO UPDATE SET version = edits.version + 1`,
			e.CreatedAt.UnixMicro(), e.NextAttempt.UnixMicro(), digest)
		if err == nil {
			_, err = tx.exec(ctx, `DELETE FROM edits WHERE delivery_id = $1`, e.Delivery)
		}
		if err != nil {
			return fmt.Errorf("edit of delivery %d: %w", e.Delivery, err)
		}
		*tx.wake = true
		return nil
	})
}

// ReplaceMessage lets a message that does not exist any more be sent once more, as it is to be now. It returns false for one that was
// replaced before: that is not wanted in its chat.
func (s *Store) ReplaceMessage(ctx context.Context, e reporter.Edit) (replaced bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		now := s.Now().UTC()
		n, err := tx.exec(ctx, `UPDATE deliveries SET state = 'pending', replaced = true, message = NULL, parts = NULL, attempts = 0,
			last_error = '', reason = '', created_at = $1, next_attempt = $1, finished_at = NULL, composing_at = NULL, crashes = 0,
			notice_id = NULL WHERE id = $2 AND state = 'sent' AND NOT replaced`, now.UnixMicro(), e.Delivery)
		if err != nil {
			return fmt.Errorf("delivery %d: %w", e.Delivery, err)
		}
		if _, err := tx.exec(ctx, `DELETE FROM edits WHERE delivery_id = $1`, e.Delivery); err != nil {
			return fmt.Errorf("edit of delivery %d: %w", e.Delivery, err)
		}
		replaced = n == 1
		*tx.wake = *tx.wake || replaced
		return nil
	})
	return replaced, err
}
