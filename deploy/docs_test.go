package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// documents returns the documents that users read, by their paths from here.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../dashboards/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		all = append(all, files...)
	}
	return all
}

// block matches a block of code with its language, which may be indented in a list.
var block = regexp.MustCompile("(?ms)^( *)```(\\w+)\n(.*?)^ *```$")

// blocks returns the blocks of code in a language, without their indentation.
func blocks(text, language string) (out []string) {
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		if m[2] == language {
			out = append(out, strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")[1:])
		}
	}
	return out
}

// otherPrograms are keys by which an example is a configuration of Prometheus or Alertmanager.
var otherPrograms = []string{"webhook_configs:", "group_wait:", "scrape_configs:", "rule_files:"}

// Each example of a configuration is accepted, completed by the source and the receivers that it refers to.
func TestExamplesInDocumentsAreAccepted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "dsn"), "postgres://reader@127.0.0.1:1/awoooi")
	write(t, filepath.Join(dir, "token"), "123456:abcdefghijklmnopqrstuvwxyz0123456789")
	checked := 0
	for _, document := range documents(t) {
		for _, text := range blocks(read(t, document), "yaml") {
			var c map[string]any
			if err := yaml.Unmarshal([]byte(text), &c); err != nil { // part of a list
				continue
			}
			if containsAny(text, otherPrograms) {
				continue
			}
			text = secretFile.ReplaceAllStringFunc(text, func(s string) string {
				key, path, _ := strings.Cut(s, "_file: ")
				if filepath.Base(path) == "dsn" {
					return key + "_file: " + filepath.Join(dir, "dsn")
				}
				return key + "_file: " + filepath.Join(dir, "token")
			})
			if c["sources"] == nil {
				text += "\nsources: [{name: awoooi, kind: postgres, dsn_file: dsn}]"
			}
			if c["receivers"] == nil {
				text += "\nreceivers: [{name: oncall, telegram: {bot_token_file: token, chat_id: \"-1\"}}]"
			}
			path := filepath.Join(dir, "config.yaml")
			write(t, path, text)
			if out := command(t, dir, program(t), "check-config", path); !strings.Contains(out, "configuration is good") {
				t.Errorf("%s: %s\n%s", document, out, text)
			}
			checked++
		}
	}
	if checked < 8 {
		t.Errorf("only %d examples were found", checked)
	}
}

func containsAny(s string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}

var invocation = regexp.MustCompile(`(?m)(?:^|\x60)awoooi-reporter ([a-z][^\n\x60#|]*)`)

// Each command in a document exists and has the flags that it is given there.
func TestCommandsInDocumentsExist(t *testing.T) {
	t.Parallel()
	help := map[string]string{}
	checked := 0
	for _, document := range documents(t) {
		for _, m := range invocation.FindAllStringSubmatch(read(t, document), -1) {
			words := strings.Fields(m[1])
			name := words[0]
			if (name == "incidents" || name == "deliveries") && len(words) > 1 {
				name += " " + words[1]
			}
			if _, ok := help[name]; !ok {
				help[name] = command(t, ".", program(t), append(strings.Fields(name), "--help")...)
			}
			if !strings.Contains(help[name], "awoooi-reporter "+name+" ") && !strings.Contains(help[name], "awoooi-reporter "+name+"\n") {
				t.Errorf("%s: there is no command %q", document, name)
			}
			for _, word := range words {
				if flag, _, _ := strings.Cut(word, "="); strings.HasPrefix(flag, "--") && !strings.Contains(help[name], flag+" ") {
					t.Errorf("%s: %s has no flag %s", document, name, flag)
				}
			}
			checked++
		}
	}
	if checked < 20 {
		t.Errorf("only %d commands were found", checked)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// anchor returns the anchor that GitHub gives a heading.
func anchor(heading string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			out.WriteRune(r)
		}
	}
	return out.String()
}

// Each link to a file of the repository, and to a heading in it, has its target.
func TestLinksInDocumentsHaveTargets(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, document), -1) {
			path, to, _ := strings.Cut(m[1], "#")
			if strings.Contains(m[1], ":") { // of another site
				continue
			}
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), filepath.FromSlash(path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link %s: %v", document, m[1], err)
				continue
			}
			if to == "" || filepath.Ext(target) != ".md" {
				continue
			}
			found := false
			for _, h := range heading.FindAllStringSubmatch(read(t, target), -1) {
				found = found || anchor(h[1]) == to
			}
			if !found {
				t.Errorf("%s: link %s: no such heading", document, m[1])
			}
		}
	}
}
