package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

var entryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// validate returns every fault, joined, each beginning with the key it is about.
func (c *Config) validate() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	positive := func(key string, d time.Duration) {
		if d <= 0 {
			fault("%s: %v is not above 0", key, d)
		}
	}
	address := func(key, raw string) {
		if u, err := url.Parse(raw); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			fault("%s: want an http or https URL", key)
		}
	}
	if len(c.Web.ListenAddresses) == 0 {
		fault("web.listen_addresses: is empty")
	}
	for n, host := range c.Web.AllowedHosts {
		if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
			fault("web.allowed_hosts[%d]: %q is no host name or address, want one without a port such as reporter.example.org", n, host)
		}
	}
	if c.ExternalURL != "" {
		address("external_url", c.ExternalURL)
	}
	if c.State.Path == "" {
		fault("state.path: is empty")
	}
	if c.Prometheus.URL != "" {
		address("prometheus.url", c.Prometheus.URL)
	}
	if h := c.Prometheus.HTTPConfig.Config; h != nil {
		if err := h.Validate(); err != nil {
			fault("prometheus.http_config: %w", err)
		}
	}
	if c.State.Retention < 24*time.Hour {
		fault("state.retention: %v is below 24h", c.State.Retention)
	}
	positive("collector.scrape_timeout", c.Collector.ScrapeTimeout)
	if c.Collector.TimeoutOffset < 0 || c.Collector.TTL < 0 {
		fault("collector: timeout_offset and ttl must not be negative")
	}
	positive("prometheus.timeout", c.Prometheus.Timeout)
	positive("embedded.scrape_interval", c.Embedded.ScrapeInterval)
	positive("embedded.retention", c.Embedded.Retention)
	positive("delivery.give_up_after", c.Delivery.GiveUpAfter)
	positive("incidents.details.timeout", c.Incidents.Details.Timeout)
	positive("incidents.reconcile_interval", c.Incidents.ReconcileInterval)
	positive("incidents.reconcile_after", c.Incidents.ReconcileAfter)
	if c.Incidents.DigestWindow < 0 || c.Incidents.DigestFrom < 0 || c.Incidents.DigestFrom == 1 {
		fault("incidents: digest_window must not be negative, and digest_from is 0 or at least 2")
	}
	if c.Incidents.ExpireAfter < 0 {
		fault("incidents.expire_after: must not be negative")
	}
	for n, a := range c.Alertmanagers {
		address(fmt.Sprintf("alertmanagers[%d].url", n), a.URL)
		if h := a.HTTPConfig.Config; h != nil {
			if err := h.Validate(); err != nil {
				fault("alertmanagers[%d].http_config: %w", n, err)
			}
		}
	}
	if c.Incidents.MinDuration < 0 || c.Incidents.ReopenWithin < 0 {
		fault("incidents: min_duration and reopen_within must not be negative")
	}
	if c.Incidents.By != "group" && c.Incidents.By != "alert" {
		fault("incidents.by: is %q, want group or alert", c.Incidents.By)
	}
	if c.Webhook.MaxBodyBytes <= 0 {
		fault("webhook.max_body_bytes: %d is not above 0", c.Webhook.MaxBodyBytes)
	}
	for _, l := range []struct {
		key       string
		is, least int
	}{
		{"alerts", c.Webhook.Limits.Alerts, 1}, {"labels", c.Webhook.Limits.Labels, 1},
		{"annotations", c.Webhook.Limits.Annotations, 1}, {"label_bytes", c.Webhook.Limits.LabelBytes, 16},
		{"annotation_bytes", c.Webhook.Limits.AnnotationBytes, 16}, {"url_bytes", c.Webhook.Limits.URLBytes, 16},
	} {
		if l.is < l.least {
			fault("webhook.limits.%s: is %d, want %d or more", l.key, l.is, l.least)
		}
	}
	if (c.Web.Username == "") != c.Web.Password.Empty() {
		fault("web: username and password are only of use together")
	}
	if (c.Webhook.Username == "") != c.Webhook.Password.Empty() {
		fault("webhook: username and password are only of use together")
	}
	errs = append(errs, c.validateSources(), c.validateReceivers(), c.validateReports())
	return errors.Join(errs...)
}

func (c *Config) validateSources() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	seen := map[string]bool{}
	for _, s := range c.Sources {
		key := fmt.Sprintf("sources %q", s.Name)
		if !entryName.MatchString(s.Name) {
			fault("%s: name must match %s", key, entryName)
		}
		if s.Name == JournalSource {
			fault("%s: this name is the incident journal's, which is always there", key)
		}
		if seen[s.Name] {
			fault("%s: a second source has this name", key)
		}
		seen[s.Name] = true
		switch s.Kind {
		case kpi.KindPostgres:
			if s.DSN.Empty() {
				fault("%s: dsn or dsn_file is missing", key)
			}
			if _, err := time.LoadLocation(s.Timezone); err != nil || s.Timezone == "Local" {
				fault("%s: timezone: %q is not an IANA zone", key, s.Timezone)
			}
		case kpi.KindRedis, kpi.KindHTTP:
			if s.URL.Empty() {
				fault("%s: url or url_file is missing", key)
			}
		default:
			fault("%s: kind is %q, want postgres, redis or http", key, s.Kind)
		}
		if s.Timezone != "" && s.Kind != kpi.KindPostgres {
			fault("%s: timezone is for sources of kind postgres", key)
		}
		if s.MaxConnections < 1 || s.MaxConnections > 3 {
			fault("%s: max_connections %d is outside 1..3", key, s.MaxConnections)
		}
		if h := s.HTTPConfig.Config; h != nil {
			if err := h.Validate(); err != nil {
				fault("%s: http_config: %w", key, err)
			}
		}
	}
	if d := c.Incidents.Details; d.Source != "" {
		if s, ok := c.Source(d.Source); !ok || s.Kind != kpi.KindPostgres {
			fault("incidents.details.source: %q is not a source of kind postgres", d.Source)
		}
	} else if strings.TrimSpace(d.SQL) != "" {
		fault("incidents.details.sql: needs incidents.details.source")
	}
	return errors.Join(errs...)
}

func (c *Config) validateReceivers() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	seen := map[string]bool{}
	for _, r := range c.Receivers {
		key := fmt.Sprintf("receivers %q", r.Name)
		if !entryName.MatchString(r.Name) {
			fault("%s: name must match %s", key, entryName)
		}
		if seen[r.Name] {
			fault("%s: a second receiver has this name", key)
		}
		seen[r.Name] = true
		if (r.Telegram == nil) == (r.Terminal == nil) {
			fault("%s: needs exactly one of telegram and terminal", key)
			continue
		}
		if t := r.Telegram; t != nil {
			if t.BotToken.Empty() {
				fault("%s: telegram.bot_token or bot_token_file is missing", key)
			}
			if t.ChatID == "" {
				fault("%s: telegram.chat_id is missing", key)
			}
			if h := t.HTTPConfig.Config; h != nil {
				if err := h.Validate(); err != nil {
					fault("%s: telegram.http_config: %w", key, err)
				}
			}
		}
	}
	known := func(key string, names []string) {
		for n, name := range names {
			if !seen[name] {
				fault("%s: receiver %q is not configured", key, name)
			}
			if slices.Contains(names[:n], name) {
				fault("%s: receiver %q is given twice", key, name)
			}
		}
	}
	known("incidents.receivers", c.Incidents.Receivers)
	for _, r := range c.Reports {
		known(fmt.Sprintf("reports %q: receivers", r.Name), r.Receivers)
	}
	if f := c.Delivery.FallbackReceiver; f != "" {
		known("delivery.fallback_receiver", []string{f})
	}
	return errors.Join(errs...)
}

func (c *Config) validateReports() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	seen := map[string]bool{}
	for _, r := range c.Reports {
		key := fmt.Sprintf("reports %q", r.Name)
		if !entryName.MatchString(r.Name) {
			fault("%s: name must match %s", key, entryName)
		}
		if seen[r.Name] {
			fault("%s: a second report has this name", key)
		}
		seen[r.Name] = true
		if r.Timezone != "" {
			if _, err := time.LoadLocation(r.Timezone); err != nil {
				fault("%s: timezone: %q is not an IANA zone", key, r.Timezone)
			}
		}
		if r.Lookback < 0 || r.CatchUp < 0 {
			fault("%s: lookback and catch_up must not be negative", key)
		}
		if h := r.Health; h.Excellent < 0 || h.Excellent > 1 || h.Good < 0 || h.Good > h.Excellent {
			fault("%s: health: want 0 <= good <= excellent <= 1", key)
		}
		figures := map[string]bool{}
		for _, f := range r.Figures {
			if f.Name == "" || figures[f.Name] {
				fault("%s: figure %q: names must be there and differ", key, f.Name)
			}
			figures[f.Name] = true
			if strings.TrimSpace(f.Expr) == "" {
				fault("%s: figure %q: expr is missing", key, f.Name)
			}
		}
	}
	return errors.Join(errs...)
}

// Source returns the source of that name.
func (c *Config) Source(name string) (Source, bool) {
	for _, s := range c.Sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

// SourceKinds maps the name of every source to its kind, the journal among them.
func (c *Config) SourceKinds() map[string]string {
	kinds := map[string]string{JournalSource: kpi.KindJournal}
	for _, s := range c.Sources {
		kinds[s.Name] = s.Kind
	}
	return kinds
}
