package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Journal is a store of the journal, in memory or real, of whose deliveries the newest come first.
type Journal interface {
	Update(ctx context.Context, q reporter.JournalQuery, apply func(reporter.JournalView) reporter.JournalChanges) error
	Deliveries(ctx context.Context, limit int) ([]reporter.Delivery, error)
	Save(ctx context.Context, d reporter.Delivery) error
}

// Day is the begin of the tests' day; a journal under test has a later clock.
var Day = time.Date(2026, 4, 22, 0, 0, 0, 123456000, time.UTC)

// CheckJournal is what every store of the journal does. open makes an empty one.
func CheckJournal(t *testing.T, open func(t *testing.T) Journal) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Journal){
		"an update sees what it asks for":           checkViews,
		"a panic undoes everything":                 checkPanic,
		"a delivery is stored once":                 checkDeliveries,
		"postmortems follow the state of incidents": checkPostmortems,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t))
		})
	}
}

// episode is an incident of one alert, both with keys of their own, from a minute of the day on; one of minutes < 0 is open.
func episode(id, key, fingerprint string, start, minutes int) reporter.Incident {
	in := reporter.Incident{
		ID: id, Key: key, Cluster: reporter.ClusterDefault, GroupKey: "g", Receiver: "r", State: reporter.IncidentOpen,
		StartedAt: minute(start), FirstSeenAt: Day, LastSeenAt: Day, AlertsTotal: 1,
		Alerts: []reporter.Alert{{
			Fingerprint: fingerprint, StartsAt: minute(start), Firing: true, Labels: map[string]string{"alertname": "A"}, SeenAt: Day,
		}},
	}
	if minutes >= 0 {
		in.State, in.CloseReason, in.EndedAt = reporter.IncidentResolved, reporter.ClosedResolved, minute(start+minutes)
		in.Alerts[0].Firing, in.Alerts[0].EndsAt = false, in.EndedAt
	}
	return in
}

func minute(n int) time.Time { return Day.Add(time.Duration(n) * time.Minute) }

func put(t *testing.T, j Journal, c reporter.JournalChanges) {
	t.Helper()
	err := j.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges { return c })
	if err != nil {
		t.Fatal(err)
	}
}

// ids are those of the incidents that an update sees, in its order.
func ids(t *testing.T, j Journal, q reporter.JournalQuery) (list string, taken map[string]bool) {
	t.Helper()
	err := j.Update(t.Context(), q, func(v reporter.JournalView) (c reporter.JournalChanges) {
		var all []string
		for _, in := range v.Incidents {
			all = append(all, in.ID)
			if len(in.Alerts) != 1 || in.Selected {
				t.Errorf("%s has %d alerts, selected %v", in.ID, len(in.Alerts), in.Selected)
			}
		}
		list, taken = strings.Join(all, " "), v.Taken
		return c
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, taken
}

func checkViews(t *testing.T, j Journal) {
	prod := episode("PROD", "k3", "f", 0, -1)
	prod.Cluster = "prod"
	held := episode("HELD", "k4", "f4", 0, -1)
	held.GroupKey, held.Held, held.LeftOut = "g4", true, true
	held.Alerts[0].Firing, held.Alerts[0].EndsAt = false, minute(1)
	beside := episode("BESIDE", "k5", "f5", 1, -1)
	beside.GroupKey = "g4"
	put(t, j, reporter.JournalChanges{Incidents: []reporter.Incident{
		beside, episode("OLD", "k", "f", -10000, 30), episode("RECENT", "k", "f", 0, 30), episode("OPEN", "k", "f", -20000, -1),
		episode("OTHER", "k2", "f2", 0, 30), prod, held,
	}})
	group := func(key string, leftOut bool) reporter.JournalQuery {
		return reporter.JournalQuery{Groups: []reporter.JournalGroup{{Cluster: "default", Receiver: "r", GroupKey: key, LeftOut: leftOut}}}
	}
	since := func(cluster, of string, n int) []reporter.JournalSince {
		return []reporter.JournalSince{{Of: of, Cluster: cluster, Since: minute(n)}}
	}
	within := func(q reporter.JournalQuery, minutes int) reporter.JournalQuery {
		q.Within = time.Duration(minutes) * time.Minute
		return q
	}
	for name, tc := range map[string]struct {
		q    reporter.JournalQuery
		want string
	}{
		"nothing":                                    {reporter.JournalQuery{}, ""},
		"open, or ended at that moment":              {reporter.JournalQuery{Keys: since("", "k", 30)}, "OPEN RECENT"},
		"ended before":                               {reporter.JournalQuery{Keys: since("", "k", 31)}, "OPEN"},
		"ended shortly before":                       {within(reporter.JournalQuery{Keys: since("", "k", 45)}, 15), "OPEN RECENT"},
		"ended earlier":                              {within(reporter.JournalQuery{Keys: since("", "k", 46)}, 15), "OPEN"},
		"another key":                                {reporter.JournalQuery{Keys: since("", "k2", 0)}, "OTHER"},
		"by alert":                                   {reporter.JournalQuery{Alerts: since("default", "f", 30)}, "OPEN RECENT"},
		"by alert that ended before":                 {reporter.JournalQuery{Alerts: since("default", "f2", 31)}, ""},
		"by alert of a cluster":                      {reporter.JournalQuery{Alerts: since("prod", "f", 31)}, "OPEN PROD"},
		"by alert of another cluster":                {reporter.JournalQuery{Alerts: since("staging", "f", 31)}, "OPEN"},
		"open ones of a group":                       {group("g", false), "OPEN"},
		"those of a group that was not listed whole": {group("g", true), ""},
		"those of another group":                     {group("g4", true), "HELD BESIDE"},
		"open ones of another group":                 {group("g4", false), "HELD BESIDE"},
		"by id":                                      {reporter.JournalQuery{Incidents: []string{"OLD", "x"}}, "OLD"},
		"all of that": {reporter.JournalQuery{
			Keys: since("", "k", 30), Alerts: since("default", "f2", 0), Incidents: []string{"OLD"},
		}, "OPEN OLD OTHER RECENT"},
	} {
		tc.q.Names = []string{"OPEN", "FREE"}
		got, taken := ids(t, j, tc.q)
		if got != tc.want {
			t.Errorf("%s: saw %s, want %s", name, got, tc.want)
		}
		if !taken["OPEN"] || taken["FREE"] {
			t.Errorf("%s: names in use are %v", name, taken)
		}
	}
	// What an update is given is its own, and what it changes is there for the next one.
	q := reporter.JournalQuery{Incidents: []string{"OPEN"}}
	err := j.Update(t.Context(), q, func(v reporter.JournalView) reporter.JournalChanges {
		in := v.Incidents[0]
		in.Alerts = slices.Clone(in.Alerts)
		in.State, in.EndedAt, in.CloseReason = reporter.IncidentResolved, minute(60), reporter.ClosedResolved
		in.Alerts[0].Firing, in.Alerts[0].EndsAt = false, minute(60)
		return reporter.JournalChanges{Incidents: []reporter.Incident{in}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := ids(t, j, reporter.JournalQuery{Keys: since("", "k", 61)}); got != "" {
		t.Errorf("saw %s after the end", got)
	}
}

func checkPanic(t *testing.T, j Journal) {
	err := j.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges { panic("x") })
	if err == nil {
		t.Error("no error")
	}
	put(t, j, reporter.JournalChanges{Incidents: []reporter.Incident{episode("I", "k", "f", 0, 30)}})
	if got, _ := ids(t, j, reporter.JournalQuery{Keys: []reporter.JournalSince{{Of: "k", Since: Day}}}); got != "I" {
		t.Errorf("saw %s, want I", got)
	}
}

// states are those of the deliveries, the oldest first, with when they are due.
func states(t *testing.T, j Journal, want ...string) []reporter.Delivery {
	t.Helper()
	ds, err := j.Deliveries(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ds)
	var got []string
	for _, d := range ds {
		got = append(got, fmt.Sprint(d.Kind, " ", d.State, " ", d.NextAttempt.Sub(Day)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("deliveries (-want +got):\n%s", diff)
	}
	return ds
}

func checkDeliveries(t *testing.T, j Journal) {
	notice := reporter.NewDelivery(reporter.DeliveryFiring, "I", "oncall", Day)
	changes := reporter.JournalChanges{
		Incidents: []reporter.Incident{episode("I", "k", "f", 0, -1)}, Deliveries: []reporter.Delivery{notice},
	}
	put(t, j, changes)
	put(t, j, changes)
	states(t, j, "firing pending 0s")
}

func checkPostmortems(t *testing.T, j Journal) {
	put(t, j, reporter.JournalChanges{Incidents: []reporter.Incident{episode("I", "k", "f", 0, 30)}})
	over := reporter.JournalChanges{Postmortems: []reporter.PostmortemDue{{
		Incident: "I", Receivers: []string{"oncall"}, First: minute(1), Update: minute(15),
	}}}
	again := reporter.JournalChanges{Recalls: []string{"I", "unknown"}}
	put(t, j, over)
	put(t, j, over)
	states(t, j, "postmortem pending 1m0s")
	put(t, j, again)
	put(t, j, over)
	ds := states(t, j, "postmortem cancelled 1m0s", "postmortem pending 1m0s")
	d := ds[1]
	d.State, d.Message, d.Parts = reporter.DeliverySent, &reporter.Message{}, []reporter.Part{{SentAt: Day, MessageID: "7"}}
	if err := j.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	put(t, j, again)
	put(t, j, over)
	states(t, j, "postmortem cancelled 1m0s", "postmortem sent 1m0s", "postmortem pending 15m0s")
}
