package render

import (
	"cmp"
	"fmt"
	"maps"
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
	lateFrom     = 10 * time.Minute
	categoryMax  = 60 // characters of a category's name
	beforeSuffix = "_before"
	dayLayout    = "01-02 15:04"
)

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
	m.Buttons = button(view.Page)
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

// sampleReport has every figure of the builtin report.
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

// TrendWords is what a report's picture says.
type TrendWords struct {
	Title, Weekends string
	Figures, Days   []string // names of the figures; days in the report's zone
	Weekend         []bool   // which of the days are of a weekend
}

// TrendWords returns what a report's picture says.
func (r *Renderer) TrendWords(rep reporter.Report) (TrendWords, error) {
	l, err := r.language(rep.Locale)
	if err != nil {
		return TrendWords{}, fmt.Errorf("report %s: %w", rep.Name, err)
	}
	product := cut(clean(rep.Title), shortMax)
	if product == "" {
		product = r.product
	}
	out := TrendWords{Title: product + " " + l.T("trend", len(rep.Trend.Days)), Weekends: l.T("weekend")}
	zone := r.zoneOr(rep.Zone)
	for _, at := range rep.Trend.Days {
		local := at.In(zone)
		out.Days = append(out.Days, local.Format("01-02"))
		out.Weekend = append(out.Weekend, local.Weekday() == time.Saturday || local.Weekday() == time.Sunday)
	}
	for _, f := range rep.Trend.Figures {
		out.Figures = append(out.Figures, l.trendFigure(rep, f.Name))
	}
	return out, nil
}

// trendFigure is the name of a figure in a picture.
func (l language) trendFigure(rep reporter.Report, name string) string {
	if word, err := l.Lookup("figure_" + name); err == nil {
		return word
	}
	view := ReportView{Report: rep, words: l}
	if line, ok := view.lineOf(name); ok && !line.Title.Empty() { // one of the user's own
		return view.wording(line.Title)
	}
	return name
}

// trendText says in words what a report's picture shows, for those who do not see it.
func (r *Renderer) trendText(l language, rep reporter.Report) string {
	if rep.Trend == nil {
		return ""
	}
	view := ReportView{Report: rep, words: l}
	var parts []string
	for _, f := range rep.Trend.Figures {
		line, _ := view.lineOf(f.Name)
		var values []string
		for n, at := range rep.Trend.Days {
			value := l.T("no_data")
			if finite(f.Values[n]) {
				value = view.formatted(line.Format, f.Values[n])
			}
			values = append(values, at.In(r.zoneOr(rep.Zone)).Format("01-02")+" "+value)
		}
		parts = append(parts, l.trendFigure(rep, f.Name)+": "+strings.Join(values, ", "))
	}
	return strings.Join(parts, "; ")
}

// GraphWords are what pictures say.
type GraphWords struct {
	Began, Ended, NoData string
	Alert, KPI           string // titles
}

// GraphWords returns the words of a locale for the graphs of an alert of that name and of a KPI, by its expression.
func (r *Renderer) GraphWords(locale, alert, kpi string) (GraphWords, error) {
	l, err := r.language(locale)
	if err != nil {
		return GraphWords{}, fmt.Errorf("graph: %w", err)
	}
	out := GraphWords{
		Began: l.T("began"), Ended: l.T("resolved"), NoData: l.T("no_data"), Alert: l.T("graph_alert", cut(clean(alert), shortMax)),
		KPI: l.T("graph_kpi", cut(clean(kpi), shortMax)),
	}
	if kpi == reporter.DefaultGraphKPI {
		out.KPI = l.T("graph_kpi_default")
	}
	return out, nil
}

// GraphText says in one line what a graph shows: of each series, by its name, the lowest, the highest and the last value.
func (r *Renderer) GraphText(locale string, zone *time.Location, g reporter.Graph, names []string) (string, error) {
	l, err := r.language(locale)
	if err != nil {
		return "", fmt.Errorf("graph: %w", err)
	}
	var parts []string
	for n, s := range g.Series {
		points := slices.DeleteFunc(slices.Clone(s.Points), func(p reporter.Point) bool { return !finite(p.Value) })
		if len(points) == 0 {
			continue
		}
		compare := func(a, b reporter.Point) int { return cmp.Compare(a.Value, b.Value) }
		low, high := slices.MinFunc(points, compare), slices.MaxFunc(points, compare)
		at := func(p reporter.Point) string { return p.At.In(r.zoneOr(zone)).Format(time.TimeOnly[:5]) }
		parts = append(parts, strings.TrimPrefix(cut(clean(names[n]), shortMax)+" ", " ")+l.T("graph_values",
			number(low.Value), at(low), number(high.Value), at(high), number(points[len(points)-1].Value)))
	}
	if g.Threshold != nil && len(parts) > 0 {
		parts = append(parts, l.T("graph_threshold", number(*g.Threshold)))
	}
	return g.Title + ": " + strings.Join(parts, "; "), nil
}

// TrendText says in one line what the trend of a report shows: the values of each figure by day. "" where it has none.
func (r *Renderer) TrendText(rep reporter.Report) (string, error) {
	l, err := r.language(rep.Locale)
	if err != nil {
		return "", fmt.Errorf("report %s: %w", rep.Name, err)
	}
	return r.trendText(l, rep), nil
}

// ReportView is what a report's template sees, as its dot.
type ReportView struct {
	Headline string // "AWOOOI 日度巡檢報告"
	Product  string // "AWOOOI AIOps"
	Date     string // of the due time in the report's zone, 2006-01-02
	Since    string // 01-02 15:04
	Until    string
	ZoneName string
	Late     string // how late the report is, empty if it is not
	Built    string // 2006-01-02 15:04
	Health   Health
	Page     *Link // of the report as of its due time; nil where external_url is not set
	Report   reporter.Report

	words language
}

// Health is the grade of the report, and what is graded; empty where there is nothing to grade.
type Health struct{ Emoji, Word, Of string }

// Share is one part of a figure.
type Share struct {
	Name, Number string
	labels       map[string]string // nil for the rest
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
	headline := "headline"
	span := rep.Due.Sub(rep.Since)
	switch {
	case span == day:
		headline = "headline_daily"
	case since.AddDate(0, 0, 7).Equal(due):
		headline = "headline_weekly"
	case since.AddDate(0, 1, 0).Equal(due):
		headline = "headline_monthly"
	}
	v := ReportView{
		Headline: l.T(headline, title), Product: l.T("product", title), Date: due.Format(time.DateOnly),
		Since: since.Format(dayLayout), Until: due.Format(dayLayout), ZoneName: l.ZoneName(zone), Built: built.Format(i18n.Minute),
		Report: rep, words: l,
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

// health grades the repair success rate. Where there were no repairs the targets of the sections decide; without either there
// is nothing to grade, and the result is empty.
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
	of := v.words.T("health_repairs") + " " + percent(rate) + "%"
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

// Known says whether the figure has data.
func (v ReportView) Known(name string) bool {
	_, ok := v.Report.Figure(name).Value()
	return ok
}

// Asked says whether the report asks for the figure at all.
func (v ReportView) Asked(name string) bool {
	_, ok := v.Report.Figures[name]
	return ok
}

// Duration returns the figure, which is in seconds, as a duration, or the words for no data.
func (v ReportView) Duration(name string) string {
	value, ok := v.Report.Figure(name).Value()
	if !ok || value < 0 || value > maxSeconds {
		return v.words.T("no_data")
	}
	return v.words.Duration(time.Duration(value * float64(time.Second)))
}

// Age returns how long before the due time the figure was, which is in seconds since 1970, or nothing where it has no data.
func (v ReportView) Age(name string) string {
	value, ok := v.Report.Figure(name).Value()
	if !ok || value < 0 || value > maxSeconds {
		return ""
	}
	return v.words.Duration(v.Report.Due.Sub(time.UnixMilli(int64(value * 1000))))
}

// maxSeconds keeps durations and times within what their types hold.
const maxSeconds = 9e9

// NoneOf returns what stands for an empty list of parts of the figure: — where the figure is 0, else the words for no data.
func (v ReportView) NoneOf(name string) string {
	if v.Zero(name) {
		return notApplicable
	}
	return v.words.T("no_data")
}

// Zero says whether the figure is known to be 0.
func (v ReportView) Zero(name string) bool {
	value, ok := v.Report.Figure(name).Value()
	return ok && value == 0
}

// Number returns the figure, or the words for no data.
func (v ReportView) Number(name string) string {
	if value, ok := v.Report.Figure(name).Value(); ok {
		return number(value)
	}
	return v.words.T("no_data")
}

// Unit returns the counting word behind a number, with its space; none behind the words for no data.
func (v ReportView) Unit(name string) string {
	if v.Known(name) {
		return v.words.T("unit")
	}
	return ""
}

const notApplicable = "—"

// uncategorized is the label value that stands for no category in awoooi_alerts.
const uncategorized = "uncategorized"

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
		text := fmt.Sprintf("%.1f%%", rate*100)
		if days := v.partialDays(append([]string{name}, of...)...); days != "" {
			text += " (" + days + ")"
		}
		return text
	}
	for _, n := range append([]string{name}, of...) {
		if !v.Known(n) {
			return v.words.T("no_data")
		}
	}
	return notApplicable
}

// partialDays says of how many days the figures are where some are missing, of the figure with the fewest.
func (v ReportView) partialDays(names ...string) string {
	text, least := "", 0
	for _, name := range names {
		if f := v.Report.Figure(name); f.Partial() && f.DaysKnown > 0 && (text == "" || f.DaysKnown < least) {
			text, least = v.words.T("partial", f.DaysKnown, f.Days), f.DaysKnown
		}
	}
	return text
}

// Change returns how the figure differs from its earlier value, or nothing where either is not known.
func (v ReportView) Change(name string) string { return v.change(name, name+beforeSuffix) }

func (v ReportView) change(name, before string) string {
	figure, earlier := v.Report.Figure(name), v.Report.Figure(before)
	now, ok := figure.Value()
	then, known := earlier.Value()
	if !ok || !known || figure.Partial() || earlier.Partial() {
		return ""
	}
	switch difference := v.difference(name, now-then); {
	case difference == "0":
		return "± 0"
	case difference[0] == '-':
		return "▼ " + difference[1:]
	default:
		return "▲ " + difference
	}
}

// Changes returns how the figure differs from each of its earlier values that is known, in words: "較前日 ▲ 12".
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
			out = append(out, v.words.T(v.periodBefore(), change))
		case over == day:
			out = append(out, v.words.T("change_day", change))
		case over == 7*day:
			out = append(out, v.words.T("change_week", change))
		default:
			out = append(out, v.words.T("change_over", v.words.Duration(over), change))
		}
	}
}

// periodBefore is the key of the words for the change against the lookback before this one.
func (v ReportView) periodBefore() string {
	due, since := v.Report.Due, v.Report.Since
	if v.Report.Zone != nil {
		due, since = due.In(v.Report.Zone), since.In(v.Report.Zone)
	}
	switch {
	case due.Sub(since) == day:
		return "change_day"
	case since.AddDate(0, 0, 7).Equal(due):
		return "change_before_week"
	case since.AddDate(0, 1, 0).Equal(due):
		return "change_before_month"
	}
	return "change_before"
}

const day = 24 * time.Hour

// Beside returns what stands in brackets behind a figure, with a space before it: of how many days it is where some are
// missing, its rate of the others, if any are named, and its changes.
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
		parts = append(parts, fmt.Sprintf("%.1f%%", rate*100))
	} else if len(of) > 0 && known {
		parts = append(parts, v.Rate(name, of...))
	}
	parts = append(parts, v.Changes(name)...)
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Largest returns the n largest samples of a figure by value, then by name, and the sum of the rest if it is not 0.
// What the collector folded into "other" is a part of the rest, and zeros are left out unless all are. No data is no
// shares.
func (v ReportView) Largest(name string, n int) []Share { return v.largest(name, n, nil, number) }

// largest is Largest with what label values are called, and how a value is written.
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
		// cmp.Compare puts NaN below every number, and so last.
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.name, b.name))
	})
	// Zeros are filled in to distinguish 0 from no data. They need no line next to parts that are not 0.
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

// Top is Largest without the rest, for a figure whose parts are too many to speak of all.
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

// sampleName is the sample's only label value, or all of them in order of name, each as it is called.
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
