// Package outbox sends what is pending: stored deliveries come in, sends to the channels go out, and what became of each
// part is stored before anything else happens.
package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Store keeps the deliveries. It may be a Backlog too, and then the backlog is in the metrics.
type Store interface {
	// Due returns the receiver's pending deliveries to be tried now, oldest first, at most limit. One that was told to wait
	// has none.
	Due(ctx context.Context, receiver string, now time.Time, limit int) ([]reporter.Delivery, error)
	// Save replaces the delivery of d's ID in one commit.
	Save(ctx context.Context, d reporter.Delivery) error
	// SaveAndNotify saves d, and inserts the notice if there is one and its key is new, in one commit.
	SaveAndNotify(ctx context.Context, d reporter.Delivery, notice *reporter.Delivery) error
}

// Digests makes one delivery of many.
type Digests interface {
	// Merge turns the receiver's postmortems that are not composed yet into one digest, once the first of them is due and
	// there are at least so many, and returns how many it merged.
	Merge(ctx context.Context, receiver string, now time.Time, from int) (merged int, err error)
	// ReplyTo returns the channel's id of the message that a delivery replies to; "" if there is none.
	ReplyTo(ctx context.Context, d reporter.Delivery) (string, error)
}

// Queue says when a receiver may have something due.
type Queue interface {
	// Work calls drain until ctx ends, and returns when every drain has. No two drains of a receiver run at once, in any
	// process; a drain's context ends when that can no longer be promised.
	Work(ctx context.Context, drain func(ctx context.Context, receiver string)) error
}

// Receivers remembers what became of a receiver, whatever process sent to it.
type Receivers interface {
	Addresses
	Stops
}

// Addresses remembers where chats have moved to.
type Addresses interface {
	// Address returns "" for a receiver that never moved.
	Address(ctx context.Context, receiver string) (string, error)
	SetAddress(ctx context.Context, receiver, address string) error
}

// Stops remembers which receivers refuse everything.
type Stops interface {
	// Stopped returns them with the reason, which holds no secret.
	Stopped(ctx context.Context) (map[string]string, error)
	// SetStopped with a reason of "" ends a stop, and makes what waits for the receiver due.
	SetStopped(ctx context.Context, receiver, why string, now time.Time) error
}

// State is all that an outbox needs of the state's database.
type State interface {
	Store
	Digests
	Queue
	Receivers
}

// Composer makes the message of a delivery when it is first tried. A *reporter.RetryAfterError asks to be asked later,
// reporter.ErrNotFound means that there is nothing to tell, reporter.ErrObsolete that it is not worth telling any more.
type Composer interface {
	Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error)
}

// Channel is one chat.
type Channel interface {
	// Split makes the parts of a message; it is called once for each delivery.
	Split(msg reporter.Message) []reporter.Part
	// Send sends one part and returns the channel's id of it, or one of the verdict errors of package reporter.
	Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (messageID string, err error)
	// Address tells chats apart, for their limits.
	Address() string
}

// Config is the outbox's patience. Zero values are the defaults.
type Config struct {
	GiveUpAfter      time.Duration // since the delivery was made; default 24 h
	FallbackReceiver string        // who is told of what was given up; "" is nobody
	DigestFrom       int           // so many postmortems that wait together become one digest; 0 is never

	Turn        time.Duration // how long one drain goes on beginning deliveries; default 5 min
	BackoffMin  time.Duration // default 5 s
	BackoffMax  time.Duration // default 15 min
	SendTimeout time.Duration // of one part with its brief retries; default 3 min
	StopTimeout time.Duration // what is left of a send when the process stops; default 8 s
	PerChat     rate.Limit    // sends a second; default 1
	PerGroup    rate.Limit    // sends a second into a group; default 15 a minute, beside a burst of 5
	Overall     rate.Limit    // sends a second in all; default 30
	Now         func() time.Time
}

func (c Config) withDefaults() Config {
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, 24*time.Hour)
	c.Turn = cmp.Or(c.Turn, 5*time.Minute)
	c.BackoffMin = cmp.Or(c.BackoffMin, 5*time.Second)
	c.BackoffMax = cmp.Or(c.BackoffMax, 15*time.Minute)
	c.SendTimeout = cmp.Or(c.SendTimeout, 3*time.Minute)
	c.StopTimeout = cmp.Or(c.StopTimeout, 8*time.Second)
	c.PerChat = cmp.Or(c.PerChat, 1)
	c.PerGroup = cmp.Or(c.PerGroup, rate.Every(4*time.Second))
	c.Overall = cmp.Or(c.Overall, 30)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Outbox sends deliveries: one at a time and in order to each receiver, all receivers side by side.
type Outbox struct {
	state    State
	composer Composer
	log      *slog.Logger
	metrics  *metrics

	mu       sync.Mutex
	cfg      Config
	channels map[string]Channel
	limits   map[string][]*rate.Limiter
	overall  *rate.Limiter
	fault    string          // of the last reading of the deliveries
	process  context.Context // ends when the process stops
}

// New makes an outbox; Run does its work.
func New(
	state State, composer Composer, channels map[string]Channel, cfg Config, log *slog.Logger, reg prometheus.Registerer,
) *Outbox {
	cfg = cfg.withDefaults()
	o := &Outbox{
		state: state, composer: composer, log: log, cfg: cfg, limits: map[string][]*rate.Limiter{},
		overall: rate.NewLimiter(cfg.Overall, 1), process: context.Background(),
	}
	o.metrics = newMetrics(reg, o)
	o.setChannels(channels)
	return o
}

// SetChannels replaces the receivers' channels, also while Run is running. Receivers that were stopped are tried again.
func (o *Outbox) SetChannels(ctx context.Context, channels map[string]Channel) {
	o.setChannels(channels)
	o.restart(ctx)
}

func (o *Outbox) setChannels(channels map[string]Channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels = maps.Clone(channels)
	for r := range channels {
		o.metrics.initialise(r)
	}
}

// restart tries receivers again that were stopped: their token or chat may have been put right.
func (o *Outbox) restart(ctx context.Context) {
	stopped, err := o.state.Stopped(ctx)
	for r := range stopped {
		if err == nil {
			err = o.state.SetStopped(ctx, r, "", o.config().Now())
		}
	}
	if err != nil && ctx.Err() == nil {
		o.log.Error("stopped receivers are tried again later", "err", err)
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

// Stopped returns the receivers that refuse everything, with the reason, which holds no secret.
func (o *Outbox) Stopped(ctx context.Context) (map[string]string, error) { return o.state.Stopped(ctx) }

func (o *Outbox) config() Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg
}

// Run sends until ctx ends, and returns when the sends under way have ended too.
func (o *Outbox) Run(ctx context.Context) error {
	o.mu.Lock()
	o.process = ctx
	o.mu.Unlock()
	o.restart(ctx)
	return o.state.Work(ctx, o.Drain)
}

// Drain delivers what is due for one receiver in order, until one has to wait, nothing is left, ctx ends or its turn is
// over.
func (o *Outbox) Drain(ctx context.Context, receiver string) {
	cfg := o.config()
	last := cfg.Now().Add(cfg.Turn)
	for {
		o.digest(ctx, receiver)
		due, err := o.state.Due(ctx, receiver, cfg.Now(), 100)
		if ctx.Err() != nil {
			return
		}
		o.readable(err)
		if err != nil || len(due) == 0 {
			return
		}
		for n, d := range due {
			// While one was sent, a storm may have gathered behind it.
			if n > 0 && o.digest(ctx, receiver) {
				break
			}
			if ctx.Err() != nil || cfg.Now().After(last) || !o.deliver(ctx, d) {
				return
			}
		}
	}
}

// digest makes one message of many postmortems that wait together, and says whether it did. A fault costs only that: they
// are sent one by one.
func (o *Outbox) digest(ctx context.Context, receiver string) bool {
	cfg := o.config()
	if cfg.DigestFrom <= 0 {
		return false
	}
	merged, err := o.state.Merge(ctx, receiver, cfg.Now(), cfg.DigestFrom)
	switch {
	case err != nil && ctx.Err() == nil:
		o.log.Error("postmortems were not merged into a digest", "receiver", receiver, "err", err)
	case merged > 0:
		o.metrics.merged(merged)
		o.log.Info("postmortems merged into a digest", "receiver", receiver, "postmortems", merged)
	}
	return merged > 0
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
