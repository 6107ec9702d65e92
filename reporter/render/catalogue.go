package render

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed locales/*.yaml
var localeFiles embed.FS

// catalogue holds the words of one language.
type catalogue map[string]string

func loadCatalogues() (map[string]catalogue, error) {
	all := map[string]catalogue{}
	for _, name := range Locales() {
		b, err := localeFiles.ReadFile(path.Join("locales", name+".yaml"))
		if err != nil {
			return nil, fmt.Errorf("locales: %w", err)
		}
		var c catalogue
		if err := yaml.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("locales: %s: %w", name, err)
		}
		all[name] = c
	}
	return all, nil
}

// t returns the words of a key, with the arguments filled in. It is the templates' function t.
func (c catalogue) t(key string, args ...any) (string, error) {
	words, ok := c[key]
	switch {
	case !ok:
		return "", fmt.Errorf("the catalogue has no %q", key)
	case strings.Count(words, "%") != len(args):
		return "", fmt.Errorf("%q takes %d arguments, not %d", key, strings.Count(words, "%"), len(args))
	case len(args) == 0:
		return words, nil
	}
	return fmt.Sprintf(words, args...), nil
}

// word is t for keys that a test knows to be in every catalogue.
func (c catalogue) word(key string, args ...any) string {
	words, err := c.t(key, args...)
	if err != nil {
		return key
	}
	return words
}

// duration shows the two largest units of d, down to seconds.
func (c catalogue) duration(d time.Duration) string {
	units := []struct {
		key  string
		unit time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
	if d < time.Second {
		return c.word("seconds", 0)
	}
	for n, u := range units {
		if d < u.unit {
			continue
		}
		text := c.word(u.key, int64(d/u.unit))
		if n+1 < len(units) {
			if rest := d % u.unit / units[n+1].unit; rest > 0 {
				text += " " + c.word(units[n+1].key, int64(rest))
			}
		}
		return text
	}
	return ""
}

// zone names a zone for people.
func (c catalogue) zone(z *time.Location) string {
	if z.String() == "Asia/Taipei" {
		return c.word("taipei_time")
	}
	return z.String()
}

// Locales returns the languages there are, in order.
func Locales() []string {
	files, err := localeFiles.ReadDir("locales")
	if err != nil {
		return nil // The directory is a part of the program.
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}
