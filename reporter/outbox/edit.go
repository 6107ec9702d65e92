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

// Edits are the sent messages that do not show the latest changes.
type Edits interface {
	EditQueue
	EditSends
	EditTargets
}

// EditQueue keeps edits until they are sent.
type EditQueue interface {
	// DueEdits returns the edits of the receivers' messages that are to be tried now, the oldest first, at most limit.
	DueEdits(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.Edit, error)
	// SaveEdit stores the result of an attempt.
	SaveEdit(ctx context.Context, e reporter.Edit) error
	// PostponeEdits postpones the receivers' edits that are due.
	PostponeEdits(ctx context.Context, receivers []string, until time.Time) error
}

// EditSends records the calls of edits.
type EditSends interface {
	// BeginEdit is Begin for an edit. If the message has changed since e was read, current is false and nothing is stored.
	BeginEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, passes []reporter.Pass) (until time.Time, current bool, err error)
	// EndEdit is End for an edit. It ends e unless more parts are to be edited, or the message has changed since e was read.
	EndEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, more bool, passes []reporter.Pass) error
	// DropEdit ends an edit that is not to be sent, unless the message has changed since e was read.
	DropEdit(ctx context.Context, e reporter.Edit) error
}

// EditTargets change the message that is edited.
type EditTargets interface {
	// RedirectEdit moves the edit to the digest with which the message was sent.
	RedirectEdit(ctx context.Context, e reporter.Edit, digest int64) error
	// ReplaceMessage makes a message that does not exist any more pending again; false if that was done before.
	ReplaceMessage(ctx context.Context, e reporter.Edit) (bool, error)
}

// Editor is a Channel that can edit the messages that it has sent.
type Editor interface {
	// Revise makes the new parts of a sent message: as many as were sent, of which only the texts and buttons are replaced.
	Revise(msg reporter.Message, sent []reporter.Part) []reporter.Part
	// Edit replaces the text and the buttons of the message of a part, or returns a *reporter.SendError. An edit that changes nothing
	// succeeds.
	Edit(ctx context.Context, part reporter.Part, o reporter.SendOptions) error
}

const (
	// crashesToStay is the number of consecutive compositions that ended the process, after which a message stays as it is.
	crashesToStay = 3
	// attemptsToGiveUp is the number of consecutive failures before an old edit is given up, so that an edit that only waited is tried.
	attemptsToGiveUp = 8
	// editsApart is how long edits are postponed that cannot be sent now, such as to a suspended receiver.
	editsApart = time.Minute
	// editTimeout bounds an edit: the messages of its chat wait for it.
	editTimeout = 20 * time.Second
)

// revision is the new content of a sent message, or why there is none.
type revision struct {
	version int64
	msg     reporter.Message
	parts   []reporter.Part
	err     error
}

// edit edits the next message that does not show the latest changes, and returns how long the lane has to wait. It is called if there
// is nothing to send.
func (w *worker) edit(ctx context.Context, h hold) time.Duration {
	due, err := w.state.DueEdits(ctx, w.lane.receivers, w.state.Now(), prefetch)
	if err != nil || len(due) == 0 {
		if ctx.Err() == nil {
			w.readable(err)
		}
		return idle
	}
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
	return idle
}

// wait postpones the edits of a receiver that cannot be sent to now, and resets their attempts: they are sent once the receiver works
// again, however long that takes, because a message without its edit shows something wrong, such as an incident that still fires.
func (w *worker) wait(ctx context.Context, e reporter.Edit) {
	until := w.state.Now().Add(editsApart)
	if e.Attempts > 0 {
		e.Attempts, e.NextAttempt = 0, until
		w.saved(ctx, func(ctx context.Context) error { return w.state.SaveEdit(ctx, e) })
	}
	w.postpone(ctx, []string{e.Receiver}, until)
}

// editOne continues an edit. done reports that something was sent, or that nothing can be sent before the wait is over; otherwise the
// next edit may be tried.
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
	case d.State == reporter.DeliveryPending: // It is sent with the changes, or edited after that.
		return idle, false
	case d.State == reporter.DeliveryMerged:
		return 0, w.saved(ctx, func(ctx context.Context) error { return w.state.RedirectEdit(ctx, e, d.MergedInto) })
	case !can || d.State != reporter.DeliverySent || len(d.Parts) == 0:
		// There is no message, or it cannot be edited.
		return w.drop(ctx, e)
	}
	s := &sending{worker: w, ch: ch, d: d}
	if err := s.readGates(ctx); err != nil {
		s.readable(err)
		return idle, false
	}
	if d.Parts[0].Chat != s.chat.Key { // The id is only valid in the chat of the message.
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

// saved calls do, and reports whether it succeeded.
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

// revised returns the new content of the message, if it is ready. It is composed concurrently with the sends, and again after a further
// change.
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

// compositionOf composes the new content of a message. Its start is stored, so that a composition that ends the process each time is
// given up.
func (w *worker) compositionOf(ctx context.Context, editor Editor, e reporter.Edit, d reporter.Delivery) revision {
	r := revision{version: e.Version}
	if e.Composing { // The process that composed it has ended.
		if e.Crashes++; e.Crashes >= crashesToStay {
			r.err = fmt.Errorf("composing has ended the process %d times: %w", e.Crashes, reporter.ErrObsolete)
			w.log.Error("a message is not edited", "delivery", d.ID, "subject", d.Subject, "err", r.err)
			return r
		}
	}
	weight := int64(1)
	if e.Crashes > 0 { // Alone, so that no other one can be the cause if the process ends again.
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

// sameText reports whether two parts have the same text and buttons.
func sameText(a, b reporter.Part) bool {
	return a.HTML == b.HTML && len(a.Buttons) == len(b.Buttons) && (len(a.Buttons) == 0 || reflect.DeepEqual(a.Buttons, b.Buttons))
}

// edit edits the first part whose content has changed.
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
		s.discard(e)
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

// shown stores the new content of the message, and ends the edit unless more parts are to be edited.
func (s *sending) shown(ctx context.Context, e reporter.Edit, more bool) (time.Duration, bool) {
	e.Attempts, e.LastError, e.Composing, e.Crashes = 0, "", false, 0
	if !s.persist(ctx, s.d.ID, func(ctx context.Context) error { return s.state.EndEdit(ctx, e, s.d, more, s.passes()[1:2]) }) {
		return idle, true
	}
	if !more {
		s.discard(e)
	}
	s.works(ctx)
	return 0, true
}

// editRefused handles the error of an edit of part n. An edit that cannot be made is given up without a notice.
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
	case reporter.VerdictMoved: // The id of the message is not valid in the new chat.
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
	case reporter.VerdictRetry, reporter.VerdictUnknown: // The chat waits, as after a send, so that not every message is tried in an outage.
		s.gate(ctx, s.chat.Key, func(g *reporter.Gate) {
			g.Failures, g.WaitUntil = max(g.Failures, 1), s.state.Now().Add(s.config().BackoffMin).UTC()
		})
	case reporter.VerdictAccount, reporter.VerdictReceiver: // The next send suspends it.
	}
	log.Warn("a message was not edited", "attempts", e.Attempts+1, "err", err)
	s.editLater(ctx, e, answer)
	return 0, true
}

// gone sends a message again that was deleted, or that cannot be edited, but only once.
func (s *sending) gone(ctx context.Context, e reporter.Edit, n int, answer error) (time.Duration, bool) {
	if n > 0 { // The first part still exists.
		s.d.Parts[n].MessageID, s.d.Parts[n].Editing = "", false
		return s.shown(ctx, e, true)
	}
	replaced := false
	stored := s.persist(ctx, s.d.ID, func(ctx context.Context) (err error) {
		replaced, err = s.state.ReplaceMessage(ctx, e)
		return err
	})
	s.discard(e)
	switch {
	case !stored:
		return idle, true
	case replaced:
		s.metrics.edited(e.Receiver, replacedOutcome)
		s.log.Warn("a message that was deleted in its chat is sent again", "delivery", s.d.ID, "receiver", e.Receiver, "err", answer)
		return 0, true
	}
	s.d.Parts[0].Chat = "" // So that no further edit is tried.
	s.keep(ctx, s.d)
	s.dropEdit(ctx, e, givenUp, answer)
	return 0, true
}

// editLater stores the next attempt of an edit.
func (w *worker) editLater(ctx context.Context, e reporter.Edit, err error) {
	e.Attempts++
	e.NextAttempt, e.LastError = w.state.Now().Add(w.backoff(e.Attempts-1, w.config().BackoffMax)), err.Error()
	e.Composing = false
	w.discard(e)
	w.saved(ctx, func(ctx context.Context) error { return w.state.SaveEdit(ctx, e) })
}

// drop ends an edit that is not needed.
func (w *worker) drop(ctx context.Context, e reporter.Edit) (time.Duration, bool) {
	w.discard(e)
	return 0, w.saved(ctx, func(ctx context.Context) error { return w.state.DropEdit(ctx, e) })
}

// dropEdit gives up an edit.
func (w *worker) dropEdit(ctx context.Context, e reporter.Edit, outcome string, why error) {
	w.metrics.edited(e.Receiver, outcome)
	w.log.Warn("a message is not edited and stays as it is", "delivery", e.Delivery, "receiver", e.Receiver, "attempts", e.Attempts,
		"err", why)
	w.drop(ctx, e)
}

// discard removes the composed content of a message, which is composed again if it is still needed.
func (w *worker) discard(e reporter.Edit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.revisions, e.Delivery)
}
