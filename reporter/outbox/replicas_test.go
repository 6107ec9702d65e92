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

// Two replicas that share a PostgreSQL send to the topics of one group as fast as the group's limit allows, and no faster,
// however they take turns, and when one of them stops halfway.
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

// judge checks sends to one group against its limits: 1 a second, 20 a minute, and not slower than that.
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
