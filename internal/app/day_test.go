package app

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

var (
	dayClusters = flag.Int("day.clusters", 4, "how many clusters the simulated day has")
	dayGroups   = flag.Int("day.groups", 2, "how many groups of alerts each of them has")
	daySeed     = flag.Uint64("day.seed", 1, "of the simulated day; 0 is another one each time")
)

// Alertmanager's defaults, and the longest time that a post of a member takes: less than the time within which a firing alert may be a late
// copy.
const (
	groupWait      = 30 * time.Second
	groupInterval  = 5 * time.Minute
	repeatInterval = 4 * time.Hour
	slowest        = 55 * time.Second
	retryEvery     = 10 * time.Second
)

// span is a time in which an alert fired, and whether the reporter has accepted that it did, and its end. A frozen one is sent with
// the start of the one before it.
type span struct {
	from, to    time.Time
	frozen      bool
	sent, ended bool
}

// dayAlert is an alert of the simulation, with the times at which it really fires.
type dayAlert struct {
	name, fingerprint string
	spans             []*span
}

// firing returns the span at a time, or nil if the alert does not fire then. start is the start that its sender sends.
func (a *dayAlert) firing(now time.Time) (at *span, start time.Time) {
	for _, s := range a.spans {
		if !s.frozen {
			start = s.from
		}
		if !now.Before(s.from) && now.Before(s.to) {
			return s, start
		}
	}
	return nil, time.Time{}
}

// dayCluster is a pair of Alertmanagers, and the Prometheus that sends to them.
type dayCluster struct {
	name      string
	api       bool          // is asked what fires
	away      bool          // and does not answer this time
	ahead     time.Duration // its clock
	maxAlerts int           // in one webhook; 0 is any number
	split     bool          // the members do not see each other: each sends everything
	groups    []*dayGroup
	day       *day
}

// dayGroup is a group of alerts in both members.
type dayGroup struct {
	cluster  *dayCluster
	key      string
	alerts   []*dayAlert
	members  [2]*groupMember
	loss     bool // the webhook before was lost, so that this one is not
	receiver string
}

// notified is what a member has sent last.
type notified struct {
	firing, resolved map[string]bool
	at               time.Time
}

type groupMember struct {
	next  time.Time               // flush; zero without alerts
	state map[string]*memberAlert // by fingerprint
	log   *notified
}

// memberAlert is an alert as a member sends it.
type memberAlert struct {
	fields
	firing bool
	of     *span
}

// day is the simulation: a queue of events, and a reporter that stores what it receives.
type day struct {
	t        *testing.T
	rng      *rand.Rand
	begin    time.Time
	now      time.Time
	queue    events
	clusters []*dayCluster
	dir      string

	store     *store.Store // nil while the reporter does not run
	mux       *http.ServeMux
	reconcile *incident.Reconciler
	sent      map[string]int // postmortems, by incident
	posts     int
	restarts  int
	losses    int // webhooks
	unsent    int // episodes that Alertmanager never sent
}

// longDown is the time after the begin at which the reporter is down for longer than Alertmanager's group_interval.
const (
	longDown = 3 * time.Hour
	downFor  = 8 * time.Minute
)

type happening struct {
	at time.Time
	do func()
}

type events []happening

func (e events) Len() int           { return len(e) }
func (e events) Less(a, b int) bool { return e[a].at.Before(e[b].at) }
func (e events) Swap(a, b int)      { e[a], e[b] = e[b], e[a] }
func (e *events) Push(x any)        { *e = append(*e, x.(happening)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (d *day) at(at time.Time, do func()) { heap.Push(&d.queue, happening{at, do}) }

func (d *day) between(least, most time.Duration) time.Duration {
	return least + time.Duration(d.rng.Int64N(int64(most-least)))
}

func (d *day) chance(percent int) bool { return d.rng.IntN(100) < percent }

// start opens the reporter on its state.
func (d *day) start() {
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	st, err := store.OpenSQLite(d.t.Context(), d.dir, log)
	if err != nil {
		d.t.Fatal(err)
	}
	st.SetClock(func() time.Time { return d.now })
	rc := incident.ReconcileConfig{After: 5 * time.Minute, ExpireAfter: 7 * 24 * time.Hour, Clusters: map[string]incident.API{}}
	cfg := incident.Config{
		By: incident.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 15 * time.Minute, ChronicAfter: 24 * time.Hour,
		Receivers: []string{"oncall"}, DigestWindow: time.Minute, Deciders: map[string]bool{},
	}
	paths := map[string]auth.Guard{}
	for _, c := range d.clusters {
		paths[c.name] = auth.Guard{}
		if c.api {
			rc.Clusters[c.name], cfg.Deciders[c.name] = c, true
		}
	}
	j := incident.New(cfg, st, log, reg)
	d.store, d.mux = st, http.NewServeMux()
	d.mux.Handle(clusterPath, webhook.New(webhook.Config{Clusters: paths}, j, log, reg))
	d.reconcile = incident.NewReconciler(rc, j, st, log, reg, func() time.Time { return d.now })
}

func (d *day) stop(downtime time.Duration) {
	if !d.running() {
		return
	}
	if err := d.store.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.store = nil
	d.restarts++
	d.at(d.now.Add(downtime), d.start)
}

func (d *day) running() bool { return d.store != nil }

// Known is the API of the cluster's Alertmanagers, which fails at times.
func (c *dayCluster) Known(context.Context) (*reporter.Fingerprints, time.Time, error) {
	if c.away {
		return nil, time.Time{}, errors.New("connection refused")
	}
	out := &reporter.Fingerprints{}
	for _, g := range c.groups {
		for _, a := range g.alerts {
			if s, _ := a.firing(c.day.now); s != nil {
				out.Add(a.fingerprint)
			}
		}
	}
	return out, c.day.begin.Add(-24 * time.Hour), nil
}

// Listed is the API of the group's alerts.
func (c *dayCluster) Listed(_ context.Context, _ string, group map[string]string) (n int, err error) {
	if c.away {
		return 0, errors.New("connection refused")
	}
	for _, g := range c.groups {
		for _, a := range g.alerts {
			if s, _ := a.firing(c.day.now); s != nil && group["group"] == g.alerts[0].name {
				n++
			}
		}
	}
	return n, nil
}

// change makes an alert begin or cease to fire in both members.
func (g *dayGroup) change(a *dayAlert, of *span, begins bool, start time.Time) {
	d, now := g.cluster.day, g.cluster.day.now
	clock := func(t time.Time) string { return t.Add(g.cluster.ahead).Format(time.RFC3339Nano) }
	for _, m := range g.members {
		e := fields{
			"status": "firing", "labels": fields{"alertname": a.name, "group": g.alerts[0].name, "cluster": g.cluster.name, "severity": "warning"},
			"annotations": fields{"summary": a.name}, "startsAt": clock(start), "endsAt": "0001-01-01T00:00:00Z",
			"generatorURL": "http://prometheus.example.org/graph", "fingerprint": a.fingerprint,
		}
		if !begins {
			e["status"], e["endsAt"] = "resolved", clock(now)
		}
		m.state[a.fingerprint] = &memberAlert{e, begins, of}
		if m.next.IsZero() {
			m.next = now.Add(groupWait + d.between(0, time.Second))
			d.at(m.next, func() { g.flush(m) })
		}
	}
}

// needsUpdate is the rule of Alertmanager's notify.DedupStage.
func (m *groupMember) needsUpdate(firing, resolved map[string]bool, now time.Time) bool {
	within := func(of, in map[string]bool) bool {
		for fp := range of {
			if !in[fp] {
				return false
			}
		}
		return true
	}
	switch {
	case m.log == nil:
		return len(firing) > 0
	case !within(firing, m.log.firing):
		return true
	case len(firing) == 0:
		return len(m.log.firing) > 0
	case !within(resolved, m.log.resolved):
		return true
	}
	return now.Sub(m.log.at) >= repeatInterval
}

// flush sends the group if needsUpdate says so.
func (g *dayGroup) flush(m *groupMember) {
	d, at := g.cluster.day, g.cluster.day.now
	if !m.next.Equal(at) {
		return // The group is gone, or its route was edited.
	}
	firing, resolved := map[string]bool{}, map[string]bool{}
	var alerts []fields
	var snapshot []memberAlert
	for _, a := range g.alerts {
		if e, ok := m.state[a.fingerprint]; ok {
			alerts, snapshot = append(alerts, e.fields), append(snapshot, *e)
			if e.firing {
				firing[a.fingerprint] = true
			} else {
				resolved[a.fingerprint] = true
			}
		}
	}
	m.next = at.Add(groupInterval)
	d.at(m.next, func() { g.flush(m) })
	done := func() {
		for fp := range resolved {
			if e, ok := m.state[fp]; ok && !e.firing {
				delete(m.state, fp)
			}
		}
		if len(m.state) == 0 {
			m.next = time.Time{}
		}
	}
	if !m.needsUpdate(firing, resolved, at) {
		done()
		return
	}
	body := hook(alerts...).with(fields{"groupKey": g.key, "receiver": g.receiver, "groupLabels": fields{"group": g.alerts[0].name}})
	if most := g.cluster.maxAlerts; most > 0 && len(alerts) > most {
		snapshot = snapshot[:most]
		// As in Alertmanager, the status is that of the listed alerts.
		body = body.with(fields{"alerts": alerts[:most], "truncatedAlerts": len(alerts) - most, "status": hook(alerts[:most]...)["status"]})
	}
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	note := &notified{firing: firing, resolved: resolved, at: at}
	success := func() {
		done()
		for _, other := range g.members {
			if other == m || !g.cluster.split && (other.log == nil || other.log.at.Before(at)) {
				other.log = note
			}
		}
	}
	if g.cluster.api && g.cluster.maxAlerts == 0 && !g.loss && d.chance(4) { // It is lost behind a proxy that said 200.
		g.loss = true
		d.losses++
		success()
		return
	}
	g.loss = false
	until := m.next
	d.at(at.Add(d.between(time.Millisecond, slowest)), func() { g.deliver(text, snapshot, until, success) })
}

// deliver posts until it is accepted, or until the next flush.
func (g *dayGroup) deliver(body []byte, alerts []memberAlert, until time.Time, success func()) {
	d := g.cluster.day
	if !d.running() {
		if next := d.now.Add(retryEvery); next.Before(until) {
			d.at(next, func() { g.deliver(body, alerts, until, success) })
		}
		return
	}
	r := httptest.NewRequest(http.MethodPost, strings.Replace(clusterPath, "{cluster}", g.cluster.name, 1), strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	d.mux.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		d.t.Fatalf("webhook: %d %s", w.Code, w.Body)
	}
	d.posts++
	for _, a := range alerts {
		a.of.sent, a.of.ended = true, a.of.ended || !a.firing
	}
	if g.cluster.api && d.chance(3) {
		return // Its answer is lost, so that it comes again.
	}
	success()
}

// editRoute lets the group begin again under another key, with what fires. What was to be sent as resolved is forgotten.
func (g *dayGroup) editRoute() {
	now := g.cluster.day.now
	for _, m := range g.members {
		for fp, e := range m.state {
			if e.firing && (m.log == nil || !m.log.firing[fp]) { // What was never sent would be lost altogether.
				g.cluster.day.at(now.Add(time.Minute), g.editRoute)
				return
			}
		}
	}
	g.key, g.receiver = g.key+"'", "edited"
	for _, m := range g.members {
		m.next, m.log, m.state = time.Time{}, nil, map[string]*memberAlert{}
	}
	for _, a := range g.alerts {
		if s, start := a.firing(now); s != nil {
			g.change(a, s, true, start)
		}
	}
}

// schedule chooses when the group's alerts fire: in outages with short or long pauses. The first alert fires during the whole outage. With
// quiet nothing fires during the long downtime.
func (g *dayGroup) schedule(quiet bool) {
	d := g.cluster.day
	first := g.alerts[0]
	from := d.begin.Add(d.between(time.Minute, 3*time.Hour))
	for close := false; from.Before(d.begin.Add(22 * time.Hour)); {
		to := from.Add(d.between(2*time.Minute, 90*time.Minute))
		if quiet && from.Before(d.begin.Add(longDown+30*time.Minute)) && to.After(d.begin.Add(longDown-30*time.Minute)) {
			from, close = d.begin.Add(longDown+time.Hour), false
			continue
		}
		first.spans = append(first.spans, &span{from: from, to: to, frozen: close && d.chance(30)})
		for _, a := range g.alerts[1:] {
			if length := to.Sub(from); d.chance(60) {
				begin := from.Add(d.between(0, length/2))
				a.spans = append(a.spans, &span{from: begin, to: begin.Add(d.between(length/4, length/2))})
			}
		}
		if close = d.chance(40); close {
			from = to.Add(d.between(3*time.Minute, 11*time.Minute))
		} else {
			from = to.Add(d.between(30*time.Minute, 3*time.Hour))
		}
	}
}

// plan queues what Prometheus sends.
func (g *dayGroup) plan() {
	d := g.cluster.day
	for _, a := range g.alerts {
		var start time.Time
		for _, s := range a.spans {
			if !s.frozen {
				start = s.from
			}
			since := start
			begins := s.from
			if begins.Before(d.begin) {
				begins = d.begin
			}
			d.at(begins, func() { g.change(a, s, true, since) })
			d.at(s.to, func() { g.change(a, s, false, since) })
		}
	}
}

// outage is an incident as it really was.
type outage struct {
	from, to time.Time
	firing   time.Duration
	presumed bool // Its end was never sent.
	unknown  bool // The end of some alert of it was never sent.
}

// truth returns the outages of the group, of alerts that Alertmanager has sent: an outage continues after a pause of at most 15 minutes.
func (g *dayGroup) truth() (out []outage) {
	spans := slices.Clone(g.alerts[0].spans)
	for n := 0; n < len(spans); n++ {
		s := *spans[n]
		for n+1 < len(spans) && spans[n+1].frozen { // It is the same episode for all who hear of it.
			n++
			next := spans[n]
			if next.sent {
				s.to, s.ended, s.sent = next.to, next.ended, true
				continue
			}
			g.cluster.day.unsent++
			if s.sent && !s.ended && g.cluster.api { // The API lists the alert, as if it had not ended.
				s.to = next.to
			}
		}
		s.from, s.to = s.from.Add(g.cluster.ahead), s.to.Add(g.cluster.ahead)
		if !s.sent {
			g.cluster.day.unsent++
			if last := len(out) - 1; last >= 0 && out[last].presumed && g.cluster.api { // The API lists the alert, as if it had not ended.
				out[last].to, out[last].unknown = s.to, true
			}
			continue
		}
		if len(out) == 0 || s.from.Sub(out[len(out)-1].to) > 15*time.Minute {
			out = append(out, outage{from: s.from})
		}
		o := &out[len(out)-1]
		o.firing, o.to, o.presumed, o.unknown = o.firing+s.to.Sub(s.from), s.to, !s.ended, o.unknown || !s.ended
	}
	for _, a := range g.alerts[1:] { // They fire within the first one, unless their end is presumed.
		for _, s := range a.spans {
			for n := range out {
				o, from, to := &out[n], s.from.Add(g.cluster.ahead), s.to.Add(g.cluster.ahead)
				if s.sent && !s.ended && !from.Before(o.from) && !to.After(o.to) {
					o.unknown, o.presumed = true, o.presumed || o.to.Sub(to) < 10*time.Minute
				}
			}
		}
	}
	return out
}

// minute runs what depends on time alone: reconciliation, and sends of due messages.
func (d *day) minute() {
	if next := d.now.Add(time.Minute); next.Before(d.begin.Add(26 * time.Hour)) {
		d.at(next, d.minute)
	}
	if !d.running() {
		return
	}
	for _, c := range d.clusters {
		c.away = d.chance(3)
	}
	_ = d.reconcile.Reconcile(d.t.Context()) // an API that is away is an error
	due, err := d.store.Due(d.t.Context(), []string{"oncall"}, d.now, 1000)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, next := range due {
		v, err := d.store.Delivery(d.t.Context(), next.ID)
		if err != nil {
			d.t.Fatal(err)
		}
		in, err := d.store.Incident(d.t.Context(), v.Subject)
		if err != nil {
			d.t.Fatal(err)
		}
		if !in.Over() {
			d.t.Errorf("a postmortem of %s is due while it lasts", in.ID)
		}
		d.sent[in.ID]++
		v.State, v.Message, v.FinishedAt = reporter.DeliverySent, &reporter.Message{}, d.now
		v.Parts = []reporter.Part{{SentAt: d.now, MessageID: fmt.Sprint(d.posts)}}
		if err := d.store.Save(d.t.Context(), v); err != nil {
			d.t.Fatal(err)
		}
	}
}

// A day of many outages in clusters whose webhooks arrive late, twice, in another order, or not at all, while the reporter is restarted many
// times: the stored incidents of each group are the real outages.
func TestSimulatedDay(t *testing.T) {
	t.Parallel()
	seed := *daySeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	d := &day{
		t: t, rng: rand.New(rand.NewPCG(seed, 3)), begin: time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC), dir: t.TempDir(), sent: map[string]int{},
	}
	d.now = d.begin
	for c := range *dayClusters {
		cluster := &dayCluster{name: fmt.Sprintf("site-%d", c), api: c%4 != 3, split: c%4 >= 2, day: d}
		switch c % 4 {
		case 1:
			cluster.maxAlerts = 3
		case 2:
			cluster.ahead = d.between(time.Minute, 4*time.Minute+30*time.Second)
		}
		for g := range *dayGroups {
			group := &dayGroup{cluster: cluster, key: fmt.Sprintf(`{}:{group="G%d"}`, g), receiver: "awoooi"}
			for m := range group.members {
				group.members[m] = &groupMember{state: map[string]*memberAlert{}}
			}
			for a := range 5 {
				group.alerts = append(group.alerts, &dayAlert{name: fmt.Sprintf("G%dA%d", g, a), fingerprint: fmt.Sprintf("%016x", c<<16|g<<8|a)})
			}
			group.schedule(!cluster.api)
			// A webhook that leaves alerts out holds an incident open until the group is listed whole, which takes as long as the next change.
			if g == 1 && cluster.maxAlerts == 0 { // It has an alert that fires all the time, too.
				group.alerts = append(group.alerts, &dayAlert{name: "Always", fingerprint: fmt.Sprintf("%016x", c<<16|255), spans: []*span{
					{from: d.begin.Add(-30 * time.Hour), to: d.begin.Add(48 * time.Hour)},
				}})
			}
			group.plan()
			if g%3 <= 1 && cluster.api {
				d.at(d.begin.Add(d.between(6*time.Hour, 18*time.Hour)), group.editRoute)
			}
			cluster.groups = append(cluster.groups, group)
		}
		d.clusters = append(d.clusters, cluster)
	}
	d.start()
	d.at(d.begin.Add(time.Minute), d.minute)
	d.at(d.begin.Add(longDown), func() { d.stop(downFor) })
	for at := d.begin.Add(5 * time.Hour); at.Before(d.begin.Add(23 * time.Hour)); at = at.Add(d.between(40*time.Minute, 4*time.Hour)) {
		d.at(at, func() { d.stop(d.between(time.Second, 40*time.Second)) })
	}
	for len(d.queue) > 0 {
		next := heap.Pop(&d.queue).(happening)
		if next.at.After(d.begin.Add(26 * time.Hour)) {
			break
		}
		d.now = next.at
		next.do()
	}
	t.Cleanup(func() { d.store.Close() })
	d.check(seed)
}

// check compares the stored incidents with the real outages.
func (d *day) check(seed uint64) {
	d.t.Helper()
	all, err := d.store.Incidents(d.t.Context(), 1_000_000)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Reverse(all)
	kept, chronic := map[string][]reporter.Incident{}, 0
	for _, in := range all {
		if in.State == reporter.IncidentChronic {
			chronic++
			if len(in.Alerts) != 1 || in.Alerts[0].Labels["alertname"] != "Always" || d.sent[in.ID] > 0 {
				d.t.Errorf("chronic is %s with %d alerts", in.ID, len(in.Alerts))
			}
			continue
		}
		key := in.Cluster + " " + in.Alerts[0].Labels["group"]
		kept[key] = append(kept[key], in)
	}
	want := 0
	for _, c := range d.clusters {
		if len(c.groups) > 1 && c.maxAlerts == 0 {
			want++
		}
	}
	if chronic != want {
		d.t.Errorf("%d chronic incidents, want %d", chronic, want)
	}
	outages, presumed, continued := 0, 0, 0
	for _, c := range d.clusters {
		for _, g := range c.groups {
			key := c.name + " " + g.alerts[0].name
			want, got := g.truth(), kept[key]
			delete(kept, key)
			var lines []string
			wrong := len(want) != len(got)
			for n := range max(len(want), len(got)) {
				line := ""
				if n < len(want) {
					o := want[n]
					outages++
					if o.presumed {
						presumed++
					}
					line = fmt.Sprintf("%s to %s, firing %v, presumed %v", o.from.Format(time.TimeOnly), o.to.Format(time.TimeOnly), o.firing, o.presumed)
				}
				if n < len(got) {
					in := got[n]
					firing, known := in.TimeFiring()
					line += fmt.Sprintf(" | %s %s to %s, firing %v, %d messages", in.ID, in.StartedAt.Format(time.TimeOnly), in.EndedAt.Format(time.TimeOnly), firing, d.sent[in.ID])
					if n < len(want) {
						if d.sent[in.ID] > 1 {
							continued++
						}
						if fault := d.compare(want[n], in, firing, known); fault != "" {
							line, wrong = line+" <- "+fault, true
						}
					}
				}
				lines = append(lines, line)
			}
			if wrong {
				d.t.Errorf("seed %d: %s (split %v, API %v, ahead %v): what fired | what is kept\n%s", seed, key, c.split, c.api, c.ahead, strings.Join(lines, "\n"))
			}
		}
	}
	for key := range kept {
		d.t.Errorf("seed %d: incidents of %s were invented", seed, key)
	}
	d.t.Logf("%d webhooks, %d of them lost, %d restarts; %d outages, of which %d ended without a resolve and %d continued after their postmortem; %d episodes never sent",
		d.posts+d.losses, d.losses, d.restarts, outages, presumed, continued, d.unsent)
	if outages == 0 || d.losses == 0 || d.restarts == 0 || presumed == 0 || continued == 0 {
		d.t.Error("the day was too quiet to test anything")
	}
}

// compare returns how an incident differs from an outage. Times are stored in microseconds.
func (d *day) compare(o outage, in reporter.Incident, firing time.Duration, known bool) string {
	same := func(a, b time.Time) bool { return a.Sub(b).Abs() < 2*time.Microsecond }
	messages, tolerance := d.sent[in.ID], 10*time.Minute
	if down := o.to.Sub(d.begin.Add(longDown)); -tolerance < down && down < downFor { // What the API says is not seen then.
		tolerance += downFor
	}
	switch {
	case !in.Over():
		return "it is open"
	case !same(o.from, in.StartedAt):
		return "another start"
	case !o.presumed && !same(o.to, in.EndedAt), o.presumed && in.EndedAt.Sub(o.to).Abs() > tolerance:
		return "another end"
	case !known, !o.unknown && (firing-o.firing).Abs() > time.Millisecond:
		return "another time firing"
	case !o.presumed && (messages > 0) != (in.Duration() >= 10*time.Minute):
		return "a message too many, or too few"
	}
	return ""
}
