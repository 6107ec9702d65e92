// Package incident keeps the journal of incidents: alert events come in, in any order and any number of times, and
// incidents with the deliveries of their postmortems go out to the store.
package incident

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// The ways to make incidents out of alerts.
const (
	ByGroup = "group" // one for each episode of an Alertmanager group
	ByAlert = "alert" // one for each episode of an alert
)

// Config is how alerts become incidents.
type Config struct {
	By           string
	MinDuration  time.Duration // an incident of exactly this length gets its postmortem
	ReopenWithin time.Duration // a gap of at most this length continues an incident
	IDLabel      string        // label or annotation that names the incident
	Receivers    []string      // who gets the postmortems
	// DigestWindow is how long a postmortem waits for others, so that a storm is one message.
	DigestWindow time.Duration
	// FiringNotice tells the receivers too when an incident begins.
	FiringNotice bool
}

// Store runs fn in one transaction: all that it puts is kept, or nothing. The questions are those that fn will ask first.
type Store interface {
	Update(ctx context.Context, fn func(ctx context.Context, tx reporter.JournalTx) error, asks ...reporter.JournalQuestion) error
}

// Journal applies alert events to the stored incidents.
type Journal struct {
	cfg   atomic.Pointer[Config]
	store Store
	log   *slog.Logger
	now   func() time.Time

	closed      *prometheus.CounterVec
	postmortems prometheus.Counter
}

// New makes a journal.
func New(cfg Config, store Store, log *slog.Logger, reg prometheus.Registerer, now func() time.Time) *Journal {
	j := &Journal{
		store: store, log: log, now: now,
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awoooi_reporter_incidents_closed_total",
			Help: "Incidents that were closed, by reason.",
		}, []string{"reason"}),
		postmortems: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awoooi_reporter_postmortems_total",
			Help: "Incidents that lasted long enough and got their postmortem.",
		}),
	}
	for _, r := range []reporter.CloseReason{reporter.ClosedResolved, reporter.ClosedReconciled, reporter.ClosedExpired} {
		j.closed.WithLabelValues(string(r))
	}
	reg.MustRegister(j.closed, j.postmortems)
	j.SetConfig(cfg)
	return j
}

// SetConfig replaces the configuration; a running Accept ends by the old one.
func (j *Journal) SetConfig(cfg Config) { j.cfg.Store(&cfg) }

// Accept takes the events of one webhook, all or none. When it returns nil they are on the disk.
func (j *Journal) Accept(ctx context.Context, events []reporter.AlertEvent) error {
	cfg := *j.cfg.Load()
	byKey := map[string][]reporter.AlertEvent{}
	for _, e := range events {
		byKey[cfg.key(e)] = append(byKey[cfg.key(e)], e)
	}
	return j.accept(ctx, byKey)
}

func (j *Journal) accept(ctx context.Context, byKey map[string][]reporter.AlertEvent) error {
	cfg := *j.cfg.Load()
	var asks []reporter.JournalQuestion
	for key, events := range byKey {
		asks = append(asks, reporter.JournalQuestion{Key: key, Since: earliest(events).Add(-cfg.ReopenWithin)})
	}
	var closed, postmortems []reporter.Incident
	err := j.store.Update(ctx, func(ctx context.Context, tx reporter.JournalTx) error {
		closed, postmortems = nil, nil
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			c, p, err := j.apply(ctx, tx, cfg, key, byKey[key])
			if err != nil {
				return err
			}
			closed, postmortems = append(closed, c...), append(postmortems, p...)
		}
		return nil
	}, asks...)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for _, in := range closed {
		j.closed.WithLabelValues(string(in.CloseReason)).Inc()
		j.log.Info("incident closed", "incident", in.ID, "reason", in.CloseReason, "duration", in.Duration())
	}
	j.postmortems.Add(float64(len(postmortems)))
	return nil
}

// key is what identifies the series of incidents that an event belongs to.
func (c Config) key(e reporter.AlertEvent) string {
	key := e.Receiver + "/" + e.GroupKey
	if c.By == ByAlert {
		key += "/" + e.Fingerprint
	}
	return key
}

// apply brings the incidents of one key up to date, and returns those that it closed and those that get a postmortem.
func (j *Journal) apply(
	ctx context.Context, tx reporter.JournalTx, cfg Config, key string, events []reporter.AlertEvent,
) (closed, postmortems []reporter.Incident, err error) {
	before, err := load(ctx, tx, cfg, key, events)
	if err != nil {
		return nil, nil, err
	}
	after := transition(cfg, key, before, events)
	was := map[string]reporter.Incident{}
	for _, in := range before {
		was[in.ID] = in
	}
	kept := map[string]bool{}
	for n := range after {
		in := &after[n]
		if in.ID == "" {
			if in.ID, err = newID(ctx, tx, cfg, *in); err != nil {
				return nil, nil, err
			}
		}
		kept[in.ID] = true
		if _, known := was[in.ID]; !known && in.State == reporter.IncidentOpen && cfg.FiringNotice {
			for _, r := range cfg.Receivers {
				if err := tx.PutDelivery(ctx, reporter.NewDelivery(reporter.DeliveryFiring, in.ID, r, j.now())); err != nil {
					return nil, nil, err
				}
			}
		}
		if in.State == reporter.IncidentResolved {
			if was[in.ID].State != reporter.IncidentResolved {
				closed = append(closed, *in)
			}
			if !in.Notified && in.Duration() >= cfg.MinDuration {
				in.Notified = true
				postmortems = append(postmortems, *in)
				for _, r := range cfg.Receivers {
					d := reporter.NewDelivery(reporter.DeliveryPostmortem, in.ID, r, j.now())
					d.NextAttempt = d.NextAttempt.Add(cfg.DigestWindow)
					if err := tx.PutDelivery(ctx, d); err != nil {
						return nil, nil, err
					}
				}
			}
		}
		if err := tx.PutIncident(ctx, *in); err != nil {
			return nil, nil, err
		}
	}
	for id := range was {
		if !kept[id] {
			if err := tx.DeleteIncident(ctx, id); err != nil {
				return nil, nil, err
			}
		}
	}
	return closed, postmortems, nil
}

// load reads the stored incidents that the events may touch. Each incident it finds may reach further back than the
// events do, and so touch another one; it looks again until nothing new turns up.
func load(
	ctx context.Context, tx reporter.JournalTx, cfg Config, key string, events []reporter.AlertEvent,
) ([]reporter.Incident, error) {
	from := earliest(events)
	for {
		found, err := tx.Incidents(ctx, key, from.Add(-cfg.ReopenWithin))
		if err != nil {
			return nil, err
		}
		reach := from
		for _, in := range found {
			reach = before(reach, in.StartedAt)
		}
		if reach.Equal(from) {
			return found, nil
		}
		from = reach
	}
}

func earliest(events []reporter.AlertEvent) time.Time {
	first := events[0].StartsAt
	for _, e := range events {
		first = before(first, e.StartsAt)
	}
	return first
}

func before(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
