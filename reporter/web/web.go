// Package web serves the reporter's pages for people: what the store, the builders and the parts know comes in,
// server-rendered HTML goes out.
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
	// pageTime bounds the making of a page.
	pageTime = 25 * time.Second
	// listed is how many incidents or deliveries one page lists.
	listed = 30
)

// Store is what the pages read and change. Errors are shown as 500, without their text; reporter.ErrNotFound as 404.
type Store interface {
	Incidents
	Noise
	Deliveries
	Actions
	Writings
}

// Writings is what people write about incidents.
type Writings interface {
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
	EntriesOf(ctx context.Context, incidents []string) (map[string][]reporter.Entry, error)
	// Write adds entries, all or none. reporter.ErrConflict: one supersedes a version that is not the latest any more.
	// reporter.ErrTooMany: no more are taken.
	Write(ctx context.Context, entries ...reporter.Entry) ([]reporter.Entry, error)
	// Acknowledge and Release say whether they changed something. reporter.ErrResolved: the incident is resolved.
	Acknowledge(ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef) (reporter.Entry, bool, error)
	Release(ctx context.Context, incident string, by reporter.Person, from reporter.MessageRef) (reporter.Entry, bool, error)
}

// Incidents is the journal.
type Incidents interface {
	ListIncidents(ctx context.Context, f reporter.IncidentFilter) (reporter.IncidentPage, error)
	IncidentFacets(ctx context.Context) (reporter.IncidentFacets, error)
	// IncidentsAfter returns at most f.Limit incidents without alerts, the newest first whatever their state, behind f.After.
	IncidentsAfter(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error)
	// IncidentExtract returns an incident with all its alerts, or with a selection if they are very many.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	ListAlerts(ctx context.Context, f reporter.AlertFilter) (reporter.AlertPage, error)
}

// Deliveries is what was sent, or is to be.
type Deliveries interface {
	ListDeliveries(ctx context.Context, f reporter.DeliveryFilter) ([]reporter.Delivery, error)
	// DeliveryCauses returns why deliveries were not sent, or wait longer than for their turn.
	DeliveryCauses(ctx context.Context) ([]reporter.DeliveryCause, error)
	Delivery(ctx context.Context, id int64) (reporter.Delivery, error)
	// ReportDeliveries returns those of the report's latest due times before that moment, at most limit due times.
	ReportDeliveries(ctx context.Context, report string, before time.Time, limit int) ([]reporter.Delivery, error)
}

// Actions is what people can do. An error beside a delivery that is as it was before means that it cannot be done.
type Actions interface {
	RetryDelivery(ctx context.Context, id int64, now time.Time) error
	// RetryCause retries the deliveries that a cause keeps back, and returns how many those were.
	RetryCause(ctx context.Context, c reporter.DeliveryCause, now time.Time) (int, error)
	CancelDelivery(ctx context.Context, id int64, now time.Time) error
}

// Texts builds what a page shows.
type Texts interface {
	// Report builds the named report as of at, with its message. reporter.ErrNotFound: there is no such report.
	Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error)
	// Postmortem builds that of an incident with its message, open ones included.
	Postmortem(ctx context.Context, in reporter.Incident) (reporter.Postmortem, reporter.Message, error)
	// Markdown writes a postmortem as a document.
	Markdown(p reporter.Postmortem) (string, error)
}

// Pictures is what Texts may be too: it draws what a page shows beside the text, as PNG. reporter.ErrNotFound: there is
// nothing to draw.
type Pictures interface {
	ReportPicture(ctx context.Context, name string, at time.Time) (reporter.Picture, error)
	IncidentPicture(ctx context.Context, in reporter.Incident) (reporter.Picture, error)
}

// Settings is how the pages look.
type Settings struct {
	Zone        *time.Location
	Locale      string // one of i18n.Locales
	Product     string
	ExternalURL string // where browsers reach the pages; "" is not known
	Version     string
	Hours       reporter.WorkingHours
}

// Config is what the pages are made of.
type Config struct {
	Store    Store
	Texts    Texts
	Status   Status
	Silencer Silencer        // nil: nothing can be silenced
	Settings func() Settings // asked at each request, since a reload may change it
	// Protected says whether a request that is served had to be authenticated.
	Protected func(r *http.Request) bool
	// Authenticate serves next to authenticated requests only: actions are never open, whoever may read the pages.
	Authenticate func(next http.Handler) http.Handler
	Registry     prometheus.Registerer
	Log          *slog.Logger
	Now          func() time.Time
}

// Pages is the set of pages.
type Pages struct {
	cfg     Config
	tmpl    *template.Template
	words   *i18n.Bundle
	reads   *limit
	started time.Time
	lists   *semaphore.Weighted // answers to programs that are being written
}

// New builds the pages.
func New(cfg Config) *Pages {
	return &Pages{
		cfg: cfg, started: cfg.Now(), words: bundle(), tmpl: templates(), reads: newLimit(cfg.Registry),
		lists: semaphore.NewWeighted(listsAtOnce),
	}
}

// templates and bundle are made of the program's own files, once: templates cannot change after their first execution.
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
	// The form asks for credentials too, so that a browser does before a person has typed anything.
	mux.Handle("GET /incidents/{id}/edit", p.cfg.Authenticate(p.timed(p.limited(p.edit))))
	mux.Handle("POST /incidents/{id}/edit", p.cfg.Authenticate(p.timed(p.save)))
	mux.Handle("POST /incidents/{id}/acknowledge", p.cfg.Authenticate(p.timed(p.acknowledge)))
	mux.Handle("POST /incidents/{id}/release", p.cfg.Authenticate(p.timed(p.release)))
	mux.Handle("POST /incidents/{id}/silence", p.cfg.Authenticate(p.timed(p.silence)))
	mux.Handle("POST /incidents/{id}/unsilence", p.cfg.Authenticate(p.timed(p.unsilence)))
	mux.Handle("POST /incidents/{id}/note", p.cfg.Authenticate(p.timed(p.note)))
}

// timed bounds the time of a page.
func (p *Pages) timed(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pageTime)
		defer cancel()
		h(w, r.WithContext(ctx))
	})
}

// limited bounds how many pages are made at the same time, and with them the memory that they take.
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

// SecureHeaders lets next's pages load only themselves, and keeps them out of frames and caches.
func SecureHeaders(next http.Handler) http.Handler {
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; img-src 'self' data:; frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer a browser hides the origin of our own forms too, which distinguishes them from those of others.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// page is what a template sees: the words and settings of the request, and the page's own content.
type page struct {
	i18n.Words
	Settings
	Section string // of the navigation
	Title   string
	Body    any
	now     time.Time
	young   bool // the program has just started, so that something may not be there yet
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

// Style is the style sheet, whose sum the policy of SecureHeaders names.
func (v *page) Style() template.CSS { return template.CSS(style) } //nolint:gosec // it is our own

// stamp is a moment as a template shows it.
type stamp struct{ ISO, Text, Relative string }

// At shows a moment in the zone of the pages; nil for the zero time.
func (v *page) At(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	return &stamp{t.UTC().Format(time.RFC3339), t.In(v.Zone).Format(i18n.Second), v.Relative(t, v.now)}
}

// Now is when the page was made.
func (v *page) Now() *stamp { return v.At(v.now) }

// Filter is a path with a query of the pairs that have a value.
func (v *page) Filter(path string, pairs ...string) string { return address(path, pairs...) }

// ZoneName names the zone for people.
func (v *page) ZoneName() string { return v.Words.ZoneName(v.Zone) }

// Dur shows a duration, which may be below a second.
func (v *page) Dur(d time.Duration) string { return v.Precise(d) }

// IncidentPath is the page of an incident, whatever characters its id has.
func (v *page) IncidentPath(id string) string { return "/incidents/" + url.PathEscape(id) }

// ReportPath is the page of a report as of a due time.
func (v *page) ReportPath(name string, due time.Time) string {
	return "/reports/" + url.PathEscape(name) + "?at=" + url.QueryEscape(due.In(v.Zone).Format(time.RFC3339))
}

// ReportHome is the page of a report.
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

// refuse answers with a page that says why, in the words of a key.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, code int, key string, args ...any) {
	v := p.page("", "error_"+strconv.Itoa(code))
	v.Body = v.T(key, args...)
	p.write(w, r, code, "error.html", v)
}

// fail answers what cannot be shown. What the reason is, is for the log.
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

// markup trusts a rendered message: the renderer has escaped every value in it, and only it makes messages.
func markup(html string) template.HTML { return template.HTML(html) } //nolint:gosec // see above

// storable says whether a text of a request can be the text of a row: PostgreSQL takes neither NUL nor bytes that are no
// UTF-8, and an error of its own would be no answer.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// picture makes an image of PNG bytes that stands in the page itself; "" for none.
func picture(png []byte) template.URL {
	if len(png) == 0 {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)) //nolint:gosec // base64 of an image
}

// drawn is a picture in a page.
type drawn struct {
	URL  template.URL // "" means none
	Text string       // what it shows
}

// drawn returns a picture for a page, and whether one failed that there may be. That costs the picture only.
func (p *Pages) drawn(r *http.Request, draw func(Pictures) (reporter.Picture, error)) (_ *drawn, failed bool) {
	pictures, ok := p.cfg.Texts.(Pictures)
	if !ok {
		return nil, false
	}
	b, err := draw(pictures)
	failed = err != nil && !errors.Is(err, reporter.ErrNotFound)
	if failed && r.Context().Err() == nil {
		p.cfg.Log.Warn("picture was not drawn", "path", r.URL.Path, "err", err)
	}
	if url := picture(b.PNG); url != "" {
		return &drawn{url, b.Text}, failed
	}
	return nil, failed
}

// servePicture answers with a picture alone.
func (p *Pages) servePicture(w http.ResponseWriter, r *http.Request, draw func(Pictures) (reporter.Picture, error)) {
	pictures, ok := p.cfg.Texts.(Pictures)
	if !ok {
		p.fail(w, r, reporter.ErrNotFound)
		return
	}
	picture, err := draw(pictures)
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
