// Package web serves the reporter's pages for people: incidents, reports and deliveries come in from the store and the
// builders, server-rendered HTML goes out.
package web

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

//go:embed templates/*.html
var files embed.FS

// listed is how many incidents or deliveries a page shows, newest first.
const listed = 100

// Store is what the pages read. Errors are shown as 500, without their text; reporter.ErrNotFound as 404.
type Store interface {
	Incidents(ctx context.Context, limit int) ([]reporter.Incident, error)
	Incident(ctx context.Context, id string) (reporter.Incident, error)
	Deliveries(ctx context.Context, limit int) ([]reporter.Delivery, error)
}

// Texts builds what a page shows.
type Texts interface {
	// Report builds the named report as of at, with its message. reporter.ErrNotFound: there is no such report.
	Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error)
	// Postmortem builds the message of an incident, open ones included.
	Postmortem(ctx context.Context, in reporter.Incident) (reporter.Message, error)
	// Reports names the configured reports.
	Reports() []string
}

// Pages is the set of pages.
type Pages struct {
	store Store
	texts Texts
	zone  func() *time.Location
	log   *slog.Logger
	now   func() time.Time
	tmpl  *template.Template
}

// New builds the pages; zone is asked at each request, since a reload may change it.
func New(store Store, texts Texts, zone func() *time.Location, log *slog.Logger, now func() time.Time) *Pages {
	p := &Pages{store: store, texts: texts, zone: zone, log: log, now: now}
	p.tmpl = template.Must(template.New("").Funcs(template.FuncMap{
		"time": func(t time.Time) string {
			if t.IsZero() {
				return "—"
			}
			return t.In(zone()).Format("2006-01-02 15:04:05")
		},
		"duration": func(in reporter.Incident) time.Duration { return in.Duration().Round(time.Second) },
	}).ParseFS(files, "templates/*.html"))
	return p
}

// Register adds the pages to mux.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET /reports/{name}", p.report)
	mux.HandleFunc("GET /incidents", p.incidents)
	mux.HandleFunc("GET /incidents/{id}", p.incident)
	mux.HandleFunc("GET /deliveries", p.deliveries)
}

type page struct {
	Title    string
	Reports  []string
	Zone     string
	Text     template.HTML
	Report   *reporter.Report
	NoData   []reporter.Figure
	Incident *reporter.Incident
	List     any
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, name string, data page) {
	data.Reports, data.Zone = p.texts.Reports(), p.zone().String()
	var b bytes.Buffer
	if err := p.tmpl.ExecuteTemplate(&b, name, data); err != nil {
		p.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// SecureHeaders lets next's pages load nothing but themselves, and keeps them out of frames and caches.
func SecureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "+
			"frame-ancestors 'none'; form-action 'self'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case r.Context().Err() != nil: // the client has left
	default:
		p.log.Error("page failed", "path", r.URL.Path, "err", err)
		http.Error(w, "the page could not be made; the log says why", http.StatusInternalServerError)
	}
}

func (p *Pages) report(w http.ResponseWriter, r *http.Request) {
	at := p.now()
	if s := r.URL.Query().Get("at"); s != "" {
		var err error
		if at, err = time.Parse(time.RFC3339, s); err != nil {
			http.Error(w, "at: want a time such as 2026-04-22T08:00:00+08:00", http.StatusBadRequest)
			return
		}
	}
	rep, msg, err := p.texts.Report(r.Context(), r.PathValue("name"), at)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, "report.html", page{Title: msg.Title, Text: markup(msg.HTML), Report: &rep, NoData: noData(rep)})
}

func noData(rep reporter.Report) []reporter.Figure {
	var out []reporter.Figure
	for _, f := range rep.Figures {
		if len(f.Samples) == 0 {
			out = append(out, f)
		}
	}
	return out
}

func (p *Pages) incidents(w http.ResponseWriter, r *http.Request) {
	list, err := p.store.Incidents(r.Context(), listed)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, "incidents.html", page{Title: "Incidents", List: list})
}

func (p *Pages) incident(w http.ResponseWriter, r *http.Request) {
	in, err := p.store.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		p.fail(w, r, err)
		return
	}
	msg, err := p.texts.Postmortem(r.Context(), in)
	if err != nil {
		p.fail(w, r, fmt.Errorf("postmortem: %w", err))
		return
	}
	p.show(w, r, "incident.html", page{Title: in.ID, Text: markup(msg.HTML), Incident: &in})
}

func (p *Pages) deliveries(w http.ResponseWriter, r *http.Request) {
	list, err := p.store.Deliveries(r.Context(), listed)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.show(w, r, "deliveries.html", page{Title: "Deliveries", List: list})
}

// markup trusts a rendered message: the renderer has escaped every value in it, and only it makes messages.
func markup(html string) template.HTML { return template.HTML(html) } //nolint:gosec // see above
