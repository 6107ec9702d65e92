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
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	alertsListed  = 30 // on one page of an incident
	alertsOpen    = 10 // of these, on the first page; the others are folded
	timelineEnds  = 15 // events shown at either end
	similarListed = 10
	clusterListed = 15
	// annotationsOpen is from how many alerts on their annotations are folded.
	annotationsOpen = 4
	longestFilter   = 200 // characters
	labelsOfRow     = 4   // beside those of the group
	fileNameLength  = 100 // characters
)

// incidentRow is one incident of a list.
type incidentRow struct {
	P            *page
	Acknowledged string // by whom; "" while nobody takes care of it
	In           reporter.Incident
	Title        string
	Severity     reporter.Severity
	Team         string
	Labels       []string
	Count        string
}

func (v *page) incidentRows(rows []reporter.IncidentRow) []incidentRow {
	out := make([]incidentRow, 0, len(rows))
	for _, r := range rows {
		out = append(out, incidentRow{
			P: v, In: r.Incident, Title: cmp.Or(r.Title, r.Incident.ID), Severity: r.Severity, Team: r.Team,
			Acknowledged: r.Acknowledgement.By.Name, Labels: rowLabels(r), Count: v.T("alert_count", r.Count),
		})
	}
	return out
}

// rowLabels distinguish incidents of the same title: the labels of the group, and what else the first alerts have in common,
// or, where they have nothing more in common, what the first of them is about.
func rowLabels(r reporter.IncidentRow) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(r.Incident.GroupLabels)) {
		if k != "alertname" || r.Incident.GroupLabels[k] != r.Title {
			out = append(out, k+"="+r.Incident.GroupLabels[k])
		}
	}
	if len(r.Incident.Alerts) == 0 {
		return out
	}
	own := func(labels map[string]string, end string) (more []string) {
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			_, shown := r.Incident.GroupLabels[k]
			if !shown && !slices.Contains([]string{"alertname", "severity", reporter.TeamLabel}, k) && len(more) < labelsOfRow {
				more = append(more, k+"="+labels[k]+end)
			}
		}
		return more
	}
	common := reporter.CommonLabels(r.Incident.Alerts)
	more := own(common, "")
	if first := r.Incident.Alerts[0].Labels; len(more) < labelsOfRow && len(common) < len(first) {
		rest := maps.Clone(first)
		maps.DeleteFunc(rest, func(k, v string) bool { return common[k] == v })
		more = append(more, own(rest, ", …")...)
	}
	return append(out, more[:min(len(more), labelsOfRow)]...)
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

// filterForm is what a form of a list has chosen, as its fields hold it.
type filterForm struct {
	State, Severity, Team, Cluster, From, To, Text string
}

// pairs are the fields as pairs of a query.
func (f filterForm) pairs() []string {
	return []string{
		"state", f.State, "severity", f.Severity, "team", f.Team, "cluster", f.Cluster, "from", f.From, "to", f.To, "q", f.Text,
	}
}

// address is the list with the fields, and with others in their place.
func (f filterForm) address(path string, instead ...string) string {
	return address(path, append(f.pairs(), instead...)...)
}

// badRequest is why a request makes no sense, in the words of a key.
type badRequest struct {
	key  string
	args []any
}

// readFilter reads which incidents a request asks for; dates are days in the zone. It does not read the place.
func readFilter(q url.Values, zone *time.Location) (reporter.IncidentFilter, filterForm, *badRequest) {
	form := filterForm{
		State: q.Get("state"), Severity: q.Get("severity"), Team: q.Get("team"), Cluster: q.Get("cluster"),
		From: q.Get("from"), To: q.Get("to"), Text: strings.TrimSpace(q.Get("q")),
	}
	f := reporter.IncidentFilter{
		State: reporter.IncidentState(form.State), Severity: reporter.Severity(form.Severity), Team: form.Team, Cluster: form.Cluster,
		Text: form.Text,
	}
	if f.State != "" && !slices.Contains(incidentStates, f.State) {
		return f, form, &badRequest{"bad_state", []any{form.State}}
	}
	for _, text := range []string{form.Severity, form.Team, form.Cluster, form.Text} {
		if !storable(text) || utf8.RuneCountInString(text) > longestFilter {
			return f, form, &badRequest{"bad_text", []any{longestFilter}}
		}
	}
	for key, day := range map[string]string{"from": form.From, "to": form.To} {
		if day == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateOnly, day, zone)
		if err != nil {
			return f, form, &badRequest{"bad_date", []any{key}}
		}
		if key == "from" {
			f.From = t
		} else {
			f.To = t.AddDate(0, 0, 1) // the whole day
		}
	}
	return f, form, nil
}

// incidentStates are those that a list may be filtered by, in the order of their tabs.
var incidentStates = []reporter.IncidentState{reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved}

// tab is one choice of a list's states.
type tab struct {
	Word, Path string
	Current    bool
}

type incidentsBody struct {
	Rows       []incidentRow
	Form       filterForm
	Facets     reporter.IncidentFacets
	Tabs       []tab
	Count      string
	Filtered   bool
	Clear      string // address of the list without filters but the state
	Prev, Next string // addresses of pages; "" for none
}

func (p *Pages) incidents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, form, bad := readFilter(q, p.cfg.Settings().Zone)
	if bad != nil {
		p.refuse(w, r, http.StatusBadRequest, bad.key, bad.args...)
		return
	}
	f.Limit = listed + 1
	for key, into := range map[string]**reporter.IncidentCursor{"after": &f.After, "before": &f.Before} {
		if s := q.Get(key); s != "" {
			cursor, err := parseCursor(s)
			if err != nil {
				p.refuse(w, r, http.StatusBadRequest, "bad_page")
				return
			}
			*into = &cursor
		}
	}
	if f.After != nil && f.Before != nil {
		p.refuse(w, r, http.StatusBadRequest, "bad_page")
		return
	}
	list, err := p.cfg.Store.ListIncidents(r.Context(), f)
	if err == nil && f.Before != nil && len(list.Rows) <= listed { // The way back has reached the first page, which is full.
		f.Before = nil
		list, err = p.cfg.Store.ListIncidents(r.Context(), f)
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v := p.page("incidents", "incidents")
	body := incidentsBody{Form: form, Filtered: form != (filterForm{State: form.State}), Clear: address("/incidents", "state", form.State)}
	if body.Facets, err = p.cfg.Store.IncidentFacets(r.Context()); err != nil {
		p.fail(w, r, err)
		return
	}
	body.Facets = body.Facets.With(f)
	body.Tabs = []tab{{v.T("all"), form.address("/incidents", "state", ""), form.State == ""}}
	for _, state := range incidentStates {
		body.Tabs = append(body.Tabs, tab{v.T(string(state)), form.address("/incidents", "state", string(state)), f.State == state})
	}
	body.Count = v.T("incident_count", list.Count)
	if list.More {
		body.Count = v.T("incident_count_more", list.Count)
	}
	rows := list.Rows
	further := len(rows) > listed
	if further && f.Before != nil {
		rows = rows[1:]
	} else if further {
		rows = rows[:listed]
	}
	if len(rows) > 0 {
		if f.After != nil || (f.Before != nil && further) {
			body.Prev = form.address("/incidents", "before", cursorText(rows[0].Incident))
		}
		if f.Before != nil || further {
			body.Next = form.address("/incidents", "after", cursorText(rows[len(rows)-1].Incident))
		}
	}
	body.Rows = v.incidentRows(rows)
	v.Body = body
	p.show(w, r, "incidents.html", v)
}

// address is a path with a query of the pairs that have a value; of two pairs of a name, the last counts.
func address(path string, pairs ...string) string {
	q := url.Values{}
	for n := 0; n+1 < len(pairs); n += 2 {
		q.Del(pairs[n])
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
	In              reporter.Incident
	P               reporter.Postmortem
	Severity        reporter.Severity
	Firing          string // for how long its alerts fired, where that is less than its duration
	Text            template.HTML
	Picture         *drawn // nil means none
	NoPicture       bool   // one could not be drawn
	Timeline        []timelineRow
	Alerts          []alertRow
	Folded          []alertRow       // behind Alerts, on the first page
	Common          []reporter.Label // labels of every alert; each alert's row has its own only
	Count           int
	From, To        int
	Prev, Next      string
	Deliveries      []deliveryRow
	Acting          acting
	Similar         []incidentRow
	Markdown        string
	Silence         *silenceBody
	Done            string // the words of what was just done; "" for nothing
	Written         writtenBody
	Acknowledgement acknowledgementBody
}

// timelineRow is an event of an alert or a person, or how many are left out.
type timelineRow struct {
	reporter.TimelineEvent
	Skipped int
	Person  string // what a person did, in words; "" for an alert
}

type alertRow struct {
	reporter.Alert
	P      *page
	Open   bool // its annotations
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
	if firing, known := in.TimeFiring(); known && firing < in.Duration() {
		body.Firing = v.Dur(firing)
	}
	body.Picture, body.NoPicture = p.drawn(r, func(d Pictures) (reporter.Picture, error) { return d.IncidentPicture(r.Context(), in) })
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
	body.fill(v, path, alerts, in)
	entries, err := p.cfg.Store.Entries(r.Context(), in.ID)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	body.Written, body.Timeline = v.written(path, entries), v.story(append(body.Timeline, v.silenceRows(pm.Silences)...), entries)
	body.Acknowledgement = v.acknowledgement(pm, path, body.Acting)
	body.Silence = v.silences(pm, path, body.Acting, p.cfg.Silencer != nil && p.cfg.Silencer.Can(in.Cluster))
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
	others := slices.DeleteFunc(similar.Rows, func(o reporter.IncidentRow) bool { return o.Incident.ID == in.ID })
	body.Similar = v.incidentRows(others[:min(len(others), similarListed)])
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
func (b *incidentBody) fill(v *page, path string, page reporter.AlertPage, in reporter.Incident) {
	b.Count, b.From, b.To = page.Count, page.Offset+1, page.Offset+len(page.Alerts)
	var common map[string]string
	if in.AlertCount() > 1 {
		common = in.CommonLabels()
	}
	b.Common = pairs(common, nil)
	for _, a := range page.Alerts {
		row := alertOf(a, common)
		row.P, row.Open = v, page.Count < annotationsOpen
		b.Alerts = append(b.Alerts, row)
	}
	if page.Offset == 0 && len(b.Alerts) > alertsOpen {
		b.Alerts, b.Folded = b.Alerts[:alertsOpen], b.Alerts[alertsOpen:]
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
			out = append(out, timelineRow{TimelineEvent: reporter.TimelineEvent{At: events[n-1].At}, Skipped: left})
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
	p.servePicture(w, r, func(d Pictures) (reporter.Picture, error) { return d.IncidentPicture(r.Context(), in) })
}

// clusterBody is a cluster of Alertmanagers and its incidents.
type clusterBody struct {
	Name    string
	Known   bool // in the configuration
	Cluster Cluster
	Counts  []tab // of each state
	Rows    []incidentRow
	All     string
}

func (p *Pages) cluster(w http.ResponseWriter, r *http.Request) {
	body := clusterBody{Name: r.PathValue("name")}
	if !storable(body.Name) {
		p.fail(w, r, reporter.ErrNotFound)
		return
	}
	v := p.page("incidents", "")
	for _, c := range p.cfg.Status.Parts(r.Context()).Clusters {
		if c.Name == body.Name {
			body.Cluster, body.Known = c, true
		}
	}
	list, err := p.cfg.Store.ListIncidents(r.Context(), reporter.IncidentFilter{Cluster: body.Name, Limit: clusterListed})
	if err == nil && !body.Known && list.Count == 0 {
		err = reporter.ErrNotFound
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, state := range incidentStates {
		of, err := p.cfg.Store.ListIncidents(r.Context(), reporter.IncidentFilter{Cluster: body.Name, State: state})
		if err != nil {
			p.fail(w, r, err)
			return
		}
		body.Counts = append(body.Counts, tab{
			Word: fmt.Sprintf("%s: %d", v.T(string(state)), of.Count), Path: address("/incidents", "cluster", body.Name, "state", string(state)),
		})
	}
	v.Title = v.T("cluster_named", body.Name)
	body.Rows, body.All = v.incidentRows(list.Rows), address("/incidents", "cluster", body.Name)
	v.Body = body
	p.show(w, r, "cluster.html", v)
}

// ClusterPath is the page of a cluster.
func (v *page) ClusterPath(name string) string { return "/clusters/" + url.PathEscape(name) }
