package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// shortDir returns a directory whose path is short enough for a socket in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "awr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// configured writes a configuration whose state is in dir, and returns its path.
func configured(t *testing.T, dir, more string) string {
	t.Helper()
	conf := filepath.Join(dir, "config.yaml")
	yaml := "state: {path: " + filepath.Join(dir, "data") + "}\nweb: {listen_addresses: [\"127.0.0.1:0\"]}\n" + more
	if err := os.WriteFile(conf, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf
}

// started runs the program until stop is called, which returns the log.
func started(t *testing.T, conf string) (stop func() string) {
	t.Helper()
	_, stop = listening(t, conf)
	return stop
}

// listening does as started, and returns the address that the program listens on.
func listening(t *testing.T, conf string) (address string, stop func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr localstack.Buffer
	done := make(chan int, 1)
	go func() { done <- run(ctx, []string{"run", "--config.file", conf}, &stdout, &stderr) }()
	eventually(t, "the start", func() bool { return strings.Contains(stderr.String(), "Listening on") })
	return regexp.MustCompile(`address=(127\.0\.0\.1:\d+)`).FindStringSubmatch(stderr.String())[1], func() string {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("exit %d: %s", code, stderr.String())
		}
		return stderr.String()
	}
}

func command(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// Commands use the running process and its embedded database; without one they use the state itself.
func TestCommandsUseTheRunningProcess(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	conf := configured(t, dir, "")
	own := filepath.Join(dir, "own.tmpl")
	if err := os.WriteFile(own, []byte("<b>{{.Number \"alerts\"}}</b> own"), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := func(running bool) {
		for name, tc := range map[string]struct {
			args []string
			code int
			want string
		}{
			"report":               {[]string{"report", "daily", "--at", "2026-04-22 08:00"}, 0, "2026-04-22 | 04-21 08:00 ~ 04-22 08:00 台北時間"},
			"report by a template": {[]string{"report", "daily", "--template", own}, 0, "own"},
			"unknown report":       {[]string{"report", "nothing"}, 1, `error: report "nothing": not found (have daily)`},
			"not a time":           {[]string{"report", "daily", "--at", "noon"}, 1, "is not a time"},
			"future report":        {[]string{"report", "daily", "--at", "2199-01-01 08:00", "--send"}, 1, "is in the future"},
			"report before 1970":   {[]string{"report", "daily", "--at", "0001-01-01T00:00:00Z"}, 1, "is before 1970"},
			"unknown format":       {[]string{"report", "daily", "--format", "pdf"}, 1, `--format: is "pdf", want text or html`},
			"report of a template": {[]string{"report", "daily", "--template", own, "--send"}, 1, "remove --template and --format"},
			"report queued twice":  {[]string{"report", "daily", "--at", "2020-04-22 08:00", "--send"}, 0, "of 1 deliveries queued"},
			"unknown postmortem":   {[]string{"postmortem", "X"}, 1, "not found"},
			"incidents":            {[]string{"incidents", "list"}, 0, "SEVERITY"},
			"unknown state":        {[]string{"incidents", "list", "--state", "closed"}, 1, "want open, chronic or resolved"},
			"deliveries":           {[]string{"deliveries", "list"}, 0, "RECEIVER"},
			"acknowledge unknown":  {[]string{"incidents", "acknowledge", "X"}, 1, "not found"},
			"release unknown":      {[]string{"incidents", "release", "X"}, 1, "not found"},
			"note on unknown":      {[]string{"incidents", "note", "X", "text"}, 1, "not found"},
			"retry unknown":        {[]string{"deliveries", "retry", "99"}, 1, "not found"},
		} {
			if code, out := command(t, append(tc.args, "--config.file", conf)...); code != tc.code || !strings.Contains(out, tc.want) {
				t.Errorf("%s, running %v: exit %d, want %d and %q:\n%s", name, running, code, tc.code, tc.want, out)
			}
		}
	}
	stop := started(t, conf)
	cases(true)
	log := stop()
	for _, want := range []string{
		"config=" + conf, "msg=state in=" + filepath.Join(dir, "data"), "role=all", "name=daily next_due=", `setting=alertmanagers means=`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log of the start does not say %q:\n%s", want, log)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "control", "socket")); err == nil {
		t.Error("the socket outlives the process")
	}
	cases(false)
}

// Only the user of the process can reach its socket. A socket that a killed process has left is replaced.
func TestSocketIsPrivateAndReplaced(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	conf := configured(t, dir, "")
	control := filepath.Join(dir, "data", "control")
	if err := os.MkdirAll(control, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(control, "socket"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop := started(t, conf)
	defer stop()
	info, err := os.Stat(control)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory of the socket: %v, %v", info.Mode(), err)
	}
	if code, out := command(t, "deliveries", "list", "--config.file", conf); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
}

// If the path of the state is too long for a socket, the program works without one.
func TestLongPathsHaveNoSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), strings.Repeat("d", 120))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := configured(t, dir, "")
	stop := started(t, conf)
	if code, out := command(t, "deliveries", "list", "--config.file", conf); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	code, out := command(t, "report", "daily", "--config.file", conf)
	if code != 1 || !strings.Contains(out, "/reports/") {
		t.Errorf("exit %d: %s", code, out)
	}
	if log := stop(); !strings.Contains(log, "use a shorter state.path") {
		t.Error("the log has no warning")
	}
}

// empty returns a directory with an empty state directory in it.
func empty(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A command that is run in a wrong directory, or before the first start, fails and creates nothing.
func TestCommandsNeverCreateState(t *testing.T) {
	t.Parallel()
	for name, conf := range map[string]string{
		"in another directory":      configured(t, shortDir(t), ""),
		"beside an empty directory": configured(t, empty(t), ""),
	} {
		for _, args := range [][]string{
			{"report", "daily", "--send"}, {"deliveries", "list"}, {"deliveries", "retry", "1"}, {"postmortem", "X"}, {"incidents", "list"},
		} {
			code, out := command(t, append(args, "--config.file", conf)...)
			if code != 1 || !strings.Contains(out, "start the program first") {
				t.Errorf("%s, %v: exit %d: %s", name, args, code, out)
			}
		}
		// A report can be looked at before the first start.
		if _, out := command(t, "report", "daily", "--config.file", conf); !strings.Contains(out, "日度巡檢報告") {
			t.Errorf("%s: the report is not shown: %s", name, out)
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(conf), "data", "*")); err != nil || len(left) != 0 {
			t.Errorf("%s: %v were created: %v", name, left, err)
		}
	}
}

func TestConfigFileIsFound(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	for file, text := range map[string]string{good: "product: Good\n", bad: "produkt: Bad\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWOOOI_REPORTER_CONFIG_FILE", bad)
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"by the environment":                  {[]string{"check-config"}, 1, "bad.yaml:1:1: produkt"},
		"the flag before the environment":     {[]string{"check-config", "--config.file", good}, 0, "is good"},
		"the argument before the environment": {[]string{"check-config", good}, 0, "is good"},
		"a file that is missing":              {[]string{"check-config", filepath.Join(dir, "none.yaml")}, 1, "no such file"},
		"version":                             {[]string{"--version"}, 0, "awoooi-reporter, version"},
		"names of reports":                    {[]string{"__complete", "report", "--config.file", good, ""}, 0, "daily\n"},
		"names of receivers":                  {[]string{"__complete", "test", "--config.file", good, ""}, 0, "terminal\n"},
		"no names of a bad configuration":     {[]string{"__complete", "test", ""}, 0, ":4\n"},
	} {
		if code, out := command(t, tc.args...); code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%s: exit %d, want %d and %q:\n%s", name, code, tc.code, tc.want, out)
		}
	}
}

// People act on incidents by commands, with and without a running process. What they type cannot control a terminal.
func TestPeopleActOnIncidents(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	conf := configured(t, dir, "")
	act := func(code int, want string, args ...string) {
		t.Helper()
		if got, out := command(t, append(args, "--config.file", conf)...); got != code || !strings.Contains(out, want) || strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("%q: exit %d, want %d and %q:\n%s", args, got, code, want, out)
		}
	}
	post := func(address, status, ends string) {
		t.Helper()
		body := `{"version": "4", "groupKey": "g", "status": "` + status + `", "receiver": "r", "groupLabels": {}, "commonLabels": {},
			"commonAnnotations": {}, "externalURL": "http://am:9093", "alerts": [{"status": "` + status + `", "labels": {"alertname": "DiskFull"},
			"annotations": {"incident_id": "INC-1"}, "startsAt": "2026-04-22T01:00:00Z", "endsAt": "` + ends + `", "fingerprint": "f"}]}`
		client := http.Client{Timeout: time.Minute}
		resp, err := client.Post("http://"+address+"/api/v1/alertmanager/webhook", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("webhook: %s", resp.Status)
		}
	}
	cases := func(first string) {
		t.Helper()
		act(0, "INC-1 is acknowledged by "+first+" at 20", "incidents", "acknowledge", "INC-1", "--as", first+"\x1b\u202e")
		act(0, "INC-1 was already acknowledged by "+first, "incidents", "acknowledge", "INC-1", "--as", "Bo")
		act(0, first+" 20", "incidents", "list")
		act(0, "INC-1 is released by Bo", "incidents", "release", "INC-1", "--as", "Bo")
		act(0, "INC-1 was already released by Bo", "incidents", "release", "INC-1")
		act(0, "note added to incident INC-1", "incidents", "note", "INC-1", "the <b>disk</b>\x1b[2J", "is full", "--as", "Bo")
		act(1, "has no text", "incidents", "note", "INC-1", " \n")
		act(1, "text is too long", "incidents", "note", "INC-1", strings.Repeat("磁", 4001))
		act(0, "Bo: the \\<b\\>disk", "postmortem", "INC-1", "--format", "markdown")
	}
	address, stop := listening(t, conf)
	post(address, "firing", "0001-01-01T00:00:00Z")
	act(0, "was not acknowledged", "incidents", "release", "INC-1")
	act(1, "does not accept silences", "incidents", "silence", "INC-1", "1h")
	act(1, "is not a duration from 1m", "incidents", "silence", "INC-1", "4")
	act(1, "not found", "incidents", "unsilence", "INC-2")
	act(0, "requested by Bo", "incidents", "unsilence", "INC-1", "--as", "Bo")
	cases("Ann")
	stop()
	cases("Cy")
	address, stop = listening(t, conf)
	act(0, "is acknowledged by", "incidents", "acknowledge", "INC-1") // by whoever runs the test
	post(address, "resolved", "2026-04-22T02:00:00Z")
	act(1, "already resolved", "incidents", "acknowledge", "INC-1")
	act(1, "already resolved", "incidents", "release", "INC-1")
	act(0, "note added to incident INC-1", "incidents", "note", "INC-1", "looked at it again")
	stop()
}
