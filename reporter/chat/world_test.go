package chat_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

const (
	token   = "12345:secret-of-the-bot"
	account = "telegram:12345"
	group   = "-1001"
	other   = "-1002" // another chat of ours
	foreign = "-1009"
	// patience is how long a test waits for an event that must happen, on the slowest machine.
	patience = 2 * time.Minute
)

var (
	ann      = localstack.BotUser{ID: 42, Name: "Ann <b>", Username: "ann"}
	bob      = localstack.BotUser{ID: 43, Name: "Bob"}
	stranger = localstack.BotUser{ID: 66, Name: "Mallory"}
)

// world is a listener on a real store and the fake Telegram.
type world struct {
	t     *testing.T
	bot   *localstack.BotAPI
	store *store.Store
	dir   string
	cfg   chat.Config
	reg   *prometheus.Registry
	log   *localstack.Buffer

	listener *chat.Listener
	stop     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bot.Close)
	w := &world{t: t, bot: bot, dir: t.TempDir(), log: &localstack.Buffer{}}
	for _, member := range []localstack.BotUser{ann, bob} {
		bot.SetMember(group, member.ID, "member")
		bot.SetMember(other, member.ID, "member")
	}
	w.cfg = chat.Config{
		Places: []chat.Place{{Receiver: "oncall", Account: account, Address: group}, {Receiver: "web", Account: account, Address: other}},
		Locale: "en", Zone: time.UTC, Routes: map[string][]string{"": {"oncall"}, "web": {"web"}},
		Reports: []chat.Report{{Name: "daily", Receivers: []string{"oncall"}}, {Name: "weekly", Receivers: []string{"oncall", "web"}}},
	}
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

// open opens the store.
func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = store.OpenSQLite(w.t.Context(), w.dir, slog.New(slog.DiscardHandler)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// newBot is the bot as the program makes it.
func (w *world) newBot() *telegram.Bot {
	w.t.Helper()
	b, err := telegram.NewBot(telegram.Config{
		Token: secret.New(token), APIURL: w.bot.URL(), RetryWaitMin: time.Millisecond, RetryWaitMax: time.Millisecond,
	}, 25*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// listen starts a listener on a store; it ends when the function is called.
func (w *world) listen(st chat.State) (stop func()) {
	w.t.Helper()
	return w.listenAs(st, w.newBot())
}

// listenAs is listen with a bot of the test.
func (w *world) listenAs(st chat.State, bot chat.Bot) (stop func()) {
	w.t.Helper()
	w.cfg.Bots = map[string]chat.Bot{account: bot}
	w.reg = prometheus.NewRegistry()
	l, err := chat.New(st, w.cfg, slog.New(slog.NewTextHandler(w.log, nil)), w.reg)
	if err != nil {
		w.t.Fatal(err)
	}
	l.Hurry()
	w.listener = l
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { l.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

func (w *world) start() { w.stop = w.listen(w.store) }

// until waits until happened returns true.
func (w *world) until(what string, happened func() bool) {
	w.t.Helper()
	until(w.t, what, happened, w.log)
}

func until(t *testing.T, what string, happened func() bool, log *localstack.Buffer) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !happened() {
		select {
		case <-deadline.C:
			t.Fatalf("%s did not happen:\n%s", what, log)
		case <-look.C:
		}
	}
}

// settled waits until all updates are processed. It looks at the queue of Telegram first, whose updates are stored before they leave it.
func (w *world) settled() {
	w.t.Helper()
	w.until("the end of all updates", func() bool {
		if w.bot.Queued() > 0 {
			return false
		}
		n, err := w.store.WaitingUpdates(w.t.Context(), account)
		if err != nil {
			w.t.Fatal(err)
		}
		return n == 0
	})
}

// incident stores an incident of a route, open unless it is over.
func (w *world) incident(id, route string, over bool) {
	w.t.Helper()
	now := w.store.Now().UTC().Truncate(time.Second)
	in := reporter.Incident{
		ID: id, Key: id, Cluster: "default", Route: route, State: reporter.IncidentOpen, StartedAt: now.Add(-time.Hour), AlertsTotal: 1,
	}
	a := reporter.Alert{
		Fingerprint: id, StartsAt: in.StartedAt, Firing: true,
		Labels: map[string]string{"alertname": "Disk<full>", "severity": "critical"},
	}
	if over {
		in.State, in.CloseReason, in.EndedAt = reporter.IncidentResolved, reporter.ClosedResolved, now
		a.Firing, a.EndsAt = false, now
	}
	in.Alerts = []reporter.Alert{a}
	err := w.store.Update(w.t.Context(), reporter.JournalQuery{}, func(reporter.JournalView) reporter.JournalChanges {
		return reporter.JournalChanges{Incidents: []reporter.Incident{in}}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// notice sends the notice of a firing as the outbox does, and returns the message's id.
func (w *world) notice(incident, receiver string) int {
	w.t.Helper()
	id := w.send(incident, receiver)
	w.delivered(reporter.NewDelivery(reporter.DeliveryFiring, incident, receiver, w.store.Now()), id)
	return id
}

// send sends a message with the buttons of an incident, without storing that.
func (w *world) send(incident, receiver string) int {
	w.t.Helper()
	button, err := w.store.ActionToken(w.t.Context(), incident, receiver)
	if err != nil {
		w.t.Fatal(err)
	}
	address := ""
	for _, p := range w.cfg.Places {
		if p.Receiver == receiver {
			address = p.Address
		}
	}
	ch, err := telegram.New(telegram.Config{Token: secret.New(token), APIURL: w.bot.URL(), ChatID: address}, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	part := reporter.Part{HTML: "firing"}
	for _, action := range []reporter.ActionKind{
		reporter.ActionAcknowledge, reporter.ActionRelease, reporter.ActionSilence1h, reporter.ActionSilence4h, reporter.ActionUnsilence,
	} {
		part.Buttons = append(part.Buttons, reporter.Button{Text: string(action), Action: action, Token: button})
	}
	text, err := ch.Send(w.t.Context(), part, reporter.SendOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := strconv.Atoi(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// delivered stores that a delivery was sent as these messages.
func (w *world) delivered(d reporter.Delivery, messages ...int) reporter.Delivery {
	w.t.Helper()
	if _, err := w.store.Enqueue(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	list, err := w.store.Deliveries(w.t.Context(), 1)
	if err != nil {
		w.t.Fatal(err)
	}
	d = list[0]
	d.State, d.FinishedAt = reporter.DeliverySent, w.store.Now()
	for _, id := range messages {
		d.Parts = append(d.Parts, reporter.Part{MessageID: strconv.Itoa(id), SentAt: w.store.Now()})
	}
	if err := w.store.Save(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// tap taps a button, and returns what its person is shown.
func (w *world) tap(chat string, message int, action reporter.ActionKind, by localstack.BotUser) string {
	w.t.Helper()
	at := slices.Index([]reporter.ActionKind{
		reporter.ActionAcknowledge, reporter.ActionRelease, reporter.ActionSilence1h, reporter.ActionSilence4h, reporter.ActionUnsilence,
	}, action)
	query, err := w.bot.Tap(chat, message, at, by)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.answerTo(query)
}

func (w *world) answerTo(query string) (text string) {
	w.t.Helper()
	w.until("an answer to the tap", func() bool {
		for _, a := range w.bot.Answers() {
			if a.QueryID == query {
				text = a.Text
				return true
			}
		}
		return false
	})
	return text
}

// history is what was written about an incident: the kinds, authors and texts of the entries.
func (w *world) history(incident string) (out []string) {
	w.t.Helper()
	entries, err := w.store.Entries(w.t.Context(), incident)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %s: %s", e.Kind, e.Author, e.Text))
	}
	return out
}

// answers are the deliveries that answer the message: subjects and texts.
func (w *world) answers(message int) (out []string) {
	w.t.Helper()
	list, err := w.store.Deliveries(w.t.Context(), 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range slices.Backward(list) {
		if d.Kind != reporter.DeliveryAnswer || d.ReplyTo != strconv.Itoa(message) {
			continue
		}
		text := d.Receiver + " " + d.Subject
		if d.Message != nil {
			text = d.Receiver + " " + d.Message.HTML
		}
		out = append(out, text)
	}
	return out
}

func chatPlace(receiver, address string) chat.Place {
	return chat.Place{Receiver: receiver, Account: account, Address: address}
}

// received lets the bot receive a text as Telegram writes it, with that id and more fields.
func (w *world) received(kind, chat string, message, replyTo int, text string, by localstack.BotUser, more map[string]any) {
	w.t.Helper()
	id, err := strconv.ParseInt(chat, 10, 64)
	if err != nil {
		w.t.Fatal(err)
	}
	m := map[string]any{
		"message_id": message, "date": time.Now().Unix(), "text": text, "chat": map[string]any{"id": id, "type": "supergroup"},
		"from": map[string]any{"id": by.ID, "first_name": by.Name},
	}
	if replyTo != 0 {
		m["reply_to_message"] = map[string]any{"message_id": replyTo, "from": map[string]any{"id": 12345, "is_bot": true}}
	}
	maps.Copy(m, more)
	w.bot.Update(kind, m)
}
