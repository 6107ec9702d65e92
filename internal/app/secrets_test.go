package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// echo is a hostile server: every answer holds the URL and the headers of the request, and so every secret in them.
func echo(t *testing.T, status int, contentType, form string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		said := r.URL.String()
		for name, values := range r.Header {
			said += " " + name + ": " + strings.Join(values, " ")
		}
		if _, password, ok := r.BasicAuth(); ok {
			said += " " + password
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprintf(w, form, said)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Every secret of the configuration is planted, and every server fails in several ways; no log, page, metric, stored error or
// command shows a secret.
func TestNoFaultShowsASecret(t *testing.T) {
	t.Parallel()
	const planted = "pl4nted"
	database := database(t)
	withPassword := strings.Replace(database, "postgres@", "nobody:"+planted+"-dsn@", 1)
	for name, far := range map[string]struct {
		status      int
		contentType string
		form        string
	}{
		"text":         {500, "text/plain", "%s"},
		"unauthorized": {401, "text/html", "<html>%s</html>"},
		"not found":    {404, "application/json", `{"ok": false, "error_code": 404, "description": %q, "status": "error", "errorType": "not_found", "error": "x"}`},
		"bad request":  {400, "application/json", `{"ok": false, "error_code": 400, "description": %q, "status": "error", "errorType": "bad_data", "error": "x"}`},
		"not JSON":     {200, "text/plain", "%s"},
		"half JSON":    {200, "application/json", `{"status": "success", "data": %q`},
		"odd JSON":     {200, "application/json", `{"status": %q, "data": {"resultType": 3}, "ok": "yes"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := echo(t, far.status, far.contentType, far.form)
			dir := t.TempDir()
			yaml := fmt.Sprintf(`
state: {path: %[5]q}
web: {bearer_token: %[1]s-pages}
webhook: {bearer_token: %[3]s, username: am, password: %[1]s-webhook}
kpi_sets: [awoooi]
sources:
  - {name: awoooi, kind: postgres, dsn: %[4]q}
  - {name: gone, kind: postgres, dsn: "postgres://u:%[1]s-gone@127.0.0.1:1/x"}
  - {name: cache, kind: redis, url: "redis://:%[1]s-redis@127.0.0.1:1/0"}
  - {name: awoooi_api, kind: http, url: %[2]q, http_config: {basic_auth: {username: u, password: %[1]s-api}}}
queries:
  - {name: q1, source: gone, sql: "SELECT 1 AS value", metrics: [{name: x_gone, help: h}]}
  - {name: q2, source: cache, redis: [GET, x], metrics: [{name: x_cache, help: h}]}
prometheus: {url: %[2]q, timeout: 2s, http_config: {authorization: {credentials: %[1]s-prometheus}, http_headers: {X-Key: {secrets: [%[1]s-header]}}}}
alertmanagers: [{url: %[2]q, http_config: {authorization: {credentials: %[1]s-alertmanager}}}]
incidents: {details: {source: gone}}
delivery: {fallback_receiver: backup}
receivers:
  - {name: oncall, telegram: {bot_token: "1:%[1]s-bot", chat_id: 1, api_url: %[2]q}}
  - {name: closed, telegram: {bot_token: "2:%[1]s-bot", chat_id: 2, api_url: "http://127.0.0.1:1"}}
  - {name: backup, telegram: {bot_token: "3:%[1]s-bot", chat_id: 3, api_url: %[2]q}}
`, planted, url, plantedWebhookToken, withPassword, filepath.Join(dir, "data"))
			r := startIn(t, dir, yaml, Options{Role: RoleAll})
			began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
			for _, body := range []string{
				webhookBody("g", "S-1", nil, began, began.Add(time.Hour)), webhookBody("o", "S-2", nil, began, time.Time{}), "{", "",
			} {
				r.post(body)
			}
			var out strings.Builder
			get := func(path, authorization string) {
				t.Helper()
				req, err := http.NewRequest(http.MethodGet, r.url(path), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", authorization)
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if path != "/-/ready" && resp.StatusCode == http.StatusUnauthorized != (authorization == "Bearer no") {
					t.Errorf("%s: %d", path, resp.StatusCode)
				}
				fmt.Fprintf(&out, "\n=== %s %d\n", path, resp.StatusCode)
				io.Copy(&out, resp.Body)
			}
			// The failed sends and their errors are stored before the pages are read.
			eventually(t, "the sends to fail", func() bool {
				ds, err := r.store.Deliveries(t.Context(), 10)
				failed := 0
				for _, d := range ds {
					if d.LastError != "" || d.State != reporter.DeliveryPending {
						failed++
					}
				}
				return err == nil && failed >= 2
			})
			if err := r.reconcile.Reconcile(t.Context()); err == nil {
				t.Error("the hostile Alertmanager is taken for one")
			}
			for _, path := range []string{"/", "/metrics", "/-/ready", "/-/healthy", "/reports/daily", "/incidents", "/incidents/S-1", "/incidents/S-2", "/deliveries"} {
				get(path, "Bearer "+planted+"-pages")
			}
			get("/deliveries", "Bearer no")
			r.write(yaml + "no_such_key: " + planted + "\n" + planted + ": [")
			if err := r.Reload(); err == nil {
				t.Error("a bad configuration was taken")
			} else {
				out.WriteString(err.Error())
			}
			r.stop()
			r.write(yaml)
			out.WriteString(commands(t, r.conf))
			out.WriteString(r.logs.String())
			out.WriteString(r.stdout.String())
			if at := strings.Index(out.String(), planted); at >= 0 {
				t.Errorf("a secret is shown:\n%s", out.String()[max(0, at-600):min(out.Len(), at+100)])
			}
		})
	}
}

// commands returns what the commands print and log with a configuration whose servers all fail.
func commands(t *testing.T, conf string) string {
	t.Helper()
	var out localstack.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := config.Load(conf)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Summarize(c, log)
	fmt.Fprintln(&out, n, err)
	tools, err := OpenTools(t.Context(), c, Needs{State: true, Figures: true}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer tools.Close()
	daily, err := tools.ReportText(t.Context(), ReportQuery{Name: "daily", At: time.Now()}, FormatHTML)
	fmt.Fprintln(&out, daily, err)
	ds, err := deliveriesList.run(t.Context(), tools, 50)
	fmt.Fprintln(&out, ds, err)
	pm, err := tools.PostmortemText(t.Context(), "S-1", FormatHTML)
	fmt.Fprintln(&out, pm, err)
	return out.String()
}
