package web

import (
	"cmp"
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
	alertsOpen    = 10 // of these on the first page; the others are folded
	timelineEnds  = 15 // events at each end of the timeline
	similarListed = 10
	clusterListed = 15
	// annotationsOpen is the least number of alerts with folded annotations.
	annotationsOpen = 4
	longestFilter   = 200 // characters
	labelsOfRow     = 4   // besides those of the group
	fileNameLength  = 100 // characters
)

// incidentRow is one incident of a list.
type incidentRow struct {
	P            *page
	Acknowledged string // name of the person who has acknowledged it; "" means nobody
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

// rowLabels returns labels that distinguish incidents with the same title: those of the group, then others that the first alerts have
// in common, then those of the first alert.
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

// Tone returns the style of a severity.
func (v *page) Tone(s reporter.Severity) string {
	switch {
	case s.Severe():
		return "bad"
	case s.Warning():
		return "warn"
	}
	return "plain"
}

// filterForm holds the fields of the form that filters a list of incidents.
type filterForm struct {
	State, Severity, Team, Cluster, From, To, Text string
}

// pairs returns the fields as names and values of a query.
func (f filterForm) pairs() []string {
	return []string{
		"state", f.State, "severity", f.Severity, "team", f.Team, "cluster", f.Cluster, "from", f.From, "to", f.To, "q", f.Text,
	}
}

// address returns the path with the fields as its query, of which the given pairs replace some.
func (f filterForm) address(path string, instead ...string) string {
	return address(path, append(f.pairs(), instead...)...)
}

// badRequest is the error of an invalid request, by a key of the words of pages.
type badRequest struct {
	key  string
	args []any
}

// readFilter reads the filter of incidents from a query. Dates are days in the zone. It does not read cursors.
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

// incidentStates are the states that a list can be filtered by, in the order of their tabs.
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
			state, position, _ := strings.Cut(s, "~")
			startedAt, id, ok := parseCursor(position)
			if !ok || !storable(state) {
				p.refuse(w, r, http.StatusBadRequest, "bad_page")
				return
			}
			*into = &reporter.IncidentCursor{State: reporter.IncidentState(state), StartedAt: startedAt, ID: id}
		}
	}
	if f.After != nil && f.Before != nil {
		p.refuse(w, r, http.StatusBadRequest, "bad_page")
		return
	}
	list, err := p.cfg.Store.ListIncidents(r.Context(), f)
	if err == nil && f.Before != nil && len(list.Rows) <= listed { // this is the first page: read it from the start, so that it is full
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
			body.Prev = form.address("/incidents", "before", pageCursor(rows[0].Incident))
		}
		if f.Before != nil || further {
			body.Next = form.address("/incidents", "after", pageCursor(rows[len(rows)-1].Incident))
		}
	}
	body.Rows = v.incidentRows(rows)
	v.Body = body
	p.show(w, r, "incidents.html", v)
}

// address returns a path with a query of the pairs that have a value. Of two pairs with the same name, the last one counts.
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

// pageCursor writes the position of an incident in the list of pages, which is ordered by state first.
func pageCursor(in reporter.Incident) string {
	return string(in.State) + "~" + cursorText(in.StartedAt, in.ID)
}

type incidentBody struct {
	In              reporter.Incident
	P               reporter.Postmortem
	Severity        reporter.Severity
	Firing          string // how long its alerts fired, if that is less than its duration
	Text            template.HTML
	Picture         *image // nil means none
	NoPicture       bool   // drawing it failed
	Timeline        []timelineRow
	Alerts          []alertRow
	Folded          []alertRow       // the alerts after Alerts on the first page
	Common          []reporter.Label // labels that all alerts have in common; rows have the others
	Count           int
	From, To        int
	Prev, Next      string
	Deliveries      []deliveryRow
	Acting          acting
	Similar         []incidentRow
	Markdown        string
	Silence         *silenceBody
	Done            string // result of the last action; "" means none
	Written         writtenBody
	Acknowledgement acknowledgementBody
}

// timelineRow is an event of an alert or a person, or the number of events that are left out there (Skipped).
type timelineRow struct {
	reporter.TimelineEvent
	Skipped int
	Person  string // text of a person's event; "" for an alert
}

type alertRow struct {
	reporter.Alert
	P      *page
	Open   bool // its annotations are not folded
	Name   string
	Ended  time.Time
	Why    reporter.CloseReason
	Labels []reporter.Label
	Notes  []reporter.Label
	Source string
}

// theIncident reads the incident of the path.
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
	body.Picture, body.NoPicture = p.drawImage(r, func(d Pictures) (reporter.Picture, error) { return d.IncidentPicture(r.Context(), in) })
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

// alertFilter reads the page of alerts from a query; false if it is invalid.
func alertFilter(id string, q url.Values) (f reporter.AlertFilter, ok bool) {
	f = reporter.AlertFilter{Incident: id, Limit: alertsListed}
	for key, into := range map[string]**reporter.AlertCursor{"after": &f.After, "before": &f.Before} {
		s := q.Get(key)
		if s == "" {
			continue
		}
		startsAt, fingerprint, ok := parseCursor(s)
		if !ok {
			return f, false
		}
		*into = &reporter.AlertCursor{StartsAt: startsAt, Fingerprint: fingerprint}
	}
	return f, f.After == nil || f.Before == nil
}

// fill sets the fields of a page of alerts.
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
		return address(path, key, cursorText(a.StartsAt, a.Fingerprint))
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

// pairs returns the labels of m in order of name, except those in without.
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

// timelineRows returns the events at both ends of a timeline, and the number of those between them, including the omitted ones.
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

// markdown serves the postmortem as a Markdown file.
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

// fileName returns the name of a Markdown file that is valid on every system.
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

// ClusterPath returns the path of a cluster's page.
func (v *page) ClusterPath(name string) string { return "/clusters/" + url.PathEscape(name) }
