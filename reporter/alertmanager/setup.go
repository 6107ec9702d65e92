package alertmanager

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/api/v2/client/general"
	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/matcher"
)

// Member is what one member of a cluster says of itself.
type Member struct {
	URL     string // without user and password
	Version string
	Setup   Setup
	Err     error // why there is no Setup
}

// Setup is the part of an Alertmanager's configuration that decides which alerts reach which webhook. Its API shows the
// configuration without its secrets; see Webhook.Hidden.
// https://prometheus.io/docs/alerting/latest/configuration/
type Setup struct {
	Route     Route      `yaml:"route"`
	Receivers []Receiver `yaml:"receivers"`
}

// Route is a node of the routing tree. What is unset is inherited.
type Route struct {
	Receiver       string            `yaml:"receiver"`
	Match          map[string]string `yaml:"match"`
	MatchRE        map[string]string `yaml:"match_re"`
	Matchers       []string          `yaml:"matchers"`
	Continue       bool              `yaml:"continue"`
	GroupBy        []string          `yaml:"group_by"`
	GroupWait      *model.Duration   `yaml:"group_wait"`
	GroupInterval  *model.Duration   `yaml:"group_interval"`
	RepeatInterval *model.Duration   `yaml:"repeat_interval"`
	Muted          []string          `yaml:"mute_time_intervals"`
	Active         []string          `yaml:"active_time_intervals"`
	Routes         []Route           `yaml:"routes"`
}

// Receiver is a named list of integrations, of which only webhooks matter here.
type Receiver struct {
	Name     string    `yaml:"name"`
	Webhooks []Webhook `yaml:"webhook_configs"`
}

// Webhook is one webhook of a receiver.
type Webhook struct {
	URL          string `yaml:"url"`
	URLFile      string `yaml:"url_file"`
	SendResolved *bool  `yaml:"send_resolved"` // nil is true
	MaxAlerts    int    `yaml:"max_alerts"`    // 0 is no limit
}

// Hidden says whether the URL is not shown: newer Alertmanagers take it for a secret.
func (w Webhook) Hidden() bool { return w.URL == "" || w.URL == "<secret>" }

// ResolvedSent says whether the webhook is sent resolved alerts.
func (w Webhook) ResolvedSent() bool { return w.SendResolved == nil || *w.SendResolved }

// Path is a route with all that it inherits: where an alert that takes it is sent, and how.
type Path struct {
	Receiver                                 string
	GroupBy                                  []string
	GroupWait, GroupInterval, RepeatInterval time.Duration
	Muted, Active                            []string
}

// defaultPath has Alertmanager's defaults.
func defaultPath() Path {
	return Path{GroupWait: 30 * time.Second, GroupInterval: 5 * time.Minute, RepeatInterval: 4 * time.Hour}
}

// Members asks every member of the cluster for its configuration.
func (a *API) Members(ctx context.Context) []Member {
	out := make([]Member, len(a.members))
	done := make(chan struct{})
	for n, m := range a.members {
		go func() {
			out[n] = m.member(ctx)
			done <- struct{}{}
		}()
	}
	for range a.members {
		<-done
	}
	return out
}

func (m member) member(ctx context.Context) Member {
	out := Member{URL: m.url}
	status, err := m.client.General.GetStatus(general.NewGetStatusParamsWithContext(ctx))
	switch {
	case err != nil:
		out.Err = fmt.Errorf("alertmanager %s: status: %w", m.url, err)
		return out
	case status.Payload == nil || status.Payload.Config == nil || status.Payload.Config.Original == nil:
		out.Err = fmt.Errorf("alertmanager %s: status: %w", m.url, errNotAlertmanager)
		return out
	}
	if v := status.Payload.VersionInfo; v != nil && v.Version != nil {
		out.Version = *v.Version
	}
	if out.Setup, err = ParseSetup(*status.Payload.Config.Original); err != nil {
		out.Err = fmt.Errorf("alertmanager %s: %w", m.url, err)
	}
	return out
}

// ParseSetup reads Alertmanager's configuration. Keys that it does not need may be anything; the error quotes nothing.
func ParseSetup(text string) (Setup, error) {
	var s Setup
	if err := yaml.Unmarshal([]byte(text), &s); err != nil || s.Route.Receiver == "" {
		return Setup{}, fmt.Errorf("configuration: %w", errNotAlertmanager)
	}
	return s, nil
}

// Receiver returns the receiver of that name.
func (s Setup) Receiver(name string) (Receiver, bool) {
	n := slices.IndexFunc(s.Receivers, func(r Receiver) bool { return r.Name == name })
	if n < 0 {
		return Receiver{}, false
	}
	return s.Receivers[n], true
}

// Paths returns every route to a receiver, in the order of the configuration.
func (s Setup) Paths(receiver string) []Path {
	var out []Path
	var walk func(Route, Path)
	walk = func(r Route, from Path) {
		p := from.through(r)
		if p.Receiver == receiver {
			out = append(out, p)
		}
		for _, child := range r.Routes {
			walk(child, p)
		}
	}
	walk(s.Route, defaultPath())
	return out
}

// Match returns the routes that an alert with these labels takes, in their order, as Alertmanager's dispatcher finds them. A
// matcher that cannot be read is an error.
func (s Setup) Match(set map[string]string) ([]Path, error) {
	ls := model.LabelSet{}
	for name, value := range set {
		ls[model.LabelName(name)] = model.LabelValue(value)
	}
	var walk func(Route, Path) (out []Path, matched bool, err error)
	walk = func(r Route, from Path) ([]Path, bool, error) {
		ok, err := r.matches(ls)
		if err != nil || !ok {
			return nil, false, err
		}
		p := from.through(r)
		var out []Path
		for _, child := range r.Routes {
			some, matched, err := walk(child, p)
			if err != nil {
				return nil, false, err
			}
			out = append(out, some...)
			if matched && !child.Continue {
				break
			}
		}
		if len(out) == 0 {
			out = []Path{p}
		}
		return out, true, nil
	}
	out, _, err := walk(s.Route, defaultPath())
	return out, err
}

func (r Route) matches(set model.LabelSet) (bool, error) {
	matchers, err := matcher.Parse(r.Matchers...)
	if err != nil {
		return false, err
	}
	for name, value := range r.Match {
		if string(set[model.LabelName(name)]) != value {
			return false, nil
		}
	}
	for name, value := range r.MatchRE {
		m, err := labels.NewMatcher(labels.MatchRegexp, name, value)
		if err != nil {
			return false, fmt.Errorf("match_re %s: %w", name, err)
		}
		matchers = append(matchers, m)
	}
	return matchers.Matches(set), nil
}

// through is the path of a route below p.
func (p Path) through(r Route) Path {
	if r.Receiver != "" {
		p.Receiver = r.Receiver
	}
	if r.GroupBy != nil {
		p.GroupBy = r.GroupBy
	}
	for _, d := range []struct {
		set  *model.Duration
		into *time.Duration
	}{{r.GroupWait, &p.GroupWait}, {r.GroupInterval, &p.GroupInterval}, {r.RepeatInterval, &p.RepeatInterval}} {
		if d.set != nil {
			*d.into = time.Duration(*d.set)
		}
	}
	p.Muted, p.Active = r.Muted, r.Active // not inherited
	return p
}

// Ours returns the receivers that have a webhook to path, such as /api/v1/alertmanager/webhook. Where URLs are hidden it
// returns all that may be meant, those of the name prefer first if there is one; shown says whether URLs were compared.
func (s Setup) Ours(path string, prefer ...string) (names []string, shown bool) {
	var hidden, preferred []string
	for _, r := range s.Receivers {
		for _, w := range r.Webhooks {
			switch {
			case w.Hidden():
				hidden = append(hidden, r.Name)
			case strings.HasSuffix(strings.TrimSuffix(strings.SplitN(w.URL, "?", 2)[0], "/"), path):
				names, shown = append(names, r.Name), true
			default:
				shown = true
			}
		}
	}
	if len(names) > 0 || len(hidden) == 0 {
		return slices.Compact(names), shown
	}
	hidden = slices.Compact(hidden)
	for _, name := range hidden {
		if slices.ContainsFunc(prefer, func(p string) bool { return strings.Contains(strings.ToLower(name), p) }) {
			preferred = append(preferred, name)
		}
	}
	if len(preferred) > 0 {
		return preferred, false
	}
	return hidden, false
}
