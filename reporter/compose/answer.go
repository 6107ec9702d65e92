package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// answer makes what a person asked for in a chat, as it is now.
func (t *Composer) answer(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	if id, ok := strings.CutPrefix(d.Subject, reporter.AnswerIncident); ok {
		return t.incidentAnswer(ctx, d, id)
	}
	if text, ok := strings.CutPrefix(d.Subject, reporter.AnswerReport); ok {
		of, err := reporter.ParseSubject(text)
		if err != nil {
			return reporter.Message{}, err
		}
		return t.reportAnswer(ctx, d, of)
	}
	if d.Message == nil {
		return reporter.Message{}, fmt.Errorf("answer %q has no message", d.Subject)
	}
	return *d.Message, nil
}

// incidentAnswer is the postmortem of an incident that is over, and else its notice.
func (t *Composer) incidentAnswer(ctx context.Context, d reporter.Delivery, id string) (reporter.Message, error) {
	in, err := t.store.IncidentExtract(ctx, id)
	if errors.Is(err, reporter.ErrNotFound) {
		err = reporter.ErrObsolete // It was deleted since.
	}
	if err != nil {
		return reporter.Message{}, fmt.Errorf("incident %s: %w", id, err)
	}
	if !in.Over() {
		return t.firing(ctx, d, in)
	}
	r := t.set.Load()
	p := r.Postmortems.Build(ctx, in)
	msg, err := r.Writer.Postmortem(p)
	return t.about(msg, p.Document()), err
}

// reportAnswer is a report as of the moment at which it was asked for. Without data it says so.
func (t *Composer) reportAnswer(ctx context.Context, d reporter.Delivery, of reporter.Subject) (reporter.Message, error) {
	rep, msg, err := t.Report(ctx, of.Report, of.Due)
	var unreachable *reporter.UnreachableError
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		return msg, fmt.Errorf("report %s: %w", of.Report, reporter.ErrObsolete) // It is not configured any more.
	case err != nil && !errors.As(err, &unreachable):
		return msg, err
	}
	msg = t.about(msg, rep.Document())
	t.draw(&msg, d, func() (reporter.Picture, error) { return t.trendPicture(ctx, rep, drawingPatience) })
	return msg, nil
}
