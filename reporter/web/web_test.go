package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/web"
)

var (
	day  = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)
	zone = time.FixedZone("Asia/Taipei", 8*60*60)
)

// world is all that the pages read: what is not set is a quiet day.
type world struct {
	err       error
	incidents []reporter.IncidentRow
	incident  *reporter.Incident
	listed    []reporter.Delivery
	filter    *reporter.DeliveryFilter
	sought    *reporter.IncidentFilter
	young     bool // the program has just started
	entries   *[]reporter.Entry
	causes    []reporter.DeliveryCause
	more      bool // there are more incidents than were counted
	past      []reporter.Delivery
	parts     web.Parts
	noise     []reporter.NoiseRow
	// acknowledging says that incidents were acknowledged, in the review of noise.
	acknowledging bool
	ends          []reporter.TimelineEvent // of alerts, in the timeline
	reportErr     error
	did           *[]string
	refusal       error
	locale        string
	external      string
	protected     bool
	silencer      *silencer
	silences      []reporter.Silence
}

func (w world) ListIncidents(_ context.Context, f reporter.IncidentFilter) (reporter.IncidentPage, error) {
	if w.sought != nil {
		*w.sought = f
	}
	rows, at := slices.Clone(w.incidents), func(c *reporter.IncidentCursor) int {
		return slices.IndexFunc(w.incidents, func(r reporter.IncidentRow) bool { return r.Incident.ID == c.ID })
	}
	switch {
	case f.After != nil:
		rows = rows[at(f.After)+1:]
	case f.Before != nil:
		rows = rows[:at(f.Before)]
		rows = rows[max(len(rows)-f.Limit, 0):]
	}
	return reporter.IncidentPage{Rows: rows[:min(len(rows), f.Limit)], Count: len(w.incidents), More: w.more}, w.err
}

func (w world) IncidentsAfter(_ context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error) {
	if w.sought != nil {
		*w.sought = f
	}
	rows := w.incidents
	if f.After != nil {
		rows = rows[slices.IndexFunc(rows, func(r reporter.IncidentRow) bool { return r.Incident.ID == f.After.ID })+1:]
	}
	return slices.Clone(rows[:min(len(rows), f.Limit)]), w.err
}

func (w world) EntriesOf(ctx context.Context, ids []string) (map[string][]reporter.Entry, error) {
	out := map[string][]reporter.Entry{}
	for _, id := range ids {
		all, _ := w.Entries(ctx, id)
		for _, e := range all {
			if e.Incident == id {
				out[id] = append(out[id], e)
			}
		}
	}
	return out, w.err
}

func (w world) IncidentFacets(context.Context) (reporter.IncidentFacets, error) {
	return reporter.IncidentFacets{Severities: []reporter.Severity{"critical", "<b>"}, Teams: []string{"dba"}, Clusters: []string{"default", "tpe-2"}}, w.err
}

func (w world) Noise(_ context.Context, since, until time.Time, hours reporter.WorkingHours, limit int) (reporter.NoiseReview, error) {
	rows := w.noise[:min(limit, len(w.noise))]
	return reporter.NoiseReview{Since: since, Until: until, Rows: slices.Clone(rows), Names: len(w.noise), Acknowledging: w.acknowledging}, w.err
}

func (w world) IncidentExtract(_ context.Context, id string) (reporter.Incident, error) {
	switch {
	case w.err != nil:
		return reporter.Incident{}, w.err
	case id == "gone":
		return reporter.Incident{}, fmt.Errorf("incident %s: %w", id, reporter.ErrNotFound)
	case w.incident != nil:
		return *w.incident, nil
	}
	return resolved(id), nil
}

func (w world) Entries(_ context.Context, incident string) ([]reporter.Entry, error) {
	if w.entries == nil {
		return nil, w.err
	}
	return slices.Clone(*w.entries), w.err
}

// Write works like the store's, for one incident.
func (w world) Write(_ context.Context, entries ...reporter.Entry) ([]reporter.Entry, error) {
	if w.refusal != nil {
		return nil, w.refusal
	}
	current, _ := reporter.Current(*w.entries)
	for _, e := range entries {
		if e.Kind != reporter.EntryNote && current[e.Kind].ID != e.Supersedes {
			return nil, reporter.ErrConflict
		}
	}
	for _, e := range entries {
		e.ID = int64(len(*w.entries) + 1)
		*w.entries = append(*w.entries, e)
	}
	return entries, nil
}

func (w world) Acknowledge(_ context.Context, incident string, by reporter.Person, _ reporter.MessageRef) (reporter.Entry, bool, error) {
	return w.setAcknowledged(incident, by, reporter.EntryAcknowledged)
}

func (w world) Release(_ context.Context, incident string, by reporter.Person, _ reporter.MessageRef) (reporter.Entry, bool, error) {
	return w.setAcknowledged(incident, by, "")
}

// setAcknowledged is the store's, for one incident.
func (w world) setAcknowledged(incident string, by reporter.Person, text string) (reporter.Entry, bool, error) {
	if w.refusal != nil {
		return reporter.Entry{}, false, w.refusal
	}
	current, _ := reporter.Current(*w.entries)
	was := current[reporter.EntryAcknowledgement]
	if was.Text == text {
		return was, false, nil
	}
	e := reporter.Entry{
		ID: int64(len(*w.entries) + 1), Incident: incident, Kind: reporter.EntryAcknowledgement, Text: text, AuthorKind: by.Kind, Author: by.Name,
		WrittenAt: day.Add(4 * time.Minute), Supersedes: was.ID,
	}
	*w.entries = append(*w.entries, e)
	return e, true, nil
}

func (w world) ListAlerts(ctx context.Context, f reporter.AlertFilter) (reporter.AlertPage, error) {
	in, err := w.IncidentExtract(ctx, f.Incident)
	from, to := 0, min(f.Limit, len(in.Alerts))
	at := func(c *reporter.AlertCursor) int {
		return slices.IndexFunc(in.Alerts, func(a reporter.Alert) bool { return a.Fingerprint == c.Fingerprint && a.StartsAt.Equal(c.StartsAt) })
	}
	switch {
	case f.After != nil:
		from = at(f.After) + 1
		to = min(from+f.Limit, len(in.Alerts))
	case f.Before != nil:
		to = at(f.Before)
		from = max(to-f.Limit, 0)
	}
	return reporter.AlertPage{Alerts: in.Alerts[from:to], Offset: from, Count: len(in.Alerts)}, err
}

func (w world) ListDeliveries(_ context.Context, f reporter.DeliveryFilter) ([]reporter.Delivery, error) {
	if w.filter != nil {
		*w.filter = f
	}
	list := slices.DeleteFunc(slices.Clone(w.listed), func(d reporter.Delivery) bool { return f.Before > 0 && d.ID >= f.Before })
	if len(list) > f.Limit {
		list = list[:f.Limit]
	}
	return slices.Clone(list), w.err
}

func (w world) Delivery(_ context.Context, id int64) (reporter.Delivery, error) {
	for _, d := range w.listed {
		if d.ID == id {
			return d, w.err
		}
	}
	return reporter.Delivery{}, errors.Join(w.err, fmt.Errorf("delivery %d: %w", id, reporter.ErrNotFound))
}

func (w world) ReportDeliveries(_ context.Context, _ string, before time.Time, _ int) ([]reporter.Delivery, error) {
	return slices.DeleteFunc(slices.Clone(w.past), func(d reporter.Delivery) bool {
		s, err := reporter.ParseSubject(d.Subject)
		return err == nil && !before.IsZero() && !s.Due.Before(before)
	}), w.err
}

func (w world) RetryDelivery(_ context.Context, id int64, now time.Time) error {
	*w.did = append(*w.did, fmt.Sprint("retry ", id, " ", now.Equal(day)))
	return w.refusal
}

func (w world) DeliveryCauses(context.Context) ([]reporter.DeliveryCause, error) {
	return slices.Clone(w.causes), w.err
}

func (w world) RetryCause(_ context.Context, c reporter.DeliveryCause, now time.Time) (int, error) {
	*w.did = append(*w.did, fmt.Sprint("retry ", c.Receiver, " ", c.State, " ", c.Reason, " ", c.Latest, " ", now.Equal(day)))
	return 12, w.refusal
}

func (w world) CancelDelivery(_ context.Context, id int64, now time.Time) error {
	*w.did = append(*w.did, fmt.Sprint("cancel ", id, " ", now.Equal(day)))
	return w.refusal
}

func (w world) Report(_ context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	if name != "daily" {
		return reporter.Report{}, reporter.Message{}, reporter.ErrNotFound
	}
	rep := reporter.Report{Name: name, Due: at, Figures: map[string]reporter.Figure{
		"alerts": {Name: "alerts", Expr: "sum(a)", Samples: []reporter.Sample{{Value: 1}}},
		"cost":   {Name: "cost", Expr: "sum(c)", Samples: []reporter.Sample{{Value: 1234567.8}}},
		"lost":   reporter.NoData("lost", "sum(x < 1)", at, "no sample"),
	}}
	return rep, reporter.Message{Title: "Daily", HTML: "<b>ok</b> &lt;3"}, errors.Join(w.err, w.reportErr)
}

func (w world) Postmortem(_ context.Context, in reporter.Incident) (reporter.Postmortem, reporter.Message, error) {
	pm := reporter.Postmortem{Incident: in, Title: "The <i>disk</i>", Earlier: &reporter.Earlier{Days7: 2, Days30: 5}}
	for n, a := range in.Alerts {
		pm.Timeline = append(pm.Timeline, reporter.TimelineEvent{At: a.StartsAt, Firing: true, Alert: fmt.Sprint("<alert> ", n)})
	}
	pm.Silences = w.silences
	pm.Timeline = append(pm.Timeline, w.ends...)
	if w.entries != nil {
		pm.Entries, pm.Acknowledgement = *w.entries, reporter.AcknowledgementOf(*w.entries)
		pm.Acknowledged = pm.Acknowledgement.First
	}
	return pm, reporter.Message{Title: in.ID, HTML: "<b>story</b>"}, w.err
}

func (w world) Markdown(pm reporter.Postmortem) (string, error) {
	return "# " + pm.Incident.ID + "\n", w.err
}

func (w world) Parts(context.Context) web.Parts { return w.parts }

func (world) Reports() []web.Plan {
	return []web.Plan{{Name: "daily", Schedule: "0 8 * * *", Zone: "Asia/Taipei", Next: day.Add(time.Hour), Receivers: []string{"oncall"}}}
}

func (world) Receivers() []web.Receiver {
	return []web.Receiver{{Name: "oncall", Kind: "telegram"}, {Name: "<b>", Kind: "terminal"}}
}

// drawing is a world with pictures.
type drawing struct {
	world
	picture reporter.Picture
	bad     error
}

func (d drawing) ReportPicture(context.Context, string, time.Time) (reporter.Picture, error) {
	return d.picture, d.bad
}
func (d drawing) IncidentPicture(context.Context, reporter.Incident) (reporter.Picture, error) {
	return d.picture, d.bad
}

func resolved(id string) reporter.Incident {
	return reporter.Incident{
		ID: id, Key: "k", State: reporter.IncidentResolved, StartedAt: day, EndedAt: day.Add(10 * time.Minute), Sample: true,
		CloseReason: reporter.ClosedReconciled, GroupLabels: map[string]string{"cluster": "<prod>"}, Truncated: 3,
		Alerts: []reporter.Alert{{
			Fingerprint: "f", StartsAt: day, Firing: true, GeneratorURL: "javascript:alert(1)",
			Labels:      map[string]string{"alertname": "Disk", "severity": "critical", "x": "<script>"},
			Annotations: map[string]string{"summary": "db-3 <full>"},
		}},
	}
}

func row(in reporter.Incident, alerts int) reporter.IncidentRow {
	return reporter.IncidentRow{Incident: in, Title: in.Title(), Severity: in.Severity(), Team: "dba", Count: alerts}
}

func sent(id int64, subject, html string) reporter.Delivery {
	return reporter.Delivery{
		ID: id, Kind: reporter.DeliveryReport, Subject: subject, Receiver: "oncall", State: reporter.DeliverySent,
		Message: &reporter.Message{Title: "Daily", HTML: html}, CreatedAt: day, FinishedAt: day,
		Parts: []reporter.Part{{HTML: html, SentAt: day, MessageID: "m1"}},
	}
}

func pages(w world, texts web.Texts) (http.Handler, *strings.Builder) {
	var logs strings.Builder
	return handler(w, w, texts, slog.New(slog.NewTextHandler(&logs, nil))), &logs
}

// pagesOf serves the pages of another store than w.
func pagesOf(store web.Store, w world) http.Handler {
	return handler(store, w, w, slog.New(slog.DiscardHandler))
}

func handler(store web.Store, w world, texts web.Texts, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	var calls atomic.Int32
	var silencer web.Silencer
	if w.silencer != nil {
		silencer = w.silencer
	}
	pictures, _ := texts.(web.Pictures) // only drawing has any
	web.New(web.Config{
		Store: store, Texts: texts, Pictures: pictures, Status: w, Silencer: silencer,
		Settings: func() web.Settings {
			return web.Settings{Zone: zone, Locale: cmp.Or(w.locale, "en"), Product: "ACME", ExternalURL: w.external, Version: "1.2.3"}
		},
		Protected:    func(*http.Request) bool { return w.protected },
		Authenticate: authenticated,
		Registry:     prometheus.NewRegistry(),
		Log:          log,
		Now: func() time.Time {
			if calls.Add(1) == 1 && !w.young { // when the program started
				return day.Add(-time.Hour)
			}
			return day
		},
	}).Register(mux)
	web.RegisterHealth(mux, log, web.Check{Name: "state", Err: func(context.Context) error { return w.err }})
	return web.SecureHeaders(mux)
}

// authenticated serves requests of the user sre only.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); user != "sre" {
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func serve(w world, path string) *httptest.ResponseRecorder {
	h, _ := pages(w, w)
	r := httptest.NewRecorder()
	h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r
}

func TestPages(t *testing.T) {
	t.Parallel()
	open := resolved("OPEN")
	open.State, open.EndedAt, open.CloseReason = reporter.IncidentOpen, time.Time{}, ""
	chronic := open
	chronic.ID, chronic.State = "CHRONIC", reporter.IncidentChronic
	chronic.Folded = []reporter.Folded{{Name: "A", Count: 7}, {Name: "B", Count: 8}}
	rows := []reporter.IncidentRow{row(open, 1), row(resolved("<b>X</b>/1"), 1000)}
	given := reporter.Delivery{
		ID: 7, Kind: reporter.DeliveryPostmortem, Subject: "a/b", Receiver: "oncall", State: reporter.DeliveryGivenUp, LastError: "<i>401</i>",
		Reason: reporter.ReasonAccount, Attempts: 4, CreatedAt: day, FinishedAt: day,
		Parts: []reporter.Part{
			{SentAt: day}, {Document: "whole.html", Ambiguous: 2, Interrupted: 1, Uncertain: true, Plain: true}, {SentAt: day, Dropped: true},
		},
	}
	waiting := reporter.Delivery{
		ID: 8, Kind: reporter.DeliveryReport, Subject: "daily@2026-04-22T00:00:00Z", Receiver: "oncall", State: reporter.DeliveryPending,
		Attempts: 1, CreatedAt: day, NextAttempt: day.Add(5 * time.Minute),
	}
	notice := reporter.Delivery{ID: 9, Kind: reporter.DeliveryNotice, Subject: "7:stopped", Receiver: "backup", State: reporter.DeliveryCancelled}
	failures := reporter.Delivery{
		ID: 10, Kind: reporter.DeliveryNotice, Subject: reporter.SubjectFailures, Receiver: "backup", State: reporter.DeliveryPending,
		Reason: reporter.ReasonUnknown, LastError: "EOF", CreatedAt: day, NextAttempt: day,
	}
	w := world{incidents: rows, listed: []reporter.Delivery{given, waiting, notice, failures}}
	past := world{
		past:   []reporter.Delivery{sent(2, "daily@2026-04-21T00:00:00Z", "<b>old</b>"), sent(1, "daily@2026-04-20T00:00:00Z", "<b>older</b>")},
		listed: []reporter.Delivery{waiting, sent(2, "daily@2026-04-21T00:00:00Z", "<b>old</b>")},
	}
	trouble := world{listed: []reporter.Delivery{given}, parts: web.Parts{
		Collector: true, Oldest: day.Add(-time.Hour), Suspended: map[string]reporter.Gate{"oncall": {Reason: reporter.ReasonAccount, Detail: "Unauthorized <b>"}}, NotPolled: map[string]string{"telegram:1": "Conflict <b>"}, Pending: map[string]int{"oncall": 3, "former": 1},
		Queries: []web.Query{
			{Source: "db", Kind: "postgres", Name: "good", At: day, LastSuccess: day, Duration: 12 * time.Millisecond, Dropped: 2, Up: true},
			{Source: "db", Kind: "postgres", Name: "bad", At: day, LastSuccess: day.Add(-time.Hour), Up: true, Fault: "column <x> is NULL"},
			{Source: "api", Kind: "http", Name: "never"},
		},
		Figures: web.Figures{URL: "http://prom:9090", Newest: day.Add(-time.Hour)}, Clusters: []web.Cluster{{Name: "prod", Members: []string{"http://am:9093"}}},
		Heartbeats: []reporter.Heartbeat{
			{
				Cluster: "prod", Fingerprint: "f", Route: "beat", Labels: map[string]string{"alertname": "Dog <1>", "prometheus": "k8s"},
				SeenAt: day.Add(-2 * time.Hour), MissingAt: day.Add(-time.Hour), Outage: "HB-1",
			},
			{Cluster: "dev", Fingerprint: "f2", Route: "beat", Labels: map[string]string{"alertname": "Dog2"}, SeenAt: day},
		},
		Compared: day.Add(-time.Minute), CompareFault: "connection refused", LastWebhook: day.Add(-2 * time.Hour), Open: 1,
	}}
	verified := map[string]web.Verification{"oncall": {At: day}, "<b>": {At: day}}
	well := world{parts: web.Parts{Collector: true, Figures: web.Figures{Embedded: true, Newest: day}, Verified: verified}}
	unasked := world{parts: web.Parts{
		Open:      1,
		Collector: true, Figures: web.Figures{Embedded: true, Newest: day}, Queries: []web.Query{{Source: "api", Kind: "http", Name: "never"}},
		HeartbeatRoutes: []string{"dog"}, Clusters: []web.Cluster{{Name: "prod", Members: []string{"http://am:9093"}}}, Verified: map[string]web.Verification{"<b>": {At: day}},
	}}
	silent := func(clusters int) world {
		parts := web.Parts{
			Figures: web.Figures{Embedded: true, Newest: day}, Verified: verified, Compared: day, CompareFault: "cluster site-0: no answer",
			Clusters: []web.Cluster{{Name: "prod", Members: []string{"http://am-0:9093", "http://am-1:9093"}, Asked: day}},
		}
		for n := range clusters {
			parts.Clusters = append(parts.Clusters, web.Cluster{Name: fmt.Sprint("site-", n), Asked: day, Fault: "no <answer>"})
		}
		return world{parts: parts}
	}
	refused := world{parts: web.Parts{Figures: web.Figures{Newest: day}, Verified: map[string]web.Verification{"oncall": {At: day, Fault: "bot: <401>"}, "<b>": {At: day}}}}

	for name, tc := range map[string]struct {
		w    world
		path string
		code int
		says []string
		not  string
	}{
		"overview, all well":                     {well, "/", 200, []string{"All good", "No open incidents", "No deliveries yet", `href="/metrics"`, `href="/-/ready"`, "1.2.3", "daily"}, "attention"},
		"overview, an empty database of figures": {world{}, "/", 200, []string{"has no recent samples"}, "All good"},
		"overview, just started":                 {world{young: true}, "/", 200, []string{"No samples yet", "Not verified yet"}, "Needs attention"},
		"overview, troubles": {trouble, "/", 200, []string{
			"Needs attention: 8", "Heartbeat Dog &lt;1&gt; of cluster prod is missing: last received 2h ago", "Receiver oncall is suspended: the bot token is invalid or revoked (Unauthorized &lt;b&gt;)", "waiting for 1h", "Source db: failed queries: 1",
			"chats of telegram:1 are not received: Conflict &lt;b&gt;",
			"latest figures are 1h old", "not compared with Alertmanager: connection refused", "was not delivered to oncall", "<b>4</b>",
			"Source api has not been queried yet",
		}, "All good"},
		"overview, a cluster that does not answer":   {silent(1), "/", 200, []string{"not compared with Alertmanager: site-0: no &lt;answer&gt;"}, "All good"},
		"overview, clusters that do not answer":      {silent(3), "/", 200, []string{"with Alertmanager: site-0, site-1, site-2<"}, "All good"},
		"overview, many clusters that do not answer": {silent(9), "/", 200, []string{"site-3, site-4 … (9)"}, "site-5"},
		"sources, clusters that do not answer":       {silent(1), "/sources", 200, []string{`down</span><a class="title" href="/clusters/site-0">site-0`, "no &lt;answer&gt;", `up</span><a class="title" href="/clusters/prod">prod`, "http://am-1:9093"}, ""},
		"overview, nothing asked yet": {unasked, "/", 200, []string{"Not verified yet: 4", "Route dog has not received a heartbeat yet", "Source api has not been queried yet", "Receiver oncall has not been verified yet",
			"have not been compared with Alertmanager yet"}, "All good"},
		"overview, a receiver that refuses": {refused, "/", 200, []string{"Receiver oncall cannot be reached: bot: &lt;401&gt;"}, "All good"},
		"sources, nothing asked yet":        {unasked, "/sources", 200, []string{"not verified", "not queried yet"}, ""},
		"sources, a receiver that refuses":  {refused, "/sources", 200, []string{"bot: &lt;401&gt;"}, ""},
		"overview, figures not to be read": {world{parts: web.Parts{Figures: web.Figures{Fault: "refused"}, Fault: "disk"}}, "/", 200,
			[]string{"Figures cannot be read: refused", "state cannot be read"}, "disk"},

		"reports":       {past, "/reports", 200, []string{"daily", "0 8 * * *", "2026-04-22 09:00:00", `/reports/daily?at=2026-04-21T08%3A00%3A00%2B08%3A00`, "sent"}, ""},
		"reports, none": {world{}, "/reports", 200, []string{"Not sent yet"}, ""},
		"report":        {past, "/reports/daily", 200, []string{"<b>ok</b> &lt;3", "sum(x &lt; 1)", "no sample", "2026-04-22 08:00:00", "2026-04-20 08:00:00", `value="2026-04-22T08:00"`}, "As it was sent"},
		"report as it was sent": {past, "/reports/daily?at=2026-04-21T08:00:00%2B08:00", 200,
			[]string{"As it was sent", "<b>old</b>", "Evaluated again now", "<b>ok</b>", "Not composed yet", "As of now"}, "with the same result"},
		"report at a time of a form":        {past, "/reports/daily?at=2026-04-01T08:00", 200, []string{"2026-04-01 08:00:00"}, ""},
		"report at a time with a lost plus": {past, "/reports/daily?at=2026-04-01T08:00:00+08:00", 200, []string{"2026-04-01 08:00:00"}, ""},
		"report sent as it is now": {world{past: past.past, listed: []reporter.Delivery{sent(1, "daily@2026-04-21T00:00:00Z", "<b>ok</b> &lt;3")}},
			"/reports/daily?at=2026-04-21T00:00:00Z", 200, []string{"with the same result"}, ""},
		"report that cannot be evaluated": {world{past: past.past, listed: past.listed, reportErr: errors.New("secret")}, "/reports/daily?at=2026-04-21T00:00:00Z", 200,
			[]string{"<b>old</b>", "see the log"}, "secret"},
		"report at no time":                {world{}, "/reports/daily?at=noon", 400, []string{"want a time"}, ""},
		"report before no time":            {world{}, "/reports/daily?before=noon", 400, []string{"want a time"}, ""},
		"report of no name":                {world{}, "/reports/x", 404, []string{"not found."}, ""},
		"report of no name, with a past":   {past, "/reports/x", 200, []string{"no longer configured", "2026-04-20 08:00:00"}, ""},
		"report of a name that is no text": {past, "/reports/%ff", 404, []string{"not found."}, ""},

		"incidents": {w, "/incidents", 200, []string{"db-3 &lt;full&gt;", "/incidents/%3Cb%3EX%3C%2Fb%3E%2F1", "lasted 10m", "sample", "cluster=&lt;prod&gt;",
			"1000 alerts", `class="badge bad">critical`, "2 incidents", "Team dba", "x=&lt;script&gt;", "<option>&lt;b&gt;</option>"}, "<b>X"},
		"incidents, filtered": {w, "/incidents?severity=critical&team=gone&cluster=tpe-2&from=2026-04-01&to=2026-04-22&q=a%22b&state=open", 200, []string{
			"<option selected>critical</option>", "<option selected>gone</option>", "<option selected>tpe-2</option>", `value="2026-04-01"`, `value="a&#34;b"`,
			`href="/incidents?state=open">Clear filters`, `href="/incidents?cluster=tpe-2&amp;from=2026-04-01&amp;q=a%22b&amp;severity=critical&amp;state=resolved&amp;team=gone&amp;to=2026-04-22"`,
		}, ""},
		"incidents, very many":      {world{incidents: rows, more: true}, "/incidents", 200, []string{"more than 2 incidents"}, ""},
		"incidents of no day":       {world{}, "/incidents?from=x", 400, []string{"from: want a date"}, ""},
		"incidents to no day":       {world{}, "/incidents?to=2026-02-30", 400, []string{"to: want a date"}, ""},
		"incidents of no severity":  {world{}, "/incidents?severity=%ff", 400, []string{"not valid"}, ""},
		"incidents of a long team":  {world{}, "/incidents?team=" + strings.Repeat("x", 201), 400, []string{"longer than 200"}, ""},
		"incidents before nothing":  {world{}, "/incidents?before=x", 400, []string{"not found."}, ""},
		"incidents between places":  {world{}, "/incidents?before=open~1~x&after=open~1~x", 400, []string{"not found."}, ""},
		"incidents, none":           {world{}, "/incidents", 200, []string{"No incidents yet", "/api/v1/alertmanager/webhook"}, ""},
		"incidents, none found":     {world{}, "/incidents?q=x", 200, []string{"No matches"}, "No incidents yet"},
		"incidents of no state":     {world{}, "/incidents?state=x", 400, []string{"state"}, ""},
		"incidents by what no text": {world{}, "/incidents?q=%00", 400, []string{"not valid"}, ""},
		"incidents by much text":    {world{}, "/incidents?q=" + strings.Repeat("x", 201), 400, []string{"longer than 200"}, ""},
		"incidents after nothing":   {world{}, "/incidents?after=x", 400, []string{"not found."}, ""},
		"incidents after no time":   {world{}, "/incidents?after=open~x~y", 400, []string{"not found."}, ""},

		"incident": {w, "/incidents/A", 200, []string{"<b>story</b>", "x=&lt;script&gt;", "The &lt;i&gt;disk&lt;/i&gt;", "&lt;alert&gt; 0", "no longer in Alertmanager",
			"/incidents/A/postmortem.md", "3 alerts, by Alertmanager", "Earlier ones with the same alerts: 2 in 7 days, 5 in 30 days", "<h3>In the same group</h3>", "OPEN", "2026-04-22 08:10:00"}, "javascript:"},
		"incident, open": {world{incident: &open}, "/incidents/OPEN", 200, []string{"Status so far", "sent when the incident is resolved", "firing"}, "Postmortem</h2>"},
		"incident, chronic": {world{incident: &chronic}, "/incidents/CHRONIC", 200, []string{`<span class="badge warn">chronic</span>`, "Status so far", "firing", "15 older alerts"},
			"resolved</span>"},
		"incidents, chronic": {world{incidents: []reporter.IncidentRow{row(chronic, 1)}}, "/incidents?state=chronic", 200,
			[]string{`<span class="badge warn">chronic</span>`, `aria-current="true">chronic`}, "resolved</span>"},
		"incident, short":                {world{}, "/incidents/A", 200, []string{"shorter than the min_duration of its route", "None."}, ""},
		"incident that is gone":          {w, "/incidents/gone", 404, []string{"not found."}, ""},
		"incident of no text":            {w, "/incidents/a%00", 404, []string{"not found."}, ""},
		"incident, no place":             {w, "/incidents/A?after=x", 400, []string{"not found."}, ""},
		"incident, a place not a time":   {w, "/incidents/A?before=x~f", 400, []string{"not found."}, ""},
		"incident, a place not storable": {w, "/incidents/A?after=1~%00", 400, []string{"not found."}, ""},
		"incident, between two places":   {w, "/incidents/A?after=1~f&before=2~f", 400, []string{"not found."}, ""},

		"deliveries": {w, "/deliveries", 200, []string{"given up", "&lt;i&gt;401", "1 of 3 parts sent", "the bot&#39;s token is refused", "attempts: 4", "Notice of messages that were not sent", "no answer after sending", "next attempt", "2026-04-22 08:05:00",
			"Postmortem of a/b", "/incidents/a%2Fb", "Report daily as of 2026-04-22 08:00", "Notice of delivery 7", "/deliveries/7", "ask for a user and a password", "&lt;b&gt;</option>"}, "<i>401"},
		"deliveries by cause": {world{causes: []reporter.DeliveryCause{
			{Receiver: "on<call>", State: reporter.DeliveryGivenUp, Reason: reporter.ReasonNotAnswered, Count: 12, Oldest: day, Latest: 77},
			{Receiver: "backup", State: reporter.DeliveryPending, Reason: reporter.ReasonWait, Count: 1, Oldest: day, Latest: 5},
		}}, "/deliveries", 200, []string{"on&lt;call&gt;: no answer", "Retry all 12", `name="latest" value="77"`, `value="on&lt;call&gt;"`, "Retry 1", "oldest from"}, "<call>"},
		"deliveries of a receiver by cause": {world{causes: []reporter.DeliveryCause{
			{Receiver: "other", State: reporter.DeliveryGivenUp, Reason: reporter.ReasonNotAnswered, Count: 12},
		}}, "/deliveries?receiver=oncall", 200, []string{"No matches"}, "Retry all"},
		"deliveries, after all":         {w, "/deliveries?done=retry_all&count=12", 200, []string{"12 deliveries will be retried now"}, ""},
		"deliveries, after an action":   {w, "/deliveries?done=retry&delivery=7", 200, []string{"Delivery 7 will be retried now"}, ""},
		"deliveries, after a cancel":    {w, "/deliveries?done=cancel&delivery=7", 200, []string{"Delivery 7 was cancelled"}, ""},
		"deliveries, after nothing":     {w, "/deliveries?done=%3Cb%3E&delivery=x", 200, []string{"given up"}, `role="status"`},
		"deliveries, none":              {world{}, "/deliveries", 200, []string{"No deliveries yet"}, ""},
		"deliveries, none found":        {world{}, "/deliveries?state=sent", 200, []string{"No matches"}, ""},
		"deliveries of no state":        {world{}, "/deliveries?state=x", 400, []string{"state"}, ""},
		"deliveries of a former one":    {w, "/deliveries?receiver=former", 200, []string{"<option selected>former</option>"}, ""},
		"deliveries before nothing":     {world{}, "/deliveries?before=x", 400, []string{"not found."}, ""},
		"deliveries of what is no text": {world{}, "/deliveries?receiver=%ff", 400, []string{"not valid"}, ""},
		"delivery": {w, "/deliveries/7", 200, []string{"Delivery 7", "Part 2", "as the file whole.html", "may or may not have arrived", "answers lost: 2",
			"interrupted: 1", "without formatting", "not yet"}, ""},
		"delivery as it was sent": {past, "/deliveries/2", 200, []string{"<b>old</b>", "m1"}, "Try now"},
		"delivery of no id":       {w, "/deliveries/1", 404, []string{"not found."}, ""},
		"delivery of no number":   {w, "/deliveries/x", 404, []string{"not found."}, ""},

		"sources": {trouble, "/sources", 200, []string{"chats of telegram:1 are not received: Conflict &lt;b&gt;", "column &lt;x&gt; is NULL", "12 ms", "not queried yet", "http://prom:9090", "http://am:9093", "connection refused",
			"Unauthorized &lt;b&gt;", "waiting: 3", "former", "not configured", "0 8 * * *", "2h ago", "up", "Dog &lt;1&gt;", "prometheus=k8s", "missing since", "Dog2", "received<"}, "down<"},
		"cluster": {world{incidents: rows, parts: web.Parts{Clusters: []web.Cluster{{Name: "tpe-2", Members: []string{"http://am:9093"}, Asked: day, Fault: "refused <b>"}}}}, "/clusters/tpe-2", 200,
			[]string{"Cluster tpe-2", "http://am:9093", "refused &lt;b&gt;", "/api/v1/alertmanager/tpe-2/webhook", "open: 2", "/incidents?cluster=tpe-2&amp;state=open", "db-3 &lt;full&gt;"}, ""},
		"cluster without a configuration": {world{incidents: rows}, "/clusters/default", 200, []string{"/api/v1/alertmanager/webhook"}, ""},
		"cluster of nothing":              {world{}, "/clusters/x", 404, []string{"not found."}, ""},
		"cluster of no text":              {world{}, "/clusters/%ff", 404, []string{"not found."}, ""},
		"sources, no collector":           {world{}, "/sources", 200, []string{"has no collector", "none since start", "alertmanagers is not set"}, ""},
		"sources, source down":            {world{parts: web.Parts{Collector: true, Queries: []web.Query{{Source: "db", Name: "q", At: day, Fault: "refused"}}}}, "/sources", 200, []string{"down", "refused"}, ""},
		"sources, unknown state":          {world{parts: web.Parts{Fault: "disk"}}, "/sources", 200, []string{"state cannot be read"}, "disk"},

		"nowhere": {world{}, "/nowhere", 404, []string{"not found."}, ""},
		"healthy": {world{}, "/-/healthy", 200, []string{"healthy"}, ""},
		"ready":   {world{}, "/-/ready", 200, []string{"ready"}, ""},
	} {
		r := serve(tc.w, tc.path)
		body := r.Body.String()
		if r.Code != tc.code {
			t.Errorf("%s: %d, want %d", name, r.Code, tc.code)
		}
		for _, want := range tc.says {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q:\n%s", name, want, content(body))
			}
		}
		if tc.not != "" && strings.Contains(content(body), tc.not) {
			t.Errorf("%s says %q:\n%s", name, tc.not, content(body))
		}
		for key, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		} {
			if !strings.Contains(r.Header().Get(key), want) {
				t.Errorf("%s: %s is %q", name, key, r.Header().Get(key))
			}
		}
		if strings.Contains(body, "%!") {
			t.Errorf("%s: an argument is missing:\n%s", name, content(body))
		}
	}
}

// content is a page without its head.
func content(body string) string {
	_, rest, _ := strings.Cut(body, "</head>")
	return rest
}

func TestTroubleIsNotShownToStrangers(t *testing.T) {
	t.Parallel()
	w := world{err: errors.New("disk at /secret")}
	for _, path := range []string{
		"/", "/reports", "/reports/daily", "/incidents", "/incidents/A", "/incidents/A/postmortem.md", "/incidents/A/history", "/deliveries", "/deliveries/1",
	} {
		h, logs := pages(w, w)
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		if r.Code != 500 && path != "/deliveries/1" || strings.Contains(r.Body.String(), "/secret") {
			t.Errorf("%s: %d %s", path, r.Code, r.Body)
		}
		if r.Code == 500 && !strings.Contains(logs.String(), "/secret") {
			t.Errorf("%s: the log does not say why: %s", path, logs)
		}
	}
	h, logs := pages(w, w)
	for range 3 {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/-/ready", nil))
		if r.Code != 503 || r.Body.String() != "awoooi-reporter is not ready.\nstate: failing, see the log\n" {
			t.Errorf("/-/ready: %d %s", r.Code, r.Body)
		}
	}
	if got := strings.Count(logs.String(), "disk at /secret"); got != 1 {
		t.Errorf("the log shows the reason %d times in 3 probes:\n%s", got, logs)
	}
	if r := serve(w, "/-/healthy"); r.Code != 200 {
		t.Errorf("/-/healthy: %d", r.Code)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	did := []string{}
	w := world{listed: []reporter.Delivery{sent(1, "x@y", "x")}, did: &did}
	for _, path := range []string{"/", "/reports", "/reports/daily", "/incidents", "/incidents/A", "/incidents/A/postmortem.md", "/incidents/A/history", "/deliveries", "/deliveries/1", "/sources"} {
		h, _ := pages(w, w)
		get, head, post := httptest.NewRecorder(), httptest.NewRecorder(), httptest.NewRecorder()
		h.ServeHTTP(get, httptest.NewRequest(http.MethodGet, path, nil))
		h.ServeHTTP(head, httptest.NewRequest(http.MethodHead, path, nil))
		h.ServeHTTP(post, httptest.NewRequest(http.MethodPost, path, nil))
		if head.Code != 200 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") || get.Header().Get("Content-Length") != fmt.Sprint(get.Body.Len()) {
			t.Errorf("HEAD %s: %d, length %s of %d", path, head.Code, head.Header().Get("Content-Length"), get.Body.Len())
		}
		if post.Code != 405 || !strings.Contains(post.Header().Get("Allow"), "GET") {
			t.Errorf("POST %s: %d, Allow: %s", path, post.Code, post.Header().Get("Allow"))
		}
	}
	if r := serve(w, "/deliveries/1/retry"); r.Code != 404 || len(did) != 0 {
		t.Errorf("GET of an action: %d, did %v", r.Code, did)
	}
}

func TestLinksLeadToIncidentsOfAnyID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"INC-1", "a/b", "a//b", "../x", "a b", "a%2Fb", "a?b#c", "日本", `"quoted"`, "<b>", "a+b&c=d", "a\\b", "a;b", "a\nb", "...",
	} {
		in := resolved(id)
		r := serve(world{incidents: []reporter.IncidentRow{row(in, 1)}}, "/incidents")
		m := regexp.MustCompile(`<a class="title" href="([^"]+)"`).FindStringSubmatch(r.Body.String())
		if m == nil {
			t.Errorf("%q: no link", id)
			continue
		}
		m[1] = html.UnescapeString(m[1])
		got := ""
		w := idWorld{&got}
		mux := http.NewServeMux()
		mux.Handle("GET /incidents/{id}", w)
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, m[1], nil))
		if rec.Code != 200 || got != id {
			t.Errorf("%q: its link %s leads to %q (%d)", id, m[1], got, rec.Code)
		}
		page := serve(world{}, m[1])
		if page.Code != 200 {
			t.Errorf("%q: its page answers %d", id, page.Code)
		}
		file := serve(world{}, m[1]+"/postmortem.md")
		if file.Code != 200 || !strings.HasPrefix(file.Body.String(), "# "+id) {
			t.Errorf("%q: its Markdown answers %d: %s", id, file.Code, file.Body)
		}
	}
}

type idWorld struct{ id *string }

func (w idWorld) ServeHTTP(_ http.ResponseWriter, r *http.Request) { *w.id = r.PathValue("id") }

func TestMarkdownIsAFile(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"INC-1":                  "postmortem-INC-1.md",
		"a/../b \"c\"\n":         "postmortem-a-..-b--c--.md",
		"事件 1":                   "postmortem-事件-1.md",
		strings.Repeat("長", 300): "postmortem-" + strings.Repeat("長", 100) + ".md",
		"..":                     "postmortem-.md",
	} {
		in := resolved(id)
		r := serve(world{incident: &in}, "/incidents/x/postmortem.md")
		h := r.Header()
		if r.Code != 200 || h.Get("Content-Type") != "text/markdown; charset=utf-8" {
			t.Errorf("%q: %d, %s", id, r.Code, h.Get("Content-Type"))
		}
		if got := attachment(t, h.Get("Content-Disposition")); got != want {
			t.Errorf("%q: the file is %q, want %q", id, got, want)
		}
	}
	if r := serve(world{}, "/incidents/gone/postmortem.md"); r.Code != 404 {
		t.Errorf("of no incident: %d", r.Code)
	}
}

// Pages of lists lead to each other, and keep the filter.
func TestPaging(t *testing.T) {
	t.Parallel()
	var rows []reporter.IncidentRow
	var ds []reporter.Delivery
	var past []reporter.Delivery
	for n := range 40 {
		in := resolved(fmt.Sprintf("I~%02d", n))
		in.StartedAt = day.Add(-time.Duration(n) * time.Hour)
		rows = append(rows, row(in, 1))
		d := sent(int64(100-n), "daily@"+day.AddDate(0, 0, -n).Format(time.RFC3339), "x")
		ds, past = append(ds, d), append(past, d)
	}
	var sought reporter.IncidentFilter
	var filter reporter.DeliveryFilter
	w := world{incidents: rows, listed: ds, past: past, sought: &sought, filter: &filter}
	next := func(path string) string {
		t.Helper()
		r := serve(w, path)
		m := regexp.MustCompile(`<a href="([^"]+)" rel="next"`).FindStringSubmatch(r.Body.String())
		if m == nil {
			t.Fatalf("%s: no next page: %s", path, content(r.Body.String()))
		}
		address, _, _ := strings.Cut(html.UnescapeString(m[1]), "#")
		return address
	}
	r := serve(w, next("/incidents?state=resolved&q=a%26b&severity=critical&team=dba&from=2026-04-01&to=2026-04-22"))
	want := reporter.IncidentCursor{State: reporter.IncidentResolved, StartedAt: day.Add(-29 * time.Hour), ID: "I~29"}
	if sought.After == nil || sought.After.ID != want.ID || !sought.After.StartedAt.Equal(want.StartedAt) || sought.After.State != want.State ||
		sought.State != reporter.IncidentResolved || sought.Text != "a&b" || sought.Severity != "critical" || sought.Team != "dba" ||
		!sought.From.Equal(time.Date(2026, 4, 1, 0, 0, 0, 0, zone)) || !sought.To.Equal(time.Date(2026, 4, 23, 0, 0, 0, 0, zone)) {
		t.Errorf("the second page of incidents asks for %+v after %+v", sought, sought.After)
	}
	back := regexp.MustCompile(`<a href="([^"]+)" rel="prev"`).FindStringSubmatch(r.Body.String())
	if back == nil || strings.Contains(r.Body.String(), `rel="next"`) {
		t.Fatal("the second page of incidents, which is the last, does not lead back, or leads further")
	}
	r = serve(w, html.UnescapeString(back[1]))
	if body := r.Body.String(); !strings.Contains(body, "I~00") || !strings.Contains(body, "I~29") || strings.Contains(body, "I~30") ||
		strings.Contains(body, `rel="prev"`) || !strings.Contains(body, `rel="next"`) || sought.Team != "dba" {
		t.Error("the way back from the second page of incidents is not the first page")
	}
	serve(w, next("/deliveries?state=sent&receiver=oncall"))
	if filter.Before != 71 || filter.State != reporter.DeliverySent || filter.Receiver != "oncall" {
		t.Errorf("the second page of deliveries asks for %+v", filter)
	}
	if got := next("/reports/daily"); got != "/reports/daily?before="+url.QueryEscape(day.AddDate(0, 0, -19).Format(time.RFC3339)) {
		t.Errorf("the second page of past reports is %s", got)
	}
	in := resolved("STORM")
	for n := range 120 {
		a := in.Alerts[0]
		a.Fingerprint, a.Labels = fmt.Sprint("print", n), map[string]string{"n": fmt.Sprint("number-", n, ".")}
		in.Alerts = append(in.Alerts, a)
	}
	w.incident = &in
	second := serve(w, next("/incidents/STORM")).Body.String()
	if strings.Contains(second, "n=number-28.") || !strings.Contains(second, "n=number-29.") || !strings.Contains(second, "n=number-58.") || strings.Contains(second, "n=number-59.") {
		t.Error("the second page of alerts holds others than the 31st to the 60th")
	}
	if !strings.Contains(second, "31–60 of 121") || !strings.Contains(second, "… 91 more …") {
		t.Error("the second page of alerts does not say where it is, or the timeline how much it leaves out")
	}
	back = regexp.MustCompile(`<a href="([^"#]+)#alerts" rel="prev"`).FindStringSubmatch(second)
	if back == nil {
		t.Fatal("the second page of alerts does not lead back")
	}
	first := serve(w, html.UnescapeString(back[1])).Body.String()
	if !strings.Contains(first, "1–30 of 121") || strings.Contains(first, `rel="prev"`) {
		t.Error("the way back from the second page of alerts is not the first page")
	}
}

func TestPictures(t *testing.T) {
	t.Parallel()
	get := func(d drawing, path string) *httptest.ResponseRecorder {
		h, _ := pages(d.world, d)
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
		return r
	}
	for page, file := range map[string]string{"/reports/daily": "/reports/daily/trend.png", "/incidents/A": "/incidents/A/graph.png"} {
		for name, tc := range map[string]struct {
			d     drawing
			shown bool
			code  int
		}{
			"drawn":       {drawing{picture: reporter.Picture{PNG: []byte("PNG"), Text: `load "api" 0 to 1`}}, true, 200},
			"none":        {drawing{bad: fmt.Errorf("picture: %w", reporter.ErrNotFound)}, false, 404},
			"in trouble":  {drawing{bad: errors.New("no font")}, false, 500},
			"without any": {drawing{}, false, 404},
		} {
			r := get(tc.d, page)
			if r.Code != 200 || strings.Contains(r.Body.String(), `src="data:image/png;base64,UE5H"`) != tc.shown ||
				strings.Contains(r.Body.String(), `load &#34;api&#34; 0 to 1">`) != tc.shown {
				t.Errorf("%s, %s: %d\n%s", page, name, r.Code, content(r.Body.String()))
			}
			r = get(tc.d, file)
			if r.Code != tc.code || (tc.code == 200 && (r.Body.String() != "PNG" || r.Header().Get("Content-Type") != "image/png")) {
				t.Errorf("%s, %s: %d %s", file, name, r.Code, r.Body)
			}
		}
		if r := serve(world{}, file); r.Code != 404 {
			t.Errorf("%s where nobody draws: %d", file, r.Code)
		}
	}
}

func TestTemplatesHaveShortLines(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if len(line) > 140 {
				t.Errorf("%s:%d has %d bytes", name, n+1, len(line))
			}
		}
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	for locale, want := range map[string][]string{
		"zh-TW": {`lang="zh-Hant-TW"`, "事件", "時間為Asia/Taipei。"},
		"en":    {`lang="en"`, "Incidents"},
		"tlh":   {`lang="zh-Hant-TW"`, "事件"}, // no configuration has it
	} {
		body := serve(world{locale: locale}, "/incidents").Body.String()
		for _, w := range want {
			if !strings.Contains(strings.ReplaceAll(body, "台北時間", "Asia/Taipei"), w) {
				t.Errorf("%s does not say %q", locale, w)
			}
		}
	}
}

// The figures of a report have their digits, to compare them with other tools, and no exponent.
func TestFiguresOfAReport(t *testing.T) {
	t.Parallel()
	body := serve(world{}, "/reports/daily").Body.String()
	if !strings.Contains(body, "1234567.8<") || strings.Contains(body, "e+") {
		t.Errorf("the page does not show 1234567.8: %s", body)
	}
}
