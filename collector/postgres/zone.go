package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/pg"
)

// checkTable names the first column of the zone check.
const checkTable = "naive_table"

const (
	naiveTypes = "ARRAY['pg_catalog.timestamp','pg_catalog.date']::pg_catalog.regtype[]::pg_catalog.oid[]"
	// naiveDomain follows a domain t, also over other domains, to its base type.
	naiveDomain = "WITH RECURSIVE base (oid) AS (SELECT t.typbasetype UNION ALL" +
		" SELECT p.typbasetype FROM base JOIN pg_catalog.pg_type p ON p.oid = base.oid WHERE p.typtype = 'd')" +
		" SELECT FROM base WHERE base.oid = ANY (" + naiveTypes + ")"
)

// zoneCheck is a SELECT of the columns without time zone that the builtin queries may name, or "" if the zone of such columns is
// known. The zone cannot be derived from the data, and a wrong one gives plausible figures.
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
	return "SELECT c.relname AS " + checkTable + ", a.attname FROM unnest(" + list + ") AS n(name)" +
		" JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident(n.name))" +
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped" +
		" JOIN pg_catalog.pg_type t ON t.oid = a.atttypid" +
		" WHERE a.attname::text = ANY (" + list + ")" +
		" AND CASE WHEN t.typtype <> 'd' THEN t.oid = ANY (" + naiveTypes + ") ELSE EXISTS (" + naiveDomain + ") END"
}

// zoneFaults returns the errors of builtin queries that name a column without time zone, by the number of the query.
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
