package reporter

import "time"

// Postmortem is what is known of one incident that lasted long enough. Empty fields are unknown and are left out of
// the text; nothing is invented to fill them.
type Postmortem struct {
	Incident    Incident
	Title       string
	Severity    string
	Affected    []Label // labels in common, in order of name
	Disposition Disposition
	Retries     int // attempts after the first; 0 is unknown or none
	RootCause   string
	Action      string
	Decision    string // what the AI decided, as the platform recorded it
	Timeline    []TimelineEvent
	Links       []Link
	Earlier     *Earlier // nil where the journal could not be asked
	Notes       []string // what was left out and why, for people (for example alerts that Alertmanager truncated)
	Locale      string
	Zone        *time.Location
	Built       time.Time
}

// Notes that the builder writes, for the renderer to put into words; any other note is a text of its own.
const (
	NoteTruncated          = "truncated" // followed by ":" and how many alerts Alertmanager left out
	NoteDetailsUnavailable = "details_unavailable"
	NoteReconciled         = "reconciled" // nobody told of the end; Alertmanager no longer knew the alert
	NoteExpired            = "expired"    // nobody told of the end; the incident ends where it was last told of
)

// Label is one name and value.
type Label struct{ Name, Value string }

// Disposition says who ended the incident.
type Disposition string

// The dispositions. Unknown is the zero value.
const (
	DispositionUnknown   Disposition = ""
	DispositionAutomatic Disposition = "automatic"
	DispositionHuman     Disposition = "human"
)

// TimelineEvent is one alert that began to fire or was resolved.
type TimelineEvent struct {
	At     time.Time
	Firing bool
	Alert  string
}

// Link is an address for people. Its kind is one of "source", "runbook", "dashboard", "alertmanager", "page".
type Link struct{ Kind, URL string }

// Earlier counts the incidents of the same key that began in the days before this one.
type Earlier struct{ Days7, Days30 int }

// Details is what the operations database knows of one incident; empty fields are unknown.
type Details struct {
	Title       string
	Severity    string
	RootCause   string
	Action      string
	Decision    string
	Disposition Disposition
	Retries     int
}
