package web

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

//go:embed locales/*.yaml
var localeFiles embed.FS

// baseLocale has every key, and stands in where another has none.
const baseLocale = "en"

// catalogue holds the pages' words of one language.
type catalogue map[string]string

func loadCatalogues() (map[string]catalogue, error) {
	files, err := localeFiles.ReadDir("locales")
	if err != nil {
		return nil, fmt.Errorf("locales: %w", err)
	}
	all := map[string]catalogue{}
	for _, f := range files {
		b, err := localeFiles.ReadFile(path.Join("locales", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("locales: %w", err)
		}
		var c catalogue
		if err := yaml.Unmarshal(b, &c); err != nil {
			return nil, fmt.Errorf("locales: %s: %w", f.Name(), err)
		}
		all[strings.TrimSuffix(f.Name(), ".yaml")] = c
	}
	return all, nil
}

// words is a language with the one that stands in for it.
type words struct{ own, base catalogue }

// T returns the words of a key, with the arguments filled in; the key itself where no language has it.
func (w words) T(key string, args ...any) string {
	text, ok := w.own[key]
	if !ok {
		if text, ok = w.base[key]; !ok {
			return key
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// Dur shows the two largest units of d, down to seconds, and less than a second in milliseconds.
func (w words) Dur(d time.Duration) string {
	if d > 0 && d < time.Second {
		return w.T("milliseconds", max(d.Milliseconds(), 1))
	}
	units := []struct {
		key  string
		unit time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}, {"seconds", time.Second}}
	for n, u := range units {
		if d < u.unit {
			continue
		}
		text := w.T(u.key, int64(d/u.unit))
		if n+1 < len(units) {
			if rest := d % u.unit / units[n+1].unit; rest > 0 {
				text += " " + w.T(units[n+1].key, int64(rest))
			}
		}
		return text
	}
	return w.T("seconds", 0)
}

// relative says how far t is from now, in one unit.
func (w words) relative(t, now time.Time) string {
	d, key := now.Sub(t), "ago"
	if d < 0 {
		d, key = -d, "ahead"
	}
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if d >= unit {
			return w.T(key, w.Dur(d.Truncate(unit)))
		}
	}
	return w.T("now")
}
