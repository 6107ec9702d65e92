// Package i18n holds the words of messages and pages in every language: a key with its arguments, a number, a duration or a time
// comes in, text for people goes out. A language is one folder of locales.
package i18n

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

//go:embed locales
var files embed.FS

// Use selects the words of messages or of pages. Both share those of common.yaml.
type Use string

// The uses. Each has a file of its name in every locale.
const (
	Messages Use = "messages"
	Pages    Use = "pages"
	common   Use = "common"
)

// Bundle has the words of all languages. It is safe for concurrent use.
type Bundle struct {
	languages map[string]map[Use]Words
}

// New loads the words of all languages.
func New() (*Bundle, error) {
	b := &Bundle{languages: map[string]map[Use]Words{}}
	for _, locale := range Locales() {
		words, err := load(locale)
		if err != nil {
			return nil, fmt.Errorf("locale %s: %w", locale, err)
		}
		b.languages[locale] = words
	}
	return b, nil
}

// Words are the words of one language and one use.
type Words struct {
	locale  string
	entries map[string]entry
	plural  *i18n.Localizer // selects the plural form of an entry
}

// entry is the text of a key.
type entry struct {
	text  string // of its form "other"
	forms string // id of its plural forms in the localizer; "" if it has only one form
	verbs int    // number of arguments
}

// Locales returns the names of all languages, in order.
func Locales() []string {
	dirs, err := files.ReadDir("locales")
	if err != nil {
		return nil // the directory is a part of the program
	}
	var out []string
	for _, d := range dirs {
		out = append(out, d.Name())
	}
	slices.Sort(out)
	return out
}

// UnknownLocaleError is the error for a locale that has no words.
type UnknownLocaleError struct{ Locale string }

func (e *UnknownLocaleError) Error() string {
	return fmt.Sprintf("unknown locale %.40q (have %s)", e.Locale, strings.Join(Locales(), ", "))
}

// Check returns an *UnknownLocaleError if there are no words for the locale.
func Check(locale string) error {
	if slices.Contains(Locales(), locale) {
		return nil
	}
	return &UnknownLocaleError{locale}
}

func load(locale string) (map[Use]Words, error) {
	tag, err := language.Parse(locale)
	if err != nil {
		return nil, err
	}
	bundle := i18n.NewBundle(tag)
	localizer := i18n.NewLocalizer(bundle, locale)
	entries := map[Use]map[string]entry{}
	for _, use := range []Use{common, Messages, Pages} {
		text, err := files.ReadFile(path.Join("locales", locale, string(use)+".yaml"))
		if err != nil {
			return nil, err
		}
		// The library has one namespace for all files. A prefix keeps the keys of each use apart.
		bundle.RegisterUnmarshalFunc("yaml", func(b []byte, v any) error {
			words := map[string]any{}
			if err := yaml.Unmarshal(b, &words); err != nil {
				return err
			}
			to, ok := v.(*any)
			if !ok {
				return fmt.Errorf("cannot decode words into a %T", v)
			}
			*to = map[string]any{string(use): words}
			return nil
		})
		file, err := bundle.ParseMessageFileBytes(text, locale+".yaml")
		if err != nil {
			return nil, fmt.Errorf("%s.yaml: %w", use, err)
		}
		entries[use] = map[string]entry{}
		for _, m := range file.Messages {
			e := entry{text: m.Other, verbs: strings.Count(m.Other, "%")}
			if m.One != "" || m.Two != "" || m.Few != "" || m.Many != "" || m.Zero != "" {
				e.forms = m.ID
			}
			entries[use][strings.TrimPrefix(m.ID, string(use)+".")] = e
		}
	}
	out := map[Use]Words{}
	for _, use := range []Use{Messages, Pages} {
		for key, e := range entries[common] {
			if _, ok := entries[use][key]; ok {
				return nil, fmt.Errorf("%s.yaml: %s is also in common.yaml, remove one of them", use, key)
			}
			entries[use][key] = e
		}
		out[use] = Words{locale: locale, entries: entries[use], plural: localizer}
	}
	return out, nil
}

// Words returns the words of a language and a use. The error is an *UnknownLocaleError.
func (b *Bundle) Words(locale string, use Use) (Words, error) {
	words, ok := b.languages[locale]
	if !ok {
		return Words{}, &UnknownLocaleError{locale}
	}
	return words[use], nil
}

// Locale returns the name of the language, as it is configured.
func (w Words) Locale() string { return w.locale }

// renamed maps keys of earlier versions, which users' templates may contain, to those of today.
var renamed = map[string]string{"other": "rest"}

// Lookup returns the text of a key with its arguments, which replace %s and %d in order. The first integer among them selects the
// plural form. An unknown key, and a wrong number of arguments, are errors.
func (w Words) Lookup(key string, args ...any) (string, error) {
	e, ok := w.entries[key]
	if !ok {
		if e, ok = w.entries[renamed[key]]; !ok {
			return "", fmt.Errorf("unknown word %.60q", key)
		}
	}
	if e.verbs != len(args) {
		return "", fmt.Errorf("%q takes %d arguments, not %d", key, e.verbs, len(args))
	}
	text := e.text
	if n, ok := count(args); ok && e.forms != "" {
		form, err := w.plural.Localize(&i18n.LocalizeConfig{MessageID: e.forms, PluralCount: n})
		if err != nil {
			return "", fmt.Errorf("%q: %w", key, err)
		}
		text = form
	}
	if len(args) == 0 {
		return text, nil
	}
	return fmt.Sprintf(text, args...), nil
}

// count returns the first integer among the arguments.
func count(args []any) (n int64, ok bool) {
	for _, a := range args {
		switch a := a.(type) {
		case int:
			return int64(a), true
		case int64:
			return a, true
		case uint64:
			return int64(min(a, 1<<62)), true
		}
	}
	return 0, false
}

// T is Lookup for keys of the program, which a test checks. It returns an unknown key as it is.
func (w Words) T(key string, args ...any) string {
	text, err := w.Lookup(key, args...)
	if err != nil {
		return key
	}
	return text
}
