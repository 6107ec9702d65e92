package reporter

import (
	"cmp"
	"slices"
	"time"
)

// HeartbeatSeverity is the default severity of a missing heartbeat. It is high because other alerts may not arrive either while
// a heartbeat is missing.
const HeartbeatSeverity Severity = "critical"

// Heartbeat is an alert that always fires. If it is missing, monitoring itself is broken. It is identified by cluster and
// fingerprint.
type Heartbeat struct {
	Cluster     string
	Fingerprint string
	Route       string // name of the route that its alerts matched last
	Group       string // key of the Alertmanager group that delivered it last, see HeartbeatGroup
	Labels      map[string]string
	Annotations map[string]string
	ExternalURL string    // Alertmanager's own address
	StartsAt    time.Time // of its newest episode
	FirstSeenAt time.Time
	SeenAt      time.Time     // when it was last received firing
	SeenCounted time.Duration // HeartbeatWatch.Counted at SeenAt, or at a later webhook that may have omitted it
	Resolved    HeartbeatResolve
	Outage      string    // id of the outage while it is missing; "" while it is received
	MissingAt   time.Time // when it was found missing; zero while it is received
}

// Missing reports whether the heartbeat is missing.
func (h Heartbeat) Missing() bool { return h.Outage != "" }

// DistinctLabels returns the labels that distinguish the heartbeat from others of its name, as name=value, in order.
func (h Heartbeat) DistinctLabels() []string { return distinctLabels(h.Labels) }

// Name returns the heartbeat's alert name, or its fingerprint if it has no name.
func (h Heartbeat) Name() string { return cmp.Or(h.Labels["alertname"], h.Fingerprint) }

// HeartbeatResolve is the newest resolve that was received of a heartbeat; a zero At means none.
type HeartbeatResolve struct {
	StartsAt, EndsAt time.Time
	At               time.Time // when it was received first
}

// HeartbeatCause is the evidence that a heartbeat is missing.
type HeartbeatCause string

// The causes of an outage.
const (
	HeartbeatSilent   HeartbeatCause = "silent"   // it was not received for missing_after
	HeartbeatResolved HeartbeatCause = "resolved" // Alertmanager sent that it no longer fires
)

// HeartbeatOutage is a period in which a heartbeat was missing. Its labels, annotations and route are those at its start.
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
	MissingAfter time.Duration // of the route
	SeenAt       time.Time     // when it was last received firing before the outage
	MissingAt    time.Time     // when it was found missing
	ReturnedAt   time.Time     // when it was received again; zero if it is still missing, or was deleted while missing
}

// Name returns the heartbeat's alert name, or its fingerprint if it has no name.
func (o HeartbeatOutage) Name() string { return cmp.Or(o.Labels["alertname"], o.Fingerprint) }

// DistinctLabels returns the same labels as those of the heartbeat.
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

// Duration returns how long the heartbeat was not received; 0 while it is missing.
func (o HeartbeatOutage) Duration() time.Duration {
	if o.ReturnedAt.IsZero() {
		return 0
	}
	return o.ReturnedAt.Sub(o.SeenAt)
}

// HeartbeatWatch measures the time in which heartbeats could be received and stored. It does not advance while no process runs,
// or while the state cannot be written.
type HeartbeatWatch struct {
	At      time.Time     // when it was last advanced; zero means never
	Counted time.Duration // measured so far
}

// HeartbeatGroup returns the key of an Alertmanager group.
func HeartbeatGroup(cluster, receiver, groupKey string) string {
	return IncidentKey(cmp.Or(cluster, ClusterDefault), receiver, groupKey)
}

// HeartbeatNotice is the content of a message about heartbeats.
type HeartbeatNotice struct {
	Outages  []HeartbeatOutage
	Returned bool   // the heartbeats are received again; else they are missing
	Locale   string // of the route; "" means the writer's default
	Zone     *time.Location
}
