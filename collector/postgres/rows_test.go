package postgres_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/postgres"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// figures are the samples of acme_ metrics of a scrape, one a line.
func figures(text string) string {
	var out []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "acme_") {
			out = append(out, strings.TrimPrefix(strings.TrimSpace(line), "acme_"))
		}
	}
	return strings.Join(out, " ")
}

func labelled(q *kpi.Query) { q.Metrics[0].Labels = []string{"l"} }

// A label is PostgreSQL's own text of the value in UTC and ISO style, exact to the last digit.
func TestLabels(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	row := func(label string) string { return fmt.Sprintf("q{l=%q} 1", label) }
	digest := func(s string) string { return fmt.Sprintf("… %x", sha256.Sum256([]byte(s)))[:len("… ")+16] }
	x600, cjk := strings.Repeat("x", 600), strings.Repeat("告", 200)
	long := strings.Repeat("x", 492)
	for name, tc := range map[string]struct{ sql, want string }{
		"timestamp":               {"SELECT timestamp '2026-04-22 08:00:00.123456' AS l, 1 AS value", row("2026-04-22 08:00:00.123456")},
		"timestamptz":             {"SELECT timestamptz '2026-04-22 08:00:00.1+08' + g * interval '0.2 s' AS l, 1 AS value FROM generate_series(0,1) g", row("2026-04-22 00:00:00.1+00") + " " + row("2026-04-22 00:00:00.3+00")},
		"date":                    {"SELECT date '2026-04-22' AS l, 1 AS value", row("2026-04-22")},
		"an infinite date":        {"SELECT date 'infinity' AS l, 1 AS value", row("infinity")},
		"time":                    {"SELECT time '08:30' AS l, 1 AS value", row("08:30:00")},
		"interval":                {"SELECT interval '1 day 90 s' AS l, 1 AS value", row("1 day 00:01:30")},
		"numeric":                 {"SELECT 1.50::numeric AS l, 1 AS value", row("1.50")},
		"a large numeric":         {"SELECT 12345678901234567890::numeric AS l, 1 AS value", row("12345678901234567890")},
		"two above 2^53":          {"SELECT 9007199254740992::numeric + g AS l, g AS value FROM generate_series(0,1) g", `q{l="9007199254740992"} 0 q{l="9007199254740993"} 1`},
		"float4":                  {"SELECT 0.1::float4 AS l, 1 AS value", row("0.1")},
		"float8":                  {"SELECT 1e21::float8 AS l, 1 AS value", row("1e+21")},
		"bool":                    {"SELECT true AS l, 1 AS value", row("t")},
		"uuid":                    {"SELECT '6a5d0000-0000-0000-0000-000000000001'::uuid AS l, 1 AS value", row("6a5d0000-0000-0000-0000-000000000001")},
		"json":                    {`SELECT '{"b":1,"a":[1,2]}'::json AS l, 1 AS value`, row(`{"b":1,"a":[1,2]}`)},
		"jsonb":                   {`SELECT '{"b":12345678901234567890}'::jsonb AS l, 1 AS value`, row(`{"b": 12345678901234567890}`)},
		"a JSON string":           {`SELECT '"abc"'::jsonb AS l, 1 AS value`, row(`"abc"`)},
		"a JSON null":             {"SELECT 'null'::jsonb AS l, 1 AS value", row("null")},
		"array":                   {"SELECT ARRAY['a','b c'] AS l, 1 AS value", row(`{a,"b c"}`)},
		"an array with NULL":      {"SELECT ARRAY['a',NULL] AS l, 1 AS value", row("{a,NULL}")},
		"two arrays":              {"SELECT ARRAY['a b','c'] AS l, 1 AS value UNION ALL SELECT ARRAY['a','b c'], 2", `q{l="{\"a b\",c}"} 1 q{l="{a,\"b c\"}"} 2`},
		"an array of names":       {"SELECT ARRAY['x']::name[] AS l, 1 AS value", row("{x}")},
		"an array of an enum":     {"SELECT ARRAY['PENDING','rejected']::approval_status[] AS l, 1 AS value", row("{PENDING,rejected}")},
		"inet":                    {"SELECT '10.0.0.1'::inet AS l, 1 AS value", row("10.0.0.1")},
		"cidr":                    {"SELECT '10.0.0.0/8'::cidr AS l, 1 AS value", row("10.0.0.0/8")},
		"macaddr":                 {"SELECT '08:00:2b:01:02:03'::macaddr AS l, 1 AS value", row("08:00:2b:01:02:03")},
		"bytea":                   {`SELECT '\xff00'::bytea AS l, 1 AS value`, row(`\xff00`)},
		"bytea of text":           {`SELECT '\x6100'::bytea AS l, 1 AS value`, row(`\x6100`)},
		"range":                   {"SELECT int4range(1,5) AS l, 1 AS value", row("[1,5)")},
		"range of times":          {"SELECT tstzrange('2026-04-22 08:00+08', NULL) AS l, 1 AS value", row(`["2026-04-22 00:00:00+00",)`)},
		"bit":                     {"SELECT B'101' AS l, 1 AS value", row("101")},
		"char":                    {`SELECT 'a'::"char" AS l, 1 AS value`, row("a")},
		"bpchar":                  {"SELECT 'a'::char(5) AS l, 1 AS value", row("a    ")},
		"point":                   {"SELECT point(1,2) AS l, 1 AS value", row("(1,2)")},
		"tsvector":                {"SELECT to_tsvector('simple', 'a b') AS l, 1 AS value", row("'a':1 'b':2")},
		"row":                     {"SELECT ROW(1,'x') AS l, 1 AS value", row("(1,x)")},
		"money":                   {"SELECT 12::money AS l, 1 AS value", row("$12.00")},
		"regclass":                {"SELECT 'pg_class'::regclass AS l, 1 AS value", row("pg_class")},
		"xml":                     {"SELECT '<a/>'::xml AS l, 1 AS value", row("<a/>")},
		"domain":                  {"SELECT 'YES'::information_schema.yes_or_no AS l, 1 AS value", row("YES")},
		"NULL":                    {"SELECT NULL::text AS l, 1 AS value", `error: label "l": is NULL; use COALESCE`},
		"an empty text":           {"SELECT '' AS l, 1 AS value", row("")},
		"a hostile text":          {`SELECT E'a\nb"c\\d\te' AS l, 1 AS value`, `q{l="a\nb\"c\\d` + "\t" + `e"} 1`},
		"a text that is too long": {"SELECT repeat('x',600) AS l, 1 AS value", row(long + digest(x600))},
		"two that begin alike":    {"SELECT repeat('x',600) || g AS l, g AS value FROM generate_series(1,2) g", `q{l="` + long + digest(x600+"1") + `"} 1 q{l="` + long + digest(x600+"2") + `"} 2`},
		"CJK that is too long":    {"SELECT repeat('告',200) AS l, 1 AS value", row(strings.Repeat("告", 164) + digest(cjk))},
		"control characters":      {`SELECT E'\x01\x1b[31m' AS l, 1 AS value`, "q{l=\"\x01\x1b[31m\"} 1"},
		"a space at the end":      {"SELECT 'a ' AS l, 1 AS value UNION ALL SELECT 'a', 2", `q{l="a"} 2 q{l="a "} 1`},
		"two cases":               {"SELECT 'A' AS l, 1 AS value UNION ALL SELECT 'a', 2", `q{l="A"} 1 q{l="a"} 2`},
		"the same value twice":    {"SELECT 'a' AS l, 1 AS value UNION ALL SELECT 'a', 2", `error: two rows have the labels ["a"]`},
		"the column twice":        {"SELECT 'a' AS l, 'b' AS l, 1 AS value", `error: column "l": two columns have this name`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, dsn, query("q", tc.sql, labelled))
			got := figures(p.scrape(t))
			if says, fails := strings.CutPrefix(tc.want, "error: "); fails {
				if got != "" || !strings.Contains(strings.ReplaceAll(p.log(), `\"`, `"`), says) {
					t.Errorf("got %s, and the log %s; want %q", got, p.log(), says)
				}
				return
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tc.want, p.log())
			}
		})
	}
}

// A value is a finite number, or the query fails.
func TestValues(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	for name, tc := range map[string]struct{ sql, want string }{
		"int8":                    {"SELECT 42::int8 AS value", "42"},
		"numeric":                 {"SELECT 1.50::numeric AS value", "1.5"},
		"bool":                    {"SELECT false AS value", "0"},
		"a number as text":        {"SELECT '42.5' AS value", "42.5"},
		"a number as JSON":        {"SELECT '42.5'::jsonb AS value", "42.5"},
		"interval":                {"SELECT interval '1 year 2 mons 3 days -04:05:06.5' AS value", "3.69860935e+07"},
		"a negative interval":     {"SELECT interval '-1 mons +2 days' AS value", "-2.4192e+06"},
		"timestamptz":             {"SELECT timestamptz '2026-04-22 08:00:00.5+08' AS value", "1.7768160005e+09"},
		"before Christ":           {"SELECT timestamptz '0001-01-01 00:00:00+00 BC' AS value", "-6.21672192e+10"},
		"timestamp":               {"SELECT timestamp '2026-04-22 08:00:00' AS value", "error: the time has no time zone: set timezone of the source"},
		"date":                    {"SELECT date '2026-04-22' AS value", "error: the time has no time zone: set timezone of the source"},
		"an infinite time":        {"SELECT timestamptz '-infinity' AS value", "error: the time is not a finite number"},
		"an infinite date":        {"SELECT date 'infinity' AS value", "error: the time is not a finite number"},
		"float8 NaN":              {"SELECT 'NaN'::float8 AS value", "error: the text is not a finite number"},
		"float8 infinity":         {"SELECT '-Infinity'::float8 AS value", "error: the text is not a finite number"},
		"numeric NaN":             {"SELECT 'NaN'::numeric AS value", "error: the text is not a finite number"},
		"numeric infinity":        {"SELECT 'Infinity'::numeric AS value", "error: the text is not a finite number"},
		"numeric 10^400":          {"SELECT 10::numeric ^ 400 AS value", "error: the number is out of range"},
		"numeric 10^308":          {"SELECT 10::numeric ^ 308 AS value", "1e+308"},
		"numeric 10^-400":         {"SELECT ('0.' || repeat('0', 400) || '1')::numeric AS value", "error: the number is out of range"},
		"a text of 10^-400":       {"SELECT '1e-400' AS value", "error: the number is out of range"},
		"a zero of many digits":   {"SELECT 0::numeric(400, 390) AS value", "0"},
		"a zero with an exponent": {"SELECT '0.0e-9' AS value", "0"},
		"a relkind":               {"SELECT relkind AS value FROM pg_class WHERE relname = 'pg_class'", "error: the text is not a finite number"},
		"a hexadecimal text":      {"SELECT '0x10' AS value", "error: the text is not a finite number"},
		"bit":                     {"SELECT B'101' AS value", "error: a bit string is not a finite number"},
		"money":                   {"SELECT 12::money AS value", "error: money is not a finite number"},
		"array":                   {"SELECT ARRAY[1] AS value", "error: the text is not a finite number"},
		"bytea":                   {`SELECT '\x31'::bytea AS value`, "error: the text is not a finite number"},
		"NULL":                    {"SELECT NULL::int AS value", `error: column "value" is NULL`},
		"the column twice":        {"SELECT 1 AS value, 2 AS value", `error: column "value": two columns have this name`},
		"another column twice":    {"SELECT 1 AS value, 2 AS x, 3 AS x", "1"},
		"a sum that is too large": {"SELECT sum(x) AS value FROM (VALUES (1e308::float8), (1e308)) AS v(x)", "error: value out of range: overflow"},
		"no columns":              {"SELECT", `error: the statement gives no rows`},
		"a wide row":              {"SELECT repeat('x', 20000000) AS l, 1 AS value", "error: a row of more than 8 MiB"},
		"many wide rows":          {"SELECT repeat('x', 2000000) AS l, 1 AS value FROM generate_series(1, 20)", "error: more than 32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, dsn, query("q", tc.sql, lasting(time.Minute)))
			got := figures(p.scrape(t))
			if says, fails := strings.CutPrefix(tc.want, "error: "); fails {
				if got != "" || !strings.Contains(strings.ReplaceAll(p.log(), `\"`, `"`), says) {
					t.Errorf("got %s, and the log %s; want %q", got, p.log(), says)
				}
				return
			}
			if got != "q "+tc.want {
				t.Errorf("got %s, want q %s\n%s", got, tc.want, p.log())
			}
		})
	}
}

// @since and @until are timestamptz in every context.
func TestParameters(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	exec(t, conn, `CREATE TABLE daily (d date, n int);
		INSERT INTO daily SELECT date '2026-04-22' - g, CASE WHEN g % 2 = 0 THEN 100 ELSE 7 END FROM generate_series(0, 13) g;
		CREATE TABLE txt (created_at text); INSERT INTO txt VALUES ('2026-04-21T12:00:00Z');
		INSERT INTO incidents (incident_id, status, created_at) VALUES
			('now', 'open', '2026-04-22 00:00:00+00'), ('6h', 'open', '2026-04-21 18:00:00+00'), ('24h', 'open', '2026-04-21 00:00:00+00'),
			('30h', 'open', '2026-04-20 18:00:00+00')`)
	until := time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	day := func(q *kpi.Query) { q.Metrics[0].Window = 24 * time.Hour }
	const typo = "@until" + "l" // in two parts for the spelling checker
	for name, tc := range map[string]struct{ sql, want string }{
		"a date column":       {"SELECT sum(n) AS value FROM daily WHERE d >= @since AND d < @until", "7"},
		"a cast":              {"SELECT sum(n) AS value FROM daily WHERE d >= @since::timestamptz AND d < @until::timestamptz", "7"},
		"a text column":       {"SELECT count(*) AS value FROM txt WHERE created_at >= @since AND created_at < @until", "error: operator does not exist: text >= timestamp with time zone"},
		"minus":               {"SELECT count(*) AS value FROM incidents WHERE created_at >= @since - interval '1 day' AND created_at < @until", "3"},
		"an age":              {"SELECT extract(epoch from @until - min(created_at)) AS value FROM incidents WHERE created_at >= @since", "86400"},
		"a series":            {"SELECT count(*) AS value FROM generate_series(@since, @until, interval '1 hour')", "25"},
		"a zone":              {"SELECT count(*) AS value FROM incidents WHERE created_at >= date_trunc('day', @until AT TIME ZONE 'Asia/Taipei')", "1"},
		"between":             {"SELECT count(*) AS value FROM incidents WHERE created_at BETWEEN @since AND @until", "3"},
		"a range":             {"SELECT count(*) AS value FROM incidents WHERE created_at <@ tstzrange(@since, @until)", "2"},
		"a typo":              {"SELECT count(*) AS value FROM incidents WHERE created_at >= @since AND created_at < " + typo, "error: unknown name " + typo + " (have @since, @until)"},
		"as it should be":     {"SELECT count(*) AS value FROM incidents WHERE created_at >= @since AND created_at < @until", "2"},
		"without spaces":      {"SELECT count(*) AS value FROM incidents WHERE created_at>=@since AND created_at<@until", "error: may be an operator or a parameter"},
		"only until":          {"SELECT count(*) AS value FROM incidents WHERE created_at < @until", "3"},
		"in a literal":        {"SELECT count(*) AS value FROM incidents WHERE title IS DISTINCT FROM '" + typo + "' AND created_at < @until -- " + typo, "3"},
		"coalesce":            {"SELECT extract(epoch from coalesce(NULL, @until)) AS value", "1.7768160000e+09"},
		"the type":            {"SELECT (pg_typeof(@since)::text = 'timestamp with time zone')::int AS value", "1"},
		"an expression of it": {"SELECT to_char(@until, 'YYYYMMDD')::int AS value", "2.0260422e+07"},
		"a time of a table":   {"SELECT count(*) AS value FROM incidents i JOIN LATERAL (SELECT @until AS u) x ON i.created_at < x.u", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := readAll(t.Context(), open(t, dsn), until, query("q", tc.sql, day))[0]
			if says, fails := strings.CutPrefix(tc.want, "error: "); fails {
				if r.Err == nil || !strings.Contains(r.Err.Error(), says) {
					t.Errorf("got %v, %v; want %q", r.Rows.Values, r.Err, says)
				}
				return
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			var want float64
			fmt.Sscan(tc.want, &want)
			if got := number(t, r.Rows.Values[0][0]); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// Columns without time zone are read in the zone that the source or its DSN declares; without one, a builtin query on them fails, and
// the error says what to set.
func TestColumnsWithoutTimeZone(t *testing.T) {
	t.Parallel()
	dsn := naiveDatabase(t)
	queries := awoooiQueries(t, "alerts", "incidents_open", "incidents_resolved", "incident_resolution", "repairs", "knowledge_entries")
	queries = append(queries, query("mine", "SELECT count(*) AS value FROM incidents WHERE created_at >= @since AND created_at < @until"))
	for name, tc := range map[string]struct{ dsn, zone string }{
		"of the source":                {dsn, "Asia/Taipei"},
		"of the source, not the DSN's": {dsn + "&timezone=America/New_York", "Asia/Taipei"},
		"of the DSN":                   {dsn + "&timezone=Asia/Taipei", ""},
		"of the DSN's options":         {dsn + "&options=-c%20TimeZone%3DAsia/Taipei", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(tc.dsn), MaxConns: 3, Timezone: tc.zone})
			if err != nil {
				t.Fatal(err)
			}
			p := startOn(t, s, queries...)
			text := p.scrape(t)
			for _, want := range []string{
				`awoooi_alerts{category="infra"} 11`, "awoooi_incidents_open 1", "awoooi_incidents_resolved 10",
				`awoooi_incident_resolution_seconds{stat="avg"} 1800`, "awoooi_repairs_succeeded 0", "awoooi_knowledge_entries_created 0",
			} {
				if !has(text, want) {
					t.Errorf("the scrape does not say %s:\n%s\n%s", want, text, p.log())
				}
			}
			if strings.Contains(text, `category="net"`) {
				t.Errorf("incidents of 30 hours ago are counted:\n%s", text)
			}
			oldest := sample(t, text, "awoooi_incidents_oldest_open_timestamp_seconds")
			if age := float64(time.Now().Unix()) - oldest; age < 590 || age > 900 {
				t.Errorf("the oldest open incident is %v s old, want 10 minutes and the time of the test", age)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		p := start(t, dsn, queries...)
		text := p.scrape(t)
		if strings.Contains(text, "\nawoooi_alerts") || strings.Contains(text, "\nawoooi_incidents_open") || !strings.Contains(text, "\nacme_mine ") {
			t.Errorf("want no builtin figure, and the user's own:\n%s", text)
		}
		for _, want := range []string{"column incidents.created_at has no time zone: set timezone of the source", "Asia/Taipei"} {
			if !strings.Contains(p.log(), want) {
				t.Errorf("the log does not say %q:\n%s", want, p.log())
			}
		}
	})
	if _, err := postgres.Open(postgres.Config{DSN: secret.New(dsn), Timezone: "Taipei"}); err == nil || !strings.Contains(err.Error(), `unknown zone "Taipei"`) {
		t.Errorf("an unknown zone: %v", err)
	}
}

// Labels do not depend on the session's zone, and values of columns without time zone are in it.
func TestLabelsAreInUTCWhateverTheZone(t *testing.T) {
	t.Parallel()
	s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(database(t)), MaxConns: 1, Timezone: "Asia/Kolkata"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	r := readAll(t.Context(), s, time.Now(), query("q", `SELECT timestamptz '2026-04-22 08:00:00.12+08', timestamp '2026-04-22 08:00:00',
		ARRAY[timestamptz '2026-04-22 00:00+00', NULL, 'infinity'], tstzrange('2026-04-22 00:00+00', '2026-04-23 00:00+00'),
		timestamptz '0044-03-15 12:00:00+00 BC', timestamptz '1800-01-01 00:00:00+00', timestamptz 'infinity'`))[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	want := []string{
		"2026-04-22 00:00:00.12+00", "2026-04-22 08:00:00", `{"2026-04-22 00:00:00+00",NULL,infinity}`,
		`["2026-04-22 00:00:00+00","2026-04-23 00:00:00+00")`, "0044-03-15 12:00:00+00 BC", "1800-01-01 00:00:00+00", "infinity",
	}
	for n, got := range texts(r.Rows.Values[0]) {
		if got != want[n] {
			t.Errorf("got %q, want %q", got, want[n])
		}
	}
	if got := number(t, r.Rows.Values[0][1]); got != 1776825000 { // 02:30 UTC
		t.Errorf("a time without zone is %v", got)
	}
}

// A local time that clocks showed twice, or never, is an error.
func TestTimesWithoutZoneAtChangesOfClocks(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	for zone, times := range map[string]map[string]string{
		"America/New_York": {
			"2026-11-01 00:59:59.5": "1793509199.5", "2026-11-01 01:00:00": "", "2026-11-01 01:59:59": "", "2026-11-01 02:00:00": "1793516400",
			"2026-03-08 01:59:59": "1772953199", "2026-03-08 02:00:00": "", "2026-03-08 02:59:59.9": "", "2026-03-08 03:00:00": "1772953200",
		},
		"Australia/Lord_Howe": {"2026-04-05 01:29:59": "1775312999", "2026-04-05 01:30:00": "", "2026-04-05 01:59:59": "", "2026-04-05 02:00:00": "1775316600"},
		"Asia/Kathmandu":      {"2026-11-01 01:30:00": "1793475900"},
		"Asia/Taipei":         {"2026-11-01 01:30:00": "1793467800", "1979-09-30 23:30:00": "", "1979-07-01 00:30:00": "", "1979-07-01 01:00:00": "299606400"},
		"Pacific/Apia":        {"2011-12-30 12:00:00": "", "2011-12-29 23:59:59": "1325239199", "2011-12-31 00:00:00": "1325239200"},
	} {
		s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(dsn), MaxConns: 1, Timezone: zone})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		for text, want := range times {
			r := readAll(t.Context(), s, time.Now(), query("q", "SELECT timestamp '"+text+"' AS value, extract(epoch FROM timestamp '"+text+"' AT TIME ZONE '"+zone+"') AS server"))[0]
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			got := r.Rows.Values[0][0].(collector.Exact)
			switch {
			case want == "" && (got.NotNumber == nil || !strings.Contains(got.NotNumber.Error(), "clocks of the zone were changed")):
				t.Errorf("%s in %s is %v, %v; want an error", text, zone, got.Number, got.NotNumber)
			case want != "" && (got.NotNumber != nil || fmt.Sprintf("%.10g", got.Number) != fmt.Sprintf("%.10g", number(t, r.Rows.Values[0][1])) || fmt.Sprintf("%.12g", got.Number) != want):
				t.Errorf("%s in %s is %.12g, %v; want %s, and the server says %s", text, zone, got.Number, got.NotNumber, want, texts(r.Rows.Values[0])[1])
			}
		}
	}
}

// A backslash is an ordinary character of a string without E, even if the database is configured otherwise, because the names of
// parameters are found under this assumption.
func TestBackslashesInStrings(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	exec(t, connect(t, dsn), "ALTER DATABASE "+databaseOf(dsn)+" SET standard_conforming_strings = off")
	for sql, want := range map[string]string{
		`SELECT 'a\\b' AS l, 1 AS value`:                                   `a\\b`,
		`SELECT E'a\\b' AS l, 1 AS value`:                                  `a\b`,
		`SELECT 'C:\' || (@until > @since)::text || '\n' AS l, 1 AS value`: `C:\true\n`,
	} {
		s := open(t, dsn)
		for range 3 { // the third is prepared
			r := readAll(t.Context(), s, time.Now(), query("q", sql), query("other", "SELECT 1 AS value"))[0]
			if r.Err != nil || texts(r.Rows.Values[0])[0] != want {
				t.Errorf("%s gives %v, %v; want %s", sql, r.Rows.Values, r.Err, want)
			}
		}
	}
}

// A query that changes a setting of the session does not affect the others.
func TestSettingsThatAQueryChanges(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(dsn), MaxConns: 1, Timezone: "Asia/Taipei"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	queries := []kpi.Query{
		query("zone", "SELECT set_config('TimeZone', 'Asia/Tokyo', true) AS l, 1 AS value"),
		query("style", "SELECT set_config('IntervalStyle', 'iso_8601', true) AS l, 1 AS value"),
		query("encoding", "SELECT set_config('client_encoding', 'LATIN1', true) AS l, 1 AS value"),
		query("day", "SELECT date_trunc('day', timestamptz '2026-04-22 15:30:00+00') || ' ' || interval '90 s' || ' é' AS l, 1 AS value"),
		query("last", "SELECT 1 AS value"),
	}
	for range 4 { // prepared from the third on, and in other orders
		for n, r := range readAll(t.Context(), s, time.Now(), queries...) {
			if r.Err != nil {
				t.Errorf("%s: %v", queries[n].Name, r.Err)
			} else if got := texts(r.Rows.Values[0])[0]; queries[n].Name == "day" && got != "2026-04-22 00:00:00+08 00:01:30 é" {
				t.Errorf("the day is %q", got)
			}
		}
	}
}

// The zone check covers tables, views, materialised views, partitioned tables, tables outside the search path, and columns of a
// domain.
func TestZoneOfColumnsIsAskedWhateverTheTablesAre(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change string
		fails  bool
	}{
		"timestamptz":                      {"", false},
		"a view":                           {"ALTER TABLE incidents RENAME TO raw; CREATE VIEW incidents AS SELECT *, created_at AT TIME ZONE 'UTC' AS x FROM raw", false},
		"a view of no zone":                {"ALTER TABLE incidents ALTER created_at TYPE timestamp; ALTER TABLE incidents RENAME TO raw; CREATE VIEW incidents AS SELECT * FROM raw", true},
		"a materialised view":              {"ALTER TABLE incidents ALTER created_at TYPE timestamp; ALTER TABLE incidents RENAME TO raw; CREATE MATERIALIZED VIEW incidents AS SELECT * FROM raw", true},
		"a domain":                         {"CREATE DOMAIN moment AS timestamp; ALTER TABLE incidents ALTER created_at TYPE moment", true},
		"a domain with a zone":             {"CREATE DOMAIN moment AS timestamptz; ALTER TABLE incidents ALTER created_at TYPE moment", false},
		"a partitioned table":              {"DROP TABLE incidents; CREATE TABLE incidents (status text, alert_category text, created_at timestamp) PARTITION BY RANGE (created_at)", true},
		"another schema's table":           {"CREATE SCHEMA old; CREATE TABLE old.incidents (created_at timestamp)", false},
		"another column":                   {"ALTER TABLE incidents ADD seen_at timestamp", false},
		"a date":                           {"ALTER TABLE incidents ALTER created_at TYPE date", true},
		"a domain of a domain":             {"CREATE DOMAIN moment AS timestamp; CREATE DOMAIN created AS moment; ALTER TABLE incidents ALTER created_at TYPE created", true},
		"a domain of a domain with a zone": {"CREATE DOMAIN moment AS timestamptz; CREATE DOMAIN created AS moment; ALTER TABLE incidents ALTER created_at TYPE created", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			if tc.change != "" {
				exec(t, connect(t, dsn), tc.change)
			}
			results := readAll(t.Context(), open(t, dsn), time.Now(), awoooiQueries(t, "alerts", "knowledge_entries")...)
			if err := results[0].Err; (err != nil) != tc.fails || err != nil && !strings.Contains(err.Error(), "column incidents.created_at has no time zone") {
				t.Errorf("alerts: %v", err)
			}
			if err := results[1].Err; err != nil {
				t.Errorf("knowledge_entries: %v", err)
			}
		})
	}
}

// Other faults of a database fail only the query, and the error names the cause.
func TestOtherFaultsOfADatabase(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	exec(t, conn, `CREATE MATERIALIZED VIEW empty AS SELECT 1 AS value WITH NO DATA;
		CREATE TYPE pair AS (a int, b text); CREATE TABLE pairs (p pair); INSERT INTO pairs VALUES (ROW(1, 'x, y'));
		CREATE TABLE guarded (n int); INSERT INTO guarded VALUES (1), (2); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
		CREATE FUNCTION long() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', repeat('x', 1000000); END $$;
		CREATE FUNCTION deep(n int) RETURNS int LANGUAGE sql AS 'SELECT CASE WHEN n > 0 THEN deep(n - 1) ELSE 0 END'`)
	for name, tc := range map[string]struct{ sql, want string }{
		"a materialised view without data": {"SELECT value FROM empty", "error: has not been populated"},
		"a composite type as a label":      {"SELECT p AS l, 1 AS value FROM pairs", `{l="(1,\"x, y\")"} 1`},
		"row security off for the owner":   {"SELECT count(*) AS value, 'x' AS l FROM guarded", `{l="x"} 2`},
		"an error of a megabyte":           {"SELECT long() AS value, 'x' AS l", "error: " + strings.Repeat("x", 299) + "… (SQLSTATE P0001)"},
		"a function without end":           {"SELECT deep(100000000) AS value, 'x' AS l", "error: "},
		"a label of a megabyte":            {"SELECT repeat('x', 1000000) AS l, 1 AS value", "… "},
		"a lateral join":                   {"SELECT g AS value, 'x' AS l FROM generate_series(1, 1) g, LATERAL (SELECT @until) AS u", `{l="x"} 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, dsn, query("q", tc.sql, labelled), query("good", "SELECT 1 AS value"))
			text := p.scrape(t)
			got := strings.TrimPrefix(strings.TrimPrefix(figures(text), "good 1 "), "q")
			if says, fails := strings.CutPrefix(tc.want, "error: "); fails {
				if got != "good 1" || !strings.Contains(p.log(), says) {
					t.Errorf("got %s, and the log %s; want %q", got, p.log(), says)
				}
			} else if !strings.Contains(got, tc.want) {
				t.Errorf("got %s, want %s\n%s", got, tc.want, p.log())
			}
		})
	}
}
