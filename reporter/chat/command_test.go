package chat_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.ExternalURL = "https://reporter.example.org/"
	w.incident("I-1", "", false)
	w.incident("I-2", "", true)
	w.incident("W-1", "web", false)
	w.incident("OLD", "a route that was removed", true)
	w.delivered(reporter.NewDelivery(reporter.DeliveryPostmortem, "OLD", "oncall", w.store.Now()), 700)
	notice := w.notice("I-1", "oncall")
	w.start()
	say := func(text string) func() int { return func() int { return w.bot.Say(group, text, ann) } }
	const unknown = "oncall %s: no such incident in this chat"
	for _, tc := range []struct {
		name  string
		say   func() int
		want  string // how the answer begins; "" is none
		holds string
		lacks string
	}{
		{name: "open", say: say("/open"), want: "oncall <b>1 open incident</b>\n• [critical] <b>Disk&lt;full&gt;</b> <a href=\"https://reporter.example.org/incidents/I-1\">I-1</a>, since ", lacks: "W-1"},
		{name: "its name", say: say("/open@demo_bot"), want: "oncall <b>1 open incident"},
		{name: "capitals", say: say("/OPEN@Demo_Bot"), want: "oncall <b>1 open incident"},
		{name: "of another bot", say: say("/open@other_bot")},
		{name: "unknown", say: say("/weather")},
		{name: "unknown, but ours", say: say("/weather@demo_bot"), want: "oncall <b>Commands</b>", holds: "/report – "},
		{name: "help", say: say("/help"), want: "oncall <b>Commands</b>", holds: "#cause"},
		{name: "start", say: say("/start"), want: "oncall <b>Commands</b>"},
		{name: "status", say: say("/status"), want: "oncall <b>Status, ", holds: "\nOpen incidents: 1\n", lacks: "W-1"},
		{name: "its reports", say: say("/status"), want: "oncall <b>Status, ", holds: "Reports: daily, weekly"},
	} {
		w.check(tc.name, tc.say(), tc.want, tc.holds, tc.lacks)
	}
	// Another person, as each may ask a few times a minute only.
	say = func(text string) func() int { return func() int { return w.bot.Say(group, text, bob) } }
	for _, tc := range []struct {
		name string
		say  func() int
		want string
	}{
		{"a report", say("/report daily"), "oncall report/daily@"},
		{"which report", say("/report"), "oncall Name a report: /report NAME. There are: daily, weekly"},
		{"a report of nobody", say("/report monthly"), "oncall Name a report"},
		{"an incident", say("/incident I-2"), "oncall incident/I-2"},
		{"an incident by a reply", func() int { return w.bot.Reply(group, notice, "/incident", bob) }, "oncall incident/I-1"},
		{"an incident of a route that was removed", say("/incident OLD"), "oncall incident/OLD"},
		{"one of another chat", say("/incident W-1"), fmt.Sprintf(unknown, "W-1")},
		{"one that there is not", say("/incident X-9"), fmt.Sprintf(unknown, "X-9")},
		{"no id", say("/incident"), "oncall Name an incident, or reply to a message about one: /incident ID"},
		{"markup as an id", say("/incident <b>x</b>&"), fmt.Sprintf(unknown, "&lt;b&gt;x&lt;/b&gt;&amp;")},
	} {
		w.check(tc.name, tc.say(), tc.want, "", "")
	}
	w.bot.SetMember(group, 44, "member")
	cem := localstack.BotUser{ID: 44, Name: "Cem"}
	for _, tc := range []struct {
		name string
		text string
		by   localstack.BotUser
		want string
	}{
		{"an acknowledgement of a stranger", "/ack I-1", stranger, "oncall Only members of this chat may do that."},
		{"an acknowledgement", "/ack I-1", cem, "oncall ✋ I-1: acknowledged"},
		{"once more", "/ack I-1", cem, "oncall I-1: already acknowledged by Cem"},
		{"of what is over", "/ack I-2", cem, "oncall I-2: already resolved"},
		{"of another chat's", "/ack W-1", cem, fmt.Sprintf(unknown, "W-1")},
	} {
		w.check(tc.name, w.bot.Say(group, tc.text, tc.by), tc.want, "", "")
	}
	if diff := cmp.Diff([]string{"acknowledgement Cem: acknowledged"}, w.history("I-1")); diff != "" {
		t.Error(diff)
	}
	if got := w.history("W-1"); len(got) > 0 {
		t.Errorf("another chat's incident: %q", got)
	}
	w.check("open, acknowledged", w.bot.Say(group, "/open", cem), "oncall <b>1 open incident", " ✋ Cem", "")
}

// check waits for the answer to a message, and compares how it begins; "" is no answer.
func (w *world) check(name string, message int, begins, holds, lacks string) {
	w.t.Helper()
	w.settled()
	got := strings.Join(w.answers(message), "|")
	if !strings.HasPrefix(got, begins) || (begins == "") != (got == "") || !strings.Contains(got, holds) || (lacks != "" && strings.Contains(got, lacks)) {
		w.t.Errorf("%s: %q, want %q with %q and without %q", name, got, begins, holds, lacks)
	}
	_, html, _ := strings.Cut(got, " ")
	if err := markup.Validate(html); err != nil && html != "" {
		w.t.Errorf("%s: %v in %q", name, err, html)
	}
}

func TestCommandsAreInTheLanguageOfTheChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.RouteLocales = map[string]string{"web": "zh-TW"}
	w.start()
	w.check("English", w.bot.Say(group, "/open", ann), "oncall There are no open incidents.", "", "")
	w.check("Chinese", w.bot.Say(other, "/open", ann), "web 目前沒有進行中事件。", "", "")
	w.until("the commands", func() bool { return len(w.bot.Commands()) == 6 })
	var got []string
	for _, c := range w.bot.Commands() {
		got = append(got, fmt.Sprint(c.Scope, " ", c.Language, " ", c.Names[0], " ", c.Texts[0]))
	}
	for _, want := range []string{
		"chat -1001  status Overview of this chat's incidents", "chat -1001 zh status 此聊天室的事件概況",
		"chat -1001 en status Overview of this chat's incidents", "chat -1002  status 此聊天室的事件概況",
	} {
		if !strings.Contains(strings.Join(got, "\n")+"\n", want+"\n") {
			t.Errorf("%q is not registered: %q", want, got)
		}
	}
}

func TestTopicsOfAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Places = []chat.Place{
		{Receiver: "db", Account: account, Address: group, Topic: 7}, {Receiver: "net", Account: account, Address: group, Topic: 8},
	}
	w.cfg.Routes = map[string][]string{"": {"db"}, "net": {"net"}}
	w.incident("I-1", "", false)
	w.incident("N-1", "net", false)
	w.start()
	// All members of a group see all of its topics.
	w.check("a topic", w.bot.SayInTopic(group, 7, "/open", ann), "db <b>2 open", "", "")
	w.check("another topic", w.bot.SayInTopic(group, 8, "/ack I-1", ann), "net ✋ I-1", "", "")
	w.check("a topic without a receiver", w.bot.SayInTopic(group, 9, "/open", ann), "", "", "")
}

func TestTextsAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	sentAt := map[string]any{"date": time.Now().Unix()} // of all of them, however long the test takes
	answered, last := 0, ""
	for id := 1000; id < 1015; id++ {
		w.received("message", group, id, 0, "/open", ann, sentAt)
		w.settled()
		if got := w.answers(id); len(got) > 0 {
			answered++
			last = got[0]
		}
	}
	if answered != 11 || !strings.Contains(last, "Too many messages") {
		t.Errorf("%d of 15 answered, the last with %q", answered, last)
	}
	// The limit of one person is not that of another.
	w.check("another person", w.bot.Say(group, "/open", bob), "oncall There are no", "", "")
}

// A command in a chat that is not configured gets the id of the chat, for people who set the bot up, and nothing else.
func TestCommandInAForeignChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.incident("I-1", "", false)
	w.start()
	w.bot.Say(foreign, "/open", ann)          // perhaps of another bot
	w.bot.Say(foreign, "/open@demo_bot", ann) // of ours
	w.bot.Say("66", "/incident I-1", stranger)
	w.settled()
	w.until("two answers", func() bool { return len(w.bot.Messages()) == 2 })
	for n, chat := range []string{foreign, "66"} {
		m := w.bot.Messages()[n]
		if m.ChatID != chat || m.Text != "This chat is not configured. Its id is "+chat+"; set it as telegram.chat_id of a receiver." {
			t.Errorf("%+v", m)
		}
	}
}

// withoutMembers is a bot whose first calls of Member are answered 503.
type withoutMembers struct {
	chat.Bot
	left atomic.Int64
}

func (b *withoutMembers) Member(ctx context.Context, chat, person string) (reporter.Membership, error) {
	if b.left.Add(-1) >= 0 {
		return reporter.MemberNone, &reporter.SendError{Verdict: reporter.VerdictRetry, Status: 503, Err: errors.New("503 Service Unavailable")}
	}
	return b.Bot.Member(ctx, chat, person)
}

// A text that is tried again is counted once by the limits, however long the membership of its author is unknown.
func TestTextsThatAreTriedAgainCountOnce(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(w *world, notice int) int{
		"a command": func(w *world, _ int) int { return w.bot.Say(group, "/ack I-1", ann) },
		"a reply":   func(w *world, notice int) int { return w.bot.Reply(group, notice, "disk is full", ann) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.incident("I-1", "", false)
			notice := w.notice("I-1", "oncall")
			bot := &withoutMembers{Bot: w.newBot()}
			bot.left.Store(50)
			w.stop = w.listenAs(w.store, bot)
			id := say(w, notice)
			w.settled()
			if got := w.history("I-1"); len(got) != 1 {
				t.Errorf("wrote %q, answered %q", got, w.answers(id))
			}
			for range 9 {
				id = w.bot.Say(group, "/help", ann)
				w.settled()
				if got := strings.Join(w.answers(id), ""); !strings.Contains(got, "/status") {
					t.Errorf("the others of the minute: %q", got)
				}
			}
		})
	}
}
