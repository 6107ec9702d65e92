package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// crashesForMinimal is the number of consecutive compositions that ended the process, after which a delivery gets the minimal
	// message.
	crashesForMinimal = 3
	// abandonAfter is how long a composition may continue after its timeout before it is not waited for any more.
	abandonAfter = time.Second
)

// compose starts the compositions of the next deliveries, and returns their IDs. A delivery whose composition has ended a process
// before is composed alone, so that no other one can be the cause if the process ends again.
func (w *worker) compose(ctx context.Context, due []reporter.DueDelivery) (begun []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ahead := 0 // more urgent messages that are composed, or will be soon
	for _, d := range due {
		if ahead >= prefetch {
			break
		}
		since, is := w.composing[d.ID]
		if d.Composed || is && time.Since(since) < slowAfter {
			ahead++
		}
		if d.Composed || is {
			continue
		}
		weight := int64(1)
		if d.Interrupted || d.Crashes > 0 {
			if weight = compositions; !w.slots.TryAcquire(weight) {
				continue
			}
		}
		w.composing[d.ID] = time.Now()
		begun = append(begun, d.ID)
		ahead++
		w.running.Go(func() {
			defer func() {
				w.mu.Lock()
				delete(w.composing, d.ID)
				w.mu.Unlock()
				select {
				case w.done <- struct{}{}:
				default:
				}
			}()
			if weight == 1 && w.slots.Acquire(ctx, weight) != nil {
				return
			}
			defer w.slots.Release(weight)
			w.composeOne(ctx, d.ID)
		})
	}
	return begun
}

// composeOne makes the parts of a delivery. The attempt is stored before it begins, so that one that ends the process counts, and the
// delivery waits in the next process.
func (w *worker) composeOne(ctx context.Context, id int64) {
	d, err := w.state.Delivery(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			w.skip(id, err)
		}
		return
	}
	if d.State != reporter.DeliveryPending || d.Parts != nil {
		return
	}
	ch, ok := w.channel(d.Receiver)
	if !ok {
		return
	}
	if d.Reason == reporter.ReasonMissed {
		w.giveUp(ctx, d)
		return
	}
	if !d.ComposingAt.IsZero() {
		w.crashed(ctx, d)
		return
	}
	before := d
	d.Attempts, d.ComposingAt = d.Attempts+1, w.state.Now().UTC()
	if err := w.state.Save(ctx, d); err != nil {
		w.pause(ctx, err)
		return
	}
	if d.Kind == reporter.DeliveryNotice {
		if err := w.state.BookWaiting(ctx, d.ID, w.receiversOfGates()); err != nil {
			w.readable(err) // The notice is composed without the waiting deliveries.
		}
	}
	msg, parts, err := w.composed(ctx, ch, before)
	d.ComposingAt = time.Time{}
	if ctx.Err() == nil {
		w.store(ctx, d, msg, parts, err)
	} else if w.stopping() { // The stop is no failed attempt. If the lease was lost, another process has the delivery.
		d.Attempts = before.Attempts
		w.keep(ctx, d)
	}
}

// crashed counts a composition that ended with its process, and postpones the next one.
func (w *worker) crashed(ctx context.Context, d reporter.Delivery) {
	d.ComposingAt = time.Time{}
	d.Crashes++
	d.Reason, d.LastError = reporter.ReasonNotComposed, "the process ended while the message was composed"
	d.NextAttempt = w.latest(d, w.backoff(d.Crashes-1, w.config().BackoffMax))
	w.log.Error("the process ended while a message was composed", "delivery", d.ID, "subject", d.Subject, "times", d.Crashes)
	w.keep(ctx, d)
}

// store stores the result of a composition, whose attempt is counted in d.
func (w *worker) store(ctx context.Context, d reporter.Delivery, msg reporter.Message, parts []reporter.Part, err error) {
	var later *reporter.RetryAfterError
	switch {
	case errors.As(err, &later): // Not counted as an attempt.
		d.Attempts, d.Reason, d.LastError = d.Attempts-1, reporter.ReasonNotComposed, later.Err.Error()
		d.NextAttempt = w.latest(d, later.After)
	case errors.Is(err, reporter.ErrObsolete):
		d.State, d.FinishedAt = reporter.DeliveryCancelled, w.state.Now().UTC()
	case errors.Is(err, reporter.ErrNotFound):
		d.Reason, d.LastError = reporter.ReasonGone, err.Error()
		w.giveUp(ctx, d)
		return
	case err != nil:
		w.log.Error("message could not be composed", "delivery", d.ID, "subject", d.Subject, "attempts", d.Attempts, "err", err)
		d.Reason, d.LastError = reporter.ReasonNotComposed, err.Error()
		d.NextAttempt = w.latest(d, w.backoff(d.Attempts-1, w.config().BackoffMax))
	default:
		d.Message, d.Parts, d.Crashes, d.Reason, d.LastError = &msg, parts, 0, reporter.ReasonNone, ""
		d.Message.Picture = nil // The parts have it.
	}
	w.keep(ctx, d)
}

// receiversOfGates returns the configured receivers by the key of each gate that can suspend them.
func (o *Outbox) receiversOfGates() map[string][]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string][]string{}
	for r, ch := range o.channels {
		account := reporter.AccountGate(ch.Chat().Account)
		out[account] = append(out[account], r)
		out[reporter.ReceiverGate(r)] = []string{r}
	}
	return out
}

// pause delays the next composition after an error of the state.
func (w *worker) pause(ctx context.Context, err error) {
	w.readable(err)
	timer := time.NewTimer(soon)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// stopping reports whether the process stops.
func (o *Outbox) stopping() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.process.Err() != nil
}

// composed calls the composer, within ComposeTimeout.
func (w *worker) composed(ctx context.Context, ch Channel, d reporter.Delivery) (reporter.Message, []reporter.Part, error) {
	return w.bounded(ctx, d, func(ctx context.Context) (msg reporter.Message, parts []reporter.Part, err error) {
		if d.Crashes >= crashesForMinimal {
			msg = w.composer.Minimal(d)
		} else {
			msg, err = w.composer.Compose(ctx, d)
		}
		if err == nil {
			parts = ch.Split(msg)
		}
		return msg, parts, err
	})
}

// bounded calls compose with ComposeTimeout. A call that does not end in time is not waited for, and its result is not used. A panic is
// returned as an error.
func (w *worker) bounded(
	ctx context.Context, d reporter.Delivery, compose func(context.Context) (reporter.Message, []reporter.Part, error),
) (reporter.Message, []reporter.Part, error) {
	type result struct {
		msg   reporter.Message
		parts []reporter.Part
		err   error
	}
	limit := w.config().ComposeTimeout
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fmt.Errorf("composing panicked: %v", p)}
				w.log.Error("composing a message panicked", "delivery", d.ID, "err", r.err, "stack", string(debug.Stack()))
			}
			ended <- r
		}()
		r.msg, r.parts, r.err = compose(bounded)
	}()
	select {
	case r := <-ended:
		return r.msg, r.parts, r.err
	case <-bounded.Done():
	}
	timer := time.NewTimer(abandonAfter)
	defer timer.Stop()
	select {
	case r := <-ended:
		if r.err == nil || errors.Is(r.err, context.DeadlineExceeded) {
			r.err = fmt.Errorf("composing took longer than %v", limit)
		}
		return r.msg, r.parts, r.err
	case <-timer.C:
		return reporter.Message{}, nil, fmt.Errorf("composing took longer than %v and is still running", limit)
	}
}
