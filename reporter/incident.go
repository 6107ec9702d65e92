package reporter

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The names of clusters that need no configuration.
const (
	ClusterDefault = "default" // Alertmanagers that post to the path without a cluster name
	ClusterGrafana = "grafana" // Grafana instances that post to that path; they have no Alertmanager API
)

// AlertEvent is one alert of one webhook, with the webhook's fields about its group.
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
	Truncated     uint64 // number of alerts of the group that the webhook omitted
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

// AlertVerdict is the answer of a cluster's API about an episode that was received firing shortly after its resolve.
type AlertVerdict struct {
	Cluster     string
	Fingerprint string
	StartsAt    time.Time
	Firing      bool
}

// IncidentState is open while any alert of the incident is firing, and chronic from chronic_after on.
type IncidentState string

// The states of an incident.
const (
	IncidentOpen     IncidentState = "open"
	IncidentChronic  IncidentState = "chronic" // sealed and still firing
	IncidentResolved IncidentState = "resolved"
)

// CloseReason is the evidence that an incident is over.
type CloseReason string

// The reasons for closing an incident.
const (
	ClosedResolved   CloseReason = "resolved"   // Alertmanager sent the resolve
	ClosedReconciled CloseReason = "reconciled" // Alertmanager no longer has the alert: its API or a complete webhook lacks it
	ClosedExpired    CloseReason = "expired"    // no event of the alert was received for too long
)

// Incident is a sequence of alerts of one Alertmanager group (or of one alert with incidents.by: alert) that overlap, or follow
// each other within reopen_within.
type Incident struct {
	ID          string // from the incident_id label or annotation, else made from the key and the first alert
	Key         string // common to the incidents of a group, see IncidentKey
	Cluster     string
	Route       string // name of the route that its alerts matched; "" means the default route
	GroupKey    string
	Receiver    string
	ExternalURL string
	GroupLabels map[string]string
	State       IncidentState
	StartedAt   time.Time // earliest startsAt of its alerts
	EndedAt     time.Time // latest endsAt of its alerts; zero unless resolved
	CloseReason CloseReason
	// Alerts are ordered by StartsAt, then Fingerprint. In an update of the journal, which sets Selected, they are only those that
	// are firing, and those that the update is about.
	Alerts      []Alert
	Selected    bool
	AlertsTotal int       // number of its alerts so far, including the folded ones
	Folded      []Folded  // counts of the oldest episodes, if it has too many to keep
	LastEnd     time.Time // latest end of its alerts so far, also while it is open
	LastWhy     CloseReason
	Truncated   uint64 // the most alerts that one of its webhooks omitted
	Held        bool   // kept open because the last webhook of its group omitted alerts
	LeftOut     bool   // a webhook that listed one of its alerts omitted others, and no complete one followed; true wherever Held is
	FirstSeenAt time.Time
	LastSeenAt  time.Time
	Notified    bool // a postmortem was created for it
	Sample      bool // made from the bundled sample, not from a real Alertmanager
	Adopted     bool // belonged to the cluster "default" before its cluster got a name
	// Partial is set if Alerts is a selection, and describes all alerts.
	Partial *Partial
}

// Partial describes all alerts of an incident whose Alerts are a selection: the first and the last ones, the last to end,
// and the first of each severity.
type Partial struct {
	Alerts       int
	Events       int // number of starts and ends of alerts
	CommonLabels map[string]string
}

var notInIncidentID = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

const longestIncidentID = 64

// IncidentID is the ID that an incident gets by the name that one of its alerts gives it: only letters, digits and "._-". If another
// incident has that ID, "-" and a hash follow. It is empty if nothing of the name is left.
func IncidentID(name string) string {
	id := notInIncidentID.ReplaceAllString(name, "-")
	return strings.Trim(id[:min(len(id), longestIncidentID)], "-.")
}

// IncidentKey returns a hash of what identifies the incidents of one group: cluster, route, receiver, group key and, if each
// alert is an incident, the fingerprint. It is a hash so that these may be of any length.
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

// Alert is one episode of one alert: a fingerprint from startsAt to endsAt. The received events are kept, and Firing follows
// from them.
type Alert struct {
	Fingerprint  string
	StartsAt     time.Time
	EndsAt       time.Time   // zero while firing
	Firing       bool        // not resolved, or firing again since
	SeenAt       time.Time   // when it was last received firing
	Resolves     []Resolve   // received ends, ordered by First
	ConfirmedAt  time.Time   // when its cluster's API answered that it fires although it was received resolved
	DismissedAt  time.Time   // firing events received up to then were late copies
	Doubtful     bool        // received firing shortly after its resolve, and not decided yet
	PresumedAt   time.Time   // presumed end; zero if none is presumed
	PresumedWhy  CloseReason // ClosedReconciled or ClosedExpired
	Labels       map[string]string
	Annotations  map[string]string
	GeneratorURL string
	Links        []Link
}

// Resolve is one received end of an episode, with the times of its first and last receipt.
type Resolve struct{ EndsAt, First, Last time.Time }

// Ended returns when the episode ended, and the evidence; a zero time while it is firing. A received end takes precedence over a
// presumed one, and a firing event received after the presumed end cancels it.
func (a Alert) Ended() (time.Time, CloseReason) {
	switch {
	case !a.Firing:
		return a.EndsAt, ClosedResolved
	case !a.PresumedAt.IsZero() && !a.SeenAt.After(a.PresumedAt):
		return a.PresumedAt, a.PresumedWhy
	}
	return time.Time{}, ""
}

// Over reports whether the incident is resolved.
func (i Incident) Over() bool { return i.State == IncidentResolved }

// Duration returns the time from the earliest startsAt to the latest endsAt, by alert times and not by receive times; 0 while
// the incident is open.
func (i Incident) Duration() time.Duration {
	if !i.Over() || i.EndedAt.Before(i.StartedAt) {
		return 0
	}
	return i.EndedAt.Sub(i.StartedAt)
}

// TimeFiring returns how long at least one alert of the incident was firing, which is Duration less the gaps between alerts. It
// is not known while the incident is open, or if not all of its alerts are in Alerts.
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

// FoldedCount returns how many episodes of the incident are no longer kept one by one.
func (i Incident) FoldedCount() (n int) {
	for _, f := range i.Folded {
		n += f.Count
	}
	return n
}

// AlertCount returns the number of alerts of the incident, also if Alerts is a selection.
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
