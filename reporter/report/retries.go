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
	// Patience is how long after it was queued a report waits for queries that may be answered later. As of the due time
	// the answers are the same then; after that, a report without them is better than none.
	Patience  = 15 * time.Minute
	leastWait = 5 * time.Second
	mostWait  = time.Minute
	// dueKept is how many reports' answers are kept, and failuresKept how many reports back it is known what failed.
	dueKept      = 8
	failuresKept = 4
)

// Retries builds reports that are due, with answers of earlier attempts. It is safe for concurrent use.
type Retries struct {
	log    *slog.Logger
	now    func() time.Time
	noData *prometheus.CounterVec

	mu     sync.Mutex
	due    map[reporter.Subject]*attempts
	order  []reporter.Subject // oldest first
	failed map[string][]failures
}

// attempts are those at one due time of a report. Its receivers share the answers.
type attempts struct {
	mu   sync.Mutex // one attempt at a time
	plan *plan
	done bool // a report was built, and what it lacks was logged
}

type failures struct {
	due     time.Time
	figures []string
}

// NewRetries registers its metric at reg.
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

// Build builds the report that is due at that time and was queued at queued. While a query failed by a fault that may pass,
// the error is a *reporter.RetryAfterError, until Patience is over. Figures that had no answer in the report before are not
// waited for. The report is whole beside a *reporter.UnreachableError.
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

// before names the figures that had no answer in the report before the one that is due at that time.
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

// report logs and counts what a report lacks, each reason once.
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
		case fig.Reason == reasonEmpty:
			x.noData.WithLabelValues("empty").Inc()
		default:
			x.noData.WithLabelValues("failed").Inc()
		}
		reasons[fig.Reason] = append(reasons[fig.Reason], f)
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		level := slog.LevelWarn
		if reason == reasonEmpty { // There may have been nothing to count, as before the first day.
			level = slog.LevelInfo
		}
		x.log.Log(context.Background(), level, "report has figures without data", "report", name, "due", due,
			"figures", reasons[reason], "err", errors.New(reason))
	}
}
