package compose

import (
	"context"
	"fmt"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Revise makes the message of a delivery that was sent as it is to be now, without a picture. reporter.ErrObsolete: it is to stay as it is.
// reporter.ErrNotFound: what it is about is gone.
func (t *Composer) Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := t.revise(ctx, d)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg, err
}

func (t *Composer) revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryFiring:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		return t.firing(ctx, d, in)
	case reporter.DeliveryFiringDigest:
		return t.digest(ctx, d, true)
	case reporter.DeliveryPostmortem:
		d.Attempts = max(d.Attempts, 1) // without the picture, which stays
		return t.compose(ctx, d)
	case reporter.DeliveryReport, reporter.DeliveryDigest, reporter.DeliveryNotice, reporter.DeliveryHeartbeatMissing,
		reporter.DeliveryHeartbeatReturned, reporter.DeliveryHeartbeatsMissing, reporter.DeliveryHeartbeatsReturned:
	}
	return reporter.Message{}, fmt.Errorf("delivery of kind %q: %w", d.Kind, reporter.ErrObsolete)
}

// firing makes the notice of an incident: that it has begun, and what has become of it since.
func (t *Composer) firing(ctx context.Context, d reporter.Delivery, in reporter.Incident) (reporter.Message, error) {
	r := t.set.Load()
	p := r.Postmortems.Build(ctx, in)
	if p.Actions = r.actions(d, p); len(p.Actions) > 0 {
		var err error
		if p.Token, err = t.store.ActionToken(ctx, in.ID, d.Receiver); err != nil {
			return reporter.Message{}, err
		}
	}
	msg, err := r.Writer.Firing(p)
	return t.about(msg, p.Document()), err
}

// actions are what people can do to an incident as it is, with the buttons of a notice.
func (s *Set) actions(d reporter.Delivery, p reporter.Postmortem) []reporter.ActionKind {
	if !s.Interactive[d.Receiver] {
		return nil
	}
	able := s.Silenceable != nil && s.Silenceable(p.Incident.Cluster)
	silence, silenced := reporter.LastingSilence(p.Silences)
	ending := silenced && silence.State == reporter.SilenceEnding // No button does more than what was asked for already.
	switch {
	case p.Incident.Over() && able && silenced && !ending: // It would hide the next incident.
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
