package reporter

import (
	"slices"
	"time"
)

// IncidentFilter says which incidents a page lists: open ones first, then chronic ones, then the others, each the newest first.
// Zero fields do not filter. At most one of After and Before is set.
type IncidentFilter struct {
	State    IncidentState
	Key      string
	Severity Severity // as the alerts give it
	Team     string
	Cluster  string
	// From and To bound when the incident began: From <= t < To.
	From, To time.Time
	Text     string          // in the id, the group labels, the title, or what the first alerts say; case does not matter
	After    *IncidentCursor // the last one of the page before
	Before   *IncidentCursor // the first one of the page after
	Limit    int
}

// IncidentCursor is a place in the list of incidents.
type IncidentCursor struct {
	State     IncidentState
	StartedAt time.Time
	ID        string
}

// IncidentPage is a part of the incidents that match a filter. Count stops at a bound; More says that there are more than that.
type IncidentPage struct {
	Rows  []IncidentRow
	Count int
	More  bool
}

// IncidentRow is an incident as a list shows it. However many alerts it has, Incident.Alerts holds the first few only.
type IncidentRow struct {
	Incident Incident
	Title    string // of the most severe alert
	Severity Severity
	Team     string // the label "team" of the most severe alert that has one
	Count    int    // of alerts
	// Acknowledgement is that of its entries; the zero value where it was never acknowledged, or where the list does not read it.
	Acknowledgement Acknowledgement
}

// IncidentFacets are values that incidents can be filtered by, in order; of very many, the first.
type IncidentFacets struct {
	Severities []Severity // the most severe first
	Teams      []string
	Clusters   []string
}

// With adds the values that f asks for, so that a form shows them though no incident has them any more.
func (a IncidentFacets) With(f IncidentFilter) IncidentFacets {
	if f.Severity != "" && !slices.Contains(a.Severities, f.Severity) {
		a.Severities = append(slices.Clone(a.Severities), f.Severity)
	}
	if f.Team != "" && !slices.Contains(a.Teams, f.Team) {
		a.Teams = append(slices.Clone(a.Teams), f.Team)
	}
	if f.Cluster != "" && !slices.Contains(a.Clusters, f.Cluster) {
		a.Clusters = append(slices.Clone(a.Clusters), f.Cluster)
	}
	return a
}

// AlertFilter says which alerts of an incident a page lists, in order of start and fingerprint. At most one of After and
// Before is set.
type AlertFilter struct {
	Incident string
	After    *AlertCursor // the last one of the page before
	Before   *AlertCursor // the first one of the page after
	Limit    int
}

// AlertCursor is a place among the alerts of an incident.
type AlertCursor struct {
	StartsAt    time.Time
	Fingerprint string
}

// AlertPage is a part of an incident's alerts.
type AlertPage struct {
	Alerts []Alert
	Offset int // how many alerts precede the first of Alerts
	Count  int // of all alerts of the incident
}

// DeliveryFilter says which deliveries a page lists, the newest first. Zero fields do not filter.
type DeliveryFilter struct {
	State    DeliveryState
	Receiver string
	Kind     DeliveryKind
	Subject  string
	Before   int64 // the id of the last one of the page before
	Limit    int
}

// DeliveryCause is why deliveries to a receiver were given up, or wait.
type DeliveryCause struct {
	Receiver string
	State    DeliveryState // given up or pending
	Reason   Reason
	Count    int
	Oldest   time.Time // when the oldest of them was made
	Latest   int64     // the id of the latest
}
