// Package postmortem builds postmortems: an incident comes in; what its alerts, the operations database, Prometheus and the journal
// know about it goes out.
package postmortem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Config holds the settings of a Builder.
type Config struct {
	Zone        *time.Location    // default UTC
	Locale      string            // of incidents whose route has none
	Locales     map[string]string // of routes, by name
	ExternalURL string            // of the web pages; "" leaves the link out
	IDLabel     string            // label or annotation with the id of an incident
	Now         func() time.Time  // default time.Now
}

// Details looks up an incident in the operations database. reporter.ErrNotFound: it has no record of the incident.
type Details interface {
	Details(ctx context.Context, q reporter.DetailsQuery) (reporter.Details, error)
}

// History reads the incident journal.
type History interface {
	Incidents
	People
}

// Incidents reads earlier incidents.
type Incidents interface {
	// Earlier counts the incidents before this one that share an alert with it.
	Earlier(ctx context.Context, in reporter.Incident) (reporter.Earlier, error)
	// Alike returns at most limit resolved incidents that began at since <= t < before and have an alert of one of these names, the
	// latest first.
	Alike(ctx context.Context, names []string, since, before time.Time, limit int) ([]reporter.Incident, error)
}

// People reads what people did about an incident.
type People interface {
	// Entries returns the entries of an incident, in the order of their ids.
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
	// Silences returns the silences of an incident, in the order of their requests.
	Silences(ctx context.Context, incident string) ([]reporter.Silence, error)
}

// Querier evaluates PromQL. An empty result is no samples and no error.
type Querier interface {
	Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)
	QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) ([]reporter.Series, error)
}

// Rules returns the alerting rules of that name.
type Rules interface {
	AlertRules(ctx context.Context, name string) ([]reporter.AlertRule, error)
}

// Builder builds postmortems. It is safe for concurrent use.
type Builder struct {
	cfg     Config
	details Details
	history History
	querier Querier
	rules   Rules
	log     *slog.Logger
	starts  starts
}

// New makes a builder. Details, history, querier and rules may be nil: what they know is left out then.
func New(cfg Config, details Details, history History, querier Querier, rules Rules, log *slog.Logger) *Builder {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Builder{cfg: cfg, details: details, history: history, querier: querier, rules: rules, log: log}
}

// Build collects what is known about an incident. If a database does not answer, its details are missing, and a note says so.
func (b *Builder) Build(ctx context.Context, in reporter.Incident) reporter.Postmortem {
	p := reporter.Postmortem{
		Incident: in, Locale: cmp.Or(b.cfg.Locales[in.Route], b.cfg.Locale), Zone: b.cfg.Zone, Built: b.cfg.Now().UTC(),
		Title:       in.Title(),
		Severity:    in.Severity(),
		Description: in.Worst().Description(),
		Affected:    b.affected(in),
		RootCause:   annotation(in, "root_cause"),
		Action:      annotation(in, "action"),
		Decision:    cmp.Or(annotation(in, "ai_decision"), annotation(in, "decision")),
		Disposition: reporter.ParseDisposition(annotation(in, "resolution")),
		Links:       b.links(in),
	}
	p.Timeline, p.TimelineOmitted = timeline(in)
	if n, err := strconv.Atoi(annotation(in, "retries")); err == nil && n > 0 {
		p.Retries = n
	}
	if t, err := time.Parse(time.RFC3339, annotation(in, "acknowledged_at")); err == nil {
		p.Acknowledged = t.UTC()
	}
	if in.Truncated > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%s:%d", reporter.NoteTruncated, in.Truncated))
	}
	switch in.CloseReason {
	case reporter.ClosedReconciled:
		p.Notes = append(p.Notes, reporter.NoteReconciled)
	case reporter.ClosedExpired:
		p.Notes = append(p.Notes, reporter.NoteExpired)
	case reporter.ClosedResolved:
	}
	b.addDetails(ctx, in, &p)
	if b.history != nil {
		if e, err := b.history.Earlier(ctx, in); err != nil {
			b.log.Warn("earlier incidents were not counted", "incident", in.ID, "err", err)
		} else {
			p.Earlier = &e
		}
		p.Similar = b.similar(ctx, in)
		b.addPeople(ctx, in, &p)
	}
	if p.Acknowledged.Before(in.StartedAt) { // of an earlier incident
		p.Acknowledged = time.Time{}
	}
	p.TrueStart = b.trueStart(ctx, in)
	return p
}

// addPeople adds what people wrote and did about the incident.
func (b *Builder) addPeople(ctx context.Context, in reporter.Incident, p *reporter.Postmortem) {
	entries, err := b.history.Entries(ctx, in.ID)
	if err != nil {
		b.log.Warn("entries of the incident were not read", "incident", in.ID, "err", err)
		p.Notes = append(p.Notes, reporter.NoteEntriesUnavailable)
	}
	if len(entries) > 0 {
		p.Entries, p.Acknowledgement = entries, reporter.AcknowledgementOf(entries)
		p.Sections, p.PeopleNotes = reporter.Current(entries)
	}
	if at := p.Acknowledgement.First; !at.IsZero() { // takes precedence over the platform's record
		p.Acknowledged = at
		if at.Before(in.StartedAt) { // by a clock that is behind that of the alert
			p.Acknowledged = in.StartedAt
		}
	}
	if p.Silences, err = b.history.Silences(ctx, in.ID); err != nil {
		b.log.Warn("silences of the incident were not read", "incident", in.ID, "err", err)
	}
}

// addDetails replaces texts of the alerts by those of the operations database.
func (b *Builder) addDetails(ctx context.Context, in reporter.Incident, p *reporter.Postmortem) {
	if b.details == nil {
		return
	}
	worst := in.Worst()
	d, err := b.details.Details(ctx, reporter.DetailsQuery{
		IncidentID: b.givenID(in), Fingerprint: worst.Fingerprint, AlertName: worst.Labels["alertname"],
		StartsAt: in.StartedAt, EndsAt: in.EndedAt,
	})
	if errors.Is(err, reporter.ErrNotFound) {
		return
	}
	if err != nil {
		b.log.Warn("details of the incident were not read", "incident", in.ID, "err", err)
		p.Notes = append(p.Notes, reporter.NoteDetailsUnavailable)
		return
	}
	p.Title = cmp.Or(d.Title, p.Title)
	p.Severity = cmp.Or(d.Severity, p.Severity)
	p.RootCause = cmp.Or(d.RootCause, p.RootCause)
	p.Action = cmp.Or(d.Action, p.Action)
	p.Decision = cmp.Or(d.Decision, p.Decision)
	p.Disposition = cmp.Or(d.Disposition, p.Disposition)
	p.Retries = cmp.Or(d.Retries, p.Retries)
	if !d.Acknowledged.IsZero() {
		p.Acknowledged = d.Acknowledged
	}
}

// givenID returns the id that the alerts give to the incident, unchanged. Incident.ID has other characters than letters and digits
// replaced, and so could be the database's id of another incident. If the alerts give several, it returns the one that Incident.ID was
// made of, else that of the first alert.
func (b *Builder) givenID(in reporter.Incident) string {
	var names []string
	for _, a := range in.Alerts {
		if name := cmp.Or(a.Labels[b.cfg.IDLabel], a.Annotations[b.cfg.IDLabel]); name != "" {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if reporter.IncidentID(name) == in.ID {
			return name
		}
	}
	for _, name := range names {
		if id := reporter.IncidentID(name); id != "" && strings.HasPrefix(in.ID, id+"-") { // and a hash
			return name
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// annotation returns the first annotation of that name among the incident's alerts; "" if none has one.
func annotation(in reporter.Incident, name string) string {
	for _, a := range in.Alerts {
		if v := strings.TrimSpace(a.Annotations[name]); v != "" {
			return v
		}
	}
	return ""
}

// origin are labels of the alert's origin. They say nothing about what is affected.
var origin = []string{"awoooi_sample", "prometheus", "monitor", "replica"}

// scrape are labels of the scrape. They are shown only if the alerts have no others in common.
var scrape = []string{"job", "container", "endpoint", "metrics_path", "scheme", "prometheus_replica", "receive", "tenant_id"}

// affected returns the labels that the alerts have in common, without those shown elsewhere and those of their origin.
func (b *Builder) affected(in reporter.Incident) []reporter.Label {
	common := in.CommonLabels()
	if len(in.Folded) > 0 { // whose labels are not known any more, except those of the group
		maps.DeleteFunc(common, func(name, value string) bool { return in.GroupLabels[name] != value })
	}
	for _, name := range slices.Concat(origin, []string{"alertname", "severity", "alert_category", b.cfg.IDLabel}) {
		delete(common, name)
	}
	var out, scraped []reporter.Label
	for _, name := range slices.Sorted(maps.Keys(common)) {
		label := reporter.Label{Name: name, Value: common[name]}
		if slices.Contains(scrape, name) {
			scraped = append(scraped, label)
		} else {
			out = append(out, label)
		}
	}
	if len(out) == 0 {
		return scraped
	}
	return out
}

// partialEnds is the number of events at each end of the timeline of a partial incident. The store reads more alerts than that at
// each end, so that these events are the first and the last ones.
const partialEnds = 200

// timeline returns the starts and ends of all alerts in the order of time, starts before ends at the same time. For a partial incident
// it returns the events at both ends, and the number of those between them.
func timeline(in reporter.Incident) (_ []reporter.TimelineEvent, omitted int) {
	common := in.CommonLabels()
	var out []reporter.TimelineEvent
	for _, a := range in.Alerts {
		name := alertName(a, common)
		out = append(out, reporter.TimelineEvent{At: a.StartsAt, Firing: true, Alert: name})
		if end, why := a.Ended(); !end.IsZero() {
			out = append(out, reporter.TimelineEvent{At: end, Alert: name, About: why != reporter.ClosedResolved})
		}
	}
	slices.SortStableFunc(out, func(a, b reporter.TimelineEvent) int {
		if c := a.At.Compare(b.At); c != 0 || a.Firing == b.Firing {
			return c
		}
		if a.Firing {
			return -1
		}
		return 1
	})
	if in.Partial != nil && len(out) > 2*partialEnds {
		omitted = in.Partial.Events - 2*partialEnds
		out = slices.Concat(out[:partialEnds], out[len(out)-partialEnds:])
	}
	return out, omitted
}

// alertName returns the alert's name with the labels in which it differs from the other alerts of the incident.
func alertName(a reporter.Alert, common map[string]string) string {
	var own []string
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		if _, shared := common[k]; !shared && k != "alertname" {
			own = append(own, k+"="+a.Labels[k])
		}
	}
	name := cmp.Or(a.Labels["alertname"], a.Fingerprint)
	if len(own) > 0 {
		name += " (" + strings.Join(own, ", ") + ")"
	}
	return name
}

// page returns the address of an incident's page; "" without external_url.
func (b *Builder) page(id string) string {
	if b.cfg.ExternalURL == "" {
		return ""
	}
	return strings.TrimRight(b.cfg.ExternalURL, "/") + "/incidents/" + url.PathEscape(id)
}

func (b *Builder) links(in reporter.Incident) []reporter.Link {
	source := ""
	given := map[string]string{}
	for _, a := range in.Alerts {
		source = cmp.Or(source, a.GeneratorURL)
		for _, l := range a.Links {
			given[l.Kind] = cmp.Or(given[l.Kind], l.URL)
		}
	}
	var out []reporter.Link
	for _, l := range []reporter.Link{
		{Kind: "page", URL: b.page(in.ID)},
		{Kind: "runbook", URL: annotation(in, "runbook_url")},
		{Kind: "dashboard", URL: cmp.Or(annotation(in, "dashboard_url"), given["dashboard"])},
		{Kind: "panel", URL: given["panel"]},
		{Kind: "silence", URL: given["silence"]},
		{Kind: "source", URL: source},
		{Kind: "alertmanager", URL: in.ExternalURL},
	} {
		if u, err := url.Parse(l.URL); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
			out = append(out, l)
		}
	}
	return out
}
