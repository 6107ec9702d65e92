package web

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

const (
	// readsAtOnce is the most pages that are built at the same time, readsWaiting the most requests that wait, and readsWait how long
	// they wait.
	readsAtOnce  = 4
	readsWaiting = 60
	readsWait    = 5 * time.Second
	// retryAfter is the value of Retry-After for refused requests.
	retryAfter = 5 * time.Second
)

// limit limits the requests that are processed and those that wait.
type limit struct {
	work    *semaphore.Weighted
	queue   *semaphore.Weighted // of requests that are processed or wait
	refused prometheus.Counter
}

func newLimit(reg prometheus.Registerer) *limit {
	l := &limit{
		work: semaphore.NewWeighted(readsAtOnce), queue: semaphore.NewWeighted(readsAtOnce + readsWaiting),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_pages_refused_total",
			Help: "Page requests answered with 503 since too many others were in work.",
		}),
	}
	reg.MustRegister(l.refused)
	return l
}

// acquire waits until a request may be processed, and returns the function that ends it; false if it is refused.
func (l *limit) acquire(ctx context.Context) (release func(), ok bool) {
	if !l.queue.TryAcquire(1) {
		l.refused.Inc()
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, readsWait)
	defer cancel()
	if err := l.work.Acquire(ctx, 1); err != nil {
		l.queue.Release(1)
		l.refused.Inc()
		return nil, false
	}
	return func() { l.work.Release(1); l.queue.Release(1) }, true
}
