package incident

import (
	"slices"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/matcher"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The ways to make incidents out of alerts.
const (
	ByGroup = "group" // one for each episode of an Alertmanager group
	ByAlert = "alert" // one for each episode of an alert
)

// Config is how alerts become incidents. MinDuration and Receivers are the default route's.
type Config struct {
	By           string
	MinDuration  time.Duration // an incident of exactly this length gets its postmortem
	ReopenWithin time.Duration // a gap of at most this length continues an incident
	ChronicAfter time.Duration // an incident that lasts that long takes no more alerts; 0 is never
	IDLabel      string        // label or annotation that names the incident
	Receivers    []string      // who gets the postmortems
	// DigestWindow is how long a postmortem waits for others, so that a storm is one message.
	DigestWindow time.Duration
	// FiringNotice sends a message to the receivers when an incident begins, too.
	FiringNotice bool
	Routes       []Route         // the first that matches wins
	Deciders     map[string]bool // clusters whose API can be asked what is firing
	Zone         *time.Location  // of the date in an incident's ID; nil is UTC
}

// Route says what becomes of the alerts that it matches.
type Route struct {
	Name        string // part of an incident's identity; "" is the default route
	Matchers    labels.Matchers
	Receivers   []string
	MinDuration time.Duration
	Severity    string // sets that of the alerts; "" keeps it
	Ignore      bool
	// MissingAfter makes heartbeats of the alerts, which are missing when nothing is received for so long; 0 does not.
	MissingAfter time.Duration
}

func (r Route) isHeartbeat() bool { return r.MissingAfter > 0 }

// BuiltinIgnored are alerts that are always firing, or only serve Alertmanager's inhibition, in the rules that the
// Prometheus operator's users have: https://github.com/prometheus-operator/kube-prometheus
var BuiltinIgnored = []string{"Watchdog", "InfoInhibitor"}

// Route returns the first route that matches these labels: of the user's, then the builtin ignores, then the default.
func (c Config) Route(set map[string]string) Route {
	lset := make(model.LabelSet, len(set))
	for k, v := range set {
		lset[model.LabelName(k)] = model.LabelValue(v)
	}
	for _, r := range c.Routes {
		if r.Matchers.Matches(lset) {
			return r
		}
	}
	for _, name := range BuiltinIgnored {
		if set[model.AlertNameLabel] == name {
			return Route{Name: name, Ignore: true}
		}
	}
	return c.defaultRoute()
}

func (c Config) route(e reporter.AlertEvent) Route {
	if len(c.Routes) == 0 && e.Labels[model.AlertNameLabel] != BuiltinIgnored[0] && e.Labels[model.AlertNameLabel] != BuiltinIgnored[1] {
		return c.defaultRoute()
	}
	return c.Route(e.Labels)
}

func (c Config) defaultRoute() Route {
	return Route{Receivers: c.Receivers, MinDuration: c.MinDuration}
}

// routeNamed is the route of an incident that is stored; one that is gone is the default.
func (c Config) routeNamed(name string) Route {
	if name != "" {
		for _, r := range c.Routes {
			if r.Name == name {
				return r
			}
		}
	}
	return c.defaultRoute()
}

func (c Config) decides(cluster string) bool { return c.Deciders[cluster] }

// hasHeartbeats says whether any route makes heartbeats.
func (c Config) hasHeartbeats() bool { return slices.ContainsFunc(c.Routes, Route.isHeartbeat) }

// zone is that of the date in an ID.
func (c Config) zone() *time.Location {
	if c.Zone == nil {
		return time.UTC
	}
	return c.Zone
}

// key identifies the series of incidents that an event belongs to.
func (c Config) key(e reporter.AlertEvent, r Route) string {
	if c.By == ByAlert {
		return reporter.IncidentKey(e.Cluster, r.Name, e.Receiver, e.GroupKey, e.Fingerprint)
	}
	return reporter.IncidentKey(e.Cluster, r.Name, e.Receiver, e.GroupKey)
}

// ParseMatchers reads the matchers of a route, in Alertmanager's syntax. All of them have to match.
func ParseMatchers(texts ...string) (labels.Matchers, error) { return matcher.ParseStrict(texts...) }
