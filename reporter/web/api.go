package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	htmltext "github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// listsAtOnce is the most concurrent answers. Each holds one batch in memory.
	listsAtOnce = 8
	// The items of a batch: incidents, deliveries (which include their texts), and due times of a report.
	batch           = 500
	batchDeliveries = 50
	batchDues       = 20
	limitDefault    = 1000
	limitMax        = 100_000
	// batchTime is the timeout of reading a batch, writeTime that of a client to accept it, and listTime that of the whole answer.
	batchTime = 25 * time.Second
	writeTime = 30 * time.Second
	listTime  = 4 * time.Minute
)

// source reads the next items of a list, at most limit. An error of the request is a *badQuery.
type source func(ctx context.Context, limit int) ([]item, error)

// item is one element of a list.
type item struct {
	value  any
	cursor string // position of the next item
}

// badQuery is the error of an invalid request, in English.
type badQuery struct{ text string }

func (e *badQuery) Error() string { return e.text }

// apiPaths are the paths of the lists of incidents, reports and deliveries.
var apiPaths = []string{"/api/v1/incidents", "/api/v1/reports", "/api/v1/deliveries"}

// apiError answers with an error as JSON, in English.
func apiError(w http.ResponseWriter, code int, text string) {
	b, err := json.Marshal(map[string]string{"error": text})
	if err != nil { // a string can always be marshalled
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}

// checkParameters refuses unknown and repeated parameters. If a misspelt filter were ignored, the whole list would pass for the
// filtered one.
func checkParameters(query string, filters []string) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("parameters cannot be read: %w", err)
	}
	known := append(slices.Clone(filters), "limit", "after")
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, name):
			return fmt.Errorf("unknown parameter %.40q (have %s)", name, strings.Join(known, ", "))
		case len(q[name]) > 1:
			return fmt.Errorf("%s: is given %d times, want it once", name, len(q[name]))
		}
	}
	return nil
}

// list streams the items of a source as {"KEY": […], "next": CURSOR}. No query is open while the client reads, so a slow client holds
// a batch in memory, but nothing in the database.
func (p *Pages) list(w http.ResponseWriter, r *http.Request, key string, filters []string, read source) {
	if err := checkParameters(r.URL.RawQuery, filters); err != nil {
		apiError(w, http.StatusBadRequest, err.Error())
		return
	}
	limit := limitDefault
	if s := r.URL.Query().Get("limit"); s != "" {
		var err error
		if limit, err = strconv.Atoi(s); err != nil || limit < 1 || limit > limitMax {
			apiError(w, http.StatusBadRequest, fmt.Sprintf("limit: want a number from 1 to %d", limitMax))
			return
		}
	}
	if !p.lists.TryAcquire(1) {
		p.reads.refused.Inc()
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		apiError(w, http.StatusServiceUnavailable, "too many requests are being answered, try again in a few seconds")
		return
	}
	defer p.lists.Release(1)
	ctx, cancel := context.WithTimeout(r.Context(), listTime)
	defer cancel()
	out := http.NewResponseController(w)
	var b bytes.Buffer
	fmt.Fprintf(&b, "{%q: [", key)
	next, last, sent := "", "", 0
	for begun := false; ; begun = true {
		// One item more than is sent shows whether the list continues.
		items, err := p.batch(ctx, read, limit-sent+1)
		switch {
		case err == nil:
		case !begun:
			p.refuseList(w, r, err)
			return
		default: // The connection is aborted, so that the client does not take the part for the whole.
			p.cfg.Log.Error("list was cut", "path", r.URL.Path, "err", err)
			panic(http.ErrAbortHandler)
		}
		for _, it := range items {
			if sent == limit {
				next = last
				break
			}
			text, err := json.Marshal(it.value)
			if err != nil {
				p.cfg.Log.Error("list was cut", "path", r.URL.Path, "err", err)
				panic(http.ErrAbortHandler)
			}
			if sent > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
			b.Write(text)
			last = it.cursor
			sent++
		}
		whole := len(items) == 0 || next != ""
		if whole {
			cursor, err := json.Marshal(next)
			if next == "" || err != nil {
				cursor = []byte("null")
			}
			fmt.Fprintf(&b, "\n], \"next\": %s}\n", cursor)
		}
		if !begun {
			w.Header().Set("Content-Type", "application/json")
		}
		_ = out.SetWriteDeadline(time.Now().Add(writeTime)) // not supported by every writer
		if _, err := w.Write(b.Bytes()); err != nil || ctx.Err() != nil {
			panic(http.ErrAbortHandler)
		}
		if whole {
			return
		}
		b.Reset()
		_ = out.Flush() // not supported by every writer
	}
}

// batch reads a batch, within the limits of page requests.
func (p *Pages) batch(ctx context.Context, read source, limit int) ([]item, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	release, ok := p.reads.acquire(ctx)
	if !ok {
		return nil, reporter.ErrBusy
	}
	defer release()
	return read(ctx, limit)
}

func (p *Pages) refuseList(w http.ResponseWriter, r *http.Request, err error) {
	var bad *badQuery
	switch {
	case errors.As(err, &bad):
		apiError(w, http.StatusBadRequest, bad.text)
	case errors.Is(err, reporter.ErrNotFound):
		apiError(w, http.StatusNotFound, "not found")
	case errors.Is(err, reporter.ErrBusy):
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		apiError(w, http.StatusServiceUnavailable, "too many requests are being processed, try again in a few seconds")
	case r.Context().Err() != nil: // the client has left
	default:
		p.cfg.Log.Error("list failed", "path", r.URL.Path, "err", err)
		apiError(w, http.StatusInternalServerError, "failed, see the log")
	}
}

// apiNowhere answers requests for unknown paths.
func apiNowhere(w http.ResponseWriter, _ *http.Request) {
	apiError(w, http.StatusNotFound, "unknown path (have "+strings.Join(apiPaths, ", ")+")")
}

// said returns the error of an invalid request in English.
func (p *Pages) said(bad *badRequest) *badQuery {
	words, err := p.words.Words("en", i18n.Pages)
	if err != nil {
		return &badQuery{bad.key}
	}
	return &badQuery{words.T(bad.key, bad.args...)}
}

func (p *Pages) apiIncidents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, _, bad := readFilter(q, p.cfg.Settings().Zone)
	filters := []string{"state", "severity", "team", "cluster", "from", "to", "q"}
	p.list(w, r, "incidents", filters, func(ctx context.Context, limit int) ([]item, error) {
		if bad != nil {
			return nil, p.said(bad)
		}
		if s := q.Get("after"); s != "" && f.After == nil {
			startedAt, id, ok := parseCursor(s)
			if !ok {
				return nil, errAfter
			}
			f.After = &reporter.IncidentCursor{StartedAt: startedAt, ID: id}
		}
		f.Limit = min(limit, batch)
		rows, err := p.cfg.Store.IncidentsAfter(ctx, f)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		ids := make([]string, len(rows))
		for n, row := range rows {
			ids[n] = row.Incident.ID
		}
		entries, err := p.cfg.Store.EntriesOf(ctx, ids)
		if err != nil {
			return nil, err
		}
		out := make([]item, len(rows))
		for n, row := range rows {
			in := row.Incident
			page := p.pageURL("/incidents/" + url.PathEscape(in.ID))
			out[n] = item{row.Document(page, entries[in.ID]), cursorText(in.StartedAt, in.ID)}
		}
		last := rows[len(rows)-1].Incident
		f.After = &reporter.IncidentCursor{StartedAt: last.StartedAt, ID: last.ID}
		return out, nil
	})
}

// errAfter is the error of a cursor that this program has not returned.
var errAfter = &badQuery{"after: want the value of next of an earlier answer"}

// pageURL returns the address of a page; "" without external_url.
func (p *Pages) pageURL(path string) string {
	if external := p.cfg.Settings().ExternalURL; external != "" {
		return strings.TrimRight(external, "/") + path
	}
	return ""
}

// cursorText writes a position in a list that is ordered by a time and an id: the time in microseconds since 1970, "~" and the id.
func cursorText(at time.Time, id string) string {
	return fmt.Sprintf("%d~%s", at.UnixMicro(), id)
}

// parseCursor reads the text of a position; false if it is not one.
func parseCursor(s string) (at time.Time, id string, ok bool) {
	number, id, found := strings.Cut(s, "~")
	micros, err := strconv.ParseInt(number, 10, 64)
	return time.UnixMicro(micros), id, err == nil && found && storable(id)
}

// deliveryDocument is a delivery as JSON for programs. Times are UTC; null means not yet.
type deliveryDocument struct {
	ID          int64                  `json:"id"`
	Kind        reporter.DeliveryKind  `json:"kind"`
	Subject     string                 `json:"subject"`
	Receiver    string                 `json:"receiver"`
	State       reporter.DeliveryState `json:"state"`
	Title       string                 `json:"title,omitempty"` // once it is composed
	Parts       int                    `json:"parts"`
	PartsSent   int                    `json:"parts_sent"`
	Attempts    int                    `json:"attempts"`
	Reason      reporter.Reason        `json:"reason"` // why it was not sent, or waits; "" means none
	Error       string                 `json:"error"`
	CreatedAt   *time.Time             `json:"created_at"`
	NextAttempt *time.Time             `json:"next_attempt_at"` // of a pending one
	FinishedAt  *time.Time             `json:"finished_at"`
	MergedInto  int64                  `json:"merged_into,omitempty"`
}

func newDeliveryDocument(row deliveryRow) deliveryDocument {
	moment := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	d := row.D
	out := deliveryDocument{
		ID: d.ID, Kind: d.Kind, Subject: d.Subject, Receiver: d.Receiver, State: d.State, Parts: row.All, PartsSent: row.Sent,
		Attempts: d.Attempts, Reason: d.Reason, Error: d.LastError, CreatedAt: moment(d.CreatedAt), FinishedAt: moment(d.FinishedAt),
		MergedInto: d.MergedInto,
	}
	if d.State == reporter.DeliveryPending {
		out.NextAttempt = moment(d.NextAttempt)
	}
	if d.Message != nil {
		out.Title = d.Message.Title
	}
	return out
}

func (p *Pages) apiDeliveries(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := p.page("", "deliveries")
	f := reporter.DeliveryFilter{
		State: reporter.DeliveryState(q.Get("state")), Receiver: q.Get("receiver"), Kind: reporter.DeliveryKind(q.Get("kind")),
		Subject: q.Get("subject"),
	}
	p.list(w, r, "deliveries", []string{"state", "receiver", "kind", "subject"}, func(ctx context.Context, limit int) ([]item, error) {
		switch {
		case f.State != "" && !slices.Contains(deliveryStates, f.State):
			return nil, p.said(&badRequest{"bad_state", []any{q.Get("state")}})
		case f.Kind != "" && !slices.Contains(reporter.DeliveryKinds(), f.Kind):
			return nil, p.said(&badRequest{"bad_kind", []any{q.Get("kind")}})
		case !storable(f.Receiver), !storable(f.Subject):
			return nil, p.said(&badRequest{"bad_text", []any{longestFilter}})
		}
		if s := q.Get("after"); s != "" && f.Before == 0 {
			var err error
			if f.Before, err = strconv.ParseInt(s, 10, 64); err != nil || f.Before < 1 {
				return nil, errAfter
			}
		}
		f.Limit = min(limit, batchDeliveries)
		ds, err := p.cfg.Store.ListDeliveries(ctx, f)
		if err != nil || len(ds) == 0 {
			return nil, err
		}
		out := make([]item, len(ds))
		for n, row := range v.deliveryRows(ds, acting{}) {
			out[n] = item{newDeliveryDocument(row), strconv.FormatInt(row.D.ID, 10)}
		}
		f.Before = ds[len(ds)-1].ID
		return out, nil
	})
}

// reportDocument is a report as of a due time, as JSON for programs.
type reportDocument struct {
	Name       string             `json:"name"`
	Due        time.Time          `json:"due"`
	Title      string             `json:"title,omitempty"`    // once it is composed
	Text       string             `json:"text,omitempty"`     // as plain text
	Markdown   string             `json:"markdown,omitempty"` // the same text as Markdown
	URL        string             `json:"url,omitempty"`
	Deliveries []deliveryDocument `json:"deliveries"`
}

func (p *Pages) apiReports(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := p.page("", "reports")
	zone := p.cfg.Settings().Zone
	var names []string
	for _, plan := range p.cfg.Status.Reports() {
		names = append(names, plan.Name)
	}
	var from, before time.Time
	prepare := func() error {
		if name := q.Get("name"); name != "" {
			if !storable(name) {
				return p.said(&badRequest{"bad_text", []any{longestFilter}})
			}
			names = []string{name}
		}
		for key, into := range map[string]*time.Time{"from": &from, "to": &before} {
			if s := q.Get(key); s != "" {
				day, err := time.ParseInLocation(time.DateOnly, s, zone)
				if err != nil {
					return p.said(&badRequest{"bad_date", []any{key}})
				}
				*into = day
			}
		}
		if !before.IsZero() {
			before = before.AddDate(0, 0, 1) // the whole day
		}
		if s := q.Get("after"); s != "" {
			of, err := reporter.ParseSubject(s)
			at := slices.Index(names, of.Report)
			if err != nil || at < 0 {
				return errAfter
			}
			names, before = names[at:], of.Due
		}
		return nil
	}
	last := before
	begun := false
	p.list(w, r, "reports", []string{"name", "from", "to"}, func(ctx context.Context, limit int) ([]item, error) {
		if !begun {
			if err := prepare(); err != nil {
				return nil, err
			}
			begun, last = true, before
			if q.Get("after") != "" { // the cursor is in the first report; the others begin at their latest due time, or at "to"
				before = time.Time{}
				if s := q.Get("to"); s != "" {
					day, _ := time.ParseInLocation(time.DateOnly, s, zone) // parsed by prepare
					before = day.AddDate(0, 0, 1)
				}
			}
		}
		for len(names) > 0 {
			ds, err := p.cfg.Store.ReportDeliveries(ctx, names[0], last, min(limit, batchDues))
			if err != nil {
				return nil, err
			}
			var out []item
			for _, due := range v.dues(ds) {
				if due.Due.Before(from) {
					break
				}
				out = append(out, item{p.reportDocument(names[0], due), reporter.Subject{Report: names[0], Due: due.Due}.String()})
				last = due.Due
			}
			if len(out) > 0 {
				return out, nil
			}
			names, last = names[1:], before
		}
		return nil, nil
	})
}

func (p *Pages) reportDocument(name string, due dueRow) reportDocument {
	out := reportDocument{Name: name, Due: due.Due.UTC(), URL: p.pageURL(due.Path)}
	for _, d := range due.Deliveries {
		out.Deliveries = append(out.Deliveries, newDeliveryDocument(d))
		if m := d.D.Message; m != nil && out.Text == "" {
			out.Title, out.Text, out.Markdown = cmp.Or(m.Title, out.Title), htmltext.Plain(m.Whole()), htmltext.Markdown(m.Whole())
		}
	}
	return out
}
