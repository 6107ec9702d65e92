package app

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// queries returns the KPI queries of a configuration, checked. A builtin query whose source is not configured is left
// out with a warning: only its figures have no data. A query of the journal is left out if the journal is not one of own, the sources
// of this process.
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
		if _, configured := kinds[q.Source]; configured {
			return false
		}
		if q.Source == config.JournalSource {
			log.Info("query left out: a process with the role reporter exposes it", "query", q.Name)
			return true
		}
		if !q.Builtin {
			return false
		}
		log.Warn("builtin query left out: its source is not configured", "query", q.Name, "source_name", q.Source)
		return true
	})
	for _, q := range c.Queries {
		for _, m := range q.Metrics {
			for _, advice := range m.Lint() {
				log.Warn("metric name does not follow Prometheus's conventions", "query", q.Name, "metric", m.Name, "advice", advice)
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

// reporterQueries returns the queries of qs that a reporter without a collector exposes: those of the journal, which a collector in
// another process cannot read. The set journal is among them if kpi_sets names it, but not by default: that collector may have a
// configuration of its own with the platform's tables, and a report would add up the figures of both.
func reporterQueries(c *config.Config, qs []kpi.Query) ([]kpi.Query, error) {
	set, err := collector.Builtin(collector.SetReporter)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(qs), func(q kpi.Query) bool {
		switch {
		case q.Source != config.JournalSource:
			return true
		case !q.Builtin, slices.ContainsFunc(set.Queries, func(b kpi.Query) bool { return b.Name == q.Name }):
			return false
		}
		return c.DefaultKPISets
	}), nil
}

// reporterMetrics returns the names of the metrics that every reporter exposes, with or without a collector in its process.
func reporterMetrics(c *config.Config) ([]string, error) {
	qs, err := queries(c, ownSources(), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if qs, err = reporterQueries(c, qs); err != nil {
		return nil, err
	}
	var out []string
	for _, q := range qs {
		for _, m := range q.Metrics {
			out = append(out, m.Name)
		}
	}
	return out, nil
}

// ofQuery returns an error that a source kind found in a query, at the query's key in the configuration.
func ofQuery(q kpi.Query, key string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New("queries{"+q.Name+"}."+key, "%s", strings.TrimPrefix(err.Error(), fmt.Sprintf("query %q: ", q.Name)))
}

// sources opens every configured source, and adds those of this process. On an error it closes those that it has opened.
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

func collectorConfig(c *config.Config, qs []kpi.Query, ss []collector.NamedSource) collector.Config {
	return collector.Config{
		Sources: ss, Queries: qs, TTL: c.Collector.TTL,
		TimeoutOffset: c.Collector.TimeoutOffset, ScrapeTimeout: c.Collector.ScrapeTimeout,
	}
}
