package report_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// fakeClaims is a table with a unique key on (report, due).
type fakeClaims struct {
	mu    sync.Mutex
	last  map[string]time.Time
	rows  map[string][]reporter.Delivery
	sent  []string    // subjects, with the time of claiming
	fails int         // so many calls from now on fail
	tries []time.Time // times of calls of Claim
}

func newClaims() *fakeClaims {
	return &fakeClaims{last: map[string]time.Time{}, rows: map[string][]reporter.Delivery{}}
}

var errStore = errors.New("store is down")

func (c *fakeClaims) fail() bool {
	c.fails--
	return c.fails >= 0
}

func (c *fakeClaims) Claim(_ context.Context, name string, due time.Time, ds []reporter.Delivery) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries = append(c.tries, time.Now())
	if c.fail() {
		return false, errStore
	}
	key := reporter.Subject{Report: name, Due: due}.String()
	if _, ok := c.rows[key]; ok {
		return false, nil
	}
	c.rows[key] = ds
	if due.After(c.last[name]) {
		c.last[name] = due
	}
	for _, d := range ds {
		mark := ""
		if d.Reason == reporter.ReasonMissed {
			mark = "not sent: "
		}
		c.sent = append(c.sent, mark+d.Subject+" to "+d.Receiver+" at "+d.CreatedAt.Format(time.RFC3339))
	}
	return true, nil
}

func (c *fakeClaims) LastClaim(_ context.Context, name string) (time.Time, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail() {
		return time.Time{}, false, errStore
	}
	last, ok := c.last[name]
	return last, ok, nil
}

func (c *fakeClaims) wantSent(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func definition(t *testing.T, name, expr string) report.Definition {
	t.Helper()
	return report.Definition{
		Name: name, Schedule: expr, Zone: zone(t, "Asia/Taipei"), CatchUp: 12 * time.Hour, Receivers: []string{"sre"},
		Figures: []report.FigureDefinition{{Name: "alerts", Expr: "x"}},
	}
}

// start runs a scheduler until the returned function is called.
func start(t *testing.T, c report.Claims, now func() time.Time, ds ...report.Definition) (*report.Scheduler, func()) {
	t.Helper()
	s, err := report.NewScheduler(report.SchedulerConfig{Claims: c, Definitions: ds, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	synctest.Wait()
	return s, func() {
		cancel()
		<-done
	}
}

// pass lets time go by in the bubble.
func pass(d time.Duration) { <-time.After(d) }

// The bubble's clock begins at 2000-01-01 00:00 UTC, which is 08:00 in Taipei; the tests begin an hour later.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pass(time.Hour)
		f(t)
	})
}

const (
	first  = "daily@2000-01-02T00:00:00Z to sre at 2000-01-02T00:00:00Z"
	second = "daily@2000-01-03T00:00:00Z to sre at 2000-01-03T00:00:00Z"
)

func TestReportIsDueAtEightInTaipei(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
		defer stop()
		pass(23*time.Hour - time.Nanosecond)
		c.wantSent(t)
		pass(time.Nanosecond)
		c.wantSent(t, first)
		pass(24 * time.Hour)
		c.wantSent(t, first, second)
	})
}

func TestFirstStartEverHasMissedNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"), definition(t, "yearly", "0 8 1 7 *"))
		c.wantSent(t)
		stop()
		// A due time missed after the first start is caught up, even if no report was ever sent.
		pass(25 * time.Hour)
		_, stop = start(t, c, nil, definition(t, "daily", "0 8 * * *"), definition(t, "yearly", "0 8 1 7 *"))
		defer stop()
		c.wantSent(t, "daily@2000-01-02T00:00:00Z to sre at 2000-01-02T02:00:00Z")
	})
}

func TestDowntime(t *testing.T) {
	tests := map[string]struct {
		down time.Duration
		want []string
	}{
		"no due time missed":           {22 * time.Hour, nil},
		"an hour late":                 {24 * time.Hour, []string{"daily@2000-01-02T00:00:00Z to sre at 2000-01-02T01:00:00Z"}},
		"exactly the catch-up late":    {35 * time.Hour, []string{"daily@2000-01-02T00:00:00Z to sre at 2000-01-02T12:00:00Z"}},
		"later than the catch-up":      {35*time.Hour + time.Second, []string{"not sent: daily@2000-01-02T00:00:00Z to sre at 2000-01-02T12:00:01Z"}},
		"only the latest of three":     {72 * time.Hour, []string{"daily@2000-01-04T00:00:00Z to sre at 2000-01-04T01:00:00Z"}},
		"the latest of three too late": {86 * time.Hour, []string{"not sent: daily@2000-01-04T00:00:00Z to sre at 2000-01-04T15:00:00Z"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newClaims()
				_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
				stop()
				pass(tt.down)
				_, stop = start(t, c, nil, definition(t, "daily", "0 8 * * *"))
				defer stop()
				c.wantSent(t, tt.want...)
			})
		})
	}
}

func TestManySchedulersSendOneReport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		for range 3 {
			_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
			defer stop()
		}
		pass(47 * time.Hour)
		c.wantSent(t, first, second)
	})
}

func TestStoreThatIsDownIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		c.fails = 2
		_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
		defer stop()
		pass(22 * time.Hour)
		synctest.Wait()
		c.mu.Lock()
		c.fails, c.tries = 3, nil
		c.mu.Unlock()
		pass(2 * time.Hour)
		c.wantSent(t, "daily@2000-01-02T00:00:00Z to sre at 2000-01-02T00:00:30Z")
		if len(c.tries) != 4 || c.tries[3].Sub(c.tries[0]) != 30*time.Second {
			t.Errorf("claims were tried at %v, want every ten seconds", c.tries)
		}
	})
}

func TestNoCatchUpStillOutlivesARetry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		d := definition(t, "daily", "0 8 * * *")
		d.CatchUp = 0
		_, stop := start(t, c, nil, d)
		pass(22 * time.Hour)
		synctest.Wait()
		c.mu.Lock()
		c.fails = 1
		c.mu.Unlock()
		pass(2 * time.Hour)
		stop()
		pass(24 * time.Hour)
		_, stop = start(t, c, nil, d)
		defer stop()
		c.wantSent(t, "daily@2000-01-02T00:00:00Z to sre at 2000-01-02T00:00:10Z",
			"not sent: daily@2000-01-03T00:00:00Z to sre at 2000-01-03T01:00:00Z")
	})
}

func TestClockJumps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		var jump atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		_, stop := start(t, c, now, definition(t, "daily", "0 8 * * *"))
		defer stop()
		pass(time.Hour + 30*time.Second)
		jump.Store(int64(22 * time.Hour)) // from 02:00:30 UTC to 00:00:30 UTC of the next day
		pass(time.Minute)
		want := []string{"daily@2000-01-02T00:00:00Z to sre at 2000-01-02T00:01:00Z"}
		c.wantSent(t, want...)
		jump.Store(0) // and back: the report of that day was sent already
		pass(23 * time.Hour)
		c.wantSent(t, want...)
		pass(24 * time.Hour)
		c.wantSent(t, append(want, second)...)
	})
}

func TestClaimsOfAClockThatWasYearsFast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		c.last["daily"] = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		_, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
		defer stop()
		pass(24 * time.Hour)
		c.wantSent(t, first)
	})
}

func TestReload(t *testing.T) {
	to := func(d report.Definition, receiver string) report.Definition {
		d.Receivers = []string{receiver}
		return d
	}
	tests := map[string]struct {
		after time.Duration // from 09:00 in Taipei
		d     func(d report.Definition) report.Definition
		fails int // of the store, from just before the due time
		want  []string
	}{
		"other receiver before the due time": {22 * time.Hour, func(d report.Definition) report.Definition { return to(d, "ops") }, 0,
			[]string{"daily@2000-01-02T00:00:00Z to ops at 2000-01-02T00:00:00Z", "daily@2000-01-03T00:00:00Z to ops at 2000-01-03T00:00:00Z"}},
		"other receiver after it": {24 * time.Hour, func(d report.Definition) report.Definition { return to(d, "ops") }, 0,
			[]string{first, "daily@2000-01-03T00:00:00Z to ops at 2000-01-03T00:00:00Z"}},
		"moved to an hour that is over today": {26 * time.Hour, func(d report.Definition) report.Definition {
			d.Schedule = "0 9 * * *"
			return d
		}, 0, []string{first, "daily@2000-01-03T01:00:00Z to sre at 2000-01-03T01:00:00Z"}},
		"changed while the due time waits for the store": {23*time.Hour + 5*time.Second, func(d report.Definition) report.Definition {
			d.Schedule = "0 8 * * 0-6"
			return d
		}, 1, []string{"daily@2000-01-02T00:00:00Z to sre at 2000-01-02T00:00:05Z", second}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newClaims()
				d := definition(t, "daily", "0 8 * * *")
				s, stop := start(t, c, nil, d)
				defer stop()
				pass(21 * time.Hour)
				synctest.Wait()
				c.mu.Lock()
				c.fails = tt.fails
				c.mu.Unlock()
				pass(tt.after - 21*time.Hour)
				if err := s.SetDefinitions([]report.Definition{tt.d(d)}); err != nil {
					t.Fatal(err)
				}
				pass(50*time.Hour - tt.after)
				c.wantSent(t, tt.want...)
			})
		})
	}
}

// One report is sent, whether the reload or the due time comes first.
func TestReloadAtTheDueTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		d := definition(t, "daily", "0 8 * * *")
		s, stop := start(t, c, nil, d)
		defer stop()
		pass(23 * time.Hour)
		if err := s.SetDefinitions([]report.Definition{d}); err != nil {
			t.Fatal(err)
		}
		c.wantSent(t, first)
	})
}

func TestReloadThatAddsAndRemovesReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newClaims()
		s, stop := start(t, c, nil, definition(t, "daily", "0 8 * * *"))
		defer stop()
		pass(30 * time.Minute)
		if err := s.SetDefinitions([]report.Definition{definition(t, "noon", "0 12 * * *")}); err != nil {
			t.Fatal(err)
		}
		pass(24 * time.Hour)
		c.wantSent(t, "noon@2000-01-01T04:00:00Z to sre at 2000-01-01T04:00:00Z")
		if err := s.SetDefinitions([]report.Definition{definition(t, "bad", "0 25 * * *")}); err == nil {
			t.Error("a bad schedule was taken")
		}
		if err := s.SetDefinitions([]report.Definition{definition(t, "a", "0 8 * * *"), definition(t, "a", "0 9 * * *")}); err == nil {
			t.Error("two reports of one name were taken")
		}
	})
}
