// Package incident keeps the journal of incidents: alert events come in, in any order and any number of times, and
// incidents with the deliveries of their postmortems go out to the store.
package incident

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Store keeps the journal.
type Store interface {
	// Update looks up what q asks for, gives it to apply, and stores what that changes, in one transaction. apply may run
	// again, and must have no effect but its result.
	Update(ctx context.Context, q reporter.JournalQuery, apply func(reporter.JournalView) reporter.JournalChanges) error
}

// Journal applies alert events to the stored incidents.
type Journal struct {
	cfg   atomic.Pointer[Config]
	store Store
	log   *slog.Logger

	closed      *prometheus.CounterVec
	postmortems prometheus.Counter
	ignored     prometheus.Counter
	heartbeats  prometheus.Counter
	missed      prometheus.Counter
	refused     prometheus.Counter
	// unstored says that alerts could not be stored since heartbeats were looked at last.
	unstored atomic.Bool
}

// New makes a journal.
func New(cfg Config, store Store, log *slog.Logger, reg prometheus.Registerer) *Journal {
	j := &Journal{
		store: store, log: log,
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_incidents_closed_total",
			Help: "Incidents that were closed, by reason.",
		}, []string{"reason"}),
		postmortems: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_postmortems_total",
			Help: "Postmortems, and updates of them, of incidents that lasted long enough.",
		}),
		ignored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_alerts_ignored_total",
			Help: "Alerts in accepted webhooks that belong to no incident, because their route ignores them.",
		}),
	}
	j.heartbeats = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "awoooi_reporter_heartbeats_received_total",
		Help: "Alerts in accepted webhooks that are heartbeats.",
	})
	j.missed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "awoooi_reporter_heartbeats_missed_total",
		Help: "Heartbeats that this process found to be missing.",
	})
	j.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "awoooi_reporter_heartbeats_refused_total",
		Help: "Heartbeats that are not watched, because there are too many already.",
	})
	for _, r := range []reporter.CloseReason{reporter.ClosedResolved, reporter.ClosedReconciled, reporter.ClosedExpired} {
		j.closed.WithLabelValues(string(r))
	}
	reg.MustRegister(j.closed, j.postmortems, j.ignored, j.heartbeats, j.missed, j.refused)
	j.SetConfig(cfg)
	return j
}

// SetConfig replaces the configuration; an Accept that is running ends by the old one.
func (j *Journal) SetConfig(cfg Config) { j.cfg.Store(&cfg) }

// Accept takes the events of one webhook, all or none. When it returns nil they are stored.
func (j *Journal) Accept(ctx context.Context, events []reporter.AlertEvent) error {
	err := j.apply(ctx, Batch{Alerts: events}, nil)
	if err != nil {
		j.unstored.Store(true)
	}
	return err
}

// mostNames is for how many alerts of a webhook the names in use are looked up; incidents that others open get longer ones.
const mostNames = 32

// query asks for all that the batch may touch.
func (c Config) query(b Batch) (q reporter.JournalQuery) {
	q.Within = c.ReopenWithin
	seen := map[string]time.Time{}
	want := func(list *[]reporter.JournalSince, kind, of, cluster string, since time.Time) {
		key := kind + cluster + " " + of
		if have, ok := seen[key]; !ok || since.Before(have) {
			seen[key] = since
			*list = append(*list, reporter.JournalSince{Of: of, Cluster: cluster, Since: since})
		}
	}
	for _, e := range b.Alerts {
		e.Cluster, e.StartsAt = cmp.Or(e.Cluster, reporter.ClusterDefault), micro(e.StartsAt)
		want(&q.Alerts, "alert ", e.Fingerprint, e.Cluster, e.StartsAt)
		route := c.route(e)
		if route.isHeartbeat() {
			q.Heartbeats = append(q.Heartbeats, e.Fingerprint)
			continue
		}
		key := c.key(e, route)
		want(&q.Keys, "key ", key, "", e.StartsAt)
		if len(q.Names) < mostNames {
			tried := names(c, e, key)
			q.Names = append(q.Names, tried[:len(tried)-1]...) // The last is taken anyway.
		}
	}
	if len(b.Alerts) > 0 {
		q.Groups = c.groups(b.Alerts[0])
	}
	if len(b.Alerts) > 0 && b.Alerts[0].Truncated > 0 && c.hasHeartbeats() {
		e := b.Alerts[0]
		q.HeartbeatGroups = append(q.HeartbeatGroups, reporter.HeartbeatGroup(e.Cluster, e.Receiver, e.GroupKey))
	}
	q.AllHeartbeats = b.Pass != nil
	for _, e := range b.Ends {
		want(&q.Alerts, "alert ", e.Fingerprint, e.Cluster, e.StartsAt)
	}
	for _, v := range b.Verdicts {
		want(&q.Alerts, "alert ", v.Fingerprint, v.Cluster, v.StartsAt)
	}
	return q
}

// groups asks for the incidents of a webhook's group that it changes without listing an alert of theirs; e is any of its alerts.
func (c Config) groups(e reporter.AlertEvent) []reporter.JournalGroup {
	g := reporter.JournalGroup{
		Cluster: cmp.Or(e.Cluster, reporter.ClusterDefault), Receiver: e.Receiver, GroupKey: e.GroupKey, LeftOut: e.Truncated == 0,
	}
	if e.Truncated > 0 && (!e.GroupResolved || c.decides(g.Cluster)) {
		return nil
	}
	return []reporter.JournalGroup{g}
}

// apply stores what the batch changes, and what time changes of the incidents of these IDs.
func (j *Journal) apply(ctx context.Context, b Batch, incidents []string) error {
	cfg := *j.cfg.Load()
	q := cfg.query(b)
	q.Incidents = incidents
	var did Outcome
	err := j.store.Update(ctx, q, func(view reporter.JournalView) (changes reporter.JournalChanges) {
		changes, did = Apply(cfg, view, b)
		return changes
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, in := range did.Closed {
		j.closed.WithLabelValues(string(in.CloseReason)).Inc()
		j.log.Info("incident closed", "incident", in.ID, "reason", in.CloseReason, "duration", in.Duration())
	}
	if len(did.Ahead) > 0 {
		e := did.Ahead[0]
		j.log.Warn("resolves of alerts that start in the future, and were never received firing, are ignored: set the sender's clock",
			"cluster", e.Cluster, "alerts", len(did.Ahead), "first", e.Labels["alertname"], "starts", e.StartsAt, "received", e.ReceivedAt)
	}
	j.postmortems.Add(float64(did.Due))
	j.ignored.Add(float64(did.Ignored))
	j.noteHeartbeats(did)
	return nil
}
