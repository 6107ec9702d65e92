package app

import (
	"fmt"
	"log/slog"
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
