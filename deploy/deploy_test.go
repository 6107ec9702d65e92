// Package deploy tests the files by which the program is deployed, and the documents: units, manifests, snippets and examples come in, and
// each is read by the tool that uses it.
package deploy

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
)

// command runs a program and returns what it wrote; it must exit with 0.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tool finds a program that checks files. If it is not installed, the test is skipped; in CI it fails.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed: %v", name, err)
		}
		t.Skipf("%s is not installed; make tools finds or builds it", name)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) { return localstack.Program(context.Background()) })

func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var secretFile = regexp.MustCompile(`(\w*)_file: (/\S+)`)

// The program accepts every configuration. The test writes the files with secrets: the values of keys that end in _file and are absolute
// paths.
func TestConfigurationsAreAccepted(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		"compose/config.yaml":                   "0 sources",
		"kubernetes/config.yaml":                "2 sources",
		"debian/config.yaml":                    "0 sources",
		"debian/config.yaml, all of it":         "1 sources",
		"../docs/examples/awoooi-reporter.yaml": "1 sources, 20 queries",
		"../docs/examples/weekly.yaml":          "21 queries, 2 reports",
		"../docs/examples/kpi.yaml":             "1 sources, 21 queries",
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			path, all := strings.CutSuffix(file, ", all of it")
			text := read(t, path)
			if all { // what is commented out must work too
				text = regexp.MustCompile(`(?m)^# ((?:sources|prometheus|webhook|receivers):| )`).ReplaceAllString(text, "$1")
			}
			dir := t.TempDir()
			text = secretFile.ReplaceAllStringFunc(text, func(line string) string {
				m := secretFile.FindStringSubmatch(line)
				secret := filepath.Join(dir, filepath.Base(m[2]))
				content := "123456789:secret-secret-secret-secret-secret"
				if m[1] == "dsn" {
					content = "postgres://user:secret@db.example.org/name"
				}
				write(t, secret, content)
				return m[1] + "_file: " + secret
			})
			templates, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmpl"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range templates {
				write(t, filepath.Join(dir, filepath.Base(file)), read(t, file))
			}
			config := filepath.Join(dir, "config.yaml")
			write(t, config, text)
			if out := command(t, dir, program(t), "check-config", "--config.file", config); !strings.Contains(out, want) {
				t.Errorf("want %q in:\n%s", want, out)
			}
		})
	}
}

// promtool reads the configuration together with the rules that it names.
func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "prometheus.yml"), read(t, "prometheus/prometheus.yml"))
	rules, err := filepath.Glob("../dashboards/rules/*.yaml")
	if err != nil || len(rules) == 0 {
		t.Fatalf("there are no rules: %v", err)
	}
	for _, file := range rules {
		write(t, filepath.Join(dir, "rules", filepath.Base(file)), read(t, file))
	}
	write(t, filepath.Join(dir, "watchdog.yaml"), read(t, "prometheus/watchdog.yaml"))
	out := command(t, dir, promtool, "check", "config", "prometheus.yml")
	if want := fmt.Sprintf("%d rule files found", len(rules)+1); !strings.Contains(out, want) {
		t.Errorf("want %q in:\n%s", want, out)
	}
}

func TestAlertmanagerAcceptsItsConfiguration(t *testing.T) {
	t.Parallel()
	amtool := tool(t, "amtool")
	command(t, ".", amtool, "check-config", "alertmanager/alertmanager.yml")
	var c struct {
		Receivers []struct {
			Webhooks []struct {
				URL          string `yaml:"url"`
				SendResolved bool   `yaml:"send_resolved"`
			} `yaml:"webhook_configs"`
		} `yaml:"receivers"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "alertmanager/alertmanager.yml")), &c); err != nil {
		t.Fatal(err)
	}
	command(t, ".", amtool, "config", "routes", "test", "--config.file", "alertmanager/alertmanager.yml", "--verify.receivers=awoooi-reporter",
		"alertname=Watchdog")
	w := c.Receivers[0].Webhooks[0]
	if !w.SendResolved || !strings.HasSuffix(w.URL, ":9787/api/v1/alertmanager/webhook") {
		t.Errorf("webhook %+v", w)
	}
}

// The manifests and the compose file are decoded into the types of Kubernetes, the Prometheus operator and Docker Compose, by a separate
// module.
func TestManifestsAndComposeAreValid(t *testing.T) {
	t.Parallel()
	command(t, "validate", "go", "vet", ".")
	command(t, "validate", "go", "run", "-buildvcs=false", ".",
		"-kustomization", "../kubernetes", "-manifest", "../kubernetes/secret.example.yaml", "-compose", "../compose/compose.yaml")
}

// The example of the Secret has exactly the keys that the configuration reads.
func TestSecretHoldsWhatTheConfigurationReads(t *testing.T) {
	t.Parallel()
	var secret struct {
		Data map[string]string `yaml:"stringData"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "kubernetes/secret.example.yaml")), &secret); err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for name := range secret.Data {
		have = append(have, "/etc/awoooi-reporter/secrets/"+name)
	}
	for _, m := range secretFile.FindAllStringSubmatch(read(t, "kubernetes/config.yaml"), -1) {
		want = append(want, m[2])
	}
	slices.Sort(have)
	slices.Sort(want)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-config.yaml +secret.example.yaml):\n%s", diff)
	}
}

// systemd accepts the unit, and rates its exposure from 0 (closed) to 10 (open).
func TestUnitIsValidAndConfined(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "awoooi-reporter.service")
	// verify requires that the program exists.
	text := strings.ReplaceAll(read(t, "systemd/awoooi-reporter.service"), "/usr/bin/awoooi-reporter", program(t))
	write(t, unit, text)
	if out := command(t, ".", analyze, "verify", "--man=no", unit); strings.Contains(out, "awoooi-reporter.service") {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	command(t, ".", analyze, "security", "--offline=true", "--no-pager", "--threshold=15", unit) // 1.5
}

// The shell scripts can be parsed, those of the package by any POSIX shell.
func TestScriptsParse(t *testing.T) {
	t.Parallel()
	command(t, ".", "bash", "-n", "release")
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		command(t, "debian", "sh", "-n", script)
	}
}

// The package installs the files at the paths that the unit uses.
func TestPackageAndUnitAgree(t *testing.T) {
	t.Parallel()
	var p struct {
		Contents []struct{ Src, Dst string } `yaml:"contents"`
		Scripts  map[string]string           `yaml:"scripts"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "debian/nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	unit := read(t, "systemd/awoooi-reporter.service")
	there := map[string]bool{}
	for _, c := range p.Contents {
		there[c.Dst] = true
		if c.Src != "" && !strings.HasPrefix(c.Src, "$") {
			read(t, filepath.Join("..", c.Src))
		}
	}
	for _, script := range p.Scripts {
		read(t, filepath.Join("..", script))
	}
	for _, path := range []string{
		"/usr/bin/awoooi-reporter", "/etc/awoooi-reporter/config.yaml", "/etc/default/awoooi-reporter", "/etc/awoooi-reporter/secrets",
	} {
		if !there[path] || !strings.Contains(unit, path) {
			t.Errorf("%s is not in the package, or not in the unit", path)
		}
	}
}
