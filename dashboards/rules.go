package dashboards

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// reportGrace is how long after its due time a report may still be retried.
const reportGrace = time.Hour

// ruleFile, ruleGroup and rule are Prometheus' rule file:
// https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/
type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// ConfiguredRules makes the rules that depend on the configuration: ratios of the configured KPIs, an alert for configured
// queries that are not collected, and one for a report that was not sent.
func ConfiguredRules(o Options) ([]byte, error) {
	o = o.withDefaults()
	var f ruleFile
	if rules := recordings(o.Queries); len(rules) > 0 {
		f.Groups = append(f.Groups, ruleGroup{"awoooi-kpis", rules})
	}
	var alerts []rule
	if len(o.Queries) > 0 {
		alerts = append(alerts, notCollected(o.Queries))
	}
	if o.ReportGap > 0 {
		alerts = append(alerts, reportMissed(o.ReportGap))
	}
	if len(alerts) > 0 {
		f.Groups = append(f.Groups, ruleGroup{"awoooi-configured", alerts})
	}
	var out bytes.Buffer
	out.WriteString("# Made by `awoooi-reporter dashboards` from the configuration; make it again when queries or reports change.\n")
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return out.Bytes(), nil
}

// recordings are the ratios of the builtin KPIs, each one series however many replicas there are. A ratio whose whole is 0, or of
// which a part has no data, has no series, rather than NaN or 0.
func recordings(queries []kpi.Query) []rule {
	k := newKPIs(queries)
	var out []rule
	add := func(record, expr string, needs ...string) {
		if k.has(needs...) {
			out = append(out, rule{Record: record, Expr: strings.ReplaceAll(expr, "{}", "")})
		}
	}
	add("awoooi:alerts:sum", k.total(alerts, ""), alerts)
	add("awoooi:alerts_resolved:ratio", k.ratio(resolved, alerts), resolved, alerts)
	add("awoooi:alerts_auto_resolved:ratio", k.ratio(autoResolved, alerts), autoResolved, alerts)
	add("awoooi:repairs_succeeded:ratio", k.ratio(succeeded, succeeded, failed), succeeded, failed)
	return out
}

// notCollected fires for each configured query that no running collector has, as with an older configuration. If there is no
// collector at all, AwoooiCollectorAbsent fires instead.
func notCollected(queries []kpi.Query) rule {
	absent := make([]string, len(queries))
	for n, q := range queries {
		absent[n] = fmt.Sprintf("absent(awoooi_collector_query_success{source=%q, query=%q})", q.Source, q.Name)
	}
	return alert("AwoooiQueryNotCollected", "warning", 15*time.Minute,
		"("+strings.Join(absent, "\n  or ")+")\nand on () count(awoooi_collector_window_end_timestamp_seconds)",
		"Query {{ $labels.query }} is configured, but no process runs it",
		"The collectors are scraped, but none of them has had the query {{ $labels.query }} of source {{ $labels.source }} for "+
			"15 minutes. Its KPIs have no data.")
}

// reportMissed fires if no report has been delivered for longer than the longest time between two of them. The metric is 0 after
// a restart, so that the series of earlier processes are read too.
func reportMissed(gap time.Duration) rule {
	const sent = "awoooi_reporter_report_last_sent_timestamp_seconds"
	late := gap + reportGrace
	return alert("AwoooiReportNotSent", "critical", 5*time.Minute,
		fmt.Sprintf("time() - max by (job) (max_over_time(%[1]s[%[2]ds])) > %[3]d\n"+
			"and on (job) max by (job) (max_over_time(%[1]s[1h] offset %[3]ds))\n"+
			"and on (job) max by (job) (%[1]s)", sent, int64((2*late).Seconds()), int64(late.Seconds())),
		"No report was sent in time",
		fmt.Sprintf("The last report was delivered more than %.4gh ago, and one is due at least every %.4gh.",
			late.Hours(), gap.Hours()))
}

func alert(name, severity string, hold time.Duration, expr, summary, description string) rule {
	return rule{
		Alert: name, Expr: expr, For: fmt.Sprintf("%dm", int64(hold.Minutes())),
		Labels: map[string]string{"severity": severity, "component": "awoooi-reporter"},
		Annotations: map[string]string{
			"summary": summary, "description": description, "runbook_url": RunbookURL + "#" + strings.ToLower(name),
		},
	}
}
