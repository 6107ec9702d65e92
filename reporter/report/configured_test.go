package report_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

const ownBlock = `
name: daily
sections:
  - name: alerts
    figures:
      - {name: grouped, hide: true}
      - {name: mine, title: Mine, expr: mine}
  - {name: producers, hide: true}
  - name: slo
    title: {zh-TW: 服務水準, en: Service level}
    figures:
      - {name: budget, title: Budget, expr: max(awoooi_budget), target: ">= 0.2"}
`

// A figure that no collector is configured to give is omitted. One without data for another reason is shown as such.
func TestNotConfiguredIsOmittedAndNoDataIsShown(t *testing.T) {
	t.Parallel()
	const all = "alerts: alerts auto_resolved human_approved converged grouped incidents_open alerts_chronic resolution_median " +
		"acknowledgement_mean never_acknowledged; " +
		"categories: alerts_by_category; producers: alerts_by_name; repairs: repairs_succeeded repairs_failed success_rate; knowledge: knowledge_entries playbooks"
	for name, tc := range map[string]struct {
		configured []string // nil: no collector is there
		known      []string // metrics with samples
		fails      string   // metric whose query fails
		want       string
	}{
		"everything":         {[]string{"awoooi_alerts"}, []string{"awoooi_"}, "", all},
		"no collector":       {nil, nil, "", all},
		"an older collector": {nil, []string{"awoooi_alerts"}, "", all},
		"a failed source":    {[]string{"awoooi_repairs_succeeded", "awoooi_repairs_failed"}, []string{"awoooi_nothing"}, "", "repairs: repairs_succeeded repairs_failed success_rate"},
		"alerts only": {
			[]string{"awoooi_alerts", "awoooi_incidents_open"}, []string{"awoooi_alerts"}, "",
			"alerts: alerts auto_resolved human_approved converged grouped incidents_open alerts_chronic; categories: alerts_by_category; producers: alerts_by_name",
		},
		"one part of a ratio":             {[]string{"awoooi_repairs_failed"}, []string{"awoooi_nothing"}, "", "repairs: repairs_failed success_rate"},
		"not configured but with data":    {[]string{"awoooi_x"}, []string{"awoooi_playbooks_active"}, "", "knowledge: playbooks"},
		"not configured, query fails":     {[]string{"awoooi_x"}, nil, "awoooi_playbooks_active", "knowledge: playbooks"},
		"what is configured is not known": {[]string{"awoooi_x"}, nil, "awoooi_collector_metric_configured", all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := fakeQuerier(func(_ context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
				if tc.fails != "" && strings.Contains(expr, tc.fails) {
					return nil, errors.New("refused")
				}
				if strings.Contains(expr, "awoooi_collector_metric_configured") {
					var out []reporter.Sample
					for _, m := range tc.configured {
						out = append(out, reporter.Sample{Labels: map[string]string{"metric": m}, Value: 1})
					}
					return out, nil
				}
				for _, m := range tc.known {
					if strings.Contains(expr, m) {
						return number(1), nil
					}
				}
				return nil, nil
			})
			d, err := report.Builtin("daily")
			if err != nil {
				t.Fatal(err)
			}
			if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil {
				t.Fatal(err)
			}
			r, err := report.NewBuilder(report.BuilderConfig{Querier: q}).Build(t.Context(), d, due)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, shown(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func shown(r reporter.Report) string {
	var out []string
	for _, s := range r.Sections {
		names := s.Name + ":"
		for _, l := range s.Lines {
			names += " " + l.Name
		}
		out = append(out, names)
	}
	return strings.Join(out, "; ")
}

// The reporter's own metrics count as configured, whatever collectors are configured to give.
func TestMetricsOfTheReporterAreNotOmitted(t *testing.T) {
	t.Parallel()
	d, err := report.Builtin("daily")
	if err != nil {
		t.Fatal(err)
	}
	if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	b := report.NewBuilder(report.BuilderConfig{Own: []string{"awoooi_alerts_chronic"}, Querier: fakeQuerier(func(_ context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
		if strings.Contains(expr, "awoooi_collector_metric_configured") {
			return []reporter.Sample{{Labels: map[string]string{"metric": "awoooi_x"}, Value: 1}}, nil
		}
		return nil, nil
	})})
	r, err := b.Build(t.Context(), d, due)
	if err != nil || shown(r) != "alerts: alerts_chronic" {
		t.Errorf("%s, %v", shown(r), err)
	}
}

// A user's line is never omitted.
func TestLinesOfAUserAreNeverOmitted(t *testing.T) {
	t.Parallel()
	d, err := report.Parse([]byte(ownBlock))
	if err != nil {
		t.Fatal(err)
	}
	d.Schedule = "0 8 * * *"
	d.Sections = d.Sections[2:]
	if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	b := report.NewBuilder(report.BuilderConfig{Querier: fakeQuerier(func(_ context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
		if strings.Contains(expr, "configured") {
			return []reporter.Sample{{Labels: map[string]string{"metric": "awoooi_alerts"}, Value: 1}}, nil
		}
		return nil, nil
	})})
	r, err := b.Build(t.Context(), d, due)
	if err != nil || shown(r) != "slo: budget" {
		t.Errorf("%s, %v", shown(r), err)
	}
}

// Reports of versions without sections look as before: figures with builtin names get the builtin lines.
func TestFiguresWithoutSections(t *testing.T) {
	t.Parallel()
	d, err := report.Parse([]byte(`
name: team
schedule: 0 8 * * *
figures:
  - {name: alerts, expr: count(a), compare: [1h]}
  - {name: repairs_succeeded, expr: b}
  - {name: repairs_failed, expr: c}
  - {name: queue, expr: d}
`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	r := reporter.Report{Sections: d.Sections}
	if diff := cmp.Diff("alerts: alerts; repairs: repairs_succeeded repairs_failed success_rate; figures: queue", shown(r)); diff != "" {
		t.Error(diff)
	}
	if a := d.Asked()[0]; a.Expr != "count(a)" || len(a.Compare) != 1 || a.Builtin {
		t.Errorf("alerts is %+v", a)
	}
}

// Lines about acknowledgements are shown if any incident was acknowledged, or if that is not known.
func TestALineOfWhatIsNotInUseIsOmitted(t *testing.T) {
	t.Parallel()
	const both = "alerts: acknowledgement_mean never_acknowledged"
	for name, tc := range map[string]struct {
		ever []reporter.Sample
		err  error
		want string
	}{
		"nobody ever":     {number(0), nil, ""},
		"somebody":        {number(1), nil, both},
		"no sample":       {nil, nil, both},
		"the query fails": {nil, errors.New("refused"), both},
	} {
		for _, builtin := range report.Builtins {
			d, err := report.Builtin(builtin)
			if err != nil {
				t.Fatal(err)
			}
			if d, err = d.Complete(report.Defaults{Zone: time.UTC}); err != nil {
				t.Fatal(err)
			}
			b := report.NewBuilder(report.BuilderConfig{Querier: fakeQuerier(func(_ context.Context, expr string, _ time.Time) ([]reporter.Sample, error) {
				switch {
				case strings.Contains(expr, "awoooi_incidents_acknowledged_ever"):
					return tc.ever, tc.err
				case strings.Contains(expr, "awoooi_collector_metric_configured"):
					var out []reporter.Sample
					for _, m := range []string{"awoooi_incidents_acknowledged", "awoooi_incident_acknowledgement_seconds", "awoooi_incidents_never_acknowledged", "awoooi_incidents_acknowledged_ever"} {
						out = append(out, reporter.Sample{Labels: map[string]string{"metric": m}, Value: 1})
					}
					return out, nil
				}
				return nil, nil
			})})
			r, err := b.Build(t.Context(), d, due)
			if err != nil || shown(r) != tc.want {
				t.Errorf("%s, %s: %s, %v", name, builtin, shown(r), err)
			}
		}
	}
}
