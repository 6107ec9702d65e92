package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The most characters of each text, or elements of each list, in messages. Markdown documents are not cut.
const (
	titleMax       = 200
	shortMax       = 100
	idMax          = 200
	rootCauseMax   = 300
	descriptionMax = 300
	actionMax      = 200
	decisionMax    = 300
	noteMax        = 300
	affectedMax    = 12
	notesMax       = 5
	linksMax       = 10
	urlMax         = 2000
	urlTextMax     = 300
	timelineEnds   = 10 // events of alerts at each end of the timeline
	peopleMax      = 10 // latest events of people
	personTextMax  = 120
	personMax      = 40  // of a name
	writtenMax     = 600 // of each section that people write
	// A section with more characters or lines than these is folded until it is tapped.
	writtenOpen  = 200
	writtenLines = 4
	digestMax    = 20 // incidents of a digest
	buttonsMax   = 3
)

// PostmortemView is the data of a postmortem's template. Empty fields are unknown, and a template leaves them out.
type PostmortemView struct {
	Product  string
	Sample   bool
	Open     bool // not resolved
	ID       string
	Title    string
	Severity string
	Level    string // the severity in capitals, for the first line
	// Description is that of the most severe alert, on one line; "" if it equals Title.
	Description string
	Affected    string
	Period      string
	ZoneName    string
	Duration    string
	// Updated is set if a postmortem of this incident was sent before, and it fired again since.
	Updated bool
	// TimeFiring is how long alerts were firing, if that is less than Duration.
	TimeFiring string
	// TrueStart is when the alert's condition became true, and Before the time from then to the first alert.
	TrueStart, Before string
	// Acknowledged is the time of the first acknowledgement, and ToAcknowledge the time from the start to it.
	Acknowledged, ToAcknowledge string
	// AcknowledgedBy is the name of the person; "" if only the time is known.
	AcknowledgedBy string
	Disposition    string
	Retries        int
	Closed         string
	RootCause      string
	Action         string
	Decision       string
	// Timeline holds the events of alerts, and Events those of alerts and people.
	Timeline    []Event
	Events      []Event
	Earlier     *reporter.Earlier
	MeanResolve string // mean duration of the earlier incidents that are resolved; "" if none is
	Similar     []SimilarView
	Links       []Link
	OtherLinks  []Link // those without a button
	Notes       []string
	// Owner, Impact, Cause, Lessons and Actions are the sections that people wrote; nil means not written.
	Owner, Impact, Cause, Lessons, Actions *Written
	PeopleNotes                            []Written
	people                                 []Event
	Built                                  string
}

// Written is a text that a person wrote.
type Written struct {
	Text, Author, At string
	Long             bool // folded in messages, until it is tapped
}

// SimilarView is an incident in a list. Page is nil without external_url.
type SimilarView struct {
	ID, Title, Started, Duration, Severity, Level string
	Sample                                        bool
	Page                                          *Link
}

// Event is one line of the timeline: an event of an alert (Firing and Alert) or of a person (Icon and Text), or the number of
// events that are left out there (Skipped).
type Event struct {
	At         string
	Firing     bool // the alert started; else it ended
	Alert      string
	Skipped    int
	Icon, Text string
	at         time.Time
}

// buttons returns the buttons of the message, and sets OtherLinks to the links without one.
func (v *PostmortemView) buttons() []reporter.Button {
	out := buttons(v.Links)
	v.OtherLinks = slices.DeleteFunc(slices.Clone(v.Links), func(l Link) bool { return l.Button })
	return out
}

// Postmortem writes a postmortem. If the user's template fails, it is logged and the builtin one is used.
func (r *Renderer) Postmortem(p reporter.Postmortem) (reporter.Message, error) {
	l, err := r.language(p.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("postmortem %s: %w", p.Incident.ID, err)
	}
	v := r.postmortemView(l, p)
	v.shorten(l, p)
	v.mergeEvents()
	name := v.Title
	if name == "" {
		name = v.ID
	}
	m := reporter.Message{Title: l.T("postmortem") + ": " + name, Buttons: v.buttons()}
	if v.Updated {
		m.Title = l.T("updated") + " " + m.Title
	}
	if v.Sample {
		m.Title = "【" + l.T("sample") + "】" + m.Title
	}
	if m.Summary, err = l.execute("postmortem_head.tmpl", v); err != nil {
		return reporter.Message{}, err
	}
	if r.own != "" {
		if m.HTML, err = l.executeFile(r.own, v); err == nil {
			return m, nil
		}
		r.log.Error("postmortem template failed, using the builtin one", "incident", p.Incident.ID, "err", err)
	}
	m.HTML, err = l.execute("postmortem.tmpl", v)
	return m, err
}

// Firing writes the notice of an incident that has begun, with its present state.
func (r *Renderer) Firing(p reporter.Postmortem) (reporter.Message, error) {
	l, err := r.language(p.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("firing %s: %w", p.Incident.ID, err)
	}
	v := r.postmortemView(l, p)
	v.shorten(l, p)
	v.Period = p.Incident.StartedAt.In(r.zoneOr(p.Zone)).Format(i18n.Minute)
	name := v.Title
	if name == "" {
		name = v.ID
	}
	m := reporter.Message{Title: l.T("firing") + ": " + name, Buttons: append(actions(l, p), v.buttons()...)}
	if m.HTML, err = l.execute("firing.tmpl", struct {
		PostmortemView
		Alerts int
		Over   bool
		Status []string
	}{v, p.Incident.AlertCount(), p.Incident.Over(), r.status(l, p)}); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = m.HTML
	return m, nil
}

func similarView(l language, s reporter.Similar, zone *time.Location) SimilarView {
	v := SimilarView{
		ID: cut(clean(s.ID), idMax), Title: cut(clean(s.Title), shortMax), Started: s.StartedAt.In(zone).Format(i18n.Minute),
		Page: pageLink(l, "page", s.Page),
	}
	if s.Duration > 0 {
		v.Duration = l.Duration(s.Duration)
	}
	return v
}

// Markdown writes a postmortem as a Markdown document, without cuts, with the sections that people fill in.
func (r *Renderer) Markdown(p reporter.Postmortem) (string, error) {
	l, err := r.language(p.Locale)
	if err != nil {
		return "", fmt.Errorf("postmortem %s: %w", p.Incident.ID, err)
	}
	v := r.postmortemView(l, p)
	if v.Open { // There is no end yet.
		v.Period = p.Incident.StartedAt.In(r.zoneOr(p.Zone)).Format(i18n.Minute)
	}
	v.mergeEvents()
	v.escapeMarkdown(p.Action)
	var b strings.Builder
	if err := l.markdown.ExecuteTemplate(&b, markdownFile, v); err != nil {
		return "", fmt.Errorf("render: %w", err)
	}
	return b.String(), nil
}

func (r *Renderer) postmortemView(l language, p reporter.Postmortem) PostmortemView {
	zone := r.zoneOr(p.Zone)
	in := p.Incident
	v := PostmortemView{
		Product: l.T("product", r.product), Sample: in.Sample, Open: in.State != "" && !in.Over(), ID: clean(in.ID), Title: clean(p.Title),
		Severity: clean(string(p.Severity)), Period: period(in, zone), ZoneName: l.ZoneName(zone), Retries: max(p.Retries, 0),
		RootCause: clean(p.RootCause), Action: clean(p.Action), Decision: clean(p.Decision), Earlier: p.Earlier,
		Built: p.Built.In(zone).Format(i18n.Minute), Updated: p.Updated,
	}
	v.Level = strings.ToUpper(v.Severity)
	if v.Description = clean(p.Description); v.Description == v.Title {
		v.Description = ""
	}
	if d := in.Duration(); d > 0 {
		v.Duration = l.Duration(d)
		if firing, known := in.TimeFiring(); known && l.Duration(firing) != v.Duration {
			v.TimeFiring = l.Duration(firing)
		}
	}
	switch p.Disposition {
	case reporter.DispositionAutomatic:
		v.Disposition = l.T("disposition_automatic")
	case reporter.DispositionHuman:
		v.Disposition = l.T("disposition_human")
	case reporter.DispositionUnknown:
	}
	switch in.CloseReason {
	case reporter.ClosedReconciled:
		v.Closed = l.T("closed_reconciled")
	case reporter.ClosedExpired:
		v.Closed = l.T("closed_expired")
	case reporter.ClosedResolved: // the normal end, which is not mentioned
	}
	if before := in.StartedAt.Sub(p.TrueStart); !p.TrueStart.IsZero() && before >= time.Second {
		v.TrueStart, v.Before = p.TrueStart.In(zone).Format(time.DateTime), l.Duration(before)
	}
	if !p.Acknowledged.IsZero() {
		v.Acknowledged = p.Acknowledged.In(zone).Format(i18n.Minute)
		v.ToAcknowledge = l.Duration(p.Acknowledged.Sub(in.StartedAt))
		v.AcknowledgedBy = cut(clean(p.Acknowledgement.FirstBy.Name), personMax)
	}
	if p.Earlier != nil && p.Earlier.Resolved > 0 {
		v.MeanResolve = l.Duration(p.Earlier.MeanResolve)
	}
	for _, s := range p.Similar {
		v.Similar = append(v.Similar, similarView(l, s, zone))
	}
	v.Affected = affected(p.Affected)
	v.events(l, p, zone)
	for _, link := range p.Links {
		if view, ok := newLink(l, link); ok {
			v.Links = append(v.Links, view)
		}
	}
	for _, note := range p.Notes {
		v.Notes = append(v.Notes, noteWords(l.Words, note))
	}
	for kind, into := range map[reporter.EntryKind]**Written{
		reporter.EntryOwner: &v.Owner, reporter.EntryImpact: &v.Impact, reporter.EntryCause: &v.Cause,
		reporter.EntryLessons: &v.Lessons, reporter.EntryActions: &v.Actions,
	} {
		if e := p.Sections[kind]; e.Text != "" {
			w := written(e, zone)
			*into = &w
		}
	}
	for _, e := range p.PeopleNotes {
		v.PeopleNotes = append(v.PeopleNotes, written(e, zone))
	}
	return v
}

// events fills in Timeline and people.
func (v *PostmortemView) events(l language, p reporter.Postmortem, zone *time.Location) {
	people := reporter.PeopleEvents(p.Entries)
	times := make([]time.Time, 0, len(p.Timeline)+len(people))
	for _, e := range p.Timeline {
		times = append(times, e.At.In(zone))
	}
	for _, e := range people {
		times = append(times, e.At.In(zone))
	}
	silences := silenceEvents(l, p, zone)
	for _, e := range silences {
		times = append(times, e.at.In(zone))
	}
	layout := time.TimeOnly
	for _, t := range times {
		if t.Format(time.DateOnly) != times[0].Format(time.DateOnly) {
			layout = "01-02 " + time.TimeOnly
		}
	}
	for n, e := range p.Timeline {
		if p.TimelineOmitted > 0 && n == len(p.Timeline)/2 {
			v.Timeline = append(v.Timeline, Event{Skipped: p.TimelineOmitted, at: p.Timeline[max(n-1, 0)].At})
		}
		at := about(e.About) + e.At.In(zone).Format(layout)
		v.Timeline = append(v.Timeline, Event{At: at, Firing: e.Firing, Alert: clean(e.Alert), at: e.At})
	}
	for _, e := range people {
		icon, text := personEvent(l, e)
		v.people = append(v.people, Event{At: e.At.In(zone).Format(layout), Icon: icon, Text: text, at: e.At})
	}
	for _, e := range silences {
		e.At = e.at.In(zone).Format(layout)
		v.people = append(v.people, e)
	}
	slices.SortStableFunc(v.people, func(a, b Event) int { return a.at.Compare(b.at) }) // shorten keeps the latest
}

// personEvent returns the icon and the text of an event that a person caused.
func personEvent(l language, e reporter.PersonEvent) (icon, text string) {
	name := cut(clean(e.Entry.Author), personMax)
	switch {
	case e.Entry.Kind == reporter.EntryAcknowledgement && e.Entry.Text == "":
		return "↩️", l.T("event_released", name)
	case e.Entry.Kind == reporter.EntryAcknowledgement:
		return "✋", l.T("event_acknowledged", name)
	case e.Entry.Kind == reporter.EntryNote:
		text = l.T("event_note", name, cut(clean(e.Entry.Text), personTextMax))
		if e.Edited {
			text += " " + l.T("event_note_edited")
		}
		return "📝", text
	}
	return "✏️", l.T("event_edited", name, l.T(e.Entry.Kind.Word()))
}

// mergeEvents sets Events from Timeline and people, which shorten may have cut.
func (v *PostmortemView) mergeEvents() {
	v.Events = append(slices.Clone(v.Timeline), v.people...)
	slices.SortStableFunc(v.Events, func(a, b Event) int { return a.at.Compare(b.at) })
}

func written(e reporter.Entry, zone *time.Location) Written {
	return Written{Text: cleanLines(e.Text), Author: clean(e.Author), At: e.WrittenAt.In(zone).Format(i18n.Minute)}
}

// noteWords translates a note of a postmortem.
func noteWords(w i18n.Words, note string) string {
	kind, arg, _ := strings.Cut(note, ":")
	switch kind {
	case reporter.NoteTruncated:
		if n, err := strconv.Atoi(arg); err == nil {
			return w.T("note_truncated", n)
		}
	case reporter.NoteDetailsUnavailable:
		return w.T("note_details_unavailable")
	case reporter.NoteEntriesUnavailable:
		return w.T("note_entries_unavailable")
	case reporter.NoteReconciled:
		return w.T("note_reconciled")
	case reporter.NoteExpired:
		return w.T("note_expired")
	}
	return clean(note)
}

func affected(labels []reporter.Label) string {
	var parts []string
	for _, label := range labels {
		parts = append(parts, cut(clean(label.Name), shortMax)+"="+cut(clean(label.Value), shortMax))
	}
	return strings.Join(parts, ", ")
}

// period writes the start and the end of an incident, with the second date only if it differs from the first.
func period(in reporter.Incident, zone *time.Location) string {
	if in.StartedAt.IsZero() || in.EndedAt.IsZero() {
		return ""
	}
	start, end := in.StartedAt.In(zone), in.EndedAt.In(zone)
	layout := i18n.Minute
	if start.Format(time.DateOnly) == end.Format(time.DateOnly) {
		layout = i18n.Clock
	}
	return start.Format(i18n.Minute) + " → " + about(presumed(in)) + end.Format(layout)
}

// shorten cuts the texts and lists of the view for a message.
func (v *PostmortemView) shorten(l language, p reporter.Postmortem) {
	if left := len(p.Affected) - affectedMax; left > 0 {
		v.Affected = affected(p.Affected[:affectedMax]) + ", " + ellipsis + " " + l.T("more", left)
	}
	v.ID, v.Title, v.Severity = cut(v.ID, idMax), cut(v.Title, titleMax), cut(v.Severity, shortMax)
	v.Level, v.Description = cut(v.Level, shortMax), cut(v.Description, descriptionMax)
	v.RootCause, v.Action = cut(v.RootCause, rootCauseMax), cut(v.Action, actionMax)
	v.Decision = cut(v.Decision, decisionMax)
	if skipped := len(p.Timeline) + p.TimelineOmitted - 2*timelineEnds; skipped > 0 {
		kept := append([]Event{}, v.Timeline[:timelineEnds]...)
		kept = append(kept, Event{Skipped: skipped, at: kept[len(kept)-1].at})
		v.Timeline = append(kept, v.Timeline[len(v.Timeline)-timelineEnds:]...)
	}
	for n := range v.Timeline {
		v.Timeline[n].Alert = cut(v.Timeline[n].Alert, shortMax)
	}
	if left := len(v.people) - peopleMax; left > 0 {
		v.people = slices.Concat([]Event{{Skipped: left, at: v.people[left-1].at}}, v.people[left:])
	}
	for _, w := range []*Written{v.Owner, v.Impact, v.Cause, v.Lessons, v.Actions} {
		if w != nil {
			w.Text, w.Author = cut(w.Text, writtenMax), cut(w.Author, personMax)
			w.Long = utf8.RuneCountInString(w.Text) > writtenOpen || strings.Count(w.Text, "\n") >= writtenLines
		}
	}
	v.Links = v.Links[:min(len(v.Links), linksMax)]
	for n := range v.Links {
		if !v.Links[n].Clickable {
			v.Links[n].URL = cut(v.Links[n].URL, urlTextMax)
		}
	}
	if left := len(v.Notes) - notesMax; left > 0 {
		v.Notes = append(v.Notes[:notesMax:notesMax], ellipsis+" "+l.T("more", left))
	}
	for n := range v.Notes {
		v.Notes[n] = cut(v.Notes[n], noteMax)
	}
}
