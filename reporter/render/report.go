package render

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	lateFrom     = 10 * time.Minute
	categoryMax  = 60 // characters of a category's name
	beforeSuffix = "_before"
	minuteLayout = "2006-01-02 15:04"
)

var defaultHealth = reporter.HealthThresholds{Excellent: 0.8, Good: 0.5}

// Report writes an inspection report. A template file that cannot be used is logged, and the builtin text is written in
// its place.
func (r *Renderer) Report(rep reporter.Report) (reporter.Message, error) {
	l, err := r.language(rep.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("report %s: %w", rep.Name, err)
	}
	view := r.reportView(l, rep)
	m := reporter.Message{Title: view.Headline + " " + view.Date}
	if m.Summary, err = l.execute("report_summary.tmpl", view); err != nil {
		return reporter.Message{}, err
	}
	if rep.Template != "" {
		if m.HTML, err = l.executeFile(rep.Template, view); err == nil {
			return m, nil
		}
		r.log.Error("report: its template cannot be used, the builtin one is", "report", rep.Name, "err", err)
	}
	m.HTML, err = l.execute("report.tmpl", view)
	return m, err
}

// CheckTemplate tries a report's template file, with and without data, in every locale. Its error names file and line.
func CheckTemplate(file string) error {
	r, err := New(Options{})
	if err != nil {
		return err
	}
	for _, name := range Locales() {
		l := r.languages[name]
		for _, rep := range []reporter.Report{sampleReport(r.zone), {Zone: r.zone}} {
			if _, err := l.executeFile(file, r.reportView(l, rep)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sampleReport has every figure of the builtin report.
func sampleReport(zone *time.Location) reporter.Report {
	due := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	rep := reporter.Report{
		Name: "daily", Due: due, Since: due.Add(-24 * time.Hour), Built: due.Add(time.Hour), Zone: zone,
		Figures: map[string]reporter.Figure{"alerts_by_category": {Samples: []reporter.Sample{
			{Labels: map[string]string{"category": "infrastructure"}, Value: 60},
		}}},
	}
	for _, name := range []string{
		"alerts", "resolved", "auto_resolved", "human_approved", "converged", "grouped", "repairs_succeeded",
		"repairs_failed", "knowledge_entries", "playbooks", "incidents_open",
	} {
		for _, name := range []string{name, name + beforeSuffix} {
			rep.Figures[name] = reporter.Figure{Name: name, Samples: []reporter.Sample{{Value: 1}}}
		}
	}
	return rep
}

// ReportView is what a report's template sees, as its dot.
type ReportView struct {
	Headline string // "AWOOOI 日度巡檢報告"
	Product  string // "AWOOOI AIOps"
	Date     string // of the due time in the report's zone, 2006-01-02
	Since    string // 15:04, and the date before it where the report speaks of more than a day
	Until    string
	ZoneName string
	Late     string // how late the report is, empty if it is not
	Built    string // 2006-01-02 15:04
	Health   Health
	Report   reporter.Report

	words language
}

// Health is the grade of the repair success rate.
type Health struct{ Emoji, Word string }

// Share is one part of a figure.
type Share struct{ Name, Number string }

func (r *Renderer) reportView(l language, rep reporter.Report) ReportView {
	zone := r.zoneOr(rep.Zone)
	title := cut(clean(rep.Title), shortMax)
	if title == "" {
		title = r.product
	}
	due, since, built := rep.Due.In(zone), rep.Since.In(zone), rep.Built.In(zone)
	if rep.Built.IsZero() {
		built = due
	}
	headline, clock := "headline", "15:04"
	span := rep.Due.Sub(rep.Since)
	switch span {
	case 24 * time.Hour:
		headline = "headline_daily"
	case 7 * 24 * time.Hour:
		headline = "headline_weekly"
	}
	if span > 24*time.Hour {
		clock = "01-02 15:04"
	}
	v := ReportView{
		Headline: l.word(headline, title), Product: l.word("product", title), Date: due.Format(time.DateOnly),
		Since: since.Format(clock), Until: due.Format(clock), ZoneName: l.zone(zone), Built: built.Format(minuteLayout),
		Report: rep, words: l,
	}
	if late := rep.Late(); late >= lateFrom {
		v.Late = l.duration(late)
	}
	v.Health = v.health()
	return v
}

// health grades the repair success rate. Without repairs there is nothing to grade, which is not bad.
func (v ReportView) health() Health {
	limits := v.Report.Health
	if limits == (reporter.HealthThresholds{}) {
		limits = defaultHealth
	}
	const succeeded, failed = "repairs_succeeded", "repairs_failed"
	rate, ok := v.rate(succeeded, succeeded, failed)
	switch {
	case !ok:
		return Health{"🤍", v.Rate(succeeded, succeeded, failed)}
	case rate >= limits.Excellent:
		return Health{"💚", v.words.word("health_excellent")}
	case rate >= limits.Good:
		return Health{"💛", v.words.word("health_good")}
	}
	return Health{"❤️", v.words.word("health_attention")}
}

// Known says whether the figure has data.
func (v ReportView) Known(name string) bool {
	_, ok := v.Report.Figure(name).Value()
	return ok
}

// Number returns the figure, or the words for no data.
func (v ReportView) Number(name string) string {
	if value, ok := v.Report.Figure(name).Value(); ok {
		return number(value)
	}
	return v.words.word("no_data")
}

// Unit returns the counting word behind a number, with its space; none behind the words for no data.
func (v ReportView) Unit(name string) string {
	if v.Known(name) {
		return v.words.word("unit")
	}
	return ""
}

const notApplicable = "—"

// rate divides a figure by the sum of others, and is false where one has no data or the sum is not above 0.
func (v ReportView) rate(name string, of ...string) (float64, bool) {
	part, ok := v.Report.Figure(name).Value()
	var whole float64
	for _, n := range of {
		value, known := v.Report.Figure(n).Value()
		whole, ok = whole+value, ok && known
	}
	return part / whole, ok && whole > 0
}

// Rate returns the figure in percent of the sum of others, — where that sum is 0, or the words for no data.
func (v ReportView) Rate(name string, of ...string) string {
	if rate, ok := v.rate(name, of...); ok {
		return fmt.Sprintf("%.1f%%", rate*100)
	}
	for _, n := range append([]string{name}, of...) {
		if !v.Known(n) {
			return v.words.word("no_data")
		}
	}
	return notApplicable
}

// Change returns how the figure differs from its earlier value, or nothing where either is not known.
func (v ReportView) Change(name string) string {
	now, ok := v.Report.Figure(name).Value()
	before, known := v.Report.Figure(name + beforeSuffix).Value()
	if !ok || !known {
		return ""
	}
	switch difference := number(now - before); {
	case difference == "0":
		return "± 0"
	case difference[0] == '-':
		return "▼ " + difference[1:]
	default:
		return "▲ " + difference
	}
}

// Beside returns what stands in brackets behind a figure, with a space before it: its rate of the others, if any are
// named, and its change.
func (v ReportView) Beside(name string, of ...string) string {
	var parts []string
	known := v.Known(name)
	for _, n := range of {
		known = known && v.Known(n)
	}
	if len(of) > 0 && known {
		parts = append(parts, v.Rate(name, of...))
	}
	if change := v.Change(name); change != "" {
		parts = append(parts, change)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Largest returns the n largest samples of a figure by value, then by name, and the sum of the rest if it is not 0.
// What the collector folded into "other" is a part of the rest, and zeros are left out unless all are. No data is no
// shares.
func (v ReportView) Largest(name string, n int) []Share {
	type part struct {
		name  string
		value float64
	}
	var parts []part
	var rest float64
	for _, s := range v.Report.Figure(name).Samples {
		if label := sampleName(s.Labels); label == kpi.OtherLabel {
			rest += s.Value
		} else {
			parts = append(parts, part{label, s.Value})
		}
	}
	slices.SortFunc(parts, func(a, b part) int {
		// cmp.Compare puts NaN below every number, and so last.
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.name, b.name))
	})
	// A category that is there to tell 0 from broken is not worth a line beside those that have something.
	if len(parts) > 0 && parts[0].value > 0 {
		parts = slices.DeleteFunc(parts, func(p part) bool { return p.value == 0 })
	}
	var shares []Share
	for i, p := range parts {
		if i >= n {
			rest += p.value
			continue
		}
		shares = append(shares, Share{p.name, v.orNoData(p.value)})
	}
	if rest != 0 {
		shares = append(shares, Share{v.words.word("other"), v.orNoData(rest)})
	}
	return shares
}

func (v ReportView) orNoData(value float64) string {
	if finite(value) {
		return number(value)
	}
	return v.words.word("no_data")
}

// sampleName is the sample's only label value, or all of them in order of name.
func sampleName(labels map[string]string) string {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if value := clean(labels[name]); value != "" {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return notApplicable
	}
	return cut(strings.Join(values, " / "), categoryMax)
}
