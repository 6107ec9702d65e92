package config_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
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

// problems loads text, and returns its problems without the directory of the file.
func problems(t *testing.T, text string, environ ...string) string {
	t.Helper()
	path := write(t, text)
	_, err := config.Options{Path: path, Environ: environ}.Load(t.Context())
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), filepath.Dir(path)+string(filepath.Separator), "")
}

func TestProblemsNamePlaceAndRemedy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"timezon: UTC":                   "config.yaml:1:1: timezon: unknown key; did you mean timezone?",
		"receiver: {}":                   "config.yaml:1:1: receiver: unknown key; did you mean receivers?",
		"web:\n  min_duration: 1m":       "config.yaml:2:3: web.min_duration: unknown key; it belongs at routes.min_duration or incidents.min_duration",
		"locale: en\n---\na: 1":          "config.yaml:2:1: a second document begins here; remove the line ---, a configuration is one document",
		"locale: en\n---\n":              "config.yaml:2:1: a second document begins here; remove the line ---, a configuration is one document",
		"locale: en\nlocale: en":         "config.yaml:2:1: locale: is set twice, first in line 1; remove one of them",
		"a: [":                           "config.yaml:1:1: YAML: did not find expected node content; check indentation, brackets and quotes in this line and above",
		"a\xff: 1":                       "config.yaml:1:1: the file is not UTF-8 text; save it as UTF-8",
		"delivery:\n  give_up_after: 24": "config.yaml:2:18: delivery.give_up_after: 24 has no unit; write 24h",
		"sources: [{name: a, kind: postgres, dsn: host=x, timeout: 9s}]":                 "config.yaml:1:59: sources[0].timeout: is for sources of kind http; remove it; the queries of this source have a timeout of their own",
		"sources: [{name: a, kind: redis, url: 'redis://x', max_connections: 2}]":        "config.yaml:1:69: sources[0].max_connections: is for sources of kind postgres; remove it",
		"sources: [{name: a, kind: redis, url: 'redis://x', http_config: {}}]":           "config.yaml:1:52: sources[0].http_config: is for sources of kind http; remove it",
		"incidents: {expire_after: '7'}":                                                 "config.yaml:1:27: incidents.expire_after: 7 has no unit; write 7d",
		"routes: [{matchers: [a=b], heartbeat: {missing_after: 10}}]":                    "config.yaml:1:55: routes[0].heartbeat.missing_after: 10 has no unit; write 10m",
		"routes: [{matchers: [a=b], heartbeat: {missing_after: 100ms}}]":                 "config.yaml:1:55: routes[0].heartbeat.missing_after: 100ms is too short; write three times the repeat_interval of Alertmanager's route, and at least 1s",
		"routes: [{matchers: [a=b], heartbeat: }]":                                       "config.yaml:1:39: routes[0].heartbeat: is empty; write heartbeat: {missing_after: 5m}",
		"routes: [{matchers: [a=b], heartbeat: 5m}]":                                     "config.yaml:1:39: routes[0].heartbeat: is text, want a mapping; write key: value lines below it",
		"routes: [{matchers: [a=b], heartbeat: {after: 5m}}]":                            "config.yaml:1:40: routes[0].heartbeat.after: unknown key; did you mean missing_after?",
		"routes: [{matchers: [a=b], heartbeat: {}, ignore: true}]":                       "config.yaml:1:51: routes[0].ignore: cannot be combined with heartbeat; remove one of them",
		"routes: [{matchers: [a=b], heartbeat: {missing_after: 1m}, min_duration: 10m}]": "config.yaml:1:74: routes[0].min_duration: has no effect with heartbeat; remove it",
		// One cause gives one problem: names in a misspelt list are not reported as missing.
		"receiver: [{name: a, terminal: {}}]\nincidents: {receivers: [a]}": "config.yaml:1:1: receiver: unknown key; did you mean receivers?",
		"sources: [{name: a, knd: postgres, dsn: x}]":                      "config.yaml:1:21: sources[0].knd: unknown key; did you mean kind?",
		// Problems of keys and of values are reported in one run.
		"timezone: X\nincidents: {by: week}\ndelivery: {prt: 1}\n": "3 problems in the configuration\n" +
			"config.yaml:1:11: timezone: \"X\" is not an IANA time zone; write one such as Asia/Taipei or UTC\n" +
			"config.yaml:2:17: incidents.by: is \"week\"; write one of group, alert\n" +
			"config.yaml:3:12: delivery.prt: unknown key; have fallback_receiver, give_up_after",
	} {
		if got := problems(t, text); got != want {
			t.Errorf("%q:\n%s\nwant:\n%s", text, got, want)
		}
	}
}

func TestYAMLFormsThatMeanTheSame(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty file":               "",
		"only comments":            "# nothing\n",
		"a document marker":        "---\nlocale: zh-TW\n...\n",
		"byte order mark":          "\xef\xbb\xbflocale: zh-TW\n",
		"Windows line ends":        "locale: zh-TW\r\nproduct: AWOOOI\r\n",
		"empty values":             "locale:\nweb:\nreceivers:\nincidents: {details: }\n",
		"a number as a chat id":    "receivers: [{name: a, telegram: {bot_token: '123456:abcdefghijklmnopqrstuvwxyz', chat_id: -100123}}]",
		"terminal: true":           "receivers: [{name: a, terminal: true}]",
		"one name instead of many": "receivers: [{name: a, terminal: {}}]\nincidents: {receivers: a}",
		"anchors and merge keys": "receivers:\n  - &a {name: a, telegram: &t {bot_token: '123456:abcdefghijklmnopqrstuvwxyz', chat_id: 1}}\n" +
			"  - {<<: *a, name: b}\n  - {name: c, telegram: {<<: [*t], chat_id: 2}}\n",
		"0 without a unit":    "incidents: {expire_after: 0}",
		"days and weeks":      "incidents: {expire_after: 1w2d}",
		"an empty HTTP block": "prometheus: {url: 'http://p:9090', http_config: {}}",
	} {
		if got := problems(t, text); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Without limits, each of these files takes minutes or gigabytes.
func TestHostileFilesAreRefusedBriefly(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 10))
	}
	for name, tc := range map[string]struct{ text, want string }{
		"9,000 nested mappings":    {strings.Repeat("{a: ", 9000) + "1" + strings.Repeat("}", 9000), "nested deeper than 50"},
		"9,000 nested blocks":      {nestedBlocks(900), "nested deeper than 50"},
		"nested deeper than YAML":  {strings.Repeat("[", 20_000), "YAML: exceeded max depth"},
		"aliases that multiply":    {bomb, "more than 100000 values, with aliases replaced"},
		"an alias within itself":   {"a: &a [*a, *a]", "nested deeper than 50"},
		"merges that multiply":     {"a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\nc: {<<: *c}", "unknown anchor"},
		"a long file":              {strings.Repeat("#", 1<<20) + "\n", "is longer than 1048576 bytes"},
		"many empty values":        {"web: [" + strings.Repeat(",", 1<<19) + "]", "config.yaml:1:"},
		"many unknown keys":        {manyKeys(20_000), "and 19900 more"},
		"a number of 500 KB":       {"incidents: {digest_from: " + strings.Repeat("9", 500_000) + "}", "incidents.digest_from: is out of range"},
		"a duration of 500 KB":     {"incidents: {min_duration: " + strings.Repeat("9", 500_000) + "}", "has no unit"},
		"a name of 500 KB":         {"receivers: [{name: " + strings.Repeat("a", 500_000) + ", terminal: {}}]", "is not a name"},
		"a key of 500 KB":          {"? " + strings.Repeat("a", 500_000) + "\n: 1", "unknown key"},
		"a zone of 500 KB":         {"timezone: " + strings.Repeat("a", 500_000), "is not an IANA time zone"},
		"escapes in a value":       {`log: {level: "\e[31m\nforged: line\u202e"}`, "[31m forged: line"},
		"an address of 500 KB":     {"web: {listen_addresses: [" + strings.Repeat("a", 500_000) + "]}", "is not host:port"},
		"an HTTP header of 500 KB": {"prometheus: {http_config: {proxy_url: 'http://[" + strings.Repeat("a", 500_000) + "'}}", "prometheus.http_config"},
	} {
		got := problems(t, tc.text)
		if !strings.Contains(got, tc.want) || strings.ContainsAny(got, "\x1b\u202e") {
			t.Errorf("%s: %.300q does not say %q", name, got, tc.want)
		}
		if len(got) > 100_000 {
			t.Errorf("%s: the answer has %d bytes", name, len(got))
		}
	}
}

func nestedBlocks(depth int) string {
	var b strings.Builder
	for n := range depth {
		b.WriteString(strings.Repeat(" ", n) + "a:\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	return b.String()
}

func TestLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skip("no named pipes here: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (config.Options{Path: pipe}).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestEnvironmentIsCheckedLikeTheFile(t *testing.T) {
	t.Parallel()
	const file = "sources: [{name: ops, kind: http, url: 'http://x'}]"
	for env, want := range map[string]string{
		"AWOOOI_REPORTER_TIMEZONE=UTC":                           "",
		"AWOOOI_REPORTER_TIMEZONE=":                              "",
		"AWOOOI_REPORTER_CONFIG_FILE=/etc/x":                     "",
		"AWOOOI_REPORTER_SOURCES_OPS_URL=http://y":               "",
		"AWOOOI_REPORTER_SERVICE_HOST=10.0.0.1":                  "",
		"AWOOOI_REPORTER_SERVICE_PORT=8080":                      "",
		"AWOOOI_REPORTER_SERVICE_PORT_HTTP=8080":                 "",
		"AWOOOI_REPORTER_PORT=tcp://10.0.0.1:8080":               "",
		"AWOOOI_REPORTER_PORT_8080_TCP=tcp://10.0.0.1:8080":      "",
		"AWOOOI_REPORTER_PORT_8080_TCP_ADDR=10.0.0.1":            "",
		"AWOOOI_REPORTER_POSTGRES_PORT_5432_TCP_PROTO=tcp":       "",
		"AWOOOI_TOOLS=x":                                         "",
		"AWOOOI_REPORTER_PORT=8080":                              "environment variable AWOOOI_REPORTER_PORT: no setting has this name",
		"AWOOOI_REPORTER_TIMEZON=UTC":                            "environment variable AWOOOI_REPORTER_TIMEZON: no setting has this name; did you mean AWOOOI_REPORTER_TIMEZONE?",
		"AWOOOI_REPORTER_SOURCES_OPZ_URL=http://secret":          "environment variable AWOOOI_REPORTER_SOURCES_OPZ_URL: no setting has this name; did you mean AWOOOI_REPORTER_SOURCES_OPS_URL?",
		"AWOOOI_REPORTER_DELIVERY_GIVE_UP_AFTER=24":              "environment variable AWOOOI_REPORTER_DELIVERY_GIVE_UP_AFTER: delivery.give_up_after: 24 has no unit; write 24h",
		"AWOOOI_REPORTER_INCIDENTS_FIRING_NOTICE=yes":            "environment variable AWOOOI_REPORTER_INCIDENTS_FIRING_NOTICE: incidents.firing_notice: want true or false; write true",
		"AWOOOI_REPORTER_WEB_LISTEN_ADDRESSES=127.0.0.1:1, 9787": "environment variable AWOOOI_REPORTER_WEB_LISTEN_ADDRESSES: web.listen_addresses: \"9787\" has no colon; write \":9787\", or \"127.0.0.1:9787\"",
		"AWOOOI_REPORTER_INCIDENTS_RECEIVERS=nobody":             "environment variable AWOOOI_REPORTER_INCIDENTS_RECEIVERS: incidents.receivers: receiver \"nobody\" is not configured",
	} {
		got := problems(t, file, env)
		if (want == "") != (got == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s:\n%s\nwant:\n%s", env, got, want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: shows the value: %s", env, got)
		}
	}
}

// Every setting outside a list, and outside an http_config block, has a variable.
func TestEnvironmentReachesEverySetting(t *testing.T) {
	t.Parallel()
	var walk func(prefix string, of reflect.Type)
	walk = func(prefix string, of reflect.Type) {
		for n := range of.NumField() {
			f := of.Field(n)
			tag := f.Tag.Get("mapstructure")
			switch {
			case tag == "-", f.Type == reflect.TypeFor[config.HTTPClient](), f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			case f.Type.Kind() == reflect.Struct && f.Type.NumField() > 0 && f.Type.Field(0).Tag.Get("mapstructure") != "":
				walk(prefix+tag+"_", f.Type)
			default:
				if got := problems(t, "{}\n", strings.ToUpper(prefix+tag)+"=x"); strings.Contains(got, "no setting has this name") {
					t.Error(got)
				}
			}
		}
	}
	walk("awoooi_reporter_", reflect.TypeFor[config.Config]())
}

func TestSecretsComeFromFilesBesideTheConfig(t *testing.T) {
	t.Parallel()
	path := write(t, "receivers: [{name: a, telegram: {bot_token_file: token, chat_id: -100123}}]\n"+
		"sources: [{name: awoooi, kind: postgres, dsn_file: dsn}]\n")
	for name, text := range map[string]string{"token": "123456:abcdefghijklmnopqrstuvwxyz\n", "dsn": "host=db password=x\n"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Receivers[0].Telegram.BotToken.Reveal(); got != "123456:abcdefghijklmnopqrstuvwxyz" {
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

func TestEmptyListOfKPISetsLoadsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte("kpi_sets: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.KPISets) != 0 {
		t.Errorf("[] loads %v", c.KPISets)
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	t.Setenv("AWOOOI_REPORTER_PROMETHEUS_URL", "http://prom.example:9090")
	t.Setenv("AWOOOI_REPORTER_INCIDENTS_MIN_DURATION", "7m")
	t.Setenv("AWOOOI_REPORTER_WEB_LISTEN_ADDRESSES", ":1,:2")
	t.Setenv("AWOOOI_REPORTER_SOURCES_OPS_DB_DSN", "host=from-env")
	t.Setenv("AWOOOI_REPORTER_RECEIVERS_ON_CALL_BOT_TOKEN", "123456:environment-environment")
	t.Setenv("AWOOOI_REPORTER_WEBHOOK_BEARER_TOKEN", "webhook")
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
	if c.Sources[0].DSN.Reveal() != "host=from-env" || c.Receivers[0].Telegram.BotToken.Reveal() != "123456:environment-environment" ||
		c.Webhook.BearerToken.Reveal() != "webhook" {
		t.Error("secrets were not taken from the environment")
	}
}

// loadExample loads an example file, with the secret files that it names in the same directory.
func loadExample(t *testing.T, example string) (*config.Config, string) {
	t.Helper()
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "testdata"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dsn", "token", "redis_url", "password", "bot_token", "signing_secret"} {
		if err := os.WriteFile(filepath.Join(dir, "testdata", name), []byte("123456:abcdefghijklmnopqrstuvwxyz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Options{Path: path}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c, string(text)
}

// config.example.yaml can be loaded and has every key.
func TestExampleIsTheManualOfEveryKey(t *testing.T) {
	t.Parallel()
	c, text := loadExample(t, "../../config.example.yaml")
	if got := c.Prometheus.HTTPConfig.Value().HTTPHeaders.Headers["X-Scope-OrgID"].Values; len(got) != 1 {
		t.Errorf("http_headers: %v", got)
	}
	if strings.Join(c.Incidents.Receivers, ",") != "oncall" || c.Reports[0].Figures[0].Compare[0] != 24*time.Hour {
		t.Errorf("lists are off: %+v", c.Reports)
	}
	for _, key := range config.Keys() {
		last := key[strings.LastIndex(key, ".")+1:]
		if !strings.Contains(text, last+":") {
			t.Errorf("config.example.yaml does not mention %s", key)
		}
	}
}

// A file of all settings that the manual calls the default changes nothing.
func TestDefaultsAreThoseOfTheManual(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	called := 0
	// defaults leaves out all other settings, and lists of blocks: what is the default there depends on more than the file.
	var defaults func(n *yaml.Node) *yaml.Node
	defaults = func(n *yaml.Node) *yaml.Node {
		out := &yaml.Node{Kind: yaml.MappingNode}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			comment := cmp.Or(key.LineComment, value.LineComment)
			switch {
			case value.Kind == yaml.MappingNode && len(value.Content) > 0:
				if inner := defaults(value); len(inner.Content) > 0 {
					out.Content = append(out.Content, key, inner)
				}
			case comment == "# default" || strings.HasPrefix(comment, "# default;"):
				called++
				out.Content = append(out.Content, key, value)
			}
		}
		return out
	}
	all, err := yaml.Marshal(defaults(doc.Content[0]))
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load("")
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(write(t, string(all)))
	if err != nil {
		t.Fatal(err)
	}
	if called < 30 {
		t.Errorf("the manual has %d defaults: %s", called, all)
	}
	if diff := gocmp.Diff(plain(t, want), plain(t, got)); diff != "" {
		t.Errorf("without a file, and with the manual's defaults:\n%s", diff)
	}
}

// plain is a configuration as JSON holds it.
func plain(t *testing.T, c *config.Config) (out map[string]any) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// The example of the previous version, which has every key of that version, means the same.
func TestExampleOfTheVersionBeforeStillLoads(t *testing.T) {
	t.Parallel()
	c, _ := loadExample(t, "testdata/example-before.yaml")
	type some struct {
		listen, by, source, chat, fallback string
		retention, window, timeout         time.Duration
		connections, body                  int
	}
	got := some{
		c.Web.ListenAddresses[0], c.Incidents.By, c.Incidents.Details.Source, c.Receivers[0].Telegram.ChatID, c.Delivery.FallbackReceiver,
		c.State.Retention, c.Queries[0].Metrics[0].Window, c.Sources[1].Timeout, c.Sources[0].MaxConnections, int(c.Webhook.MaxBodyBytes),
	}
	want := some{
		"127.0.0.1:9787", "group", "awoooi", "-1001234567890", "backup", 90 * 24 * time.Hour, 24 * time.Hour, 5 * time.Second, 3, 10 << 20,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(c.Sources) != 3 || len(c.Queries) != 4 || len(c.Receivers) != 3 || len(c.Alertmanagers) != 1 {
		t.Errorf("%d sources, %d queries, %d receivers, %d alertmanagers", len(c.Sources), len(c.Queries), len(c.Receivers), len(c.Alertmanagers))
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	const planted = "planted-53cr3t"
	good := "webhook: {bearer_token: planted-53cr3t}\n" +
		"prometheus: {url: 'http://p:1', http_config: {basic_auth: {username: u, password: planted-53cr3t}}}\n" +
		"receivers: [{name: a, telegram: {bot_token: '123456:planted-53cr3t', chat_id: '1'}}]\n" +
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
		// Keys are shown, even if a secret was written as one, and so are values of durations.
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

// A block of a report is decoded over the builtin one of its name: settings that are not set keep the builtin value, and empty ones
// are empty.
func TestReportsAreDecodedOverTheBuiltinOnes(t *testing.T) {
	t.Parallel()
	c, err := config.Load(write(t, `
reports:
  - name: daily
    catch_up: 0s
    health: {good: 0.6}
    sections:
      - name: alerts
        figures:
          - {name: grouped, hide: true}
          - {name: alerts, expr: sum(mine)}
          - {name: own, title: Own, expr: own}
      - name: producers
        hide: true
      - name: slo
        title: {zh-TW: 服務水準, en: Service level}
        figures:
          - {name: budget, title: Budget, expr: b, format: percent, target: ">= 0.2"}
  - name: team
    schedule: 0 9 * * *
    trend: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	daily := c.Reports[0]
	if daily.CatchUp != 0 || daily.Health.Good != 0.6 || daily.Health.Excellent != 0.8 || daily.Schedule != "0 8 * * *" || daily.Lookback != 24*time.Hour {
		t.Errorf("settings are %+v", daily)
	}
	var names []string
	for _, s := range daily.Sections {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "alerts categories producers repairs knowledge slo" {
		t.Errorf("sections are %s", got)
	}
	alerts := daily.Sections[0]
	byName := map[string]reporter.Line{}
	for _, l := range alerts.Lines {
		byName[l.Name] = l
	}
	switch {
	case alerts.Title.Text != "alerts" || alerts.Lines[0].Name != "alerts" || alerts.Lines[len(alerts.Lines)-1].Name != "own":
		t.Errorf("section is %+v", alerts)
	case !byName["grouped"].Hide || byName["grouped"].Expr == "":
		t.Errorf("a hidden line is %+v", byName["grouped"])
	case byName["alerts"].Expr != "sum(mine)" || byName["alerts"].Builtin || len(byName["alerts"].Compare) != 2 || byName["alerts"].Title.Text != "total":
		t.Errorf("a line with its own expression is %+v", byName["alerts"])
	case !byName["converged"].Builtin:
		t.Error("a line that is not in the block is not the builtin one")
	case !daily.Sections[2].Hide || daily.Sections[5].Lines[0].Target != reporter.Target{Op: ">=", Value: 0.2}:
		t.Errorf("sections are %+v", daily.Sections)
	}
	if team := c.Reports[1]; team.CatchUp != 12*time.Hour || team.Trend == nil || len(team.Sections) != 0 {
		t.Errorf("a report of one's own is %+v", team)
	}
	// A second load begins with the builtin report again.
	again, err := config.Load(write(t, "reports: [{name: daily}]\n"))
	if err != nil || again.Reports[0].Sections[0].Lines[0].Expr == "sum(mine)" {
		t.Errorf("%v, %+v", err, again)
	}
}

// The builtin reports can be copied into a configuration, as config.example.yaml suggests.
func TestBuiltinReportsCanBePasted(t *testing.T) {
	t.Parallel()
	for _, name := range report.Builtins {
		b, err := os.ReadFile("../../reporter/report/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		block := "reports:\n  -\n    " + strings.ReplaceAll(string(b), "\n", "\n    ") + "\n"
		c, err := config.Load(write(t, block))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, err := report.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Reports[0]; len(got.Sections) != len(want.Sections) || len(got.Figures) != len(want.Figures) || got.Months != want.Months {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func TestFaultsOfSectionsHaveTheirLine(t *testing.T) {
	t.Parallel()
	_, err := config.Load(write(t, `reports:
  - name: daily
    sections:
      - name: slo
        titel: SLO
        figures:
          - {name: a, title: A, expr: a, target: "= 2"}
          - {name: a, title: A, expr: a}
          - {title: A, expr: a}
`))
	for _, want := range []string{":5:9: reports[0].sections[0].titel: unknown key", ":7:50: reports[0].sections[0].figures[0].target: want a comparison", ":8:20: reports[0].sections[0].figures[1].name: another entry", ":9:13: reports[0].sections[0].figures[2].name: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in:\n%v", want, err)
		}
	}
}
