// Package outbox sends pending deliveries: stored deliveries come in, sends and edits to channels go out, and the outcome of each part
// is stored before the next one is sent.
package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Store keeps the deliveries.
type Store interface {
	// Delivery returns the delivery of that ID, or reporter.ErrNotFound.
	Delivery(ctx context.Context, id int64) (reporter.Delivery, error)
	// Save replaces the delivery of d's ID in one commit.
	Save(ctx context.Context, d reporter.Delivery) error
	// Fail saves d, and adds it to a notice that it was not sent, in one commit.
	Fail(ctx context.Context, d reporter.Delivery, notice reporter.NoticeTo) error
}

// Schedule finds the deliveries that are due.
type Schedule interface {
	// DueWork returns the receivers with something to do: a delivery that is due, or one that was made at or before expired.
	DueWork(ctx context.Context, now, expired time.Time) (reporter.DueWork, error)
	// Due returns the receivers' pending deliveries to be tried now, the most urgent and oldest first, at most limit.
	Due(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.DueDelivery, error)
	// Expired returns the receivers' pending deliveries that were made at or before before, or noticesBefore if they are notices, at
	// most limit.
	Expired(ctx context.Context, receivers []string, before, noticesBefore time.Time, limit int) ([]int64, error)
}

// Gates hold back the sends of all processes.
type Gates interface {
	// Gates returns the gates of the keys, in that order; one that was never written is open.
	Gates(ctx context.Context, keys ...string) ([]reporter.Gate, error)
	// UpdateGate changes a gate in one commit.
	UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error
}

// Suspensions are gates that stay closed until a person changes something.
type Suspensions interface {
	// Suspended returns the suspended gates.
	Suspended(ctx context.Context) ([]reporter.Gate, error)
	// Suspend suspends a gate until a person has changed something, and makes a notice if it was open before. The gate is tried
	// again after until.
	Suspend(
		ctx context.Context, key string, why reporter.Reason, detail string, until time.Time, notice reporter.NoticeTo,
	) (closed bool, err error)
	// BookWaiting adds the deliveries that wait for the gates of a notice to the notice. receivers are those of each gate, by key.
	BookWaiting(ctx context.Context, notice int64, receivers map[string][]string) error
}

// Sends records sends at the gates, whose limits hold for all processes.
type Sends interface {
	// Begin saves d, which is about to be sent, and counts the send at the gates, in one commit. If one of them is closed, it
	// changes nothing, and returns until when.
	Begin(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) (until time.Time, err error)
	// End saves d, whose send has ended, and counts the send at the gates as of now, in one commit.
	End(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) error
}

// Digests makes one delivery of many.
type Digests interface {
	// Merge makes one delivery of the receiver's deliveries of a kind that are not composed yet, if the first of them is due and
	// there are at least from, and returns how many it merged.
	Merge(ctx context.Context, receiver string, kind, into reporter.DeliveryKind, now time.Time, from int) (int, error)
	// ReplyTo returns the channel's id of the message that a delivery replies to; "" if there is none.
	ReplyTo(ctx context.Context, d reporter.Delivery) (string, error)
}

// Coordination is how processes that share a state work together.
type Coordination interface {
	// Now is the clock of all due times.
	Now() time.Time
	// Wakes receives a value when there may be something new to send.
	Wakes() <-chan struct{}
	// UpgradeOver reports whether no process of an earlier version can still be sending.
	UpgradeOver(ctx context.Context) (bool, error)
}

// Leases give one process at a time the right to do something.
type Leases interface {
	// Lease takes the lease of that name; a nil context means that another process has it. The context ends when the lease may be
	// lost.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
}

// State is what an outbox uses of the state's database.
type State interface {
	Store
	Schedule
	Gates
	Suspensions
	Sends
	Digests
	Coordination
	Leases
	Backlog
	Edits
}

// Composer makes messages.
type Composer interface {
	// Compose makes the message of a delivery; d.Attempts counts the attempts before this one. Errors: a
	// *reporter.RetryAfterError asks to try again later, reporter.ErrNotFound means that the subject does not exist any more,
	// reporter.ErrObsolete that the message is not worth sending any more.
	Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error)
	// Minimal makes a short message from d and the configuration alone. It is called after Compose has ended the process several
	// times.
	Minimal(d reporter.Delivery) reporter.Message
	// Revise makes the current message of a delivery that was sent, without a picture. It is called if the channel is an Editor.
	// Errors: reporter.ErrObsolete means that the message stays as it is, reporter.ErrNotFound that the subject does not exist any
	// more.
	Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error)
}

// Channel is one chat.
type Channel interface {
	// Chat returns the address of the channel, and its limits.
	Chat() reporter.Chat
	// Split makes the parts of a message; it is called once for each delivery.
	Split(msg reporter.Message) []reporter.Part
	Sender
}

// Sender makes the calls to a chat.
type Sender interface {
	// Send sends one part and returns the channel's id of the message, or a *reporter.SendError. Other errors are retried.
	Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (messageID string, err error)
	// Probe makes a harmless call that shows no message, and that is refused if a message would be. to is the new address of a chat
	// that has moved; "" means its configured address. Errors are those of Send.
	Probe(ctx context.Context, to string) error
}

// Config has the times and limits of the outbox. Zero values mean the defaults.
type Config struct {
	GiveUpAfter      time.Duration // since the delivery was made; default 24 h
	FallbackReceiver string        // is notified of failed deliveries; "" means the receiver itself, once it works again
	DigestFrom       int           // number of waiting messages of a kind that become one digest; 0 means never

	BackoffMin     time.Duration // default 5 s
	BackoffMax     time.Duration // of a delivery; default 1 h
	OutageMax      time.Duration // between probes of a chat that does not answer; default 1 min
	ProbeMax       time.Duration // between probes of a suspended receiver; default 15 min
	SendTimeout    time.Duration // of one part; default 1 min
	ComposeTimeout time.Duration // of one message; default 1 min
	StopTimeout    time.Duration // for sends under way when the process stops; default 8 s
	Sweep          time.Duration // between reads of the state without a wake-up; default 5 s
	NoticeAfter    time.Duration // how long a notice waits for further failures; default reporter.DefaultNoticeAfter
	NoticeApart    time.Duration // between two notices to one receiver; default reporter.DefaultNoticeApart
	NoticeAgain    time.Duration // between two notices about a suspended receiver; default 24 h
}

func (c Config) withDefaults() Config {
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, 24*time.Hour)
	c.BackoffMin = cmp.Or(c.BackoffMin, 5*time.Second)
	c.BackoffMax = cmp.Or(c.BackoffMax, time.Hour)
	c.OutageMax = cmp.Or(c.OutageMax, time.Minute)
	c.ProbeMax = cmp.Or(c.ProbeMax, 15*time.Minute)
	c.SendTimeout = cmp.Or(c.SendTimeout, time.Minute)
	c.ComposeTimeout = cmp.Or(c.ComposeTimeout, time.Minute)
	c.StopTimeout = cmp.Or(c.StopTimeout, 8*time.Second)
	c.Sweep = cmp.Or(c.Sweep, 5*time.Second)
	c.NoticeAfter = cmp.Or(c.NoticeAfter, reporter.DefaultNoticeAfter)
	c.NoticeApart = cmp.Or(c.NoticeApart, reporter.DefaultNoticeApart)
	c.NoticeAgain = cmp.Or(c.NoticeAgain, 24*time.Hour)
	return c
}

const (
	// sweepsApart is the minimum time between two sweeps after wake-ups: during many incidents each commit of the journal wakes.
	sweepsApart = 50 * time.Millisecond
	// soon is the time to the next sweep if something is due that is not served yet.
	soon = time.Second
	// skipFor is how long a delivery is skipped that could not be read.
	skipFor = 10 * time.Second
	// noticesKept is how long a notice waits for its receiver at least, which is longer than the deliveries that it is about.
	noticesKept = 7 * 24 * time.Hour
)

// Outbox sends deliveries: one at a time to each chat, and to all chats concurrently.
type Outbox struct {
	state    State
	composer Composer
	log      *slog.Logger
	metrics  *metrics

	// slots bounds the compositions under way. A composition of a delivery that may have ended the process takes all slots, so that no
	// other delivery can be the cause if the process ends again.
	slots *semaphore.Weighted

	mu       sync.Mutex
	cfg      Config
	channels map[string]Channel
	running  map[string]bool     // lanes of this process
	skipping map[int64]time.Time // deliveries that could not be read, and until when they are skipped
	changed  bool                // the channels were replaced, and suspended gates were not made due yet
	fault    string              // error of the last read of the deliveries; "" after a success
	process  context.Context     // ends when the process stops
	poke     chan struct{}       // requests a sweep
}

// New makes an outbox; Run sends.
func New(
	state State, composer Composer, channels map[string]Channel, cfg Config, log *slog.Logger, reg prometheus.Registerer,
) *Outbox {
	o := &Outbox{
		state: state, composer: composer, log: log, cfg: cfg.withDefaults(), running: map[string]bool{}, skipping: map[int64]time.Time{},
		process: context.Background(), poke: make(chan struct{}, 1), slots: semaphore.NewWeighted(compositions),
	}
	o.metrics = newMetrics(reg, o)
	o.SetChannels(channels)
	return o
}

// SetChannels replaces the channels, by receiver, also during Run. Suspended receivers are tried again at once.
func (o *Outbox) SetChannels(channels map[string]Channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels, o.changed = maps.Clone(channels), true
	for r := range channels {
		o.metrics.initialise(r)
	}
	o.requestSweep()
}

// requestSweep lets Run sweep at once.
func (o *Outbox) requestSweep() {
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// SetConfig replaces the settings that a reload can change, which are the first three fields of Config.
func (o *Outbox) SetConfig(cfg Config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg.GiveUpAfter = cfg.withDefaults().GiveUpAfter
	o.cfg.FallbackReceiver = cfg.FallbackReceiver
	o.cfg.DigestFrom = cfg.DigestFrom
}

func (o *Outbox) config() Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg
}

func (o *Outbox) channel(receiver string) (Channel, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ch, ok := o.channels[receiver]
	return ch, ok
}

// Suspended returns the gates of suspended receivers, by receiver. A receiver whose account is suspended has the gate of the
// account, unless it has its own.
func (o *Outbox) Suspended(ctx context.Context) (map[string]reporter.Gate, error) {
	gates, err := o.state.Suspended(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]reporter.Gate{}
	for _, g := range gates {
		byKey[g.Key] = g
	}
	out := map[string]reporter.Gate{}
	o.mu.Lock()
	defer o.mu.Unlock()
	for r, ch := range o.channels {
		for _, key := range []string{reporter.AccountGate(ch.Chat().Account), reporter.ReceiverGate(r)} {
			if g, ok := byKey[key]; ok {
				out[r] = g
			}
		}
	}
	return out, nil
}

// Run sends until ctx ends, and returns after the sends under way have ended. It always returns nil.
func (o *Outbox) Run(ctx context.Context) error {
	o.mu.Lock()
	o.process = ctx
	o.mu.Unlock()
	var lanes sync.WaitGroup
	defer lanes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for upgraded := false; ; {
		var err error
		next, begun := soon, time.Now()
		if !upgraded {
			if upgraded, err = o.state.UpgradeOver(ctx); err == nil && upgraded {
				err = o.adoptAddresses(ctx)
				upgraded = err == nil
			}
		}
		if upgraded {
			next, err = o.sweep(ctx, &lanes)
		}
		if ctx.Err() == nil {
			o.readable(err)
		}
		timer.Reset(next)
		select {
		case <-ctx.Done():
			return nil
		case <-o.state.Wakes():
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(begun.Add(sweepsApart))):
			}
		case <-o.poke:
		case <-timer.C:
		}
	}
}

// adoptAddresses moves the new addresses of chats, which earlier versions stored at the gates of receivers, to the gates of the
// chats.
func (o *Outbox) adoptAddresses(ctx context.Context) error {
	o.mu.Lock()
	channels := maps.Clone(o.channels)
	o.mu.Unlock()
	for _, r := range slices.Sorted(maps.Keys(channels)) {
		gates, err := o.state.Gates(ctx, reporter.ReceiverGate(r))
		if err != nil {
			return err
		}
		to, chat := gates[0].MovedTo, channels[r].Chat()
		if to == "" {
			continue
		}
		if to != chat.Address {
			err = o.state.UpdateGate(ctx, reporter.ChatGate(chat.Account, chat.Address), func(g *reporter.Gate) { g.MovedTo = to })
			if err != nil {
				return err
			}
		}
		if err := o.state.UpdateGate(ctx, reporter.ReceiverGate(r), func(g *reporter.Gate) { g.MovedTo = "" }); err != nil {
			return err
		}
	}
	return nil
}

// sweep starts a lane for each chat with something to do that this process does not serve yet, and returns the time to the next
// sweep.
func (o *Outbox) sweep(ctx context.Context, lanes *sync.WaitGroup) (time.Duration, error) {
	if err := o.retrySuspended(ctx); err != nil {
		return soon, err
	}
	cfg, now := o.config(), o.state.Now()
	work, err := o.state.DueWork(ctx, now, now.Add(-cfg.GiveUpAfter))
	if err != nil {
		return soon, err
	}
	next := now.Add(cfg.Sweep)
	earlier := func(t time.Time) {
		if t.After(now) && t.Before(next) {
			next = t
		}
	}
	earlier(work.Next)
	gates := map[string]reporter.Gate{}
	for _, g := range work.Gates {
		gates[g.Key] = g
		earlier(g.WaitUntil)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.lanes(append(work.Due, work.Expired...)) {
		if !l.busy(work, gates, now) {
			continue
		}
		earlier(now.Add(soon)) // The lane may be ending, or another process may serve it.
		if o.running[l.key] {
			continue
		}
		o.running[l.key] = true
		lanes.Go(func() { o.serve(ctx, l) })
	}
	return next.Sub(now), nil
}

// retrySuspended makes suspended receivers due, once after the channels were replaced: their token or chat may have been
// corrected.
func (o *Outbox) retrySuspended(ctx context.Context) error {
	o.mu.Lock()
	changed := o.changed
	o.changed = false
	o.mu.Unlock()
	if !changed {
		return nil
	}
	gates, err := o.state.Suspended(ctx)
	for _, g := range gates {
		if err == nil {
			err = o.state.UpdateGate(ctx, g.Key, func(g *reporter.Gate) { g.WaitUntil = time.Time{} })
		}
	}
	if err != nil {
		o.mu.Lock()
		o.changed = true
		o.mu.Unlock()
	}
	return err
}

// skip skips a delivery that cannot be read, such as one that a later version has stored, so that it delays no other one.
func (o *Outbox) skip(id int64, err error) {
	o.log.Error("a delivery cannot be read, and is skipped for a while", "delivery", id, "err", err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.skipping[id] = time.Now().Add(skipFor)
}

// skips reports whether a delivery is skipped now.
func (o *Outbox) skips(id int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	until, skipped := o.skipping[id]
	if skipped && !time.Now().Before(until) {
		delete(o.skipping, id)
		return false
	}
	return skipped
}

// readable logs an error of the database once, and not at every read.
func (o *Outbox) readable(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	o.mu.Lock()
	was := o.fault
	o.fault = text
	o.mu.Unlock()
	if err != nil && text != was {
		o.log.Error("outbox cannot read its deliveries", "err", err)
	}
}
