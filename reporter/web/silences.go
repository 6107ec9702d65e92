package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Silencer silences the alerts of incidents.
type Silencer interface {
	// Can reports whether alerts of the cluster can be silenced.
	Can(cluster string) bool
	// Request silences the alerts of an incident for d. It may be repeated. reporter.ErrResolved: the incident is resolved.
	// reporter.ErrNothingInCommon: the silence would cover other alerts too. reporter.ErrTooMany: there are too many of the incident.
	Request(ctx context.Context, incident string, by reporter.Person, d time.Duration) error
	// End ends the silences of an incident. It may be repeated.
	End(ctx context.Context, incident string, by reporter.Person) error
}

// silenceFor are the durations that the page offers.
var silenceFor = map[string]time.Duration{"1h": time.Hour, "4h": 4 * time.Hour}

// silence silences the alerts of an incident in the name of the user.
func (p *Pages) silence(w http.ResponseWriter, r *http.Request) {
	if !p.parseForm(w, r) {
		return
	}
	d, ok := silenceFor[r.PostForm.Get("for")]
	if !ok {
		p.refuse(w, r, http.StatusBadRequest, "bad_duration")
		return
	}
	p.silenced(w, r, "silenced", func(s Silencer, incident string, by reporter.Person) error {
		return s.Request(r.Context(), incident, by, d)
	})
}

// unsilence ends the silences of an incident in the name of the user.
func (p *Pages) unsilence(w http.ResponseWriter, r *http.Request) {
	p.silenced(w, r, "unsilenced", func(s Silencer, incident string, by reporter.Person) error { return s.End(r.Context(), incident, by) })
}

// silenced calls do, and redirects to the page of the incident with the result.
func (p *Pages) silenced(w http.ResponseWriter, r *http.Request, did string, do func(Silencer, string, reporter.Person) error) {
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.cfg.Silencer == nil || !p.cfg.Silencer.Can(in.Cluster) {
		p.refuse(w, r, http.StatusConflict, "no_silences")
		return
	}
	switch err := do(p.cfg.Silencer, in.ID, reporter.Person{Kind: reporter.AuthorPage, Name: author(r)}); {
	case errors.Is(err, reporter.ErrResolved):
		p.refuse(w, r, http.StatusConflict, "resolved_already", in.ID)
	case errors.Is(err, reporter.ErrTooMany), errors.Is(err, reporter.ErrNothingInCommon):
		p.refuse(w, r, http.StatusConflict, "not_silenced")
	case err != nil:
		p.fail(w, r, err)
	default:
		p.cfg.Log.Info("silence of incident "+did+" by hand", "incident", in.ID, "user", author(r), "from", r.RemoteAddr)
		http.Redirect(w, r, address(p.page("incidents", "").IncidentPath(in.ID), "done", did), http.StatusSeeOther)
	}
}

// silenceBody holds the lasting silence of an incident on its page.
type silenceBody struct {
	By      string // name of the person who requested it; "" means that none lasts
	Until   *stamp
	Waits   bool   // the cluster has not confirmed it yet
	EndedBy string // name of the person who ended it, until the cluster confirms the end
	Failed  string // why the last one was not created, or this one not ended
	Can     bool   // one can be created or ended now
	Path    string // of the incident's page
	Asks    bool   // the action needs credentials, and the page did not
}

// silences returns the part of the page about silences; nil if the incident has none and none can be created.
func (v *page) silences(pm reporter.Postmortem, path string, a acting, able bool) *silenceBody {
	if !able && len(pm.Silences) == 0 {
		return nil
	}
	out := &silenceBody{Path: path, Asks: a.Asks}
	s, lasts := reporter.LastingSilence(pm.Silences)
	if lasts {
		out.By, out.Until, out.Waits = s.By.Name, v.At(s.EndsAt), s.State == reporter.SilencePending
	}
	ending := lasts && s.State == reporter.SilenceEnding
	out.Can = able && a.Offered && !ending && (lasts || !pm.Incident.Over()) // one that lasts longer than its incident hides the next
	if ending {
		out.EndedBy, out.Failed = cmp.Or(s.EndedBy, s.By.Name), s.Error
	} else if n := len(pm.Silences); n > 0 {
		if s := pm.Silences[n-1]; s.State == reporter.SilenceFailed || s.State == reporter.SilencePending {
			out.Failed = s.Error
		}
	}
	return out
}

// silenceRows returns the starts and ends of silences for the timeline.
func (v *page) silenceRows(silences []reporter.Silence) (out []timelineRow) {
	add := func(at time.Time, text string) {
		out = append(out, timelineRow{TimelineEvent: reporter.TimelineEvent{At: at}, Person: text})
	}
	for _, s := range silences {
		if s.State == reporter.SilenceFailed {
			add(s.StartsAt, v.T("event_silence_failed", s.By.Name, s.Error))
			continue
		}
		if s.APIID == "" { // the cluster has never confirmed it
			continue
		}
		add(s.StartsAt, v.T("event_silenced", s.By.Name))
		switch {
		case s.EndedAt.IsZero():
		case s.EndedBy != "":
			add(s.EndedAt, v.T("event_unsilenced", s.EndedBy))
		default:
			add(s.EndedAt, v.T("event_silence_ended"))
		}
	}
	return out
}
