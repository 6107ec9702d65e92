package localstack_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// eventually polls until ok returns true, and fails the test after two minutes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

func get(t *testing.T, address string) (string, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return "", false
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err == nil && resp.StatusCode == http.StatusOK
}

func TestPrometheusScrapesAndAlertsThroughAlertmanager(t *testing.T) {
	t.Parallel()
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "awoooi_alerts{category=\"infrastructure\"} 60\n")
	}))
	defer exporter.Close()
	webhooks := make(chan string, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		webhooks <- string(b)
	}))
	defer hook.Close()

	am, err := localstack.StartAlertmanager(t.Context(), localstack.AlertmanagerOptions{Config: `
route: {receiver: hook, group_wait: 10ms, group_interval: 100ms}
receivers:
  - name: hook
    webhook_configs: [{url: "` + hook.URL + `"}]
`})
	if err != nil {
		t.Fatal(err)
	}
	prom, err := localstack.StartPrometheus(t.Context(), localstack.PrometheusOptions{
		ScrapeInterval:  200 * time.Millisecond,
		Targets:         []string{strings.TrimPrefix(exporter.URL, "http://")},
		AlertmanagerURL: am.URL(),
		Rules:           "groups:\n  - name: g\n    rules:\n      - alert: TooMany\n        expr: awoooi_alerts > 50\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the series is there", func() bool {
		body, ok := get(t, prom.URL()+"/api/v1/query?query="+url.QueryEscape(`awoooi_alerts{job="awoooi"}`))
		return ok && strings.Contains(body, `"60"`)
	})
	var message struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	select {
	case body := <-webhooks:
		if err := json.Unmarshal([]byte(body), &message); err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("no webhook came")
	}
	if len(message.Alerts) != 1 || message.Alerts[0].Labels["alertname"] != "TooMany" {
		t.Errorf("webhook has alerts %v, want TooMany", message.Alerts)
	}
	for name, stop := range map[string]func() error{"prometheus": prom.Stop, "alertmanager": am.Stop} {
		for range 2 {
			if err := stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, ok := get(t, prom.URL()+"/-/ready"); ok {
		t.Error("prometheus still answers after its stop")
	}
}

func TestToolEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	am, err := localstack.StartAlertmanager(ctx, localstack.AlertmanagerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the server is gone", func() bool {
		_, ok := get(t, am.URL()+"/-/ready")
		return !ok
	})
	if err := am.Stop(); err != nil {
		t.Error(err)
	}
}

func TestBadConfigurationShowsTheOutputOfTheTool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := localstack.StartPrometheus(t.Context(), localstack.PrometheusOptions{Dir: dir, ExtraConfig: "nonsense: 1\n"})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error is %v, want Prometheus's complaint about nonsense", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "prometheus.yml")); err != nil {
		t.Errorf("a directory that was given is kept: %v", err)
	}
}

func TestMissingToolSaysHowToGetIt(t *testing.T) {
	t.Setenv("PROMETHEUS_BIN", "")
	t.Setenv("PATH", t.TempDir())
	t.Setenv("AWOOOI_TOOLS", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := localstack.StartPrometheus(t.Context(), localstack.PrometheusOptions{})
	if err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("error is %v, want one that names make tools", err)
	}
}
