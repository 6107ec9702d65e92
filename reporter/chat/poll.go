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
	lease     time.Duration // between attempts to lease an account whose updates another process receives
	look      time.Duration // between reads of the queue without a wake-up
	min, max  time.Duration // after a poll, or an update, that failed
	empty     time.Duration // after a poll that was answered at once without updates, by a server that does not wait for them
	elsewhere time.Duration // after the first poll that failed because another program polls
	longest   time.Duration // after many such polls
	register  time.Duration // before commands whose registration failed are registered again
}

func defaultPace() pace {
	return pace{
		lease: 5 * time.Second, look: 5 * time.Second, min: time.Second, max: time.Minute, empty: time.Second,
		elsewhere: 10 * time.Second, longest: 15 * time.Minute, register: 10 * time.Minute,
	}
}

// maxWaiting is the number of stored updates that wait, from which on no more are received: the channel keeps them.
const maxWaiting = 1000

// ListenGate is the key of the gate of an account's polls.
func ListenGate(account string) string { return "listen " + account }

// accountWork receives and processes the updates of one account.
type accountWork struct {
	l       *Listener
	log     *slog.Logger
	cfg     Config
	account string
	bot     Bot
	places  []Place
	pace    pace

	wake    chan struct{} // receives a value when updates were stored
	members *members
	limits  *limits

	name       string    // by which commands address the account
	registered time.Time // when to register commands next
	fault      string    // outcome of the last poll that failed, as it was logged; "" after a success
	closed     bool      // the gate of listening has a reason
	tried      int64     // the update that was tried last
	triedTimes int       // how often
	limited    verdict   // of the update that was counted last by the limits
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

// run leases the account, so that one process polls at any time: a second poll would end the first.
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

// serve polls and processes stored updates, until ctx ends or another process has taken over.
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
	var wait, grown time.Duration // grown is the wait after consecutive failures
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

// held returns for how long nothing is received, because the account is suspended, the channel has asked to wait, or too many updates
// wait.
func (a *accountWork) held(ctx context.Context) (time.Duration, error) {
	gates, err := a.l.state.Gates(ctx, reporter.AccountGate(a.account), ListenGate(a.account))
	if err != nil {
		return 0, err
	}
	now := a.l.state.Now()
	if gates[0].Reason != reporter.ReasonNone { // The outbox probes it.
		return a.pace.lease, nil
	}
	if wait := gates[1].WaitUntil.Sub(now); wait > 0 {
		return min(wait, a.pace.max), nil
	}
	n, err := a.l.state.WaitingUpdates(ctx, a.account)
	if err == nil && n >= maxWaiting {
		a.wakeUp()
		return a.pace.min, nil
	}
	return 0, err
}

// poll receives once, and returns the offset of the next poll, and how long to wait before it.
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
	a.l.metrics.polls.WithLabelValues(a.account, pollOK).Inc()
	a.l.metrics.lastPoll.WithLabelValues(a.account).Set(float64(a.l.state.Now().Unix()))
	a.l.metrics.updates.WithLabelValues(kindOther, resultSkipped).Add(float64(got.Skipped))
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

// failed returns how long to wait after a poll that failed. over reports that another process has taken over.
func (a *accountWork) failed(ctx context.Context, before time.Duration, err error) (wait time.Duration, over bool) {
	wait = min(max(before*2, a.pace.min), a.pace.max)
	outcome := pollNotAnswered
	var answer *reporter.SendError
	switch {
	case !errors.As(err, &answer): // the network, or the state
	case answer.Status == http.StatusConflict:
		outcome = pollConflict
		wait = min(max(before*2, a.pace.elsewhere), a.pace.longest)
		a.close(ctx, answer)
	case answer.Verdict == reporter.VerdictWait:
		outcome, wait = pollWait, answer.After
		a.gate(ctx, func(g *reporter.Gate) { g.WaitUntil = a.l.state.Now().Add(answer.After).UTC() })
	case answer.Verdict == reporter.VerdictAccount:
		outcome = pollAccount
		a.suspend(ctx, answer)
	}
	over = errors.Is(err, reporter.ErrOvertaken)
	a.l.metrics.polls.WithLabelValues(a.account, outcome).Inc()
	a.failing(outcome, err)
	return wait, over
}

// failing logs an error once, and not at every poll.
func (a *accountWork) failing(what string, err error) {
	if a.fault == what {
		return
	}
	a.fault = what
	switch what {
	case pollConflict:
		a.log.Error("another program receives the updates of the chats: stop it, or remove its webhook", "err", err)
	case pollWait:
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

// close stores that another program receives the updates, for commands and other processes.
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
	notice := reporter.NoticeTo{Receiver: a.cfg.Fallback, After: reporter.DefaultNoticeAfter, Apart: reporter.DefaultNoticeApart}
	for _, p := range a.places {
		if p.Receiver == a.cfg.Fallback { // It cannot receive the notice of its own suspension.
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
		a.log.Error("the result of a poll was not stored", "err", err)
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
