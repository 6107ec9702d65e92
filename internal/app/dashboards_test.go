package app

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

var updateSeries = flag.Bool("update-series", false, "make dashboards/testdata/series.txt again")

const (
	dashboardsDir = "../../dashboards"
	// seriesFile holds the series that a running program exposes: the tests of dashboards and rules use these.
	seriesFile = dashboardsDir + "/testdata/series.txt"
)

// ofProcess are the metrics of client_golang that dashboards and rules use.
var ofProcess = []string{
	"go_goroutines", "process_cpu_seconds_total", "process_max_fds", "process_open_fds", "process_resident_memory_bytes",
	"process_start_time_seconds",
}

// busy returns a program that has collected, received, sent, and failed to send, so that /metrics has every series.
func busy(t *testing.T) *running {
	t.Helper()
	dsn, bot := database(t), botAPI(t)
	bot.SetChat("-100124", &localstack.BotFault{Status: http.StatusBadGateway, Proxy: true})
	api, _ := playbooks(t)
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), `
		CREATE TABLE tickets (priority text, created_at timestamptz);
		INSERT INTO tickets VALUES ('P1', now() - interval '1h'), ('P2', now() - interval '1h');
		INSERT INTO incidents (incident_id, status, alert_category, created_at, resolved_at)
			VALUES ('INC-1', 'RESOLVED', 'infrastructure', now() - interval '2h', now() - interval '1h'),
			       ('INC-2', 'OPEN', 'database', now() - interval '2h', NULL)`)
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, fmt.Sprintf(`
sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: %q}]
queries:
  - name: tickets
    source: awoooi
    sql: SELECT priority, count(*) AS tickets FROM tickets WHERE created_at >= @since AND created_at < @until GROUP BY 1
    metrics: [{name: awoooi_tickets, help: Tickets., value: tickets, labels: [priority], window: 24h}]
  - name: queue
    source: awoooi_api
    http: {path: /queue, jq: .total}
    metrics: [{name: awoooi_queue_length, help: Jobs waiting in the queue.}]
webhook: {bearer_token: %s}
telegram: {listen: true}
incidents: {firing_notice: false}
receivers:
  - {name: oncall, telegram: {bot_token: %q, chat_id: "-100123", api_url: %q}}
  - {name: broken, telegram: {bot_token: %q, chat_id: "-100124", api_url: %q}}
`, dsn, api, plantedWebhookToken, plantedToken, bot.URL(), plantedToken, bot.URL()))
	began := time.Now().Add(-time.Hour)
	for _, end := range []time.Time{{}, began.Add(30 * time.Minute)} {
		if code := r.post(webhookBody("g", "INC-1", nil, began, end)); code != 200 {
			t.Fatalf("webhook: %d", code)
		}
	}
	flaps(t, r)
	acknowledged(t, r)
	messages(t, bot, 1)
	return r
}

// flaps posts an alert that fires three times for two minutes each, which counts as noise.
func flaps(t *testing.T, r *running) {
	t.Helper()
	for n := range 3 {
		began := time.Now().Add(time.Duration(10*n-60) * time.Minute)
		for _, end := range []time.Time{{}, began.Add(2 * time.Minute)} {
			if code := r.post(webhookBody(fmt.Sprint("flaps", n), "FLAPS", map[string]string{"alertname": "Flaps"}, began, end)); code != 200 {
				t.Fatalf("webhook: %d", code)
			}
		}
	}
}

// acknowledged posts three incidents of another alert, each acknowledged before it ends.
func acknowledged(t *testing.T, r *running) {
	t.Helper()
	began := time.Now().Add(-time.Minute)
	for n := range 3 {
		id := fmt.Sprint("ACK-", n)
		for _, end := range []time.Time{{}, began.Add(30 * time.Second)} {
			if code := r.post(webhookBody(id, id, map[string]string{"alertname": "Acknowledged"}, began, end)); code != 200 {
				t.Fatalf("webhook: %d", code)
			}
			if !end.IsZero() {
				continue
			}
			by := reporter.Person{Kind: reporter.AuthorCommand, Name: "sre"}
			if _, changed, err := r.store.Acknowledge(t.Context(), id, by, reporter.MessageRef{}); !changed || err != nil {
				t.Fatal(changed, err)
			}
		}
	}
}

// exposed returns the program's own series with their labels and those values that do not vary between runs.
func exposed(t *testing.T, r *running) []string {
	t.Helper()
	_, text := r.get("/metrics")
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, f := range families {
		if !strings.HasPrefix(name, "awoooi_") && !slices.Contains(ofProcess, name) {
			continue
		}
		samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range samples {
			if strings.HasSuffix(name, "_build_info") { // its values differ from build to build
				for l := range s.Metric {
					if l != model.MetricNameLabel {
						s.Metric[l] = "x"
					}
				}
			}
			out = append(out, s.Metric.String())
		}
	}
	slices.Sort(out)
	return out
}

func TestSeriesOfTheProgramAreThoseThatDashboardsAndRulesWereTestedWith(t *testing.T) {
	t.Parallel()
	r := busy(t)
	want := []string{"awoooi_reporter_delivery_oldest_pending_timestamp_seconds"}
	if !*updateSeries {
		b, err := os.ReadFile(seriesFile)
		if err != nil {
			t.Fatal(err)
		}
		want = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	var have, missing []string
	t.Cleanup(func() {
		if len(missing) > 0 {
			t.Errorf("the program does not expose %q; run with -update-series, and mend dashboards and rules", missing)
		}
	})
	// A scrape may still share the run of an earlier one, which began before the posts.
	eventually(t, "all series", func() bool {
		have = exposed(t, r)
		missing = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return slices.Contains(have, s) })
		return len(missing) == 0
	})
	if *updateSeries {
		if err := os.WriteFile(seriesFile, []byte(strings.Join(have, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every selector and every grouping label in the dashboards and rules is one that the running program exposes.
func TestDashboardsAndRulesNameSeriesThatExist(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(seriesFile)
	if err != nil {
		t.Fatal(err)
	}
	p := parser.NewParser(parser.Options{})
	var series []labels.Labels
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		l, err := p.ParseMetric(line)
		if err != nil {
			t.Fatal(err)
		}
		series = append(series, labels.NewBuilder(l).Set("job", "awoooi").Set("instance", "a").Labels())
	}
	exprs := map[string]string{}
	files, err := filepath.Glob(dashboardsDir + "/rules/*.yaml")
	if err != nil || len(files) != 3 {
		t.Fatalf("rule files %v, %v", files, err)
	}
	for _, file := range files {
		var f struct {
			Groups []struct {
				Rules []struct{ Record, Alert, Expr string }
			}
		}
		read(t, file, yaml.Unmarshal, &f)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				exprs[r.Record+r.Alert] = r.Expr
			}
		}
	}
	for _, file := range []string{"awoooi-kpi.json", "awoooi-alert-noise.json", "awoooi-reporter-health.json"} {
		var d struct {
			Panels []struct {
				ID      int
				Title   string
				Targets []struct{ RefID, Expr string }
			}
		}
		read(t, filepath.Join(dashboardsDir, file), json.Unmarshal, &d)
		for _, panel := range d.Panels {
			for _, q := range panel.Targets {
				exprs[fmt.Sprint(file, panel.ID, panel.Title, q.RefID)] = strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "5m").Replace(q.Expr)
			}
		}
	}
	if len(exprs) < 60 {
		t.Fatalf("only %d expressions were found", len(exprs))
	}
	for name, expr := range exprs {
		e, err := p.ParseExpr(expr)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
			v, ok := node.(*parser.VectorSelector)
			if !ok || v.Name == "ALERTS" {
				return nil
			}
			if !slices.ContainsFunc(series, func(s labels.Labels) bool {
				return !slices.ContainsFunc(v.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(s.Get(m.Name)) })
			}) {
				t.Errorf("%s: the program exposes nothing that %s selects", name, v)
			}
			return nil
		})
		for _, l := range groupingLabels(e) {
			if !slices.ContainsFunc(series, func(s labels.Labels) bool { return s.Has(l) }) {
				t.Errorf("%s groups by %s, which no series has", name, l)
			}
		}
	}
}

func groupingLabels(e parser.Expr) (out []string) {
	parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			out = append(out, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				out = append(out, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return out
}

func read(t *testing.T, file string, unmarshal func([]byte, any) error, into any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestDueTimes(t *testing.T) {
	t.Parallel()
	taipei := time.FixedZone("Asia/Taipei", 8*60*60)
	now := time.Date(2026, 4, 22, 12, 0, 0, 0, time.UTC) // a Wednesday
	for name, tc := range map[string]struct {
		cron string
		next time.Time
		gap  time.Duration
	}{
		"daily":        {"0 8 * * *", time.Date(2026, 4, 23, 0, 0, 0, 0, time.UTC), 24 * time.Hour},
		"working days": {"0 8 * * 1-5", time.Date(2026, 4, 23, 0, 0, 0, 0, time.UTC), 72 * time.Hour},
		"twice a day":  {"0 8,20 * * *", time.Date(2026, 4, 23, 0, 0, 0, 0, time.UTC), 12 * time.Hour},
		"monthly":      {"0 8 1 * *", time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), 31 * 24 * time.Hour},
		"each minute":  {"* * * * *", now.Add(time.Minute), time.Minute},
	} {
		s, err := report.ParseSchedule(tc.cron, taipei)
		if err != nil {
			t.Fatal(err)
		}
		if next, gap := dueTimes(s, now); !next.Equal(tc.next) || gap != tc.gap {
			t.Errorf("%s: next %v, gap %v", name, next, gap)
		}
	}
}
