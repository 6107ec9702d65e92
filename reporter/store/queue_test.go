package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	journal "github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// What is put into the state wakes the process, and is due in order of urgency and age; what an undone update put is not
// there.
func TestDueDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		ctx := t.Context()
		later := reporter.NewDelivery(reporter.DeliveryPostmortem, "later", "oncall", day)
		later.NextAttempt = day.Add(time.Hour)
		if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, "first", "oncall", day), later,
			reporter.NewDelivery(reporter.DeliveryNotice, "failures", "other", day),
			reporter.NewDelivery(reporter.DeliveryReport, "report", "other", day)); err != nil {
			t.Fatal(err)
		}
		<-s.Wakes()
		if err := s.CancelDelivery(ctx, deliveries(t, s)[0].ID+100, day); err == nil {
			t.Error("a delivery that is not there was cancelled")
		}
		select {
		case <-s.Wakes():
			t.Error("a transaction that was undone wakes the process")
		default:
		}
		due, err := s.Due(ctx, []string{"oncall", "other"}, day, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []reporter.DeliveryKind
		for _, d := range due {
			got = append(got, d.Kind)
		}
		same(t, "due", []reporter.DeliveryKind{reporter.DeliveryReport, reporter.DeliveryNotice, reporter.DeliveryPostmortem}, got)
		work, err := s.DueWork(ctx, day, day)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(work.Due)
		same(t, "receivers", []string{"oncall", "other"}, work.Due)
		if !work.Next.Equal(later.NextAttempt) {
			t.Errorf("the next attempt to come is at %v", work.Next)
		}
		// A notice is not too old before what it is about.
		if ids, err := s.Expired(ctx, []string{"oncall", "other"}, day, day.Add(-time.Hour), 10); err != nil || len(ids) != 3 {
			t.Errorf("expired: %v, %v", ids, err)
		}
	})
}

// A lease is held by one process at a time, and the next one gets it when it is given back.
func TestLeases(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	one, two := openPostgres(t, dsn), openPostgres(t, dsn)
	leased, release, err := one.Lease(t.Context(), "chat")
	if err != nil || leased == nil {
		t.Fatalf("lease: %v, %v", leased, err)
	}
	if other, _, err := two.Lease(t.Context(), "chat"); err != nil || other != nil {
		t.Errorf("two processes hold one lease, %v", err)
	}
	if other, giveBack, err := two.Lease(t.Context(), "another"); err != nil || other == nil {
		t.Errorf("another lease: %v", err)
	} else {
		giveBack()
	}
	release()
	if leased.Err() == nil {
		t.Error("what is given back is still leased")
	}
	if other, giveBack, err := two.Lease(t.Context(), "chat"); err != nil || other == nil {
		t.Errorf("after it was given back: %v", err)
	} else {
		giveBack()
	}
}

// Gates hold for all processes: waits, limits, and who is suspended.
func TestGates(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s, replica := open(), open()
		ctx := t.Context()
		if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, "a", "oncall", day)); err != nil {
			t.Fatal(err)
		}
		d := deliveries(t, s)[0]
		limits := []reporter.Limit{{N: 2, Per: time.Hour}}
		passes := []reporter.Pass{{Key: "chat b", Limits: limits}, {Key: "account a"}}
		for n := range 3 {
			d.Attempts = n + 1
			until, err := []*store.Store{s, replica}[n%2].Begin(ctx, d, passes)
			if err != nil {
				t.Fatal(err)
			}
			if wait := time.Until(until); (n < 2) != until.IsZero() || n == 2 && (wait < 50*time.Minute || wait > time.Hour) {
				t.Errorf("send %d has to wait until %v", n, until)
			}
		}
		if got := deliveries(t, s)[0].Attempts; got != 2 {
			t.Errorf("a send that has to wait was stored: %d attempts", got)
		}
		until := s.Now().Add(time.Hour)
		to := reporter.NoticeTo{Receiver: "backup", After: time.Minute, Apart: time.Hour}
		for n := range 3 {
			closed, err := replica.Suspend(ctx, "receiver oncall", reporter.ReasonReceiver, "chat not found", until, to)
			if err != nil || closed != (n == 0) {
				t.Errorf("suspended %d: %v, %v", n, closed, err)
			}
		}
		d.State, d.FinishedAt, d.Reason = reporter.DeliveryGivenUp, s.Now(), reporter.ReasonReceiver
		if err := s.Fail(ctx, d, to); err != nil {
			t.Fatal(err)
		}
		all := deliveries(t, s)
		if len(all) != 2 || all[0].Kind != reporter.DeliveryNotice || all[0].Receiver != "backup" {
			t.Fatalf("notices: %+v", all)
		}
		f, err := s.Failures(ctx, all[0].ID, 5)
		if err != nil || f.Count != 1 || len(f.Deliveries) != 1 || len(f.Suspended) != 1 || f.Suspended[0].Detail != "chat not found" ||
			f.Suspended[0].Failures != 3 {
			t.Errorf("the notice is about %+v, %v", f, err)
		}
		if err := s.UpdateGate(ctx, "receiver oncall", func(g *reporter.Gate) { g.Reason = "" }); err != nil {
			t.Fatal(err)
		}
		if got, err := replica.Suspended(ctx); err != nil || len(got) != 0 {
			t.Errorf("suspended: %v, %v", got, err)
		}
	})
}

// A notice of a suspension names what waits; that needs no other notice when it fails, and what came later is gathered in one
// that waits, unless a failure of another kind has to be said.
func TestWhatANoticeNamesNeedsNoOther(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		ctx := t.Context()
		enqueue := func(subject, receiver string) reporter.Delivery {
			t.Helper()
			if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, subject, receiver, s.Now())); err != nil {
				t.Fatal(err)
			}
			return deliveries(t, s)[0]
		}
		named, other := enqueue("named", "oncall"), enqueue("other", "elsewhere")
		to := reporter.NoticeTo{Receiver: "backup", After: time.Minute, Apart: time.Hour}
		if _, err := s.Suspend(ctx, "account a", reporter.ReasonAccount, "401", s.Now().Add(time.Hour), to); err != nil {
			t.Fatal(err)
		}
		notice := deliveries(t, s)[0]
		if err := s.BookWaiting(ctx, notice.ID, map[string][]string{"account a": {"oncall", "topic"}, "account b": {"elsewhere"}}); err != nil {
			t.Fatal(err)
		}
		f, err := s.Failures(ctx, notice.ID, 5)
		if err != nil || f.WaitCount != 1 || len(f.Waiting) != 1 || f.Waiting[0].ID != named.ID {
			t.Fatalf("the notice names %+v, %v", f, err)
		}
		notice.State, notice.FinishedAt, notice.Message = reporter.DeliverySent, s.Now(), &reporter.Message{HTML: "x"}
		// Whoever held the delivery meanwhile does not know of the notice.
		if err := errors.Join(s.Save(ctx, notice), s.Save(ctx, named)); err != nil {
			t.Fatal(err)
		}
		fail := func(d reporter.Delivery, why reporter.Reason, suspension time.Duration) (noticeID int64, at time.Time) {
			t.Helper()
			d.State, d.FinishedAt, d.Reason = reporter.DeliveryGivenUp, s.Now(), why
			to := to
			to.Suspension = suspension
			if err := s.Fail(ctx, d, to); err != nil {
				t.Fatal(err)
			}
			stored, err := s.Delivery(ctx, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			n, err := s.Delivery(ctx, stored.NoticeID)
			if err != nil {
				t.Fatal(err)
			}
			return n.ID, n.NextAttempt
		}
		if id, _ := fail(named, reporter.ReasonAccount, 24*time.Hour); id != notice.ID {
			t.Errorf("what was named has the notice %d", id)
		}
		later, at := fail(enqueue("later", "oncall"), reporter.ReasonAccount, 24*time.Hour)
		if later == notice.ID || at.Sub(notice.CreatedAt) < 23*time.Hour {
			t.Errorf("what came later has the notice %d, at %v", later, at)
		}
		if again, _ := fail(enqueue("much later", "oncall"), reporter.ReasonAccount, 24*time.Hour); again != later {
			t.Errorf("two that came later have the notices %d and %d", later, again)
		}
		if id, at := fail(other, reporter.ReasonRefused, 0); id != later || at.Sub(notice.CreatedAt) > 2*time.Hour {
			t.Errorf("a failure of another kind has the notice %d, at %v", id, at)
		}
		if err := s.RetryDelivery(ctx, named.ID, s.Now()); err != nil {
			t.Fatal(err)
		}
		if d, err := s.Delivery(ctx, named.ID); err != nil || d.NoticeID != 0 {
			t.Errorf("what is tried again is named by %d, %v", d.NoticeID, err)
		}
		if id, _ := fail(named, reporter.ReasonAccount, 24*time.Hour); id != later {
			t.Errorf("what was tried again has the notice %d, want %d", id, later)
		}
	})
}

func deliveries(t *testing.T, s *store.Store) []reporter.Delivery {
	t.Helper()
	all, err := s.Deliveries(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPrune(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		ctx := t.Context()
		var ins []reporter.Incident
		for n := range 1200 { // more than one round
			old := incident(fmt.Sprintf("OLD-%d", n), -10000, 1)
			old.LastSeenAt = day.Add(-time.Hour)
			ins = append(ins, old)
		}
		waiting, open1, late, border := ins[0], ins[1], ins[2], ins[3]
		waiting.ID, open1.ID, late.ID, border.ID = "pending", "LONG-OPEN", "HEARD-OF-NOW", "BORDER"
		open1.State, open1.EndedAt = reporter.IncidentOpen, time.Time{}
		late.LastSeenAt, border.EndedAt = day, day
		put(t, s, append(ins, waiting, open1, late, border)...)
		old, pending, recent := reporter.NewDelivery(reporter.DeliveryPostmortem, "old", "r", day), reporter.NewDelivery(reporter.DeliveryPostmortem, "pending", "r", day.Add(-1000*time.Hour)), reporter.NewDelivery(reporter.DeliveryPostmortem, "recent", "r", day)
		old.State, old.FinishedAt = reporter.DeliveryGivenUp, day.Add(-time.Microsecond)
		recent.State, recent.FinishedAt = reporter.DeliverySent, day
		if _, err := s.Enqueue(ctx, old, pending, recent); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			if _, err := s.Claim(ctx, "daily", day.Add(time.Duration(n-5)*24*time.Hour), nil); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Prune(ctx, day)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "pruned", store.Pruned{Incidents: 1200, Deliveries: 1, Claims: 2}, got)
		if last, ok, err := s.LastClaim(ctx, "daily"); err != nil || !ok || !last.Equal(day.Add(-3*24*time.Hour)) {
			t.Errorf("the latest claim: %v, %v, %v", last, ok, err)
		}
		left, err := s.Incidents(ctx, 100)
		if err != nil || len(left) != 4 {
			t.Errorf("%d incidents are left, %v", len(left), err)
		}
	})
}

// Updates at the same time share a commit; a bad one costs only itself.
func TestUpdatesShareACommit(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		var updates sync.WaitGroup
		for n := range 100 {
			updates.Go(func() {
				err := s.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
					if n%5 == 2 {
						panic("x")
					}
					in := incident(fmt.Sprintf("I-%02d", n), n, 1)
					return reporter.JournalChanges{
						Incidents:  []reporter.Incident{in},
						Deliveries: []reporter.Delivery{reporter.NewDelivery(reporter.DeliveryFiring, in.ID, "oncall", day)},
					}
				})
				if bad := n%5 == 2; (err != nil) != bad {
					t.Errorf("update %d: %v", n, err)
				}
			})
		}
		updates.Wait()
		if all, err := s.Incidents(t.Context(), 1000); err != nil || len(all) != 80 {
			t.Errorf("%d of 80 incidents, %v", len(all), err)
		}
		if ds, err := s.Deliveries(t.Context(), 1000); err != nil || len(ds) != 80 {
			t.Errorf("%d of 80 deliveries, %v", len(ds), err)
		}
		// A caller who gives up while he waits has nothing kept.
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Update(gone, reporter.JournalQuery{}, puts()); err == nil {
			t.Error("an update of a caller who has gone is no error")
		}
	})
}

func TestOneProcessRunsOnAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := storetest.Open(t, dir), storetest.Open(t, dir)
	if err := one.Exclusive(dir); err != nil {
		t.Fatal(err)
	}
	if err := two.Exclusive(dir); err == nil {
		t.Error("two processes run on one file")
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := two.Exclusive(dir); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

// Updates that share a commit, and what is read ahead for it, see what those before them have put: not one is lost.
func TestUpdatesOfOneKeySeeEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		const keys, each = 5, 40
		var updates sync.WaitGroup
		for n := range keys * each {
			key := fmt.Sprint("k", n%keys)
			q := reporter.JournalQuery{Keys: []reporter.JournalSince{
				{Of: key, Since: day.Add(-time.Hour)}, {Of: fmt.Sprint("k", (n+1)%keys), Since: day},
			}}
			updates.Go(func() {
				err := s.Update(t.Context(), q, func(v reporter.JournalView) reporter.JournalChanges {
					in := incident("I-"+key, 0, -1)
					in.Key, in.Alerts = key, nil
					for _, have := range v.Incidents {
						if have.Key == key {
							in = have
						}
					}
					a := incident("", 0, -1).Alerts[0]
					a.Fingerprint = fmt.Sprint(n)
					in.Alerts = append(slices.Clone(in.Alerts), a)
					return reporter.JournalChanges{Incidents: []reporter.Incident{in}}
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		updates.Wait()
		all, err := s.Incidents(t.Context(), 100)
		if err != nil || len(all) != keys {
			t.Fatalf("%d incidents, %v", len(all), err)
		}
		for _, in := range all {
			if len(in.Alerts) != each {
				t.Errorf("%s has %d of %d alerts", in.ID, len(in.Alerts), each)
			}
		}
	})
}

// Webhooks that share commits end in the same incidents as when each is applied by itself. Each alert's are in order, and the
// groups are mixed.
func TestSharedCommitsGiveTheSameIncidents(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s, alone := open(), openSQLiteAlone(t)
		rng := rand.New(rand.NewPCG(4, 2))
		const groups = 8
		webhooks := map[string][][]reporter.AlertEvent{}
		for g := range groups {
			clock := day
			for range 20 {
				clock = clock.Add(time.Duration(1+rng.IntN(20)) * time.Minute)
				group := fmt.Sprint("g", g)
				e := reporter.AlertEvent{
					GroupKey: group, Receiver: "r", Fingerprint: fmt.Sprint(g, "-", rng.IntN(3)), StartsAt: clock, Firing: rng.IntN(3) == 0,
					ReceivedAt: clock.Add(13 * time.Minute), Labels: map[string]string{"alertname": "A"},
				}
				if !e.Firing {
					e.EndsAt = clock.Add(time.Duration(1+rng.IntN(12)) * time.Minute)
				}
				webhooks[group] = append(webhooks[group], []reporter.AlertEvent{e})
			}
		}
		on := func(s *store.Store) *journal.Journal {
			cfg := journal.Config{By: journal.ByGroup, MinDuration: 10 * time.Minute, ReopenWithin: 3 * time.Minute, Receivers: []string{"oncall"}}
			return journal.New(cfg, s, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		}
		one, many := on(alone), on(s)
		var posts sync.WaitGroup
		for _, list := range webhooks {
			for _, events := range list {
				if err := one.Accept(t.Context(), events); err != nil {
					t.Fatal(err)
				}
			}
			posts.Go(func() {
				for _, events := range list {
					if err := many.Accept(t.Context(), events); err != nil {
						t.Error(err)
					}
				}
			})
		}
		posts.Wait()
		stored := func(s *store.Store) (out []string) {
			all, err := s.Incidents(t.Context(), 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range all {
				out = append(out, fmt.Sprint(in.ID, " ", in.State, " ", in.StartedAt, " ", in.EndedAt, " ", len(in.Alerts)))
			}
			slices.Sort(out)
			return out
		}
		want := stored(alone)
		if len(want) < 2*groups {
			t.Fatalf("only %d incidents, so little is shown", len(want))
		}
		same(t, "incidents", want, stored(s))
	})
}

func openSQLiteAlone(t *testing.T) *store.Store {
	t.Helper()
	return storetest.Open(t, t.TempDir())
}
