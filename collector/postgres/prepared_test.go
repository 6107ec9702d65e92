package postgres_test

import (
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// Statements stay prepared from scrape to scrape, and their answers are right after the tables change, time passes, or the statements are
// discarded.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn := connect(t, dsn)
	exec(t, conn, `CREATE TABLE things (kind int, at timestamptz); INSERT INTO things VALUES (1, now() - interval '1 minute')`)
	exec(t, conn, `CREATE FUNCTION discard() RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DEALLOCATE ALL''; RETURN 1; END'`)
	builtin := query("builtin", "SELECT count(*) AS value FROM things WHERE at >= @since AND at < @until", func(q *kpi.Query) { q.Builtin = true })
	queries := []kpi.Query{
		builtin, query("kind", "SELECT kind AS l, count(*) AS value FROM things GROUP BY 1", labelled),
		query("now", "SELECT ('now'::timestamptz = now())::int AS value"),
		query("prepared", "SELECT count(*) AS value FROM pg_prepared_statements"),
	}
	p := startOn(t, open(t, dsn), queries...)
	var text string
	for range 8 {
		text = p.scrape(t)
	}
	expect(t, p, text, "acme_builtin 1", `acme_kind{l="1"} 1`, "acme_now 1")
	if n := sample(t, text, "acme_prepared"); n < 2 {
		t.Errorf("%v statements are prepared", n)
	}
	exec(t, conn, "ALTER TABLE things ALTER kind TYPE text USING 'k' || kind")
	expect(t, p, p.scrape(t), "acme_builtin 1", `acme_kind{l="k1"} 1`)
	exec(t, conn, "ALTER TABLE things ALTER at TYPE timestamp")
	for range 2 {
		text = p.scrape(t)
		expect(t, p, text, `awoooi_collector_query_success{query="builtin",source="db"} 0`, `acme_kind{l="k1"} 1`)
	}
	if !strings.Contains(p.log(), "things.at has no time zone") {
		t.Errorf("the log does not name the column:\n%s", p.log())
	}
	exec(t, conn, "ALTER TABLE things ALTER at TYPE timestamptz")
	expect(t, p, p.scrape(t), "acme_builtin 1")

	queries[3] = query("discard", "SELECT discard() AS value")
	p = startOn(t, open(t, dsn), queries...)
	for range 6 {
		expect(t, p, p.scrape(t), "acme_builtin 1", `acme_kind{l="k1"} 1`, "acme_now 1", "acme_discard 1")
	}
}
