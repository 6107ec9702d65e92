package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestZeroConfigIsAWorkingStart(t *testing.T) {
	t.Parallel()
	c, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	if c.Zone.String() != "Asia/Taipei" || c.Locale != "zh-TW" || c.State.Path != "./data" || c.Prometheus.URL != "" {
		t.Errorf("defaults are off: zone %v, locale %q, state %q, prometheus %q", c.Zone, c.Locale, c.State.Path, c.Prometheus.URL)
	}
	if len(c.Receivers) != 1 || c.Receivers[0].Terminal == nil || c.Incidents.Receivers[0] != "terminal" {
		t.Errorf("receivers: %+v, of incidents: %v", c.Receivers, c.Incidents.Receivers)
	}
	if len(c.KPISets) != 1 || c.KPISets[0] != "journal" {
		t.Errorf("kpi_sets: %v", c.KPISets)
	}
	if c.Incidents.MinDuration != 10*time.Minute || c.Embedded.Retention != 40*24*time.Hour {
		t.Errorf("min_duration %v, retention %v", c.Incidents.MinDuration, c.Embedded.Retention)
	}
}

func TestBadConfigIsRefusedByName(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		yaml string
		want []string
	}{
		"unknown key at the top":         {"timezon: UTC", []string{`unknown key "timezon"`}},
		"unknown key in a block":         {"webhook: {tokn: x}", []string{`unknown key "webhook.tokn"`}},
		"unknown key in a list":          {"receivers: [{name: a, telegram: {bot_tken: x, chat_id: 1}}]", []string{`unknown key "receivers[0].telegram.bot_tken"`}},
		"unknown key in a query":         {"queries: [{name: a, sqll: x}]", []string{`unknown key "queries[0].sqll"`}},
		"unknown key in http_config":     {"prometheus: {url: 'http://p:1', http_config: {basic_atuh: {username: x}}}", []string{"basic_atuh"}},
		"unknown zone":                   {"timezone: Asia/Taipeh", []string{`timezone: "Asia/Taipeh" is not an IANA zone`}},
		"not a duration":                 {"incidents: {min_duration: ten}", []string{`"ten" is not a duration`}},
		"unknown receiver":               {"reports: [{name: daily, receivers: [nobody]}]", []string{`reports "daily": receivers: receiver "nobody" is not configured`}},
		"receiver without a kind":        {"receivers: [{name: a}]", []string{`receivers "a": needs exactly one of telegram and terminal`}},
		"receiver without a token":       {"receivers: [{name: a, telegram: {chat_id: '1'}}]", []string{`receivers "a": telegram.bot_token`}},
		"two sources of a name":          {"sources: [{name: a, kind: http, url: 'http://x'}, {name: a, kind: http, url: 'http://x'}]", []string{"a second source has this name"}},
		"unknown kind of source":         {"sources: [{name: a, kind: mysql}]", []string{`kind is "mysql", want postgres, redis or http`}},
		"source without dsn":             {"sources: [{name: a, kind: postgres}]", []string{"dsn or dsn_file is missing"}},
		"the journal's name":             {"sources: [{name: journal, kind: http, url: 'http://x'}]", []string{"always there"}},
		"too many connections":           {"sources: [{name: a, kind: postgres, dsn: x, max_connections: 9}]", []string{"max_connections 9 is outside 1..3"}},
		"secret twice":                   {"webhook: {bearer_token: x, bearer_token_file: /dev/null}", []string{"webhook.bearer_token and webhook.bearer_token_file are both set"}},
		"secret's file is missing":       {"webhook: {bearer_token_file: nowhere}", []string{"webhook.bearer_token_file", "nowhere"}},
		"user without password":          {"webhook: {username: x}", []string{"username and password"}},
		"details from a missing source":  {"incidents: {details: {source: x}}", []string{`incidents.details.source: "x"`}},
		"health upside down":             {"reports: [{name: daily, health: {good: 0.9, excellent: 0.8}}]", []string{"health"}},
		"fallback receiver that is none": {"delivery: {fallback_receiver: x}", []string{`delivery.fallback_receiver: receiver "x" is not configured`}},
		"allowed host with a port":       {"web: {allowed_hosts: [a.example, 'b.example:80']}", []string{`web.allowed_hosts[1]: "b.example:80"`, "without a port"}},
		"allowed host that is a URL":     {"web: {allowed_hosts: ['http://a.example']}", []string{"web.allowed_hosts[0]"}},
		"every host allowed":             {"web: {allowed_hosts: ['*']}", []string{"web.allowed_hosts[0]"}},
		"no YAML":                        {"a: [", []string{"yaml"}},
		"every fault at once":            {"timezone: X\nincidents: {by: week}\n", []string{"timezone", "incidents.by"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(write(t, tc.yaml))
			if err == nil {
				t.Fatal("was accepted")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestSecretsComeFromFilesBesideTheConfig(t *testing.T) {
	t.Parallel()
	path := write(t, "receivers: [{name: a, telegram: {bot_token_file: token, chat_id: -100123}}]\n"+
		"sources: [{name: awoooi, kind: postgres, dsn_file: dsn}]\n")
	for name, text := range map[string]string{"token": "1:abc\n", "dsn": "host=db password=x\n"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Receivers[0].Telegram.BotToken.Reveal(); got != "1:abc" {
		t.Errorf("token is %q", got)
	}
	if got := c.Sources[0].DSN.Reveal(); got != "host=db password=x" {
		t.Errorf("dsn is %q", got)
	}
	if c.Receivers[0].Telegram.ChatID != "-100123" {
		t.Errorf("chat_id is %q", c.Receivers[0].Telegram.ChatID)
	}
	if c.KPISets[0] != "awoooi" {
		t.Errorf("a source named awoooi loads %v", c.KPISets)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	t.Setenv("AWOOOI_REPORTER_PROMETHEUS_URL", "http://prom.example:9090")
	t.Setenv("AWOOOI_REPORTER_INCIDENTS_MIN_DURATION", "7m")
	t.Setenv("AWOOOI_REPORTER_WEB_LISTEN_ADDRESSES", ":1,:2")
	t.Setenv("AWOOOI_REPORTER_SOURCES_OPS_DB_DSN", "host=from-env")
	t.Setenv("AWOOOI_REPORTER_RECEIVERS_ON_CALL_BOT_TOKEN", "1:env")
	t.Setenv("AWOOOI_REPORTER_WEBHOOK_BEARER_TOKEN", "door")
	c, err := config.Load(write(t, "prometheus: {url: 'http://file:1'}\nsources: [{name: ops-db, kind: postgres}]\n"+
		"receivers: [{name: on.call, telegram: {chat_id: 1}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Prometheus.URL != "http://prom.example:9090" || c.Incidents.MinDuration != 7*time.Minute {
		t.Errorf("url %q, min_duration %v", c.Prometheus.URL, c.Incidents.MinDuration)
	}
	if len(c.Web.ListenAddresses) != 2 || c.Web.ListenAddresses[1] != ":2" {
		t.Errorf("listen addresses: %q", c.Web.ListenAddresses)
	}
	if c.Sources[0].DSN.Reveal() != "host=from-env" || c.Receivers[0].Telegram.BotToken.Reveal() != "1:env" ||
		c.Webhook.BearerToken.Reveal() != "door" {
		t.Error("secrets were not taken from the environment")
	}
}

// The manual must name every key there is, and load.
func TestExampleIsTheManualOfEveryKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dsn", "token", "redis_url", "password", "bot_token"} {
		if err := os.WriteFile(filepath.Join(dir, "testdata", name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Prometheus.HTTPConfig.Value().HTTPHeaders.Headers; len(got) != 1 {
		t.Errorf("http_headers: %v", got)
	}
	if strings.Join(c.Incidents.Receivers, ",") != "oncall" || c.Reports[0].Figures[0].Compare[0] != 24*time.Hour {
		t.Errorf("lists are off: %+v", c.Reports)
	}
	for _, key := range config.Keys() {
		last := key[strings.LastIndex(key, ".")+1:]
		if !strings.Contains(string(text), last+":") {
			t.Errorf("config.example.yaml does not mention %s", key)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const planted = "planted-53cr3t"
	good := "webhook: {bearer_token: planted-53cr3t}\n" +
		"prometheus: {url: 'http://p:1', http_config: {basic_auth: {username: u, password: planted-53cr3t}}}\n" +
		"receivers: [{name: a, telegram: {bot_token: planted-53cr3t, chat_id: '1'}}]\n" +
		"sources: [{name: a, kind: postgres, dsn: 'postgres://u:planted-53cr3t@h/d'}]\n"
	c, err := config.Load(write(t, good))
	if err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "config", c, "value", *c, "sources", c.Sources, "prom", c.Prometheus, "receiver", c.Receivers[0])
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "config", c, "value", *c)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(c.Sources)
	if err != nil {
		t.Fatal(err)
	}
	outputs := []string{logs.String(), string(b), string(y), fmt.Sprintf("%v %+v %#v", *c, *c, *c), fmt.Sprintf("%+v", *c.Receivers[0].Telegram)}
	for _, bad := range []string{
		"webhook: {bearer_token: [planted-53cr3t]}",
		"webhook: {bearer_token: {planted-53cr3t: 1}}",
		"receivers: [{name: a, telegram: planted-53cr3t}]",
		"webhook: {max_body_bytes: planted-53cr3t}",
		"sources: [{name: a, kind: postgres, dsn: 'postgres://u:planted-53cr3t@h/d', x: 1}]",
		"bearer_token: planted-53cr3t\n  x: planted-53cr3t",
		"webhook:\n  bearer_token: &planted-53cr3t\n planted-53cr3t",
		"- planted-53cr3t",
		"planted-53cr3t",
		"prometheus: {http_config: planted-53cr3t}",
		"prometheus: {http_config: {basic_auth: planted-53cr3t}}",
		"incidents: {min_duration: planted-53cr3t}",
	} {
		_, err := config.Load(write(t, bad))
		if err == nil {
			t.Errorf("%q was accepted", bad)
			continue
		}
		// A key that was mistaken for a secret is named as the key it is, and so is a duration that is none.
		if strings.Contains(bad, "min_duration") || strings.Contains(bad, "{planted") {
			continue
		}
		outputs = append(outputs, err.Error())
	}
	for _, out := range outputs {
		if strings.Contains(out, planted) {
			t.Errorf("shows the secret: %s", out)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("timezone: UTC")
	f.Add("receivers: [{name: a, telegram: {bot_token: x, chat_id: 1}}]")
	f.Add("sources: [{name: a, kind: http, url: 'http://x', http_config: {tls_config: {insecure_skip_verify: true}}}]")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if (c == nil) == (err == nil) {
			t.Errorf("config %v and error %v", c != nil, err)
		}
	})
}
