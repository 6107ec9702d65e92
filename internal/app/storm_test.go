package app

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
)

// Sixty incidents that close together are one message in each chat, and a page each.
func TestStormIsOneDigestInEachChat(t *testing.T) {
	t.Parallel()
	const storm = 60
	bot := botAPI(t)
	clock := &stoppedClock{at: time.Now()}
	r := startIn(t, t.TempDir(), fmt.Sprintf(`
external_url: https://reporter.example.org
webhook: {bearer_token: %s}
incidents: {digest_window: 2s}
receivers:
  - {name: one, telegram: {bot_token: %q, chat_id: "-1001", api_url: %q}}
  - {name: two, telegram: {bot_token: %q, chat_id: "-1002", api_url: %q}}
`, plantedWebhookToken, plantedToken, bot.URL(), plantedToken, bot.URL()), Options{Role: RoleAll, Now: clock.now})
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	var posts sync.WaitGroup
	const at = 25 // once
	for worker := range at {
		posts.Go(func() {
			for n := worker; n < storm; n += at {
				id := fmt.Sprintf("STORM-%03d", n)
				if code := r.post(webhookBody("g"+id, id, map[string]string{"pod": id}, began, began.Add(time.Hour+time.Duration(n)*time.Second))); code != 200 {
					t.Errorf("webhook: %d", code)
				}
			}
		})
	}
	posts.Wait()
	clock.run()
	messages(t, bot, 2)
	eventually(t, "everything to be sent", func() bool {
		pending, _, err := r.store.Pending(t.Context())
		return err == nil && len(pending) == 0
	})
	perChat := map[string]int{}
	for _, m := range bot.Messages() {
		perChat[m.ChatID]++
		for _, want := range []string{"60 份", "STORM-059", "另 40 筆"} {
			if !strings.Contains(m.Plain+m.Text, want) {
				t.Errorf("chat %s: the digest does not say %q:\n%s", m.ChatID, want, m.Plain)
			}
		}
		if len(m.Buttons) != 1 || m.Buttons[0].URL != "https://reporter.example.org/incidents" {
			t.Errorf("chat %s: buttons %+v", m.ChatID, m.Buttons)
		}
	}
	if perChat["-1001"] != 1 || perChat["-1002"] != 1 || len(perChat) != 2 {
		t.Errorf("messages in each chat: %v", perChat)
	}
	for n := range storm {
		if code, body := r.get(fmt.Sprintf("/incidents/STORM-%03d", n)); code != 200 || !strings.Contains(body, "事後檢討") {
			t.Fatalf("page of incident %d: %d", n, code)
		}
	}
	ds, err := r.store.Deliveries(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	states := map[reporter.DeliveryState]int{}
	for _, d := range ds {
		states[d.State]++
	}
	if states[reporter.DeliveryMerged] != 2*storm || states[reporter.DeliverySent] != 2 {
		t.Errorf("deliveries: %v", states)
	}
	if _, metrics := r.get("/metrics"); !strings.Contains(metrics, `awoooi_reporter_deliveries_total{kind="postmortem",outcome="merged"} 120`) {
		t.Error("/metrics does not count what was merged")
	}
}

// One day is no trend, and has no picture.
func TestReportOfTheFirstDayHasNoPicture(t *testing.T) {
	t.Parallel()
	r := start(t, "embedded: {scrape_interval: 1h}\n")
	due, _ := r.scrape()
	picture, err := compose.Pages{Composer: r.texts}.ReportPicture(t.Context(), "daily", due)
	if !errors.Is(err, reporter.ErrNotFound) {
		t.Errorf("a picture of %d bytes, %v", len(picture.PNG), err)
	}
	if code, page := r.get("/reports/daily"); code != 200 || strings.Contains(page, "<img") {
		t.Errorf("the page: %d, or it has a picture", code)
	}
}

// yesterday puts the alerts of the day before into the embedded database of a program that has not started yet.
func yesterday(t *testing.T, dir string) {
	t.Helper()
	e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: filepath.Join(dir, "data", "tsdb"), Retention: 40 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	name, label, category, value, kind := "awoooi_alerts", "category", "database", 7.0, dto.MetricType_GAUGE
	family := &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{
		Label: []*dto.LabelPair{{Name: &label, Value: &category}}, Gauge: &dto.Gauge{Value: &value},
	}}}
	for _, ago := range []time.Duration{24*time.Hour + 2*time.Minute, 24*time.Hour - 2*time.Minute} {
		if err := e.Append(t.Context(), time.Now().Add(-ago), []*dto.MetricFamily{family}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// The figures of two days make a picture of a trend, in which the days before are gaps and not zeros. Its text has the values.
func TestReportComesWithItsTrend(t *testing.T) {
	t.Parallel()
	bot, dir := botAPI(t), t.TempDir()
	yesterday(t, dir)
	r := startIn(t, dir, receiver(bot)+"embedded: {scrape_interval: 1h}\n", Options{Role: RoleAll})
	due, _ := r.scrape()
	picture, err := compose.Pages{Composer: r.texts}.ReportPicture(t.Context(), "daily", due)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(picture.PNG)); err != nil || c.Width < 500 {
		t.Errorf("the picture: %+v, %v", c, err)
	}
	if _, page := r.get("/reports/daily"); !strings.Contains(page, "<img") || !strings.Contains(page, " 7, ") || !strings.Contains(page, "無資料, ") {
		t.Error("the page has no picture, or its text has no values")
	}
	due = due.Add(time.Second).Truncate(time.Second) // the precision of a due time
	d := reporter.NewDelivery(reporter.DeliveryReport, "daily@"+due.UTC().Format(time.RFC3339), "oncall", time.Now())
	if _, err := r.store.Enqueue(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	got := messages(t, bot, 1)[0]
	if len(got.Photo) == 0 || !strings.Contains(got.Plain, "日度巡檢報告") || !strings.Contains(got.Plain, "進行中事件: 0 個") {
		t.Errorf("the report came with a picture of %d bytes:\n%s", len(got.Photo), got.Plain)
	}
}
