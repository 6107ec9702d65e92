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

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// unreachablePatience is how long a due report waits for a Prometheus that answers nothing, before it goes out without
// data: as of the due time the figures are the same later, and a chat is better served by a late report than by an
// empty one.
const unreachablePatience = 15 * time.Minute

// texts makes the messages of deliveries and pages, always by the configuration of the moment.
type texts struct {
	reading atomic.Pointer[reading]
	store   *store.Store
	now     func() time.Time
	log     *slog.Logger
}

// Compose makes the message of a delivery when it is first tried.
func (t *texts) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryReport:
		subject, err := reporter.ParseSubject(d.Subject)
		if err != nil {
			return reporter.Message{}, err
		}
		rep, msg, err := t.Report(ctx, subject.Report, subject.Due)
		msg.Picture = t.picture(t.trendPicture(rep))
		var unreachable *report.UnreachableError
		if errors.As(err, &unreachable) {
			if t.now().Sub(d.CreatedAt) < unreachablePatience {
				return reporter.Message{}, &reporter.RetryAfterError{After: time.Minute, Err: err}
			}
			return msg, nil
		}
		return msg, err
	case reporter.DeliveryPostmortem:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		msg, err := t.Postmortem(ctx, in)
		if err == nil {
			msg.Picture = t.picture(t.IncidentPicture(ctx, in))
		}
		return msg, err
	case reporter.DeliveryFiring:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if errors.Is(err, reporter.ErrNotFound) || (err == nil && in.State != reporter.IncidentOpen) {
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
		if err == nil {
			ins = append(ins, in)
		}
	}
	if len(ins) == 0 {
		return reporter.Message{}, fmt.Errorf("incidents of digest %d: %w", d.ID, reporter.ErrNotFound)
	}
	r := t.reading.Load()
	return r.render.Digest(r.postmortem.Digest(ins))
}

// picture keeps a text from being held up by its picture.
func (t *texts) picture(png []byte, err error) []byte {
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

// pageTexts builds what pages show, which are not messages that are late or fail.
type pageTexts struct{ *texts }

// Report shows a report without data, for the page tells the reasons, and never as late, for nothing is sent.
func (p pageTexts) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	rep, msg, err := p.texts.Report(ctx, name, at)
	var unreachable *report.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return rep, msg, err
	}
	if rep.Late() > 0 {
		rep.Built = rep.Due
		msg, err = p.reading.Load().render.Report(rep)
		return rep, msg, err
	}
	return rep, msg, nil
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
