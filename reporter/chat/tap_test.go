package chat_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
	"github.com/awoooi/awoooi-reporter/reporter/silence"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

func TestTaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	w.incident("OVER", "", true)
	notice, over := w.notice("I-1", "oncall"), w.notice("OVER", "oncall")
	w.start()
	for _, tc := range []struct {
		message int
		action  reporter.ActionKind
		by      localstack.BotUser
		want    string
	}{
		{notice, reporter.ActionRelease, ann, "I-1: nobody has acknowledged it"},
		{notice, reporter.ActionAcknowledge, ann, "✋ I-1: acknowledged"},
		{notice, reporter.ActionAcknowledge, bob, "I-1: already acknowledged by Ann <b>"},
		{notice, reporter.ActionRelease, bob, "I-1: acknowledgement released"},
		{notice, reporter.ActionAcknowledge, bob, "✋ I-1: acknowledged"},
		{notice, reporter.ActionAcknowledge, bob, "I-1: already acknowledged by Bob"},
		{over, reporter.ActionAcknowledge, bob, "OVER: already resolved"},
		{notice, reporter.ActionSilence1h, bob, "I-1: cannot be silenced here"},
	} {
		if got := w.tap(group, tc.message, tc.action, tc.by); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s by %s: %q, want %q", tc.action, tc.by.Name, got, tc.want)
		}
	}
	want := []string{"acknowledgement Ann <b>: acknowledged", "acknowledgement Bob: ", "acknowledgement Bob: acknowledged"}
	if diff := cmp.Diff(want, w.history("I-1")); diff != "" {
		t.Error(diff)
	}
	entries, err := w.store.Entries(t.Context(), "I-1")
	if err != nil || entries[0].AuthorID != "42" || entries[0].Receiver != "oncall" || entries[0].MessageID != fmt.Sprint(notice) {
		t.Errorf("%+v, %v", entries[0], err)
	}
}

// Each of these taps changes nothing, and gets one answer.
func TestTapsThatChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	w.incident("W-1", "web", false)
	notice, elsewhere := w.notice("I-1", "oncall"), w.notice("W-1", "web")
	token := func(incident, receiver string) string {
		t.Helper()
		text, err := w.store.ActionToken(t.Context(), incident, receiver)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	mine := "ack:" + token("I-1", "oncall")
	for _, status := range []string{"left", "kicked"} {
		w.bot.SetMember(group, int64(100+len(status)), status)
	}
	w.start()
	const gone, noMember = "This button no longer works here.", "Only members of this chat may do that."
	for name, tc := range map[string]struct {
		chat    string
		message int
		data    string
		by      localstack.BotUser
		want    string
	}{
		"a stranger":                         {group, notice, mine, stranger, noMember},
		"one who has left":                   {group, notice, mine, localstack.BotUser{ID: 104, Name: "x"}, noMember},
		"one who was removed":                {group, notice, mine, localstack.BotUser{ID: 106, Name: "x"}, noMember},
		"a foreign chat":                     {foreign, notice, mine, ann, gone},
		"another chat of ours":               {other, notice, mine, ann, gone},
		"another message of that other chat": {other, elsewhere, mine, ann, gone},
		"a copy of the message":              {group, 77, mine, ann, gone},
		"the message of another incident":    {group, notice, "ack:" + token("W-1", "web"), ann, gone},
		"a guessed token":                    {group, notice, "ack:AAAAAAAAAAAAAAAAAAAAAA", ann, gone},
		"no token":                           {group, notice, "ack", ann, gone},
		"an empty token":                     {group, notice, "ack:", ann, gone},
		"no data":                            {group, notice, "", ann, gone},
		"an unknown action":                  {group, notice, "delete:" + token("I-1", "oncall"), ann, gone},
		"more behind the token":              {group, notice, mine + "'; DROP TABLE entries;--", ann, gone},
		"data that is too long":              {group, notice, mine + strings.Repeat("x", 1000), ann, gone},
		"a NUL":                              {group, notice, "ack:\x00", ann, gone},
	} {
		query := w.bot.TapData(tc.chat, tc.message, tc.data, tc.by)
		if got := w.answerTo(query); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	w.settled()
	answered := map[string]int{}
	for _, a := range w.bot.Answers() {
		if answered[a.QueryID]++; answered[a.QueryID] > 1 {
			t.Errorf("tap %s was answered %d times", a.QueryID, answered[a.QueryID])
		}
	}
	if got := append(w.history("I-1"), w.history("W-1")...); len(got) > 0 {
		t.Errorf("they changed %q", got)
	}
}

func TestWhoMayAct(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		prepare func(w *world)
		by      localstack.BotUser
		want    bool
	}{
		"the owner of the chat": {func(w *world) { w.bot.SetMember(group, 50, "creator") }, localstack.BotUser{ID: 50}, true},
		"an administrator":      {func(w *world) { w.bot.SetMember(group, 50, "administrator") }, localstack.BotUser{ID: 50}, true},
		"a restricted member":   {func(w *world) { w.bot.SetMember(group, 50, "restricted") }, localstack.BotUser{ID: 50}, true},
		"a listed user":         {func(w *world) { w.cfg.Users = []string{"7", "50"} }, localstack.BotUser{ID: 50}, true},
		"a member not listed":   {func(w *world) { w.cfg.Users = []string{"7"} }, ann, false},
		"an id that begins so":  {func(w *world) { w.cfg.Users = []string{"420"} }, ann, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.incident("I-1", "", false)
			notice := w.notice("I-1", "oncall")
			tc.prepare(w)
			w.start()
			got := w.tap(group, notice, reporter.ActionAcknowledge, tc.by)
			if is := strings.Contains(got, "✋"); is != tc.want || (len(w.history("I-1")) == 1) != tc.want {
				t.Errorf("%q, %q", got, w.history("I-1"))
			}
		})
	}
	t.Run("the person of a private chat", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cfg.Places = append(w.cfg.Places, chatPlace("private", "42"))
		w.cfg.Routes[""] = []string{"private"}
		w.incident("I-1", "", false)
		notice := w.notice("I-1", "private")
		w.start()
		if got := w.tap("42", notice, reporter.ActionAcknowledge, ann); !strings.Contains(got, "✋") {
			t.Error(got)
		}
	})
	t.Run("Telegram does not say", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.incident("I-1", "", false)
		notice := w.notice("I-1", "oncall")
		w.start()
		w.until("the commands", func() bool { return len(w.bot.Commands()) == 6 })
		w.bot.Fail(localstack.BotFault{Status: 400, Description: "Bad Request: CHAT_ADMIN_REQUIRED"})
		if got := w.tap(group, notice, reporter.ActionAcknowledge, ann); !strings.Contains(got, "Telegram does not say") {
			t.Error(got)
		}
		if got := w.tap(group, notice, reporter.ActionAcknowledge, ann); !strings.Contains(got, "✋") {
			t.Errorf("once it says: %q", got)
		}
	})
	t.Run("Telegram cannot be asked for a while", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.incident("I-1", "", false)
		notice := w.notice("I-1", "oncall")
		w.start()
		w.until("the commands", func() bool { return len(w.bot.Commands()) == 6 })
		w.bot.Fail(
			localstack.BotFault{Status: 502, Proxy: true}, localstack.BotFault{Cut: true},
			localstack.BotFault{Status: 429, Description: "Too Many Requests", RetryAfter: 1},
		)
		if got := w.tap(group, notice, reporter.ActionAcknowledge, ann); !strings.Contains(got, "✋") {
			t.Error(got)
		}
	})
}

// A button works however old its message is, also after a restart.
func TestButtonOfAnOldMessageWorksAfterARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	w.start()
	w.settled()
	w.close()
	w.open()
	now := time.Now().Add(7 * 24 * time.Hour)
	w.store.SetClock(func() time.Time { return now })
	if _, err := w.store.Prune(t.Context(), now.Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.start()
	if got := w.tap(group, notice, reporter.ActionAcknowledge, ann); got != "✋ I-1: acknowledged" {
		t.Error(got)
	}
}

// A tap from an outage of hours is applied, though its author cannot get the answer any more.
func TestTapOfAnOutageIsApplied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	if _, err := w.bot.Tap(group, notice, 0, ann); err != nil {
		t.Fatal(err)
	}
	w.bot.ExpireQueries()
	w.start()
	w.settled()
	if got := w.history("I-1"); len(got) != 1 || len(w.bot.Answers()) != 0 {
		t.Errorf("%q, answers %v", got, w.bot.Answers())
	}
}

// If the answer to the send of a message was lost, its button works, and a reply to it is a note.
func TestMessageWhoseSendWasLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	lost := w.send("I-1", "oncall")
	w.start()
	if got := w.tap(group, lost, reporter.ActionAcknowledge, ann); !strings.Contains(got, "no longer works") {
		t.Errorf("nothing was ever sent: %q", got)
	}
	w.bot.Reply(group, lost, "too early", ann)
	w.settled()
	d := w.delivered(reporter.NewDelivery(reporter.DeliveryFiring, "I-1", "oncall", w.store.Now()))
	d.State, d.Parts = reporter.DeliveryPending, []reporter.Part{{Ambiguous: 1, Sends: 1}}
	if err := w.store.Save(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := w.tap(group, lost, reporter.ActionAcknowledge, ann); !strings.Contains(got, "✋") {
		t.Error(got)
	}
	reply := w.bot.Reply(group, lost, "disk is full", ann)
	w.settled()
	w.bot.Edit(group, reply, "disk was full")
	w.settled()
	want := []string{"acknowledgement Ann <b>: acknowledged", "note Ann <b>: disk is full", "note Ann <b>: disk was full"}
	if diff := cmp.Diff(want, w.history("I-1")); diff != "" {
		t.Error(diff)
	}
}

// silencer plans silences, after the errors that a test sets.
type silencer struct {
	*silence.Silencer

	mu    sync.Mutex
	fail  []error
	woken int
}

func (s *silencer) Plan(ctx context.Context, incident string, by reporter.Person, d time.Duration) (n reporter.Silence, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fail) > 0 {
		err, s.fail = s.fail[0], s.fail[1:]
		return n, err
	}
	return s.Silencer.Plan(ctx, incident, by, d)
}

func (s *silencer) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken++
}

// silences are those of an incident: author, duration, state and who has ended them.
func (w *world) silences(incident string) (out []string) {
	w.t.Helper()
	list, err := w.store.Silences(w.t.Context(), incident)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range list {
		out = append(out, fmt.Sprint(n.By.Name, " ", n.EndsAt.Sub(n.StartsAt), " ", n.State, " ", n.EndedBy))
	}
	return out
}

// silencer is that of the program, whose cluster is never asked.
func (w *world) silencer() *silence.Silencer {
	cfg := silence.Config{Clusters: map[string]silence.Cluster{reporter.ClusterDefault: nil}}
	return silence.New(cfg, w.store, w.store, slog.New(slog.DiscardHandler))
}

func TestSilences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &silencer{fail: []error{errors.New("the database is away"), reporter.ErrResolved, reporter.ErrNothingInCommon, reporter.ErrTooMany}}
	s.Silencer = w.silencer()
	for range 10 {
		s.fail = append(s.fail, errors.New("out of order"))
	}
	w.cfg.Silencer = s
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	w.start()
	for _, tc := range []struct {
		action reporter.ActionKind
		by     localstack.BotUser
		want   string
	}{
		{reporter.ActionSilence1h, ann, "I-1: already resolved"}, // after it was tried again
		{reporter.ActionSilence1h, ann, "I-1: not silenced, for no silence would cover its firing alerts and no others"},
		{reporter.ActionSilence1h, ann, "I-1: not stored, it has too many entries"},
		{reporter.ActionSilence1h, ann, "I-1: cannot be silenced here"}, // after it was tried ten times
		{reporter.ActionSilence1h, ann, "🔕 I-1: silence for 1h requested"},
		{reporter.ActionSilence4h, bob, "🔕 I-1: silence for 4h requested"},
		{reporter.ActionSilence4h, stranger, "Only members of this chat may do that."},
		{reporter.ActionUnsilence, ann, "🔔 I-1: end of the silences requested"},
	} {
		if got := w.tap(group, notice, tc.action, tc.by); got != tc.want {
			t.Errorf("%s by %s: %q, want %q", tc.action, tc.by.Name, got, tc.want)
		}
	}
	want := []string{"Ann <b> 1h0m0s ending Ann <b>", "Bob 4h0m0s ending Ann <b>"}
	if diff := cmp.Diff(want, w.silences("I-1")); diff != "" {
		t.Error(diff)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.woken == 0 {
		t.Error("the silencer was not woken")
	}
}

// dying is a state whose process ends just before the first commits of updates, and restarts minutes later.
type dying struct {
	*store.Store
	left  atomic.Int64
	later func()
}

func (d *dying) ApplyUpdate(
	ctx context.Context, seq int64, do func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error),
) error {
	return d.Store.ApplyUpdate(ctx, seq, func(ctx context.Context, w reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		answer, err := do(ctx, w)
		if err == nil && d.left.Add(-1) >= 0 {
			d.later()
			err = errors.New("killed")
		}
		return answer, err
	})
}

// A tap is applied once, wherever the process ends: one silence is made, and Undo ends no later one.
func TestTapsOfSilencesAreAppliedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Silencer = w.silencer()
	w.incident("I-1", "", false)
	notice := w.notice("I-1", "oncall")
	var past atomic.Int64
	w.store.SetClock(func() time.Time { return time.Now().Add(time.Duration(past.Load())) })
	d := &dying{Store: w.store, later: func() { past.Add(int64(2 * time.Minute)) }}
	d.left.Store(2)
	w.stop = w.listen(d)
	if got := w.tap(group, notice, reporter.ActionSilence1h, ann); got != "🔕 I-1: silence for 1h requested" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"Ann <b> 1h0m0s pending "}, w.silences("I-1")); diff != "" {
		t.Errorf("after a tap: %s", diff)
	}
	d.left.Store(1)
	var seen []string
	d.later = func() { seen = w.silences("I-1") }
	if got := w.tap(group, notice, reporter.ActionUnsilence, bob); got != "🔔 I-1: end of the silences requested" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"Ann <b> 1h0m0s pending "}, seen); diff != "" {
		t.Errorf("what others read of Undo before it is stored: %s", diff)
	}
	if diff := cmp.Diff([]string{"Ann <b> 1h0m0s ending Bob"}, w.silences("I-1")); diff != "" {
		t.Errorf("after Undo: %s", diff)
	}
}

// Receivers may address the same chat by its name and by its id, or change from one to the other: the buttons of all of their messages
// work, and replies to them are notes.
func TestChatOfSeveralAddresses(t *testing.T) {
	t.Parallel()
	const name, id = "@Team", group
	for what, tc := range map[string]struct {
		sent   string // the address to which the message was sent
		places []chat.Place
	}{
		"by its name, beside its id":    {name, []chat.Place{chatPlace("named", name), chatPlace("oncall", id)}},
		"by its name, after its id":     {name, []chat.Place{chatPlace("oncall", id), chatPlace("named", name)}},
		"by its id, beside its name":    {id, []chat.Place{chatPlace("oncall", id), chatPlace("named", name)}},
		"by its name, before the id":    {name, []chat.Place{chatPlace("named", id)}},
		"by its id, before its name":    {id, []chat.Place{chatPlace("oncall", name)}},
		"by the id of before it moved":  {"-77", []chat.Place{chatPlace("old", "-77"), chatPlace("oncall", id)}},
		"by its id, beside one of once": {id, []chat.Place{chatPlace("old", "-77"), chatPlace("oncall", id)}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Places = tc.places
			receiver := map[string]string{name: "named", id: "oncall", "-77": "old"}[tc.sent]
			err := w.store.UpdateGate(t.Context(), reporter.ChatGate(account, "-77"), func(g *reporter.Gate) { g.MovedTo = id })
			if err != nil {
				t.Fatal(err)
			}
			w.incident("I-1", "", false)
			token, err := w.store.ActionToken(t.Context(), "I-1", receiver)
			if err != nil {
				t.Fatal(err)
			}
			d := w.delivered(reporter.NewDelivery(reporter.DeliveryFiring, "I-1", receiver, w.store.Now()))
			d.Parts = []reporter.Part{{MessageID: "70", SentAt: w.store.Now(), Chat: reporter.ChatGate(account, tc.sent)}}
			if err := w.store.Save(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			w.start()
			where := map[string]any{"id": -1001, "type": "supergroup", "username": "team"}
			w.bot.Update("callback_query", map[string]any{
				"id": "q", "data": "ack:" + token, "from": map[string]any{"id": ann.ID, "first_name": "Ann"},
				"message": map[string]any{"message_id": 70, "date": 1, "chat": where},
			})
			w.received("message", group, 80, 70, "a note", ann, map[string]any{"chat": where})
			w.settled()
			want := []string{"acknowledgement Ann: acknowledged", "note Ann <b>: a note"}
			if diff := cmp.Diff(want, w.history("I-1")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
