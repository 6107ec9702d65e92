package compose

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// answer composes the answer to a command in a chat, as of now.
func (c *Composer) answer(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	if id, ok := strings.CutPrefix(d.Subject, reporter.AnswerIncident); ok {
		return c.incidentAnswer(ctx, d, id)
	}
	if text, ok := strings.CutPrefix(d.Subject, reporter.AnswerReport); ok {
		of, err := reporter.ParseSubject(text)
		if err != nil {
			return reporter.Message{}, err
		}
		return c.reportAnswer(ctx, d, of)
	}
	if d.Message == nil {
		return reporter.Message{}, fmt.Errorf("answer %q has no message", d.Subject)
	}
	return *d.Message, nil
}

// incidentAnswer returns the postmortem of a resolved incident, or the notice of another one.
func (c *Composer) incidentAnswer(ctx context.Context, d reporter.Delivery, id string) (reporter.Message, error) {
	in, err := c.store.IncidentExtract(ctx, id)
	if errors.Is(err, reporter.ErrNotFound) {
		err = reporter.ErrObsolete // deleted since
	}
	if err != nil {
		return reporter.Message{}, fmt.Errorf("incident %s: %w", id, err)
	}
	if !in.Over() {
		return c.firing(ctx, d, in)
	}
	r := c.set.Load()
	p := r.Postmortems.Build(ctx, in)
	msg, err := r.Writer.Postmortem(p)
	return c.about(msg, p.Document()), err
}

// reportAnswer returns a report as of the time of the command. It is sent even if no query was answered.
func (c *Composer) reportAnswer(ctx context.Context, d reporter.Delivery, of reporter.Subject) (reporter.Message, error) {
	rep, msg, err := c.Report(ctx, of.Report, of.Due)
	var unreachable *reporter.UnreachableError
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		return msg, fmt.Errorf("report %s: %w", of.Report, reporter.ErrObsolete) // no longer configured
	case err != nil && !errors.As(err, &unreachable):
		return msg, err
	}
	msg = c.about(msg, rep.Document())
	c.draw(&msg, d, func() (reporter.Picture, error) { return c.trendPicture(ctx, rep, drawingPatience) })
	return msg, nil
}
