package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// texts makes the messages of deliveries and pages, always by the configuration of the moment.
type texts struct {
	reading atomic.Pointer[reading]
	store   *store.Store
	now     func() time.Time
	log     *slog.Logger

	retries  *report.Retries
	drawing  gate // one picture at a time, of messages and pages
	building gate // of reports for pages
	reports  *recent[pageKey, pageReport]
	pictures *recent[pageKey, []byte]
}

const (
	drawingPatience     = 30 * time.Second // of a message, which goes out without its picture then
	pageDrawingPatience = 5 * time.Second
	pagePatience        = 10 * time.Second
	// pageReportsAtOnce and the times below bound what views of pages ask Prometheus.
	pageReportsAtOnce = 2
	keepReports       = 10 * time.Second
	keepPictures      = time.Minute
	keepAtMost        = 16
)

// pageKey is what a page shows, by the configuration of which moment.
type pageKey struct {
	of   *reading
	what string
	at   int64
}

type pageReport struct {
	report  reporter.Report
	message reporter.Message
}

func newTexts(st *store.Store, r *reading, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) *texts {
	t := &texts{
		store: st, now: now, log: log, retries: report.NewRetries(log, now, reg),
		drawing: make(gate, 1), building: make(gate, pageReportsAtOnce),
		reports:  newRecent[pageKey, pageReport](keepReports, keepAtMost, now),
		pictures: newRecent[pageKey, []byte](keepPictures, keepAtMost, now),
	}
	t.reading.Store(r)
	return t
}

// Compose makes the message of a delivery when it is first tried.
func (t *texts) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryReport:
		subject, err := reporter.ParseSubject(d.Subject)
		if err != nil {
			return reporter.Message{}, err
		}
		return t.dueReport(ctx, d, subject)
	case reporter.DeliveryPostmortem:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		if !in.Over() { // It fires again; its postmortem is queued anew at its end.
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
		}
		msg, err := t.Postmortem(ctx, in)
		if err == nil {
			msg.Picture = t.picture(d, func() ([]byte, error) { return t.incidentPicture(ctx, in, drawingPatience) })
		}
		return msg, err
	case reporter.DeliveryFiring:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if errors.Is(err, reporter.ErrNotFound) || (err == nil && in.Over()) {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
		}
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		r := t.reading.Load()
		return r.render.Firing(r.postmortem.Build(ctx, in))
	case reporter.DeliveryDigest:
		return t.digest(ctx, d)
	case reporter.DeliveryNotice:
		number, stop := strings.CutSuffix(d.Subject, reporter.NoticeOfStop)
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("notice of %q: %w", d.Subject, err)
		}
		of, err := t.store.Delivery(ctx, id)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("notice of delivery %d: %w", id, err)
		}
		r := t.reading.Load()
		if stop {
			return r.render.StopNotice(of, r.cfg.Locale, r.cfg.Zone)
		}
		return r.render.Notice(of, r.cfg.Locale, r.cfg.Zone)
	}
	return reporter.Message{}, fmt.Errorf("delivery of kind %q cannot be composed", d.Kind)
}

// dueReport waits for queries that may be answered later. The report is sent as well where none was answered at all.
func (t *texts) dueReport(ctx context.Context, d reporter.Delivery, of reporter.Subject) (reporter.Message, error) {
	r := t.reading.Load()
	def, err := r.definition(of.Report)
	if err != nil {
		return reporter.Message{}, err
	}
	rep, err := t.retries.Build(ctx, r.builder, def, of.Due, d.CreatedAt)
	var unreachable *report.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return reporter.Message{}, err
	}
	msg, err := r.render.Report(rep)
	if err == nil {
		msg.Picture = t.picture(d, func() ([]byte, error) { return t.trendPicture(ctx, rep, drawingPatience) })
	}
	return msg, err
}

// Report builds a report and its message. Beside an *report.UnreachableError both are whole, without data.
func (t *texts) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	r := t.reading.Load()
	d, err := r.definition(name)
	if err != nil {
		return reporter.Report{}, reporter.Message{}, err
	}
	rep, err := r.builder.Build(ctx, d, at)
	var unreachable *report.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return rep, reporter.Message{}, err
	}
	msg, renderErr := r.render.Report(rep)
	if renderErr != nil {
		return rep, msg, renderErr
	}
	return rep, msg, err
}

// Postmortem builds the message of an incident.
func (t *texts) Postmortem(ctx context.Context, in reporter.Incident) (reporter.Message, error) {
	r := t.reading.Load()
	return r.render.Postmortem(r.postmortem.Build(ctx, in))
}

// digest tells of all the incidents whose postmortems went into the delivery. One that is gone from the journal is left out.
func (t *texts) digest(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	ids, err := t.store.MergedInto(ctx, d.ID)
	if err != nil {
		return reporter.Message{}, err
	}
	var ins []reporter.Incident
	for _, id := range ids {
		in, err := t.store.IncidentExtract(ctx, id)
		if err != nil && !errors.Is(err, reporter.ErrNotFound) {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", id, err)
		}
		if err == nil && in.Over() {
			ins = append(ins, in)
		}
	}
	if len(ins) == 0 {
		return reporter.Message{}, fmt.Errorf("incidents of digest %d: %w", d.ID, reporter.ErrObsolete)
	}
	r := t.reading.Load()
	return r.render.Digest(r.postmortem.Digest(ins))
}

// picture keeps a text from being held up by its picture. A second attempt goes without: the first may have ended because of
// it.
func (t *texts) picture(d reporter.Delivery, draw func() ([]byte, error)) []byte {
	if d.Attempts > 0 {
		return nil
	}
	png, err := draw()
	if err != nil && !errors.Is(err, reporter.ErrNotFound) {
		t.log.Warn("picture was not drawn, the text goes out without it", "err", err)
	}
	return png
}

// Reports names the reports there are.
func (t *texts) Reports() []string {
	var names []string
	for _, d := range t.reading.Load().definitions {
		names = append(names, d.Name)
	}
	return names
}

// pageTexts builds what pages show, which are not messages that are late or fail. Views of the same page within a short
// time share what was asked and drawn.
type pageTexts struct{ *texts }

// Report shows a report without data, because the page says the reasons, and never as late, because nothing is sent.
func (p pageTexts) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	r, err := p.recentReport(ctx, name, at)
	return r.report, r.message, err
}

func (p pageTexts) recentReport(ctx context.Context, name string, at time.Time) (pageReport, error) {
	key := pageKey{of: p.reading.Load(), what: name, at: at.Truncate(keepReports).Unix()}
	return p.reports.get(ctx, key, func(ctx context.Context) (pageReport, error) {
		leave, err := p.building.enter(ctx, pagePatience)
		if err != nil {
			return pageReport{}, fmt.Errorf("report %s: %w", name, err)
		}
		defer leave()
		rep, msg, err := p.texts.Report(ctx, name, at)
		var unreachable *report.UnreachableError
		if err != nil && !errors.As(err, &unreachable) {
			return pageReport{}, err
		}
		if rep.Late() > 0 {
			rep.Built = rep.Due
			msg, err = p.reading.Load().render.Report(rep)
			return pageReport{rep, msg}, err
		}
		return pageReport{rep, msg}, nil
	})
}

// ReportPicture draws the trend of a report as of at, as a PNG. reporter.ErrNotFound: there is no such report, it has no
// trend, or nothing is known of it. reporter.ErrBusy: other pictures are being drawn.
func (p pageTexts) ReportPicture(ctx context.Context, name string, at time.Time) ([]byte, error) {
	key := pageKey{of: p.reading.Load(), what: "report " + name, at: at.Truncate(keepReports).Unix()}
	return p.pictures.get(ctx, key, func(ctx context.Context) ([]byte, error) {
		r, err := p.recentReport(ctx, name, at)
		if err != nil {
			return nil, err
		}
		return p.trendPicture(ctx, r.report, pageDrawingPatience)
	})
}

// IncidentPicture draws what the alert's expression and the KPI did around an incident, as a PNG. reporter.ErrNotFound:
// nothing is known of them. reporter.ErrBusy: other pictures are being drawn.
func (p pageTexts) IncidentPicture(ctx context.Context, in reporter.Incident) ([]byte, error) {
	key := pageKey{of: p.reading.Load(), what: "incident " + in.ID, at: in.EndedAt.Unix()}
	return p.pictures.get(ctx, key, func(ctx context.Context) ([]byte, error) {
		return p.incidentPicture(ctx, in, pageDrawingPatience)
	})
}

// Postmortem builds the postmortem of an incident with its message.
func (p pageTexts) Postmortem(ctx context.Context, in reporter.Incident) (reporter.Postmortem, reporter.Message, error) {
	r := p.reading.Load()
	pm := r.postmortem.Build(ctx, in)
	msg, err := r.render.Postmortem(pm)
	return pm, msg, err
}

// Markdown writes a postmortem as a document.
func (p pageTexts) Markdown(pm reporter.Postmortem) (string, error) {
	return p.reading.Load().render.Markdown(pm)
}
