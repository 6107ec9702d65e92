package app

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter/details"
)

// doctorSources runs every query of every source once.
func doctorSources(c *config.Config, log *slog.Logger) []check {
	qs, err := queries(c, ownSources(), log)
	if err != nil {
		return fixed(failed("queries", err, "run check-config"))
	}
	opened, err := sources(c, nil)
	if err != nil {
		return fixed(failed("sources", err, "run check-config"))
	}
	var out []check
	for _, s := range opened {
		mine := slices.DeleteFunc(slices.Clone(qs), func(q kpi.Query) bool { return q.Source != s.Name })
		out = append(out, check{"source " + s.Name, func(ctx context.Context) []Finding {
			defer s.Source.Close()
			return doctorSource(ctx, s, mine)
		}})
	}
	return out
}

// clockQuery reads the clock and the session's zone of a PostgreSQL source.
const clockQuery = "SELECT extract(epoch FROM clock_timestamp()) AS value, current_setting('TimeZone') AS zone"

func doctorSource(ctx context.Context, s collector.NamedSource, qs []kpi.Query) []Finding {
	what := "source " + s.Name
	if len(qs) == 0 {
		return []Finding{warned(what, "no query uses it", "remove it, or add queries or kpi_sets")}
	}
	var mu sync.Mutex
	answers := make([]*collector.Result, len(qs)+1)
	asked := qs
	if s.Kind == kpi.KindPostgres {
		asked = append(slices.Clone(qs), kpi.Query{Name: "clock", Source: s.Name, SQL: clockQuery}.WithDefaults())
	}
	var clockAt time.Time
	// The queries end a second before the check, so that the answers of those that were fast enough are still printed.
	asking, cancel := context.WithTimeout(ctx, doctorTime-time.Second)
	defer cancel()
	s.Source.Read(asking, time.Now(), asked, func(n int, r collector.Result) {
		mu.Lock()
		defer mu.Unlock()
		if n == len(qs) {
			clockAt = time.Now()
		}
		if answers[n] == nil {
			answers[n] = &r
		}
	})
	mu.Lock()
	defer mu.Unlock()
	wrong := map[string][]string{} // error: queries
	good, missing := 0, 0
	for n, q := range qs {
		switch r := answers[n]; {
		case r == nil:
			missing++
		case r.Err != nil:
			text := safetext.Line(r.Err.Error(), safetext.MaxError)
			wrong[text] = append(wrong[text], q.Name)
		default:
			good++
		}
	}
	var out []Finding
	if missing > 0 {
		out = append(out, failed(what, fmt.Errorf("%d of %d queries did not end in time", missing, len(qs)),
			"make them faster, for example by an index"))
	}
	for text, names := range wrong {
		slices.Sort(names)
		shown := what + " query " + names[0]
		if len(names) > 1 {
			shown = fmt.Sprintf("%s %d of %d queries", what, len(names), len(qs))
			if len(names) < len(qs) {
				shown += " (" + safetext.Line(strings.Join(names, ", "), 200) + ")"
			}
		}
		out = append(out, Finding{Result: FindingFail, What: shown, Text: text, Remedy: sourceRemedy(text)})
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.What+a.Text, b.What+b.Text) })
	zone := ""
	if r := answers[len(qs)]; r != nil && r.Err == nil {
		if row, found := clockRow(r.Rows); found {
			out = append(out, clockFinding(what, row.clock, clockAt)...)
			zone = "; its sessions use the time zone " + row.zone
		}
	}
	if good == len(qs) {
		out = append([]Finding{ok(what, "%d queries answered%s", len(qs), zone)}, out...)
	}
	return out
}

type clockAnswer struct {
	clock time.Time
	zone  string
}

func clockRow(rows collector.Rows) (clockAnswer, bool) {
	if len(rows.Values) != 1 || len(rows.Values[0]) != 2 {
		return clockAnswer{}, false
	}
	clock, ok1 := rows.Values[0][0].(collector.Exact)
	zone, ok2 := rows.Values[0][1].(collector.Exact)
	return clockAnswer{time.UnixMicro(int64(clock.Number * 1e6)), zone.Text}, ok1 && ok2 && clock.NotNumber == nil
}

var deniedTable = regexp.MustCompile(`permission denied for (?:table|relation|view) ([A-Za-z0-9_."]+)`)

// sourceRemedy returns what to do about an error of a source, by a part of its text; the first that fits.
func sourceRemedy(text string) string {
	if m := deniedTable.FindStringSubmatch(text); m != nil {
		return "GRANT SELECT ON " + m[1] + " TO the source's user"
	}
	for _, r := range []struct{ part, remedy string }{
		{"refused the setting", "correct the DSN's settings"},
		{"refused", "start the server, or correct host and port"},
		{"host not found", "correct the host name"},
		{"no such host", "correct the host name"},
		{"authentication", "correct user and password"},
		{"WRONGPASS", "correct user and password"},
		{"NOAUTH", "set user and password"},
		{"NOPERM", "allow the user this command and key"},
		{"permission denied", "GRANT USAGE on the schema and SELECT on its tables to the source's user"},
		{"database missing", "correct the database's name"},
		{"server without TLS", "set sslmode=prefer, or turn TLS on at the server"},
		{"certificate", "correct tls_config or sslrootcert"},
		{"timezone", "set the source's timezone"},
		{"does not exist", "correct the query, or the search_path of the DSN"},
		{"lock timeout", "look for the session that holds the lock in pg_locks"},
		{"timeout", "check host, port and firewall, or make the query faster"},
		{"deadline", "check host, port and firewall, or make the query faster"},
		{"401", "correct the credentials"},
		{"403", "give the credentials the right to read it"},
		{"404", "correct url and path"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "try the query by hand with the same user"
}

// doctorDetails runs the SELECT of incidents.details for an incident that does not exist.
func doctorDetails(c *config.Config) []check {
	d := c.Incidents.Details
	if d.Source == "" {
		return nil
	}
	const what = "incidents.details"
	return []check{{what, func(ctx context.Context) []Finding {
		s, _ := c.Source(d.Source)
		text := d.SQL
		if text == "" {
			text = details.BuiltinSQL
		}
		lookup, err := details.Open(details.Config{DSN: s.DSN, SQL: text, Timeout: d.Timeout, Timezone: s.Timezone})
		if err != nil {
			return []Finding{failed(what, err, "run check-config")}
		}
		defer lookup.Close()
		unknown, err := lookup.Check(ctx)
		if err != nil {
			return []Finding{failed(what, err, sourceRemedy(err.Error()))}
		}
		if len(unknown) > 0 {
			return []Finding{warned(what, "unknown column "+strings.Join(unknown, ", "),
				"name it title, severity, root_cause, action, decision, disposition, retries or acknowledged_at, or remove it")}
		}
		return []Finding{ok(what, "its SELECT runs on source %s", d.Source)}
	}}}
}
