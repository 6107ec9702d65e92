package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/awoooi/awoooi-reporter/internal/config"
)

var update = flag.Bool("update", false, "write what the code says into the golden files")

// Unusual configurations that are right are accepted.
func TestRightConfigurations(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/right.txtar")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	for _, f := range archive.Files {
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (config.Options{Path: path, Checks: []config.Check{CheckConfig}}).Load(t.Context()); err != nil {
			t.Errorf("%s: refused: %v", f.Name, err)
		}
	}
}

// Every configuration of testdata/wrong.txtar is refused; wrong.golden has the output.
func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/wrong.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) < 100 {
		t.Fatalf("only %d files", len(archive.Files))
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token": "planted", "empty": "\n", "broken.tmpl": "{{.Number", "web-unknown.yml": "tls_sever_config: {}\n",
		"web-cert.yml": "tls_server_config: {cert_file: nowhere.crt, key_file: nowhere.key}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "config.yaml")
	var out strings.Builder
	for _, f := range archive.Files {
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := config.Options{Path: path, Checks: []config.Check{CheckConfig}}.Load(t.Context())
		if err == nil {
			t.Errorf("%s: accepted", f.Name)
			continue
		}
		text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""), dir, ".")
		if strings.Contains(text, "planted") {
			t.Errorf("%s: shows a secret: %s", f.Name, text)
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "config.yaml:") && !strings.HasSuffix(strings.TrimSpace(line), "problems in the configuration") {
				t.Errorf("%s: no position in %q", f.Name, line)
			}
		}
		fmt.Fprintf(&out, "== %s\n%s\n", f.Name, text)
	}
	const golden = "testdata/wrong.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("run with -update if this is intended:\n%s", diff)
	}
}
