package localstack

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed awoooi.sql
var awoooiSQL string

// InstallAWOOOI creates the AWOOOI tables in an empty database.
func InstallAWOOOI(ctx context.Context, dsn string) error {
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, awoooiSQL)
		return err
	})
}

// SeedOptions configures the rows of SeedAWOOOI.
type SeedOptions struct {
	Seed   uint64 // the same seed gives the same rows
	Now    time.Time
	Days   int // before Now
	PerDay int // average number of incidents a day
}

// The categories and titles of incidents, with their share in percent; the empty category is NULL.
var seedCategories = []struct {
	name   string
	weight int
	titles []string
}{
	{"infrastructure", 46, []string{"節點磁碟空間不足", "Node memory pressure", "節點 CPU 過高", "Host clock skew"}},
	{"kubernetes", 18, []string{"Pod 反覆重啟", "Deployment replicas mismatch", "HPA 已達上限"}},
	{"application", 14, []string{"結帳服務 5xx 過高", "Login latency above SLO", "佇列積壓"}},
	{"database", 9, []string{"複寫延遲", "Connection pool exhausted", "慢查詢增加"}},
	{"network", 6, []string{"封包遺失", "TLS certificate expires soon"}},
	{"security", 3, []string{"異常登入", "Rate limit hit"}},
	{"storage", 2, []string{"備份失敗"}},
	{"", 2, []string{"未分類告警"}},
}

var seedCauses = []string{"WAL 歸檔逾時，pg_wal 目錄持續成長", "部署後記憶體用量上升，觸發 OOM", "Upstream DNS answered slowly", "連線池設定過小", "憑證未自動更新"}

var seedActions = []string{
	"systemctl restart pgbackrest-archive", "kubectl rollout undo deploy/checkout -n shop",
	"kubectl scale deploy/worker --replicas=6", "certbot renew --force-renewal",
}

// SeedAWOOOI inserts realistic rows into the AWOOOI tables: with a daily and weekly rhythm, statuses in both cases, repeats, groups, and
// approvals with and without a person. The first incident is INC-000001.
func SeedAWOOOI(ctx context.Context, dsn string, o SeedOptions) error {
	rng := rand.New(rand.NewPCG(o.Seed, 0x41574f49))
	either := func(s string) string {
		if rng.IntN(2) == 0 {
			return strings.ToLower(s)
		}
		return s
	}
	var incidents, approvals, entries [][]any
	for day := range o.Days {
		for range count(rng, o.PerDay, o.Now.AddDate(0, 0, -day)) {
			created := within(rng, o.Now, day)
			id := fmt.Sprintf("INC-%06d", len(incidents)+1)
			category, title := pick(rng)
			status, resolved := "OPEN", any(nil)
			if rng.IntN(100) < 88 {
				took := time.Duration(math.Exp(rng.NormFloat64()*1.1+6.6)) * time.Second // a median of some 12 minutes
				if end := created.Add(took); end.Before(o.Now) {
					status, resolved = "RESOLVED", end
				}
			} else if rng.IntN(4) == 0 {
				status = "CLOSED"
			}
			hits := any(1 + int(rng.ExpFloat64()*0.8))
			if rng.IntN(50) == 0 {
				hits = nil
			}
			var group any
			if rng.IntN(12) == 0 {
				group = fmt.Sprintf("G-%d", rng.IntN(1000))
			}
			incidents = append(incidents, []any{id, title, []string{"critical", "warning", "info"}[rng.IntN(3)], either(status),
				category, hits, group, seedCauses[rng.IntN(len(seedCauses))], seedActions[rng.IntN(len(seedActions))],
				"自動修復（信心 0.9）", rng.IntN(3), created, resolved})
			if rng.IntN(100) < 40 {
				approvals = append(approvals, approval(rng, either, id, created))
			}
		}
		for range count(rng, o.PerDay/16, o.Now.AddDate(0, 0, -day)) {
			entries = append(entries, []any{"KM: " + seedCauses[rng.IntN(len(seedCauses))], within(rng, o.Now, day)})
		}
	}
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		for _, t := range []struct {
			table   string
			columns []string
			rows    [][]any
		}{
			{"incidents", []string{"incident_id", "title", "severity", "status", "alert_category", "hit_count", "alert_group_id",
				"root_cause", "action", "ai_decision", "retry_count", "created_at", "resolved_at"}, incidents},
			{"knowledge_entries", []string{"title", "created_at"}, entries},
		} {
			if _, err := conn.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
				return fmt.Errorf("seed of %s: %w", t.table, err)
			}
		}
		// pgx does not know the binary form of the enum, which COPY needs.
		batch := &pgx.Batch{}
		for _, a := range approvals {
			batch.Queue(`INSERT INTO approval_records (incident_id, status, approved_by, action, created_at)
				VALUES ($1, $2::text::approval_status, $3, $4, $5)`, a...)
		}
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("seed of approval_records: %w", err)
		}
		_, err := conn.Exec(ctx, "ANALYZE")
		return err
	})
}

func approval(rng *rand.Rand, either func(string) string, id string, created time.Time) []any {
	status := []string{"EXECUTION_SUCCESS", "EXECUTION_SUCCESS", "EXECUTION_SUCCESS", "EXECUTION_SUCCESS", "EXECUTION_SUCCESS",
		"EXECUTION_FAILED", "APPROVED", "PENDING", "REJECTED", "EXPIRED"}[rng.IntN(10)]
	var by any
	if rng.IntN(3) == 0 {
		by = []string{"alice", "小明", "bob"}[rng.IntN(3)]
	}
	return []any{id, either(status), by, seedActions[rng.IntN(len(seedActions))], created.Add(time.Duration(rng.IntN(300)) * time.Second)}
}

// count is the number of rows of a day, which varies around the average and is smaller on weekends.
func count(rng *rand.Rand, average int, day time.Time) int {
	factor := 0.8 + 0.4*rng.Float64()
	if w := day.Weekday(); w == time.Saturday || w == time.Sunday {
		factor *= 0.6
	}
	return int(float64(average)*factor + rng.Float64())
}

// within is a random moment of the 24 hours that ended day days before now, more likely in working hours.
func within(rng *rand.Rand, now time.Time, day int) time.Time {
	for {
		t := now.AddDate(0, 0, -day).Add(-time.Duration(rng.Int64N(int64(24 * time.Hour))))
		if hour := (t.UTC().Hour() + 8) % 24; (hour >= 9 && hour < 20) || rng.IntN(3) == 0 {
			return t.UTC().Truncate(time.Microsecond)
		}
	}
}

func pick(rng *rand.Rand) (category any, title string) {
	n := rng.IntN(100)
	for _, c := range seedCategories {
		if n -= c.weight; n < 0 {
			if c.name != "" {
				category = c.name
			}
			return category, c.titles[rng.IntN(len(c.titles))]
		}
	}
	return nil, "未分類告警"
}

// SeedRows inserts n incidents into the last 23 hours, by SQL on the server, for benchmarks.
func SeedRows(ctx context.Context, dsn string, n int, now time.Time) error {
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		for _, sql := range []string{
			`INSERT INTO incidents (incident_id, title, severity, status, alert_category, hit_count, alert_group_id, created_at, resolved_at)
				SELECT 'ROW-' || g, 'row', 'warning', (ARRAY['RESOLVED', 'resolved', 'OPEN'])[1 + g % 3],
					(ARRAY['infrastructure', 'application', 'database', 'network', 'kubernetes', NULL])[1 + g % 6], 1 + g % 4,
					CASE WHEN g % 11 = 0 THEN 'G' END,
					$2::timestamptz - (g::float8 / $1) * interval '23 hours',
					CASE WHEN g % 3 < 2 THEN $2::timestamptz - (g::float8 / $1) * interval '23 hours' + interval '12 minutes' END
				FROM generate_series(1, $1::int) g`,
			`INSERT INTO approval_records (incident_id, status, approved_by, created_at)
				SELECT 'ROW-' || g * 10, (ARRAY['EXECUTION_SUCCESS', 'execution_failed', 'APPROVED'])[1 + g % 3]::approval_status,
					CASE WHEN g % 2 = 0 THEN 'alice' END, $2::timestamptz - (g * 10::float8 / $1) * interval '23 hours'
				FROM generate_series(1, $1::int / 10) g`,
			`INSERT INTO knowledge_entries (title, created_at)
				SELECT 'KM', $2::timestamptz - (g * 100::float8 / $1) * interval '23 hours' FROM generate_series(1, $1::int / 100) g`,
		} {
			if _, err := conn.Exec(ctx, sql, n, now); err != nil {
				return fmt.Errorf("rows: %w", err)
			}
		}
		_, err := conn.Exec(ctx, "VACUUM ANALYZE")
		return err
	})
}

func withConn(ctx context.Context, dsn string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("awoooi: %w", err)
	}
	defer conn.Close(ctx)
	if err := do(conn); err != nil {
		return fmt.Errorf("awoooi: %w", err)
	}
	return nil
}
