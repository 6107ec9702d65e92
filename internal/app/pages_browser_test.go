package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	plantedUser = "sre"
	// siteName is a host name that the browser resolves to this machine: neither the browser nor the program treats it as
	// localhost.
	siteName = "reporter.test"
	oddID    = "INC 2026/04#22?é"
	// stepTime bounds one step of the browser.
	stepTime = 2 * time.Minute
)

// chromium is a browser whose console output is kept.
type chromium struct {
	t       *testing.T
	ctx     context.Context
	shots   string // where pictures of the pages go, by AWOOOI_SCREENSHOTS; "" is nowhere
	axe     string // the script axe.min.js of axe-core, by AWOOOI_AXE; "" leaves its rules out
	port    string
	mu      sync.Mutex
	console []string
}

// startChromium starts one, or skips the test where there is none; with CI=true that is a failure.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("chromium is not on the PATH")
		}
		t.Skip("chromium is not on the PATH (Debian: apt-get install chromium)")
	}
	shots := os.Getenv("AWOOOI_SCREENSHOTS")
	if shots != "" {
		if err := os.MkdirAll(shots, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.WSURLReadTimeout(stepTime),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP "+siteName+" 127.0.0.1"), chromedp.Flag("lang", "zh-TW"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), opts...)
	tab, stop := chromedp.NewContext(alloc)
	if err := chromedp.Do(tab); err != nil { // the browser lives as long as the context of its first use
		t.Fatal(err)
	}
	ctx, timeout := context.WithTimeout(tab, 10*time.Minute)
	t.Cleanup(func() {
		timeout()
		stop()
		stopAlloc() // which waits for the process to end
	})
	b := &chromium{t: t, ctx: ctx, shots: shots}
	if file := os.Getenv("AWOOOI_AXE"); file != "" {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.axe = string(script)
	}
	err := chromedp.Listen(tab, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *cdplog.EventEntryAdded: // violations of the content security policy and failed requests among them
			b.console = append(b.console, fmt.Sprintf("%s: %s (%s)", ev.Entry.Level, ev.Entry.Text, ev.Entry.URL))
		case *runtime.EventConsoleAPICalled:
			b.console = append(b.console, "console: "+string(ev.Type))
		case *runtime.EventExceptionThrown:
			b.console = append(b.console, "exception: "+ev.ExceptionDetails.Text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	command(b, cdplog.Enable, cdp.Empty{})
	command(b, runtime.Enable, cdp.Empty{})
	return b
}

func (b *chromium) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, stepTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		html, _ := chromedp.Run(b.ctx, chromedp.OuterHTML(chromedp.CSS("html")))
		b.t.Fatalf("%v; the page is: %.2000s", err, html)
	}
}

func ask[T any](b *chromium, a chromedp.Action[T]) T {
	b.t.Helper()
	out, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func command[P, R any](b *chromium, cmd cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, cmd, params); err != nil {
		b.t.Fatal(err)
	}
}

// address is a page of the program as this browser reaches it.
func (b *chromium) address(path string) string { return "http://" + siteName + ":" + b.port + path }

// answer enters the credentials that the browser asks for. Paused requests must be continued, which the listener itself cannot do.
func (b *chromium) answer(user, password string) {
	b.t.Helper()
	paused := make(chan any, 100)
	err := chromedp.Listen(b.ctx, func(ev any) {
		switch ev.(type) {
		case *fetch.EventRequestPaused, *fetch.EventAuthRequired:
			paused <- ev
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	go func() {
		for {
			var err error
			select {
			case <-b.ctx.Done():
				return
			case ev := <-paused:
				switch ev := ev.(type) {
				case *fetch.EventRequestPaused:
					_, err = chromedp.Call(b.ctx, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: ev.RequestID})
				case *fetch.EventAuthRequired:
					_, err = chromedp.Call(b.ctx, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{
						RequestID: ev.RequestID,
						AuthChallengeResponse: &fetch.AuthChallengeResponse{
							Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: user, Password: password,
						},
					})
				}
			}
			if err != nil && b.ctx.Err() == nil {
				b.t.Error(err)
			}
		}
	}()
	asks := true
	command(b, fetch.Enable, fetch.EnableParams{HandleAuthRequests: &asks})
}

// size sets the window to the size of a phone or of a desktop.
func (b *chromium) size(phone, dark bool) {
	b.t.Helper()
	width, height, scale := int64(1280), int64(900), 1.0
	if phone {
		width, height, scale = 390, 844, 2
	}
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: scale, Mobile: phone,
	})
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// visit opens a page, which must fit its window, and takes its picture.
func (b *chromium) visit(path, shot string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.address(path)), chromedp.WaitReady(chromedp.CSS("main")))
	b.look(path, shot)
}

// look checks the page that is open.
func (b *chromium) look(path, shot string) {
	b.t.Helper()
	overflow := ask(b, chromedp.Evaluate[string](`(() => { const e = document.documentElement; if (e.scrollWidth <= e.clientWidth) return "";
		const out = [...document.querySelectorAll("body *")].filter(x => x.getBoundingClientRect().right > e.clientWidth + 1 && !x.closest(".scroll"));
		return e.scrollWidth + " of " + e.clientWidth + ": " + out.slice(0, 3).map(x => x.outerHTML.slice(0, 200)).join("\n"); })()`))
	lang := ask(b, chromedp.Evaluate[string](`document.documentElement.lang`))
	missing := ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("a[href^='#'], label, button, img")].filter(x =>
		x.matches("a") && !document.getElementById(x.hash.slice(1)) || x.matches("label") && !x.control ||
		x.matches("button") && !x.textContent.trim() || x.matches("img") && !x.alt).map(x => x.outerHTML)`))
	if overflow != "" {
		b.t.Errorf("%s, %s: the page is wider than its window: %s", path, shot, overflow)
	}
	if lang != "zh-Hant-TW" || len(missing) > 0 {
		b.t.Errorf("%s: language %q; without a name or a target: %v", path, lang, missing)
	}
	const pageMax = 50 << 10
	if size := ask(b, chromedp.Evaluate[int](`performance.getEntriesByType("navigation")[0].decodedBodySize`)); size > pageMax && shot != "" {
		b.t.Errorf("%s: %d bytes", path, size)
	}
	if b.axe != "" {
		ask(b, chromedp.Evaluate[bool](b.axe+"; true"))
		found := ask(b, chromedp.Evaluate[[]string](`axe.run().then(r => r.violations.map(v =>
			v.id + ": " + v.help + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" | ")))`, chromedp.EvalAwaitPromise))
		if len(found) > 0 {
			b.t.Errorf("%s, %s: axe-core finds %s", path, shot, strings.Join(found, "\n"))
		}
	}
	if shot != "" && b.shots != "" {
		png := ask(b, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(b.shots, shot+".png"), png, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// quiet fails if the console has output since the last call.
func (b *chromium) quiet(what string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.console) > 0 {
		b.t.Errorf("%s: the console says: %s", what, strings.Join(b.console, "\n"))
	}
	b.console = nil
}

func (b *chromium) text(selector string) string {
	b.t.Helper()
	return ask(b, chromedp.Text(chromedp.CSS(selector)))
}

// click clicks on an element, and waits for another one to be there.
func (b *chromium) click(selector, then string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)), chromedp.WaitVisible(chromedp.CSS(then)))
}

// group is a webhook of many alerts.
func group(t *testing.T, key string, labels map[string]string, alerts ...map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": key, "truncatedAlerts": 0, "status": "firing", "receiver": "awoooi", "groupLabels": labels,
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager:9093", "alerts": alerts,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func alert(name, severity, instance, summary string, starts, ends time.Time, annotations ...string) map[string]any {
	status := "firing"
	if !ends.IsZero() {
		status = "resolved"
	}
	notes := map[string]string{"summary": summary, "runbook_url": "https://runbooks.example.org/" + name}
	for n := 0; n < len(annotations); n += 2 {
		notes[annotations[n]] = annotations[n+1]
	}
	return map[string]any{
		"status": status, "startsAt": starts.Format(time.RFC3339Nano), "endsAt": ends.Format(time.RFC3339Nano),
		"fingerprint": name + instance, "generatorURL": "https://prometheus.example.org/graph?g0.expr=up",
		"labels":      map[string]string{"alertname": name, "severity": severity, "instance": instance, "cluster": "tpe-1", "job": "node"},
		"annotations": notes,
	}
}

// pagesWorld runs the program with examples of everything: open and closed incidents with unusual ids and sizes, deliveries that are
// sent, pending and failed, and a source that is down.
func pagesWorld(t *testing.T) *running {
	t.Helper()
	bot := botAPI(t)
	r := start(t, fmt.Sprintf(`
external_url: http://%s
webhook: {bearer_token: %s}
web: {username: %s, password: %s}
sources:
  - {name: awoooi, kind: postgres, dsn: "host=127.0.0.1 port=1 password=%s"}
kpi_sets: [journal]
queries: [{name: backlog, source: awoooi, sql: "SELECT 1 AS value", metrics: [{name: acme_backlog, help: Backlog.}]}]
delivery: {fallback_receiver: backup}
receivers:
  - {name: oncall, telegram: {bot_token: %q, chat_id: "-100123", api_url: %q}}
  - {name: backup, telegram: {bot_token: "1:revoked", chat_id: "-100456", api_url: %q}}
  - {name: quiet, telegram: {bot_token: %q, chat_id: "-100789", api_url: "http://127.0.0.1:1"}}
`, siteName, plantedWebhookToken, plantedUser, plantedPassword, plantedPassword, plantedToken, bot.URL(), bot.URL(), plantedToken))
	began := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	after := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	var storm []map[string]any
	for n := range 60 {
		storm = append(storm, alert("NodeNotReady", "warning", fmt.Sprintf("node-%02d.k8s.tpe-1.example.org:9100", n), "節點失聯：kubelet 沒有回報狀態", after(60+n/10), time.Time{}))
	}
	for _, body := range []string{
		group(t, "disk", map[string]string{"alertname": "DiskFull", "cluster": "tpe-1"},
			alert("DiskFull", "critical", "db-3:9100", "資料庫主機 db-3 的磁碟空間不足，剩餘 3%", after(0), after(47), "resolution", "auto", "retries", "2",
				"root_cause", "WAL 封存程序停止，pg_wal 持續成長", "action", "systemctl restart wal-archiver", "ai_decision", "自動修復，信心 0.93"),
			alert("DiskFull", "warning", "db-4:9100", "資料庫主機 db-4 的磁碟空間不足", after(5), after(40))),
		group(t, "disk", map[string]string{"alertname": "DiskFull", "cluster": "tpe-1"},
			alert("DiskFull", "critical", "db-3:9100", "資料庫主機 db-3 的磁碟空間不足，剩餘 1%", after(120), time.Time{})),
		group(t, "odd", map[string]string{"alertname": "HighErrorRate"},
			alert("HighErrorRate", "critical", "<script>alert(1)</script>", `結帳服務錯誤率過高 <b>5xx</b> & "quotes" `+strings.Repeat("很長的說明文字", 20), after(30), after(95),
				"description", strings.Repeat("https://example.org/a-very-long-path-without-any-space/", 6))),
		group(t, "storm", map[string]string{"alertname": "NodeNotReady", "cluster": "tpe-1"}, storm...),
		group(t, "short", map[string]string{"alertname": "PodRestart"}, alert("PodRestart", "info", "pod-1", "Pod 重新啟動", after(10), after(14))),
	} {
		if code := r.post(body); code != http.StatusOK {
			t.Fatalf("webhook: %d", code)
		}
	}
	// Only the journal of an older version has such an id.
	err := r.store.Update(t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
		return reporter.JournalChanges{Incidents: []reporter.Incident{{
			ID: oddID, Key: "odd", State: reporter.IncidentResolved, StartedAt: after(1), EndedAt: after(2), FirstSeenAt: after(1), LastSeenAt: after(2),
			CloseReason: reporter.ClosedExpired,
			Alerts:      []reporter.Alert{{Fingerprint: "odd", StartsAt: after(1), EndsAt: after(2), Labels: map[string]string{"alertname": "OddID"}}},
		}}}
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var ds []reporter.Delivery
	for day := range 3 {
		due := now.Add(-time.Duration(day) * 24 * time.Hour).Truncate(time.Hour)
		for _, to := range []string{"oncall", "quiet"} {
			ds = append(ds, reporter.NewDelivery(reporter.DeliveryReport, "daily@"+due.UTC().Format(time.RFC3339), to, now))
		}
	}
	if _, err := r.store.Enqueue(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	r.get("/metrics")
	messages(t, bot, 3)
	eventually(t, "deliveries to fail at the receiver that does not answer", func() bool {
		list, err := r.store.ListDeliveries(t.Context(), reporter.DeliveryFilter{Receiver: "quiet", State: reporter.DeliveryPending, Limit: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if d.LastError != "" {
				return true
			}
		}
		return false
	})
	return r
}

func TestPagesInABrowser(t *testing.T) {
	t.Parallel()
	b := startChromium(t)
	r := pagesWorld(t)
	_, b.port, _ = strings.Cut(r.Addr(), ":")

	b.answer(plantedUser, plantedPassword)

	list, err := r.store.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 10})
	if err != nil || len(list.Rows) != 6 {
		t.Fatalf("%d incidents, %v", len(list.Rows), err)
	}
	var storm, checkout, disk string
	for _, row := range list.Rows {
		switch row.Incident.GroupLabels["alertname"] {
		case "NodeNotReady":
			storm = row.Incident.ID
		case "HighErrorRate":
			checkout = row.Incident.ID
		case "DiskFull":
			if row.Incident.State == reporter.IncidentResolved {
				disk = row.Incident.ID
			}
		}
	}
	ds, err := r.store.ListDeliveries(t.Context(), reporter.DeliveryFilter{Kind: reporter.DeliveryReport, State: reporter.DeliverySent, Limit: 1})
	if err != nil || len(ds) != 1 {
		t.Fatalf("%d reports were sent, %v", len(ds), err)
	}
	_, due, _ := strings.Cut(ds[0].Subject, "@")
	for kind, text := range map[reporter.EntryKind]string{
		reporter.EntryOwner: "王小明", reporter.EntryImpact: "結帳 12 分鐘無法完成，約 340 筆訂單受影響。", reporter.EntryActions: "- 監控 pg_wal 的大小\n- <b>輪替</b> WAL",
	} {
		if _, err := r.store.Write(t.Context(), reporter.Entry{
			Incident: disk, Kind: kind, Text: text, AuthorKind: reporter.AuthorPage, Author: "sre", WrittenAt: time.Now(),
		}); err != nil {
			t.Fatal(err)
		}
	}
	for name, path := range map[string]string{
		"overview": "/", "reports": "/reports", "report": "/reports/daily", "report-sent": "/reports/daily?at=" + url.QueryEscape(due),
		"incidents": "/incidents", "incidents-open": "/incidents?state=open", "incidents-none": "/incidents?q=nothing",
		"incident": "/incidents/" + disk, "incident-storm": "/incidents/" + storm, "incident-hostile": "/incidents/" + checkout,
		"deliveries": "/deliveries", "deliveries-filtered": "/deliveries?state=pending&receiver=quiet",
		"delivery": fmt.Sprintf("/deliveries/%d", ds[0].ID), "sources": "/sources", "incident-edit": "/incidents/" + disk + "/edit",
		"incident-history": "/incidents/" + disk + "/history", "cluster": "/clusters/default",
		"incidents-filtered": "/incidents?severity=critical&from=2020-01-01&q=" + url.QueryEscape("磁碟"),
	} {
		for _, phone := range []bool{true, false} {
			size := "desktop"
			if phone {
				size = "phone"
			}
			b.size(phone, false)
			b.visit(path, name+"-"+size)
			b.quiet(path + " on a " + size)
		}
	}
	for _, name := range []string{"/", "/incidents", "/sources"} {
		b.size(true, true)
		b.visit(name, "dark"+strings.ReplaceAll(name, "/", "-")+"-phone")
	}
	b.quiet("dark pages")
	b.size(true, false)
	b.visit("/nowhere", "nowhere-phone")
	b.mu.Lock()
	b.console = nil // it says that there is no such page
	b.mu.Unlock()

	// From the list to the incident whose id has to be escaped in a path.
	b.visit("/incidents?q=ODDID", "")
	b.click("main a.title", ".timeline")
	b.look("the incident by a click", "")
	if text := b.text("main"); !strings.Contains(text, oddID) || !strings.Contains(text, "OddID") {
		t.Errorf("the click led to: %s", text)
	}
	b.quiet("the incident by a click")

	if name, text := b.download(`a.button`); !strings.HasPrefix(text, "# ") || !strings.Contains(text, "OddID") || name != "postmortem-INC-2026-04-22-é.md" {
		t.Errorf("the file %q is: %s", name, text)
	}

	// The buttons of a delivery to a receiver that does not answer.
	b.visit("/deliveries?receiver=quiet&state=pending", "")
	waiting, err := r.store.ListDeliveries(t.Context(), reporter.DeliveryFilter{Receiver: "quiet", State: reporter.DeliveryPending, Limit: 50})
	if err != nil || len(waiting) == 0 {
		t.Fatalf("%d wait, %v", len(waiting), err)
	}
	id := waiting[0].ID
	press := func(action, want string) {
		t.Helper()
		b.click(fmt.Sprintf(`#d%d form[action$="/%s"] button`, id, action), "[role=status]")
		if text := b.text("[role=status]"); !strings.Contains(text, fmt.Sprint(id)) || !strings.Contains(text, want) {
			t.Errorf("after %s the page says %q", action, text)
		}
		if at := ask(b, chromedp.Location()); !strings.Contains(at, fmt.Sprintf("#d%d", id)) || !strings.Contains(at, "receiver=quiet") {
			t.Errorf("after %s the browser is at %s", action, at)
		}
		b.quiet(action)
	}
	press("cancel", "已取消")
	if d, err := r.store.Delivery(t.Context(), id); err != nil || d.State != reporter.DeliveryCancelled {
		t.Errorf("after the cancel: %s, %v", d.State, err)
	}
	b.visit("/deliveries?receiver=quiet", "deliveries-cancelled-phone")
	// One button retries all deliveries with the same cause.
	b.click(`form[action="/deliveries/retry"] button`, "[role=status]")
	if text := b.text("[role=status]"); !strings.Contains(text, "立即重試") {
		t.Errorf("after a retry of all the page says %q", text)
	}
	b.quiet("retry of all")
	// A cancelled delivery is retried on its own page.
	b.visit(fmt.Sprintf("/deliveries/%d", id), "")
	b.click(`form[action$="/retry"] button`, "[role=status]")
	if text := b.text("[role=status]"); !strings.Contains(text, fmt.Sprint(id)) || !strings.Contains(text, "重試") {
		t.Errorf("after a retry the page says %q", text)
	}
	b.quiet("retry")
	if d, err := r.store.Delivery(t.Context(), id); err != nil || d.State != reporter.DeliveryPending {
		t.Errorf("after the retry: %s, %v", d.State, err)
	}
	b.look("a delivery after a retry", "delivery-retried-phone")

	// Two people have the form of a section open: the second one sees the conflict, and what he or she typed.
	b.visit("/incidents/"+disk, "")
	b.click(`a[href$="/edit"]`, "form.edit")
	b.do(chromedp.SetValue(chromedp.CSS(`textarea[name=cause]`), "WAL 封存停止\n<script>alert(1)</script>"))
	other := reporter.Entry{Incident: disk, Kind: reporter.EntryCause, Text: "磁碟太小", AuthorKind: reporter.AuthorPage, Author: "alice", WrittenAt: time.Now()}
	if _, err := r.store.Write(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	b.click("form.edit button", "[role=alert]")
	b.look("a conflict", "incident-conflict-phone")
	if text := b.text("main"); !strings.Contains(text, "磁碟太小") || !strings.Contains(text, "alice") {
		t.Errorf("the conflict says: %s", text)
	}
	if typed := ask(b, chromedp.Value(chromedp.CSS(`textarea[name=cause]`))); !strings.Contains(typed, "WAL 封存停止") {
		t.Errorf("the conflict has lost what was typed: %q", typed)
	}
	b.mu.Lock()
	b.console = nil // it says that the page was answered with 409
	b.mu.Unlock()
	b.click("form.edit button", "[role=status]")
	b.look("an incident after an edit", "incident-edited-phone")
	if text := b.text("#written"); !strings.Contains(text, "<script>alert(1)</script>") || !strings.Contains(text, plantedUser) {
		t.Errorf("after the edit the page says: %s", text)
	}
	b.quiet("edit")

	// A page of another site has the same form, and the browser would send the password with it.
	evil := "data:text/html," + url.PathEscape(fmt.Sprintf(`<form method="post" action="%s"><button>x</button></form>`, b.address(fmt.Sprintf("/deliveries/%d/cancel", id))))
	b.do(chromedp.Navigate(evil))
	b.click("button", "pre")
	if text := b.text("pre"); !strings.Contains(text, "page of another site") {
		t.Errorf("to another site's form the page says: %s", text)
	}
	if d, err := r.store.Delivery(t.Context(), id); err != nil || d.State != reporter.DeliveryPending {
		t.Errorf("another site's form made the delivery %s, %v", d.State, err)
	}
}

// download clicks on a link to a file, and returns its name and text.
func (b *chromium) download(selector string) (name, text string) {
	b.t.Helper()
	dir := b.t.TempDir()
	done := make(chan string, 1)
	err := chromedp.ListenBrowser(b.ctx, func(ev any) {
		switch ev := ev.(type) {
		case *browser.EventDownloadWillBegin:
			b.mu.Lock()
			name = ev.SuggestedFilename
			b.mu.Unlock()
		case *browser.EventDownloadProgress:
			if ev.State == browser.DownloadProgressStateCompleted {
				select {
				case done <- ev.GUID:
				default:
				}
			}
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
	events := true
	_, err = chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: dir, EventsEnabled: &events,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(chromedp.CSS(selector)))
	select {
	case guid := <-done:
		data, err := os.ReadFile(filepath.Join(dir, guid))
		if err != nil {
			b.t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return name, string(data)
	case <-time.After(patience):
		b.t.Fatal("the file did not come")
	}
	return "", ""
}

// Without configured credentials the pages are open to this machine under its own names only, and actions ask for the
// generated ones.
func TestPagesWithoutALoginInABrowser(t *testing.T) {
	t.Parallel()
	b := startChromium(t)
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: plantedToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bot.Close() })
	r := start(t, receiver(bot))
	_, b.port, _ = strings.Cut(r.Addr(), ":")
	if _, err := r.store.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryPostmortem, "gone", "former", time.Now())); err != nil {
		t.Fatal(err)
	}
	b.size(true, false)
	b.do(chromedp.Navigate(b.address("/deliveries")), chromedp.WaitReady(chromedp.CSS("pre")))
	if text := b.text("pre"); !strings.Contains(text, "web.allowed_hosts") {
		t.Errorf("by a foreign name the page says: %s", text)
	}
	_, password, found := strings.Cut(r.logs.String(), "username=admin password=")
	if !found {
		t.Fatal("the log shows no credentials")
	}
	b.answer("admin", strings.Fields(password)[0])
	b.do(chromedp.Navigate("http://127.0.0.1:"+b.port+"/deliveries"), chromedp.WaitReady(chromedp.CSS("main")))
	b.look("/deliveries on this machine", "deliveries-open-phone")
	if text := b.text("main"); !strings.Contains(text, "重試與取消時需輸入帳號與密碼") {
		t.Errorf("the page does not say what actions ask for: %s", text)
	}
	b.click("button.danger", "[role=status]")
	if d, err := r.store.Delivery(t.Context(), 1); err != nil || d.State != reporter.DeliveryCancelled {
		t.Errorf("after the cancel: %s, %v", d.State, err)
	}
}
