package report

import (
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// ConfiguredExpr asks which metrics the queries of collectors are configured to give, whatever their sources do: one sample
	// for each, with the label "metric".
	ConfiguredExpr = "max by (metric) (awoooi_collector_metric_configured)"
	configuredName = "metric_configured"
)

// Omitted says whether a report leaves a builtin figure without data out: none of the metrics of its expression is configured.
func Omitted(expr string, configured map[string]bool) bool {
	metrics, err := promexpr.Metrics(expr)
	return err == nil && len(metrics) > 0 && !slices.ContainsFunc(metrics, func(m string) bool { return configured[m] })
}

// notConfigured names the builtin figures that no collector is configured to give, and of which there is no sample. Where it
// is not known what collectors are configured to give, it names none: every figure without data is shown as such.
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
		if !f.Builtin || figures[f.Name].Reason != reasonEmpty || figures[f.Name].DaysKnown > 0 {
			continue
		}
		if Omitted(f.Expr, configured) {
			out[f.Name] = true
		}
	}
	return out
}

// shown returns the sections without those that are hidden, and without lines that are hidden, not configured, or about what is not in
// use (Line.OnlyIf).
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
