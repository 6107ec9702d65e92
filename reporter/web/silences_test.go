package web_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// silencer notes what it is asked for.
type silencer struct {
	asked []string
	err   error
}

func (s *silencer) Can(cluster string) bool { return cluster != "tpe-2" }

func (s *silencer) Request(_ context.Context, incident string, by reporter.Person, d time.Duration) error {
	s.asked = append(s.asked, incident+" "+by.Name+" "+d.String())
	return s.err
}

func (s *silencer) End(_ context.Context, incident string, by reporter.Person) error {
	s.asked = append(s.asked, incident+" "+by.Name+" ends")
	return s.err
}

func TestSilenceOnThePage(t *testing.T) {
	t.Parallel()
	asked := &silencer{}
	w := world{incident: firing(), silencer: asked}
	silence, undo := `action="/incidents/A/silence"`, `action="/incidents/A/unsilence"`
	shows := func(when string, want, not string) {
		t.Helper()
		page := serve(w, "/incidents/A").Body.String()
		if !strings.Contains(page, want) || not != "" && strings.Contains(page, not) {
			t.Errorf("%s the page does not show %q, or shows %q: %s", when, want, not, content(page))
		}
	}
	shows("at first", silence, undo)
	for name, tc := range map[string]struct {
		user, path, duration string
		err                  error
		code                 int
		says, asks           string
	}{
		"nobody":           {path: "silence", duration: "1h", code: 401},
		"an hour":          {user: "sre", path: "silence", duration: "1h", code: 303, says: "done=silenced", asks: "A sre 1h0m0s"},
		"four hours":       {user: "sre", path: "silence", duration: "4h", code: 303, says: "done=silenced", asks: "A sre 4h0m0s"},
		"a week":           {user: "sre", path: "silence", duration: "168h", code: 400, says: "1h or 4h"},
		"undo":             {user: "sre", path: "unsilence", code: 303, says: "done=unsilenced", asks: "A sre ends"},
		"over":             {user: "sre", path: "silence", duration: "1h", err: reporter.ErrResolved, code: 409, says: "already resolved", asks: "A sre 1h0m0s"},
		"nothing to match": {user: "sre", path: "silence", duration: "1h", err: reporter.ErrNothingInCommon, code: 409, says: "No silence would cover", asks: "A sre 1h0m0s"},
	} {
		asked.asked, asked.err = nil, tc.err
		code, body := post(w, tc.user, "/incidents/A/"+tc.path, url.Values{"for": {tc.duration}})
		if code != tc.code || !strings.Contains(body, tc.says) || strings.Join(asked.asked, ",") != tc.asks {
			t.Errorf("%s: %d, asked %q: %s", name, code, asked.asked, body)
		}
	}
	w.silences = []reporter.Silence{
		{State: reporter.SilenceEnded, APIID: "1", By: reporter.Person{Name: "Ann"}, StartsAt: day, EndedAt: day.Add(time.Hour), EndedBy: "<Bob>"},
		{State: reporter.SilenceEnded, APIID: "1", By: reporter.Person{Name: "Ann"}, StartsAt: day, EndedAt: day.Add(time.Hour)},
		{State: reporter.SilenceActive, APIID: "2", By: reporter.Person{Name: "<Cy>"}, StartsAt: day, EndsAt: day.Add(2 * time.Hour)},
	}
	shows("while one lasts", undo, silence)
	for _, text := range []string{"🔕 &lt;Cy&gt;, until", "&lt;Bob&gt; ended the silence", "the silence ended", "Ann silenced the alerts"} {
		shows("while one lasts", text, "<Cy>")
	}
	w.silences = []reporter.Silence{
		{State: reporter.SilenceEnding, APIID: "1", By: reporter.Person{Name: "Ann"}, StartsAt: day, EndsAt: day.Add(time.Hour), EndedBy: "<Bob>", Error: "<504>"},
	}
	for _, text := range []string{"🔕 Ann, until", "&lt;Bob&gt; ended it (not confirmed", "The silence was not ended yet: &lt;504&gt;"} {
		shows("while it is being ended", text, silence)
		shows("while it is being ended", text, undo)
	}
	for _, state := range []reporter.SilenceState{reporter.SilencePending, reporter.SilenceEnding, reporter.SilenceEnded} { // not in the cluster
		w.silences = []reporter.Silence{{State: state, By: reporter.Person{Name: "Ann"}, StartsAt: day, EndsAt: day.Add(time.Hour), EndedBy: "Bob"}}
		shows("before it is in the cluster", "🔕", "Ann silenced the alerts")
		shows("before it is in the cluster", "🔕", "Bob ended the silence")
	}
	w.silences = []reporter.Silence{{State: reporter.SilenceFailed, By: reporter.Person{Name: "Ann"}, Error: "<503>"}}
	shows("after a failure", "The silence was not created: &lt;503&gt;", "<503>")
	w.incident.State, w.incident.EndedAt = reporter.IncidentResolved, day.Add(time.Minute)
	w.silences = []reporter.Silence{{State: reporter.SilenceActive, APIID: "1", By: reporter.Person{Name: "Ann"}, StartsAt: day, EndsAt: day.Add(time.Hour)}}
	shows("while a silence outlasts the incident", undo, silence)
	shows("while a silence outlasts the incident", "🔕 Ann, until", "")
	w.silences[0].State, w.silences[0].EndedAt = reporter.SilenceEnded, day.Add(time.Hour)
	shows("after a silence that outlasted the incident", "the silence ended", undo)
	shows("after a silence that outlasted the incident", "the silence ended", silence)
	w.incident = firing()
	w.silences = []reporter.Silence{{State: reporter.SilenceFailed, By: reporter.Person{Name: "Ann"}, Error: "<503>"}}
	w.incident.Cluster = "tpe-2"
	shows("of a cluster without silences", "&lt;503&gt;", silence)
	if code, body := post(w, "sre", "/incidents/A/silence", url.Values{"for": {"1h"}}); code != 409 || !strings.Contains(body, "does not accept silences") {
		t.Errorf("of a cluster without silences: %d %s", code, body)
	}
}
