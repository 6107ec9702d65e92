package compose

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// gate lets a bounded number of costly works run at once, over the whole process.
type gate chan struct{}

// enter waits for its turn, at most so long: then the error wraps reporter.ErrBusy. A work that entered calls leave.
func (g gate) enter(ctx context.Context, patience time.Duration) (leave func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-timer.C:
		return nil, fmt.Errorf("no turn within %v: %w", patience, reporter.ErrBusy)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recent keeps the last results, so that views of a page within a short time share one evaluation. Errors are shared by
// those that wait for the same result, and not kept.
type recent[K comparable, V any] struct {
	keep time.Duration
	most int
	now  func() time.Time

	mu      sync.Mutex
	results map[K]*result[V]
	order   []K // oldest first
}

type result[V any] struct {
	done  chan struct{}
	at    time.Time
	value V
	err   error
}

func newRecent[K comparable, V any](keep time.Duration, most int, now func() time.Time) *recent[K, V] {
	return &recent[K, V]{keep: keep, most: most, now: now, results: map[K]*result[V]{}}
}

// get returns the recent result of that key, and evaluates it where there is none. The evaluation goes on for others when
// its caller has left.
func (c *recent[K, V]) get(ctx context.Context, key K, evaluate func(context.Context) (V, error)) (V, error) {
	c.mu.Lock()
	r, ok := c.results[key]
	if !ok || c.now().Sub(r.at) >= c.keep {
		r = &result[V]{done: make(chan struct{}), at: c.now()}
		if !ok {
			c.order = append(c.order, key)
		}
		c.results[key] = r
		if len(c.order) > c.most {
			delete(c.results, c.order[0])
			c.order = c.order[1:]
		}
		go c.evaluate(context.WithoutCancel(ctx), key, r, evaluate)
	}
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (c *recent[K, V]) evaluate(ctx context.Context, key K, r *result[V], evaluate func(context.Context) (V, error)) {
	defer close(r.done)
	func() {
		defer func() {
			if p := recover(); p != nil { // A page that fails ends with an error, as in a handler of net/http.
				r.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		r.value, r.err = evaluate(ctx)
	}()
	if r.err == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results[key] == r {
		r.at = time.Time{} // the next one evaluates again
	}
}
