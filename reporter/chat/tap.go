package chat

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// shown is the effect of a tap that changes nothing: it shows a text to the person.
func shown(u reporter.UpdateState, text string) effect {
	return func(context.Context, reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		return reporter.UpdateAnswer{Tap: u.Tap, Text: text, Alert: true}, nil
	}
}

// tap decides the effect of a tap on a button. A tap that is not valid, or not allowed, gets an answer and changes nothing.
func (a *accountWork) tap(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.scope(ctx, u.Update)
	if err != nil {
		return nil, "", err
	}
	w := a.words(here)
	incident, receiver, err := a.ofButton(ctx, u.Data, u.Message, here)
	switch {
	case errors.Is(err, reporter.ErrNotFound):
		return shown(u, w.T("chat_button_gone")), resultRefused, nil
	case err != nil:
		return nil, "", err
	}
	switch p, err := a.may(ctx, u.Update); {
	case err != nil:
		return nil, "", err
	case p != permitted:
		return shown(u, w.refusal(p, u.From)), resultRefused, nil
	}
	action, _, _ := strings.Cut(u.Data, ":")
	switch action := reporter.ActionKind(action); action {
	case reporter.ActionAcknowledge, reporter.ActionRelease:
		return a.acknowledge(u, receiver, incident, action, w), resultDone, nil
	case reporter.ActionSilence1h, reporter.ActionSilence4h, reporter.ActionUnsilence:
		return a.silence(ctx, u, incident, action, w)
	}
	return shown(u, w.T("chat_button_gone")), resultRefused, nil
}

// ofButton finds the incident of a button by its data and its message. It returns reporter.ErrNotFound if the button was not sent to
// this chat, or its incident is no longer kept.
func (a *accountWork) ofButton(ctx context.Context, data, message string, here scope) (incident, receiver string, err error) {
	_, token, ok := strings.Cut(data, ":")
	if !ok || message == "" || len(here.places) == 0 {
		return "", "", reporter.ErrNotFound
	}
	incident, receiver, err = a.l.state.ActionOf(ctx, token)
	if err != nil {
		return "", "", err
	}
	if !here.has([]string{receiver}) { // A forwarded message, or a token from another chat.
		return "", "", reporter.ErrNotFound
	}
	m, err := a.l.state.MessageOf(ctx, here.receivers(), here.keys, message)
	if err == nil && slices.Contains(m.Incidents, incident) {
		return incident, receiver, nil
	}
	if err != nil && !errors.Is(err, reporter.ErrNotFound) {
		return "", "", err
	}
	// The message may exist while its id is unknown: the answer to its send was lost, or arrives later than the tap.
	may, err := a.l.state.MayHaveSent(ctx, incident, receiver)
	if err == nil && !may {
		err = reporter.ErrNotFound
	}
	return incident, receiver, err
}

// acknowledge is the effect of the buttons acknowledge and release.
func (a *accountWork) acknowledge(u reporter.UpdateState, receiver, incident string, action reporter.ActionKind, w words) effect {
	return func(ctx context.Context, work reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		text, err := acknowledged(ctx, work, u, receiver, incident, action, w)
		return reporter.UpdateAnswer{Tap: u.Tap, Text: text}, err
	}
}

// acknowledged acknowledges or releases an incident, and returns the text of the answer.
func acknowledged(
	ctx context.Context, work reporter.UpdateWork, u reporter.UpdateState, receiver, incident string, action reporter.ActionKind, w words,
) (text string, err error) {
	id := cut(incident, idMax)
	do, done := work.Acknowledge, "chat_acknowledged"
	if action == reporter.ActionRelease {
		do, done = work.Release, "chat_released"
	}
	who, changed, err := do(ctx, incident, u.From, reporter.MessageRef{Receiver: receiver, MessageID: u.Message})
	switch {
	case errors.Is(err, reporter.ErrResolved):
		return w.T("chat_resolved", id), nil
	case errors.Is(err, reporter.ErrNotFound):
		return w.T("chat_incident_gone", id), nil
	case errors.Is(err, reporter.ErrTooMany):
		return w.T("chat_too_many", id), nil
	case err != nil:
		return "", err
	case changed:
		return w.T(done, id), nil
	case action == reporter.ActionRelease:
		return w.T("chat_not_acknowledged", id), nil
	}
	return w.T("chat_acknowledged_before", id, cut(who.Author, nameMax), w.at(who.WrittenAt)), nil
}

// silenceTries is how often a silence is tried that fails with an error that may be temporary.
const silenceTries = 10

// tries counts how often this process has tried an update.
func (a *accountWork) tries(u reporter.UpdateState) int {
	if a.tried != u.Seq {
		a.tried, a.triedTimes = u.Seq, 0
	}
	a.triedTimes++
	return a.triedTimes
}

// silence adds a silence, or ends those that people made here, in the transaction that marks the tap as applied: a tap makes at most one
// silence, and ends no later ones.
func (a *accountWork) silence(
	ctx context.Context, u reporter.UpdateState, incident string, action reporter.ActionKind, w words,
) (effect, string, error) {
	id := cut(incident, idMax)
	if a.cfg.Silencer == nil {
		return shown(u, w.T("chat_no_silence", id)), resultRefused, nil
	}
	var planned reporter.Silence
	text := w.T("chat_unsilenced", id)
	if action != reporter.ActionUnsilence {
		lasts := time.Hour
		if action == reporter.ActionSilence4h {
			lasts = 4 * time.Hour
		}
		text = w.T("chat_silenced", id, w.Duration(lasts))
		var err error
		if planned, err = a.cfg.Silencer.Plan(ctx, incident, u.From, lasts); err != nil {
			refusal := w.silenceRefusal(err, id)
			if refusal == "" && a.tries(u) < silenceTries {
				return nil, "", err
			}
			if refusal == "" { // Later updates must not wait for ever.
				a.log.Error("a silence was not made", "incident", incident, "err", err)
				refusal = w.T("chat_no_silence", id)
			}
			return shown(u, refusal), resultRefused, nil
		}
	}
	return func(ctx context.Context, work reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		var err error
		if action == reporter.ActionUnsilence {
			_, err = work.EndSilences(ctx, incident, u.From.Name, a.l.state.Now())
		} else {
			_, err = work.AddSilence(ctx, planned)
		}
		if refusal := w.silenceRefusal(err, id); refusal != "" {
			return reporter.UpdateAnswer{Tap: u.Tap, Text: refusal, Alert: true}, nil
		}
		return reporter.UpdateAnswer{Tap: u.Tap, Text: text}, err
	}, resultDone, nil
}

// silenceRefusal is the answer if an incident cannot be silenced; "" for errors that may be temporary.
func (w words) silenceRefusal(err error, id string) string {
	switch {
	case errors.Is(err, reporter.ErrResolved):
		return w.T("chat_resolved", id)
	case errors.Is(err, reporter.ErrTooMany):
		return w.T("chat_too_many", id)
	case errors.Is(err, reporter.ErrNothingInCommon):
		return w.T("chat_silence_too_wide", id)
	case errors.Is(err, reporter.ErrNotFound):
		return w.T("chat_no_silence", id)
	}
	return ""
}

// refusal is the answer to a person who may not act.
func (w words) refusal(p permission, of reporter.Person) string {
	switch p {
	case notListed:
		return w.T("chat_not_listed", of.ID)
	case anonymous:
		return w.T("chat_anonymous")
	case notKnown:
		return w.T("chat_not_known")
	case permitted, notMember:
	}
	return w.T("chat_not_member")
}
