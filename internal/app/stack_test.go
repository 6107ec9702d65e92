package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/storage"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// Planted secrets: no log, page, metric or error may show them.
const (
	plantedToken        = "987654:planted-bot-token"
	plantedWebhookToken = "planted-webhook-token"
	plantedPassword     = "planted-db-password"
)

var client = &http.Client{Timeout: time.Minute}

// postgresServer is the server that the tests of this package share; each has a database of its own.
var postgresServer localstack.SharedPostgres

func TestMain(m *testing.M) {
	code := m.Run()
	if err := postgresServer.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// databases numbers the databases, so that a test that runs again gets a new one.
var databases atomic.Int64

// database creates an AWOOOI database without rows, and returns its DSN.
func database(t *testing.T) (dsn string) {
	t.Helper()
	pg, err := postgresServer.Server()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("d%d", databases.Add(1)) + strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, t.Name()))
	if err := pg.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if err := localstack.InstallAWOOOI(t.Context(), pg.DSN(name)); err != nil {
		t.Fatal(err)
	}
	return pg.DSN(name)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// running is the whole program in this process, on a free port.
type running struct {
	*App
	*reporterPart               // nil for the collector's role alone
	embedded      *embeddedPart // nil with a real Prometheus
	t             *testing.T
	conf          string // path of the configuration
	logs          *localstack.Buffer
	stdout        *localstack.Buffer
	stop          func()
}

// start runs the program on a configuration; its state directory is that of the configuration's file.
func start(t *testing.T, yaml string) *running {
	t.Helper()
	return startIn(t, t.TempDir(), yaml, Options{Role: RoleAll})
}

func startIn(t *testing.T, dir, yaml string, opts Options) *running {
	t.Helper()
	r := &running{t: t, conf: filepath.Join(dir, "config.yaml"), logs: &localstack.Buffer{}, stdout: &localstack.Buffer{}}
	r.write(yaml)
	load := func() (*config.Config, error) {
		c, err := config.Load(r.conf)
		if err != nil {
			return nil, err
		}
		c.Web.ListenAddresses = []string{"127.0.0.1:0"}
		c.State.Path = filepath.Join(dir, "data")
		if text, err := os.ReadFile(r.conf); err != nil || !strings.Contains(string(text), "digest_") {
			c.Incidents.DigestFrom = 0 // Postmortems do not wait for a storm, unless a test says so.
		}
		return c, nil
	}
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(r.logs, testWriter{t}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	opts.Load, opts.Stdout = load, r.stdout
	ctx, cancel := context.WithCancel(context.Background())
	if r.App, err = New(ctx, c, opts, log); err != nil {
		cancel()
		t.Fatal(err)
	}
	for _, p := range r.parts {
		switch p := p.(type) {
		case *reporterPart:
			r.reporterPart = p
		case *embeddedPart:
			r.embedded = p
		}
	}
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("the program did not stop")
			}
		})
	}
	t.Cleanup(func() {
		r.stop()
		for _, secret := range []string{plantedToken, plantedWebhookToken, plantedPassword} {
			if strings.Contains(r.logs.String(), secret) || strings.Contains(r.stdout.String(), secret) {
				t.Errorf("the output shows the secret %s", secret)
			}
		}
	})
	return r
}

// testWriter writes the log to the test's log, which a failing test shows.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	// A test that is over must not be logged to; the buffer has the text anyway.
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func (r *running) write(yaml string) {
	r.t.Helper()
	if err := os.WriteFile(r.conf, []byte(yaml), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) url(path string) string { return "http://" + r.Addr() + path }

// get returns the status and body of a page, which must not show a secret.
func (r *running) get(path string) (status int, body string) {
	r.t.Helper()
	eventually(r.t, path+" to answer in its time, which a busy machine may exceed", func() bool {
		resp, err := client.Get(r.url(path))
		if err != nil {
			r.t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			r.t.Fatal(err)
		}
		status, body = resp.StatusCode, string(b)
		return status != http.StatusServiceUnavailable || strings.HasPrefix(path, "/-/")
	})
	for _, secret := range []string{plantedToken, plantedWebhookToken, plantedPassword} {
		if strings.Contains(body, secret) {
			r.t.Errorf("%s shows the secret %s", path, secret)
		}
	}
	return status, body
}

// post sends a webhook body to the program's webhook endpoint and returns the status.
func (r *running) post(body string) int {
	r.t.Helper()
	req, err := http.NewRequest(http.MethodPost, r.url(webhookPath), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+plantedWebhookToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// patience is how long tests wait for what other processes do. It is no measure of anything: a busy machine may need much of
// it, and only a test that fails takes all.
const patience = 5 * time.Minute

// stoppedClock stands still, so that a test has the time that it needs to start programs, until it is to run.
type stoppedClock struct {
	at      time.Time
	running atomic.Pointer[time.Time] // since when, by the real clock
}

func (c *stoppedClock) run() {
	now := time.Now()
	c.running.Store(&now)
}

func (c *stoppedClock) now() time.Time {
	if since := c.running.Load(); since != nil {
		return c.at.Add(time.Since(*since))
	}
	return c.at
}

// eventually polls a condition of a running server.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// scrape lets the embedded database scrape the program now, and returns the time of the samples and the end of their window.
// The program's own scrapes go on: let scrape_interval be long, or they add some.
func (r *running) scrape() (due, until time.Time) {
	r.t.Helper()
	since := time.Now().Truncate(time.Microsecond)
	for {
		at := time.Now()
		families, err := r.embedded.gather(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		n := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "awoooi_collector_window_end_timestamp_seconds" })
		if n < 0 {
			r.t.Fatal("the scrape has no window")
		}
		until = time.UnixMicro(int64(families[n].GetMetric()[0].GetGauge().GetValue()*1e6 + 0.5))
		if until.Before(since) {
			continue // It was under way, as the program's own first one may be, and does not show what the test has changed.
		}
		// One of the program's own may have come between, with a later time.
		err = r.embedded.db.Append(r.t.Context(), at, families)
		switch {
		case err == nil:
			return at.Truncate(time.Millisecond), until
		case !errors.Is(err, storage.ErrOutOfOrderSample) && !errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
			r.t.Fatal(err)
		}
	}
}

func botAPI(t *testing.T) *localstack.BotAPI {
	t.Helper()
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: plantedToken})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bot.Close() })
	return bot
}

// messages waits for the n-th message and returns all.
func messages(t *testing.T, bot *localstack.BotAPI, n int) []localstack.BotMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bot.Wait(ctx, n); err != nil {
		t.Fatalf("telegram has %d messages, want %d: %v", len(bot.Messages()), n, err)
	}
	return bot.Messages()
}

// receiver is the configuration of a chat at the fake Telegram, and of the webhook.
func receiver(bot *localstack.BotAPI) string {
	return fmt.Sprintf("webhook: {bearer_token: %s}\nreceivers: [{name: oncall, telegram: {bot_token: %q, chat_id: \"-100123\", api_url: %q}}]\n",
		plantedWebhookToken, plantedToken, bot.URL())
}

// playbooks is AWOOOI's API, answering a number that may be changed.
func playbooks(t *testing.T) (url string, number *atomic.Int64) {
	t.Helper()
	number = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"total": %d}`, number.Load())
	}))
	t.Cleanup(srv.Close)
	return srv.URL, number
}
