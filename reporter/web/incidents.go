package web

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	alertsListed   = 50 // on one page of an incident
	timelineEnds   = 15 // events shown at either end
	similarListed  = 10
	longestFilter  = 200 // characters
	fileNameLength = 100 // characters
)

// incidentRow is one incident of a list.
type incidentRow struct {
	P        *page
	In       reporter.Incident
	Title    string
	Severity reporter.Severity
	Labels   []string
	Count    string
}

func (v *page) incidentRows(rows []reporter.IncidentRow) []incidentRow {
	out := make([]incidentRow, 0, len(rows))
	for _, r := range rows {
		row := incidentRow{P: v, In: r.Incident, Title: cmp.Or(r.Incident.Title(), r.Incident.ID), Severity: r.Incident.Severity()}
		for _, k := range slices.Sorted(maps.Keys(r.Incident.GroupLabels)) {
			if k != "alertname" || r.Incident.GroupLabels[k] != row.Title {
				row.Labels = append(row.Labels, k+"="+r.Incident.GroupLabels[k])
			}
		}
		row.Count = v.T("alert_count", r.Count)
		if r.More {
			row.Count = v.T("alert_count_more", r.Count)
		}
		out = append(out, row)
	}
	return out
}

// Tone is the colour of a severity.
func (v *page) Tone(s reporter.Severity) string {
	switch {
	case s.Severe():
		return "bad"
	case s.Warning():
		return "warn"
	}
	return "plain"
}

type incidentsBody struct {
	Rows        []incidentRow
	State, Text string
	Filtered    bool
	First, Next string // addresses of pages; "" for none
}

func (p *Pages) incidents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := reporter.IncidentFilter{Limit: listed + 1, Text: strings.TrimSpace(q.Get("q"))}
	switch state := reporter.IncidentState(q.Get("state")); state {
	case "", reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved:
		f.State = state
	default:
		p.refuse(w, r, http.StatusBadRequest, "bad_state", q.Get("state"))
		return
	}
	if !storable(f.Text) || len([]rune(f.Text)) > longestFilter {
		p.refuse(w, r, http.StatusBadRequest, "bad_text", longestFilter)
		return
	}
	if s := q.Get("after"); s != "" {
		after, err := parseCursor(s)
		if err != nil {
			p.refuse(w, r, http.StatusBadRequest, "bad_page")
			return
		}
		f.After = &after
	}
	rows, err := p.cfg.Store.ListIncidents(r.Context(), f)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("incidents", "incidents")
	body := incidentsBody{State: string(f.State), Text: f.Text, Filtered: f.State != "" || f.Text != ""}
	if f.After != nil {
		body.First = address("/incidents", "state", body.State, "q", body.Text)
	}
	if len(rows) > listed {
		rows = rows[:listed]
		last := rows[listed-1].Incident
		body.Next = address("/incidents", "state", body.State, "q", body.Text, "after", cursorText(last))
	}
	body.Rows = v.incidentRows(rows)
	v.Body = body
	p.show(w, r, "incidents.html", v)
}

// address is a path with a query of the pairs that have a value.
func address(path string, pairs ...string) string {
	q := url.Values{}
	for n := 0; n+1 < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			q.Set(pairs[n], pairs[n+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

func cursorText(in reporter.Incident) string {
	return fmt.Sprintf("%s~%d~%s", in.State, in.StartedAt.UnixMicro(), in.ID)
}

func parseCursor(s string) (reporter.IncidentCursor, error) {
	parts := strings.SplitN(s, "~", 3)
	if len(parts) != 3 || !storable(s) {
		return reporter.IncidentCursor{}, errors.New("not a place in the list")
	}
	micros, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return reporter.IncidentCursor{}, fmt.Errorf("not a place in the list: %w", err)
	}
	return reporter.IncidentCursor{State: reporter.IncidentState(parts[0]), StartedAt: time.UnixMicro(micros), ID: parts[2]}, nil
}

type incidentBody struct {
	In         reporter.Incident
	P          reporter.Postmortem
	Severity   reporter.Severity
	Text       template.HTML
	Picture    template.URL
	NoPicture  bool // one could not be drawn
	Timeline   []timelineRow
	Alerts     []alertRow
	Common     []reporter.Label // labels of every alert; each alert's row has its own only
	Count      int
	From, To   int
	Prev, Next string
	Deliveries []deliveryRow
	Acting     acting
	Similar    []incidentRow
	Markdown   string
	Done       string // the words of what was just done; "" for nothing
}

// timelineRow is an event, or how many are left out.
type timelineRow struct {
	reporter.TimelineEvent
	Skipped int
}

type alertRow struct {
	reporter.Alert
	Name   string
	Ended  time.Time
	Why    reporter.CloseReason
	Labels []reporter.Label
	Notes  []reporter.Label
	Source string
}

// theIncident finds the incident of the path. What cannot be an id is not found.
func (p *Pages) theIncident(r *http.Request) (reporter.Incident, error) {
	id := r.PathValue("id")
	if !storable(id) {
		return reporter.Incident{}, fmt.Errorf("incident: %w", reporter.ErrNotFound)
	}
	return p.cfg.Store.IncidentExtract(r.Context(), id)
}

func (p *Pages) incident(w http.ResponseWriter, r *http.Request) {
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	pm, msg, err := p.cfg.Texts.Postmortem(r.Context(), in)
	if err != nil {
		p.fail(w, r, fmt.Errorf("postmortem: %w", err))
		return
	}
	v := p.page("incidents", "")
	v.Title = cmp.Or(pm.Title, in.ID)
	path := v.IncidentPath(in.ID)
	body := incidentBody{
		In: in, P: pm, Text: markup(msg.Whole()), Timeline: timelineRows(pm.Timeline, pm.TimelineOmitted),
		Severity: pm.Severity, Acting: p.acting(r, path), Markdown: path + "/postmortem.md",
		Done: v.done(r.URL.Query()),
	}
	body.Picture, body.NoPicture = p.drawn(r, func(d Pictures) ([]byte, error) { return d.IncidentPicture(r.Context(), in) })
	filter, ok := alertFilter(in.ID, r.URL.Query())
	if !ok {
		p.refuse(w, r, http.StatusBadRequest, "bad_page")
		return
	}
	alerts, err := p.cfg.Store.ListAlerts(r.Context(), filter)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	body.fill(path, alerts, in)
	ds, err := p.cfg.Store.ListDeliveries(r.Context(), reporter.DeliveryFilter{
		Kind: reporter.DeliveryPostmortem, Subject: in.ID, Limit: listed,
	})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	body.Deliveries = v.deliveryRows(ds, body.Acting)
	similar, err := p.cfg.Store.ListIncidents(r.Context(), reporter.IncidentFilter{Key: in.Key, Limit: similarListed + 1})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	similar = slices.DeleteFunc(similar, func(o reporter.IncidentRow) bool { return o.Incident.ID == in.ID })
	body.Similar = v.incidentRows(similar[:min(len(similar), similarListed)])
	v.Body = body
	p.show(w, r, "incident.html", v)
}

// alertFilter reads which alerts of an incident a request asks for; false where it makes no sense.
func alertFilter(id string, q url.Values) (f reporter.AlertFilter, ok bool) {
	f = reporter.AlertFilter{Incident: id, Limit: alertsListed}
	for key, into := range map[string]**reporter.AlertCursor{"after": &f.After, "before": &f.Before} {
		s := q.Get(key)
		if s == "" {
			continue
		}
		number, fingerprint, found := strings.Cut(s, "~")
		micros, err := strconv.ParseInt(number, 10, 64)
		if err != nil || !found || !storable(fingerprint) {
			return f, false
		}
		*into = &reporter.AlertCursor{StartsAt: time.UnixMicro(micros), Fingerprint: fingerprint}
	}
	return f, f.After == nil || f.Before == nil
}

// fill takes a page of alerts.
func (b *incidentBody) fill(path string, page reporter.AlertPage, in reporter.Incident) {
	b.Count, b.From, b.To = page.Count, page.Offset+1, page.Offset+len(page.Alerts)
	var common map[string]string
	if in.AlertCount() > 1 {
		common = in.CommonLabels()
	}
	b.Common = pairs(common, nil)
	for _, a := range page.Alerts {
		b.Alerts = append(b.Alerts, alertOf(a, common))
	}
	cursor := func(key string, a reporter.Alert) string {
		return address(path, key, fmt.Sprintf("%d~%s", a.StartsAt.UnixMicro(), a.Fingerprint))
	}
	if len(page.Alerts) == 0 {
		return
	}
	if page.Offset > 0 {
		b.Prev = cursor("before", page.Alerts[0])
	}
	if b.To < page.Count {
		b.Next = cursor("after", page.Alerts[len(page.Alerts)-1])
	}
}

func alertOf(a reporter.Alert, common map[string]string) alertRow {
	row := alertRow{
		Alert: a, Name: cmp.Or(a.Labels["alertname"], a.Fingerprint), Labels: pairs(a.Labels, common), Notes: pairs(a.Annotations, nil),
	}
	row.Ended, row.Why = a.Ended()
	if u, err := url.Parse(a.GeneratorURL); err == nil && u.Host != "" && u.User == nil && (u.Scheme == "http" || u.Scheme == "https") {
		row.Source = a.GeneratorURL
	}
	return row
}

// pairs are those of m in order of name, but for those of without.
func pairs(m, without map[string]string) []reporter.Label {
	var out []reporter.Label
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if _, is := without[k]; is {
			continue
		}
		out = append(out, reporter.Label{Name: k, Value: m[k]})
	}
	return out
}

// timelineRows keeps both ends of a long timeline, of which omitted events are not there from the start.
func timelineRows(events []reporter.TimelineEvent, omitted int) []timelineRow {
	out := make([]timelineRow, 0, min(len(events), 2*timelineEnds+1))
	left := len(events) + omitted - 2*timelineEnds
	for n, e := range events {
		switch {
		case left <= 1 || n < timelineEnds || n >= len(events)-timelineEnds:
			out = append(out, timelineRow{TimelineEvent: e})
		case n == timelineEnds:
			out = append(out, timelineRow{Skipped: left})
		}
	}
	return out
}

// markdown serves the postmortem as a file for people to fill in.
func (p *Pages) markdown(w http.ResponseWriter, r *http.Request) {
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	pm, _, err := p.cfg.Texts.Postmortem(r.Context(), in)
	if err != nil {
		p.fail(w, r, fmt.Errorf("postmortem: %w", err))
		return
	}
	text, err := p.cfg.Texts.Markdown(pm)
	if err != nil {
		p.fail(w, r, fmt.Errorf("postmortem: %w", err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/markdown; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": fileName(in.ID)}))
	w.Write([]byte(text))
}

// fileName makes the name of a Markdown file that every system takes.
func fileName(id string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), strings.ContainsRune("-_.", r):
			return r
		}
		return '-'
	}, id)
	if runes := []rune(name); len(runes) > fileNameLength {
		name = string(runes[:fileNameLength])
	}
	return "postmortem-" + strings.TrimRight(name, ".") + ".md"
}

func (p *Pages) incidentPicture(w http.ResponseWriter, r *http.Request) {
	in, err := p.theIncident(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.servePicture(w, r, func(d Pictures) ([]byte, error) { return d.IncidentPicture(r.Context(), in) })
}
