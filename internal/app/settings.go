package app

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/auth"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/httpclient"
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
	"github.com/awoooi/awoooi-reporter/reporter/details"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
	"github.com/awoooi/awoooi-reporter/reporter/webhook"
)

func httpClient(h config.HTTPClient, name string, timeout time.Duration) (*http.Client, error) {
	client, err := httpclient.New(h.Value(), name, timeout)
	if err != nil {
		return nil, fmt.Errorf("http_config: %w", err)
	}
	return client, nil
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

// The functions below take the settings of one component from the configuration.

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
		key := fmt.Sprintf("routes[%d]", n)
		matchers, err := incident.ParseMatchers(r.Matchers...)
		errs = append(errs, fault.In(key+".matchers", err))
		route := incident.Route{
			Name: r.Name, Matchers: matchers, Receivers: r.Receivers, MinDuration: *r.MinDuration, Severity: r.Severity, Ignore: r.Ignore,
		}
		if r.Heartbeat != nil {
			route.MissingAfter = *r.Heartbeat.MissingAfter
		}
		if r.Locale != "" {
			errs = append(errs, fault.In(key+".locale", i18n.Check(r.Locale)))
		}
		out.Routes = append(out.Routes, route)
	}
	return out, errors.Join(errs...)
}

// members returns the Alertmanagers of each configured cluster by its name, each with one URL. A cluster may have several
// entries in the configuration, and no member if none of its entries has a URL.
func members(c *config.Config) map[string][]config.Alertmanager {
	out := map[string][]config.Alertmanager{}
	for _, a := range c.Alertmanagers {
		name := a.Cluster()
		list := out[name]
		for _, url := range append(slices.Clone(a.URLs), a.URL) {
			if url != "" {
				list = append(list, config.Alertmanager{Name: name, URL: url, HTTPConfig: a.HTTPConfig})
			}
		}
		out[name] = list
	}
	return out
}

// silenceable returns a function that tells whether people may silence alerts of a cluster.
func silenceable(c *config.Config) func(cluster string) bool {
	return func(cluster string) bool {
		return slices.ContainsFunc(c.Alertmanagers, func(a config.Alertmanager) bool {
			return a.Silences && a.Cluster() == cmp.Or(cluster, reporter.ClusterDefault)
		})
	}
}

// silenceConfig returns the clusters with silences: true. clusters are the APIs that reconcileConfig has opened.
func silenceConfig(c *config.Config, clusters map[string]incident.API) silence.Config {
	out := silence.Config{Clusters: map[string]silence.Cluster{}, ExternalURL: c.ExternalURL, Poll: c.Incidents.ReconcileInterval}
	for _, a := range c.Alertmanagers {
		name := a.Cluster()
		if api, ok := clusters[name].(*alertmanager.API); ok && a.Silences {
			out.Clusters[name] = alertmanager.NewSilencer(api)
		}
	}
	return out
}

// reconcileConfig opens the API of each configured cluster; it connects to nothing.
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

// detailsConfig is for a configuration whose incidents.details.source is set.
func detailsConfig(c *config.Config) details.Config {
	d := c.Incidents.Details
	s, _ := c.Source(d.Source)
	return details.Config{DSN: s.DSN, SQL: cmp.Or(d.SQL, details.BuiltinSQL), Timeout: d.Timeout, Timezone: s.Timezone}
}

// pagesGuard has the credentials for the pages and the reload.
func pagesGuard(c *config.Config) *auth.Guard {
	return &auth.Guard{BearerToken: c.Web.BearerToken, Username: c.Web.Username, Password: c.Web.Password}
}
