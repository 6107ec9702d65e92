package app

import (
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// Two replicas whose clocks are wrong by minutes send a report once, when it is due by the clock of their shared database, with
// the figures of that time, and report their skew.
func TestReplicasWithWrongClocks(t *testing.T) {
	t.Parallel()
	for name, about := range map[string]time.Duration{
		"10 minutes ahead": 10 * time.Minute, "3 minutes ahead": 3 * time.Minute, "10 minutes behind": -10 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn, bot := database(t), botAPI(t)
			// The database's clock is set so that its next full minute comes soon. The replicas have this machine's clock.
			ahead := about + time.Until(time.Now().Truncate(time.Minute)) + 35*time.Second
			toDatabase := func(at time.Time) time.Time { return at.Add(-ahead) }
			conn := setClockBack(t, dsn, ahead)
			yaml := receiver(bot) + fmt.Sprintf("state: {dsn: %q}\n", dsn) + `embedded: {scrape_interval: 1h}
reports:
  - {name: daily, disabled: true}
  - {name: weekly, disabled: true}
  - {name: monthly, disabled: true}
  - name: minutes
    schedule: "* * * * *"
    lookback: 1m
    receivers: [oncall]
    sections:
      - name: clock
        title: {zh-TW: 時鐘, en: Clock}
        figures:
          - {name: minute, title: {zh-TW: 分, en: Minute}, expr: floor(vector(time() / 6 % 100000))}
`
			replicas := []*running{start(t, yaml), start(t, yaml)}
			messages(t, bot, 1)
			for _, r := range replicas {
				_, text := r.get("/metrics")
				m := regexp.MustCompile(`(?m)^awoooi_reporter_clock_skew_seconds (\S+)$`).FindStringSubmatch(text)
				if m == nil {
					t.Fatal("the metrics do not say how wrong the clock is")
				}
				if skew, err := strconv.ParseFloat(m[1], 64); err != nil || math.Abs(skew-ahead.Seconds()) > 5 {
					t.Errorf("the metrics say that the clock is ahead by %v, want %v", skew, ahead.Seconds())
				}
				if !strings.Contains(r.logs.String(), "clock differs from the database's") {
					t.Error("the log does not say that the clock is wrong")
				}
				r.stop()
			}
			for _, m := range bot.Messages() {
				// The value of the figure shows its time: it grows by ten a minute.
				figure := regexp.MustCompile(`分: ([0-9,]+)`).FindStringSubmatch(m.Plain)
				if figure == nil {
					t.Fatalf("the report has no figure:\n%s", m.Plain)
				}
				asked, err := strconv.ParseInt(strings.ReplaceAll(figure[1], ",", ""), 10, 64)
				if arrived := toDatabase(m.At).Unix() / 6 % 100000; err != nil || asked%10 != 0 || asked > arrived {
					t.Errorf("the figure is of %d, which is no full minute or later than %d, by the database's clock", asked, arrived)
				}
			}
			rows, err := conn.Query(t.Context(), `SELECT subject, count(*), min(created_at) FROM awoooi_reporter.deliveries WHERE kind = 'report' GROUP BY 1`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			reports := 0
			for rows.Next() {
				var subject string
				var count, created int64
				if err := rows.Scan(&subject, &count, &created); err != nil {
					t.Fatal(err)
				}
				_, text, _ := strings.Cut(subject, "@")
				due, err := time.Parse(time.RFC3339, text)
				if err != nil || count != 1 || time.UnixMicro(created).Before(due) || toDatabase(time.Now()).Before(due) {
					t.Errorf("%s was queued %d times, at %v by the database's clock: %v", subject, count, time.UnixMicro(created).UTC(), err)
				}
				reports++
			}
			if err := rows.Err(); err != nil || reports == 0 || reports < len(bot.Messages()) {
				t.Errorf("%d messages of %d reports, %v", len(bot.Messages()), reports, err)
			}
		})
	}
}

// setClockBack makes the clock of a database run behind the machine's.
func setClockBack(t *testing.T, dsn string, by time.Duration) *pgx.Conn {
	t.Helper()
	conn := connect(t, dsn)
	for _, statement := range []string{
		`ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO right_clock_timestamp`,
		fmt.Sprintf(`CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
			$$ SELECT pg_catalog.right_clock_timestamp() - interval '%d microseconds' $$`, by.Microseconds()),
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// Commands go by the clock of the database too: what they queue is due by it.
func TestCommandsGoByTheClockOfTheDatabase(t *testing.T) {
	t.Parallel()
	const ahead = 10 * time.Minute
	dsn := database(t)
	setClockBack(t, dsn, ahead)
	log := slog.New(slog.DiscardHandler)
	st, err := store.OpenPostgres(t.Context(), secret.New(dsn), log) // makes the schema
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	c := parsed(t, fmt.Sprintf("state: {path: %q, dsn: %q}\nprometheus: {url: 'http://127.0.0.1:1'}\n", t.TempDir(), dsn))
	tools, err := OpenTools(t.Context(), c, Needs{State: true}, log)
	if err != nil {
		t.Fatal(err)
	}
	defer tools.Close()
	at, err := tools.ReportMoment(t.Context(), "daily", "", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tools.SendReport(t.Context(), ReportQuery{Name: "daily", At: at}); err != nil {
		t.Fatal(err)
	}
	ds, err := tools.box.store.Deliveries(t.Context(), 1)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	for what, got := range map[string]time.Time{"the moment": at, "the delivery": ds[0].NextAttempt} {
		if behind := time.Since(got); behind < ahead/2 {
			t.Errorf("%s is %v behind the machine's clock, want %v", what, behind, ahead)
		}
	}
}
