package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/httpclient"
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/details"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

// queries returns the KPI queries of a configuration, checked. A builtin query whose source is not configured is left
// out with a warning: its figures have no data, and the others go on. own are the sources of this process.
func queries(c *config.Config, own []collector.NamedSource, log *slog.Logger) ([]kpi.Query, error) {
	kinds := map[string]string{}
	for _, s := range c.Sources {
		kinds[s.Name] = s.Kind
	}
	for _, s := range own {
		kinds[s.Name] = s.Kind
	}
	var base []kpi.Query
	for _, name := range c.KPISets {
		set, err := collector.Builtin(name)
		if err != nil {
			return nil, fault.In("kpi_sets", err)
		}
		base = append(base, set.Queries...)
	}
	if slices.ContainsFunc(own, func(s collector.NamedSource) bool { return s.Kind == kpi.KindJournal }) {
		set, err := collector.Builtin(collector.SetReporter)
		if err != nil {
			return nil, err
		}
		base = kpi.Merge(base, set.Queries...)
	}
	merged := kpi.Merge(base, c.Queries...)
	kept := slices.DeleteFunc(merged, func(q kpi.Query) bool {
		_, configured := kinds[q.Source]
		own := slices.ContainsFunc(c.Queries, func(u kpi.Query) bool { return u.Name == q.Name })
		if configured || own {
			return false
		}
		log.Warn("builtin query left out, its source is not configured", "query", q.Name, "source_name", q.Source)
		return true
	})
	for _, q := range c.Queries {
		for _, m := range q.Metrics {
			for _, advice := range m.Lint() {
				log.Warn("metric is not named as Prometheus's conventions want", "query", q.Name, "metric", m.Name, "advice", advice)
			}
		}
	}
	errs := []error{kpi.Validate(kept, kinds)}
	for _, q := range kept {
		if k, ok := sourceKindOf(kinds[q.Source]); ok {
			errs = append(errs, ofQuery(q, k.statement, k.check(q)))
		}
	}
	return kept, errors.Join(errs...)
}

// reportersOf are the queries of the set reporter, or those of the configuration that replace them.
func reportersOf(qs []kpi.Query) []kpi.Query {
	set, err := collector.Builtin(collector.SetReporter)
	if err != nil {
		return nil // a test reads it
	}
	return slices.DeleteFunc(slices.Clone(qs), func(q kpi.Query) bool {
		return q.Source != config.JournalSource || !slices.ContainsFunc(set.Queries, func(b kpi.Query) bool { return b.Name == q.Name })
	})
}

// metricsOfReporter are the metrics of the set reporter.
func metricsOfReporter() []string {
	set, err := collector.Builtin(collector.SetReporter)
	if err != nil {
		return nil // a test reads it
	}
	var out []string
	for _, q := range set.Queries {
		for _, m := range q.Metrics {
			out = append(out, m.Name)
		}
	}
	return out
}

// ofQuery is what a source finds wrong with the key of a query.
func ofQuery(q kpi.Query, key string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New("queries{"+q.Name+"}."+key, "%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("query %q: ", q.Name)))
}

// sources opens every configured source, and adds those of this process. On an error those that were opened are closed again.
func sources(c *config.Config, own []collector.NamedSource) (_ []collector.NamedSource, err error) {
	var opened []collector.NamedSource
	defer func() {
		if err != nil {
			for _, s := range opened {
				s.Source.Close()
			}
		}
	}()
	for _, s := range c.Sources {
		k, ok := sourceKindOf(s.Kind)
		if !ok {
			return nil, fmt.Errorf("source %s: unknown kind %q", s.Name, s.Kind)
		}
		src, err := k.open(s)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		opened = append(opened, collector.NamedSource{Name: s.Name, Kind: s.Kind, Source: src})
	}
	return append(opened, own...), nil
}

func httpClient(h config.HTTPClient, name string, timeout time.Duration) (*http.Client, error) {
	client, err := httpclient.New(h.Value(), name, timeout)
	if err != nil {
		return nil, fmt.Errorf("http_config: %w", err)
	}
	return client, nil
}

func collectorConfig(c *config.Config, qs []kpi.Query, ss []collector.NamedSource) collector.Config {
	return collector.Config{
		Sources: ss, Queries: qs, TTL: c.Collector.TTL,
		TimeoutOffset: c.Collector.TimeoutOffset, ScrapeTimeout: c.Collector.ScrapeTimeout,
	}
}

// definitions completes the configured reports. The builtin daily report is there unless a block of its name says otherwise.
func definitions(c *config.Config) ([]report.Definition, error) {
	configured := c.Reports
	if !slices.ContainsFunc(configured, func(d report.Definition) bool { return d.Name == "daily" }) {
		daily, err := report.Builtin("daily")
		if err != nil {
			return nil, err
		}
		configured = append([]report.Definition{daily}, configured...)
	}
	var out []report.Definition
	var errs []error
	for _, d := range configured {
		if d.Disabled {
			continue
		}
		d, err := definition(c, d)
		errs = append(errs, err)
		out = append(out, d)
	}
	return out, errors.Join(errs...)
}

func definition(c *config.Config, r report.Definition) (report.Definition, error) {
	d, err := r.Complete(report.Defaults{Product: c.Product, Locale: c.Locale, Zone: c.Zone, Receivers: c.PrimaryReceivers()})
	if err != nil {
		return d, fault.In("reports{"+r.Name+"}", err)
	}
	errs := []error{d.Validate()}
	for _, f := range d.Asked() {
		errs = append(errs, fault.In(d.Key(f.Name)+".expr", checkExpr(c, f.Expr)))
	}
	locale := d.Locale
	if r.Locale == "" {
		locale = i18n.Locales()[0] // a wrong locale of all reports is reported once, elsewhere
	}
	errs = append(errs, checkTexts(locale, d.Template, render.CheckTemplate), checkWords(d))
	return d, fault.In("reports{"+d.Name+"}", errors.Join(errs...))
}

// checkWords refuses titles in locales that there are not, beside one that there is: they would never be shown.
func checkWords(d report.Definition) error {
	var errs []error
	check := func(key string, w reporter.Words) {
		locales := slices.Sorted(maps.Keys(w.By))
		if !slices.ContainsFunc(locales, func(l string) bool { return i18n.Check(l) == nil }) {
			return
		}
		for _, locale := range locales {
			errs = append(errs, fault.In(key+".title", i18n.Check(locale)))
		}
	}
	for _, s := range d.Sections {
		key := "sections{" + s.Name + "}"
		check(key, s.Title)
		for _, l := range s.Lines {
			check(key+".figures{"+l.Name+"}", l.Title)
		}
	}
	return errors.Join(errs...)
}

// checkExpr refuses an expression that is beyond the limits, and one that is not PromQL unless the server understands more.
func checkExpr(c *config.Config, expr string) error {
	if strings.TrimSpace(expr) == "" {
		return nil
	}
	err := promexpr.CheckFigure(expr)
	switch {
	case err == nil, errors.Is(err, promexpr.ErrLimit):
		return err
	case c.Prometheus.ExtendedPromQL:
		return nil
	case c.Prometheus.URL != "":
		return &fault.Error{Text: err.Error(), Remedy: "if the server extends PromQL, set prometheus.extended_promql: true"}
	}
	return err
}

// checkTexts refuses a locale without words, and a template that cannot be parsed.
func checkTexts(locale, template string, check func(file string) error) error {
	var errs []error
	if err := i18n.Check(locale); err != nil {
		errs = append(errs, fault.In("locale", err))
	}
	if template != "" {
		errs = append(errs, fault.In("template", check(template)))
	}
	return errors.Join(errs...)
}

// channels opens a channel for each receiver.
func channels(c *config.Config, stdout io.Writer, log *slog.Logger) (map[string]outbox.Channel, error) {
	out := map[string]outbox.Channel{}
	for _, r := range c.Receivers {
		k, ok := channelKindOf(r)
		if !ok {
			return nil, fmt.Errorf("receiver %s: no channel is set", r.Name)
		}
		ch, err := k.open(r, stdout, log.With("receiver", r.Name))
		if err != nil {
			return nil, fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		out[r.Name] = ch
	}
	return out, nil
}

func outboxConfig(c *config.Config) outbox.Config {
	return outbox.Config{
		GiveUpAfter: c.Delivery.GiveUpAfter, FallbackReceiver: c.Delivery.FallbackReceiver, DigestFrom: c.Incidents.DigestFrom,
	}
}

func incidentConfig(c *config.Config) (incident.Config, error) {
	window := c.Incidents.DigestWindow
	if c.Incidents.DigestFrom == 0 {
		window = 0
	}
	out := incident.Config{
		DigestWindow: window, FiringNotice: c.Incidents.FiringNotice,
		By: c.Incidents.By, MinDuration: c.Incidents.MinDuration, ReopenWithin: c.Incidents.ReopenWithin,
		ChronicAfter: c.Incidents.ChronicAfter, IDLabel: c.Incidents.IDLabel, Receivers: c.Incidents.Receivers,
		Zone: c.Zone, Deciders: map[string]bool{},
	}
	for name, urls := range members(c) {
		out.Deciders[name] = len(urls) > 0
	}
	var errs []error
	for n, r := range c.Routes {
		matchers, err := incident.ParseMatchers(r.Matchers...)
		if err != nil {
			errs = append(errs, fmt.Errorf("routes[%d].matchers: %w", n, err))
		}
		route := incident.Route{
			Name: r.Name, Matchers: matchers, Receivers: r.Receivers, MinDuration: *r.MinDuration, Severity: r.Severity, Ignore: r.Ignore,
		}
		if r.Heartbeat != nil {
			route.MissingAfter = *r.Heartbeat.MissingAfter
		}
		if r.Locale != "" {
			if err := i18n.Check(r.Locale); err != nil {
				errs = append(errs, fmt.Errorf("routes[%d].locale: %w", n, err))
			}
		}
		out.Routes = append(out.Routes, route)
	}
	return out, errors.Join(errs...)
}

// members are the Alertmanagers of each configured cluster, which may be in several entries.
func members(c *config.Config) map[string][]config.Alertmanager {
	out := map[string][]config.Alertmanager{}
	for _, a := range c.Alertmanagers {
		name := cmp.Or(a.Name, reporter.ClusterDefault)
		out[name] = append(out[name], nil...)
		for _, url := range append(slices.Clone(a.URLs), a.URL) {
			if url != "" {
				out[name] = append(out[name], config.Alertmanager{Name: name, URL: url, HTTPConfig: a.HTTPConfig})
			}
		}
	}
	return out
}

// silenceable says whether people may silence alerts of a cluster.
func silenceable(c *config.Config) func(cluster string) bool {
	return func(cluster string) bool {
		return slices.ContainsFunc(c.Alertmanagers, func(a config.Alertmanager) bool {
			return a.Silences && cmp.Or(a.Name, reporter.ClusterDefault) == cmp.Or(cluster, reporter.ClusterDefault)
		})
	}
}

// silenceConfig opens the APIs of the Alertmanagers that take silences from here.
func silenceConfig(c *config.Config, clusters map[string]incident.API) silence.Config {
	out := silence.Config{Clusters: map[string]silence.Cluster{}, ExternalURL: c.ExternalURL, Poll: c.Incidents.ReconcileInterval}
	for _, a := range c.Alertmanagers {
		name := cmp.Or(a.Name, reporter.ClusterDefault)
		if api, ok := clusters[name].(*alertmanager.API); ok && a.Silences {
			out.Clusters[name] = alertmanager.NewSilencer(api)
		}
	}
	return out
}

// reconcileConfig opens the APIs of the configured Alertmanagers.
func reconcileConfig(c *config.Config) (incident.ReconcileConfig, error) {
	out := incident.ReconcileConfig{
		Interval: c.Incidents.ReconcileInterval, After: c.Incidents.ReconcileAfter, ExpireAfter: c.Incidents.ExpireAfter,
		Clusters: map[string]incident.API{},
	}
	for name, list := range members(c) {
		var apis []alertmanager.Config
		for n, a := range list {
			client, err := httpClient(a.HTTPConfig, fmt.Sprintf("alertmanager_%s_%d", name, n), 10*time.Second)
			if err != nil {
				return out, fmt.Errorf("alertmanagers %q: %w", name, err)
			}
			apis = append(apis, alertmanager.Config{URL: a.URL, Client: client})
		}
		if len(apis) == 0 {
			continue
		}
		api, err := alertmanager.New(apis...)
		if err != nil {
			return out, fmt.Errorf("alertmanagers %q: %w", name, err)
		}
		out.Clusters[name] = api
	}
	return out, nil
}

func webhookConfig(c *config.Config, logins *auth.Logins) webhook.Config {
	clusters := map[string]auth.Guard{}
	for _, a := range c.Alertmanagers {
		if a.Name != "" && (!a.BearerToken.Empty() || clusters[a.Name].Open()) {
			clusters[a.Name] = auth.Guard{BearerToken: a.BearerToken}
		}
	}
	return webhook.Config{
		Logins:  logins,
		Guard:   auth.Guard{BearerToken: c.Webhook.BearerToken, Username: c.Webhook.Username, Password: c.Webhook.Password},
		MaxBody: c.Webhook.MaxBodyBytes, Clusters: clusters,
		Limits: webhook.Limits{
			Alerts: c.Webhook.Limits.Alerts, Labels: c.Webhook.Limits.Labels, Annotations: c.Webhook.Limits.Annotations,
			LabelBytes: c.Webhook.Limits.LabelBytes, AnnotationBytes: c.Webhook.Limits.AnnotationBytes,
			URLBytes: c.Webhook.Limits.URLBytes, Keep: []string{c.Incidents.IDLabel},
		},
	}
}

// pagesGuard is who may see the pages and reload.
func pagesGuard(c *config.Config) *auth.Guard {
	return &auth.Guard{BearerToken: c.Web.BearerToken, Username: c.Web.Username, Password: c.Web.Password}
}

// reading is everything that a report or a postmortem is made with: what a reload replaces as one, so that no text is
// made half by the old and half by the new configuration.
type reading struct {
	cfg         *config.Config
	definitions []report.Definition
	querier     postmortem.Querier
	rules       postmortem.Rules // nil where no server evaluates any
	server      *promql.HTTP     // nil where the embedded database is read
	builder     *report.Builder
	render      *render.Renderer
	postmortem  *postmortem.Builder
	details     *details.Lookup   // nil where none is configured
	locales     map[string]string // of routes, by their names
}

// newReading builds it. figures are read where prometheus.url is not set; history may be nil.
func newReading(
	c *config.Config, history postmortem.History, figures postmortem.Querier, log *slog.Logger, now func() time.Time,
) (*reading, error) {
	r := &reading{cfg: c}
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
	r.builder = report.NewBuilder(report.BuilderConfig{Querier: r.querier, Timeout: c.Prometheus.Timeout, Now: now, Own: metricsOfReporter()})
	r.render, err = render.New(render.Options{
		Product: c.Product, Locale: c.Locale, Zone: c.Zone, Log: log, PostmortemTemplate: c.Incidents.Template,
		ExternalURL: c.ExternalURL,
	})
	if err != nil {
		return nil, fmt.Errorf("render: %w", err)
	}
	var lookup postmortem.Details
	if d := c.Incidents.Details; d.Source != "" {
		s, _ := c.Source(d.Source)
		sql := d.SQL
		if sql == "" {
			sql = details.BuiltinSQL
		}
		if r.details, err = details.Open(details.Config{DSN: s.DSN, SQL: sql, Timeout: d.Timeout, Timezone: s.Timezone}); err != nil {
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

func (r *reading) close() {
	if r.server != nil {
		r.server.Close()
	}
	if r.details != nil {
		r.details.Close()
	}
}

// definition returns the report of that name.
func (r *reading) definition(name string) (report.Definition, error) {
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
	*reading
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

// Due builds a report that is due, with the answers of earlier attempts.
func (r reports) Due(ctx context.Context, of reporter.Subject, queued time.Time) (reporter.Report, error) {
	d, err := r.definition(of.Report)
	if err != nil {
		return reporter.Report{}, err
	}
	return r.retries.Build(ctx, r.builder, d, of.Due, queued)
}

// set is what messages are made with.
func (r *reading) set(retries *report.Retries) compose.Set {
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
			render: r.render, postmortem: r.postmortem, locale: r.cfg.Locale, zone: r.cfg.Zone, graph: r.cfg.Incidents.Graph,
		},
	}
}

// noFigures answers where there is neither a Prometheus nor an embedded database.
type noFigures struct{}

var errNoFigures = errors.New("no prometheus.url is set, and this process has no embedded database")

func (noFigures) Query(context.Context, string, time.Time) ([]reporter.Sample, error) {
	return nil, errNoFigures
}

func (noFigures) QueryRange(context.Context, string, time.Time, time.Time, time.Duration) ([]reporter.Series, error) {
	return nil, errNoFigures
}
