package outbox

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// lane is one chat with all of its receivers, such as the topics of a group. It is served by one process at a time.
type lane struct {
	key       string
	chat      reporter.Chat
	receivers []string
}

// lanes returns the lanes of the channels, and one for each of the named receivers that has no channel. o.mu is held.
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

// busy reports whether there is something to do now: an expired delivery, one that no gate holds back, or a probe of a suspended
// receiver.
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
	// linger is the longest wait of a lane for its next send. Before a longer one it ends, and a sweep starts it again.
	linger = 4 * time.Second
	// prefetch is how many messages of a chat are composed before their sends. The others can still become a digest.
	prefetch = 3
	// slowAfter is how long a composition counts as one of these. A slower one delays no other.
	slowAfter = time.Second
	// compositions is the maximum number of compositions under way in the process.
	compositions = 32
	// dueAtOnce is the maximum number of deliveries in one read.
	dueAtOnce = 200
)

// worker serves a lane.
type worker struct {
	*Outbox
	lane *lane

	done      chan struct{} // receives a value when a composition has ended
	mu        sync.Mutex
	composing map[int64]time.Time // start of the compositions under way, by delivery
	revising  map[int64]bool      // edits whose composition is under way, by delivery
	revisions map[int64]revision  // edits that are composed, by delivery
	running   sync.WaitGroup
}

// serve works on a lane until it has to wait for long, nothing is left to do, or ctx ends.
func (o *Outbox) serve(ctx context.Context, l *lane) {
	defer func() {
		o.mu.Lock()
		delete(o.running, l.key)
		o.mu.Unlock()
	}()
	// A lease outlives ctx, so that a send under way can end and be stored.
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

// step sends or edits one message, or starts compositions. more reports whether to call it again after the wait, or when a composition
// has ended.
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
	composing := w.soonComposed() // Before the read, so that a composition that ends in between keeps its place too.
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
	if h.until.After(now) { // Nothing is composed during a wait, so that later messages may become a digest.
		return w.linger(h.until.Sub(now))
	}
	free := due[:0]
	for _, d := range due {
		if !h.receivers[d.Receiver] && !w.skips(d.ID) {
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
		case still[d.ID]: // Keep the order, unless the composition is slow.
			return w.linger(idle)
		case composing[d.ID] && !w.isComposing(d.ID): // It has ended since: read the delivery again.
			return 0, true
		}
	}
	w.probeSuspended(ctx, h, free)
	return w.linger(w.edit(ctx, h))
}

// idle is a wait without an end that the lane knows of.
const idle time.Duration = -1

// linger returns the wait, and whether the lane continues after it: if it is short, or a composition is under way.
func (w *worker) linger(wait time.Duration) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.composing)+len(w.revising) > 0 && (wait == idle || wait > soon) {
		return soon, true
	}
	return wait, wait != idle && wait < linger
}

func (w *worker) isComposing(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, is := w.composing[id]
	return is
}

// soonComposed returns the deliveries whose composition is under way and not slow.
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

// hold is what the gates of a lane hold back.
type hold struct {
	until     time.Time       // end of the wait of the account and the chat
	receivers map[string]bool // receivers that wait
	suspended []string        // suspended receivers that may be probed now
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

// expire gives up deliveries that are too old.
func (w *worker) expire(ctx context.Context) {
	for ctx.Err() == nil {
		cfg, now := w.config(), w.state.Now()
		notices := now.Add(-max(cfg.GiveUpAfter, noticesKept))
		ids, err := w.state.Expired(ctx, w.lane.receivers, now.Add(-cfg.GiveUpAfter), notices, dueAtOnce)
		if err != nil || len(ids) == 0 {
			return
		}
		gaveUp := false
		for _, id := range ids {
			if w.skips(id) {
				continue
			}
			d, err := w.state.Delivery(ctx, id)
			if err != nil && ctx.Err() == nil {
				w.skip(id, err)
			}
			if err != nil || d.State != reporter.DeliveryPending {
				continue
			}
			w.interrupted(&d)
			if d.Reason == reporter.ReasonNone {
				d.Reason = reporter.ReasonNotInTime
			}
			if d.Reason != reporter.ReasonUnknown { // That it may have arrived is more important.
				w.gateReason(ctx, &d)
			}
			if !w.giveUp(ctx, d) {
				return
			}
			gaveUp = true
		}
		if !gaveUp {
			return
		}
	}
}

// gateReason sets the reason of a suspended gate as that of a delivery.
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

// unconfigured postpones deliveries to a receiver that is not in the configuration, because a reload may add it again.
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

// digest merges waiting deliveries of a kind into one. After an error they are sent one by one.
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
