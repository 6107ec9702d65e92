package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/matcher"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/details"

	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// Summary counts what a configuration defines.
type Summary struct {
	Sources, Queries, Reports, Receivers int
}

// CheckConfig reports the problems that internal/config cannot find: it prepares every part of the program as a start does,
// but connects to nothing and writes nothing.
func CheckConfig(c *config.Config, p *config.Problems) {
	quiet := slog.New(slog.DiscardHandler)
	if !p.Broken("web.config_file") {
		if err := web.Validate(c.Web.ConfigFile); err != nil {
			p.AddError("web.config_file", &fault.Error{Text: err.Error(), Remedy: "see exporter-toolkit's web-configuration.md"})
		}
	}
	if !c.State.DSN.Empty() {
		if err := store.CheckDSN(c.State.DSN); err != nil {
			key := "state.dsn"
			if c.State.DSNFile != "" {
				key += "_file"
			}
			p.AddError(key, &fault.Error{Text: err.Error(), Remedy: "write it as postgres://USER:PASSWORD@HOST:5432/DATABASE"})
		}
	}
	if !p.Broken("sources") && !wrongNames(c, p) && !p.Given("kpi_sets") {
		qs, err := queries(c, ownSources(), quiet)
		p.AddError("", err)
		p.AddError("", takenNames(qs))
	}
	if d := c.Incidents.Details; d.SQL != "" && d.Source != "" {
		p.AddError("incidents.details.sql", details.Check(d.SQL))
	}
	if c.Prometheus.URL != "" && !p.Given("prometheus") {
		_, err := promql.NewHTTP(c.Prometheus.URL, c.Prometheus.HTTPConfig.Value(), c.Prometheus.Timeout)
		p.AddError("prometheus.url", err)
	}
	checkParts(c, p, quiet)
	checkReports(c, p)
}

// scrapeNames are the metrics that Prometheus itself adds for each target and each alert.
// https://prometheus.io/docs/concepts/jobs_instances/#automatically-generated-labels-and-time-series
var scrapeNames = []string{
	"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
	"scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes", "ALERTS", "ALERTS_FOR_STATE",
}

// takenNames returns an error for each metric of a query whose name is that of a metric of the process or of Prometheus.
func takenNames(qs []kpi.Query) error {
	families, err := processRegistry().Gather()
	if err != nil {
		return err
	}
	taken := slices.Clone(scrapeNames)
	for _, f := range families {
		taken = append(taken, f.GetName())
	}
	var errs []error
	for _, q := range qs {
		for n, m := range q.Metrics {
			if slices.Contains(taken, m.Name) {
				errs = append(errs, &fault.Error{
					Key:    fmt.Sprintf("queries{%s}.metrics[%d].name", q.Name, n),
					Text:   fmt.Sprintf("%q is a metric of the process or of Prometheus itself", m.Name),
					Remedy: "choose another name",
				})
			}
		}
	}
	return errors.Join(errs...)
}

// wrongNames tells whether the name of a source is wrong, so that an unknown source of a query may only follow from that.
func wrongNames(c *config.Config, p *config.Problems) bool {
	for n := range c.Sources {
		if p.Given(fmt.Sprintf("sources[%d].name", n)) {
			return true
		}
	}
	return false
}

// checkParts opens every source, receiver and client by itself, so that the error of one does not hide the next.
func checkParts(c *config.Config, p *config.Problems, quiet *slog.Logger) {
	for n, s := range c.Sources {
		key := fmt.Sprintf("sources[%d]", n)
		if p.Given(key) || (s.DSN.Empty() && s.URL.Empty()) {
			continue
		}
		one := *c
		one.Sources = []config.Source{s}
		opened, err := sources(&one, nil)
		for _, o := range opened {
			o.Source.Close()
		}
		if err == nil {
			continue
		}
		name, file := "dsn", s.DSNFile
		if s.Kind != kpi.KindPostgres {
			name, file = "url", s.URLFile
		}
		if file != "" {
			name += "_file"
		}
		p.AddError(key+"."+name, errors.Unwrap(err))
	}
	for n, r := range c.Receivers {
		key := fmt.Sprintf("receivers[%d]", n)
		if p.Given(key) || len(r.Kinds()) != 1 {
			continue
		}
		one := *c
		one.Receivers = []config.Receiver{r}
		_, err := channels(&one, io.Discard, quiet)
		p.AddError(key, err)
	}
	for n, a := range c.Alertmanagers {
		key := fmt.Sprintf("alertmanagers[%d]", n)
		if p.Given(key) {
			continue
		}
		one := *c
		one.Alertmanagers = []config.Alertmanager{a}
		_, err := reconcileConfig(&one)
		p.AddError(key, err)
	}
	_, err := incidentConfig(c)
	p.AddError("", err)
}

// checkReports checks reports, templates and expressions, and then builds all content.
func checkReports(c *config.Config, p *config.Problems) {
	named := *c
	named.Reports = slices.DeleteFunc(slices.Clone(c.Reports), func(r report.Definition) bool { return r.Name == "" })
	_, err := definitions(&named)
	p.AddError("", err)
	if err := checkTexts(c.Locale, "", nil); err != nil {
		p.AddError("", err)
	}
	p.AddError("incidents", checkTexts(i18n.Locales()[0], c.Incidents.Template, render.CheckPostmortemTemplate))
	if !c.Incidents.Graph.Disabled {
		p.AddError("incidents.graph.kpi", checkExpr(c, c.Incidents.Graph.KPI))
	}
	if p.Any() {
		return // newContent fails for the same reasons
	}
	r, err := newContent(c, nil, noFigures{}, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		p.AddError("", err)
		return
	}
	r.close()
}

// ownSources are the sources that a process with both roles has without configuration.
func ownSources() []collector.NamedSource {
	return []collector.NamedSource{{Name: config.JournalSource, Kind: kpi.KindJournal}}
}

// Summarize counts what a checked configuration defines, and logs what it leaves out.
func Summarize(c *config.Config, log *slog.Logger) (Summary, error) {
	qs, err1 := queries(c, ownSources(), log)
	ds, err2 := definitions(c)
	if err := errors.Join(err1, err2); err != nil {
		return Summary{}, err
	}
	return Summary{Sources: len(c.Sources), Queries: len(qs), Reports: len(ds), Receivers: len(c.Receivers)}, nil
}

// RouteOf describes the route of an alert with these labels, in the form {name="value", …}.
func RouteOf(c *config.Config, set string) (string, error) {
	cfg, err := incidentConfig(c)
	if err != nil {
		return "", err
	}
	matchers, err := matcher.Parse(set)
	if err != nil {
		return "", fmt.Errorf("route: %w", err)
	}
	labels := map[string]string{}
	for _, m := range matchers {
		if m.Type.String() != "=" {
			return "", fmt.Errorf("route: %s is a matcher, want labels such as {team=\"db\"}", m)
		}
		labels[m.Name] = m.Value
	}
	r := cfg.Route(labels)
	name := "default"
	if r.Name != "" {
		name = strconv.Quote(r.Name)
	}
	if r.Ignore {
		return fmt.Sprintf("route %s: ignored, no incident", name), nil
	}
	if r.MissingAfter > 0 {
		severity := cmp.Or(reporter.Severity(r.Severity), reporter.HeartbeatSeverity)
		return fmt.Sprintf("route %s: heartbeat, missing after %v, to %s, severity %s",
			name, r.MissingAfter, strings.Join(r.Receivers, ", "), severity), nil
	}
	text := fmt.Sprintf("route %s: postmortem of an incident of %v or longer to %s", name, r.MinDuration, strings.Join(r.Receivers, ", "))
	if r.Severity != "" {
		text += ", severity " + r.Severity
	}
	return text, nil
}
