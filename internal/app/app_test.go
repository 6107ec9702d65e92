package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestReloadTakesAChangedDSNAndKeepsTheOldConfigIfTheNewIsBad(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	dsn := database(t)
	query := "queries: [{name: probe, source: awoooi, sql: \"SELECT %d AS value\", metrics: [{name: acme_probe, help: Probe.}]}]\n"
	source := func(dsn string) string {
		return fmt.Sprintf("sources: [{name: awoooi, kind: postgres, dsn: %q}]\n", dsn)
	}
	// No server is at the first DSN: the program starts nevertheless.
	nowhere := "postgres://u:" + plantedPassword + "@127.0.0.1:1/x"
	r := start(t, receiver(bot)+source(nowhere)+fmt.Sprintf(query, 1))
	if _, metrics := r.get("/metrics"); strings.Contains(metrics, "\nacme_probe") || !strings.Contains(metrics, `awoooi_collector_up{kind="postgres",source="awoooi"} 0`) {
		t.Errorf("a database that is down:\n%s", metrics)
	}
	r.write(receiver(bot) + source(dsn) + fmt.Sprintf(query, 2))
	if code := reload(t, r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "\nacme_probe 2\n") {
		t.Errorf("the changed DSN was not taken:\n%s", metrics)
	}
	for name, bad := range map[string]string{
		"unknown key":        receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "nonsense: 1\n",
		"unparsable DSN":     receiver(bot) + source("postgres://u:"+plantedPassword+"@:bad:/x") + fmt.Sprintf(query, 3),
		"bad metric":         receiver(bot) + source(dsn) + strings.ReplaceAll(fmt.Sprintf(query, 3), "acme_probe", "acme-probe"),
		"unknown locale":     receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "locale: tlh\n",
		"needs a restart":    receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "embedded: {retention: 5d}\n",
		"missing template":   receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "reports: [{name: daily, template: nowhere.tmpl}]\n",
		"bad schedule":       receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "reports: [{name: daily, schedule: \"61 8 * * *\"}]\n",
		"not even YAML":      "\t{",
		"a missing receiver": receiver(bot) + source(dsn) + fmt.Sprintf(query, 3) + "incidents: {receivers: [x]}\n",
	} {
		r.write(bad)
		if code := reload(t, r); code != http.StatusInternalServerError {
			t.Errorf("%s: reload answers %d", name, code)
		}
		_, metrics := r.get("/metrics")
		if !strings.Contains(metrics, "\nacme_probe 2\n") {
			t.Errorf("%s: the old configuration is not in force:\n%s", name, metrics)
		}
		if !strings.Contains(metrics, "\nawoooi_reporter_config_last_reload_successful 0\n") {
			t.Errorf("%s: the failed reload is not in /metrics", name)
		}
	}
	r.write(receiver(bot) + source(dsn) + fmt.Sprintf(query, 4))
	if code := reload(t, r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, "\nacme_probe 4\n") || !strings.Contains(metrics, "\nawoooi_reporter_config_last_reload_successful 1\n") {
		t.Error("a good configuration after bad ones was not taken")
	}
}

func reload(t *testing.T, r *running) int {
	t.Helper()
	resp, err := client.Post(r.url("/-/reload"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// At 08:00 Asia/Taipei the report is sent, once; a start before that does not send reports of the days before.
func TestReportIsSentAtEight(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	zone, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	clock := &stoppedClock{at: time.Date(2026, 4, 22, 7, 59, 59, 0, zone)}
	now := clock.now
	r := startIn(t, t.TempDir(), receiver(bot), Options{Role: RoleAll, Now: now})
	clock.run()
	got := messages(t, bot, 1)
	if !strings.Contains(got[0].Plain, "2026-04-22 | 04-21 08:00 ~ 04-22 08:00 台北時間") || strings.Contains(got[0].Plain, "延遲送出") {
		t.Errorf("at %v came:\n%s", now().In(zone), got[0].Plain)
	}
	if at := now(); at.Before(time.Date(2026, 4, 22, 8, 0, 0, 0, zone)) {
		t.Errorf("it came at %v", at.In(zone))
	}
	ds, err := r.store.Deliveries(t.Context(), 10)
	if err != nil || len(ds) != 1 || ds[0].Subject != "daily@2026-04-22T00:00:00Z" {
		t.Errorf("deliveries: %+v, %v", ds, err)
	}
}

// A report whose time has passed by more than catch_up when the program starts is not sent, and people are notified that it was not.
func TestReportMissedByMoreThanCatchUp(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	zone, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	clock := &stoppedClock{at: time.Date(2026, 4, 22, 7, 59, 59, 0, zone)}
	r := startIn(t, dir, receiver(bot), Options{Role: RoleAll, Now: clock.now})
	clock.run()
	messages(t, bot, 1)
	r.stop()
	clock = &stoppedClock{at: time.Date(2026, 4, 23, 20, 0, 1, 0, zone)}
	clock.run()
	startIn(t, dir, receiver(bot), Options{Role: RoleAll, Now: clock.now})
	got := messages(t, bot, 2)[1].Plain
	if !strings.Contains(got, "發送失敗") || !strings.Contains(got, "2026-04-23 08:00") || strings.Contains(got, "告警統計") {
		t.Errorf("after a day without the program came:\n%s", got)
	}
}

// Three replicas on one PostgreSQL send one report at 08:00, and one postmortem of a webhook that reaches all of them, as from an
// HA pair of Alertmanagers behind a load balancer.
func TestReplicasSendEverythingOnce(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	zone, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	clock := &stoppedClock{at: time.Date(2026, 4, 22, 7, 59, 59, 0, zone)}
	yaml := receiver(bot) + fmt.Sprintf("state: {dsn: %q}\n", database(t))
	var replicas []*running
	for range 3 {
		replicas = append(replicas, startIn(t, t.TempDir(), yaml, Options{Role: RoleAll, Now: clock.now}))
	}
	clock.run()
	began := time.Date(2026, 4, 21, 1, 0, 0, 0, time.UTC)
	var posts sync.WaitGroup
	for n := range 12 {
		posts.Go(func() {
			body := webhookBody("g", "ONCE", nil, began, began.Add(time.Hour))
			if code := replicas[n%3].post(body); code != 200 {
				t.Errorf("webhook: %d", code)
			}
		})
	}
	posts.Wait()
	messages(t, bot, 2)
	eventually(t, "everything to be sent", func() bool {
		pending, _, err := replicas[2].store.Pending(t.Context())
		return err == nil && len(pending) == 0
	})
	count := map[string]int{}
	for _, m := range bot.Messages() {
		for _, what := range []string{"ONCE", "日度巡檢報告"} {
			if strings.Contains(m.Plain, what) {
				count[what]++
			}
		}
	}
	if count["ONCE"] != 1 || count["日度巡檢報告"] != 1 {
		t.Errorf("arrived %v", count)
	}
	ds, err := replicas[0].store.Deliveries(t.Context(), 10)
	if err != nil || len(ds) != 2 {
		t.Errorf("deliveries: %+v, %v", ds, err)
	}
}

// Each role serves its own paths and metrics, and none of the other's.
func TestRoles(t *testing.T) {
	t.Parallel()
	c := startIn(t, t.TempDir(), "sources: [{name: awoooi, kind: postgres, dsn: \"host=127.0.0.1 port=1\"}]\n", Options{Role: RoleCollector})
	if code, text := c.get("/metrics"); code != 200 || !strings.Contains(text, "awoooi_collector_up") || strings.Contains(text, "awoooi_reporter_webhooks_total") {
		t.Errorf("the collector's metrics: %d", code)
	}
	if code, _ := c.get("/incidents"); code != 404 {
		t.Errorf("the collector's incidents: %d", code)
	}
	if code, _ := c.get("/-/ready"); code != 200 {
		t.Errorf("the collector's readiness: %d", code)
	}
	p := startIn(t, t.TempDir(), "prometheus: {url: \"http://127.0.0.1:1\"}\n", Options{Role: RoleReporter})
	if code, text := p.get("/metrics"); code != 200 || strings.Contains(text, "awoooi_collector_window_end") || strings.Contains(text, "awoooi_collector_metric_configured") ||
		!strings.Contains(text, "awoooi_reporter_webhooks_total") || !strings.Contains(text, "\nawoooi_alerts_chronic 0\n") || !strings.Contains(text, "\nawoooi_heartbeats{state=\"missing\"} 0\n") || !strings.Contains(text, "\nawoooi_alert_noise_names 0\n") {
		t.Errorf("the reporter's metrics: %d\n%s", code, text)
	}
	if code, page := p.get("/reports/daily"); code != 200 || !strings.Contains(page, "無資料") || !strings.Contains(page, "refused") {
		t.Errorf("a report without Prometheus: %d %s", code, page)
	}
}

// With the roles in processes of their own, one configuration serves both: what the journal gives is given by the reporter, which has
// the journal, and the set journal where it is named.
func TestJournalIsReadByTheReporter(t *testing.T) {
	t.Parallel()
	const query = "prometheus: {url: \"http://127.0.0.1:1\"}\n" +
		"queries: [{name: mine, source: journal, journal: incidents_open, metrics: [{name: acme_open, help: Open.}]}]\n"
	const open, mine = "\nawoooi_incidents_open 0\n", "\nacme_open 0\n"
	for name, tc := range map[string]struct {
		role, yaml    string
		want, without []string
	}{
		"both":                {RoleAll, query, []string{open, mine}, nil},
		"collector":           {RoleCollector, query, nil, []string{open, mine}},
		"reporter":            {RoleReporter, query, []string{mine}, []string{open}}, // as a collector elsewhere may have another source of it
		"reporter of the set": {RoleReporter, query + "kpi_sets: [journal]\n", []string{open, mine}, nil},
		"reporter of none":    {RoleReporter, query + "kpi_sets: []\n", []string{mine}, []string{open}},
	} {
		r := startIn(t, t.TempDir(), tc.yaml, Options{Role: tc.role})
		_, text := r.get("/metrics")
		for _, want := range tc.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: /metrics has no %q", name, want)
			}
		}
		for _, not := range tc.without {
			if strings.Contains(text, not) {
				t.Errorf("%s: /metrics has %q", name, not)
			}
		}
		if said := strings.Contains(r.logs.String(), "a process with the role reporter exposes it"); said != (tc.role == RoleCollector) {
			t.Errorf("%s: the log says who gives it: %v", name, said)
		}
		r.stop()
	}
}

func TestEndpointsAndPages(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot))
	for path, want := range map[string]int{
		"/": 200, "/metrics": 200, "/-/healthy": 200, "/-/ready": 200, "/incidents": 200, "/deliveries": 200,
		"/reports/daily": 200, "/reports/nothing": 404, "/incidents/nothing": 404, "/reports/daily?at=yesterday": 400, "/nowhere": 404,
		webhookPath: 405, webhookPath + "/": 405, "/-/reload": 405,
	} {
		if code, body := r.get(path); code != want {
			t.Errorf("GET %s: %d, want %d: %s", path, code, want, body)
		}
	}
	resp, err := client.Post(r.url(webhookPath), "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a webhook without the token: %d", resp.StatusCode)
	}
	if code := r.post(`{"version": "3"}`); code != http.StatusBadRequest {
		t.Errorf("a webhook of another version: %d", code)
	}
}

func TestExporterToolkitGuardsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("test"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte("basic_auth_users: {sre: "+string(hash)+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startIn(t, dir, "web: {config_file: web.yaml}\n", Options{Role: RoleAll})
	if code, _ := r.get("/metrics"); code != http.StatusUnauthorized {
		t.Errorf("without a password: %d", code)
	}
	req, err := http.NewRequest(http.MethodGet, r.url("/metrics"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("sre", "test")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("with the password: %d", resp.StatusCode)
	}
}

// A revoked token suspends the receiver: readiness and metrics show it, the fallback receiver gets the notice, and pending messages
// are sent once the token is corrected.
func TestPeopleAreNotifiedOfARevokedToken(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	config := func(token string) string {
		return fmt.Sprintf(`
webhook: {bearer_token: %s}
delivery: {fallback_receiver: backup}
receivers:
  - {name: oncall, telegram: {bot_token: %q, chat_id: 1, api_url: %q}}
  - {name: backup, telegram: {bot_token: %q, chat_id: 2, api_url: %q}}
`, plantedWebhookToken, token, bot.URL(), plantedToken, bot.URL())
	}
	r := start(t, config("1:revoked"))
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	if code := r.post(webhookBody("g", "LOST", nil, began, began.Add(time.Hour))); code != 200 {
		t.Fatalf("webhook: %d", code)
	}
	got := messages(t, bot, 1)[0]
	if got.ChatID != "2" || !strings.Contains(got.Plain, "暫停發送") || !strings.Contains(got.Plain, "LOST") {
		t.Errorf("the fallback got %q in chat %s", got.Plain, got.ChatID)
	}
	// The process still accepts webhooks, so that a load balancer must keep it.
	if code, body := r.get("/-/ready"); code != http.StatusOK || !strings.Contains(body, "receivers: failing") || strings.Contains(body, "oncall") {
		t.Errorf("/-/ready: %d %s", code, body)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, `awoooi_reporter_receiver_stopped{receiver="oncall"} 1`) {
		t.Error("/metrics does not show the stopped receiver")
	}
	ds, err := r.store.Deliveries(t.Context(), 10)
	if err != nil || len(ds) != 2 || ds[1].State != reporter.DeliveryPending {
		t.Errorf("deliveries: %+v, %v", ds, err)
	}
	r.write(config(plantedToken))
	if code := reload(t, r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	if got := messages(t, bot, 2)[1]; got.ChatID != "1" || !strings.Contains(got.Plain, "LOST") {
		t.Errorf("after the reload: %q in chat %s", got.Plain, got.ChatID)
	}
	if code, body := r.get("/-/ready"); code != http.StatusOK || strings.Contains(body, "failing") {
		t.Errorf("/-/ready after the reload: %d %s", code, body)
	}
}
