package app

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// The memory of a process whose pages show an incident of 200,000 alerts to ten readers at once. Each operation is one page to
// each of them.
func BenchmarkPageOfAStorm(b *testing.B) {
	const alerts, readers = 200_000, 10
	dir := b.TempDir()
	s, err := store.OpenSQLite(b.Context(), filepath.Join(dir, "data"), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	err = s.Update(b.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
		return reporter.JournalChanges{Incidents: []reporter.Incident{endedStorm(alerts)}}
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for _, path := range []string{"/incidents", "/incidents/STORM", "/incidents/STORM/postmortem.md"} {
		b.Run(path[1:], func(b *testing.B) {
			p := startProcess(b, "all", dir)
			defer p.stop()
			for b.Loop() {
				var all sync.WaitGroup
				for range readers {
					all.Go(func() {
						resp, err := p.client.Get("http://" + p.addr + path)
						if err != nil {
							b.Error(err)
							return
						}
						defer resp.Body.Close()
						n, _ := io.Copy(io.Discard, resp.Body)
						if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable || n > 200<<10 {
							b.Errorf("%d, %d bytes", resp.StatusCode, n)
						}
					})
				}
				all.Wait()
			}
			b.ReportMetric(p.memory("VmHWM"), "MiB-peak")
		})
	}
}

// endedStorm is an incident of so many alerts, all of which have ended.
func endedStorm(alerts int) reporter.Incident {
	began := time.Now().Add(-time.Hour).Truncate(time.Second)
	in := reporter.Incident{
		ID: "STORM", Key: "k", GroupKey: "g", Receiver: "r", State: reporter.IncidentResolved, CloseReason: reporter.ClosedResolved,
		StartedAt: began, EndedAt: began.Add(30 * time.Minute), FirstSeenAt: began, LastSeenAt: began, Notified: true,
	}
	for n := range alerts {
		in.Alerts = append(in.Alerts, reporter.Alert{
			Fingerprint: fmt.Sprintf("%016x", n), StartsAt: began.Add(time.Duration(n) * time.Millisecond), EndsAt: in.EndedAt,
			Labels: map[string]string{
				"alertname": "PodNotReady", "severity": "warning", "cluster": "prod-tpe-1", "namespace": "payments", "job": "kube-state-metrics",
				"pod": fmt.Sprintf("payments-api-%d", n), "instance": fmt.Sprintf("10.%d.%d.%d:8080", n>>16, n>>8&255, n&255),
			},
			Annotations: map[string]string{
				"summary": fmt.Sprintf("Pod payments-api-%d is not ready", n), "description": "The pod has not been ready for more than 15 minutes.",
				"runbook_url": "https://runbooks.example.org/pod-not-ready",
			},
			GeneratorURL: "http://prometheus.example.org/graph?g0.expr=kube_pod_status_ready",
		})
	}
	return in
}
