package incident

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// certainAfter is how long after a resolve a firing of the same episode must be received to be more than the late copy of
	// an HA peer. Peers of Alertmanager wait at most 15 s for each other by default (cluster.peer-timeout).
	certainAfter = 2 * time.Minute
	// doubtFor is how long one that was received earlier stays in doubt, where no API can be asked. It is longer than
	// Alertmanager's default group_interval, so that a resolve would have come.
	doubtFor = 6 * time.Minute
	// clockSkew is how far a start or an end may lie after its receive time before it is cut to that.
	clockSkew = 5 * time.Minute
)

// Batch is what is to be applied together: the alerts of one webhook, and what reconciliation found out.
type Batch struct {
	Alerts   []reporter.AlertEvent
	Ends     []reporter.AlertEnd
	Verdicts []reporter.AlertVerdict
	Whole    []string // incidents of whose group Alertmanager has no alert any more
	Pass     *Pass    // lets time pass for heartbeats; nil does not
}

// Outcome counts what Apply did, for metrics and the log.
type Outcome struct {
	Closed  []reporter.Incident
	Due     int                   // postmortems
	Ignored int                   // alerts whose route ignores them
	Ahead   []reporter.AlertEvent // resolves of unknown episodes that start in the future, which nothing can be made of

	Heartbeats       int // alerts that are heartbeats
	Missed, Returned []reporter.HeartbeatOutage
	Refused          int // heartbeats beyond mostHeartbeats
}

// Apply is the one place where events change incidents. It is a function of its arguments:
//
//   - An episode is a cluster, a fingerprint and a startsAt. Its state follows from what was received of it and when (see
//     settle), so that repeats, and copies in another order, end in the same state.
//   - An episode belongs to one incident, from its first event on. A new one joins the open incident of its group, else that of
//     the oldest firing alert in its webhook, else one of its group that ended at most ReopenWithin before, else one that an
//     alert of its webhook was in, else it opens one.
//   - An incident takes no alert that started ChronicAfter or more after its start, and is chronic from then on.
//   - It is over when none of its alerts is firing, unless the last webhook of its group left alerts out.
//   - An alert whose route makes heartbeats is no incident (see beats); one that an incident has goes on updating it.
func Apply(cfg Config, view reporter.JournalView, b Batch) (reporter.JournalChanges, Outcome) {
	j := newState(cfg, view)
	events := make([]reporter.AlertEvent, 0, len(b.Alerts))
	var early []reporter.AlertEvent
	for _, e := range b.Alerts {
		starts := e.StartsAt
		if ahead := normalize(&e, view.Now); ahead && !j.continues(&e) && !e.Firing {
			e.StartsAt = starts
			early = append(early, e)
			continue // Nothing is known of this episode, and it cannot have been.
		}
		events = append(events, e)
	}
	slices.SortStableFunc(events, func(a, b reporter.AlertEvent) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	for _, e := range events { // before any, so that others of the webhook join what is adopted
		j.adopt(e)
	}
	for _, e := range events {
		j.receive(e, events)
	}
	for _, end := range b.Ends {
		if ref, ok := j.episodes[episodeOf(end.Cluster, end.Fingerprint, end.StartsAt)]; ok {
			a := ref.alert()
			if end.EndsAt.After(a.PresumedAt) || (end.EndsAt.Equal(a.PresumedAt) && end.Why > a.PresumedWhy) {
				a.PresumedAt, a.PresumedWhy = later(micro(end.EndsAt), a.StartsAt), end.Why
				ref.in.touched = true
			}
			j.settle(ref.alertKey())
		}
	}
	for _, v := range b.Verdicts {
		if ref, ok := j.episodes[episodeOf(v.Cluster, v.Fingerprint, v.StartsAt)]; ok {
			if a := ref.alert(); v.Firing {
				a.ConfirmedAt = later(a.ConfirmedAt, view.Now)
			} else {
				a.DismissedAt = later(a.DismissedAt, view.Now)
			}
			j.settle(ref.alertKey())
		}
	}
	j.endTruncated(events)
	for _, w := range j.works {
		if w.Held && w.firing == 0 && slices.Contains(b.Whole, w.ID) {
			w.Held, w.touched = false, true
		}
	}
	out, did := j.finish()
	did.Ahead = early
	hearts := newBeats(cfg, view)
	if cfg.hasHeartbeats() {
		hearts.receive(events)
	}
	if b.Pass != nil {
		hearts.pass(*b.Pass)
	}
	hearts.finish(&out, &did)
	return out, did
}

// normalize gives an event its receive time and the precision of the store, and cuts a start that lies in the future. It says
// whether it did.
func normalize(e *reporter.AlertEvent, now time.Time) (ahead bool) {
	e.Cluster = cmp.Or(e.Cluster, reporter.ClusterDefault)
	if e.ReceivedAt.IsZero() {
		e.ReceivedAt = now
	}
	e.ReceivedAt, e.StartsAt = micro(e.ReceivedAt), micro(e.StartsAt)
	if ahead = e.StartsAt.After(e.ReceivedAt.Add(clockSkew)); ahead {
		e.StartsAt = e.ReceivedAt
	}
	if e.Firing {
		e.EndsAt = time.Time{}
		return ahead
	}
	e.EndsAt = later(micro(e.EndsAt), e.StartsAt)
	return ahead
}

// ended is the end that a resolve gives: one that lies in the future was when it was received first. What is kept is the end as it
// was given, by which copies are known.
func ended(r reporter.Resolve) time.Time {
	if r.EndsAt.After(r.First.Add(clockSkew)) {
		return r.First
	}
	return r.EndsAt
}

// continues gives an event whose start was cut that of the alert's newest episode that is firing, or was resolved so shortly before that
// the event may be a late copy, if there is one: each of its events would begin another.
func (j *state) continues(e *reporter.AlertEvent) (known bool) {
	var start time.Time
	for _, r := range j.byAlert[alertKey{e.Cluster, e.Fingerprint}] {
		end, _ := r.alert().Ended()
		recent := !e.ReceivedAt.After(newestResolve(*r.alert()).Add(certainAfter))
		if (end.IsZero() || recent) && r.alert().StartsAt.After(start) {
			start, known = r.alert().StartsAt, true
		}
	}
	if known {
		e.StartsAt = start
	}
	return known
}

func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// alertKey identifies an alert, and episode one of its episodes.
type (
	alertKey struct{ cluster, fingerprint string }
	episode  struct {
		alertKey
		start int64
	}
)

func episodeOf(cluster, fingerprint string, start time.Time) episode {
	return episode{alertKey{cmp.Or(cluster, reporter.ClusterDefault), fingerprint}, start.UnixMicro()}
}

// anywhere is an episode of whatever cluster.
func anywhere(fingerprint string, start time.Time) episode {
	return episode{alertKey{fingerprint: fingerprint}, start.UnixMicro()}
}

// work is an incident that is being changed.
type work struct {
	reporter.Incident
	was     reporter.Incident
	fresh   bool // opened by this batch
	touched bool
	joined  bool   // by an episode of this batch
	live    []bool // whether each alert is firing, as of when it was settled last
	firing  int    // how many are
}

// lasts says whether an alert of the incident is firing, or one that is not listed may be.
func (w *work) lasts() bool { return w.firing > 0 || w.Held }

// reach is the latest end of its alerts.
func (w *work) reach() (time.Time, reporter.CloseReason) {
	var end time.Time
	var why reporter.CloseReason
	if w.Selected || len(w.Folded) > 0 {
		end, why = w.LastEnd, w.LastWhy
	}
	for _, a := range w.Alerts {
		at, because := a.Ended()
		if c := at.Compare(end); !at.IsZero() && (c > 0 || c == 0 && because == reporter.ClosedResolved) {
			end, why = at, because
		}
	}
	return end, why
}

// ref is the place of an episode.
type ref struct {
	in *work
	n  int
}

func (r ref) alert() *reporter.Alert { return &r.in.Alerts[r.n] }
func (r ref) alertKey() alertKey     { return alertKey{r.in.Cluster, r.alert().Fingerprint} }

// state is what is loaded, by what it is looked up by.
type state struct {
	cfg      Config
	now      time.Time
	taken    map[string]bool
	works    []*work
	byKey    map[string][]*work
	episodes map[episode]ref
	byAlert  map[alertKey][]ref
	adopted  map[episode]ref       // those of incidents that were the default cluster's, without their cluster
	related  map[string]*relatives // by key
	ignored  int
}

func newState(cfg Config, view reporter.JournalView) *state {
	j := &state{
		cfg: cfg, now: micro(view.Now), taken: maps.Clone(view.Taken), byKey: map[string][]*work{}, episodes: map[episode]ref{},
		byAlert: map[alertKey][]ref{}, adopted: map[episode]ref{}, related: map[string]*relatives{},
	}
	if j.taken == nil {
		j.taken = map[string]bool{}
	}
	for _, in := range view.Incidents {
		w := &work{Incident: in, was: in}
		w.Alerts = slices.Clone(in.Alerts)
		w.Cluster = cmp.Or(in.Cluster, reporter.ClusterDefault)
		j.add(w)
		for n := range w.Alerts {
			j.index(ref{w, n})
			end, _ := w.Alerts[n].Ended()
			w.live = append(w.live, end.IsZero())
			if end.IsZero() {
				w.firing++
			}
		}
	}
	for _, w := range j.works { // Time passes for what is in doubt, too.
		for n := range w.Alerts {
			if w.Alerts[n].Doubtful {
				j.settle(ref{w, n}.alertKey())
			}
		}
	}
	return j
}

func (j *state) add(w *work) {
	j.works = append(j.works, w)
	j.byKey[w.Key] = append(j.byKey[w.Key], w)
	j.taken[w.ID] = true
}

// index makes an episode known. One that several incidents hold, as older versions allowed, counts for the oldest of them.
func (j *state) index(r ref) {
	a := r.alert()
	if r.in.Adopted {
		j.adopted[anywhere(a.Fingerprint, a.StartsAt)] = r
	}
	key := episodeOf(r.in.Cluster, a.Fingerprint, a.StartsAt)
	if _, have := j.episodes[key]; !have {
		j.episodes[key] = r
		j.byAlert[key.alertKey] = append(j.byAlert[key.alertKey], r)
	}
}

// receive applies one alert of a webhook.
func (j *state) receive(e reporter.AlertEvent, group []reporter.AlertEvent) {
	r, known := j.episodes[episodeOf(e.Cluster, e.Fingerprint, e.StartsAt)]
	if !known {
		r, known = j.adopted[anywhere(e.Fingerprint, e.StartsAt)]
	}
	if !known {
		route := j.cfg.route(e)
		if route.isHeartbeat() {
			return
		}
		if route.Ignore {
			j.ignored++
			return
		}
		if route.Severity != "" {
			e.Labels = maps.Clone(e.Labels)
			e.Labels["severity"] = route.Severity
		}
		w := j.place(e, route, group)
		w.Alerts = append(w.Alerts, reporter.Alert{
			Fingerprint: e.Fingerprint, StartsAt: e.StartsAt, Firing: true,
			Labels: e.Labels, Annotations: e.Annotations, GeneratorURL: e.GeneratorURL, Links: e.Links,
		})
		w.live = append(w.live, true)
		w.firing++
		w.AlertsTotal++
		w.StartedAt, w.joined = earlier(w.StartedAt, e.StartsAt), true
		r = ref{w, len(w.Alerts) - 1}
		j.index(r)
		if of := j.related[j.cfg.key(e, route)]; of != nil {
			of.add(w, e.Firing)
		}
	} else {
		if len(e.Labels) == 0 { // which a fingerprint stands for: some senders leave them out of resolves
			e.Labels = r.alert().Labels
		}
		if set := j.cfg.routeNamed(r.in.Route).Severity; set != "" {
			e.Labels = maps.Clone(e.Labels)
			e.Labels["severity"] = set
		}
	}
	note(r.in, e)
	record(r.alert(), e, j.cfg.decides(e.Cluster))
	j.settle(r.alertKey())
}

// adopt moves an incident of the default cluster to the one that has got a name since, also one that is over: what is received then
// is another peer's copy, or it fires again. What it holds is updated by copies from
// any cluster from then on: Alertmanagers of one cluster do not all get their new configuration at once, and several clusters may
// have posted to the path without a name.
func (j *state) adopt(e reporter.AlertEvent) {
	if e.Cluster == reporter.ClusterDefault || e.Cluster == reporter.ClusterGrafana {
		return
	}
	if _, known := j.episodes[episodeOf(e.Cluster, e.Fingerprint, e.StartsAt)]; known {
		return
	}
	r, ok := j.episodes[episodeOf(reporter.ClusterDefault, e.Fingerprint, e.StartsAt)]
	if !ok {
		return
	}
	w := r.in
	for n, a := range w.Alerts {
		old := episodeOf(w.Cluster, a.Fingerprint, a.StartsAt)
		delete(j.episodes, old)
		j.byAlert[old.alertKey] = slices.DeleteFunc(j.byAlert[old.alertKey], func(r ref) bool { return r == ref{w, n} })
	}
	j.byKey[w.Key] = slices.DeleteFunc(j.byKey[w.Key], func(o *work) bool { return o == w })
	w.Cluster, w.Adopted, w.touched = e.Cluster, true, true
	w.Key = j.cfg.key(e, j.cfg.routeNamed(w.Route))
	j.byKey[w.Key] = append(j.byKey[w.Key], w)
	for n := range w.Alerts {
		j.index(ref{w, n})
	}
}

// place finds the incident that a new episode belongs to, or opens one.
func (j *state) place(e reporter.AlertEvent, route Route, group []reporter.AlertEvent) *work {
	key := j.cfg.key(e, route)
	var own *work
	for _, w := range j.byKey[key] {
		if j.fits(w, e) && (own == nil || cmp.Or(compareBool(w.lasts(), own.lasts()), w.StartedAt.Compare(own.StartedAt)) > 0) {
			own = w
		}
	}
	if own != nil && own.lasts() {
		return own
	}
	if j.cfg.By == ByAlert {
		group = []reporter.AlertEvent{e}
	}
	of := j.relativesOf(key, route, group)
	for _, w := range of.firing {
		if w.lasts() && j.fits(w, e) {
			return w
		}
	}
	if own != nil {
		return own
	}
	for _, w := range of.all {
		if j.fits(w, e) && (own == nil || w.StartedAt.After(own.StartedAt)) {
			own = w
		}
	}
	if own != nil {
		return own
	}
	w := &work{fresh: true, Incident: reporter.Incident{
		Key: key, Cluster: e.Cluster, Route: route.Name, StartedAt: e.StartsAt, State: reporter.IncidentResolved,
	}}
	w.ID = j.name(e, key)
	j.add(w)
	return w
}

// fits says whether an episode may belong to the incident, by their times.
func (j *state) fits(w *work, e reporter.AlertEvent) bool {
	if apart := e.StartsAt.Sub(w.StartedAt).Abs(); j.cfg.ChronicAfter > 0 && apart >= j.cfg.ChronicAfter {
		return false
	}
	if !e.Firing && e.EndsAt.Add(j.cfg.ReopenWithin).Before(w.StartedAt) {
		return false
	}
	if w.lasts() {
		return true
	}
	end, _ := w.reach()
	return !e.StartsAt.After(end.Add(j.cfg.ReopenWithin))
}

// relatives are the incidents that the alerts of a webhook are or were in, of one route, by the start of these alerts. Other groups
// may have delivered them first: the route was edited since, or several send them.
type relatives struct {
	firing []*work // those of episodes that fire
	all    []*work
	seen   map[*work]bool // true for those that are in firing
}

func (of *relatives) add(w *work, firing bool) {
	was, known := of.seen[w]
	if !known {
		of.all = append(of.all, w)
	}
	if firing && !was {
		of.firing = append(of.firing, w)
	}
	of.seen[w] = was || firing
}

func (j *state) relativesOf(key string, route Route, group []reporter.AlertEvent) *relatives {
	if of := j.related[key]; of != nil {
		return of
	}
	of := &relatives{seen: map[*work]bool{}}
	for _, e := range group { // ordered by start
		if r, ok := j.episodes[episodeOf(e.Cluster, e.Fingerprint, e.StartsAt)]; ok && e.Firing && r.in.Route == route.Name {
			of.add(r.in, true)
		}
		for _, r := range j.byAlert[alertKey{e.Cluster, e.Fingerprint}] {
			if r.in.Route == route.Name {
				of.add(r.in, false)
			}
		}
	}
	j.related[key] = of
	return of
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// note keeps what an event says of its group and of when it was received.
func note(w *work, e reporter.AlertEvent) {
	if w.GroupKey == "" {
		w.GroupKey, w.Receiver = e.GroupKey, e.Receiver
	}
	if w.GroupKey == e.GroupKey && w.Receiver == e.Receiver {
		w.ExternalURL, w.GroupLabels = e.ExternalURL, e.GroupLabels
	}
	w.touched = true
	w.Truncated = max(w.Truncated, e.Truncated)
	w.FirstSeenAt, w.LastSeenAt = earlier(w.FirstSeenAt, e.ReceivedAt), later(w.LastSeenAt, e.ReceivedAt)
}

// mostResolves is how many ends of one episode are kept; an older one is forgotten.
const mostResolves = 8

// record adds what was received to an episode. Words that were received last are kept, as annotations hold current values.
func record(a *reporter.Alert, e reporter.AlertEvent, decides bool) {
	last := a.SeenAt
	for _, r := range a.Resolves {
		last = later(last, r.Last)
	}
	if !e.ReceivedAt.Before(last) {
		a.Labels, a.Annotations, a.GeneratorURL, a.Links = e.Labels, e.Annotations, e.GeneratorURL, e.Links
	}
	if e.Firing {
		a.SeenAt = later(a.SeenAt, e.ReceivedAt)
	} else {
		a.Resolves = resolved(a.Resolves, e.EndsAt, e.ReceivedAt)
	}
	// A resolve that was received after a doubtful firing makes that a copy, also if its own pair is known.
	newest := newestResolve(*a)
	if doubtful(*a, newest) {
		for _, r := range a.Resolves {
			if r.Last.After(a.SeenAt) && (decides || !r.Last.After(a.SeenAt.Add(doubtFor))) {
				a.DismissedAt = later(a.DismissedAt, r.Last)
			}
		}
	}
}

func resolved(list []reporter.Resolve, end, received time.Time) []reporter.Resolve {
	list = slices.Clone(list)
	at := slices.IndexFunc(list, func(r reporter.Resolve) bool { return r.EndsAt.Equal(end) })
	if at < 0 {
		list = append(list, reporter.Resolve{EndsAt: end, First: received, Last: received})
	} else {
		list[at].First, list[at].Last = earlier(list[at].First, received), later(list[at].Last, received)
	}
	slices.SortFunc(list, func(a, b reporter.Resolve) int {
		return cmp.Or(a.First.Compare(b.First), a.EndsAt.Compare(b.EndsAt))
	})
	return list[max(0, len(list)-mostResolves):]
}

// newestResolve is when the resolve that was new last was received first; zero if there is none.
func newestResolve(a reporter.Alert) (t time.Time) {
	for _, r := range a.Resolves {
		t = later(t, r.First)
	}
	return t
}

// doubtful says whether the episode was received firing so soon after its resolve that it may be a late copy.
func doubtful(a reporter.Alert, resolve time.Time) bool {
	return !resolve.IsZero() && a.SeenAt.After(resolve) && !a.SeenAt.After(resolve.Add(certainAfter))
}

// fires says whether the episode is firing by what was received of it, and whether that is in doubt.
func fires(a reporter.Alert, now time.Time, decides bool) (firing, doubt bool) {
	resolve := newestResolve(a)
	switch {
	case resolve.IsZero(), a.ConfirmedAt.After(resolve), a.SeenAt.After(resolve.Add(certainAfter)):
		return true, false
	case !a.SeenAt.After(resolve), !a.DismissedAt.Before(a.SeenAt):
		return false, false
	case !decides && !now.Before(a.SeenAt.Add(doubtFor)):
		return true, false
	}
	return false, true
}

// settle derives the state of the episodes of one alert that are loaded.
func (j *state) settle(key alertKey) {
	refs := j.byAlert[key]
	decides := j.cfg.decides(key.cluster)
	for _, r := range refs {
		a := r.alert()
		wasDoubtful, wasFiring, wasEnd := a.Doubtful, a.Firing, a.EndsAt
		a.Firing, a.Doubtful = fires(*a, j.now, decides)
		switch {
		case a.Firing:
			a.EndsAt = time.Time{}
			for _, o := range refs {
				end, ok := superseded(*a, *o.alert())
				if presumed, _ := a.Ended(); ok && a.Firing && !presumed.IsZero() && !presumed.After(end) {
					continue // It was over before the other one began.
				}
				if ok && o != r {
					a.Firing, a.EndsAt = false, earlier(a.EndsAt, end)
				}
			}
		default:
			a.EndsAt = endOf(*a)
		}
		end, _ := a.Ended()
		live := end.IsZero()
		switch {
		case live && !r.in.live[r.n]:
			r.in.firing++
		case !live && r.in.live[r.n]:
			r.in.firing--
		}
		if wasDoubtful != a.Doubtful || wasFiring != a.Firing || !wasEnd.Equal(a.EndsAt) || live != r.in.live[r.n] {
			r.in.touched = true
		}
		r.in.live[r.n] = live
	}
}

// endOf is the end of an episode that was resolved: the latest that was received after it was last received firing, else the
// latest of all.
func endOf(a reporter.Alert) (end time.Time) {
	var all time.Time
	for _, r := range a.Resolves {
		all = later(all, ended(r))
		if !r.First.Before(a.SeenAt) {
			end = later(end, ended(r))
		}
	}
	if end.IsZero() {
		end = all
	}
	return later(end, a.StartsAt)
}

// superseded says whether an episode that was never resolved was followed by another one of the same alert, o, and where it
// ends then: Alertmanager gives an alert a new start when Prometheus was restarted, or when the resolve was lost.
func superseded(a, o reporter.Alert) (end time.Time, ok bool) {
	informed := later(o.SeenAt, newestResolve(o))
	if o.StartsAt.After(a.StartsAt) {
		return o.StartsAt, !a.SeenAt.After(informed.Add(certainAfter))
	}
	// It started within the other, of which more was received since.
	if o.Firing {
		return a.StartsAt, a.SeenAt.Before(informed)
	}
	return a.StartsAt, len(o.Resolves) > 0 && o.EndsAt.After(a.StartsAt) && !a.SeenAt.After(informed)
}

// endTruncated holds incidents open whose group was not listed whole, and ends alerts whose own resolves may have been left out: those of
// a group that is resolved as a whole at the latest end that is given, and those that are missing where the group is listed whole
// again, when that was received. The group of an incident that is held is the one that left alerts out.
func (j *state) endTruncated(events []reporter.AlertEvent) {
	if len(events) == 0 {
		return
	}
	// Alertmanager derives the status of the whole from the alerts that it lists: one that it left out may be firing. Where the API can
	// be asked, that decides.
	decides := j.cfg.decides(events[0].Cluster)
	held := events[0].Truncated > 0 && (!events[0].GroupResolved || decides)
	var end time.Time
	var leftOut time.Time      // when the last webhook that left alerts out was received, if none followed that did not
	listed := map[*work]bool{} // whether any of its alerts is
	alerts := map[string]bool{}
	for _, g := range j.cfg.groups(events[0]) {
		for _, w := range j.works {
			if !w.fresh && g.Has(w.was) && w.was.LeftOut {
				leftOut = later(leftOut, w.was.LastSeenAt)
			}
		}
		for _, w := range j.works {
			if !w.fresh && g.Has(w.was) && (!g.LeftOut || !leftOut.IsZero()) {
				w.touched, listed[w] = true, false
			}
		}
	}
	for _, e := range events {
		end = later(end, e.EndsAt)
		alerts[e.Fingerprint] = true
		if r, ok := j.episodes[episodeOf(e.Cluster, e.Fingerprint, e.StartsAt)]; ok {
			listed[r.in] = true
		}
	}
	for w := range listed {
		own := w.GroupKey == events[0].GroupKey && w.Receiver == events[0].Receiver
		if own && (listed[w] || events[0].Truncated == 0) {
			w.LeftOut = events[0].Truncated > 0
		}
		switch {
		case held && j.cfg.By != ByAlert: // An alert that is an incident of its own is listed whole.
			if w.Held = w.fresh || !w.was.Over() || w.lasts(); w.Held && !w.was.Held && !own {
				w.GroupKey, w.Receiver, w.LeftOut = events[0].GroupKey, events[0].Receiver, true
				w.ExternalURL, w.GroupLabels = events[0].ExternalURL, events[0].GroupLabels
			}
		case !own: // A group that has some of its alerts, by continue: true or another group_by, says nothing of those left out of it.
		case decides && !listed[w]:
			w.Held = false
		case events[0].GroupResolved && (w.Truncated > 0 || events[0].Truncated > 0 || !leftOut.IsZero()):
			for n := range w.Alerts {
				if at, _ := w.Alerts[n].Ended(); at.IsZero() && !w.Alerts[n].StartsAt.After(end) {
					w.Alerts[n].Resolves = resolved(w.Alerts[n].Resolves, end, events[0].ReceivedAt)
					j.settle(ref{w, n}.alertKey())
				}
			}
			w.Held = false
		default:
			if w.Held = false; !leftOut.IsZero() && !decides {
				from := events[0].ReceivedAt
				if listed[w] {
					from = leftOut
				}
				j.endMissing(w, alerts, from, events[0].ReceivedAt)
			}
		}
	}
}

// endMissing presumes that alerts have ended whose group is listed whole without them, and that were received last before from. Where
// others of their incident are listed, that is the last webhook which was not whole: one that it listed is silenced, or its resolve
// would be listed now.
func (j *state) endMissing(w *work, listed map[string]bool, from, now time.Time) {
	for n := range w.Alerts {
		a := &w.Alerts[n]
		if end, _ := a.Ended(); !end.IsZero() || listed[a.Fingerprint] || !a.SeenAt.Before(from) {
			continue
		}
		a.PresumedAt, a.PresumedWhy = later(now, a.StartsAt), reporter.ClosedReconciled
		j.settle(ref{w, n}.alertKey())
	}
}

// finish derives the incidents from their alerts, and what is to be sent of them.
func (j *state) finish() (out reporter.JournalChanges, did Outcome) {
	did.Ignored = j.ignored
	for _, w := range j.works {
		j.derive(w)
		if !w.touched && !w.fresh {
			continue
		}
		route := j.cfg.routeNamed(w.Route)
		closed := w.Over() && (w.fresh || !w.was.Over())
		if opened := !w.Over() && (w.fresh || w.was.Over()); opened {
			if !w.fresh {
				out.Recalls = append(out.Recalls, w.ID)
			}
			if j.cfg.FiringNotice { // One that was over when it became known has none yet. A second one has the same key.
				for _, r := range route.Receivers {
					out.Deliveries = append(out.Deliveries, reporter.NewDelivery(reporter.DeliveryFiring, w.ID, r, j.now))
				}
			}
		}
		if closed {
			did.Closed = append(did.Closed, w.Incident)
		}
		if w.Over() && w.Duration() >= route.MinDuration && (closed || w.joined || !w.Notified) {
			w.Notified = true
			did.Due++
			out.Postmortems = append(out.Postmortems, reporter.PostmortemDue{
				Incident: w.ID, Receivers: route.Receivers,
				First: j.now.Add(j.cfg.DigestWindow), Update: j.now.Add(j.cfg.ReopenWithin),
			})
		}
		out.Incidents = append(out.Incidents, w.Incident)
	}
	return out, did
}

// derive sets what follows from the alerts and from the time.
func (j *state) derive(w *work) {
	end, why := w.reach()
	state := reporter.IncidentResolved
	switch {
	case w.lasts() && j.cfg.ChronicAfter > 0 && !j.now.Before(w.StartedAt.Add(j.cfg.ChronicAfter)):
		state = reporter.IncidentChronic
	case w.lasts():
		state = reporter.IncidentOpen
	}
	if state != w.State {
		w.touched = true
	}
	if !w.touched {
		return
	}
	w.State, w.LastEnd, w.LastWhy = state, end, why
	w.EndedAt, w.CloseReason = end, why
	if !w.Over() {
		w.EndedAt, w.CloseReason = time.Time{}, ""
	}
	slices.SortFunc(w.Alerts, func(a, b reporter.Alert) int {
		return cmp.Or(a.StartsAt.Compare(b.StartsAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	w.Sample = w.Sample || slices.ContainsFunc(w.Alerts, func(a reporter.Alert) bool { return a.Labels[SampleLabel] == "true" })
}
