package chat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// maxAttempts is how often an update may end the process before it is given up.
	maxAttempts = 10
	// answerTries and answerTime bound the calls that show a person the result of an update.
	answerTries = 3
	answerTime  = 10 * time.Second
	// conflictTries is how often an update is decided again because another person has written meanwhile.
	conflictTries = 10
)

// effect makes the changes of an update, in the transaction that marks it as applied.
type effect func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error)

// work processes stored updates in their order, until ctx ends.
func (a *accountWork) work(ctx context.Context) {
	wait, suspect := time.Duration(0), true
	for ctx.Err() == nil {
		u, found, err := a.l.state.NextUpdate(ctx, a.account)
		if err == nil && found {
			err = a.one(ctx, u, suspect)
			suspect = false
			if err == nil {
				wait = 0
				continue
			}
		}
		if err != nil && ctx.Err() == nil {
			if wait == 0 {
				a.log.Warn("an update cannot be processed now, and is tried again", "update", u.ID, "kind", u.Kind, "err", err)
			}
			wait = min(max(wait*2, a.pace.min), a.pace.max)
			pause(ctx, wait)
			continue
		}
		wait = 0
		timer := time.NewTimer(a.pace.look)
		select {
		case <-ctx.Done():
		case <-a.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// one processes an update. An error means that it is to be tried again. The first update of a process is suspect: it may have ended the
// process before.
func (a *accountWork) one(ctx context.Context, u reporter.UpdateState, suspect bool) error {
	if !u.Applied {
		if suspect {
			if u.Attempts >= maxAttempts {
				return a.giveUp(ctx, u, fmt.Errorf("it has ended the process %d times", maxAttempts))
			}
			if err := a.l.state.TryUpdate(ctx, u.Seq, u.Attempts+1); err != nil {
				return err
			}
		}
		answer, err := a.apply(ctx, u)
		if suspect && err != nil { // It did not end the process.
			err = errors.Join(err, a.l.state.TryUpdate(context.WithoutCancel(ctx), u.Seq, u.Attempts))
		}
		var crash *panicError
		if errors.As(err, &crash) {
			a.log.Error("processing an update panicked", "update", u.ID, "kind", u.Kind, "err", err, "stack", crash.stack)
			return a.giveUp(ctx, u, err)
		}
		if err != nil {
			return err
		}
		u.Answer = answer
	}
	a.answer(ctx, u)
	return a.l.state.FinishUpdate(ctx, u.Seq)
}

// giveUp ends an update that cannot be processed.
func (a *accountWork) giveUp(ctx context.Context, u reporter.UpdateState, err error) error {
	a.log.Error("an update was given up", "update", u.ID, "kind", u.Kind, "err", err)
	a.l.metrics.updates.WithLabelValues(string(u.Kind), resultFailed).Inc()
	return a.l.state.FinishUpdate(ctx, u.Seq)
}

// panicError is a panic during an update.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// apply stores the effect of an update, and returns the answer that is left to be given.
func (a *accountWork) apply(ctx context.Context, u reporter.UpdateState) (answer reporter.UpdateAnswer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p, string(debug.Stack())}
		}
	}()
	var result string
	for range conflictTries {
		var do effect
		if do, result, err = a.decide(ctx, u); err != nil {
			return answer, err
		}
		err = a.l.state.ApplyUpdate(ctx, u.Seq, func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error) {
			if do != nil {
				answer, err = do(ctx, w)
			}
			return answer, err
		})
		if !errors.Is(err, reporter.ErrConflict) { // Otherwise another person has written meanwhile.
			break
		}
	}
	if err != nil {
		return reporter.UpdateAnswer{}, err
	}
	if u.Kind == reporter.UpdateTap && a.cfg.Silencer != nil {
		a.cfg.Silencer.Wake()
	}
	a.l.metrics.updates.WithLabelValues(string(u.Kind), result).Inc()
	return answer, nil
}

// decide returns the effect of an update, nil for none, and its result for the metric. An error is temporary.
func (a *accountWork) decide(ctx context.Context, u reporter.UpdateState) (do effect, result string, err error) {
	switch u.Kind {
	case reporter.UpdateTap:
		return a.tap(ctx, u)
	case reporter.UpdateText, reporter.UpdateEdit:
		return a.text(ctx, u)
	case reporter.UpdateMoved:
		return a.moved(ctx, u)
	case reporter.UpdateMember:
		return a.member(ctx, u)
	}
	return nil, resultIgnored, nil
}

// answer shows a person the result of an update. If that fails, the changes stay.
func (a *accountWork) answer(ctx context.Context, u reporter.UpdateState) {
	if u.Answer == (reporter.UpdateAnswer{}) {
		return
	}
	for try := range answerTries {
		bounded, cancel := context.WithTimeout(ctx, answerTime)
		err := a.bot.Answer(bounded, u.Answer)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		var refusal *reporter.SendError
		if try == answerTries-1 || (errors.As(err, &refusal) && !temporary(refusal)) {
			a.log.Warn("the result of an update was not shown to its author", "update", u.ID, "kind", u.Kind, "err", err)
			return
		}
		wait := a.pace.min << try
		if refusal != nil && refusal.Verdict == reporter.VerdictWait {
			wait = min(refusal.After, answerTime)
		}
		pause(ctx, wait)
	}
}

// temporary reports whether the same call may succeed later.
func temporary(e *reporter.SendError) bool {
	switch e.Verdict {
	case reporter.VerdictWait, reporter.VerdictRetry, reporter.VerdictUnknown, reporter.VerdictAccount, reporter.VerdictMoved:
		return true
	}
	return false
}

// moved follows a chat to its new address.
func (a *accountWork) moved(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.scope(ctx, u.Update)
	if err != nil || len(here.places) == 0 {
		return nil, resultIgnored, err
	}
	addresses := map[string]bool{}
	for _, p := range here.places {
		addresses[p.Address] = true
	}
	return func(ctx context.Context, w reporter.UpdateWork) (answer reporter.UpdateAnswer, err error) {
		for _, address := range slices.Sorted(maps.Keys(addresses)) {
			a.log.Warn("the chat has moved; set its new id in the configuration", "from", address, "to", u.To)
			err = errors.Join(err, w.UpdateGate(ctx, reporter.ChatGate(a.account, address), func(g *reporter.Gate) { g.MovedTo = u.To }))
		}
		return answer, err
	}, resultDone, nil
}

// member logs that the account was removed from a chat, or makes the chat's suspended receivers due if it was added.
func (a *accountWork) member(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.scope(ctx, u.Update)
	if err != nil || len(here.places) == 0 {
		return nil, resultIgnored, err
	}
	if u.Gone {
		a.log.Warn("the account was removed from the chat", "chat", u.Chat, "receivers", here.receivers())
		return nil, resultDone, nil
	}
	return func(ctx context.Context, w reporter.UpdateWork) (answer reporter.UpdateAnswer, err error) {
		for _, r := range here.receivers() {
			err = errors.Join(err, w.UpdateGate(ctx, reporter.ReceiverGate(r), func(g *reporter.Gate) {
				if g.Reason != reporter.ReasonNone {
					g.WaitUntil = time.Time{}
				}
			}))
		}
		return answer, err
	}, resultDone, nil
}
