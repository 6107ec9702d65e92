package details_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/details"
)

const planted = "pl4nted-p4ssword"

var day = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

func TestDetails(t *testing.T) {
	t.Parallel()
	pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Stop() })
	dsn := pg.DSN("postgres")
	if err := localstack.InstallAWOOOI(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	if err := localstack.SeedAWOOOI(t.Context(), dsn, localstack.SeedOptions{Seed: 1, Now: time.Now(), Days: 3, PerDay: 50}); err != nil {
		t.Fatal(err)
	}
	zone, timeout := "", time.Minute
	lookup := func(dsn, sql, id string) (reporter.Details, error) {
		t.Helper()
		l, err := details.Open(details.Config{DSN: secret.New(dsn), SQL: sql, Timeout: timeout, Timezone: zone})
		if err != nil {
			return reporter.Details{}, err
		}
		defer l.Close()
		return l.Details(t.Context(), reporter.DetailsQuery{
			IncidentID: id, Fingerprint: "f1", AlertName: "HighErrorRate", StartsAt: day, EndsAt: day.Add(time.Hour),
		})
	}
	d, err := lookup(dsn, details.BuiltinSQL, "INC-000001")
	if err != nil || d.Title == "" || d.RootCause == "" || d.Action == "" || d.Decision == "" {
		t.Errorf("builtin: %+v, %v", d, err)
	}
	if _, err := lookup(dsn, details.BuiltinSQL, "nothing' OR 1=1 --"); !errors.Is(err, reporter.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	d, err = lookup(dsn, "SELECT @incident_id::text AS title, NULL AS severity, 'manual, by alice' AS disposition, 3.0::numeric AS retries, 1 AS other", "X")
	if want := (reporter.Details{Title: "X", Disposition: reporter.DispositionHuman, Retries: 3}); err != nil || d != want {
		t.Errorf("own SQL: %+v, want %+v, %v", d, want, err)
	}
	for sql, want := range map[string]string{
		// The id is compared as the alert has it. Without one, conditions on it are not true.
		"SELECT 'row' AS title WHERE '17' = @incident_id":                                              "",
		"SELECT 'row' AS title WHERE '事故17' = @incident_id":                                            "row",
		"SELECT 'row' AS title WHERE @fingerprint = 'f1' AND @alertname = 'HighErrorRate'":             "row",
		"SELECT 'row' AS title WHERE @starts_at < now() AND @ends_at = @starts_at::timestamptz + '1h'": "row",
		"SELECT 'row' AS title FROM generate_series(1, 2) WHERE @incident_id::text IS NOT NULL":        "",
	} {
		d, err := lookup(dsn, sql, "事故17")
		if d.Title != want || (want == "") != errors.Is(err, reporter.ErrNotFound) {
			t.Errorf("%s: %q, %v", sql, d.Title, err)
		}
	}
	// Columns without time zone are in the zone of the source or its DSN. Without one their times are unknown.
	const local = "SELECT (timestamp '2026-04-22 08:00' >= @starts_at AND timestamp '2026-04-22 08:59' < @ends_at)::text AS title, "
	for _, tc := range []struct {
		params, zone, sql string
		want              time.Time
		within            string // the incident's time, from 08:00 to 09:00 in Taipei
	}{
		{"", "", "timestamptz '2026-04-22 08:30+08'", day.Add(30 * time.Minute), ""},
		{"", "", "timestamp '2026-04-22 08:30'", time.Time{}, ""},
		{"", "Asia/Taipei", "timestamp '2026-04-22 08:30'", day.Add(30 * time.Minute), "true"},
		{"&timezone=Asia/Taipei", "", "timestamp '2026-04-22 08:30'", day.Add(30 * time.Minute), "true"},
		{"&timezone=America/New_York", "Asia/Taipei", "timestamp '2026-04-22 08:30'", day.Add(30 * time.Minute), "true"},
		{"", "America/New_York", "timestamp '2026-11-01 01:30'", time.Time{}, "false"},
		{"", "Asia/Taipei", "date '2026-04-22'", time.Time{}, "true"},
	} {
		zone = tc.zone
		d, err := lookup(dsn+tc.params, local+tc.sql+" AS acknowledged_at", "X")
		if err != nil || !d.Acknowledged.Equal(tc.want) || tc.within != "" && d.Title != tc.within {
			t.Errorf("%+v: %s, %q, %v", tc, d.Acknowledged, d.Title, err)
		}
	}
	zone = ""
	if d, err := lookup(dsn, "SELECT $$@incident_id$$ || ' a@title' AS title, ARRAY[1] <@severity AS severity FROM (SELECT ARRAY[1, 2] AS severity) AS s", "X"); err != nil || d.Title != "@incident_id a@title" {
		t.Errorf("text that is no name: %q, %v", d.Title, err)
	}
	if _, err := lookup(dsn, "SELECT 'row' AS title WHERE @incident_id::text IS NULL", ""); err != nil {
		t.Errorf("no ID: %v", err)
	}
	if _, err := lookup(dsn, "SELECT @incident", "X"); err == nil || !strings.Contains(err.Error(), "unknown name @incident ") {
		t.Errorf("an unknown name: %v", err)
	}
	for sql, says := range map[string]string{
		"SELECT title FROM nowhere WHERE @incident_id <> ''":     `"nowhere" does not exist`,
		"DELETE FROM incidents WHERE incident_id = @incident_id": "read-only",
	} {
		if _, err := lookup(dsn, sql, "X"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	timeout = 100 * time.Millisecond
	if d, err := lookup(dsn, "SELECT 'x' AS title, pg_sleep(600) WHERE @incident_id <> ''", "X"); err == nil {
		t.Errorf("a slow lookup: %+v", d)
	}
	timeout = time.Minute
	// A pooler in any of its modes changes nothing, and settings in the DSN are respected.
	for _, mode := range []string{"session", "transaction", "statement"} {
		b, err := localstack.StartPgBouncer(t.Context(), pg, localstack.PgBouncerOptions{PoolMode: mode})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Stop() })
		pooled := b.DSN("postgres") + "&options=-c%20search_path%3Dpublic%20-c%20timezone%3DAsia/Taipei"
		for range 2 {
			d, err := lookup(pooled, "SELECT current_setting('search_path') || current_setting('timezone') AS title WHERE @incident_id <> ''", "X")
			if err != nil || d.Title != "publicAsia/Taipei" {
				t.Errorf("%s: %+v, %v", mode, d, err)
			}
			if _, err := lookup(pooled, "DELETE FROM incidents WHERE incident_id = @incident_id", "X"); err == nil || !strings.Contains(err.Error(), "read-only") {
				t.Errorf("%s: a write: %v", mode, err)
			}
		}
	}
	for _, bad := range []string{
		"postgres://u:" + planted + "@127.0.0.1:1/x", "postgres://u:" + planted + "@:bad:/x", "host=h port=x password=" + planted,
		strings.Replace(dsn, "postgres@", "u:"+planted+"@", 1),
	} {
		if _, err := lookup(bad, "SELECT @incident_id", "X"); err == nil || strings.Contains(err.Error(), planted) {
			t.Errorf("bad DSN: %v", err)
		}
	}
}
