package outbox

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// picturelessAfter is the number of failed sends of a part after which it is sent without its picture.
	picturelessAfter = 2
	// maxMoves is how many moves of a chat are followed in one turn before the receiver is suspended.
	maxMoves = 4
)

// send sends the parts of a composed delivery until one has to wait, and returns how long the lane has to wait.
func (w *worker) send(ctx context.Context, id int64) time.Duration {
	d, err := w.state.Delivery(ctx, id)
	if err != nil && ctx.Err() == nil {
		w.skip(id, err)
		return 0
	}
	if err != nil || d.State != reporter.DeliveryPending || d.Parts == nil {
		return idle
	}
	ch, ok := w.channel(d.Receiver)
	if !ok {
		return idle
	}
	w.interrupted(&d)
	s := &sending{worker: w, ch: ch, d: d, first: true}
	for n := range s.d.Parts {
		for s.d.Parts[n].SentAt.IsZero() {
			if wait, done := s.part(ctx, n); done {
				return wait
			}
		}
	}
	s.d.State, s.d.FinishedAt, s.d.Reason, s.d.LastError = reporter.DeliverySent, w.state.Now().UTC(), reporter.ReasonNone, ""
	if !w.keep(ctx, s.d) {
		return idle
	}
	w.metrics.delivered(s.d)
	w.log.Info("delivered", "delivery", d.ID, "kind", d.Kind, "subject", d.Subject, "receiver", d.Receiver,
		"parts", len(s.d.Parts), "attempts", s.d.Attempts)
	return 0
}

// interrupted counts the sends that were under way when the process ended, as sends of unknown outcome.
func (w *worker) interrupted(d *reporter.Delivery) {
	for n := range d.Parts {
		if p := &d.Parts[n]; !p.SendingAt.IsZero() {
			p.Interrupted++
			p.SendingAt = time.Time{}
			d.Reason, d.LastError = reporter.ReasonUnknown, "the process ended during the send"
			w.metrics.sent(d.Receiver, reporter.VerdictUnknown.String())
		}
	}
}

// sending is one turn of a delivery.
type sending struct {
	*worker
	ch     Channel
	d      reporter.Delivery
	first  bool // nothing was sent in this turn yet
	probed bool // a probe was answered in this turn, and no send has failed since

	account, chat, receiver reporter.Gate
	to                      string   // new address of the chat; "" if it has not moved
	been                    []string // addresses from which the chat has moved in this turn
}

// part sends part n, or changes it so that it can be sent. done reports that the turn is over.
func (s *sending) part(ctx context.Context, n int) (wait time.Duration, done bool) {
	if ctx.Err() != nil {
		return 0, true
	}
	if err := s.readGates(ctx); err != nil {
		s.readable(err)
		return idle, true
	}
	part := &s.d.Parts[n]
	trial := s.account.Reason != "" || s.receiver.Reason != ""
	if (trial || s.chat.Failures > 0 || part.Unknown()) && !s.probed {
		if err := s.probe(ctx); err != nil {
			return s.refused(ctx, part, err, true)
		}
		s.probed = true
		return 0, false
	}
	replyTo, err := s.replyTo(ctx, n)
	if err != nil {
		s.log.Warn("the message to answer was not found", "delivery", s.d.ID, "err", err)
	}
	save := s.d
	save.Parts = slices.Clone(s.d.Parts)
	if s.first && (slices.ContainsFunc(s.d.Parts, func(p reporter.Part) bool { return p.Sends > 0 || p.Unknown() }) || s.d.Attempts == 0) {
		save.Attempts++ // The first send is of the same attempt as the composition.
	}
	save.Parts[n].SendingAt = s.state.Now().UTC()
	save.Parts[n].Sends++
	until, err := s.state.Begin(ctx, save, s.passes())
	if err != nil {
		s.readable(err)
		return idle, true
	}
	if !until.IsZero() {
		wait := max(until.Sub(s.state.Now()), time.Millisecond)
		if wait >= linger { // Stored, so that no process starts the lane before.
			s.gate(ctx, s.chat.Key, func(g *reporter.Gate) {
				if until.After(g.WaitUntil) {
					g.WaitUntil = until.UTC()
				}
			})
		}
		return wait, true
	}
	s.d, s.first = save, false
	part = &s.d.Parts[n]
	id, err := s.call(ctx, func(ctx context.Context) (string, error) {
		return s.ch.Send(ctx, *part, reporter.SendOptions{To: s.to, Repeat: part.Unknown(), ReplyTo: replyTo})
	})
	part.SendingAt = time.Time{}
	if err != nil {
		return s.refused(ctx, part, err, false)
	}
	s.metrics.sent(s.d.Receiver, sentOutcome)
	part.SentAt, part.MessageID, part.Chat, part.Caption = s.state.Now().UTC(), id, s.chat.Key, part.Picture != nil
	part.Picture = nil
	passes := s.passes()[1:2] // Only the chat's: the limit of the account has a margin for calls under way.
	if !s.persist(ctx, s.d.ID, func(ctx context.Context) error { return s.state.End(ctx, s.d, passes) }) {
		return idle, true
	}
	s.works(ctx)
	return 0, false
}

func (s *sending) readGates(ctx context.Context) error {
	chat := s.ch.Chat()
	key := reporter.ChatGate(chat.Account, chat.Address)
	gates, err := s.state.Gates(ctx, reporter.AccountGate(chat.Account), key, reporter.ReceiverGate(s.d.Receiver))
	if err != nil {
		return err
	}
	s.account, s.chat, s.receiver, s.to = gates[0], gates[1], gates[2], gates[1].MovedTo
	if s.to != "" {
		if gates, err = s.state.Gates(ctx, reporter.ChatGate(chat.Account, s.to)); err != nil {
			return err
		}
		s.chat = gates[0]
	}
	return nil
}

func (s *sending) passes() []reporter.Pass {
	var account, chat []reporter.Limit
	for _, l := range s.ch.Chat().Limits {
		if l.Account {
			account = append(account, l)
		} else {
			chat = append(chat, l)
		}
	}
	return []reporter.Pass{
		{Key: s.account.Key, Limits: account}, {Key: s.chat.Key, Limits: chat}, {Key: s.receiver.Key},
	}
}

// replyTo returns the channel's id of the message that part n replies to; "" if there is none.
func (s *sending) replyTo(ctx context.Context, n int) (string, error) {
	if n > 0 || s.d.Parts[n].NoReply {
		return "", nil
	}
	return s.state.ReplyTo(ctx, s.d)
}

func (s *sending) probe(ctx context.Context) error {
	_, err := s.call(ctx, func(ctx context.Context) (string, error) { return "", s.ch.Probe(ctx, s.to) })
	return err
}

// call lets a call end when the process stops, for StopTimeout, because the outcome of a cancelled send is unknown.
func (w *worker) call(ctx context.Context, do func(context.Context) (string, error)) (string, error) {
	return w.callFor(ctx, w.config().SendTimeout, do)
}

func (w *worker) callFor(ctx context.Context, limit time.Duration, do func(context.Context) (string, error)) (string, error) {
	cfg := w.config()
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(cfg.StopTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-calling.Done():
		}
	})
	defer stop()
	return do(calling)
}

// refused handles the error of a send, or of the probe before it. done reports that the turn is over.
func (s *sending) refused(ctx context.Context, part *reporter.Part, err error, probe bool) (wait time.Duration, done bool) {
	var answer *reporter.SendError
	if !errors.As(err, &answer) {
		answer = &reporter.SendError{Verdict: reporter.VerdictRetry, Err: err}
	}
	log := s.log.With("delivery", s.d.ID, "receiver", s.d.Receiver, "verdict", answer.Verdict.String())
	verdict := ofSend(answer.Verdict)
	if probe {
		verdict = ofProbe(answer.Verdict)
	} else {
		s.metrics.sent(s.d.Receiver, verdict.String())
		s.probed = false
	}
	s.d.LastError = answer.Error()
	cfg := s.config()
	switch verdict {
	case reporter.VerdictMoved:
		return s.moved(ctx, answer)
	case reporter.VerdictWait:
		log.Warn("the channel asks to wait", "after", answer.After, "err", err)
		s.d.Reason = reporter.ReasonWait
		s.gate(ctx, s.chat.Key, func(g *reporter.Gate) { g.WaitUntil = s.state.Now().Add(answer.After).UTC() })
		s.keep(ctx, s.d)
		return answer.After, true
	case reporter.VerdictAccount, reporter.VerdictReceiver:
		s.suspend(ctx, verdict, answer)
		return idle, true
	case reporter.VerdictUnknown:
		log.Warn("the answer to a send was lost", "err", err)
		part.Ambiguous++
		return s.later(ctx, part, reporter.ReasonUnknown)
	case reporter.VerdictPicture, reporter.VerdictButtons, reporter.VerdictReply, reporter.VerdictMarkup, reporter.VerdictRefused:
		if s.simpler(part, verdict, answer) {
			log.Error("the message was refused and is sent in a simpler form", "err", err)
			return s.again(ctx)
		}
		// Nothing is left to leave out. A probe decides whether the message or the chat is the cause.
		if err := s.probe(ctx); err != nil {
			return s.refused(ctx, part, err, true)
		}
		s.d.Reason = reporter.ReasonRefused
		s.giveUp(ctx, s.d)
		return 0, true
	case reporter.VerdictRetry:
	}
	log.Warn("send failed", "probe", probe, "attempts", s.d.Attempts, "err", err)
	if probe {
		wait = min(s.backoff(s.chat.Failures, cfg.OutageMax), cfg.OutageMax)
		s.gate(ctx, s.chat.Key, func(g *reporter.Gate) { g.Failures, g.WaitUntil = g.Failures+1, s.state.Now().Add(wait).UTC() })
		s.d.Reason = reporter.ReasonNotAnswered
		s.keep(ctx, s.d)
		return wait, true
	}
	return s.later(ctx, part, reporter.ReasonNotAnswered)
}

// ofSend is the meaning of a verdict for a send.
func ofSend(v reporter.Verdict) reporter.Verdict {
	if v == reporter.VerdictGone { // A send refers to no other message than the one that it replies to.
		return reporter.VerdictReply
	}
	return v
}

// ofProbe is the meaning of a verdict for a probe.
func ofProbe(v reporter.Verdict) reporter.Verdict {
	switch v {
	case reporter.VerdictUnknown: // A probe sends no message that could have arrived.
		return reporter.VerdictRetry
	case reporter.VerdictWait, reporter.VerdictMoved, reporter.VerdictAccount, reporter.VerdictRetry:
		return v
	}
	return reporter.VerdictReceiver // Every message would be refused.
}

// moved follows a chat to its new address. A chat that moves in a circle is suspended.
func (s *sending) moved(ctx context.Context, answer *reporter.SendError) (time.Duration, bool) {
	if s.circular(answer.To) {
		s.suspend(ctx, reporter.VerdictReceiver, answer)
		return idle, true
	}
	if err := s.follow(ctx, answer.To); err != nil {
		s.readable(err)
		return idle, true
	}
	return s.again(ctx)
}

// circular reports whether the chat moves to an address where it was before in this turn, or moves too often.
func (s *sending) circular(to string) bool {
	s.been = append(s.been, cmp.Or(s.to, s.ch.Chat().Address))
	return slices.Contains(s.been, to) || len(s.been) > maxMoves
}

func (s *sending) follow(ctx context.Context, to string) error {
	s.log.Warn("the chat has moved; set its new id in the configuration", "receiver", s.d.Receiver, "to", to)
	return s.state.UpdateGate(ctx, s.lane.key, func(g *reporter.Gate) { g.MovedTo = to })
}

// again stores the delivery, so that the part is tried again at once.
func (s *sending) again(ctx context.Context) (time.Duration, bool) {
	if !s.keep(ctx, s.d) {
		return idle, true
	}
	return 0, false
}

// later stores the time of the next attempt. The chat waits for a probe.
func (s *sending) later(ctx context.Context, part *reporter.Part, why reporter.Reason) (time.Duration, bool) {
	cfg := s.config()
	if part.Sends >= picturelessAfter && part.Picture != nil {
		s.simpler(part, reporter.VerdictPicture, nil)
	}
	s.d.Reason = why
	s.d.NextAttempt = s.latest(s.d, s.backoff(max(part.Sends, 1)-1, cfg.BackoffMax))
	// A probe precedes the next send in this chat; other messages are sent once it is answered.
	s.gate(ctx, s.chat.Key, func(g *reporter.Gate) { g.Failures, g.WaitUntil = 1, s.state.Now().Add(cfg.BackoffMin).UTC() })
	s.keep(ctx, s.d)
	return cfg.BackoffMin, true
}

// simpler removes the refused extra from the part. It returns false if nothing is left to remove.
func (s *sending) simpler(part *reporter.Part, verdict reporter.Verdict, answer *reporter.SendError) bool {
	switch {
	case verdict == reporter.VerdictPicture && (part.Picture != nil || part.Document != "" && part != &s.d.Parts[0]):
		part.Picture = nil
		if part != &s.d.Parts[0] { // A picture or a document after the text is the whole part.
			part.Dropped, part.SentAt = true, s.state.Now().UTC()
		}
	case verdict == reporter.VerdictButtons && len(part.Buttons) > 0:
		part.Buttons = fewer(part.Buttons, answer.URL)
	case verdict == reporter.VerdictReply && !part.NoReply:
		part.NoReply = true
	case !part.Plain && part.Document == "":
		part.Plain = true
	case part.Picture != nil || len(part.Buttons) > 0:
		part.Picture, part.Buttons = nil, nil
	case !part.NoReply:
		part.NoReply = true
	default:
		return false
	}
	return true
}

// fewer returns the buttons without the one whose address was refused. If that is unknown, it removes first all links, then all
// buttons.
func fewer(buttons []reporter.Button, refused string) []reporter.Button {
	left := slices.DeleteFunc(slices.Clone(buttons), func(b reporter.Button) bool {
		return refused != "" && strings.EqualFold(b.URL, refused)
	})
	if len(left) == len(buttons) {
		left = slices.DeleteFunc(left, func(b reporter.Button) bool { return b.URL != "" })
	}
	if len(left) == 0 || len(left) == len(buttons) {
		return nil
	}
	return left
}

// suspend suspends the account or the receiver until a person has changed something. Its deliveries wait.
func (s *sending) suspend(ctx context.Context, verdict reporter.Verdict, answer *reporter.SendError) {
	cfg := s.config()
	key, why, failures := reporter.ReceiverGate(s.d.Receiver), reporter.ReasonReceiver, s.receiver.Failures
	if verdict == reporter.VerdictAccount {
		key, why, failures = s.account.Key, reporter.ReasonAccount, s.account.Failures
	}
	until := s.nextProbe(failures)
	notice := noticeTo(cfg, s.d.Receiver)
	if notice.Receiver == s.d.Receiver { // It cannot receive the notice of its own suspension.
		notice.Receiver = ""
	}
	s.d.Reason = why
	s.keep(ctx, s.d)
	s.persist(ctx, s.d.ID, func(ctx context.Context) error {
		closed, err := s.state.Suspend(ctx, key, why, answer.Error(), until, notice)
		if closed {
			s.log.Error("receiver is suspended: everything sent to it is refused", "receiver", s.d.Receiver, "reason", why,
				"err", answer)
		}
		return err
	})
}

// nextProbe is the time of the next probe of a suspended gate, which doubles with each failure up to ProbeMax.
func (o *Outbox) nextProbe(failures int) time.Time {
	return o.state.Now().Add(min(time.Minute<<min(failures, 10), o.config().ProbeMax)).UTC()
}

// noticeTo returns the addressee of a notice that a delivery to the receiver was not sent: the fallback receiver, or the receiver
// itself once it works again.
func noticeTo(cfg Config, receiver string) reporter.NoticeTo {
	to := cfg.FallbackReceiver
	if to == "" {
		to = receiver
	}
	return reporter.NoticeTo{Receiver: to, After: cfg.NoticeAfter, Apart: cfg.NoticeApart}
}

// works opens the gates after a call was answered.
func (s *sending) works(ctx context.Context) {
	for _, g := range []reporter.Gate{s.account, s.receiver, s.chat} {
		if g.Failures > 0 || g.Reason != "" {
			if g.Reason != "" {
				s.log.Info("receiver works again", "receiver", s.d.Receiver, "was", g.Reason)
			}
			s.gate(ctx, g.Key, func(g *reporter.Gate) {
				g.Failures, g.Reason, g.Detail, g.WaitUntil, g.Since = 0, "", "", time.Time{}, time.Time{}
			})
		}
	}
}

// gate changes a gate. If that cannot be stored, the next send has the same result.
func (w *worker) gate(ctx context.Context, key string, change func(*reporter.Gate)) {
	w.persist(ctx, 0, func(ctx context.Context) error { return w.state.UpdateGate(ctx, key, change) })
}

// probeMoved probes a chat at its current address, and follows it if it has moved.
func (s *sending) probeMoved(ctx context.Context) error {
	for {
		if err := s.readGates(ctx); err != nil {
			return err
		}
		err := s.probe(ctx)
		var answer *reporter.SendError
		if !errors.As(err, &answer) || answer.Verdict != reporter.VerdictMoved || s.circular(answer.To) {
			return err
		}
		if err := s.follow(ctx, answer.To); err != nil {
			return err
		}
	}
}

// probeSuspended probes suspended receivers without a due delivery.
func (w *worker) probeSuspended(ctx context.Context, h hold, due []reporter.DueDelivery) {
	for _, r := range h.suspended {
		ch, ok := w.channel(r)
		waits := slices.ContainsFunc(due, func(d reporter.DueDelivery) bool { return d.Receiver == r })
		if !ok || waits || ctx.Err() != nil {
			continue
		}
		s := &sending{worker: w, ch: ch, d: reporter.Delivery{Receiver: r}}
		err := s.probeMoved(ctx)
		var answer *reporter.SendError
		switch {
		case err == nil:
			s.works(ctx)
		case errors.As(err, &answer) && answer.Verdict == reporter.VerdictWait:
			s.gate(ctx, s.chat.Key, func(g *reporter.Gate) { g.WaitUntil = s.state.Now().Add(answer.After).UTC() })
			return
		default:
			for _, g := range []reporter.Gate{s.account, s.receiver} {
				if g.Reason != "" {
					until := w.nextProbe(g.Failures)
					s.gate(ctx, g.Key, func(g *reporter.Gate) { g.Failures, g.WaitUntil = g.Failures+1, until })
				}
			}
		}
	}
}

// backoff is the wait after so many attempts: it doubles with each one up to most, and varies by a quarter, so that deliveries that
// failed together are not retried together.
func (o *Outbox) backoff(attempts int, most time.Duration) time.Duration {
	d := most
	if attempts < 20 {
		d = min(d, o.config().BackoffMin<<max(attempts, 0))
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // spreads retries, keeps no secret
}

// latest is the time of the next attempt, at the latest the time to give up.
func (o *Outbox) latest(d reporter.Delivery, after time.Duration) time.Time {
	next, last := o.state.Now().Add(after).UTC(), d.CreatedAt.Add(o.config().GiveUpAfter)
	if next.After(last) && d.Kind != reporter.DeliveryNotice {
		return last
	}
	return next
}

// giveUp fails a delivery, and adds it to a notice. It returns false if that could not be stored.
func (w *worker) giveUp(ctx context.Context, d reporter.Delivery) bool {
	cfg := w.config()
	d.State, d.FinishedAt = reporter.DeliveryGivenUp, w.state.Now().UTC()
	var notice reporter.NoticeTo
	if d.Kind != reporter.DeliveryNotice && !d.Replaced { // No notice of a message that people have deleted.
		notice = noticeTo(cfg, d.Receiver)
		if (d.Reason == reporter.ReasonAccount || d.Reason == reporter.ReasonReceiver) && notice.Receiver != d.Receiver {
			notice.After, notice.Suspension = cfg.NoticeAgain/24, cfg.NoticeAgain
		}
	}
	if !w.persist(ctx, d.ID, func(ctx context.Context) error { return w.state.Fail(ctx, d, notice) }) {
		return false
	}
	w.metrics.delivered(d)
	w.log.Error("delivery given up", "delivery", d.ID, "kind", d.Kind, "subject", d.Subject, "receiver", d.Receiver,
		"attempts", d.Attempts, "reason", d.Reason, "err", d.LastError)
	return true
}

// keep stores a delivery. It retries, because a message must not be sent again after a disk was full for a while.
func (w *worker) keep(ctx context.Context, d reporter.Delivery) bool {
	return w.persist(ctx, d.ID, func(ctx context.Context) error { return w.state.Save(ctx, d) })
}

// persist retries until save succeeds, or until StopTimeout after the process stops. The loss of the lease does not end it, because
// the database that cannot be written is the one that holds the lease.
func (w *worker) persist(ctx context.Context, id int64, save func(context.Context) error) bool {
	cfg := w.config()
	w.Outbox.mu.Lock()
	process := w.process
	w.Outbox.mu.Unlock()
	saving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(process, func() {
		timer := time.NewTimer(cfg.StopTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-saving.Done():
		}
	})
	defer stop()
	for attempt := 0; ; attempt++ {
		err := save(saving)
		if err == nil {
			return true
		}
		if errors.Is(err, reporter.ErrNotFound) {
			w.log.Error("delivery does not exist in the store any more", "delivery", id)
			return false
		}
		if attempt == 0 || saving.Err() != nil {
			w.log.Error("delivery was not stored", "delivery", id, "err", err)
		}
		timer := time.NewTimer(min(100*time.Millisecond<<min(attempt, 10), 10*time.Second))
		select {
		case <-saving.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}
