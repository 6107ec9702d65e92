package compose

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// gate limits how many expensive operations run at once in this process.
type gate chan struct{}

// enter waits until the operation may run, and returns the function that ends it. After patience the error wraps reporter.ErrBusy.
func (g gate) enter(ctx context.Context, patience time.Duration) (leave func(), err error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case g <- struct{}{}:
		return func() { <-g }, nil
	case <-timer.C:
		return nil, fmt.Errorf("waited %v for others: %w", patience, reporter.ErrBusy)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recent caches results, so that page views within a short time share one evaluation. Callers that wait for the same result share
// its error, but errors are not cached.
type recent[K comparable, V any] struct {
	keep time.Duration // how long a result is reused
	most int           // results
	now  func() time.Time

	mu      sync.Mutex
	results map[K]*result[V]
	order   []K // oldest first
}

func newRecent[K comparable, V any](keep time.Duration, most int, now func() time.Time) *recent[K, V] {
	return &recent[K, V]{keep: keep, most: most, now: now, results: map[K]*result[V]{}}
}

// result is an evaluation, which is finished once done is closed.
type result[V any] struct {
	done  chan struct{}
	at    time.Time // when it began; zero after an error
	value V
	err   error
}

// get returns the recent result of a key, or evaluates it. The evaluation continues for other callers if this one's context ends.
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
			if p := recover(); p != nil { // as net/http does for its handlers: a panic fails one page, not the process
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
		r.at = time.Time{} // the next call evaluates again
	}
}
