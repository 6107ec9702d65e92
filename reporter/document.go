package reporter

import (
	"maps"
	"math"
	"slices"
	"time"
)

// IncidentDocument is an incident as JSON for programs, in the API and in the messages of the channel httppost. Times are UTC.
type IncidentDocument struct {
	ID              string                     `json:"id"`
	Title           string                     `json:"title"`
	Severity        Severity                   `json:"severity"` // "" means none
	Team            string                     `json:"team"`     // "" means none
	State           IncidentState              `json:"state"`
	Cluster         string                     `json:"cluster"`
	Route           string                     `json:"route"` // "" means the default route
	Receiver        string                     `json:"receiver"`
	GroupLabels     map[string]string          `json:"group_labels"`
	StartedAt       time.Time                  `json:"started_at"`
	EndedAt         *time.Time                 `json:"ended_at"`         // null while it is not over
	DurationSeconds *float64                   `json:"duration_seconds"` // null while it is not over
	CloseReason     CloseReason                `json:"close_reason"`     // "" while it is not over
	Alerts          int                        `json:"alerts"`
	Sample          bool                       `json:"sample"`
	URL             string                     `json:"url,omitempty"` // address of its page
	RootCause       string                     `json:"root_cause,omitempty"`
	Action          string                     `json:"action,omitempty"`
	Written         map[EntryKind]TextDocument `json:"written,omitempty"`         // sections that people filled in
	Acknowledgement *AcknowledgementDocument   `json:"acknowledgement,omitempty"` // missing if it was never acknowledged
	Notes           []TextDocument             `json:"notes,omitempty"`           // the last documentNotes notes
}

// AcknowledgementDocument holds the current acknowledgement of an incident, and the first one.
type AcknowledgementDocument struct {
	By      string     `json:"by"` // "" if it was released
	At      *time.Time `json:"at"` // null if it was released
	FirstBy string     `json:"first_by"`
	FirstAt time.Time  `json:"first_at"`
}

// documentNotes is the most notes of a document.
const documentNotes = 50

// TextDocument is the latest version of a text that a person wrote.
type TextDocument struct {
	Text      string    `json:"text"`
	Author    string    `json:"author"`
	WrittenAt time.Time `json:"written_at"`
}

// Document returns the row as JSON for programs. Entries are those of the incident, in the order of their ids.
func (r IncidentRow) Document(url string, entries []Entry) IncidentDocument {
	in := r.Incident
	d := IncidentDocument{
		ID: in.ID, Title: r.Title, Severity: r.Severity, Team: r.Team, State: in.State, Cluster: in.Cluster, Route: in.Route,
		Receiver: in.Receiver, GroupLabels: in.GroupLabels, StartedAt: in.StartedAt.UTC(), CloseReason: in.CloseReason,
		Alerts: r.Count, Sample: in.Sample, URL: url,
	}
	if d.GroupLabels == nil {
		d.GroupLabels = map[string]string{}
	}
	if in.Over() {
		ended, seconds := in.EndedAt.UTC(), in.Duration().Seconds()
		d.EndedAt, d.DurationSeconds = &ended, &seconds
	}
	if len(entries) > 0 {
		sections, _ := Current(entries)
		d.Written, d.Acknowledgement = written(sections), AcknowledgementOf(entries).document()
	}
	return d
}

func (a Acknowledgement) document() *AcknowledgementDocument {
	if a.First.IsZero() {
		return nil
	}
	d := &AcknowledgementDocument{By: a.By.Name, FirstBy: a.FirstBy.Name, FirstAt: a.First.UTC()}
	if a.Active() {
		at := a.Since.UTC()
		d.At = &at
	}
	return d
}

// Document returns the postmortem as JSON for programs.
func (p Postmortem) Document() IncidentDocument {
	in := p.Incident
	d := IncidentRow{Incident: in, Title: p.Title, Severity: p.Severity, Team: in.Team(), Count: in.AlertCount()}.Document("", nil)
	for _, l := range p.Links {
		if l.Kind == "page" {
			d.URL = l.URL
		}
	}
	d.RootCause, d.Action, d.Written, d.Acknowledgement = p.RootCause, p.Action, written(p.Sections), p.Acknowledgement.document()
	for _, e := range p.PeopleNotes[max(len(p.PeopleNotes)-documentNotes, 0):] {
		d.Notes = append(d.Notes, TextDocument{e.Text, e.Author, e.WrittenAt.UTC()})
	}
	return d
}

func written(sections map[EntryKind]Entry) map[EntryKind]TextDocument {
	out := map[EntryKind]TextDocument{}
	for _, kind := range Sections() {
		if e := sections[kind]; e.Text != "" {
			out[kind] = TextDocument{e.Text, e.Author, e.WrittenAt.UTC()}
		}
	}
	return out
}

// ReportDocument is a report as JSON for programs. Times are UTC.
type ReportDocument struct {
	Name    string           `json:"name"`
	Due     time.Time        `json:"due"`
	Since   time.Time        `json:"since"`
	Figures []FigureDocument `json:"figures"` // in order of name
}

// FigureDocument is one figure. If it has no data, Samples is empty and Reason says why.
type FigureDocument struct {
	Name    string           `json:"name"`
	At      time.Time        `json:"at"`
	Samples []SampleDocument `json:"samples"`
	Reason  string           `json:"no_data_reason,omitempty"`
}

// SampleDocument is one value. NaN and the infinities are null, because JSON has no numbers for them.
type SampleDocument struct {
	Labels map[string]string `json:"labels,omitempty"`
	Value  *float64          `json:"value"`
}

// documentSamples is the most values of a figure in a document.
const documentSamples = 100

// Document returns the report as JSON for programs.
func (r Report) Document() ReportDocument {
	d := ReportDocument{Name: r.Name, Due: r.Due.UTC(), Since: r.Since.UTC(), Figures: []FigureDocument{}}
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		f := r.Figures[name]
		figure := FigureDocument{Name: name, At: f.At.UTC(), Samples: []SampleDocument{}, Reason: f.Reason}
		for _, s := range f.Samples[:min(len(f.Samples), documentSamples)] {
			sample := SampleDocument{Labels: s.Labels}
			if !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) {
				sample.Value = &s.Value
			}
			figure.Samples = append(figure.Samples, sample)
		}
		d.Figures = append(d.Figures, figure)
	}
	return d
}
