package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

func TestPromtoolAcceptsTheRulesOfEveryConfiguration(t *testing.T) {
	t.Parallel()
	for name, o := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := Files(o)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := []string{"check", "rules", "--lint=all", "--lint-fatal"}
			for _, f := range files {
				if !strings.HasSuffix(f.Name, ".yaml") {
					continue
				}
				path := filepath.Join(dir, filepath.Base(f.Name))
				if err := os.WriteFile(path, f.Content, 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, path)
			}
			promtool(t, args...)
		})
	}
}

func TestPromtoolTestsOfTheRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/rules/*.yaml")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	promtool(t, append([]string{"test", "rules"}, files...)...)
}

// alertRules are the alerts of the committed rules, by name.
func alertRules(t *testing.T) map[string]rule {
	t.Helper()
	files, err := Files(committed(t))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]rule{}
	for _, f := range files {
		if !strings.HasPrefix(f.Name, "rules/") {
			continue
		}
		var rf ruleFile
		if err := yaml.Unmarshal(f.Content, &rf); err != nil {
			t.Fatal(err)
		}
		for _, g := range rf.Groups {
			for _, r := range g.Rules {
				if _, twice := out[r.Alert]; twice && r.Alert != "" {
					t.Errorf("%s is there twice", r.Alert)
				}
				if r.Alert != "" {
					out[r.Alert] = r
				}
			}
		}
	}
	if len(out) < 18 {
		t.Fatalf("only %d alerts", len(out))
	}
	return out
}

// Each alert has tests in which it fires, and in which it does not.
func TestEveryAlertIsTestedForFiringAndForSilence(t *testing.T) {
	t.Parallel()
	fires, silent := map[string]bool{}, map[string]int{}
	files, err := filepath.Glob("testdata/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f struct {
			Tests []struct {
				Cases []struct {
					Alert string `yaml:"alertname"`
					Want  []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		if err := yaml.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		for _, test := range f.Tests {
			for _, c := range test.Cases {
				if len(c.Want) > 0 {
					fires[c.Alert] = true
				} else {
					silent[c.Alert]++
				}
			}
		}
	}
	rules := alertRules(t)
	for name := range rules {
		if !fires[name] || silent[name] < 2 {
			t.Errorf("%s: fires in a test: %v, silent in %d", name, fires[name], silent[name])
		}
	}
	for name := range fires {
		if _, ok := rules[name]; !ok {
			t.Errorf("%s is tested and is not there", name)
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^(#+) (.+)$`)
	link    = regexp.MustCompile(`\]\(#([^)]+)\)`)
	notSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are the headings of a Markdown file as GitHub names them.
func anchors(markdown string) map[string]string {
	out := map[string]string{}
	for _, m := range heading.FindAllStringSubmatch(markdown, -1) {
		out[strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(m[2]), ""), " ", "-")] = m[1]
	}
	return out
}

func TestEveryAlertHasItsChapterOfTheRunbook(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	chapters := anchors(string(b))
	rules := alertRules(t)
	for name, r := range rules {
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q", name, s)
		}
		if r.Labels["component"] != "awoooi-reporter" {
			t.Errorf("%s has no label component, by which it is routed", name)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: no summary or description", name)
		}
		url, anchor, _ := strings.Cut(r.Annotations["runbook_url"], "#")
		if url != RunbookURL || anchor != strings.ToLower(name) || chapters[anchor] != "###" {
			t.Errorf("%s: runbook_url %s#%s leads nowhere", name, url, anchor)
		}
	}
	for _, m := range link.FindAllStringSubmatch(string(b), -1) {
		if chapters[m[1]] == "" {
			t.Errorf("the runbook links to #%s, which is not there", m[1])
		}
	}
	for _, text := range strings.Split(string(b), "\n### ")[1:] {
		name, text, _ := strings.Cut(text, "\n")
		if _, ok := rules[name]; !ok {
			t.Errorf("the runbook has a chapter for %s, which no rule has", name)
		}
		for _, part := range []string{"**What it means.**", "**How to look.**", "**What to do.**"} {
			if strings.Count(text, part) != 1 {
				t.Errorf("the chapter of %s does not say %s", name, part)
			}
		}
	}
}

var word = regexp.MustCompile("`([a-z_]+)`")

// The runbook explains outcomes by the names that the metrics have.
func TestRunbookNamesOutcomesOfTheProgram(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string][]string{}
	for _, l := range programSeries(t) {
		name := l.Get("__name__")
		outcomes[name] = append(outcomes[name], l.Get("outcome"))
	}
	for _, tc := range []struct{ chapter, part, metric string }{
		{"AwoooiDeliveriesStuck", "**How to look.**", "awoooi_reporter_sends_total"},
		{"AwoooiChatsNotReceived", "**What to do.**", "awoooi_reporter_chat_polls_total"},
	} {
		_, text, _ := strings.Cut(string(b), "\n### "+tc.chapter+"\n")
		_, text, _ = strings.Cut(text, tc.part)
		text, _, _ = strings.Cut(text, "\n\n")
		named := word.FindAllStringSubmatch(text, -1)
		if len(named) == 0 {
			t.Errorf("%s names no outcome", tc.chapter)
		}
		for _, m := range named {
			if !slices.Contains(outcomes[tc.metric], m[1]) {
				t.Errorf("%s names the outcome %s, which %s does not have", tc.chapter, m[1], tc.metric)
			}
		}
	}
}

// A real Alertmanager with the example has the right receivers for each alert.
func TestAlertsAboutTheReporterDoNotGoThroughTheReporter(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("alertmanager-route.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	am, err := localstack.StartAlertmanager(context.WithoutCancel(t.Context()), localstack.AlertmanagerOptions{Config: string(example)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := am.Stop(); err != nil {
			t.Error(err)
		}
	})
	type alert struct {
		Labels   map[string]string `json:"labels"`
		StartsAt time.Time         `json:"startsAt"`
	}
	now := time.Now()
	post := []alert{
		{map[string]string{"alertname": "DiskFull", "severity": "critical"}, now},
		{map[string]string{"alertname": "HighLatency", "severity": "warning", "component": "shop"}, now},
	}
	want := map[string]string{"DiskFull": "awoooi-reporter", "HighLatency": "awoooi-reporter"}
	for name, r := range alertRules(t) {
		labels := map[string]string{"alertname": name, "job": "awoooi"}
		for k, v := range r.Labels {
			labels[k] = v
		}
		post = append(post, alert{labels, now})
		want[name] = "reporter-mail"
		if r.Labels["severity"] == "critical" {
			want[name] = "reporter-pager"
		}
	}
	for _, name := range []string{"AwoooiDeliveriesStuck", "AwoooiDeliveryGivenUp", "AwoooiReceiverStopped", "AwoooiReportNotSent"} {
		if want[name] != "reporter-pager" { // Telegram may be down.
			t.Errorf("%s does not page", name)
		}
	}
	body, err := json.Marshal(post)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 30 * time.Second}
	resp, err := client.Post(am.URL()+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	resp, err = client.Get(am.URL() + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []struct {
		Labels    map[string]string
		Receivers []struct{ Name string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("Alertmanager has %d alerts, want %d", len(got), len(want))
	}
	for _, a := range got {
		if name := a.Labels["alertname"]; len(a.Receivers) != 1 || a.Receivers[0].Name != want[name] {
			t.Errorf("%s goes to %v, want %s", name, a.Receivers, want[name])
		}
	}
	// The receivers of these two have no way that leads to the reporter.
	var conf struct {
		Receivers    []map[string]any
		InhibitRules []struct {
			Source []string `yaml:"source_matchers"`
			Target []string `yaml:"target_matchers"`
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal(example, &conf); err != nil {
		t.Fatal(err)
	}
	for _, r := range conf.Receivers {
		text := fmt.Sprint(r)
		if strings.HasPrefix(r["name"].(string), "reporter-") && (strings.Contains(text, "webhook") || strings.Contains(text, "telegram")) {
			t.Errorf("%s leads back to the reporter or to Telegram: %s", r["name"], text)
		}
	}
	for _, r := range conf.InhibitRules {
		for _, m := range slices.Concat(r.Source, r.Target) {
			if name := strings.Trim(strings.TrimPrefix(m, "alertname="), `"`); want[name] == "" {
				t.Errorf("an inhibit rule names %s, which is no alert", name)
			}
		}
	}
}

func TestProvisioningExampleIsRead(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("grafana-provisioning.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type    string
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			Options               struct{ Path string }
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&conf); err != nil {
		t.Fatal(err)
	}
	if conf.APIVersion != 1 || len(conf.Providers) != 1 || conf.Providers[0].Type != "file" || conf.Providers[0].Options.Path == "" {
		t.Errorf("%+v", conf)
	}
}
