package store_test

import (
	"context"
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
)

// sender drains as the outbox does, and keeps what it sent and whether two drains of a receiver ever met.
type sender struct {
	mu      sync.Mutex
	sent    map[string][]string // by receiver
	in      map[string]int
	met     bool
	arrived chan string
	hold    chan struct{} // a drain waits for it, if set
	begun   chan struct{} // told when a drain begins to wait
}

func newSender() *sender {
	return &sender{sent: map[string][]string{}, in: map[string]int{}, arrived: make(chan string, 1000), begun: make(chan struct{}, 10)}
}

func (s *sender) drain(st *store.Store) store.Drain {
	return func(ctx context.Context, receiver string) {
		s.mu.Lock()
		s.in[receiver]++
		s.met = s.met || s.in[receiver] > 1
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			s.in[receiver]--
			s.mu.Unlock()
		}()
		due, err := st.Due(ctx, receiver, time.Now(), 100)
		if err != nil || len(due) == 0 {
			return
		}
		if s.hold != nil {
			s.begun <- struct{}{}
			select {
			case <-s.hold:
			case <-ctx.Done():
				return
			}
		}
		for _, d := range due {
			s.mu.Lock()
			s.sent[receiver] = append(s.sent[receiver], d.Subject)
			s.mu.Unlock()
			d.State, d.FinishedAt = reporter.DeliverySent, time.Now()
			if err := st.Save(context.WithoutCancel(ctx), d); err != nil {
				return
			}
			s.arrived <- d.Subject
		}
	}
}

func (s *sender) await(t *testing.T, n int) {
	t.Helper()
	for got := range n {
		select {
		case <-s.arrived:
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of %d were sent", got, n)
		}
	}
}

// work runs the queue until the test or the returned function ends it.
func work(t *testing.T, st *store.Store, drain store.Drain) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- st.Work(ctx, drain) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func TestQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		ctx := t.Context()
		now := time.Now()
		// What was queued before the process began is sent, and what comes later too, in order.
		if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, "early", "oncall", now)); err != nil {
			t.Fatal(err)
		}
		out := newSender()
		stop := work(t, s, out.drain(s))
		out.await(t, 1)
		for n := range 20 {
			if _, err := s.Enqueue(ctx, reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprintf("%02d", n), "oncall", now),
				reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprintf("%02d", n), "other", now)); err != nil {
				t.Fatal(err)
			}
		}
		out.await(t, 40)
		stop()
		for receiver, sent := range out.sent {
			for n := 1; n < len(sent); n++ {
				if receiver == "other" && sent[n] < sent[n-1] {
					t.Errorf("%s: order is %v", receiver, sent)
				}
			}
		}
		if out.met {
			t.Error("two drains of a receiver met")
		}
	})
}

// Replicas share the work: whatever process is drained first holds the receiver, and the others leave it alone until it is
// given back, or its holder is gone.
func TestReplicasTakeTurns(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	one, two := openPostgres(t, dsn), openPostgres(t, dsn)
	out := newSender()
	out.hold = make(chan struct{})
	stopOne, _ := work(t, one, out.drain(one)), work(t, two, out.drain(two))
	for n := range 5 {
		if _, err := one.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryPostmortem, fmt.Sprint(n), "oncall", time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	<-out.begun
	out.mu.Lock()
	out.mu.Unlock() //nolint:staticcheck // a barrier: the drain has counted itself in
	stopOne()       // whoever holds the lease, the other one, or the next turn, ends the work
	close(out.hold)
	out.await(t, 5)
	if out.met {
		t.Error("two replicas drained one receiver at once")
	}
}

func TestStopsAreSharedAndEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s, replica := open(), open()
		ctx := t.Context()
		d := reporter.NewDelivery(reporter.DeliveryPostmortem, "a", "oncall", day)
		d.NextAttempt = day.Add(time.Hour)
		if _, err := s.Enqueue(ctx, d); err != nil {
			t.Fatal(err)
		}
		if err := s.SetStopped(ctx, "oncall", "401", day); err != nil {
			t.Fatal(err)
		}
		got, err := replica.Stopped(ctx)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "stopped", map[string]string{"oncall": "401"}, got)
		if err := replica.SetStopped(ctx, "oncall", "", day); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Stopped(ctx); err != nil || len(got) != 0 {
			t.Errorf("after its end: %v, %v", got, err)
		}
		if due, err := s.Due(ctx, "oncall", day, 10); err != nil || len(due) != 1 {
			t.Errorf("what waited is not due: %v, %v", due, err)
		}
	})
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
		told, open1, late, border := ins[0], ins[1], ins[2], ins[3]
		told.ID, open1.ID, late.ID, border.ID = "pending", "LONG-OPEN", "HEARD-OF-NOW", "BORDER"
		open1.State, open1.EndedAt = reporter.IncidentOpen, time.Time{}
		late.LastSeenAt, border.EndedAt = day, day
		put(t, s, append(ins, told, open1, late, border)...)
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
	one, two := open(t, dir), open(t, dir)
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
		const groups = 12
		webhooks := map[string][][]reporter.AlertEvent{}
		for g := range groups {
			clock := day
			for range 40 {
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
	return open(t, t.TempDir())
}
