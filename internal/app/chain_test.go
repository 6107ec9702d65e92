package app

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

var dataSets = flag.Uint64("app.data-sets", 12, "how many random databases the report is checked against")

// plainSQL computes each figure of the daily report independently of the builtin set: it counts fetched rows rather than use the
// set's aggregates.
func plainSQL(t *testing.T, conn *pgx.Conn, since, until time.Time) (map[string]float64, map[string]float64) {
	t.Helper()
	ctx := t.Context()
	figures := map[string]float64{"incidents_open": 0}
	categories := map[string]float64{}
	approved := map[string]bool{}
	each(t, conn, `SELECT incident_id, status::text FROM approval_records WHERE approved_by IS NOT NULL`, func(rows pgx.Rows) error {
		var id *string
		var status string
		if err := rows.Scan(&id, &status); err != nil {
			return err
		}
		switch strings.ToUpper(status) {
		case "PENDING", "REJECTED", "EXPIRED":
		default:
			if id != nil {
				approved[*id] = true
			}
		}
		return nil
	})
	for _, name := range []string{"alerts", "resolved", "auto_resolved", "human_approved", "converged", "grouped"} {
		figures[name] = 0
	}
	each(t, conn, `SELECT incident_id, created_at, status::text, alert_category, hit_count, alert_group_id FROM incidents`, func(rows pgx.Rows) error {
		var id, status string
		var created time.Time
		var category, group *string
		var hits *int
		if err := rows.Scan(&id, &created, &status, &category, &hits, &group); err != nil {
			return err
		}
		resolved := strings.ToUpper(status) == "RESOLVED"
		if !resolved && strings.ToUpper(status) != "CLOSED" {
			figures["incidents_open"]++
		}
		if created.Before(since) || !created.Before(until) {
			return nil
		}
		figures["alerts"]++
		if category == nil {
			categories["uncategorized"]++
		} else {
			categories[*category]++
		}
		if resolved {
			figures["resolved"]++
			if approved[id] {
				figures["human_approved"]++
			} else {
				figures["auto_resolved"]++
			}
		}
		if hits != nil && *hits > 1 {
			figures["converged"] += float64(*hits - 1)
		}
		if group != nil {
			figures["grouped"]++
		}
		return nil
	})
	figures["repairs_succeeded"], figures["repairs_failed"], figures["knowledge_entries"] = 0, 0, 0
	each(t, conn, `SELECT created_at, status::text FROM approval_records`, func(rows pgx.Rows) error {
		var created time.Time
		var status string
		if err := rows.Scan(&created, &status); err != nil {
			return err
		}
		if created.Before(since) || !created.Before(until) {
			return nil
		}
		switch strings.ToUpper(status) {
		case "EXECUTION_SUCCESS":
			figures["repairs_succeeded"]++
		case "EXECUTION_FAILED":
			figures["repairs_failed"]++
		}
		return nil
	})
	each(t, conn, `SELECT created_at FROM knowledge_entries`, func(rows pgx.Rows) error {
		var created time.Time
		if err := rows.Scan(&created); err != nil {
			return err
		}
		if !created.Before(since) && created.Before(until) {
			figures["knowledge_entries"]++
		}
		return nil
	})
	if ctx.Err() != nil {
		t.Fatal(ctx.Err())
	}
	return figures, categories
}

func each(t *testing.T, conn *pgx.Conn, sql string, scan func(pgx.Rows) error) {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// The figures of the report, read by PromQL as of the due time, equal what plain SQL computes for the same window.
func TestReportEqualsPlainSQLOnRandomDataSets(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	api, number := playbooks(t)
	r := start(t, fmt.Sprintf("sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: %q}]\n"+
		"embedded: {scrape_interval: 1h}\n", dsn, api))
	conn := connect(t, dsn)
	for set := range *dataSets {
		seed(t, conn, dsn, set, number)
		due, until := r.scrape()
		checkReport(t, r, conn, set, due, until, number)
	}
}

// The same holds if a real Prometheus scrapes.
func TestReportOfARealPrometheusEqualsPlainSQL(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	api, number := playbooks(t)
	conf := func(prometheus string) string {
		return fmt.Sprintf("sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: %q}]\n"+
			"prometheus: {url: %q}\n", dsn, api, prometheus)
	}
	r := start(t, conf("http://127.0.0.1:1"))
	// A scrape may take as long as the interval, which a busy machine may need.
	prom := startPrometheus(t, localstack.PrometheusOptions{ScrapeInterval: 3 * time.Second, Targets: []string{r.Addr()}})
	r.write(conf(prom.URL()))
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, dsn)
	for set := range uint64(3) {
		seed(t, conn, dsn, set+1, number)
		due, until := scrapedSince(t, r, time.Now(), "min(awoooi_collector_query_success)")
		checkReport(t, r, conn, set, due, until, number)
	}
}

// seed replaces the rows of the database by random ones.
func seed(t *testing.T, conn *pgx.Conn, dsn string, set uint64, number *atomic.Int64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(set, 1))
	if _, err := conn.Exec(t.Context(), "TRUNCATE incidents, approval_records, knowledge_entries"); err != nil {
		t.Fatal(err)
	}
	perDay := rng.IntN(60) // some sets are empty, or nearly so
	if set%10 == 0 {
		perDay = 0
	}
	err := localstack.SeedAWOOOI(t.Context(), dsn, localstack.SeedOptions{Seed: set, Now: time.Now(), Days: 3, PerDay: perDay})
	if err != nil {
		t.Fatal(err)
	}
	number.Store(int64(rng.IntN(1000)))
}

func checkReport(t *testing.T, r *running, conn *pgx.Conn, set uint64, due, until time.Time, number *atomic.Int64) {
	t.Helper()
	want, wantCategories := plainSQL(t, conn, until.Add(-24*time.Hour), until)
	want["playbooks"] = float64(number.Load())
	rep, _, err := r.texts.Report(t.Context(), "daily", due)
	if err != nil {
		t.Fatalf("data set %d: %v", set, err)
	}
	for name, value := range want {
		got, ok := rep.Figure(name).Value()
		if !ok || got != value {
			t.Errorf("data set %d: figure %s is %v (%v, %s), plain SQL says %v", set, name, got, ok, rep.Figure(name).Reason, value)
		}
	}
	got := map[string]float64{}
	for _, s := range rep.Figure("alerts_by_category").Samples {
		if s.Value != 0 {
			got[s.Labels["category"]] = s.Value
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(wantCategories) {
		t.Errorf("data set %d: categories are %v, plain SQL says %v", set, got, wantCategories)
	}
	if t.Failed() {
		t.FailNow()
	}
}

func startPrometheus(t *testing.T, o localstack.PrometheusOptions) *localstack.Prometheus {
	t.Helper()
	prom, err := localstack.StartPrometheus(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	})
	return prom
}

// scrapedSince waits for a scrape whose window ended after t, and returns the time of its samples and the end of its window.
// The expression good must be 1 at that time, because on a busy machine a scrape may exceed its deadline.
func scrapedSince(t *testing.T, r *running, since time.Time, good string) (due, until time.Time) {
	t.Helper()
	ask := func(expr string) (float64, bool) {
		samples, err := r.content.Load().querier.Query(t.Context(), expr, time.Now())
		if err != nil || len(samples) != 1 {
			return 0, false
		}
		return samples[0].Value, true
	}
	const end = "awoooi_collector_window_end_timestamp_seconds"
	eventually(t, "a scrape", func() bool {
		at, ok1 := ask("timestamp(" + end + ")")
		if !ok1 {
			return false
		}
		due = time.UnixMilli(int64(at*1000 + 0.5))
		samples, err := r.content.Load().querier.Query(t.Context(), end, due)
		if err != nil || len(samples) != 1 {
			return false
		}
		until = time.UnixMicro(int64(samples[0].Value*1e6 + 0.5))
		samples, err = r.content.Load().querier.Query(t.Context(), good, due)
		return until.After(since) && err == nil && len(samples) == 1 && samples[0].Value == 1
	})
	return due, until
}

func webhookBody(groupKey, id string, labels map[string]string, starts, ends time.Time) string {
	status, end := "resolved", ends.Format(time.RFC3339Nano)
	if ends.IsZero() {
		status, end = "firing", "0001-01-01T00:00:00Z"
	}
	all := map[string]string{"alertname": "DiskFull", "severity": "critical"}
	for k, v := range labels {
		all[k] = v
	}
	var pairs []string
	for k, v := range all {
		pairs = append(pairs, fmt.Sprintf("%q: %q", k, v))
	}
	return fmt.Sprintf(`{"version": "4", "groupKey": %q, "truncatedAlerts": 0, "status": "firing", "receiver": "awoooi",
		"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093", "alerts": [{
		"status": %q, "labels": {%s}, "annotations": {"summary": "磁碟空間不足", "incident_id": %q},
		"startsAt": %q, "endsAt": %q, "generatorURL": "http://prom:9090/graph", "fingerprint": %q}]}`,
		groupKey, status, strings.Join(pairs, ","), id, starts.Format(time.RFC3339Nano), end, id)
}

func TestTenMinutesIsTheBorderOfAPostmortem(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot))
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	for id, length := range map[string]time.Duration{
		"SHORT": 10*time.Minute - time.Millisecond,
		"EXACT": 10 * time.Minute,
		"LONG":  72 * time.Minute,
	} {
		for _, end := range []time.Time{{}, began.Add(length), began.Add(length)} { // the last one is an HA pair's duplicate
			if code := r.post(webhookBody(id, id, nil, began, end)); code != 200 {
				t.Fatalf("webhook: %d", code)
			}
		}
	}
	var got []string
	for _, m := range messages(t, bot, 2) {
		for _, id := range []string{"SHORT", "EXACT", "LONG"} {
			if strings.Contains(m.Plain, id) {
				got = append(got, id)
			}
		}
	}
	if s := strings.Join(got, " "); s != "EXACT LONG" && s != "LONG EXACT" {
		t.Errorf("postmortems of %v", got)
	}
	if _, page := r.get("/incidents/SHORT"); !strings.Contains(page, "磁碟空間不足") {
		t.Error("the page of the short incident does not show it")
	}
	ds, err := r.store.Deliveries(t.Context(), 100)
	if err != nil || len(ds) != 2 {
		t.Errorf("%d deliveries, %v", len(ds), err)
	}
}

func TestHostileAlertsArriveAsText(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot))
	hostile := []string{"<b>bold", "</b></code>", `"><script>alert(1)</script>`, "a & b < c", "{{.Title}}", "日本\u202e語", "x\ny", strings.Repeat("長", 3000)}
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	for n, name := range hostile {
		id := fmt.Sprintf("H-%d", n)
		code := r.post(webhookBody(id, id, map[string]string{"alertname": name, "instance": name}, began, began.Add(time.Hour)))
		if code != 200 {
			t.Fatalf("webhook %q: %d", name, code)
		}
	}
	got := messages(t, bot, len(hostile))
	for _, want := range []string{"<b>bold", "</b></code>", "<script>alert(1)</script>", "a & b < c", "{{.Title}}"} {
		found := false
		for _, m := range got {
			found = found || strings.Contains(m.Plain, want)
		}
		if !found {
			t.Errorf("%q did not arrive as it is", want)
		}
	}
	for n := range hostile {
		if _, page := r.get(fmt.Sprintf("/incidents/H-%d", n)); strings.Contains(page, "<script>alert(1)") {
			t.Error("the page runs a script")
		}
	}
}

// A message that was accepted while Telegram was down is delivered once, although the process was restarted in between.
func TestAcceptedSurvivesARestart(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	dir := t.TempDir()
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	r := startIn(t, dir, fmt.Sprintf("webhook: {bearer_token: %s}\nreceivers: [{name: oncall, telegram: {bot_token: %q, chat_id: 1, api_url: \"http://127.0.0.1:1\"}}]\n",
		plantedWebhookToken, plantedToken), Options{Role: RoleAll})
	if code := r.post(webhookBody("g", "KEPT", nil, began, began.Add(time.Hour))); code != 200 {
		t.Fatalf("webhook: %d", code)
	}
	r.stop()
	r = startIn(t, dir, receiver(bot), Options{Role: RoleAll})
	ds, err := r.store.Deliveries(t.Context(), 10)
	if err != nil || len(ds) != 1 {
		t.Fatalf("deliveries: %v, %v", ds, err)
	}
	if err := r.store.RetryDelivery(t.Context(), ds[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := messages(t, bot, 1); len(got) != 1 || !strings.Contains(got[0].Plain, "KEPT") {
		t.Errorf("messages: %+v", got)
	}
	// The same webhook again, as Alertmanager's repeat, changes nothing.
	if code := r.post(webhookBody("g", "KEPT", nil, began, began.Add(time.Hour))); code != 200 {
		t.Fatalf("webhook: %d", code)
	}
	if ds, err = r.store.Deliveries(t.Context(), 10); err != nil || len(ds) != 1 || ds[0].State != reporter.DeliverySent {
		eventually(t, "the delivery to be sent", func() bool {
			ds, err = r.store.Deliveries(t.Context(), 10)
			return err == nil && len(ds) == 1 && ds[0].State == reporter.DeliverySent
		})
	}
}

// A figure whose source failed is 無資料, a real zero is 0, and the others are unchanged.
func TestFailedSourceReadsNoData(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	r := start(t, fmt.Sprintf("sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: \"http://127.0.0.1:1\"}]\n"+
		"embedded: {scrape_interval: 1h}\n", dsn))
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "DROP TABLE approval_records CASCADE"); err != nil {
		t.Fatal(err)
	}
	due, _ := r.scrape()
	_, msg, err := r.texts.Report(t.Context(), "daily", due)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"總計: <b>0</b> 個", "自動解決: 無資料", "人工批准: 無資料", "告警收斂: 0 個", "成功: 無資料   失敗: 無資料   成功率: 無資料", "新增 KM 條目: 0", "活躍 Playbook: 無資料", "整體健康度: 無資料"} {
		if !strings.Contains(msg.HTML, want) {
			t.Errorf("the report does not say %q:\n%s", want, msg.HTML)
		}
	}
	_, metrics := r.get("/metrics")
	for _, want := range []string{
		`awoooi_collector_query_success{query="repairs",source="awoooi"} 0`,
		`awoooi_collector_query_success{query="alerts",source="awoooi"} 1`,
		`awoooi_collector_up{kind="http",source="awoooi_api"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics does not say %s", want)
		}
	}
	if strings.Contains(metrics, "awoooi_repairs_succeeded ") {
		t.Error("a failed figure is in /metrics")
	}
	if !strings.Contains(r.logs.String(), "approval_records") {
		t.Error("the log does not name the missing table")
	}
	if _, page := r.get("/reports/daily"); !strings.Contains(page, "repairs_succeeded") {
		t.Error("the page does not name the figure without data")
	}
}

// A rule of a real Prometheus fires and resolves, a real Alertmanager posts to the program, and the postmortem arrives with
// what the operations database knows of the incident.
func TestAlertOfARealPrometheusEndsAsAPostmortem(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	if _, err := conn.Exec(t.Context(), `INSERT INTO incidents (incident_id, title, severity, status, hit_count, root_cause, action, ai_decision, retry_count, created_at, resolved_at)
		VALUES ('INC-42', '結帳服務錯誤率過高', 'critical', 'resolved', 1, '連線池 <耗盡>', 'kubectl rollout restart deploy/checkout', '自動修復', 2, now(), now())`); err != nil {
		t.Fatal(err)
	}
	bot := botAPI(t)
	api, number := playbooks(t)
	conf := func(prometheus string) string {
		return receiver(bot) + fmt.Sprintf("sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: %q}]\n"+
			"prometheus: {url: %q}\nexternal_url: https://reporter.example.org\n"+
			"incidents: {min_duration: 2s, firing_notice: true, details: {source: awoooi}}\n", dsn, api, prometheus)
	}
	r := start(t, conf("http://127.0.0.1:1"))
	am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: fmt.Sprintf(`
route: {receiver: awoooi, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}
receivers:
  - name: awoooi
    webhook_configs: [{url: %q, send_resolved: true, http_config: {authorization: {credentials: %q}}}]
`, r.url(webhookPath), plantedWebhookToken)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := am.Stop(); err != nil {
			t.Error(err)
		}
	})
	number.Store(99)
	prom := startPrometheus(t, localstack.PrometheusOptions{
		ScrapeInterval: 2 * time.Second, Targets: []string{r.Addr()}, AlertmanagerURL: am.URL(),
		Rules: `
groups:
  - name: g
    interval: 500ms
    rules:
      - alert: TooManyPlaybooks
        expr: last_over_time(awoooi_playbooks_active[5m]) > 50 # a scrape that a busy machine misses resolves nothing
        for: 2s
        labels: {severity: critical, incident_id: INC-42}
        annotations: {runbook_url: "https://runbooks.example.org/x"}
`})
	r.write(conf(prom.URL()))
	if code := reload(t, r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	eventually(t, "the incident to open", func() bool {
		in, err := r.store.Incident(t.Context(), "INC-42")
		return err == nil && in.State == reporter.IncidentOpen && time.Since(in.StartedAt) > 3*time.Second
	})
	number.Store(3)
	all := messages(t, bot, 2)
	notice, message := all[0], all[1]
	if first := bot.Texts(notice.ID)[0]; !strings.Contains(first, "🔥 CRITICAL") || !strings.Contains(first, "INC-42") {
		t.Errorf("the notice of the firing says\n%s", first)
	}
	eventually(t, "the notice to say that the incident is resolved", func() bool {
		texts := bot.Texts(notice.ID)
		return strings.Contains(texts[len(texts)-1], "✅ CRITICAL")
	})
	if message.ReplyTo != notice.ID {
		t.Errorf("the postmortem answers message %d, want %d", message.ReplyTo, notice.ID)
	}
	if len(message.Buttons) != 2 || message.Buttons[0].URL != "https://reporter.example.org/incidents/INC-42" ||
		!strings.Contains(message.Buttons[1].URL, "runbooks.example.org") {
		t.Errorf("buttons are %+v", message.Buttons)
	}
	if len(message.Photo) == 0 {
		t.Error("the postmortem has no picture")
	}
	if _, page := r.get("/incidents/INC-42"); !regexp.MustCompile(`alt="[^"]*最高 \d[^"]*最後 \d[^"]*門檻 \d`).MatchString(page) {
		t.Errorf("the picture's text on the page has no values: %q", regexp.MustCompile(`alt="[^"]*"`).FindString(page))
	}
	got := message.Plain + message.Text
	// Prometheus evaluates when it can: the alert fires at the first evaluation after its two seconds.
	if m := regexp.MustCompile(`早於告警 (\d+) 秒`).FindStringSubmatch(got); m == nil || m[1] == "0" || m[1] == "1" {
		t.Errorf("the postmortem does not say how long the condition held before the alert: %v\n%s", m, got)
	}
	for _, want := range []string{"INC-42", "條件成立", "結帳服務錯誤率過高", "連線池 <耗盡>", "kubectl rollout restart deploy/checkout", "自動修復", "TooManyPlaybooks"} {
		if !strings.Contains(got, want) {
			t.Errorf("the postmortem does not say %q:\n%s", want, got)
		}
	}
}

// The alerts of an open incident resolve while Alertmanager is stopped, so that their resolve is never sent: the reconciler finds
// that Alertmanager no longer has them. An incident whose alerts it still has stays open.
func TestLostResolveIsReconciledWithARealAlertmanager(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot))
	config := fmt.Sprintf(`
route: {receiver: awoooi, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}
receivers:
  - name: awoooi
    webhook_configs: [{url: %q, send_resolved: true, http_config: {authorization: {credentials: %q}}}]
`, r.url(webhookPath), plantedWebhookToken)
	alertmanager := func() *localstack.Alertmanager {
		t.Helper()
		am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: config})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { am.Stop() })
		return am
	}
	raise := func(am *localstack.Alertmanager, name string) {
		t.Helper()
		body := fmt.Sprintf(`[{"labels": {"alertname": %q, "incident_id": %q}, "startsAt": %q, "endsAt": %q}]`, name, name,
			time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339))
		resp, err := client.Post(am.URL()+"/api/v2/alerts", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("alertmanager took the alert with %d", resp.StatusCode)
		}
	}
	state := func(id string) reporter.Incident {
		in, err := r.store.Incident(t.Context(), id)
		if err != nil {
			return reporter.Incident{}
		}
		return in
	}
	first := alertmanager()
	for _, name := range []string{"GONE", "STAYS"} {
		raise(first, name)
		eventually(t, name, func() bool { return state(name).State == reporter.IncidentOpen })
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := alertmanager() // has never heard of either
	raise(second, "STAYS")
	r.write(receiver(bot) + fmt.Sprintf("alertmanagers: [{url: %q}]\nincidents: {reconcile_interval: 200ms, reconcile_after: 2s}\n", second.URL()))
	if code := reload(t, r); code != http.StatusOK {
		t.Fatalf("reload: %d", code)
	}
	if err := r.reconcile.Reconcile(t.Context()); err != nil { // the interval of before the reload is a minute
		t.Fatal(err)
	}
	eventually(t, "the incident to close", func() bool {
		if err := r.reconcile.Reconcile(t.Context()); err != nil {
			t.Fatal(err)
		}
		return state("GONE").State == reporter.IncidentResolved
	})
	if got := state("GONE").CloseReason; got != reporter.ClosedReconciled {
		t.Errorf("closed as %s", got)
	}
	if got := messages(t, bot, 1)[0].Plain; !strings.Contains(got, "GONE") || !strings.Contains(got, "未收到解除通知") {
		t.Errorf("the postmortem is %s", got)
	}
	if state("STAYS").State != reporter.IncidentOpen {
		t.Error("an alert that Alertmanager knows was closed")
	}
}
