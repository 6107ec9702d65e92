package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

const (
	// ownSeries is a series that every collector exposes at every scrape.
	ownSeries = "awoooi_collector_window_end_timestamp_seconds"
	// lookbackDelta is Prometheus's default of --query.lookback-delta: a query does not find samples that are older, so that with
	// a longer scrape interval figures have no data at times.
	lookbackDelta = 5 * time.Minute
	// figuresAtOnce bounds the queries that doctor sends in parallel.
	figuresAtOnce = 4
)

// doctorPrometheus checks that Prometheus answers, scrapes this program, keeps samples long enough, and has every figure of every
// report.
func doctorPrometheus(c *config.Config) []check {
	const what = "prometheus"
	ds, err := definitions(c)
	if err != nil {
		return fixed(failed("reports", err, "run check-config"))
	}
	if c.Prometheus.URL == "" {
		keeps := model.Duration(c.Embedded.Retention)
		if longest, name := longestReach(ds); c.Embedded.Retention < longest {
			return fixed(warned(what, fmt.Sprintf("the embedded database keeps %s, the report %s looks back %s", keeps, name, inDays(longest)),
				fmt.Sprintf("set embedded.retention to %dd or more", int(longest/(24*time.Hour))+2)))
		}
		return fixed(ok(what, "the embedded database is used; it keeps %s", keeps))
	}
	q, err := promql.NewHTTP(c.Prometheus.URL, c.Prometheus.HTTPConfig.Value(), c.Prometheus.Timeout)
	if err != nil {
		return fixed(failed(what, err, "check prometheus.url"))
	}
	return []check{{what, func(ctx context.Context) []Finding {
		defer q.Close()
		asked := time.Now()
		clock, err := q.Now(ctx)
		if err != nil {
			return []Finding{failed(what, err, prometheusRemedy(err.Error()))}
		}
		out := append([]Finding{ok(what, "answers")}, clockFinding(what, clock, asked.Add(time.Since(asked)/2))...)
		out = append(out, doctorScrapes(ctx, q)...)
		out = append(out, doctorRetention(ctx, q, ds)...)
		configured := configuredMetrics(ctx, q)
		for _, d := range ds {
			out = append(out, doctorReport(ctx, q, d, configured)...)
		}
		return out
	}}}
}

func prometheusRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"refused", "start it, or correct prometheus.url"},
		{"no such host", "correct the host of prometheus.url"},
		{"401", "set prometheus.http_config.basic_auth or authorization"},
		{"403", "set prometheus.http_config.basic_auth or authorization"},
		{"404", "prometheus.url is not that of a Prometheus API: add or remove its path, such as /prometheus"},
		{"certificate", "set prometheus.http_config.tls_config.ca_file"},
		{"deadline", "check host, port and firewall"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "check prometheus.url and its http_config"
}

// doctorScrapes checks which jobs scrape this program, and how often.
func doctorScrapes(ctx context.Context, q *promql.HTTP) []Finding {
	const what = "scrapes"
	const window = "1h"
	samples, err := q.Query(ctx, "count_over_time("+ownSeries+"["+window+"])", time.Time{})
	if err != nil {
		return []Finding{failed(what, err, prometheusRemedy(err.Error()))}
	}
	if len(samples) == 0 {
		return []Finding{warned(what, "prometheus has no series of this program",
			"add it to scrape_configs (docs/setup.md), and look at the page Status > Target health")}
	}
	newest, err := q.Query(ctx, "time() - max(timestamp("+ownSeries+"))", time.Time{})
	if err != nil {
		return []Finding{failed(what, err, prometheusRemedy(err.Error()))}
	}
	if len(newest) == 0 {
		return []Finding{warned(what, "prometheus has had no sample of this program for five minutes",
			"start the program, and look at the page Status > Target health")}
	}
	var out []Finding
	var names []string
	for _, s := range samples {
		names = append(names, fmt.Sprintf("job %q instance %q", s.Labels["job"], s.Labels["instance"]))
	}
	slices.Sort(names)
	// The number of samples in ten minutes gives the interval, unless the series is younger than that.
	apart, err := q.Query(ctx, "max((600 / count_over_time("+ownSeries+"[10m])) and (count_over_time("+ownSeries+"["+window+"]) > "+
		"count_over_time("+ownSeries+"[10m])))", time.Time{})
	text := "as " + safetext.Line(strings.Join(names, ", "), 300)
	if err == nil && len(apart) == 1 {
		every := time.Duration(apart[0].Value * float64(time.Second)).Round(time.Second)
		text += fmt.Sprintf(", about every %v", every)
		if every >= lookbackDelta {
			return append(out, warned(what, text, "set a scrape_interval of at most 2m: between samples that are 5m apart, figures have no data"))
		}
	}
	age := time.Duration(newest[0].Value * float64(time.Second)).Round(time.Second)
	return append(out, ok(what, "%s; the newest sample is %v old", text, age))
}

// longestReach returns how far back the reports look at most, and the name of the one that does.
func longestReach(ds []report.Definition) (longest time.Duration, name string) {
	for _, d := range ds {
		if reach := d.Reach(time.Now()); reach > longest {
			longest, name = reach, d.Name
		}
	}
	return longest, name
}

// inDays is a duration in days, rounded up.
func inDays(d time.Duration) string {
	return fmt.Sprintf("%d days", int((d+24*time.Hour-1)/(24*time.Hour)))
}

// doctorRetention checks that the server keeps samples for as long as the reports look back.
func doctorRetention(ctx context.Context, q *promql.HTTP, ds []report.Definition) []Finding {
	const what = "retention"
	longest, name := longestReach(ds)
	if name == "" {
		return nil
	}
	days := inDays(longest)
	keeps, err := q.Retention(ctx)
	switch {
	case errors.Is(err, promql.ErrNotSupported):
		return []Finding{ok(what, "the report %s looks back %s; the server does not report its retention", name, days)}
	case err != nil:
		return []Finding{failed(what, err, "check prometheus.url")}
	case keeps == 0:
		return []Finding{ok(what, "the report %s looks back %s; the server has no time limit", name, days)}
	case keeps < longest:
		return []Finding{warned(what, fmt.Sprintf("prometheus keeps %s, the report %s looks back %s", model.Duration(keeps), name, days),
			fmt.Sprintf("start it with --storage.tsdb.retention.time=%dd or more", int(longest/(24*time.Hour))+2))}
	}
	return []Finding{ok(what, "prometheus keeps %s, the report %s looks back %s", model.Duration(keeps), name, days)}
}

// configuredMetrics returns the metrics that collectors are configured to expose; nil if that is not known.
func configuredMetrics(ctx context.Context, q *promql.HTTP) map[string]bool {
	samples, err := q.Query(ctx, report.ConfiguredExpr, time.Time{})
	if err != nil || len(samples) == 0 {
		return nil
	}
	out := map[string]bool{}
	for _, s := range samples {
		out[s.Labels["metric"]] = true
	}
	return out
}

// doctorReport queries every figure of a report as of now. A figure without series is a warning unless none is expected, because
// its metric is not configured or another figure is 0. configured is nil if it is not known.
func doctorReport(ctx context.Context, q *promql.HTTP, d report.Definition, configured map[string]bool) []Finding {
	figures := d.Asked()
	counts, errs, zero := make([]int, len(figures)), make([]error, len(figures)), make([]bool, len(figures))
	turns := make(chan struct{}, figuresAtOnce)
	var wait sync.WaitGroup
	for n, f := range figures {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			samples, err := q.Query(ctx, f.Expr, time.Now())
			counts[n], errs[n] = len(samples), err
			zero[n] = len(samples) == 1 && samples[0].Value == 0
		})
	}
	wait.Wait()
	// emptyByZero tells whether a figure has no samples because another one is 0.
	emptyByZero := func(f report.FigureDefinition) bool {
		return slices.ContainsFunc(f.EmptyIf, func(name string) bool {
			n := slices.IndexFunc(figures, func(f report.FigureDefinition) bool { return f.Name == name })
			return n >= 0 && zero[n]
		})
	}
	what := "report " + d.Name
	var out []Finding
	var empty []string
	for n, f := range figures {
		switch {
		case errs[n] != nil:
			out = append(out, failed(what+" figure "+f.Name, errs[n], "correct its expr"))
		case counts[n] == 0 && !emptyByZero(f) && (configured == nil || !f.Builtin || !report.Omitted(f.Expr, configured)):
			empty = append(empty, f.Name)
		}
	}
	switch {
	case len(empty) > 0:
		out = append(out, warned(what, fmt.Sprintf("no series now for %d of %d figures: %s", len(empty), len(figures), strings.Join(empty, ", ")),
			"wait for the first scrape, or check the collector's queries"))
	case len(out) == 0:
		out = append(out, ok(what, "%d figures have series", len(figures)))
	}
	return out
}
