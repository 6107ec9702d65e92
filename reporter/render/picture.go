package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// TrendWords are the words of a report's picture.
type TrendWords struct {
	Title, Weekends string
	Figures, Days   []string // names of the figures; days in the report's zone
	Weekend         []bool   // of each day: it is on a weekend
}

// TrendWords returns the words of a report's picture. The report must have a trend.
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

// trendFigure returns the name of a figure in a picture.
func (l language) trendFigure(rep reporter.Report, name string) string {
	if word, err := l.Lookup("figure_" + name); err == nil {
		return word
	}
	view := ReportView{Report: rep, words: l}
	if line, ok := view.lineOf(name); ok && !line.Title.Empty() {
		return view.wording(line.Title)
	}
	return name
}

// trendText describes a report's picture for people who cannot see it.
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

// GraphWords are the words of an incident's picture.
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

// GraphText describes a graph in one line: name, lowest, highest and last value of each series. Names has one for each series.
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
		at := func(p reporter.Point) string { return p.At.In(r.zoneOr(zone)).Format(i18n.Clock) }
		parts = append(parts, strings.TrimPrefix(cut(clean(names[n]), shortMax)+" ", " ")+l.T("graph_values",
			i18n.Number(low.Value), at(low), i18n.Number(high.Value), at(high), i18n.Number(points[len(points)-1].Value)))
	}
	if g.Threshold != nil && len(parts) > 0 {
		parts = append(parts, l.T("graph_threshold", i18n.Number(*g.Threshold)))
	}
	return g.Title + ": " + strings.Join(parts, "; "), nil
}

// TrendText describes the trend of a report in one line: the values of each figure by day. "" if the report has none.
func (r *Renderer) TrendText(rep reporter.Report) (string, error) {
	l, err := r.language(rep.Locale)
	if err != nil {
		return "", fmt.Errorf("report %s: %w", rep.Name, err)
	}
	return r.trendText(l, rep), nil
}
