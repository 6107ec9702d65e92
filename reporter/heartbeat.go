package reporter

import (
	"cmp"
	"slices"
	"time"
)

// HeartbeatSeverity is the severity of a missing heartbeat whose route sets none: while it is missing, no other alert may arrive.
const HeartbeatSeverity Severity = "critical"

// Heartbeat is an alert that always fires, so that its absence says that monitoring itself is broken. It is identified by
// cluster and fingerprint.
type Heartbeat struct {
	Cluster     string
	Fingerprint string
	Route       string // the name of the route that its alerts matched last
	Group       string // key of the Alertmanager group that delivered it last, see HeartbeatGroup
	Labels      map[string]string
	Annotations map[string]string
	ExternalURL string    // Alertmanager's own address
	StartsAt    time.Time // of its newest episode
	FirstSeenAt time.Time
	SeenAt      time.Time     // when it was last received firing
	SeenCounted time.Duration // HeartbeatWatch.Counted as of SeenAt, or as of a later webhook that may have left it out
	Resolved    HeartbeatResolve
	Outage      string    // ID of the outage while it is missing; "" while it is received
	MissingAt   time.Time // when it was found to be missing; zero while it is received
}

// Missing says whether the heartbeat is missing.
func (h Heartbeat) Missing() bool { return h.Outage != "" }

// DistinctLabels are the labels that distinguish the heartbeat from others of its name, as name=value, in order.
func (h Heartbeat) DistinctLabels() []string { return distinctLabels(h.Labels) }

// Name is the heartbeat's alert name; a fingerprint where it has none.
func (h Heartbeat) Name() string { return cmp.Or(h.Labels["alertname"], h.Fingerprint) }

// HeartbeatResolve is the newest resolve that was received of a heartbeat; a zero At means none.
type HeartbeatResolve struct {
	StartsAt, EndsAt time.Time
	At               time.Time // when it was received first
}

// HeartbeatCause says how we know that a heartbeat is missing.
type HeartbeatCause string

// The causes of an outage.
const (
	HeartbeatSilent   HeartbeatCause = "silent"   // nothing was received of it for missing_after
	HeartbeatResolved HeartbeatCause = "resolved" // Alertmanager says that it no longer fires
)

// HeartbeatOutage is a time in which a heartbeat was missing. It describes the heartbeat as of its begin.
type HeartbeatOutage struct {
	ID           string
	Cluster      string
	Fingerprint  string
	Route        string
	Labels       map[string]string
	Annotations  map[string]string
	ExternalURL  string
	Severity     Severity
	Cause        HeartbeatCause
	MissingAfter time.Duration // of the route, then
	SeenAt       time.Time     // when it was last received firing before
	MissingAt    time.Time     // when it was found to be missing
	ReturnedAt   time.Time     // when it was received again; zero while it is missing, or was forgotten
}

// Name is the heartbeat's alert name; a fingerprint where it has none.
func (o HeartbeatOutage) Name() string { return cmp.Or(o.Labels["alertname"], o.Fingerprint) }

// DistinctLabels are those of the heartbeat.
func (o HeartbeatOutage) DistinctLabels() []string { return distinctLabels(o.Labels) }

func distinctLabels(labels map[string]string) []string {
	var out []string
	for name, value := range labels {
		if name != "alertname" && name != "severity" {
			out = append(out, name+"="+value)
		}
	}
	slices.Sort(out)
	return out
}

// Duration is how long nothing was received; zero while the heartbeat is missing.
func (o HeartbeatOutage) Duration() time.Duration {
	if o.ReturnedAt.IsZero() {
		return 0
	}
	return o.ReturnedAt.Sub(o.SeenAt)
}

// HeartbeatWatch is the time that counts for heartbeats: it stands still while no process was up, or none could store.
type HeartbeatWatch struct {
	At      time.Time     // when it was last advanced; zero is never
	Counted time.Duration // so far
}

// HeartbeatGroup is the key of an Alertmanager group.
func HeartbeatGroup(cluster, receiver, groupKey string) string {
	return IncidentKey(cmp.Or(cluster, ClusterDefault), receiver, groupKey)
}

// HeartbeatNotice is what a message about heartbeats says.
type HeartbeatNotice struct {
	Outages []HeartbeatOutage
	// Returned says that the message is about the return of a heartbeat, not about its absence.
	Returned bool
	Locale   string // of the route; "" is the writer's own
	Zone     *time.Location
}
