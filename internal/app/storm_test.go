package app

import (
	"bytes"
	"fmt"
	"image/png"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
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
`, plantedDoor, plantedToken, bot.URL(), plantedToken, bot.URL()), Options{Role: RoleAll, Now: clock.now})
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
		for _, want := range []string{"60 件", "STORM-059", "另 40 筆"} {
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

// The figures of today make a picture of a trend, in which the days before are gaps and not zeros.
func TestReportComesWithItsTrend(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot)+"embedded: {scrape_interval: 1h}\n")
	due, _ := r.scrape()
	picture, err := compose.Pages{Composer: r.texts}.ReportPicture(t.Context(), "daily", due)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil || c.Width < 500 {
		t.Errorf("the picture: %+v, %v", c, err)
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
