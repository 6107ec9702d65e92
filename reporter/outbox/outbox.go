// Package outbox sends what is pending: stored deliveries come in, sends to the channels go out, and the result of each
// part is stored before anything else happens.
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
	// Fail saves d, and lets the notice say that it was not sent, in one commit.
	Fail(ctx context.Context, d reporter.Delivery, notice reporter.NoticeTo) error
	// BookWaiting books on a notice what waits for the gates that it is about, by the receivers of each gate.
	BookWaiting(ctx context.Context, notice int64, receivers map[string][]string) error
}

// Schedule says what is due.
type Schedule interface {
	// DueWork says who has something to do: a delivery that is due, or one that was made at or before expired.
	DueWork(ctx context.Context, now, expired time.Time) (reporter.DueWork, error)
	// Due returns the receivers' pending deliveries to be tried now, the most urgent and oldest first, at most limit.
	Due(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.DueDelivery, error)
	// Expired returns the receivers' pending deliveries that were made at or before then, at most limit.
	Expired(ctx context.Context, receivers []string, before, noticesBefore time.Time, limit int) ([]int64, error)
}

// Gates hold sends back, whatever process sends.
type Gates interface {
	// Gates returns the gates of the keys, in that order; one that was never written is open.
	Gates(ctx context.Context, keys ...string) ([]reporter.Gate, error)
	// Suspended returns the gates that a person has to open.
	Suspended(ctx context.Context) ([]reporter.Gate, error)
	// UpdateGate changes one in one commit.
	UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error
	// Suspend closes a gate until a person has changed something; the notice says so if it was open before. It is tried
	// again after until.
	Suspend(
		ctx context.Context, key string, why reporter.Reason, detail string, until time.Time, notice reporter.NoticeTo,
	) (closed bool, err error)
	// Begin saves d, which is about to be sent, and counts the send at the gates, in one commit. Where one of them has to
	// be waited for it changes nothing, and returns until when.
	Begin(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) (until time.Time, err error)
	// End saves d, whose send has ended, and counts the send at the gates as of now, in one commit.
	End(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) error
}

// Digests makes one delivery of many.
type Digests interface {
	// Merge turns the receiver's deliveries of a kind that are not composed yet into one, once the first of them is due and
	// there are at least so many, and returns how many it merged.
	Merge(ctx context.Context, receiver string, kind, into reporter.DeliveryKind, now time.Time, from int) (int, error)
	// ReplyTo returns the channel's id of the message that a delivery replies to; "" if there is none.
	ReplyTo(ctx context.Context, d reporter.Delivery) (string, error)
}

// Coordination is how processes that share a state work together.
type Coordination interface {
	// Now is the time by which everything is due.
	Now() time.Time
	// Wakes has a value when there may be something new to send.
	Wakes() <-chan struct{}
	// Lease takes the right to do what the name says; a nil context means that another process has it. The context ends
	// when that can no longer be promised.
	Lease(ctx context.Context, name string) (leased context.Context, release func(), err error)
	// UpgradeOver says whether no process of an earlier version can still be sending.
	UpgradeOver(ctx context.Context) (bool, error)
}

// State is all that an outbox needs of the state's database.
type State interface {
	Store
	Schedule
	Gates
	Digests
	Coordination
	Backlog
	Edits
}

// Composer makes messages.
type Composer interface {
	// Compose makes the message of a delivery; d.Attempts counts the attempts before this one. A *reporter.RetryAfterError
	// asks to be asked later, reporter.ErrNotFound means that what it is about is gone, reporter.ErrObsolete that it is not
	// worth sending any more.
	Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error)
	// Minimal makes a short message that says what the delivery is about, from d and the configuration alone: it is
	// asked where composing has ended the process again and again.
	Minimal(d reporter.Delivery) reporter.Message
	// Revise makes the message of a delivery that was sent as it is to be now; a picture is not wanted. reporter.ErrObsolete means that it
	// is to stay as it is, reporter.ErrNotFound that what it is about is gone. It is asked where the channel is an Editor.
	Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error)
}

// Channel is one chat.
type Channel interface {
	// Chat says where the channel sends to, and how fast it may.
	Chat() reporter.Chat
	// Split makes the parts of a message; it is called once for each delivery.
	Split(msg reporter.Message) []reporter.Part
	// Send sends one part and returns the channel's id of it, or a *reporter.SendError.
	Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (messageID string, err error)
	// Probe makes a harmless call, which people do not see as a message, that is refused where a message would be. To is
	// where the chat has moved to; "" is its configured address.
	Probe(ctx context.Context, to string) error
}

// Config says how patient the outbox is. Zero values are the defaults.
type Config struct {
	GiveUpAfter      time.Duration // since the delivery was made; default 24 h
	FallbackReceiver string        // who is notified of what was not sent; "" is the receiver itself, once it works again
	DigestFrom       int           // so many messages of a kind that wait together become one digest; 0 is never

	BackoffMin     time.Duration // default 5 s
	BackoffMax     time.Duration // of a delivery; default 1 h
	OutageMax      time.Duration // between harmless calls to a chat that does not answer; default 1 min
	ProbeMax       time.Duration // between harmless calls to a suspended receiver; default 15 min
	SendTimeout    time.Duration // of one part; default 1 min
	ComposeTimeout time.Duration // of one message; default 1 min
	StopTimeout    time.Duration // what is left of a send when the process stops; default 8 s
	Sweep          time.Duration // how often to look for what other processes have changed; default 5 s
	NoticeAfter    time.Duration // how long a notice waits for other failures to join it; default 10 s
	NoticeApart    time.Duration // between two notices to one receiver; default 10 min
	NoticeAgain    time.Duration // between two about a suspended receiver; default 24 h
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
	c.NoticeAfter = cmp.Or(c.NoticeAfter, 10*time.Second)
	c.NoticeApart = cmp.Or(c.NoticeApart, 10*time.Minute)
	c.NoticeAgain = cmp.Or(c.NoticeAgain, 24*time.Hour)
	return c
}

const (
	// apart is how soon after a look at the state a wake-up leads to another one: in a storm each commit of the journal wakes.
	apart = 50 * time.Millisecond
	// soon is how soon the outbox looks again where something is due that it does not serve yet.
	soon = time.Second
	// noticesKept is how long a notice waits for its receiver at least: longer than what it is about.
	noticesKept = 7 * 24 * time.Hour
)

// Outbox sends deliveries: one at a time to each chat, all chats side by side.
type Outbox struct {
	state    State
	composer Composer
	log      *slog.Logger
	metrics  *metrics

	// slots are taken by compositions: all of them where an earlier one has ended the process, so that the one to blame is
	// known.
	slots *semaphore.Weighted

	mu       sync.Mutex
	cfg      Config
	channels map[string]Channel
	running  map[string]bool // lanes of this process
	changed  bool            // the channels, since suspended gates were last made due
	fault    string          // of the last reading of the deliveries
	process  context.Context // ends when the process stops
	poke     chan struct{}
}

// New makes an outbox; Run does its work.
func New(
	state State, composer Composer, channels map[string]Channel, cfg Config, log *slog.Logger, reg prometheus.Registerer,
) *Outbox {
	o := &Outbox{
		state: state, composer: composer, log: log, cfg: cfg.withDefaults(), running: map[string]bool{},
		process: context.Background(), poke: make(chan struct{}, 1), slots: semaphore.NewWeighted(compositions),
	}
	o.metrics = newMetrics(reg, o)
	o.SetChannels(channels)
	return o
}

// SetChannels replaces the receivers' channels, also while Run is running. Suspended receivers are tried again at once.
func (o *Outbox) SetChannels(channels map[string]Channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels, o.changed = maps.Clone(channels), true
	for r := range channels {
		o.metrics.initialise(r)
	}
	o.look()
}

// look lets Run look for work at once.
func (o *Outbox) look() {
	select {
	case o.poke <- struct{}{}:
	default:
	}
}

// SetConfig replaces what a user can set; the rest stays.
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

// Suspended returns the receivers to which nothing can be sent until a person changes something, with the gate that says
// why.
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

// Run sends until ctx ends, and returns when the sends under way have ended too.
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
		next, looked := soon, time.Now()
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
			case <-time.After(time.Until(looked.Add(apart))):
			}
		case <-o.poke:
		case <-timer.C:
		}
	}
}

// adoptAddresses moves the new addresses of chats that an earlier version stored by receiver to the gates of the chats.
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

// sweep begins a lane for each chat that has something to do and is not served by this process, and returns when to look
// again.
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
		earlier(now.Add(soon)) // It may be ending, or another process serves it.
		if o.running[l.key] {
			continue
		}
		o.running[l.key] = true
		lanes.Go(func() { o.serve(ctx, l) })
	}
	return next.Sub(now), nil
}

// retrySuspended lets suspended receivers be tried again, once after the channels have changed: their token or chat may
// have been put right.
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

// readable logs a fault of the database once, and not at every look.
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
