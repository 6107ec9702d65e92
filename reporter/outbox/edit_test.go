package outbox_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

// editable is a chat whose messages can be edited. It answers edits by a script, and keeps what each message shows.
type editable struct {
	chat
	edits   []error // of the next edits; nil is edited
	arrives bool    // an edit that gets an error is made nevertheless
	shows   map[string]string
	history []string
	when    []time.Time
}

func (c *editable) Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	id, err := c.chat.Send(ctx, part, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.set1(id, c.got[len(c.got)-1])
	}
	return id, err
}

func (c *editable) set1(id, text string) {
	if c.shows == nil {
		c.shows = map[string]string{}
	}
	c.shows[id] = text
}

func (c *editable) Revise(msg reporter.Message, sent []reporter.Part) []reporter.Part {
	parts := slices.Clone(sent)
	for n, text := range strings.Split(msg.HTML, "\n") {
		if n < len(parts) {
			parts[n].HTML, parts[n].Buttons = text, nil
		}
	}
	parts[0].Buttons = msg.Buttons
	return parts
}

func (c *editable) Edit(_ context.Context, part reporter.Part, _ reporter.SendOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.event != nil {
		c.event()
	}
	if c.dead != nil && c.dead() {
		return errDead
	}
	var err error
	if len(c.edits) > 0 {
		err, c.edits = c.edits[0], c.edits[1:]
	}
	if err == nil || c.arrives {
		text := part.HTML
		if part.Plain {
			text = "plain " + text
		}
		for _, b := range part.Buttons {
			text += " [" + b.Text + "]"
		}
		c.set1(part.MessageID, text)
		c.history, c.when = append(c.history, text), append(c.when, time.Now())
	}
	if c.event != nil {
		c.event()
	}
	return err
}

// live composes the state of an incident, and lets its messages be edited.
type live struct {
	store   *store.Store
	compose func() // before a revision
}

func (l live) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	return l.text(ctx, d, !d.Replaced)
}

func (l live) Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	if l.compose != nil {
		l.compose()
	}
	return l.text(ctx, d, false)
}

func (l live) Minimal(d reporter.Delivery) reporter.Message { return reporter.Message{HTML: d.Subject} }

func (l live) text(ctx context.Context, d reporter.Delivery, first bool) (reporter.Message, error) {
	subjects := []string{d.Subject}
	if d.Kind == reporter.DeliveryFiringDigest {
		var err error
		if subjects, err = l.store.MergedInto(ctx, d.ID); err != nil {
			return reporter.Message{}, err
		}
	}
	var texts []string
	for _, id := range subjects {
		in, err := l.store.Incident(ctx, id)
		if err != nil {
			return reporter.Message{}, err
		}
		if in.Over() && first && d.Kind == reporter.DeliveryFiring {
			return reporter.Message{}, reporter.ErrObsolete
		}
		text := id + " " + string(in.State)
		entries, err := l.store.Entries(ctx, id)
		if err != nil {
			return reporter.Message{}, err
		}
		if a := reporter.AcknowledgementOf(entries); a.Active() {
			text += " by " + a.By.Name
		}
		texts = append(texts, text)
	}
	return reporter.Message{HTML: strings.Join(texts, "; "), Buttons: []reporter.Button{{Text: "page", URL: "https://r.example/"}}}, nil
}

// put stores incidents in a state, and the notices of those that begin.
func put(t testing.TB, s *store.Store, state reporter.IncidentState, receiver string, ids ...string) {
	t.Helper()
	var q reporter.JournalQuery
	q.Incidents = ids
	err := s.Update(t.Context(), q, func(v reporter.JournalView) (c reporter.JournalChanges) {
		for _, id := range ids {
			in := reporter.Incident{ID: id, Key: id, State: state, StartedAt: v.Now, AlertsTotal: 1, FirstSeenAt: v.Now, LastSeenAt: v.Now}
			for _, known := range v.Incidents {
				if known.ID == id {
					in = known
					in.State = state
				}
			}
			if in.Over() {
				in.EndedAt = v.Now
			}
			c.Incidents = append(c.Incidents, in)
			if len(v.Incidents) == 0 {
				c.Deliveries = append(c.Deliveries, reporter.NewDelivery(reporter.DeliveryFiring, id, receiver, v.Now))
			}
		}
		return c
	})
	if err != nil {
		t.Fatal(err)
	}
}

func acknowledge(t testing.TB, s *store.Store, id string) {
	t.Helper()
	if _, _, err := s.Acknowledge(t.Context(), id, reporter.Person{Kind: reporter.AuthorCommand, Name: "Alice"}, reporter.MessageRef{}); err != nil {
		t.Fatal(err)
	}
}

// edits returns the edits that wait, also those that are not due yet.
func edits(t testing.TB, s *store.Store, receivers ...string) []reporter.Edit {
	t.Helper()
	list, err := s.DueEdits(t.Context(), receivers, time.Now().Add(1000*time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A notice shows the changes of its incident, and several changes at the same time are one edit.
func TestANoticeFollowsItsIncident(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := &editable{}, newState(t)
		w := build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
		w.run(time.Second)
		acknowledge(t, s.Store, "I")
		w.run(10 * time.Second)
		put(t, s.Store, reporter.IncidentChronic, "oncall", "I")
		put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
		w.run(10 * time.Second)
		put(t, s.Store, reporter.IncidentResolved, "oncall", "I") // nothing new
		w.run(10 * time.Second)
		if want := []string{"I open by Alice [page]", "I resolved by Alice [page]"}; !slices.Equal(c.history, want) || c.text() != "I open [page]" {
			t.Errorf("sent %q, edited to %q, want %q", c.text(), c.history, want)
		}
		d := w.delivery("I")
		if d.State != reporter.DeliverySent || d.Message.HTML != "I resolved by Alice" || d.Parts[0].EditedAt.IsZero() || d.Parts[0].Editing {
			t.Errorf("delivery %+v", d)
		}
		if left := edits(t, s.Store, "oncall"); len(left) > 0 {
			t.Errorf("left: %+v", left)
		}
		if text := exposition(t, w.reg); !strings.Contains(text, `awoooi_reporter_edits_total{outcome="edited",receiver="oncall"} 2`) {
			t.Error("the edits are not counted")
		}
	})
}

// Sixty incidents fire and end in one group: there are at most 20 calls a minute, and each message is right in the end. Notices precede
// edits.
func TestAStormIsEditedWithinTheLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const incidents = 60
		c := &editable{chat: chat{limits: []reporter.Limit{{Account: true, N: 28, Per: time.Second}, {N: 1, Per: time.Second}, {N: 20, Per: time.Minute}}}}
		s := newState(t)
		w := build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		var ids []string
		for n := range incidents {
			ids = append(ids, fmt.Sprint("I", n))
		}
		put(t, s.Store, reporter.IncidentOpen, "oncall", ids...)
		w.run(30 * time.Second)
		for _, id := range ids[:20] { // Some have been sent, and others are about to be.
			acknowledge(t, s.Store, id)
		}
		w.run(2 * time.Minute)
		sent := len(c.got)
		put(t, s.Store, reporter.IncidentOpen, "oncall", "late")
		w.run(time.Minute)
		if !slices.Contains(c.got[sent:min(len(c.got), sent+8)], "late open [page]") {
			t.Errorf("a notice waits for edits: %q", c.got[sent:])
		}
		put(t, s.Store, reporter.IncidentResolved, "oncall", ids...)
		w.run(30 * time.Minute)
		calls := append(slices.Clone(c.at), c.when...)
		slices.SortFunc(calls, time.Time.Compare)
		for n, at := range calls {
			if n >= 20 && at.Sub(calls[n-20]) < time.Minute {
				t.Fatalf("more than 20 calls in the minute before %v", at)
			}
		}
		for _, d := range all(t, s.Store) {
			want := d.Subject + " resolved [page]"
			switch {
			case d.Subject == "late":
				want = "late open [page]"
			case slices.Contains(ids[:20], d.Subject):
				want = d.Subject + " resolved by Alice [page]"
			}
			if d.State == reporter.DeliverySent && c.shows[d.Parts[0].MessageID] != want {
				t.Errorf("%s shows %q", d.Subject, c.shows[d.Parts[0].MessageID])
			}
		}
		if left := edits(t, s.Store, "oncall"); len(left) > 0 {
			t.Errorf("%d edits are left: %+v", len(left), left[0])
		}
		t.Logf("%d sends and %d edits in %v", len(c.at), len(c.when), calls[len(calls)-1].Sub(calls[0]).Round(time.Second))
	})
}

// A digest of many incidents is edited as one message.
func TestADigestIsEdited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := &editable{}, newState(t)
		w := build(t, s, live{store: s.Store}, outbox.Config{DigestFrom: 3}, map[string]outbox.Channel{"oncall": c})
		for n := range 4 {
			put(t, s.Store, reporter.IncidentOpen, "oncall", fmt.Sprint("I", n))
		}
		w.run(time.Second)
		acknowledge(t, s.Store, "I2")
		for n := range 2 {
			put(t, s.Store, reporter.IncidentResolved, "oncall", fmt.Sprint("I", n))
		}
		w.run(time.Minute)
		if want := []string{"I0 resolved; I1 resolved; I2 open by Alice; I3 open [page]"}; !slices.Equal(c.history, want) || len(c.got) != 1 {
			t.Errorf("sent %q, edited to %q", c.got, c.history)
		}
	})
}

// The answer to an edit decides what happens next. An edit never sends a message that was not sent before, nor a notice of its failure; a
// message that was deleted is sent again, once.
func TestVerdictsOfEdits(t *testing.T) {
	t.Parallel()
	always := func(err error) []error { return slices.Repeat([]error{err}, 1000) }
	wait := &reporter.SendError{Verdict: reporter.VerdictWait, After: time.Hour, Err: errors.New("429")}
	moved := &reporter.SendError{Verdict: reporter.VerdictMoved, To: "-99", Err: errors.New("moved")}
	const first, changed = "I open [page]", "I resolved [page]"
	for name, tc := range map[string]struct {
		edits   []error
		arrives bool
		run     time.Duration
		sent    int
		shows   string // the last message
		left    int
		metric  string
	}{
		"edited":                         {run: time.Second, sent: 1, shows: changed, metric: "edited"},
		"not answered":                   {edits: []error{errors.New("x")}, run: time.Minute, sent: 1, shows: changed, metric: "error"},
		"an outcome that is not known":   {edits: []error{answer(reporter.VerdictUnknown)}, run: time.Minute, sent: 1, shows: changed, metric: "ambiguous"},
		"made, and its answer is lost":   {edits: []error{answer(reporter.VerdictUnknown)}, arrives: true, run: time.Minute, sent: 1, shows: changed},
		"never answered":                 {edits: always(errors.New("x")), run: 25 * time.Hour, sent: 1, shows: first, metric: "given_up"},
		"asked to wait":                  {edits: []error{wait}, run: 59 * time.Minute, sent: 1, shows: first, left: 1, metric: "retry_after"},
		"asked to wait, and did":         {edits: []error{wait}, run: 61 * time.Minute, sent: 1, shows: changed},
		"markup that is refused":         {edits: []error{answer(reporter.VerdictMarkup)}, run: time.Second, sent: 1, shows: "plain " + changed},
		"buttons that are refused":       {edits: []error{answer(reporter.VerdictButtons)}, run: time.Second, sent: 1, shows: "I resolved"},
		"refused":                        {edits: always(answer(reporter.VerdictRefused)), run: time.Second, sent: 1, shows: first, metric: "given_up"},
		"the chat is refused":            {edits: always(answer(reporter.VerdictReceiver)), run: 25 * time.Hour, sent: 1, shows: first, metric: "given_up"},
		"the token is refused":           {edits: []error{answer(reporter.VerdictAccount)}, run: time.Minute, sent: 1, shows: changed},
		"the chat has moved":             {edits: []error{moved}, run: time.Minute, sent: 1, shows: first, metric: "moved"},
		"deleted":                        {edits: []error{answer(reporter.VerdictGone)}, run: time.Minute, sent: 2, shows: changed, metric: "replaced"},
		"deleted again, and not wanted":  {edits: always(answer(reporter.VerdictGone)), run: 25 * time.Hour, sent: 2, shows: changed, metric: "replaced"},
		"deleted while it is acted upon": {edits: []error{errors.New("x"), answer(reporter.VerdictGone)}, run: time.Minute, sent: 2, shows: changed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, fallback, s := &editable{edits: tc.edits, arrives: tc.arrives}, &chat{address: "backup", account: "2"}, newState(t)
				w := build(t, s, live{store: s.Store}, outbox.Config{FallbackReceiver: "backup"}, map[string]outbox.Channel{"oncall": c, "backup": fallback})
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
				w.run(time.Second)
				put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
				w.run(tc.run)
				if name == "deleted again, and not wanted" { // One more change finds it gone, and then it is left alone.
					for range 3 {
						acknowledgeEnd(t, s.Store, "I")
						w.run(time.Minute)
					}
				}
				if got := c.shows[strconv.Itoa(len(c.got))]; len(c.got) != tc.sent || got != tc.shows || len(fallback.got) > 0 {
					t.Errorf("sent %q, the last shows %q, want %q; notices %q", c.got, got, tc.shows, fallback.got)
				}
				if left := edits(t, s.Store, "oncall"); len(left) != tc.left {
					t.Errorf("left: %+v", left)
				}
				if tc.metric != "" && !strings.Contains(exposition(t, w.reg), fmt.Sprintf("awoooi_reporter_edits_total{outcome=%q,receiver=\"oncall\"} 1", tc.metric)) {
					t.Errorf("the outcome %s is not counted once", tc.metric)
				}
				for _, d := range all(t, s.Store) {
					if d.State != reporter.DeliverySent || d.Kind != reporter.DeliveryFiring {
						t.Errorf("delivery %+v", d)
					}
				}
			})
		})
	}
}

// A message that could not be edited for longer than give_up_after is edited once its receiver works again, or a process runs again.
func TestEditsOutlastASuspension(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		edits    []error // before the suspension
		suspends reporter.Verdict
	}{
		"of the receiver":                        {suspends: reporter.VerdictReceiver},
		"of the account":                         {suspends: reporter.VerdictAccount},
		"of the receiver, which an edit noticed": {edits: slices.Repeat([]error{answer(reporter.VerdictReceiver)}, 1000), suspends: reporter.VerdictReceiver},
		"no process":                             {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := &editable{}, newState(t)
				w := build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
				w.run(time.Second)
				c.set(func() { c.edits = tc.edits })
				put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
				if tc.suspends != reporter.VerdictRetry {
					if tc.edits != nil {
						w.run(9 * time.Hour)
					}
					c.set(func() { c.refuses = answer(tc.suspends) })
					put(t, s.Store, reporter.IncidentOpen, "oncall", "J")
					w.run(60 * time.Hour)
				} else {
					<-time.After(60 * time.Hour)
				}
				if c.shows["1"] != "I open [page]" {
					t.Fatalf("the message shows %q while it cannot be edited", c.shows["1"])
				}
				c.set(func() { c.refuses, c.edits = nil, nil })
				w.run(3 * time.Hour)
				if c.shows["1"] != "I resolved [page]" || len(edits(t, s.Store, "oncall")) > 0 {
					t.Errorf("the message shows %q", c.shows["1"])
				}
			})
		})
	}
}

// buttoned composes messages with two links and an action.
type buttoned struct{ live }

func (b buttoned) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := b.live.Compose(ctx, d)
	return b.with(msg), err
}

func (b buttoned) Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := b.live.Revise(ctx, d)
	return b.with(msg), err
}

func (buttoned) with(msg reporter.Message) reporter.Message {
	msg.Buttons = append(msg.Buttons, reporter.Button{Text: "bad", URL: "http://bad.example/"}, reporter.Button{Text: "ack", Action: reporter.ActionAcknowledge})
	return msg
}

// A message, or its edit, loses a link that is refused, and its actions only if they are refused too.
func TestRefusedButtons(t *testing.T) {
	t.Parallel()
	named := answer(reporter.VerdictButtons)
	named.URL = "http://BAD.example/"
	unnamed := answer(reporter.VerdictButtons)
	for name, tc := range map[string]struct {
		refused []error
		buttons string
	}{
		"the link that is named": {[]error{named}, " [page] [ack]"},
		"all links":              {[]error{unnamed}, " [ack]"},
		"named, and others":      {[]error{named, unnamed}, " [ack]"},
		"all buttons":            {[]error{unnamed, unnamed}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := &editable{chat: chat{script: slices.Clone(tc.refused)}, edits: slices.Clone(tc.refused)}, newState(t)
				w := build(t, s, buttoned{live{store: s.Store}}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
				w.run(time.Second)
				put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
				w.run(time.Minute)
				if want := "I open" + tc.buttons; c.text() != want {
					t.Errorf("sent %q, want %q", c.text(), want)
				}
				if want := "I resolved" + tc.buttons; c.shows["1"] != want {
					t.Errorf("edited to %q, want %q", c.shows["1"], want)
				}
			})
		})
	}
}

// acknowledgeEnd changes an incident that is over, so that its notice is due for an edit: it fires again and ends.
func acknowledgeEnd(t testing.TB, s *store.Store, id string) {
	t.Helper()
	put(t, s, reporter.IncidentOpen, "oncall", id)
	put(t, s, reporter.IncidentResolved, "oncall", id)
}

// A message that cannot be edited, or that was not sent, stays as it is.
func TestWhatIsNotEdited(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		channel func(*editable) outbox.Channel
		before  func(s *state, c *editable)
	}{
		"a channel that cannot":                          {channel: func(c *editable) outbox.Channel { return &c.chat }},
		"a message in a chat that was configured before": {before: func(_ *state, c *editable) { c.address = "43" }},
		"a message in a chat that was configured by its name": {
			channel: func(c *editable) outbox.Channel {
				c.address = "@oncall"
				return c
			},
			before: func(_ *state, c *editable) { c.address = "-1001" },
		},
		"a message of another bot": {before: func(_ *state, c *editable) { c.account = "2" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := &editable{}, newState(t)
				var channel outbox.Channel = c
				if tc.channel != nil {
					channel = tc.channel(c)
				}
				w := build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": channel})
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
				w.run(time.Second)
				if tc.before != nil {
					tc.before(s, c)
				}
				put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
				w = build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": channel})
				w.run(time.Hour)
				if len(c.history) > 0 || len(c.got) != 1 || len(edits(t, s.Store, "oncall")) > 0 {
					t.Errorf("sent %q, edited %q", c.got, c.history)
				}
			})
		})
	}
	t.Run("a notice that is over before it is sent", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			c, s := &editable{}, newState(t)
			put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
			put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
			w := build(t, s, live{store: s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
			w.run(time.Hour)
			if len(c.got)+len(c.history) > 0 || len(edits(t, s.Store, "oncall")) > 0 {
				t.Errorf("sent %q, edited %q", c.got, c.history)
			}
		})
	})
}

// The process ends before or after each write and each call in turn, and a new one continues: each message is right in the end, also if
// the incident has returned to its earlier state.
func TestDeathAtAnyPointOfAnEdit(t *testing.T) {
	t.Parallel()
	for point := range 14 {
		t.Run(fmt.Sprint(point), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, s := &editable{}, newState(t)
				chats := map[string]outbox.Channel{"oncall": c}
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I", "J")
				build(t, s, live{store: s.Store}, outbox.Config{}, chats).run(10 * time.Second)
				put(t, s.Store, reporter.IncidentResolved, "oncall", "I", "J")
				var events atomic.Int64
				dead := func() bool { return events.Load() > int64(point) }
				s.event, c.event = func() { events.Add(1) }, func() { events.Add(1) }
				s.dead, c.dead = dead, dead
				build(t, s, live{store: s.Store}, outbox.Config{}, chats).run(time.Minute)
				s.event, c.event, s.dead, c.dead = nil, nil, nil, nil
				put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
				build(t, s, live{store: s.Store}, outbox.Config{}, chats).run(2 * time.Hour)
				if c.shows["1"] != "I open [page]" || c.shows["2"] != "J resolved [page]" || len(c.got) != 2 || len(edits(t, s.Store, "oncall")) > 0 {
					t.Errorf("the messages show %q", c.shows)
				}
			})
		})
	}
}

// An edit whose composition ends the process each time is given up, and the others are made.
func TestAnEditThatCannotBeComposed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := &editable{}, newState(t)
		composer := live{store: s.Store}
		chats := map[string]outbox.Channel{"oncall": c}
		put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
		build(t, s, composer, outbox.Config{}, chats).run(10 * time.Second)
		put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
		composed := 0
		composer.compose = func() {
			composed++
			panic("x")
		}
		build(t, s, composer, outbox.Config{}, chats).run(25 * time.Hour)
		if composed < 5 || composed > 60 || len(edits(t, s.Store, "oncall")) > 0 || c.shows["1"] != "I open [page]" {
			t.Errorf("composed %d times", composed)
		}
	})
}

// editDir is set in the processes that TestKilledDuringEdits starts.
const editDir = "AWOOOI_TEST_EDIT_DIR"

// After a process was killed with SIGKILL at any call or write of an edit, the next one edits each message. An edit during whose
// composition a process was killed is composed alone, and given up after the third time.
func TestKilledDuringEdits(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv(editDir); dir != "" {
		editUntilKilled(t, dir)
		return
	}
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bot.Close)
	dir := t.TempDir()
	run := func(killAt string) error {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilledDuringEdits$")
		cmd.Env = append(os.Environ(), editDir+"="+dir, "AWOOOI_TEST_BOT="+bot.URL(), "AWOOOI_TEST_KILL_AT="+killAt)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL { //nolint:forcetypeassert // on Linux
			return err
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return nil
	}
	change := func(state reporter.IncidentState) {
		s := storetest.Open(t, dir)
		put(t, s, state, "oncall", "I")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	change(reporter.IncidentOpen)
	run("never")
	kills := 0
	for n, at := range []string{"compose", "begin", "edit", "end", "compose", "compose"} {
		state := []reporter.IncidentState{reporter.IncidentChronic, reporter.IncidentResolved}[n%2]
		change(state)
		if run(at) != nil {
			kills++
		}
		if run("never") != nil {
			t.Fatal("the second process was killed")
		}
		want := "I " + string(state)
		if m := bot.Messages(); len(m) != 1 || m[0].Plain != want {
			t.Errorf("killed at %s: %d messages, the first shows %q, want %q", at, len(m), m[0].Plain, want)
		}
	}
	if kills != 6 {
		t.Errorf("%d processes were killed", kills)
	}
	change(reporter.IncidentChronic)
	for range 3 {
		if run("compose") == nil {
			t.Error("the process was not killed")
		}
	}
	if run("compose") != nil { // The edit is given up, and not composed any more.
		t.Error("the process was killed for the fourth time")
	}
}

// killing kills its process at one kind of event.
type killing struct {
	*store.Store
	at string
}

func (k killing) kill(at string) {
	if k.at == at {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (k killing) BeginEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, p []reporter.Pass) (time.Time, bool, error) {
	until, current, err := k.Store.BeginEdit(ctx, e, d, p)
	k.kill("begin")
	return until, current, err
}

func (k killing) EndEdit(ctx context.Context, e reporter.Edit, d reporter.Delivery, more bool, p []reporter.Pass) error {
	k.kill("edit")
	err := k.Store.EndEdit(ctx, e, d, more, p)
	k.kill("end")
	return err
}

// editUntilKilled is the process, which sends and edits until nothing is left.
func editUntilKilled(t *testing.T, dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := storetest.Open(t, dir)
	k := killing{s, os.Getenv("AWOOOI_TEST_KILL_AT")}
	channel, err := telegram.New(telegram.Config{
		Token: secret.New(token), ChatID: "-100", APIURL: os.Getenv("AWOOOI_TEST_BOT"),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	composer := live{store: s, compose: func() { k.kill("compose") }}
	o := outbox.New(k, composer, map[string]outbox.Channel{"oncall": channel}, outbox.Config{Sweep: 20 * time.Millisecond},
		slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	for ctx.Err() == nil {
		pending, _, err := s.Pending(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(pending) == 0 && len(edits(t, s, "oncall")) == 0 {
			break
		}
		timer := time.NewTimer(5 * time.Millisecond)
		<-timer.C
	}
	if ctx.Err() != nil {
		t.Error("nothing is done in a minute")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An entry of a person edits the latest postmortem of an incident, and not its notice.
func TestAPostmortemShowsWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s := &editable{}, newState(t)
		w := build(t, s, written{s.Store}, outbox.Config{}, map[string]outbox.Channel{"oncall": c})
		put(t, s.Store, reporter.IncidentOpen, "oncall", "I")
		w.run(time.Second)
		put(t, s.Store, reporter.IncidentResolved, "oncall", "I")
		if _, err := s.Enqueue(t.Context(), reporter.NewDelivery(reporter.DeliveryPostmortem, "I", "oncall", time.Now())); err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if len(c.got) != 2 {
			t.Fatalf("sent %q", c.got)
		}
		c.history = nil
		_, err := s.Write(t.Context(), reporter.Entry{Incident: "I", Kind: reporter.EntryCause, Text: "the disk", Author: "Alice", AuthorKind: reporter.AuthorPage, WrittenAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		w.run(time.Minute)
		if want := []string{"postmortem of I: the disk"}; !slices.Equal(c.history, want) {
			t.Errorf("edited to %q, want %q", c.history, want)
		}
	})
}

// written composes the entries of people.
type written struct{ store *store.Store }

func (c written) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	entries, err := c.store.Entries(ctx, d.Subject)
	sections, _ := reporter.Current(entries)
	return reporter.Message{HTML: fmt.Sprintf("%s of %s: %s", d.Kind, d.Subject, cmp.Or(sections[reporter.EntryCause].Text, "?"))}, err
}

func (c written) Revise(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	return c.Compose(ctx, d)
}

func (c written) Minimal(reporter.Delivery) reporter.Message { return reporter.Message{} }
