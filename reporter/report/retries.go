package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// Patience is how long after it was queued a report waits for queries that may be answered later: the answers as of the due
	// time do not change. After that it is sent without them.
	Patience  = 15 * time.Minute
	leastWait = 5 * time.Second
	mostWait  = time.Minute
	// dueKept is the number of due times whose answers are kept, failuresKept that of earlier due times of a report whose failed
	// figures are kept.
	dueKept      = 8
	failuresKept = 4
)

// Retries builds due reports, and reuses the answers of earlier attempts. It is safe for concurrent use.
type Retries struct {
	log    *slog.Logger
	now    func() time.Time
	noData *prometheus.CounterVec

	mu     sync.Mutex
	due    map[reporter.Subject]*attempts
	order  []reporter.Subject // oldest first
	failed map[string][]failures
}

// NewRetries makes a Retries, and registers its metric at reg.
func NewRetries(log *slog.Logger, now func() time.Time, reg prometheus.Registerer) *Retries {
	x := &Retries{
		log: log, now: now, due: map[reporter.Subject]*attempts{}, failed: map[string][]failures{},
		noData: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_figures_without_data_total",
			Help: "Figures of due reports that had no data, by reason: the result was empty, the query failed, or no answer came in time.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"empty", "failed", "unanswered"} {
		x.noData.WithLabelValues(reason)
	}
	reg.MustRegister(x.noData)
	return x
}

// attempts holds the answers for one due time of a report. All its receivers share them.
type attempts struct {
	mu   sync.Mutex // one attempt at a time
	plan *plan
	done bool // a report was built, and its figures without data were logged
}

// failures are the figures without an answer in the report of one due time.
type failures struct {
	due     time.Time
	figures []string
}

// Build builds the report that is due at due and was queued at queued. While a query may be answered later, the error is a
// *reporter.RetryAfterError, until Patience has passed. It does not wait for figures that had no answer in the previous report. With a
// *reporter.UnreachableError the report is complete.
func (x *Retries) Build(ctx context.Context, b *Builder, d Definition, due, queued time.Time) (reporter.Report, error) {
	due = due.UTC()
	a := x.attempts(reporter.Subject{Report: d.Name, Due: due})
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := b.build(ctx, d, due, a.plan)
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("report %s: %w", d.Name, err)
	}
	a.plan = a.plan.rest()
	wanted := slices.DeleteFunc(slices.Clone(r.Unanswered), func(f string) bool { return slices.Contains(x.before(d.Name, due), f) })
	if waited := x.now().Sub(queued); len(wanted) > 0 && waited < Patience {
		return r, &reporter.RetryAfterError{
			After: min(max(waited/2, leastWait), mostWait, Patience-waited),
			Err:   fmt.Errorf("no answer for %d figures yet: %s", len(r.Unanswered), r.Figure(wanted[0]).Reason),
		}
	}
	if !a.done {
		a.done = true
		x.report(d.Name, due, r)
	}
	return r, err
}

func (x *Retries) attempts(of reporter.Subject) *attempts {
	x.mu.Lock()
	defer x.mu.Unlock()
	a, ok := x.due[of]
	if !ok {
		a = &attempts{plan: newPlan()}
		x.due[of] = a
		x.order = append(x.order, of)
		if len(x.order) > dueKept {
			delete(x.due, x.order[0])
			x.order = x.order[1:]
		}
	}
	return a
}

// before returns the figures that had no answer in the last report that was due before that time.
func (x *Retries) before(name string, due time.Time) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var last failures
	for _, f := range x.failed[name] {
		if f.due.Before(due) && f.due.After(last.due) {
			last = f
		}
	}
	return last.figures
}

// report counts the figures without data, and logs each reason once.
func (x *Retries) report(name string, due time.Time, r reporter.Report) {
	x.mu.Lock()
	x.failed[name] = append(x.failed[name], failures{due, r.Unanswered})
	if n := len(x.failed[name]); n > failuresKept {
		x.failed[name] = x.failed[name][n-failuresKept:]
	}
	x.mu.Unlock()
	reasons := map[string][]string{}
	for _, f := range slices.Sorted(maps.Keys(r.Figures)) {
		fig := r.Figures[f]
		if _, ok := fig.Value(); ok {
			continue
		}
		switch {
		case slices.Contains(r.Unanswered, f):
			x.noData.WithLabelValues("unanswered").Inc()
		case fig.Reason == reporter.EmptyResult:
			x.noData.WithLabelValues("empty").Inc()
		default:
			x.noData.WithLabelValues("failed").Inc()
		}
		reasons[fig.Reason] = append(reasons[fig.Reason], f)
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		level := slog.LevelWarn
		if reason == reporter.EmptyResult { // normal before the first day, and if there was nothing to count
			level = slog.LevelInfo
		}
		x.log.Log(context.Background(), level, "report has figures without data", "report", name, "due", due,
			"figures", reasons[reason], "err", errors.New(reason))
	}
}
