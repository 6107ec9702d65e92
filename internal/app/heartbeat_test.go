package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// hookProxy is one address for processes that are started and stopped: it sends each request to the next process, and answers 503 if
// there is none.
type hookProxy struct {
	*httptest.Server
	targets atomic.Pointer[[]string]
	n       atomic.Int64
	refused atomic.Int64
}

func newHookProxy(t *testing.T) *hookProxy {
	t.Helper()
	p := &hookProxy{}
	p.targets.Store(&[]string{})
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		targets := *p.targets.Load()
		if len(targets) == 0 {
			p.refused.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		target := &url.URL{Scheme: "http", Host: targets[int(p.n.Add(1))%len(targets)]}
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// heartbeatTest is a real Alertmanager that repeats an alert which always fires, of a real Prometheus or posted by the test. A restart of
// the program sends no message. A stop of Prometheus or of Alertmanager, or a resolve of the alert, sends one message, and its return
// another; two processes on one database send each of them once.
type heartbeatTest struct {
	processes      int
	prometheus     bool
	restart, stops bool
	state          string // in the configuration
}

// These are tests of their own, as parallel subtests would begin after all other tests, and they wait for most of their time.

func TestHeartbeatOfARealAlertmanagerOverOurRestart(t *testing.T) {
	t.Parallel()
	heartbeatTest{processes: 1, prometheus: true, restart: true}.run(t)
}

func TestHeartbeatOfARealPrometheusStops(t *testing.T) {
	t.Parallel()
	heartbeatTest{processes: 1, prometheus: true, stops: true}.run(t)
}

func TestHeartbeatOfARealAlertmanagerToReplicas(t *testing.T) {
	t.Parallel()
	heartbeatTest{processes: 2, restart: true, stops: true, state: fmt.Sprintf("state: {dsn: %q}\n", database(t))}.run(t)
}

func (tc heartbeatTest) run(t *testing.T) {
	t.Helper()
	const missingAfter = 10 * time.Second
	bot, hook := botAPI(t), newHookProxy(t)
	yaml := receiver(bot) + tc.state + fmt.Sprintf(`
embedded: {scrape_interval: 1h}
routes: [{name: watchdog, matchers: ['alertname="Watchdog"'], locale: en, heartbeat: {missing_after: %v}}]
`, missingAfter)
	dirs := make([]string, tc.processes)
	for n := range dirs {
		dirs[n] = t.TempDir()
	}
	var running []*running
	startAll := func() {
		var addrs []string
		running = nil
		for _, dir := range dirs {
			r := startIn(t, dir, yaml, Options{Role: RoleAll})
			running, addrs = append(running, r), append(addrs, r.Addr())
		}
		hook.targets.Store(&addrs)
	}
	alertmanager := func() *localstack.Alertmanager {
		t.Helper()
		am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: fmt.Sprintf(`
route: {receiver: awoooi, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}
receivers:
  - name: awoooi
    webhook_configs: [{url: %q, http_config: {authorization: {credentials: %q}}}]
`, hook.URL+webhookPath, plantedWebhookToken)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { am.Stop() })
		return am
	}
	raise := func(am *localstack.Alertmanager, start, end time.Time) {
		t.Helper()
		body := fmt.Sprintf(`[{"labels": {"alertname": "Watchdog", "severity": "none"}, "startsAt": %q, "endsAt": %q}]`,
			start.Format(time.RFC3339Nano), end.Format(time.RFC3339Nano))
		resp, err := client.Post(am.URL()+"/api/v2/alerts", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("alertmanager took the alert with %d", resp.StatusCode)
		}
	}
	var prom *localstack.Prometheus
	promDir := t.TempDir()
	// fire and cease start and stop the alert at its source.
	fire := func(am *localstack.Alertmanager, start time.Time) {
		t.Helper()
		if !tc.prometheus {
			raise(am, start, start.Add(time.Hour))
			return
		}
		// Prometheus says with each alert that it ends after four evaluations: no machine is so busy that they take 16 s.
		prom = startPrometheus(t, localstack.PrometheusOptions{
			Dir: promDir, ScrapeInterval: 4 * time.Second, AlertmanagerURL: am.URL(), Args: []string{"--rules.alert.resend-delay=4s"},
			Rules: "groups: [{name: g, rules: [{alert: Watchdog, expr: vector(1), labels: {severity: none}}]}]\n",
		})
	}
	cease := func(am *localstack.Alertmanager, start time.Time) {
		t.Helper()
		if !tc.prometheus {
			raise(am, start, time.Now())
		} else if err := prom.Stop(); err != nil {
			t.Error(err)
		}
	}
	heartbeat := func() (h reporter.Heartbeat) {
		list, err := running[0].store.Heartbeats(t.Context())
		if err == nil && len(list) == 1 {
			h = list[0]
		}
		return h
	}
	received := func(what string, since time.Time) {
		t.Helper()
		eventually(t, what, func() bool { return !heartbeat().Missing() && heartbeat().SeenAt.After(since) })
	}

	startAll()
	first := alertmanager()
	begin := time.Now()
	fire(first, begin)
	received("the first heartbeat", begin)

	if tc.restart {
		hook.targets.Store(&[]string{})
		for _, r := range running {
			r.stop()
		}
		stopped := time.Now()
		eventually(t, "a stop that is longer than missing_after", func() bool {
			return hook.refused.Load() > 0 && time.Since(stopped) > missingAfter+time.Second
		})
		startAll()
		again := time.Now()
		received("a heartbeat after the restart", again)
		received("more than missing_after after the restart", again.Add(missingAfter+2*time.Second))
		if got := bot.Messages(); len(got) != 0 {
			t.Errorf("our restart sent %d messages:\n%s", len(got), got[0].Plain)
		}
	}
	if !tc.stops {
		return
	}

	cease(first, begin)
	messages(t, bot, 1)
	fire(first, time.Now())
	messages(t, bot, 2)
	if err := first.Stop(); err != nil {
		t.Error(err)
	}
	messages(t, bot, 3)
	raise(alertmanager(), time.Now(), time.Now().Add(time.Hour))
	all := messages(t, bot, 4)
	received("more heartbeats after the return", time.Now().Add(3*time.Second))
	if got := bot.Messages(); len(got) != 4 {
		t.Errorf("telegram has %d messages, want 4", len(got))
	}
	for n, want := range []string{"no longer fires", "Heartbeat returned: Watchdog", "nothing received for 10s", "Heartbeat returned: Watchdog"} {
		if !strings.Contains(all[n].Plain, want) || !strings.Contains(all[n].Plain, "Cluster: default") {
			t.Errorf("message %d says\n%s\nwant %q", n, all[n].Plain, want)
		}
	}
	if all[1].ReplyTo != all[0].ID || all[3].ReplyTo != all[2].ID {
		t.Errorf("returns answer %d and %d, want %d and %d", all[1].ReplyTo, all[3].ReplyTo, all[0].ID, all[2].ID)
	}
	if _, page := running[0].get("/sources"); !strings.Contains(page, "Watchdog") || strings.Contains(page, "HB-") {
		t.Errorf("the page of the sources says\n%s", page)
	}
	if in, err := running[0].store.Incidents(t.Context(), 10); err != nil || len(in) != 0 {
		t.Errorf("%d incidents, %v", len(in), err)
	}
}

func TestDoctorOnHeartbeats(t *testing.T) {
	t.Parallel()
	const hook = "receivers: [{name: r, webhook_configs: [{url: 'http://127.0.0.1:1/api/v1/alertmanager/webhook'}]}, {name: other}]\n"
	const routes = "route: {receiver: other, group_by: [alertname], routes: [{receiver: r, matchers: [alertname=Watchdog]%s}]}\n" + hook
	conf := func(more string) string { return fmt.Sprintf(routes, more) }
	often := conf(", group_interval: 1m, repeat_interval: 1m")
	for name, tc := range map[string]struct{ alertmanager, alert, want string }{
		"all is well":     {often, "Watchdog", "ok heartbeat dog: 1 alerts are sent often enough for missing_after 3m"},
		"seldom":          {conf(""), "Watchdog", "fail heartbeat dog: Watchdog of cluster default is sent every 4h5m only, with group_interval 5m and repeat_interval 4h, and is missing after 3m; give it a route with group_interval: 1m and repeat_interval: 1m"},
		"no route to us":  {"route: {receiver: other, routes: [{receiver: r, group_by: [alertname], matchers: [team=x]}]}\n" + hook, "Watchdog", "fail heartbeat dog: Watchdog of cluster default has no route to our webhook; give it a route"},
		"no such alert":   {often, "Other", "warn heartbeat dog: no Alertmanager has an alert that takes this route; add a rule to Prometheus that always fires"},
		"another route's": {often, "WatchdogOfTest", "warn heartbeat dog: no Alertmanager has an alert that takes this route"},
		"at times":        {"time_intervals: [{name: n, time_intervals: [{times: [{start_time: '00:00', end_time: '00:01'}]}]}]\n" + conf(", group_interval: 1m, repeat_interval: 1m, mute_time_intervals: [n]"), "Watchdog", "warn heartbeat dog: Watchdog of cluster default is not sent at times"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: tc.alertmanager})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { am.Stop() })
			body := fmt.Sprintf(`[{"labels": {"alertname": %q}, "endsAt": %q}]`, tc.alert, time.Now().Add(time.Hour).Format(time.RFC3339))
			resp, err := client.Post(am.URL()+"/api/v2/alerts", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			named(t, diagnose(t, fmt.Sprintf("state: {path: %q}\nalertmanagers: [{url: %q}]\n"+`
routes: [{matchers: ['alertname="WatchdogOfTest"'], ignore: true}, {name: dog, matchers: ['alertname=~"Watchdog.*"'], heartbeat: {missing_after: 3m}}]
`, t.TempDir(), am.URL())), tc.want)
		})
	}
	t.Run("no Alertmanager is configured", func(t *testing.T) {
		t.Parallel()
		named(t, diagnose(t, fmt.Sprintf("state: {path: %q}\nroutes: [{name: dog, matchers: ['a=b'], heartbeat: {}}]\n", t.TempDir())),
			"warn heartbeat dog: cannot be checked: no Alertmanager with a url is configured; set alertmanagers")
	})
}
