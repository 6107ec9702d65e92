package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// wholeAlerts is up to how many alerts an incident is read whole by an update; of a larger one, only those that are firing
	// and those that the update is about.
	wholeAlerts = 100
	// keptEnded is how many ended alerts of one incident are kept one by one, and foldFrom when the others are folded.
	keptEnded = 1000
	foldFrom  = keptEnded + 100
	// foldedNames is how many alert names are counted separately among the folded ones.
	foldedNames = 100
)

// journalTx is the journal inside a transaction that updates may share: what they ask for is read once, and what they change
// is written once.
type journalTx struct {
	tx
	store     *Store
	incidents map[string]*loaded
	byKey     map[string][]*loaded
	byAlert   map[string][]*loaded // by fingerprint
	taken     map[string]bool

	heartbeats heartbeatsTx
}

// loaded is an incident with the alerts that are read of it, as it is after the updates so far.
type loaded struct {
	reporter.Incident
	was    *reporter.Incident // as it is in the database; nil if it is not
	stored map[alertKey]storedAlert
	extras extras
	dirty  bool
}

// storedAlert is an alert as it is in the database.
type storedAlert struct {
	reporter.Alert
	withAll bool // its SeenAt is that of the incident's extras
}

// alertKey identifies an alert within one incident.
type alertKey struct {
	fingerprint string
	start       int64
}

func keyOf(a reporter.Alert) alertKey { return alertKey{a.Fingerprint, a.StartsAt.UnixMicro()} }

func newJournalTx(s *Store, tx tx) *journalTx {
	return &journalTx{
		tx: tx, store: s, incidents: map[string]*loaded{}, byKey: map[string][]*loaded{}, byAlert: map[string][]*loaded{},
		taken: map[string]bool{},
		heartbeats: heartbeatsTx{
			known: map[heartbeatKey]reporter.Heartbeat{}, outages: map[string]reporter.HeartbeatOutage{},
		},
	}
}

// load reads what the queries ask for, in a few statements for all of them.
func (t *journalTx) load(ctx context.Context, queries []reporter.JournalQuery, now time.Time) error {
	var keys, alerts, ids, partly, groups jsonRows
	for _, q := range queries {
		for _, k := range q.Keys {
			keys.row().text(k.Of).integer(k.From(q, now).UnixMicro())
		}
		for _, a := range q.Alerts {
			from := a.From(q, now).UnixMicro()
			alerts.row().text(a.Of).integer(from).text(reporter.ClusterDefault) // See clusterOfAlerts.
			if a.Cluster != "" && a.Cluster != reporter.ClusterDefault {
				alerts.row().text(a.Of).integer(from).text(a.Cluster)
			}
		}
		for _, g := range q.Groups {
			to := &groups
			if g.LeftOut {
				to = &partly
			}
			to.row().text(g.GroupKey).text(g.Receiver).text(g.Cluster)
		}
		for _, id := range q.Incidents {
			ids.row().text(id)
		}
		for _, name := range q.Names { // Seldom is one in use that is not an incident to be read anyway.
			ids.row().text(name)
		}
	}
	args := []any{keys.String(), alerts.String(), ids.String(), partly.String(), groups.String()}
	// The alerts of many clusters may have the same fingerprints.
	ofAlert := `a.fingerprint = ` + t.element(0) + ` AND a.cluster = ` + t.element(2) + ` AND ` + alertEnd + ` >= ` + t.integer(1)
	ofGroup := `i.ended_at IS NULL AND i.group_key = ` + t.element(0) + ` AND i.receiver = ` + t.element(1) +
		` AND i.cluster = ` + t.element(2)
	more, count := "", 4
	if !groups.empty() { // seldom
		more, count = ` UNION SELECT i.id FROM `+t.each(5)+` v JOIN incidents i ON `+ofGroup, 5
	}
	var whole, large [][]any
	leftOut := false
	take := func(in reporter.Incident, and extras) {
		if t.incidents[in.ID] != nil {
			return
		}
		l := &loaded{Incident: in, was: &in, stored: map[alertKey]storedAlert{}, extras: and}
		if l.Selected = in.AlertsTotal > wholeAlerts; l.Selected {
			large = append(large, []any{in.ID})
		} else {
			whole = append(whole, []any{in.ID})
		}
		t.add(l)
		leftOut = leftOut || in.LeftOut
	}
	err := eachIncident(ctx, t.querier, `WHERE id IN (
		SELECT i.id FROM `+t.each(1)+` v JOIN incidents i ON i.key = `+t.element(0)+` AND i.ended_at IS NULL
		UNION SELECT i.id FROM `+t.each(1)+` v JOIN incidents i ON i.key = `+t.element(0)+` AND i.ended_at >= `+t.integer(1)+`
		UNION SELECT a.incident_id FROM `+t.each(2)+` v JOIN alerts a`+t.byFingerprint()+` ON `+ofAlert+`
		UNION SELECT `+t.element(0)+` FROM `+t.each(3)+` v
		UNION SELECT i.id FROM `+t.each(4)+` v JOIN incidents i ON i.left_out AND `+ofGroup+more+`
		) ORDER BY started_at, id`, take, args[:count]...)
	if err != nil {
		return err
	}
	var selected jsonRows // groups that one of those incidents selects
	for _, q := range queries {
		if !leftOut { // as nearly always
			break
		}
		for _, g := range q.Groups {
			if g.LeftOut && t.ofGroup(g) != nil {
				selected.row().text(g.GroupKey).text(g.Receiver).text(g.Cluster)
			}
		}
	}
	if !selected.empty() {
		err := eachIncident(ctx, t.querier, `WHERE id IN (SELECT i.id FROM `+t.each(1)+` v JOIN incidents i ON `+ofGroup+`)
			ORDER BY started_at, id`, take, selected.String())
		if err != nil {
			return err
		}
	}
	if err := t.loadAlerts(ctx, whole, large, args[1]); err != nil {
		return err
	}
	return t.loadHeartbeats(ctx, queries)
}

// loadAlerts reads all alerts of some incidents, and of others those that are firing, in doubt, or asked for.
func (t *journalTx) loadAlerts(ctx context.Context, whole, large [][]any, asked any) error {
	keep := func(incident string, a reporter.Alert) {
		l := t.incidents[incident]
		if _, have := l.stored[keyOf(a)]; have {
			return
		}
		stored := storedAlert{Alert: a}
		if a.SeenAt.Equal(time.UnixMicro(seenWithAll)) {
			stored.withAll, stored.SeenAt = true, l.extras.seenAll
		}
		a = stored.Alert
		l.stored[keyOf(a)] = stored
		l.Alerts = append(l.Alerts, a)
		t.indexAlert(l, a.Fingerprint)
	}
	if len(whole) > 0 {
		ids, err := array(whole)
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		err = eachAlertOf(ctx, t.querier, alertTable.list(), `WHERE incident_id IN (SELECT `+t.element(0)+` FROM `+t.each(1)+` v)
			ORDER BY incident_id, starts_at, fingerprint`, keep, ids)
		if err != nil {
			return err
		}
	}
	if len(large) == 0 {
		return nil
	}
	ids, err := array(large)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	err = eachAlertOf(ctx, t.querier, alertTable.list(), `WHERE (ends_at IS NULL OR doubtful)
		AND incident_id IN (SELECT `+t.element(0)+` FROM `+t.each(1)+` v)`, keep, ids)
	if err != nil {
		return err
	}
	var others [][]any // incidents with alerts that have ended
	for _, id := range large {
		if l := t.incidents[id[0].(string)]; len(l.Alerts) < keptOf(l.Incident) {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return nil
	}
	if ids, err = array(others); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return eachAlertOf(ctx, t.querier, alertTable.list(), `WHERE incident_id IN (SELECT `+t.element(0)+` FROM `+t.each(1)+` v)
		AND (incident_id, starts_at, fingerprint) IN (SELECT a.incident_id, a.starts_at, a.fingerprint
			FROM `+t.each(2)+` v JOIN alerts a ON a.fingerprint = `+t.element(0)+` AND a.cluster = `+t.element(2)+`
				AND `+alertEnd+` >= `+t.integer(1)+`)`, keep, ids, asked)
}

// keptOf is how many alerts of an incident are stored one by one.
func keptOf(in reporter.Incident) int {
	return in.AlertsTotal - in.FoldedCount()
}

func (t *journalTx) add(l *loaded) {
	t.incidents[l.ID] = l
	t.byKey[l.Key] = append(t.byKey[l.Key], l)
	t.taken[l.ID] = true
}

// ofGroup are the incidents that a group selects.
func (t *journalTx) ofGroup(g reporter.JournalGroup) (out []*loaded) {
	selects := !g.LeftOut
	for _, l := range t.incidents {
		if g.Has(l.Incident) {
			out, selects = append(out, l), selects || l.LeftOut
		}
	}
	if !selects {
		return nil
	}
	return out
}

func (t *journalTx) indexAlert(l *loaded, fingerprint string) {
	if !slices.Contains(t.byAlert[fingerprint], l) {
		t.byAlert[fingerprint] = append(t.byAlert[fingerprint], l)
	}
}

// view is what one update asked for, as the updates before it left it.
func (t *journalTx) view(q reporter.JournalQuery, now time.Time) reporter.JournalView {
	found := map[string]*loaded{}
	for _, k := range q.Keys {
		for _, l := range t.byKey[k.Of] {
			if !l.Over() || !l.EndedAt.Before(k.From(q, now)) {
				found[l.ID] = l
			}
		}
	}
	for _, a := range q.Alerts {
		for _, l := range t.byAlert[a.Of] {
			if l.Cluster == a.Cluster || l.Cluster == reporter.ClusterDefault || l.Adopted {
				found[l.ID] = l
			}
		}
	}
	for _, g := range q.Groups {
		for _, l := range t.ofGroup(g) {
			found[l.ID] = l
		}
	}
	for _, id := range q.Incidents {
		if l, ok := t.incidents[id]; ok {
			found[id] = l
		}
	}
	v := reporter.JournalView{Now: now, Taken: map[string]bool{}}
	for _, name := range q.Names {
		if t.taken[name] {
			v.Taken[name] = true
		}
	}
	for _, l := range found {
		v.Incidents = append(v.Incidents, l.Incident)
	}
	slices.SortFunc(v.Incidents, func(a, b reporter.Incident) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.ID, b.ID))
	})
	t.heartbeats.view(q, &v)
	return v
}

// change takes over what an update changes. Deliveries are stored at once, incidents and alerts by flush.
func (t *journalTx) change(ctx context.Context, c reporter.JournalChanges, now time.Time) error {
	for _, in := range c.Incidents {
		l, known := t.incidents[in.ID]
		if !known {
			l = &loaded{Incident: in, stored: map[alertKey]storedAlert{}}
			t.add(l)
		} else if l.Key != in.Key {
			t.byKey[l.Key] = slices.DeleteFunc(t.byKey[l.Key], func(o *loaded) bool { return o == l })
			t.byKey[in.Key] = append(t.byKey[in.Key], l)
		}
		l.Incident, l.dirty = in, true
		for _, a := range in.Alerts {
			t.indexAlert(l, a.Fingerprint)
		}
	}
	for _, id := range c.Recalls {
		if err := t.recall(ctx, id, now); err != nil {
			return err
		}
	}
	for _, p := range c.Postmortems {
		if err := t.putPostmortem(ctx, p, now); err != nil {
			return err
		}
	}
	for _, d := range c.Deliveries {
		if _, err := t.store.insertDelivery(ctx, t.tx, d); err != nil {
			return err
		}
	}
	return t.changeHeartbeats(ctx, c)
}

// recall cancels the postmortems of an incident of which nothing has been sent.
func (t *journalTx) recall(ctx context.Context, incident string, now time.Time) error {
	list, err := queryDeliveries(ctx, t.querier, `WHERE kind = 'postmortem' AND subject = $1 AND state = 'pending'`, incident)
	if err != nil {
		return err
	}
	for _, d := range list {
		if begun(d) {
			continue
		}
		_, err := t.exec(ctx, `UPDATE deliveries SET state = 'cancelled', finished_at = $1, last_error = 'the incident fires again'
			WHERE id = $2 AND state = 'pending'`, now.UnixMicro(), d.ID)
		if err != nil {
			return fmt.Errorf("delivery %d: %w", d.ID, err)
		}
	}
	return nil
}

// begun says whether something of the delivery has been sent, or may have been.
func begun(d reporter.Delivery) bool {
	return slices.ContainsFunc(d.Parts, func(p reporter.Part) bool {
		return !p.SentAt.IsZero() || !p.SendingAt.IsZero() || p.Ambiguous+p.Interrupted > 0
	})
}

// putPostmortem queues the postmortem of an incident: the first one, or an update of one that was sent. One that waits to be sent
// is enough, as it is composed when it is sent.
func (t *journalTx) putPostmortem(ctx context.Context, p reporter.PostmortemDue, now time.Time) error {
	for _, receiver := range p.Receivers {
		list, err := queryDeliveries(ctx, t.querier, `WHERE kind = 'postmortem' AND subject = $1 AND receiver = $2`, p.Incident, receiver)
		if err != nil {
			return err
		}
		sent, waits := false, false
		for _, d := range list {
			switch {
			case d.State == reporter.DeliverySent || begun(d):
				sent = true
			case d.State == reporter.DeliveryMerged:
				var state string
				if err := t.row(ctx, `SELECT state FROM deliveries WHERE id = $1`, d.MergedInto).Scan(&state); err == nil {
					sent = sent || state == string(reporter.DeliverySent)
				}
			case d.State == reporter.DeliveryPending:
				waits = true
			}
		}
		if waits {
			continue
		}
		d := reporter.NewDelivery(reporter.DeliveryPostmortem, p.Incident, receiver, now)
		if d.NextAttempt = p.First.UTC(); sent {
			d.NextAttempt = p.Update.UTC()
		}
		if len(list) > 0 {
			d.Key += "#" + strconv.Itoa(len(list)+1)
		}
		if _, err := t.store.insertDelivery(ctx, t.tx, d); err != nil {
			return err
		}
	}
	return nil
}

// flush writes the incidents that changed, and those of their alerts that differ from what is stored.
func (t *journalTx) flush(ctx context.Context) error {
	w := t.store.writers.within(t.querier)
	var changed, counted []string // of those that are known
	for _, id := range slices.Sorted(maps.Keys(t.incidents)) {
		l := t.incidents[id]
		if !l.dirty {
			continue
		}
		was := l.extras
		l.extras = extras{summarize(l.Incident, was.summary), l.seenAll()}
		switch { // what its notices show of it
		case l.was == nil:
		case l.was.State != l.State || !l.was.EndedAt.Equal(l.EndedAt) || was.summary != l.extras.summary:
			changed = append(changed, id)
		case l.was.AlertsTotal != l.AlertsTotal:
			counted = append(counted, id)
		}
		row, err := incidentRow(l.Incident, l.extras)
		if err != nil {
			return fmt.Errorf("incident %s: %w", id, err)
		}
		if err := w.ofIncident(l, was.summary).add(ctx, row...); err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
	}
	if err := w.end(ctx, w.incidents, w.incidentsSeen, w.incidentStates); err != nil {
		return fmt.Errorf("incidents: %w", err)
	}
	if err := t.store.touchMessages(ctx, t.tx, touched{notices: true}, 0, changed...); err != nil {
		return err
	}
	if err := t.store.touchMessages(ctx, t.tx, touched{notices: true}, countsAfter, counted...); err != nil {
		return err
	}
	for _, l := range t.incidents {
		if !l.dirty {
			continue
		}
		found := l.was == nil // whether what the incident is found by has changed
		for n, a := range l.Alerts {
			have, known := l.stored[keyOf(a)]
			if have.withAll {
				have.SeenAt = l.extras.seenAll
			}
			said := known && sameWords(have.Alert, a)
			found = found || n < searchedAlerts && !said
			if said && sameState(have.Alert, a) && have.SeenAt.Equal(a.SeenAt) {
				continue
			}
			row, err := alertRow(l.Incident, a, !said, fires(a) && a.SeenAt.Equal(l.extras.seenAll))
			if err != nil {
				return fmt.Errorf("incident %s: %w", l.ID, err)
			}
			to := w.alerts
			switch {
			case said && sameState(have.Alert, a): // As of every repeat.
				to = w.alertsSeen
			case said:
				to = w.alertStates
			}
			if err := to.add(ctx, row...); err != nil {
				return fmt.Errorf("alerts: %w", err)
			}
		}
		if found && !l.Selected {
			if err := w.texts.add(ctx, l.ID, searchText(l.Incident)); err != nil {
				return fmt.Errorf("texts: %w", err)
			}
		}
	}
	if err := w.end(ctx, w.texts, w.alerts, w.alertsSeen, w.alertStates); err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	for _, l := range t.incidents {
		if l.dirty {
			if err := t.fold(ctx, l.Incident, l.extras); err != nil {
				return fmt.Errorf("incident %s: %w", l.ID, err)
			}
		}
	}
	return nil
}

// fires says whether an alert has not ended.
func fires(a reporter.Alert) bool {
	end, _ := a.Ended()
	return end.IsZero()
}

// seenAll is when the firing alerts of the incident were last received, or what it was before, where that leaves fewer of them that
// need a time of their own.
func (l *loaded) seenAll() time.Time {
	var latest time.Time
	for _, a := range l.Alerts {
		if fires(a) && a.SeenAt.After(latest) {
			latest = a.SeenAt
		}
	}
	keeping, moving := 0, 0 // alerts that would get one
	for _, a := range l.Alerts {
		switch have := l.stored[keyOf(a)]; {
		case !have.withAll || !fires(a):
		case a.SeenAt.Equal(latest):
			keeping++
		default:
			moving++
		}
	}
	if moving > keeping {
		return l.extras.seenAll
	}
	return latest
}

// journalWriters write rows of incidents and alerts, each by the narrowest statement that does.
type journalWriters struct {
	incidents, incidentsSeen, incidentStates *rowWriter
	alerts, alertsSeen, alertStates          *rowWriter
	texts                                    *rowWriter
}

func newJournalWriters(q querier) journalWriters {
	return journalWriters{
		incidents: q.upsert(incidentTable), incidentsSeen: q.update(incidentSeen), incidentStates: q.update(incidentState),
		alerts: q.upsert(alertTable), alertsSeen: q.update(alertSeen), alertStates: q.update(alertState),
		texts: q.upsert(textTable),
	}
}

// within are the same writers in a transaction: their statements are put together once.
func (w journalWriters) within(q querier) journalWriters {
	for _, to := range []**rowWriter{
		&w.incidents, &w.incidentsSeen, &w.incidentStates, &w.alerts, &w.alertsSeen, &w.alertStates, &w.texts,
	} {
		own := **to
		own.querier = q
		*to = &own
	}
	return w
}

func (w journalWriters) end(ctx context.Context, of ...*rowWriter) error {
	for _, o := range of {
		if err := o.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ofIncident is the writer of what has changed of an incident whose summary was this.
func (w journalWriters) ofIncident(l *loaded, was summary) *rowWriter {
	switch {
	case l.was == nil || l.extras.summary != was || !sameSeries(*l.was, l.Incident):
		return w.incidents
	case l.was.State == l.State && l.was.EndedAt.Equal(l.EndedAt) && l.was.CloseReason == l.CloseReason:
		return w.incidentsSeen
	}
	return w.incidentStates
}

// sameSeries compares what incidentState leaves as it is.
func sameSeries(a, b reporter.Incident) bool {
	return a.Key == b.Key && a.Cluster == b.Cluster && a.Route == b.Route && a.GroupKey == b.GroupKey && a.Receiver == b.Receiver &&
		a.StartedAt.Equal(b.StartedAt) && a.AlertsTotal == b.AlertsTotal && slices.Equal(a.Folded, b.Folded) &&
		a.Sample == b.Sample && a.Adopted == b.Adopted
}

// sameWords compares what alertState leaves as it is.
func sameWords(a, b reporter.Alert) bool {
	return a.GeneratorURL == b.GeneratorURL && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) &&
		slices.Equal(a.Links, b.Links)
}

// sameState compares all but SeenAt and the words. With SeenAt, the end that is stored may change by itself.
func sameState(a, b reporter.Alert) bool {
	return fires(a) == fires(b) && a.EndsAt.Equal(b.EndsAt) && a.Firing == b.Firing && a.Doubtful == b.Doubtful &&
		a.ConfirmedAt.Equal(b.ConfirmedAt) && a.DismissedAt.Equal(b.DismissedAt) && slices.Equal(a.Resolves, b.Resolves) &&
		a.PresumedAt.Equal(b.PresumedAt) && a.PresumedWhy == b.PresumedWhy
}

// fold counts the oldest ended alerts of an incident that has very many by name, and deletes them. The most severe of them is
// kept, for it may give the incident its title.
func (t *journalTx) fold(ctx context.Context, in reporter.Incident, and extras) error {
	kept := keptOf(in)
	for _, a := range in.Alerts {
		if fires(a) {
			kept--
		}
	}
	if kept < foldFrom {
		return nil
	}
	var old []reporter.Alert
	err := eachAlert(ctx, t.querier, `WHERE incident_id = $1 AND ends_at IS NOT NULL AND NOT doubtful
		ORDER BY ends_at DESC, starts_at DESC, fingerprint LIMIT $2 OFFSET $3`,
		func(_ string, a reporter.Alert) { old = append(old, a) }, in.ID, kept, keptEnded)
	if err != nil || len(old) == 0 {
		return err
	}
	worst := keyOf(reporter.Incident{Alerts: old}.Worst())
	counts := map[string]reporter.Folded{}
	for _, f := range in.Folded {
		counts[f.Name] = f
	}
	var gone [][]any
	for _, a := range old {
		if keyOf(a) == worst {
			continue
		}
		name := a.Labels["alertname"]
		if _, have := counts[name]; !have && len(counts) >= foldedNames {
			name = ""
		}
		end, _ := a.Ended()
		f := counts[name]
		counts[name] = reporter.Folded{Name: name, Count: f.Count + 1, Firing: f.Firing + end.Sub(a.StartsAt)}
		gone = append(gone, []any{a.StartsAt.UnixMicro(), a.Fingerprint})
	}
	in.Folded = slices.SortedFunc(maps.Values(counts), func(a, b reporter.Folded) int { return cmp.Compare(a.Name, b.Name) })
	list, err := array(gone)
	if err != nil {
		return err
	}
	// A list that does not depend on the row is read once; EXISTS would read it for each alert.
	listed := ` FROM alerts WHERE incident_id = $1 AND (starts_at, fingerprint) IN
		(SELECT ` + t.integer(0) + `, ` + t.element(1) + ` FROM ` + t.each(2) + ` v)`
	short := strconv.FormatInt(reporter.NoiseShort.Microseconds(), 10)
	_, err = t.exec(ctx, `INSERT INTO folded_alerts (incident_id, starts_at, name, category, count, firing, short)
		SELECT incident_id, starts_at, name, category, count(*), sum(ends_at - starts_at),
			count(*) FILTER (WHERE ends_at - starts_at < `+short+`)`+listed+` GROUP BY 1, 2, 3, 4
		ON CONFLICT (incident_id, starts_at, name, category) DO UPDATE SET count = folded_alerts.count + excluded.count,
			firing = folded_alerts.firing + excluded.firing, short = folded_alerts.short + excluded.short`, in.ID, list)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE`+listed, in.ID, list); err != nil {
		return err
	}
	row, err := incidentRow(in, and)
	if err != nil {
		return err
	}
	incidents := t.upsert(incidentTable)
	return errors.Join(incidents.add(ctx, row...), incidents.end(ctx))
}
