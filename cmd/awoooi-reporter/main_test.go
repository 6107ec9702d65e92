package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// Without configuration, the sample's report and postmortem reach the terminal, marked as a sample.
func TestZeroConfigShowsTheSample(t *testing.T) {
	t.Setenv("AWOOOI_REPORTER_STATE_PATH", filepath.Join(t.TempDir(), "data"))
	t.Setenv("AWOOOI_REPORTER_EMBEDDED_SCRAPE_INTERVAL", "500ms")
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr localstack.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"run", "--sample", "--web.listen-address", "127.0.0.1:0"}, &stdout, &stderr)
	}()
	eventually(t, "the report and the postmortem", func() bool {
		out := stdout.String()
		return strings.Contains(out, "日度巡檢報告") && strings.Contains(out, "db-3")
	})
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	for _, want := range []string{"SAMPLE", "範例", "總計: 5 個", "NodeFilesystemAlmostFull", "35 分"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the terminal does not say %q:\n%s", want, stdout.String())
		}
	}
	if strings.Contains(stdout.String(), "checkout") {
		t.Error("an incident of less than ten minutes got a postmortem")
	}
}

// A SIGHUP makes the running process read its configuration again.
func TestHangupReloads(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AWOOOI_REPORTER_STATE_PATH", filepath.Join(dir, "data"))
	conf := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(conf, []byte("product: Before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr localstack.Buffer
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"run", "--config.file", conf, "--web.listen-address", "127.0.0.1:0"}, &stdout, &stderr)
	}()
	eventually(t, "the start", func() bool { return strings.Contains(stderr.String(), "Listening on") })
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reload", func() bool { return strings.Contains(stderr.String(), "configuration reloaded") })
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AWOOOI_REPORTER_STATE_PATH", filepath.Join(dir, "data"))
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("timezon: UTC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"version":             {[]string{"version"}, 0, "awoooi-reporter"},
		"check-config":        {[]string{"check-config"}, 0, "configuration is good"},
		"problem in the file": {[]string{"check-config", "--config.file", bad}, 1, "bad.yaml:1:1: timezon: unknown key; did you mean timezone?"},
		"unknown role":        {[]string{"run", "--role", "x"}, 1, "--role"},
		"unknown flag":        {[]string{"run", "--x"}, 1, "unknown flag: --x; awoooi-reporter run --help lists them"},
		"missing argument":    {[]string{"postmortem"}, 1, "received 0; usage: awoooi-reporter postmortem ID"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), tc.args, &out, &errs)
		if code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s%s", name, code, tc.code, tc.want, out.String(), errs.String())
		}
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestOutputThatIsNotWrittenIsAnError(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"version"}, fullDisk{}, &errs); code != 1 || !strings.Contains(errs.String(), "output: no space left on device") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestDashboardsCommandWritesWhatIsConfigured(t *testing.T) {
	t.Parallel()
	const awoooi = "sources: [{name: awoooi, kind: postgres, dsn: \"postgres://x@127.0.0.1/x\"}, {name: api, kind: http, url: \"http://127.0.0.1:1\"}]\n"
	const queue = "queries: [{name: queue, source: api, http: {path: /q, jq: .n}, metrics: [{name: awoooi_queue_length, help: Jobs waiting.}]}]\n"
	for name, tc := range map[string]struct {
		yaml        string
		has, hasNot []string // expressions over all files
	}{
		"the journal alone": {
			"{}", []string{`max\(awoooi_incidents_open`, `query="incidents_open"`, `> 90000`, `"Asia/Taipei"`},
			[]string{"awoooi_repairs", "awoooi_knowledge", "awoooi_queue_length"},
		},
		"the operations database, and a KPI of one's own": {
			awoooi + queue + "external_url: https://reporter.example.org\ntimezone: UTC\n",
			[]string{"awoooi_repairs_succeeded", `max\(awoooi_queue_length`, "Jobs waiting.", `query="queue"`, "https://reporter.example.org/incidents", `"timezone": "UTC"`},
			[]string{"awoooi_playbooks"}, // its source is not configured
		},
		"a report of working days at another hour": {
			"reports: [{name: daily, schedule: \"30 9 * * 1-5\"}]\n", []string{`offset -5400s`, `> 262800`}, nil,
		},
		"no report": {"reports: [{name: daily, disabled: true}]\n", []string{"AwoooiQueryNotCollected"}, []string{"alert: AwoooiReportNotSent"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			conf, out := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "out", "deeper")
			if err := os.WriteFile(conf, []byte(tc.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time over what is there
				var stdout, stderr bytes.Buffer
				if code := run(t.Context(), []string{"dashboards", "--config.file", conf, "--out", out}, &stdout, &stderr); code != 0 {
					t.Fatalf("exit %d: %s", code, stderr.String())
				}
				if lines := strings.Count(stdout.String(), "\n"); lines != 7 {
					t.Errorf("%d files were named:\n%s", lines, stdout.String())
				}
			}
			var all strings.Builder
			for _, file := range []string{
				"awoooi-kpi.json", "awoooi-reporter-health.json", "awoooi-alert-noise.json", "rules/configured.yaml", "rules/collector.yaml", "rules/reporter.yaml", "runbook.md",
			} {
				b, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(file)))
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasSuffix(file, ".md") {
					all.Write(b)
				}
			}
			for _, want := range tc.has {
				if !regexp.MustCompile(want).MatchString(all.String()) {
					t.Errorf("nothing says %s", want)
				}
			}
			for _, not := range tc.hasNot {
				if regexp.MustCompile(not).MatchString(all.String()) {
					t.Errorf("something says %s", not)
				}
			}
		})
	}
	t.Run("a fault of the configuration", func(t *testing.T) {
		t.Parallel()
		conf := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(conf, []byte("kpi_sets: [nothing]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"dashboards", "--config.file", conf}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "nothing") {
			t.Errorf("exit %d: %s", code, stderr.String())
		}
	})
}

// eventually polls a condition of a running server for at most two minutes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}
