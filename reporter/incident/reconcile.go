package incident

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Alertmanagers say what they know.
type Alertmanagers interface {
	// Known returns the fingerprints of all alerts there are, and since when the youngest Alertmanager has been collecting
	// them. An error means that nothing can be said of any alert.
	Known(ctx context.Context) (fingerprints map[string]bool, since time.Time, err error)
}

// Opened returns the incidents that are open.
type Opened interface {
	Open(ctx context.Context) ([]reporter.Incident, error)
}

// ReconcileConfig is how patient the reconciler is.
type ReconcileConfig struct {
	Alertmanagers Alertmanagers // nil: nobody is asked
	Interval      time.Duration
	// After is how long an alert must have been gone, and every Alertmanager up, before the alert is presumed to have ended:
	// one that was restarted knows an alert only once Prometheus has told it again.
	After time.Duration
	// ExpireAfter is how long nobody must have told of an alert before it is presumed to have ended when it was last told of.
	// An alert that an Alertmanager knows does not expire.
	ExpireAfter time.Duration
}

// Reconciler closes incidents whose resolve was never told: it got lost while this program was away, the alert was
// silenced, or the route was changed.
type Reconciler struct {
	journal *Journal
	opened  Opened
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	cfg     ReconcileConfig
	missing map[episode]time.Time // since when no Alertmanager has known it
	fault   string

	outcome atomic.Pointer[Outcome]

	success  prometheus.Gauge
	failures prometheus.Counter
}

type episode struct {
	key, fingerprint string
	start            int64
}

// NewReconciler makes a reconciler; Run does its work.
func NewReconciler(
	cfg ReconcileConfig, journal *Journal, opened Opened, log *slog.Logger, reg prometheus.Registerer, now func() time.Time,
) *Reconciler {
	r := &Reconciler{
		journal: journal, opened: opened, log: log, now: now, cfg: cfg, missing: map[episode]time.Time{},
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_reconcile_last_success_timestamp_seconds",
			Help: "When the open incidents were last compared with what is known of their alerts; 0 if never.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_reconcile_failures_total",
			Help: "Comparisons of the open incidents that failed, as when an Alertmanager did not answer.",
		}),
	}
	reg.MustRegister(r.success, r.failures)
	return r
}

// SetConfig replaces the configuration, also while Run is running.
func (r *Reconciler) SetConfig(cfg ReconcileConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg = cfg
}

// Outcome is what became of one comparison. Err holds no secret.
type Outcome struct {
	At  time.Time // zero: there was none yet
	Err error
}

// Outcome returns that of the last comparison.
func (r *Reconciler) Outcome() Outcome {
	if o := r.outcome.Load(); o != nil {
		return *o
	}
	return Outcome{}
}

// Run reconciles at each interval until ctx ends.
func (r *Reconciler) Run(ctx context.Context) {
	for {
		r.mu.Lock()
		interval := r.cfg.Interval
		r.mu.Unlock()
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := r.Reconcile(ctx); ctx.Err() == nil {
			r.note(err)
		}
	}
}

// note counts, and logs a fault once and not at every interval.
func (r *Reconciler) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
		r.failures.Inc()
	} else {
		r.success.Set(float64(r.now().Unix()))
	}
	r.mu.Lock()
	was := r.fault
	r.fault = text
	r.mu.Unlock()
	o := Outcome{At: r.now(), Err: err}
	r.outcome.Store(&o)
	if err != nil && text != was {
		r.log.Warn("open incidents were not reconciled", "err", err)
	}
}

// Reconcile compares the open incidents with what is known of their alerts, once.
func (r *Reconciler) Reconcile(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, err := r.opened.Open(ctx)
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	var known map[string]bool
	var since time.Time
	if r.cfg.Alertmanagers != nil && len(open) > 0 {
		asked, cancel := context.WithTimeout(ctx, max(r.cfg.Interval, 10*time.Second))
		known, since, err = r.cfg.Alertmanagers.Known(asked)
		cancel()
		if err != nil { // Nothing is presumed, and what was missing stays so.
			return fmt.Errorf("reconcile: %w", err)
		}
	}
	now := r.now()
	missing := map[episode]time.Time{}
	for _, in := range open {
		var events []reporter.AlertEvent
		last := map[string]time.Time{} // start of each alert's last episode: the earlier ones are over
		for _, a := range in.Alerts {
			last[a.Fingerprint] = a.StartsAt
		}
		for _, a := range in.Alerts {
			if end, _ := a.Ended(); !end.IsZero() || !a.StartsAt.Equal(last[a.Fingerprint]) {
				continue
			}
			why, at := r.presume(in, a, known, since, missing, now)
			if why == "" {
				continue
			}
			events = append(events, reporter.AlertEvent{
				GroupKey: in.GroupKey, Receiver: in.Receiver, ExternalURL: in.ExternalURL, GroupLabels: in.GroupLabels,
				Fingerprint: a.Fingerprint, Firing: true, StartsAt: a.StartsAt, EndsAt: at, ReceivedAt: in.LastSeenAt, Presumed: why,
			})
		}
		if len(events) == 0 {
			continue
		}
		if err := r.journal.accept(ctx, map[string][]reporter.AlertEvent{in.Key: events}); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
	}
	r.missing = missing
	return nil
}

// presume says why and when the alert is taken for ended; "" while it is not.
func (r *Reconciler) presume(
	in reporter.Incident, a reporter.Alert, known map[string]bool, since time.Time, missing map[episode]time.Time, now time.Time,
) (reporter.CloseReason, time.Time) {
	if known[a.Fingerprint] {
		return "", time.Time{}
	}
	seen := a.SeenAt
	if seen.IsZero() { // Told by an older version of this program.
		seen = in.LastSeenAt
	}
	if known != nil {
		key := episode{in.Key, a.Fingerprint, a.StartsAt.UnixMicro()}
		gone, was := r.missing[key]
		if !was || seen.After(gone) {
			gone = now
		}
		missing[key] = gone
		if now.Sub(gone) >= r.cfg.After && now.Sub(since) >= r.cfg.After {
			return reporter.ClosedReconciled, gone
		}
	}
	if r.cfg.ExpireAfter > 0 && !seen.IsZero() && now.Sub(seen) >= r.cfg.ExpireAfter {
		return reporter.ClosedExpired, seen
	}
	return "", time.Time{}
}
