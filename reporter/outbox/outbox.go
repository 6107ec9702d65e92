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
	// Due returns pending deliveries to be tried now, oldest first, at most limit, and when the next one is due; zero if
	// there is none. A receiver that was told to wait has none.
	Due(ctx context.Context, now time.Time, limit int) (due []reporter.Delivery, next time.Time, err error)
	// Save replaces the delivery of d's ID in one commit.
	Save(ctx context.Context, d reporter.Delivery) error
	// GiveUp saves d, and inserts the notice if there is one and its key is new, in one commit.
	GiveUp(ctx context.Context, d reporter.Delivery, notice *reporter.Delivery) error
}

// Addresses remembers where chats have moved to.
type Addresses interface {
	// Address returns "" for a receiver that never moved.
	Address(ctx context.Context, receiver string) (string, error)
	SetAddress(ctx context.Context, receiver, address string) error
}

// Composer makes the message of a delivery when it is first tried. A *reporter.RetryAfterError asks to be asked later,
// reporter.ErrNotFound means that there is nothing to tell.
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

	PollInterval time.Duration // for deliveries that another process stored; default 5 s
	BackoffMin   time.Duration // default 5 s
	BackoffMax   time.Duration // default 15 min
	SendTimeout  time.Duration // of one part with its brief retries; default 3 min
	StopTimeout  time.Duration // what is left of a send when the process stops; default 8 s
	PerChat      rate.Limit    // sends a second; default 1
	PerGroup     rate.Limit    // sends a second into a group; default 15 a minute, beside a burst of 5
	Overall      rate.Limit    // sends a second in all; default 30
	Now          func() time.Time
}

func (c Config) withDefaults() Config {
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, 24*time.Hour)
	c.PollInterval = cmp.Or(c.PollInterval, 5*time.Second)
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
	store     Store
	addresses Addresses
	composer  Composer
	log       *slog.Logger
	metrics   *metrics
	wake      chan struct{}

	mu       sync.Mutex
	cfg      Config
	channels map[string]Channel
	stopped  map[string]string // receivers that refuse everything, and why
	busy     map[string]bool   // receivers that a worker is at
	limits   map[string][]*rate.Limiter
	overall  *rate.Limiter
}

// New makes an outbox; Run does its work.
func New(
	store Store, addresses Addresses, composer Composer, channels map[string]Channel, cfg Config, log *slog.Logger,
	reg prometheus.Registerer,
) *Outbox {
	cfg = cfg.withDefaults()
	o := &Outbox{
		store: store, addresses: addresses, composer: composer, log: log, wake: make(chan struct{}, 1),
		cfg: cfg, busy: map[string]bool{}, limits: map[string][]*rate.Limiter{},
		overall: rate.NewLimiter(cfg.Overall, 1),
	}
	o.metrics = newMetrics(reg, o, store)
	o.SetChannels(channels)
	return o
}

// SetChannels replaces the receivers' channels, also while Run is running. Receivers that were stopped are tried again.
func (o *Outbox) SetChannels(channels map[string]Channel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.channels = maps.Clone(channels)
	o.stopped = map[string]string{}
	for r := range channels {
		o.metrics.initialise(r)
	}
}

// SetConfig replaces what a user can set; the rest stays.
func (o *Outbox) SetConfig(cfg Config) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cfg.GiveUpAfter = cfg.withDefaults().GiveUpAfter
	o.cfg.FallbackReceiver = cfg.FallbackReceiver
}

// Wake lets the outbox look at once for what is due.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Stopped returns the receivers that refuse everything, with the reason, which holds no secret.
func (o *Outbox) Stopped() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.stopped)
}

func (o *Outbox) config() Config {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cfg
}

// Run sends until ctx ends, and returns when the sends under way have ended too.
func (o *Outbox) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	fault := ""
	for {
		cfg := o.config()
		wait := cfg.PollInterval
		due, next, err := o.store.Due(ctx, cfg.Now(), 1000)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if fault != err.Error() {
				o.log.Error("outbox cannot read its deliveries", "err", err)
			}
			fault = err.Error()
		default:
			fault = ""
			for receiver, ds := range byReceiver(due) {
				if o.begin(receiver) {
					workers.Go(func() {
						o.work(ctx, ds)
						o.end(receiver)
					})
				}
			}
			if until := next.Sub(cfg.Now()); !next.IsZero() && until < wait {
				wait = max(until, 0)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func byReceiver(ds []reporter.Delivery) map[string][]reporter.Delivery {
	out := map[string][]reporter.Delivery{}
	for _, d := range ds {
		out[d.Receiver] = append(out[d.Receiver], d)
	}
	return out
}

// begin claims a receiver for one worker.
func (o *Outbox) begin(receiver string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.busy[receiver] {
		return false
	}
	o.busy[receiver] = true
	return true
}

func (o *Outbox) end(receiver string) {
	o.mu.Lock()
	delete(o.busy, receiver)
	o.mu.Unlock()
	o.Wake() // more may have come meanwhile
}

// work delivers one receiver's due deliveries in order, until one has to wait.
func (o *Outbox) work(ctx context.Context, ds []reporter.Delivery) {
	for _, d := range ds {
		if ctx.Err() != nil || !o.deliver(ctx, d) {
			return
		}
	}
}
