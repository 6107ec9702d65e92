package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

var day = storetest.Day

// onBoth runs the test on SQLite and on PostgreSQL: the two are to differ by their names only. Each call of open is
// another process on the same state.
func onBoth(t *testing.T, test func(t *testing.T, open func() *store.Store)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		test(t, func() *store.Store { return storetest.Open(t, dir) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := migrated(t)
		test(t, func() *store.Store { return openPostgres(t, dsn) })
	})
}

var server localstack.SharedPostgres

var databases atomic.Int64

// database makes a new one on the server that all tests share, and returns its DSN.
func database(tb testing.TB) string {
	tb.Helper()
	pg, err := server.Server()
	if err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("state%d", databases.Add(1))
	if err := pg.CreateDatabase(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
	return pg.DSN(name)
}

// template is the name of a database with an empty state, which is made once: its migrations take long.
var template = sync.OnceValues(func() (string, error) {
	pg, err := server.Server()
	if err != nil {
		return "", err
	}
	const name = "state_template"
	if err := pg.CreateDatabase(context.Background(), name); err != nil {
		return "", err
	}
	s, err := store.OpenPostgres(context.Background(), secret.New(pg.DSN(name)), slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	return name, s.Close()
})

// migrated makes a database with an empty state, and returns its DSN.
func migrated(tb testing.TB) string {
	tb.Helper()
	from, err := template()
	if err != nil {
		tb.Fatal(err)
	}
	pg, err := server.Server()
	if err != nil {
		tb.Fatal(err)
	}
	name := fmt.Sprintf("state%d", databases.Add(1))
	if err := pg.CopyDatabase(tb.Context(), from, name); err != nil {
		tb.Fatal(err)
	}
	return pg.DSN(name)
}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func openPostgres(tb testing.TB, dsn string) *store.Store {
	tb.Helper()
	s, err := store.OpenPostgres(tb.Context(), secret.New(dsn), slog.New(slog.DiscardHandler))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func put(tb testing.TB, s *store.Store, ins ...reporter.Incident) {
	tb.Helper()
	if err := s.Update(tb.Context(), reporter.JournalQuery{}, puts(ins...)); err != nil {
		tb.Fatal(err)
	}
}

// puts is an update that looks at nothing.
func puts(ins ...reporter.Incident) func(reporter.JournalView) reporter.JournalChanges {
	return func(reporter.JournalView) reporter.JournalChanges { return reporter.JournalChanges{Incidents: ins} }
}

func incident(id string, start, minutes int) reporter.Incident {
	in := reporter.Incident{
		ID: id, Key: "k", Cluster: "default", GroupKey: "g", Receiver: "r", ExternalURL: "http://am", GroupLabels: map[string]string{"a": "b"},
		State: reporter.IncidentOpen, StartedAt: day.Add(time.Duration(start) * time.Minute), Truncated: 3,
		FirstSeenAt: day, LastSeenAt: day.Add(time.Hour), Notified: true, Sample: true, AlertsTotal: 1,
	}
	a := reporter.Alert{
		Fingerprint: "f", StartsAt: in.StartedAt, Firing: true, Labels: map[string]string{"alert_category": "db", "x": "日本\x00\"'"},
		Annotations: map[string]string{"summary": "s"}, GeneratorURL: "http://p",
	}
	if minutes >= 0 {
		in.State, in.CloseReason, in.EndedAt = reporter.IncidentResolved, reporter.ClosedResolved, in.StartedAt.Add(time.Duration(minutes)*time.Minute)
		a.Firing, a.EndsAt = false, in.EndedAt
		a.SeenAt, a.PresumedAt, a.PresumedWhy = day, day.Add(time.Second), reporter.ClosedReconciled
		a.Resolves = []reporter.Resolve{{EndsAt: in.EndedAt, First: day, Last: day.Add(time.Second)}}
		a.ConfirmedAt, a.DismissedAt, a.Doubtful = day, day.Add(time.Minute), true
		a.Links = []reporter.Link{{Kind: "panel", URL: "http://g"}}
		in.Route, in.LastEnd, in.LastWhy, in.Held, in.LeftOut = "db", in.EndedAt, in.CloseReason, true, true
		in.Folded = []reporter.Folded{{Name: "A", Count: 2, Firing: time.Hour}}
	}
	in.Alerts = []reporter.Alert{a}
	return in
}

func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestIncidentsSurviveARoundTripAndAReopen(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		open1, closed := incident("OPEN", 0, -1), incident("CLOSED", 60, 30)
		put(t, s, open1, closed)
		closed.Alerts = append(closed.Alerts, reporter.Alert{Fingerprint: "z", StartsAt: day.Add(61 * time.Minute), Firing: true})
		put(t, s, closed)
		check := func(s *store.Store) {
			t.Helper()
			for _, want := range []reporter.Incident{open1, closed} {
				got, err := s.Incident(t.Context(), want.ID)
				if err != nil {
					t.Fatal(err)
				}
				same(t, want.ID, want, got)
			}
			all, err := s.Incidents(t.Context(), 1)
			if err != nil || len(all) != 1 || all[0].ID != "CLOSED" {
				t.Errorf("newest: %v, %v", all, err)
			}
			if _, err := s.Incident(t.Context(), "x"); !errors.Is(err, reporter.ErrNotFound) {
				t.Errorf("missing: %v", err)
			}
		}
		check(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		check(open())
	})
}

func TestUpdatesOfPostmortems(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, 30))
		due := func(state reporter.DeliveryState, receiver string) reporter.Delivery {
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, "I", receiver, day)
			d.Key += fmt.Sprint("#", state, receiver)
			if _, err := s.Enqueue(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			all, err := s.Deliveries(t.Context(), 1)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			if d = all[0]; state != reporter.DeliveryPending {
				d.State, d.FinishedAt = state, day
				if err := s.Save(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			return d
		}
		is := func(what string, d reporter.Delivery, want bool) {
			t.Helper()
			if got, err := s.Updates(t.Context(), d); err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", what, got, err, want)
			}
		}
		due(reporter.DeliveryCancelled, "oncall")
		first := due(reporter.DeliverySent, "oncall")
		is("the first that is sent", first, false)
		is("another receiver's", due(reporter.DeliveryPending, "other"), false)
		is("the second", due(reporter.DeliveryPending, "oncall"), true)
	})
}

// Both are a store of the journal as the one in memory of other tests is.
func TestJournal(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		storetest.CheckJournal(t, func(t *testing.T) storetest.Journal { return storetest.Open(t, t.TempDir()) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		storetest.CheckJournal(t, func(t *testing.T) storetest.Journal { return openPostgres(t, migrated(t)) })
	})
}

func TestEarlier(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		other := incident("OTHER", 0, 30)
		other.Key, other.Alerts[0].Fingerprint = "k2", "f2"
		put(t, s, incident("OLD", -10000, 30), incident("RECENT", 0, 30), incident("OPEN", -20000, -1), other)
		earlier, err := s.Earlier(t.Context(), incident("NEW", 1, -1))
		if err != nil {
			t.Fatal(err)
		}
		earlier.MeanResolve, earlier.Resolved = 0, 0 // another test's matter
		same(t, "earlier", reporter.Earlier{Days7: 2, Days30: 3}, earlier)
	})
}

// Of an incident of many alerts, an update reads those that are firing and those it is about, and the oldest ended ones are
// folded.
func TestLargeIncidentsAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		in := incident("LARGE", 0, -1)
		firing := in.Alerts[0]
		for n := range 1500 {
			a := firing
			a.Fingerprint, a.Firing, a.Labels = fmt.Sprint("e", n), false, map[string]string{"alertname": fmt.Sprint("A", n%200), "severity": "info"}
			if n == 3 {
				a.Labels["severity"] = "critical"
			}
			a.StartsAt = day.Add(time.Duration(n) * time.Second)
			a.EndsAt = a.StartsAt.Add(time.Minute)
			in.Alerts = append(in.Alerts, a)
		}
		in.AlertsTotal = len(in.Alerts)
		put(t, s, in)
		q := reporter.JournalQuery{Alerts: []reporter.JournalSince{{Of: "e1499", Since: day}, {Of: "f", Since: day}, {Of: "e0", Since: day}}}
		err := s.Update(t.Context(), q, func(v reporter.JournalView) (c reporter.JournalChanges) {
			if len(v.Incidents) != 1 || len(v.Incidents[0].Alerts) != 2 || !v.Incidents[0].Selected {
				t.Fatalf("saw %+v", v.Incidents)
			}
			return c
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Incident(t.Context(), "LARGE")
		if err != nil {
			t.Fatal(err)
		}
		folded, names := 0, 0
		for _, f := range got.Folded {
			folded += f.Count
			names++
		}
		if len(got.Alerts) != 1002 || folded != 499 || names != 101 || got.AlertsTotal != 1501 || got.Severity() != "critical" {
			t.Errorf("%d alerts, %d folded by %d names, %d in all, %s", len(got.Alerts), folded, names, got.AlertsTotal, got.Severity())
		}
		// So has what is shown of the incident.
		part, err := s.IncidentExtract(t.Context(), "LARGE")
		if err != nil || part.AlertCount() != 1501 || part.Partial == nil || part.Partial.Events != 3001 {
			t.Errorf("%d alerts, %+v, %v", part.AlertCount(), part.Partial, err)
		}
		// Counts of a window have the folded ones.
		for what, want := range map[string][2]float64{ // of all, and of the first 100 seconds
			"alerts": {1501, 101}, "alerts_by_name": {1501, 101}, "alerts_resolved": {1500, 100}, "alerts_converged": {1500, 100},
			"alerts_grouped": {1501, 101},
		} {
			for n, until := range []time.Time{day.Add(24 * time.Hour), day.Add(100 * time.Second)} {
				counts, err := s.Counts(t.Context(), what, day, until)
				if err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for _, c := range counts {
					sum += c.Values["value"]
				}
				if sum != want[n] {
					t.Errorf("%s until %v are %v, want %v", what, until, sum, want[n])
				}
			}
		}
	})
}

// What fires again takes its postmortem back while nothing of it is sent, and gets an update of it later on.
// The update of a postmortem is an answer to the message that it updates.
func TestUpdatesReplyToTheirPostmortem(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		put(t, s, incident("I", 0, 30))
		over := func() reporter.Delivery {
			t.Helper()
			err := s.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
				return reporter.JournalChanges{Postmortems: []reporter.PostmortemDue{{
					Incident: "I", Receivers: []string{"oncall"}, First: day.Add(time.Minute), Update: day.Add(15 * time.Minute),
				}}}
			})
			if err != nil {
				t.Fatal(err)
			}
			ds, err := s.Deliveries(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			return ds[0]
		}
		d := over()
		d.State, d.Message, d.Parts = reporter.DeliverySent, &reporter.Message{}, []reporter.Part{{SentAt: day, MessageID: "7"}}
		if err := s.Save(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if id, err := s.ReplyTo(t.Context(), over()); err != nil || id != "7" {
			t.Errorf("the update replies to message %q, %v", id, err)
		}
	})
}

// A delivery waits from when it is due, not from when it was made: the update of an incident that may fire again is made early. One that
// was tried, or that nothing can be sent of, waits from the beginning.
func TestPendingWaitsFromWhenItIsDue(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		made, now := day.Add(-2*time.Hour), day
		s.SetClock(func() time.Time { return now })
		d := reporter.NewDelivery(reporter.DeliveryPostmortem, "UPDATE", "oncall", made)
		d.NextAttempt = day.Add(time.Minute)
		if _, err := s.Enqueue(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		since := func(when string, want time.Time) {
			t.Helper()
			if pending, oldest, err := s.Pending(t.Context()); err != nil || pending["oncall"] != 1 || !oldest.Equal(want) {
				t.Errorf("%s: %v since %v, %v, want %v", when, pending, oldest, err, want)
			}
		}
		since("before it is due", time.Time{})
		now = day.Add(time.Hour)
		since("an hour later", day.Add(time.Minute))
		d.ID, d.NextAttempt, d.Reason = 1, now.Add(time.Minute), reporter.ReasonUnconfigured
		if err := s.Save(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		since("without a receiver", made)
		d.Reason, d.Attempts = reporter.ReasonNone, 1
		if err := s.Save(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		since("after an attempt", made)
	})
}

func TestDeliveries(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		ctx := t.Context()
		s := open()
		a, b := reporter.NewDelivery(reporter.DeliveryReport, "daily@x", "oncall", day), reporter.NewDelivery(reporter.DeliveryPostmortem, "INC", "oncall", day)
		for round, want := range []int{2, 0} {
			if n, err := s.Enqueue(ctx, a, b); err != nil || n != want {
				t.Fatalf("round %d: %d added, %v", round, n, err)
			}
		}
		due, err := s.Due(ctx, []string{"oncall"}, day, 10)
		if err != nil || len(due) != 2 || due[0].Kind != reporter.DeliveryReport {
			t.Fatalf("due: %v, %v", due, err)
		}
		if due, err := s.Due(ctx, []string{"oncall"}, day.Add(-time.Microsecond), 10); err != nil || len(due) != 0 {
			t.Errorf("a microsecond early: %v, %v", due, err)
		}
		d, err := s.Delivery(ctx, due[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		d.Message = &reporter.Message{Title: "t", HTML: "<b>報告</b>", Summary: "s"}
		d.Parts = []reporter.Part{{HTML: "1", SentAt: day, MessageID: "7"}, {HTML: "2", SendingAt: day, Ambiguous: 1, Interrupted: 2, Plain: true, Document: "d"}}
		d.Attempts, d.LastError, d.NextAttempt = 3, "x", day.Add(time.Hour)
		if err := s.Save(ctx, d); err != nil {
			t.Fatal(err)
		}
		got, err := s.Delivery(ctx, d.ID)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "saved", d, got)
		// One that waits holds no other back.
		c := reporter.NewDelivery(reporter.DeliveryPostmortem, "INC", "other", day)
		if _, err := s.Enqueue(ctx, c); err != nil {
			t.Fatal(err)
		}
		for receiver, want := range map[string]int{"oncall": 1, "other": 1} {
			if due, err := s.Due(ctx, []string{receiver}, day, 10); err != nil || len(due) != want {
				t.Errorf("while one waits: %s: %v, %v", receiver, due, err)
			}
		}
		pending, oldest, err := s.Pending(ctx)
		if err != nil || pending["oncall"] != 2 || pending["other"] != 1 || !oldest.Equal(day) {
			t.Errorf("pending: %v, %v, %v", pending, oldest, err)
		}
		// Cancelled by another process while it is being sent: it stays cancelled, and keeps what was sent.
		if err := s.CancelDelivery(ctx, 2, day); err != nil {
			t.Fatal(err)
		}
		sent, err := s.Delivery(ctx, 2)
		if err != nil {
			t.Fatal(err)
		}
		sent.State, sent.Parts = reporter.DeliverySent, []reporter.Part{{HTML: "x", SentAt: day}}
		if err := s.Save(ctx, sent); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Delivery(ctx, 2); err != nil || got.State != reporter.DeliveryCancelled || len(got.Parts) != 1 {
			t.Errorf("cancelled: %+v, %v", got, err)
		}
		if err := s.CancelDelivery(ctx, 2, day); err == nil {
			t.Error("cancelled twice")
		}
		if err := s.RetryDelivery(ctx, 1, day.Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Delivery(ctx, 1); err != nil || got.State != reporter.DeliveryPending || !got.CreatedAt.Equal(day.Add(48*time.Hour)) || !got.FinishedAt.IsZero() || got.Parts[0].SentAt.IsZero() {
			t.Errorf("retried: %+v, %v", got, err)
		}
		for _, err := range []error{s.Save(ctx, reporter.Delivery{ID: 99}), s.RetryDelivery(ctx, 99, day), s.CancelDelivery(ctx, 99, day)} {
			if !errors.Is(err, reporter.ErrNotFound) {
				t.Errorf("missing: %v", err)
			}
		}
	})
}

func TestADueTimeIsClaimedOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		stores := []*store.Store{open(), open(), open()} // as three processes
		if _, ok, err := stores[0].LastClaim(t.Context(), "daily"); ok || err != nil {
			t.Errorf("a claim before the first: %v, %v", ok, err)
		}
		var mu sync.Mutex
		won := 0
		var wg sync.WaitGroup
		for n := range 30 {
			wg.Go(func() {
				d := reporter.NewDelivery(reporter.DeliveryReport, fmt.Sprintf("daily by %d", n), "oncall", day)
				ok, err := stores[n%3].Claim(t.Context(), "daily", day, []reporter.Delivery{d})
				if err != nil {
					t.Error(err)
				}
				if ok {
					mu.Lock()
					won++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if ds, err := stores[0].Deliveries(t.Context(), 100); err != nil || won != 1 || len(ds) != 1 {
			t.Errorf("%d winners, deliveries %v, %v", won, ds, err)
		}
		if last, ok, err := stores[1].LastClaim(t.Context(), "daily"); !ok || !last.Equal(day) || err != nil {
			t.Errorf("last claim: %v, %v, %v", last, ok, err)
		}
		if ok, err := stores[0].Claim(t.Context(), "weekly", day, nil); !ok || err != nil {
			t.Errorf("another report: %v, %v", ok, err)
		}
	})
}

func TestCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		count := func(what string) string {
			t.Helper()
			rows, err := s.Counts(t.Context(), what, day, day.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			var parts []string
			for _, r := range rows {
				parts = append(parts, fmt.Sprintf("%v%v", r.Labels, r.Values["value"]))
			}
			return strings.Join(parts, " ")
		}
		for what, want := range map[string]string{"alerts": "", "alerts_resolved": "map[]0", "alerts_converged": "map[]0", "alerts_grouped": "map[]0", "incidents_open": "map[]0", "resolution_seconds": "",
			"alerts_by_name": "", "incidents_oldest_open": "", "incidents_resolved": "map[]0"} {
			if got := count(what); got != want {
				t.Errorf("empty journal: %s is %q, want %q", what, got, want)
			}
		}
		group := incident("GROUP", 10, 20)
		group.Alerts = append(group.Alerts,
			reporter.Alert{Fingerprint: "2", StartsAt: day.Add(11 * time.Minute), EndsAt: day.Add(12 * time.Minute), Labels: map[string]string{"category": "net"}},
			reporter.Alert{Fingerprint: "3", StartsAt: day.Add(12 * time.Minute), EndsAt: day.Add(13 * time.Minute)})
		group.Alerts[1].Labels["alertname"] = "NetDown"
		put(t, s, group, incident("BORDER", 0, 10), incident("BEFORE", -1, 0), incident("AT-END", 60, -1), incident("OPEN", 59, -1))
		for what, want := range map[string]string{
			"alerts": "map[category:db]3 map[category:net]1 map[category:uncategorized]1", "alerts_resolved": "map[]4", "alerts_converged": "map[]2",
			"alerts_grouped": "map[]3", "incidents_open": "map[]2", "alerts_by_name": "map[name:]4 map[name:NetDown]1",
			"incidents_oldest_open": fmt.Sprintf("map[]%v", float64(day.Add(59*time.Minute).UnixMicro())/1e6), "incidents_resolved": "map[]2", "resolution_seconds": "map[stat:avg]900 map[stat:p50]900 map[stat:p95]1170",
		} {
			if got := count(what); got != want {
				t.Errorf("%s is %q, want %q", what, got, want)
			}
		}
		if _, err := s.Counts(t.Context(), "nothing", day, day); err == nil {
			t.Error("an unknown count is no error")
		}
	})
}

// What is not ours, or cannot be read, is refused and stays as it was, byte for byte.
func TestForeignAndDamagedFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"not a database": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is a diary\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "cannot be read"},
		"another program's": {func(t *testing.T, path string) { execFile(t, path, "CREATE TABLE diary (entry TEXT)") }, "belongs to another program"},
		"a newer version": {func(t *testing.T, path string) {
			execFile(t, path, "CREATE TABLE x (y INT); PRAGMA application_id = 1096240969; PRAGMA user_version = 99")
		}, "newer version"},
		"damaged": {func(t *testing.T, path string) {
			s := storetest.Open(t, filepath.Dir(path))
			for n := range 200 {
				put(t, s, incident(fmt.Sprintf("I-%d", n), n, 1))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for page := int64(3); page < 20; page++ {
				if _, err := f.WriteAt([]byte(strings.Repeat("\xde\xad", 1500)), page*4096+100); err != nil {
					t.Fatal(err)
				}
			}
		}, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "state.db")
			tc.make(t, path)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			s, err := store.OpenSQLite(t.Context(), dir, slog.New(slog.DiscardHandler))
			if err == nil {
				s.Close()
				t.Fatal("was opened")
			}
			if !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v does not say %q and the path", err, tc.says)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

func execFile(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// A copy of the files while the process writes, as a crash leaves them, has all that was committed.
func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := storetest.Open(t, dir)
	for n := range 50 {
		put(t, s, incident(fmt.Sprintf("I-%d", n), n, 1))
	}
	crashed := t.TempDir()
	for _, name := range []string{"state.db", "state.db-wal"} {
		from, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		to, err := os.Create(filepath.Join(crashed, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, from); err != nil {
			t.Fatal(err)
		}
		from.Close()
		to.Close()
	}
	all, err := storetest.Open(t, crashed).Incidents(t.Context(), 1000)
	if err != nil || len(all) != 50 {
		t.Errorf("%d of 50 incidents, %v", len(all), err)
	}
}

func TestManyWritersAndReaders(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a dir?with#odd%20 name")
	one, two := storetest.Open(t, dir), storetest.Open(t, dir)
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 20 {
				s := []*store.Store{one, two}[i%2]
				err := s.Update(t.Context(), reporter.JournalQuery{}, puts(incident(fmt.Sprintf("I-%d-%d", n, i), i, 1)))
				if err != nil {
					t.Error(err)
				}
				if _, err := s.Incidents(t.Context(), 5); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if all, err := one.Incidents(t.Context(), 1000); err != nil || len(all) != 160 {
		t.Errorf("%d incidents, %v", len(all), err)
	}
	info, err := os.Stat(filepath.Join(dir, "state.db"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := one.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func benchmarkUpdate(b *testing.B, writers int) {
	s := storetest.Open(b, b.TempDir())
	b.SetParallelism(max(1, writers/2))
	var mu sync.Mutex
	n := 0
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			id := fmt.Sprintf("I-%d", n)
			mu.Unlock()
			err := s.Update(context.Background(), reporter.JournalQuery{}, puts(incident(id, n, 1)))
			if err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkUpdate(b *testing.B)     { benchmarkUpdate(b, 1) }
func BenchmarkUpdateBy64(b *testing.B) { benchmarkUpdate(b, 64) }

// Each operation is an update of one alert of one cluster, of 200 that have alerts of the same fingerprints.
func BenchmarkUpdateAmongClusters(b *testing.B) {
	const clusters, alerts = 200, 20
	s := storetest.Open(b, b.TempDir())
	for c := range clusters {
		in := incident(fmt.Sprintf("I-%d", c), c, -1)
		in.Key, in.Cluster, in.AlertsTotal = in.ID, fmt.Sprintf("c%d", c), alerts
		for n := 1; n < alerts; n++ {
			a := in.Alerts[0]
			a.Fingerprint = fmt.Sprint("f", n)
			in.Alerts = append(in.Alerts, a)
		}
		put(b, s, in)
	}
	q := reporter.JournalQuery{Keys: []reporter.JournalSince{{Of: "I-7", Since: day}}}
	for n := range alerts {
		q.Alerts = append(q.Alerts, reporter.JournalSince{Of: fmt.Sprint("f", n), Cluster: "c7", Since: day})
	}
	n := 0
	for b.Loop() {
		err := s.Update(context.Background(), q, func(v reporter.JournalView) reporter.JournalChanges {
			if len(v.Incidents) != 1 {
				b.Errorf("%d incidents, want that of the cluster", len(v.Incidents))
			}
			n++
			v.Incidents[0].LastSeenAt = day.Add(time.Duration(n) * time.Second)
			return reporter.JournalChanges{Incidents: v.Incidents}
		})
		if err != nil {
			b.Error(err)
		}
	}
}
