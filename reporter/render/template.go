package render

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// Limits of a user's template file. An endless loop in it must not use up memory or block other messages.
const (
	maxTemplate = 1 << 20 // bytes of the file, and of its output; a message has 4096 characters
	maxExecute  = 20 * time.Second
)

// executeFile runs a user's template file. Errors name the file and the line.
func (l language) executeFile(file string, view any) (string, error) {
	b, err := readTemplate(file)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("template: %s: the file is not UTF-8", file)
	}
	source := strings.ReplaceAll(string(b), "\r\n", "\n")
	t, err := template.New(file).Funcs(template.FuncMap{"t": l.Lookup}).Parse(source)
	if err != nil {
		return "", err // html/template begins with "template: FILE:LINE".
	}
	text, err := executeWithin(maxExecute, t, view)
	switch {
	case errors.Is(err, errTooMuch):
		return "", fmt.Errorf("template: %s: %w", file, err)
	case err != nil:
		return "", err
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if err := markup.Validate(text); err != nil {
		return "", fmt.Errorf("template: %s: its text, at %w", file, err)
	}
	return text, nil
}

func readTemplate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(b) > maxTemplate {
		return nil, fmt.Errorf("%s: the file is longer than %d bytes", file, maxTemplate)
	}
	return b, err
}

// executeWithin runs a template within a time and within maxTemplate bytes. A template that takes longer goes on in its goroutine,
// because Go cannot stop it, but no message waits for it.
func executeWithin(limit time.Duration, t *template.Template, view any) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var out boundedText
		err := t.Execute(&out, view)
		done <- result{out.String(), err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.text, r.err
	case <-timer.C:
		return "", fmt.Errorf("template: %s: is not done after %v; look for a range that does not end", t.Name(), limit)
	}
}

var errTooMuch = fmt.Errorf("its text is longer than %d bytes", maxTemplate)

// boundedText is a buffer that fails with errTooMuch, which ends the execution of a template that writes too much.
type boundedText struct{ strings.Builder }

func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errTooMuch
	}
	return b.Builder.Write(p)
}

// CheckTemplate runs a report's template file with and without data, in every locale. Its error names file and line.
func CheckTemplate(file string) error {
	r, err := New(Options{})
	if err != nil {
		return err
	}
	for _, name := range i18n.Locales() {
		l := r.languages[name]
		for _, rep := range []reporter.Report{sampleReport(r.zone), {Zone: r.zone}} {
			if _, err := l.executeFile(file, r.reportView(l, rep)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sampleReport returns a report with every figure of the builtin one.
func sampleReport(zone *time.Location) reporter.Report {
	due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	rep := reporter.Report{
		Name: "daily", Due: due, Since: due.Add(-24 * time.Hour), Built: due.Add(time.Hour), Zone: zone,
		Figures: map[string]reporter.Figure{"alerts_by_category": {Samples: []reporter.Sample{
			{Labels: map[string]string{"category": "infrastructure"}, Value: 60},
		}}},
		Sections: []reporter.Section{{
			Name: "alerts", Title: reporter.Words{Text: "alerts"}, Icon: "🚨", Lines: []reporter.Line{
				{Name: "alerts", Title: reporter.Words{Text: "total"}, Target: reporter.Target{Op: "<", Value: 100}},
				{Name: "alerts_by_category", List: &reporter.List{Top: 6, Rest: true}},
			},
		}},
	}
	for _, name := range []string{
		"alerts", "resolved", "auto_resolved", "human_approved", "converged", "grouped", "repairs_succeeded",
		"repairs_failed", "knowledge_entries", "playbooks", "incidents_open", "incidents_oldest", "resolution_median",
		"resolved_incidents", "alerts_by_name",
	} {
		for n, name := range []string{name, name + beforeSuffix, name + beforeSuffix + "2"} {
			at := due.Add(-[]time.Duration{0, day, 7 * day}[n])
			rep.Figures[name] = reporter.Figure{Name: name, At: at, Samples: []reporter.Sample{{Value: 1}}}
		}
	}
	return rep
}

// CheckPostmortemTemplate runs a postmortem's template file with and without optional fields, in every locale. Its error names
// file and line.
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
