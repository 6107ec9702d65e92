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
	// Can says whether alerts of the cluster can be silenced.
	Can(cluster string) bool
	// Request and End may be repeated. reporter.ErrResolved: the incident is resolved.
	Request(ctx context.Context, incident string, by reporter.Person, d time.Duration) error
	End(ctx context.Context, incident string, by reporter.Person) error
}

// silenceFor are the durations that the page offers.
var silenceFor = map[string]time.Duration{"1h": time.Hour, "4h": 4 * time.Hour}

// silence asks for a silence in the name of the user, and unsilence for the end of those that were made here. Both run for authenticated
// requests only.
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

func (p *Pages) unsilence(w http.ResponseWriter, r *http.Request) {
	p.silenced(w, r, "unsilenced", func(s Silencer, incident string, by reporter.Person) error { return s.End(r.Context(), incident, by) })
}

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

// silenceBody is what is known of silences of an incident, on its page.
type silenceBody struct {
	By      string // who asked for the one that lasts; "" where none does
	Until   *stamp
	Waits   bool   // the cluster is not known to have it
	EndedBy string // who ended it, where the cluster is not known to know
	Failed  string // why the last one was not created, or that one not ended
	Can     bool   // one can be asked for, or ended, now
	Path    string // of the incident
	Asks    bool   // for credentials
}

// silences is nil where there is nothing to say of them.
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
	out.Can = able && a.Offered && !ending && (lasts || !pm.Incident.Over()) // One that outlasts its incident hides the next one.
	if ending {
		out.EndedBy, out.Failed = cmp.Or(s.EndedBy, s.By.Name), s.Error
	} else if n := len(pm.Silences); n > 0 {
		if s := pm.Silences[n-1]; s.State == reporter.SilenceFailed || s.State == reporter.SilencePending {
			out.Failed = s.Error
		}
	}
	return out
}

// silenceRows are the beginnings and ends of silences in a timeline.
func (v *page) silenceRows(silences []reporter.Silence) (out []timelineRow) {
	add := func(at time.Time, text string) {
		out = append(out, timelineRow{TimelineEvent: reporter.TimelineEvent{At: at}, Person: text})
	}
	for _, s := range silences {
		if s.State == reporter.SilenceFailed {
			add(s.StartsAt, v.T("event_silence_failed", s.By.Name, s.Error))
			continue
		}
		if s.APIID == "" { // It is not known to have been in the cluster.
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
