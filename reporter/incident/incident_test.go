package incident_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// memory is a faithful store: a failed update changes nothing.
type memory struct {
	clock      time.Time
	incidents  map[string]reporter.Incident
	deliveries map[string]reporter.Delivery
	fail       error
}

func newMemory() *memory {
	return &memory{incidents: map[string]reporter.Incident{}, deliveries: map[string]reporter.Delivery{}}
}

func (m *memory) Update(
	_ context.Context, q reporter.JournalQuery, apply func(reporter.JournalView) reporter.JournalChanges,
) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("update panicked: %v", r)
		}
	}()
	v := reporter.JournalView{Now: m.clock, Taken: map[string]bool{}}
	for _, name := range q.Names {
		_, taken := m.incidents[name]
		v.Taken[name] = taken
	}
	for _, in := range m.sorted() {
		in.Alerts = slices.Clone(in.Alerts)
		if m.asked(q, m.clock, in) {
			v.Incidents = append(v.Incidents, in)
		}
	}
	slices.SortFunc(v.Incidents, func(a, b reporter.Incident) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.ID, b.ID))
	})
	changes := apply(v)
	if m.fail != nil {
		return m.fail
	}
	for _, in := range changes.Incidents {
		m.incidents[in.ID] = in
	}
	for _, id := range changes.Recalls {
		for key, d := range m.deliveries {
			if d.Kind == reporter.DeliveryPostmortem && d.Subject == id && d.State == reporter.DeliveryPending {
				d.State = reporter.DeliveryCancelled
				m.deliveries[key] = d
			}
		}
	}
	for _, p := range changes.Postmortems {
		for _, r := range p.Receivers {
			m.postmortem(p, r)
		}
	}
	for _, d := range changes.Deliveries {
		m.add(d)
	}
	return nil
}

func (m *memory) add(d reporter.Delivery) {
	if _, there := m.deliveries[d.Key]; !there {
		d.ID = int64(len(m.deliveries) + 1)
		m.deliveries[d.Key] = d
	}
}

func (m *memory) Deliveries(_ context.Context, limit int) ([]reporter.Delivery, error) {
	all := slices.SortedFunc(maps.Values(m.deliveries), func(a, b reporter.Delivery) int { return cmp.Compare(b.ID, a.ID) })
	return all[:min(limit, len(all))], nil
}

func (m *memory) Save(_ context.Context, d reporter.Delivery) error {
	m.deliveries[d.Key] = d
	return nil
}

// It does what the real stores do.
func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.CheckJournal(t, func(*testing.T) storetest.Journal {
		m := newMemory()
		m.clock = storetest.Day.Add(24 * time.Hour)
		return m
	})
}

func (m *memory) postmortem(p reporter.PostmortemDue, receiver string) {
	d := reporter.NewDelivery(reporter.DeliveryPostmortem, p.Incident, receiver, m.clock)
	d.NextAttempt = p.First
	n := 1
	for _, have := range m.deliveries {
		if have.Kind != d.Kind || have.Subject != d.Subject || have.Receiver != receiver {
			continue
		}
		n++
		switch have.State {
		case reporter.DeliveryPending:
			return
		case reporter.DeliverySent:
			d.NextAttempt = p.Update
		}
	}
	d.Key += fmt.Sprint("#", n)
	m.add(d)
}

// send makes what is due sent, and says of each what it was, and the state of its incident.
func (m *memory) send() (sent []string) {
	for key, d := range m.deliveries {
		if d.State == reporter.DeliveryPending && !d.NextAttempt.After(m.clock) {
			d.State = reporter.DeliverySent
			m.deliveries[key] = d
			sent = append(sent, string(d.Kind)+" "+d.Subject+" "+string(m.incidents[d.Subject].State))
		}
	}
	return sent
}

func (m *memory) asked(q reporter.JournalQuery, now time.Time, in reporter.Incident) bool {
	for _, k := range q.Keys {
		if in.Key == k.Of && (!in.Over() || !in.EndedAt.Before(k.From(q, now))) {
			return true
		}
	}
	for _, a := range in.Alerts {
		end, _ := a.Ended()
		for _, k := range q.Alerts {
			if a.Fingerprint == k.Of && (in.Cluster == k.Cluster || in.Cluster == reporter.ClusterDefault || in.Adopted) && (end.IsZero() || !end.Before(k.From(q, now))) {
				return true
			}
		}
	}
	return slices.Contains(q.Incidents, in.ID) || slices.ContainsFunc(q.Groups, func(g reporter.JournalGroup) bool {
		return g.Has(in) && (!g.LeftOut || slices.ContainsFunc(m.sorted(), func(o reporter.Incident) bool { return g.Has(o) && o.LeftOut }))
	})
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
		Labels: map[string]string{"alertname": "A", "fp": fp},
	}
	if end >= 0 {
		e.EndsAt = at(end)
	}
	return e
}

var config = incident.Config{
	By: incident.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 15 * time.Minute, IDLabel: "incident_id", Receivers: []string{"oncall"},
}

func journal(m *memory, cfg incident.Config) *incident.Journal {
	return incident.New(cfg, m, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// receive gives webhooks to a new journal, each received at its latest time or a second after the one before it, and returns
// what is kept.
func receive(t *testing.T, cfg incident.Config, webhooks ...[]reporter.AlertEvent) *memory {
	t.Helper()
	m := newMemory()
	j := journal(m, cfg)
	for _, w := range webhooks {
		m.clock = m.clock.Add(time.Second)
		for _, e := range w {
			for _, at := range []time.Time{e.StartsAt, e.EndsAt, e.ReceivedAt} {
				if at.After(m.clock) {
					m.clock = at
				}
			}
		}
		if err := j.Accept(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// after is an event that is received at that minute.
func after(minute float64, e reporter.AlertEvent) reporter.AlertEvent {
	e.ReceivedAt = at(minute)
	return e
}

// summary is "start-end state" of each incident, in minutes of the day, and how many deliveries there are.
func summary(m *memory) string {
	var parts []string
	for _, in := range m.sorted() {
		end := map[reporter.IncidentState]string{reporter.IncidentOpen: "…", reporter.IncidentChronic: "chronic"}[in.State]
		if in.Over() {
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
	byAlert, chronic := config, config
	byAlert.By, chronic.ChronicAfter = incident.ByAlert, 24*time.Hour
	notice := config
	notice.FiringNotice = true
	routed := config
	matchers, err := incident.ParseMatchers(`alertname="Z"`)
	if err != nil {
		t.Fatal(err)
	}
	routed.Routes = []incident.Route{{Name: "z", Matchers: matchers, Receivers: config.Receivers, MinDuration: config.MinDuration}}
	named := func(e reporter.AlertEvent, name string) reporter.AlertEvent {
		e.Labels = map[string]string{"alertname": name}
		return e
	}
	left := func(out uint64, e reporter.AlertEvent) reporter.AlertEvent { // so many alerts out of the webhook
		e.Truncated = out
		return e
	}
	whole := func(e reporter.AlertEvent) reporter.AlertEvent {
		e.GroupResolved = true
		return e
	}
	group := func(key string, e reporter.AlertEvent) reporter.AlertEvent {
		e.GroupKey = key
		return e
	}
	of := func(cluster string, e reporter.AlertEvent) reporter.AlertEvent {
		e.Cluster = cluster
		return e
	}
	for name, tc := range map[string]struct {
		cfg   incident.Config
		posts hooks
		want  string
	}{
		"opens":                              {config, hooks{one(event("a", 0, -1))}, "0-… (0)"},
		"closes after exactly ten minutes":   {config, hooks{one(event("a", 0, -1)), one(event("a", 0, 10))}, "0-10 (1)"},
		"closes a microsecond before":        {config, hooks{one(event("a", 0, 10-1.0/60e6))}, "0-9.999999983333334 (0)"},
		"only its resolve arrives":           {config, hooks{one(event("a", 0, 30))}, "0-30 (1)"},
		"resolve received twice":             {config, hooks{one(event("a", 0, 30)), one(event("a", 0, 30))}, "0-30 (1)"},
		"a late copy reopens nothing":        {config, hooks{one(event("a", 0, 30)), one(event("a", 0, -1))}, "0-30 (1)"},
		"the latest end counts":              {config, hooks{one(event("a", 0, 30)), one(event("a", 0, 28))}, "0-30 (1)"},
		"one of two still fires":             {config, hooks{one(event("a", 0, 30), event("b", 5, -1))}, "0-… (0)"},
		"the last one closes it":             {config, hooks{one(event("a", 0, 30), event("b", 5, -1)), one(event("b", 5, 40))}, "0-40 (1)"},
		"fires again within 15 minutes":      {config, hooks{one(event("a", 0, 5)), one(event("a", 20, -1))}, "0-… (0)"},
		"and the whole is long enough":       {config, hooks{one(event("a", 0, 5)), one(event("a", 20, 25))}, "0-25 (1)"},
		"fires again after 15 minutes":       {config, hooks{one(event("a", 0, 5)), one(event("a", 20.001, 25))}, "0-5 20.001-25 (0)"},
		"another alert within 15 minutes":    {config, hooks{one(event("a", 0, 5)), one(event("b", 12, 15))}, "0-15 (1)"},
		"a lost resolve, then fires again":   {config, hooks{one(event("a", 0, -1)), one(event("a", 60, -1)), one(event("a", 60, 90))}, "0-90 (1)"},
		"startsAt moves back":                {config, hooks{one(event("a", 10, -1)), one(event("a", 5, -1)), one(event("a", 5, 30))}, "5-30 (1)"},
		"startsAt moves on":                  {config, hooks{one(event("a", 5, -1)), one(event("a", 10, -1)), one(event("a", 10, 30))}, "5-30 (1)"},
		"a late old episode stays apart":     {config, hooks{one(event("a", 100, 130)), one(event("a", 0, 20))}, "0-20 100-130 (2)"},
		"two never merge":                    {config, hooks{one(event("a", 0, 12)), one(event("a", 40, 60)), one(event("b", 20, 30))}, "0-12 20-60 (2)"},
		"an end before its start is clamped": {config, hooks{one(event("a", 10, 5))}, "10-10 (0)"},
		"an end in the future is cut":        {config, hooks{one(after(20, event("a", 0, 25.1)))}, "0-20 (1)"},
		"clock skew is none":                 {config, hooks{one(after(20, event("a", 0, 25)))}, "0-25 (1)"},
		"by alert":                           {byAlert, hooks{one(event("a", 0, 12), event("b", 5, -1))}, "0-12 5-… (1)"},
		"flaps within 15 minutes":            {config, hooks{one(event("a", 0, 12)), one(event("a", 20, 32)), one(event("a", 40, 52))}, "0-52 (1)"},
		"firing again with the same start":   {config, hooks{one(event("a", 0, 30)), one(after(32.01, event("a", 0, -1)))}, "0-… (1)"},
		"within two minutes":                 {config, hooks{one(event("a", 0, 30)), one(after(32, event("a", 0, -1)))}, "0-30 (1)"},
		"and a copy of its resolve":          {config, hooks{one(event("a", 0, 30)), one(after(33, event("a", 0, -1))), one(after(34, event("a", 0, 30)))}, "0-… (1)"},
		"and its own resolve":                {config, hooks{one(event("a", 0, 30)), one(after(33, event("a", 0, -1))), one(after(51, event("a", 0, 50)))}, "0-50 (2)"},
		"chronic":                            {chronic, hooks{one(event("a", 0, -1)), one(after(1440, event("a", 0, -1)))}, "0-chronic (0)"},
		"chronic takes no more":              {chronic, hooks{one(event("a", 0, -1)), one(event("b", 1440, -1)), one(event("b", 1440, 1460))}, "0-chronic 1440-1460 (1)"},
		"chronic ends once":                  {chronic, hooks{one(event("a", 0, -1)), one(event("b", 1439, -1)), one(event("a", 0, 1500), event("b", 1439, 1560))}, "0-1560 (1)"},
		"an old alert joins no new incident": {chronic, hooks{one(event("b", 5000, -1)), one(event("a", 0, -1))}, "0-chronic 5000-… (0)"},
		"Watchdog is ignored":                {config, hooks{one(named(event("a", 0, -1), "Watchdog")), one(named(event("b", 0, 30), "InfoInhibitor"))}, " (0)"},
		"left out, and one resolved":         {config, hooks{one(left(1, event("a", 0, 30)))}, "0-… (0)"},
		"left out, then listed whole":        {config, hooks{one(left(1, event("a", 0, 30))), one(event("b", 10, -1)), one(event("b", 10, 40))}, "0-40 (1)"},
		"left out, then resolved as a whole": {config, hooks{one(left(1, event("a", 0, -1)), left(1, event("b", 0, -1))), one(whole(left(1, event("a", 0, 40))))}, "0-40 (1)"},
		"another group, same episode":        {config, hooks{one(event("a", 0, -1)), one(group("h", event("a", 0, -1))), one(group("h", event("a", 0, 30)))}, "0-30 (1)"},
		"another group's new alert":          {config, hooks{one(event("a", 0, -1)), one(group("h", event("a", 0, -1)), group("h", event("b", 10, 20)))}, "0-… (0)"},
		"a changed group continues":          {config, hooks{one(event("a", 0, 20)), one(group("h", event("a", 30, 40)))}, "0-40 (1)"},
		"one of them, late":                  {config, hooks{one(event("a", 0, 20)), one(group("h", event("a", 30, -1)), group("h", event("b", 36, -1)))}, "0-… (1)"},
		"another one, first":                 {config, hooks{one(event("a", 0, 20)), one(group("h", event("a", 34, -1)), group("h", event("b", 33, -1)))}, "0-… (1)"},
		"beside a chronic one":               {chronic, hooks{one(event("w", 0, -1)), one(event("a", 2000, 2020)), one(group("h", event("w", 0, -1)), group("h", event("a", 2030, -1)), group("h", event("b", 2036, -1)))}, "0-chronic 2000-… (1)"},
		"of another route continues nothing": {routed, hooks{one(named(event("a", 0, 20), "Z")), one(group("h", event("a", 30, -1)), group("h", event("b", 36, -1)))}, "0-20 30-… (1)"},
		"each alert by itself":               {byAlert, hooks{one(event("a", 0, 20)), one(group("h", event("a", 30, -1)), group("h", event("b", 34, -1)))}, "0-… 34-… (1)"},
		"one that was silenced, first":       {config, hooks{one(event("a", 0, 20)), one(group("h", event("b", -300, -1)), group("h", event("a", 25, -1)))}, "-300-… (1)"},
		"an end of the future, twice":        {config, hooks{one(after(20, event("a", 0, 60))), one(after(20.5, event("a", 0, 60)))}, "0-20 (1)"},
		"and it fires again":                 {config, hooks{one(after(20, event("a", 0, 60))), one(after(22.1, event("a", 0, -1))), one(after(23, event("a", 0, 60)))}, "0-… (1)"},
		"and ends":                           {config, hooks{one(after(20, event("a", 0, 60))), one(after(22.1, event("a", 0, -1))), one(after(40, event("a", 0, 80)))}, "0-40 (2)"},
		"left out, and of another group":     {config, hooks{one(left(1, event("a", 0, -1)), left(1, event("b", 5, -1))), one(whole(group("h", event("a", 0, 30))))}, "0-… (0)"},
		"then resolved by its own":           {config, hooks{one(left(1, event("a", 0, -1)), left(1, event("b", 5, -1))), one(whole(group("h", event("a", 0, 30)))), one(whole(event("b", 5, 40)))}, "0-40 (1)"},
		"another group does not list it":     {config, hooks{one(left(1, event("a", 0, -1))), one(whole(group("h", event("a", 0, 30))))}, "0-… (0)"},
		"another group leaves out":           {config, hooks{one(event("a", 0, -1)), one(left(1, group("h", event("a", 0, -1)))), one(whole(event("a", 0, 30)))}, "0-… (0)"},
		"and is resolved":                    {config, hooks{one(event("a", 0, -1)), one(left(1, group("h", event("a", 0, -1)))), one(whole(group("h", event("a", 0, 30))))}, "0-30 (1)"},
		"a notice once it fires":             {notice, hooks{one(event("a", 0, 5)), one(event("b", 10, -1))}, "0-… (1)"},
		"one notice":                         {notice, hooks{one(event("a", 0, -1)), one(event("a", 0, 5)), one(event("b", 10, -1))}, "0-… (1)"},
		"no notice of what is over":          {notice, hooks{one(event("a", 0, 5))}, "0-5 (0)"},
		"clusters are apart":                 {config, hooks{one(of("p", event("a", 0, -1))), one(of("s", event("a", 0, 20)))}, "0-… 0-20 (1)"},
		"a cluster gets a name":              {config, hooks{one(event("a", 0, -1)), one(of("p", event("a", 0, 20)))}, "0-20 (1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := summary(receive(t, tc.cfg, tc.posts...)); got != tc.want {
				t.Errorf("incidents are %s, want %s", got, tc.want)
			}
		})
	}
}

// Nothing can be made of a resolve that has not begun yet by our clock, unless its firing was received; the log names the cause.
func TestResolvesFarAhead(t *testing.T) {
	t.Parallel()
	m := newMemory()
	m.clock = at(60)
	var log strings.Builder
	j := incident.New(config, m, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err := j.Accept(t.Context(), []reporter.AlertEvent{event("a", 66, 80), event("b", 70, 80), event("c", 64, 65)}); err != nil {
		t.Fatal(err)
	}
	if got := summary(m); got != "64-65 (0)" {
		t.Errorf("incidents are %s", got)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "alerts=2 first=A starts=2026-04-22T01:06:00") {
		t.Errorf("the log says %s", got)
	}
	log.Reset()
	m.clock = at(70)
	if err := j.Accept(t.Context(), []reporter.AlertEvent{event("d", 80, -1)}); err != nil {
		t.Fatal(err)
	}
	m.clock = at(71)
	if err := j.Accept(t.Context(), []reporter.AlertEvent{event("d", 80, 90)}); err != nil {
		t.Fatal(err)
	}
	if got := summary(m); got != "64-71 (0)" || strings.Contains(log.String(), "level=WARN") {
		t.Errorf("incidents are %s, the log says %s", got, &log)
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
		for id := range receive(t, config, []reporter.AlertEvent{label(event("a", 0, 5), "g", tc.id)}).incidents {
			if !strings.HasPrefix(id, tc.want) || strings.HasPrefix(tc.want, "x") && id != tc.want {
				t.Errorf("%s: %q, want %q", name, id, tc.want)
			}
		}
	}
	m := receive(t, config, []reporter.AlertEvent{label(event("a", 0, 5), "g", "SAME")}, []reporter.AlertEvent{label(event("b", 0, 5), "other", "SAME")},
		[]reporter.AlertEvent{label(event("a", 100, 105), "g", "SAME")})
	if ids := slices.Sorted(maps.Keys(m.incidents)); len(ids) != 3 || ids[0] != "SAME" || !strings.HasPrefix(ids[1], "SAME-") || !strings.HasPrefix(ids[2], "SAME-") {
		t.Errorf("three incidents of one name are %q", ids)
	}
	annotated := event("a", 0, 5)
	annotated.Annotations = map[string]string{"incident_id": "NOTE-1"}
	if m := receive(t, config, []reporter.AlertEvent{annotated}); m.incidents["NOTE-1"].ID != "NOTE-1" {
		t.Errorf("an annotation does not name the incident: %v", m.incidents)
	}
	one, two := receive(t, config, []reporter.AlertEvent{event("a", 0, 5)}), receive(t, config, []reporter.AlertEvent{event("a", 0, 5)})
	if diff := gocmp.Diff(one.incidents, two.incidents); diff != "" {
		t.Errorf("two replicas name one incident differently: %s", diff)
	}
}

func TestStoreThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	reg := prometheus.NewRegistry()
	j := incident.New(config, m, slog.New(slog.DiscardHandler), reg)
	m.clock = at(30)
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
	const want = "# HELP awoooi_reporter_postmortems_total Postmortems, and updates of them, of incidents that lasted long enough.\n" +
		"# TYPE awoooi_reporter_postmortems_total counter\nawoooi_reporter_postmortems_total 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "awoooi_reporter_postmortems_total"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// An alert that fires for five minutes in every ten, all day long, is one incident with two messages: its postmortem, and an update
// once it is over.
func TestFlapping(t *testing.T) {
	t.Parallel()
	cfg := config
	cfg.ChronicAfter, cfg.DigestWindow = 24*time.Hour, time.Minute
	m := newMemory()
	j := journal(m, cfg)
	var sent []string
	for minute := range 24 * 60 {
		m.clock = at(float64(minute))
		start := float64(minute - minute%10)
		var err error
		switch {
		case minute >= 23*60:
		case minute%10 == 0:
			err = j.Accept(t.Context(), []reporter.AlertEvent{event("a", start, -1)})
		case minute%10 == 5:
			err = j.Accept(t.Context(), []reporter.AlertEvent{event("a", start, start+5)})
		}
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, m.send()...)
	}
	if len(sent) != 2 || !strings.HasSuffix(sent[0], " resolved") || !strings.HasSuffix(sent[1], " resolved") {
		t.Errorf("sent %q", sent)
	}
	if got := summary(m); !strings.HasPrefix(got, "0-1375 ") {
		t.Errorf("incidents are %s", got)
	}
}

// An outage of 26 hours with 40 alerts is one incident with one postmortem.
func TestLongOutage(t *testing.T) {
	t.Parallel()
	cfg := config
	cfg.ChronicAfter = 24 * time.Hour
	var hooks [][]reporter.AlertEvent
	for n := range 40 {
		hooks = append(hooks, []reporter.AlertEvent{event(fmt.Sprint(n), float64(n), -1)})
	}
	for n := range 40 {
		hooks = append(hooks, []reporter.AlertEvent{event(fmt.Sprint(n), float64(n), 26*60)})
	}
	if got := summary(receive(t, cfg, hooks...)); got != "0-1560 (1)" {
		t.Errorf("incidents are %s", got)
	}
}

// The date in an incident's ID is that of its zone: 03:29 in Taipei is today.
func TestIDsCarryTheLocalDate(t *testing.T) {
	t.Parallel()
	cfg := config
	cfg.Zone = time.FixedZone("Asia/Taipei", 8*60*60)
	e := event("a", 19*60+29, -1)
	if m := receive(t, cfg, []reporter.AlertEvent{e}); !strings.HasPrefix(m.sorted()[0].ID, "INC-20260423-") {
		t.Errorf("the ID is %s", m.sorted()[0].ID)
	}
}
