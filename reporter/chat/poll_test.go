package chat_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/store/storetest"
)

// gate returns a gate of polls, or of the account.
func (w *world) gate(key string) reporter.Gate {
	w.t.Helper()
	gates, err := w.store.Gates(w.t.Context(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	return gates[0]
}

func (w *world) polls(outcome string) int {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "awoooi_reporter_chat_polls_total" && l.GetName() == "outcome" && l.GetValue() == outcome {
					return int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return -1
}

// After polls that failed, the updates of that time are received, and the error was logged once.
func TestPollsThatFail(t *testing.T) {
	t.Parallel()
	conflict := localstack.BotFault{Status: 409, Description: "Conflict: terminated by other getUpdates request"}
	for name, tc := range map[string]struct {
		faults  []localstack.BotFault
		outcome string
		log     string
	}{
		"another program polls": {[]localstack.BotFault{conflict, conflict, conflict}, "conflict", "another program receives the updates of the chats"},
		"the network":           {[]localstack.BotFault{{Cut: true}, {CutAtOnce: true}, {HalfAnAnswer: true}}, "not_answered", "updates cannot be received"},
		"a gateway":             {[]localstack.BotFault{{Status: 502, Proxy: true}, {Garbage: true}, {Status: 500, Description: "Internal"}}, "not_answered", "updates cannot be received"},
		"too many requests":     {[]localstack.BotFault{{Status: 429, Description: "Too Many Requests", RetryAfter: 1}}, "wait", "the channel asks to wait"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.incident("I-1", "", false)
			notice := w.notice("I-1", "oncall")
			w.bot.FailPolls(tc.faults...)
			if _, err := w.bot.Tap(group, notice, 0, ann); err != nil {
				t.Fatal(err)
			}
			w.start()
			w.settled()
			if got := w.history("I-1"); len(got) != 1 {
				t.Errorf("wrote %q", got)
			}
			if n := w.polls(tc.outcome); n != len(tc.faults) {
				t.Errorf("%d polls are counted as %s", n, tc.outcome)
			}
			if n := strings.Count(w.log.String(), tc.log); n != 1 {
				t.Errorf("logged %d times:\n%s", n, w.log)
			}
			w.until("the end of the fault in the state", func() bool { return w.gate(chat.ListenGate(account)).Reason == "" })
		})
	}
}

func TestConflictIsShownInTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.bot.SetWebhook("https://other.example.org/hook")
	w.start()
	w.until("the reason", func() bool { return w.gate(chat.ListenGate(account)).Reason == reporter.ReasonConflict })
	faults, err := w.listener.Faults(t.Context())
	if g := faults[account]; err != nil || !strings.Contains(g.Detail, "webhook is active") || g.Since.IsZero() {
		t.Errorf("%+v, %v", faults, err)
	}
	w.bot.SetWebhook("")
	w.until("its end", func() bool { return w.gate(chat.ListenGate(account)).Reason == "" })
}

func TestRevokedTokenSuspendsTheAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Fallback = "backup"
	w.bot.FailPolls(localstack.BotFault{Status: 401, Description: "Unauthorized"})
	w.start()
	key := reporter.AccountGate(account)
	w.until("the suspension", func() bool { return w.gate(key).Reason == reporter.ReasonAccount })
	list, err := w.store.Deliveries(t.Context(), 10)
	if err != nil || len(list) != 1 || list[0].Kind != reporter.DeliveryNotice || list[0].Receiver != "backup" {
		t.Errorf("notices %+v, %v", list, err)
	}
	// Nothing is polled until the outbox has found that the account works again.
	polls := w.bot.Polls()
	w.until("some looks", func() bool { return w.polls("account") == 1 })
	if err := w.store.UpdateGate(t.Context(), key, func(g *reporter.Gate) { g.Reason = "" }); err != nil {
		t.Fatal(err)
	}
	w.until("polls", func() bool { return w.bot.Polls() > polls })
	if n := w.polls("account"); n != 1 {
		t.Errorf("the refused account was polled %d times", n)
	}
}

func TestChatsThatMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const moved = "-1000000000555"
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	w.start()
	w.bot.Migrate(group, moved)
	w.settled()
	if g := w.gate(reporter.ChatGate(account, group)); g.MovedTo != moved {
		t.Fatalf("gate %+v", g)
	}
	w.bot.SetMember(moved, ann.ID, "member")
	w.check("a command in the new chat", w.bot.Say(moved, "/open", ann), "oncall <b>1 open", "", "")
	if got := w.tap(group, notice, reporter.ActionAcknowledge, ann); !strings.Contains(got, "✋") {
		t.Errorf("a button that is still shown in the old one: %q", got)
	}
}

func TestReceiverIsTriedAtOnceWhenTheBotIsAddedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := reporter.ReceiverGate("oncall")
	later := w.store.Now().Add(time.Hour)
	if _, err := w.store.Suspend(t.Context(), key, reporter.ReasonReceiver, "kicked", later, reporter.NoticeTo{}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.bot.SetBot(group, "member", "kicked")
	w.settled()
	if g := w.gate(key); !g.WaitUntil.After(w.store.Now()) || !strings.Contains(w.log.String(), "removed from the chat") {
		t.Errorf("after the removal: %+v", g)
	}
	w.bot.SetBot(group, "kicked", "member")
	w.settled()
	if g := w.gate(key); g.WaitUntil.After(w.store.Now()) || g.Reason != reporter.ReasonReceiver {
		t.Errorf("after it was added: %+v", g)
	}
}

// poisoned is a state in which the update of a text cannot be processed.
type poisoned struct {
	*store.Store
	mu   sync.Mutex
	fail func() error
}

func (p *poisoned) OpenOf(
	ctx context.Context, routes []string, limit int,
) ([]reporter.OpenIncident, map[reporter.IncidentState]int, error) {
	p.mu.Lock()
	fail := p.fail
	p.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return nil, nil, err
		}
	}
	return p.Store.OpenOf(ctx, routes, limit)
}

func TestUpdateThatPanicsHoldsBackNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stop = w.listen(&poisoned{Store: w.store, fail: func() error { panic("boom") }})
	w.bot.Say(group, "/open", ann)
	w.check("help", w.bot.Say(group, "/help", ann), "oncall <b>Commands", "", "")
	if n := strings.Count(w.log.String(), "panicked"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, w.log)
	}
}

// An update that cannot be processed for a while keeps its place, and a stop in between is not counted as an attempt.
func TestUpdateWaitsForTheState(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var mu sync.Mutex
	failures := 0
	broken := errors.New("the database is away")
	w.stop = w.listen(&poisoned{Store: w.store, fail: func() error { mu.Lock(); defer mu.Unlock(); failures++; return broken }})
	first := w.bot.Say(group, "/open", ann)
	w.until("some failures", func() bool { mu.Lock(); defer mu.Unlock(); return failures > 5 })
	second := w.bot.Say(group, "/help", ann)
	u, _, err := w.store.NextUpdate(t.Context(), account)
	if err != nil || u.Applied || u.Attempts > 1 || len(w.answers(second)) > 0 {
		t.Errorf("%+v, %v", u, err)
	}
	w.stop()
	w.start()
	w.check("the first", first, "oncall There are no open", "", "")
	w.check("the second", second, "oncall <b>Commands", "", "")
}

// An update that ends the process each time is given up, and later ones are processed.
func TestUpdateThatEndsTheProcessIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	u := reporter.Update{Account: account, ID: 1, Kind: reporter.UpdateText, Chat: group, Message: "1", Text: "/open", SentAt: time.Now()}
	if _, err := w.store.StoreUpdates(t.Context(), account, 0, 2, []reporter.Update{u}); err != nil {
		t.Fatal(err)
	}
	next, _, err := w.store.NextUpdate(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.TryUpdate(t.Context(), next.Seq, 10); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.until("the end of it", func() bool { return strings.Contains(w.log.String(), "it has ended the process 10 times") })
	w.settled()
	if got := w.answers(1); len(got) > 0 {
		t.Errorf("answered %q", got)
	}
}

// A reload adds and removes chats, and no update of that time is lost.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.check("before", w.bot.Say(group, "/help", ann), "oncall <b>Commands", "", "")
	off := w.cfg
	off.Bots = nil
	w.listener.SetConfig(off)
	w.until("the end of polls", func() bool { return gauge(t, w, "awoooi_reporter_chat_polling") == 0 })
	id := w.bot.Say(group, "/help", ann)
	on := w.cfg
	on.Places = []chat.Place{{Receiver: "renamed", Account: account, Address: group}}
	w.listener.SetConfig(on)
	w.check("after", id, "renamed <b>Commands", "", "")
}

func gauge(t *testing.T, w *world, name string) float64 {
	t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func TestMetricsPassTheLinter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.check("one", w.bot.Say(group, "/help", ann), "oncall <b>Commands", "", "")
	problems, err := testutil.GatherAndLint(w.reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

var server localstack.SharedPostgres

func TestMain(m *testing.M) {
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// Of the replicas that share a PostgreSQL one polls at any time, also while they start and stop, and each update is applied once and in
// order, by whichever replica.
func TestReplicasNeverPollAtTheSameTime(t *testing.T) {
	t.Parallel()
	pg, err := server.Server()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprint("replicas", time.Now().UnixNano()) // the test may be repeated
	if err := pg.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	shared := func() *store.Store {
		t.Helper()
		st, err := store.OpenPostgres(t.Context(), secret.New(pg.DSN(name)), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.store = shared()
	w.incident("I-1", "", false)
	w.notice("I-1", "oncall")
	stores := []*store.Store{shared(), shared()}
	defer func() {
		for _, st := range stores {
			st.Close()
		}
	}()
	stops := []func(){w.listen(stores[0]), w.listen(stores[1])}
	var want []string
	const rounds = 8
	for n := range rounds {
		for k := range 3 {
			text := fmt.Sprint("note ", n, ".", k)
			// Each is another person, whose texts have a limit of their own.
			who := localstack.BotUser{ID: int64(1000 + 10*n + k), Name: fmt.Sprint("P", n, k)}
			w.bot.SetMember(group, who.ID, "member")
			w.bot.Reply(group, 1, text, who)
			want = append(want, "note "+who.Name+": "+text)
		}
		at := rand.IntN(2)
		stops[at]()
		stops[at] = w.listen(stores[at])
	}
	w.until("all notes", func() bool { return len(w.history("I-1")) >= len(want) })
	for _, stop := range stops {
		stop()
	}
	if got := w.history("I-1"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q, want %q", got, want)
	}
	if n := w.bot.Conflicts(); n > 0 {
		t.Errorf("%d polls met another one", n)
	}
}

// atOnce is a bot whose server answers polls at once, without updates or with an error.
type atOnce struct {
	polls chan time.Time
	err   error
}

func (*atOnce) Me(context.Context) (string, bool, error) { return "demo_bot", false, nil }

func (b *atOnce) Poll(ctx context.Context, from int64) (reporter.Updates, error) {
	select {
	case b.polls <- time.Now():
	case <-ctx.Done():
	}
	return reporter.Updates{Next: from}, cmp.Or(b.err, ctx.Err())
}

func (*atOnce) Member(context.Context, string, string) (reporter.Membership, error) {
	return reporter.MemberNone, nil
}

func (*atOnce) Answer(context.Context, reporter.UpdateAnswer) error { return nil }

func (*atOnce) Register(context.Context, string, string, []reporter.ChatCommand) error { return nil }

// A server that does not wait for updates, such as a proxy in front of it, is not polled without a pause, and one that fails is polled
// less and less often.
func TestPollsThatAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err  error
		want []time.Duration
	}{
		"without updates": {nil, []time.Duration{chat.HurriedEmpty, chat.HurriedEmpty, chat.HurriedEmpty}},
		"with an error": {
			errors.New("connection refused"),
			[]time.Duration{chat.HurriedMin, 2 * chat.HurriedMin, chat.HurriedMax, chat.HurriedMax},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bot := &atOnce{polls: make(chan time.Time), err: tc.err}
				cfg := chat.Config{Bots: map[string]chat.Bot{account: bot}, Locale: "en", Zone: time.UTC}
				l, err := chat.New(storetest.Open(t, t.TempDir()), cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
				if err != nil {
					t.Fatal(err)
				}
				l.Hurry()
				ctx, stop := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { l.Run(ctx) })
				last := <-bot.polls
				for n, want := range tc.want {
					next := <-bot.polls
					if apart := next.Sub(last); apart != want {
						t.Errorf("poll %d comes %v after the one before, want %v", n+2, apart, want)
					}
					last = next
				}
				stop()
				running.Wait()
			})
		})
	}
}
