package incident

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// API is that of one cluster of Alertmanagers.
type API interface {
	// Known returns the fingerprints of all alerts that any answering member has, and since when the member that has been up for
	// the longest has been collecting them. An error means that nothing can be said of any alert.
	Known(ctx context.Context) (alerts *reporter.Fingerprints, since time.Time, err error)
	// Listed returns how many alerts of a group, by the receiver and the group labels of its webhooks, any answering member has.
	Listed(ctx context.Context, receiver string, group map[string]string) (int, error)
}

// Opened reads the journal for reconciliation.
type Opened interface {
	// OpenClusters returns the clusters that have an open incident or an alert in doubt.
	OpenClusters(ctx context.Context) ([]string, error)
	// FiringAlerts returns the alerts of a cluster that are firing, or whose end is in doubt.
	FiringAlerts(ctx context.Context, cluster string) ([]reporter.JournalAlert, error)
	// HeldIncidents returns the incidents of a cluster that are open only because webhooks of their group left alerts out.
	HeldIncidents(ctx context.Context, cluster string) ([]reporter.Incident, error)
	// TimeDue returns incidents that change by time alone: open ones that began at or before started, and those with an alert in
	// doubt.
	TimeDue(ctx context.Context, started time.Time) ([]string, error)
}

// ReconcileConfig says which clusters are asked, and how long to wait.
type ReconcileConfig struct {
	Clusters map[string]API // by name; of the others, alerts only expire
	Interval time.Duration
	// After is how long an alert must have been gone, and its Alertmanager up, before the alert is presumed to have ended: one
	// that was restarted knows an alert only once Prometheus has sent it again.
	After time.Duration
	// ExpireAfter is how long no event of an alert must have been received before it is presumed to have ended at the last one. An
	// alert that an Alertmanager has does not expire. 0 is never.
	ExpireAfter time.Duration
}

const (
	// clusterTimeout is how long a cluster may take to answer, and comparePatience how long a comparison waits for all of them:
	// those that have not answered by then go on by themselves.
	clusterTimeout  = 10 * time.Second
	comparePatience = 4 * time.Second
	// comparedAtOnce is for how many clusters that have answered the journal is read at the same time.
	comparedAtOnce = 4
	// dueAtOnce is how many incidents that change by time share an update.
	dueAtOnce = 200
)

// Reconciler closes incidents whose resolve was never received: it got lost while this program was away, the alert was
// silenced, or the route was changed. It also applies what follows from time alone.
type Reconciler struct {
	journal *Journal
	opened  Opened
	log     *slog.Logger
	now     func() time.Time

	running   sync.Mutex          // one comparison at a time
	comparing *semaphore.Weighted // clusters that have answered, comparedAtOnce
	asking    sync.WaitGroup

	mu      sync.Mutex
	pending map[string]bool // clusters that are being asked
	cfg     ReconcileConfig
	missing map[string]map[episode]time.Time // by cluster: since when it has not known the episode
	emptied map[string]map[string]time.Time  // by cluster and held incident: since when its group has had no alert
	faults  map[string]string                // by cluster: what was logged
	asked   map[string]ClusterOutcome

	outcome atomic.Pointer[Comparison]

	success  prometheus.Gauge
	failures prometheus.Counter
	duration prometheus.Gauge
}

// NewReconciler makes a reconciler; Run does its work.
func NewReconciler(
	cfg ReconcileConfig, journal *Journal, opened Opened, log *slog.Logger, reg prometheus.Registerer, now func() time.Time,
) *Reconciler {
	r := &Reconciler{
		journal: journal, opened: opened, log: log, now: now, cfg: cfg, comparing: semaphore.NewWeighted(comparedAtOnce),
		pending: map[string]bool{}, missing: map[string]map[episode]time.Time{}, emptied: map[string]map[string]time.Time{},
		faults: map[string]string{}, asked: map[string]ClusterOutcome{},
		success: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_reconcile_last_success_timestamp_seconds",
			Help: "When the open incidents were last compared with what is known of their alerts; 0 if never.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_reconcile_failures_total",
			Help: "Comparisons of the open incidents that failed, as when an Alertmanager did not answer.",
		}),
		duration: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awoooi_reporter_reconcile_duration_seconds",
			Help: "How long the last comparison of the open incidents took; 0 if there was none.",
		}),
	}
	reg.MustRegister(r.success, r.failures, r.duration)
	return r
}

// SetConfig replaces the configuration, also while Run is running.
func (r *Reconciler) SetConfig(cfg ReconcileConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg = cfg
	for name := range r.asked {
		if _, still := cfg.Clusters[name]; !still {
			delete(r.asked, name)
		}
	}
}

func (r *Reconciler) config() ReconcileConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// Comparison is what became of one comparison. Err holds no secret.
type Comparison struct {
	At  time.Time // zero: there was none yet
	Err error
}

// ClusterOutcome is what became of the last question to a cluster.
type ClusterOutcome struct {
	Cluster string
	At      time.Time
	Err     error
}

// Outcome returns that of the last comparison.
func (r *Reconciler) Outcome() Comparison {
	if o := r.outcome.Load(); o != nil {
		return *o
	}
	return Comparison{}
}

// Clusters returns the outcomes of the clusters that were asked, by name.
func (r *Reconciler) Clusters() []ClusterOutcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ClusterOutcome
	for _, o := range r.asked {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b ClusterOutcome) int { return strings.Compare(a.Cluster, b.Cluster) })
	return out
}

// Run reconciles at each interval until ctx ends.
func (r *Reconciler) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(r.config().Interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			r.asking.Wait()
			return
		case <-timer.C:
		}
		begin := time.Now()
		if err := r.Reconcile(ctx); ctx.Err() == nil {
			r.duration.Set(time.Since(begin).Seconds())
			r.note(err)
		}
	}
}

// note counts the outcome of a comparison.
func (r *Reconciler) note(err error) {
	if err != nil {
		r.failures.Inc()
	} else {
		r.success.Set(float64(r.now().Unix()))
	}
	r.outcome.Store(&Comparison{At: r.now(), Err: err})
}

// noteCluster keeps what became of a cluster, and logs a fault once and not at every interval.
func (r *Reconciler) noteCluster(name string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	was := r.faults[name]
	r.faults[name] = text
	r.asked[name] = ClusterOutcome{Cluster: name, At: r.now(), Err: err}
	r.mu.Unlock()
	if err != nil && text != was {
		r.log.Warn("open incidents were not reconciled", "cluster", name, "err", err)
	}
}

// errNoAnswerYet is the error of a comparison that did not wait for a cluster any longer.
var errNoAnswerYet = errors.New("no answer yet")

// noteSilence keeps that a cluster has not answered yet, unless a fault of it is known.
func (r *Reconciler) noteSilence(name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, errNoAnswerYet) && r.asked[name].Err == nil {
		r.asked[name] = ClusterOutcome{Cluster: name, At: r.now(), Err: err}
	}
}

// Reconcile compares the open incidents with what is known of their alerts, once. Clusters are asked independently: one that does
// not answer delays neither the others nor the next comparison, which does not ask it again before its time is over.
func (r *Reconciler) Reconcile(ctx context.Context) error {
	r.running.Lock()
	defer r.running.Unlock()
	cfg := r.config()
	if err := r.passTime(ctx); err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	clusters, err := r.opened.OpenClusters(ctx)
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	r.forget(clusters)
	type answer struct {
		cluster string
		err     error
	}
	answers := make(chan answer, len(clusters))
	outcomes := map[string]error{}
	for _, name := range clusters {
		outcomes[name] = errNoAnswerYet
		if !r.begin(name) {
			answers <- answer{name, errNoAnswerYet}
			continue
		}
		r.asking.Go(func() {
			err := r.reconcileCluster(ctx, cfg, name)
			r.end(name)
			answers <- answer{name, err}
		})
	}
	patience := time.NewTimer(comparePatience)
	defer patience.Stop()
wait:
	for range clusters {
		select {
		case a := <-answers:
			outcomes[a.cluster] = a.err
		case <-patience.C:
			break wait
		}
	}
	var errs []error
	for _, name := range clusters {
		if err := outcomes[name]; err != nil {
			r.noteSilence(name, err)
			errs = append(errs, fmt.Errorf("cluster %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// begin says whether the cluster may be asked, because no earlier question to it is pending.
func (r *Reconciler) begin(cluster string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[cluster] {
		return false
	}
	r.pending[cluster] = true
	return true
}

func (r *Reconciler) end(cluster string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, cluster)
}

// forget drops what was missing of clusters that have no open incident any more.
func (r *Reconciler) forget(open []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.missing {
		if !slices.Contains(open, name) {
			delete(r.missing, name)
			delete(r.emptied, name)
		}
	}
}

// passTime applies what follows from time alone.
func (r *Reconciler) passTime(ctx context.Context) error {
	started := time.Time{}
	if after := r.journal.cfg.Load().ChronicAfter; after > 0 {
		started = r.now().Add(-after)
	}
	due, err := r.opened.TimeDue(ctx, started)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(due, dueAtOnce) {
		if err := r.journal.apply(ctx, Batch{}, some); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) reconcileCluster(ctx context.Context, cfg ReconcileConfig, name string) error {
	var known *reporter.Fingerprints // nil: there is no API
	var since time.Time
	if api := cfg.Clusters[name]; api != nil {
		asking, cancel := context.WithTimeout(ctx, clusterTimeout)
		var err error
		known, since, err = api.Known(asking)
		cancel()
		if ctx.Err() == nil {
			r.noteCluster(name, err)
		}
		if err != nil { // Nothing is presumed, and what was missing stays so.
			return err
		}
	}
	now := r.now()
	b, err := r.compare(ctx, cfg, name, known, since, now)
	if err != nil {
		return err
	}
	var unlisted error
	switch {
	case known == nil:
		b.Whole, unlisted = r.unheard(ctx, cfg, name, now)
	case now.Sub(since) >= cfg.After:
		b.Whole, unlisted = r.whole(ctx, cfg, name, now)
	}
	if len(b.Ends)+len(b.Verdicts)+len(b.Whole) == 0 {
		return unlisted
	}
	return errors.Join(unlisted, r.journal.apply(ctx, b, b.Whole))
}

// compare finds out which alerts of a cluster have ended, or are firing after all, by what it knows of them; known is nil where it has
// no API. Only a few clusters are compared at once: the answers are small, and what the journal has of their alerts is not.
func (r *Reconciler) compare(
	ctx context.Context, cfg ReconcileConfig, name string, known *reporter.Fingerprints, since, now time.Time,
) (b Batch, err error) {
	if err := r.comparing.Acquire(ctx, 1); err != nil {
		return b, err
	}
	defer r.comparing.Release(1)
	alerts, err := r.opened.FiringAlerts(ctx, name)
	if err != nil {
		return b, err
	}
	r.mu.Lock()
	was := r.missing[name]
	r.mu.Unlock()
	missing := map[episode]time.Time{}
	for _, a := range alerts {
		if a.Doubtful {
			// What is not known says nothing where all that answer were restarted.
			if known != nil && (known.Has(a.Fingerprint) || now.Sub(since) >= cfg.After) {
				b.Verdicts = append(b.Verdicts, reporter.AlertVerdict{
					Cluster: name, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, Firing: known.Has(a.Fingerprint),
				})
			}
			continue
		}
		if why, at := cfg.presume(a, known, since, was, missing, now); why != "" {
			b.Ends = append(b.Ends, reporter.AlertEnd{
				Cluster: name, Fingerprint: a.Fingerprint, StartsAt: a.StartsAt, EndsAt: at, Why: why,
			})
		}
	}
	r.mu.Lock()
	r.missing[name] = missing
	r.mu.Unlock()
	return b, nil
}

// whole returns the incidents that are held open because alerts of their group were left out, and of whose group no Alertmanager has
// an alert any more, for as long as any alert must be gone.
func (r *Reconciler) whole(ctx context.Context, cfg ReconcileConfig, cluster string, now time.Time) (ids []string, err error) {
	held, err := r.opened.HeldIncidents(ctx, cluster)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	r.mu.Lock()
	was := r.emptied[cluster]
	r.mu.Unlock()
	emptied := map[string]time.Time{}
	for _, in := range held {
		n, err := cfg.Clusters[cluster].Listed(ctx, in.Receiver, in.GroupLabels)
		if err != nil {
			return nil, err
		}
		since, before := was[in.ID]
		switch {
		case n > 0:
		case !before || in.LastSeenAt.After(since):
			emptied[in.ID] = now
		case now.Sub(since) < cfg.After:
			emptied[in.ID] = since
		default:
			ids = append(ids, in.ID)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emptied[cluster] = emptied
	return ids, nil
}

// unheard returns the incidents of a cluster without an API that are held open because alerts of their group were left out, and of which
// nothing was received for so long that an alert would have expired.
func (r *Reconciler) unheard(ctx context.Context, cfg ReconcileConfig, cluster string, now time.Time) (ids []string, err error) {
	if cfg.ExpireAfter <= 0 {
		return nil, nil
	}
	held, err := r.opened.HeldIncidents(ctx, cluster)
	for _, in := range held {
		if now.Sub(in.LastSeenAt) >= cfg.ExpireAfter {
			ids = append(ids, in.ID)
		}
	}
	return ids, err
}

// presume says why and when the alert is presumed to have ended; "" while it is not.
func (c ReconcileConfig) presume(
	a reporter.JournalAlert, known *reporter.Fingerprints, since time.Time, was, missing map[episode]time.Time, now time.Time,
) (reporter.CloseReason, time.Time) {
	if known != nil && known.Has(a.Fingerprint) {
		return "", time.Time{}
	}
	if known != nil {
		key := episodeOf(a.Cluster, a.Fingerprint, a.StartsAt)
		gone, before := was[key]
		if !before || a.SeenAt.After(gone) {
			gone = now
		}
		missing[key] = gone
		if now.Sub(gone) >= c.After && now.Sub(since) >= c.After {
			return reporter.ClosedReconciled, gone
		}
	}
	if c.ExpireAfter > 0 && !a.SeenAt.IsZero() && now.Sub(a.SeenAt) >= c.ExpireAfter {
		return reporter.ClosedExpired, a.SeenAt
	}
	return "", time.Time{}
}
