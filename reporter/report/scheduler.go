package report

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Claims is the store's table of due times that were dealt with.
type Claims interface {
	// Claim inserts (report, due) under a unique key together with the deliveries, in one transaction, and returns false
	// where it is claimed already. A claim without deliveries only says that the due time is not to be sent.
	Claim(ctx context.Context, report string, due time.Time, deliveries []reporter.Delivery) (bool, error)
	// LastClaim returns the latest due time ever claimed for the report, and false where there is none.
	LastClaim(ctx context.Context, report string) (time.Time, bool, error)
}

const (
	// longestSleep bounds how late the jump of a clock, or a sleep of the machine, is noticed.
	longestSleep = time.Minute
	claimRetry   = 10 * time.Second
	claimTimeout = 30 * time.Second
	// leastCatchUp is what a claim may take with catch_up at 0: a retry or two.
	leastCatchUp = 2 * time.Minute
)

// SchedulerConfig says what is due and who keeps the claims.
type SchedulerConfig struct {
	Claims      Claims
	Definitions []Definition // valid ones
	Log         *slog.Logger
	Now         func() time.Time
}

// Scheduler claims the due times of the reports as they come. Any number of schedulers may share one Claims.
type Scheduler struct {
	claims Claims
	log    *slog.Logger
	now    func() time.Time
	wake   chan struct{}

	mu      sync.Mutex
	reports []*scheduled
}

// scheduled is one definition and the moment up to which all its due times are dealt with; zero is not yet known.
type scheduled struct {
	Definition
	schedule Schedule
	handled  time.Time
}

// pending says whether a due time has come that is not dealt with.
func (r *scheduled) pending(now time.Time) bool {
	next, ok := r.schedule.Next(r.handled)
	return ok && !next.After(now)
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

// SetDefinitions replaces the definitions, also while Run is running; on an error the old ones stay. It is Prepare and its
// commit in one.
func (s *Scheduler) SetDefinitions(definitions []Definition) error {
	commit, err := s.Prepare(definitions)
	if err != nil {
		return err
	}
	commit()
	return nil
}

// Prepare checks definitions and returns the function that makes the scheduler use them. A report whose schedule or zone
// changed starts again from the commit, so that moving a report's hour never sends it twice on one day; but where a due time
// is waiting to be claimed, what the new schedule has since then is claimed instead of it.
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
	default: // It will wake up anyway.
	}
}

// Run claims due times until ctx ends. At its start, and after the clock jumped forward, the latest missed due time of
// each report is claimed if it is within the report's catch-up; an error of the store is retried every ten seconds. A
// report that was never claimed before has missed nothing: its latest due time is claimed without deliveries, and the
// first report goes out at the next one.
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

// round deals with what is due, and returns how long to sleep.
func (s *Scheduler) round(ctx context.Context) time.Duration {
	s.mu.Lock()
	reports := append([]*scheduled(nil), s.reports...)
	s.mu.Unlock()
	sleep := longestSleep
	for _, r := range reports {
		if err := s.deal(ctx, r); err != nil && ctx.Err() == nil {
			s.log.Warn("report: due time could not be claimed, trying again", "report", r.Name, "err", err)
			sleep = min(sleep, claimRetry)
			continue
		}
		// A clock that is wound up by rounding must not make this loop spin.
		now := s.now()
		if next, ok := r.schedule.Next(now); ok {
			sleep = min(sleep, max(next.Sub(now), time.Millisecond))
		}
	}
	return sleep
}

// deal claims the latest due time of the report that is not dealt with yet.
func (s *Scheduler) deal(ctx context.Context, r *scheduled) error {
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
	// What was claimed while the clock was fast is not dealt with: the unique key knows it if it really was.
	if handled.After(now.Add(longestSleep)) {
		handled = now
	}
	if first, ok := r.schedule.Next(handled); !ok || first.After(now) {
		s.setHandled(r, handled)
		return nil
	}
	due, ok := r.schedule.Latest(now, max(r.CatchUp, leastCatchUp))
	if !ok || !due.After(handled) {
		s.log.Error("report: due time was missed for longer than catch_up, it is not sent", "report", r.Name,
			"after", handled.In(r.Zone), "catch_up", r.CatchUp)
		return s.missed(ctx, r, handled, now)
	}
	claimed, err := s.claims.Claim(ctx, r.Name, due, r.Deliveries(due, now))
	if err != nil {
		return fmt.Errorf("claim %s: %w", reporter.Subject{Report: r.Name, Due: due}, err)
	}
	s.setHandled(r, due)
	if claimed {
		s.log.Info("report: due", "report", r.Name, "due", due.In(r.Zone), "late", now.Sub(due).Truncate(time.Second))
	}
	return nil
}

// missed claims the latest due time that was missed, with deliveries that are not sent: people are notified of them.
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
	s.setHandled(r, now)
	return nil
}

// begin notes from where on a report that was never claimed is to be sent.
func (s *Scheduler) begin(ctx context.Context, r *scheduled, now time.Time) error {
	// Rare schedules have no due time for years back, so any moment before the next due time will do for them.
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
