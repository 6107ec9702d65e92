package reporter

import (
	"strings"
	"time"
)

// Postmortem is what is known of one incident that lasted long enough. Empty fields are unknown and are left out of
// the text; nothing is invented to fill them.
type Postmortem struct {
	Incident    Incident
	Updated     bool // the chat has had one of this incident before
	Title       string
	Severity    Severity
	Description string  // of the most severe alert
	Affected    []Label // labels in common, in order of name
	Disposition Disposition
	Retries     int // attempts after the first; 0 is unknown or none
	RootCause   string
	Action      string
	Decision    string // what the AI decided, as the platform recorded it
	// TrueStart is when the condition began to hold, which is earlier than the first alert by the rule's "for"; zero where
	// Prometheus does not know it.
	TrueStart time.Time
	// Acknowledged is when somebody acknowledged the incident; zero where that is not known.
	Acknowledged time.Time
	// Acknowledgement is who takes care of it here, and Silences what people asked for, in the order in which they did.
	Acknowledgement Acknowledgement
	Silences        []Silence
	// Actions are those that its message offers as buttons, with the Token that names the incident and the receiver.
	Actions  []ActionKind
	Token    string
	Timeline []TimelineEvent
	// TimelineOmitted is how many events are left out in the middle of Timeline, where the incident has very many.
	TimelineOmitted int
	Links           []Link
	Earlier         *Earlier // nil where the journal could not be asked
	Similar         []Similar
	Notes           []string // what was left out and why, for people (for example alerts that Alertmanager truncated)
	// Entries are all versions of what people wrote and did. Sections are the latest ones by kind; one without a text was removed.
	// PeopleNotes are their notes.
	Entries     []Entry
	Sections    map[EntryKind]Entry
	PeopleNotes []Entry
	Locale      string
	Zone        *time.Location
	Built       time.Time
}

// Notes that the builder writes, for the renderer to put into words; any other note is a text of its own.
const (
	NoteTruncated          = "truncated" // followed by ":" and how many alerts Alertmanager left out
	NoteDetailsUnavailable = "details_unavailable"
	NoteEntriesUnavailable = "entries_unavailable"
	NoteReconciled         = "reconciled" // no resolve was received; Alertmanager no longer had the alert
	NoteExpired            = "expired"    // no resolve was received; the end is when the alert was last received
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

// ParseDisposition reads what people and the platform write: "auto_repaired", "Manual, by alice". Anything else is unknown.
func ParseDisposition(s string) Disposition {
	switch s = strings.ToLower(strings.TrimSpace(s)); {
	case strings.HasPrefix(s, "auto"):
		return DispositionAutomatic
	case strings.HasPrefix(s, "human"), strings.HasPrefix(s, "manual"):
		return DispositionHuman
	}
	return DispositionUnknown
}

// Link is an address for people. Its kind is one of "source", "runbook", "dashboard", "alertmanager", "page".
type Link struct{ Kind, URL string }

// Earlier counts the incidents of the same key that began in the days before this one.
type Earlier struct {
	Days7, Days30 int
	// Resolved is how many of the 30 days' are over, and MeanResolve how long these took on average.
	Resolved    int
	MeanResolve time.Duration
}

// Similar is an incident before this one that has much in common with it.
type Similar struct {
	ID        string
	Title     string
	StartedAt time.Time
	Duration  time.Duration
	Page      string // address of its page; "" where our pages have none
}

// Digest is many incidents that were closed together, in one message.
type Digest struct {
	Incidents []DigestEntry // the most severe first, then the longest
	Locale    string
	Zone      *time.Location
	Built     time.Time
	Page      string // address of the list of incidents; ""
}

// DigestEntry is one incident of a digest.
type DigestEntry struct {
	Similar
	Severity Severity
	State    IncidentState
	EndedAt  time.Time
	Sample   bool
	// Acknowledged is the name of who takes care of it; "" if nobody does.
	Acknowledged string
}

// Graph is what an expression did around an incident.
type Graph struct {
	Title      string // the expression, for people
	Start, End time.Time
	Step       time.Duration // between the points
	Series     []Series
	Threshold  *float64 // what the alert compares with; nil if it is not that simple
}

// AlertRule is an alerting rule, as the server that evaluates it describes it.
type AlertRule struct {
	Expr   string            // PromQL, or what the server extends it to
	Labels map[string]string // added to each alert; values may be templates
}

// DetailsQuery is what an incident is looked up by in the operations database.
type DetailsQuery struct {
	IncidentID  string // as the alert's label or annotation gives it; "" if none does
	Fingerprint string // of the most severe alert
	AlertName   string // of the most severe alert
	StartsAt    time.Time
	EndsAt      time.Time // zero while the incident is open
}

// Details is what the operations database knows of one incident; empty fields are unknown.
type Details struct {
	Title       string
	Severity    Severity
	RootCause   string
	Action      string
	Decision    string
	Disposition Disposition
	Retries     int
	// Acknowledged is when somebody acknowledged the incident.
	Acknowledged time.Time
}
