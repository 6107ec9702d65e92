package incident

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"log/slog"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// passEvery is how often missing heartbeats are looked for. Where a missing_after is short it is more often, so that there are
	// passesWithin looks within it.
	passEvery    = 5 * time.Second
	passAtLeast  = 250 * time.Millisecond
	passesWithin = 4
	// countedAtMost is the most that one pass counts: a process that stood still longer was not up.
	countedAtMost = 3 * passEvery
	// forgottenAfter is how long a heartbeat is missing before it is forgotten: it was renamed, or was removed.
	forgottenAfter = 7 * 24 * time.Hour
	// mostHeartbeats bounds how many are kept.
	mostHeartbeats = 1000
)

// Pass lets time pass for heartbeats.
type Pass struct {
	// Counts says that this process was up and could store since the last pass.
	Counts bool
}

// beats is the heartbeats that a batch is about. All of it follows from what was received and when:
//
//   - A heartbeat begins with its first firing, and one that was never received is not missing.
//   - It is missing when nothing was received of it for the route's missing_after of counted time, see reporter.HeartbeatWatch, and
//     at once when a resolve of its newest episode is received for the first time.
//   - It returns with the next firing. One of an episode that was resolved counts only certainAfter its resolve, because it may be
//     the late copy of an HA peer before.
//   - A webhook of its group that left alerts out says nothing of it, so that the time before does not count.
type beats struct {
	cfg   Config
	now   time.Time
	watch reporter.HeartbeatWatch
	known map[alertKey]*beat
	total int

	order   []*beat // as they became known
	out     reporter.JournalChanges
	seen    int
	missed  []reporter.HeartbeatOutage
	back    []reporter.HeartbeatOutage
	refused int
}

type beat struct {
	reporter.Heartbeat
	outage  reporter.HeartbeatOutage // the one that lasts
	touched bool
	gone    bool
}

func newBeats(cfg Config, view reporter.JournalView) *beats {
	b := &beats{cfg: cfg, now: micro(view.Now), watch: view.HeartbeatWatch, known: map[alertKey]*beat{}, total: view.HeartbeatTotal}
	outages := map[string]reporter.HeartbeatOutage{}
	for _, o := range view.HeartbeatOutages {
		outages[o.ID] = o
	}
	for _, h := range view.Heartbeats {
		b.add(&beat{Heartbeat: h, outage: outages[h.Outage]})
	}
	return b
}

func (b *beats) add(h *beat) {
	b.known[alertKey{h.Cluster, h.Fingerprint}] = h
	b.order = append(b.order, h)
}

// counted is the time that counts as of now.
func (b *beats) counted() time.Duration {
	if b.watch.At.IsZero() {
		return b.watch.Counted
	}
	return b.watch.Counted + min(max(b.now.Sub(b.watch.At), 0), countedAtMost)
}

// receive applies the alerts of one webhook, normalized.
func (b *beats) receive(events []reporter.AlertEvent) {
	if len(events) == 0 {
		return
	}
	var own []reporter.AlertEvent
	for _, e := range events {
		if b.cfg.route(e).isHeartbeat() {
			own = append(own, e)
		}
	}
	// Firing first: a resolve of an older episode says nothing of the newer one.
	slices.SortStableFunc(own, func(x, y reporter.AlertEvent) int {
		return cmp.Or(-compareBool(x.Firing, y.Firing), x.StartsAt.Compare(y.StartsAt), cmp.Compare(x.Fingerprint, y.Fingerprint))
	})
	for _, e := range own {
		b.seen++
		if e.Firing {
			b.firing(e)
		} else {
			b.resolved(e)
		}
	}
	b.leftOut(events)
}

func (b *beats) firing(e reporter.AlertEvent) {
	h := b.known[alertKey{e.Cluster, e.Fingerprint}]
	if h == nil {
		h = b.adopt(e)
	}
	switch {
	case h == nil && b.total >= mostHeartbeats:
		b.refused++
		return
	case h == nil:
		b.total++
		h = &beat{Heartbeat: reporter.Heartbeat{Cluster: e.Cluster, Fingerprint: e.Fingerprint, FirstSeenAt: e.ReceivedAt}}
		b.add(h)
	case h.Missing() && !h.Resolved.At.IsZero() && !e.StartsAt.After(h.Resolved.StartsAt) &&
		e.ReceivedAt.Before(h.Resolved.At.Add(certainAfter)):
		return
	}
	route := b.cfg.route(e)
	h.touched = true
	h.Route, h.Group = route.Name, reporter.HeartbeatGroup(e.Cluster, e.Receiver, e.GroupKey)
	h.Labels, h.Annotations, h.ExternalURL = e.Labels, e.Annotations, e.ExternalURL
	h.StartsAt, h.SeenAt = later(h.StartsAt, e.StartsAt), later(h.SeenAt, e.ReceivedAt)
	h.SeenCounted = max(h.SeenCounted, b.counted())
	if h.Missing() {
		h.outage.ReturnedAt = h.SeenAt
		b.out.HeartbeatOutages = append(b.out.HeartbeatOutages, h.outage)
		b.back = append(b.back, h.outage)
		b.send(reporter.DeliveryHeartbeatReturned, h.outage, route)
		h.Outage, h.MissingAt, h.outage = "", time.Time{}, reporter.HeartbeatOutage{}
	}
}

// adopt moves a heartbeat of the default cluster to the one that has got a name since.
func (b *beats) adopt(e reporter.AlertEvent) *beat {
	old := b.known[alertKey{reporter.ClusterDefault, e.Fingerprint}]
	if old == nil || old.gone || e.Cluster == reporter.ClusterGrafana || !old.StartsAt.Equal(e.StartsAt) {
		return nil
	}
	h := &beat{Heartbeat: old.Heartbeat, outage: old.outage}
	h.Cluster, h.outage.Cluster = e.Cluster, e.Cluster
	old.gone = true
	b.add(h)
	return h
}

func (b *beats) resolved(e reporter.AlertEvent) {
	h := b.known[alertKey{e.Cluster, e.Fingerprint}]
	if h == nil || e.StartsAt.Before(h.StartsAt) ||
		(e.StartsAt.Equal(h.Resolved.StartsAt) && !e.EndsAt.After(h.Resolved.EndsAt)) { // a copy
		return
	}
	h.touched = true
	h.StartsAt = e.StartsAt
	h.Resolved = reporter.HeartbeatResolve{StartsAt: e.StartsAt, EndsAt: e.EndsAt, At: e.ReceivedAt}
	if !h.Missing() {
		b.miss(h, b.cfg.route(e), reporter.HeartbeatResolved)
	}
}

// leftOut applies what the webhook says of heartbeats of its group that it does not list: it may have left them out, and where
// the group is resolved as a whole they are resolved too.
func (b *beats) leftOut(events []reporter.AlertEvent) {
	first := events[0]
	if first.Truncated == 0 {
		return
	}
	group := reporter.HeartbeatGroup(first.Cluster, first.Receiver, first.GroupKey)
	var end time.Time
	listed := map[alertKey]bool{}
	for _, e := range events {
		listed[alertKey{e.Cluster, e.Fingerprint}] = true
		end = later(end, e.EndsAt)
	}
	for _, h := range b.order {
		switch {
		case h.Group != group || h.Missing() || listed[alertKey{h.Cluster, h.Fingerprint}]:
		case !first.GroupResolved:
			h.SeenCounted, h.touched = max(h.SeenCounted, b.counted()), true
		case b.cfg.Route(h.Labels).isHeartbeat():
			h.touched = true
			h.Resolved = reporter.HeartbeatResolve{StartsAt: h.StartsAt, EndsAt: later(end, h.StartsAt), At: first.ReceivedAt}
			b.miss(h, b.cfg.Route(h.Labels), reporter.HeartbeatResolved)
		}
	}
}

// pass finds what is missing by time, and forgets what is no longer configured or does not return.
func (b *beats) pass(p Pass) {
	counted := b.watch.Counted
	if p.Counts {
		counted = b.counted()
	}
	b.watch = reporter.HeartbeatWatch{At: b.now, Counted: counted}
	b.out.HeartbeatWatch = &b.watch
	for _, h := range b.order {
		route := b.cfg.Route(h.Labels)
		if h.Route != route.Name {
			h.Route, h.touched = route.Name, true
		}
		switch {
		case !route.isHeartbeat(), h.Missing() && !b.now.Before(h.MissingAt.Add(forgottenAfter)):
			h.gone = true
		case !h.Missing() && counted-h.SeenCounted >= route.MissingAfter:
			b.miss(h, route, reporter.HeartbeatSilent)
		}
	}
}

// miss begins an outage.
func (b *beats) miss(h *beat, route Route, why reporter.HeartbeatCause) {
	h.outage = reporter.HeartbeatOutage{
		ID: b.outageID(h), Cluster: h.Cluster, Fingerprint: h.Fingerprint, Route: route.Name, Labels: h.Labels, Annotations: h.Annotations,
		ExternalURL: h.ExternalURL, Severity: cmp.Or(reporter.Severity(route.Severity), reporter.HeartbeatSeverity), Cause: why,
		MissingAfter: route.MissingAfter, SeenAt: h.SeenAt, MissingAt: b.now,
	}
	h.Outage, h.MissingAt, h.touched = h.outage.ID, b.now, true
	b.out.HeartbeatOutages = append(b.out.HeartbeatOutages, h.outage)
	b.missed = append(b.missed, h.outage)
	b.send(reporter.DeliveryHeartbeatMissing, h.outage, route)
}

func (b *beats) send(kind reporter.DeliveryKind, o reporter.HeartbeatOutage, route Route) {
	for _, r := range route.Receivers {
		b.out.Deliveries = append(b.out.Deliveries, reporter.NewDelivery(kind, o.ID, r, b.now))
	}
}

// outageID names an outage after the heartbeat and its last receipt: there is one outage after each.
func (b *beats) outageID(h *beat) string {
	sum := sha256.Sum256([]byte(h.Cluster + "\x00" + h.Fingerprint + "\x00" + h.SeenAt.UTC().Format(time.RFC3339Nano)))
	return "HB-" + b.now.In(b.cfg.zone()).Format("20060102") + "-" + base32.StdEncoding.EncodeToString(sum[:])[:10]
}

// finish adds the changes to those of the incidents.
func (b *beats) finish(out *reporter.JournalChanges, did *Outcome) {
	for _, h := range b.order {
		switch {
		case h.gone:
			out.HeartbeatsForgotten = append(out.HeartbeatsForgotten, h.Heartbeat)
		case h.touched:
			out.Heartbeats = append(out.Heartbeats, h.Heartbeat)
		}
	}
	out.Deliveries = append(out.Deliveries, b.out.Deliveries...)
	out.HeartbeatOutages, out.HeartbeatWatch = b.out.HeartbeatOutages, b.out.HeartbeatWatch
	did.Heartbeats, did.Missed, did.Returned, did.Refused = b.seen, b.missed, b.back, b.refused
}

// passInterval is how often missing heartbeats are looked for; 0 where none is configured.
func (c Config) passInterval() (every time.Duration) {
	for _, r := range c.Routes {
		if r.isHeartbeat() && (every == 0 || r.MissingAfter/passesWithin < every) {
			every = max(min(r.MissingAfter/passesWithin, passEvery), passAtLeast)
		}
	}
	return every
}

// Watch finds heartbeats of which nothing is received any more. Each process that shares a state may run one.
type Watch struct {
	journal *Journal
	log     *slog.Logger
	fault   string // what was logged last
}

// NewWatch makes a watch; Run does its work.
func NewWatch(journal *Journal, log *slog.Logger) *Watch { return &Watch{journal: journal, log: log} }

// Run looks for missing heartbeats until ctx ends. The time before its first look does not count, nor the time before a look that
// failed.
func (w *Watch) Run(ctx context.Context) {
	counts := false
	tidy := false // none is configured, and those of a configuration before are forgotten
	for {
		every := w.journal.cfg.Load().passInterval()
		if tidy = tidy && every == 0; tidy {
			counts = false
		} else {
			err := w.look(ctx, counts)
			counts, tidy = err == nil, err == nil && every == 0
		}
		timer := time.NewTimer(cmp.Or(every, passEvery))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// look looks once, and logs a fault once and not each time.
func (w *Watch) look(ctx context.Context, counts bool) error {
	err := w.journal.apply(ctx, Batch{Pass: &Pass{Counts: counts && !w.journal.unstored.Swap(false)}}, nil)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if ctx.Err() == nil && text != w.fault {
		if w.fault = text; err != nil {
			w.log.Error("missing heartbeats cannot be looked for", "err", err)
		}
	}
	return err
}

// noteHeartbeats counts and logs what became of heartbeats.
func (j *Journal) noteHeartbeats(did Outcome) {
	j.heartbeats.Add(float64(did.Heartbeats))
	j.missed.Add(float64(len(did.Missed)))
	j.refused.Add(float64(did.Refused))
	for _, o := range did.Missed {
		j.log.Warn("heartbeat missing", "heartbeat", o.Name(), "cluster", o.Cluster, "route", o.Route, "cause", o.Cause, "last", o.SeenAt)
	}
	for _, o := range did.Returned {
		j.log.Info("heartbeat returned", "heartbeat", o.Name(), "cluster", o.Cluster, "route", o.Route, "after", o.Duration())
	}
	if did.Refused > 0 {
		j.log.Error("heartbeats are not watched: there are too many, check that their labels do not change",
			"heartbeats", did.Refused, "limit", mostHeartbeats)
	}
}
