package store_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// PostgreSQL reads no table whole for an update of the journal, nor all alerts that are firing, though its planner does not know how
// little is asked for.
func TestJournalLooksUpByIndices(t *testing.T) {
	t.Parallel()
	dsn := database(t)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// scans are those of whole tables, of indices, and of the index of ends. What a session did is counted when it ends.
	scans := func() (whole, index, ends int64) {
		t.Helper()
		for sessions := -1; sessions != 0; {
			if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'awoooi-reporter'`).Scan(&sessions); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.QueryRow(t.Context(), `SELECT sum(seq_scan), sum(idx_scan),
			(SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'alerts_ended')
			FROM pg_stat_user_tables WHERE relname IN ('incidents', 'alerts')`).Scan(&whole, &index, &ends); err != nil {
			t.Fatal(err)
		}
		return whole, index, ends
	}
	s := openPostgres(t, dsn)
	var all []reporter.Incident
	for n := range 300 {
		in := incident("I"+time.Duration(n).String(), n, -1)
		in.Key, in.Alerts[0].Fingerprint = "k"+in.ID, "f"+in.ID
		all = append(all, in)
	}
	put(t, s, all...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, index, ends := scans()
	s = openPostgres(t, dsn)
	for _, in := range all[:30] {
		since := []reporter.JournalSince{{Of: in.Key, Since: day}}
		alerts := []reporter.JournalSince{{Of: in.Alerts[0].Fingerprint, Cluster: "default", Since: day}}
		groups := []reporter.JournalGroup{{Cluster: "default", Receiver: "r", GroupKey: "none", LeftOut: true}}
		q := reporter.JournalQuery{Keys: since, Alerts: alerts, Groups: groups, Names: []string{"x"}}
		err := s.Update(t.Context(), q, func(v reporter.JournalView) reporter.JournalChanges {
			if len(v.Incidents) != 1 {
				t.Errorf("%d incidents, want %s", len(v.Incidents), in.ID)
			}
			v.Incidents[0].Alerts[0].SeenAt = day.Add(time.Hour)
			return reporter.JournalChanges{Incidents: v.Incidents}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if w, i, e := scans(); w != whole || i == index || e != ends {
		t.Errorf("%d tables were read whole, and %d indices, %d times that of ends", w-whole, i-index, e-ends)
	}
}
