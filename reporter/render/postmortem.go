package render

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Characters, or elements, that a postmortem's message holds of each. Its Markdown holds all.
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
	timelineEnds   = 10 // events of alerts kept at either end
	peopleMax      = 10 // events of people, the latest
	personTextMax  = 120
	personMax      = 40  // of a name
	writtenMax     = 600 // of each section that people write
	// writtenOpen and writtenLines are the characters and lines of a section that is shown without being opened by a tap.
	writtenOpen  = 200
	writtenLines = 4
	digestMax    = 20 // incidents listed
	buttonsMax   = 3
)

// PostmortemView is what a postmortem's template sees, as its dot. Empty fields are not known, and are to be left out.
type PostmortemView struct {
	Product  string
	Sample   bool
	Open     bool // it is not over
	ID       string
	Title    string
	Severity string
	Level    string // the severity in capitals, for the first line
	// Description is what the most severe alert says beyond its title, on one line; "" if that is the same.
	Description string
	Affected    string
	Period      string
	ZoneName    string
	Duration    string
	// Updated: the chat has had a postmortem of this incident, which fired again since.
	Updated bool
	// TimeFiring is for how long alerts were firing, where that is less than Duration.
	TimeFiring string
	// TrueStart is when the condition began to hold, and Before how long before the first alert that was.
	TrueStart, Before string
	// Acknowledged is when somebody acknowledged the incident, and ToAcknowledge how long that took.
	Acknowledged, ToAcknowledge string
	// AcknowledgedBy is the name of who did; "" where only the time is known.
	AcknowledgedBy string
	Disposition    string
	Retries        int
	Closed         string
	RootCause      string
	Action         string
	Decision       string
	// Timeline has what alerts did, and Events what people did, too.
	Timeline    []Event
	Events      []Event
	Earlier     *reporter.Earlier
	MeanResolve string // of the earlier ones that are over; "" if none is
	Similar     []SimilarView
	Links       []Link
	OtherLinks  []Link // those without a button
	Notes       []string
	// Owner, Impact, Cause, Lessons and Actions are what people wrote, and PeopleNotes their notes.
	Owner, Impact, Cause, Lessons, Actions *Written
	PeopleNotes                            []Written
	people                                 []Event
	Built                                  string
}

// Written is a text that a person wrote. A Long one is folded in messages, until it is tapped.
type Written struct {
	Text, Author, At string
	Long             bool
}

// SimilarView is an incident in a list of others. Its Page is nil where our pages have no address.
type SimilarView struct {
	ID, Title, Started, Duration, Severity, Level string
	Sample                                        bool
	Page                                          *Link
}

// Event is one line of the timeline: of an alert, of a person (Icon and Text), or how many are left out.
type Event struct {
	At         string
	Firing     bool
	Alert      string
	Skipped    int
	Icon, Text string
	at         time.Time
}

// Link is an address with the word for its kind. One that is not Clickable is to be shown as text.
type Link struct {
	Word      string
	URL       string
	Clickable bool
	Button    bool // the message has a button for it
}

// buttonKinds are the links worth a button: all but where the alerts came from.
var buttonKinds = []string{"page", "runbook", "dashboard", "report", "list", "delivery", "heartbeats"}

// buttons gives the message its buttons, and the template the links without one.
func (v *PostmortemView) buttons() []reporter.Button {
	out := buttons(v.Links)
	v.OtherLinks = slices.DeleteFunc(slices.Clone(v.Links), func(l Link) bool { return l.Button })
	return out
}

// Postmortem writes a postmortem.
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
		r.log.Error("postmortem: its template cannot be used, the builtin one is", "incident", p.Incident.ID, "err", err)
	}
	m.HTML, err = l.execute("postmortem.tmpl", v)
	return m, err
}

// buttons are those of the links, at most buttonsMax; the others lose theirs.
func buttons(links []Link) []reporter.Button {
	var out []reporter.Button
	for n, link := range links {
		if links[n].Button = link.Button && len(out) < buttonsMax; links[n].Button {
			out = append(out, reporter.Button{Text: link.Word, URL: link.URL})
		}
	}
	return out
}

// button is that of one link, which may be nil.
func button(link *Link) []reporter.Button {
	if link == nil {
		return nil
	}
	return buttons([]Link{*link})
}

// Firing writes that an incident has begun, and what has become of it since.
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

// Digest writes of many incidents that are over: the first ones, and how many more there are.
func (r *Renderer) Digest(d reporter.Digest) (reporter.Message, error) { return r.digest("digest", d) }

// FiringDigest writes of many incidents that have begun.
func (r *Renderer) FiringDigest(d reporter.Digest) (reporter.Message, error) {
	return r.digest(firingDigest, d)
}

func (r *Renderer) digest(word string, d reporter.Digest) (reporter.Message, error) {
	l, err := r.language(d.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("digest: %w", err)
	}
	zone := r.zoneOr(d.Zone)
	view := struct {
		Title, Period, ZoneName, Product, Built string
		Severities                              []Share
		Incidents                               []digestLine
		More                                    int
		Sample                                  bool
		States                                  string
		Page                                    *Link
	}{
		Title: l.T(word, len(d.Incidents)), ZoneName: l.ZoneName(zone), Product: l.T("product", r.product),
		Built: d.Built.In(zone).Format(i18n.Minute), Page: pageLink(l, "list", d.Page),
	}
	var first, last time.Time
	severities := map[string]int{}
	states := digestStates{}
	for n, e := range d.Incidents {
		states.count(e)
		if first.IsZero() || e.StartedAt.Before(first) {
			first = e.StartedAt
		}
		if e.EndedAt.After(last) {
			last = e.EndedAt
		}
		severity := cut(clean(string(e.Severity)), shortMax)
		if severity == "" {
			severity = l.T("unlabelled")
		}
		severities[severity]++
		view.Sample = view.Sample || e.Sample
		if n < digestMax {
			view.Incidents = append(view.Incidents, digestLine{SimilarView: similarView(l, e.Similar, zone)})
			view.Incidents[n].Severity = cut(clean(string(e.Severity)), shortMax)
			view.Incidents[n].Level = strings.ToUpper(view.Incidents[n].Severity)
			if word == firingDigest {
				view.Incidents[n].mark(l, e)
			}
		}
	}
	view.More = len(d.Incidents) - len(view.Incidents)
	if states.firing > 0 {
		last = time.Time{}
	}
	view.Period = period(reporter.Incident{StartedAt: first, EndedAt: last}, zone)
	if word == firingDigest {
		view.States = states.words(l)
	}
	bySeverity := func(a, b string) int {
		return cmp.Or(cmp.Compare(reporter.Severity(a).Rank(), reporter.Severity(b).Rank()), strings.Compare(a, b))
	}
	for _, name := range slices.SortedFunc(maps.Keys(severities), bySeverity) {
		view.Severities = append(view.Severities, Share{Name: name, Number: fmt.Sprint(severities[name])})
	}
	m := reporter.Message{Title: view.Title, Buttons: button(view.Page)}
	if m.HTML, err = l.execute("digest.tmpl", view); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = "<b>" + template.HTMLEscapeString(view.Title) + "</b>"
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

func pageLink(l language, kind, address string) *Link {
	if link, ok := newLink(l, reporter.Link{Kind: kind, URL: address}); ok {
		return &link
	}
	return nil
}

// CheckPostmortemTemplate tries a postmortem's template file as CheckTemplate does a report's.
func CheckPostmortemTemplate(file string) error {
	r, err := New(Options{})
	if err != nil {
		return err
	}
	minimal := reporter.Postmortem{Incident: reporter.Incident{ID: "INC-1"}}
	start := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	full := reporter.Postmortem{
		Incident: reporter.Incident{
			ID: "INC-2", State: reporter.IncidentResolved, StartedAt: start, EndedAt: start.Add(time.Hour), Sample: true,
			CloseReason: reporter.ClosedReconciled,
			Alerts:      []reporter.Alert{{StartsAt: start, EndsAt: start.Add(time.Minute)}},
		},
		Updated: true, Title: "HighErrorRate", Severity: "critical", Affected: []reporter.Label{{Name: "service", Value: "api"}},
		Disposition: reporter.DispositionAutomatic, Retries: 1, RootCause: "x", Action: "x", Decision: "x",
		Timeline: make([]reporter.TimelineEvent, 2*timelineEnds+1), TrueStart: start.Add(-time.Minute),
		Acknowledged: start.Add(time.Minute), Similar: []reporter.Similar{{ID: "INC-0", Title: "x", StartedAt: start}},
		Earlier: &reporter.Earlier{Days7: 1, Days30: 2, Resolved: 2, MeanResolve: time.Hour},
		Links:   []reporter.Link{{Kind: "source", URL: "https://example.org/"}, {Kind: "page", URL: "http://localhost/"}},
		Notes:   []string{"x"}, Built: start.Add(time.Hour), PeopleNotes: []reporter.Entry{{Text: "x", Author: "x", WrittenAt: start}},
		Acknowledgement: reporter.Acknowledgement{FirstBy: reporter.Person{Name: "x"}},
		Sections:        map[reporter.EntryKind]reporter.Entry{},
	}
	for _, kind := range reporter.Sections() {
		full.Sections[kind] = reporter.Entry{Text: "x", Author: "x", WrittenAt: start}
	}
	for n, kind := range append(reporter.Sections(), reporter.EntryNote, reporter.EntryAcknowledgement) {
		full.Entries = append(full.Entries, reporter.Entry{ID: int64(n + 1), Kind: kind, Text: "x", Author: "x", WrittenAt: start})
	}
	for _, name := range i18n.Locales() {
		l := r.languages[name]
		for _, p := range []reporter.Postmortem{full, minimal} {
			v := r.postmortemView(l, p)
			v.shorten(l, p)
			v.mergeEvents()
			if _, err := l.executeFile(file, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// Markdown writes a postmortem as a document, whole, with the sections that people fill in: impact, lessons, actions.
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
	case reporter.ClosedResolved: // the ordinary end, which needs no words
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

// events fills in the timeline: of alerts, and of people.
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

// personEvent says in words what a person did.
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

// mergeEvents makes Events of the timeline, which may have been shortened, and of what people did.
func (v *PostmortemView) mergeEvents() {
	v.Events = append(slices.Clone(v.Timeline), v.people...)
	slices.SortStableFunc(v.Events, func(a, b Event) int { return a.at.Compare(b.at) })
}

func written(e reporter.Entry, zone *time.Location) Written {
	lines := strings.Split(e.Text, "\n")
	for n := range lines {
		lines[n] = strings.TrimRight(cleanLine(lines[n]), " ")
	}
	return Written{Text: strings.Join(lines, "\n"), Author: clean(e.Author), At: e.WrittenAt.In(zone).Format(i18n.Minute)}
}

// noteWords puts the builder's notes into words.
func noteWords(w i18n.Words, note string) string {
	kind, arg, _ := strings.Cut(note, ":")
	switch kind {
	case reporter.NoteTruncated:
		return w.T("note_truncated", clean(arg))
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

// period shows when the incident began and ended, and the second date only where it is another.
func period(in reporter.Incident, zone *time.Location) string {
	if in.StartedAt.IsZero() || in.EndedAt.IsZero() {
		return ""
	}
	start, end := in.StartedAt.In(zone), in.EndedAt.In(zone)
	layout := i18n.Minute
	if start.Format(time.DateOnly) == end.Format(time.DateOnly) {
		layout = "15:04"
	}
	return start.Format(i18n.Minute) + " → " + about(presumed(in)) + end.Format(layout)
}

// newLink makes a link that can be clicked only of what chats take for an address: Telegram drops links to hosts
// without a dot. Any other is shown as text. What is no address at all is left out, and so is a user in it, which may
// come with a password.
func newLink(l language, link reporter.Link) (Link, bool) {
	address := clean(link.URL)
	if address == "" || len(address) > urlMax {
		return Link{}, false
	}
	word, err := l.Lookup("link_" + link.Kind)
	if err != nil {
		word = cut(clean(link.Kind), shortMax)
	}
	u, err := url.Parse(address)
	if err != nil {
		return Link{}, false
	}
	if u.User != nil {
		u.User = nil
		address = u.String()
	}
	clickable := markup.Linkable(address)
	return Link{Word: word, URL: address, Clickable: clickable, Button: clickable && slices.Contains(buttonKinds, link.Kind)}, true
}

// shorten cuts the view to what fits a message.
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
