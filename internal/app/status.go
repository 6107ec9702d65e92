package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/version"

	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	pages "github.com/awoooi/awoooi-reporter/reporter/web"
)

// probeTime bounds the query that shows whether figures can be read.
const probeTime = 3 * time.Second

// newestSample is PromQL for the time of the newest sample of any collector, in seconds since 1970.
const newestSample = "max(timestamp(" + ownSeries + "))"

// pages makes the pages for people. queries is the status of the collector in this process.
func (p *reporterPart) pages(queries collectorStatus) *pages.Pages {
	content := compose.Pages{Composer: p.texts}
	return pages.New(pages.Config{
		Store: p.store, Texts: content, Pictures: content, Status: status{p, queries}, Settings: p.pageSettings,
		Silencer:  p.silences,
		Protected: p.access.protected, Authenticate: p.access.forActions, Registry: p.registry, Log: p.log, Now: p.now,
	})
}

func (p *reporterPart) pageSettings() pages.Settings {
	c := p.content.Load().cfg
	return pages.Settings{
		Zone: c.Zone, Locale: c.Locale, Product: c.Product, ExternalURL: c.ExternalURL, Version: version.Version, Hours: c.Hours,
	}
}

// status gives the pages the state of the parts.
type status struct {
	*reporterPart
	queries collectorStatus
}

// Parts reads the state, queries the figures' database once and asks the parts of this process.
func (s status) Parts(ctx context.Context) pages.Parts {
	out := pages.Parts{LastWebhook: s.webhook.Last(), Verified: s.verifier.results()}
	out.Queries, out.Collector = s.queries()
	var probe sync.WaitGroup
	probe.Go(func() { out.Figures = s.newest(ctx) })
	out.Clusters = s.clusters()
	o := s.reconcile.Outcome()
	out.Compared = o.At
	if o.Err != nil {
		out.CompareFault = o.Err.Error()
	}
	var errs [5]error
	out.Pending, out.Oldest, errs[0] = s.store.Pending(ctx)
	out.Suspended, errs[1] = s.outbox.Suspended(ctx)
	open, err := s.store.Counts(ctx, "incidents_open", time.Time{}, time.Time{})
	errs[2] = err
	if len(open) == 1 {
		out.Open = int(open[0].Values["value"])
	}
	for _, route := range s.content.Load().cfg.Routes {
		if route.Heartbeat != nil {
			out.HeartbeatRoutes = append(out.HeartbeatRoutes, route.Name)
		}
	}
	out.Heartbeats, errs[3] = s.store.Heartbeats(ctx)
	faults, err := s.chats.Faults(ctx)
	errs[4], out.NotPolled = err, map[string]string{}
	for account, gate := range faults {
		out.NotPolled[account] = gate.Detail
	}
	if err := errors.Join(errs[:]...); err != nil {
		out.Fault = err.Error()
	}
	probe.Wait()
	return out
}

// clusters returns the clusters with an API, each with the outcome of its last comparison.
func (s status) clusters() []pages.Cluster {
	configured := members(s.content.Load().cfg)
	asked := map[string]incident.ClusterOutcome{}
	for _, o := range s.reconcile.Clusters() {
		asked[o.Cluster] = o
	}
	var out []pages.Cluster
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		if len(configured[name]) == 0 {
			continue
		}
		c := pages.Cluster{Name: name, Asked: asked[name].At}
		if err := asked[name].Err; err != nil {
			c.Fault = err.Error()
		}
		for _, m := range configured[name] {
			c.Members = append(c.Members, withoutUser(m.URL))
		}
		out = append(out, c)
	}
	return out
}

// newest checks whether figures can be read, and how new they are.
func (s status) newest(ctx context.Context) pages.Figures {
	r := s.content.Load()
	out := pages.Figures{Embedded: s.figures != noFigures{} && r.cfg.Prometheus.URL == "", URL: withoutUser(r.cfg.Prometheus.URL)}
	asked, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	start := time.Now()
	samples, err := r.querier.Query(asked, newestSample, s.now())
	out.Took = time.Since(start)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		out.Fault = "no answer within " + probeTime.String()
	case err != nil:
		out.Fault = err.Error()
	case len(samples) == 1:
		out.Newest = time.UnixMilli(int64(samples[0].Value * 1000))
	}
	return out
}

// Reports returns the reports with their next due times.
func (s status) Reports() []pages.Plan {
	var out []pages.Plan
	for _, d := range s.content.Load().definitions {
		p := pages.Plan{Name: d.Name, Schedule: d.Schedule, Zone: d.Zone.String(), Receivers: d.Receivers}
		if schedule, err := report.ParseSchedule(d.Schedule, d.Zone); err == nil { // it was checked when the configuration was loaded
			p.Next, _ = schedule.Next(s.now())
		}
		out = append(out, p)
	}
	return out
}

// Receivers returns the configured receivers.
func (s status) Receivers() []pages.Receiver {
	var out []pages.Receiver
	for _, r := range s.content.Load().cfg.Receivers {
		if k, ok := channelKindOf(r); ok {
			out = append(out, pages.Receiver{Name: r.Name, Kind: k.describe(r)})
		}
	}
	return out
}
