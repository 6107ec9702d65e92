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

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chart"
)

// trendPicture draws the trend of a report, once it is its turn. reporter.ErrNotFound: it has no trend, or nothing is known.
func (t *texts) trendPicture(ctx context.Context, rep reporter.Report, patience time.Duration) ([]byte, error) {
	if rep.Trend == nil {
		return nil, fmt.Errorf("trend of report %s: %w", rep.Name, reporter.ErrNotFound)
	}
	leave, err := t.drawing.enter(ctx, patience)
	if err != nil {
		return nil, fmt.Errorf("trend of report %s: %w", rep.Name, err)
	}
	defer leave()
	r := t.reading.Load()
	title, names, days, err := r.render.TrendWords(rep)
	if err != nil {
		return nil, err
	}
	words, err := r.render.GraphWords(rep.Locale)
	if err != nil {
		return nil, err
	}
	c := chart.Trend{Title: title, Days: days, NoData: words.NoData}
	for n, f := range rep.Trend.Figures {
		c.Series = append(c.Series, chart.Series{Name: names[n], Values: f.Values})
	}
	return drawn(c.PNG())
}

// incidentPicture asks what the alert's expression and the KPI did around an incident, and draws it, once it is its turn.
// reporter.ErrNotFound: nothing is known of them.
func (t *texts) incidentPicture(ctx context.Context, in reporter.Incident, patience time.Duration) ([]byte, error) {
	r := t.reading.Load()
	if r.cfg.Incidents.Graph.Disabled {
		return nil, fmt.Errorf("graph of incident %s: %w", in.ID, reporter.ErrNotFound)
	}
	leave, err := t.drawing.enter(ctx, patience)
	if err != nil {
		return nil, fmt.Errorf("graph of incident %s: %w", in.ID, err)
	}
	defer leave()
	words, err := r.render.GraphWords(r.cfg.Locale)
	if err != nil {
		return nil, err
	}
	alert := r.postmortem.Graph(ctx, in)
	if alert == nil { // The KPI alone says nothing of the incident.
		return nil, fmt.Errorf("graph of incident %s: %w", in.ID, reporter.ErrNotFound)
	}
	var pictures [][]byte
	for _, g := range []*reporter.Graph{alert, r.postmortem.KPI(ctx, in, r.cfg.Incidents.Graph.KPI)} {
		if g == nil {
			continue
		}
		w := chart.Window{
			Title: g.Title, Start: g.Start, End: g.End, Step: g.Step, Zone: r.cfg.Zone, NoData: words.NoData,
			Incident: chart.Incident{Start: in.StartedAt, End: in.EndedAt, StartLabel: words.Began, EndLabel: words.Ended},
		}
		if g.Threshold != nil {
			w.Threshold = &chart.Threshold{Value: *g.Threshold}
		}
		names := seriesNames(g.Series)
		for n, s := range g.Series {
			line := chart.TimeSeries{Name: names[n]}
			for _, p := range s.Points {
				line.Points = append(line.Points, chart.Point{T: p.At, V: p.Value})
			}
			w.Series = append(w.Series, line)
		}
		png, err := drawn(w.PNG())
		if err != nil && !errors.Is(err, reporter.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			pictures = append(pictures, png)
		}
	}
	if len(pictures) == 0 {
		return nil, fmt.Errorf("graph of incident %s: %w", in.ID, reporter.ErrNotFound)
	}
	return chart.Stack(pictures...)
}

// drawn makes the chart's way to say that there is nothing to draw the reporter's.
func drawn(png []byte, err error) ([]byte, error) {
	if errors.Is(err, chart.ErrNoData) {
		return nil, errors.Join(err, reporter.ErrNotFound)
	}
	return png, err
}

// seriesNames names each series by the labels in which it differs from the others, or by its metric.
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
