package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// What 100,000 incidents as JSON cost a process beyond what it takes before, and how long their list and a text in it take.
func BenchmarkAPI(b *testing.B) {
	const incidents = 100_000
	dir := b.TempDir()
	s, err := store.OpenSQLite(b.Context(), filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	for n := 0; n < incidents; n += 1000 {
		var ins []reporter.Incident
		for i := n; i < n+1000; i++ {
			in := endedStorm(1)
			in.ID, in.Key, in.AlertsTotal = fmt.Sprintf("INC-%06d", i), fmt.Sprint("k", i%1000), 1
			in.StartedAt = now.Add(-time.Duration(i) * time.Minute)
			in.EndedAt = in.StartedAt.Add(15 * time.Minute)
			in.GroupLabels = map[string]string{"alertname": "PodNotReady", "cluster": "prod-tpe-1"}
			a := &in.Alerts[0]
			a.StartsAt, a.EndsAt = in.StartedAt, in.EndedAt
			a.Labels["pod"], a.Labels["team"] = fmt.Sprintf("payments-api-%d", i), fmt.Sprint("team", i%7)
			a.Annotations["summary"] = fmt.Sprintf("Pod payments-api-%d is not ready", i)
			ins = append(ins, in)
		}
		err := s.Update(b.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
			return reporter.JournalChanges{Incidents: ins}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{
		"json": "/api/v1/incidents?limit=100000", "list": "/incidents", "list of a team": "/incidents?team=team3&severity=warning",
		"text": "/incidents?q=payments-api-77777", "page": "/incidents?after=resolved~" + fmt.Sprint(now.Add(-50_000*time.Minute).UnixMicro()) + "~x",
	} {
		b.Run(name, func(b *testing.B) {
			p := startProcess(b, "all", dir)
			defer p.stop()
			before := p.memory("VmHWM")
			for b.Loop() {
				resp, err := p.client.Get("http://" + p.addr + path)
				if err != nil {
					b.Fatal(err)
				}
				size, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || name == "json" && size < incidents*300 {
					b.Fatalf("%d, %d bytes, %v", resp.StatusCode, size, err)
				}
			}
			b.ReportMetric(p.memory("VmHWM")-before, "MiB-more")
		})
	}
}
