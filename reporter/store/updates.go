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

const (
	// updatesKept is for how long what is done is kept to recognize copies. It has to be below the week without updates after which
	// Telegram's ids start again at a random number: https://core.telegram.org/bots/api#update
	updatesKept = 48 * time.Hour
	// updatesWait is for how long updates wait to be worked off, as those of a bot that is no longer configured do.
	updatesWait = 7 * 24 * time.Hour
	// updatesPruned is how many of them one transaction deletes.
	updatesPruned = 500
	// updateBytes is more than the texts of an update have.
	updateBytes = 64 << 10
)

// UpdateOffset is the first update of the account to ask for; 0 if none was ever stored.
func (s *Store) UpdateOffset(ctx context.Context, account string) (next int64, err error) {
	err = s.reading().row(ctx, `SELECT next FROM update_offsets WHERE account = $1`, account).Scan(&next)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("updates of %s: %w", account, err)
	}
	return next, nil
}

// StoreUpdates stores updates in one transaction with the offset after them, and returns how many were new. What is too old is deleted,
// whichever account it is of. reporter.ErrOvertaken: the
// offset is not the one that they were asked for with.
func (s *Store) StoreUpdates(ctx context.Context, account string, asked, next int64, updates []reporter.Update) (added int, err error) {
	err = s.tx(ctx, func(tx tx) error {
		added = 0
		if _, err := tx.exec(ctx, `INSERT INTO update_offsets (account, next) VALUES ($1, 0) ON CONFLICT DO NOTHING`, account); err != nil {
			return fmt.Errorf("updates of %s: %w", account, err)
		}
		n, err := tx.exec(ctx, `UPDATE update_offsets SET next = $3 WHERE account = $1 AND next = $2`, account, asked, next)
		if err != nil {
			return fmt.Errorf("updates of %s: %w", account, err)
		}
		if n == 0 {
			return reporter.ErrOvertaken
		}
		now := s.Now()
		_, err = tx.exec(ctx, `DELETE FROM updates WHERE seq IN (
			SELECT seq FROM updates WHERE done_at < $1 OR stored_at < $2 LIMIT $3)`,
			now.Add(-updatesKept).UnixMicro(), now.Add(-updatesWait).UnixMicro(), updatesPruned)
		if err != nil {
			return fmt.Errorf("updates: %w", err)
		}
		for _, u := range updates {
			u.Text, u.Data, u.From.Name = storable(u.Text, updateBytes), storable(u.Data, updateBytes), storable(u.From.Name, updateBytes)
			body, err := json.Marshal(u)
			if err != nil {
				return fmt.Errorf("update %d: %w", u.ID, err)
			}
			n, err := tx.exec(ctx, `INSERT INTO updates (account, update_id, body, stored_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				account, u.ID, string(body), now.UnixMicro())
			if err != nil {
				return fmt.Errorf("update %d: %w", u.ID, err)
			}
			added += int(n)
		}
		return nil
	})
	return added, err
}

// NextUpdate returns the oldest update of the account that is not done, and false if there is none.
func (s *Store) NextUpdate(ctx context.Context, account string) (out reporter.UpdateState, found bool, err error) {
	var body, answer string
	var stored, applied sql.NullInt64
	err = s.reading().row(ctx, `SELECT seq, body, answer, stored_at, attempts, applied_at FROM updates
		WHERE account = $1 AND done_at IS NULL ORDER BY seq LIMIT 1`, account).
		Scan(&out.Seq, &body, &answer, &stored, &out.Attempts, &applied)
	if errors.Is(err, sql.ErrNoRows) {
		return out, false, nil
	}
	if err != nil {
		return out, false, fmt.Errorf("updates of %s: %w", account, err)
	}
	out.StoredAt, out.Applied = moment(stored), applied.Valid
	if json.Unmarshal([]byte(body), &out.Update) != nil {
		out.Update = reporter.Update{} // It is of no kind, and does not hold back the others.
	}
	if answer != "" && json.Unmarshal([]byte(answer), &out.Answer) != nil {
		out.Answer = reporter.UpdateAnswer{}
	}
	return out, true, nil
}

// WaitingUpdates counts the updates of the account that are not done.
func (s *Store) WaitingUpdates(ctx context.Context, account string) (n int, err error) {
	err = s.reading().row(ctx, `SELECT count(*) FROM updates WHERE account = $1 AND done_at IS NULL`, account).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("updates of %s: %w", account, err)
	}
	return n, nil
}

// TryUpdate stores how many attempts of an update may have ended the process.
func (s *Store) TryUpdate(ctx context.Context, seq int64, attempts int) error {
	_, err := s.writing().exec(ctx, `UPDATE updates SET attempts = $2 WHERE seq = $1`, seq, attempts)
	if err != nil {
		return fmt.Errorf("update in row %d: %w", seq, err)
	}
	return nil
}

// ApplyUpdate lets do work, and marks the update as applied, with the answer that is left to be given, in one transaction. It does
// nothing where that is so already. do may be called again after an error.
func (s *Store) ApplyUpdate(
	ctx context.Context, seq int64, do func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error),
) error {
	return s.tx(ctx, func(tx tx) error {
		if _, err := s.journalTurn(ctx, tx); err != nil { // which all writers of a transaction lock first
			return err
		}
		n, err := tx.exec(ctx, `UPDATE updates SET applied_at = $2 WHERE seq = $1 AND applied_at IS NULL`, seq, s.Now().UnixMicro())
		if err != nil {
			return fmt.Errorf("update in row %d: %w", seq, err)
		}
		if n == 0 {
			return nil
		}
		answer, err := do(ctx, updateWork{s, tx})
		if err != nil {
			return err
		}
		text := ""
		if answer != (reporter.UpdateAnswer{}) {
			answer.Text = storable(answer.Text, updateBytes)
			b, err := json.Marshal(answer)
			if err != nil {
				return fmt.Errorf("answer to the update in row %d: %w", seq, err)
			}
			text = string(b)
		}
		if _, err := tx.exec(ctx, `UPDATE updates SET answer = $2 WHERE seq = $1`, seq, text); err != nil {
			return fmt.Errorf("update in row %d: %w", seq, err)
		}
		return nil
	})
}

// FinishUpdate marks an update as done. Nothing of what people wrote is left in it.
func (s *Store) FinishUpdate(ctx context.Context, seq int64) error {
	_, err := s.writing().exec(ctx, `UPDATE updates SET done_at = $2, applied_at = COALESCE(applied_at, $2), body = '', answer = ''
		WHERE seq = $1`, seq, s.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("update in row %d: %w", seq, err)
	}
	return nil
}

// updateWork is what an update can do in its transaction.
type updateWork struct {
	s  *Store
	tx tx
}

func (w updateWork) Acknowledge(
	ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef,
) (reporter.Entry, bool, error) {
	return w.s.acknowledgeIn(ctx, w.tx, incident, by, from, reporter.EntryAcknowledged)
}

func (w updateWork) Release(
	ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef,
) (reporter.Entry, bool, error) {
	return w.s.acknowledgeIn(ctx, w.tx, incident, by, from, "")
}

func (w updateWork) Write(ctx context.Context, entries ...reporter.Entry) ([]reporter.Entry, error) {
	return w.s.writeEntries(ctx, w.tx, entries)
}

func (w updateWork) AddSilence(ctx context.Context, n reporter.Silence) (bool, error) {
	return w.s.addSilence(ctx, w.tx, n)
}

func (w updateWork) EndSilences(ctx context.Context, incident, by string, now time.Time) (int64, error) {
	return w.s.endSilences(ctx, w.tx, incident, by, now)
}

func (w updateWork) Enqueue(ctx context.Context, ds ...reporter.Delivery) error {
	for _, d := range ds {
		if _, err := w.s.insertDelivery(ctx, w.tx, d); err != nil {
			return err
		}
	}
	return nil
}

func (w updateWork) UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error {
	gates, err := w.s.lockGates(ctx, w.tx, []string{key})
	if err != nil {
		return err
	}
	change(&gates[0])
	return saveGate(ctx, w.tx.querier, gates[0])
}

// saveMessages keeps which delivery the messages of its parts are of.
func saveMessages(ctx context.Context, q querier, d reporter.Delivery) error {
	for _, p := range d.Parts {
		if p.MessageID == "" {
			continue
		}
		_, err := q.exec(ctx, `INSERT INTO sent_messages (receiver, message_id, chat, delivery_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (receiver, message_id, chat) DO UPDATE SET delivery_id = excluded.delivery_id`, d.Receiver, p.MessageID, p.Chat, d.ID)
		if err != nil {
			return fmt.Errorf("messages of delivery %d: %w", d.ID, err)
		}
	}
	return nil
}

// MessageOf returns what a message of the receivers is about. Chats are the keys of the gates of the chat that has the message, of which
// names, which come with the case in which they were configured, match in any case.
// reporter.ErrNotFound: it is none of ours, or is no longer known.
func (s *Store) MessageOf(ctx context.Context, receivers, chats []string, message string) (out reporter.ChatMessage, err error) {
	if len(receivers) == 0 || len(chats) == 0 || message == "" {
		return out, fmt.Errorf("message: %w", reporter.ErrNotFound)
	}
	args := append([]any{message}, anys(receivers)...)
	for _, key := range chats {
		args = append(args, strings.ToLower(key))
	}
	var id int64
	err = s.reading().row(ctx, `SELECT d.id, d.kind, d.subject FROM sent_messages m JOIN deliveries d ON d.id = m.delivery_id
		WHERE m.message_id = $1 AND m.receiver IN (`+placeholders(2, len(receivers))+`)
		AND (m.chat = '' OR lower(m.chat) IN (`+placeholders(2+len(receivers), len(chats))+`))
		ORDER BY m.chat = '', d.id DESC LIMIT 1`, args...).Scan(&id, &out.Kind, &out.Subject)
	if errors.Is(err, sql.ErrNoRows) {
		return out, fmt.Errorf("message %.20s: %w", message, reporter.ErrNotFound)
	}
	if err != nil {
		return out, fmt.Errorf("message %.20s: %w", message, err)
	}
	switch out.Kind {
	case reporter.DeliveryFiring, reporter.DeliveryPostmortem:
		out.Incidents = []string{out.Subject}
	case reporter.DeliveryDigest, reporter.DeliveryFiringDigest:
		out.Incidents, err = s.MergedInto(ctx, id)
	case reporter.DeliveryAnswer:
		if incident, ok := strings.CutPrefix(out.Subject, reporter.AnswerIncident); ok {
			out.Incidents = []string{incident}
		}
	}
	return out, err
}

// MayHaveSent says whether a message about the incident to the receiver may be in the chat although its id is not known: the answer
// to its send was lost, or has not come yet.
func (s *Store) MayHaveSent(ctx context.Context, incident, receiver string) (bool, error) {
	list, err := queryDeliveries(ctx, s.reading(), `WHERE receiver = $2 AND (subject IN ($1, $3) OR id IN (
		SELECT merged_into FROM deliveries WHERE subject = $1 AND receiver = $2)) ORDER BY id`,
		incident, receiver, reporter.AnswerIncident+incident)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list, func(d reporter.Delivery) bool {
		return slices.ContainsFunc(d.Parts, func(p reporter.Part) bool { return p.Unknown() || p.Uncertain || !p.SendingAt.IsZero() })
	}), nil
}

// WasSentTo says whether one of the receivers has, or will have, a message about the incident.
func (s *Store) WasSentTo(ctx context.Context, incident string, receivers []string) (bool, error) {
	if len(receivers) == 0 {
		return false, nil
	}
	var n int
	err := s.reading().row(ctx, `SELECT count(*) FROM deliveries WHERE subject = $1 AND kind IN ('firing', 'postmortem')
		AND receiver IN (`+placeholders(2, len(receivers))+`)`, append([]any{incident}, anys(receivers)...)...).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("deliveries about %s: %w", incident, err)
	}
	return n > 0, nil
}

// OpenOf returns the newest incidents of the routes that are open or chronic, at most limit, and how many there are of each state.
func (s *Store) OpenOf(
	ctx context.Context, routes []string, limit int,
) (list []reporter.OpenIncident, counts map[reporter.IncidentState]int, err error) {
	counts = map[reporter.IncidentState]int{}
	if len(routes) == 0 {
		return nil, counts, nil
	}
	q := s.reading()
	for _, state := range []reporter.IncidentState{reporter.IncidentOpen, reporter.IncidentChronic} {
		var n int
		where := ` FROM incidents WHERE state = $1 AND route IN (` + placeholders(2, len(routes)) + `)`
		args := append([]any{string(state)}, anys(routes)...)
		if err := q.row(ctx, `SELECT count(*)`+where, args...).Scan(&n); err != nil {
			return nil, nil, fmt.Errorf("incidents: %w", err)
		}
		counts[state] = n
		if err := s.openRows(ctx, &list, where, limit-len(list), args...); err != nil {
			return nil, nil, err
		}
	}
	for n := range list {
		entries, err := queryEntries(ctx, q, `incident_id = $1 AND kind = $2`, list[n].ID, string(reporter.EntryAcknowledgement))
		if err != nil {
			return nil, nil, err
		}
		list[n].By = reporter.AcknowledgementOf(entries).By.Name
	}
	return list, counts, nil
}

func (s *Store) openRows(ctx context.Context, list *[]reporter.OpenIncident, where string, limit int, args ...any) error {
	if limit <= 0 {
		return nil
	}
	rows, err := s.reading().query(ctx, `SELECT id, title, severity, state, started_at`+where+
		fmt.Sprintf(` ORDER BY started_at DESC, id DESC LIMIT %d`, limit), args...)
	if err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var in reporter.OpenIncident
		var started sql.NullInt64
		if err := rows.Scan(&in.ID, &in.Title, &in.Severity, &in.State, &started); err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
		in.StartedAt = moment(started)
		*list = append(*list, in)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	return nil
}
