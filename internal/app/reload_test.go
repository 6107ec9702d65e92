package app

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

// If one part refuses a configuration, no part changes, and the error names the problems of all parts.
func TestReloadChangesAllPartsOrNone(t *testing.T) {
	t.Parallel()
	form := "product: %s\nreports: [{name: daily, template: %q}]\n" +
		"sources: [{name: db, kind: postgres, dsn: %q}]\n" +
		"queries: [{name: %s, source: db, sql: \"SELECT 1 AS value\", metrics: [{name: acme_probe, help: Probe.}]}]\n"
	const dsn, badDSN = "host=127.0.0.1 port=1", "host=127.0.0.1 port=x"
	r := start(t, fmt.Sprintf(form, "Before", "", dsn, "before"))
	inForce := func(want string) {
		t.Helper()
		if _, page := r.get("/reports/daily"); !strings.Contains(page, want+" 日度") {
			t.Errorf("the reporter does not use the configuration %q", want)
		}
		if _, metrics := r.get("/metrics"); !strings.Contains(metrics, `query="`+strings.ToLower(want)+`"`) {
			t.Errorf("the collector does not use the configuration %q:\n%s", want, metrics)
		}
	}
	inForce("Before")
	for name, tc := range map[string]struct {
		template, dsn string
		want          []string
	}{
		"the collector's": {"", badDSN, []string{"source db"}},
		"the reporter's":  {"nowhere.tmpl", dsn, []string{"nowhere.tmpl"}},
		"both":            {"nowhere.tmpl", badDSN, []string{"source db", "nowhere.tmpl"}},
	} {
		r.write(fmt.Sprintf(form, "After", tc.template, tc.dsn, "after"))
		err := r.Reload()
		if err == nil {
			t.Fatalf("%s: the configuration was taken", name)
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error does not name %q: %v", name, want, err)
			}
		}
		inForce("Before")
	}
	r.write(fmt.Sprintf(form, "After", "", dsn, "after"))
	if err := r.Reload(); err != nil {
		t.Fatal(err)
	}
	inForce("After")
}

// What a running process cannot take is refused by name. What it does not use may change.
func TestReloadRefusesWhatNeedsARestart(t *testing.T) {
	t.Parallel()
	for change, want := range map[string]string{
		"embedded: {scrape_interval: 1m}": "embedded",
		"prometheus: {timeout: 1m}":       "prometheus.timeout (of the embedded database)",
		"prometheus: {url: 'http://x'}":   "prometheus.url (from or to the embedded database)",
		"log: {level: debug}":             "log",
		"state: {path: elsewhere}":        "state.path",
		"web: {listen_addresses: [':1']}": "web.listen_addresses",
		"state: {retention: 30d}":         "",
	} {
		if got := restartOnly(parsed(t, ""), parsed(t, change)); (got == nil) != (want == "") || got != nil && !strings.HasPrefix(got.Error(), want+": a change needs a restart") {
			t.Errorf("%s: %v, want %q", change, got, want)
		}
	}
	const url = "prometheus: {url: 'http://x', timeout: %s}\nembedded: {retention: %s}\n"
	if err := restartOnly(parsed(t, fmt.Sprintf(url, "30s", "40d")), parsed(t, fmt.Sprintf(url, "1m", "30d"))); err != nil {
		t.Errorf("with a Prometheus: %v", err)
	}
}

// parsed is a configuration of that text.
func parsed(t *testing.T, yaml string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A role that does not exist is an error, not a program without parts.
func TestUnknownRole(t *testing.T) {
	t.Parallel()
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"", "both"} {
		if _, err := New(t.Context(), c, Options{Role: role}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), RoleCollector) {
			t.Errorf("role %q: %v", role, err)
		}
	}
}
