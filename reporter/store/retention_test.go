package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// soak lives through the days as the program does, each with the same load, and returns the size of the state at the end of
// each day.
func soak(t *testing.T, s *store.Store, days int, size func() int64) []int64 {
	t.Helper()
	const keep = 10 * 24 * time.Hour
	sizes := make([]int64, 0, days)
	for n := range days {
		today := day.Add(time.Duration(n) * 24 * time.Hour)
		var ins []reporter.Incident
		var ds []reporter.Delivery
		for i := range 60 {
			in := incident(fmt.Sprintf("D%03d-%03d", n, i), n*24*60+i, 20)
			in.LastSeenAt, in.EndedAt = in.StartedAt.Add(20*time.Minute), in.StartedAt.Add(20*time.Minute)
			for a := range 3 {
				alert := in.Alerts[0]
				alert.Fingerprint = fmt.Sprint(a)
				in.Alerts = append(in.Alerts, alert)
			}
			d := reporter.NewDelivery(reporter.DeliveryPostmortem, in.ID, "oncall", today)
			d.Message = &reporter.Message{Title: in.ID, HTML: fmt.Sprintf("%01000d", i)}
			d.State, d.FinishedAt = reporter.DeliverySent, today
			ins, ds = append(ins, in), append(ds, d)
		}
		put(t, s, ins...)
		if _, err := s.Claim(t.Context(), "daily", today, ds); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prune(t.Context(), today.Add(-keep)); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size())
	}
	return sizes
}

// plateau fails where the state still grows in its last quarter. It is full long before, but PostgreSQL reuses pages of an index some
// days after they were emptied.
func plateau(t *testing.T, sizes []int64) {
	t.Helper()
	late, last := sizes[len(sizes)*3/4], sizes[len(sizes)-1]
	t.Logf("state: %d KiB after %d days, %d KiB after %d", late>>10, len(sizes)*3/4+1, last>>10, len(sizes))
	if last > late+late/20 {
		t.Errorf("the state grows: %v", sizes)
	}
	if sizes[5] > late || sizes[0] >= sizes[5] {
		t.Errorf("the state of the first days did not grow, so nothing was shown: %v", sizes)
	}
}

func TestStateStopsGrowing(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := storetest.Open(t, dir)
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "state.db")+"?mode=ro")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		sizes := soak(t, s, 40, func() int64 {
			var size int64 // of what the write-ahead log still holds too
			if err := db.QueryRowContext(t.Context(), "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size); err != nil {
				t.Fatal(err)
			}
			return size
		})
		plateau(t, sizes)
		if info, err := os.Stat(filepath.Join(dir, "state.db-wal")); err != nil || info.Size() > 32<<20 {
			t.Errorf("write-ahead log: %v, %v", info, err)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		// The server is its own: emptied pages of an index are reused when no transaction of any database is older.
		pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := pg.Stop(); err != nil {
				t.Error(err)
			}
		})
		dsn := pg.DSN("postgres")
		s := openPostgres(t, dsn)
		db, err := sql.Open("pgx", dsn)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		tables := []string{"incidents", "alerts", "deliveries", "claims"}
		// The test does what autovacuum does, which starts at a moment of its own, and whose ANALYZE keeps rows from being removed.
		for _, table := range tables {
			if _, err := db.ExecContext(t.Context(), "ALTER TABLE "+store.Schema+"."+table+" SET (autovacuum_enabled = false)"); err != nil {
				t.Fatal(err)
			}
		}
		plateau(t, soak(t, s, 40, func() int64 {
			var all int64
			for _, table := range tables {
				if _, err := db.ExecContext(t.Context(), "VACUUM (INDEX_CLEANUP ON) "+store.Schema+"."+table); err != nil {
					t.Fatal(err)
				}
				var size int64
				if err := db.QueryRowContext(t.Context(), "SELECT pg_total_relation_size($1::text::regclass)", store.Schema+"."+table).Scan(&size); err != nil {
					t.Fatal(err)
				}
				all += size
			}
			return all
		}))
	})
}
