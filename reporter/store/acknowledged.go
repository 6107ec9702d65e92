package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// firstAcknowledged are the first acknowledgements of incidents, also of those that were released since. The condition is that of an index.
const firstAcknowledged = `entries e JOIN incidents i ON i.id = e.incident_id WHERE e.kind = 'acknowledgement' AND e.supersedes = 0`

// acknowledgementInUse says whether any incident that is kept was ever acknowledged. Where none was, it is not known whether anybody
// would, and nothing is said of incidents that nobody acknowledged.
func (s *Store) acknowledgementInUse(ctx context.Context) (used bool, err error) {
	err = s.reading().row(ctx, `SELECT EXISTS (SELECT 1 FROM `+firstAcknowledged+`)`).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("acknowledgements: %w", err)
	}
	return used, nil
}

// acknowledgements counts the incidents that were first acknowledged in a window, and those that ended in it and nobody acknowledged.
func (s *Store) acknowledgements(ctx context.Context, from, to int64) ([]Count, error) {
	used, err := s.acknowledgementInUse(ctx)
	if err != nil {
		return nil, err
	}
	var acknowledged, never float64
	err = s.reading().row(ctx, `SELECT (SELECT count(*) FROM `+firstAcknowledged+` AND e.written_at >= $1 AND e.written_at < $2),
		(SELECT count(*) FROM incidents WHERE ended_at >= $1 AND ended_at < $2 AND id NOT IN
			(SELECT incident_id FROM entries WHERE kind = 'acknowledgement' AND supersedes = 0))`, from, to).Scan(&acknowledged, &never)
	if err != nil {
		return nil, fmt.Errorf("acknowledgements: %w", err)
	}
	values := map[string]float64{"acknowledged": acknowledged}
	if used {
		values["never"] = never
	}
	return []Count{{Values: values}}, nil
}

// noiseAcknowledged adds to a review which episodes were of incidents that people acknowledged, and how soon they did.
func (s *Store) noiseAcknowledged(ctx context.Context, c *noiseCount) error {
	// Few incidents are acknowledged, by people: their episodes are looked up by incident.
	rows, err := s.reading().query(ctx, `WITH a AS (SELECT e.incident_id AS id, e.written_at - i.started_at AS after
			FROM `+firstAcknowledged+` AND e.written_at < $2 AND (i.ended_at IS NULL OR i.ended_at > $1))
		SELECT name, id, max(after), sum(n) FROM (
			SELECT x.name, a.id, a.after, 1 AS n FROM a JOIN alerts x ON x.incident_id = a.id WHERE x.starts_at >= $1 AND x.starts_at < $2
			UNION ALL
			SELECT x.name, a.id, a.after, x.count FROM a JOIN folded_alerts x ON x.incident_id = a.id
				WHERE x.starts_at >= $1 AND x.starts_at < $2) episodes
		GROUP BY name, id`, c.since, c.until)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, incident string
		var after int64
		var episodes int
		if err := rows.Scan(&name, &incident, &after, &episodes); err != nil {
			return err
		}
		r := c.row([]byte(name))
		r.Acknowledged += episodes
		r.AcknowledgedIncidents++
		r.ToAcknowledge += micro(max(after, 0))
	}
	return rows.Err()
}

// Acknowledgements returns those of the incidents that were ever acknowledged, by incident.
func (s *Store) Acknowledgements(ctx context.Context, incidents []string) (map[string]reporter.Acknowledgement, error) {
	ids := make([][]any, len(incidents))
	for n, id := range incidents {
		ids[n] = []any{id}
	}
	asked, err := array(ids)
	if err != nil {
		return nil, fmt.Errorf("acknowledgements: %w", err)
	}
	q := s.reading()
	rows, err := q.query(ctx, `SELECT incident_id, text, author_kind, author_id, author, written_at FROM entries
		WHERE kind = 'acknowledgement' AND incident_id IN (SELECT `+q.element(0)+` FROM `+q.each(1)+` v) ORDER BY id`, asked)
	if err != nil {
		return nil, fmt.Errorf("acknowledgements: %w", err)
	}
	defer rows.Close()
	entries := map[string][]reporter.Entry{}
	for rows.Next() {
		e := reporter.Entry{Kind: reporter.EntryAcknowledgement}
		var written sql.NullInt64
		if err := rows.Scan(&e.Incident, &e.Text, &e.AuthorKind, &e.AuthorID, &e.Author, &written); err != nil {
			return nil, fmt.Errorf("acknowledgements: %w", err)
		}
		e.WrittenAt = moment(written)
		entries[e.Incident] = append(entries[e.Incident], e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("acknowledgements: %w", err)
	}
	out := make(map[string]reporter.Acknowledgement, len(entries))
	for id, of := range entries {
		out[id] = reporter.AcknowledgementOf(of)
	}
	return out, nil
}

// everAcknowledged counts the incidents that are kept and were acknowledged at any time.
func (s *Store) everAcknowledged(ctx context.Context) ([]Count, error) {
	return s.single(ctx, `SELECT count(*) FROM `+firstAcknowledged)
}

// toAcknowledge is how long it took until incidents were first acknowledged, of those of a window.
func (s *Store) toAcknowledge(ctx context.Context, from, to int64) ([]Count, error) {
	return s.durations(ctx, `SELECT (e.written_at - i.started_at) / 1000000.0 FROM `+firstAcknowledged+`
		AND e.written_at >= $1 AND e.written_at < $2`, from, to)
}
