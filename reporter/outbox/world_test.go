package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// state is the real store, whose writes can fail, and which can be dead: from then on all calls fail.
type state struct {
	*store.Store
	mu    sync.Mutex
	down  int         // so many writes fail
	event func()      // called before and after each write
	dead  func() bool // no more reads and writes
}

var errDead = errors.New("the process is dead")

func (s *state) write(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.event != nil {
		s.event()
	}
	if s.dead != nil && s.dead() {
		return errDead
	}
	if s.down > 0 {
		s.down--
		return errors.New("disk full")
	}
	err := do()
	if s.event != nil {
		s.event()
	}
	if s.dead != nil && s.dead() {
		return errDead
	}
	return err
}

func (s *state) Save(ctx context.Context, d reporter.Delivery) error {
	return s.write(func() error { return s.Store.Save(ctx, d) })
}

func (s *state) Fail(ctx context.Context, d reporter.Delivery, n reporter.NoticeTo) error {
	return s.write(func() error { return s.Store.Fail(ctx, d, n) })
}

func (s *state) UpdateGate(ctx context.Context, key string, change func(*reporter.Gate)) error {
	return s.write(func() error { return s.Store.UpdateGate(ctx, key, change) })
}

func (s *state) Begin(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) (until time.Time, err error) {
	err = s.write(func() error {
		until, err = s.Store.Begin(ctx, d, passes)
		return err
	})
	return until, err
}

func (s *state) End(ctx context.Context, d reporter.Delivery, passes []reporter.Pass) error {
	return s.write(func() error { return s.Store.End(ctx, d, passes) })
}

func (s *state) SaveEdit(ctx context.Context, e reporter.Edit) error {
	return s.write(func() error { return s.Store.SaveEdit(ctx, e) })
}

func (s *state) BeginEdit(
	ctx context.Context, e reporter.Edit, d reporter.Delivery, passes []reporter.Pass,
) (until time.Time, current bool, err error) {
	err = s.write(func() error {
		until, current, err = s.Store.BeginEdit(ctx, e, d, passes)
		return err
	})
	return until, current, err
}

func (s *state) EndEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, more bool, passes []reporter.Pass) error {
	return s.write(func() error { return s.Store.EndEdit(ctx, e, d, more, passes) })
}

func (s *state) DropEdit(ctx context.Context, e reporter.Edit) error {
	return s.write(func() error { return s.Store.DropEdit(ctx, e) })
}

func (s *state) ReplaceMessage(ctx context.Context, e reporter.Edit) (replaced bool, err error) {
	err = s.write(func() error {
		replaced, err = s.Store.ReplaceMessage(ctx, e)
		return err
	})
	return replaced, err
}

func (s *state) DueEdits(ctx context.Context, receivers []string, now time.Time, limit int) ([]reporter.Edit, error) {
	if s.dead != nil && s.dead() {
		return nil, errDead
	}
	return s.Store.DueEdits(ctx, receivers, now, limit)
}

func (s *state) Delivery(ctx context.Context, id int64) (reporter.Delivery, error) {
	if s.dead != nil && s.dead() {
		return reporter.Delivery{}, errDead
	}
	return s.Store.Delivery(ctx, id)
}

func (s *state) DueWork(ctx context.Context, now, expired time.Time) (reporter.DueWork, error) {
	if s.dead != nil && s.dead() {
		return reporter.DueWork{}, errDead
	}
	return s.Store.DueWork(ctx, now, expired)
}

// chat is a channel that answers by a script, and keeps the messages.
type chat struct {
	address string // default 42
	account string
	limits  []reporter.Limit

	mu      sync.Mutex
	script  []error // of the next sends; nil is a success
	probes  []error // of the next probes; nil is answered
	refuses error   // of every call, until it is nil
	arrives bool    // a send that returns an error arrives nevertheless
	delay   time.Duration
	event   func() // called before and after each send
	dead    func() bool
	got     []string
	at      []time.Time
	probed  int
}

func (c *chat) Chat() reporter.Chat {
	address := c.address
	if address == "" {
		address = "42"
	}
	return reporter.Chat{Account: "test" + c.account, Address: address, Limits: c.limits}
}

// Split makes a part of each line, and one more of the picture "behind".
func (c *chat) Split(msg reporter.Message) (parts []reporter.Part) {
	for line := range strings.SplitSeq(msg.HTML, "\n") {
		parts = append(parts, reporter.Part{HTML: line})
	}
	parts[0].Buttons = msg.Buttons
	if string(msg.Picture) == "behind" {
		return append(parts, reporter.Part{HTML: msg.Title, Picture: msg.Picture})
	}
	parts[0].Picture = msg.Picture
	return parts
}

func (c *chat) Probe(context.Context, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probed++
	if c.refuses != nil {
		return c.refuses
	}
	var err error
	if len(c.probes) > 0 {
		err, c.probes = c.probes[0], c.probes[1:]
	}
	return err
}

func (c *chat) Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	if c.delay > 0 {
		timer := time.NewTimer(c.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return "", answer(reporter.VerdictUnknown)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.event != nil {
		c.event()
	}
	if c.dead != nil && c.dead() {
		return "", errDead
	}
	err := c.refuses
	if err == nil && len(c.script) > 0 {
		err, c.script = c.script[0], c.script[1:]
	}
	if err == nil || c.arrives {
		text := part.HTML
		if part.Plain {
			text = "plain " + text
		}
		if o.Repeat {
			text = "repeat " + text
		}
		if o.To != "" {
			text += " to " + o.To
		}
		if o.ReplyTo != "" && !part.NoReply {
			text += " answers " + o.ReplyTo
		}
		if part.Picture != nil {
			text += " with " + string(part.Picture)
		}
		for _, b := range part.Buttons {
			text += " [" + b.Text + "]"
		}
		c.got, c.at = append(c.got, text), append(c.at, time.Now())
	}
	id := fmt.Sprint(len(c.got))
	if c.event != nil {
		c.event()
	}
	return id, err
}

func (c *chat) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got, ", ")
}

func (c *chat) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func answer(v reporter.Verdict) *reporter.SendError {
	return &reporter.SendError{Verdict: v, Err: errors.New("x")}
}

// compose composes two parts with the subject, or calls the function if it is not nil.
type compose func(d reporter.Delivery) (reporter.Message, error)

func (c compose) Compose(_ context.Context, d reporter.Delivery) (reporter.Message, error) {
	if c != nil {
		return c(d)
	}
	return reporter.Message{HTML: d.Subject + ".1\n" + d.Subject + ".2"}, nil
}

func (c compose) Minimal(d reporter.Delivery) reporter.Message {
	return reporter.Message{HTML: "minimal " + d.Subject}
}

func (compose) Revise(context.Context, reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{}, reporter.ErrObsolete
}

// subject composes one part that is the subject.
func subject(d reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{HTML: d.Subject}, nil
}

type world struct {
	*outbox.Outbox
	t     *testing.T
	store *state
	logs  *bytes.Buffer
	reg   *prometheus.Registry
}

// newState opens a state of its own.
func newState(t *testing.T, ds ...reporter.Delivery) *state {
	t.Helper()
	s := &state{Store: storetest.Open(t, t.TempDir())}
	if _, err := s.Enqueue(t.Context(), ds...); err != nil {
		t.Fatal(err)
	}
	return s
}

func build(t *testing.T, s *state, composer outbox.Composer, cfg outbox.Config, chats map[string]outbox.Channel) *world {
	t.Helper()
	w := &world{t: t, store: s, logs: &bytes.Buffer{}, reg: prometheus.NewPedanticRegistry()}
	cfg.Sweep = 10 * time.Minute // What is due wakes the outbox; only what another process has changed needs a look.
	w.Outbox = outbox.New(s, composer, chats, cfg, slog.New(slog.NewTextHandler(w.logs, nil)), w.reg)
	return w
}

// run runs the outbox for this time of the bubble's clock.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		w.t.Error(err)
	}
}

// delivery returns the one about that subject.
func (w *world) delivery(subject string) reporter.Delivery {
	w.t.Helper()
	for _, d := range all(w.t, w.store.Store) {
		if d.Subject == subject {
			return d
		}
	}
	w.t.Fatalf("there is no delivery about %s", subject)
	return reporter.Delivery{}
}

func pending(subject, receiver string) reporter.Delivery {
	return reporter.NewDelivery(reporter.DeliveryPostmortem, subject, receiver, time.Now())
}

func all(t *testing.T, s *store.Store) []reporter.Delivery {
	t.Helper()
	ds, err := s.Deliveries(t.Context(), 10000)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func exposition(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
			fmt.Fprintf(&b, "%s{%s} %g\n", f.GetName(), strings.Join(labels, ","), value)
		}
	}
	return b.String()
}
