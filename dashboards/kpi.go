package dashboards

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/promexpr"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The KPIs that have panels of their own: those of the builtin sets.
const (
	alerts        = "awoooi_alerts"
	resolved      = "awoooi_alerts_resolved"
	autoResolved  = "awoooi_alerts_auto_resolved"
	humanApproved = "awoooi_alerts_human_approved"
	converged     = "awoooi_alerts_converged"
	grouped       = "awoooi_alerts_grouped"
	succeeded     = "awoooi_repairs_succeeded"
	failed        = "awoooi_repairs_failed"
	knowledge     = "awoooi_knowledge_entries_created"
	playbooks     = "awoooi_playbooks_active"
	open          = "awoooi_incidents_open"
	resolution    = "awoooi_incident_resolution_seconds"
	byName        = "awoooi_alerts_by_name"
	oldest        = "awoooi_incidents_oldest_open_timestamp_seconds"
	ended         = "awoooi_incidents_resolved"
	chronic       = "awoooi_alerts_chronic"
	heartbeats    = "awoooi_heartbeats"
	toAcknowledge = "awoooi_incident_acknowledgement_seconds"
	acknowledged  = "awoooi_incidents_acknowledged"
	neverAcked    = "awoooi_incidents_never_acknowledged"
	everAcked     = "awoooi_incidents_acknowledged_ever" // without a panel: reports show acknowledgements only if it is above 0
)

var wellKnown = []string{
	alerts, resolved, autoResolved, humanApproved, converged, grouped, succeeded, failed, knowledge, playbooks, open, resolution,
	byName, oldest, ended, chronic, heartbeats, toAcknowledge, acknowledged, neverAcked, everAcked,
}

// The rows of the dashboard that the sections of the builtin reports make, by their titles in English.
const (
	rowAlerts     = "Alerts"
	rowCategories = "By category"
	rowProducers  = "Most frequent alerts"
	rowRepairs    = "Automatic repairs"
	rowKnowledge  = "Knowledge"
)

// KPI makes the dashboard of the KPIs that are configured: those of the builtin sets in panels of their own, every other
// one as a figure of now and a curve.
func KPI(o Options) ([]byte, error) {
	o = o.withDefaults()
	k := newKPIs(o.Queries)
	k.due = o.DueAt
	var own []kpi.Metric
	for _, q := range o.Queries {
		for _, m := range q.Metrics {
			if !slices.Contains(wellKnown, m.Name) && !strings.HasPrefix(m.Name, noisePrefix) {
				own = append(own, m)
			}
		}
	}
	rows := k.now(o)
	sections := []section{}
	for _, title := range []string{rowAlerts, rowCategories, rowProducers, rowRepairs, rowKnowledge} {
		sections = append(sections, section{title, rows[title]})
	}
	for _, s := range o.Sections {
		sections = append(sections, k.ofReport(s))
	}
	sections = append(sections, section{"Day by day, as in the report", k.days()}, section{"Over time", k.overTime(o)},
		section{"KPIs of your own", k.own(own)})
	return board{
		uid: KPIUID, title: "AWOOOI KPIs", from: "now-30d", options: o,
		help:     "The figures of the daily report, from the same series. A panel without data is blank or shows that; 0 is a real 0.",
		sections: slices.DeleteFunc(sections, func(s section) bool { return len(s.panels) == 0 }),
	}.json()
}

// kpis are the configured metrics by name.
type kpis struct {
	due     time.Duration
	metrics map[string]kpi.Metric
}

func newKPIs(queries []kpi.Query) kpis {
	k := kpis{metrics: map[string]kpi.Metric{}}
	for _, q := range queries {
		for _, m := range q.Metrics {
			k.metrics[m.Name] = m
		}
	}
	return k
}

func (k kpis) has(names ...string) bool {
	for _, name := range names {
		if _, ok := k.metrics[name]; !ok {
			return false
		}
	}
	return true
}

// by is the expression of the metric by its own labels: one series of each, however many replicas expose it.
func (k kpis) by(name, modifier string) string {
	labels := legendLabels(k.metrics[name])
	if len(labels) == 0 {
		return fmt.Sprintf("max(%s{}%s)", name, modifier)
	}
	return fmt.Sprintf("max by (%s) (%s{}%s)", strings.Join(labels, ", "), name, modifier)
}

// total is the expression of the sum over the metric's own labels.
func (k kpis) total(name, modifier string) string {
	if len(k.metrics[name].Labels) == 0 {
		return k.by(name, modifier)
	}
	return "sum(" + k.by(name, modifier) + ")"
}

// ratio is the expression of a part of a whole, which gives no series if the whole is 0.
func (k kpis) ratio(part string, whole ...string) string {
	sum := make([]string, len(whole))
	for n, w := range whole {
		sum[n] = k.total(w, "")
	}
	return fmt.Sprintf("%s / (%s > 0)", k.total(part, ""), strings.Join(sum, " + "))
}

// daily is an expression read once a day, at the moment of the daily report. Subqueries are read at whole days in UTC,
// wherever the range of a panel starts; the figure of a day is drawn at that day's beginning in the dashboard's zone.
func (k kpis) daily(expr func(modifier string) string) string {
	modifier := ""
	if k.due != 0 {
		modifier = fmt.Sprintf(" offset -%ds", int64(k.due.Seconds()))
	}
	return fmt.Sprintf("last_over_time((%s)[1d:1d] offset -1d)", expr(modifier))
}

func (k kpis) dailyTotal(name string) string {
	return k.daily(func(modifier string) string { return k.total(name, modifier) })
}

// change is the expression of the difference to the same time of the day before; it gives no series if one of the two has no data.
func (k kpis) change(name string) string {
	return k.total(name, "") + " - " + k.total(name, " offset 1d")
}

// now are the panels of the current figures, by row.
func (k kpis) now(o Options) map[string][]panel {
	out := map[string][]panel{}
	add := func(row string, p panel, needs ...string) {
		if k.has(needs...) {
			out[row] = append(out[row], p)
		}
	}
	for _, f := range []struct {
		row, name, title string
	}{
		{rowAlerts, alerts, "Alerts"},
		{rowAlerts, resolved, "Resolved"},
		{rowAlerts, autoResolved, "Resolved automatically"},
		{rowAlerts, humanApproved, "Approved by a person"},
		{rowAlerts, converged, "Converged"},
		{rowAlerts, grouped, "Grouped"},
		{rowAlerts, open, "Incidents open"},
		{rowAlerts, chronic, "Chronic alerts"},
		{rowAlerts, acknowledged, "Incidents acknowledged"},
		{rowAlerts, neverAcked, "Never acknowledged"},
		{rowRepairs, succeeded, "Repairs succeeded"},
		{rowRepairs, failed, "Repairs failed"},
		{rowKnowledge, knowledge, "Knowledge entries"},
		{rowKnowledge, playbooks, "Playbooks active"},
	} {
		add(f.row, panel{
			kind: figures, title: f.title, help: k.metrics[f.name].Help, unit: units.NoUnit, width: 4,
			targets: []target{{k.total(f.name, ""), "now"}, {k.change(f.name), "against the day before"}},
		}, f.name)
	}
	add(rowAlerts, panel{
		kind: figures, title: "Heartbeats", help: k.metrics[heartbeats].Help, unit: units.NoUnit, width: 4,
		targets: []target{{k.by(heartbeats, ""), "{{state}}"}},
	}, heartbeats)
	add(rowRepairs, panel{
		kind: figures, title: "Repair success", unit: units.PercentUnit, width: 4,
		help:       "Repairs that succeeded, of those that ended, in the trailing 24 hours. Without any repair there is no rate.",
		thresholds: from("red", o.Good, "yellow", o.Excellent, "green"),
		targets:    []target{{k.ratio(succeeded, succeeded, failed), ""}},
	}, succeeded, failed)
	add(rowAlerts, panel{
		kind: figures, title: "Resolved automatically, of all", unit: units.PercentUnit, width: 4,
		help:    "Alerts resolved without a person, of all alerts of the trailing 24 hours. Without any alert there is no rate.",
		targets: []target{{k.ratio(autoResolved, alerts), ""}},
	}, alerts, autoResolved)
	add(rowAlerts, panel{
		kind: figures, title: "Time to resolve", help: k.metrics[resolution].Help, unit: units.Seconds, width: 8,
		targets: []target{{k.by(resolution, ""), "{{stat}}"}},
	}, resolution)
	add(rowAlerts, panel{
		kind: figures, title: "Time to acknowledge", help: k.metrics[toAcknowledge].Help, unit: units.Seconds, width: 8,
		targets: []target{{k.by(toAcknowledge, ""), "{{stat}}"}},
	}, toAcknowledge)
	add(rowAlerts, panel{
		kind: figures, title: "Incidents resolved", help: k.metrics[ended].Help, unit: units.NoUnit, width: 4,
		targets: []target{{k.total(ended, ""), "now"}, {k.change(ended), "against the day before"}},
	}, ended)
	add(rowAlerts, panel{
		kind: figures, title: "Oldest open incident", help: k.metrics[oldest].Help, unit: units.DateTimeFromNow, width: 4,
		targets: []target{{"min(" + oldest + "{}) * 1000", ""}}, // Grafana's dates are in milliseconds
	}, oldest)
	add(rowCategories, panel{
		kind: bars, title: "Alerts by category", help: k.metrics[alerts].Help, unit: units.NoUnit, width: 24,
		targets: []target{{"sort_desc(" + k.by(alerts, "") + ")", legendOf(k.metrics[alerts])}},
	}, alerts)
	add(rowProducers, panel{
		kind: bars, title: "Most frequent alerts", help: k.metrics[byName].Help, unit: units.NoUnit, width: 24,
		targets: []target{{"sort_desc(" + k.by(byName, "") + ")", legendOf(k.metrics[byName])}},
	}, byName)
	return out
}

func (k kpis) days() []panel {
	var out []panel
	add := func(p panel, parts []string, legends []string) {
		p.unit, p.width, p.step = units.NoUnit, 12, "1d"
		for n, name := range parts {
			if k.has(name) {
				p.targets = append(p.targets, target{k.dailyTotal(name), legends[n]})
			}
		}
		if len(p.targets) > 0 {
			out = append(out, p)
		}
	}
	const read = " Read once a day at the daily report's hour, over the 24 hours before."
	add(panel{kind: columns, title: "Alerts", help: "Alerts and how they were resolved." + read},
		[]string{alerts, resolved, autoResolved, humanApproved, converged, grouped},
		[]string{"all", "resolved", "automatically", "by a person", "converged", "grouped"})
	if k.has(alerts) {
		categories := k.daily(func(modifier string) string { return k.by(alerts, modifier) })
		out = append(out, panel{
			kind: stacked, title: "Categories", help: k.metrics[alerts].Help + read, unit: units.NoUnit, width: 12, step: "1d",
			targets: []target{{categories, legendOf(k.metrics[alerts])}},
		})
	}
	add(panel{kind: stacked, title: "Repairs", help: "Automatic repairs by their end." + read},
		[]string{succeeded, failed}, []string{"succeeded", "failed"})
	add(panel{kind: columns, title: "Knowledge", help: "Knowledge entries created, and playbooks active at that time." + read},
		[]string{knowledge, playbooks}, []string{"entries created", "playbooks active"})
	return out
}

func (k kpis) overTime(o Options) []panel {
	var out []panel
	add := func(p panel, needs ...string) {
		if k.has(needs...) {
			p.kind, p.width = lines, 12
			out = append(out, p)
		}
	}
	one := 1.0
	add(panel{
		title: "Repair success", unit: units.PercentUnit, max: &one,
		help:       "Repairs that succeeded, of those that ended, in the 24 hours before each moment; a gap where there was none.",
		thresholds: from("red", o.Good, "yellow", o.Excellent, "green"),
		targets:    []target{{k.ratio(succeeded, succeeded, failed), "success"}},
	}, succeeded, failed)
	add(panel{
		title: "Time to resolve", help: k.metrics[resolution].Help, unit: units.Seconds,
		targets: []target{{k.by(resolution, ""), "{{stat}}"}},
	}, resolution)
	add(panel{
		title: "Time to acknowledge", help: k.metrics[toAcknowledge].Help, unit: units.Seconds,
		targets: []target{{k.by(toAcknowledge, ""), "{{stat}}"}},
	}, toAcknowledge)
	add(panel{
		title: "Incidents open", help: k.metrics[open].Help, unit: units.NoUnit,
		targets: []target{{k.total(open, ""), "open"}},
	}, open)
	add(panel{
		title: "Alerts by category", help: k.metrics[alerts].Help, unit: units.NoUnit,
		targets: []target{{k.by(alerts, ""), legendOf(k.metrics[alerts])}},
	}, alerts)
	return out
}

// ofReport is the row of a report's section. Figures of the configured KPIs follow the dashboard's choice of jobs; other series
// of the expression may be of any job.
func (k kpis) ofReport(s reporter.Section) section {
	out := section{title: s.Title.Text}
	for _, l := range s.Lines {
		expr := promexpr.Within(l.Expr, func(name string) bool { return k.has(name) },
			labels.MustNewMatcher(labels.MatchRegexp, "job", "$job"), labels.MustNewMatcher(labels.MatchRegexp, "instance", "$instance"))
		title := l.Title.Text
		if title == "" {
			title = s.Title.Text
		}
		if l.Format == reporter.FormatAge {
			expr = "(" + expr + ") * 1000" // Grafana's dates are in milliseconds
		}
		p := panel{
			kind: figures, title: title, help: "The line " + l.Name + " of the report: " + l.Expr, unit: unitOfFormat(l.Format), width: 8,
			thresholds: ofTarget(l.Target), targets: []target{{expr, ""}},
		}
		if l.List != nil {
			p.kind, p.targets[0].legend, p.width = bars, autoLegend, 24
			out.panels = append(out.panels, p)
			continue
		}
		over := p
		over.kind, over.width, over.targets = lines, 16, []target{{expr, title}}
		out.panels = append(out.panels, p, over)
	}
	return out
}

// autoLegend lets Grafana name series by the labels in which they differ.
const autoLegend = "__auto"

// ofTarget colours values that meet the target green, and others red.
func ofTarget(t reporter.Target) []dashboard.Threshold {
	above := math.Nextafter(t.Value, math.Inf(1)) // a step counts from its value on
	switch t.Op {
	case ">=":
		return from("red", t.Value, "green")
	case ">":
		return from("red", above, "green")
	case "<=":
		return from("green", above, "red")
	case "<":
		return from("green", t.Value, "red")
	}
	return nil
}

func unitOfFormat(f reporter.Format) string {
	switch f {
	case reporter.FormatPercent:
		return units.PercentUnit
	case reporter.FormatDuration:
		return units.Seconds
	case reporter.FormatAge:
		return units.DateTimeFromNow
	case reporter.FormatBytes:
		return units.BytesIEC
	case reporter.FormatNumber, reporter.FormatCount:
	}
	return units.NoUnit
}

// own are a figure and a curve for each KPI that is not of a builtin set.
func (k kpis) own(metrics []kpi.Metric) []panel {
	var out []panel
	for _, m := range metrics {
		help := m.Help
		if m.Window > 0 {
			help += fmt.Sprintf(" (window: %s)", strings.TrimSuffix(strings.TrimSuffix(m.Window.String(), "0s"), "0m"))
		}
		expr := k.by(m.Name, "")
		if isTimestamp(m) {
			expr += " * 1000" // Grafana's dates are in milliseconds
		}
		t := []target{{expr, legendOf(m)}}
		out = append(out,
			panel{kind: figures, title: m.Name, help: help, unit: unitOf(m), width: 8, targets: t},
			panel{kind: lines, title: m.Name, help: help, unit: unitOf(m), width: 16, targets: t})
	}
	return out
}

// legendLabels are a metric's labels as Prometheus stores them: those that a scrape sets itself get the prefix exported_.
func legendLabels(m kpi.Metric) []string {
	out := slices.Clone(m.Labels)
	for n, l := range out {
		if l == "job" || l == "instance" {
			out[n] = "exported_" + l
		}
	}
	return out
}

// legendOf names a metric's series by their labels; "" where it has none.
func legendOf(m kpi.Metric) string {
	labels := legendLabels(m)
	for n, l := range labels {
		labels[n] = "{{" + l + "}}"
	}
	return strings.Join(labels, " ")
}

func isTimestamp(m kpi.Metric) bool { return strings.HasSuffix(m.Name, "_timestamp_seconds") }

// unitOf derives the unit from the metric's name, if that follows https://prometheus.io/docs/practices/naming/.
func unitOf(m kpi.Metric) string {
	switch {
	case isTimestamp(m):
		return units.DateTimeFromNow
	case strings.HasSuffix(m.Name, "_seconds"):
		return units.Seconds
	case strings.HasSuffix(m.Name, "_bytes"):
		return units.BytesIEC
	case strings.HasSuffix(m.Name, "_ratio"):
		return units.PercentUnit
	case strings.HasSuffix(m.Name, "_percent"):
		return units.Percent
	case strings.HasSuffix(m.Name, "_celsius"):
		return units.Celsius
	}
	return units.NoUnit
}
