package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/postgres"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

const scrapeTimeout = "X-Prometheus-Scrape-Timeout-Seconds"

func lasting(timeout time.Duration) func(*kpi.Query) {
	return func(q *kpi.Query) { q.Timeout = timeout }
}

// expect checks that a scrape has the lines.
func expect(t *testing.T, p *program, text string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !has(text, want) {
			t.Errorf("the scrape does not say %s:\n%s\n%s", want, text, p.log())
		}
	}
}

// Slow queries fail alone, however many there are and in whatever order, within the scraper's time; the error says that they were
// slow. The time is long enough for a busy machine to run the other queries in the rest of it.
func TestSlowQueriesFailAlone(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	slow := func(n int) kpi.Query {
		return query(fmt.Sprintf("slow%d", n), "SELECT 3 AS value FROM pg_sleep(30)", lasting(time.Minute))
	}
	fast1, fast2 := query("fast1", "SELECT 1 AS value"), query("fast2", "SELECT 2 AS value")
	for name, queries := range map[string][]kpi.Query{
		"one":                             {fast1, fast2, slow(1)},
		"one at the start":                {slow(1), fast1, fast2},
		"more than there are connections": {slow(1), slow(2), slow(3), slow(4), slow(5), fast1, slow(6), fast2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, dsn, queries...)
			for range 2 {
				text := p.scrape(t, scrapeTimeout, "12")
				expect(t, p, text, "acme_fast1 1", "acme_fast2 2", `awoooi_collector_query_success{query="slow1",source="db"} 0`,
					`awoooi_collector_up{kind="postgres",source="db"} 1`)
				if strings.Contains(text, "\nacme_slow") {
					t.Errorf("a slow figure is there:\n%s", text)
				}
			}
			if !strings.Contains(p.log(), "query=slow1") || !strings.Contains(p.log(), "statement timeout: the query took longer than") {
				t.Errorf("the log does not say that slow1 was slow:\n%s", p.log())
			}
		})
	}
}

// A table that is locked by an ALTER TABLE fails only the queries of that table, and the errors name the lock. Half of
// the scrape's time is long enough for a busy machine to run the other queries.
func TestLockedTableFailsAlone(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	exec(t, conn, "BEGIN; LOCK TABLE incidents")
	queries := awoooiQueries(t, "alerts", "alerts_by_name", "alerts_resolved", "alerts_auto_resolved", "alerts_human_approved",
		"alerts_converged", "alerts_grouped", "incidents_open", "incidents_resolved", "incident_resolution", "repairs", "knowledge_entries")
	for _, seconds := range []string{"6", "12"} {
		p := start(t, dsn, queries...)
		text := p.scrape(t, scrapeTimeout, seconds)
		expect(t, p, text, "awoooi_repairs_succeeded 0", "awoooi_knowledge_entries_created 0")
		for _, q := range queries {
			if q.Name == "repairs" || q.Name == "knowledge_entries" {
				continue
			}
			expect(t, p, text, fmt.Sprintf(`awoooi_collector_query_success{query=%q,source="db"} 0`, q.Name))
		}
		if n := strings.Count(p.log(), "lock timeout: the query waited longer than"); n != 10 {
			t.Errorf("%d of 10 queries say that they waited for a lock:\n%s", n, p.log())
		}
	}
	exec(t, conn, "ROLLBACK")
	p := start(t, dsn, queries...)
	expect(t, p, p.scrape(t), `awoooi_alerts{category="uncategorized"} 0`, "awoooi_incidents_open 0")
}

func TestCancelledQueryFailsAlone(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	p := start(t, dsn, query("good", "SELECT 1 AS value"), query("victim", "SELECT 1 AS value FROM pg_sleep(20)", lasting(30*time.Second)))
	scraped := make(chan string)
	go func() { scraped <- p.scrape(t) }()
	eventually(t, "the victim to run", func() bool {
		var cancelled int
		err := conn.QueryRow(t.Context(), `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
			WHERE application_name = 'awoooi-reporter' AND datname = current_database() AND query LIKE '%pg\_sleep(20)%' AND state = 'active'`).Scan(&cancelled)
		return err == nil && cancelled == 1
	})
	expect(t, p, <-scraped, "acme_good 1", `awoooi_collector_query_success{query="victim",source="db"} 0`)
	if !strings.Contains(p.log(), "postgres: cancelled") {
		t.Errorf("the log does not say that it was cancelled:\n%s", p.log())
	}
}

// PgBouncer with its default configuration works in every pool mode, also with fewer connections than the source opens.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	pg, err := shared.Server()
	if err != nil {
		t.Fatal(err)
	}
	dsn := database(t)
	exec(t, connect(t, dsn), `INSERT INTO incidents (incident_id, status, alert_category, created_at)
		SELECT g::text, 'open', 'infra', now() - interval '1 hour' FROM generate_series(1, 7) g`)
	queries := append(awoooiQueries(t, "alerts", "alerts_resolved", "incidents_open", "repairs", "knowledge_entries", "incident_resolution"),
		query("bad", "SELECT 1/0 AS value"), query("write", "INSERT INTO knowledge_entries (title, created_at) VALUES ('x', now()) RETURNING 1 AS value"),
		query("leave", "COMMIT"),
		query("zone", "SELECT (current_setting('TimeZone') = 'Asia/Taipei' AND current_setting('search_path') = 'pg_catalog,public')::int AS value"),
		query("slow", "SELECT 1 AS value FROM pg_sleep(20)", lasting(500*time.Millisecond)), query("last", "SELECT 5 AS value"),
		query("prepared", "SELECT count(*) AS value FROM pg_prepared_statements"))
	for name, o := range map[string]localstack.PgBouncerOptions{
		"session": {PoolMode: "session"}, "transaction": {PoolMode: "transaction"}, "statement": {PoolMode: "statement"},
		"session of one connection": {PoolMode: "session", PoolSize: 1}, "transaction on one connection": {PoolMode: "transaction", PoolSize: 1},
		"statement on one connection": {PoolMode: "statement", PoolSize: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := localstack.StartPgBouncer(t.Context(), pg, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(b.Log())
				}
				b.Stop()
			})
			dsn := b.DSN(databaseOf(dsn)) + "&options=-c%20TimeZone%3DAsia/Taipei&search_path=pg_catalog,public&application_name=acme"
			p := start(t, dsn, queries...)
			for range 3 {
				expect(t, p, p.scrape(t), `awoooi_alerts{category="infra"} 7`, "awoooi_incidents_open 7", "awoooi_repairs_failed 0",
					"awoooi_knowledge_entries_created 0", "acme_last 5", "acme_zone 1", "acme_prepared 0")
			}
			for _, want := range []string{"division by zero", "read-only transaction", "query=leave", "statement timeout"} {
				if !strings.Contains(p.log(), want) {
					t.Errorf("the log does not say %s:\n%s", want, p.log())
				}
			}
			if strings.Count(p.log(), "level=ERROR") != 4 {
				t.Errorf("other queries failed:\n%s", p.log())
			}
		})
	}
}

// databaseOf is the name of the DSN's database.
func databaseOf(dsn string) string {
	return dsn[strings.LastIndexByte(dsn, '/')+1 : strings.IndexByte(dsn, '?')]
}

// A DSN with several hosts finds the server of its target_session_attrs, and queries run concurrently on a standby too.
func TestStandbyAndTargetSessionAttrs(t *testing.T) {
	t.Parallel()
	primary, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { primary.Stop() })
	standby, err := primary.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { standby.Stop() })
	p, s := primary.Port(), standby.Port()
	queries := []kpi.Query{query("standby", "SELECT pg_is_in_recovery() AS value")}
	for n := range 6 {
		queries = append(queries, query(fmt.Sprintf("q%d", n), "SELECT count(*) AS value FROM pg_class"))
	}
	for _, tc := range []struct {
		attrs string
		ports []int
		want  string // 1: the standby, or an error
	}{
		{"any", []int{p, s}, "0"}, {"any", []int{s, p}, "1"}, {"any", []int{1, s}, "1"},
		{"read-write", []int{s, p}, "0"}, {"read-write", []int{p, s}, "0"}, {"read-only", []int{p, s}, "1"}, {"read-only", []int{s, p}, "1"},
		{"primary", []int{s, p}, "0"}, {"standby", []int{p, s}, "1"},
		{"prefer-standby", []int{p, s}, "1"}, {"prefer-standby", []int{p}, "0"}, {"prefer-standby", []int{p, 1}, "0"},
		{"standby", []int{p}, "no server has the target_session_attrs of the DSN"}, {"read-only", []int{p}, "no server has the target_session_attrs of the DSN"},
		{"primary", []int{s, 1}, "no server has the target_session_attrs of the DSN; connection refused"},
	} {
		var hosts []string
		for _, port := range tc.ports {
			hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", port))
		}
		src := open(t, "postgres://postgres@"+strings.Join(hosts, ",")+"/postgres?sslmode=disable&target_session_attrs="+tc.attrs)
		results := readAll(t.Context(), src, time.Now(), queries...)
		got := fmt.Sprint(results[0].Err)
		if results[0].Err == nil {
			got = fmt.Sprint(number(t, results[0].Rows.Values[0][0]))
		}
		if strings.TrimPrefix(got, "postgres: ") != tc.want {
			t.Errorf("%s of %v: %s, want %s", tc.attrs, tc.ports, got, tc.want)
		}
		for n, r := range results {
			if (r.Err == nil) != (results[0].Err == nil) {
				t.Errorf("%s of %v: query %d: %v", tc.attrs, tc.ports, n, r.Err)
			}
		}
	}
	// The standby is promoted, and the same source follows.
	src := open(t, fmt.Sprintf("postgres://postgres@127.0.0.1:%d,127.0.0.1:%d/postgres?sslmode=disable&target_session_attrs=read-write", p, s))
	where := func() string {
		r := readAll(t.Context(), src, time.Now(), query("q", "SELECT inet_server_port() AS value"))[0]
		if r.Err != nil {
			return r.Err.Error()
		}
		return fmt.Sprint(number(t, r.Rows.Values[0][0]))
	}
	if got := where(); got != fmt.Sprint(p) {
		t.Errorf("before the failover: %s", got)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	exec(t, connect(t, standby.DSN("postgres")), "SELECT pg_promote()")
	if got := where(); got != fmt.Sprint(s) {
		t.Errorf("after the failover: %s", got)
	}
}

// certificate makes a certificate for host, signed by itself, and the path of a file with it.
func certificate(t *testing.T, host string) (certPEM, keyPEM []byte, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	path = filepath.Join(t.TempDir(), host+".crt")
	if err := os.WriteFile(path, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return certPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), path
}

// Errors name their cause, and quote nothing of the DSN or of a server's message about it.
func TestCausesOfErrors(t *testing.T) {
	t.Parallel()
	plain, err := shared.Server()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, trusted := certificate(t, "localhost")
	_, _, other := certificate(t, "elsewhere")
	tls, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{
		CertPEM: cert, KeyPEM: key, HBA: []string{"host all guarded 127.0.0.1/32 scram-sha-256", "host all refused 127.0.0.1/32 reject"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tls.Stop() })
	exec(t, connect(t, tls.DSN("postgres")), "CREATE ROLE guarded LOGIN PASSWORD 'right'; CREATE ROLE refused LOGIN; CREATE ROLE reader LOGIN")
	exec(t, connect(t, tls.DSN("postgres")), "CREATE DATABASE shut ALLOW_CONNECTIONS false")
	bouncer, err := localstack.StartPgBouncer(t.Context(), plain, localstack.PgBouncerOptions{PoolMode: "transaction"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bouncer.Stop() })
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	const planted = "pl4nted-p4ssword"
	at := func(port int, user, rest string) string {
		return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s", user, planted, port, rest)
	}
	for name, tc := range map[string]struct{ dsn, sql, want string }{
		"refused":               {dsn: at(1, "u", "nope"), want: "connection refused"},
		"no such host":          {dsn: "postgres://u:" + planted + "@nowhere.invalid/x", want: "host not found"},
		"silent":                {dsn: "postgres://u:" + planted + "@" + silent.Addr().String() + "/x?sslmode=disable&connect_timeout=1", want: "timeout"},
		"no socket":             {dsn: "host=/nowhere/" + planted + " user=u dbname=x", want: "no such socket"},
		"without TLS":           {dsn: at(plain.Port(), "postgres", "postgres?sslmode=require"), want: "server without TLS"},
		"not trusted":           {dsn: at(tls.Port(), "postgres", "postgres?sslmode=verify-ca&sslrootcert="+other), want: "certificate not trusted"},
		"host mismatch":         {dsn: at(tls.Port(), "postgres", "postgres?sslmode=verify-full&sslrootcert="+trusted), want: "certificate host mismatch"},
		"wrong password":        {dsn: at(tls.Port(), "guarded", "postgres"), want: "authentication failed"},
		"refused by pg_hba":     {dsn: at(tls.Port(), "refused", "postgres"), want: "authentication failed"},
		"no such role":          {dsn: at(plain.Port(), planted, "postgres?sslmode=disable"), want: "authentication failed"},
		"no database":           {dsn: at(plain.Port(), "postgres", planted+"?sslmode=disable"), want: "database missing"},
		"a closed database":     {dsn: at(tls.Port(), "postgres", "shut"), want: "the database does not allow connections"},
		"no database, pooled":   {dsn: strings.Replace(bouncer.DSN(planted), "postgres@", "postgres:"+planted+"@", 1), want: "database missing"},
		"no role, pooled":       {dsn: strings.Replace(bouncer.DSN("postgres"), "postgres@", planted+":"+planted+"@", 1), want: "authentication failed"},
		"a setting":             {dsn: at(plain.Port(), "postgres", "postgres?sslmode=disable&work_mem="+planted), want: "the server refuses the setting work_mem of the DSN or the source (SQLSTATE 22023)"},
		"an unknown setting":    {dsn: at(plain.Port(), "postgres", "postgres?sslmode=disable&sslmod="+planted), want: "the server refuses the setting sslmod of the DSN or the source (SQLSTATE 42704)"},
		"a zone":                {dsn: at(plain.Port(), "postgres", "postgres?sslmode=disable&timezone="+planted), want: "the server refuses the setting TimeZone of the DSN or the source (SQLSTATE 22023)"},
		"no right":              {dsn: at(tls.Port(), "reader", "postgres"), sql: "SELECT count(*) AS value FROM pg_authid", want: "permission denied for table pg_authid (SQLSTATE 42501)"},
		"an echo":               {dsn: at(plain.Port(), "postgres", "postgres?sslmode=disable"), sql: "SELECT '" + planted + "'::int AS value", want: "the server refuses the statement (SQLSTATE 22P02)"},
		"in double quotes":      {dsn: `"` + at(1, "u", "x") + `"`, want: "the DSN is in quotes or brackets: remove them"},
		"in single quotes":      {dsn: `'` + at(1, "u", "x?sslmode=disable") + `'`, want: "the DSN is in quotes or brackets: remove them"},
		"two lines":             {dsn: at(1, "u", "x") + "\n" + at(1, "u", "y"), want: "the DSN has more than one line"},
		"another scheme":        {dsn: "mysql://u:" + planted + "@127.0.0.1/x?a=b", want: "the DSN has another scheme: want postgres://"},
		"no scheme":             {dsn: "u:" + planted + "@127.0.0.1/x?sslmode=disable", want: "the DSN has a key that is not the name of a setting"},
		"neither form":          {dsn: planted, want: "the DSN is neither a URL nor a list of key=value"},
		"empty":                 {dsn: " ", want: "the DSN is empty"},
		"an unescaped password": {dsn: "postgres://u:" + planted + "/x@y@127.0.0.1:1/x", want: "the DSN's port is not a number"},
		"a bad URL":             {dsn: "postgres://u:" + planted + "%zz@h/x", want: "the DSN cannot be read as a URL"},
		"a bad sslmode":         {dsn: "postgres://u:" + planted + "@h/x?sslmode=" + planted, want: "the DSN's sslmode, sslrootcert, sslcert or sslkey cannot be used"},
		"no root certificate":   {dsn: at(1, "u", "x?sslmode=verify-full&sslrootcert=/nowhere/"+planted), want: "the DSN's sslmode, sslrootcert, sslcert or sslkey cannot be used"},
		"a bad port":            {dsn: "host=h port=" + planted, want: "the DSN's port is not a number"},
		"an open quote":         {dsn: "host=h port=1 password='" + planted, want: "the DSN cannot be read as a list of key=value"},
		"bad attributes":        {dsn: at(1, "u", "x?target_session_attrs="+planted), want: "the DSN's target_session_attrs is unknown"},
		"bad options":           {dsn: at(1, "u", "x?options=-c%20"+planted), want: "the DSN's options are not -c name=value"},
		"two ports, one host":   {dsn: "host=h port=1,2 password=" + planted, want: "the DSN has another number of ports than of hosts"},
		"a bad connect_timeout": {dsn: at(1, "u", "x?connect_timeout="+planted), want: "the DSN's connect_timeout is not a number of seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := postgres.Open(postgres.Config{Name: "db", DSN: secret.New(tc.dsn), MaxConns: 3})
			if err == nil {
				defer s.Close()
				sql := "SELECT 1 AS value"
				if tc.sql != "" {
					sql = tc.sql
				}
				err = readAll(t.Context(), s, time.Now(), query("q", sql))[0].Err
			}
			switch {
			case err == nil:
				t.Fatal("no error")
			case !strings.HasPrefix(err.Error(), "postgres: "+tc.want):
				t.Errorf("%v; want %s", err, tc.want)
			}
			for _, hidden := range []string{planted, "127.0.0.1", "nowhere"} {
				if strings.Contains(err.Error(), hidden) {
					t.Errorf("the error shows %s: %v", hidden, err)
				}
			}
		})
	}
	// With the right name and password both servers answer.
	for _, dsn := range []string{
		fmt.Sprintf("host=localhost hostaddr=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=verify-full sslrootcert=%s", tls.Port(), trusted),
		fmt.Sprintf("postgres://postgres@localhost:%d/postgres?sslmode=verify-full&sslrootcert=%s", tls.Port(), trusted),
		fmt.Sprintf("postgres://guarded:right@127.0.0.1:%d/postgres?sslmode=require", tls.Port()),
	} {
		if r := readAll(t.Context(), open(t, dsn), time.Now(), query("q", "SELECT 1 AS value"))[0]; r.Err != nil && !strings.Contains(dsn, "hostaddr") {
			t.Errorf("%s: %v", dsn, r.Err)
		}
	}
}

// cutting passes connections on to a port, and closes each after it has answered so many bytes.
func cutting(t *testing.T, port, bytes int) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				client.Close()
				return
			}
			go func() {
				_, _ = io.Copy(server, client)
				server.Close()
			}()
			go func() {
				_, _ = io.CopyN(client, server, int64(bytes))
				client.Close()
				server.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// An answer whose connection is cut in the middle gives no rows.
func TestCutConnectionsGiveNoPartOfAnAnswer(t *testing.T) {
	t.Parallel()
	pg, err := shared.Server()
	if err != nil {
		t.Fatal(err)
	}
	for bytes := 50; bytes < 3000; bytes += 211 {
		p := start(t, "postgres://postgres@"+cutting(t, pg.Port(), bytes)+"/postgres?sslmode=disable", query("one", "SELECT 1 AS value"),
			query("many", "SELECT g::text AS l, g AS value FROM generate_series(1, 60) g", labelled), query("two", "SELECT 2 AS value"))
		got := figures(p.scrape(t))
		if n := strings.Count(got, "many{"); n != 0 && n != 60 {
			t.Errorf("cut after %d bytes: %d of 60 series", bytes, n)
		}
		for line := range strings.Lines(p.log()) {
			if !strings.Contains(line, "postgres: connection lost") {
				t.Errorf("cut after %d bytes: %s", bytes, line)
			}
		}
	}
}

// Settings of a DSN apply in each transaction, and its timeouts win if they are shorter.
func TestSettingsOfTheDSN(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	exec(t, connect(t, dsn), "CREATE SCHEMA acme; CREATE TABLE acme.here (n int); INSERT INTO acme.here VALUES (7)")
	for name, tc := range map[string]struct{ params, sql, want string }{
		"search_path":       {"search_path=acme", "SELECT n::text AS l, 1 AS value FROM here", "7"},
		"application_name":  {"application_name=acme", "SELECT current_setting('application_name') AS l, 1 AS value", "acme"},
		"its default":       {"", "SELECT current_setting('application_name') AS l, 1 AS value", "awoooi-reporter"},
		"timezone":          {"timezone=Asia/Taipei", "SELECT current_setting('timezone') AS l, 1 AS value", "Asia/Taipei"},
		"no timezone":       {"", "SELECT current_setting('timezone') AS l, 1 AS value", "UTC"},
		"options":           {"options=-c%20search_path%3Dacme%20--work-mem%3D7MB", "SELECT n || current_setting('work_mem') AS l, 1 AS value FROM here", "77MB"},
		"a shorter timeout": {"options=-c%20statement_timeout%3D900%20-clock_timeout%3D300ms", "SELECT current_setting('statement_timeout') || ' ' || current_setting('lock_timeout') AS l, 1 AS value", "900ms 300ms"},
		"a longer timeout":  {"statement_timeout=1min", "SELECT current_setting('statement_timeout') AS l, 1 AS value", "5s"},
		"no workers":        {"", "SELECT current_setting('max_parallel_workers_per_gather') AS l, 1 AS value", "0"},
		"its own workers":   {"max_parallel_workers_per_gather=3", "SELECT current_setting('max_parallel_workers_per_gather') AS l, 1 AS value", "3"},
		"its own encoding":  {"options=-c%20client_encoding%3DLATIN1", "SELECT 'é告' AS l, 1 AS value", "é告"},
		"its own strings":   {"standard_conforming_strings=off", `SELECT 'a\\b' AS l, 1 AS value`, `a\\b`},
		"its own styles":    {"datestyle=German&intervalstyle=iso_8601&extra_float_digits=0", "SELECT date '2026-04-22' || ' ' || interval '90 s' || ' ' || 0.1::float8 AS l, 1 AS value", "2026-04-22 00:01:30 0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := readAll(t.Context(), open(t, dsn+"&"+tc.params), time.Now(), query("q", tc.sql, labelled, lasting(5*time.Second)))[0]
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if got := r.Rows.Values[0][0].(collector.Exact).Text; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
