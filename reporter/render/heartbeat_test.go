package render_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

func heartbeatOutage(n int) reporter.HeartbeatOutage {
	seen := time.Date(2026, 4, 22, 0, n%60, 30, 0, time.UTC)
	return reporter.HeartbeatOutage{
		ID: fmt.Sprint("HB-20260422-", n), Cluster: fmt.Sprint("prod-", n), Fingerprint: "f", Route: "beat", Severity: "critical",
		Labels:      map[string]string{"alertname": "Watchdog", "severity": "none", "prometheus": "monitoring/k8s", "region": "<tw>"},
		Annotations: map[string]string{"runbook_url": "https://runbooks.example.org/watchdog"}, ExternalURL: "http://am:9093",
		Cause: reporter.HeartbeatSilent, MissingAfter: 5 * time.Minute, SeenAt: seen, MissingAt: seen.Add(5 * time.Minute),
	}
}

func TestHeartbeatGoldens(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	back := heartbeatOutage(1)
	back.ReturnedAt = back.SeenAt.Add(72 * time.Minute)
	resolved := heartbeatOutage(2)
	resolved.Cause, resolved.Labels, resolved.Annotations, resolved.ExternalURL = reporter.HeartbeatResolved, map[string]string{"alertname": "Watchdog"}, nil, ""
	var many, manyBack []reporter.HeartbeatOutage
	for n := range 30 {
		o := heartbeatOutage(n)
		if n == 7 {
			o.Severity = "emergency"
		}
		many = append(many, o)
		o.ReturnedAt = o.SeenAt.Add(24 * time.Hour)
		manyBack = append(manyBack, o)
	}
	many[3].ReturnedAt = many[3].SeenAt.Add(20 * time.Minute)
	for name, n := range map[string]reporter.HeartbeatNotice{
		"missing":       {Outages: []reporter.HeartbeatOutage{heartbeatOutage(1)}},
		"missing_late":  {Outages: []reporter.HeartbeatOutage{back}},
		"resolved":      {Outages: []reporter.HeartbeatOutage{resolved}},
		"returned":      {Outages: []reporter.HeartbeatOutage{back}, Returned: true},
		"missing_many":  {Outages: many},
		"returned_many": {Outages: manyBack, Returned: true},
	} {
		for _, locale := range []string{"zh-TW", "en"} {
			n.Locale = locale
			m, err := r.Heartbeats(n)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "heartbeat_"+name+"."+locale+".html", m.HTML)
			wellFormed(t, name, m.HTML)
			wellFormed(t, name, m.Summary)
			if strings.ContainsAny(m.Title, "<>\n") || m.Title == "" || len(m.Buttons) == 0 || len(m.Buttons) > 3 {
				t.Errorf("%s: title %q, buttons %v", name, m.Title, m.Buttons)
			}
		}
	}
	if _, err := r.Heartbeats(reporter.HeartbeatNotice{}); err == nil {
		t.Error("a message about nothing")
	}
	if _, err := r.Heartbeats(reporter.HeartbeatNotice{Outages: many, Locale: "fr"}); err == nil {
		t.Error("a message in no language")
	}
}

// Without an address of the pages there are no links to them, and labels of an alert cannot break the text.
func TestHeartbeatOfHostileLabels(t *testing.T) {
	t.Parallel()
	r, err := render.New(render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := heartbeatOutage(1)
	o.Labels = map[string]string{"alertname": "</b><script>\n" + strings.Repeat("x", 500)}
	for n := range 50 {
		o.Labels[fmt.Sprint("l", n)] = strings.Repeat("<&>", 200)
	}
	o.Cluster, o.Severity, o.Annotations = "<i>", "<b>\x00", map[string]string{"runbook_url": "javascript:alert(1)"}
	m, err := r.Heartbeats(reporter.HeartbeatNotice{Outages: []reporter.HeartbeatOutage{o}})
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "hostile", m.HTML)
	if strings.Contains(m.HTML, "/sources") || len([]rune(m.HTML)) > 4000 {
		t.Errorf("%d characters:\n%s", len([]rune(m.HTML)), m.HTML)
	}
}
