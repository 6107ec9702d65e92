package render

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

const (
	markdownFile = "postmortem.md.tmpl"
)

// Options says what is not said by what is rendered.
type Options struct {
	Product string         // in headlines and footers; default "AWOOOI". A report's own title goes first.
	Locale  string         // of notices, and where a report or postmortem names none; default "zh-TW"
	Zone    *time.Location // likewise; default UTC
	Log     *slog.Logger
	// ExternalURL is where our pages are; "" leaves links to them out.
	ExternalURL string
	// PostmortemTemplate is the path of a user's own template file for postmortems; empty is the builtin one.
	PostmortemTemplate string
}

// Renderer writes messages. It is safe for concurrent use.
type Renderer struct {
	product string
	locale  string
	zone    *time.Location
	log     *slog.Logger
	own     string // template file of postmortems

	externalURL string // without a slash at its end
	languages   map[string]language
}

// language is the words of one with the builtin templates bound to them. html/template escapes every value by its place, in
// our templates as in users' own.
type language struct {
	i18n.Words
	html     *template.Template
	markdown *texttemplate.Template
}

// New makes a renderer.
func New(o Options) (*Renderer, error) {
	r := &Renderer{
		product: o.Product, locale: o.Locale, zone: o.Zone, log: o.Log, own: o.PostmortemTemplate,
		externalURL: strings.TrimRight(o.ExternalURL, "/"),
		languages:   map[string]language{},
	}
	if r.product == "" {
		r.product = reporter.DefaultProduct
	}
	if r.locale == "" {
		r.locale = reporter.DefaultLocale
	}
	if r.zone == nil {
		r.zone = time.UTC
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	bundle, err := i18n.New()
	if err != nil {
		return nil, err
	}
	for _, name := range i18n.Locales() {
		words, err := bundle.Words(name, i18n.Messages)
		if err != nil {
			return nil, err
		}
		l := language{
			Words:    words,
			html:     template.New("").Funcs(template.FuncMap{"t": words.Lookup}),
			markdown: texttemplate.New("").Funcs(texttemplate.FuncMap{"t": words.Lookup}),
		}
		files, err := templateFiles.ReadDir("templates")
		if err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		for _, f := range files {
			b, err := templateFiles.ReadFile(path.Join("templates", f.Name()))
			if err != nil {
				return nil, fmt.Errorf("templates: %w", err)
			}
			if f.Name() == markdownFile {
				_, err = l.markdown.New(f.Name()).Parse(string(b))
			} else {
				_, err = l.html.New(f.Name()).Parse(strings.TrimSuffix(string(b), "\n"))
			}
			if err != nil {
				return nil, fmt.Errorf("templates: %w", err)
			}
		}
		r.languages[name] = l
	}
	if _, err := r.language(""); err != nil {
		return nil, err
	}
	return r, nil
}

// language returns the language of that name, or of the options for an empty name.
func (r *Renderer) language(name string) (language, error) {
	if name == "" {
		name = r.locale
	}
	l, ok := r.languages[name]
	if !ok {
		return language{}, &i18n.UnknownLocaleError{Locale: name}
	}
	return l, nil
}

func (r *Renderer) zoneOr(z *time.Location) *time.Location {
	if z == nil {
		return r.zone
	}
	return z
}

// execute runs a builtin template.
func (l language) execute(name string, view any) (string, error) {
	var b strings.Builder
	if err := l.html.ExecuteTemplate(&b, name, view); err != nil {
		return "", fmt.Errorf("render: %w", err)
	}
	return strings.TrimSpace(b.String()), nil
}

// Limits of a template file of the user's: one that repeats something for ever must not take the memory, or the time, of all else.
const (
	maxTemplate = 1 << 20 // bytes of the file, and of the text that it gives; a message has 4096 characters
	maxExecute  = 20 * time.Second
)

// executeFile runs a template file of the user's. Errors name the file and the line.
func (l language) executeFile(file string, view any) (string, error) {
	b, err := readTemplate(file)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	if !utf8.Valid(b) {
		return "", fmt.Errorf("template: %s: the file is not UTF-8", file)
	}
	source := strings.ReplaceAll(string(b), "\r\n", "\n")
	t, err := template.New(file).Funcs(template.FuncMap{"t": l.Lookup}).Parse(source)
	if err != nil {
		return "", err // html/template begins with "template: FILE:LINE".
	}
	text, err := executeWithin(maxExecute, t, view)
	switch {
	case errors.Is(err, errTooMuch):
		return "", fmt.Errorf("template: %s: %w", file, err)
	case err != nil:
		return "", err
	}
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if err := markup.Validate(text); err != nil {
		return "", fmt.Errorf("template: %s: its text, at %w", file, err)
	}
	return text, nil
}

func readTemplate(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err == nil && len(b) > maxTemplate {
		return nil, fmt.Errorf("%s: is longer than %d bytes", file, maxTemplate)
	}
	return b, err
}

// executeWithin runs a template within a time and within maxTemplate bytes. One that takes longer is left behind: Go has no way to end
// it, but no message waits for it.
func executeWithin(limit time.Duration, t *template.Template, view any) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var out boundedText
		err := t.Execute(&out, view)
		done <- result{out.String(), err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.text, r.err
	case <-timer.C:
		return "", fmt.Errorf("template: %s: is not done after %v; look for a range that does not end", t.Name(), limit)
	}
}

var errTooMuch = fmt.Errorf("its text is longer than %d bytes", maxTemplate)

// boundedText ends the execution of a template that writes too much.
type boundedText struct{ strings.Builder }

func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxTemplate {
		return 0, errTooMuch
	}
	return b.Builder.Write(p)
}
