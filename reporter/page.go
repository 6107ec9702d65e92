package reporter

import "time"

// IncidentFilter says which incidents a page lists: open ones first, then the others, each the newest first. Zero fields
// do not filter.
type IncidentFilter struct {
	State IncidentState
	Key   string
	Text  string          // in the id, the group labels, or a label or annotation of its first alerts; case does not matter
	After *IncidentCursor // the last one of the page before
	Limit int
}

// IncidentCursor is a place in the list of incidents.
type IncidentCursor struct {
	State     IncidentState
	StartedAt time.Time
	ID        string
}

// IncidentRow is an incident as a list shows it. However many alerts it has, Incident.Alerts holds the first few and the most
// severe one only, and Count stops at a bound; More says that there are more than Count.
type IncidentRow struct {
	Incident Incident
	Count    int
	More     bool
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
