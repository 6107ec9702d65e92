package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// endToEndOf runs EndToEnd against a running program, with the configuration of that program.
func endToEndOf(t *testing.T, r *running, o EndToEndOptions, edits ...func(*config.Config)) (text string, good bool) {
	t.Helper()
	c, err := config.Load(r.conf)
	if err != nil {
		t.Fatal(err)
	}
	c.Web.ListenAddresses = []string{r.Addr()}
	c.State.Path = filepath.Join(filepath.Dir(r.conf), "data")
	c.Incidents.DigestFrom = 0
	for _, edit := range edits {
		edit(c)
	}
	var out strings.Builder
	good = EndToEnd(t.Context(), c, o, slog.New(slog.DiscardHandler), func(f Finding) {
		fmt.Fprintf(&out, "%s %s: %s; %s\n", f.Result, f.What, f.Text, f.Remedy)
	})
	return out.String(), good
}

// hops checks the findings, in their order.
func hops(t *testing.T, got string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), got)
	}
	for n, pattern := range want {
		if !regexp.MustCompile("^" + pattern).MatchString(lines[n]) {
			t.Errorf("line %d is %q, want %s", n, lines[n], pattern)
		}
	}
}

// The test alert reaches the chat, is marked as a test, and no figure counts it.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot)+"embedded: {scrape_interval: 1h}\n")
	got, good := endToEndOf(t, r, EndToEndOptions{})
	if !good {
		t.Errorf("is not good:\n%s", got)
	}
	const after = ` after [0-9.]+m?s; `
	hops(t, got, `ok route: default: the postmortem goes to oncall, as incident TEST-`, `ok webhook: accepted the firing alert`+after,
		`ok incident: opened`+after, `ok webhook: accepted the resolved alert`+after, `ok resolve: closed the incident`+after,
		`ok receiver oncall: sent as message [0-9]+`+after, `ok clean-up: incident TEST-.* is removed`)
	if all := messages(t, bot, 1); len(all) != 1 || !strings.Contains(all[0].Plain, "TEST: doctor --end-to-end, nothing is wrong") {
		t.Errorf("the chat got %+v", all)
	}
	page, err := r.store.ListIncidents(t.Context(), reporter.IncidentFilter{Limit: 10})
	if err != nil || len(page.Rows) != 0 {
		t.Errorf("incidents %v, %v", page.Rows, err)
	}
	if _, text := r.get("/metrics"); strings.Contains(text, testAlert) || !strings.Contains(text, `awoooi_alerts{category="uncategorized"} 0`) {
		t.Errorf("a figure counts it:\n%s", text)
	}

	got, good = endToEndOf(t, r, EndToEndOptions{}, func(c *config.Config) { c.Webhook.BearerToken = secret.New("planted-wrong") })
	if good || !strings.Contains(got, "answered 401 Unauthorized") || strings.Contains(got, "planted") {
		t.Errorf("with a wrong token it says:\n%s", got)
	}
	got, good = endToEndOf(t, r, EndToEndOptions{}, func(c *config.Config) { c.Web.ListenAddresses = []string{"127.0.0.1:1"} })
	if good || !strings.Contains(got, "connection refused; start the program") {
		t.Errorf("without a program it says:\n%s", got)
	}

	// The program that listens on the address runs on another state.
	other := t.TempDir()
	st, err := store.OpenSQLite(t.Context(), other, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	got, good = endToEndOf(t, r, EndToEndOptions{}, func(c *config.Config) { c.State.Path = other })
	if good || !strings.Contains(got, "fail state: no process runs on "+other) || strings.Contains(got, "webhook") {
		t.Errorf("on the state of no process it says:\n%s", got)
	}
}

// Through a real Alertmanager, EndToEnd reports which receivers the alert reaches, posts it only with Yes, and waits as long as
// Alertmanager does.
func TestEndToEndThroughAlertmanager(t *testing.T) {
	t.Parallel()
	bot := botAPI(t)
	r := start(t, receiver(bot)+"embedded: {scrape_interval: 1h}\n")
	am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: fmt.Sprintf(`
route:
  receiver: other
  group_by: [alertname]
  group_wait: 1s
  group_interval: 1s
  routes: [{receiver: awoooi-reporter, continue: true}, {receiver: pager, matchers: ['severity="info"']}]
receivers:
  - {name: other}
  - {name: pager}
  - name: awoooi-reporter
    webhook_configs: [{url: 'http://%s/api/v1/alertmanager/webhook', http_config: {authorization: {credentials: %s}}}]
`, r.Addr(), plantedWebhookToken)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { am.Stop() })
	cluster := func(c *config.Config) { c.Alertmanagers = []config.Alertmanager{{URL: am.URL()}} }
	reached := []string{
		`ok alertmanager default: the alert \{alertname="AwoooiReporterTest", severity="info"\} reaches its receivers: awoooi-reporter, pager; `,
		`ok alertmanager default: awoooi-reporter gets it after 1s, and its resolve within another 1s; `, `ok route: default: `,
	}
	got, good := endToEndOf(t, r, EndToEndOptions{ThroughAlertmanager: true}, cluster)
	if !good {
		t.Errorf("is not good:\n%s", got)
	}
	hops(t, got, append(reached, `ok post: not done; add --yes`)...)
	c, err := config.Load(r.conf)
	if err != nil {
		t.Fatal(err)
	}
	cluster(c)
	api, err := clusterAPI(c, reporter.ClusterDefault)
	if err != nil {
		t.Fatal(err)
	}
	if known, _, err := api.Known(t.Context()); err != nil || known.Len() != 0 {
		t.Errorf("without yes it posted: %v, %v", known.Len(), err)
	}
	got, good = endToEndOf(t, r, EndToEndOptions{ThroughAlertmanager: true, Yes: true}, cluster)
	if !good {
		t.Errorf("is not good:\n%s", got)
	}
	hops(t, got, append(reached, `ok post: alertmanager default accepted the firing alert`, `ok incident: opened`,
		`ok post: alertmanager default accepted the resolved alert`, `ok resolve: closed the incident`,
		`ok receiver oncall: sent as message`, `ok clean-up: incident TEST-.* is removed`)...)

	got, good = endToEndOf(t, r, EndToEndOptions{ThroughAlertmanager: true, Cluster: "eu"}, cluster)
	if good || !strings.Contains(got, `fail alertmanager eu: no Alertmanager with a url is configured as cluster "eu" (have default)`) {
		t.Errorf("of an unknown cluster it says:\n%s", got)
	}
}
