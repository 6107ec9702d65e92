// Command demo shows the whole chain on real servers: the program's binary comes in, the report, the notice and the postmortem go out, as
// Telegram received them. It starts a throw-away PostgreSQL with 30 seeded days, Prometheus, Alertmanager and a fake Telegram, and acts in
// the chat as a person.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

const (
	token = "123456:demo-token" // of the fake Telegram
	chat  = "-1001234567890"
)

func main() {
	binary := flag.String("binary", "bin/awoooi-reporter", "the program to show")
	flag.Parse()
	os.Exit(run(*binary))
}

func run(binary string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := demo(ctx, binary, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// stack has the functions that stop the servers, in the order of their start.
type stack []func() error

func (s *stack) add(stop func() error) { *s = append(*s, stop) }

func (s stack) stop() {
	for n := len(s) - 1; n >= 0; n-- {
		if err := s[n](); err != nil {
			fmt.Fprintln(os.Stderr, "demo: stop:", err)
		}
	}
}

func demo(ctx context.Context, binary string, out io.Writer) error {
	var parts stack
	defer func() { parts.stop() }()
	dir, err := os.MkdirTemp("", "awoooi-demo-")
	if err != nil {
		return err
	}
	parts.add(func() error { return os.RemoveAll(dir) })
	say := func(format string, a ...any) { fmt.Fprintf(out, "» "+format+"\n", a...) }

	say("PostgreSQL with the AWOOOI tables and 30 seeded days")
	dsn, err := startDatabase(ctx, &parts)
	if err != nil {
		return err
	}

	say("a fake Telegram, and a service that is about to break")
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
	if err != nil {
		return err
	}
	parts.add(func() error { bot.Close(); return nil })
	svc, err := startService(ctx)
	if err != nil {
		return err
	}
	parts.add(svc.server.Close)

	say("the program itself")
	addr, err := localstack.FreeAddress(ctx)
	if err != nil {
		return err
	}
	// The program gets the address of Prometheus, which is known only after its start, by the environment.
	am, err := localstack.StartAlertmanager(ctx, localstack.AlertmanagerOptions{Config: alertmanagerConfig(addr)})
	if err != nil {
		return err
	}
	parts.add(am.Stop)
	conf := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(conf, []byte(programConfig(dir, dsn, "http://"+addr, svc.addr, bot.URL(), am.URL())), 0o600); err != nil {
		return err
	}
	prom, err := localstack.StartPrometheus(ctx, localstack.PrometheusOptions{
		ScrapeInterval: time.Second, Targets: []string{addr, svc.addr}, Rules: rules, AlertmanagerURL: am.URL(),
	})
	if err != nil {
		return err
	}
	parts.add(prom.Stop)
	say("Prometheus at %s, Alertmanager at %s", prom.URL(), am.URL())
	env := append(os.Environ(), "AWOOOI_REPORTER_PROMETHEUS_URL="+prom.URL())
	program, err := startProgram(ctx, binary, conf, addr, env, filepath.Join(dir, "program.log"))
	if err != nil {
		return err
	}
	parts.add(program.stop)
	if err := until(ctx, "the program to be ready", func() bool { return answers(ctx, "http://"+addr+"/-/ready") }); err != nil {
		return errors.Join(err, program.said())
	}

	say("the service breaks; Prometheus' rule fires, Alertmanager posts to the program")
	svc.broken.Store(true)
	open := func() bool { return shows(ctx, "http://"+addr+"/incidents?state=open", `href="/incidents/`) }
	if err := until(ctx, "the incident to open", open); err != nil {
		return errors.Join(err, program.said())
	}
	if err := inTheChat(ctx, say, bot, am.URL()); err != nil {
		return errors.Join(err, program.said())
	}
	say("after a while the service is repaired")
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(12 * time.Second):
	}
	svc.broken.Store(false)

	say("the daily report as of now is queued, as it would be at 08:00")
	queue := exec.CommandContext(ctx, binary, "report", "daily", "--send", "--config.file", conf)
	queue.Env, queue.Stderr = env, os.Stderr
	if err := messages(ctx, bot, queue); err != nil {
		return errors.Join(err, program.said())
	}
	for _, m := range bot.Messages() {
		fmt.Fprintf(out, "\n──── Telegram got, in chat %s ────\n%s\n", m.ChatID, m.Plain)
	}
	fmt.Fprintln(out)
	say("done: a row in PostgreSQL ended as a line of the report, an alert as a postmortem with what a person did in the chat")
	return nil
}

// startDatabase starts a PostgreSQL with the AWOOOI tables and 30 days of rows.
func startDatabase(ctx context.Context, parts *stack) (dsn string, err error) {
	pg, err := localstack.StartPostgres(ctx, localstack.PostgresOptions{})
	if err != nil {
		return "", err
	}
	parts.add(pg.Stop)
	if err := pg.CreateDatabase(ctx, "awoooi"); err != nil {
		return "", err
	}
	dsn = pg.DSN("awoooi")
	if err := localstack.InstallAWOOOI(ctx, dsn); err != nil {
		return "", err
	}
	return dsn, localstack.SeedAWOOOI(ctx, dsn, localstack.SeedOptions{Seed: 42, Now: time.Now(), Days: 30, PerDay: 130})
}

// messages queues the report, and waits until it, the postmortem and the edit of the notice have arrived.
func messages(ctx context.Context, bot *localstack.BotAPI, report *exec.Cmd) error {
	if err := report.Run(); err != nil {
		return fmt.Errorf("report --send: %w", err)
	}
	if err := bot.Wait(ctx, 3); err != nil {
		return fmt.Errorf("telegram did not get all messages: %w", err)
	}
	return until(ctx, "the notice to say that the incident is resolved", func() bool {
		return strings.HasPrefix(bot.Messages()[0].Plain, "✅")
	})
}

// alice is a member of the chat.
var alice = localstack.BotUser{ID: 1001, Name: "王小明", Username: "ming"}

// inTheChat acknowledges the incident as a person, silences it, undoes that and adds a note, and shows the notice after each step.
func inTheChat(ctx context.Context, say func(string, ...any), bot *localstack.BotAPI, alertmanager string) error {
	if err := bot.Wait(ctx, 1); err != nil {
		return fmt.Errorf("telegram did not get the notice of the incident: %w", err)
	}
	notice := bot.Messages()[0].ID
	bot.SetMember(chat, alice.ID, "member")
	silences := func() bool {
		body, ok := get(ctx, alertmanager+"/api/v2/silences?active=true")
		return ok && strings.Contains(body, `"state":"active"`) && strings.Contains(body, alice.Name+" via awoooi-reporter")
	}
	for _, step := range []struct {
		action, what string
		is           func() bool // whether the step is done
	}{
		{"ack", alice.Name + " taps ✋ in the chat", func() bool { return strings.Contains(bot.Messages()[0].Plain, "✋ "+alice.Name) }},
		{"silence1h", alice.Name + " taps 🔕: Alertmanager has a silence of the incident's alerts", func() bool {
			return silences() && strings.Contains(bot.Messages()[0].Plain, "🔕 "+alice.Name)
		}},
		{"unsilence", alice.Name + " undoes it: the silence has ended in Alertmanager", func() bool {
			return !silences() && !strings.Contains(bot.Messages()[0].Plain, "🔕 "+alice.Name)
		}},
	} {
		if err := tap(ctx, bot, notice, step.action); err != nil {
			return err
		}
		if err := until(ctx, step.what, step.is); err != nil {
			return err
		}
		status := strings.Split(bot.Messages()[0].Plain, "\n")
		say("%s; the notice shows: %s", step.what, strings.Join(status[:min(3, len(status))], " / "))
	}
	note := bot.Reply(chat, notice, "#原因 部署 v2.3 後逾時設定遺失", alice)
	if err := until(ctx, "the cause to be taken", func() bool { return bot.Reaction(chat, note) != "" }); err != nil {
		return err
	}
	say("%s replies with #原因, which is the root cause in the postmortem", alice.Name)
	return nil
}

// tap presses the button of an action, once the notice has it.
func tap(ctx context.Context, bot *localstack.BotAPI, notice int, action string) error {
	var err error
	pressed := until(ctx, "the button of "+action, func() bool {
		for n, b := range bot.Messages()[0].Buttons {
			if strings.HasPrefix(b.Data, action+":") {
				_, err = bot.Tap(chat, notice, n, alice)
				return true
			}
		}
		return false
	})
	return errors.Join(pressed, err)
}

func programConfig(dir, dsn, self, service, bot, alertmanager string) string {
	return fmt.Sprintf(`
external_url: %s
state: {path: %s/data}
sources:
  - {name: awoooi, kind: postgres, dsn: %q}
  - {name: awoooi_api, kind: http, url: "http://%s"}
prometheus: {url: "http://127.0.0.1:1"} # set by the environment
alertmanagers: [{url: %q, silences: true}]
telegram: {listen: true}
incidents:
  min_duration: 10s # 10m by default, which is too long for a demo
  digest_from: 0 # as above: postmortems wait a minute for others
  details: {source: awoooi}
receivers:
  - name: oncall
    telegram: {bot_token: %q, chat_id: %q, api_url: %q}
`, self, dir, dsn, service, alertmanager, token, chat, bot)
}

func alertmanagerConfig(addr string) string {
	return fmt.Sprintf(`
route: {receiver: awoooi-reporter, group_by: [alertname, service], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: awoooi-reporter
    webhook_configs: [{url: "http://%s/api/v1/alertmanager/webhook", send_resolved: true}]
`, addr)
}

// The rule has the id of an incident of the seeded database, so that its details are found there.
const rules = `
groups:
  - name: demo
    interval: 1s
    rules:
      - alert: CheckoutErrorRateHigh
        expr: demo_error_ratio > 0.05
        labels: {severity: critical, service: checkout, alert_category: application, incident_id: "{{ $labels.incident_id }}"}
        annotations:
          summary: checkout 的 5xx 比率超過 5%
          runbook_url: https://runbooks.example.org/http/error-rate
`

// service is a small exporter that breaks on demand, with AWOOOI's API.
type service struct {
	addr   string
	broken atomic.Bool
	server *http.Server
}

func startService(ctx context.Context) (*service, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &service{addr: l.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		ratio := 0.002
		if s.broken.Load() {
			ratio = 0.31
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE demo_error_ratio gauge\ndemo_error_ratio{incident_id=\"INC-000001\"} %g\n", ratio)
	})
	mux.HandleFunc("GET /api/v1/playbooks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"total": 23, "items": []}`)
	})
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// program is the binary under demonstration.
type program struct {
	cmd *exec.Cmd
	log string
}

func startProgram(ctx context.Context, binary, conf, addr string, env []string, log string) (*program, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, binary, "run", "--config.file", conf, "--web.listen-address", addr)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, f, f
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", binary, err)
	}
	return &program{cmd: cmd, log: log}, nil
}

func (p *program) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// said returns the end of the program's log, as an error.
func (p *program) said() error {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("the end of the program's log:\n%s", b[max(0, len(b)-4000):])
}

// until polls a condition for a minute.
func until(ctx context.Context, what string, is func() bool) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for !is() {
		select {
		case <-wait.Done():
			return fmt.Errorf("timed out waiting for %s", what)
		case <-tick.C:
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	_, ok := get(ctx, url)
	return ok
}

func shows(ctx context.Context, url, text string) bool {
	body, ok := get(ctx, url)
	return ok && strings.Contains(body, text)
}

func get(ctx context.Context, url string) (string, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", false
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return string(b), err == nil && resp.StatusCode == http.StatusOK
}
