package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// noiseListed is the most alert names on the page.
const noiseListed = 200

// Noise reviews the episodes of alerts.
type Noise interface {
	// Noise returns the review of a period with at most limit alert names, those with the most episodes first.
	Noise(ctx context.Context, since, until time.Time, hours reporter.WorkingHours, limit int) (reporter.NoiseReview, error)
}

// noiseColumn is a column of the review.
type noiseColumn struct {
	key, title string
	compare    func(a, b reporter.NoiseRow) int // order of rows when sorted by the column
	// acknowledging means that the column is shown only if people acknowledge incidents.
	acknowledging bool
}

// most orders rows by a number, the largest first. Unknown values are -1, and so last.
func most(of func(r reporter.NoiseRow) float64) func(a, b reporter.NoiseRow) int {
	return func(a, b reporter.NoiseRow) int { return cmp.Compare(of(b), of(a)) }
}

var noiseColumns = []noiseColumn{
	{key: "name", title: "alert_name", compare: func(a, b reporter.NoiseRow) int { return cmp.Compare(a.Name, b.Name) }},
	{key: "episodes", title: "episodes", compare: most(func(r reporter.NoiseRow) float64 { return float64(r.Episodes) })},
	{key: "flaps", title: "flaps", compare: most(func(r reporter.NoiseRow) float64 { return float64(r.Flaps) })},
	{key: "short", title: "short_share", compare: most(func(r reporter.NoiseRow) float64 {
		if share, ok := r.ShortShare(); ok {
			return share
		}
		return -1
	})},
	{key: "firing", title: "firing_time", compare: most(func(r reporter.NoiseRow) float64 { return r.Firing.Seconds() })},
	{key: "off_hours", title: "off_hours", compare: most(func(r reporter.NoiseRow) float64 { return float64(r.OffHours) })},
	{key: "mttr", title: "mttr", compare: most(func(r reporter.NoiseRow) float64 {
		if mean, ok := r.MeanResolution(); ok {
			return mean.Seconds()
		}
		return -1
	})},
	{key: "acknowledged", title: "acknowledged_share", acknowledging: true, compare: most(func(r reporter.NoiseRow) float64 {
		if share, ok := r.AcknowledgedShare(); ok {
			return share
		}
		return -1
	})},
	{key: "mtta", title: "mtta", acknowledging: true, compare: most(func(r reporter.NoiseRow) float64 {
		if mean, ok := r.MeanAcknowledgement(); ok {
			return mean.Seconds()
		}
		return -1
	})},
	{key: "fix", title: "to_fix", compare: most(func(r reporter.NoiseRow) float64 {
		var sum float64
		for _, c := range r.Candidate(reporter.NoiseWindow) {
			sum += 1 + c.Share
		}
		return sum
	})},
}

type noiseHead struct {
	Title, Path string
	Sorted      bool
	Number      bool
}

type noiseRow struct {
	reporter.NoiseRow
	Path, Name, Short, Firing, Mean string
	Acknowledged, ToAcknowledge     string
	Reasons                         []string
}

type noiseBody struct {
	Since, Until string
	Least        int
	Head         []noiseHead
	Rows         []noiseRow
	Names        int
	// Acknowledging means that the columns of acknowledgements are shown.
	Acknowledging bool
}

// noise shows the review of the last week, sorted by the column of the parameter sort.
func (p *Pages) noise(w http.ResponseWriter, r *http.Request) {
	sort := cmp.Or(r.URL.Query().Get("sort"), "episodes")
	column := slices.IndexFunc(noiseColumns, func(c noiseColumn) bool { return c.key == sort })
	if column < 0 {
		p.refuse(w, r, http.StatusBadRequest, "bad_page")
		return
	}
	v := p.page("noise", "noise")
	review, err := p.cfg.Store.Noise(r.Context(), v.now.Add(-reporter.NoiseWindow), v.now, v.Hours, noiseListed)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	slices.SortStableFunc(review.Rows, noiseColumns[column].compare)
	body := noiseBody{
		Since: review.Since.In(v.Zone).Format(i18n.Minute), Until: review.Until.In(v.Zone).Format(i18n.Minute),
		Least: reporter.NoiseLeast, Names: review.Names,
		Acknowledging: review.Acknowledging,
	}
	for n, c := range noiseColumns {
		if c.acknowledging && !review.Acknowledging {
			continue
		}
		body.Head = append(body.Head, noiseHead{
			v.T(c.title), address("/noise", "sort", c.key), n == column, c.key != "name" && c.key != "fix",
		})
	}
	for _, row := range review.Rows {
		body.Rows = append(body.Rows, v.noiseRow(row))
	}
	v.Body = body
	p.show(w, r, "noise.html", v)
}

func (v *page) noiseRow(r reporter.NoiseRow) noiseRow {
	out := noiseRow{
		NoiseRow: r, Name: cmp.Or(r.Name, "—"), Path: address("/incidents", "q", r.Name), Firing: v.Duration(r.Firing), Short: "—", Mean: "—",
		Acknowledged: "—", ToAcknowledge: "—",
	}
	if share, ok := r.ShortShare(); ok {
		out.Short = i18n.Percent(share)
	}
	if mean, ok := r.MeanResolution(); ok {
		out.Mean = fmt.Sprintf("%s (n=%d)", v.Duration(mean), r.Ended)
	}
	if share, ok := r.AcknowledgedShare(); ok {
		out.Acknowledged = i18n.Percent(share)
	}
	if mean, ok := r.MeanAcknowledgement(); ok {
		out.ToAcknowledge = fmt.Sprintf("%s (n=%d)", v.Duration(mean), r.AcknowledgedIncidents)
	}
	for _, c := range r.Candidate(reporter.NoiseWindow) {
		out.Reasons = append(out.Reasons, v.T("noise_is_"+string(c.Reason), i18n.Percent(c.Share)))
	}
	return out
}
