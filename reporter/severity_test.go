package reporter_test

import (
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestSeveritiesAreOrdered(t *testing.T) {
	t.Parallel()
	// Those on a line are equal, and more severe than those on the next line.
	lines := [][]reporter.Severity{
		{"emergency", "EMERG", "disaster", "Fatal"}, {"alert", "P0"}, {"critical", "Critical", "crit", "page", "SEV-1", "sev 1", "P1"},
		{"error", "err", "high", "major", "sev_2"}, {"warning", "WARN", "medium", "average", "ticket", "p3"}, {"notice", "minor", "low"},
		{"whatever", "7", "嚴重"}, {"info", "informational"}, {"debug", "none"}, {"", " "},
	}
	for n, line := range lines {
		for _, s := range line {
			if s.Rank() != line[0].Rank() {
				t.Errorf("%q and %q are not equal", s, line[0])
			}
			if n > 0 && s.Rank() <= lines[n-1][0].Rank() {
				t.Errorf("%q is not below %q", s, lines[n-1][0])
			}
			if got, want := s.Severe(), n < 4; got != want {
				t.Errorf("%q is severe: %v", s, got)
			}
			if got, want := s.Warning(), n == 4; got != want {
				t.Errorf("%q is a warning: %v", s, got)
			}
		}
	}
}

func TestIncidentIsNamedByItsMostSevereAlert(t *testing.T) {
	t.Parallel()
	alert := func(name, severity, summary string) reporter.Alert {
		return reporter.Alert{
			Labels: map[string]string{"alertname": name, "severity": severity}, Annotations: map[string]string{"summary": summary},
		}
	}
	for name, tc := range map[string]struct {
		alerts          []reporter.Alert
		title, severity string
	}{
		"none":                       {nil, "", ""},
		"one":                        {[]reporter.Alert{alert("A", "info", "a is slow")}, "a is slow", "info"},
		"the worst":                  {[]reporter.Alert{alert("A", "info", "a"), alert("B", "Emergency", "b"), alert("C", "page", "c")}, "b", "Emergency"},
		"the first of equals":        {[]reporter.Alert{alert("A", "page", "a"), alert("B", "critical", "b")}, "a", "page"},
		"the worst has only a name":  {[]reporter.Alert{alert("A", "info", "a"), alert("B", "fatal", " ")}, "B", "fatal"},
		"without severities":         {[]reporter.Alert{alert("A", "", "a"), alert("B", "", "b")}, "a", ""},
		"unknown ones":               {[]reporter.Alert{alert("A", "none", "a"), alert("B", "gold", "b")}, "b", "gold"},
		"the worst says nothing":     {[]reporter.Alert{alert("A", "info", "a"), alert("", "fatal", "")}, "a", "fatal"},
		"blanks around the severity": {[]reporter.Alert{alert("A", " page ", "a")}, "a", "page"},
	} {
		in := reporter.Incident{Alerts: tc.alerts}
		if in.Title() != tc.title || string(in.Severity()) != tc.severity {
			t.Errorf("%s: %q %q, want %q %q", name, in.Severity(), in.Title(), tc.severity, tc.title)
		}
	}
}

func TestDispositions(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]reporter.Disposition{
		"AUTO": reporter.DispositionAutomatic, " auto_repaired": reporter.DispositionAutomatic, "Human": reporter.DispositionHuman,
		"manual, by alice": reporter.DispositionHuman, "": reporter.DispositionUnknown, "both": reporter.DispositionUnknown,
	} {
		if got := reporter.ParseDisposition(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
