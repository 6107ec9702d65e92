package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestNoiseIsSortedByLinks(t *testing.T) {
	t.Parallel()
	w := world{locale: "zh-TW", noise: []reporter.NoiseRow{
		{Name: "Often", Alerts: 2, Episodes: 90, Flaps: 60, Ended: 89, Short: 80, OffHours: 10, Firing: time.Hour, Resolution: 89 * time.Minute},
		{Name: "Stands <b>", Alerts: 1, Episodes: 4, Ended: 2, Firing: 140 * time.Hour, OffHours: 4},
		{Name: "Calm", Alerts: 1, Episodes: 3, Ended: 3, Firing: 30 * time.Minute, Resolution: 30 * time.Minute},
	}}
	get := func(w world, path string) (int, string) {
		rec := serve(w, path)
		return rec.Code, rec.Body.String()
	}
	for sort, want := range map[string]string{
		"": "Often Stands Calm", "episodes": "Often Stands Calm", "name": "Calm Often Stands", "firing": "Stands Often Calm",
		"flaps": "Often Stands Calm", "short": "Often Calm Stands", "mttr": "Calm Often Stands", "off_hours": "Often Stands Calm", "fix": "Stands Often Calm",
	} {
		path := "/noise"
		if sort != "" {
			path += "?sort=" + sort
		}
		code, page := get(w, path)
		at := map[string]int{}
		for _, name := range []string{"Often", "Stands", "Calm"} {
			at[name] = strings.Index(page, ">"+name)
		}
		names := strings.Fields(want)
		if code != 200 || at[names[0]] < 0 || at[names[0]] > at[names[1]] || at[names[1]] > at[names[2]] {
			t.Errorf("%s: %d, the names stand at %v, want %s", path, code, at, want)
		}
	}
	_, page := get(w, "/noise")
	for _, text := range []string{
		`<a href="/noise?sort=flaps">`, "Stands &lt;b&gt;", "89.9%", "1 分 (n=89)", "不到 5 分就解除 89.9%", "長時間處於觸發狀態 83.3%",
		"多在非上班時間觸發 100.0%", `<a href="/incidents?q=Stands&#43;%3Cb%3E">`, `aria-sort="descending"`,
	} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "Stands <b>") {
		t.Error("the page has a script, or a name as markup")
	}
	if code, _ := get(w, "/noise?sort=x%27"); code != 400 {
		t.Errorf("an unknown column: %d", code)
	}
	if _, page := get(world{locale: "zh-TW"}, "/noise"); !strings.Contains(page, fmt.Sprintf("沒有觸發 %d 次以上的告警", reporter.NoiseLeast)) {
		t.Error("a quiet week is not named")
	}
}

// The columns about acknowledgements are shown if people acknowledge incidents.
func TestNoiseOfAcknowledgedAlerts(t *testing.T) {
	t.Parallel()
	w := world{locale: "en", noise: []reporter.NoiseRow{
		{Name: "Often", Alerts: 2, Episodes: 90, Ended: 90, Acknowledged: 45, AcknowledgedIncidents: 4, ToAcknowledge: 20 * time.Minute},
		{Name: "Seldom", Alerts: 1, Episodes: 4, Ended: 4, Acknowledged: 4, AcknowledgedIncidents: 2, ToAcknowledge: time.Minute},
	}}
	for _, path := range []string{"/noise", "/noise?sort=acknowledged", "/noise?sort=mtta"} {
		if page := serve(w, path).Body.String(); strings.Contains(page, "MTTA") || strings.Contains(page, "50.0%") || strings.Contains(page, "Acknowledged") {
			t.Errorf("%s mentions acknowledgements although no incident was acknowledged", path)
		}
	}
	w.acknowledging = true
	page := serve(w, "/noise?sort=acknowledged").Body.String()
	for _, text := range []string{`<a href="/noise?sort=mtta">MTTA</a>`, "50.0%", "5m (n=4)", "100.0%", `data-label="MTTA">—</td>`} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	if strings.Index(page, ">Seldom") > strings.Index(page, ">Often") {
		t.Error("the page is not sorted by the share acknowledged")
	}
}
