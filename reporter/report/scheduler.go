package report

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Claims stores the claimed due times.
type Claims interface {
	// Claim inserts (report, due) under a unique key together with the deliveries, in one transaction, and returns false if it is
	// claimed already. A claim without deliveries means that the due time is not sent.
	Claim(ctx context.Context, report string, due time.Time, deliveries []reporter.Delivery) (bool, error)
	// LastClaim returns the latest claimed due time of the report, and false if there is none.
	LastClaim(ctx context.Context, report string) (time.Time, bool, error)
}

const (
	// longestSleep is the longest delay until a change of the clock, or a suspension of the machine, is noticed.
	longestSleep = time.Minute
	claimRetry   = 10 * time.Second
	claimTimeout = 30 * time.Second
	// leastCatchUp is used if catch_up is less: time for a few retries of the claim.
	leastCatchUp = 2 * time.Minute
)

// SchedulerConfig holds the settings of a Scheduler.
type SchedulerConfig struct {
	Claims      Claims
	Definitions []Definition // valid ones
	Log         *slog.Logger // default: discard
	Now         func() time.Time
}

// Scheduler claims due times of reports when they come. Any number of schedulers may share one Claims.
type Scheduler struct {
	claims Claims
	log    *slog.Logger
	now    func() time.Time
	wake   chan struct{}

	mu      sync.Mutex
	reports []*scheduled
}

// NewScheduler makes a scheduler. A schedule that cannot be parsed is an error.
func NewScheduler(cfg SchedulerConfig) (*Scheduler, error) {
	s := &Scheduler{claims: cfg.Claims, log: cfg.Log, now: cfg.Now, wake: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.SetDefinitions(cfg.Definitions); err != nil {
		return nil, err
	}
	return s, nil
}

// scheduled is a definition with the time up to which its due times are handled; zero means not known yet.
type scheduled struct {
	Definition
	schedule Schedule
	handled  time.Time
}

// pending reports whether a due time has come that is not handled.
func (r *scheduled) pending(now time.Time) bool {
	next, ok := r.schedule.Next(r.handled)
	return ok && !next.After(now)
}

// SetDefinitions replaces the definitions, also while Run is running. After an error the old ones stay. It is Prepare and its
// commit in one call.
func (s *Scheduler) SetDefinitions(definitions []Definition) error {
	commit, err := s.Prepare(definitions)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Prepare checks definitions, and returns a function that makes the scheduler use them. A report with a changed schedule or zone is
// next due after the commit, so that moving its hour does not send it twice on one day. If a due time is waiting to be claimed, the
// due times of the new schedule since the last claim are claimed instead.
func (s *Scheduler) Prepare(definitions []Definition) (commit func(), err error) {
	reports := make([]*scheduled, 0, len(definitions))
	names := map[string]bool{}
	for _, d := range definitions {
		if d.Zone == nil {
			return nil, fmt.Errorf("report %q: zone is missing", d.Name)
		}
		if names[d.Name] {
			return nil, fmt.Errorf("report %q is defined twice", d.Name)
		}
		names[d.Name] = true
		schedule, err := ParseSchedule(d.Schedule, d.Zone)
		if err != nil {
			return nil, fmt.Errorf("report %q: %w", d.Name, err)
		}
		reports = append(reports, &scheduled{Definition: d, schedule: schedule})
	}
	return func() { s.replace(reports) }, nil
}

func (s *Scheduler) replace(reports []*scheduled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := map[string]*scheduled{}
	for _, r := range s.reports {
		old[r.Name] = r
	}
	for _, r := range reports {
		was, ok := old[r.Name]
		if !ok {
			continue
		}
		r.handled = was.handled
		changed := was.Schedule != r.Schedule || was.Zone.String() != r.Zone.String()
		if changed && !was.pending(s.now()) {
			r.handled = s.now()
		}
	}
	s.reports = reports
	select {
	case s.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// Run claims due times until ctx ends. At its start, and after the clock jumped forward, it claims the latest missed due time of each
// report if it is within catch_up. An error of the store is retried every ten seconds. The latest due time of a new report is
// claimed without deliveries, so its first message is sent at the next due time.
func (s *Scheduler) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		timer.Reset(s.round(ctx))
	}
}

// round handles due times, and returns the time until the next round.
func (s *Scheduler) round(ctx context.Context) time.Duration {
	s.mu.Lock()
	reports := append([]*scheduled(nil), s.reports...)
	s.mu.Unlock()
	sleep := longestSleep
	for _, r := range reports {
		if err := s.handle(ctx, r); err != nil && ctx.Err() == nil {
			s.log.Warn("due time of report was not claimed, retrying", "report", r.Name, "err", err)
			sleep = min(sleep, claimRetry)
			continue
		}
		// The timer may fire slightly early by this clock. A minimum keeps the loop from spinning.
		now := s.now()
		if next, ok := r.schedule.Next(now); ok {
			sleep = min(sleep, max(next.Sub(now), time.Millisecond))
		}
	}
	return sleep
}

// handle claims the latest due time of the report that is not handled yet.
func (s *Scheduler) handle(ctx context.Context, r *scheduled) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	now := s.now()
	s.mu.Lock()
	handled := r.handled
	s.mu.Unlock()
	if handled.IsZero() {
		last, ok, err := s.claims.LastClaim(ctx, r.Name)
		if err != nil {
			return fmt.Errorf("last claim: %w", err)
		}
		if !ok {
			return s.begin(ctx, r, now)
		}
		handled = last
	}
	// Due times that were claimed while the clock was ahead are handled again: the unique key prevents a second delivery.
	if handled.After(now.Add(longestSleep)) {
		handled = now
	}
	if first, ok := r.schedule.Next(handled); !ok || first.After(now) {
		s.setHandled(r, handled)
		return nil
	}
	due, ok := r.schedule.Latest(now, max(r.CatchUp, leastCatchUp))
	if !ok || !due.After(handled) {
		return s.missed(ctx, r, handled, now)
	}
	claimed, err := s.claims.Claim(ctx, r.Name, due, r.Deliveries(due, now))
	if err != nil {
		return fmt.Errorf("claim %s: %w", reporter.Subject{Report: r.Name, Due: due}, err)
	}
	s.setHandled(r, due)
	if claimed {
		s.log.Info("report is due", "report", r.Name, "due", due.In(r.Zone), "late", now.Sub(due).Truncate(time.Second))
	}
	return nil
}

// missed claims the latest due time that is older than catch_up, with deliveries that have failed already: they cause a notice.
func (s *Scheduler) missed(ctx context.Context, r *scheduled, handled, now time.Time) error {
	due, ok := r.schedule.Latest(now, now.Sub(handled))
	if ok && due.After(handled) {
		deliveries := r.Deliveries(due, now)
		for n := range deliveries {
			deliveries[n].Reason = reporter.ReasonMissed
		}
		if _, err := s.claims.Claim(ctx, r.Name, due, deliveries); err != nil {
			return fmt.Errorf("claim of a missed report: %w", err)
		}
	}
	s.log.Error("report was missed by more than catch_up and is not sent", "report", r.Name,
		"after", handled.In(r.Zone), "catch_up", r.CatchUp)
	s.setHandled(r, now)
	return nil
}

// begin claims the latest due time of a new report without deliveries, so that the next one is its first.
func (s *Scheduler) begin(ctx context.Context, r *scheduled, now time.Time) error {
	// A rare schedule may have had no due time for years. Any time before the next one will do then.
	base, ok := r.schedule.Latest(now, 48*time.Hour)
	if !ok {
		base = now.UTC().Truncate(time.Minute)
	}
	if _, err := s.claims.Claim(ctx, r.Name, base, nil); err != nil {
		return fmt.Errorf("first claim: %w", err)
	}
	s.setHandled(r, base)
	return nil
}

func (s *Scheduler) setHandled(r *scheduled, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.handled = t
}
