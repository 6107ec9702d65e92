package store_test

import (
	"cmp"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

var noiseEpisodes = flag.Int("store.episodes", 10_000, "how many episodes TestNoiseEqualsAnIndependentCount counts")

// The working hours of the tests: those of an office in Taipei.
func officeHours(tb testing.TB) reporter.WorkingHours {
	tb.Helper()
	zone, err := time.LoadLocation("Asia/Taipei")
	if err != nil {
		tb.Fatal(err)
	}
	return reporter.WorkingHours{
		Days: []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday},
		From: 9 * time.Hour, To: 18 * time.Hour, Zone: zone,
	}
}

// episode is one row of the seeded journal.
type episode struct {
	name, cluster, fingerprint string
	start, end                 time.Time // end is zero while firing
}

// ended is when the episode ended, and far away where it is firing.
func (e episode) ended() time.Time {
	if e.end.IsZero() {
		return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return e.end
}

// seedEpisodes puts n episodes of 300 names into the journal by plain SQL: over nine days before until, most of them in the window
// of a review, some short, some flapping, some still firing.
func seedEpisodes(tb testing.TB, db *sql.DB, n, clusters int, until time.Time) {
	tb.Helper()
	series := `generate_series(0, %[3]d) AS s(n)`
	if _, err := db.ExecContext(tb.Context(), `SET search_path = `+store.Schema); err != nil { // SQLite
		series = `(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < %[3]d) SELECT n FROM s) AS s`
	}
	incidents := fmt.Sprintf(`INSERT INTO incidents (id, key, cluster, group_key, receiver, external_url, group_labels, state, started_at,
		close_reason, truncated, notified, sample, ended_at)
		SELECT 'INC-' || n, 'k' || (n %% 97), 'c' || (n %% %[1]d), 'g', 'r', '', '{}', 'resolved', %[2]d - n, '', 0, FALSE, FALSE, %[2]d
		FROM `+series, clusters, until.UnixMicro(), n/50)
	// Multiplications by primes spread what would be in step otherwise. A name has few or many alerts, and one in a hundred episodes
	// is firing.
	const name, start = `((n * 7919 %% 100003) %% 300 * ((n * 104729 %% 100003) %% 300) / 300)`, `(%[1]d + %[2]d - n * 7561 %% 777600 * 1000000)`
	alerts := fmt.Sprintf(`INSERT INTO alerts (incident_id, fingerprint, starts_at, ends_at, firing, labels, annotations, generator_url,
		category, name)
		SELECT 'INC-' || (n / 50), 'f' || `+name+` || '-' || (n %% 3), `+start+`,
			CASE WHEN n %% 100 = 0 THEN NULL ELSE `+start+` + n * 31337 %% 1500 * 1000000 END,
			n %% 100 = 0, '{"alertname":"x","instance":"i","job":"node","severity":"warning","team":"platform"}',
			'{"summary":"a text as long as those that people write for an alert of theirs"}', 'http://prometheus/graph', 'c', 'Alert' || `+name+`
		FROM (SELECT CAST(n AS BIGINT) AS n FROM `+series+`) AS b ORDER BY 1, 3`, until.UnixMicro(), 0, n-1)
	for _, statement := range []string{incidents, alerts, `ANALYZE`} {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatal(err)
		}
	}
}

// readEpisodes reads them all.
func readEpisodes(tb testing.TB, db *sql.DB) []episode {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), `SELECT a.name, i.cluster, a.fingerprint, a.starts_at, a.ends_at FROM alerts a, incidents i
		WHERE i.id = a.incident_id`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var out []episode
	for rows.Next() {
		var e episode
		var start int64
		var end sql.NullInt64
		if err := rows.Scan(&e.name, &e.cluster, &e.fingerprint, &start, &end); err != nil {
			tb.Fatal(err)
		}
		if e.start = time.UnixMicro(start).UTC(); end.Valid {
			e.end = time.UnixMicro(end.Int64).UTC()
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// countNoise is the review as a person would count it: episode by episode, with a clock on the wall.
func countNoise(episodes []episode, since, until time.Time, hours reporter.WorkingHours) []reporter.NoiseRow {
	slices.SortFunc(episodes, func(a, b episode) int {
		return cmp.Or(cmp.Compare(a.cluster, b.cluster), cmp.Compare(a.fingerprint, b.fingerprint),
			a.ended().Compare(b.ended()), a.start.Compare(b.start))
	})
	rows, fired := map[string]*reporter.NoiseRow{}, map[string]bool{}
	for n, e := range episodes {
		over := !e.end.IsZero() && !e.end.After(until)
		if !e.start.Before(until) || over && !e.end.After(since) {
			continue
		}
		r := rows[e.name]
		if r == nil {
			r = &reporter.NoiseRow{Name: e.name}
			rows[e.name] = r
		}
		from, to := e.start, until
		if from.Before(since) {
			from = since
		}
		if over {
			to = e.end
		}
		if key := e.cluster + "/" + e.fingerprint; !fired[key] {
			fired[key] = true
			r.Alerts++
		}
		r.Firing += to.Sub(from)
		if e.start.Before(since) {
			continue
		}
		r.Episodes++
		if n > 0 {
			before := episodes[n-1]
			gap := e.start.Sub(before.end)
			if before.cluster == e.cluster && before.fingerprint == e.fingerprint && !before.end.IsZero() && gap >= 0 && gap <= 15*time.Minute {
				r.Flaps++
			}
		}
		local := e.start.In(hours.Zone)
		clock := time.Duration(local.Hour())*time.Hour + time.Duration(local.Minute())*time.Minute
		if !slices.Contains(hours.Days, local.Weekday()) || clock < hours.From || clock >= hours.To {
			r.OffHours++
		}
		if over {
			r.Ended++
			r.Resolution += e.end.Sub(e.start)
			if e.end.Sub(e.start) < 5*time.Minute {
				r.Short++
			}
		}
	}
	var out []reporter.NoiseRow
	for _, r := range rows {
		if r.Episodes >= 3 {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, func(a, b reporter.NoiseRow) int {
		return cmp.Or(cmp.Compare(b.Episodes, a.Episodes), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func TestNoiseEqualsAnIndependentCount(t *testing.T) {
	t.Parallel()
	episodes := *noiseEpisodes
	until := day
	since := until.Add(-reporter.NoiseWindow)
	hours := officeHours(t)
	for name, start := range map[string]func(t *testing.T) (*store.Store, *sql.DB){
		"sqlite":   sqliteWithDB,
		"postgres": postgresWithDB,
	} {
		for _, clusters := range []int{1, 3} {
			t.Run(fmt.Sprint(name, " ", clusters), func(t *testing.T) {
				t.Parallel()
				s, db := start(t)
				seedEpisodes(t, db, episodes, clusters, until)
				all := readEpisodes(t, db)
				if len(all) != episodes {
					t.Fatalf("%d episodes were seeded", len(all))
				}
				want := countNoise(all, since, until, hours)
				got, err := s.Noise(t.Context(), since, until, hours, len(want))
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want, got.Rows); diff != "" {
					t.Errorf("(-counted +reviewed)\n%s", diff)
				}
				sum := reporter.NoiseRow{}
				for _, r := range want {
					sum.Episodes, sum.Flaps, sum.Short, sum.OffHours = sum.Episodes+r.Episodes, sum.Flaps+r.Flaps, sum.Short+r.Short, sum.OffHours+r.OffHours
				}
				if got.Names != len(want) || len(want) < 100 || sum.Episodes < episodes/2 || sum.Flaps < episodes/1000 || sum.Short < episodes/10 || sum.OffHours < episodes/10 {
					t.Errorf("the seed has too little to count: %d names, %+v", len(want), sum)
				}
			})
		}
	}
}

func sqliteWithDB(t *testing.T) (*store.Store, *sql.DB) {
	dir := t.TempDir()
	s := storetest.Open(t, dir)
	return s, other(t, "sqlite", filepath.Join(dir, "state.db"))
}

func postgresWithDB(t *testing.T) (*store.Store, *sql.DB) {
	dsn := database(t)
	s, db := openPostgres(t, dsn), other(t, "pgx", dsn)
	db.SetMaxOpenConns(1) // of which the search path is set
	return s, db
}

// other is a connection that does not go through the store.
func other(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

func TestNoiseOfFewEpisodes(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		since, until := day, day.Add(reporter.NoiseWindow)
		at := func(minutes float64) time.Time { return day.Add(time.Duration(minutes * float64(time.Minute))) }
		var alerts []reporter.Alert
		add := func(name, fingerprint string, start, end float64) {
			a := reporter.Alert{Fingerprint: fingerprint, StartsAt: at(start), Firing: end == 0, Labels: map[string]string{"alertname": name}}
			if end != 0 {
				a.EndsAt = at(end)
			}
			alerts = append(alerts, a)
		}
		add("Twice", "t", 0, 1)
		add("Twice", "t", 5, 6)
		add("Flaps", "f", -10, 0.5)   // began before, and fires half a minute of the window
		add("Flaps", "f", 15.5, 18)   // 15 minutes after the end: flaps, and is short
		add("Flaps", "f", 40, 45)     // later, and exactly 5 minutes
		add("Flaps", "g", 41, 46)     // another alert of the name
		add("Flaps", "f", 50, 100000) // ends after the window: is firing at its end
		in := incident("I", -10, -1)
		in.Alerts, in.AlertsTotal = alerts, len(alerts)
		put(t, s, in)
		got, err := s.Noise(t.Context(), since, until, reporter.WorkingHours{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		rest := reporter.NoiseWindow - 50*time.Minute
		want := []reporter.NoiseRow{
			{
				Name: "Flaps", Alerts: 2, Episodes: 4, Flaps: 2, Ended: 3, Short: 1,
				Firing: 30*time.Second + 12*time.Minute + 30*time.Second + rest, Resolution: 12*time.Minute + 30*time.Second,
			},
		}
		if diff := gocmp.Diff(want, got.Rows); diff != "" || got.Names != 1 {
			t.Errorf("%d names (-want +got)\n%s", got.Names, diff)
		}
	})
}

// A storm within one incident is counted whole, though most of it is kept as counts only.
func TestNoiseOfAStorm(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		in := incident("STORM", 0, 300)
		in.Alerts, in.AlertsTotal, in.Selected = nil, 1500, true
		var episodes []episode
		for n := range in.AlertsTotal {
			start := day.Add(time.Duration(n+1) * 10 * time.Second)
			end := start.Add(time.Duration(n%10) * time.Minute)
			in.Alerts = append(in.Alerts, reporter.Alert{Fingerprint: fmt.Sprint(n), StartsAt: start, EndsAt: end, Labels: map[string]string{"alertname": fmt.Sprint("A", n%2)}})
			episodes = append(episodes, episode{name: fmt.Sprint("A", n%2), fingerprint: fmt.Sprint(n), start: start, end: end})
		}
		put(t, s, in)
		hours := officeHours(t)
		hours.From, hours.To = 9*time.Hour, 10*time.Hour // the storm begins at 08:00 and lasts for four hours
		got, err := s.Noise(t.Context(), day, day.Add(reporter.NoiseWindow), hours, 1)
		if err != nil {
			t.Fatal(err)
		}
		if got.Names != 2 || len(got.Rows) != 1 || got.Rows[0].Folded < 100 {
			t.Fatalf("%+v", got)
		}
		want := countNoise(episodes, day, day.Add(reporter.NoiseWindow), hours)[0]
		want.Folded, want.Alerts = got.Rows[0].Folded, got.Rows[0].Alerts
		if diff := gocmp.Diff(want, got.Rows[0]); diff != "" {
			t.Errorf("(-counted +reviewed)\n%s", diff)
		}
	})
}

func BenchmarkNoise(b *testing.B) {
	hours := officeHours(b)
	for _, clusters := range []int{1, 3} {
		b.Run(fmt.Sprintf("clusters=%d", clusters), func(b *testing.B) {
			dir := b.TempDir()
			s := storetest.Open(b, dir)
			seedEpisodes(b, other(b, "sqlite", filepath.Join(dir, "state.db")), 100_000, clusters, day)
			for b.Loop() {
				if _, err := s.Noise(context.Background(), day.Add(-reporter.NoiseWindow), day, hours, 20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
