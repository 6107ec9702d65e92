package incident_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
)

var dawn = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

// hearts is a state of heartbeats, changed by incident.Apply alone.
type hearts struct {
	cfg     incident.Config
	now     time.Time
	known   map[string]reporter.Heartbeat
	outages map[string]reporter.HeartbeatOutage
	watch   reporter.HeartbeatWatch
	sent    []string
	keys    map[string]bool
	opened  int // incidents
}

func newHearts(t *testing.T, missingAfter time.Duration) *hearts {
	t.Helper()
	m, err := incident.ParseMatchers(`alertname=~"Watchdog.*"`)
	if err != nil {
		t.Fatal(err)
	}
	return &hearts{
		cfg: incident.Config{
			By: incident.ByGroup, ReopenWithin: 15 * time.Minute, Receivers: []string{"all"}, FiringNotice: true,
			Routes: []incident.Route{{Name: "beat", Matchers: m, Receivers: []string{"oncall"}, MissingAfter: missingAfter}},
		},
		now: dawn, known: map[string]reporter.Heartbeat{}, outages: map[string]reporter.HeartbeatOutage{}, keys: map[string]bool{},
	}
}

func (h *hearts) apply(b incident.Batch) incident.Outcome {
	h.now = h.now.Add(time.Microsecond) // updates have times of their own
	view := reporter.JournalView{Now: h.now, HeartbeatWatch: h.watch, HeartbeatTotal: len(h.known)}
	for _, key := range slices.Sorted(maps.Keys(h.known)) {
		view.Heartbeats = append(view.Heartbeats, h.known[key])
	}
	for _, o := range h.outages {
		view.HeartbeatOutages = append(view.HeartbeatOutages, o)
	}
	c, did := incident.Apply(h.cfg, view, b)
	for _, hb := range c.HeartbeatsForgotten {
		delete(h.known, hb.Cluster+"/"+hb.Fingerprint)
	}
	for _, hb := range c.Heartbeats {
		h.known[hb.Cluster+"/"+hb.Fingerprint] = hb
	}
	for _, o := range c.HeartbeatOutages {
		h.outages[o.ID] = o
	}
	if c.HeartbeatWatch != nil {
		h.watch = *c.HeartbeatWatch
	}
	for _, d := range c.Deliveries {
		if h.keys[d.Key] {
			h.sent = append(h.sent, "a second "+d.Key)
		}
		h.keys[d.Key] = true
		word, _ := strings.CutPrefix(string(d.Kind), "heartbeat_")
		o := h.outages[d.Subject]
		h.sent = append(h.sent, strings.TrimSpace(fmt.Sprintf("%v %s %s %s", h.now.Sub(dawn).Round(time.Second), o.Fingerprint, word, o.Cause)))
	}
	h.opened += len(c.Incidents)
	return did
}

// beat is an alert of a webhook of the group g; zero minutes of end is firing.
func beat(fingerprint string, start, end float64) reporter.AlertEvent {
	e := reporter.AlertEvent{
		Receiver: "r", GroupKey: "g", Fingerprint: fingerprint, StartsAt: dawn.Add(time.Duration(start * float64(time.Minute))), Firing: end == 0,
		Labels: map[string]string{"alertname": "Watchdog", "severity": "none"}, Annotations: map[string]string{},
	}
	if end != 0 {
		e.EndsAt = dawn.Add(time.Duration(end * float64(time.Minute)))
	}
	return e
}

func inCluster(name string, e reporter.AlertEvent) reporter.AlertEvent { e.Cluster = name; return e }

func named(name string, e reporter.AlertEvent) reporter.AlertEvent {
	e.Labels = map[string]string{"alertname": name}
	return e
}

func truncated(n uint64, resolved bool, es ...reporter.AlertEvent) []reporter.AlertEvent {
	for i := range es {
		es[i].Truncated, es[i].GroupResolved = n, resolved
	}
	return es
}

// hookAt is a webhook at a minute.
type hookAt struct {
	at     float64
	events []reporter.AlertEvent
}

func hook(minute float64, es ...reporter.AlertEvent) hookAt { return hookAt{minute, es} }

// each is the same webhook at each minute from one to another, both included.
func each(from, to float64, es ...reporter.AlertEvent) (out []hookAt) {
	for m := from; m <= to; m++ {
		out = append(out, hook(m, es...))
	}
	return out
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	a := beat("a", 0, 0)
	for name, tc := range map[string]struct {
		steps []hookAt
		down  [][2]float64 // minutes in which no process is up
		until float64
		want  string
	}{
		"received":                     {each(0, 30, a), nil, 30, ""},
		"never received":               {[]hookAt{hook(0, beat("other", 0, 0))}, nil, 2, ""},
		"silent":                       {each(0, 10, a), nil, 60, "15m0s a missing silent"},
		"silent, and back":             {append(each(0, 10, a), each(20, 30, a)...), nil, 40, "15m0s a missing silent, 20m0s a returned silent, 35m0s a missing silent"},
		"late by less":                 {[]hookAt{hook(0, a), hook(4.9, a), hook(9.8, a)}, nil, 10, ""},
		"resolved":                     {append(each(0, 10, a), hook(11, beat("a", 0, 10.5))), nil, 60, "11m0s a missing resolved"},
		"resolved, and a new episode":  {append(each(0, 10, a), hook(11, beat("a", 0, 10.5)), hook(11.5, beat("a", 11.4, 0))), nil, 12, "11m0s a missing resolved, 11m30s a returned resolved"},
		"resolved while it is silent":  {append(each(0, 10, a), hook(17, beat("a", 0, 10.5))), nil, 60, "15m0s a missing silent"},
		"a resolve that is not known":  {[]hookAt{hook(0, beat("a", 0, 1))}, nil, 30, ""},
		"an HA peer's copies":          {append(each(0, 10, a), hook(11, beat("a", 0, 10.5)), hook(11.2, a), hook(11.4, beat("a", 0, 10.5)), hook(12.9, a)), nil, 60, "11m0s a missing resolved"},
		"frozen sender goes on":        {append(append(each(0, 10, a), hook(11, beat("a", 0, 10.5))), each(12, 20, a)...), nil, 20, "11m0s a missing resolved, 13m0s a returned resolved"},
		"a copy of the resolve later":  {append(append(each(0, 10, a), hook(11, beat("a", 0, 10.5))), slices.Concat(each(14, 16, a), []hookAt{hook(16.5, beat("a", 0, 10.5))}, each(17, 20, a))...), nil, 20, "11m0s a missing resolved, 14m0s a returned resolved"},
		"a resolve of an old episode":  {append(each(0, 10, beat("a", -5, 0)), hook(10.5, a), hook(10.6, beat("a", -5, 0.1)), hook(12, a)), nil, 13, ""},
		"two resolves":                 {append(each(0, 10, a), hook(11, beat("a", 0, 10.5)), hook(12, beat("a", 0, 10.6)), hook(20, beat("a", 19, 0)), hook(21, beat("a", 19, 20.5))), nil, 25, "11m0s a missing resolved, 20m0s a returned resolved, 21m0s a missing resolved"},
		"resolve and firing in one":    {append(each(0, 10, beat("a", -5, 0)), hook(11, beat("a", -5, 10), a)), nil, 12, ""},
		"our restart":                  {append(each(0, 10, a), each(20, 30, a)...), [][2]float64{{10.2, 19.8}}, 30, ""},
		"our restart, and then silent": {each(0, 10, a), [][2]float64{{12, 40}}, 60, "43m0s a missing silent"},
		"many restarts":                {each(0, 10, a), [][2]float64{{11, 12}, {13, 14}, {15, 16}}, 60, "18m0s a missing silent"},
		"two heartbeats":               {append(each(0, 10, a, beat("b", 0, 0)), each(11, 30, a)...), nil, 30, "15m0s b missing silent"},
		"two clusters":                 {append(each(0, 10, inCluster("x", a), inCluster("y", a)), each(11, 30, inCluster("y", a))...), nil, 30, "15m0s a missing silent"},
		"another label":                {append(each(0, 10, a), each(11, 30, beat("b", 11, 0))...), nil, 30, "15m0s a missing silent"},
		"a cluster gets a name":        {append(each(0, 10, a), each(11, 30, inCluster("x", a))...), nil, 30, ""},
		"left out by max_alerts":       {append(each(0, 10, a, beat("b", 0, 0)), each(11, 30, truncated(1, false, a)...)...), nil, 30, ""},
		"left out, then gone":          {append(each(0, 10, a, beat("b", 0, 0)), each(11, 20, truncated(1, false, a)...)...), nil, 30, "25m0s a missing silent, 25m0s b missing silent"},
		"left out of a resolved group": {append(each(0, 10, a, beat("b", 0, 0)), hook(11, truncated(1, true, beat("a", 0, 10.5))...)), nil, 30, "11m0s a missing resolved, 11m0s b missing resolved"},
		"not listed by a whole group":  {append(each(0, 10, a, beat("b", 0, 0)), each(11, 20, a)...), nil, 20, "15m0s b missing silent"},
		"forgotten":                    {[]hookAt{hook(0, a), hook(7*24*60+6, beat("a", 7*24*60, 0))}, nil, 7*24*60 + 7, "5m0s a missing silent"},
		"almost forgotten":             {[]hookAt{hook(0, a), hook(7*24*60+4, beat("a", 7*24*60, 0))}, nil, 7*24*60 + 5, "5m0s a missing silent, 168h4m0s a returned silent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHearts(t, 5*time.Minute)
			slices.SortStableFunc(tc.steps, func(a, b hookAt) int { return int(1000 * (a.at - b.at)) })
			const look = 5 * time.Second
			up := false
			for clock := time.Duration(0); clock <= time.Duration(tc.until*float64(time.Minute)); clock += look {
				isUp := !slices.ContainsFunc(tc.down, func(d [2]float64) bool { return clock.Minutes() > d[0] && clock.Minutes() < d[1] })
				for len(tc.steps) > 0 && tc.steps[0].at <= clock.Minutes() {
					h.now = dawn.Add(time.Duration(tc.steps[0].at * float64(time.Minute)))
					if isUp {
						h.apply(incident.Batch{Alerts: tc.steps[0].events})
					}
					tc.steps = tc.steps[1:]
				}
				if h.now = dawn.Add(clock); isUp {
					h.apply(incident.Batch{Pass: &incident.Pass{Counts: up}})
				}
				up = isUp
			}
			if got := strings.Join(h.sent, ", "); got != tc.want {
				t.Errorf("messages are\n\t%s\nwant\n\t%s", got, tc.want)
			}
			if h.opened != 0 {
				t.Errorf("%d changes of incidents", h.opened)
			}
		})
	}
}

// Other alerts of the group are incidents, as without a heartbeat.
func TestHeartbeatsBesideIncidents(t *testing.T) {
	t.Parallel()
	h := newHearts(t, 5*time.Minute)
	h.apply(incident.Batch{Alerts: []reporter.AlertEvent{beat("a", 0, 0), named("Down", beat("b", 0, 0))}})
	if got := strings.Join(h.sent, ", "); h.opened != 1 || len(h.known) != 1 || got != "0s  firing" {
		t.Errorf("%d incidents, %d heartbeats, %s", h.opened, len(h.known), got)
	}
}

// Heartbeats of a route that is no longer configured end silently, whether they are missing or not.
func TestHeartbeatsOfARemovedRoute(t *testing.T) {
	t.Parallel()
	h := newHearts(t, 5*time.Minute)
	h.apply(incident.Batch{Pass: &incident.Pass{}, Alerts: []reporter.AlertEvent{beat("a", 0, 0), beat("b", 0, 0)}})
	h.apply(incident.Batch{Alerts: []reporter.AlertEvent{beat("b", 0, 1)}})
	h.sent, h.cfg.Routes[0].MissingAfter = nil, 0
	h.now = dawn.Add(time.Hour)
	h.apply(incident.Batch{Pass: &incident.Pass{Counts: true}})
	if len(h.known) != 0 || len(h.sent) != 0 {
		t.Errorf("%d heartbeats, messages %v", len(h.known), h.sent)
	}
}

// One that another route makes a heartbeat of goes on, with that route's settings.
func TestHeartbeatsOfAnotherRoute(t *testing.T) {
	t.Parallel()
	h := newHearts(t, 5*time.Minute)
	h.apply(incident.Batch{Pass: &incident.Pass{}, Alerts: []reporter.AlertEvent{beat("a", 0, 0)}})
	h.cfg.Routes[0].Name, h.cfg.Routes[0].MissingAfter, h.cfg.Routes[0].Severity = "new", 10*time.Second, "page"
	h.now = dawn.Add(11 * time.Second)
	h.apply(incident.Batch{Pass: &incident.Pass{Counts: true}})
	for _, o := range h.outages {
		if o.Route != "new" || o.Severity != "page" || o.MissingAfter != 10*time.Second || !o.SeenAt.Equal(dawn.Add(time.Microsecond)) {
			t.Errorf("outage %+v", o)
		}
	}
	if len(h.outages) != 1 {
		t.Errorf("%d outages", len(h.outages))
	}
}

func TestHeartbeatsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHearts(t, time.Hour)
	var es []reporter.AlertEvent
	for n := range 1003 {
		es = append(es, beat(fmt.Sprintf("f%04d", n), 0, 0))
	}
	if did := h.apply(incident.Batch{Alerts: es}); len(h.known) != 1000 || did.Refused != 3 || did.Heartbeats != 1003 {
		t.Errorf("%d heartbeats, %d refused of %d", len(h.known), did.Refused, did.Heartbeats)
	}
	if did := h.apply(incident.Batch{Alerts: es[:5]}); did.Refused != 0 {
		t.Errorf("%d that are known were refused", did.Refused)
	}
}

// A clock that jumps gives no message.
func TestHeartbeatsWithAClockThatJumps(t *testing.T) {
	t.Parallel()
	h := newHearts(t, 5*time.Minute)
	for _, jump := range []time.Duration{0, time.Hour, -2 * time.Hour, 24 * time.Hour, 0} {
		h.now = h.now.Add(jump)
		for range 60 {
			h.now = h.now.Add(5 * time.Second)
			h.apply(incident.Batch{Pass: &incident.Pass{Counts: true}})
			if h.now.Second()%60 == 0 {
				h.apply(incident.Batch{Alerts: []reporter.AlertEvent{beat("a", 0, 0)}})
			}
		}
	}
	if len(h.sent) != 0 || len(h.known) != 1 {
		t.Errorf("messages %v, %d heartbeats", h.sent, len(h.known))
	}
}

// passes is a store that notes the passes of a watch.
type passes struct {
	mu   sync.Mutex
	errs []error // of the updates to come
	view reporter.JournalView
	all  []bool // the queries that asked for all heartbeats, by whether they counted time
}

func (p *passes) Update(_ context.Context, q reporter.JournalQuery, apply func(reporter.JournalView) reporter.JournalChanges) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if len(p.errs) > 0 {
		err, p.errs = p.errs[0], p.errs[1:]
	}
	if err != nil {
		return err
	}
	p.view.Now = time.Now()
	c := apply(p.view)
	if q.AllHeartbeats {
		p.all = append(p.all, c.HeartbeatWatch.Counted > p.view.HeartbeatWatch.Counted)
		p.view.HeartbeatWatch = *c.HeartbeatWatch
	}
	return nil
}

// Time counts between two looks of one process that succeeded, unless alerts could not be stored.
func TestWatchCountsTheTimeInWhichItCouldStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st := &passes{}
		h := newHearts(t, time.Hour)
		j := incident.New(h.cfg, st, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); incident.NewWatch(j, slog.New(slog.DiscardHandler)).Run(ctx) }()
		fail := func(errs ...error) {
			st.mu.Lock()
			defer st.mu.Unlock()
			st.errs = errs
		}
		wait := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		wait(11 * time.Second) // looks at 0, 5 and 10 s
		fail(errors.New("down"), errors.New("down"))
		wait(20 * time.Second) // two fail, then 25 s does not count and 30 s does
		fail(errors.New("down"))
		if err := j.Accept(ctx, []reporter.AlertEvent{beat("a", 0, 0)}); err == nil {
			t.Error("stored")
		}
		wait(10 * time.Second) // 35 s does not count
		h.cfg.Routes = nil
		j.SetConfig(h.cfg)
		wait(20 * time.Second) // one look, which forgets
		cancel()
		<-done
		if want := []bool{false, true, true, false, true, false, true, true}; !slices.Equal(st.all, want) {
			t.Errorf("looks that counted: %v, want %v", st.all, want)
		}
	})
}
