package reporter

import (
	"strings"
	"time"
)

// Postmortem holds what is known about one incident. Empty fields are unknown, and the message leaves them out.
type Postmortem struct {
	Incident    Incident
	Updated     bool // an earlier postmortem of this incident was sent to the chat
	Title       string
	Severity    Severity
	Description string  // of the most severe alert
	Affected    []Label // labels that all alerts have in common, ordered by name
	Disposition Disposition
	Retries     int // attempts after the first; 0 means unknown or none
	RootCause   string
	Action      string
	Decision    string // the AI's decision, as the platform recorded it
	// TrueStart is when the alert's condition became true. It is before the first alert by the rule's "for". Zero if Prometheus
	// does not have it.
	TrueStart time.Time
	// Acknowledged is the time of the first acknowledgement, here or in the platform; zero if not known.
	Acknowledged time.Time
	// Acknowledgement is the one made through this program.
	Acknowledgement Acknowledgement
	Silences        []Silence // in the order of their requests
	// Actions are offered as buttons of the message. Token identifies the incident and the receiver in their data.
	Actions  []ActionKind
	Token    string
	Timeline []TimelineEvent
	// TimelineOmitted is the number of events that are left out in the middle of Timeline.
	TimelineOmitted int
	Links           []Link
	Earlier         *Earlier // nil if the journal could not be read
	Similar         []Similar
	Notes           []string // what is missing and why (for example alerts that Alertmanager truncated), see NoteTruncated
	// Entries are all versions of what people wrote. Sections are the latest versions by kind; an empty text means removed.
	// PeopleNotes are the latest versions of the notes.
	Entries     []Entry
	Sections    map[EntryKind]Entry
	PeopleNotes []Entry
	Locale      string
	Zone        *time.Location
	Built       time.Time
}

// The notes of a Postmortem that the renderer translates. Any other note is shown as it is.
const (
	NoteTruncated          = "truncated" // followed by ":" and the number of alerts that Alertmanager omitted
	NoteDetailsUnavailable = "details_unavailable"
	NoteEntriesUnavailable = "entries_unavailable"
	NoteReconciled         = "reconciled" // no resolve was received; Alertmanager no longer had the alert
	NoteExpired            = "expired"    // no resolve was received; the end is when the alert was last received
)

// Label is the name and value of a label.
type Label struct{ Name, Value string }

// Disposition is how the incident was handled: by a person or automatically.
type Disposition string

// The dispositions.
const (
	DispositionUnknown   Disposition = ""
	DispositionAutomatic Disposition = "automatic"
	DispositionHuman     Disposition = "human"
)

// ParseDisposition reads a text that begins with "auto", "human" or "manual" in any case, such as "auto_repaired" or "Manual, by
// alice". Any other text is DispositionUnknown.
func ParseDisposition(s string) Disposition {
	switch s = strings.ToLower(strings.TrimSpace(s)); {
	case strings.HasPrefix(s, "auto"):
		return DispositionAutomatic
	case strings.HasPrefix(s, "human"), strings.HasPrefix(s, "manual"):
		return DispositionHuman
	}
	return DispositionUnknown
}

// Link is an address for people. Its kind is one of "page", "runbook", "dashboard", "panel", "silence", "source" and
// "alertmanager".
type Link struct{ Kind, URL string }

// Earlier counts the incidents of the same key that began in the 7 and 30 days before this one.
type Earlier struct {
	Days7, Days30 int
	// Resolved is the number of resolved incidents among Days30, and MeanResolve their mean duration.
	Resolved    int
	MeanResolve time.Duration
}

// Similar is an earlier incident that has labels in common with this one.
type Similar struct {
	ID        string
	Title     string
	StartedAt time.Time
	Duration  time.Duration
	Page      string // address of its page; "" without external_url
}

// Digest is the content of a message about many incidents.
type Digest struct {
	Incidents []DigestEntry // the most severe first, then the longest
	Locale    string
	Zone      *time.Location
	Built     time.Time
	Page      string // address of the list of incidents; "" without external_url
}

// DigestEntry is one incident of a digest.
type DigestEntry struct {
	Similar
	Severity Severity
	State    IncidentState
	EndedAt  time.Time
	Sample   bool
	// Acknowledged is the name of the person who has acknowledged it; "" means nobody.
	Acknowledged string
}

// Graph holds the values of an expression in the time around an incident.
type Graph struct {
	Title      string // the expression
	Start, End time.Time
	Step       time.Duration // between the points
	Series     []Series
	Threshold  *float64 // the number that the alert's expression compares with; nil if it is not a single comparison
}

// AlertRule is an alerting rule, as the server that evaluates it returns it.
type AlertRule struct {
	Expr   string            // PromQL, or the server's extension of it
	Labels map[string]string // added to each alert; values may be templates
}

// DetailsQuery holds the values by which an incident is looked up in the operations database.
type DetailsQuery struct {
	IncidentID  string // value of the alert's label or annotation; "" if it has none
	Fingerprint string // of the most severe alert
	AlertName   string // of the most severe alert
	StartsAt    time.Time
	EndsAt      time.Time // zero while the incident is open
}

// Details is the operations database's record of one incident; empty fields are unknown.
type Details struct {
	Title       string
	Severity    Severity
	RootCause   string
	Action      string
	Decision    string
	Disposition Disposition
	Retries     int
	// Acknowledged is the time of the first acknowledgement.
	Acknowledged time.Time
}
