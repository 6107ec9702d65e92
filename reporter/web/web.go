// Package web serves the pages, the JSON API and the health checks: the contents of the store, reports, postmortems and the states of
// the program's parts come in, HTML and JSON go out.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

//go:embed templates/*.html
var files embed.FS

//go:embed style.css
var style string

const (
	// pageTime is the timeout of a page.
	pageTime = 25 * time.Second
	// listed is the number of incidents or deliveries on one page.
	listed = 30
)

// Store reads and changes the content of pages. Its errors are shown as 500 without their text, and reporter.ErrNotFound as 404.
type Store interface {
	Incidents
	Lists
	Noise
	Deliveries
	Causes
	Actions
	Entries
	Acknowledgements
}

// Incidents reads single incidents.
type Incidents interface {
	// IncidentExtract returns an incident with all its alerts, or with a selection if there are too many.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	ListAlerts(ctx context.Context, f reporter.AlertFilter) (reporter.AlertPage, error)
}

// Lists reads lists of incidents.
type Lists interface {
	ListIncidents(ctx context.Context, f reporter.IncidentFilter) (reporter.IncidentPage, error)
	IncidentFacets(ctx context.Context) (reporter.IncidentFacets, error)
	// IncidentsAfter returns at most f.Limit incidents after f.After without their alerts, the newest first, of all states together.
	IncidentsAfter(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error)
}

// Entries reads and adds entries.
type Entries interface {
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
	EntriesOf(ctx context.Context, incidents []string) (map[string][]reporter.Entry, error)
	// Write adds entries, all or none. reporter.ErrConflict: one supersedes a version that is no longer the latest.
	// reporter.ErrTooMany: the incident has too many entries.
	Write(ctx context.Context, entries ...reporter.Entry) ([]reporter.Entry, error)
}

// Acknowledgements acknowledges and releases incidents. The boolean result reports whether that changed anything.
// reporter.ErrResolved: the incident is resolved.
type Acknowledgements interface {
	Acknowledge(ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef) (reporter.Entry, bool, error)
	Release(ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef) (reporter.Entry, bool, error)
}

// Deliveries reads deliveries.
type Deliveries interface {
	ListDeliveries(ctx context.Context, f reporter.DeliveryFilter) ([]reporter.Delivery, error)
	Delivery(ctx context.Context, id int64) (reporter.Delivery, error)
	// ReportDeliveries returns the deliveries of the report's latest due times before a time, of at most limit due times.
	ReportDeliveries(ctx context.Context, report string, before time.Time, limit int) ([]reporter.Delivery, error)
}

// Causes groups deliveries by the reason why they are not sent.
type Causes interface {
	// DeliveryCauses returns the causes of deliveries that failed, or that wait longer than for their turn.
	DeliveryCauses(ctx context.Context) ([]reporter.DeliveryCause, error)
	// RetryCause retries the deliveries of a cause, and returns their number.
	RetryCause(ctx context.Context, c reporter.DeliveryCause, now time.Time) (int, error)
}

// Actions retries or cancels a delivery. After an error the page reads the delivery again: if its state does not allow the action, the
// answer is 409.
type Actions interface {
	RetryDelivery(ctx context.Context, id int64, now time.Time) error
	CancelDelivery(ctx context.Context, id int64, now time.Time) error
}

// Texts builds the texts of pages.
type Texts interface {
	// Report builds the named report as of at, with its message. reporter.ErrNotFound: there is no such report.
	Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error)
	// Postmortem builds the postmortem of an incident in any state, with its message.
	Postmortem(ctx context.Context, in reporter.Incident) (reporter.Postmortem, reporter.Message, error)
	// Markdown writes a postmortem as a document.
	Markdown(p reporter.Postmortem) (string, error)
}

// Pictures draws the pictures of pages as PNG. reporter.ErrNotFound: there is nothing to draw.
type Pictures interface {
	ReportPicture(ctx context.Context, name string, at time.Time) (reporter.Picture, error)
	IncidentPicture(ctx context.Context, in reporter.Incident) (reporter.Picture, error)
}

// Settings are the settings of pages.
type Settings struct {
	Zone        *time.Location
	Locale      string // one of i18n.Locales
	Product     string
	ExternalURL string // address of the pages for browsers; "" means not known
	Version     string
	Hours       reporter.WorkingHours
}

// Config holds the parts that pages are made of.
type Config struct {
	Store    Store
	Texts    Texts
	Pictures Pictures // nil: pages have no pictures
	Status   Status
	Silencer Silencer        // nil: nothing can be silenced
	Settings func() Settings // called for each request, because a reload may change them
	// Protected reports whether reading the page of a request needs credentials.
	Protected func(r *http.Request) bool
	// Authenticate calls next for authenticated requests only. Actions always need credentials, even if reading pages does not.
	Authenticate func(next http.Handler) http.Handler
	Registry     prometheus.Registerer
	Log          *slog.Logger
	Now          func() time.Time
}

// Pages serves the pages and the API.
type Pages struct {
	cfg     Config
	tmpl    *template.Template
	words   *i18n.Bundle
	reads   *limit
	started time.Time
	lists   *semaphore.Weighted // limits answers of the API to listsAtOnce
}

// New makes the pages.
func New(cfg Config) *Pages {
	return &Pages{
		cfg: cfg, started: cfg.Now(), words: bundle(), tmpl: templates(), reads: newLimit(cfg.Registry),
		lists: semaphore.NewWeighted(listsAtOnce),
	}
}

// templates and bundle are built once from embedded files.
var (
	templates = sync.OnceValue(func() *template.Template { return template.Must(template.ParseFS(files, "templates/*.html")) })
	bundle    = sync.OnceValue(func() *i18n.Bundle {
		b, err := i18n.New()
		if err != nil {
			panic(err)
		}
		return b
	})
)

// Register adds the pages to mux.
func (p *Pages) Register(mux *http.ServeMux) {
	for pattern, h := range map[string]http.HandlerFunc{
		"GET /":                             p.nowhere,
		"GET /{$}":                          p.overview,
		"GET /reports":                      p.reports,
		"GET /reports/{name}":               p.report,
		"GET /reports/{name}/trend.png":     p.reportPicture,
		"GET /incidents":                    p.incidents,
		"GET /incidents/{id}":               p.incident,
		"GET /incidents/{id}/graph.png":     p.incidentPicture,
		"GET /incidents/{id}/postmortem.md": p.markdown,
		"GET /incidents/{id}/history":       p.versions,
		"GET /noise":                        p.noise,
		"GET /clusters/{name}":              p.cluster,
		"GET /deliveries":                   p.deliveries,
		"GET /deliveries/{id}":              p.delivery,
		"GET /sources":                      p.sources,
	} {
		mux.Handle(pattern, p.timed(p.limited(h)))
	}
	mux.HandleFunc("GET /api/", apiNowhere)
	for n, h := range []http.HandlerFunc{p.apiIncidents, p.apiReports, p.apiDeliveries} {
		mux.HandleFunc("GET "+apiPaths[n], h)
	}
	mux.Handle("POST /deliveries/{id}/{action}", p.cfg.Authenticate(p.timed(p.act)))
	mux.Handle("POST /deliveries/retry", p.cfg.Authenticate(p.timed(p.retryCause)))
	// The form needs credentials too, so that a browser asks for them before a person has typed a text.
	mux.Handle("GET /incidents/{id}/edit", p.cfg.Authenticate(p.timed(p.limited(p.edit))))
	mux.Handle("POST /incidents/{id}/edit", p.cfg.Authenticate(p.timed(p.save)))
	mux.Handle("POST /incidents/{id}/acknowledge", p.cfg.Authenticate(p.timed(p.acknowledge)))
	mux.Handle("POST /incidents/{id}/release", p.cfg.Authenticate(p.timed(p.release)))
	mux.Handle("POST /incidents/{id}/silence", p.cfg.Authenticate(p.timed(p.silence)))
	mux.Handle("POST /incidents/{id}/unsilence", p.cfg.Authenticate(p.timed(p.unsilence)))
	mux.Handle("POST /incidents/{id}/note", p.cfg.Authenticate(p.timed(p.note)))
}

// timed limits the time of a page.
func (p *Pages) timed(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		h(w, r.WithContext(ctx))
	})
}

// limited limits how many pages are built at the same time, and so their memory.
func (p *Pages) limited(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		release, ok := p.reads.acquire(r.Context())
		if !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
			p.refuse(w, r, http.StatusServiceUnavailable, "too_busy")
			return
		}
		defer release()
		h(w, r)
	}
}

func (p *Pages) nowhere(w http.ResponseWriter, r *http.Request) { p.fail(w, r, reporter.ErrNotFound) }

// SecureHeaders adds headers by which browsers load no other resources into next's pages, and keep them out of frames and caches.
func SecureHeaders(next http.Handler) http.Handler {
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer, browsers would also hide the origin of these pages' forms, which is checked against those of others.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// page is the data of a template: the words and settings of the request, and the content of the page.
type page struct {
	i18n.Words
	Settings
	Section string // of the navigation
	Title   string
	Body    any
	now     time.Time
	young   bool // the program has just started, so there may be no samples yet
}

func (p *Pages) page(section, title string) *page {
	s := p.cfg.Settings()
	words, err := p.words.Words(s.Locale, i18n.Pages)
	if err != nil { // the configuration refuses such a locale
		words, _ = p.words.Words(reporter.DefaultLocale, i18n.Pages)
	}
	v := &page{Words: words, Settings: s, Section: section, now: p.cfg.Now()}
	v.young = v.now.Sub(p.started) < staleAfter
	v.Title = v.T(title)
	return v
}

// Style returns the style sheet. The policy of SecureHeaders allows it by its hash.
func (v *page) Style() template.CSS { return template.CSS(style) } //nolint:gosec // an embedded file

// stamp is a time for templates.
type stamp struct{ ISO, Text, Relative string }

// At returns a time in the zone of the pages; nil for the zero time.
func (v *page) At(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	return &stamp{t.UTC().Format(time.RFC3339), t.In(v.Zone).Format(i18n.Second), v.Relative(t, v.now)}
}

// Now returns the time of the request.
func (v *page) Now() *stamp { return v.At(v.now) }

// Filter returns a path with a query of the pairs that have a value.
func (v *page) Filter(path string, pairs ...string) string { return address(path, pairs...) }

// ZoneName returns the name of the zone for people.
func (v *page) ZoneName() string { return v.Words.ZoneName(v.Zone) }

// Dur writes a duration, with milliseconds below a second.
func (v *page) Dur(d time.Duration) string { return v.Precise(d) }

// IncidentPath returns the path of an incident's page. The id may have any characters.
func (v *page) IncidentPath(id string) string { return "/incidents/" + url.PathEscape(id) }

// ReportPath returns the path of a report's page as of a due time.
func (v *page) ReportPath(name string, due time.Time) string {
	return "/reports/" + url.PathEscape(name) + "?at=" + url.QueryEscape(due.In(v.Zone).Format(time.RFC3339))
}

// ReportHome returns the path of a report's page.
func (v *page) ReportHome(name string) string { return "/reports/" + url.PathEscape(name) }

func (p *Pages) show(w http.ResponseWriter, r *http.Request, name string, v *page) {
	p.write(w, r, http.StatusOK, name, v)
}

func (p *Pages) write(w http.ResponseWriter, r *http.Request, code int, name string, v *page) {
	var b bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&b, name, v); err != nil {
		p.cfg.Log.Error("page failed", "path", r.URL.Path, "err", err)
		http.Error(w, v.T("failed"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(b.Len()))
	w.WriteHeader(code)
	w.Write(b.Bytes())
}

// refuse answers with an error page with the words of a key.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, code int, key string, args ...any) {
	v := p.page("", "error_"+strconv.Itoa(code))
	v.Body = v.T(key, args...)
	p.write(w, r, code, "error.html", v)
}

// fail answers with an error page. The text of the error is only logged.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		p.refuse(w, r, http.StatusNotFound, "not_found")
	case errors.Is(err, reporter.ErrBusy):
		w.Header().Set("Retry-After", "10")
		p.refuse(w, r, http.StatusServiceUnavailable, "too_busy")
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		p.cfg.Log.Error("page took too long", "path", r.URL.Path, "err", err)
		p.refuse(w, r, http.StatusServiceUnavailable, "too_slow")
	case r.Context().Err() != nil: // the client has left
	default:
		p.cfg.Log.Error("page failed", "path", r.URL.Path, "err", err)
		p.refuse(w, r, http.StatusInternalServerError, "failed")
	}
}

// markup marks the HTML of a message as safe: the renderer has escaped every value in it.
func markup(html string) template.HTML { return template.HTML(html) } //nolint:gosec // see above

// storable reports whether a text of a request can be stored: PostgreSQL refuses NUL and invalid UTF-8, which would be answered 500.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// image is a picture in a page.
type image struct {
	URL  template.URL // with the PNG as data
	Text string       // describes it
}

// drawImage draws a picture for a page; nil if there is none. Failed means that drawing failed; the page is shown without it.
func (p *Pages) drawImage(r *http.Request, draw func(Pictures) (reporter.Picture, error)) (_ *image, failed bool) {
	if p.cfg.Pictures == nil {
		return nil, false
	}
	picture, err := draw(p.cfg.Pictures)
	failed = err != nil && !errors.Is(err, reporter.ErrNotFound)
	if failed && r.Context().Err() == nil {
		p.cfg.Log.Warn("picture was not drawn", "path", r.URL.Path, "err", err)
	}
	if len(picture.PNG) == 0 {
		return nil, failed
	}
	url := "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture.PNG)
	return &image{template.URL(url), picture.Text}, failed //nolint:gosec // base64 of an image
}

// servePicture answers with a PNG.
func (p *Pages) servePicture(w http.ResponseWriter, r *http.Request, draw func(Pictures) (reporter.Picture, error)) {
	if p.cfg.Pictures == nil {
		p.fail(w, r, reporter.ErrNotFound)
		return
	}
	picture, err := draw(p.cfg.Pictures)
	png := picture.PNG
	if err == nil && len(png) == 0 {
		err = fmt.Errorf("picture: %w", reporter.ErrNotFound)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(png)))
	w.Write(png)
}
