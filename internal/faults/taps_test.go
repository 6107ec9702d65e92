package faults_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

var (
	taps        = flag.Int("faults.taps", 10, "how often the process on SQLite is killed between a tap or a reply and its answer")
	replicaTaps = flag.Int("faults.replica-taps", 1, "how often the replica that listens to the chats is killed")
)

const (
	tapChats = 4
	tapped   = "TAPPED"
	// tapPatience is how long the last updates may take, on the slowest machine.
	tapPatience = 4 * time.Minute
)

// chats is a trial with taps and replies about one incident, whose notice was sent to each chat.
type chats struct {
	*world
	notices [tapChats]localstack.BotMessage
	queries []string // of the taps, in their order
	wants   []string // the entries, in their order
	replies int
}

func tapChat(n int) string { return fmt.Sprint(-1001 - n%tapChats) }

func newChats(t *testing.T, state string, processes int) *chats {
	t.Helper()
	s := *seed
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", s)
	bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bot.Close)
	c := &chats{world: &world{t: t, dir: t.TempDir(), bot: bot, rng: rand.New(rand.NewPCG(s, 3))}}
	var conf strings.Builder
	fmt.Fprintf(&conf, "prometheus: {url: \"http://127.0.0.1:1\"}\nreports: [{name: daily, disabled: true}]\ntelegram: {listen: true}\n%s\nreceivers:\n", state)
	for n := range tapChats {
		fmt.Fprintf(&conf, "  - {name: r%d, telegram: {bot_token: %q, chat_id: %q, api_url: %q}}\n", n, token, tapChat(n), bot.URL())
	}
	if err := os.WriteFile(filepath.Join(c.dir, "config.yaml"), []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range processes {
		c.procs = append(c.procs, c.newProcess())
	}
	return c
}

// begin starts the processes, and lets the incident fire.
func (c *chats) begin() {
	c.t.Helper()
	for _, p := range c.procs {
		p.start()
		p.ready()
	}
	body := fmt.Sprintf(`{"version": "4", "groupKey": "g", "status": "firing", "receiver": "awoooi", "groupLabels": {}, "externalURL": "http://am:9093",
		"alerts": [{"status": "firing", "labels": {"alertname": "Broken", "incident_id": %q}, "startsAt": %q, "fingerprint": "f"}]}`,
		tapped, time.Now().Add(-time.Minute).Format(time.RFC3339Nano))
	resp, err := client.Post("http://"+c.procs[0].addr+"/api/v1/alertmanager/webhook", "application/json", strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("webhook: %d", resp.StatusCode)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), tapPatience)
	defer cancel()
	if err := c.bot.Wait(ctx, tapChats); err != nil {
		c.t.Fatalf("%v\n%s", err, c.procs[0].log.String())
	}
	for _, m := range c.bot.Messages() {
		at := slices.IndexFunc([]string{tapChat(0), tapChat(1), tapChat(2), tapChat(3)}, func(chat string) bool { return chat == m.ChatID })
		if len(m.Buttons) == 0 || at < 0 {
			c.t.Fatalf("a notice without buttons: %+v", m)
		}
		c.notices[at] = m
	}
}

// act is the action of the n-th person: in turn acknowledge, write, release and write.
func (c *chats) act(n int) {
	c.t.Helper()
	m := c.notices[n%tapChats]
	who := localstack.BotUser{ID: int64(1000 + n), Name: fmt.Sprint("P", n)}
	c.bot.SetMember(m.ChatID, who.ID, "member")
	if n%2 == 1 {
		c.bot.Reply(m.ChatID, m.ID, fmt.Sprint("note ", n), who)
		c.replies++
		c.wants = append(c.wants, fmt.Sprintf("note P%d note %d", n, n))
		return
	}
	var data string
	for _, b := range m.Buttons {
		if b.Data != "" {
			_, data, _ = strings.Cut(b.Data, ":")
		}
	}
	action, text := reporter.ActionAcknowledge, reporter.EntryAcknowledged
	if n%4 == 2 {
		action, text = reporter.ActionRelease, ""
	}
	c.queries = append(c.queries, c.bot.TapData(m.ChatID, m.ID, string(action)+":"+data, who))
	c.wants = append(c.wants, fmt.Sprintf("acknowledgement P%d %s", n, text))
}

// answered counts the answers to each tap that was answered.
func (c *chats) answered() map[string]int {
	out := map[string]int{}
	for _, a := range c.bot.Answers() {
		out[a.QueryID]++
	}
	return out
}

// verify compares the actions of people with the stored entries: each one once, and in order.
func (c *chats) verify(kills, early int, open func() (*store.Store, error)) {
	c.t.Helper()
	deadline := time.Now().Add(tapPatience)
	for (c.bot.Queued() > 0 || len(c.answered()) < len(c.queries)) && time.Now().Before(deadline) {
		pause(50 * time.Millisecond)
	}
	st, err := open()
	if err != nil {
		c.t.Fatal(err)
	}
	defer st.Close()
	for waiting := 1; waiting > 0 && time.Now().Before(deadline); pause(50 * time.Millisecond) {
		if waiting, err = st.WaitingUpdates(c.t.Context(), "telegram:12345"); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, p := range c.procs {
		p.kill()
	}
	entries, err := st.Entries(c.t.Context(), tapped)
	if err != nil {
		c.t.Fatal(err)
	}
	got := make([]string, 0, len(entries))
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s %s %s", e.Kind, e.Author, e.Text))
	}
	lost, twice := 0, 0
	for _, want := range c.wants {
		n := 0
		for _, g := range got {
			if g == want {
				n++
			}
		}
		switch {
		case n == 0:
			lost++
			c.t.Errorf("lost: %s", want)
		case n > 1:
			twice += n - 1
			c.t.Errorf("applied %d times: %s", n, want)
		}
	}
	if lost+twice == 0 && !slices.Equal(got, c.wants) {
		c.t.Errorf("not in their order: %q", got)
	}
	answered := c.answered()
	c.t.Logf("| %d kills, %d of them before the answer | taps %d | replies %d | lost %d | applied twice %d | taps answered %d, again %d | polls that met another %d |",
		kills, early, len(c.queries), c.replies, lost, twice, len(answered), len(c.bot.Answers())-len(answered), c.bot.Conflicts())
	if len(answered) < len(c.queries) {
		c.t.Errorf("%d taps were never answered", len(c.queries)-len(answered))
	}
	if n := c.bot.Conflicts(); n > 0 {
		c.t.Errorf("%d polls met another one", n)
	}
	if c.t.Failed() {
		tail := c.procs[0].log.String()
		c.t.Logf("the log ends:\n%s", tail[max(0, len(tail)-6000):])
	}
}

// ask sends a command, and waits for the reply.
func (c *chats) ask() {
	c.t.Helper()
	who := localstack.BotUser{ID: 1, Name: "Q"}
	id := c.bot.Say(tapChat(0), "/incident "+tapped, who)
	deadline := time.Now().Add(tapPatience)
	for !slices.ContainsFunc(c.bot.Messages(), func(m localstack.BotMessage) bool {
		return m.ReplyTo == id && m.ChatID == tapChat(0) && strings.Contains(m.Plain, "Broken") && len(m.Buttons) > 0
	}) {
		if time.Now().After(deadline) {
			c.t.Errorf("a command was not answered:\n%s", c.procs[0].log.String())
			return
		}
		pause(20 * time.Millisecond)
	}
}

// polled waits until another poll has started.
func (c *chats) polled(before int) {
	c.t.Helper()
	deadline := time.Now().Add(tapPatience)
	for c.bot.Polls() == before {
		if time.Now().After(deadline) {
			c.t.Fatalf("nobody polls:\n%s", c.procs[0].log.String())
		}
		pause(2 * time.Millisecond)
	}
}

// The process is killed between a tap or a reply and its answer: none is lost, and none is applied twice.
func TestKillsBetweenTapAndAnswer(t *testing.T) {
	t.Parallel()
	c := newChats(t, "", 1)
	c.begin()
	p, early := c.procs[0], 0
	for n := range *taps {
		c.act(n)
		if n%3 != 0 { // Each third kill comes at once, so that a fast machine has kills before an answer too.
			pause(time.Duration(c.rng.IntN(100_000)) * time.Microsecond)
		}
		m := c.notices[n%tapChats]
		before := len(c.answered()) < len(c.queries)
		if n%2 == 1 {
			before = c.bot.Reaction(m.ChatID, c.bot.LastSaid()) == ""
		}
		p.kill()
		if before {
			early++
		}
		polls := c.bot.Polls()
		p.start()
		c.polled(polls)
	}
	c.ask()
	// The running process has the lock of the state's file, which a reader does not need.
	c.verify(*taps, early, func() (*store.Store, error) {
		return store.OpenSQLite(context.Background(), filepath.Join(c.dir, "data"), slog.New(slog.DiscardHandler))
	})
	if early == 0 {
		t.Error("no kill came before an answer, so nothing was tried")
	}
}

// Of two replicas one polls. After it is killed the other takes over, and both never poll at the same time.
func TestKillsOfTheReplicaThatListens(t *testing.T) {
	t.Parallel()
	pg, err := localstack.StartPostgres(t.Context(), localstack.PostgresOptions{Fsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pg.Stop() })
	dsn := pg.DSN("postgres")
	c := newChats(t, fmt.Sprintf("state: {dsn: %q}", dsn), 2)
	c.begin()
	for n := range *replicaTaps {
		for k := range 4 {
			c.act(4*n + k)
		}
		pause(time.Duration(c.rng.IntN(200_000)) * time.Microsecond)
		p, err := c.listens()
		if err != nil {
			t.Fatal(err)
		}
		p.kill()
		polls := c.bot.Polls()
		p.start()
		p.ready()
		c.polled(polls)
	}
	c.verify(*replicaTaps, *replicaTaps, func() (*store.Store, error) {
		return store.OpenPostgres(context.Background(), secret.New(dsn), slog.New(slog.DiscardHandler))
	})
}

// listens returns the process that polls, according to its metrics.
func (c *chats) listens() (*process, error) {
	deadline := time.Now().Add(tapPatience)
	for time.Now().Before(deadline) {
		for _, p := range c.procs {
			resp, err := client.Get("http://" + p.addr + "/metrics")
			if err != nil {
				continue
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil && strings.Contains(string(b), "awoooi_reporter_chat_polling{account=\"telegram:12345\"} 1") {
				return p, nil
			}
		}
		pause(20 * time.Millisecond)
	}
	return nil, errors.New("no process listens")
}
