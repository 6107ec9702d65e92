package report

import (
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// ConfiguredExpr returns the metrics that the queries of collectors are configured to give, even if their sources fail: one
	// sample for each, with the label "metric".
	ConfiguredExpr = "max by (metric) (awoooi_collector_metric_configured)"
	configuredName = "metric_configured"
)

// Omitted reports whether a report omits a builtin figure without data: none of the metrics in its expression is configured.
func Omitted(expr string, configured map[string]bool) bool {
	metrics, err := promexpr.Metrics(expr)
	return err == nil && len(metrics) > 0 && !slices.ContainsFunc(metrics, func(m string) bool { return configured[m] })
}

// notConfigured returns the names of the builtin figures without samples that no collector is configured to give. If it is not
// known what collectors are configured to give, it returns none, and figures without data are shown as such.
func (p *plan) notConfigured(asked []FigureDefinition, figures map[string]reporter.Figure, due time.Time, own []string) map[string]bool {
	a := p.answers[question{ConfiguredExpr, due.UTC()}]
	if a.err != nil || len(a.samples) == 0 {
		return nil
	}
	configured := map[string]bool{}
	for _, m := range own {
		configured[m] = true
	}
	for _, s := range a.samples {
		configured[s.Labels["metric"]] = true
	}
	out := map[string]bool{}
	for _, f := range asked {
		if !f.Builtin || figures[f.Name].Reason != reporter.EmptyResult || figures[f.Name].DaysKnown > 0 {
			continue
		}
		if Omitted(f.Expr, configured) {
			out[f.Name] = true
		}
	}
	return out
}

// shown returns the sections without hidden ones, and without lines that are hidden, not configured, or omitted by OnlyIf.
func shown(sections []reporter.Section, without map[string]bool, figures map[string]reporter.Figure) []reporter.Section {
	var out []reporter.Section
	for _, s := range sections {
		s.Lines = slices.DeleteFunc(slices.Clone(s.Lines), func(l reporter.Line) bool {
			if in, known := figures[l.OnlyIf].Value(); l.OnlyIf != "" && known && in == 0 {
				return true
			}
			if l.Hide || !l.Builtin {
				return l.Hide
			}
			if l.Ratio == nil {
				return without[l.Name]
			}
			return !slices.ContainsFunc(append([]string{l.Ratio.Part}, l.Ratio.Of...), func(f string) bool { return !without[f] })
		})
		if !s.Hide && len(s.Lines) > 0 {
			out = append(out, s)
		}
	}
	return out
}
