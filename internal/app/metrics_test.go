package app

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

var updateMetrics = flag.Bool("update-metrics", false, "make docs/metrics.md again")

const metricsFile = "../../docs/metrics.md"

// fixedLabels are the labels of the program's own metrics whose values are the program's, not the configuration's.
var fixedLabels = []string{"area", "code", "outcome", "reason", "result", "state", "status"}

// docs/metrics.md is made from the builtin sets and from what running programs expose, so that it lists all metrics and no others.
func TestReferenceOfMetricsIsWhatTheProgramExposes(t *testing.T) {
	t.Parallel()
	r := busy(t)
	var all map[string]*dto.MetricFamily
	eventually(t, "all KPIs and a pending delivery", func() bool {
		all = families(t, r)
		return all["awoooi_reporter_delivery_oldest_pending_timestamp_seconds"] != nil && exposes(t, all, "awoooi") && exposes(t, all, "reporter")
	})
	collectors := families(t, startIn(t, t.TempDir(), "{}", Options{Role: RoleCollector}))

	var awoooi, noise, own, both, reporters []*dto.MetricFamily
	ofReporter := metricsOfReporter(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		switch {
		case strings.HasPrefix(name, "awoooi_collector_"):
			own = append(own, f)
		case strings.HasPrefix(name, "awoooi_reporter_") && collectors[name] != nil:
			both = append(both, f)
		case strings.HasPrefix(name, "awoooi_reporter_"):
			reporters = append(reporters, f)
		case strings.HasPrefix(name, "go_"), strings.HasPrefix(name, "process_"):
		case slices.Contains(ofReporter, name):
			noise = append(noise, f)
		case name == "awoooi_tickets", name == "awoooi_queue_length": // the test's own
		default:
			awoooi = append(awoooi, f)
		}
	}
	var b strings.Builder
	b.WriteString(metricsHead)
	b.WriteString("\n## KPIs of the set awoooi\n\n" + setHead("awoooi"))
	b.WriteString(kpiTable(t, "awoooi", awoooi))
	b.WriteString("\n## KPIs of the set journal\n\nGiven in the role `all`, and in the role `reporter` where `kpi_sets` names it. " + setHead("journal"))
	b.WriteString(kpiTable(t, "journal", journalKPIs(t)))
	b.WriteString("\n## KPIs of the set reporter\n\nLoaded in the roles `all` and `reporter`, whatever `kpi_sets` says. " + setHead("reporter"))
	b.WriteString(kpiTable(t, "reporter", noise))
	b.WriteString("\n## The collector\n\nExposed by the roles `all` and `collector`, and by the role `reporter` those of the queries of the journal. `source` and `query` are named in the configuration; " +
		"`kind` is http, journal, postgres or redis.\n\n" + familyTable(own))
	b.WriteString("\n## The reporter\n\nExposed by the roles `all` and `reporter`. `receiver` is named in the configuration; `kind` is that of the message.\n\n" + familyTable(reporters))
	b.WriteString("\n## Every process\n\nExposed in every role.\n\n" + familyTable(both))
	text := b.String()

	if *updateMetrics {
		if err := os.WriteFile(metricsFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != text {
		t.Errorf("docs/metrics.md differs from what the program exposes; run with -update-metrics. It would be:\n%s", text)
	}
	for _, name := range namesInTheCode(t) {
		if all[name] == nil {
			t.Errorf("%s is in the code, and the program of this test does not expose it", name)
		}
	}
}

const metricsHead = `# Metrics

Every metric that ` + "`/metrics`" + ` exposes. This page is made from the running program; a test compares them. Regenerate it with

` + "```" + `
go test ./internal/app -run TestReferenceOfMetrics -count 1 -update-metrics
` + "```" + `

Beside these there are client_golang's ` + "`go_*` and `process_*`" + ` metrics of the process itself. KPIs of your own have the names
that you give them.

A series whose query failed is absent: never stale, never 0. The KPIs are gauges, because rows arrive late and are deleted.
Each covers its window already: of several replicas take the ` + "`max`" + `, and do not sum over time but day by day.
`

// metricsOfReporter are the metrics of the set reporter.
func metricsOfReporter(t *testing.T) (names []string) {
	t.Helper()
	set, err := collector.Builtin(collector.SetReporter)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range set.Queries {
		for _, m := range q.Metrics {
			names = append(names, m.Name)
		}
	}
	return names
}

func setHead(name string) string {
	return fmt.Sprintf("As [collector/sets/%[1]s.yaml](../collector/sets/%[1]s.yaml) defines them; a query of the same name in your configuration replaces one.\n\n", name)
}

// kpiTable writes the table of a builtin set's metrics, and checks each against the family that a program exposes.
func kpiTable(t *testing.T, set string, exposed []*dto.MetricFamily) string {
	t.Helper()
	s, err := collector.Builtin(set)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, q := range s.Queries {
		for _, m := range q.Metrics {
			n := slices.IndexFunc(exposed, func(f *dto.MetricFamily) bool { return f.GetName() == m.Name })
			if n < 0 {
				t.Errorf("set %s: the program does not expose %s", set, m.Name)
				continue
			}
			f := exposed[n]
			if f.GetHelp() != m.Help || !slices.Equal(slices.Sorted(slices.Values(m.Labels)), labelNames(f)) {
				t.Errorf("set %s: %s has HELP %q and labels %v, and is defined with %q and %v", set, m.Name, f.GetHelp(), labelNames(f), m.Help, m.Labels)
			}
			rows[m.Name] = row(code(m.Name), kindOf(f), codes(m.Labels), window(m), code(q.Source), code(q.Name), f.GetHelp())
		}
	}
	for _, f := range exposed {
		if rows[f.GetName()] == "" {
			t.Errorf("set %s: the program exposes %s, which is not in the set", set, f.GetName())
		}
	}
	return table([]string{"metric", "type", "labels", "window", "source", "query", "help"}, rows)
}

func window(m kpi.Metric) string {
	if m.Window == 0 {
		return "now"
	}
	return strings.TrimSuffix(strings.TrimSuffix(m.Window.String(), "0s"), "0m") // as the sets write it: 24h
}

// familyTable writes the table of metric families, with the values of labels that have fixed values.
func familyTable(exposed []*dto.MetricFamily) string {
	rows := map[string]string{}
	for _, f := range exposed {
		var ls []string
		for _, name := range labelNames(f) {
			text := code(name)
			if slices.Contains(fixedLabels, name) || name == "kind" && strings.HasPrefix(f.GetName(), "awoooi_reporter_") {
				text += ": " + strings.Join(labelValues(f, name), ", ")
			}
			ls = append(ls, text)
		}
		rows[f.GetName()] = row(code(f.GetName()), kindOf(f), strings.Join(ls, "; "), f.GetHelp())
	}
	return table([]string{"metric", "type", "labels", "help"}, rows)
}

func table(head []string, rows map[string]string) string {
	text := row(head...) + "|" + strings.Repeat("---|", len(head)) + "\n"
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		text += rows[name]
	}
	return text
}

func row(cells ...string) string {
	for n, c := range cells {
		cells[n] = strings.ReplaceAll(c, "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func code(s string) string { return "`" + s + "`" }

func codes(names []string) string {
	var out []string
	for _, n := range names {
		out = append(out, code(n))
	}
	return strings.Join(out, ", ")
}

func kindOf(f *dto.MetricFamily) string { return strings.ToLower(f.GetType().String()) }

func labelNames(f *dto.MetricFamily) []string {
	names := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			names[l.GetName()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func labelValues(f *dto.MetricFamily, name string) []string {
	values := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == name {
				values[l.GetValue()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(values))
}

func families(t *testing.T, r *running) map[string]*dto.MetricFamily {
	t.Helper()
	_, text := r.get("/metrics")
	p := expfmt.NewTextParser(model.LegacyValidation)
	out, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name := range out {
		if !strings.HasPrefix(name, "awoooi_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("the reference says nothing of %s", name)
		}
	}
	return out
}

// exposes tells whether all metrics of a builtin set are there. A scrape that shares the run of one that began before the test's
// webhooks has only some of them.
func exposes(t *testing.T, all map[string]*dto.MetricFamily, set string) bool {
	t.Helper()
	s, err := collector.Builtin(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range s.Queries {
		for _, m := range q.Metrics {
			if all[m.Name] == nil {
				return false
			}
		}
	}
	return true
}

// journalKPIs returns what a program without configuration exposes of two incidents, one open and one resolved.
func journalKPIs(t *testing.T) (out []*dto.MetricFamily) {
	t.Helper()
	r := start(t, "webhook: {bearer_token: "+plantedWebhookToken+"}\n")
	began := time.Now().Add(-time.Hour)
	for id, end := range map[string]time.Time{"OPEN": {}, "OVER": began.Add(30 * time.Minute)} {
		if code := r.post(webhookBody(id, id, nil, began, end)); code != 200 {
			t.Fatalf("webhook: %d", code)
		}
	}
	var all map[string]*dto.MetricFamily
	eventually(t, "all KPIs", func() bool {
		all = families(t, r)
		return exposes(t, all, "journal")
	})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(name, "awoooi_") && !slices.Contains(metricsOfReporter(t), name) && !strings.HasPrefix(name, "awoooi_collector_") && !strings.HasPrefix(name, "awoooi_reporter_") {
			out = append(out, all[name])
		}
	}
	return out
}

// namesInTheCode returns the names of the program's own metrics that are string literals in its code.
func namesInTheCode(t *testing.T) []string {
	t.Helper()
	name := regexp.MustCompile(`"(awoooi_(?:collector|reporter)_\w*[a-z])"`)
	found := map[string]bool{}
	for _, dir := range []string{"../../collector", "../../reporter", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range name.FindAllStringSubmatch(string(b), -1) {
				found[m[1]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 20 {
		t.Fatalf("only %d metrics were found in the code", len(found))
	}
	return slices.Sorted(maps.Keys(found))
}
