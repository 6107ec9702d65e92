package render

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// firingDigest is the key of the title of a digest of incidents that have begun.
const firingDigest = "firing_digest"

// Digest writes one message about many incidents that are over: the first digestMax of them, and the number of the others.
func (r *Renderer) Digest(d reporter.Digest) (reporter.Message, error) { return r.digest("digest", d) }

// FiringDigest writes one message about many incidents that have begun, with their present states.
func (r *Renderer) FiringDigest(d reporter.Digest) (reporter.Message, error) {
	return r.digest(firingDigest, d)
}

func (r *Renderer) digest(word string, d reporter.Digest) (reporter.Message, error) {
	l, err := r.language(d.Locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("digest: %w", err)
	}
	zone := r.zoneOr(d.Zone)
	view := struct {
		Title, Period, ZoneName, Product, Built string
		Severities                              []Share
		Incidents                               []digestLine
		More                                    int
		Sample                                  bool
		States                                  string
		Page                                    *Link
	}{
		Title: l.T(word, len(d.Incidents)), ZoneName: l.ZoneName(zone), Product: l.T("product", r.product),
		Built: d.Built.In(zone).Format(i18n.Minute), Page: pageLink(l, "list", d.Page),
	}
	var first, last time.Time
	severities := map[string]int{}
	states := digestStates{}
	for n, e := range d.Incidents {
		states.count(e)
		if first.IsZero() || e.StartedAt.Before(first) {
			first = e.StartedAt
		}
		if e.EndedAt.After(last) {
			last = e.EndedAt
		}
		severity := cut(clean(string(e.Severity)), shortMax)
		if severity == "" {
			severity = l.T("unlabelled")
		}
		severities[severity]++
		view.Sample = view.Sample || e.Sample
		if n < digestMax {
			view.Incidents = append(view.Incidents, digestLine{SimilarView: similarView(l, e.Similar, zone)})
			view.Incidents[n].Severity = cut(clean(string(e.Severity)), shortMax)
			view.Incidents[n].Level = strings.ToUpper(view.Incidents[n].Severity)
			if word == firingDigest {
				view.Incidents[n].mark(l, e)
			}
		}
	}
	view.More = len(d.Incidents) - len(view.Incidents)
	if states.firing > 0 {
		last = time.Time{}
	}
	view.Period = period(reporter.Incident{StartedAt: first, EndedAt: last}, zone)
	if word == firingDigest {
		view.States = states.words(l)
	}
	bySeverity := func(a, b string) int {
		return cmp.Or(cmp.Compare(reporter.Severity(a).Rank(), reporter.Severity(b).Rank()), strings.Compare(a, b))
	}
	for _, name := range slices.SortedFunc(maps.Keys(severities), bySeverity) {
		view.Severities = append(view.Severities, Share{Name: name, Number: fmt.Sprint(severities[name])})
	}
	m := reporter.Message{Title: view.Title, Buttons: button(view.Page)}
	if m.HTML, err = l.execute("digest.tmpl", view); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = "<b>" + template.HTMLEscapeString(view.Title) + "</b>"
	return m, nil
}

// digestLine is an incident of a digest.
type digestLine struct {
	SimilarView
	Mark, Note string // of its state; "" while it is only firing
}

// mark fills in Mark and Note.
func (v *digestLine) mark(l language, e reporter.DigestEntry) {
	switch {
	case !e.EndedAt.IsZero():
		v.Mark = "✅"
	case e.Acknowledged != "":
		v.Mark, v.Note = "✋", cut(clean(e.Acknowledged), shortMax)
	case e.State == reporter.IncidentChronic:
		v.Mark, v.Note = "⏳", l.T("live_chronic")
	}
}

// digestStates counts the incidents of a digest by state. Acknowledged ones are firing too.
type digestStates struct{ firing, acknowledged, over int }

func (c *digestStates) count(e reporter.DigestEntry) {
	switch {
	case !e.EndedAt.IsZero():
		c.over++
	case e.Acknowledged != "":
		c.acknowledged++
		c.firing++
	default:
		c.firing++
	}
}

// words writes the counts; "" while all incidents are only firing.
func (c *digestStates) words(l language) string {
	if c.over+c.acknowledged == 0 {
		return ""
	}
	parts := []string{"🔥 " + l.T("live_firing_count", c.firing)}
	if c.acknowledged > 0 {
		parts = append(parts, "✋ "+l.T("live_acknowledged_count", c.acknowledged))
	}
	if c.over > 0 {
		parts = append(parts, "✅ "+l.T("live_resolved_count", c.over))
	}
	return strings.Join(parts, "   ")
}
