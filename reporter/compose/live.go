package compose

import (
	"context"
	"fmt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Revise composes the present version of a message that was sent, without a picture. reporter.ErrObsolete: it stays as it is.
// reporter.ErrNotFound: its subject is no longer stored.
func (c *Composer) Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := c.revise(ctx, d)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg, err
}

func (c *Composer) revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryFiring:
		in, err := c.store.IncidentExtract(ctx, d.Subject)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		return c.firing(ctx, d, in)
	case reporter.DeliveryFiringDigest:
		return c.digest(ctx, d, true)
	case reporter.DeliveryPostmortem:
		d.Attempts = max(d.Attempts, 1) // an edit keeps the picture, so none is drawn
		return c.compose(ctx, d)
	case reporter.DeliveryReport, reporter.DeliveryDigest, reporter.DeliveryNotice, reporter.DeliveryHeartbeatMissing,
		reporter.DeliveryHeartbeatReturned, reporter.DeliveryHeartbeatsMissing, reporter.DeliveryHeartbeatsReturned:
	}
	return reporter.Message{}, fmt.Errorf("delivery of kind %q: %w", d.Kind, reporter.ErrObsolete)
}

// firing composes the notice of an incident, with its present state.
func (c *Composer) firing(ctx context.Context, d reporter.Delivery, in reporter.Incident) (reporter.Message, error) {
	r := c.set.Load()
	p := r.Postmortems.Build(ctx, in)
	if p.Actions = r.actions(d, p); len(p.Actions) > 0 {
		var err error
		if p.Token, err = c.store.ActionToken(ctx, in.ID, d.Receiver); err != nil {
			return reporter.Message{}, err
		}
	}
	msg, err := r.Writer.Firing(p)
	return c.about(msg, p.Document()), err
}

// actions returns the actions that the notice of an incident offers in its present state.
func (s *Set) actions(d reporter.Delivery, p reporter.Postmortem) []reporter.ActionKind {
	if !s.Interactive[d.Receiver] {
		return nil
	}
	able := s.Silenceable != nil && s.Silenceable(p.Incident.Cluster)
	silence, silenced := reporter.LastingSilence(p.Silences)
	ending := silenced && silence.State == reporter.SilenceEnding // its end is requested already
	switch {
	case p.Incident.Over() && able && silenced && !ending: // the silence would hide the next incident
		return []reporter.ActionKind{reporter.ActionUnsilence}
	case p.Incident.Over():
		return nil
	}
	out := []reporter.ActionKind{reporter.ActionAcknowledge}
	if p.Acknowledgement.Active() {
		out[0] = reporter.ActionRelease
	}
	switch {
	case !able, ending:
		return out
	case silenced:
		return append(out, reporter.ActionUnsilence)
	}
	return append(out, reporter.ActionSilence1h, reporter.ActionSilence4h)
}
