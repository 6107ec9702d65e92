package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chart"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/render"
)

// pictures draws for messages and pages.
type pictures struct {
	render     *render.Renderer
	postmortem *postmortem.Builder
	locale     string            // of graphs
	locales    map[string]string // of those of routes that have their own, by name
	zone       *time.Location
	graph      config.Graph
}

// Trend draws the trend of a report.
func (r pictures) Trend(rep reporter.Report) (reporter.Picture, error) {
	trend, err := r.render.TrendWords(rep)
	if err != nil {
		return reporter.Picture{}, err
	}
	words, err := r.render.GraphWords(rep.Locale, "", "")
	if err != nil {
		return reporter.Picture{}, err
	}
	c := chart.Trend{Title: trend.Title, Days: trend.Days, NoData: words.NoData, Weekend: trend.Weekend, Weekends: trend.Weekends}
	for n, f := range rep.Trend.Figures {
		c.Series = append(c.Series, chart.Series{Name: trend.Figures[n], Values: f.Values})
	}
	text, err := r.render.TrendText(rep)
	if err != nil {
		return reporter.Picture{}, err
	}
	png, err := drawn(c.PNG())
	return reporter.Picture{PNG: png, Text: text}, err
}

// Incident draws the series of the alert's expression and of the KPI around an incident. reporter.ErrNotFound: it has no series,
// or graphs are disabled.
func (r pictures) Incident(ctx context.Context, in reporter.Incident) (reporter.Picture, error) {
	if r.graph.Disabled {
		return reporter.Picture{}, fmt.Errorf("graph of incident %s: %w", in.ID, reporter.ErrNotFound)
	}
	locale := cmp.Or(r.locales[in.Route], r.locale)
	words, err := r.render.GraphWords(locale, in.Title(), r.graph.KPI)
	if err != nil {
		return reporter.Picture{}, err
	}
	alert := r.postmortem.Graph(ctx, in)
	if alert == nil { // a graph of the KPI alone would not be about the incident
		return reporter.Picture{}, fmt.Errorf("graph of incident %s: %w", in.ID, reporter.ErrNotFound)
	}
	kpi := r.postmortem.KPI(ctx, in, r.graph.KPI)
	alert.Title = words.Alert
	if kpi != nil {
		kpi.Title = words.KPI
	}
	var windows []chart.Window
	var texts []string
	for _, g := range []*reporter.Graph{alert, kpi} {
		if g == nil {
			continue
		}
		w := chart.Window{
			Title: g.Title, Start: alert.Start, End: alert.End, Step: g.Step, Zone: r.zone, NoData: words.NoData,
			Incident: chart.Incident{Start: in.StartedAt, End: in.EndedAt, StartLabel: words.Began, EndLabel: words.Ended},
		}
		if g.Threshold != nil {
			w.Threshold = &chart.Threshold{Value: *g.Threshold}
		}
		names := seriesNames(g.Series)
		text, err := r.render.GraphText(locale, r.zone, *g, names)
		if err != nil {
			return reporter.Picture{}, err
		}
		texts = append(texts, text)
		for n, s := range g.Series {
			line := chart.TimeSeries{Name: names[n]}
			for _, p := range s.Points {
				line.Points = append(line.Points, chart.Point{T: p.At, V: p.Value})
			}
			w.Series = append(w.Series, line)
		}
		windows = append(windows, w)
	}
	png, err := drawn(chart.Windows(windows...))
	if err != nil {
		return reporter.Picture{}, fmt.Errorf("graph of incident %s: %w", in.ID, err)
	}
	return reporter.Picture{PNG: png, Text: strings.Join(texts, "; ")}, nil
}

// drawn adds reporter.ErrNotFound to chart.ErrNoData.
func drawn(png []byte, err error) ([]byte, error) {
	if errors.Is(err, chart.ErrNoData) {
		return nil, errors.Join(err, reporter.ErrNotFound)
	}
	return png, err
}

// seriesNames names each series by the values of the labels in which the series differ, or by its metric.
func seriesNames(all []reporter.Series) []string {
	names := make([]string, len(all))
	for n, s := range all {
		var own []string
		for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
			shared := !slices.ContainsFunc(all, func(o reporter.Series) bool { return o.Labels[k] != s.Labels[k] })
			if k != model.MetricNameLabel && (!shared || len(all) == 1 && k == "instance") {
				own = append(own, s.Labels[k])
			}
		}
		names[n] = cmp.Or(strings.Join(own, " "), s.Labels[model.MetricNameLabel])
	}
	return names
}
