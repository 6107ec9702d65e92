package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// lane is one chat with all of its receivers, such as the topics of a group. One process at a time serves it.
type lane struct {
	key       string
	chat      reporter.Chat
	receivers []string
}

// lanes returns those of the channels, and one for each other receiver that is named. o.mu is held.
func (o *Outbox) lanes(named []string) []*lane {
	byKey := map[string]*lane{}
	for _, r := range slices.Sorted(maps.Keys(o.channels)) {
		chat := o.channels[r].Chat()
		key := reporter.ChatGate(chat.Account, chat.Address)
		if byKey[key] == nil {
			byKey[key] = &lane{key: key, chat: chat}
		}
		byKey[key].receivers = append(byKey[key].receivers, r)
	}
	for _, r := range named {
		if _, ok := o.channels[r]; !ok {
			byKey[reporter.ReceiverGate(r)] = &lane{key: reporter.ReceiverGate(r), receivers: []string{r}}
		}
	}
	return slices.Collect(maps.Values(byKey))
}

// busy says whether there is something to do now: an expired delivery, one that no gate holds back, or a harmless call to
// a suspended receiver.
func (l *lane) busy(work reporter.DueWork, gates map[string]reporter.Gate, now time.Time) bool {
	if slices.ContainsFunc(l.receivers, func(r string) bool { return slices.Contains(work.Expired, r) }) {
		return true
	}
	for _, key := range []string{reporter.AccountGate(l.chat.Account), l.chatGate(gates[l.key].MovedTo)} {
		if gates[key].WaitUntil.After(now) {
			return false
		}
	}
	return slices.ContainsFunc(l.receivers, func(r string) bool {
		g := gates[reporter.ReceiverGate(r)]
		suspended := g.Reason != "" || gates[reporter.AccountGate(l.chat.Account)].Reason != ""
		return !g.WaitUntil.After(now) && (slices.Contains(work.Due, r) || suspended)
	})
}

func (l *lane) chatGate(movedTo string) string {
	if movedTo == "" {
		return l.key
	}
	return reporter.ChatGate(l.chat.Account, movedTo)
}

const (
	// linger is how long a lane waits for its next send rather than to end and to be begun again by the sweep.
	linger = 4 * time.Second
	// prefetch is how many messages of a chat are composed ahead of their sends. Others can still become a digest.
	prefetch = 3
	// slowAfter is when a composition no longer counts among these: it delays no other.
	slowAfter = time.Second
	// compositions is how many run at once in the process.
	compositions = 32
	dueAtOnce    = 200
)

// worker serves a lane.
type worker struct {
	*Outbox
	lane *lane

	done      chan struct{} // a composition has ended
	mu        sync.Mutex
	composing map[int64]time.Time // since when
	revising  map[int64]bool      // edits that are being composed, by delivery
	revisions map[int64]revision  // and those that are
	running   sync.WaitGroup
}

// serve does what there is to do for a lane, until it has to wait, nothing is left, or ctx ends.
func (o *Outbox) serve(ctx context.Context, l *lane) {
	defer func() {
		o.mu.Lock()
		delete(o.running, l.key)
		o.mu.Unlock()
	}()
	// A lease outlives ctx: a send that has begun is given the time to end and to be recorded.
	leased, release, err := o.state.Lease(context.WithoutCancel(ctx), l.key)
	if err != nil && ctx.Err() == nil {
		o.log.Error("chat could not be leased", "receivers", l.receivers, "err", err)
	}
	if leased == nil {
		return
	}
	defer release()
	working, cancel := context.WithCancel(leased)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	w := &worker{
		Outbox: o, lane: l, done: make(chan struct{}, 1), composing: map[int64]time.Time{}, revising: map[int64]bool{},
		revisions: map[int64]revision{},
	}
	defer w.running.Wait()
	for working.Err() == nil {
		wait, more := w.step(working)
		if !more {
			return
		}
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-working.Done():
		case <-w.done:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// step does the next thing. More says whether there is something to do after the wait, or when a composition ends.
func (w *worker) step(ctx context.Context) (wait time.Duration, more bool) {
	w.expire(ctx)
	_, configured := w.channel(w.lane.receivers[0])
	if !configured {
		return w.unconfigured(ctx)
	}
	for _, r := range w.lane.receivers {
		w.digest(ctx, r)
	}
	now := w.state.Now()
	composing := w.soonComposed() // Before the read: one that ends between the two keeps its place too.
	due, err := w.state.Due(ctx, w.lane.receivers, now, dueAtOnce)
	var h hold
	if err == nil {
		h, err = w.holds(ctx, now)
	}
	if ctx.Err() != nil {
		return 0, false
	}
	w.readable(err)
	if err != nil {
		return 0, false
	}
	if h.until.After(now) { // The chat waits: messages that come meanwhile may become a digest.
		return w.linger(h.until.Sub(now))
	}
	free := due[:0]
	for _, d := range due {
		if !h.receivers[d.Receiver] {
			free = append(free, d)
		}
	}
	for _, id := range w.compose(ctx, free) {
		composing[id] = true
	}
	still := w.soonComposed()
	for _, d := range free { // Sends precede edits.
		switch {
		case d.Composed:
			return w.linger(w.send(ctx, d.ID))
		case still[d.ID]: // Order is kept, unless that takes long.
			return w.linger(idle)
		case composing[d.ID] && !w.isComposing(d.ID): // It has ended since: read what became of it.
			return 0, true
		}
	}
	w.probeSuspended(ctx, h, free)
	return w.linger(w.edit(ctx, h))
}

// idle is a wait for nothing that this lane knows of.
const idle time.Duration = -1

// linger goes on after the wait if that is short, or while something is composed.
func (w *worker) linger(wait time.Duration) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.composing)+len(w.revising) > 0 && (wait == idle || wait > soon) {
		return soon, true // or when one has ended
	}
	return wait, wait != idle && wait < linger
}

func (w *worker) isComposing(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, is := w.composing[id]
	return is
}

// soonComposed returns the deliveries that are being composed and not slow.
func (w *worker) soonComposed() map[int64]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	soon := map[int64]bool{}
	for id, since := range w.composing {
		if time.Since(since) < slowAfter {
			soon[id] = true
		}
	}
	return soon
}

// hold is what holds a lane's sends back.
type hold struct {
	until     time.Time // all of them
	receivers map[string]bool
	suspended []string // receivers that may be tried now
}

func (w *worker) holds(ctx context.Context, now time.Time) (hold, error) {
	h := hold{receivers: map[string]bool{}}
	keys := []string{reporter.AccountGate(w.lane.chat.Account), w.lane.key}
	for _, r := range w.lane.receivers {
		keys = append(keys, reporter.ReceiverGate(r))
	}
	gates, err := w.state.Gates(ctx, keys...)
	if err != nil {
		return h, err
	}
	account, chat := gates[0], gates[1]
	if chat.MovedTo != "" {
		moved, err := w.state.Gates(ctx, w.lane.chatGate(chat.MovedTo))
		if err != nil {
			return h, err
		}
		chat = moved[0]
	}
	h.until = account.WaitUntil
	if chat.WaitUntil.After(h.until) {
		h.until = chat.WaitUntil
	}
	for n, r := range w.lane.receivers {
		g := gates[2+n]
		h.receivers[r] = g.WaitUntil.After(now)
		if !h.receivers[r] && (g.Reason != "" || account.Reason != "") {
			h.suspended = append(h.suspended, r)
		}
	}
	return h, nil
}

// expire gives up what is too old.
func (w *worker) expire(ctx context.Context) {
	for ctx.Err() == nil {
		cfg, now := w.config(), w.state.Now()
		notices := now.Add(-max(cfg.GiveUpAfter, noticesKept))
		ids, err := w.state.Expired(ctx, w.lane.receivers, now.Add(-cfg.GiveUpAfter), notices, dueAtOnce)
		if err != nil || len(ids) == 0 {
			return
		}
		for _, id := range ids {
			d, err := w.state.Delivery(ctx, id)
			if err != nil || d.State != reporter.DeliveryPending {
				continue
			}
			w.interrupted(&d)
			if d.Reason == reporter.ReasonNone {
				d.Reason = reporter.ReasonNotInTime
			}
			if d.Reason != reporter.ReasonUnknown { // That it may have arrived says more.
				w.gateReason(ctx, &d)
			}
			if !w.giveUp(ctx, d) {
				return
			}
		}
	}
}

// gateReason says why a delivery could not be sent at last, where its gates say so.
func (w *worker) gateReason(ctx context.Context, d *reporter.Delivery) {
	keys := []string{reporter.AccountGate(w.lane.chat.Account), reporter.ReceiverGate(d.Receiver)}
	gates, err := w.state.Gates(ctx, keys...)
	if err != nil {
		return
	}
	for _, g := range gates {
		if g.Reason != "" {
			d.Reason, d.LastError = g.Reason, g.Detail
			return
		}
	}
}

// unconfigured lets deliveries to a receiver that is not in the configuration wait: a reload may bring it back.
func (w *worker) unconfigured(ctx context.Context) (time.Duration, bool) {
	due, err := w.state.Due(ctx, w.lane.receivers, w.state.Now(), dueAtOnce)
	if err != nil {
		return 0, false
	}
	for _, head := range due {
		d, err := w.state.Delivery(ctx, head.ID)
		if err != nil || d.State != reporter.DeliveryPending {
			continue
		}
		d.Reason, d.LastError, d.NextAttempt = reporter.ReasonUnconfigured, "", w.state.Now().Add(time.Minute).UTC()
		if !w.keep(ctx, d) {
			break
		}
	}
	w.postpone(ctx, w.lane.receivers, w.state.Now().Add(editsApart))
	return 0, false
}

// digest makes one message of many of a kind that wait together. A fault costs only that: they are sent one by one.
func (w *worker) digest(ctx context.Context, receiver string) {
	cfg := w.config()
	if cfg.DigestFrom <= 0 {
		return
	}
	for kind, into := range map[reporter.DeliveryKind]reporter.DeliveryKind{
		reporter.DeliveryPostmortem: reporter.DeliveryDigest, reporter.DeliveryFiring: reporter.DeliveryFiringDigest,
		reporter.DeliveryHeartbeatMissing:  reporter.DeliveryHeartbeatsMissing,
		reporter.DeliveryHeartbeatReturned: reporter.DeliveryHeartbeatsReturned,
	} {
		merged, err := w.state.Merge(ctx, receiver, kind, into, w.state.Now(), cfg.DigestFrom)
		switch {
		case err != nil && ctx.Err() == nil:
			w.log.Error("messages were not merged into a digest", "receiver", receiver, "kind", kind, "err", err)
		case merged > 0:
			w.metrics.merged(kind, merged)
			w.log.Info("messages merged into a digest", "receiver", receiver, "kind", kind, "messages", merged)
		}
	}
}
