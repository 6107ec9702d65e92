package compose

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestGateLetsOneInAtOnceAndWaitsWithABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := make(gate, 1)
		leave, err := g.enter(t.Context(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.enter(t.Context(), time.Second); !errors.Is(err, reporter.ErrBusy) {
			t.Errorf("a second one: %v, want %v", err, reporter.ErrBusy)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(ctx, time.Second); !errors.Is(err, context.Canceled) {
			t.Errorf("one that left: %v", err)
		}
		time.AfterFunc(500*time.Millisecond, leave)
		leave, err = g.enter(t.Context(), time.Second)
		if err != nil {
			t.Errorf("after the first: %v", err)
		}
		leave()
	})
}

func TestRecentEvaluatesOnceForManyViews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newRecent[string, int](time.Minute, 2, time.Now)
		var count atomic.Int64
		ask := func(ctx context.Context, key string) (int, error) {
			return c.get(ctx, key, func(ctx context.Context) (int, error) {
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock
				return int(count.Add(1)), ctx.Err()
			})
		}
		var wg sync.WaitGroup
		first, leave := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := ask(first, "a"); !errors.Is(err, context.Canceled) {
				t.Errorf("the view that left: %v", err)
			}
		})
		for range 10 {
			wg.Go(func() {
				if v, err := ask(t.Context(), "a"); v != 1 || err != nil {
					t.Errorf("a view: %d, %v", v, err)
				}
			})
		}
		synctest.Wait()
		leave()
		wg.Wait()
		for n, want := range []int{1, 2, 2} {
			if v, err := ask(t.Context(), "a"); v != want || err != nil {
				t.Errorf("%d: %d, %v, want %d", n, v, err, want)
			}
			time.Sleep(time.Duration(59-n) * time.Second) //nolint:forbidigo // the bubble's clock
		}
		for _, key := range []string{"b", "c", "a"} { // "a" had to go for "c"
			if _, err := ask(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
		if n := count.Load(); n != 5 || len(c.results) != 2 || len(c.order) != 2 {
			t.Errorf("%d evaluations and %d results, want 5 and 2", n, len(c.results))
		}
	})
}

func TestRecentKeepsNoErrors(t *testing.T) {
	t.Parallel()
	c := newRecent[string, int](time.Hour, 2, time.Now)
	boom := errors.New("boom")
	if _, err := c.get(t.Context(), "a", func(context.Context) (int, error) { return 0, boom }); !errors.Is(err, boom) {
		t.Error(err)
	}
	_, err := c.get(t.Context(), "a", func(context.Context) (int, error) { panic("poison") })
	if err == nil || errors.Is(err, boom) {
		t.Errorf("a panic: %v", err)
	}
	if v, err := c.get(t.Context(), "a", func(context.Context) (int, error) { return 3, nil }); v != 3 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
}
