// Package postmortem builds postmortems: an incident comes in, and what its labels, its annotations, the
// operations database and the journal know of it goes out.
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

// Config is how postmortems are built.
type Config struct {
	Zone        *time.Location
	Locale      string
	Locales     map[string]string // of routes that have their own, by name
	ExternalURL string            // of our own pages; "" leaves the link out
	IDLabel     string            // the label that names incidents
	Now         func() time.Time
}

// Details is the operations database. reporter.ErrNotFound means that it knows nothing of the incident.
type Details interface {
	Details(ctx context.Context, q reporter.DetailsQuery) (reporter.Details, error)
}

// History is the journal's memory.
type History interface {
	// Earlier counts the incidents before this one that share an alert with it.
	Earlier(ctx context.Context, in reporter.Incident) (reporter.Earlier, error)
	// Alike returns incidents that are over, began within since <= t < before and have an alert of one of these names, the
	// latest first, at most limit.
	Alike(ctx context.Context, names []string, since, before time.Time, limit int) ([]reporter.Incident, error)
	// Entries returns what people wrote about an incident, in order.
	Entries(ctx context.Context, incident string) ([]reporter.Entry, error)
	// Silences returns the silences that people asked for an incident, in the order in which they did.
	Silences(ctx context.Context, incident string) ([]reporter.Silence, error)
}

// Querier evaluates PromQL. No samples and no error is an empty result.
type Querier interface {
	Query(ctx context.Context, expr string, at time.Time) ([]reporter.Sample, error)
	QueryRange(ctx context.Context, expr string, start, end time.Time, step time.Duration) ([]reporter.Series, error)
}

// Rules knows the alerting rules of that name.
type Rules interface {
	AlertRules(ctx context.Context, name string) ([]reporter.AlertRule, error)
}

// Builder makes postmortems.
type Builder struct {
	cfg     Config
	details Details
	history History
	querier Querier
	rules   Rules
	log     *slog.Logger
	starts  starts
}

// New makes a builder; details, history, querier and rules may be nil.
func New(cfg Config, details Details, history History, querier Querier, rules Rules, log *slog.Logger) *Builder {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	return &Builder{cfg: cfg, details: details, history: history, querier: querier, rules: rules, log: log}
}

// Build collects what is known. If a database does not answer, its details are missing, and a note says so.
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
	b.look(ctx, in, &p)
	if b.history != nil {
		if e, err := b.history.Earlier(ctx, in); err != nil {
			b.log.Warn("earlier incidents could not be counted", "incident", in.ID, "err", err)
		} else {
			p.Earlier = &e
		}
		p.Similar = b.similar(ctx, in)
		if entries, err := b.history.Entries(ctx, in.ID); err != nil {
			b.log.Warn("what people wrote about the incident could not be read", "incident", in.ID, "err", err)
			p.Notes = append(p.Notes, reporter.NoteEntriesUnavailable)
		} else if len(entries) > 0 {
			p.Entries, p.Acknowledgement = entries, reporter.AcknowledgementOf(entries)
			p.Sections, p.PeopleNotes = reporter.Current(entries)
			if at := p.Acknowledgement.First; !at.IsZero() { // What people did here is known for certain.
				p.Acknowledged = at
				if at.Before(in.StartedAt) { // by a clock that is behind that of the alert
					p.Acknowledged = in.StartedAt
				}
			}
			p.Acknowledgement = reporter.AcknowledgementOf(entries)
		}
	}
	if b.history != nil {
		var err error
		if p.Silences, err = b.history.Silences(ctx, in.ID); err != nil {
			b.log.Warn("silences of the incident could not be read", "incident", in.ID, "err", err)
		}
	}
	if p.Acknowledged.Before(in.StartedAt) { // What was acknowledged before this incident was another.
		p.Acknowledged = time.Time{}
	}
	p.TrueStart = b.trueStart(ctx, in)
	return p
}

// look replaces what the alerts say by what the database has.
func (b *Builder) look(ctx context.Context, in reporter.Incident, p *reporter.Postmortem) {
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
		b.log.Warn("details of the incident could not be read", "incident", in.ID, "err", err)
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

// givenID is the name that its alerts give to the incident, as it is: in the incident's ID what is no letter or digit is replaced, and
// that could be the ID of another one. If they give several, it is the one that its ID was made of, else that of the first alert.
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

// annotation is the first one of that name among the incident's alerts.
func annotation(in reporter.Incident, name string) string {
	for _, a := range in.Alerts {
		if v := strings.TrimSpace(a.Annotations[name]); v != "" {
			return v
		}
	}
	return ""
}

// noise are labels that say where an alert came from, and nothing about the fault.
var noise = []string{"awoooi_sample", "prometheus", "monitor", "replica"}

// plumbing are labels that say how an alert was measured. They are shown only if nothing else says what is affected.
var plumbing = []string{"job", "container", "endpoint", "metrics_path", "scheme", "prometheus_replica", "receive", "tenant_id"}

// affected is what the alerts have in common, without what is shown elsewhere or says nothing about the fault.
func (b *Builder) affected(in reporter.Incident) []reporter.Label {
	common := in.CommonLabels()
	for _, name := range slices.Concat(noise, []string{"alertname", "severity", "alert_category", b.cfg.IDLabel}) {
		delete(common, name)
	}
	var out, measured []reporter.Label
	for _, name := range slices.Sorted(maps.Keys(common)) {
		label := reporter.Label{Name: name, Value: common[name]}
		if slices.Contains(plumbing, name) {
			measured = append(measured, label)
		} else {
			out = append(out, label)
		}
	}
	if len(out) == 0 {
		return measured
	}
	return out
}

// partialEnds is how many events are kept at either end of the timeline of an incident that was read in part. The store
// reads more alerts than that from either end, so that these events are the first and the last of all.
const partialEnds = 200

// timeline is each alert's firing and resolving, in order; what happens at once begins before it ends. Of an incident that
// was read in part it returns both ends, and how many events are between them.
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

// alertName is the alert's name and the labels in which it differs from the others of the incident.
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

// page is the address of an incident's page; "" where our pages have none.
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
