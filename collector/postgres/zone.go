package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// checkTable names the first column of the zone check.
const checkTable = "naive_table"

// zoneCheck is a SELECT of the columns without time zone that the builtin queries may name, or "" where the zone of such
// columns is known. What the columns mean cannot be seen from the data: a wrong zone gives plausible numbers.
func (r *read) zoneCheck() string {
	if r.s.declared {
		return ""
	}
	var names []string
	for n, q := range r.queries {
		if q.Builtin {
			for _, name := range r.sql[n].identifiers {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	quoted := make([]string, len(names))
	for n, name := range names {
		quoted[n] = pg.Quote(name)
	}
	list := "ARRAY[" + strings.Join(quoted, ",") + "]::text[]"
	// OFFSET 0 and the subquery keep the planner from reading whole catalogs.
	return "SELECT n.name AS " + checkTable + ", a.attname FROM" +
		" (SELECT name, pg_catalog.to_regclass(pg_catalog.quote_ident(name)) AS id FROM unnest(" + list + ") AS n(name) OFFSET 0) AS n" +
		" CROSS JOIN LATERAL (SELECT attname::text, atttypid FROM pg_catalog.pg_attribute" +
		" WHERE attrelid = n.id AND attnum > 0 AND NOT attisdropped OFFSET 0) AS a" +
		" WHERE n.id IS NOT NULL AND a.attname = ANY (" + list + ")" +
		" AND (SELECT 'pg_catalog.timestamp'::pg_catalog.regtype IN (t.oid, t.typbasetype) FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid)"
}

// zoneFaults returns the builtin queries that name a column without time zone, by number.
func (r *read) zoneFaults(naive []column) map[int]error {
	out := map[int]error{}
	for n, q := range r.queries {
		if !q.Builtin {
			continue
		}
		for _, c := range naive {
			if slices.Contains(r.sql[n].identifiers, c.table) && slices.Contains(r.sql[n].identifiers, c.name) {
				out[n] = fmt.Errorf("postgres: column %s.%s has no time zone: set timezone of the source %q to the zone in which "+
					"it is written, such as Asia/Taipei, or timezone in its DSN", c.table, c.name, r.s.name)
				break
			}
		}
	}
	return out
}
