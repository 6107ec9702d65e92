package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

// Without any configuration, no line of the first report is without data: lines without a configured source are left out.
func TestFirstReportHasNoLineWithoutData(t *testing.T) {
	t.Parallel()
	r := start(t, "embedded: {scrape_interval: 1h}\n")
	due, _ := r.scrape()
	_, msg, err := r.texts.Report(t.Context(), "daily", due)
	if err != nil {
		t.Fatal(err)
	}
	for _, not := range []string{"無資料", "自動修復", "知識積累", "人工批准", "整體健康度"} {
		if strings.Contains(msg.HTML, not) {
			t.Errorf("the report says %s:\n%s", not, msg.HTML)
		}
	}
	if !strings.Contains(msg.HTML, "總計: <b>0</b> 個") {
		t.Errorf("the report does not say what is known:\n%s", msg.HTML)
	}
}

// The weekly report reads the alert noise by PromQL, the page reads it from the state; both show the same.
func TestNoiseIsReviewed(t *testing.T) {
	t.Parallel()
	r := start(t, "embedded: {scrape_interval: 1h}\nreports: [{name: weekly}]\nworking_hours: {days: [mon, tue, wed, thu, fri, sat, sun], from: \"00:00\", to: \"24:00\"}\n")
	due, _ := r.scrape()
	_, msg, err := r.texts.Report(t.Context(), "weekly", due)
	if err != nil || strings.Contains(msg.HTML, "無資料") || !strings.Contains(msg.HTML, "告警雜訊 (近 7 天)</b>\n  • —") {
		t.Errorf("a week without alerts: %v\n%s", err, msg.HTML)
	}
	r = start(t, "embedded: {scrape_interval: 1h}\nreports: [{name: weekly}]\nworking_hours: {days: [mon, tue, wed, thu, fri, sat, sun], from: \"00:00\", to: \"24:00\"}\n")
	flaps(t, r)
	due, _ = r.scrape()
	_, msg, err = r.texts.Report(t.Context(), "weekly", due)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"• Flaps: 3 (反覆觸發 2, 短於 5 分 100.0%, 非上班時間 0, 觸發共 6 分, MTTR 2 分 n=3)", "• Flaps / 不到 5 分就解除: 100.0%", "• Flaps / 解除後 15 分內又觸發: 66.7%",
	} {
		if !strings.Contains(msg.HTML, want) {
			t.Errorf("the weekly report does not say %q:\n%s", want, msg.HTML)
		}
	}
	_, page := r.get("/noise")
	for _, want := range []string{">Flaps</a>", "解除後 15 分內又觸發 66.7%", "2 分 (n=3)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// The user's lines are a row of the dashboard, with the target as threshold.
func TestUserLinesAreOnTheDashboard(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string][]string{"zh-TW": {"服務水準", "錯誤預算", "完成率"}, "en": {"Service level", "Error budget", "Done"}} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		text := "locale: " + locale + `
reports:
  - name: daily
    sections:
      - name: slo
        title: {zh-TW: 服務水準, en: Service level}
        figures:
          - {name: error_budget, title: {zh-TW: 錯誤預算, en: Error budget}, expr: 'slo:error_budget_remaining:ratio{slo="checkout"}', format: percent, target: ">= 0.2", compare: [24h]}
          - {name: done_rate, title: {zh-TW: 完成率, en: Done}, ratio: {part: alerts, of: [alerts, resolved]}, target: ">= 0.9"}
`
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		files, err := Dashboards(c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var board string
		for _, f := range files {
			if f.Name == "awoooi-kpi.json" {
				board = string(f.Content)
			}
		}
		for _, text := range append(want, `"slo:error_budget_remaining:ratio{slo=\"checkout\"}"`, `"value": 0.2`, `/ (((sum(max by (category) (awoooi_alerts{instance=~\"$instance\",job=~\"$job\"}))) + (`) {
			if !strings.Contains(board, text) {
				t.Errorf("%s: the dashboard does not have %s:\n%s", locale, text, board)
			}
		}
	}
}

// A line that the user configures is in the report and on its page without a template.
func TestUserLinesNeedNoTemplate(t *testing.T) {
	t.Parallel()
	r := start(t, `embedded: {scrape_interval: 1h}
reports:
  - name: daily
    sections:
      - name: slo
        title: {zh-TW: 服務水準, en: Service level}
        icon: 🎯
        figures:
          - {name: error_budget, title: {zh-TW: 錯誤預算, en: Error budget}, expr: vector(0.714), format: percent, target: ">= 0.2", compare: [24h]}
          - {name: gone, title: {zh-TW: 不存在, en: Gone}, expr: max(awoooi_of_nobody)}
  - name: weekly
    locale: en
    sections:
      - name: slo
        title: {zh-TW: 服務水準, en: Service level}
        figures:
          - {name: error_budget, title: {zh-TW: 錯誤預算, en: Error budget}, expr: vector(0.1), format: percent, target: ">= 0.2"}
`)
	due, _ := r.scrape()
	for name, want := range map[string][]string{
		"daily":  {"<b>🎯 服務水準</b>\n  錯誤預算: 71.4% (較前日 ± 0) 目標 ≥ 20% ✅", "不存在: 無資料"},
		"weekly": {"<b>Service level</b>\n  Error budget: 10.0% target ≥ 20% ⚠️", "needs attention"},
	} {
		_, msg, err := r.texts.Report(t.Context(), name, due)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(msg.HTML, text) {
				t.Errorf("%s does not say %q:\n%s", name, text, msg.HTML)
			}
		}
	}
	if _, page := r.get("/reports/daily"); !strings.Contains(page, "錯誤預算: 71.4%") {
		t.Error("the page does not show the line")
	}
}
