package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/details"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// content is what reports and postmortems are made from. A reload replaces it as a whole, so that no text mixes two
// configurations.
type content struct {
	cfg         *config.Config
	definitions []report.Definition
	querier     postmortem.Querier
	rules       postmortem.Rules // nil without prometheus.url: the embedded database has no rules
	server      *promql.HTTP     // nil without prometheus.url
	builder     *report.Builder
	render      *render.Renderer
	postmortem  *postmortem.Builder
	details     *details.Lookup   // nil where none is configured
	locales     map[string]string // of routes, by route name
}

// newContent builds the content of a configuration; it connects to nothing. figures is read without prometheus.url; history
// may be nil.
func newContent(
	c *config.Config, history postmortem.History, figures postmortem.Querier, log *slog.Logger, now func() time.Time,
) (*content, error) {
	r := &content{cfg: c}
	var err error
	if r.definitions, err = definitions(c); err != nil {
		return nil, err
	}
	if err := checkTexts(c.Locale, c.Incidents.Template, render.CheckPostmortemTemplate); err != nil {
		return nil, err
	}
	if expr := c.Incidents.Graph.KPI; expr != "" {
		if err := checkExpr(c, expr); err != nil {
			return nil, fmt.Errorf("incidents.graph.kpi: %w", err)
		}
	}
	r.querier = figures
	if c.Prometheus.URL != "" {
		server, err := promql.NewHTTP(c.Prometheus.URL, c.Prometheus.HTTPConfig.Value(), c.Prometheus.Timeout)
		if err != nil {
			return nil, fmt.Errorf("prometheus: %w", err)
		}
		r.querier, r.rules, r.server = server, server, server
	}
	own, err := reporterMetrics(c)
	if err != nil {
		return nil, err
	}
	r.builder = report.NewBuilder(report.BuilderConfig{Querier: r.querier, Timeout: c.Prometheus.Timeout, Now: now, Own: own})
	r.render, err = render.New(render.Options{
		Product: c.Product, Locale: c.Locale, Zone: c.Zone, Log: log, PostmortemTemplate: c.Incidents.Template,
		ExternalURL: c.ExternalURL,
	})
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	var lookup postmortem.Details
	if c.Incidents.Details.Source != "" {
		if r.details, err = details.Open(detailsConfig(c)); err != nil {
			return nil, fmt.Errorf("incidents.details: %w", err)
		}
		lookup = r.details
	}
	r.locales = map[string]string{}
	for _, route := range c.Routes {
		r.locales[route.Name] = route.Locale
	}
	r.postmortem = postmortem.New(postmortem.Config{
		Zone: c.Zone, Locale: c.Locale, Locales: r.locales, ExternalURL: c.ExternalURL, IDLabel: c.Incidents.IDLabel, Now: now,
	}, lookup, history, r.querier, r.rules, log)
	return r, nil
}

func (r *content) close() {
	if r.server != nil {
		r.server.Close()
	}
	if r.details != nil {
		r.details.Close()
	}
}

// definition returns the report of that name, or reporter.ErrNotFound with the names that there are.
func (r *content) definition(name string) (report.Definition, error) {
	for _, d := range r.definitions {
		if d.Name == name {
			return d, nil
		}
	}
	var have []string
	for _, d := range r.definitions {
		have = append(have, d.Name)
	}
	return report.Definition{}, fmt.Errorf("report %q: %w (have %s)", name, reporter.ErrNotFound, cmp.Or(strings.Join(have, ", "), "none"))
}

// reports builds the reports of a configuration.
type reports struct {
	*content
	retries *report.Retries
}

// Report builds the report of that name, as of at.
func (r reports) Report(ctx context.Context, name string, at time.Time) (reporter.Report, error) {
	d, err := r.definition(name)
	if err != nil {
		return reporter.Report{}, err
	}
	return r.builder.Build(ctx, d, at)
}

// Due builds the report of a delivery that was queued then. Figures that an earlier attempt has got are not queried again.
func (r reports) Due(ctx context.Context, of reporter.Subject, queued time.Time) (reporter.Report, error) {
	d, err := r.definition(of.Report)
	if err != nil {
		return reporter.Report{}, err
	}
	return r.retries.Build(ctx, r.builder, d, of.Due, queued)
}

// set returns what the composer of messages needs.
func (r *content) set(retries *report.Retries) compose.Set {
	interactive := map[string]bool{}
	for _, of := range r.cfg.Receivers {
		interactive[of.Name] = r.cfg.Telegram.Listen && of.Telegram != nil
	}
	return compose.Set{
		Interactive: interactive,
		Reports:     reports{r, retries}, Postmortems: r.postmortem, Writer: r.render, Locale: r.cfg.Locale, Zone: r.cfg.Zone,
		GiveUpAfter:  r.cfg.Delivery.GiveUpAfter,
		RouteLocales: r.locales,
		Silenceable:  silenceable(r.cfg),
		Pictures: pictures{
			render: r.render, postmortem: r.postmortem, locale: r.cfg.Locale, locales: r.locales, zone: r.cfg.Zone,
			graph: r.cfg.Incidents.Graph,
		},
	}
}

// noFigures is the querier of a process with neither prometheus.url nor an embedded database: every query is an error.
type noFigures struct{}

var errNoFigures = errors.New("prometheus.url is not set, and this process has no embedded database")

func (noFigures) Query(context.Context, string, time.Time) ([]reporter.Sample, error) {
	return nil, errNoFigures
}

func (noFigures) QueryRange(context.Context, string, time.Time, time.Time, time.Duration) ([]reporter.Series, error) {
	return nil, errNoFigures
}
