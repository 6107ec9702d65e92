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
	leastAround   = 10 * time.Minute // shown before and after the incident
	mostAround    = 6 * time.Hour
	graphSeries   = 8
	queryPatience = 10 * time.Second
	// keepUnknown is how long no answer is taken for the answer, keepStarts how many true starts are kept.
	keepUnknown = time.Minute
	keepStarts  = 1000
	// longestFor is how long before its first alert a condition may have begun to hold.
	longestFor = 7 * 24 * time.Hour
)

// starts keeps true starts, so that views of a page do not ask each time.
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

// trueStart is when the condition of the first alert began to hold. Prometheus keeps that in ALERTS_FOR_STATE, a series
// with the alert's labels whose value is that time in seconds since 1970; the alert itself begins a rule's "for" later:
// https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
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
	// The sample has the time of the evaluation that made the alert fire; a moment later it is sure to be found.
	samples, err := b.querier.Query(ctx, expr, first.StartsAt.Add(time.Second))
	if err != nil {
		b.log.Warn("true start of the incident could not be asked for", "incident", id, "err", err)
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

// within says whether all labels of a series are an alert's too. The alert may have more: external labels, and what was
// relabelled on the way.
func within(series, alert map[string]string) bool {
	for name, value := range series {
		if name != model.MetricNameLabel && alert[name] != value {
			return false
		}
	}
	return true
}

// agrees says whether no label that both have differs.
func agrees(series, alert map[string]string) bool {
	for name, value := range series {
		if of, ok := alert[name]; ok && of != value && name != model.MetricNameLabel {
			return false
		}
	}
	return true
}

// Graph asks what the expression of the incident's first alert did around it. The expression is that of the rule; text of
// the alert is never evaluated. The result is nil where the rule is not known for certain, or nothing is known of the
// incident's series.
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

// about returns those of an expression over many targets that the incident is about: with the labels of one of its alerts,
// or, where what is measured has more labels than the alert, with none that differs.
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

// expression is that of the rule of the incident's first alert; "" where that is not certain.
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
		b.log.Warn("rule of the alert could not be asked for", "incident", in.ID, "err", err)
		return ""
	}
	if expr, ok := only(rules); ok {
		return expr
	}
	expr, _ := only(slices.DeleteFunc(rules, func(r reporter.AlertRule) bool { return !gives(r, first.Labels) }))
	return expr
}

// only returns the expression that all rules have; there may be more than one rule, of replicas for example.
func only(rules []reporter.AlertRule) (expr string, ok bool) {
	for _, r := range rules {
		if r.Expr != rules[0].Expr {
			return "", false
		}
		expr = r.Expr
	}
	return expr, expr != ""
}

// gives says whether a rule may have given an alert its labels. The value of a template can be any.
func gives(r reporter.AlertRule, alert map[string]string) bool {
	for name, value := range r.Labels {
		if alert[name] != value && !strings.Contains(value, "{{") {
			return false
		}
	}
	return true
}

// KPI asks what an expression did around the incident; nil where nothing is known.
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
	// The axis goes on after the end, whether anything is known of that time already or not, and is the same for all graphs.
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
		b.log.Warn("graph of the incident could not be asked for", "incident", in.ID, "err", err)
		return nil
	}
	g.Series = slices.DeleteFunc(series, func(s reporter.Series) bool { return len(s.Points) < 2 })
	if len(g.Series) == 0 {
		return nil
	}
	return g
}
