package reporter

import (
	"maps"
	"time"
)

// AlertEvent is one alert of one Alertmanager webhook, with what the webhook said of its group.
type AlertEvent struct {
	GroupKey     string
	Receiver     string // Alertmanager's receiver, not ours
	ExternalURL  string // Alertmanager's own address
	GroupLabels  map[string]string
	Fingerprint  string
	Firing       bool
	StartsAt     time.Time
	EndsAt       time.Time // zero while firing
	Labels       map[string]string
	Annotations  map[string]string
	GeneratorURL string
	Truncated    uint64 // alerts of the same group that the webhook left out
	ReceivedAt   time.Time
	// Presumed is set where nobody said that the alert has ended, and says why it is taken for ended at EndsAt.
	Presumed CloseReason
}

// IncidentState is open while any alert of the incident is firing.
type IncidentState string

// The states of an incident.
const (
	IncidentOpen     IncidentState = "open"
	IncidentResolved IncidentState = "resolved"
)

// CloseReason says how we know that an incident is over.
type CloseReason string

// The reasons for closing an incident.
const (
	ClosedResolved   CloseReason = "resolved"   // Alertmanager said so
	ClosedReconciled CloseReason = "reconciled" // Alertmanager's API no longer knows the alert
	ClosedExpired    CloseReason = "expired"    // nobody has spoken of the alert for too long
)

// Incident is one episode of an Alertmanager group (or of one alert, as configured).
type Incident struct {
	ID          string // from the incident_id label or annotation, else made from the key and the first start
	Key         string // what identifies the series of incidents: receiver and group key, and the fingerprint if per alert
	GroupKey    string
	Receiver    string
	ExternalURL string
	GroupLabels map[string]string
	State       IncidentState
	StartedAt   time.Time // earliest startsAt of its alerts
	EndedAt     time.Time // latest endsAt of its alerts; zero while open
	CloseReason CloseReason
	Alerts      []Alert // ordered by StartsAt, then Fingerprint
	Truncated   uint64  // the most that one of its webhooks left out
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	Notified    bool // a postmortem was created for it
	Sample      bool // made from the bundled sample, never from a real Alertmanager
	// Partial is set where the incident was read with a part of its alerts only, and describes all of them.
	Partial *Partial
}

// Partial describes all alerts of an incident whose Alerts are a selection: the first and the last ones, the last to end,
// and the first of each severity.
type Partial struct {
	Alerts       int
	Events       int // each alert's start, and its end where it has one
	CommonLabels map[string]string
}

// Alert is one episode of one alert, as it was told: a fingerprint from startsAt to endsAt. An episode that a later one of
// the same fingerprint went on from was never told resolved, and is Firing even in a resolved incident.
type Alert struct {
	Fingerprint  string
	StartsAt     time.Time
	EndsAt       time.Time   // zero while firing
	Firing       bool        // never told resolved
	SeenAt       time.Time   // when it was last told firing
	PresumedAt   time.Time   // when it is presumed to have ended; zero if nothing is presumed
	PresumedWhy  CloseReason // ClosedReconciled or ClosedExpired
	Labels       map[string]string
	Annotations  map[string]string
	GeneratorURL string
}

// Ended says when the episode ended and why we know; a zero time while it is firing. What was told beats what is
// presumed, and a firing that was told after the presumed end undoes the presumption.
func (a Alert) Ended() (time.Time, CloseReason) {
	switch {
	case !a.Firing:
		return a.EndsAt, ClosedResolved
	case !a.PresumedAt.IsZero() && !a.SeenAt.After(a.PresumedAt):
		return a.PresumedAt, a.PresumedWhy
	}
	return time.Time{}, ""
}

// Duration is alert time, never arrival time: latest endsAt less earliest startsAt, and zero while the incident is open.
func (i Incident) Duration() time.Duration {
	if i.State != IncidentResolved || i.EndedAt.Before(i.StartedAt) {
		return 0
	}
	return i.EndedAt.Sub(i.StartedAt)
}

// AlertCount is how many alerts the incident has, whether it was read with all of them or not.
func (i Incident) AlertCount() int {
	if i.Partial != nil {
		return i.Partial.Alerts
	}
	return len(i.Alerts)
}

// CommonLabels returns the labels that every alert of the incident has with the same value.
func (i Incident) CommonLabels() map[string]string {
	if i.Partial != nil {
		return maps.Clone(i.Partial.CommonLabels)
	}
	return CommonLabels(i.Alerts)
}

// CommonLabels returns the labels that every one of the alerts has with the same value.
func CommonLabels(alerts []Alert) map[string]string {
	if len(alerts) == 0 {
		return map[string]string{}
	}
	out := maps.Clone(alerts[0].Labels)
	for _, a := range alerts[1:] {
		maps.DeleteFunc(out, func(k, v string) bool { return a.Labels[k] != v })
	}
	return out
}
