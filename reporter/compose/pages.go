package compose

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Limits of the queries that page views cause.
const (
	pageDrawingPatience = 5 * time.Second
	pagePatience        = 10 * time.Second
	pageReportsAtOnce   = 2
	keepReports         = 10 * time.Second // how long a result is reused
	keepPictures        = time.Minute
	keepAtMost          = 16 // results
)

// pageKey identifies the content of a page, by the Set it was built with.
type pageKey struct {
	of   *Set
	what string
	at   int64
}

type pageReport struct {
	report  reporter.Report
	message reporter.Message
}

// Pages builds the content of pages. Views of the same page within a short time share the results of queries and pictures.
type Pages struct{ *Composer }

// Report builds a report and its message for a page. It is complete even if no query was answered, and is never marked as late,
// because nothing is sent.
func (p Pages) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	r, err := p.recentReport(ctx, name, at)
	return r.report, r.message, err
}

func (p Pages) recentReport(ctx context.Context, name string, at time.Time) (pageReport, error) {
	key := pageKey{of: p.set.Load(), what: name, at: at.Truncate(keepReports).Unix()}
	return p.reports.get(ctx, key, func(ctx context.Context) (pageReport, error) {
		leave, err := p.building.enter(ctx, pagePatience)
		if err != nil {
			return pageReport{}, fmt.Errorf("report %s: %w", name, err)
		}
		defer leave()
		rep, msg, err := p.Composer.Report(ctx, name, at)
		var unreachable *reporter.UnreachableError
		if err != nil && !errors.As(err, &unreachable) {
			return pageReport{}, err
		}
		if rep.Late() > 0 {
			rep.Built = rep.Due
			msg, err = p.set.Load().Writer.Report(rep)
			return pageReport{rep, msg}, err
		}
		return pageReport{rep, msg}, nil
	})
}

// ReportPicture draws the trend of a report as of at, as a PNG. reporter.ErrNotFound: there is no such report, it has no trend, or no
// data. reporter.ErrBusy: other pictures are being drawn.
func (p Pages) ReportPicture(ctx context.Context, name string, at time.Time) (reporter.Picture, error) {
	key := pageKey{of: p.set.Load(), what: "report " + name, at: at.Truncate(keepReports).Unix()}
	return p.pictures.get(ctx, key, func(ctx context.Context) (reporter.Picture, error) {
		r, err := p.recentReport(ctx, name, at)
		if err != nil {
			return reporter.Picture{}, err
		}
		return p.trendPicture(ctx, r.report, pageDrawingPatience)
	})
}

// IncidentPicture draws the alert's expression and the KPI around an incident, as a PNG. reporter.ErrNotFound: they have no data.
// reporter.ErrBusy: other pictures are being drawn.
func (p Pages) IncidentPicture(ctx context.Context, in reporter.Incident) (reporter.Picture, error) {
	key := pageKey{of: p.set.Load(), what: "incident " + in.ID, at: in.EndedAt.Unix()}
	return p.pictures.get(ctx, key, func(ctx context.Context) (reporter.Picture, error) {
		return p.incidentPicture(ctx, in, pageDrawingPatience)
	})
}

// Postmortem builds the postmortem of an incident and its message. The message leaves out the timeline and what people wrote, which
// the page shows itself. For an incident that is not resolved it is the notice.
func (p Pages) Postmortem(ctx context.Context, in reporter.Incident) (reporter.Postmortem, reporter.Message, error) {
	r := p.set.Load()
	pm := r.Postmortems.Build(ctx, in)
	if !in.Over() {
		msg, err := r.Writer.Firing(pm)
		return pm, msg, err
	}
	short := pm
	short.Timeline, short.TimelineOmitted, short.Entries, short.Sections, short.PeopleNotes = nil, 0, nil, nil, nil
	msg, err := r.Writer.Postmortem(short)
	return pm, msg, err
}

// Markdown writes a postmortem as a document.
func (p Pages) Markdown(pm reporter.Postmortem) (string, error) {
	return p.set.Load().Writer.Markdown(pm)
}
