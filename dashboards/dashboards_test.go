package dashboards

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/reporter"
)

var update = flag.Bool("update", false, "regenerate the committed dashboards and rules")

func TestMain(m *testing.M) {
	plugins.RegisterDefaultPlugins() // so that panels and queries are decoded as what they are
	os.Exit(m.Run())
}

// builtinSet reads a builtin set of the collector, which this package must not import.
func builtinSet(t *testing.T, name string) []kpi.Query {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "collector", "sets", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := kpi.ParseSet(b)
	if err != nil {
		t.Fatal(err)
	}
	return set.Queries
}

// committed are the options of the committed files: the set awoooi and the daily report.
func committed(t *testing.T) Options {
	return Options{Queries: append(builtinSet(t, "awoooi"), builtinSet(t, "reporter")...), ReportGap: 24 * time.Hour}
}

// ownKPIs are KPIs of users, in every form.
func ownKPIs() []kpi.Query {
	return []kpi.Query{
		{Name: "tickets", Source: "awoooi", Metrics: []kpi.Metric{{
			Name: "awoooi_tickets", Help: "Tickets opened in the trailing 24 hours, by priority.",
			Labels: []string{"priority"}, Window: 24 * time.Hour,
		}}},
		{Name: "queue", Source: "cache", Metrics: []kpi.Metric{{Name: "awoooi_queue_length", Help: "Jobs waiting in the queue, now."}}},
		{Name: "runs", Source: "awoooi", Metrics: []kpi.Metric{
			{Name: "awoooi_run_seconds", Help: "Average duration, by job and team.", Labels: []string{"job", "team"}},
			{Name: "awoooi_backup_timestamp_seconds", Help: "When the last backup ended."},
		}},
	}
}

func TestCommittedFilesAreWhatTheCodeMakes(t *testing.T) {
	t.Parallel()
	files, err := Files(committed(t))
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, f := range files {
		path := filepath.FromSlash(f.Name)
		if _, err := builtin.Open(f.Name); err == nil { // Written by hand, and embedded as it is.
			continue
		}
		made++
		if *update {
			if err := os.WriteFile(path, f.Content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), string(f.Content)); diff != "" {
			t.Errorf("%s differs from what is made now; run `make dashboards`:\n%s", f.Name, diff)
		}
	}
	if made != 4 || len(files) != 7 {
		t.Errorf("%d files, %d of them made", len(files), made)
	}
}

// decode reads a dashboard by Grafana's own types, and writes it again, to find fields that they do not have.
//
//nolint:staticcheck // The format that Grafana 10 reads.
func decode(t *testing.T, content []byte) dashboard.Dashboard {
	t.Helper()
	var d dashboard.Dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(anyOf(t, content), anyOf(t, again)); diff != "" {
		t.Errorf("Grafana's types do not have all fields: %s", diff)
	}
	return d
}

func anyOf(t *testing.T, content []byte) (out any) {
	t.Helper()
	if err := json.Unmarshal(content, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// configurations are the options of these tests.
func configurations(t *testing.T) map[string]Options {
	awoooi := builtinSet(t, "awoooi")
	return map[string]Options{
		"builtin set awoooi":  committed(t),
		"builtin set journal": {Queries: builtinSet(t, "journal")},
		"with own KPIs": {
			Queries: append(slices.Clone(awoooi), ownKPIs()...), ExternalURL: "https://reporter.example.org/",
			Zone: "Europe/Berlin", DueAt: 6*time.Hour + 30*time.Minute, Excellent: 0.95, Good: 0.9, ReportGap: 72 * time.Hour,
		},
		"no KPIs at all": {},
	}
}

func TestDashboardsImportIntoGrafana(t *testing.T) {
	t.Parallel()
	for name, o := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for uid, make := range map[string]func(Options) ([]byte, error){KPIUID: KPI, NoiseUID: Noise, HealthUID: Health} {
				content, err := make(o)
				if err != nil {
					t.Fatal(err)
				}
				checkDashboard(t, uid, o, content)
			}
		})
	}
}

func checkDashboard(t *testing.T, uid string, o Options, content []byte) {
	t.Helper()
	d := decode(t, content)
	if *d.Uid != uid || !slices.Contains(d.Tags, Tag) || d.SchemaVersion != schemaVersion {
		t.Errorf("uid %s, tags %v, schema %d", *d.Uid, d.Tags, d.SchemaVersion)
	}
	if want := o.withDefaults().Zone; *d.Timezone != want {
		t.Errorf("time zone is %s, want %s", *d.Timezone, want)
	}
	if l := d.Links[0]; l.Type != dashboard.DashboardLinkTypeDashboards || !slices.Contains(l.Tags, Tag) {
		t.Errorf("no link by tag to the other dashboard: %+v", l)
	}
	if d.Editable == nil || *d.Editable {
		t.Error("a dashboard that is generated can be edited")
	}
	for n, want := range []string{"job", "instance"} {
		v := d.Templating.List[1+n]
		if v.Name != want || v.AllValue == nil || *v.AllValue != ".+" || v.Multi == nil || !*v.Multi || *v.Datasource.Uid != "${datasource}" {
			t.Errorf("variable %d is %+v", 1+n, v)
		}
	}
	var marks []string
	for _, a := range d.Annotations.List {
		marks = append(marks, a.Name)
		checkSelectors(t, a.Name, *a.Expr)
		if title := *a.TitleFormat; strings.Contains(strings.ReplaceAll(title, "{{instance}}", ""), "{{") {
			t.Errorf("the title of annotation %s names a label that its series does not have: %s", a.Name, title)
		}
	}
	if got := strings.Join(marks, " "); got != "Restarts Reloads Reports" {
		t.Errorf("annotations are %q", got)
	}
	if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != dashboard.VariableTypeDatasource {
		t.Errorf("first variable is %+v", v)
	}
	ids, titles := map[uint32]bool{}, map[string]bool{}
	bottom := uint32(0)
	for _, either := range d.Panels {
		if r := either.RowPanel; r != nil {
			if ids[r.Id] || r.GridPos.Y < bottom {
				t.Errorf("row %q: id %d, at %+v", *r.Title, r.Id, r.GridPos)
			}
			ids[r.Id] = true
			continue
		}
		p := either.Panel
		titles[*p.Title] = true
		if *p.Id == 0 || ids[*p.Id] {
			t.Errorf("panel %q: id %d is taken", *p.Title, *p.Id)
		}
		ids[*p.Id] = true
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q reaches beyond the grid: %+v", *p.Title, p.GridPos)
		}
		if p.Description == nil || *p.Description == "" {
			t.Errorf("panel %q has no description", *p.Title)
		}
		if p.FieldConfig.Defaults.NoValue == nil || *p.FieldConfig.Defaults.NoValue != noData {
			t.Errorf("panel %q does not say that it has no data", *p.Title)
		}
		if p.FieldConfig.Defaults.Unit == nil && p.Type != "status-history" {
			t.Errorf("panel %q has no unit", *p.Title)
		}
		if *p.Datasource.Uid != "${datasource}" {
			t.Errorf("panel %q reads %s", *p.Title, *p.Datasource.Uid)
		}
	}
	for _, q := range o.Queries {
		for _, m := range q.Metrics {
			if uid == KPIUID && !strings.HasPrefix(m.Name, noisePrefix) && !slices.Contains(wellKnown, m.Name) && !titles[m.Name] {
				t.Errorf("no panel for %s", m.Name)
			}
		}
	}
	for _, q := range queriesOf(t, content) {
		// A figure must be an instant query: the last sample of a range may be old.
		if (q.kind == "stat" || q.kind == "bargauge") && !q.instant {
			t.Errorf("panel %q reduces a range: %s", q.panel, q.expr)
		}
		if o.Sections == nil {
			checkSelectors(t, q.panel, q.expr)
		}
		if strings.Contains(q.expr, "vector(") || strings.Contains(q.expr, "{}") {
			t.Errorf("panel %q makes up a figure, or selects any job: %s", q.panel, q.expr)
		}
	}
}

// checkSelectors requires the chosen jobs and instances in every selector, as Grafana's linter of dashboards does.
func checkSelectors(t *testing.T, where, expr string) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expr, "$__rate_interval", "5m"))
	if err != nil {
		t.Errorf("%s: %v: %s", where, err, expr)
		return
	}
	for _, selector := range parser.ExtractSelectors(e) {
		for _, name := range []string{"job", "instance"} {
			if !slices.ContainsFunc(selector, func(m *labels.Matcher) bool {
				return m.Name == name && m.Type == labels.MatchRegexp && m.Value == "$"+name
			}) {
				t.Errorf("%s: %v selects any %s: %s", where, selector, name, expr)
			}
		}
	}
}

// A section of a user is a row, and a target a threshold, without further configuration.
func TestSectionsOfUsersAreRows(t *testing.T) {
	t.Parallel()
	o := committed(t)
	o.Sections = []reporter.Section{{Title: reporter.Words{Text: "服務水準"}, Lines: []reporter.Line{
		{Name: "error_budget", Title: reporter.Words{Text: "錯誤預算"}, Expr: `slo:error_budget_remaining:ratio{slo="checkout"}`, Format: reporter.FormatPercent, Target: reporter.Target{Op: ">=", Value: 0.2}},
		{Name: "queue", Title: reporter.Words{Text: "Queue"}, Expr: `max(awoooi_alerts) > 0`, Target: reporter.Target{Op: "<=", Value: 5}},
		{Name: "since", Title: reporter.Words{Text: "Since"}, Expr: `max(backup_time)`, Format: reporter.FormatAge},
		{Name: "teams", Expr: `sum by (team) (tickets)`, List: &reporter.List{Top: 5}},
	}}}
	content, err := KPI(o)
	if err != nil {
		t.Fatal(err)
	}
	checkDashboard(t, KPIUID, o, content)
	var got []string
	in := false
	for _, either := range decode(t, content).Panels {
		if r := either.RowPanel; r != nil {
			in = *r.Title == "服務水準"
			continue
		}
		if !in {
			continue
		}
		p := either.Panel
		steps := []string{}
		for _, s := range p.FieldConfig.Defaults.Thresholds.Steps {
			text := s.Color
			if s.Value != nil {
				text += fmt.Sprintf(" from %.3g", *s.Value)
			}
			steps = append(steps, text)
		}
		q, ok := p.Targets[0].(*prometheus.Dataquery)
		if !ok {
			t.Fatalf("target is %T", p.Targets[0])
		}
		got = append(got, fmt.Sprintf("%s %s [%s] %s %s", p.Type, *p.Title, strings.Join(steps, ", "), *p.FieldConfig.Defaults.Unit, q.Expr))
	}
	want := []string{
		`stat 錯誤預算 [red, green from 0.2] percentunit slo:error_budget_remaining:ratio{slo="checkout"}`,
		`timeseries 錯誤預算 [red, green from 0.2] percentunit slo:error_budget_remaining:ratio{slo="checkout"}`,
		`stat Queue [green, red from 5] none max(awoooi_alerts{instance=~"$instance",job=~"$job"}) > 0`,
		`timeseries Queue [green, red from 5] none max(awoooi_alerts{instance=~"$instance",job=~"$job"}) > 0`,
		`stat Since [text] dateTimeFromNow (max(backup_time)) * 1000`, `timeseries Since [text] dateTimeFromNow (max(backup_time)) * 1000`,
		`bargauge 服務水準 [text] none sum by (team) (tickets)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// query is one target of a committed dashboard.
type query struct {
	panel, kind, expr string
	instant           bool
	step              time.Duration
}

func queriesOf(t *testing.T, content []byte) []query {
	t.Helper()
	var d struct {
		Panels []struct {
			Title, Type, Interval string
			Targets               []struct {
				Expr           string
				Instant, Range bool
			}
		}
	}
	if err := json.Unmarshal(content, &d); err != nil {
		t.Fatal(err)
	}
	var out []query
	for _, p := range d.Panels {
		step := time.Minute
		if p.Interval == "1d" {
			step = 24 * time.Hour
		}
		for _, target := range p.Targets {
			if target.Instant == target.Range {
				t.Errorf("panel %q: a query is either of now or of a range", p.Title)
			}
			out = append(out, query{p.Title, p.Type, target.Expr, target.Instant, step})
		}
	}
	return out
}
