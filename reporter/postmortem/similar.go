package postmortem

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	similarWithin = 30 * 24 * time.Hour
	similarLooked = 200 // candidates: the latest incidents with an alert of the same name
	similarShown  = 3
)

// similar returns the incidents of the last 30 days with an alert of the same name that have the most labels in common with this
// one, the latest first among equals.
func (b *Builder) similar(ctx context.Context, in reporter.Incident) []reporter.Similar {
	var names []string
	for _, a := range in.Alerts {
		if name := a.Labels["alertname"]; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	found, err := b.history.Alike(ctx, names, in.StartedAt.Add(-similarWithin), in.StartedAt, similarLooked)
	if err != nil {
		b.log.Warn("similar incidents were not read", "incident", in.ID, "err", err)
		return nil
	}
	found = slices.DeleteFunc(found, func(other reporter.Incident) bool { return other.ID == in.ID })
	mine := labelPairs(in)
	likeness := map[string]float64{}
	for _, other := range found {
		likeness[other.ID] = inCommon(mine, labelPairs(other))
	}
	slices.SortStableFunc(found, func(a, c reporter.Incident) int {
		return cmp.Or(cmp.Compare(likeness[c.ID], likeness[a.ID]), c.StartedAt.Compare(a.StartedAt))
	})
	var out []reporter.Similar
	for _, other := range found[:min(len(found), similarShown)] {
		out = append(out, b.brief(other))
	}
	return out
}

// brief returns an incident as an item of a list.
func (b *Builder) brief(in reporter.Incident) reporter.Similar {
	return reporter.Similar{
		ID: in.ID, Title: in.Title(), StartedAt: in.StartedAt, Duration: in.Duration(), Page: b.page(in.ID),
	}
}

// Digest summarizes many incidents from their alerts alone, without queries.
func (b *Builder) Digest(ins []reporter.Incident) reporter.Digest {
	d := reporter.Digest{Locale: b.cfg.Locale, Zone: b.cfg.Zone, Built: b.cfg.Now().UTC()}
	if page := b.page(""); page != "" {
		d.Page = page[:len(page)-1]
	}
	for _, in := range ins {
		d.Incidents = append(d.Incidents, reporter.DigestEntry{
			Similar: b.brief(in), Severity: in.Severity(), State: in.State, EndedAt: in.EndedAt, Sample: in.Sample,
		})
	}
	over := map[bool]int{true: 1} // open ones come first
	slices.SortStableFunc(d.Incidents, func(a, c reporter.DigestEntry) int {
		return cmp.Or(
			cmp.Compare(over[!a.EndedAt.IsZero()], over[!c.EndedAt.IsZero()]),
			cmp.Compare(a.Severity.Rank(), c.Severity.Rank()), cmp.Compare(c.Duration, a.Duration),
			a.StartedAt.Compare(c.StartedAt), cmp.Compare(a.ID, c.ID),
		)
	})
	return d
}

type labelPair struct{ name, value string }

func labelPairs(in reporter.Incident) map[labelPair]bool {
	out := map[labelPair]bool{}
	for _, a := range in.Alerts[:min(len(in.Alerts), similarAlerts)] {
		for name, value := range a.Labels {
			if !slices.Contains(origin, name) {
				out[labelPair{name, value}] = true
			}
		}
	}
	return out
}

// similarAlerts is the most alerts of an incident that are compared.
const similarAlerts = 20

// inCommon returns the share of label pairs that both have, from 0 to 1 (the Jaccard index).
func inCommon(a, b map[labelPair]bool) float64 {
	both := 0
	for p := range a {
		if b[p] {
			both++
		}
	}
	if both == 0 {
		return 0
	}
	return float64(both) / float64(len(a)+len(b)-both)
}
