package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// errWait ends a delivery's turn; its next attempt is stored.
var errWait = errors.New("waits for its next attempt")

// unconfiguredRetry is how often a delivery looks for its receiver, which a reload may bring back.
const unconfiguredRetry = time.Minute

// deliver takes a delivery as far as it goes now. It returns false where the receiver's later deliveries have to wait.
func (o *Outbox) deliver(ctx context.Context, d reporter.Delivery) (goOn bool) {
	cfg := o.config()
	log := o.log.With("delivery", d.ID, "kind", d.Kind, "subject", d.Subject, "receiver", d.Receiver)
	if !cfg.Now().Before(d.CreatedAt.Add(cfg.GiveUpAfter)) {
		if d.LastError == "" {
			d.LastError = "not sent in time"
		}
		return o.giveUp(ctx, d)
	}
	o.mu.Lock()
	ch, ok := o.channels[d.Receiver]
	o.mu.Unlock()
	if !ok {
		d.LastError = "receiver is not configured"
		return o.postpone(ctx, d, unconfiguredRetry)
	}
	if d.Message == nil {
		if ready, goOn := o.compose(ctx, &d); !ready {
			return goOn
		}
	} else {
		d.Attempts++ // stored before the first send
	}
	if d.Parts == nil {
		d.Parts = ch.Split(*d.Message)
		d.Message.Picture = nil // The parts have it.
		// The text is settled before its first send: an attempt after a restart sends the same parts.
		if err := o.state.Save(ctx, d); err != nil {
			log.Error("delivery was not stored", "err", err)
			return false
		}
	}
	for n := range d.Parts {
		if d.Parts[n].SentAt.IsZero() {
			if err := o.sendPart(ctx, ch, &d, n); err != nil {
				return errors.Is(err, errNext)
			}
		}
	}
	if slices.ContainsFunc(d.Parts, func(p reporter.Part) bool { return p.Uncertain }) {
		d.LastError = "the answers to two sends were lost; it may or may not have arrived"
		return o.giveUp(ctx, d)
	}
	d.State, d.FinishedAt, d.LastError = reporter.DeliverySent, cfg.Now().UTC(), ""
	if !o.keep(ctx, d) {
		return false
	}
	o.metrics.delivered(d)
	log.Info("delivered", "parts", len(d.Parts), "attempts", d.Attempts)
	return true
}

// mostCrashes is how many compositions of a delivery may end the process before it is given up.
const mostCrashes = 3

// compose makes the delivery's message, ready to be split. Otherwise goOn says whether the receiver's next delivery may be
// sent. The attempt is stored before it begins: one that ends the process counts, and the delivery does not stand first
// in the next process.
func (o *Outbox) compose(ctx context.Context, d *reporter.Delivery) (ready, goOn bool) {
	cfg := o.config()
	if !d.ComposingAt.IsZero() {
		d.ComposingAt = time.Time{}
		d.Crashes++
		d.LastError = "the process ended while the message was composed"
		if d.Crashes >= mostCrashes {
			return false, o.giveUp(ctx, *d)
		}
		o.log.Error("composing a message has ended the process", "delivery", d.ID, "subject", d.Subject, "crashes", d.Crashes)
		d.NextAttempt = o.latest(*d, o.backoff(d.Crashes))
		return false, o.keep(ctx, *d)
	}
	before := *d
	d.Attempts, d.ComposingAt = d.Attempts+1, cfg.Now().UTC()
	if err := o.state.Save(ctx, *d); err != nil {
		o.log.Error("delivery was not stored", "delivery", d.ID, "err", err)
		return false, false
	}
	msg, err := o.composed(ctx, before)
	d.ComposingAt = time.Time{}
	var later *reporter.RetryAfterError
	switch {
	case ctx.Err() != nil: // The process stops, or another one has the receiver: no attempt of the delivery's.
		d.Attempts = before.Attempts
		o.keep(ctx, *d)
		return false, false
	case errors.As(err, &later): // Waiting is no attempt.
		d.Attempts, d.LastError, d.NextAttempt = before.Attempts, err.Error(), o.latest(*d, later.After)
		return false, o.keep(ctx, *d)
	case err != nil:
		return false, o.notComposed(ctx, *d, err)
	}
	d.Message, d.Crashes = &msg, 0
	return true, true
}

// composed asks the composer, and makes an error of a panic. The composer sees the attempts before this one.
func (o *Outbox) composed(ctx context.Context, d reporter.Delivery) (msg reporter.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("composing panicked: %v", r)
			o.log.Error("composing a message panicked", "delivery", d.ID, "err", err, "stack", string(debug.Stack()))
		}
	}()
	return o.composer.Compose(ctx, d)
}

// mostLost is how many answers to a part may be lost before it is not sent again. Nobody is told of a notice that is lost,
// and a second copy of one annoys less than none.
func mostLost(kind reporter.DeliveryKind) int {
	if kind == reporter.DeliveryNotice {
		return 9
	}
	return 1
}

// errNext ends a delivery, and lets the receiver's next one go on.
var errNext = errors.New("is over")

// notComposed decides on a delivery whose message could not be made. The others of its receiver need not wait for that.
func (o *Outbox) notComposed(ctx context.Context, d reporter.Delivery, err error) bool {
	d.LastError = err.Error()
	switch {
	case errors.Is(err, reporter.ErrObsolete):
		d.State, d.FinishedAt = reporter.DeliveryCancelled, o.config().Now().UTC()
		return o.keep(ctx, d)
	case errors.Is(err, reporter.ErrNotFound):
		return o.giveUp(ctx, d)
	default:
		o.log.Error("message could not be composed", "delivery", d.ID, "subject", d.Subject, "err", err)
		o.postpone(ctx, d, o.backoff(d.Attempts-1))
	}
	return true
}

// sendPart sends one part until it is sent, or until the delivery has to wait or is over.
func (o *Outbox) sendPart(ctx context.Context, ch Channel, d *reporter.Delivery, n int) error {
	part := &d.Parts[n]
	replyTo := ""
	if n == 0 {
		// Without the message that it replies to, a message stands alone.
		var err error
		if replyTo, err = o.state.ReplyTo(ctx, *d); err != nil {
			o.log.Warn("the message to reply to was not found", "delivery", d.ID, "err", err)
		}
	}
	if !part.SendingAt.IsZero() {
		// The process ended between the send and its record: nobody knows what became of it.
		part.Interrupted++
		part.SendingAt = time.Time{}
		o.metrics.sent(d.Receiver, "ambiguous")
	}
	for {
		if part.Ambiguous > mostLost(d.Kind) {
			// A third send would rather annoy people with a copy than help them to a message. A person is told instead.
			part.Uncertain = true
			return o.partSent(ctx, d, n, "")
		}
		to, err := o.state.Address(ctx, d.Receiver)
		if err != nil {
			o.log.Error("address of the receiver could not be read", "receiver", d.Receiver, "err", err)
			return errWait
		}
		if err := o.limit(ctx, ch, to); err != nil {
			return errWait // the process stops
		}
		part.SendingAt = o.config().Now().UTC()
		if err := o.state.Save(ctx, *d); err != nil {
			o.log.Error("delivery was not stored", "delivery", d.ID, "err", err)
			return errWait
		}
		id, err := o.send(ctx, ch, *part, reporter.SendOptions{
			To: to, Repeat: part.Ambiguous+part.Interrupted > 0, ReplyTo: replyTo,
		})
		if err == nil {
			o.metrics.sent(d.Receiver, "sent")
			o.works(ctx, d.Receiver)
			part.Picture = nil // Nobody needs it any more, and it is by far the largest piece of a delivery.
			return o.partSent(ctx, d, n, id)
		}
		part.SendingAt = time.Time{}
		if err := o.failed(ctx, d, part, err); err != nil {
			return err
		}
		if !o.keep(ctx, *d) {
			return errWait
		}
	}
}

// send gives a send that has begun the time to end, also when the process stops: cutting it would make it ambiguous.
func (o *Outbox) send(ctx context.Context, ch Channel, part reporter.Part, opts reporter.SendOptions) (string, error) {
	cfg := o.config()
	sending, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.SendTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(cfg.StopTimeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-sending.Done():
		}
	})
	defer stop()
	return ch.Send(sending, part, opts)
}

func (o *Outbox) partSent(ctx context.Context, d *reporter.Delivery, n int, id string) error {
	part := &d.Parts[n]
	part.SendingAt, part.SentAt, part.MessageID = time.Time{}, o.config().Now().UTC(), id
	if !o.keep(ctx, *d) {
		return errWait
	}
	return nil
}

// failed acts on a verdict. It returns nil where the part is to be sent again at once.
func (o *Outbox) failed(ctx context.Context, d *reporter.Delivery, part *reporter.Part, err error) error {
	d.LastError = err.Error()
	log := o.log.With("delivery", d.ID, "receiver", d.Receiver)
	var (
		permanent *reporter.PermanentError
		later     *reporter.RetryAfterError
		moved     *reporter.MovedError
		ambiguous *reporter.AmbiguousError
		format    *reporter.FormatError
	)
	switch {
	case errors.As(err, &permanent):
		o.metrics.sent(d.Receiver, "permanent")
		if permanent.Stops {
			o.stop(ctx, *d, err)
			return errWait
		}
		if o.giveUp(ctx, *d) {
			return errNext
		}
		return errWait
	case errors.As(err, &later):
		o.metrics.sent(d.Receiver, "retry_after")
		log.Warn("the channel asks to wait", "after", later.After, "err", err)
		o.postpone(ctx, *d, later.After)
		return errWait
	case errors.As(err, &moved):
		o.metrics.sent(d.Receiver, "moved")
		log.Warn("the chat has moved; set its new id in the configuration", "to", moved.To)
		if err := o.state.SetAddress(ctx, d.Receiver, moved.To); err != nil {
			log.Error("the new address was not stored", "err", err)
			o.postpone(ctx, *d, o.backoff(d.Attempts-1))
			return errWait
		}
		return nil
	case errors.As(err, &ambiguous):
		o.metrics.sent(d.Receiver, "ambiguous")
		log.Warn("the answer to a send was lost", "err", err)
		part.Ambiguous++
		return nil
	case errors.As(err, &format) && !part.Plain:
		o.metrics.sent(d.Receiver, "format")
		if part.Picture != nil || len(part.Buttons) > 0 {
			log.Error("a picture or button was refused, the text goes out without it", "err", err)
			part.Picture, part.Buttons = nil, nil
			return nil
		}
		log.Error("our formatting was refused, the text goes out plain", "err", err)
		part.Plain = true
		return nil
	case errors.As(err, &format):
		o.metrics.sent(d.Receiver, "format")
		if o.giveUp(ctx, *d) {
			return errNext
		}
		return errWait
	}
	o.metrics.sent(d.Receiver, "error")
	log.Warn("send failed", "attempts", d.Attempts, "err", err)
	o.postpone(ctx, *d, o.backoff(d.Attempts-1))
	return errWait
}

// postpone stores the next attempt, not beyond the time to give up. It returns false, for the receiver has to wait.
func (o *Outbox) postpone(ctx context.Context, d reporter.Delivery, after time.Duration) bool {
	d.NextAttempt = o.latest(d, after)
	o.keep(ctx, d)
	return false
}

// backoff doubles with each attempt, and varies by a quarter, so that what failed together is not tried together.
func (o *Outbox) backoff(attempts int) time.Duration {
	cfg := o.config()
	d := cfg.BackoffMax
	if attempts < 20 {
		d = min(d, cfg.BackoffMin<<attempts)
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // spreads retries, keeps no secret
}

// giveUp ends a delivery that was not sent, and tells the fallback receiver. It returns false where even that could not
// be stored.
func (o *Outbox) giveUp(ctx context.Context, d reporter.Delivery) bool {
	cfg := o.config()
	d.State, d.FinishedAt = reporter.DeliveryGivenUp, cfg.Now().UTC()
	notice := o.notice(d, "")
	if !o.persist(ctx, d.ID, func(ctx context.Context) error { return o.state.SaveAndNotify(ctx, d, notice) }) {
		return false
	}
	o.metrics.delivered(d)
	o.log.Error("delivery given up", "delivery", d.ID, "kind", d.Kind, "subject", d.Subject, "receiver", d.Receiver,
		"attempts", d.Attempts, "err", d.LastError)
	return true
}

// notice is what the fallback receiver is told of a delivery; nil if nobody is to be told.
func (o *Outbox) notice(d reporter.Delivery, of string) *reporter.Delivery {
	cfg := o.config()
	if cfg.FallbackReceiver == "" || cfg.FallbackReceiver == d.Receiver || d.Kind == reporter.DeliveryNotice {
		return nil
	}
	n := reporter.NewDelivery(reporter.DeliveryNotice, strconv.FormatInt(d.ID, 10)+of, cfg.FallbackReceiver, cfg.Now())
	return &n
}

// stop notes that a receiver refuses everything, and tells the fallback receiver at once. What is addressed to it waits: it
// is tried now and again, and at once after a reload or a restart, until it is given up.
func (o *Outbox) stop(ctx context.Context, d reporter.Delivery, err error) {
	cfg := o.config()
	o.log.Error("receiver is stopped: it refuses everything", "receiver", d.Receiver, "err", err)
	if err := o.state.SetStopped(ctx, d.Receiver, err.Error(), cfg.Now()); err != nil {
		o.log.Error("the stop was not stored", "receiver", d.Receiver, "err", err)
	}
	d.NextAttempt = o.latest(d, cfg.BackoffMax)
	o.persist(ctx, d.ID, func(ctx context.Context) error {
		return o.state.SaveAndNotify(ctx, d, o.notice(d, reporter.NoticeOfStop))
	})
}

// latest is the time of the next attempt, not beyond the time to give up.
func (o *Outbox) latest(d reporter.Delivery, after time.Duration) time.Time {
	cfg := o.config()
	next, last := cfg.Now().Add(after).UTC(), d.CreatedAt.Add(cfg.GiveUpAfter)
	if next.After(last) {
		return last
	}
	return next
}

// keep stores what became of a send. What was sent must not be sent again because a disk was full for a while.
func (o *Outbox) keep(ctx context.Context, d reporter.Delivery) bool {
	return o.persist(ctx, d.ID, func(ctx context.Context) error { return o.state.Save(ctx, d) })
}

// persist tries until it succeeds, or until the process has stopped for StopTimeout. A receiver's lease that is lost
// meanwhile does not end it, for the same database is what both are about.
func (o *Outbox) persist(ctx context.Context, id int64, save func(context.Context) error) bool {
	cfg := o.config()
	o.mu.Lock()
	process := o.process
	o.mu.Unlock()
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
			o.log.Error("delivery has vanished from the store", "delivery", id)
			return false
		}
		if attempt == 0 || saving.Err() != nil {
			o.log.Error("delivery was not stored", "delivery", id, "err", err)
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

// limit waits for the turn of the chat, of its group and of the bot. The limits lie below Telegram's:
// https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
func (o *Outbox) limit(ctx context.Context, ch Channel, to string) error {
	if to == "" {
		to = ch.Address()
	}
	o.mu.Lock()
	limits, ok := o.limits[to]
	if !ok {
		limits = []*rate.Limiter{rate.NewLimiter(o.cfg.PerChat, 1)}
		if strings.HasPrefix(to, "-") {
			limits = append(limits, rate.NewLimiter(o.cfg.PerGroup, 5))
		}
		o.limits[to] = limits
	}
	o.mu.Unlock()
	for _, l := range append(limits[:len(limits):len(limits)], o.overall) {
		if err := l.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// works notes that a receiver takes messages, if it was thought not to.
func (o *Outbox) works(ctx context.Context, receiver string) {
	stopped, err := o.state.Stopped(ctx)
	if _, is := stopped[receiver]; is && err == nil {
		o.log.Info("receiver works again", "receiver", receiver)
		err = o.state.SetStopped(ctx, receiver, "", o.config().Now())
	}
	if err != nil {
		o.log.Warn("the receiver's stop was not looked at", "receiver", receiver, "err", err)
	}
}
