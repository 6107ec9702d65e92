package web

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
)

const (
	// readsAtOnce is how many pages are made at the same time, readsWaiting how many requests may wait for their turn, and
	// readsWait for how long.
	readsAtOnce  = 4
	readsWaiting = 60
	readsWait    = 5 * time.Second
	// retryAfter is when a request that was refused may be tried again.
	retryAfter = 5 * time.Second
)

// limit bounds the requests in work and those that wait for their turn.
type limit struct {
	work    *semaphore.Weighted
	queue   *semaphore.Weighted // of those in work and those waiting
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

// acquire waits for a turn, and returns what ends it; false where there is none in time.
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
