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
	"github.com/awoooi/awoooi-reporter/reporter/alertmanager"
	"github.com/awoooi/awoooi-reporter/reporter/incident"
)

// heartbeatRemedy is the remedy for an alert that Alertmanager does not send often enough.
const heartbeatRemedy = "give it a route with group_interval: 1m and repeat_interval: 1m, as in deploy/alertmanager/alertmanager.yml"

// doctorHeartbeats checks for each route with heartbeat that the Alertmanagers have its alerts and send them often enough.
func doctorHeartbeats(c *config.Config) []check {
	var out []check
	for _, r := range c.Routes {
		if r.Heartbeat == nil {
			continue
		}
		what := "heartbeat " + r.Name
		out = append(out, check{what, func(ctx context.Context) []Finding { return doctorHeartbeat(ctx, what, r, c) }})
	}
	return out
}

func doctorHeartbeat(ctx context.Context, what string, r config.Route, c *config.Config) []Finding {
	cfg, err1 := incidentConfig(c)
	rc, err2 := reconcileConfig(c)
	if err := errors.Join(err1, err2); err != nil {
		return []Finding{failed(what, err, "run check-config")}
	}
	if len(rc.Clusters) == 0 {
		return []Finding{warned(what, "cannot be checked: no Alertmanager with a url is configured",
			"set alertmanagers, or make sure that its route has group_interval: 1m and repeat_interval: 1m")}
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var out []Finding
	found, answered := 0, 0
	for name := range rc.Clusters {
		wait.Go(func() {
			some, alerts, err := doctorClusterHeartbeats(ctx, what, name, r, c, cfg)
			mu.Lock()
			defer mu.Unlock()
			if err == nil { // doctorAlertmanagers reports a cluster that does not answer
				out, found, answered = append(out, some...), found+alerts, answered+1
			}
		})
	}
	wait.Wait()
	switch {
	case answered == 0:
		return []Finding{warned(what, "cannot be checked: no Alertmanager answers", "see the findings of alertmanager")}
	case found == 0:
		return []Finding{warned(what, "no Alertmanager has an alert that takes this route",
			"add a rule to Prometheus that always fires, such as alert: Watchdog, expr: vector(1), or correct matchers")}
	case len(out) == 0:
		return []Finding{ok(what, "%d alerts are sent often enough for missing_after %s", found, model.Duration(*r.Heartbeat.MissingAfter))}
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.Text, b.Text) })
	return slices.Compact(out)
}

// doctorClusterHeartbeats checks the alerts of one cluster that take the route, and counts them.
func doctorClusterHeartbeats(
	ctx context.Context, what, cluster string, r config.Route, c *config.Config, cfg incident.Config,
) (out []Finding, alerts int, err error) {
	api, err := clusterAPI(c, cluster)
	if err != nil {
		return nil, 0, err
	}
	var matchers []string
	for _, route := range cfg.Routes {
		if route.Name == r.Name {
			for _, m := range route.Matchers {
				matchers = append(matchers, m.String())
			}
		}
	}
	known, err := api.Alerts(ctx, matchers...)
	if err != nil {
		return nil, 0, err
	}
	members := api.Members(ctx)
	for _, a := range known {
		if cfg.Route(a.Labels).Name != r.Name {
			continue
		}
		alerts++
		of := fmt.Sprintf("%s of cluster %s", a.Labels[model.AlertNameLabel], cluster)
		if a.Silenced {
			out = append(out, warned(what, of+" is silenced, and so it is missing", "expire the silence"))
		}
		for _, m := range members {
			if m.Err == nil {
				out = append(out, doctorHeartbeatPath(what, of, a, m.Setup, webhookPathOf(cluster), *r.Heartbeat.MissingAfter)...)
			}
		}
	}
	return out, alerts, nil
}

// doctorHeartbeatPath checks how often an Alertmanager sends the alert to us.
func doctorHeartbeatPath(
	what, of string, a alertmanager.KnownAlert, s alertmanager.Setup, path string, missingAfter time.Duration,
) []Finding {
	paths, err := s.Match(a.Labels)
	if err != nil {
		return []Finding{warned(what, of+": Alertmanager's routes cannot be read", "ask amtool config routes test")}
	}
	ours, _ := s.Ours(path, ourReceivers...)
	var best alertmanager.Path
	var least time.Duration
	for _, p := range paths {
		if every := sentEvery(p); slices.Contains(ours, p.Receiver) && (least == 0 || every < least) {
			best, least = p, every
		}
	}
	switch {
	case least == 0:
		return []Finding{failed(what, fmt.Errorf("%s has no route to our webhook", of), heartbeatRemedy)}
	case least >= missingAfter:
		return []Finding{failed(what, fmt.Errorf(
			"%s is sent every %s only, with group_interval %s and repeat_interval %s, and is missing after %s", of, model.Duration(least),
			model.Duration(best.GroupInterval), model.Duration(best.RepeatInterval), model.Duration(missingAfter)),
			heartbeatRemedy)}
	case len(best.Muted)+len(best.Active) > 0:
		return []Finding{warned(what, of+" is not sent at times: its route has time intervals", "remove them from the route")}
	}
	return nil
}

// sentEvery returns the longest time after which Alertmanager sends a group again. At each group_interval it checks whether more
// than repeat_interval has passed, so that one that is a multiple of group_interval takes one interval longer.
func sentEvery(p alertmanager.Path) time.Duration {
	if p.GroupInterval <= 0 {
		return p.RepeatInterval
	}
	return (p.RepeatInterval/p.GroupInterval + 1) * p.GroupInterval
}
