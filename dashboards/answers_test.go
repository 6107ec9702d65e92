package dashboards

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// The history for the queries: three days of scrapes, and then nothing.
var (
	historyEnd   = time.Date(2026, 4, 22, 2, 0, 0, 0, time.UTC) // 10:00 in Asia/Taipei
	historyStart = historyEnd.Add(-72 * time.Hour)
)

const historyStep = 5 * time.Minute

// programSeries are the series of the running program; a test of internal/app compares them.
func programSeries(t *testing.T) []labels.Labels {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "series.txt"))
	if err != nil {
		t.Fatal(err)
	}
	p := parser.NewParser(parser.Options{})
	var out []labels.Labels
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		l, err := p.ParseMetric(line)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// valueAt is the value of a healthy program's series at a time. A KPI grows by one each hour.
func valueAt(l labels.Labels, t time.Time) float64 {
	name, unix := l.Get("__name__"), float64(t.Unix())
	since := t.Sub(historyStart)
	switch {
	case name == "awoooi_collector_window_end_timestamp_seconds", name == "awoooi_collector_query_last_success_timestamp_seconds":
		return unix
	case name == "awoooi_reporter_report_last_sent_timestamp_seconds":
		return float64(t.Truncate(24 * time.Hour).Unix())
	case name == "awoooi_reporter_config_last_reload_success_timestamp_seconds", name == "process_start_time_seconds":
		return float64(historyStart.Unix())
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return unix - 60
	case name == "awoooi_reporter_webhook_duration_seconds_bucket":
		le := 11.0
		if s := l.Get("le"); s != "+Inf" {
			fmt.Sscan(s, &le)
		}
		return math.Floor(since.Minutes()) * le
	case strings.HasSuffix(name, "_total"), strings.HasSuffix(name, "_count"), strings.HasSuffix(name, "_sum"):
		return math.Floor(since.Minutes())
	case name == "awoooi_reporter_receiver_stopped":
		return 0
	case name == "awoooi_collector_up", name == "awoooi_collector_query_success", strings.HasPrefix(name, "awoooi_reporter_"):
		return 1
	}
	return float64(len(name)) + math.Floor(since.Hours())
}

// history starts a Prometheus that has scraped three jobs: "awoooi" is healthy, on two replicas; "lame" lacks
// awoooi_repairs_failed; "idle" had nothing to count.
func history(t *testing.T) v1.API {
	t.Helper()
	var text strings.Builder
	write := func(l labels.Labels, job, instance string, value func(time.Time) float64) {
		all := labels.NewBuilder(l).Set("job", job).Set("instance", instance).Del("__name__").Labels()
		series := l.Get("__name__") + strings.ReplaceAll(all.String(), `", `, `",`)
		for at := historyStart; !at.After(historyEnd); at = at.Add(historyStep) {
			fmt.Fprintf(&text, "%s %v %d\n", series, value(at), at.Unix())
		}
	}
	for _, l := range programSeries(t) {
		name := l.Get("__name__")
		for _, instance := range []string{"a:9787", "b:9787"} {
			write(l, "awoooi", instance, func(at time.Time) float64 { return valueAt(l, at) })
		}
		if strings.HasPrefix(name, "awoooi_repairs") {
			write(l, "idle", "c:9787", func(time.Time) float64 { return 0 })
		}
		if name == "awoooi_repairs_succeeded" {
			write(l, "lame", "d:9787", func(time.Time) float64 { return 5 })
		}
	}
	text.WriteString("# EOF\n")
	dir := t.TempDir()
	input := filepath.Join(dir, "history.txt")
	if err := os.WriteFile(input, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "tsdb", "create-blocks-from", "--max-block-duration=24h", "openmetrics", input, filepath.Join(dir, "data"))
	prom, err := localstack.StartPrometheus(context.WithoutCancel(t.Context()), localstack.PrometheusOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := api.NewClient(api.Config{Address: prom.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return v1.NewAPI(client)
}

// promtool runs promtool and returns its output; an error ends the test.
func promtool(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil { // Where `make tools` puts it.
		tools := os.Getenv("AWOOOI_TOOLS")
		if cache, err := os.UserCacheDir(); tools == "" && err == nil {
			tools = filepath.Join(cache, "awoooi-reporter", "tools")
		}
		path = filepath.Join(tools, "bin", "promtool")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("promtool %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// ask runs a panel's query as Grafana, and returns its series with their last samples.
func ask(t *testing.T, prom v1.API, q query, job string, at time.Time) model.Vector {
	t.Helper()
	expr := strings.NewReplacer("$job", job, "$instance", ".+", "$__rate_interval", "20m").Replace(q.expr)
	if q.instant {
		v, warnings, _, err := prom.Query(t.Context(), expr, at)
		if err != nil || len(warnings) > 0 {
			t.Errorf("panel %q: %v %v: %s", q.panel, err, warnings, expr)
			return nil
		}
		return v.(model.Vector)
	}
	// Grafana begins at a whole step of the dashboard's zone.
	const zone = 8 * time.Hour
	r := v1.Range{Start: at.Add(-24*time.Hour + zone).Truncate(q.step).Add(-zone), End: at, Step: q.step}
	v, warnings, _, err := prom.QueryRange(t.Context(), expr, r)
	if err != nil || len(warnings) > 0 {
		t.Errorf("panel %q: %v %v: %s", q.panel, err, warnings, expr)
		return nil
	}
	var out model.Vector
	for _, s := range v.(model.Matrix) {
		last := s.Values[len(s.Values)-1]
		out = append(out, &model.Sample{Metric: s.Metric, Value: last.Value, Timestamp: last.Timestamp})
	}
	return out
}

func TestPanelsAnswerFromARealPrometheus(t *testing.T) {
	t.Parallel()
	prom := history(t)
	o := committed(t)
	o.Queries = append(o.Queries, ownKPIs()[:2]...)
	kpiBoard, err := KPI(o)
	if err != nil {
		t.Fatal(err)
	}
	healthBoard, err := Health(o)
	if err != nil {
		t.Fatal(err)
	}
	noiseBoard, err := Noise(o)
	if err != nil {
		t.Fatal(err)
	}
	byPanel := map[string]model.Vector{}
	for _, q := range slices.Concat(queriesOf(t, kpiBoard), queriesOf(t, noiseBoard), queriesOf(t, healthBoard)) {
		got := ask(t, prom, q, ".*", historyEnd)
		if len(got) == 0 {
			t.Errorf("panel %q has no data: %s", q.panel, q.expr)
		}
		for _, s := range got {
			if math.IsNaN(float64(s.Value)) {
				t.Errorf("panel %q shows NaN: %s", q.panel, q.expr)
			}
		}
		key := q.kind + " " + q.panel
		byPanel[key] = append(byPanel[key], got...)

		// Ten minutes after the last scrape no panel may show a value, except those with a range of their own.
		late := historyEnd.Add(10 * time.Minute)
		if late := ask(t, prom, query{q.panel, q.kind, q.expr, true, 0}, ".*", late); len(late) > 0 && !strings.Contains(q.expr, "[") {
			t.Errorf("panel %q shows %v without samples: %s", q.panel, late, q.expr)
		}
	}

	total := 0.0
	for _, l := range programSeries(t) {
		if l.Get("__name__") == alerts {
			total += valueAt(l, historyEnd)
		}
	}
	// Once, not twice for two replicas; three categories have grown by one an hour each.
	if v := byPanel["stat Alerts"]; len(v) != 2 || float64(v[0].Value) != total || v[1].Value != 3*24 {
		t.Errorf("Alerts shows %v, want %v and 72", v, total)
	}
	if v := byPanel["stat Last report"]; len(v) != 1 || v[0].Value.String() != fmt.Sprint(model.SampleValue(historyEnd.Truncate(24*time.Hour).Unix()*1000)) {
		t.Errorf("Last report shows %v", v)
	}
	if v := byPanel["timeseries awoooi_tickets"]; len(v) != 2 || v[0].Metric["priority"] != "P1" {
		t.Errorf("own KPI shows %v", v)
	}
	if v := byPanel["stat Processes"]; len(v) != 1 || v[0].Value != 2 {
		t.Errorf("Processes shows %v", v)
	}

	t.Run("a day is the figure of its report", func(t *testing.T) {
		for _, due := range []time.Duration{0, time.Hour} { // 08:00 and 09:00 in Asia/Taipei
			o := committed(t)
			o.DueAt = due
			content, err := KPI(o)
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range queriesOf(t, content) {
				if q.step != 24*time.Hour || !strings.Contains(q.expr, resolved+"{") {
					continue
				}
				midnight := time.Date(2026, 4, 21, 16, 0, 0, 0, time.UTC) // of the 22nd, in Asia/Taipei
				got := ask(t, prom, q, "awoooi", historyEnd)
				want := valueAt(labels.FromStrings("__name__", resolved), time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC).Add(due))
				if len(got) != 1 || float64(got[0].Value) != want || !got[0].Timestamp.Time().Equal(midnight) {
					t.Errorf("due at %v: %v, want %v at %v: %s", due, got, want, midnight, q.expr)
				}
			}
		}
	})
	t.Run("a rate of nothing is nothing", func(t *testing.T) {
		rates := slices.DeleteFunc(queriesOf(t, kpiBoard), func(q query) bool { return q.panel != "Repair success" })
		if len(rates) != 2 {
			t.Fatalf("%d rates", len(rates))
		}
		for _, q := range rates {
			if got := ask(t, prom, q, "awoooi", historyEnd); len(got) != 1 {
				t.Errorf("%v of both parts", got)
			}
			for _, job := range []string{"idle", "lame"} {
				if got := ask(t, prom, q, job, historyEnd); len(got) != 0 {
					t.Errorf("%s: %v, want nothing", job, got)
				}
			}
		}
		for _, q := range queriesOf(t, kpiBoard) {
			if q.panel == "Repairs failed" && !strings.Contains(q.expr, "offset") {
				if got := ask(t, prom, q, "idle", historyEnd); len(got) != 1 || got[0].Value != 0 {
					t.Errorf("a real zero shows as %v", got)
				}
				if got := ask(t, prom, q, "lame", historyEnd); len(got) != 0 {
					t.Errorf("a figure without data shows as %v", got)
				}
			}
		}
	})
}
