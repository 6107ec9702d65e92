package incident_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
)

// memory is a faithful store: a failed update changes nothing.
type memory struct {
	incidents  map[string]reporter.Incident
	deliveries map[string]reporter.Delivery
	fail       error
}

func newMemory() *memory {
	return &memory{incidents: map[string]reporter.Incident{}, deliveries: map[string]reporter.Delivery{}}
}

func (m *memory) Update(ctx context.Context, fn func(context.Context, reporter.JournalTx) error, _ ...reporter.JournalQuestion) error {
	tx := &memory{incidents: maps.Clone(m.incidents), deliveries: maps.Clone(m.deliveries)}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if m.fail != nil {
		return m.fail
	}
	m.incidents, m.deliveries = tx.incidents, tx.deliveries
	return nil
}

func (m *memory) Incidents(_ context.Context, key string, since time.Time) (out []reporter.Incident, err error) {
	for _, in := range m.incidents {
		if in.Key == key && (in.State == reporter.IncidentOpen || !in.EndedAt.Before(since)) {
			in.Alerts = slices.Clone(in.Alerts)
			out = append(out, in)
		}
	}
	slices.SortFunc(out, func(a, b reporter.Incident) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, nil
}

func (m *memory) Incident(_ context.Context, id string) (reporter.Incident, error) {
	if in, ok := m.incidents[id]; ok {
		return in, nil
	}
	return reporter.Incident{}, reporter.ErrNotFound
}

func (m *memory) DeleteIncident(_ context.Context, id string) error {
	delete(m.incidents, id)
	return nil
}

func (m *memory) PutIncident(_ context.Context, in reporter.Incident) error {
	in.Alerts = slices.Clone(in.Alerts)
	m.incidents[in.ID] = in
	return nil
}

func (m *memory) PutDelivery(_ context.Context, d reporter.Delivery) error {
	if _, there := m.deliveries[d.Key]; !there {
		m.deliveries[d.Key] = d
	}
	return nil
}

func (m *memory) sorted() []reporter.Incident {
	return slices.SortedFunc(maps.Values(m.incidents), func(a, b reporter.Incident) int {
		if c := a.StartedAt.Compare(b.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
}

var day = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

func at(minutes float64) time.Time { return day.Add(time.Duration(minutes * float64(time.Minute))) }

// event is an alert of group g that began at a minute of the day; end < 0 is firing.
func event(fp string, start, end float64) reporter.AlertEvent {
	e := reporter.AlertEvent{
		GroupKey: "g", Receiver: "r", Fingerprint: fp, Firing: end < 0, StartsAt: at(start),
		Labels: map[string]string{"alertname": "A", "fp": fp}, ReceivedAt: day,
	}
	if end >= 0 {
		e.EndsAt = at(end)
	}
	return e
}

// gone is presumed to have ended; seen is told firing, at that minute.
func gone(fp string, start, end float64) reporter.AlertEvent {
	e := event(fp, start, end)
	e.Presumed = reporter.ClosedReconciled
	return e
}

func seen(fp string, start, received float64) reporter.AlertEvent {
	e := event(fp, start, -1)
	e.ReceivedAt = at(received)
	return e
}

var config = incident.Config{
	By: incident.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 15 * time.Minute, IDLabel: "incident_id", Receivers: []string{"oncall"},
}

func journal(m *memory, cfg incident.Config) *incident.Journal {
	return incident.New(cfg, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func() time.Time { return day })
}

// tell gives webhooks to a new journal and returns what it keeps.
func tell(t *testing.T, cfg incident.Config, webhooks ...[]reporter.AlertEvent) *memory {
	t.Helper()
	m := newMemory()
	j := journal(m, cfg)
	for _, w := range webhooks {
		if err := j.Accept(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// summary is "start-end state" of each incident, in minutes of the day, and how many deliveries there are.
func summary(m *memory) string {
	var parts []string
	for _, in := range m.sorted() {
		end := "…"
		if in.State == reporter.IncidentResolved {
			end = fmt.Sprint(in.EndedAt.Sub(day).Minutes())
		}
		parts = append(parts, fmt.Sprintf("%v-%s", in.StartedAt.Sub(day).Minutes(), end))
	}
	return fmt.Sprintf("%s (%d)", strings.Join(parts, " "), len(m.deliveries))
}

func TestHistories(t *testing.T) {
	t.Parallel()
	type hooks [][]reporter.AlertEvent
	one := func(es ...reporter.AlertEvent) []reporter.AlertEvent { return es }
	byAlert, named := config, config
	byAlert.By = incident.ByAlert
	for name, tc := range map[string]struct {
		cfg  incident.Config
		told hooks
		want string
	}{
		"opens":                               {config, hooks{one(event("a", 0, -1))}, "0-… (0)"},
		"closes after exactly ten minutes":    {config, hooks{one(event("a", 0, -1)), one(event("a", 0, 10))}, "0-10 (1)"},
		"closes a microsecond before":         {config, hooks{one(event("a", 0, 10-1.0/60e6))}, "0-9.999999983333334 (0)"},
		"only its resolve arrives":            {config, hooks{one(event("a", 0, 30))}, "0-30 (1)"},
		"resolve told twice":                  {config, hooks{one(event("a", 0, 30)), one(event("a", 0, 30))}, "0-30 (1)"},
		"stale firing reopens nothing":        {config, hooks{one(event("a", 0, 30)), one(event("a", 0, -1))}, "0-30 (1)"},
		"the latest end counts":               {config, hooks{one(event("a", 0, 30)), one(event("a", 0, 28))}, "0-30 (1)"},
		"one of two still fires":              {config, hooks{one(event("a", 0, 30), event("b", 5, -1))}, "0-… (0)"},
		"the last one closes it":              {config, hooks{one(event("a", 0, 30), event("b", 5, -1)), one(event("b", 5, 40))}, "0-40 (1)"},
		"fires again within 15 minutes":       {config, hooks{one(event("a", 0, 5)), one(event("a", 20, -1))}, "0-… (0)"},
		"and the whole is long enough":        {config, hooks{one(event("a", 0, 5)), one(event("a", 20, 25))}, "0-25 (1)"},
		"fires again after 15 minutes":        {config, hooks{one(event("a", 0, 5)), one(event("a", 20.001, 25))}, "0-5 20.001-25 (0)"},
		"another alert within 15 minutes":     {config, hooks{one(event("a", 0, 5)), one(event("b", 12, 15))}, "0-15 (1)"},
		"a lost resolve, then fires anew":     {config, hooks{one(event("a", 0, -1)), one(event("a", 60, -1)), one(event("a", 60, 90))}, "0-90 (1)"},
		"startsAt moves back":                 {config, hooks{one(event("a", 10, -1)), one(event("a", 5, -1)), one(event("a", 5, 30))}, "5-30 (1)"},
		"startsAt moves on":                   {config, hooks{one(event("a", 5, -1)), one(event("a", 10, -1)), one(event("a", 10, 30))}, "5-30 (1)"},
		"a late old episode stays apart":      {config, hooks{one(event("a", 100, 130)), one(event("a", 0, 20))}, "0-20 100-130 (2)"},
		"a late episode bridges two":          {config, hooks{one(event("a", 0, 12)), one(event("a", 40, 60)), one(event("b", 20, 30))}, "0-60 (2)"},
		"an end before its start is clamped":  {config, hooks{one(event("a", 10, 5))}, "10-10 (0)"},
		"presumed ended":                      {config, hooks{one(event("a", 0, -1)), one(gone("a", 0, 20))}, "0-20 (1)"},
		"seen after its presumed end":         {config, hooks{one(event("a", 0, -1)), one(gone("a", 0, 20)), one(seen("a", 0, 30))}, "0-… (1)"},
		"told resolved after its presumption": {config, hooks{one(event("a", 0, -1)), one(gone("a", 0, 20)), one(event("a", 0, 12))}, "0-12 (1)"},
		"by alert":                            {byAlert, hooks{one(event("a", 0, 12), event("b", 5, -1))}, "0-12 5-… (1)"},
		"a third notified long after":         {named, hooks{one(event("a", 0, 12)), one(event("a", 20, 32)), one(event("a", 40, 52))}, "0-52 (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := summary(tell(t, tc.cfg, tc.told...)); got != tc.want {
				t.Errorf("incidents are %s, want %s", got, tc.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	label := func(e reporter.AlertEvent, group, id string) reporter.AlertEvent {
		e.GroupKey = group
		e.Labels = map[string]string{"incident_id": id}
		return e
	}
	for name, tc := range map[string]struct{ id, want string }{
		"given":    {"INC-42", "INC-42"},
		"cleaned":  {"../a b<c>", "a-b-c"},
		"nothing":  {"", "INC-20260422-"},
		"only bad": {"<>", "INC-20260422-"},
		"long":     {strings.Repeat("x", 200), strings.Repeat("x", 64)},
	} {
		for id := range tell(t, config, []reporter.AlertEvent{label(event("a", 0, 5), "g", tc.id)}).incidents {
			if !strings.HasPrefix(id, tc.want) || strings.HasPrefix(tc.want, "x") && id != tc.want {
				t.Errorf("%s: %q, want %q", name, id, tc.want)
			}
		}
	}
	m := tell(t, config, []reporter.AlertEvent{label(event("a", 0, 5), "g", "SAME")}, []reporter.AlertEvent{label(event("a", 0, 5), "other", "SAME")},
		[]reporter.AlertEvent{label(event("a", 100, 105), "g", "SAME")})
	if ids := slices.Sorted(maps.Keys(m.incidents)); len(ids) != 3 || ids[0] != "SAME" || !strings.HasPrefix(ids[1], "SAME-") || !strings.HasPrefix(ids[2], "SAME-") {
		t.Errorf("three incidents of one name are %q", ids)
	}
	annotated := event("a", 0, 5)
	annotated.Annotations = map[string]string{"incident_id": "NOTE-1"}
	if m := tell(t, config, []reporter.AlertEvent{annotated}); m.incidents["NOTE-1"].ID != "NOTE-1" {
		t.Errorf("an annotation does not name the incident: %v", m.incidents)
	}
	one, two := tell(t, config, []reporter.AlertEvent{event("a", 0, 5)}), tell(t, config, []reporter.AlertEvent{event("a", 0, 5)})
	if diff := cmp.Diff(one.incidents, two.incidents); diff != "" {
		t.Errorf("two replicas name one incident differently: %s", diff)
	}
}

func TestStoreThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	reg := prometheus.NewRegistry()
	j := incident.New(config, m, slog.New(slog.DiscardHandler), reg, func() time.Time { return day })
	m.fail = errors.New("disk full")
	if err := j.Accept(t.Context(), []reporter.AlertEvent{event("a", 0, 20)}); !errors.Is(err, m.fail) {
		t.Errorf("error is %v", err)
	}
	if len(m.incidents)+len(m.deliveries) != 0 {
		t.Error("a failed update left something")
	}
	m.fail = nil
	if err := j.Accept(t.Context(), []reporter.AlertEvent{event("a", 0, 20)}); err != nil || len(m.deliveries) != 1 {
		t.Errorf("%v, %d deliveries", err, len(m.deliveries))
	}
	const want = "# HELP awoooi_reporter_postmortems_total Incidents that lasted long enough and got their postmortem.\n" +
		"# TYPE awoooi_reporter_postmortems_total counter\nawoooi_reporter_postmortems_total 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "awoooi_reporter_postmortems_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// history makes what happened to a few alerts of a group, and every telling of it that Alertmanager may send: each
// episode firing, then resolved, with duplicates, and sometimes with a resolve that is lost or a start that moves.
func history(rng *rand.Rand) (events []reporter.AlertEvent) {
	for a := range 1 + rng.IntN(3) {
		fp := string(rune('a' + a))
		clock := rng.Float64() * 60
		for range 1 + rng.IntN(4) {
			start := clock
			end := start + rng.Float64()*25
			firing, resolved := event(fp, start, -1), event(fp, start, end)
			resolved.Annotations = map[string]string{"summary": "resolved"}
			events = append(events, firing)
			switch rng.IntN(6) {
			case 0: // still firing, or a lost resolve
			case 1: // told again, by another replica, with another end
				events = append(events, resolved, event(fp, start, end-1))
			case 3: // its resolve was lost, and it was presumed ended; another replica may have heard of it later
				gone := event(fp, start, end)
				gone.Presumed = reporter.ClosedReconciled
				later := firing
				later.ReceivedAt = at(end + 5*(rng.Float64()-0.5))
				events = append(events, gone, later)
			case 2: // moved start
				events = append(events, event(fp, start+0.5, -1), resolved)
			default:
				events = append(events, resolved)
			}
			clock = end + rng.Float64()*40
		}
	}
	return events
}

// The journal's state is a function of what was told, whatever the order, the repeats and the webhooks it came in.
func TestEveryOrderEndsInTheSameIncidents(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 3))
		events := history(rng)
		want := tell(t, config, events).sorted()
		for round := range 8 {
			shuffled := slices.Clone(events)
			for range rng.IntN(4) { // duplicates of an HA pair
				shuffled = append(shuffled, events[rng.IntN(len(events))])
			}
			rng.Shuffle(len(shuffled), func(a, b int) { shuffled[a], shuffled[b] = shuffled[b], shuffled[a] })
			var webhooks [][]reporter.AlertEvent
			for len(shuffled) > 0 {
				n := 1 + rng.IntN(len(shuffled))
				webhooks = append(webhooks, shuffled[:n])
				shuffled = shuffled[n:]
			}
			m := tell(t, config, webhooks...)
			got := m.sorted()
			if diff := cmp.Diff(facts(want), facts(got)); diff != "" {
				t.Fatalf("seed %d, round %d: the order changes the incidents (-at once +in webhooks):\n%s", seed, round, diff)
			}
			for _, in := range got {
				_, queued := m.deliveries[reporter.DeliveryKey(reporter.DeliveryPostmortem, in.ID, "oncall")]
				if long := in.State == reporter.IncidentResolved && in.Duration() >= config.MinDuration; long && !queued && !in.Notified {
					t.Fatalf("seed %d, round %d: incident %s of %v has no postmortem", seed, round, in.ID, in.Duration())
				}
			}
		}
	}
}

// facts leaves out what depends on arrival: the ID that an incident was first stored under, whether its postmortem went
// out before it was continued, and when it was heard of.
func facts(ins []reporter.Incident) []reporter.Incident {
	out := slices.Clone(ins)
	for n := range out {
		out[n].ID, out[n].Notified, out[n].FirstSeenAt, out[n].LastSeenAt = "", false, time.Time{}, time.Time{}
	}
	return out
}
