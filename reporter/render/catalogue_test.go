package render

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
)

func catalogues(t *testing.T) map[string]catalogue {
	t.Helper()
	all, err := loadCatalogues()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every language has the same keys with the same verbs in the same order, and fills in nothing but them.
func TestCataloguesAgree(t *testing.T) {
	t.Parallel()
	verb := regexp.MustCompile(`%.`)
	all := catalogues(t)
	if len(all) < 2 {
		t.Fatalf("there are %d languages", len(all))
	}
	base := all[reporter.DefaultLocale]
	for name, c := range all {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(base)), slices.Sorted(maps.Keys(c))); diff != "" {
			t.Errorf("%s (-%s +%s):\n%s", name, reporter.DefaultLocale, name, diff)
		}
		for key, words := range c {
			if diff := cmp.Diff(verb.FindAllString(base[key], -1), verb.FindAllString(words, -1)); diff != "" {
				t.Errorf("%s: %s: verbs (-%s +%s):\n%s", name, key, reporter.DefaultLocale, name, diff)
			}
			if words == "" && key != "unit" {
				t.Errorf("%s: %s has no words", name, key)
			}
		}
	}
}

// A key that is used and not there would only be noticed when its line is written.
func TestEveryKeyThatIsUsedIsThereAndEveryKeyThatIsThereIsUsed(t *testing.T) {
	t.Parallel()
	source := usedSource(t)
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?:\bt|word\(|word\([a-z]+, ) ?"([a-z0-9_]+)"`).FindAllStringSubmatch(source, -1) {
		used[m[1]] = true
	}
	c := catalogues(t)[reporter.DefaultLocale]
	for key := range used {
		if _, ok := c[key]; !ok {
			t.Errorf("%q is used and not in the catalogue", key)
		}
	}
	for key := range c {
		if !used[key] && !strings.Contains(source, `"`+key+`"`) && !strings.HasPrefix(key, "link_") && !strings.HasPrefix(key, "figure_") {
			t.Errorf("%q is in the catalogue and not used", key)
		}
	}
}

func TestDurationsForPeople(t *testing.T) {
	t.Parallel()
	all := catalogues(t)
	tests := []struct {
		d      time.Duration
		zh, en string
	}{
		{0, "0 秒", "0s"},
		{999 * time.Millisecond, "0 秒", "0s"},
		{45 * time.Second, "45 秒", "45s"},
		{10 * time.Minute, "10 分", "10m"},
		{10*time.Minute + 30*time.Second, "10 分 30 秒", "10m 30s"},
		{72 * time.Minute, "1 小時 12 分", "1h 12m"},
		{time.Hour + 59*time.Second, "1 小時", "1h"},
		{51 * time.Hour, "2 天 3 小時", "2d 3h"},
	}
	for _, tt := range tests {
		if got := all["zh-TW"].duration(tt.d); got != tt.zh {
			t.Errorf("%v is %q, want %q", tt.d, got, tt.zh)
		}
		if got := all["en"].duration(tt.d); got != tt.en {
			t.Errorf("%v is %q, want %q", tt.d, got, tt.en)
		}
	}
}

// usedSource is the text of all templates and Go files of this room, but for tests.
func usedSource(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, pattern := range []string{"templates/*.tmpl", "*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}
