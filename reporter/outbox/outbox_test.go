package outbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/time/rate"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
)

// memory is a faithful store: what it returns and what it was given share nothing, and a commit is all or nothing.
type memory struct {
	mu        sync.Mutex
	rows      []reporter.Delivery
	addresses map[string]string
	stopped   map[string]string
	down      int                // so many writes fail
	crash     func(event string) // called around each write; may panic with errCrash
}

var errCrash = errors.New("the process died")

func clone(d reporter.Delivery) reporter.Delivery {
	if d.Message != nil {
		m := *d.Message
		d.Message = &m
	}
	d.Parts = slices.Clone(d.Parts)
	return d
}

func (m *memory) add(ds ...reporter.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range ds {
		d.ID = int64(len(m.rows) + 1)
		m.rows = append(m.rows, clone(d))
	}
}

func (m *memory) all() (out []reporter.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.rows {
		out = append(out, clone(d))
	}
	return out
}

func (m *memory) Due(_ context.Context, receiver string, now time.Time, limit int) (due []reporter.Delivery, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range m.rows {
		if d.Receiver != receiver || d.State != reporter.DeliveryPending {
			continue
		}
		if d.NextAttempt.After(now) {
			if d.Message != nil {
				return nil, nil
			}
			continue
		}
		if len(due) < limit {
			due = append(due, clone(d))
		}
	}
	return due, nil
}

// Work looks for due deliveries every second, and drains their receivers side by side.
func (m *memory) Work(ctx context.Context, drain func(context.Context, string)) error {
	var drains sync.WaitGroup
	defer drains.Wait()
	var mu sync.Mutex
	busy := map[string]bool{}
	for {
		for _, r := range m.receivers() {
			mu.Lock()
			is := busy[r]
			busy[r] = true
			mu.Unlock()
			if is {
				continue
			}
			drains.Go(func() {
				drain(ctx, r)
				mu.Lock()
				delete(busy, r)
				mu.Unlock()
			})
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

func (m *memory) receivers() (out []string) {
	for _, d := range m.all() {
		if d.State == reporter.DeliveryPending && !slices.Contains(out, d.Receiver) {
			out = append(out, d.Receiver)
		}
	}
	return out
}

func (m *memory) Stopped(context.Context) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.stopped), nil
}

func (m *memory) SetStopped(_ context.Context, receiver, why string, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped == nil {
		m.stopped = map[string]string{}
	}
	m.stopped[receiver] = why
	if why == "" {
		delete(m.stopped, receiver)
		for n := range m.rows {
			if d := &m.rows[n]; d.Receiver == receiver && d.State == reporter.DeliveryPending {
				d.NextAttempt = now
			}
		}
	}
	return nil
}

func (m *memory) write(do func() error) error {
	if m.crash != nil {
		m.crash("before the write")
	}
	m.mu.Lock()
	if m.down > 0 {
		m.down--
		m.mu.Unlock()
		return errors.New("disk full")
	}
	err := do()
	m.mu.Unlock()
	if m.crash != nil {
		m.crash("after the write")
	}
	return err
}

func (m *memory) put(d reporter.Delivery) error {
	if d.ID < 1 || int(d.ID) > len(m.rows) {
		return reporter.ErrNotFound
	}
	m.rows[d.ID-1] = clone(d)
	return nil
}

func (m *memory) Save(_ context.Context, d reporter.Delivery) error {
	return m.write(func() error { return m.put(d) })
}

func (m *memory) SaveAndNotify(_ context.Context, d reporter.Delivery, notice *reporter.Delivery) error {
	return m.write(func() error {
		if err := m.put(d); err != nil || notice == nil {
			return err
		}
		if slices.ContainsFunc(m.rows, func(d reporter.Delivery) bool { return d.Key == notice.Key }) {
			return nil
		}
		n := clone(*notice)
		n.ID = int64(len(m.rows) + 1)
		m.rows = append(m.rows, n)
		return nil
	})
}

func (m *memory) Merge(_ context.Context, receiver string, now time.Time, from int) (merged int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var waiting []int
	due := false
	for n, d := range m.rows {
		if d.Receiver == receiver && d.State == reporter.DeliveryPending && d.Kind == reporter.DeliveryPostmortem && d.Message == nil {
			waiting, due = append(waiting, n), due || !d.NextAttempt.After(now)
		}
	}
	if !due || len(waiting) < from {
		return 0, nil
	}
	digest := reporter.NewDelivery(reporter.DeliveryDigest, fmt.Sprint(waiting[0]+1), receiver, now)
	digest.ID = int64(len(m.rows) + 1)
	m.rows = append(m.rows, digest)
	for _, n := range waiting {
		m.rows[n].State, m.rows[n].FinishedAt, m.rows[n].MergedInto = reporter.DeliveryMerged, now, digest.ID
	}
	return len(waiting), nil
}

func (m *memory) ReplyTo(_ context.Context, to reporter.Delivery) (string, error) {
	for _, d := range m.all() {
		if to.Kind == reporter.DeliveryPostmortem && d.Kind == reporter.DeliveryFiring && d.Subject == to.Subject &&
			d.Receiver == to.Receiver && len(d.Parts) > 0 {
			return d.Parts[0].MessageID, nil
		}
	}
	return "", nil
}

func (m *memory) Pending(context.Context) (map[string]int, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, oldest := map[string]int{}, time.Time{}
	for _, d := range m.rows {
		if d.State == reporter.DeliveryPending {
			out[d.Receiver]++
			if oldest.IsZero() || d.CreatedAt.Before(oldest) {
				oldest = d.CreatedAt
			}
		}
	}
	return out, oldest, nil
}

func (m *memory) Address(_ context.Context, receiver string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.addresses[receiver], nil
}

func (m *memory) SetAddress(_ context.Context, receiver, address string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.addresses == nil {
		m.addresses = map[string]string{}
	}
	m.addresses[receiver] = address
	return nil
}

// chat is a channel that answers by a script, and keeps what arrived.
type chat struct {
	mu      sync.Mutex
	script  []error // of the next sends; nil is sent
	arrives bool    // a send that gets an error arrives nevertheless
	got     []string
	at      []time.Time
	crash   func(event string)
}

// Split makes a part of each line.
func (c *chat) Split(msg reporter.Message) (parts []reporter.Part) {
	for line := range strings.SplitSeq(msg.HTML, "\n") {
		parts = append(parts, reporter.Part{HTML: line})
	}
	parts[0].Picture, parts[0].Buttons = msg.Picture, msg.Buttons
	return parts
}

func (c *chat) Address() string { return "42" }

func (c *chat) Send(_ context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crash != nil {
		c.crash("before the send")
	}
	var err error
	if len(c.script) > 0 {
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
		if o.ReplyTo != "" {
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
	if c.crash != nil {
		c.crash("after the send")
	}
	return fmt.Sprint(len(c.got)), err
}

func (c *chat) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got, ", ")
}

// compose says what the delivery is about, in two parts.
type compose func(d reporter.Delivery) (reporter.Message, error)

func (c compose) Compose(_ context.Context, d reporter.Delivery) (reporter.Message, error) {
	if c != nil {
		return c(d)
	}
	return reporter.Message{HTML: d.Subject + ".1\n" + d.Subject + ".2"}, nil
}

type world struct {
	*outbox.Outbox
	store *memory
	logs  *bytes.Buffer
	reg   *prometheus.Registry
}

func build(store *memory, composer outbox.Composer, cfg outbox.Config, chats map[string]outbox.Channel) *world {
	w := &world{store: store, logs: &bytes.Buffer{}, reg: prometheus.NewPedanticRegistry()}
	if cfg.PerChat == 0 {
		cfg.PerChat, cfg.PerGroup, cfg.Overall = rate.Inf, rate.Inf, rate.Inf
	}
	w.Outbox = outbox.New(store, composer, chats, cfg, slog.New(slog.NewTextHandler(w.logs, nil)), w.reg)
	return w
}

// run lets the outbox work for so long, in the bubble's time.
func (w *world) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := w.Run(ctx); err != nil {
		t.Error(err)
	}
}

func pending(subject, receiver string) reporter.Delivery {
	return reporter.NewDelivery(reporter.DeliveryPostmortem, subject, receiver, time.Now())
}

func TestVerdictsDecideWhatBecomesOfADelivery(t *testing.T) {
	t.Parallel()
	x := errors.New("x")
	for name, tc := range map[string]struct {
		script  []error
		arrives bool
		run     time.Duration
		want    string // what arrived
		state   reporter.DeliveryState
		stopped bool
		told    bool   // the fallback was, though nothing was given up
		metric  string // outcome that is counted once
	}{
		"sent":                      {run: time.Second, want: "a.1, a.2", state: reporter.DeliverySent},
		"a fault, then sent":        {script: []error{nil, x}, run: time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, metric: "error"},
		"a fault waits":             {script: []error{x}, run: time.Second, want: "", state: reporter.DeliveryPending, metric: "error"},
		"permanent":                 {script: []error{nil, &reporter.PermanentError{Err: x}}, run: time.Second, want: "a.1", state: reporter.DeliveryGivenUp, metric: "permanent"},
		"a revoked token":           {script: []error{&reporter.PermanentError{Stops: true, Err: x}}, run: time.Second, want: "", state: reporter.DeliveryPending, stopped: true, metric: "permanent"},
		"a token that is put right": {script: []error{&reporter.PermanentError{Stops: true, Err: x}}, run: 16 * time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, told: true, metric: "permanent"},
		"revoked for good":          {script: slices.Repeat([]error{&reporter.PermanentError{Stops: true, Err: x}}, 1000), run: 25 * time.Hour, want: "", state: reporter.DeliveryGivenUp, stopped: true},
		"told to wait":              {script: []error{&reporter.RetryAfterError{After: 3 * time.Hour, Err: x}}, run: 179 * time.Minute, want: "", state: reporter.DeliveryPending, metric: "retry_after"},
		"told to wait, and did":     {script: []error{&reporter.RetryAfterError{After: 3 * time.Hour, Err: x}}, run: 181 * time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, metric: "retry_after"},
		"told to wait for ever":     {script: []error{&reporter.RetryAfterError{After: 300 * time.Hour, Err: x}}, run: 25 * time.Hour, want: "", state: reporter.DeliveryGivenUp, metric: "retry_after"},
		"moved":                     {script: []error{&reporter.MovedError{To: "-99", Err: x}}, run: time.Second, want: "a.1 to -99, a.2 to -99", state: reporter.DeliverySent, metric: "moved"},
		"ambiguous, lost":           {script: []error{&reporter.AmbiguousError{Err: x}}, run: time.Second, want: "repeat a.1, a.2", state: reporter.DeliverySent, metric: "ambiguous"},
		"ambiguous, arrived":        {script: []error{&reporter.AmbiguousError{Err: x}}, arrives: true, run: time.Second, want: "a.1, repeat a.1, a.2", state: reporter.DeliverySent, metric: "ambiguous"},
		"ambiguous twice": {script: []error{&reporter.AmbiguousError{Err: x}, &reporter.AmbiguousError{Err: x}}, arrives: true, run: time.Second,
			want: "a.1, repeat a.1, a.2", state: reporter.DeliveryGivenUp},
		"formatting refused": {script: []error{&reporter.FormatError{Err: x}}, run: time.Second, want: "plain a.1, a.2", state: reporter.DeliverySent, metric: "format"},
		"plain refused too":  {script: []error{&reporter.FormatError{Err: x}, &reporter.FormatError{Err: x}}, run: time.Second, want: "", state: reporter.DeliveryGivenUp},
		"never":              {script: slices.Repeat([]error{x}, 1000), run: 25 * time.Hour, want: "", state: reporter.DeliveryGivenUp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, c, fallback := &memory{}, &chat{script: tc.script, arrives: tc.arrives}, &chat{}
				store.add(pending("a", "oncall"))
				w := build(store, compose(nil), outbox.Config{FallbackReceiver: "backup"}, map[string]outbox.Channel{"oncall": c, "backup": fallback})
				w.run(t, tc.run+1500*time.Millisecond) // a second more lets the fallback have its turn
				d := store.all()[0]
				if got := c.text(); got != tc.want || d.State != tc.state {
					t.Errorf("arrived %q, state %s (%s); want %q, %s", got, d.State, d.LastError, tc.want, tc.state)
				}
				if _, stopped := store.stopped["oncall"]; stopped != tc.stopped {
					t.Errorf("stopped: %v", store.stopped)
				}
				// The fallback is told of what was given up and of a receiver that is stopped, and of nothing else.
				if told, want := fallback.text() != "", tc.told || tc.stopped || tc.state == reporter.DeliveryGivenUp; told != want {
					t.Errorf("the fallback got %q", fallback.text())
				}
				if tc.metric != "" {
					want := fmt.Sprintf("awoooi_reporter_sends_total{outcome=%q,receiver=\"oncall\"} 1", tc.metric)
					if !strings.Contains(exposition(t, w.reg), want) {
						t.Errorf("the metrics do not say %s", want)
					}
				}
			})
		})
	}
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

func TestOrderIsKeptAndReceiversDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := errors.New("x")
		store, stuck, fine := &memory{}, &chat{script: []error{x, x, x}}, &chat{}
		store.add(pending("a", "stuck"), pending("b", "stuck"), pending("c", "fine"), pending("d", "nobody"))
		w := build(store, compose(nil), outbox.Config{}, map[string]outbox.Channel{"stuck": stuck, "fine": fine})
		w.run(t, 2500*time.Millisecond)
		if fine.text() != "c.1, c.2" || stuck.text() != "" {
			t.Errorf("after 2 s: fine %q, stuck %q", fine.text(), stuck.text())
		}
		if text := exposition(t, w.reg); !strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="stuck"} 2`) ||
			!strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="nobody"} 1`) || !strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="fine"} 0`) {
			t.Errorf("backlog:\n%s", text)
		}
		w.run(t, 10*time.Minute)
		if stuck.text() != "a.1, a.2, b.1, b.2" {
			t.Errorf("order: %q", stuck.text())
		}
		if d := store.all()[3]; d.State != reporter.DeliveryPending || d.LastError != "receiver is not configured" {
			t.Errorf("without a channel: %+v", d)
		}
		late := &chat{}
		w.SetChannels(t.Context(), map[string]outbox.Channel{"stuck": stuck, "fine": fine, "nobody": late})
		w.run(t, 2*time.Minute)
		if late.text() != "d.1, d.2" {
			t.Errorf("after its receiver came: %q", late.text())
		}
	})
}

func TestRetryAfterHoldsAcrossARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &memory{}
		c := &chat{script: []error{&reporter.RetryAfterError{After: 5 * time.Hour, Err: errors.New("429")}}}
		store.add(pending("a", "oncall"), pending("b", "oncall"))
		start := time.Now()
		for range 8 {
			w := build(store, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
			w.run(t, time.Hour)
		}
		if c.text() != "a.1, a.2, b.1, b.2" {
			t.Errorf("arrived %q", c.text())
		}
		if waited := c.at[0].Sub(start); waited < 5*time.Hour || waited > 5*time.Hour+time.Minute {
			t.Errorf("the receiver was left alone for %v", waited)
		}
	})
}

func TestMessagesThatCannotBeComposed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, c := &memory{}, &chat{}
		tries := 0
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			switch d.Subject {
			case "gone":
				return reporter.Message{}, fmt.Errorf("incident: %w", reporter.ErrNotFound)
			case "later":
				if tries++; tries < 4 {
					return reporter.Message{}, &reporter.RetryAfterError{After: time.Minute, Err: errors.New("unreachable")}
				}
			}
			return reporter.Message{HTML: d.Subject}, nil
		})
		store.add(pending("gone", "oncall"), pending("later", "oncall"), pending("now", "oncall"))
		w := build(store, composer, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		w.run(t, 10*time.Second)
		if c.text() != "now" {
			t.Errorf("what can be composed waits for what cannot: %q", c.text())
		}
		w.run(t, 5*time.Minute)
		if c.text() != "now, later" || store.all()[0].State != reporter.DeliveryGivenUp || tries != 4 {
			t.Errorf("arrived %q after %d tries, %s", c.text(), tries, store.all()[0].State)
		}
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, c := &memory{}, &chat{}
		for n := range 30 {
			store.add(pending(fmt.Sprint(n), "oncall"))
		}
		one := compose(func(d reporter.Delivery) (reporter.Message, error) { return reporter.Message{HTML: d.Subject}, nil })
		w := build(store, one, outbox.Config{PerChat: 1, PerGroup: rate.Every(4 * time.Second), Overall: 30},
			map[string]outbox.Channel{"oncall": &group{c}})
		w.run(t, 10*time.Minute)
		if len(c.at) != 30 {
			t.Fatalf("%d of 30 sent", len(c.at))
		}
		for n := range c.at {
			if n > 0 && c.at[n].Sub(c.at[n-1]) < time.Second {
				t.Errorf("two sends within %v", c.at[n].Sub(c.at[n-1]))
			}
			if n >= 20 && c.at[n].Sub(c.at[n-20]) < time.Minute {
				t.Errorf("21 sends to a group within %v", c.at[n].Sub(c.at[n-20]))
			}
		}
	})
}

type group struct{ *chat }

func (g *group) Address() string { return "-100123" }

func TestStoreThatFailsForAWhileDoublesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for failing := range 12 {
			store, c := &memory{}, &chat{}
			store.add(pending("a", "oncall"))
			// The disk is full after the first send.
			c.crash = func(event string) {
				if event == "after the send" && len(c.got) == 1 {
					store.mu.Lock()
					store.down = failing
					store.mu.Unlock()
				}
			}
			w := build(store, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
			w.run(t, 10*time.Minute)
			if c.text() != "a.1, a.2" || store.all()[0].State != reporter.DeliverySent {
				t.Errorf("%d failed writes: arrived %q, %s", failing, c.text(), store.all()[0].State)
			}
		}
	})
}

// The process dies at each border of a write or a send in turn, and a new one goes on: nothing is lost, parts
// stay in order, and what is doubled is marked.
func TestDeathAtAnyPointLosesNothing(t *testing.T) {
	t.Parallel()
	for point := range 60 {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(point), 7))
				store, c := &memory{}, &chat{}
				store.add(pending("a", "oncall"), pending("b", "oncall"))
				if rng.IntN(2) == 0 {
					c.script = []error{nil, &reporter.AmbiguousError{Err: errors.New("cut")}}
				}
				left := point
				died := func(string) {
					if left--; left == -1 {
						panic(errCrash)
					}
				}
				store.crash, c.crash = died, died
				live(t, store, c)
				store.crash, c.crash = nil, nil
				for _, d := range store.all() {
					if d.State != reporter.DeliverySent {
						t.Errorf("delivery %s is %s", d.Subject, d.State)
					}
				}
				var order []string
				for _, text := range c.got {
					plain := strings.TrimPrefix(text, "repeat ")
					if slices.Contains(order, plain) && plain == text {
						t.Errorf("%s came twice without a mark: %q", plain, c.got)
					}
					if !slices.Contains(order, plain) {
						order = append(order, plain)
					}
				}
				// A delivery whose composition ended with the process comes after the others; its parts stay in order.
				if all := strings.Join(order, " "); all != "a.1 a.2 b.1 b.2" && all != "b.1 b.2 a.1 a.2" {
					t.Errorf("arrived %q", c.got)
				}
			})
		})
	}
}

// live works a process at a time until one survives. The work is done by Step, in this goroutine, so that a death is a
// panic that can be caught.
func live(t *testing.T, store *memory, c *chat) {
	t.Helper()
	for range 5 {
		if func() (alive bool) {
			defer func() {
				if r := recover(); r != nil && r != errCrash { //nolint:errorlint // the very value
					panic(r)
				}
			}()
			// A death leaves locks behind, as it leaves nothing else: the next process has its own.
			store.mu, c.mu = sync.Mutex{}, sync.Mutex{}
			w := build(store, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
			for range 20 {
				w.Drain(t.Context(), "oncall")
				time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's clock, which does not wait
			}
			return true
		}() {
			return
		}
	}
	t.Error("no process survived")
}

// Many postmortems that wait together go out as one; few go out one by one, and what is composed already stays by itself.
func TestAStormIsOneMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		postmortems, from int
		want              string
	}{
		"a storm":        {20, 5, "1.1, 1.2"},
		"just so many":   {5, 5, "1.1, 1.2"},
		"few":            {2, 5, "p0.1, p0.2, p1.1, p1.2"},
		"never a digest": {3, 0, "p0.1, p0.2, p1.1, p1.2, p2.1, p2.2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store, ch := &memory{}, &chat{}
				for n := range tc.postmortems {
					d := pending(fmt.Sprintf("p%d", n), "r")
					// They come within a minute, and each waits for a minute.
					d.NextAttempt = d.NextAttempt.Add(time.Minute + time.Duration(n)*3*time.Second)
					store.add(d)
				}
				w := build(store, compose(nil), outbox.Config{DigestFrom: tc.from}, map[string]outbox.Channel{"r": ch})
				w.run(t, 3*time.Minute)
				if got := ch.text(); got != tc.want {
					t.Errorf("arrived %q, want %q", got, tc.want)
				}
				merged := 0
				for _, d := range store.all() {
					if d.State == reporter.DeliveryMerged {
						merged++
					} else if d.State != reporter.DeliverySent {
						t.Errorf("%s is %s", d.Key, d.State)
					}
				}
				if strings.HasPrefix(tc.want, "1.") != (merged == tc.postmortems && merged > 0) {
					t.Errorf("%d of %d were merged", merged, tc.postmortems)
				}
			})
		})
	}
}

// While a storm's first message is being sent, slowly, the others gather: they must not follow it one by one.
func TestAStormThatGathersBehindASlowSendIsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, ch := &memory{}, &chat{}
		store.add(pending("first", "r"), pending("second", "r"), pending("third", "r"))
		sending := 0
		ch.crash = func(event string) {
			if sending++; event == "before the send" && sending == 1 {
				for n := range 10 {
					store.add(pending(fmt.Sprintf("p%d", n), "r"))
				}
			}
		}
		w := build(store, compose(nil), outbox.Config{DigestFrom: 5}, map[string]outbox.Channel{"r": ch})
		w.run(t, time.Minute)
		if got, want := ch.text(), "first.1, first.2, 2.1, 2.2"; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
	})
}

func TestPostmortemAnswersTheNoticeOfItsFiring(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, ch := &memory{}, &chat{}
		store.add(reporter.NewDelivery(reporter.DeliveryFiring, "A", "r", time.Now()), pending("A", "r"), pending("B", "r"))
		w := build(store, compose(nil), outbox.Config{}, map[string]outbox.Channel{"r": ch})
		w.run(t, time.Minute)
		if got, want := ch.text(), "A.1, A.2, A.1 answers 1, A.2, B.1, B.2"; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
	})
}

func TestObsoleteMessagesAreDroppedInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, ch, backup := &memory{}, &chat{}, &chat{}
		store.add(reporter.NewDelivery(reporter.DeliveryFiring, "A", "r", time.Now()), pending("B", "r"))
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			if d.Kind == reporter.DeliveryFiring {
				return reporter.Message{}, fmt.Errorf("incident: %w", reporter.ErrObsolete)
			}
			return reporter.Message{HTML: d.Subject}, nil
		})
		w := build(store, composer, outbox.Config{FallbackReceiver: "backup"}, map[string]outbox.Channel{"r": ch, "backup": backup})
		w.run(t, time.Minute)
		if ch.text() != "B" || backup.text() != "" || store.all()[0].State != reporter.DeliveryCancelled {
			t.Errorf("arrived %q and %q, the notice is %s", ch.text(), backup.text(), store.all()[0].State)
		}
	})
}

// What Telegram refuses of a picture or a button must not keep the text back, nor its formatting.
func TestRefusedPictureCostsOnlyItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := &reporter.FormatError{Err: errors.New("IMAGE_PROCESS_FAILED")}
		store, ch := &memory{}, &chat{script: []error{refused}}
		store.add(pending("A", "r"), pending("B", "r"))
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			return reporter.Message{HTML: d.Subject, Picture: []byte("png"), Buttons: []reporter.Button{{Text: "page"}}}, nil
		})
		w := build(store, composer, outbox.Config{}, map[string]outbox.Channel{"r": ch})
		w.run(t, time.Minute)
		if got, want := ch.text(), "A, B with png [page]"; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
		for _, d := range store.all() {
			if d.Message.Picture != nil || d.Parts[0].Picture != nil {
				t.Errorf("%s keeps its picture though it is sent", d.Key)
			}
		}
	})
}
