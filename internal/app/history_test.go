package app

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

var updatePictures = flag.Bool("update-pictures", false, "make the pictures of the README again; needs Chromium")

// pastDays is how many days the embedded database has, two weeks and the day of the report.
const pastDays = 15

// live collects from a seeded database as of every third hour of the past days, and stores the samples in the embedded database as
// if it had been scraped then.
func live(t *testing.T, dir string, c *config.Config, due time.Time) {
	t.Helper()
	e, err := promql.OpenEmbedded(promql.EmbeddedConfig{Dir: filepath.Join(dir, "data", "tsdb"), Retention: c.Embedded.Retention})
	if err != nil {
		t.Fatal(err)
	}
	now := due
	log := slog.New(slog.DiscardHandler)
	c.State.Path = filepath.Join(dir, "data")
	state, err := newStatePart(t.Context(), c, log, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	acknowledgedPast(t, state.store, due)
	own := []collector.NamedSource{state.journalSource()}
	qs, err := queries(c, own, log)
	if err != nil {
		t.Fatal(err)
	}
	ss, err := sources(c, own)
	if err != nil {
		t.Fatal(err)
	}
	col := collector.New(collectorConfig(c, qs, ss), log, func() time.Time { return now })
	defer col.Close()
	for n := (pastDays - 1) * 8; n >= 0; n-- {
		now = due.Add(-time.Duration(n) * 3 * time.Hour)
		families, err := col.Gatherer(t.Context()).Gather()
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Append(t.Context(), now, families); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	state.close()
}

// acknowledgedPast stores an incident of each day that a person acknowledged after five minutes.
func acknowledgedPast(t *testing.T, st *store.Store, due time.Time) {
	t.Helper()
	for day := range pastDays {
		start := due.Add(-time.Duration(day)*24*time.Hour - 12*time.Hour)
		id := fmt.Sprintf("PAST-%02d", day)
		err := st.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
			return reporter.JournalChanges{Incidents: []reporter.Incident{{
				ID: id, Key: id, State: reporter.IncidentResolved, StartedAt: start, EndedAt: start.Add(time.Hour), FirstSeenAt: start,
				LastSeenAt: start, CloseReason: reporter.ClosedResolved,
				Alerts: []reporter.Alert{{Fingerprint: id, StartsAt: start, EndsAt: start.Add(time.Hour), Labels: map[string]string{"alertname": "Past"}}},
			}}}
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = st.Write(t.Context(), reporter.Entry{
			Incident: id, Kind: reporter.EntryAcknowledgement, Text: reporter.EntryAcknowledged, AuthorKind: reporter.AuthorPage, Author: "Ann",
			WrittenAt: start.Add(5 * time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The reports of a program that has run for two weeks have every figure, every change and a trend without gaps; the weekly report
// is the sum of its days.
func TestReportsOfTwoWeeks(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	api, number := playbooks(t)
	number.Store(23)
	zone, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		t.Fatal(err)
	}
	today := time.Now().In(zone)
	due := time.Date(today.Year(), today.Month(), today.Day(), 8, 0, 0, 0, zone)
	if due.After(today) {
		due = due.AddDate(0, 0, -1)
	}
	if err := localstack.SeedAWOOOI(t.Context(), dsn, localstack.SeedOptions{Seed: 7, Now: due, Days: 40, PerDay: 120}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	yaml := fmt.Sprintf("external_url: https://reporter.example.org\nweb: {allowed_hosts: [%q]}\n"+
		"sources: [{name: awoooi, kind: postgres, dsn: %q}, {name: awoooi_api, kind: http, url: %q}]\n"+
		"embedded: {scrape_interval: 1h}\nreports: [{name: daily}, {name: weekly}, {name: monthly}]\n", siteName, dsn, api)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(filepath.Join(dir, "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	live(t, dir, c, due)
	r := startIn(t, dir, yaml, Options{Role: RoleAll})

	daily, msg, err := r.texts.Report(t.Context(), "daily", due)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`總計: <b>\d+</b> 個 \(較前日 [▲▼±] ?\d*, 較上週同日 [▲▼±] ?\d*\)`).MatchString(msg.HTML) || strings.Contains(msg.HTML, "無資料") {
		t.Errorf("the daily report is\n%s", msg.HTML)
	}
	for _, want := range []string{"最久", "解決時間中位數: ", "(n=", "📢 最常見告警"} {
		if !strings.Contains(msg.HTML, want) {
			t.Errorf("the daily report does not say %q:\n%s", want, msg.HTML)
		}
	}
	weekly, msg, err := r.texts.Report(t.Context(), "weekly", due)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, v := range daily.Trend.Figures[0].Values {
		sum += v
	}
	if got, ok := weekly.Figure("alerts").Value(); !ok || got != sum || weekly.Figure("alerts").DaysKnown != 7 || sum == 0 {
		t.Errorf("the week has %v alerts, its days have %v", got, sum)
	}
	if !strings.Contains(msg.HTML, "週度巡檢報告") || strings.Contains(msg.HTML, "/7 天") {
		t.Errorf("the weekly report is\n%s", msg.HTML)
	}
	monthly, msg, err := r.texts.Report(t.Context(), "monthly", due)
	if err != nil {
		t.Fatal(err)
	}
	if f := monthly.Figure("alerts"); !f.Partial() || f.DaysKnown != pastDays || !strings.Contains(msg.HTML, fmt.Sprintf("(%d/%d 天的資料)", pastDays, f.Days)) {
		t.Errorf("a month of two weeks knows %d of %d days:\n%s", f.DaysKnown, f.Days, msg.HTML)
	}
	var b *chromium
	if *updatePictures {
		b = startChromium(t)
		b.port = r.Addr()[strings.LastIndexByte(r.Addr(), ':')+1:]
		b.size(false, false)
		b.do(chromedp.Navigate(b.address("/reports/daily?at="+strings.ReplaceAll(due.Format(time.RFC3339), "+", "%2B"))), chromedp.WaitReady(chromedp.CSS("main")))
		png := ask(b, chromedp.FullScreenshot(100))
		if err := os.WriteFile("../../docs/report.png", png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	drawDashboard(t, r, b, due, "../../docs/dashboard.png")
}
