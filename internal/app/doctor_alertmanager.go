package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
)

// ourReceivers are parts of a receiver's name by which it is taken for ours if Alertmanager hides its URL.
var ourReceivers = []string{"awoooi", "reporter"}

// webhookPathOf returns the path to which a cluster's Alertmanagers post.
func webhookPathOf(cluster string) string {
	if cluster == reporter.ClusterDefault {
		return webhookPath
	}
	return strings.Replace(clusterPath, "{cluster}", cluster, 1)
}

// doctorAlertmanagers checks for every cluster that its Alertmanagers answer, and how their configuration sends alerts to us.
func doctorAlertmanagers(c *config.Config) []check {
	rc, err := reconcileConfig(c)
	if err != nil {
		return fixed(failed("alertmanagers", err, "run check-config"))
	}
	var names []string
	for name := range rc.Clusters {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) == 0 {
		after := "is never noticed"
		if c.Incidents.ExpireAfter > 0 {
			after = "is noticed only after " + model.Duration(c.Incidents.ExpireAfter).String()
		}
		return fixed(ok("alertmanagers", "none is configured: webhooks are accepted, but a lost resolve %s", after))
	}
	var out []check
	for _, name := range names {
		what := "alertmanager " + name
		out = append(out, check{what, func(ctx context.Context) []Finding {
			api, err := clusterAPI(c, name)
			if err != nil {
				return []Finding{failed(what, err, "run check-config")}
			}
			return doctorCluster(ctx, what, api, webhookPathOf(name), c)
		}})
	}
	return out
}

// clusterAPI opens the API of the members of a cluster.
func clusterAPI(c *config.Config, name string) (*alertmanager.API, error) {
	rc, err := reconcileConfig(c)
	if err != nil {
		return nil, err
	}
	api, ok := rc.Clusters[name].(*alertmanager.API)
	if !ok {
		var have []string
		for n := range rc.Clusters {
			have = append(have, n)
		}
		slices.Sort(have)
		return nil, fmt.Errorf("no Alertmanager with a url is configured as cluster %q (have %s)", name, strings.Join(have, ", "))
	}
	return api, nil
}

func doctorCluster(ctx context.Context, what string, api *alertmanager.API, path string, c *config.Config) []Finding {
	var out []Finding
	members := api.Members(ctx)
	for _, m := range members {
		if m.Err != nil {
			out = append(out, failed(what, m.Err, alertmanagerRemedy(m.Err.Error())))
		}
	}
	var seen []string
	for _, m := range members {
		if m.Err != nil {
			continue
		}
		some := doctorSetup(what, m, path, c)
		text := fmt.Sprint(some)
		if slices.Contains(seen, text) { // members of a cluster usually have the same configuration
			continue
		}
		seen = append(seen, text)
		out = append(out, some...)
	}
	return out
}

func alertmanagerRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"refused", "start it, or correct its url"},
		{"no such host", "correct the host of its url"},
		{"401", "set its http_config.basic_auth or authorization"},
		{"certificate", "set its http_config.tls_config.ca_file"},
		{"deadline", "check host, port and firewall"},
		{"404", "the url is not that of an Alertmanager: add or remove its path"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "check its url and http_config"
}

// doctorSetup checks how a member's configuration sends alerts to us.
func doctorSetup(what string, m alertmanager.Member, path string, c *config.Config) []Finding {
	names, shown := m.Setup.Ours(path, ourReceivers...)
	if len(names) == 0 {
		text := "no receiver has a webhook"
		if shown {
			text = "no receiver has a webhook to " + path
		}
		return []Finding{failed(what, fmt.Errorf("answers, but %s", text),
			"add webhook_configs with the url http://HOST:9787"+path+" to a receiver")}
	}
	out := []Finding{ok(what, "answers; receiver %s has our webhook", strings.Join(names, ", "))}
	if !shown {
		out = []Finding{ok(what, "answers; receiver %s has a webhook, whose url Alertmanager does not show (doctor --end-to-end "+
			"--through-alertmanager tries it)", strings.Join(names, ", "))}
	}
	routed := false
	for _, name := range names {
		r, _ := m.Setup.Receiver(name)
		for _, w := range r.Webhooks {
			switch {
			case !w.Hidden() && shown && !strings.Contains(w.URL, path):
				continue // of another program
			case !w.ResolvedSent():
				out = append(out, failed(what, fmt.Errorf("receiver %s has send_resolved: false, so that no incident ends", name),
					"set send_resolved: true"))
			}
			if w.MaxAlerts > 0 {
				out = append(out, warned(what, fmt.Sprintf("receiver %s has max_alerts: %d, further alerts of a group are not sent", name, w.MaxAlerts),
					"set max_alerts: 0"))
			}
		}
		for _, p := range m.Setup.Paths(name) {
			routed = true
			if len(p.GroupBy) == 0 {
				out = append(out, warned(what, "a route to receiver "+name+" has no group_by, so that all its alerts are one incident",
					"set group_by, such as [alertname, cluster, service]"))
			}
			if c.Incidents.ExpireAfter > 0 && p.RepeatInterval >= c.Incidents.ExpireAfter {
				out = append(out, warned(what, fmt.Sprintf("a route to receiver %s has repeat_interval %s, incidents expire after %s", name,
					model.Duration(p.RepeatInterval), model.Duration(c.Incidents.ExpireAfter)), "set a repeat_interval of 4h"))
			}
		}
	}
	if !routed {
		out = append(out, failed(what, fmt.Errorf("no route leads to receiver %s", strings.Join(names, ", ")),
			"add a route to it, with continue: true before the others"))
	}
	return out
}
