package incident_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
)

func (m *memory) OpenClusters(context.Context) (out []string, err error) {
	for _, in := range m.sorted() {
		if (!in.Over() || slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { return a.Doubtful })) && !slices.Contains(out, in.Cluster) {
			out = append(out, in.Cluster)
		}
	}
	return out, nil
}

func (m *memory) FiringAlerts(_ context.Context, cluster string) (out []reporter.JournalAlert, err error) {
	for _, in := range m.sorted() {
		for _, a := range in.Alerts {
			if end, _ := a.Ended(); in.Cluster == cluster && (end.IsZero() || a.Doubtful) {
				out = append(out, reporter.JournalAlert{
					Incident: in.ID, Cluster: cluster, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, SeenAt: a.SeenAt, Doubtful: a.Doubtful,
				})
			}
		}
	}
	return out, nil
}

func (m *memory) HeldIncidents(_ context.Context, cluster string) (out []reporter.Incident, err error) {
	for _, in := range m.sorted() {
		fires := slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { end, _ := a.Ended(); return end.IsZero() })
		if in.Cluster == cluster && in.Held && !in.Over() && !fires {
			out = append(out, in)
		}
	}
	return out, nil
}

func (m *memory) TimeDue(_ context.Context, started time.Time) (out []string, err error) {
	for _, in := range m.sorted() {
		if (in.State == reporter.IncidentOpen && !in.StartedAt.After(started)) ||
			slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { return a.Doubtful }) {
			out = append(out, in.ID)
		}
	}
	return out, nil
}

// managers have the alerts that they are given.
type managers struct {
	known []string
	left  int // alerts of any group
	since time.Time
	err   error
}

func (m *managers) Known(context.Context) (*reporter.Fingerprints, time.Time, error) {
	return reporter.NewFingerprints(m.known...), m.since, m.err
}

func (m *managers) Listed(context.Context, string, map[string]string) (int, error) {
	return m.left, m.err
}

// A webhook with max_alerts says "resolved" where all alerts that it lists are. Whether one that it left out fires is up to the API.
func TestGroupsThatAreNotListedWhole(t *testing.T) {
	t.Parallel()
	cfg := config
	cfg.Deciders = map[string]bool{reporter.ClusterDefault: true}
	part := func(e reporter.AlertEvent) []reporter.AlertEvent {
		e.Truncated, e.GroupResolved = 1, !e.Firing
		return []reporter.AlertEvent{e}
	}
	m := receive(t, cfg, part(event("a", 0, -1)), part(event("a", 0, 30)))
	api := &managers{left: 1}
	rc := incident.ReconcileConfig{After: 5 * time.Minute, Clusters: map[string]incident.API{reporter.ClusterDefault: api}}
	r := incident.NewReconciler(rc, journal(m, cfg), m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return m.clock })
	is := func(minute float64, want string) {
		t.Helper()
		m.clock = at(minute)
		if err := r.Reconcile(t.Context()); err != nil && api.err == nil {
			t.Fatal(err)
		}
		if got := summary(m); got != want {
			t.Errorf("at minute %v: %s, want %s", minute, got, want)
		}
	}
	is(31, "0-… (0)")
	api.left, api.err = 0, errors.New("down")
	is(50, "0-… (0)")
	api.err = nil
	is(51, "0-… (0)")
	is(55.9, "0-… (0)")
	is(56, "0-30 (1)")
}

// Without an API, what keeps an incident open that lists no firing alert expires as alerts do.
func TestHeldIncidentsExpire(t *testing.T) {
	t.Parallel()
	e := after(31, event("a", 0, 30))
	e.Truncated = 1
	m := receive(t, config, []reporter.AlertEvent{e})
	rc := incident.ReconcileConfig{ExpireAfter: time.Hour}
	r := incident.NewReconciler(rc, journal(m, config), m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return m.clock })
	for n, want := range []string{"0-… (0)", "0-30 (1)"} {
		m.clock = at(90 + float64(n))
		if err := r.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := summary(m); got != want {
			t.Errorf("at minute %d: %s, want %s", 90+n, got, want)
		}
	}
}

// A group whose alerts are several incidents: what a webhook says of all of the group holds for those of which it lists no alert.
func TestGroupsOfSeveralIncidents(t *testing.T) {
	t.Parallel()
	matchers, err := incident.ParseMatchers(`fp="b"`)
	if err != nil {
		t.Fatal(err)
	}
	byRoute, byAlert := config, config
	byRoute.Routes = []incident.Route{{Name: "b", Matchers: matchers, Receivers: []string{"b"}}}
	byAlert.By = incident.ByAlert
	type hook = []reporter.AlertEvent
	lists := func(e reporter.AlertEvent, leftOut uint64) hook {
		e.Truncated = leftOut
		return hook{e}
	}
	resolved := func(e reporter.AlertEvent, leftOut uint64) hook {
		e.Truncated, e.GroupResolved = leftOut, true
		return hook{e}
	}
	other := event("b", 1, 30)
	other.GroupKey = "other"
	a, b := event("a", 0, -1), event("b", 1, -1)
	whole := func(minute float64, events ...reporter.AlertEvent) hook {
		var out hook
		for _, e := range events {
			out = append(out, after(minute, e))
		}
		return out
	}
	byAlertAPI := byAlert
	byAlertAPI.Deciders = map[string]bool{reporter.ClusterDefault: true}
	both := append(lists(a, 1), lists(b, 1)...)
	for name, tc := range map[string]struct {
		cfg      incident.Config
		webhooks []hook
		want     string
	}{
		"an alert's own incident is not held":          {byAlert, []hook{lists(a, 1), lists(b, 1), lists(event("a", 0, 30), 1)}, "0-30 1-… (1)"},
		"held until the group is listed without it":    {byRoute, []hook{lists(a, 1), lists(b, 1), lists(event("a", 0, 30), 1), lists(b, 0)}, "0-30 1-… (1)"},
		"held while the group is not":                  {byRoute, []hook{lists(a, 1), lists(b, 1), lists(event("a", 0, 30), 1), lists(b, 1)}, "0-… 1-… (0)"},
		"routes of a group that is resolved":           {byRoute, []hook{lists(a, 1), lists(b, 1), resolved(event("b", 1, 30), 1)}, "0-30 1-30 (2)"},
		"alerts of a group that is resolved":           {byAlert, []hook{lists(a, 1), lists(b, 1), resolved(event("b", 1, 30), 1)}, "0-30 1-30 (2)"},
		"a group that is resolved and listed whole":    {byAlert, []hook{lists(a, 0), lists(b, 0), resolved(event("b", 1, 30), 0)}, "0-… 1-30 (1)"},
		"another group is resolved":                    {byAlert, []hook{lists(a, 1), resolved(other, 1)}, "0-… 1-30 (1)"},
		"an alert that is missing":                     {byAlert, []hook{lists(a, 1), lists(b, 1), whole(40, b)}, "0-40 1-… (1)"},
		"missing, of another group":                    {byAlert, []hook{lists(a, 1), whole(40, other)}, "0-… 1-30 (1)"},
		"missing, and listed again":                    {byAlert, []hook{lists(a, 1), lists(b, 1), whole(40, b), whole(50, a, b)}, "0-… 1-… (1)"},
		"missing, once it was listed whole":            {byAlert, []hook{lists(a, 1), whole(30, a, b), whole(40, b)}, "0-… 1-… (0)"},
		"missing, where the API decides":               {byAlertAPI, []hook{lists(a, 1), lists(b, 1), whole(40, b)}, "0-… 1-… (0)"},
		"missing, and all others are resolved":         {byAlert, []hook{lists(a, 1), lists(b, 1), resolved(event("b", 1, 30), 0)}, "0-30 1-30 (2)"},
		"resolved, where the API decides":              {byAlertAPI, []hook{lists(a, 1), lists(b, 1), resolved(event("b", 1, 30), 0)}, "0-… 1-30 (1)"},
		"missing, and listed whole before":             {byAlert, []hook{whole(2, b), lists(a, 1), whole(40, a)}, "0-… 1-40 (1)"},
		"and all others are resolved":                  {byAlert, []hook{whole(2, b), lists(a, 1), resolved(event("a", 0, 30), 0)}, "0-30 1-30 (2)"},
		"a route's, listed whole before":               {byRoute, []hook{whole(2, b), lists(a, 1), whole(40, a)}, "0-… 1-40 (1)"},
		"a route's alert that is missing":              {byRoute, []hook{lists(a, 1), lists(b, 1), whole(40, a)}, "0-… 1-40 (1)"},
		"missing among others of its incident":         {config, []hook{lists(a, 1), lists(b, 1), whole(40, b), whole(50, event("b", 1, 50))}, "0-50 (1)"},
		"missing, though listed when it was not whole": {config, []hook{both, whole(40, b), whole(50, event("b", 1, 50))}, "0-… (0)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := summary(receive(t, tc.cfg, tc.webhooks...)); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	// Each step is a minute of the day at which the reconciler looks, and what it finds then.
	type step struct {
		at       float64
		managers *managers
	}
	for name, tc := range map[string]struct {
		steps []step
		want  string
		why   reporter.CloseReason
	}{
		"known":                         {[]step{{20, &managers{known: []string{"a"}}}, {40, &managers{known: []string{"a"}}}}, "0-… (0)", ""},
		"gone":                          {[]step{{20, &managers{}}, {25, &managers{}}}, "0-20 (1)", reporter.ClosedReconciled},
		"gone, but not for long":        {[]step{{20, &managers{}}, {24.9, &managers{}}}, "0-… (0)", ""},
		"gone, and back":                {[]step{{20, &managers{}}, {23, &managers{known: []string{"a"}}}, {26, &managers{}}, {30, &managers{}}}, "0-… (0)", ""},
		"gone while nobody answers":     {[]step{{20, &managers{}}, {22, &managers{err: down}}, {25, &managers{err: down}}}, "0-… (0)", ""},
		"an outage is no absence":       {[]step{{20, &managers{}}, {22, &managers{err: down}}, {25, &managers{}}}, "0-20 (1)", reporter.ClosedReconciled},
		"a restarted Alertmanager":      {[]step{{20, &managers{since: at(19)}}, {24, &managers{since: at(19)}}}, "0-… (0)", ""},
		"one restarted again and again": {[]step{{20, &managers{since: at(19)}}, {25, &managers{since: at(23)}}, {28, &managers{since: at(27)}}}, "0-… (0)", ""},
		"one restarted, and still gone": {[]step{{20, &managers{since: at(19)}}, {25, &managers{since: at(19)}}}, "0-20 (1)", reporter.ClosedReconciled},
		"expired":                       {[]step{{10, nil}, {70, nil}}, "0-2 (0)", reporter.ClosedExpired},
		"not yet expired":               {[]step{{61.9, nil}}, "0-… (0)", ""},
		"what is known does not expire": {[]step{{70, &managers{known: []string{"a"}}}}, "0-… (0)", ""},
		"in an outage nothing expires":  {[]step{{70, &managers{err: down}}}, "0-… (0)", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := receive(t, config, []reporter.AlertEvent{after(2, event("a", 0, -1))})
			j := journal(m, config)
			var now time.Time
			cfg := incident.ReconcileConfig{Interval: time.Minute, After: 5 * time.Minute, ExpireAfter: time.Hour}
			r := incident.NewReconciler(cfg, j, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return now })
			for _, s := range tc.steps {
				now = at(s.at)
				m.clock = now
				if s.managers != nil {
					cfg.Clusters = map[string]incident.API{reporter.ClusterDefault: s.managers}
				}
				r.SetConfig(cfg)
				err := r.Reconcile(t.Context())
				if failed := s.managers != nil && s.managers.err != nil; (err != nil) != failed {
					t.Errorf("at minute %v: %v", s.at, err)
				}
			}
			if got := summary(m); got != tc.want {
				t.Errorf("incidents are %s, want %s", got, tc.want)
			}
			if got := m.sorted()[0].CloseReason; got != tc.why {
				t.Errorf("closed as %q, want %q", got, tc.why)
			}
			// What was presumed gives way to what is received.
			if err := j.Accept(t.Context(), []reporter.AlertEvent{event("a", 0, 15)}); err != nil {
				t.Fatal(err)
			}
			if in := m.sorted()[0]; in.CloseReason != reporter.ClosedResolved || !in.EndedAt.Equal(at(15)) {
				t.Errorf("after its resolve: %s at %v", in.CloseReason, in.EndedAt)
			}
		})
	}
}

// An episode that was presumed to be over keeps its end when the alert fires again.
func TestPresumedEndIsKept(t *testing.T) {
	t.Parallel()
	m := receive(t, config, []reporter.AlertEvent{after(2, event("a", 0, -1)), after(2, event("b", 0, -1))})
	j := journal(m, config)
	cfg := incident.ReconcileConfig{After: 5 * time.Minute, Clusters: map[string]incident.API{reporter.ClusterDefault: &managers{known: []string{"b"}}}}
	r := incident.NewReconciler(cfg, j, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return m.clock })
	for _, minute := range []float64{20, 25} {
		m.clock = at(minute)
		if err := r.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []reporter.AlertEvent{event("a", 600, -1), event("a", 600, 610), event("b", 0, 620)} {
		m.clock = at(600).Add(time.Duration(len(m.deliveries)) * time.Second)
		if err := j.Accept(t.Context(), []reporter.AlertEvent{e}); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range m.sorted()[0].Alerts {
		if end, _ := a.Ended(); a.Fingerprint == "a" && a.StartsAt.Equal(at(0)) && !end.Equal(at(20)) {
			t.Errorf("the first episode ended at minute %v", end.Sub(day).Minutes())
		}
	}
}

func TestOutcomeIsThatOfTheLastComparison(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	synctest.Test(t, func(t *testing.T) {
		m := receive(t, config, []reporter.AlertEvent{after(2, event("a", 0, -1))})
		cfg := incident.ReconcileConfig{Interval: time.Minute, After: time.Hour, Clusters: map[string]incident.API{reporter.ClusterDefault: &managers{err: down}}}
		r := incident.NewReconciler(cfg, journal(m, config), m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Now)
		ctx, stop := context.WithCancel(t.Context())
		go r.Run(ctx)
		is := func(what string, at time.Time, err error) {
			t.Helper()
			synctest.Wait()
			if o := r.Outcome(); !o.At.Equal(at) || !errors.Is(o.Err, err) {
				t.Errorf("%s: %v at %v, want %v at %v", what, o.Err, o.At, err, at)
			}
		}
		is("at first", time.Time{}, nil)
		<-time.After(time.Minute)
		is("while nobody answers", time.Now(), down)
		cfg.Clusters = map[string]incident.API{reporter.ClusterDefault: &managers{known: []string{"a"}}}
		r.SetConfig(cfg)
		<-time.After(time.Minute)
		is("after an answer", time.Now(), nil)
		stop()
	})
}

// deaf is a cluster that does not answer, and counts how often it is asked.
type deaf struct{ asked atomic.Int64 }

func (d *deaf) Known(ctx context.Context) (*reporter.Fingerprints, time.Time, error) {
	d.asked.Add(1)
	<-ctx.Done()
	return nil, time.Time{}, ctx.Err()
}

func (d *deaf) Listed(ctx context.Context, _ string, _ map[string]string) (int, error) {
	return 0, ctx.Err()
}

// Many clusters that do not answer delay neither the others, nor the end of a comparison, nor the next one.
func TestClustersThatDoNotAnswerDelayNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const silent = 300
		no := &deaf{}
		cfg := incident.ReconcileConfig{Interval: time.Minute, After: 3 * time.Minute, Clusters: map[string]incident.API{}}
		m := newMemory()
		m.clock = time.Now()
		j := journal(m, config)
		for n := range silent + 1 {
			e := event("a", 0, -1)
			e.Cluster, e.StartsAt = fmt.Sprintf("c%03d", n), m.clock
			if err := j.Accept(t.Context(), []reporter.AlertEvent{e}); err != nil {
				t.Fatal(err)
			}
			cfg.Clusters[e.Cluster] = no
		}
		cfg.Clusters["c300"] = &managers{}
		r := incident.NewReconciler(cfg, j, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Now)
		begin := time.Now()
		for range 4 {
			m.clock = time.Now()
			at := time.Now()
			if err := r.Reconcile(t.Context()); err == nil || !strings.Contains(err.Error(), "c000") || strings.Contains(err.Error(), "c300") {
				t.Errorf("the error is %v", err)
			}
			if took := time.Since(at); took > 5*time.Second {
				t.Errorf("a comparison took %v", took)
			}
			<-time.After(time.Minute - time.Since(at))
		}
		for _, in := range m.sorted() {
			if open := in.Cluster != "c300"; open == in.Over() {
				t.Errorf("cluster %s is %s", in.Cluster, in.State)
			} else if !open && in.EndedAt.Sub(begin) != 0 {
				t.Errorf("it ended %v after it was found missing", in.EndedAt.Sub(begin))
			}
		}
		for _, c := range r.Clusters() {
			if fails := c.Cluster != "c300"; fails != errors.Is(c.Err, context.DeadlineExceeded) {
				t.Errorf("cluster %s: %v", c.Cluster, c.Err)
			}
		}
		// One that is being asked is not asked again.
		was := no.asked.Load()
		for range 2 {
			if err := r.Reconcile(t.Context()); err == nil {
				t.Error("clusters that have not answered are no error")
			}
		}
		if again := no.asked.Load() - was; again != silent {
			t.Errorf("asked %d times, want %d", again, silent)
		}
	})
}

// An Alertmanager that was restarted decides nothing by what it does not have yet.
func TestARestartedAlertmanagerDismissesNothing(t *testing.T) {
	t.Parallel()
	cfg := config
	cfg.Deciders = map[string]bool{reporter.ClusterDefault: true}
	m := receive(t, cfg, []reporter.AlertEvent{event("a", 0, 30)}, []reporter.AlertEvent{after(31, event("a", 0, -1))})
	api := &managers{since: at(30)}
	rc := incident.ReconcileConfig{After: 5 * time.Minute, Clusters: map[string]incident.API{reporter.ClusterDefault: api}}
	r := incident.NewReconciler(rc, journal(m, cfg), m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return m.clock })
	for _, step := range []struct {
		at    float64
		known []string
		want  string
	}{{32, nil, "0-30 (1)"}, {33, []string{"a"}, "0-… (1)"}} {
		m.clock, api.known = at(step.at), step.known
		if err := r.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := summary(m); got != step.want {
			t.Errorf("at minute %v: %s, want %s", step.at, got, step.want)
		}
	}
}

// A firing that was received shortly after its resolve is a late copy, or news: the cluster's API decides, and without one
// whether a resolve follows.
func TestDoubt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		api   *managers
		later []reporter.AlertEvent
		at    float64 // when time passes
		want  string
	}{
		"the API has it":                {&managers{known: []string{"a"}}, nil, 32, "0-… (1)"},
		"the API does not have it":      {&managers{}, nil, 60, "0-30 (1)"},
		"the API does not answer":       {&managers{err: errors.New("down")}, nil, 60, "0-30 (1)"},
		"nothing follows for 6 minutes": {nil, nil, 37, "0-… (1)"},
		"before that":                   {nil, nil, 36.9, "0-30 (1)"},
		"a copy of the resolve follows": {nil, []reporter.AlertEvent{after(34, event("a", 0, 30))}, 60, "0-30 (1)"},
		"another resolve follows":       {nil, []reporter.AlertEvent{after(34, event("a", 0, 33))}, 60, "0-33 (1)"},
		"it is received firing again":   {nil, []reporter.AlertEvent{after(32.1, event("a", 0, -1))}, 33, "0-… (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config
			rc := incident.ReconcileConfig{Interval: time.Minute, After: 5 * time.Minute}
			if tc.api != nil {
				cfg.Deciders = map[string]bool{reporter.ClusterDefault: true}
				rc.Clusters = map[string]incident.API{reporter.ClusterDefault: tc.api}
			}
			hooks := [][]reporter.AlertEvent{{event("a", 0, 30)}, {after(31, event("a", 0, -1))}}
			if tc.later != nil {
				hooks = append(hooks, tc.later)
			}
			m := receive(t, cfg, hooks...)
			m.clock = at(tc.at)
			r := incident.NewReconciler(rc, journal(m, cfg), m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return m.clock })
			if err := r.Reconcile(t.Context()); (err != nil) != (tc.api != nil && tc.api.err != nil) {
				t.Error(err)
			}
			if got := summary(m); got != tc.want {
				t.Errorf("incidents are %s, want %s", got, tc.want)
			}
		})
	}
}
