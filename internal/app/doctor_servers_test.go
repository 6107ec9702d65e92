package app

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// named checks that a planted fault is one line of doctor's output, and the only failure.
func named(t *testing.T, got, want string) {
	t.Helper()
	lines := 0
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, want) {
			lines++
		} else if strings.HasPrefix(line, "fail ") {
			t.Errorf("another failure: %s", line)
		}
	}
	if lines != 1 {
		t.Errorf("%d lines begin with %q:\n%s", lines, want, got)
	}
	if strings.Contains(got, "planted") {
		t.Errorf("shows a secret:\n%s", got)
	}
}

// Faults of a real PostgreSQL, each by a user of its own.
func TestDoctorOnPostgreSQL(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ fault, more, want string }{
		"no fault":               {"", "", "ok source awoooi: 12 queries answered; its sessions use the time zone UTC"},
		"a table without rights": {"REVOKE SELECT ON knowledge_entries FROM %s", "", "fail source awoooi query knowledge_entries: postgres: permission denied for table knowledge_entries (SQLSTATE 42501); GRANT SELECT ON knowledge_entries TO the source's user"},
		"a column is not there":  {"ALTER TABLE incidents DROP COLUMN hit_count", "", "fail source awoooi query alerts_converged: postgres: column \"hit_count\" does not exist"},
		"a column without zone":  {"ALTER TABLE knowledge_entries ALTER created_at TYPE timestamp", "", "fail source awoooi query knowledge_entries: postgres: column knowledge_entries.created_at has no time zone: set timezone of the source"},
		"details of no column":   {"", "incidents: {details: {source: awoooi, sql: 'SELECT titel FROM incidents WHERE incident_id = @incident_id'}}", "fail incidents.details: details: column \"titel\" does not exist"},
		"details without rights": {"REVOKE SELECT ON incidents FROM %[1]s; GRANT SELECT (created_at, status, alert_category, title, hit_count, alert_group_id, resolved_at, incident_id) ON incidents TO %[1]s", "incidents: {details: {source: awoooi}}", "fail incidents.details: details: permission denied for table incidents (SQLSTATE 42501); GRANT SELECT ON incidents TO"},
		"unknown column":         {"", "incidents: {details: {source: awoooi, sql: 'SELECT title, root_cause AS cause FROM incidents WHERE incident_id = @incident_id'}}", "warn incidents.details: unknown column cause; name it title,"},
		"details are good":       {"", "incidents: {details: {source: awoooi}}", "ok incidents.details: its SELECT runs on source awoooi"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			conn := connect(t, dsn)
			user := fmt.Sprintf("reader%d", databases.Add(1))
			text := fmt.Sprintf("CREATE ROLE %[1]s LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO %[1]s", user)
			if tc.fault != "" {
				fault := tc.fault
				if strings.Contains(fault, "%") {
					fault = fmt.Sprintf(fault, user)
				}
				text += "; " + fault
			}
			if _, err := conn.Exec(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			mine := strings.Replace(dsn, "postgres://postgres@", "postgres://"+user+":planted@", 1)
			named(t, diagnose(t, fmt.Sprintf("state: {path: %q}\nsources: [{name: awoooi, kind: postgres, dsn: %q}]\n%s\n", t.TempDir(), mine, tc.more)), tc.want)
		})
	}
	t.Run("no rights for the state", func(t *testing.T) {
		t.Parallel()
		dsn := database(t)
		user := fmt.Sprintf("stateless%d", databases.Add(1))
		if _, err := connect(t, dsn).Exec(t.Context(), "CREATE ROLE "+user+" LOGIN"); err != nil {
			t.Fatal(err)
		}
		mine := strings.Replace(dsn, "postgres://postgres@", "postgres://"+user+"@", 1)
		named(t, diagnose(t, fmt.Sprintf("state: {dsn: %q}\n", mine)), "fail state: the user may not create the schema awoooi_reporter")
	})
	t.Run("the state is good", func(t *testing.T) {
		t.Parallel()
		named(t, diagnose(t, fmt.Sprintf("state: {dsn: %q}\n", database(t))), "ok state: PostgreSQL answers; the first start creates its schema")
	})
}

func TestDoctorOnAlertmanager(t *testing.T) {
	t.Parallel()
	const good = "route: {receiver: r, group_by: [alertname]}\n"
	hook := func(more string) string {
		return "receivers: [{name: r, webhook_configs: [{url: 'http://127.0.0.1:1/api/v1/alertmanager/webhook'" + more + "}]}, {name: other}]\n"
	}
	for name, tc := range map[string]struct{ config, want string }{
		"all is well":     {good + hook(""), "ok alertmanager default: answers; receiver r has"},
		"no webhook":      {"route: {receiver: r}\nreceivers: [{name: r}]\n", "fail alertmanager default: answers, but no receiver has a webhook; add webhook_configs"},
		"send_resolved":   {good + hook(", send_resolved: false"), "fail alertmanager default: receiver r has send_resolved: false, so that no incident ends; set send_resolved: true"},
		"max_alerts":      {good + hook(", max_alerts: 5"), "warn alertmanager default: receiver r has max_alerts: 5"},
		"no route":        {"route: {receiver: other, group_by: [alertname]}\n" + hook(""), "fail alertmanager default: no route leads to receiver r"},
		"no group_by":     {"route: {receiver: r}\n" + hook(""), "warn alertmanager default: a route to receiver r has no group_by"},
		"repeat_interval": {"route: {receiver: r, group_by: [alertname], repeat_interval: 30d}\n" + hook(""), "warn alertmanager default: a route to receiver r has repeat_interval 30d, incidents expire after 1w"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: tc.config})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { am.Stop() })
			named(t, diagnose(t, fmt.Sprintf("state: {path: %q}\nalertmanagers: [{url: %q}]\n", t.TempDir(), am.URL())), tc.want)
		})
	}
}

func TestDoctorOnPrometheus(t *testing.T) {
	t.Parallel()
	prom := startPrometheus(t, localstack.PrometheusOptions{Args: []string{"--storage.tsdb.retention.time=3d"}})
	got := diagnose(t, fmt.Sprintf("state: {path: %q}\nprometheus: {url: %q}\n", t.TempDir(), prom.URL()))
	named(t, got, "warn scrapes: prometheus has no series of this program; add it to scrape_configs")
	named(t, got, "warn retention: prometheus keeps 3d, the report daily looks back 7 days; start it with --storage.tsdb.retention.time=")
	named(t, got, "warn report daily: no series now for ")
	named(t, diagnose(t, fmt.Sprintf("state: {path: %q}\nprometheus: {url: %q}\n", t.TempDir(), prom.URL()+"/prometheus")), "fail prometheus: ")

	r := start(t, "embedded: {scrape_interval: 1h}\n")
	prom = startPrometheus(t, localstack.PrometheusOptions{ScrapeInterval: time.Second, Targets: []string{r.Addr()}})
	config := fmt.Sprintf("state: {path: %q}\nprometheus: {url: %q}\n", t.TempDir(), prom.URL())
	// The interval is not known yet, so that there is no warning.
	want := fmt.Sprintf("ok scrapes: as job \"awoooi\" instance %q; the newest sample is ", r.Addr())
	var found string
	eventually(t, "a scrape", func() bool {
		found = diagnose(t, config)
		return strings.Contains(found, want)
	})
	if strings.Contains(found, "repairs_succeeded") { // which needs a database that is not configured
		t.Errorf("a figure that is left out of the report is missed:\n%s", found)
	}
}

func TestDoctorOnRedis(t *testing.T) {
	t.Parallel()
	redis, err := localstack.StartRedis(t.Context(), localstack.RedisOptions{Users: []string{"default on >secret ~* &* +@all"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { redis.Stop() })
	source := func(url string) string {
		return fmt.Sprintf("state: {path: %q}\nsources: [{name: cache, kind: redis, url: %q}]\n"+
			"queries: [{name: q, source: cache, redis: [DBSIZE], metrics: [{name: my_q, help: Q.}]}]\n", t.TempDir(), url)
	}
	url := redis.URL()
	at := url[strings.LastIndexByte(url, '@')+1:]
	at = strings.TrimPrefix(at, "redis://")
	named(t, diagnose(t, source("redis://:planted@"+at)), "fail source cache query q: redis: ")
	named(t, diagnose(t, source("redis://:secret@"+at)), "ok source cache: 1 queries answered")
}

// A state of a newer version is a failure. Doctor creates and changes no state.
func TestDoctorOnState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := fmt.Sprintf("state: {path: %q}\n", dir)
	named(t, diagnose(t, config), "ok state: "+dir+" can be written; the first start creates its schema")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking at it made %v, %v", entries, err)
	}
	r := startIn(t, dir, "embedded: {scrape_interval: 1h}\n", Options{Role: RoleReporter})
	data := filepath.Join(dir, "data")
	config = fmt.Sprintf("state: {path: %q}\n", data)
	named(t, diagnose(t, config), "ok state: "+data+" can be written, a process runs on it; schema version ")
	r.stop()
	named(t, diagnose(t, config), "ok state: "+data+" can be written; schema version ")
	db, err := sql.Open("sqlite", filepath.Join(data, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 999"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	named(t, diagnose(t, config), "fail state: has schema version 999, this program knows ")
	if seen, err := store.ConditionOfSQLite(t.Context(), data); err != nil || seen.Have != 999 {
		t.Errorf("the state is %+v, %v", seen, err)
	}
	if err := os.Chmod(filepath.Join(data, "state.db"), 0o644); err != nil {
		t.Fatal(err)
	}
	named(t, strings.ReplaceAll(diagnose(t, config), "fail state: has", "ok"), "warn state: state.db may be read by others (mode -rw-r--r--); chmod 600 ")
}
