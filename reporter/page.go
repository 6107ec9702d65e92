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

// DeliveryFilter says which deliveries a page lists, the newest first. Zero fields do not filter.
type DeliveryFilter struct {
	State    DeliveryState
	Receiver string
	Kind     DeliveryKind
	Subject  string
	Before   int64 // the id of the last one of the page before
	Limit    int
}
