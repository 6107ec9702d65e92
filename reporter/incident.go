package reporter

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

// The clusters that have a name without being configured.
const (
	ClusterDefault = "default" // of Alertmanagers that post to the path without a name
	ClusterGrafana = "grafana" // of Grafanas that do; it has no API of Alertmanager's
)

// AlertEvent is one alert of one webhook, with what the webhook said of its group.
type AlertEvent struct {
	Cluster       string // of Alertmanagers; "" is ClusterDefault
	GroupKey      string
	Receiver      string // Alertmanager's receiver, not ours
	ExternalURL   string // Alertmanager's own address
	GroupLabels   map[string]string
	GroupResolved bool // the webhook says that the group is resolved as a whole
	Fingerprint   string
	Firing        bool
	StartsAt      time.Time
	EndsAt        time.Time // zero while firing
	Labels        map[string]string
	Annotations   map[string]string
	GeneratorURL  string
	Links         []Link // Grafana's, of kind "dashboard", "panel" and "silence"
	Truncated     uint64 // alerts of the same group that the webhook left out
	ReceivedAt    time.Time
}

// AlertEnd is the presumed end of an episode of an alert whose resolve was never received.
type AlertEnd struct {
	Cluster     string
	Fingerprint string
	StartsAt    time.Time
	EndsAt      time.Time
	Why         CloseReason // ClosedReconciled or ClosedExpired
}

// AlertVerdict is what a cluster's API says of an episode that was received firing shortly after its resolve.
type AlertVerdict struct {
	Cluster     string
	Fingerprint string
	StartsAt    time.Time
	Firing      bool
}

// IncidentState is open while any alert of the incident is firing, and chronic once that has lasted very long.
type IncidentState string

// The states of an incident.
const (
	IncidentOpen     IncidentState = "open"
	IncidentChronic  IncidentState = "chronic" // still firing, and takes no more alerts
	IncidentResolved IncidentState = "resolved"
)

// CloseReason says how we know that an incident is over.
type CloseReason string

// The reasons for closing an incident.
const (
	ClosedResolved   CloseReason = "resolved"   // Alertmanager said so
	ClosedReconciled CloseReason = "reconciled" // Alertmanager's API no longer knows the alert
	ClosedExpired    CloseReason = "expired"    // no event of the alert was received for too long
)

// Incident is a run of alerts of one Alertmanager group (or of one alert, as configured) that overlap or follow closely.
type Incident struct {
	ID          string // from the incident_id label or annotation, else made from the key and the first alert
	Key         string // identifies the series of incidents: a hash of cluster, route, receiver and group, and of the alert if per alert
	Cluster     string
	Route       string // the name of the route that its alerts matched; "" is the default
	GroupKey    string
	Receiver    string
	ExternalURL string
	GroupLabels map[string]string
	State       IncidentState
	StartedAt   time.Time // earliest startsAt of its alerts
	EndedAt     time.Time // latest endsAt of its alerts; zero unless resolved
	CloseReason CloseReason
	// Alerts are ordered by StartsAt, then Fingerprint. For an update of the journal, where Selected is set, they are those that
	// are firing, and those that the update is about.
	Alerts      []Alert
	Selected    bool
	AlertsTotal int       // how many alerts it has had, the folded ones among them
	Folded      []Folded  // what is left of the oldest alerts of an incident that has very many
	LastEnd     time.Time // latest end of its alerts so far, also while it is open
	LastWhy     CloseReason
	Truncated   uint64 // the most that one of its webhooks left out
	Held        bool   // open because the last webhook of its group left alerts out
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	Notified    bool // a postmortem was created for it
	Sample      bool // made from the bundled sample, never from a real Alertmanager
	Adopted     bool // of the cluster "default" before its cluster got a name
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

// IncidentKey is a hash of what identifies a series of incidents, so that it may be of any length: cluster, route, receiver,
// group key and, where each alert is an incident, the fingerprint.
func IncidentKey(of ...string) string {
	h := sha256.New()
	for _, s := range of {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Folded counts episodes of one alert name that are no longer kept one by one.
type Folded struct {
	Name   string        `json:"name"`
	Count  int           `json:"count"`
	Firing time.Duration `json:"firing"` // sum of their durations
}

// Alert is one episode of one alert: a fingerprint from startsAt to endsAt. What was received of it is kept, and whether it
// is firing follows from that.
type Alert struct {
	Fingerprint  string
	StartsAt     time.Time
	EndsAt       time.Time   // zero while firing
	Firing       bool        // not resolved, or firing again since
	SeenAt       time.Time   // when it was last received firing
	Resolves     []Resolve   // what was received of its end, by First
	ConfirmedAt  time.Time   // when its cluster's API said that it fires although it was received resolved
	DismissedAt  time.Time   // what was received firing up to then was a late copy
	Doubtful     bool        // received firing shortly after its resolve, and not decided
	PresumedAt   time.Time   // when it is presumed to have ended; zero if nothing is presumed
	PresumedWhy  CloseReason // ClosedReconciled or ClosedExpired
	Labels       map[string]string
	Annotations  map[string]string
	GeneratorURL string
	Links        []Link
}

// Resolve is one end of an episode, as it was received, and when it was received first and last.
type Resolve struct{ EndsAt, First, Last time.Time }

// Ended says when the episode ended and why we know; a zero time while it is firing. What was received beats what is
// presumed, and a firing that was received after the presumed end undoes the presumption.
func (a Alert) Ended() (time.Time, CloseReason) {
	switch {
	case !a.Firing:
		return a.EndsAt, ClosedResolved
	case !a.PresumedAt.IsZero() && !a.SeenAt.After(a.PresumedAt):
		return a.PresumedAt, a.PresumedWhy
	}
	return time.Time{}, ""
}

// Over says whether the incident is resolved.
func (i Incident) Over() bool { return i.State == IncidentResolved }

// Duration is alert time, never arrival time: latest endsAt less earliest startsAt, and zero while the incident is open.
func (i Incident) Duration() time.Duration {
	if !i.Over() || i.EndedAt.Before(i.StartedAt) {
		return 0
	}
	return i.EndedAt.Sub(i.StartedAt)
}

// TimeFiring is for how long at least one alert of the incident was firing: its Duration without the gaps in which it continued. It
// is not known while the incident lasts, and where its alerts are not all at hand.
func (i Incident) TimeFiring() (total time.Duration, known bool) {
	if !i.Over() || i.Selected || i.Partial != nil || len(i.Folded) > 0 || len(i.Alerts) < max(i.AlertsTotal, 1) {
		return 0, false
	}
	var until time.Time
	for _, a := range slices.SortedFunc(slices.Values(i.Alerts), func(a, b Alert) int { return a.StartsAt.Compare(b.StartsAt) }) {
		from, end := a.StartsAt, i.EndedAt
		if at, _ := a.Ended(); !at.IsZero() {
			end = at
		}
		if until.After(from) {
			from = until
		}
		if end.After(from) {
			total, until = total+end.Sub(from), end
		}
	}
	return total, true
}

// AlertCount is how many alerts the incident has, whether it was read with all of them or not.
func (i Incident) AlertCount() int {
	if i.Partial != nil {
		return max(i.AlertsTotal, i.Partial.Alerts)
	}
	return max(i.AlertsTotal, len(i.Alerts))
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
