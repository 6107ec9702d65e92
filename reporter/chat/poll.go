package chat

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// pace is how long a listener waits.
type pace struct {
	lease     time.Duration // between looks whether it may receive the updates of an account that another process receives
	look      time.Duration // between looks for updates to be worked off that it has not stored itself
	min, max  time.Duration // after a poll, or an update, that failed
	empty     time.Duration // after a poll that was answered at once, with nothing: the server does not wait for updates
	elsewhere time.Duration // after the first poll that another program has ended
	longest   time.Duration // where that goes on
	register  time.Duration // before commands are registered again that could not be
}

func defaultPace() pace {
	return pace{
		lease: 5 * time.Second, look: 5 * time.Second, min: time.Second, max: time.Minute, empty: time.Second,
		elsewhere: 10 * time.Second, longest: 15 * time.Minute, register: 10 * time.Minute,
	}
}

const (
	// waitingMost is how many updates may wait to be worked off before no more are received: the channel keeps them.
	waitingMost = 1000
)

// ListenGate is the key of the gate that holds polls of an account back, and says why.
func ListenGate(account string) string { return "listen " + account }

// accountWork receives and works off the updates of one account.
type accountWork struct {
	l       *Listener
	log     *slog.Logger
	cfg     Config
	account string
	bot     Bot
	places  []Place
	pace    pace

	wake    chan struct{} // something was stored
	members *members
	limits  *limits

	name       string    // by which commands address the account
	registered time.Time // when to register commands; zero: that is done
	fault      string    // of polling, as it was logged
	closed     bool      // the gate of listening has a reason
	tried      int64     // the update that was tried last, and how often
	triedTimes int
	limited    verdict // of the update that was counted last
}

func newAccountWork(l *Listener, cfg Config, account string, bot Bot) *accountWork {
	a := &accountWork{
		l: l, log: l.log.With("account", account), cfg: cfg, account: account, bot: bot, pace: l.pace, wake: make(chan struct{}, 1),
		members: newMembers(), limits: newLimits(),
	}
	for _, p := range cfg.Places {
		if p.Account == account {
			a.places = append(a.places, p)
		}
	}
	return a
}

// run takes turns with other processes, so that one of them polls at any time: a second poll would end the first.
func (a *accountWork) run(ctx context.Context) {
	for ctx.Err() == nil {
		leased, release, err := a.l.state.Lease(ctx, ListenGate(a.account))
		if err != nil && ctx.Err() == nil {
			a.failing("lease", err)
		}
		if leased == nil {
			pause(ctx, a.pace.lease)
			continue
		}
		a.serve(leased)
		release()
		if ctx.Err() == nil {
			pause(ctx, a.pace.lease)
		}
	}
}

// serve polls, and works off what is stored, until ctx ends or another process has taken over.
func (a *accountWork) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var working sync.WaitGroup
	defer working.Wait()
	a.l.metrics.polling.WithLabelValues(a.account).Set(1)
	defer a.l.metrics.polling.WithLabelValues(a.account).Set(0)
	working.Go(func() {
		defer cancel()
		a.work(ctx)
	})
	defer cancel()
	offset, known := int64(0), false
	var wait, grown time.Duration // grown is the wait after polls that failed one after the other
	for ; ctx.Err() == nil; pause(ctx, wait) {
		var err error
		if !known {
			if offset, err = a.l.state.UpdateOffset(ctx, a.account); err == nil {
				gates, gateErr := a.l.state.Gates(ctx, ListenGate(a.account))
				if err = gateErr; err == nil {
					known, a.closed = true, gates[0].Reason != reporter.ReasonNone
				}
			}
		}
		if err == nil {
			wait, err = a.held(ctx)
			if wait > 0 {
				continue
			}
		}
		if err == nil {
			offset, wait, err = a.poll(ctx, offset)
		}
		switch {
		case ctx.Err() != nil:
		case err == nil:
			grown = 0
			a.well(ctx)
		default:
			var over bool
			if grown, over = a.failed(ctx, grown, err); over {
				return
			}
			wait = grown
		}
	}
}

// held says for how long nothing is to be received: the account is refused, the channel has asked to wait, or too much waits to be
// worked off.
func (a *accountWork) held(ctx context.Context) (time.Duration, error) {
	gates, err := a.l.state.Gates(ctx, reporter.AccountGate(a.account), ListenGate(a.account))
	if err != nil {
		return 0, err
	}
	now := a.l.state.Now()
	if gates[0].Reason != reporter.ReasonNone { // The outbox finds out when it works again.
		return a.pace.lease, nil
	}
	if wait := gates[1].WaitUntil.Sub(now); wait > 0 {
		return min(wait, a.pace.max), nil
	}
	n, err := a.l.state.WaitingUpdates(ctx, a.account)
	if err == nil && n >= waitingMost {
		a.wakeUp()
		return a.pace.min, nil
	}
	return 0, err
}

// poll receives once, and returns the offset for the next time, and how long to wait before it.
func (a *accountWork) poll(ctx context.Context, offset int64) (next int64, wait time.Duration, err error) {
	if a.name == "" {
		name, _, err := a.bot.Me(ctx)
		if err != nil {
			return offset, 0, err
		}
		a.name = name
	}
	if !a.registered.After(a.l.state.Now()) {
		a.register(ctx)
	}
	begun := time.Now()
	got, err := a.bot.Poll(ctx, offset)
	if err != nil {
		return offset, 0, err
	}
	a.l.metrics.polls.WithLabelValues(a.account, "ok").Inc()
	a.l.metrics.lastPoll.WithLabelValues(a.account).Set(float64(a.l.state.Now().Unix()))
	a.l.metrics.updates.WithLabelValues("other", "skipped").Add(float64(got.Skipped))
	if got.Next == offset && len(got.List) == 0 {
		if time.Since(begun) < a.pace.empty {
			wait = a.pace.empty
		}
		return offset, wait, nil
	}
	added, err := a.l.state.StoreUpdates(ctx, a.account, offset, got.Next, got.List)
	if err != nil {
		return offset, 0, err
	}
	if added > 0 {
		a.wakeUp()
	}
	return got.Next, 0, nil
}

func (a *accountWork) wakeUp() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// failed says how long to wait after a poll that failed. Over: another process has taken over.
func (a *accountWork) failed(ctx context.Context, before time.Duration, err error) (wait time.Duration, over bool) {
	wait = min(max(before*2, a.pace.min), a.pace.max)
	outcome := "not_answered"
	var answer *reporter.SendError
	switch {
	case !errors.As(err, &answer): // the network, or the state
	case answer.Status == http.StatusConflict:
		outcome = "conflict"
		wait = min(max(before*2, a.pace.elsewhere), a.pace.longest)
		a.close(ctx, answer)
	case answer.Verdict == reporter.VerdictWait:
		outcome, wait = "wait", answer.After
		a.gate(ctx, func(g *reporter.Gate) { g.WaitUntil = a.l.state.Now().Add(answer.After).UTC() })
	case answer.Verdict == reporter.VerdictAccount:
		outcome = "account"
		a.suspend(ctx, answer)
	}
	over = errors.Is(err, reporter.ErrOvertaken)
	a.l.metrics.polls.WithLabelValues(a.account, outcome).Inc()
	a.failing(outcome, err)
	return wait, over
}

// failing logs a fault once, and not at every poll.
func (a *accountWork) failing(what string, err error) {
	if a.fault == what {
		return
	}
	a.fault = what
	switch what {
	case "conflict":
		a.log.Error("another program receives what people do in the chats: stop it, or remove its webhook", "err", err)
	case "wait":
		a.log.Warn("the channel asks to wait before the next poll", "err", err)
	default:
		a.log.Error("updates cannot be received", "err", err)
	}
}

// well is called after each poll that was answered.
func (a *accountWork) well(ctx context.Context) {
	if a.fault != "" {
		a.log.Info("updates are received again", "was", a.fault)
	}
	a.fault = ""
	if a.closed {
		a.closed = false
		a.gate(ctx, func(g *reporter.Gate) { g.Reason, g.Detail, g.Since, g.WaitUntil = "", "", time.Time{}, time.Time{} })
	}
}

// close says in the state that the updates go elsewhere, for commands and other processes.
func (a *accountWork) close(ctx context.Context, answer *reporter.SendError) {
	if a.closed {
		return
	}
	a.closed = true
	a.gate(ctx, func(g *reporter.Gate) {
		if g.Reason == reporter.ReasonNone {
			g.Since = a.l.state.Now().UTC()
		}
		g.Reason, g.Detail = reporter.ReasonConflict, answer.Error()
	})
}

// suspend closes the account's gate, as the outbox does when a send is refused.
func (a *accountWork) suspend(ctx context.Context, answer *reporter.SendError) {
	notice := reporter.NoticeTo{Receiver: a.cfg.Fallback, After: 10 * time.Second, Apart: 10 * time.Minute}
	for _, p := range a.places {
		if p.Receiver == a.cfg.Fallback { // It cannot be notified that it cannot be notified.
			notice.Receiver = ""
		}
	}
	until := a.l.state.Now().Add(time.Minute)
	_, err := a.l.state.Suspend(ctx, reporter.AccountGate(a.account), reporter.ReasonAccount, answer.Error(), until, notice)
	if err != nil && ctx.Err() == nil {
		a.log.Error("account was not suspended", "err", err)
	}
}

func (a *accountWork) gate(ctx context.Context, change func(*reporter.Gate)) {
	if err := a.l.state.UpdateGate(ctx, ListenGate(a.account), change); err != nil && ctx.Err() == nil {
		a.log.Error("what polling found was not stored", "err", err)
	}
}

func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
