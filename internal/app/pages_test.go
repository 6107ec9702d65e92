package app

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func TestPagesShowTheStatusOfPartsWithoutSecrets(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot)+fmt.Sprintf(`
prometheus: {url: "http://u:%[1]s@127.0.0.1:1/prom?token=%[1]s", timeout: 2s}
alertmanagers: [{url: "http://u:%[1]s@127.0.0.1:1"}]
incidents: {reconcile_interval: 1s}
sources: [{name: db, kind: postgres, dsn: "postgres://u:%[1]s@127.0.0.1:1/x"}]
kpi_sets: [journal]
queries: [{name: backlog, source: db, sql: "SELECT 1 AS value", metrics: [{name: acme_backlog, help: Backlog.}]}]
`, plantedPassword))
	if _, page := r.get("/sources"); !strings.Contains(page, "啟動後尚未收到") {
		t.Errorf("before anything has happened: %s", page)
	}
	began := time.Now().Add(-time.Hour)
	if code := r.post(webhookBody("g", "OPEN-1", nil, began, time.Time{})); code != 200 {
		t.Fatalf("webhook: %d", code)
	}
	r.get("/metrics")
	eventually(t, "a comparison with Alertmanager", func() bool { return r.reconcile.Outcome().Err != nil })
	_, page := r.get("/sources")
	for _, want := range []string{"backlog", "postgres: connection refused", "http://127.0.0.1:1/prom<", "oncall", "telegram", "0 8 * * *", "異常", "正常"} {
		if !strings.Contains(page, want) {
			t.Errorf("/sources does not say %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "啟動後尚未收到") {
		t.Error("/sources does not know of the webhook")
	}
	_, page = r.get("/")
	for _, want := range []string{"需要關注", "無法讀取數據", "來源 db: 1 個查詢失敗", "磁碟空間不足", "未能與 Alertmanager 核對"} {
		if !strings.Contains(page, want) {
			t.Errorf("the overview does not say %q:\n%s", want, page)
		}
	}
}

// The link of a postmortem to its page works.
func TestLinksOfMessagesLeadToPages(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	const outside = "https://ops.example.org/awoooi"
	r := start(t, receiver(bot)+"external_url: "+outside+"\n")
	began := time.Now().Add(-time.Hour)
	if code := r.post(webhookBody("g", "INC 1/2", nil, began, began.Add(30*time.Minute))); code != 200 {
		t.Fatalf("webhook: %d", code)
	}
	msg := messages(t, bot, 1)[0]
	var path string
	for _, b := range msg.Buttons {
		if after, ok := strings.CutPrefix(b.URL, outside); ok {
			path = after
		}
	}
	if path == "" {
		t.Fatalf("the message has no button to its page: %v\n%s", msg.Buttons, msg.Text)
	}
	if code, page := r.get(path); code != 200 || !strings.Contains(page, "磁碟空間不足") {
		t.Errorf("%s: %d", path, code)
	}
	if code, file := r.get(path + "/postmortem.md"); code != 200 || !strings.HasPrefix(file, "# ") {
		t.Errorf("%s/postmortem.md: %d %s", path, code, file)
	}
}

func TestActingNeedsALogin(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("test"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		config, file string
		login        func(*http.Request)
		want         int
	}{
		"no login at all":           {"", "", func(*http.Request) {}, 401},
		"a user that is not there":  {"", "", func(r *http.Request) { r.SetBasicAuth("admin", "") }, 401},
		"a user of ours":            {"web: {username: sre, password: test}\n", "", func(r *http.Request) { r.SetBasicAuth("sre", "test") }, 303},
		"a user of ours, no login":  {"web: {username: sre, password: test}\n", "", func(*http.Request) {}, 401},
		"a token":                   {"web: {bearer_token: test}\n", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer test") }, 303},
		"a user of the toolkit's":   {"web: {config_file: web.yaml}\n", "basic_auth_users: {sre: " + string(hash) + "}\n", func(r *http.Request) { r.SetBasicAuth("sre", "test") }, 303},
		"a toolkit's file, no user": {"web: {config_file: web.yaml}\n", "http_server_config: {http2: true}\n", func(*http.Request) {}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
			r := startIn(t, dir, tc.config, Options{Role: RoleAll})
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, "x", "former", time.Now())
			if _, err := r.store.Enqueue(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest(http.MethodPost, r.url("/deliveries/1/cancel"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", "127.0.0.1") // which is no credential, nor is that it comes from here
			tc.login(req)
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			got, err := r.store.Delivery(t.Context(), 1)
			if err != nil || resp.StatusCode != tc.want || (got.State == reporter.DeliveryCancelled) != (tc.want == 303) {
				t.Errorf("%d, want %d; the delivery is %s, %v", resp.StatusCode, tc.want, got.State, err)
			}
		})
	}
}

// Faults of sources and receivers are shown before the first scrape and the first send, and what has not been verified is not shown
// as healthy.
func TestUnverifiedPartsAreNotShownAsHealthy(t *testing.T) {
	t.Parallel()
	r := start(t, `
sources: [{name: awoooi, kind: postgres, dsn: "postgres://reader:p@127.0.0.1:1/nope"}]
receivers: [{name: oncall, telegram: {bot_token: "999:WRONG", chat_id: "-1", api_url: "http://127.0.0.1:1"}}]
`)
	good := func(page string) bool {
		return strings.Contains(page, "一切正常") || strings.Contains(page, "可送達")
	}
	eventually(t, "the verification of the receiver and the source", func() bool {
		_, overview := r.get("/")
		_, sources := r.get("/sources")
		if good(overview) || good(sources) {
			t.Fatalf("something that was not asked is called good:\n%s\n%s", overview, sources)
		}
		return strings.Contains(overview, "接收者 oncall 無法送達") && strings.Contains(overview, "來源 awoooi") &&
			strings.Contains(sources, "postgres: connection refused")
	})
}
