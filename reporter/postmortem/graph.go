package postmortem

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	graphPoints   = 240
	leastStep     = time.Second
	leastAround   = 10 * time.Minute // time shown before and after the incident
	mostAround    = 6 * time.Hour
	graphSeries   = 8
	queryPatience = 10 * time.Second
	// keepUnknown is how long a true start that was not found is not queried again, keepStarts the number of cached true starts.
	keepUnknown = time.Minute
	keepStarts  = 1000
	// longestFor is the longest time from the true start to the first alert.
	longestFor = 7 * 24 * time.Hour
)

// starts caches true starts, so that page views do not query them each time.
type starts struct {
	mu    sync.Mutex
	known map[startKey]knownStart
}

type startKey struct {
	name, fingerprint string
	at                int64
}

type knownStart struct{ start, asked time.Time }

func (s *starts) get(key startKey, now time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[key]
	return k.start, ok && (!k.start.IsZero() || now.Sub(k.asked) < keepUnknown)
}

func (s *starts) put(key startKey, start, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= keepStarts {
		s.known = map[startKey]knownStart{}
	}
	s.known[key] = knownStart{start, now}
}

// trueStart returns when the condition of the first alert became true; zero if that is not known. Prometheus stores it in
// ALERTS_FOR_STATE, a series with the alert's labels whose value is that time in seconds since 1970. The alert itself begins later,
// by the rule's "for": https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
func (b *Builder) trueStart(ctx context.Context, in reporter.Incident) time.Time {
	if b.querier == nil || len(in.Alerts) == 0 {
		return time.Time{}
	}
	first := in.Alerts[0]
	name := first.Labels[model.AlertNameLabel]
	if name == "" || len(name) > promexpr.MaxValue {
		return time.Time{}
	}
	key := startKey{name, first.Fingerprint, first.StartsAt.UnixMilli()}
	if start, ok := b.starts.get(key, b.cfg.Now()); ok {
		return start
	}
	start := b.askTrueStart(ctx, in.ID, first, name)
	if ctx.Err() == nil {
		b.starts.put(key, start, b.cfg.Now())
	}
	return start
}

func (b *Builder) askTrueStart(ctx context.Context, id string, first reporter.Alert, name string) time.Time {
	expr, err := promexpr.Select("ALERTS_FOR_STATE", "alertname", name)
	if err != nil {
		return time.Time{} // no rule has such a name
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	// The sample has the time of the evaluation in which the alert began to fire. One second later the query finds it.
	samples, err := b.querier.Query(ctx, expr, first.StartsAt.Add(time.Second))
	if err != nil {
		b.log.Warn("query of the incident's true start failed", "incident", id, "err", err)
		return time.Time{}
	}
	var start time.Time
	for _, s := range samples {
		if !within(s.Labels, first.Labels) || s.Value <= 0 {
			continue
		}
		t := time.UnixMilli(int64(s.Value * 1000)).UTC()
		if t.Before(first.StartsAt) && first.StartsAt.Sub(t) <= longestFor && (start.IsZero() || t.Before(start)) {
			start = t
		}
	}
	return start
}

// within reports whether the alert has all labels of a series. It may have more: external labels, and those added by relabelling.
func within(series, alert map[string]string) bool {
	for name, value := range series {
		if name != model.MetricNameLabel && alert[name] != value {
			return false
		}
	}
	return true
}

// agrees reports whether all labels that both have are equal.
func agrees(series, alert map[string]string) bool {
	for name, value := range series {
		if of, ok := alert[name]; ok && of != value && name != model.MetricNameLabel {
			return false
		}
	}
	return true
}

// Graph queries the values of the expression of the incident's first alert around the incident. The expression is read from the
// rule; text in the alert is never evaluated. The result is nil if the rule is ambiguous, or if the incident's series have no values.
func (b *Builder) Graph(ctx context.Context, in reporter.Incident) *reporter.Graph {
	if b.querier == nil || b.rules == nil || len(in.Alerts) == 0 {
		return nil
	}
	expr := b.expression(ctx, in)
	if expr == "" {
		return nil
	}
	shown, threshold, err := promexpr.Measured(expr)
	if err != nil {
		b.log.Warn("graph of the incident is left out", "incident", in.ID, "err", err)
		return nil
	}
	g := b.around(ctx, in, shown)
	if g == nil {
		return nil
	}
	g.Threshold = threshold
	g.Series = about(in, g.Series)
	if len(g.Series) == 0 {
		return nil
	}
	g.Series = g.Series[:min(len(g.Series), graphSeries)]
	return g
}

// about selects the series of the incident from those of all targets: the series whose labels one of its alerts has. If there are
// none, because series have more labels than alerts, it selects the series without a different label.
func about(in reporter.Incident, all []reporter.Series) []reporter.Series {
	for _, like := range []func(series, alert map[string]string) bool{within, agrees} {
		var out []reporter.Series
		for _, s := range all {
			if slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { return like(s.Labels, a.Labels) }) {
				out = append(out, s)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// expression returns the expression of the rule of the incident's first alert; "" if there is none, or if it is ambiguous.
func (b *Builder) expression(ctx context.Context, in reporter.Incident) string {
	first := in.Alerts[0]
	name := first.Labels[model.AlertNameLabel]
	if name == "" || len(name) > promexpr.MaxValue || !utf8.ValidString(name) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	rules, err := b.rules.AlertRules(ctx, name)
	if err != nil {
		b.log.Warn("query of the alert's rule failed", "incident", in.ID, "err", err)
		return ""
	}
	if expr, ok := only(rules); ok {
		return expr
	}
	expr, _ := only(slices.DeleteFunc(rules, func(r reporter.AlertRule) bool { return !gives(r, first.Labels) }))
	return expr
}

// only returns the expression of the rules, if it is the same in all of them. Replicas return the same rule more than once.
func only(rules []reporter.AlertRule) (expr string, ok bool) {
	for _, r := range rules {
		if r.Expr != rules[0].Expr {
			return "", false
		}
		expr = r.Expr
	}
	return expr, expr != ""
}

// gives reports whether the labels of an alert can come from a rule. The value of a template can be any.
func gives(r reporter.AlertRule, alert map[string]string) bool {
	for name, value := range r.Labels {
		if alert[name] != value && !strings.Contains(value, "{{") {
			return false
		}
	}
	return true
}

// KPI queries the values of an expression around the incident; nil without a value.
func (b *Builder) KPI(ctx context.Context, in reporter.Incident, expr string) *reporter.Graph {
	if b.querier == nil || expr == "" {
		return nil
	}
	return b.around(ctx, in, expr)
}

func (b *Builder) around(ctx context.Context, in reporter.Incident, expr string) *reporter.Graph {
	end := in.EndedAt
	if end.IsZero() {
		end = b.cfg.Now()
	}
	// The axis extends beyond the end, even where there are no values yet, so that it is the same for all graphs.
	pad := min(max(end.Sub(in.StartedAt)/4, leastAround), mostAround)
	g := &reporter.Graph{Title: expr, Start: in.StartedAt.Add(-pad), End: end.Add(pad)}
	until := g.End
	if now := b.cfg.Now(); until.After(now) {
		until = now
	}
	if in.EndedAt.IsZero() {
		g.End = until
	}
	step := max(until.Sub(g.Start)/graphPoints, leastStep).Round(time.Second)
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	g.Step = step
	series, err := b.querier.QueryRange(ctx, expr, g.Start, until, step)
	if err != nil {
		b.log.Warn("query of the incident's graph failed", "incident", in.ID, "err", err)
		return nil
	}
	g.Series = slices.DeleteFunc(series, func(s reporter.Series) bool { return len(s.Points) < 2 })
	if len(g.Series) == 0 {
		return nil
	}
	return g
}
