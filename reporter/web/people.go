package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	peopleListed = 30  // latest events of people in a timeline
	peopleText   = 200 // characters of a note in a timeline
)

// acknowledge acknowledges an incident in the name of the user.
func (p *Pages) acknowledge(w http.ResponseWriter, r *http.Request) {
	p.setAcknowledged(w, r, p.cfg.Store.Acknowledge, "acknowledged", "acknowledged_before")
}

// release releases an incident in the name of the user.
func (p *Pages) release(w http.ResponseWriter, r *http.Request) {
	p.setAcknowledged(w, r, p.cfg.Store.Release, "released", "not_acknowledged")
}

// setAcknowledged calls do, and redirects to the page of the incident with the result: did if it changed anything, else already.
func (p *Pages) setAcknowledged(w http.ResponseWriter, r *http.Request, do acknowledger, did, already string) {
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	_, changed, err := do(r.Context(), in.ID, reporter.Person{Kind: reporter.AuthorPage, Name: author(r)}, reporter.MessageRef{})
	switch {
	case errors.Is(err, reporter.ErrResolved):
		p.refuse(w, r, http.StatusConflict, "resolved_already", in.ID)
		return
	case errors.Is(err, reporter.ErrTooMany):
		p.refuse(w, r, http.StatusConflict, "too_many_entries")
		return
	case err != nil:
		p.fail(w, r, err)
		return
	}
	if changed {
		p.cfg.Log.Info("incident "+did+" by hand", "incident", in.ID, "user", author(r), "from", r.RemoteAddr)
	} else {
		did = already
	}
	v := p.page("incidents", "")
	http.Redirect(w, r, address(v.IncidentPath(in.ID), "done", did), http.StatusSeeOther)
}

// acknowledger is a method of Acknowledgements.
type acknowledger func(ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef) (reporter.Entry, bool, error)

// note adds a note to an incident. A refused note is shown again in its form.
func (p *Pages) note(w http.ResponseWriter, r *http.Request) {
	if !p.parseForm(w, r) {
		return
	}
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("incidents", "")
	v.Title = v.T("note_title", in.ID)
	given := r.PostForm.Get(string(reporter.EntryNote))
	if !storable(given) {
		p.refuse(w, r, http.StatusBadRequest, "bad_text", reporter.EntryNote.Max())
		return
	}
	path, text := v.IncidentPath(in.ID), reporter.EntryNote.Tidy(given)
	refuse := func(fault string) {
		v.Body = editBody{ID: in.ID, Path: path, Action: path + "/note", Fault: fault, Fields: []field{{
			Kind: reporter.EntryNote, Word: v.T(reporter.EntryNote.Word()), Text: text, Max: reporter.EntryNote.Max(),
		}}}
		p.write(w, r, http.StatusConflict, "edit.html", v)
	}
	switch {
	case text == "":
		http.Redirect(w, r, path+"?done=unchanged#written", http.StatusSeeOther)
		return
	case utf8.RuneCountInString(text) > reporter.EntryNote.Max():
		refuse(v.T("too_long", v.T(reporter.EntryNote.Word()), reporter.EntryNote.Max()))
		return
	}
	_, err = p.cfg.Store.Write(r.Context(), reporter.Entry{
		Incident: in.ID, Kind: reporter.EntryNote, Text: text, AuthorKind: reporter.AuthorPage, Author: author(r), WrittenAt: p.cfg.Now().UTC(),
	})
	switch {
	case errors.Is(err, reporter.ErrTooMany):
		refuse(v.T("too_many_entries"))
		return
	case err != nil:
		p.fail(w, r, err)
		return
	}
	p.cfg.Log.Info("note written by hand", "incident", in.ID, "user", author(r), "from", r.RemoteAddr)
	http.Redirect(w, r, path+"?done=note#written", http.StatusSeeOther)
}

// acknowledgementBody holds the acknowledgement of an incident on its page.
type acknowledgementBody struct {
	By    string // "" means nobody
	Since *stamp
	// First and FirstBy describe the first acknowledgement. FirstBy is "" if only the time is known.
	First   *stamp
	FirstBy string
	After   string // time from the start of the incident to First
	Can     bool   // it can be acknowledged or released now
	Path    string // of the incident's page
	Asks    bool   // the action needs credentials, and the page did not
}

func (v *page) acknowledgement(pm reporter.Postmortem, path string, a acting) acknowledgementBody {
	out := acknowledgementBody{Can: a.Offered && !pm.Incident.Over(), Path: path, Asks: a.Asks, First: v.At(pm.Acknowledged)}
	if of := pm.Acknowledgement; of.Active() {
		out.By, out.Since = of.By.Name, v.At(of.Since)
	}
	if out.First != nil {
		out.FirstBy, out.After = pm.Acknowledgement.FirstBy.Name, v.Dur(max(pm.Acknowledged.Sub(pm.Incident.StartedAt), 0))
	}
	return out
}

// personEvent writes an event that a person caused.
func (v *page) personEvent(e reporter.PersonEvent) string {
	switch {
	case e.Entry.Kind == reporter.EntryAcknowledgement && e.Entry.Text == "":
		return v.T("event_released", e.Entry.Author)
	case e.Entry.Kind == reporter.EntryAcknowledgement:
		return v.T("event_acknowledged", e.Entry.Author)
	case e.Entry.Kind == reporter.EntryNote:
		text := v.T("event_note", e.Entry.Author, safetext.Line(e.Entry.Text, peopleText))
		if e.Edited {
			text += " " + v.T("event_note_edited")
		}
		return text
	}
	return v.T("event_edited", e.Entry.Author, v.T(e.Entry.Kind.Word()))
}

// story returns the timeline of alerts, which may be shortened, with the latest events of people.
func (v *page) story(alerts []timelineRow, entries []reporter.Entry) []timelineRow {
	people := reporter.PeopleEvents(entries)
	out := slices.Clone(alerts)
	if left := len(people) - peopleListed; left > 0 {
		out = append(out, timelineRow{TimelineEvent: reporter.TimelineEvent{At: people[left-1].At}, Skipped: left})
		people = people[left:]
	}
	for _, e := range people {
		out = append(out, timelineRow{TimelineEvent: reporter.TimelineEvent{At: e.At}, Person: v.personEvent(e)})
	}
	slices.SortStableFunc(out, func(a, b timelineRow) int { return a.At.Compare(b.At) })
	return out
}
