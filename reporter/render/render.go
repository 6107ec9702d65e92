package render

import (
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"path"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

//go:embed templates/*.tmpl
var templateFiles embed.FS

// markdownFile is the template of Markdown, which is a text template. All others are HTML templates.
const markdownFile = "postmortem.md.tmpl"

// Options are the settings of a Renderer.
type Options struct {
	Product string         // in headlines and footers, unless the report has a title; default reporter.DefaultProduct
	Locale  string         // for content without a locale; default reporter.DefaultLocale
	Zone    *time.Location // for content without a zone; default UTC
	Log     *slog.Logger   // default: discard
	// ExternalURL is the address of the web pages; "" leaves links to them out.
	ExternalURL string
	// PostmortemTemplate is the path of a user's template file for postmortems; "" means the builtin one.
	PostmortemTemplate string
}

// Renderer writes messages. It is safe for concurrent use.
type Renderer struct {
	product string
	locale  string
	zone    *time.Location
	log     *slog.Logger
	own     string // template file of postmortems

	externalURL string // without a trailing slash
	languages   map[string]language
}

// New makes a renderer. It is an error if there are no words for the locale.
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

// language holds the words of a language, with the builtin templates that use them. html/template escapes every value by its
// context, in builtin templates and in users'.
type language struct {
	i18n.Words
	html     *template.Template
	markdown *texttemplate.Template
}

// language returns the language of that name; "" means the default.
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
