package app

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// built returns the path of the program, built as by `make build`.
var built = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("make", "-s", "build")
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Abs("../../bin/awoooi-reporter")
})

// process is the program in a process of its own.
type process struct {
	b      *testing.B
	cmd    *exec.Cmd
	addr   string
	client *http.Client
	output bytes.Buffer // read after stop only
}

// startProcess starts the program in a role, on a state in dir, and returns when it is ready. It has no configuration, unless args
// name one.
func startProcess(b *testing.B, role, dir string, args ...string) *process {
	b.Helper()
	bin, err := built()
	if err != nil {
		b.Fatal(err)
	}
	addr, err := localstack.FreeAddress(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	p := &process{b: b, addr: addr, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	p.cmd = exec.Command(bin, append([]string{"run", "--role", role, "--web.listen-address", p.addr}, args...)...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.output, &p.output
	p.cmd.Env = append(os.Environ(), "AWOOOI_REPORTER_STATE_PATH="+filepath.Join(dir, "data"))
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		resp, err := p.client.Get("http://" + p.addr + "/-/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			p.stop()
			b.Fatalf("the program is not ready after a minute:\n%s", p.output.String())
		}
	}
}

func (p *process) stop() {
	p.client.CloseIdleConnections()
	p.cmd.Process.Signal(os.Interrupt)
	if err := p.cmd.Wait(); err != nil {
		p.b.Errorf("stop: %v\n%s", err, p.output.String())
	}
}

// memory returns a line of /proc/PID/status in MiB.
func (p *process) memory(line string) float64 {
	p.b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+line+":")
	kib, _, _ := strings.Cut(rest, " kB\n")
	n, err := strconv.ParseFloat(strings.TrimSpace(kib), 64)
	if err != nil {
		p.b.Fatalf("%s of the process: %v", line, err)
	}
	return n / 1024
}

// Each operation is one start of a process, until /-/ready answers 200: on no state, and on the state of an earlier run.
func BenchmarkStart(b *testing.B) {
	for _, role := range []string{RoleCollector, RoleReporter, RoleAll} {
		b.Run(role+"/new", func(b *testing.B) {
			startAndStop(b, role, b.TempDir)
		})
		if role != RoleCollector { // which has no state
			b.Run(role+"/again", func(b *testing.B) {
				dir := b.TempDir()
				startProcess(b, role, dir).stop()
				b.ResetTimer()
				startAndStop(b, role, func() string { return dir })
			})
		}
	}
}

func startAndStop(b *testing.B, role string, dir func() string) {
	if _, err := built(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		p := startProcess(b, role, dir())
		b.StopTimer()
		p.stop()
		b.StartTimer()
	}
}

// The memory of a process that has had nothing to do for five seconds.
func BenchmarkIdle(b *testing.B) {
	for _, role := range []string{RoleCollector, RoleReporter, RoleAll} {
		b.Run(role, func(b *testing.B) {
			var rss, anon float64
			for range b.N {
				p := startProcess(b, role, b.TempDir())
				<-time.After(5 * time.Second)
				rss, anon = rss+p.memory("VmRSS"), anon+p.memory("RssAnon")
				p.stop()
			}
			b.ReportMetric(rss/float64(b.N), "MiB-rss")
			b.ReportMetric(anon/float64(b.N), "MiB-anon")
			b.ReportMetric(0, "ns/op") // five seconds
		})
	}
}

// The memory of a process after 10,000 webhooks and 200 scrapes, from 16 connections. Every second webhook resolves, and
// every twentieth ends in a postmortem.
func BenchmarkLoaded(b *testing.B) {
	const webhooks, scrapes, connections = 10_000, 200, 16
	began := time.Date(2026, 4, 22, 1, 0, 0, 0, time.UTC)
	var rss, anon, peak float64
	for range b.N {
		p := startProcess(b, RoleAll, b.TempDir())
		var next atomic.Int64
		var workers sync.WaitGroup
		for range connections {
			workers.Go(func() {
				for n := int(next.Add(1)) - 1; n < webhooks; n = int(next.Add(1)) - 1 {
					id, end := fmt.Sprintf("L-%d", n/2), time.Time{}
					if n%2 == 1 {
						end = began.Add(time.Minute)
					}
					if n%20 == 1 {
						end = began.Add(20 * time.Minute)
					}
					postTo(b, p.client, "http://"+p.addr+webhookPath, webhookBody(id, id, nil, began, end))
					if n%(webhooks/scrapes) == 0 {
						p.scrape()
					}
				}
			})
		}
		workers.Wait()
		rss, anon, peak = rss+p.memory("VmRSS"), anon+p.memory("RssAnon"), peak+p.memory("VmHWM")
		p.stop()
	}
	b.ReportMetric(rss/float64(b.N), "MiB-rss")
	b.ReportMetric(anon/float64(b.N), "MiB-anon")
	b.ReportMetric(peak/float64(b.N), "MiB-peak")
	b.ReportMetric(0, "ns/op") // BenchmarkIntake measures the time
}

func (p *process) scrape() {
	resp, err := p.client.Get("http://" + p.addr + "/metrics")
	if err != nil {
		p.b.Error(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(body, []byte("\nawoooi_alerts{")) {
		p.b.Errorf("bad scrape: %v %s", err, body)
	}
}

// The size of the program, stripped.
func BenchmarkBinary(b *testing.B) {
	bin, err := built()
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(bin)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/mib, "MiB-binary")
	b.ReportMetric(0, "ns/op")
}
