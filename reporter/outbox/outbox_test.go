package outbox_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
)

func TestVerdictsDecideWhatBecomesOfADelivery(t *testing.T) {
	t.Parallel()
	wait := func(d time.Duration) error {
		return &reporter.SendError{Verdict: reporter.VerdictWait, After: d, Err: errors.New("429")}
	}
	moved := &reporter.SendError{Verdict: reporter.VerdictMoved, To: "-99", Err: errors.New("moved")}
	always := func(err error) []error { return slices.Repeat([]error{err}, 3000) }
	for name, tc := range map[string]struct {
		script, probes []error
		arrives        bool
		run            time.Duration
		want           string // what arrived
		state          reporter.DeliveryState
		reason         reporter.Reason
		suspended      bool
		notices        int
		metric         string // outcome that is counted once
	}{
		"sent":                     {run: time.Second, want: "a.1, a.2", state: reporter.DeliverySent},
		"a fault, then sent":       {script: []error{nil, errors.New("x")}, run: time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, metric: "error"},
		"a fault waits":            {script: []error{answer(reporter.VerdictRetry)}, run: time.Second, state: reporter.DeliveryPending, reason: reporter.ReasonNotAnswered, metric: "error"},
		"faults without end":       {script: always(errors.New("x")), run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonNotAnswered, notices: 1},
		"no answer at all":         {script: []error{errors.New("x")}, probes: always(errors.New("x")), run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonNotAnswered, notices: 1},
		"a revoked token":          {script: []error{answer(reporter.VerdictAccount)}, run: time.Second, state: reporter.DeliveryPending, reason: reporter.ReasonAccount, suspended: true, metric: "account"},
		"a token that works again": {script: []error{answer(reporter.VerdictAccount)}, run: 2 * time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, notices: 1, metric: "account"},
		"revoked for good":         {script: []error{answer(reporter.VerdictAccount)}, probes: always(answer(reporter.VerdictAccount)), run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonAccount, suspended: true, notices: 1},
		"the chat is at fault":     {script: []error{answer(reporter.VerdictReceiver)}, probes: always(answer(reporter.VerdictRefused)), run: time.Minute, state: reporter.DeliveryPending, reason: reporter.ReasonReceiver, suspended: true, notices: 1},
		"only sends are refused":   {script: always(answer(reporter.VerdictReceiver)), run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonReceiver, notices: 1},
		"asked to wait":            {script: []error{wait(3 * time.Hour)}, run: 179 * time.Minute, state: reporter.DeliveryPending, reason: reporter.ReasonWait, metric: "retry_after"},
		"asked to wait, and did":   {script: []error{wait(3 * time.Hour)}, run: 181 * time.Minute, want: "a.1, a.2", state: reporter.DeliverySent, metric: "retry_after"},
		"asked to wait for ever":   {script: []error{wait(300 * time.Hour)}, run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonWait, notices: 1},
		"moved":                    {script: []error{moved}, run: time.Second, want: "a.1 to -99, a.2 to -99", state: reporter.DeliverySent, metric: "moved"},
		"unknown, not arrived":     {script: []error{answer(reporter.VerdictUnknown)}, run: time.Minute, want: "repeat a.1, a.2", state: reporter.DeliverySent, metric: "ambiguous"},
		"unknown, arrived":         {script: []error{answer(reporter.VerdictUnknown)}, arrives: true, run: time.Minute, want: "a.1, repeat a.1, a.2", state: reporter.DeliverySent, metric: "ambiguous"},
		"unknown, then refused for a while": {script: []error{answer(reporter.VerdictUnknown), errors.New("x"), wait(time.Minute)}, run: 5 * time.Minute,
			want: "repeat a.1, a.2", state: reporter.DeliverySent},
		"unknown in an outage": {script: []error{answer(reporter.VerdictUnknown)}, probes: slices.Repeat([]error{answer(reporter.VerdictUnknown)}, 5), arrives: true, run: time.Hour,
			want: "a.1, repeat a.1, a.2", state: reporter.DeliverySent},
		"unknown without end": {script: always(answer(reporter.VerdictUnknown)), run: 25 * time.Hour, state: reporter.DeliveryGivenUp, reason: reporter.ReasonUnknown, notices: 1},
		"markup refused":      {script: []error{answer(reporter.VerdictMarkup)}, run: time.Second, want: "plain a.1, a.2", state: reporter.DeliverySent, metric: "markup"},
		"refused":             {script: []error{answer(reporter.VerdictRefused)}, run: time.Second, want: "plain a.1, a.2", state: reporter.DeliverySent, metric: "refused"},
		"refused in any form": {script: always(answer(reporter.VerdictRefused)), run: time.Minute, state: reporter.DeliveryGivenUp, reason: reporter.ReasonRefused, notices: 1},
		"refused in any form, and so is a probe": {script: always(answer(reporter.VerdictRefused)), probes: always(answer(reporter.VerdictRefused)), run: time.Minute,
			state: reporter.DeliveryPending, reason: reporter.ReasonReceiver, suspended: true, notices: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, fallback := &chat{script: tc.script, probes: tc.probes, arrives: tc.arrives}, &chat{address: "backup", account: "2"}
				s := newState(t, pending("a", "oncall"))
				cfg := outbox.Config{FallbackReceiver: "backup", OutageMax: 2 * time.Hour, ProbeMax: 4 * time.Hour}
				w := build(t, s, compose(nil), cfg, map[string]outbox.Channel{"oncall": c, "backup": fallback})
				w.run(tc.run)
				d := w.delivery("a")
				if got := c.text(); got != tc.want || d.State != tc.state || d.Reason != tc.reason {
					t.Errorf("arrived %q, state %s, %q (%s); want %q, %s, %q", got, d.State, d.Reason, d.LastError, tc.want, tc.state, tc.reason)
				}
				suspended, err := w.Suspended(t.Context())
				if _, is := suspended["oncall"]; is != tc.suspended || err != nil {
					t.Errorf("suspended: %v, %v", suspended, err)
				}
				if got := len(fallback.got) / 2; got != tc.notices {
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

func TestReceiversDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := errors.New("x")
		stuck, fine := &chat{address: "1", script: []error{x, x, x}}, &chat{address: "2"}
		s := newState(t, pending("a", "stuck"), pending("b", "stuck"), pending("c", "fine"), pending("d", "nobody"))
		w := build(t, s, compose(nil), outbox.Config{}, map[string]outbox.Channel{"stuck": stuck, "fine": fine})
		w.run(2500 * time.Millisecond)
		if fine.text() != "c.1, c.2" || stuck.text() != "" {
			t.Errorf("after 2 s: fine %q, stuck %q", fine.text(), stuck.text())
		}
		if text := exposition(t, w.reg); !strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="stuck"} 2`) ||
			!strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="nobody"} 1`) || !strings.Contains(text, `awoooi_reporter_deliveries_pending{receiver="fine"} 0`) {
			t.Errorf("backlog:\n%s", text)
		}
		w.run(10 * time.Minute)
		if len(stuck.got) != 4 {
			t.Errorf("arrived: %q", stuck.text())
		}
		if d := w.delivery("d"); d.State != reporter.DeliveryPending || d.Reason != reporter.ReasonUnconfigured {
			t.Errorf("without a channel: %+v", d)
		}
		late := &chat{address: "3"}
		w.SetChannels(map[string]outbox.Channel{"stuck": stuck, "fine": fine, "nobody": late})
		w.run(2 * time.Minute)
		if late.text() != "d.1, d.2" {
			t.Errorf("after its receiver came: %q", late.text())
		}
	})
}

// Chats that do not answer delay no other chat.
func TestUnresponsiveChatsDelayNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chats, ds := map[string]outbox.Channel{}, []reporter.Delivery(nil)
		for n := range 25 {
			r := fmt.Sprintf("dead%d", n)
			chats[r] = &chat{address: r, delay: time.Hour}
			ds = append(ds, pending("a", r), pending("b", r))
		}
		fine := &chat{address: "fine"}
		chats["fine"] = fine
		w := build(t, newState(t, append(ds, pending("c", "fine"))...), compose(nil), outbox.Config{}, chats)
		w.run(time.Second)
		if fine.text() != "c.1, c.2" {
			t.Errorf("after a second: %q", fine.text())
		}
	})
}

// A wait that a channel asked for applies to the chat for all of its receivers, and across restarts.
func TestRetryAfterHoldsForTheChatAcrossRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		one := &chat{script: []error{&reporter.SendError{Verdict: reporter.VerdictWait, After: 5 * time.Hour, Err: errors.New("429")}}}
		topic := &chat{}
		s := newState(t, pending("a", "oncall"), pending("b", "topic"))
		start := time.Now()
		for range 8 {
			w := build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": one, "topic": topic})
			w.run(time.Hour)
		}
		if one.text() != "a" || topic.text() != "b" {
			t.Fatalf("arrived %q and %q", one.text(), topic.text())
		}
		for _, c := range []*chat{one, topic} {
			if waited := c.at[0].Sub(start); waited < 5*time.Hour || waited > 5*time.Hour+time.Minute {
				t.Errorf("the chat was not called for %v", waited)
			}
		}
	})
}

// A wait is kept across restarts, also for a receiver that was suspended before: a start, or a reload, makes only suspended receivers due
// again.
func TestRetryAfterOutlivesASuspensionAndARestart(t *testing.T) {
	t.Parallel()
	for name, probes := range map[string][]error{
		"asked at a send":          nil,
		"asked at a harmless call": {&reporter.SendError{Verdict: reporter.VerdictWait, After: time.Hour, Err: errors.New("429")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				wait := &reporter.SendError{Verdict: reporter.VerdictWait, After: time.Hour, Err: errors.New("429")}
				c := &chat{script: []error{answer(reporter.VerdictReceiver)}, probes: probes}
				if probes == nil {
					c.script = append(c.script, wait)
				}
				s := newState(t, pending("a", "oncall"))
				start := time.Now()
				for range 9 {
					build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": c}).run(10 * time.Minute)
				}
				if c.text() != "a" {
					t.Fatalf("arrived %q", c.text())
				}
				if waited := c.at[0].Sub(start); waited < time.Hour || waited > time.Hour+3*time.Minute {
					t.Errorf("it was sent after %v", waited)
				}
			})
		})
	}
}

// After a chat has moved, its old configured address is not used; a new configured address is.
func TestAMovedChatIsFollowedUntilTheConfigurationChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{address: "-1", script: []error{&reporter.SendError{Verdict: reporter.VerdictMoved, To: "-2", Err: errors.New("moved")}}}
		topic := &chat{address: "-1"}
		s := newState(t, pending("a", "oncall"), pending("t", "topic"))
		w := build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": c, "topic": topic})
		w.run(time.Minute)
		if _, err := s.Enqueue(t.Context(), pending("b", "oncall")); err != nil {
			t.Fatal(err)
		}
		other := &chat{address: "-3"}
		w = build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": other, "topic": topic})
		w.run(time.Minute)
		if got := c.text() + "; " + topic.text() + "; " + other.text(); got != "a to -2; t to -2; b" {
			t.Errorf("arrived %q", got)
		}
	})
}

// The receiver of a chat that moves in a circle is suspended, and its chat is not called without end.
func TestAChatThatMovesInACircleIsSuspended(t *testing.T) {
	t.Parallel()
	for name, to := range map[string][]string{
		"to itself":      {"-1"},
		"back and forth": {"-2", "-1"},
		"to the new id":  {"-2", "-2"},
		"without end":    {"-2", "-3", "-4", "-5", "-6", "-7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				moved := func(to string) error {
					return &reporter.SendError{Verdict: reporter.VerdictMoved, To: to, Err: errors.New("moved")}
				}
				c, backup := &chat{address: "-1"}, &chat{address: "backup"}
				for range 100 {
					for _, address := range to {
						c.script, c.probes = append(c.script, moved(address)), append(c.probes, moved(address))
					}
				}
				calls := len(c.script) + len(c.probes)
				s := newState(t, pending("a", "oncall"))
				w := build(t, s, compose(subject), outbox.Config{FallbackReceiver: "backup"}, map[string]outbox.Channel{"oncall": c, "backup": backup})
				w.run(time.Minute)
				if made := calls - len(c.script) - len(c.probes); made > 12 {
					t.Errorf("%d calls within a minute", made)
				}
				if suspended, err := w.Suspended(t.Context()); suspended["oncall"].Reason != reporter.ReasonReceiver || len(backup.got) != 1 {
					t.Errorf("suspended %v, %v, notices %q", suspended, err, backup.text())
				}
				c.set(func() { c.script, c.probes = nil, nil })
				w.run(time.Hour)
				if d := w.delivery("a"); d.State != reporter.DeliverySent {
					t.Errorf("once it works the message is %s", d.State)
				}
			})
		})
	}
}

// A suspended receiver whose chat moves is probed at its new address, also if no delivery waits.
func TestASuspendedChatIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{address: "-1", script: []error{answer(reporter.VerdictReceiver)}}
		c.probes = []error{&reporter.SendError{Verdict: reporter.VerdictMoved, To: "-2", Err: errors.New("moved")}}
		s := newState(t, pending("a", "oncall"))
		w := build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		w.run(10 * time.Second)
		if err := s.CancelDelivery(t.Context(), w.delivery("a").ID, time.Now()); err != nil {
			t.Fatal(err)
		}
		w.run(10 * time.Minute)
		if suspended, err := w.Suspended(t.Context()); len(suspended) != 0 || err != nil {
			t.Errorf("suspended: %v, %v", suspended, err)
		}
		if _, err := s.Enqueue(t.Context(), pending("b", "oncall")); err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if c.text() != "b to -2" {
			t.Errorf("arrived %q", c.text())
		}
	})
}

func TestMessagesThatCannotBeComposed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{}
		tries := 0
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			switch d.Subject {
			case "gone":
				return reporter.Message{}, fmt.Errorf("incident: %w", reporter.ErrNotFound)
			case "later":
				if d.Attempts != 0 {
					t.Errorf("waiting counted as %d attempts", d.Attempts)
				}
				if tries++; tries < 4 {
					return reporter.Message{}, &reporter.RetryAfterError{After: time.Minute, Err: errors.New("unreachable")}
				}
			}
			return reporter.Message{HTML: d.Subject}, nil
		})
		s := newState(t, pending("gone", "oncall"), pending("later", "oncall"), pending("now", "oncall"))
		w := build(t, s, composer, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		w.run(5 * time.Second)
		if c.text() != "now" {
			t.Errorf("a message waits for one that cannot be composed: %q", c.text())
		}
		w.run(5 * time.Minute)
		// Without a fallback receiver the chat itself is notified of what was not sent.
		if c.text() != "now, failures, later" || w.delivery("gone").State != reporter.DeliveryGivenUp || tries != 4 {
			t.Errorf("arrived %q after %d tries, %s", c.text(), tries, w.delivery("gone").State)
		}
		if d := w.delivery("later"); d.Attempts != 1 {
			t.Errorf("%d attempts", d.Attempts)
		}
	})
}

// unreadable is a state with a delivery that cannot be read, as one of a later version.
type unreadable struct {
	*state
	id    int64 // 0: all can be read
	reads atomic.Int64
}

func (u *unreadable) Delivery(ctx context.Context, id int64) (reporter.Delivery, error) {
	if id != u.id {
		return u.state.Delivery(ctx, id)
	}
	if u.reads.Add(1) > 1000 {
		panic("the delivery is read without a pause")
	}
	return reporter.Delivery{}, errors.New("unexpected end of JSON input")
}

// A delivery that cannot be read delays no other one of its chat, and is sent once it can be read.
func TestDeliveriesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *reporter.Delivery){
		"not composed": func(*reporter.Delivery) {},
		"composed":     func(d *reporter.Delivery) { d.Parts = []reporter.Part{{HTML: "first"}} },
		"expired":      func(d *reporter.Delivery) { d.CreatedAt = d.CreatedAt.Add(-25 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chat{}
				first := pending("first", "oncall")
				change(&first)
				s := newState(t, first, pending("a", "oncall"), pending("b", "oncall"))
				u := &unreadable{state: s}
				for _, d := range all(t, s.Store) {
					if d.Subject == "first" {
						u.id = d.ID
						d.Parts = first.Parts
						if err := s.Save(t.Context(), d); err != nil {
							t.Fatal(err)
						}
					}
				}
				w := build(t, s, compose(subject), outbox.Config{}, nil)
				w.Outbox = outbox.New(u, compose(subject), map[string]outbox.Channel{"oncall": c}, outbox.Config{Sweep: 10 * time.Minute},
					slog.New(slog.DiscardHandler), prometheus.NewRegistry())
				w.run(time.Minute)
				if c.text() != "a, b" {
					t.Errorf("arrived %q", c.text())
				}
				if u.id = 0; name != "expired" {
					w.run(time.Minute)
					if c.text() != "a, b, first" {
						t.Errorf("once it can be read, arrived %q", c.text())
					}
				}
			})
		})
	}
}

// Compositions that are slow, or never end, delay no other message of their chat.
func TestSlowCompositionsDelayNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{}
		release := make(chan struct{})
		composer := slowly{func(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
			if d.Attempts == 0 && strings.HasPrefix(d.Subject, "slow") {
				<-ctx.Done() // as a query to a server that does not answer
				return reporter.Message{}, ctx.Err()
			}
			if d.Attempts == 0 && strings.HasPrefix(d.Subject, "hangs") {
				<-release
			}
			return reporter.Message{HTML: d.Subject}, nil
		}}
		var ds []reporter.Delivery
		for n := range 5 {
			ds = append(ds, pending(fmt.Sprintf("slow%d", n), "oncall"), pending(fmt.Sprintf("hangs%d", n), "oncall"))
		}
		for n := range 20 {
			ds = append(ds, pending(fmt.Sprintf("quick%d", n), "oncall"))
		}
		w := build(t, newState(t, ds...), composer, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		w.run(20 * time.Second)
		if n := strings.Count(c.text(), "quick"); n != 20 {
			t.Errorf("%d of 20 were sent beside slow ones: %s", n, c.text())
		}
		w.run(5 * time.Minute)
		if len(c.got) != 30 {
			t.Errorf("%d of 30 were sent", len(c.got))
		}
		close(release)
	})
}

type slowly struct {
	do func(context.Context, reporter.Delivery) (reporter.Message, error)
}

func (s slowly) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	return s.do(ctx, d)
}
func (s slowly) Minimal(d reporter.Delivery) reporter.Message {
	return reporter.Message{HTML: d.Subject}
}

func (slowly) Revise(context.Context, reporter.Delivery) (reporter.Message, error) {
	return reporter.Message{}, reporter.ErrObsolete
}

var groupMessages = flag.Int("outbox.messages", 45, "how many messages go to one group in TestTopicsOfAGroupShareItsLimit")

// Messages to the topics of one group are sent as fast as the group's limit allows, and no faster, also if the process is restarted in
// between.
func TestTopicsOfAGroupShareItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limits := []reporter.Limit{{Account: true, N: 28, Per: time.Second}, {N: 1, Per: time.Second}, {N: 20, Per: time.Minute}}
		one, two := &chat{address: "-100", limits: limits}, &chat{address: "-100", limits: limits}
		var ds []reporter.Delivery
		for n := range *groupMessages {
			ds = append(ds, pending(fmt.Sprint(n), []string{"one", "two"}[n%2]))
		}
		s, chats := newState(t, ds...), map[string]outbox.Channel{"one": one, "two": two}
		start := time.Now()
		for range *groupMessages/20 + 2 {
			build(t, s, compose(subject), outbox.Config{}, chats).run(time.Minute)
		}
		at := append(slices.Clone(one.at), two.at...)
		slices.SortFunc(at, time.Time.Compare)
		judge(t, at, start, *groupMessages)
	})
}

// A report and a notice of a new incident precede older postmortems of their chat.
func TestUrgentMessagesComeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{limits: []reporter.Limit{{N: 1, Per: time.Second}, {N: 20, Per: time.Minute}}}
		var ds []reporter.Delivery
		for n := range 40 {
			ds = append(ds, pending(fmt.Sprintf("p%d", n), "r"))
		}
		s := newState(t, ds...)
		w := build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"r": c})
		w.run(5 * time.Second)
		before := len(c.got)
		_, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryReport, "report", "r", time.Now()),
			reporter.NewDelivery(reporter.DeliveryFiring, "firing", "r", time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		w.run(10 * time.Second)
		if len(c.got) < before+2 || c.got[before] != "report" || c.got[before+1] != "firing" {
			t.Errorf("after %d messages came %q", before, c.got[before:])
		}
	})
}

func TestStoreThatFailsForAWhileDoublesNothing(t *testing.T) {
	t.Parallel()
	for failing := range 12 {
		synctest.Test(t, func(t *testing.T) {
			c, s := &chat{}, newState(t, pending("a", "oncall"))
			// The disk is full after the first send.
			c.event = func() {
				if len(c.got) == 1 && failing >= 0 {
					s.mu.Lock()
					s.down, failing = failing, -1
					s.mu.Unlock()
				}
			}
			w := build(t, s, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
			w.run(10 * time.Minute)
			if c.text() != "a.1, a.2" || w.delivery("a").State != reporter.DeliverySent {
				t.Errorf("%d failed writes: arrived %q, %s", failing, c.text(), w.delivery("a").State)
			}
		})
	}
}

// The process ends before or after each write and each send in turn, and a new one continues: nothing is lost, parts stay in order, and
// copies are marked.
func TestDeathAtAnyPointLosesNothing(t *testing.T) {
	t.Parallel()
	for point := range 26 {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := &chat{}, newState(t, pending("a", "oncall"), pending("b", "oncall"))
				if point%2 == 0 {
					c.script = []error{nil, answer(reporter.VerdictUnknown)}
				}
				var events atomic.Int64
				dead := func() bool { return events.Load() > int64(point) }
				s.event, c.event = func() { events.Add(1) }, func() { events.Add(1) }
				s.dead, c.dead = dead, dead
				w := build(t, s, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				w.run(time.Minute)
				s.event, c.event, s.dead, c.dead = nil, nil, nil, nil
				w = build(t, s, compose(nil), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				w.run(10 * time.Minute)
				for _, subject := range []string{"a", "b"} {
					if d := w.delivery(subject); d.State != reporter.DeliverySent {
						t.Errorf("delivery %s is %s", subject, d.State)
					}
					var order []string
					for _, text := range c.got {
						plain := strings.TrimPrefix(text, "repeat ")
						if !strings.HasPrefix(plain, subject) {
							continue
						}
						if slices.Contains(order, plain) && plain == text {
							t.Errorf("%s came twice without a mark: %q", plain, c.got)
						}
						if !slices.Contains(order, plain) {
							order = append(order, plain)
						}
					}
					if !slices.Equal(order, []string{subject + ".1", subject + ".2"}) {
						t.Errorf("arrived %q", c.got)
					}
				}
			})
		})
	}
}

// Many waiting messages of a kind are sent as one; few are sent one by one.
func TestAStormIsOneMessage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind        reporter.DeliveryKind
		count, from int
		want        string
	}{
		"a storm":            {reporter.DeliveryPostmortem, 20, 5, "1"},
		"just so many":       {reporter.DeliveryPostmortem, 5, 5, "1"},
		"few":                {reporter.DeliveryPostmortem, 2, 5, "p0, p1"},
		"never a digest":     {reporter.DeliveryPostmortem, 3, 0, "p0, p1, p2"},
		"a storm of firings": {reporter.DeliveryFiring, 60, 5, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chat{}
				var ds []reporter.Delivery
				for n := range tc.count {
					d := reporter.NewDelivery(tc.kind, fmt.Sprintf("p%d", n), "r", time.Now())
					// They come within a minute, and each waits for a minute.
					d.NextAttempt = d.NextAttempt.Add(time.Minute + time.Duration(n)*3*time.Second)
					ds = append(ds, d)
				}
				s := newState(t, ds...)
				w := build(t, s, compose(subject), outbox.Config{DigestFrom: tc.from}, map[string]outbox.Channel{"r": c})
				w.run(3 * time.Minute)
				if got := c.text(); got != tc.want {
					t.Errorf("arrived %q, want %q", got, tc.want)
				}
				merged := 0
				for _, d := range all(t, s.Store) {
					if d.State == reporter.DeliveryMerged {
						merged++
					} else if d.State != reporter.DeliverySent {
						t.Errorf("%s is %s", d.Key, d.State)
					}
				}
				if (tc.want == "1") != (merged == tc.count && merged > 0) {
					t.Errorf("%d of %d were merged", merged, tc.count)
				}
			})
		})
	}
}

// While the first of many messages are sent slowly, the others wait: they must not be sent one by one.
func TestAStormThatGathersBehindASlowSendIsOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{delay: 2 * time.Second}
		s := newState(t, pending("first", "r"))
		w := build(t, s, compose(subject), outbox.Config{DigestFrom: 5}, map[string]outbox.Channel{"r": c})
		go func() {
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's clock, which does not wait
			var ds []reporter.Delivery
			for n := range 60 {
				ds = append(ds, pending(fmt.Sprintf("p%d", n), "r"))
			}
			if _, err := s.Enqueue(context.Background(), ds...); err != nil {
				t.Error(err)
			}
		}()
		w.run(time.Minute)
		if got, want := c.text(), "first, 2"; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
	})
}

func TestPostmortemAnswersTheNoticeOfItsFiring(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{script: []error{nil, nil, answer(reporter.VerdictReply)}}
		s := newState(t, reporter.NewDelivery(reporter.DeliveryFiring, "A", "r", time.Now()),
			reporter.NewDelivery(reporter.DeliveryFiring, "B", "r", time.Now()), pending("A", "r"), pending("B", "r"), pending("C", "r"))
		w := build(t, s, compose(subject), outbox.Config{}, map[string]outbox.Channel{"r": c})
		w.run(time.Minute)
		// The notice of A does not exist any more.
		if got, want := c.text(), "A, B, A, B answers 2, C"; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
	})
}

func TestObsoleteMessagesAreDroppedInSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{}
		s := newState(t, reporter.NewDelivery(reporter.DeliveryFiring, "A", "r", time.Now()), pending("B", "r"))
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			if d.Kind == reporter.DeliveryFiring {
				return reporter.Message{}, fmt.Errorf("incident: %w", reporter.ErrObsolete)
			}
			return reporter.Message{HTML: d.Subject}, nil
		})
		w := build(t, s, composer, outbox.Config{}, map[string]outbox.Channel{"r": c})
		w.run(time.Minute)
		if c.text() != "B" || w.delivery("A").State != reporter.DeliveryCancelled {
			t.Errorf("arrived %q, the notice is %s", c.text(), w.delivery("A").State)
		}
	})
}

// A message loses only the part that a channel refuses.
func TestRefusedExtrasCostOnlyThemselves(t *testing.T) {
	t.Parallel()
	badButton := answer(reporter.VerdictButtons)
	badButton.URL = "http://bad"
	unknown := answer(reporter.VerdictUnknown)
	for name, tc := range map[string]struct {
		script  []error
		picture string
		want    string
	}{
		"nothing":                   {nil, "png", "A with png [bad] [good]"},
		"the picture":               {[]error{answer(reporter.VerdictPicture)}, "png", "A [bad] [good]"},
		"a picture after the text":  {[]error{nil, answer(reporter.VerdictPicture)}, "behind", "A [bad] [good]"},
		"one button":                {[]error{badButton}, "png", "A with png [good]"},
		"buttons":                   {[]error{answer(reporter.VerdictButtons)}, "png", "A with png"},
		"markup":                    {[]error{answer(reporter.VerdictMarkup)}, "png", "plain A with png [bad] [good]"},
		"an unknown part":           {[]error{answer(reporter.VerdictRefused), answer(reporter.VerdictRefused)}, "png", "plain A"},
		"the second retry's upload": {[]error{unknown, unknown}, "png", "repeat A [bad] [good]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chat{script: tc.script}
				composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
					return reporter.Message{
						HTML: d.Subject, Picture: []byte(tc.picture),
						Buttons: []reporter.Button{{Text: "bad", URL: "http://bad"}, {Text: "good", URL: "http://good"}},
					}, nil
				})
				w := build(t, newState(t, pending("A", "r")), composer, outbox.Config{}, map[string]outbox.Channel{"r": c})
				w.run(time.Minute)
				if got := c.text(); got != tc.want {
					t.Errorf("arrived %q, want %q", got, tc.want)
				}
				d := w.delivery("A")
				if d.State != reporter.DeliverySent {
					t.Errorf("it is %s", d.State)
				}
				for _, p := range d.Parts {
					if p.Picture != nil {
						t.Error("the picture is kept though it is sent")
					}
				}
			})
		})
	}
}

// A suspension and the failures of the deliveries that waited for it are one notice with a count. Without a fallback receiver it is sent
// to the chat itself, once that works again.
func TestManyFailuresAreOneNotice(t *testing.T) {
	t.Parallel()
	for name, fallback := range map[string]string{"with a fallback receiver": "backup", "without one": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, backup := &chat{refuses: answer(reporter.VerdictReceiver)}, &chat{address: "backup"}
				var ds []reporter.Delivery
				for n := range 10 {
					ds = append(ds, pending(fmt.Sprint(n), "oncall"))
				}
				s := newState(t, ds...)
				composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
					if d.Kind != reporter.DeliveryNotice {
						return reporter.Message{HTML: d.Subject}, nil
					}
					f, err := s.Failures(t.Context(), d.ID, 3)
					return reporter.Message{HTML: fmt.Sprintf("failed %d, suspended %d, waiting %d", f.Count, len(f.Suspended), f.WaitCount)}, err
				})
				w := build(t, s, composer, outbox.Config{FallbackReceiver: fallback, OutageMax: 2 * time.Hour, ProbeMax: 4 * time.Hour}, map[string]outbox.Channel{"oncall": c, "backup": backup})
				w.run(30 * time.Hour)
				want := "failed 0, suspended 1, waiting 10"
				if fallback == "" {
					want = ""
				}
				if backup.text() != want {
					t.Errorf("the fallback got %q, want %q", backup.text(), want)
				}
				c.set(func() { c.refuses = nil })
				w.run(5 * time.Hour)
				for _, d := range all(t, s.Store) {
					if d.Kind == reporter.DeliveryPostmortem && (d.State != reporter.DeliveryGivenUp || d.NoticeID == 0) {
						t.Errorf("%s is %s, named by notice %d", d.Subject, d.State, d.NoticeID)
					}
				}
				if want := "failed 10, suspended 0, waiting 0"; fallback == "" && c.text() != want {
					t.Errorf("once it works again, the chat got %q, want %q", c.text(), want)
				}
			})
		})
	}
}

// Deliveries to a suspended receiver after its notice are counted by one further notice later; the notice of a token counts the deliveries
// of all of its receivers; deliveries that fail for another reason have their own notice.
func TestNoticesOfALongSuspension(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, topic, backup := &chat{refuses: answer(reporter.VerdictAccount)}, &chat{address: "43", refuses: answer(reporter.VerdictAccount)}, &chat{address: "backup", account: "2"}
		s := newState(t, pending("first", "oncall"), pending("second", "topic"))
		composer := compose(func(d reporter.Delivery) (reporter.Message, error) {
			if d.Kind != reporter.DeliveryNotice {
				return reporter.Message{HTML: d.Subject}, nil
			}
			f, err := s.Failures(t.Context(), d.ID, 3)
			return reporter.Message{HTML: fmt.Sprintf("failed %d, suspended %d, waiting %d", f.Count, len(f.Suspended), f.WaitCount)}, err
		})
		w := build(t, s, composer, outbox.Config{FallbackReceiver: "backup", ProbeMax: 20 * time.Minute, GiveUpAfter: 2 * time.Hour, NoticeAgain: 2 * time.Hour}, map[string]outbox.Channel{"oncall": c, "topic": topic, "backup": backup})
		w.run(time.Minute)
		want := "failed 0, suspended 1, waiting 2"
		if backup.text() != want {
			t.Fatalf("the fallback got %q, want %q", backup.text(), want)
		}
		for n, after := range []time.Duration{2 * time.Minute, 2 * time.Minute, 100 * time.Minute, 40 * time.Minute} {
			if _, err := s.Enqueue(t.Context(), pending(fmt.Sprint("later ", n), "oncall")); err != nil {
				t.Fatal(err)
			}
			w.run(after)
		}
		w.run(4 * time.Hour)
		named := 0
		for _, d := range all(t, s.Store) {
			if d.State == reporter.DeliveryGivenUp && d.NoticeID != 0 {
				named++
			}
		}
		if notices := strings.Count(backup.text(), "failed"); named != 6 || notices != 3 {
			t.Errorf("%d of 6 messages were named, by %d notices: %s", named, notices, backup.text())
		}
		before := backup.text()
		topic.set(func() { topic.refuses = nil })
		refused := answer(reporter.VerdictRefused)
		c.set(func() { c.refuses, c.script = nil, []error{refused, refused, refused} })
		if _, err := s.Enqueue(t.Context(), pending("refused", "oncall")); err != nil {
			t.Fatal(err)
		}
		w.run(time.Hour)
		if d := w.delivery("refused"); d.State != reporter.DeliveryGivenUp || backup.text() != before+", failed 1, suspended 0, waiting 0" {
			t.Errorf("%s; the fallback got %q after %q", d.State, backup.text(), before)
		}
	})
}

// In an outage in which answers are lost, no message is lost, and at most the first one is sent twice.
func TestAnOutageMakesNoCopies(t *testing.T) {
	t.Parallel()
	for _, outage := range []time.Duration{12 * time.Second, 155 * time.Second, 20 * time.Minute} {
		t.Run(outage.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chat{refuses: answer(reporter.VerdictUnknown), arrives: true}
				var ds []reporter.Delivery
				for n := range 12 {
					ds = append(ds, pending(fmt.Sprint(n), "oncall"))
				}
				w := build(t, newState(t, ds...), compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				time.AfterFunc(outage, func() { c.set(func() { c.refuses = nil }) })
				w.run(outage + 2*time.Minute)
				if got := c.text(); !strings.HasPrefix(got, "0, repeat 0, ") || len(c.got) != 13 {
					t.Errorf("arrived %q", got)
				}
			})
		})
	}
}

// A stop during an outage is quick, and no send that was answered gets an unknown outcome.
func TestStopIsQuick(t *testing.T) {
	t.Parallel()
	wait := &reporter.SendError{Verdict: reporter.VerdictWait, After: 10 * time.Minute, Err: errors.New("503")}
	for name, tc := range map[string]struct {
		refuses error
		delay   time.Duration // of each send
		within  time.Duration
		unknown int
	}{
		"asked to wait":                {refuses: wait, within: time.Second},
		"refused by a broken server":   {refuses: answer(reporter.VerdictRetry), within: time.Second},
		"answers are lost":             {refuses: answer(reporter.VerdictUnknown), within: time.Second, unknown: 1},
		"a slow answer is waited for":  {refuses: wait, delay: 5 * time.Second, within: 3 * time.Second},
		"an answer that does not come": {delay: time.Hour, within: 9 * time.Second, unknown: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := &chat{refuses: tc.refuses, delay: tc.delay}
				w := build(t, newState(t, pending("a", "oncall")), compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				start := time.Now()
				w.run(3 * time.Second)
				if took := time.Since(start) - 3*time.Second; took > tc.within {
					t.Errorf("the stop took %v", took)
				}
				if d := w.delivery("a"); d.State != reporter.DeliveryPending || d.Parts[0].Ambiguous+d.Parts[0].Interrupted != tc.unknown {
					t.Errorf("the delivery is %s, %+v", d.State, d.Parts)
				}
			})
		})
	}
}

// A report that was due too long ago is not sent, and there is a notice of it.
func TestMissedReports(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &chat{}
		d := reporter.NewDelivery(reporter.DeliveryReport, "daily@2000-01-01T00:00:00Z", "r", time.Now())
		d.Reason = reporter.ReasonMissed
		w := build(t, newState(t, d), compose(subject), outbox.Config{}, map[string]outbox.Channel{"r": c})
		w.run(time.Minute)
		if got := w.delivery(d.Subject); c.text() != "failures" || got.State != reporter.DeliveryGivenUp || got.Attempts != 0 {
			t.Errorf("arrived %q, %s after %d attempts", c.text(), got.State, got.Attempts)
		}
	})
}
