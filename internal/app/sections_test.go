package app

import (
	"strings"
	"testing"
)

// Without any configuration no line of the first report is without data: what no source is configured for is left out.
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

// Some lines of YAML are a line of the report, on the page too, whatever else is configured.
func TestALineOfOnesOwnNeedsNoTemplate(t *testing.T) {
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
