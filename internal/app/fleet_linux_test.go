package app

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The memory of a process that compares the open incidents of 200 clusters with 1,000 alerts each, of which one does not answer, and
// how long the longest of four comparisons takes: every cluster has lost a resolve that the second one finds.
func BenchmarkFleet(b *testing.B) {
	const clusters, alerts, comparisons = 200, 1000, 4
	var before, peak, longest, closed float64
	for range b.N {
		dir := b.TempDir()
		f := startFleet(b, clusters, alerts, time.Now().Add(-time.Hour).UTC())
		conf := filepath.Join(dir, "config.yaml")
		text := f.config() + "prometheus: {url: \"http://127.0.0.1:1\"}\nincidents: {reconcile_interval: 15s, reconcile_after: 10s, digest_from: 0}\n"
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		p := startProcess(b, RoleReporter, dir, "--config.file", conf)
		f.webhooks(b, p.addr)
		f.lost.Store(true)
		before += p.memory("VmHWM")
		tick := time.NewTicker(time.Second)
		failures, duration := "awoooi_reporter_reconcile_failures_total", "awoooi_reporter_reconcile_duration_seconds"
		until := p.metrics(failures)[0] + comparisons
		for done := 0.0; done < until; <-tick.C {
			now := p.metrics(failures, duration)
			done, longest = now[0], max(longest, now[1])
		}
		tick.Stop()
		peak += p.memory("VmHWM")
		closed += p.metrics(`awoooi_reporter_incidents_closed_total{reason="reconciled"}`)[0]
		p.stop()
	}
	if want := float64(b.N * (clusters - 1)); closed != want {
		b.Errorf("%v incidents were closed, want %v", closed, want)
	}
	b.ReportMetric(longest, "s-longest")
	b.ReportMetric(before/float64(b.N), "MiB-peak-of-intake")
	b.ReportMetric(peak/float64(b.N), "MiB-peak")
	b.ReportMetric(0, "ns/op")
}

// metrics reads samples of the process's own metrics, by one scrape.
func (p *process) metrics(names ...string) []float64 {
	p.b.Helper()
	resp, err := p.client.Get("http://" + p.addr + "/metrics")
	if err != nil {
		p.b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.b.Fatal(err)
	}
	values := make([]float64, len(names))
	for n, name := range names {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(body)
		if m == nil {
			p.b.Fatalf("no metric %s", name)
		}
		if values[n], err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			p.b.Fatal(err)
		}
	}
	return values
}
