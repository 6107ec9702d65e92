package postmortem

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	graphPoints   = 240
	leastStep     = time.Second
	leastAround   = 10 * time.Minute // shown before and after the incident
	mostAround    = 6 * time.Hour
	graphSeries   = 8
	queryPatience = 10 * time.Second
	// longestFor is how long before its first alert a condition may have begun to hold.
	longestFor = 7 * 24 * time.Hour
)

// trueStart is when the condition of the first alert began to hold. Prometheus keeps that in ALERTS_FOR_STATE, a series
// with the alert's labels whose value is that time in seconds since 1970; the alert itself begins a rule's "for" later:
// https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
func (b *Builder) trueStart(ctx context.Context, in reporter.Incident) time.Time {
	if b.querier == nil || len(in.Alerts) == 0 {
		return time.Time{}
	}
	first := in.Alerts[0]
	name := first.Labels["alertname"]
	if name == "" {
		return time.Time{}
	}
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	// The sample has the time of the evaluation that made the alert fire; a moment later it is sure to be found.
	samples, err := b.querier.Query(ctx, fmt.Sprintf("ALERTS_FOR_STATE{alertname=%q}", name), first.StartsAt.Add(time.Second))
	if err != nil {
		b.log.Warn("true start of the incident could not be asked for", "incident", in.ID, "err", err)
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

// Graph asks what the expression of the incident's first alert did around it. An incident whose alerts name no expression,
// or that nothing is known of, has no graph: the result is nil.
func (b *Builder) Graph(ctx context.Context, in reporter.Incident) *reporter.Graph {
	expr := expression(in)
	if b.querier == nil || expr == "" {
		return nil
	}
	shown, threshold := measured(expr)
	g := b.around(ctx, in, shown)
	if g == nil {
		return nil
	}
	g.Threshold = threshold
	// Of an expression over many targets, those that the incident is about.
	about := slices.DeleteFunc(slices.Clone(g.Series), func(s reporter.Series) bool {
		return !slices.ContainsFunc(in.Alerts, func(a reporter.Alert) bool { return within(s.Labels, a.Labels) })
	})
	if len(about) > 0 {
		g.Series = about
	}
	g.Series = g.Series[:min(len(g.Series), graphSeries)]
	return g
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
	pad := min(max(end.Sub(in.StartedAt)/4, leastAround), mostAround)
	g := &reporter.Graph{Title: expr, Start: in.StartedAt.Add(-pad), End: end.Add(pad)}
	if now := b.cfg.Now(); g.End.After(now) {
		g.End = now
	}
	step := max(g.End.Sub(g.Start)/graphPoints, leastStep).Round(time.Second)
	ctx, cancel := context.WithTimeout(ctx, queryPatience)
	defer cancel()
	g.Step = step
	series, err := b.querier.QueryRange(ctx, expr, g.Start, g.End, step)
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

// expression is that of the first alert whose generator URL has one, as Prometheus writes it: /graph?g0.expr=…
func expression(in reporter.Incident) string {
	for _, a := range in.Alerts {
		u, err := url.Parse(a.GeneratorURL)
		if err != nil {
			continue
		}
		if expr := cmp.Or(u.Query().Get("g0.expr"), u.Query().Get("expr")); expr != "" {
			return expr
		}
	}
	return ""
}

// measured takes the comparison off an expression that is one, since while it does not hold the expression has no value:
// what is compared is worth seeing, and the number that it is compared with.
func measured(expr string) (shown string, threshold *float64) {
	e, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(expr)
	if err != nil {
		return expr, nil // a server that extends PromQL may know it
	}
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			break
		}
		e = paren.Expr
	}
	b, ok := e.(*parser.BinaryExpr)
	if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool {
		return expr, nil
	}
	if n, ok := number(b.RHS); ok {
		return b.LHS.String(), &n
	}
	if n, ok := number(b.LHS); ok {
		return b.RHS.String(), &n
	}
	return b.LHS.String(), nil
}

func number(e parser.Expr) (float64, bool) {
	switch e := e.(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.ParenExpr:
		return number(e.Expr)
	case *parser.UnaryExpr:
		n, ok := number(e.Expr)
		if e.Op == parser.SUB {
			n = -n
		}
		return n, ok
	}
	return 0, false
}
