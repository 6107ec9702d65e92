package app

import (
	"context"
	"errors"
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

// doctorSource runs the queries of a source, and for PostgreSQL compares its clock.
func doctorSource(ctx context.Context, s collector.NamedSource, qs []kpi.Query) []Finding {
	what := "source " + s.Name
	if len(qs) == 0 {
		return []Finding{warned(what, "no query uses it", "remove it, or add queries or kpi_sets")}
	}
	asked := qs
	if s.Kind == kpi.KindPostgres {
		asked = append(slices.Clone(qs), kpi.Query{Name: "clock", Source: s.Name, SQL: clockQuery}.WithDefaults())
	}
	answers := sourceAnswers(ctx, s.Source, asked)
	out := failedQueries(what, qs, answers[:len(qs)])
	zone := ""
	if len(answers) > len(qs) && answers[len(qs)].err() == nil {
		if row, found := clockRow(answers[len(qs)].result.Rows); found {
			out = append(out, clockFinding(what, row.clock, answers[len(qs)].at)...)
			zone = "; its sessions use the time zone " + row.zone
		}
	}
	if !slices.ContainsFunc(answers[:len(qs)], func(a sourceAnswer) bool { return a.err() != nil }) {
		out = append([]Finding{ok(what, "%d queries answered%s", len(qs), zone)}, out...)
	}
	return out
}

// sourceAnswer is the answer to a query; its result is nil if the query did not end in time.
type sourceAnswer struct {
	result *collector.Result
	at     time.Time
}

var errNotInTime = errors.New("did not end in time")

func (a sourceAnswer) err() error {
	if a.result == nil {
		return errNotInTime
	}
	return a.result.Err
}

// sourceAnswers runs queries, and returns their answers in the same order. It ends a second before the check, so that the answers of
// queries that were fast enough are still printed.
func sourceAnswers(ctx context.Context, s collector.Source, qs []kpi.Query) []sourceAnswer {
	ctx, cancel := context.WithTimeout(ctx, doctorTime-time.Second)
	defer cancel()
	var mu sync.Mutex
	answers := make([]sourceAnswer, len(qs))
	s.Read(ctx, time.Now(), qs, func(n int, r collector.Result) {
		mu.Lock()
		defer mu.Unlock()
		if answers[n].result == nil {
			answers[n] = sourceAnswer{&r, time.Now()}
		}
	})
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(answers)
}

// failedQueries returns one finding for each error, with the queries that have it.
func failedQueries(what string, qs []kpi.Query, answers []sourceAnswer) []Finding {
	queries := map[string][]string{} // by error
	missing := 0
	for n, a := range answers {
		switch err := a.err(); {
		case errors.Is(err, errNotInTime):
			missing++
		case err != nil:
			text := safetext.Line(err.Error(), safetext.MaxError)
			queries[text] = append(queries[text], qs[n].Name)
		}
	}
	var out []Finding
	if missing > 0 {
		out = append(out, failed(what, fmt.Errorf("%d of %d queries %w", missing, len(qs), errNotInTime),
			"make them faster, for example by an index"))
	}
	for text, names := range queries {
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
	return out
}

// clockAnswer is the answer to clockQuery.
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
	source := c.Incidents.Details.Source
	if source == "" {
		return nil
	}
	const what = "incidents.details"
	return []check{{what, func(ctx context.Context) []Finding {
		lookup, err := details.Open(detailsConfig(c))
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
		return []Finding{ok(what, "its SELECT runs on source %s", source)}
	}}}
}
