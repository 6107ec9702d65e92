package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// database makes an empty database in a PostgreSQL of its own, and returns its DSN.
func database(t *testing.T) string {
	t.Helper()
	pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Stop() })
	if err := pg.CreateDatabase(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	return pg.DSN("state")
}

// Two replicas that share a PostgreSQL send to the topics of one group as fast as the group's limit allows, and no faster, in any order,
// also if one of them stops in between.
func TestReplicasShareTheLimitOfAGroup(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	synctest.Test(t, func(t *testing.T) {
		limits := []reporter.Limit{{Account: true, N: 28, Per: time.Second}, {N: 1, Per: time.Second}, {N: 20, Per: time.Minute}}
		var ds []reporter.Delivery
		for n := range *groupMessages {
			ds = append(ds, pending(fmt.Sprint(n), fmt.Sprint("topic", n%3)))
		}
		var replicas sync.WaitGroup
		var chats [2][]*chat
		var stops [2]func()
		start := time.Now()
		for n := range 2 {
			s, err := store.OpenPostgres(t.Context(), secret.New(dsn), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.SetClock(time.Now) // the bubble's
			if n == 0 {
				if _, err := s.Enqueue(t.Context(), ds...); err != nil {
					t.Fatal(err)
				}
			}
			topics := map[string]outbox.Channel{}
			for topic := range 3 {
				c := &chat{address: "-100", limits: limits}
				topics[fmt.Sprint("topic", topic)], chats[n] = c, append(chats[n], c)
			}
			ctx, stop := context.WithCancel(t.Context())
			stops[n] = stop
			o := outbox.New(s, compose(subject), topics, outbox.Config{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			replicas.Go(func() {
				if err := o.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		for _, stop := range stops {
			time.Sleep(time.Duration(*groupMessages/40+1) * time.Minute) //nolint:forbidigo // the bubble's clock, which does not wait
			stop()
		}
		replicas.Wait()
		var at []time.Time
		for n := range chats {
			sent := 0
			for _, c := range chats[n] {
				sent, at = sent+len(c.at), append(at, c.at...)
			}
			t.Logf("replica %d sent %d", n, sent)
		}
		slices.SortFunc(at, time.Time.Compare)
		judge(t, at, start, *groupMessages)
	})
}

// The sends and edits of two replicas together stay within the limits of the chat, and each message shows the end of its incident, edited
// once for each state, also if the replica that edits stops in between.
func TestReplicasShareEdits(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	synctest.Test(t, func(t *testing.T) {
		const incidents = 15
		c := &editable{chat: chat{limits: []reporter.Limit{{Account: true, N: 28, Per: time.Second}, {N: 1, Per: time.Second}, {N: 20, Per: time.Minute}}}}
		var ids []string
		for n := range incidents {
			ids = append(ids, fmt.Sprint("I", n))
		}
		var replicas sync.WaitGroup
		var states [2]*store.Store
		var stops [2]func()
		for n := range states {
			s, err := store.OpenPostgres(t.Context(), secret.New(dsn), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.SetClock(time.Now) // the bubble's
			ctx, stop := context.WithCancel(t.Context())
			states[n], stops[n] = s, stop
			o := outbox.New(s, live{store: s}, map[string]outbox.Channel{"oncall": c}, outbox.Config{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			replicas.Go(func() {
				if err := o.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wait := func(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's clock, which does not wait
		put(t, states[0], reporter.IncidentOpen, "oncall", ids...)
		wait(2 * time.Minute)
		for n, id := range ids {
			acknowledge(t, states[n%2], id)
		}
		wait(20 * time.Second) // some are edited
		stops[0]()
		wait(2 * time.Minute)
		put(t, states[1], reporter.IncidentResolved, "oncall", ids...)
		wait(5 * time.Minute)
		stops[1]()
		replicas.Wait()

		calls := append(slices.Clone(c.at), c.when...)
		slices.SortFunc(calls, time.Time.Compare)
		for n, at := range calls {
			if n > 0 && at.Sub(calls[n-1]) < time.Second || n >= 20 && at.Sub(calls[n-20]) < time.Minute {
				t.Errorf("call %d is too early", n)
			}
		}
		if len(c.at) != incidents || len(c.when) != 2*incidents {
			t.Errorf("%d sends and %d edits of %d incidents, want one and two of each", len(c.at), len(c.when), incidents)
		}
		for _, d := range all(t, states[1]) {
			if got := c.shows[d.Parts[0].MessageID]; got != d.Subject+" resolved by Alice [page]" {
				t.Errorf("%s shows %q", d.Subject, got)
			}
		}
		if left := edits(t, states[1], "oncall"); len(left) > 0 {
			t.Errorf("%d edits are left: %+v", len(left), left[0])
		}
	})
}

// judge checks that sends to one group are within its limits, 1 a second and 20 a minute, and not slower than that.
func judge(t *testing.T, at []time.Time, start time.Time, want int) {
	t.Helper()
	if len(at) != want {
		t.Fatalf("%d of %d were sent", len(at), want)
	}
	for n := range at {
		if n > 0 && at[n].Sub(at[n-1]) < time.Second {
			t.Errorf("two sends within %v", at[n].Sub(at[n-1]))
		}
		if n >= 20 && at[n].Sub(at[n-20]) < time.Minute {
			t.Errorf("21 sends to a group within %v", at[n].Sub(at[n-20]))
		}
	}
	minutes := (len(at) - 1) / 20
	took := at[len(at)-1].Sub(start)
	t.Logf("%d messages took %v: %.1f a minute", want, took, float64(want)/took.Minutes())
	if took > time.Duration(minutes)*time.Minute+25*time.Second {
		t.Errorf("%d messages took %v", len(at), took)
	}
}
