package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
)

// intake is the program's reporter on a throw-away state, without logs.
func intake(b *testing.B, dsn string) *App {
	b.Helper()
	c, err := config.Load("")
	if err != nil {
		b.Fatal(err)
	}
	c.Web.ListenAddresses, c.State.Path = []string{"127.0.0.1:0"}, filepath.Join(b.TempDir(), "data")
	c.State.DSN = secret.New(dsn)
	ctx, cancel := context.WithCancel(context.Background())
	a, err := New(ctx, c, Options{Role: RoleReporter, Stdout: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return a
}

// onBothStates runs the benchmark on SQLite and on a PostgreSQL that flushes each commit to the disk.
func onBothStates(b *testing.B, bench func(b *testing.B, a *App)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, intake(b, "")) })
	b.Run("postgres", func(b *testing.B) {
		pg, err := localstack.StartPostgres(b.Context(), localstack.PostgresOptions{Fsync: true})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { pg.Stop() })
		bench(b, intake(b, pg.DSN("postgres")))
	})
}

func postTo(b *testing.B, c *http.Client, url, body string) {
	resp, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.Errorf("webhook: %d", resp.StatusCode)
	}
}

// Each operation is one webhook of one alert, from 64 connections; every second one resolves, and every twentieth ends in a
// postmortem. It also reports how long one caller waits, and the largest heap.
func BenchmarkIntake(b *testing.B) {
	onBothStates(b, func(b *testing.B, a *App) {
		const connections = 64
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DialContext: (&net.Dialer{}).DialContext}}
		defer client.CloseIdleConnections()
		url := "http://" + a.Addr() + webhookPath
		began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
		var next atomic.Int64
		var mu sync.Mutex
		var took []time.Duration
		b.ResetTimer()
		var workers sync.WaitGroup
		for range connections {
			workers.Go(func() {
				var mine []time.Duration
				for {
					n := int(next.Add(1)) - 1
					if n >= b.N {
						break
					}
					id, end := fmt.Sprintf("B-%d", n/2), time.Time{}
					if n%2 == 1 {
						end = began.Add(time.Minute)
						if n%20 == 1 {
							end = began.Add(20 * time.Minute)
						}
					}
					body := webhookBody(id, id, nil, began, end)
					start := time.Now()
					postTo(b, client, url, body)
					mine = append(mine, time.Since(start))
				}
				mu.Lock()
				took = append(took, mine...)
				mu.Unlock()
			})
		}
		workers.Wait()
		b.StopTimer()
		slices.Sort(took)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
		b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapSys)/(1<<20), "heap-MB")
	})
}

// Each operation is one webhook of 10,000 alerts: first of a new group, then repeated.
func BenchmarkIntakeOf10kAlerts(b *testing.B) {
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	body := func(group int) string {
		var alerts strings.Builder
		for n := range 10_000 {
			if n > 0 {
				alerts.WriteString(",")
			}
			fmt.Fprintf(&alerts, `{"status": "firing", "labels": {"alertname": "NodeDown", "severity": "critical", "instance": "node-%05d.example.org:9100", "job": "node", "cluster": "tpe-prod"},
				"annotations": {"summary": "node-%05d is down", "runbook_url": "https://runbooks.example.org/node-down"}, "startsAt": %q, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "http://prometheus.example.org:9090/graph?g0.expr=up+%%3D%%3D+0", "fingerprint": "%016x"}`,
				n, n, began.Add(time.Duration(n)*time.Millisecond).Format(time.RFC3339Nano), n)
		}
		return fmt.Sprintf(`{"version": "4", "groupKey": "g%d", "status": "firing", "receiver": "awoooi", "groupLabels": {}, "externalURL": "http://am:9093", "alerts": [%s]}`, group, alerts.String())
	}
	onBothStates(b, func(b *testing.B, a *App) {
		url := "http://" + a.Addr() + webhookPath
		b.Run("new", func(b *testing.B) {
			for n := range b.N {
				b.StopTimer()
				text := body(n*1000 + b.N)
				b.StartTimer()
				postTo(b, client, url, text)
			}
		})
		b.Run("again", func(b *testing.B) {
			text := body(-1)
			postTo(b, client, url, text)
			for b.Loop() {
				postTo(b, client, url, text)
			}
		})
	})
}

// Each operation is a repeat of the only firing alert of a group that has had 6,000 others within a day.
func BenchmarkIntakeOfARepeat(b *testing.B) {
	onBothStates(b, func(b *testing.B, a *App) {
		url := "http://" + a.Addr() + webhookPath
		began := time.Now().Add(-23 * time.Hour).Truncate(time.Second).UTC()
		alert := func(n int, status string, start, end time.Time) string {
			return fmt.Sprintf(`{"status": %q, "labels": {"alertname": "PodDown", "pod": "pod-%d"}, "annotations": {}, "startsAt": %q, "endsAt": %q, "fingerprint": "%016x"}`,
				status, n, start.Format(time.RFC3339), end.Format(time.RFC3339), n)
		}
		body := func(alerts ...string) string {
			return fmt.Sprintf(`{"version": "4", "groupKey": "old", "status": "firing", "receiver": "awoooi", "alerts": [%s]}`, strings.Join(alerts, ","))
		}
		firing := alert(0, "firing", began, time.Time{})
		for n := range 6 {
			alerts := []string{firing}
			for m := range 1000 {
				start := began.Add(time.Duration(n*1000+m) * 13 * time.Second)
				alerts = append(alerts, alert(1+n*1000+m, "resolved", start, start.Add(time.Minute)))
			}
			postTo(b, client, url, body(alerts...))
		}
		again := body(firing)
		for b.Loop() {
			postTo(b, client, url, again)
		}
	})
}
