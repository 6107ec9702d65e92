package postmortem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
)

var day = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

type details func(id string) (reporter.Details, error)

func (d details) Details(_ context.Context, q reporter.DetailsQuery) (reporter.Details, error) {
	return d(q.IncidentID)
}

type history func(key string, before time.Time) (reporter.Earlier, error)

func (h history) Earlier(_ context.Context, in reporter.Incident) (reporter.Earlier, error) {
	return h(in.Key, in.StartedAt)
}

func (history) Entries(context.Context, string) ([]reporter.Entry, error) { return nil, nil }

func (history) Silences(context.Context, string) ([]reporter.Silence, error) { return nil, nil }

func (history) Alike(context.Context, []string, time.Time, time.Time, int) ([]reporter.Incident, error) {
	return nil, nil
}

func alert(pod, severity string, start, end int, annotations map[string]string) reporter.Alert {
	a := reporter.Alert{
		Fingerprint: pod, StartsAt: day.Add(time.Duration(start) * time.Minute), EndsAt: day.Add(time.Duration(end) * time.Minute),
		Labels: map[string]string{
			"alertname": "CrashLoop", "severity": severity, "namespace": "billing", "pod": pod, "awoooi_sample": "true",
			"incident_id": "INC-1", "prometheus": "monitoring/k8s",
		},
		Annotations: annotations,
	}
	if end < 0 {
		a.Firing, a.EndsAt = true, time.Time{}
	}
	return a
}

func build(cfg postmortem.Config, d postmortem.Details, h postmortem.History, logs *bytes.Buffer, in reporter.Incident) reporter.Postmortem {
	cfg.IDLabel = "incident_id"
	cfg.Now = func() time.Time { return day.Add(time.Hour) }
	return postmortem.New(cfg, d, h, nil, nil, slog.New(slog.NewTextHandler(logs, nil))).Build(context.Background(), in)
}

// What alerts that are only counted had in common with the others is not known, except the labels of their group.
func TestAffectedOfAnIncidentWithFoldedAlerts(t *testing.T) {
	t.Parallel()
	in := reporter.Incident{
		ID: "I", GroupLabels: map[string]string{"namespace": "billing"}, Alerts: []reporter.Alert{alert("a", "info", 0, 20, nil)},
	}
	for folded, want := range map[int]string{0: "[{namespace billing} {pod a}]", 3: "[{namespace billing}]"} {
		if in.Folded = nil; folded > 0 {
			in.Folded = []reporter.Folded{{Name: "CrashLoop", Count: folded}}
		}
		if got := fmt.Sprint(build(postmortem.Config{}, nil, nil, &bytes.Buffer{}, in).Affected); got != want {
			t.Errorf("with %d folded: %s, want %s", folded, got, want)
		}
	}
}

// Details are looked up by the name that the incident's id was made of.
func TestDetailsAreLookedUpByTheNameOfTheIncident(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"INC-2": "INC/2", "INC-2-ABCDEF": "INC/2", "INC-10": "INC/10", "17": "事故17", "INC-20261125-ABCDEF": "INC/1", "OTHER": "INC/1",
	} {
		in := reporter.Incident{ID: id}
		for n, name := range []string{"INC/1", "INC/2", "INC/10", "事故17", ""} {
			a := alert(name, "info", n, 20, nil)
			a.Labels["incident_id"] = name
			in.Alerts = append(in.Alerts, a)
		}
		asked := "nothing"
		build(postmortem.Config{}, details(func(id string) (reporter.Details, error) {
			asked = id
			return reporter.Details{}, reporter.ErrNotFound
		}), nil, &bytes.Buffer{}, in)
		if asked != want {
			t.Errorf("of %s: asked for %q, want %q", id, asked, want)
		}
	}
}

func TestPostmortemFromAlerts(t *testing.T) {
	t.Parallel()
	first := alert("a", "info", 0, 20, nil)
	first.GeneratorURL = "http://prom.example/graph"
	second := alert("b", "critical", 5, 20, map[string]string{
		"summary": " 記憶體不足 ", "root_cause": "leak", "action": "restart", "ai_decision": "auto", "resolution": "Automatic", "retries": "2",
		"runbook_url": "https://runbooks.example.org/x", "dashboard_url": "javascript:alert(1)",
	})
	third := alert("c", "warning", 1, -1, nil) // went on as another episode
	in := reporter.Incident{
		ID: "INC/1", Key: "k", State: reporter.IncidentResolved, StartedAt: day, EndedAt: day.Add(20 * time.Minute),
		Alerts: []reporter.Alert{first, third, second}, Truncated: 4, ExternalURL: "http://am:9093",
	}
	var logs bytes.Buffer
	zone := time.FixedZone("x", 8*60*60)
	got := build(postmortem.Config{Zone: zone, Locale: "en", ExternalURL: "https://reporter.example.org/"}, nil,
		history(func(key string, before time.Time) (reporter.Earlier, error) {
			if key != "k" || !before.Equal(day) {
				t.Errorf("earlier of %s before %v", key, before)
			}
			return reporter.Earlier{Days7: 1, Days30: 2}, nil
		}), &logs, in)
	want := reporter.Postmortem{
		Incident: in, Title: "記憶體不足", Severity: "critical", Affected: []reporter.Label{{Name: "namespace", Value: "billing"}},
		Disposition: reporter.DispositionAutomatic, Retries: 2, RootCause: "leak", Action: "restart", Decision: "auto",
		Timeline: []reporter.TimelineEvent{
			{At: day, Firing: true, Alert: "CrashLoop (pod=a, severity=info)"},
			{At: day.Add(time.Minute), Firing: true, Alert: "CrashLoop (pod=c, severity=warning)"},
			{At: day.Add(5 * time.Minute), Firing: true, Alert: "CrashLoop (pod=b, severity=critical)"},
			{At: day.Add(20 * time.Minute), Alert: "CrashLoop (pod=a, severity=info)"},
			{At: day.Add(20 * time.Minute), Alert: "CrashLoop (pod=b, severity=critical)"},
		},
		Links: []reporter.Link{
			{Kind: "page", URL: "https://reporter.example.org/incidents/INC%2F1"}, {Kind: "runbook", URL: "https://runbooks.example.org/x"},
			{Kind: "source", URL: "http://prom.example/graph"}, {Kind: "alertmanager", URL: "http://am:9093"},
		},
		Earlier: &reporter.Earlier{Days7: 1, Days30: 2}, Notes: []string{"truncated:4"}, Locale: "en", Zone: zone, Built: day.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *time.Location) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if logs.Len() > 0 {
		t.Errorf("log: %s", &logs)
	}
}

func TestUnknownIsLeftOut(t *testing.T) {
	t.Parallel()
	var logs bytes.Buffer
	in := reporter.Incident{ID: "X", Alerts: []reporter.Alert{{Fingerprint: "f", StartsAt: day, EndsAt: day, Annotations: map[string]string{"retries": "many", "resolution": "?"}}}}
	got := build(postmortem.Config{}, nil, nil, &logs, in)
	if got.Title+string(got.Severity)+got.RootCause+got.Action+got.Decision+string(got.Disposition) != "" || got.Retries != 0 || got.Earlier != nil ||
		len(got.Affected)+len(got.Links)+len(got.Notes) != 0 {
		t.Errorf("something was invented: %+v", got)
	}
}

func TestDetailsOfTheDatabaseWin(t *testing.T) {
	t.Parallel()
	in := reporter.Incident{ID: "INC-1", Alerts: []reporter.Alert{alert("a", "info", 0, 20, map[string]string{"summary": "s", "root_cause": "r", "resolution": "auto"})}}
	for name, tc := range map[string]struct {
		details reporter.Details
		err     error
		title   string
		cause   string
		by      reporter.Disposition
		note    bool
		logged  bool
	}{
		"known":       {details: reporter.Details{Title: "T", Disposition: reporter.DispositionHuman}, title: "T", cause: "r", by: reporter.DispositionHuman},
		"not there":   {err: reporter.ErrNotFound, title: "s", cause: "r", by: reporter.DispositionAutomatic},
		"unreachable": {err: errors.New("down"), title: "s", cause: "r", by: reporter.DispositionAutomatic, note: true, logged: true},
	} {
		var logs bytes.Buffer
		got := build(postmortem.Config{}, details(func(id string) (reporter.Details, error) {
			if id != "INC-1" {
				t.Errorf("asked for %q", id)
			}
			return tc.details, tc.err
		}), history(func(string, time.Time) (reporter.Earlier, error) { return reporter.Earlier{}, tc.err }), &logs, in)
		if got.Title != tc.title || got.RootCause != tc.cause || got.Disposition != tc.by || (len(got.Notes) == 1) != tc.note || (logs.Len() > 0) != (tc.err != nil) {
			t.Errorf("%s: %+v, log %s", name, got, &logs)
		}
		if (got.Earlier == nil) != (tc.err != nil) {
			t.Errorf("%s: earlier %v", name, got.Earlier)
		}
	}
}

func TestARouteMayHaveItsLocale(t *testing.T) {
	t.Parallel()
	cfg := postmortem.Config{Locale: "zh-TW", Locales: map[string]string{"db": "en", "web": ""}}
	for route, want := range map[string]string{"db": "en", "web": "zh-TW", "": "zh-TW", "gone": "zh-TW"} {
		if got := build(cfg, nil, nil, &bytes.Buffer{}, reporter.Incident{Route: route}).Locale; got != want {
			t.Errorf("route %q: locale %q, want %q", route, got, want)
		}
	}
}
