package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// firstAlerts is how many alerts of an incident a list reads.
	firstAlerts = 20
	// countedIncidents is where the count of incidents stops, and countedFound where it stops for those that have a text.
	countedIncidents = 100_000
	countedFound     = 1000
	// sampled is how many incidents are read to find whether a text is a frequent one, and frequent how many of these have it then.
	sampled  = 1000
	frequent = sampled / 4
	// facetsAtMost is how many different values a facet lists.
	facetsAtMost = 50
)

// listedStates are the states in the order of the lists.
var listedStates = []reporter.IncidentState{reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved}

// ListIncidents returns a page of the incidents that match f, and how many do.
func (s *Store) ListIncidents(ctx context.Context, f reporter.IncidentFilter) (reporter.IncidentPage, error) {
	var page reporter.IncidentPage
	var places []reporter.IncidentCursor
	rare := false
	var err error
	if f.Text != "" {
		if rare, err = s.rare(ctx, f); err != nil {
			return page, err
		}
	}
	if rare {
		all, err := s.found(ctx, f)
		if err != nil {
			return page, err
		}
		page.Count = len(all)
		places = onPage(all, f)
	} else {
		if page.Count, page.More, err = s.count(ctx, f); err != nil {
			return page, err
		}
		if places, err = s.walk(ctx, f); err != nil {
			return page, err
		}
	}
	if page.Rows, err = s.rowsAt(ctx, places); err != nil || len(page.Rows) == 0 {
		return page, err
	}
	ids := make([]string, len(page.Rows))
	for n, r := range page.Rows {
		ids[n] = r.Incident.ID
	}
	of, err := s.Acknowledgements(ctx, ids)
	for n, id := range ids {
		page.Rows[n].Acknowledgement = of[id]
	}
	return page, err
}

// filtered are the conditions of f on the table of incidents, but for its state, text and place.
func (s *Store) filtered(f reporter.IncidentFilter) where {
	var w where
	if f.Key != "" {
		w.add(`i.key = $`, f.Key)
	}
	column := `i.`
	if !s.postgres() { // The index of the list has all of these. SQLite would look up each row of another index.
		column = `+i.`
	}
	for _, c := range []struct{ name, is string }{{"severity", string(f.Severity)}, {"team", f.Team}, {"cluster", f.Cluster}} {
		if c.is != "" {
			w.add(column+c.name+` = $`, c.is)
		}
	}
	if !f.From.IsZero() {
		w.add(`i.started_at >= $`, f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		w.add(`i.started_at < $`, f.To.UnixMicro())
	}
	return w
}

// stateIs is the condition of a state. SQLite would look for the few incidents of a key among all of that state, as their index has the
// order of the list.
func (s *Store) stateIs(f reporter.IncidentFilter) string {
	if f.Key != "" && !s.postgres() {
		return `+i.state = $`
	}
	return `i.state = $`
}

// holds is the condition that the text of an incident holds another one, and its argument.
func (s *Store) holds(text string) (condition, arg string) {
	text = strings.ToLower(text)
	if s.postgres() {
		return `strpos(t.text, $) > 0`, text
	}
	// It takes a fraction of the time of instr, which counts characters.
	return `t.text GLOB $`, "*" + strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]").Replace(text) + "*"
}

// rare says whether so few incidents may have the text that reading all texts costs less than looking for it from the first
// incident on.
func (s *Store) rare(ctx context.Context, f reporter.IncidentFilter) (bool, error) {
	w := s.filtered(f)
	w.add(s.stateIs(f), string(cmp.Or(f.State, reporter.IncidentResolved))) // which most are
	sample := `SELECT i.id FROM incidents i ` + w.text() + ` ORDER BY i.started_at DESC, i.id DESC` + w.limit(sampled)
	var t where
	t.args = w.args
	condition, arg := s.holds(f.Text)
	t.add(condition, arg)
	var n int
	err := s.reading().row(ctx, `SELECT count(*) FROM (`+sample+`) c JOIN incident_texts t ON t.incident_id = c.id `+t.text(), t.args...).
		Scan(&n)
	if err != nil {
		return false, fmt.Errorf("incidents: %w", err)
	}
	return n < frequent, nil
}

// found returns the places of all incidents that have the text, in their order. Both halves of the texts are read at the same
// time.
func (s *Store) found(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentCursor, error) {
	var middle sql.NullString
	err := s.reading().row(ctx, `SELECT max(id) FROM (SELECT id FROM incidents ORDER BY id
		LIMIT (SELECT count(*) / 2 + 1 FROM incidents)) n`).Scan(&middle)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	var halves [2][]reporter.IncidentCursor
	group, ctx := errgroup.WithContext(ctx)
	for n, half := range []string{`t.incident_id < $`, `t.incident_id >= $`} {
		group.Go(func() (err error) {
			w := s.filtered(f)
			if f.State != "" {
				w.add(s.stateIs(f), string(f.State))
			}
			w.add(half, middle.String)
			condition, arg := s.holds(f.Text)
			w.add(condition, arg)
			// CROSS JOIN lets SQLite read the texts first, from one end to the other.
			halves[n], err = s.places(ctx, `SELECT i.state, i.started_at, i.id FROM incident_texts t CROSS JOIN incidents i `+w.text()+
				` AND i.id = t.incident_id`, w.args...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := slices.Concat(halves[0], halves[1])
	slices.SortFunc(out, comparePlaces)
	return out, nil
}

func (s *Store) places(ctx context.Context, query string, args ...any) (out []reporter.IncidentCursor, err error) {
	rows, err := s.reading().query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c reporter.IncidentCursor
		var started sql.NullInt64
		if err := rows.Scan(&c.State, &started, &c.ID); err != nil {
			return nil, fmt.Errorf("incidents: %w", err)
		}
		c.StartedAt = moment(started)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	return out, nil
}

// comparePlaces orders incidents as lists do.
func comparePlaces(a, b reporter.IncidentCursor) int {
	return cmp.Or(cmp.Compare(slices.Index(listedStates, a.State), slices.Index(listedStates, b.State)),
		b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID))
}

// onPage are those of the places that are on the page.
func onPage(all []reporter.IncidentCursor, f reporter.IncidentFilter) []reporter.IncidentCursor {
	switch {
	case f.After != nil:
		n, exact := slices.BinarySearchFunc(all, *f.After, comparePlaces)
		if exact {
			n++
		}
		all = all[n:]
	case f.Before != nil:
		n, _ := slices.BinarySearchFunc(all, *f.Before, comparePlaces)
		all = all[:n]
		return all[max(len(all)-f.Limit, 0):]
	}
	return all[:max(min(len(all), f.Limit), 0)]
}

// walk returns the places of a page, read in the order of the list.
func (s *Store) walk(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentCursor, error) {
	states, order := listedStates, ` ORDER BY i.started_at DESC, i.id DESC`
	cursor, than := f.After, `(i.started_at, i.id) < ($, $)`
	if f.Before != nil {
		states, order = slices.Clone(states), ` ORDER BY i.started_at, i.id`
		slices.Reverse(states)
		cursor, than = f.Before, `(i.started_at, i.id) > ($, $)`
	}
	var out []reporter.IncidentCursor
	for n, state := range states {
		passed := cursor != nil && n < slices.Index(states, cursor.State)
		if passed || (f.State != "" && f.State != state) || len(out) >= f.Limit {
			continue
		}
		w := s.filtered(f)
		w.add(s.stateIs(f), string(state))
		if cursor != nil && cursor.State == state {
			w.add(than, cursor.StartedAt.UnixMicro(), cursor.ID)
		}
		s.having(&w, f)
		more, err := s.places(ctx, `SELECT i.state, i.started_at, i.id FROM incidents i `+w.text()+order+w.limit(f.Limit-len(out)), w.args...)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	if f.Before != nil {
		slices.Reverse(out)
	}
	return out, nil
}

// having adds the condition of the text.
func (s *Store) having(w *where, f reporter.IncidentFilter) {
	if f.Text != "" {
		condition, arg := s.holds(f.Text)
		w.add(`EXISTS (SELECT 1 FROM incident_texts t WHERE t.incident_id = i.id AND `+condition+`)`, arg)
	}
}

// count counts the incidents that match f, up to a bound.
func (s *Store) count(ctx context.Context, f reporter.IncidentFilter) (n int, more bool, err error) {
	bound := countedIncidents
	if f.Text != "" {
		bound = countedFound
	}
	w := s.filtered(f)
	if f.State != "" {
		w.add(s.stateIs(f), string(f.State))
	}
	s.having(&w, f)
	err = s.reading().row(ctx, `SELECT count(*) FROM (SELECT 1 FROM incidents i `+w.text()+w.limit(bound+1)+`) n`, w.args...).Scan(&n)
	if err != nil {
		return 0, false, fmt.Errorf("incidents: %w", err)
	}
	return min(n, bound), n > bound, nil
}

// rowsAt reads the incidents at places, in that order, each with its first alerts.
func (s *Store) rowsAt(ctx context.Context, places []reporter.IncidentCursor) ([]reporter.IncidentRow, error) {
	if len(places) == 0 {
		return nil, nil
	}
	ids, at := make([][]any, len(places)), map[string]int{}
	for n, p := range places {
		ids[n], at[p.ID] = []any{p.ID}, n
	}
	asked, err := array(ids)
	if err != nil {
		return nil, fmt.Errorf("incidents: %w", err)
	}
	q := s.reading()
	out := make([]reporter.IncidentRow, len(places))
	err = eachIncident(ctx, q, `WHERE id IN (SELECT `+q.element(0)+` FROM `+q.each(1)+` v)`, func(in reporter.Incident, sum extras) {
		out[at[in.ID]] = reporter.IncidentRow{Incident: in, Title: sum.title, Severity: sum.severity, Team: sum.team}
	}, asked)
	if err != nil {
		return nil, err
	}
	out = slices.DeleteFunc(out, func(r reporter.IncidentRow) bool { return r.Incident.ID == "" }) // deleted meanwhile
	for n := range out {
		r := &out[n]
		if r.Incident.Alerts, err = queryAlerts(ctx, q, r.Incident.ID, firstAlerts); err != nil {
			return nil, err
		}
		r.Count = max(r.Incident.AlertsTotal, len(r.Incident.Alerts))
		r.Title = cmp.Or(r.Title, r.Incident.Title(), r.Incident.ID)
	}
	return out, nil
}

// IncidentsAfter returns incidents that match f, the newest first whatever their state, from behind a place on: at most f.Limit, and
// without their alerts. It is for readers of many, who come back for more.
func (s *Store) IncidentsAfter(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error) {
	w := s.filtered(f)
	if f.State != "" {
		w.add(s.stateIs(f), string(f.State))
	}
	if f.After != nil {
		w.add(`(i.started_at, i.id) < ($, $)`, f.After.StartedAt.UnixMicro(), f.After.ID)
	}
	s.having(&w, f)
	var out []reporter.IncidentRow
	err := eachIncident(ctx, s.reading(), `i `+w.text()+` ORDER BY i.started_at DESC, i.id DESC`+w.limit(f.Limit),
		func(in reporter.Incident, sum extras) {
			out = append(out, reporter.IncidentRow{
				Incident: in, Title: cmp.Or(sum.title, in.ID), Severity: sum.severity, Team: sum.team, Count: in.AlertsTotal,
			})
		}, w.args...)
	return out, err
}

// IncidentFacets returns the values that incidents can be filtered by.
func (s *Store) IncidentFacets(ctx context.Context) (out reporter.IncidentFacets, err error) {
	var severities []string
	for column, into := range map[string]*[]string{"severity": &severities, "team": &out.Teams, "cluster": &out.Clusters} {
		// Each step looks for the next value in the index, so that it matters how many values there are, not how many incidents.
		*into, err = s.texts(ctx, `WITH RECURSIVE v (value) AS (SELECT min(`+column+`) FROM incidents WHERE `+column+` > ''
			UNION ALL SELECT (SELECT min(`+column+`) FROM incidents WHERE `+column+` > v.value) FROM v WHERE v.value IS NOT NULL)
			SELECT value FROM v WHERE value IS NOT NULL LIMIT $1`, facetsAtMost)
		if err != nil {
			return out, err
		}
	}
	for _, severity := range severities {
		out.Severities = append(out.Severities, reporter.Severity(severity))
	}
	slices.SortStableFunc(out.Severities, func(a, b reporter.Severity) int { return cmp.Compare(a.Rank(), b.Rank()) })
	return out, nil
}

// ListDeliveries returns deliveries for a page, at most f.Limit.
func (s *Store) ListDeliveries(ctx context.Context, f reporter.DeliveryFilter) ([]reporter.Delivery, error) {
	var w where
	for _, c := range []struct{ column, is string }{
		{"state", string(f.State)}, {"receiver", f.Receiver}, {"kind", string(f.Kind)}, {"subject", f.Subject},
	} {
		if c.is != "" {
			w.add(c.column+` = $`, c.is)
		}
	}
	if f.Before > 0 {
		w.add(`id < $`, f.Before)
	}
	return queryDeliveries(ctx, s.reading(), w.text()+` ORDER BY id DESC`+w.limit(f.Limit), w.args...)
}

// ReportDeliveries returns the deliveries of the report's latest due times before that moment, at most limit due times,
// the latest first. The zero time is no bound.
func (s *Store) ReportDeliveries(ctx context.Context, report string, before time.Time, limit int) ([]reporter.Delivery, error) {
	from, to := reporter.SubjectRange(report, before)
	return queryDeliveries(ctx, s.reading(), `WHERE kind = 'report' AND subject IN (SELECT DISTINCT subject FROM deliveries
		WHERE kind = 'report' AND subject >= $1 AND subject < $2 AND length(subject) = $3 ORDER BY subject DESC LIMIT $4)
		ORDER BY subject DESC, id`, from, to, len([]rune(report))+1+reporter.SubjectDueLen, limit)
}

// where gathers conditions; each $ in one stands for its next argument.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	var b strings.Builder
	for _, r := range condition {
		b.WriteRune(r)
		if r == '$' {
			w.args = append(w.args, args[0])
			args = args[1:]
			fmt.Fprint(&b, len(w.args))
		}
	}
	w.conditions = append(w.conditions, b.String())
}

func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.conditions, " AND ")
}

func (w *where) limit(n int) string {
	w.args = append(w.args, max(n, 0))
	return fmt.Sprintf(" LIMIT $%d", len(w.args))
}

// inJSON writes s as it stands within a text in stored JSON.
func inJSON(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s // a string always marshals
	}
	return string(b[1 : len(b)-1])
}
