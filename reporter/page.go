package reporter

import (
	"slices"
	"time"
)

// IncidentFilter selects a page of incidents: open ones first, then chronic ones, then the others, the newest first within each.
// Zero fields do not filter. At most one of After and Before is set.
type IncidentFilter struct {
	State    IncidentState
	Key      string
	Severity Severity // as the alerts give it
	Team     string
	Cluster  string
	// From and To bound the start of the incident: From <= t < To.
	From, To time.Time
	Text     string          // in the id, the group labels, the title, or the texts of the first alerts; case-insensitive
	After    *IncidentCursor // the last incident of the previous page
	Before   *IncidentCursor // the first incident of the next page
	Limit    int
}

// IncidentCursor is a position in the list of incidents.
type IncidentCursor struct {
	State     IncidentState
	StartedAt time.Time
	ID        string
}

// IncidentPage is a page of the incidents that match a filter.
type IncidentPage struct {
	Rows  []IncidentRow
	Count int  // of all that match, up to a limit
	More  bool // more than Count match
}

// IncidentRow is an incident in a list. Incident.Alerts holds the first few alerts only.
type IncidentRow struct {
	Incident Incident
	Title    string // of the most severe alert
	Severity Severity
	Team     string // the label "team" of the most severe alert that has one
	Count    int    // number of its alerts
	// Acknowledgement is zero if the incident was never acknowledged, and in lists that do not read it.
	Acknowledgement Acknowledgement
}

// IncidentFacets are values that incidents can be filtered by, in order, up to a limit.
type IncidentFacets struct {
	Severities []Severity // the most severe first
	Teams      []string
	Clusters   []string
}

// With returns the facets with the values of f added, so that a form shows its own choice even if no incident has it.
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

// AlertFilter selects a page of an incident's alerts, in the order of start and fingerprint. At most one of After and Before is
// set.
type AlertFilter struct {
	Incident string
	After    *AlertCursor // the last alert of the previous page
	Before   *AlertCursor // the first alert of the next page
	Limit    int
}

// AlertCursor is a position in the list of an incident's alerts.
type AlertCursor struct {
	StartsAt    time.Time
	Fingerprint string
}

// AlertPage is a page of an incident's alerts.
type AlertPage struct {
	Alerts []Alert
	Offset int // number of alerts on the previous pages
	Count  int // number of all alerts of the incident
}

// DeliveryFilter selects a page of deliveries, the newest first. Zero fields do not filter.
type DeliveryFilter struct {
	State    DeliveryState
	Receiver string
	Kind     DeliveryKind
	Subject  string
	Before   int64 // id of the last delivery of the previous page; 0 means the first page
	Limit    int
}

// DeliveryCause groups deliveries to a receiver that failed, or wait, for the same reason.
type DeliveryCause struct {
	Receiver string
	State    DeliveryState // DeliveryGivenUp or DeliveryPending
	Reason   Reason
	Count    int
	Oldest   time.Time // CreatedAt of the oldest
	Latest   int64     // id of the latest
}
