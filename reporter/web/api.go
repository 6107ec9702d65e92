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
	// listsAtOnce is how many answers to programs are written at the same time: each holds one batch.
	listsAtOnce = 8
	// batch is how many incidents are read at once, batchDeliveries how many deliveries, which hold their texts, and batchDues
	// how many due times of a report.
	batch           = 500
	batchDeliveries = 50
	batchDues       = 20
	limitDefault    = 1000
	limitMax        = 100_000
	// batchTime bounds the reading of a batch, writeTime how long a client may take to accept it, and listTime the whole.
	batchTime = 25 * time.Second
	writeTime = 30 * time.Second
	listTime  = 4 * time.Minute
)

// source reads the next items of a list, at most limit, each with the cursor behind it. An error of the request is a *badQuery.
type source func(ctx context.Context, limit int) ([]item, error)

// item is one element of a list.
type item struct {
	value  any
	cursor string // where the list goes on behind it
}

// badQuery is a request that makes no sense.
type badQuery struct{ text string }

func (e *badQuery) Error() string { return e.text }

// apiPaths are the lists of incidents, reports and deliveries.
var apiPaths = []string{"/api/v1/incidents", "/api/v1/reports", "/api/v1/deliveries"}

// apiError answers with an error as JSON, in English: programs read it.
func apiError(w http.ResponseWriter, code int, text string) {
	b, err := json.Marshal(map[string]string{"error": text})
	if err != nil { // a text always marshals
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}

// checkParameters refuses what would be ignored: a list would be taken for what was asked for.
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
			return fmt.Errorf("%s: is given %d times", name, len(q[name]))
		}
	}
	return nil
}

// list streams what a source gives as {"KEY": […], "next": CURSOR}. No query is open while the client reads: a slow one holds a
// batch, and nothing of the database.
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
		// One more than is to be sent says whether the list goes on.
		items, err := p.batch(ctx, read, limit-sent+1)
		switch {
		case err == nil:
		case !begun:
			p.refuseList(w, r, err)
			return
		default: // The client must not take what it has for the whole.
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
		_ = out.SetWriteDeadline(time.Now().Add(writeTime)) // not every writer has one
		if _, err := w.Write(b.Bytes()); err != nil || ctx.Err() != nil {
			panic(http.ErrAbortHandler)
		}
		if whole {
			return
		}
		b.Reset()
		_ = out.Flush() // nor this
	}
}

// batch reads, within the limits of all reads.
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
		apiError(w, http.StatusServiceUnavailable, "too much is being read, try again in a few seconds")
	case r.Context().Err() != nil: // the client has left
	default:
		p.cfg.Log.Error("list failed", "path", r.URL.Path, "err", err)
		apiError(w, http.StatusInternalServerError, "failed, see the log")
	}
}

// apiNowhere answers programs that ask for a path that is none.
func apiNowhere(w http.ResponseWriter, _ *http.Request) {
	apiError(w, http.StatusNotFound, "there is no such path; have "+strings.Join(apiPaths, ", "))
}

// said is why a request makes no sense, in English.
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
			after, err := parsePlace(s)
			if err != nil {
				return nil, &badQuery{"after: want the next of an answer before"}
			}
			f.After = &after
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
			out[n] = item{row.Document(p.pageURL("/incidents/"+url.PathEscape(row.Incident.ID)), entries[row.Incident.ID]), placeText(row.Incident)}
		}
		last := rows[len(rows)-1].Incident
		f.After = &reporter.IncidentCursor{StartedAt: last.StartedAt, ID: last.ID}
		return out, nil
	})
}

// pageURL is the address of a page, where it is known how pages are reached.
func (p *Pages) pageURL(path string) string {
	if external := p.cfg.Settings().ExternalURL; external != "" {
		return strings.TrimRight(external, "/") + path
	}
	return ""
}

// placeText is a place in the list for programs, which does not depend on the state.
func placeText(in reporter.Incident) string {
	return fmt.Sprintf("%d~%s", in.StartedAt.UnixMicro(), in.ID)
}

func parsePlace(s string) (reporter.IncidentCursor, error) {
	number, id, found := strings.Cut(s, "~")
	micros, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !found || !storable(s) {
		return reporter.IncidentCursor{}, errors.New("not a place in the list")
	}
	return reporter.IncidentCursor{StartedAt: time.UnixMicro(micros), ID: id}, nil
}

// deliveryDocument is a delivery for programs. Times are UTC; null is not yet.
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
	Reason      reporter.Reason        `json:"reason"` // why it was not sent, or waits; "" if it does neither
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
				return nil, &badQuery{"after: want the next of an answer before"}
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

// reportDocument is a report as of a due time, for programs.
type reportDocument struct {
	Name       string             `json:"name"`
	Due        time.Time          `json:"due"`
	Title      string             `json:"title,omitempty"`    // once it is composed
	Text       string             `json:"text,omitempty"`     // plain
	Markdown   string             `json:"markdown,omitempty"` // the same
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
				return &badQuery{"after: want the next of an answer before"}
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
			if q.Get("after") != "" { // Those of the other reports begin at the latest, or at the bound.
				before = time.Time{}
				if s := q.Get("to"); s != "" {
					day, _ := time.ParseInLocation(time.DateOnly, s, zone) // it was read before
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
