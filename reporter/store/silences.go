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

const (
	// silencesAtMost is how many silences of one incident are kept and shown.
	silencesAtMost = 100
	// silenceSame is by how much a silence may end earlier than a new one, and make that needless.
	silenceSame = time.Minute
)

const silenceColumns = `id, incident_id, cluster, author_kind, author_id, author, matchers, starts_at, ends_at, state, api_id, ended_at,
	ended_by, error, attempts, next_at`

// AddSilence stores a silence that a person asked for, before the cluster is asked; added is false where one that lasts as long is there.
// reporter.ErrNotFound: there is no such incident. reporter.ErrResolved: it is over. reporter.ErrTooMany: no more of it are kept.
func (s *Store) AddSilence(ctx context.Context, n reporter.Silence) (added bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		added, err = s.addSilence(ctx, tx, n)
		return err
	})
	return added && err == nil, err
}

// addSilence is AddSilence within a transaction.
func (s *Store) addSilence(ctx context.Context, tx tx, n reporter.Silence) (added bool, err error) {
	matchers, err := json.Marshal(n.Matchers)
	if err != nil {
		return false, fmt.Errorf("silence: %w", err)
	}
	if _, err := s.journalTurn(ctx, tx); err != nil {
		return false, err
	}
	var state reporter.IncidentState
	err = tx.row(ctx, `SELECT state FROM incidents WHERE id = $1`, n.Incident).Scan(&state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, fmt.Errorf("incident %s: %w", n.Incident, reporter.ErrNotFound)
	case err != nil:
		return false, fmt.Errorf("incident %s: %w", n.Incident, err)
	case state == reporter.IncidentResolved:
		return false, fmt.Errorf("incident %s: %w", n.Incident, reporter.ErrResolved)
	}
	var have, enough int
	err = tx.row(ctx, `SELECT count(*), count(*) FILTER (WHERE state IN ('pending', 'active') AND ends_at >= $2) FROM silences
		WHERE incident_id = $1`, n.Incident, n.EndsAt.Add(-silenceSame).UnixMicro()).Scan(&have, &enough)
	switch {
	case err != nil:
		return false, fmt.Errorf("silences of %s: %w", n.Incident, err)
	case enough > 0:
		return false, nil
	case have >= silencesAtMost:
		return false, fmt.Errorf("incident %s has %d silences: %w", n.Incident, have, reporter.ErrTooMany)
	}
	_, err = tx.exec(ctx, `INSERT INTO silences (id, incident_id, cluster, author_kind, author_id, author, matchers, starts_at, ends_at,
		state, next_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`, n.ID, n.Incident, n.Cluster, string(n.By.Kind), n.By.ID, n.By.Name,
		string(matchers), n.StartsAt.UnixMicro(), n.EndsAt.UnixMicro(), string(n.State), n.NextAt.UnixMicro())
	if err != nil {
		return false, fmt.Errorf("silences of %s: %w", n.Incident, err)
	}
	return true, s.touchMessages(ctx, tx, touched{notices: true}, 0, n.Incident)
}

// EndSilences puts the silences of an incident down to be ended, in that person's name, and returns how many those are.
// reporter.ErrNotFound: there is no such incident.
func (s *Store) EndSilences(ctx context.Context, incident, by string, now time.Time) (ended int64, err error) {
	err = s.tx(ctx, func(tx tx) error {
		ended, err = s.endSilences(ctx, tx, incident, by, now)
		return err
	})
	return ended, err
}

// endSilences is EndSilences within a transaction.
func (s *Store) endSilences(ctx context.Context, tx tx, incident, by string, now time.Time) (ended int64, err error) {
	if _, err := s.journalTurn(ctx, tx); err != nil {
		return 0, err
	}
	var there int
	if err := tx.row(ctx, `SELECT count(*) FROM incidents WHERE id = $1`, incident).Scan(&there); err != nil {
		return 0, fmt.Errorf("incident %s: %w", incident, err)
	}
	if there == 0 {
		return 0, fmt.Errorf("incident %s: %w", incident, reporter.ErrNotFound)
	}
	ended, err = tx.exec(ctx, `UPDATE silences SET state = 'ending', ended_by = $2, next_at = $3, error = ''
		WHERE incident_id = $1 AND state IN ('pending', 'active')`, incident, by, now.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("silences of %s: %w", incident, err)
	}
	if ended == 0 {
		return 0, nil
	}
	return ended, s.touchMessages(ctx, tx, touched{notices: true}, 0, incident)
}

// SaveSilence stores what became of a silence, unless its state is another than was: a person has ended it meanwhile, which counts. It
// returns false then.
func (s *Store) SaveSilence(ctx context.Context, n reporter.Silence, was reporter.SilenceState) (saved bool, err error) {
	err = s.tx(ctx, func(tx tx) error {
		if _, err := s.journalTurn(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.exec(ctx, `UPDATE silences SET ends_at = $1, state = $2, api_id = $3, ended_at = $4, ended_by = $5, error = $6,
			attempts = $7, next_at = $8 WHERE id = $9 AND state = $10`, n.EndsAt.UnixMicro(), string(n.State), n.APIID, micros(n.EndedAt),
			n.EndedBy, n.Error, n.Attempts, n.NextAt.UnixMicro(), n.ID, string(was))
		if err != nil {
			return fmt.Errorf("silence %s: %w", n.ID, err)
		}
		if saved = rows > 0; !saved { // What the cluster calls it is needed to end it.
			_, err := tx.exec(ctx, `UPDATE silences SET api_id = $1, attempts = $2 WHERE id = $3 AND api_id = ''`, n.APIID, n.Attempts, n.ID)
			return err
		}
		if n.State == was && (was == reporter.SilenceActive || n.Error == "") {
			return nil
		}
		return s.touchMessages(ctx, tx, touched{notices: true, postmortems: n.State != was}, 0, n.Incident)
	})
	return saved, err
}

// ClustersDue returns the names of the clusters that are to be asked about silences.
func (s *Store) ClustersDue(ctx context.Context, now time.Time) (clusters []string, err error) {
	rows, err := s.reading().query(ctx, `SELECT DISTINCT cluster FROM silences WHERE state IN ('pending', 'active', 'ending')
		AND next_at <= $1 ORDER BY cluster`, now.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("silences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var cluster string
		if err := rows.Scan(&cluster); err != nil {
			return nil, fmt.Errorf("silences: %w", err)
		}
		clusters = append(clusters, cluster)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("silences: %w", err)
	}
	return clusters, nil
}

// DueSilences returns the silences about which the cluster is to be asked, the first ones first, at most limit.
func (s *Store) DueSilences(ctx context.Context, cluster string, now time.Time, limit int) ([]reporter.Silence, error) {
	return querySilences(ctx, s.reading(), `state IN ('pending', 'active', 'ending') AND next_at <= $1 AND cluster = $2
		ORDER BY next_at, id LIMIT $3`, now.UnixMicro(), cluster, limit)
}

// Silences returns the silences that people asked for an incident, in the order in which they did.
func (s *Store) Silences(ctx context.Context, incident string) ([]reporter.Silence, error) {
	return querySilences(ctx, s.reading(), `incident_id = $1 ORDER BY starts_at, id LIMIT $2`, incident, silencesAtMost)
}

func querySilences(ctx context.Context, q querier, where string, args ...any) (out []reporter.Silence, err error) {
	rows, err := q.query(ctx, `SELECT `+silenceColumns+` FROM silences WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("silences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n reporter.Silence
		var matchers string
		var starts, ends, ended, next sql.NullInt64
		if err := rows.Scan(&n.ID, &n.Incident, &n.Cluster, &n.By.Kind, &n.By.ID, &n.By.Name, &matchers, &starts, &ends, &n.State, &n.APIID,
			&ended, &n.EndedBy, &n.Error, &n.Attempts, &next); err != nil {
			return nil, fmt.Errorf("silences: %w", err)
		}
		if err := json.Unmarshal([]byte(matchers), &n.Matchers); err != nil {
			return nil, fmt.Errorf("silence %s: %w", n.ID, err)
		}
		n.StartsAt, n.EndsAt, n.EndedAt, n.NextAt = moment(starts), moment(ends), moment(ended), moment(next)
		out = append(out, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("silences: %w", err)
	}
	return out, nil
}
