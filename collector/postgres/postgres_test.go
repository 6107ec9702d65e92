package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/postgres"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// shared is the server of this package's tests; those that stop it start their own.
var shared localstack.SharedPostgres

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// patience is the timeout of a query that a test expects to succeed, on the slowest machine.
const patience = 30 * time.Second

// databases is a counter for names that are unique with -count too.
var databases atomic.Int64

func database(tb testing.TB) (dsn string) {
	tb.Helper()
	pg, err := shared.Server()
	if err != nil {
		tb.Fatal(err)
	}
	name := strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]+`).ReplaceAllString(tb.Name(), "_"))
	name = fmt.Sprintf("%.50s_%d", name, databases.Add(1))
	if err := pg.CreateDatabase(tb.Context(), name); err != nil {
		tb.Fatal(err)
	}
	if err := localstack.InstallAWOOOI(tb.Context(), pg.DSN(name)); err != nil {
		tb.Fatal(err)
	}
	return pg.DSN(name)
}

func open(tb testing.TB, dsn string) *postgres.Source {
	tb.Helper()
	s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(dsn), MaxConns: 3})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func connect(tb testing.TB, dsn string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(context.WithoutCancel(tb.Context())) })
	return conn
}

func exec(tb testing.TB, conn *pgx.Conn, sql string, args ...any) {
	tb.Helper()
	if _, err := conn.Exec(tb.Context(), sql, args...); err != nil {
		tb.Fatal(err)
	}
}

func query(name, sql string, edits ...func(*kpi.Query)) kpi.Query {
	q := kpi.Query{Name: name, Source: "db", SQL: sql, Timeout: patience, Metrics: []kpi.Metric{{Name: "acme_" + name, Help: "Help."}}}
	if strings.Contains(sql, "@since") || strings.Contains(sql, "@until") {
		q.Metrics[0].Window = time.Hour
	}
	for _, e := range edits {
		e(&q)
	}
	return q.WithDefaults()
}

// readAll returns the answers in the order of the queries.
func readAll(ctx context.Context, s collector.Source, until time.Time, queries ...kpi.Query) []collector.Result {
	results := make([]collector.Result, len(queries))
	s.Read(ctx, until, queries, func(n int, r collector.Result) { results[n] = r })
	return results
}

// texts are the cells of a row as labels; NULL is <nil>.
func texts(row []any) (out []string) {
	for _, v := range row {
		if e, ok := v.(collector.Exact); ok {
			out = append(out, e.Text)
		} else {
			out = append(out, fmt.Sprint(v))
		}
	}
	return out
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

func TestValuesAreDriverNeutral(t *testing.T) {
	t.Parallel()
	s := open(t, database(t))
	until := time.Date(2026, 4, 22, 0, 0, 0, 1000, time.UTC)
	r := readAll(t.Context(), s, until, query("types", `SELECT 1::int2 AS a, 2::int8 AS b, 1.5::numeric AS c, 2.5::float4 AS d, true AS e,
		'x'::text AS f, NULL::int AS g, '90 seconds'::interval AS h, 'RESOLVED'::name AS i, 'execution_success'::approval_status AS j,
		@until::timestamptz AS k, @since::timestamptz AS l, '6a5d0000-0000-0000-0000-000000000001'::uuid AS m, 'NaN'::numeric AS n`))[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	row := r.Rows.Values[0]
	for n, want := range []any{
		1.0, 2.0, 1.5, 2.5, 1.0, "x", nil, 90.0, "RESOLVED", "execution_success", 1776816000.000001, 1776812400.000001,
		"6a5d0000-0000-0000-0000-000000000001", "NaN",
	} {
		e, _ := row[n].(collector.Exact)
		switch w := want.(type) {
		case nil:
			if row[n] != nil {
				t.Errorf("column %s is %#v, want NULL", r.Rows.Columns[n], row[n])
			}
		case string:
			if e.Text != w || e.NotNumber == nil {
				t.Errorf("column %s is %#v, want the text %q", r.Rows.Columns[n], row[n], w)
			}
		case float64:
			if e.Number != w || e.NotNumber != nil {
				t.Errorf("column %s is %#v, want the number %v", r.Rows.Columns[n], row[n], w)
			}
		}
	}
}

// program is a collector over the source, as the binary has it.
type program struct {
	c    *collector.Collector
	logs *bytes.Buffer
	mu   sync.Mutex
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.Write(b)
}

func (p *program) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

func start(tb testing.TB, dsn string, queries ...kpi.Query) *program {
	tb.Helper()
	s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(dsn), MaxConns: 3})
	if err != nil {
		tb.Fatal(err)
	}
	return startOn(tb, s, queries...)
}

func startOn(tb testing.TB, s collector.Source, queries ...kpi.Query) *program {
	tb.Helper()
	p := &program{logs: &bytes.Buffer{}}
	p.c = collector.New(collector.Config{
		Sources: []collector.NamedSource{{Name: "db", Kind: kpi.KindPostgres, Source: s}}, Queries: queries,
		TimeoutOffset: 100 * time.Millisecond, ScrapeTimeout: time.Minute,
	}, slog.New(slog.NewTextHandler(p, nil)), time.Now)
	tb.Cleanup(p.c.Close)
	return p
}

func (p *program) scrape(tb testing.TB, header ...string) string {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	p.c.Handler(prometheus.NewRegistry()).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		tb.Errorf("status %d", w.Code)
	}
	return w.Body.String()
}

// number is the cell's number.
func number(tb testing.TB, cell any) float64 {
	tb.Helper()
	e, ok := cell.(collector.Exact)
	if !ok || e.NotNumber != nil {
		tb.Fatalf("%#v is no number", cell)
	}
	return e.Number
}

// sample is the value of the series of that name without labels.
func sample(tb testing.TB, text, name string) (f float64) {
	tb.Helper()
	_, rest, found := strings.Cut("\n"+text, "\n"+name+" ")
	if _, err := fmt.Sscan(rest, &f); !found || err != nil {
		tb.Fatalf("no sample %s:\n%s", name, text)
	}
	return f
}

// naiveDatabase has the AWOOOI tables with times without time zone, as an application in Asia/Taipei writes them.
func naiveDatabase(tb testing.TB) (dsn string) {
	tb.Helper()
	dsn = database(tb)
	conn := connect(tb, dsn)
	exec(tb, conn, `SET timezone = 'Asia/Taipei';
		ALTER TABLE incidents ALTER created_at TYPE timestamp, ALTER resolved_at TYPE timestamp;
		ALTER TABLE approval_records ALTER created_at TYPE timestamp;
		ALTER TABLE knowledge_entries ALTER created_at TYPE timestamp;
		INSERT INTO incidents (incident_id, status, alert_category, hit_count, created_at, resolved_at)
			SELECT 'i'||g, 'resolved', 'infra', 2, now() - interval '1 hour', now() - interval '30 min' FROM generate_series(1, 10) g;
		INSERT INTO incidents (incident_id, status, alert_category, hit_count, created_at)
			VALUES ('o', 'open', 'infra', 1, now() - interval '10 min');
		INSERT INTO incidents (incident_id, status, alert_category, hit_count, created_at)
			SELECT 'old'||g, 'resolved', 'net', 1, now() - interval '30 hours' FROM generate_series(1, 4) g`)
	return dsn
}

func has(text, line string) bool { return strings.Contains("\n"+text, "\n"+line+"\n") }

// Each fault fails only its own query, is named in the log and the self-metrics, and is over without a restart once its cause is.
func TestFaultsCostOnlyTheirOwnFiguresAndHeal(t *testing.T) {
	t.Parallel()
	good := []kpi.Query{query("good_a", "SELECT 1 AS value"), query("good_b", "SELECT count(*) AS value FROM incidents WHERE created_at >= @since AND created_at < @until")}
	fast := func(q *kpi.Query) { q.Timeout = 400 * time.Millisecond }
	for name, tc := range map[string]struct {
		bad    kpi.Query
		breaks func(t *testing.T, conn *pgx.Conn) (heal func())
		says   string
		heals  string
	}{
		"bad SQL that a reload cannot heal":   {bad: query("bad", "SELEC 1"), says: "syntax error"},
		"two statements":                      {bad: query("bad", "SELECT 1 AS value; SELECT 2"), says: "more than one statement"},
		"a write":                             {bad: query("bad", "INSERT INTO knowledge_entries (title, created_at) VALUES ('x', now()) RETURNING 1 AS value"), says: "read-only transaction"},
		"a write in a function":               {bad: query("bad", "SELECT nextval('knowledge_entries_id_seq') AS value"), says: "read-only transaction"},
		"an attempt to leave the transaction": {bad: query("bad", "COMMIT"), says: "postgres"},
		"division by zero":                    {bad: query("bad", "SELECT 1/0 AS value"), says: "division by zero"},
		"too many rows":                       {bad: query("bad", "SELECT g AS value FROM generate_series(1, 20000) g"), says: "more than 10000 rows"},
		"too slow":                            {bad: query("bad", "SELECT 1 AS value FROM pg_sleep(30)", fast), says: "statement timeout"},
		"a missing table": {
			bad: query("bad", "SELECT count(*) AS value FROM tickets"), says: "tickets",
			breaks: func(t *testing.T, conn *pgx.Conn) func() {
				return func() { exec(t, conn, "CREATE TABLE tickets (id int)") }
			},
			heals: "acme_bad 0",
		},
		"a wrong column": {
			bad: query("bad", "SELECT sum(weight) AS value FROM incidents_x"), says: "weight",
			breaks: func(t *testing.T, conn *pgx.Conn) func() {
				exec(t, conn, "CREATE TABLE incidents_x (id int)")
				return func() {
					exec(t, conn, "ALTER TABLE incidents_x ADD weight int; INSERT INTO incidents_x VALUES (1, 7)")
				}
			},
			heals: "acme_bad 7",
		},
		"NULL": {
			bad: query("bad", "SELECT max(weight) AS value FROM nulls"), says: "is NULL",
			breaks: func(t *testing.T, conn *pgx.Conn) func() {
				exec(t, conn, "CREATE TABLE nulls (weight int)")
				return func() { exec(t, conn, "INSERT INTO nulls VALUES (3)") }
			},
			heals: "acme_bad 3",
		},
		"a changed type": {
			bad: query("bad", "SELECT v AS value FROM shifting"), says: "not a finite number",
			breaks: func(t *testing.T, conn *pgx.Conn) func() {
				exec(t, conn, "CREATE TABLE shifting (v text); INSERT INTO shifting VALUES ('many')")
				return func() {
					exec(t, conn, "UPDATE shifting SET v = '12'; ALTER TABLE shifting ALTER v TYPE int USING v::int")
				}
			},
			heals: "acme_bad 12",
		},
		"a lock": {
			bad: query("bad", "SELECT count(*) AS value FROM knowledge_entries", fast), says: "lock timeout",
			breaks: func(t *testing.T, conn *pgx.Conn) func() {
				exec(t, conn, "BEGIN; LOCK TABLE knowledge_entries IN ACCESS EXCLUSIVE MODE")
				return func() { exec(t, conn, "ROLLBACK") }
			},
			heals: "acme_bad 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := database(t)
			conn := connect(t, dsn)
			var heal func()
			if tc.breaks != nil {
				heal = tc.breaks(t, conn)
			}
			p := start(t, dsn, good[0], tc.bad, good[1])
			for range 2 {
				text := p.scrape(t)
				for _, want := range []string{
					"acme_good_a 1", "acme_good_b 0", `awoooi_collector_query_success{query="bad",source="db"} 0`,
					`awoooi_collector_query_success{query="good_b",source="db"} 1`, `awoooi_collector_up{kind="postgres",source="db"} 1`,
				} {
					if !has(text, want) {
						t.Errorf("the scrape does not say %s:\n%s", want, text)
					}
				}
				if strings.Contains(text, "\nacme_bad") {
					t.Errorf("the broken figure is there:\n%s", text)
				}
			}
			if log := p.log(); !strings.Contains(log, "query=bad") || !strings.Contains(log, tc.says) || strings.Contains(log, "query=good") {
				t.Errorf("the log does not say %q of the one query:\n%s", tc.says, log)
			}
			if heal != nil {
				heal()
				if text := p.scrape(t); !has(text, tc.heals) || !has(text, "acme_good_a 1") {
					t.Errorf("after the repair there is no %s:\n%s", tc.heals, text)
				}
			}
		})
	}
}

func TestKilledBackendCostsOneQueryAndHeals(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	p := start(t, dsn, query("good_a", "SELECT 1 AS value"), query("victim", "SELECT 1 AS value FROM pg_sleep(20) /* victim */", func(q *kpi.Query) { q.Timeout = 25 * time.Second }),
		query("good_b", "SELECT 2 AS value"), query("good_c", "SELECT 3 AS value"))
	scraped := make(chan string)
	go func() { scraped <- p.scrape(t) }()
	eventually(t, "the victim to run", func() bool {
		var killed int
		err := conn.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name = 'awoooi-reporter' AND datname = current_database() AND query LIKE '%pg\_sleep(20)%' AND state = 'active'`).Scan(&killed)
		return err == nil && killed == 1
	})
	text := <-scraped
	for _, want := range []string{"acme_good_a 1", "acme_good_b 2", "acme_good_c 3", `awoooi_collector_query_success{query="victim",source="db"} 0`} {
		if !has(text, want) {
			t.Errorf("the scrape does not say %s:\n%s", want, text)
		}
	}
	if !strings.Contains(p.log(), "terminating connection") {
		t.Errorf("the log does not say what happened: %s", p.log())
	}
	// The next scrapes get new connections.
	p2 := start(t, dsn, query("good_a", "SELECT 1 AS value"))
	exec(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'awoooi-reporter' AND datname = current_database()`)
	if text := p2.scrape(t); !has(text, "acme_good_a 1") {
		t.Errorf("after the kill:\n%s", text)
	}
	exec(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'awoooi-reporter' AND datname = current_database()`)
	if text := p2.scrape(t); !has(text, "acme_good_a 1") {
		t.Errorf("idle connections that were killed fail a scrape:\n%s", text)
	}
}

func TestServerThatIsDownHealsByItself(t *testing.T) {
	t.Parallel()
	pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Stop() })
	dsn := pg.DSN("postgres")
	if err := pg.Halt(); err != nil {
		t.Fatal(err)
	}
	p := start(t, dsn, query("good", "SELECT 1 AS value"))
	down := func(when string) {
		t.Helper()
		if text := p.scrape(t); !has(text, `awoooi_collector_up{kind="postgres",source="db"} 0`) || strings.Contains(text, "\nacme_good") {
			t.Errorf("%s:\n%s", when, text)
		}
	}
	up := func(when string) {
		t.Helper()
		if err := pg.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if text := p.scrape(t); !has(text, "acme_good 1") {
			t.Errorf("%s the next scrape fails:\n%s\n%s", when, text, p.log())
		}
	}
	down("down at start")
	up("after the start of the server")
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	down("killed")
	up("after a crash of the server")
	for range 3 {
		if err := pg.Halt(); err != nil {
			t.Fatal(err)
		}
		up("after a restart that no scrape saw")
	}
}

// After a scraper has disconnected, no query runs on the server.
func TestHangUpCancelsOnTheServer(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	long := func(q *kpi.Query) { q.Timeout = time.Minute }
	p := start(t, dsn, query("a", "SELECT 1 AS value FROM pg_sleep(60)", long), query("b", "SELECT 2 AS value FROM pg_sleep(60)", long),
		query("c", "SELECT 3 AS value FROM pg_sleep(60)", long), query("d", "SELECT 4 AS value", long))
	active := func() (n int) {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'awoooi-reporter'
			AND datname = current_database() AND state = 'active'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil).WithContext(ctx)
		p.c.Handler(prometheus.NewRegistry()).ServeHTTP(httptest.NewRecorder(), r)
	}()
	eventually(t, "three queries to run", func() bool { return active() == 3 })
	leave()
	<-done
	eventually(t, "the server to be idle", func() bool { return active() == 0 })
}

// All queries of one scrape read one snapshot, while another session writes all the time.
func TestQueriesOfAScrapeAgree(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	writer := connect(t, dsn)
	exec(t, writer, "CREATE TABLE pairs (side text)")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_, err := writer.Exec(context.WithoutCancel(ctx), "INSERT INTO pairs VALUES ('left'), ('right')")
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	s := open(t, dsn)
	var queries []kpi.Query
	for n := range 6 {
		side := []string{"left", "right"}[n%2]
		queries = append(queries, query(fmt.Sprintf("q%d", n), "SELECT count(*) AS value FROM pairs WHERE side = '"+side+"'"))
	}
	grew := false
	var before any
	for range 100 {
		results := readAll(t.Context(), s, time.Now(), queries...)
		for n, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if r.Rows.Values[0][0] != results[0].Rows.Values[0][0] {
				t.Fatalf("query %d counts %v, query 0 counts %v", n, r.Rows.Values[0][0], results[0].Rows.Values[0][0])
			}
		}
		grew = grew || (before != nil && before != results[0].Rows.Values[0][0])
		before = results[0].Rows.Values[0][0]
	}
	stop()
	wg.Wait()
	if !grew {
		t.Error("nothing was written between the scrapes, so that the test shows nothing")
	}
}

func TestSessionIsWhatItShouldBe(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	s := open(t, dsn)
	r := readAll(t.Context(), s, time.Now(), query("session", `SELECT current_setting('transaction_read_only') AS read_only,
		current_setting('application_name') AS name, current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock,
		current_setting('transaction_isolation') AS isolation, 1 AS value`, lasting(5*time.Second)))[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := fmt.Sprint(texts(r.Rows.Values[0])); got != "[on awoooi-reporter 5s 2500ms repeatable read 1]" {
		t.Errorf("session is %s", got)
	}
	queries := make([]kpi.Query, 20)
	for n := range queries {
		queries[n] = query(fmt.Sprintf("q%d", n), "SELECT count(*) AS value FROM pg_stat_activity WHERE application_name = 'awoooi-reporter' AND datname = current_database()")
	}
	for _, r := range readAll(t.Context(), s, time.Now(), queries...) {
		if r.Err != nil || r.Rows.Values[0][0].(collector.Exact).Number > 3 {
			t.Errorf("%v connections, %v", r.Rows.Values, r.Err)
		}
	}
}

func TestPasswordIsNeverShown(t *testing.T) {
	t.Parallel()
	const planted = "pl4nted-p4ssword"
	pg, err := shared.Server()
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`:(\d+)/`).FindStringSubmatch(pg.DSN("x"))[1]
	for _, dsn := range []string{
		"postgres://u:" + planted + "@127.0.0.1:" + port + "/nothere",
		"postgres://u:" + planted + "@127.0.0.1:1/x",
		"postgres://u:" + planted + "@nowhere.invalid/x",
		"host=127.0.0.1 port=1 password=" + planted,
		"postgres://u:" + planted + "@:bad:/x",
		"postgres://u:" + planted + "@h/x?sslmode=" + planted,
		"host=h port=x password='" + planted,
		planted,
	} {
		s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(dsn), MaxConns: 3})
		if err == nil {
			r := readAll(t.Context(), s, time.Now(), query("q", "SELECT 1 AS value"))[0]
			s.Close()
			if err = r.Err; err == nil {
				t.Error("a bad DSN worked")
				continue
			}
		}
		if strings.Contains(err.Error(), planted) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func awoooiQueries(tb testing.TB, names ...string) []kpi.Query {
	tb.Helper()
	set, err := collector.Builtin("awoooi")
	if err != nil {
		tb.Fatal(err)
	}
	var out []kpi.Query
	for _, q := range set.Queries {
		for _, n := range names {
			if q.Name == n {
				q.Source, q.Timeout = "db", patience
				out = append(out, q)
			}
		}
	}
	return out
}

// Time from created to resolved, compared with figures calculated by hand.
func TestResolutionTimes(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	p := start(t, dsn, awoooiQueries(t, "incident_resolution")...)
	if text := p.scrape(t); strings.Contains(text, "\nawoooi_incident_resolution_seconds") || !has(text, `awoooi_collector_query_success{query="incident_resolution",source="db"} 1`) {
		t.Errorf("without incidents:\n%s", text)
	}
	conn := connect(t, dsn)
	for n, seconds := range []int{60, 120, 180, 240, 600} {
		exec(t, conn, `INSERT INTO incidents (incident_id, status, created_at, resolved_at)
			VALUES ($1, 'resolved', now() - interval '1 hour', now() - interval '1 hour' + $2 * interval '1 second')`, fmt.Sprint(n), seconds)
	}
	text := p.scrape(t)
	for _, want := range []string{
		`awoooi_incident_resolution_seconds{stat="avg"} 240`, `awoooi_incident_resolution_seconds{stat="p50"} 180`, `awoooi_incident_resolution_seconds{stat="p95"} 528`,
	} {
		if !has(text, want) {
			t.Errorf("the scrape does not say %s:\n%s", want, text)
		}
	}
}

// benchmarkScrape is a whole scrape over HTTP: queries of the builtin set on so many incidents in the window, five without
// names.
func benchmarkScrape(b *testing.B, rows, together int, names ...string) {
	if len(names) == 0 {
		names = []string{"alerts", "alerts_resolved", "alerts_converged", "repairs", "knowledge_entries"}
	}
	dsn := benchDatabase(b, rows)
	p := start(b, dsn, awoooiQueries(b, names...)...)
	srv := httptest.NewServer(p.c.Handler(prometheus.NewRegistry()))
	defer srv.Close()
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	one := func() {
		resp, err := client.Get(srv.URL)
		if err != nil {
			b.Error(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Contains(body, []byte("\nawoooi_alerts{")) {
			b.Errorf("bad scrape: %v %s", err, body)
		}
	}
	one()
	b.ReportAllocs()
	for b.Loop() {
		var wg sync.WaitGroup
		for range together {
			wg.Go(one)
		}
		wg.Wait()
	}
}

func benchDatabase(b *testing.B, rows int) string {
	b.Helper()
	pg, err := shared.Server()
	if err != nil {
		b.Fatal(err)
	}
	name := fmt.Sprintf("bench%d", rows)
	if err := pg.CreateDatabase(b.Context(), name); err != nil { // it is there from another benchmark
		return pg.DSN(name)
	}
	if err := localstack.InstallAWOOOI(b.Context(), pg.DSN(name)); err != nil {
		b.Fatal(err)
	}
	if err := localstack.SeedRows(b.Context(), pg.DSN(name), rows, time.Now()); err != nil {
		b.Fatal(err)
	}
	return pg.DSN(name)
}

func BenchmarkScrape10k(b *testing.B) { benchmarkScrape(b, 10_000, 1) }

// BenchmarkScrapeSet10k is a scrape of every query of the set awoooi that asks PostgreSQL.
func BenchmarkScrapeSet10k(b *testing.B) {
	benchmarkScrape(b, 10_000, 1, "alerts", "alerts_by_name", "alerts_resolved", "alerts_auto_resolved", "alerts_human_approved",
		"alerts_converged", "alerts_grouped", "repairs", "knowledge_entries", "incidents_open", "incidents_resolved", "incident_resolution")
}

func BenchmarkScrape10kTogether8(b *testing.B) { benchmarkScrape(b, 10_000, 8) }
func BenchmarkScrape1M(b *testing.B)           { benchmarkScrape(b, 1_000_000, 1) }
func BenchmarkScrape1MTogether8(b *testing.B)  { benchmarkScrape(b, 1_000_000, 8) }
