package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// entriesAtMost is how many entries one incident has, so that all of them can be read.
const entriesAtMost = 1000

// Entries returns what people wrote about an incident, in the order of ids.
func (s *Store) Entries(ctx context.Context, incident string) ([]reporter.Entry, error) {
	return queryEntries(ctx, s.reading(), `incident_id = $1`, incident)
}

// EntriesOf returns what people wrote about some incidents, by incident, each in the order of ids.
func (s *Store) EntriesOf(ctx context.Context, incidents []string) (map[string][]reporter.Entry, error) {
	ids := make([][]any, len(incidents))
	for n, id := range incidents {
		ids[n] = []any{id}
	}
	asked, err := array(ids)
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	q := s.reading()
	rows, err := q.query(ctx, entryColumns+` WHERE incident_id IN (SELECT `+q.element(0)+` FROM `+q.each(1)+` v) ORDER BY id`, asked)
	all, err := readEntries(rows, err)
	if err != nil {
		return nil, err
	}
	out := map[string][]reporter.Entry{}
	for _, e := range all {
		out[e.Incident] = append(out[e.Incident], e)
	}
	return out, nil
}

// EntriesOfMessage returns the versions of what came from a message of a chat, in the order of ids, and what may have come from it
// where the chat is not known.
func (s *Store) EntriesOfMessage(ctx context.Context, receiver, chat, message string) ([]reporter.Entry, error) {
	return queryEntries(ctx, s.reading(), `receiver = $1 AND message_id = $2 AND message_id != '' AND chat IN ('', $3)`,
		receiver, message, chat)
}

// Write adds entries about one incident, all of them or none, and returns them with their ids. reporter.ErrConflict: one of
// them supersedes a version that is not the latest any more. reporter.ErrNotFound: there is no such incident. reporter.ErrTooMany: it has
// as many entries as are kept of one. reporter.ErrTooLong: a text is longer than its kind allows. Texts and authors are stored tidied.
func (s *Store) Write(ctx context.Context, entries ...reporter.Entry) (out []reporter.Entry, err error) {
	err = s.tx(ctx, func(tx tx) error {
		out, err = s.writeEntries(ctx, tx, entries)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// writeEntries is Write within a transaction. The messages that show what was written are edited.
func (s *Store) writeEntries(ctx context.Context, tx tx, entries []reporter.Entry) ([]reporter.Entry, error) {
	out, err := insertEntries(ctx, tx.querier, entries)
	if err != nil {
		return nil, err
	}
	// A postmortem that another transaction queues meanwhile could be composed without what this one writes.
	if _, err := s.journalTurn(ctx, tx); err != nil {
		return nil, err
	}
	var what touched
	of := map[string]bool{}
	for _, e := range out {
		of[e.Incident] = true
		if e.Kind == reporter.EntryAcknowledgement {
			what.notices = true
		} else {
			what.postmortems = true
		}
	}
	return out, s.touchMessages(ctx, tx, what, 0, slices.Sorted(maps.Keys(of))...)
}

// checkEntry says why an entry cannot be added after more others of its incident.
func checkEntry(ctx context.Context, q querier, e reporter.Entry, more int) error {
	if n := utf8.RuneCountInString(e.Text); n > e.Kind.Max() {
		return fmt.Errorf("%s of incident %s: %d characters, at most %d: %w", e.Kind, e.Incident, n, e.Kind.Max(), reporter.ErrTooLong)
	}
	var there, have int
	err := q.row(ctx, `SELECT (SELECT count(*) FROM incidents WHERE id = $1), (SELECT count(*) FROM entries WHERE incident_id = $1)`,
		e.Incident).Scan(&there, &have)
	switch {
	case err != nil:
		return fmt.Errorf("entries of %s: %w", e.Incident, err)
	case there == 0:
		return fmt.Errorf("incident %s: %w", e.Incident, reporter.ErrNotFound)
	case have+more >= entriesAtMost:
		return fmt.Errorf("incident %s has %d entries: %w", e.Incident, have, reporter.ErrTooMany)
	}
	if e.Supersedes != 0 {
		var same int
		err := q.row(ctx, `SELECT count(*) FROM entries WHERE id = $1 AND incident_id = $2 AND kind = $3`,
			e.Supersedes, e.Incident, string(e.Kind)).Scan(&same)
		if err != nil {
			return fmt.Errorf("entries of %s: %w", e.Incident, err)
		}
		if same == 0 {
			return fmt.Errorf("entry %d: %w", e.Supersedes, reporter.ErrNotFound)
		}
	}
	return nil
}

// insertEntries checks all entries before it inserts the first, so that whoever answers a refusal in the same transaction stores none.
func insertEntries(ctx context.Context, q querier, entries []reporter.Entry) ([]reporter.Entry, error) {
	checked := make([]reporter.Entry, 0, len(entries))
	of := map[string]int{}
	for _, e := range entries {
		e.Text, e.Author = e.Kind.Tidy(e.Text), safetext.Line(e.Author, reporter.EntryOwnerMax)
		if err := checkEntry(ctx, q, e, of[e.Incident]); err != nil {
			return nil, err
		}
		of[e.Incident]++
		checked = append(checked, e)
	}
	var out []reporter.Entry
	for _, e := range checked {
		// The index allows one successor of each version, whatever process writes it.
		err := q.row(ctx, `INSERT INTO entries (incident_id, kind, text, author_kind, author_id, author, receiver, chat, message_id,
			written_at, supersedes) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11) ON CONFLICT DO NOTHING RETURNING id`,
			e.Incident, string(e.Kind), e.Text, string(e.AuthorKind), e.AuthorID, e.Author, e.Receiver, e.Chat, e.MessageID,
			e.WrittenAt.UnixMicro(), e.Supersedes).Scan(&e.ID)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("%s of incident %s: %w", e.Kind, e.Incident, reporter.ErrConflict)
		}
		if err != nil {
			return nil, fmt.Errorf("entries of %s: %w", e.Incident, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// Acknowledge says that a person takes care of an incident that is not resolved. who is the acknowledgement that stands then, and changed
// says that it is this one: of several at the same time, on whatever replicas, one is stored, and the others get that one.
// reporter.ErrNotFound: there is no such incident. reporter.ErrResolved: it is resolved, where who is the acknowledgement that stood
// at its end, if any.
func (s *Store) Acknowledge(
	ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef,
) (who reporter.Entry, changed bool, err error) {
	return s.acknowledge(ctx, incident, by, from, reporter.EntryAcknowledged)
}

// Release takes back the acknowledgement of an incident that is not resolved, whoever's it is. changed says that there was one, and who
// is the release then, else the one before it, if any. Errors are those of Acknowledge.
func (s *Store) Release(
	ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef,
) (who reporter.Entry, changed bool, err error) {
	return s.acknowledge(ctx, incident, by, from, "")
}

// acknowledge is acknowledgeIn in a transaction of its own.
func (s *Store) acknowledge(
	ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef, text string,
) (who reporter.Entry, changed bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		who, changed, err = s.acknowledgeIn(ctx, tx, incident, by, from, text)
		return err
	})
	return who, changed && err == nil, err
}

// acknowledgeIn takes its turn among the writers of the journal, so that the incident cannot be resolved meanwhile.
func (s *Store) acknowledgeIn(
	ctx context.Context, tx tx, incident string, by reporter.Person, from reporter.MessageRef, text string,
) (who reporter.Entry, changed bool, err error) {
	now, err := s.journalTurn(ctx, tx)
	if err != nil {
		return who, false, err
	}
	var state reporter.IncidentState
	err = tx.row(ctx, `SELECT state FROM incidents WHERE id = $1`, incident).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return who, false, fmt.Errorf("incident %s: %w", incident, reporter.ErrNotFound)
	}
	if err != nil {
		return who, false, fmt.Errorf("incident %s: %w", incident, err)
	}
	stored, err := queryEntries(ctx, tx.querier, `incident_id = $1 AND kind = $2`, incident, string(reporter.EntryAcknowledgement))
	if err != nil {
		return who, false, err
	}
	if len(stored) > 0 {
		who = stored[len(stored)-1]
	}
	switch {
	case state == reporter.IncidentResolved:
		return who, false, fmt.Errorf("incident %s: %w", incident, reporter.ErrResolved)
	case who.Text == text:
		return who, false, nil
	}
	written, err := s.writeEntries(ctx, tx, []reporter.Entry{{
		Incident: incident, Kind: reporter.EntryAcknowledgement, Text: text, AuthorKind: by.Kind, AuthorID: by.ID, Author: by.Name,
		Receiver: from.Receiver, MessageID: from.MessageID, WrittenAt: now, Supersedes: who.ID,
	}})
	if err != nil {
		return who, false, err
	}
	return written[0], true, nil
}

const entryColumns = `SELECT id, incident_id, kind, text, author_kind, author_id, author, receiver, chat, message_id, written_at, supersedes
	FROM entries`

// queryEntries reads the latest entries of which a condition is true, in the order of ids.
func queryEntries(ctx context.Context, q querier, where string, args ...any) ([]reporter.Entry, error) {
	args = append(args, entriesAtMost)
	rows, err := q.query(ctx, entryColumns+` WHERE `+where+fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args...)
	out, err := readEntries(rows, err)
	slices.Reverse(out)
	return out, err
}

// readEntries reads the rows of a query with entryColumns, or returns its error.
func readEntries(rows *sql.Rows, err error) (out []reporter.Entry, _ error) {
	if err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e reporter.Entry
		var written sql.NullInt64
		if err := rows.Scan(&e.ID, &e.Incident, &e.Kind, &e.Text, &e.AuthorKind, &e.AuthorID, &e.Author, &e.Receiver, &e.Chat, &e.MessageID,
			&written, &e.Supersedes); err != nil {
			return nil, fmt.Errorf("entries: %w", err)
		}
		e.WrittenAt = moment(written)
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	return out, nil
}
