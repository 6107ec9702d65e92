package outbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Edits says which sent messages do not show what has changed since.
type Edits interface {
	// DueEdits returns the edits of the receivers' messages that are to be tried now, the oldest first, at most limit.
	DueEdits(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.Edit, error)
	// SaveEdit stores what became of an attempt.
	SaveEdit(ctx context.Context, e reporter.Edit) error
	// PostponeEdits lets the receivers' edits that are due wait until then.
	PostponeEdits(ctx context.Context, receivers []string, until time.Time) error
	// BeginEdit is Begin for an edit. Current is false, and nothing changed, where something else is to be shown by now.
	BeginEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, passes []reporter.Pass) (until time.Time, current bool, err error)
	// EndEdit is End for an edit: it ends e unless there is more to be edited of the message, or something else to be shown by now.
	EndEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, more bool, passes []reporter.Pass) error
	// DropEdit ends an edit that is not to be sent, unless something else is to be shown by now.
	DropEdit(ctx context.Context, e reporter.Edit) error
	// RedirectEdit lets the digest that a message went out with be edited instead of it.
	RedirectEdit(ctx context.Context, e reporter.Edit, digest int64) error
	// ReplaceMessage lets a message that does not exist any more be sent once more; false if it was replaced before.
	ReplaceMessage(ctx context.Context, e reporter.Edit) (bool, error)
}

// Editor is a Channel that can edit what it has sent.
type Editor interface {
	// Revise makes the parts that a sent message is to show of what it says now: as many as were sent, with all that those have but their
	// texts and buttons.
	Revise(msg reporter.Message, sent []reporter.Part) []reporter.Part
	// Edit replaces the text and the buttons of the message of a part, or returns a *reporter.SendError. That it shows them already is no
	// error.
	Edit(ctx context.Context, part reporter.Part, o reporter.SendOptions) error
}

const (
	// crashesToStay is after how many compositions in a row that ended the process a message stays as it is.
	crashesToStay = 3
	// attemptsToGiveUp is how often in a row an edit fails before its age counts: one that waited for long is tried nevertheless.
	attemptsToGiveUp = 8
	// editsApart is how long edits wait that cannot be sent now, such as to a suspended receiver.
	editsApart = time.Minute
	// editTimeout bounds an edit: the messages of its chat wait for it.
	editTimeout = 20 * time.Second
)

// revision is what a message is to show.
type revision struct {
	version int64
	msg     reporter.Message
	parts   []reporter.Part
	err     error
}

// edit edits the next message that does not show what has changed, and returns how long the lane has to wait for the next one. It is
// called where there is nothing to send.
func (w *worker) edit(ctx context.Context, h hold) (wait time.Duration) {
	due, err := w.state.DueEdits(ctx, w.lane.receivers, w.state.Now(), prefetch)
	if err != nil || len(due) == 0 {
		if ctx.Err() == nil {
			w.readable(err)
		}
		return idle
	}
	wait = idle
	for _, e := range due {
		if ctx.Err() != nil {
			return idle
		}
		switch {
		case h.receivers[e.Receiver] || slices.Contains(h.suspended, e.Receiver):
			w.wait(ctx, e)
			continue
		case e.Attempts >= attemptsToGiveUp && w.state.Now().Sub(e.CreatedAt) >= w.config().GiveUpAfter:
			w.dropEdit(ctx, e, givenUp, errors.New(e.LastError))
			continue
		}
		next, done := w.editOne(ctx, e)
		if done {
			return next
		}
	}
	return wait
}

// wait lets the edits of a receiver wait that cannot be sent now. What was tried before counts no more: it shows once the receiver works
// again, however long that takes, for a message that is not edited shows what is no longer so, such as an incident that fires.
func (w *worker) wait(ctx context.Context, e reporter.Edit) {
	until := w.state.Now().Add(editsApart)
	if e.Attempts > 0 {
		e.Attempts, e.NextAttempt = 0, until
		w.saved(ctx, func(ctx context.Context) error { return w.state.SaveEdit(ctx, e) })
	}
	w.postpone(ctx, []string{e.Receiver}, until)
}

// editOne goes on with an edit. Done says that something was sent, or that nothing can be sent before the wait is over; otherwise the
// next edit may go ahead.
func (w *worker) editOne(ctx context.Context, e reporter.Edit) (wait time.Duration, done bool) {
	d, err := w.state.Delivery(ctx, e.Delivery)
	if err != nil {
		w.readable(err)
		return idle, false
	}
	ch, ok := w.channel(e.Receiver)
	editor, can := ch.(Editor)
	switch {
	case !ok:
		return idle, false
	case d.State == reporter.DeliveryPending: // It shows what has changed once it is sent, or is edited then.
		return idle, false
	case d.State == reporter.DeliveryMerged:
		return 0, w.saved(ctx, func(ctx context.Context) error { return w.state.RedirectEdit(ctx, e, d.MergedInto) })
	case !can || d.State != reporter.DeliverySent || len(d.Parts) == 0:
		// What was not sent, or cannot be edited, is not made by an edit.
		return w.drop(ctx, e)
	}
	s := &sending{worker: w, ch: ch, d: d}
	if err := s.readGates(ctx); err != nil {
		s.readable(err)
		return idle, false
	}
	if d.Parts[0].Chat != s.chat.Key { // In another chat the same id is another message.
		return w.drop(ctx, e)
	}
	r, ready := w.revised(ctx, editor, e, d)
	switch {
	case !ready:
		return idle, false
	case errors.Is(r.err, reporter.ErrObsolete) || errors.Is(r.err, reporter.ErrNotFound):
		return w.drop(ctx, e)
	case r.err != nil:
		w.editLater(ctx, e, r.err)
		return 0, true
	}
	return s.edit(ctx, editor, e, r)
}

// saved stores, and says whether that worked.
func (w *worker) saved(ctx context.Context, do func(context.Context) error) bool {
	err := do(ctx)
	if ctx.Err() == nil {
		w.readable(err)
	}
	return err == nil
}

func (w *worker) postpone(ctx context.Context, receivers []string, until time.Time) {
	w.saved(ctx, func(ctx context.Context) error { return w.state.PostponeEdits(ctx, receivers, until) })
}

// revised returns what the message is to show, once that is composed. It is composed beside the sends, and again where more has changed.
func (w *worker) revised(ctx context.Context, editor Editor, e reporter.Edit, d reporter.Delivery) (r revision, ready bool) {
	w.mu.Lock()
	r, ready = w.revisions[e.Delivery]
	busy := w.revising[e.Delivery]
	if ready && r.version != e.Version {
		delete(w.revisions, e.Delivery)
		ready = false
	}
	if !ready && !busy {
		w.revising[e.Delivery] = true
	}
	w.mu.Unlock()
	if ready || busy {
		return r, ready
	}
	w.running.Go(func() {
		r := w.compositionOf(ctx, editor, e, d)
		w.mu.Lock()
		delete(w.revising, e.Delivery)
		if ctx.Err() == nil {
			w.revisions[e.Delivery] = r
		}
		w.mu.Unlock()
		select {
		case w.done <- struct{}{}:
		default:
		}
	})
	return revision{}, false
}

// compositionOf composes what a message is to show. That it begins is stored, so that one that ends the process again and again ends.
func (w *worker) compositionOf(ctx context.Context, editor Editor, e reporter.Edit, d reporter.Delivery) revision {
	r := revision{version: e.Version}
	if e.Composing { // By a process that has ended meanwhile.
		if e.Crashes++; e.Crashes >= crashesToStay {
			r.err = fmt.Errorf("composing has ended the process %d times: %w", e.Crashes, reporter.ErrObsolete)
			w.log.Error("a message is not edited", "delivery", d.ID, "subject", d.Subject, "err", r.err)
			return r
		}
	}
	weight := int64(1)
	if e.Crashes > 0 { // While no other is composed, so that the others are not suspected too.
		weight = compositions
	}
	if r.err = w.slots.Acquire(ctx, weight); r.err != nil {
		return r
	}
	defer w.slots.Release(weight)
	e.Composing = true
	if r.err = w.state.SaveEdit(ctx, e); r.err != nil {
		return r
	}
	r.msg, r.parts, r.err = w.bounded(ctx, d, func(ctx context.Context) (msg reporter.Message, parts []reporter.Part, err error) {
		if msg, err = w.composer.Revise(ctx, d); err == nil {
			parts = editor.Revise(msg, d.Parts)
		}
		return msg, parts, err
	})
	r.msg.Picture = nil
	e.Composing, e.Crashes = false, 0
	w.persist(ctx, d.ID, func(ctx context.Context) error { return w.state.SaveEdit(ctx, e) })
	return r
}

// sameText says whether two parts show the same.
func sameText(a, b reporter.Part) bool {
	return a.HTML == b.HTML && len(a.Buttons) == len(b.Buttons) && (len(a.Buttons) == 0 || reflect.DeepEqual(a.Buttons, b.Buttons))
}

// edit edits the first part that does not show what it is to.
func (s *sending) edit(ctx context.Context, editor Editor, e reporter.Edit, r revision) (wait time.Duration, done bool) {
	var stale []int
	for n, p := range s.d.Parts {
		if p.MessageID != "" && (p.Editing || !sameText(p, r.parts[n])) {
			stale = append(stale, n)
		}
	}
	if len(stale) == 0 {
		return s.drop(ctx, e)
	}
	n := stale[0]
	s.d.Parts = slices.Clone(s.d.Parts)
	s.d.Parts[n].Editing = true
	passes := s.passes()
	for i := range passes {
		passes[i].Yields = true
	}
	until, current, err := s.state.BeginEdit(ctx, e, s.d, passes)
	switch {
	case err != nil:
		s.readable(err)
		return idle, false
	case !current: // It is composed again.
		s.forget(e)
		return 0, true
	case !until.IsZero():
		wait := max(until.Sub(s.state.Now()), time.Millisecond)
		if wait >= linger {
			s.postpone(ctx, s.lane.receivers, until)
		}
		return wait, true
	}
	part := r.parts[n]
	_, err = s.callFor(ctx, editTimeout, func(ctx context.Context) (string, error) {
		return "", editor.Edit(ctx, part, reporter.SendOptions{To: s.to, Repeat: part.Unknown()})
	})
	if err != nil {
		return s.editRefused(ctx, e, r, n, err)
	}
	s.metrics.edited(e.Receiver, edited)
	part.EditedAt, part.Editing = s.state.Now().UTC(), false
	s.d.Parts[n], s.d.Message = part, &r.msg
	return s.shown(ctx, e, len(stale) > 1)
}

// shown stores what the message shows now, and ends the edit unless there is more to be edited of it.
func (s *sending) shown(ctx context.Context, e reporter.Edit, more bool) (time.Duration, bool) {
	e.Attempts, e.LastError, e.Composing, e.Crashes = 0, "", false, 0
	if !s.persist(ctx, s.d.ID, func(ctx context.Context) error { return s.state.EndEdit(ctx, e, s.d, more, s.passes()[1:2]) }) {
		return idle, true
	}
	if !more {
		s.forget(e)
	}
	s.works(ctx)
	return 0, true
}

// editRefused acts on the answer to an edit of part n. One that cannot be made is given up quietly: the message stays as it is.
func (s *sending) editRefused(ctx context.Context, e reporter.Edit, r revision, n int, err error) (time.Duration, bool) {
	var answer *reporter.SendError
	if !errors.As(err, &answer) {
		answer = &reporter.SendError{Verdict: reporter.VerdictRetry, Err: err}
	}
	s.metrics.edited(e.Receiver, answer.Verdict.String())
	log := s.log.With("delivery", s.d.ID, "receiver", e.Receiver, "verdict", answer.Verdict.String())
	switch answer.Verdict {
	case reporter.VerdictWait:
		log.Warn("the channel asks to wait", "after", answer.After, "err", err)
		s.gate(ctx, s.chat.Key, func(g *reporter.Gate) { g.WaitUntil = s.state.Now().Add(answer.After).UTC() })
		return answer.After, true
	case reporter.VerdictMoved: // In the new chat the same id is another message.
		if err := s.follow(ctx, answer.To); err != nil {
			s.readable(err)
		}
		return s.drop(ctx, e)
	case reporter.VerdictGone:
		return s.gone(ctx, e, n, answer)
	case reporter.VerdictMarkup, reporter.VerdictRefused, reporter.VerdictPicture, reporter.VerdictReply, reporter.VerdictButtons:
		part := &r.parts[n]
		switch {
		case answer.Verdict == reporter.VerdictButtons && len(part.Buttons) > 0:
			part.Buttons = fewer(part.Buttons, answer.URL)
		case !part.Plain:
			part.Plain = true
		default:
			s.dropEdit(ctx, e, givenUp, answer)
			return 0, true
		}
		log.Error("the edit of a message was refused and is made in a simpler form", "err", err)
		return 0, true
	case reporter.VerdictRetry, reporter.VerdictUnknown: // The chat waits, as after a send, so that an outage is not asked by each message.
		s.gate(ctx, s.chat.Key, func(g *reporter.Gate) {
			g.Failures, g.WaitUntil = max(g.Failures, 1), s.state.Now().Add(s.config().BackoffMin).UTC()
		})
	case reporter.VerdictAccount, reporter.VerdictReceiver: // The next send finds out.
	}
	log.Warn("a message was not edited", "attempts", e.Attempts+1, "err", err)
	s.editLater(ctx, e, answer)
	return 0, true
}

// gone sends a message once more that was deleted, or that cannot be edited; not where that happened before.
func (s *sending) gone(ctx context.Context, e reporter.Edit, n int, answer error) (time.Duration, bool) {
	if n > 0 { // The rest is there.
		s.d.Parts[n].MessageID, s.d.Parts[n].Editing = "", false
		return s.shown(ctx, e, true)
	}
	replaced := false
	stored := s.persist(ctx, s.d.ID, func(ctx context.Context) (err error) {
		replaced, err = s.state.ReplaceMessage(ctx, e)
		return err
	})
	s.forget(e)
	switch {
	case !stored:
		return idle, true
	case replaced:
		s.metrics.edited(e.Receiver, replacedOutcome)
		s.log.Warn("a message that was deleted in its chat is sent once more", "delivery", s.d.ID, "receiver", e.Receiver, "err", answer)
		return 0, true
	}
	s.d.Parts[0].Chat = "" // It is not tried again.
	s.keep(ctx, s.d)
	s.dropEdit(ctx, e, givenUp, answer)
	return 0, true
}

// editLater stores the next attempt of an edit.
func (w *worker) editLater(ctx context.Context, e reporter.Edit, err error) {
	e.Attempts++
	e.NextAttempt, e.LastError = w.state.Now().Add(w.backoff(e.Attempts-1, w.config().BackoffMax)), err.Error()
	e.Composing = false
	w.forget(e)
	w.saved(ctx, func(ctx context.Context) error { return w.state.SaveEdit(ctx, e) })
}

// drop ends an edit without which the message shows what it is to.
func (w *worker) drop(ctx context.Context, e reporter.Edit) (time.Duration, bool) {
	w.forget(e)
	return 0, w.saved(ctx, func(ctx context.Context) error { return w.state.DropEdit(ctx, e) })
}

// dropEdit gives an edit up.
func (w *worker) dropEdit(ctx context.Context, e reporter.Edit, outcome string, why error) {
	w.metrics.edited(e.Receiver, outcome)
	w.log.Warn("a message is not edited and stays as it is", "delivery", e.Delivery, "receiver", e.Receiver, "attempts", e.Attempts,
		"err", why)
	w.drop(ctx, e)
}

// forget lets the message be composed again.
func (w *worker) forget(e reporter.Edit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.revisions, e.Delivery)
}
