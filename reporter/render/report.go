package render

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	lateFrom     = 10 * time.Minute // how late a report is before it says so
	categoryMax  = 60               // characters of a category's name
	beforeSuffix = "_before"        // see BeforeSuffix of package report
)

// Report writes an inspection report. If the user's template fails, it is logged and the builtin one is used.
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
	m.Buttons = button(view.Page)
	if rep.Template != "" {
		if m.HTML, err = l.executeFile(rep.Template, view); err == nil {
			return m, nil
		}
		r.log.Error("report template failed, using the builtin one", "report", rep.Name, "err", err)
	}
	m.HTML, err = l.execute("report.tmpl", view)
	return m, err
}

// ReportView is the data of a report's template.
type ReportView struct {
	Headline string // "AWOOOI 日度巡檢報告"
	Product  string // "AWOOOI AIOps"
	Date     string // of the due time in the report's zone, 2006-01-02
	Since    string // 01-02 15:04
	Until    string
	ZoneName string
	Late     string // how late the report is; "" if it is not
	Built    string // 2006-01-02 15:04
	Health   Health
	Page     *Link // of the report as of its due time; nil without external_url
	Report   reporter.Report

	words language
}

// Health is the grade of the report, and what it grades. It is empty if there is nothing to grade.
type Health struct{ Emoji, Word, Of string }

// Share is one part of a figure.
type Share struct {
	Name, Number string
	labels       map[string]string // nil for the sum of the other parts
}

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
	v := ReportView{
		Headline: l.T(headlines[periodOf(since, due)], title), Product: l.T("product", title), Date: due.Format(time.DateOnly),
		Since: since.Format(i18n.DayClock), Until: due.Format(i18n.DayClock), ZoneName: l.ZoneName(zone),
		Built: built.Format(i18n.Minute), Report: rep, words: l,
	}
	if r.externalURL != "" {
		page := r.externalURL + "/reports/" + url.PathEscape(rep.Name) + "?at=" + url.QueryEscape(rep.Due.UTC().Format(time.RFC3339))
		v.Page = pageLink(l, "report", page)
	}
	if late := rep.Late(); late >= lateFrom && !rep.Preview {
		v.Late = l.Duration(late)
	}
	v.Health = v.health()
	return v
}

// periodLength is the length of a report's lookback, by the calendar of its zone.
type periodLength int

const (
	otherLength periodLength = iota
	dayLength
	weekLength
	monthLength
)

// periodOf returns the length of the time between two times in the report's zone.
func periodOf(since, due time.Time) periodLength {
	switch {
	case due.Sub(since) == day:
		return dayLength
	case since.AddDate(0, 0, 7).Equal(due):
		return weekLength
	case since.AddDate(0, 1, 0).Equal(due):
		return monthLength
	}
	return otherLength
}

// headlines are the keys of headlines by length of the lookback, and changes those of a change against the lookback before it.
var (
	headlines = [...]string{
		otherLength: "headline", dayLength: "headline_daily", weekLength: "headline_weekly", monthLength: "headline_monthly",
	}
	changes = [...]string{
		otherLength: "change_before", dayLength: "change_day", weekLength: "change_before_week", monthLength: "change_before_month",
	}
)

// health grades the repair success rate. Without repairs it grades the targets of the sections. Without either the result is empty.
func (v ReportView) health() Health {
	limits := v.Report.Health
	if limits == (reporter.HealthThresholds{}) {
		limits = reporter.DefaultHealth
	}
	const succeeded, failed = "repairs_succeeded", "repairs_failed"
	rate, ok := v.rate(succeeded, succeeded, failed)
	met, missed, unknown := v.targets()
	noRepairs := !v.Shows(succeeded) || (v.Known(succeeded) && v.Known(failed))
	targets := v.words.T("health_targets", met, met+missed+unknown)
	switch {
	case !ok && noRepairs && missed > 0:
		return Health{"🔴", v.words.T("health_attention"), targets}
	case !ok && noRepairs && met > 0 && unknown == 0:
		return Health{"💚", v.words.T("health_excellent"), targets}
	case !ok && noRepairs && met+unknown == 0:
		return Health{}
	case !ok && noRepairs:
		return Health{"⚪", v.words.T("no_data"), v.words.T("health_unknown", unknown)}
	case !ok:
		return Health{"⚪", v.words.T("no_data"), v.words.T("health_repairs")}
	}
	of := v.words.T("health_repairs") + " " + i18n.Percent(rate, limits.Excellent, limits.Good)
	if days := v.partialDays(succeeded, failed); days != "" {
		of += ", " + days
	}
	switch {
	case rate >= limits.Excellent:
		return Health{"💚", v.words.T("health_excellent"), of}
	case rate >= limits.Good:
		return Health{"🟡", v.words.T("health_good"), of}
	}
	return Health{"🔴", v.words.T("health_attention"), of}
}

// Known reports whether the figure has data.
func (v ReportView) Known(name string) bool {
	_, ok := v.Report.Figure(name).Value()
	return ok
}

// Asked reports whether the report has the figure, with or without data.
func (v ReportView) Asked(name string) bool {
	_, ok := v.Report.Figures[name]
	return ok
}

// Duration returns the figure, in seconds, as a duration; the words for no data if it has none or is negative.
func (v ReportView) Duration(name string) string {
	value, ok := v.Report.Figure(name).Value()
	if !ok || value < 0 {
		return v.words.T("no_data")
	}
	return v.formatted(reporter.FormatDuration, value)
}

// Age returns the time from the figure, in seconds since 1970, to the due time; "" if it has no data.
func (v ReportView) Age(name string) string {
	value, ok := v.Report.Figure(name).Value()
	if !ok || value < 0 || value > maxSeconds {
		return ""
	}
	return v.formatted(reporter.FormatAge, value)
}

// maxSeconds is the most seconds that a time.Duration can hold, rounded down.
const maxSeconds = 9e9

// NoneOf returns the text for an empty list of parts of the figure: "—" if the figure is 0, else the words for no data.
func (v ReportView) NoneOf(name string) string {
	if v.Zero(name) {
		return notApplicable
	}
	return v.words.T("no_data")
}

// Zero reports whether the figure has data and is 0.
func (v ReportView) Zero(name string) bool {
	value, ok := v.Report.Figure(name).Value()
	return ok && value == 0
}

// Number returns the figure as a number, or the words for no data.
func (v ReportView) Number(name string) string {
	if value, ok := v.Report.Figure(name).Value(); ok {
		return i18n.Number(value)
	}
	return v.words.T("no_data")
}

// Unit returns the counting word after a number, with a space before it; "" if the figure has no data.
func (v ReportView) Unit(name string) string {
	if v.Known(name) {
		return v.words.T("unit")
	}
	return ""
}

// notApplicable is shown for a ratio of 0 to 0, and for what is empty because its total is 0.
const notApplicable = "—"

// uncategorized is the value of the label category of awoooi_alerts for alerts without a category.
const uncategorized = "uncategorized"

// rate divides a figure by the sum of others; false if one of them has no data, or if the sum is not above 0.
func (v ReportView) rate(name string, of ...string) (float64, bool) {
	part, ok := v.Report.Figure(name).Value()
	var whole float64
	for _, n := range of {
		value, known := v.Report.Figure(n).Value()
		whole, ok = whole+value, ok && known
	}
	return part / whole, ok && whole > 0
}

// Rate returns the figure as a percentage of the sum of others, "—" if that sum is 0, or the words for no data.
func (v ReportView) Rate(name string, of ...string) string {
	if rate, ok := v.rate(name, of...); ok {
		return v.withDays(i18n.Percent(rate), append([]string{name}, of...)...)
	}
	for _, n := range append([]string{name}, of...) {
		if !v.Known(n) {
			return v.words.T("no_data")
		}
	}
	return notApplicable
}

// withDays adds partialDays to a text, in parentheses.
func (v ReportView) withDays(text string, names ...string) string {
	if days := v.partialDays(names...); days != "" {
		return text + " (" + days + ")"
	}
	return text
}

// partialDays writes the number of days with data, of the figure with the fewest; "" if no day is missing.
func (v ReportView) partialDays(names ...string) string {
	text, least := "", 0
	for _, name := range names {
		if f := v.Report.Figure(name); f.Partial() && f.DaysKnown > 0 && (text == "" || f.DaysKnown < least) {
			text, least = v.words.T("partial", f.DaysKnown, f.Days), f.DaysKnown
		}
	}
	return text
}

// Change returns the difference of the figure from its earlier value; "" if one of them has no data.
func (v ReportView) Change(name string) string { return v.change(name, name+beforeSuffix) }

func (v ReportView) change(name, before string) string {
	figure, earlier := v.Report.Figure(name), v.Report.Figure(before)
	now, ok := figure.Value()
	then, known := earlier.Value()
	if !ok || !known || figure.Partial() || earlier.Partial() {
		return ""
	}
	by := now - then
	switch size := math.Abs(by); {
	case size <= rounding*max(math.Abs(now), math.Abs(then)):
		return "± 0"
	case by < 0:
		return "▼ " + v.difference(name, size)
	default:
		return "▲ " + v.difference(name, size)
	}
}

// rounding is the relative error that a difference of two equal figures may have by the arithmetic of floating point.
const rounding = 1e-9

// Changes returns the differences of the figure from each of its earlier values with data, in words: "較前日 ▲ 12".
func (v ReportView) Changes(name string) []string {
	var out []string
	for n := 1; ; n++ {
		before := name + beforeSuffix
		if n > 1 {
			before += strconv.Itoa(n)
		}
		f, ok := v.Report.Figures[before]
		if !ok {
			return out
		}
		change := v.change(name, before)
		switch over := v.Report.Due.Sub(f.At); {
		case change == "":
		case f.At.Equal(v.Report.Since), f.At.IsZero():
			due, since := v.Report.Due, v.Report.Since
			if zone := v.Report.Zone; zone != nil {
				due, since = due.In(zone), since.In(zone)
			}
			out = append(out, v.words.T(changes[periodOf(since, due)], change))
		case over == day:
			out = append(out, v.words.T("change_day", change))
		case over == 7*day:
			out = append(out, v.words.T("change_week", change))
		default:
			out = append(out, v.words.T("change_over", v.words.Duration(over), change))
		}
	}
}

const day = 24 * time.Hour

// Beside returns what follows a figure in parentheses, with a space before them: the number of days if some are missing, its
// percentage of the others, if any are given, and its changes. "" if there is none of these.
func (v ReportView) Beside(name string, of ...string) string {
	var parts []string
	if days := v.partialDays(append([]string{name}, of...)...); days != "" {
		parts = append(parts, days)
	}
	known := v.Known(name)
	for _, n := range of {
		known = known && v.Known(n)
	}
	if rate, ok := v.rate(name, of...); len(of) > 0 && known && ok {
		parts = append(parts, i18n.Percent(rate))
	} else if len(of) > 0 && known {
		parts = append(parts, v.Rate(name, of...))
	}
	parts = append(parts, v.Changes(name)...)
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Largest returns the n largest samples of a figure by value, then by name, and the sum of the others if it is not 0. What the
// collector folded into "other" is a part of that sum. Zeros are left out unless all are 0. Without data the result is empty.
func (v ReportView) Largest(name string, n int) []Share { return v.largest(name, n, nil, i18n.Number) }

// largest is Largest with titles for label values, and a function that writes the values.
func (v ReportView) largest(name string, n int, called map[string]string, written func(float64) string) []Share {
	type part struct {
		name   string
		value  float64
		labels map[string]string
	}
	var parts []part
	var rest float64
	for _, s := range v.Report.Figure(name).Samples {
		switch label := sampleName(s.Labels, called); label {
		case kpi.OtherLabel:
			rest += s.Value
		case uncategorized:
			parts = append(parts, part{v.words.T("uncategorized"), s.Value, s.Labels})
		default:
			parts = append(parts, part{label, s.Value, s.Labels})
		}
	}
	slices.SortFunc(parts, func(a, b part) int {
		// cmp.Compare orders NaN below every number, so it is last.
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.name, b.name))
	})
	// The collector fills in zeros to distinguish 0 from no data. Next to parts that are not 0 they need no line.
	if len(parts) > 0 && parts[0].value > 0 {
		parts = slices.DeleteFunc(parts, func(p part) bool { return p.value == 0 })
	}
	var shares []Share
	for i, p := range parts {
		if i >= n {
			rest += p.value
			continue
		}
		shares = append(shares, Share{p.name, v.orNoData(p.value, written), p.labels})
	}
	if rest != 0 {
		shares = append(shares, Share{v.words.T("rest"), v.orNoData(rest, written), nil})
	}
	return shares
}

// Top is Largest without the sum of the others, for figures with too many parts to list.
func (v ReportView) Top(name string, n int) []Share {
	shares := v.Largest(name, n)
	return shares[:min(len(shares), n)]
}

func (v ReportView) orNoData(value float64, written func(float64) string) string {
	if finite(value) {
		return written(value)
	}
	return v.words.T("no_data")
}

// sampleName returns the label values of a sample, in the order of the labels' names. Called maps values to titles.
func sampleName(labels, called map[string]string) string {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if value := cmp.Or(called[labels[name]], clean(labels[name])); value != "" {
			values = append(values, value)
		}
	}
	if len(values) == 0 {
		return notApplicable
	}
	return cut(strings.Join(values, " / "), categoryMax)
}
