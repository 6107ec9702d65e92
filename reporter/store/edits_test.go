package store_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// due returns the edits of a receiver at a time after now, as "SUBJECT vVERSION".
func due(t *testing.T, s *store.Store, after time.Duration) (out []string) {
	t.Helper()
	list, err := s.DueEdits(t.Context(), []string{"r", "q"}, s.Now().Add(after), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		d, err := s.Delivery(t.Context(), e.Delivery)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(d.Kind)+" "+d.Subject+" v"+strconv.FormatInt(e.Version, 10))
	}
	slices.Sort(out)
	return out
}

// send makes the deliveries of that kind and subject sent ones.
func send(t *testing.T, s *store.Store, state reporter.DeliveryState, kind reporter.DeliveryKind, subject string) (last reporter.Delivery) {
	t.Helper()
	all, err := s.Deliveries(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if d.Kind == kind && d.Subject == subject && d.State == reporter.DeliveryPending {
			d.State, d.FinishedAt = state, s.Now()
			d.Parts = []reporter.Part{{HTML: "x", MessageID: "1", SentAt: s.Now(), Chat: "chat"}}
			if err := s.Save(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			last = d
		}
	}
	return last
}

// Messages wait for one edit each, whatever has changed of their incident, in the transaction of the change; those that show nothing of
// it do not.
func TestChangesTouchMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		in := incident("I", 0, -1)
		put(t, s, in, incident("J", 0, -1))
		for _, d := range []reporter.Delivery{
			reporter.NewDelivery(reporter.DeliveryFiring, "I", "r", s.Now()), reporter.NewDelivery(reporter.DeliveryFiring, "J", "r", s.Now()),
			reporter.NewDelivery(reporter.DeliveryPostmortem, "I", "r", s.Now()), reporter.NewDelivery(reporter.DeliveryPostmortem, "I", "q", s.Now()),
			reporter.NewDelivery(reporter.DeliveryFiring, "I", "q", s.Now()),
		} {
			if _, err := s.Enqueue(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		send(t, s, reporter.DeliverySent, reporter.DeliveryFiring, "I")
		change := func(ins ...reporter.Incident) {
			t.Helper()
			var q reporter.JournalQuery
			for _, in := range ins {
				q.Incidents = append(q.Incidents, in.ID)
			}
			if err := s.Update(t.Context(), q, puts(ins...)); err != nil {
				t.Fatal(err)
			}
		}
		expect := func(what string, after time.Duration, want ...string) {
			t.Helper()
			if got := due(t, s, after); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		in.LastSeenAt = in.LastSeenAt.Add(time.Minute)
		change(in)
		expect("a repeat", time.Hour)
		second := in.Alerts[0]
		second.Fingerprint = "g"
		in.Alerts, in.AlertsTotal = append(in.Alerts, second), 2
		change(in)
		expect("one more alert", 0)
		expect("one more alert, a while later", time.Minute, "firing I v1", "firing I v1")
		in.State = reporter.IncidentChronic
		change(in, incident("J", 0, 5))
		expect("a state", 0, "firing I v2", "firing I v2")
		if _, _, err := s.Acknowledge(t.Context(), "I", reporter.Person{Name: "Alice"}, reporter.MessageRef{}); err != nil {
			t.Fatal(err)
		}
		expect("an acknowledgement", 0, "firing I v3", "firing I v3")
		if _, err := s.Write(t.Context(), written(reporter.EntryCause, "the disk", 0)); err != nil {
			t.Fatal(err)
		}
		expect("a section of a postmortem that is not sent", 0, "firing I v3", "firing I v3")
		send(t, s, reporter.DeliverySent, reporter.DeliveryPostmortem, "I")
		expect("a section of a postmortem", 0, "firing I v3", "firing I v3", "postmortem I v1", "postmortem I v1")
		send(t, s, reporter.DeliveryCancelled, reporter.DeliveryFiring, "J")
		expect("a notice that is not sent", 0, "firing I v3", "firing I v3", "firing J v1", "postmortem I v1", "postmortem I v1")
	})
}

// An edit ends what it shows, and nothing newer; the messages of an incident go with it.
func TestEdits(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, -1))
		if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryFiring, "I", "r", s.Now())); err != nil {
			t.Fatal(err)
		}
		d := send(t, s, reporter.DeliverySent, reporter.DeliveryFiring, "I")
		touch := func() reporter.Edit {
			t.Helper()
			for _, act := range []func() error{
				func() error {
					_, _, err := s.Acknowledge(t.Context(), "I", reporter.Person{Name: "Alice"}, reporter.MessageRef{})
					return err
				},
				func() error {
					_, _, err := s.Release(t.Context(), "I", reporter.Person{Name: "Alice"}, reporter.MessageRef{})
					return err
				},
			} {
				if err := act(); err != nil {
					t.Fatal(err)
				}
			}
			list, err := s.DueEdits(t.Context(), []string{"r"}, s.Now().Add(time.Hour), 10)
			if err != nil || len(list) != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			return list[0]
		}
		passes := []reporter.Pass{{Key: "chat", Limits: []reporter.Limit{{N: 4, Per: time.Hour}}, Yields: true}}
		e := touch()
		for n, want := range []bool{true, true, true, false} { // A quarter is left to what is more urgent.
			until, current, err := s.BeginEdit(t.Context(), e, d, passes)
			if err != nil || !current || until.IsZero() != want {
				t.Errorf("edit %d: %v, %v, %v", n, until, current, err)
			}
		}
		passes[0].Yields = false
		if until, err := s.Begin(t.Context(), d, passes); err != nil || !until.IsZero() {
			t.Errorf("a send after the edits waits until %v, %v", until, err)
		}
		newer := touch()
		if _, current, err := s.BeginEdit(t.Context(), e, d, nil); current || err != nil {
			t.Errorf("an edit of what is not newest begins: %v", err)
		}
		newer.Attempts, newer.NextAttempt = 3, s.Now().Add(time.Minute)
		if err := s.SaveEdit(t.Context(), newer); err != nil {
			t.Fatal(err)
		}
		if again := touch(); again.NextAttempt.Before(s.Now()) { // One that fails is not tried at each change.
			t.Errorf("a change makes an edit due that waits: %+v", again)
		}
		d.Parts[0].HTML = "y"
		if err := s.EndEdit(t.Context(), e, d, false, passes); err != nil {
			t.Fatal(err)
		}
		if got := due(t, s, time.Hour); len(got) != 1 {
			t.Errorf("a newer edit ended with an older one: %q", got)
		}
		newest := touch()
		if newest.Attempts != 0 || newest.CreatedAt.Before(e.CreatedAt) {
			t.Errorf("after an edit: %+v", newest)
		}
		if err := s.EndEdit(t.Context(), newest, d, false, nil); err != nil || len(due(t, s, time.Hour)) != 0 {
			t.Errorf("left %q, %v", due(t, s, time.Hour), err)
		}
		if stored, err := s.Delivery(t.Context(), d.ID); err != nil || stored.Parts[0].HTML != "y" {
			t.Errorf("stored %+v, %v", stored, err)
		}
		for n, want := range []bool{true, false} {
			replaced, err := s.ReplaceMessage(t.Context(), touch())
			if stored, e := s.Delivery(t.Context(), d.ID); replaced != want || err != nil || e != nil ||
				stored.Replaced != true || (stored.State == reporter.DeliveryPending) != want || (stored.Parts == nil) != want {
				t.Errorf("replaced %v for time %d, %v: %+v", replaced, n, err, stored)
			}
			send(t, s, reporter.DeliverySent, reporter.DeliveryFiring, "I")
		}
	})
}

// A message that went out with others is edited as one with them, also where the edit was there first.
func TestEditsOfDigests(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, -1), incident("J", 0, -1))
		for _, id := range []string{"I", "J"} {
			if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryFiring, id, "r", s.Now())); err != nil {
				t.Fatal(err)
			}
		}
		acknowledge := func(id string) {
			t.Helper()
			if _, _, err := s.Acknowledge(t.Context(), id, reporter.Person{Name: "Alice"}, reporter.MessageRef{}); err != nil {
				t.Fatal(err)
			}
		}
		acknowledge("I")
		if n, err := s.Merge(t.Context(), "r", reporter.DeliveryFiring, reporter.DeliveryFiringDigest, s.Now().Add(time.Second), 2); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		acknowledge("J")
		all, err := s.Deliveries(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		send(t, s, reporter.DeliverySent, reporter.DeliveryFiringDigest, all[0].Subject)
		list, err := s.DueEdits(t.Context(), []string{"r"}, s.Now().Add(time.Hour), 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, e := range list {
			d, err := s.Delivery(t.Context(), e.Delivery)
			if err == nil && d.MergedInto != 0 {
				err = s.RedirectEdit(t.Context(), e, d.MergedInto)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := due(t, s, time.Hour); len(got) != 1 || got[0] != "firing_digest "+all[0].Subject+" v2" {
			t.Errorf("edits %q", got)
		}
	})
}
