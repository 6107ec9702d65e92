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
	// attemptsMost is how often working off an update may end the process before it is given up.
	attemptsMost = 10
	// answerTries and answerTime bound the calls that show a person what became of an update.
	answerTries = 3
	answerTime  = 10 * time.Second
	// conflictTries is how often an entry is written again because somebody else was faster.
	conflictTries = 10
)

// effect is what an update does, in the transaction that marks it as applied.
type effect func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error)

// work works off what is stored, in its order, until ctx ends.
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
				a.log.Warn("an update waits: it cannot be worked off now", "update", u.ID, "kind", u.Kind, "err", err)
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

// one works an update off. An error means that it is to be tried again. The first update of a process is suspect: it may have ended
// the process before.
func (a *accountWork) one(ctx context.Context, u reporter.UpdateState, suspect bool) error {
	if !u.Applied {
		if suspect {
			if u.Attempts >= attemptsMost {
				return a.giveUp(ctx, u, errors.New("working it off has ended the process again and again"))
			}
			if err := a.l.state.TryUpdate(ctx, u.Seq, u.Attempts+1); err != nil {
				return err
			}
		}
		answer, err := a.apply(ctx, u)
		if suspect && err != nil { // It has not ended the process.
			err = errors.Join(err, a.l.state.TryUpdate(context.WithoutCancel(ctx), u.Seq, u.Attempts))
		}
		var crash *panicError
		if errors.As(err, &crash) {
			a.log.Error("working off an update panicked", "update", u.ID, "kind", u.Kind, "err", err, "stack", crash.stack)
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

// giveUp ends an update that cannot be worked off.
func (a *accountWork) giveUp(ctx context.Context, u reporter.UpdateState, err error) error {
	a.log.Error("an update was given up", "update", u.ID, "kind", u.Kind, "err", err)
	a.l.metrics.updates.WithLabelValues(string(u.Kind), "failed").Inc()
	return a.l.state.FinishUpdate(ctx, u.Seq)
}

// panicError is a panic of what an update did.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// apply does what an update asks for, and returns the answer that is left to be given.
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
		if !errors.Is(err, reporter.ErrConflict) { // else somebody else has written meanwhile
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

// decide finds out what an update does. An error means that it cannot be known now.
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

// answer shows a person what became of an update. Where that fails, what was done stays done.
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
			a.log.Warn("a person was not shown what became of an update", "update", u.ID, "kind", u.Kind, "err", err)
			return
		}
		wait := a.pace.min << try
		if refusal != nil && refusal.Verdict == reporter.VerdictWait {
			wait = min(refusal.After, answerTime)
		}
		pause(ctx, wait)
	}
}

// temporary says whether the same call may be answered otherwise later.
func temporary(e *reporter.SendError) bool {
	switch e.Verdict {
	case reporter.VerdictWait, reporter.VerdictRetry, reporter.VerdictUnknown, reporter.VerdictAccount, reporter.VerdictMoved:
		return true
	}
	return false
}

// moved follows a chat to its new address.
func (a *accountWork) moved(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.room(ctx, u.Update)
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

// member logs that the account was removed from a chat, and lets suspended receivers be tried at once where it was added.
func (a *accountWork) member(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.room(ctx, u.Update)
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
