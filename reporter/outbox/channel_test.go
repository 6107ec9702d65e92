package outbox_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

const token = "12345:outbox"

// topic is a channel to a topic of a group at the fake Bot API.
func topic(t *testing.T, bot *localstack.BotAPI, chat string, thread int) *telegram.Channel {
	t.Helper()
	// An idle connection would stop the bubble's clock.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	c, err := telegram.New(telegram.Config{
		Token: secret.New(token), ChatID: chat, ThreadID: thread, APIURL: bot.URL(), HTTPClient: client,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// After any refusal of a chat, a topic or the bot's rights in it there is one notice, nothing is given up, the other topic of the group
// is not affected, and once it is repaired all messages are sent, in order and unmarked.
func TestAChatThatIsRepairedGetsAllMessages(t *testing.T) {
	t.Parallel()
	for _, refusal := range []localstack.BotFault{
		{Status: 400, Description: "Bad Request: message thread not found"},
		{Status: 400, Description: "Bad Request: TOPIC_CLOSED"},
		{Status: 400, Description: "Bad Request: TOPIC_DELETED"},
		{Status: 400, Description: "Bad Request: not enough rights to send text messages to the chat"},
		{Status: 400, Description: "Bad Request: CHAT_WRITE_FORBIDDEN"},
		{Status: 400, Description: "Bad Request: need administrator rights in the channel chat"},
		{Status: 400, Description: "Bad Request: CHAT_RESTRICTED"},
		{Status: 400, Description: "Bad Request: PEER_ID_INVALID"},
		{Status: 400, Description: "Bad Request: group chat was upgraded to a supergroup chat"},
		{Status: 400, Description: "Bad Request: chat not found"},
		{Status: 400, Description: "Bad Request: CHANNEL_SOMETHING_NEW"},
		{Status: 400, Description: "Bad Request: an unknown error"},
		{Status: 403, Description: "Forbidden: bot was kicked from the supergroup chat"},
		{Status: 403, Description: "Forbidden: the group chat was deleted"},
	} {
		t.Run(refusal.Description, func(t *testing.T) {
			t.Parallel()
			bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
			if err != nil {
				t.Fatal(err)
			}
			defer bot.Close()
			synctest.Test(t, func(t *testing.T) {
				bot.SetChat("-100/7", &refusal)
				s := newState(t, pending("a", "oncall"), pending("b", "oncall"), pending("c", "oncall"), pending("other", "second"))
				w := build(t, s, compose(subject), outbox.Config{FallbackReceiver: "backup"}, map[string]outbox.Channel{
					"oncall": topic(t, bot, "-100", 7), "second": topic(t, bot, "-100", 8), "backup": topic(t, bot, "-200", 0),
				})
				w.run(5 * time.Minute)
				suspended, err := w.Suspended(t.Context())
				if len(suspended) != 1 || suspended["oncall"].Reason != reporter.ReasonReceiver || err != nil {
					t.Errorf("suspended: %v, %v", suspended, err)
				}
				bot.SetChat("-100/7", nil)
				w.run(20 * time.Minute)
				var got []string
				for _, m := range bot.Messages() {
					got = append(got, m.ChatID+"/"+m.ThreadID+" "+m.Plain)
				}
				text := strings.Join(got, ", ")
				if strings.Count(text, "-200/") != 1 || !strings.Contains(text, "-100/8 other") ||
					!strings.HasSuffix(text, "-100/7 a, -100/7 b, -100/7 c") || len(got) != 5 {
					t.Errorf("arrived %s", text)
				}
			})
		})
	}
}

// The outcome of a send decides whether its retry is marked as a possible repeat. No message is lost.
func TestOutcomesOfASend(t *testing.T) {
	t.Parallel()
	const copied, once, marked = "a, repeat a", "a", "repeat a"
	for name, tc := range map[string]struct {
		fault localstack.BotFault
		want  string
	}{
		"500, sent":                   {localstack.BotFault{Status: 500, Description: "Internal Server Error", Accept: true}, copied},
		"500, not sent":               {localstack.BotFault{Status: 500, Description: "Internal Server Error"}, marked},
		"502, sent":                   {localstack.BotFault{Status: 502, Proxy: true, Accept: true}, copied},
		"504, sent":                   {localstack.BotFault{Status: 504, Proxy: true, Accept: true}, copied},
		"524, sent":                   {localstack.BotFault{Status: 524, Proxy: true, Accept: true}, copied},
		"503":                         {localstack.BotFault{Status: 503, Proxy: true}, once},
		"503, in ten minutes":         {localstack.BotFault{Status: 503, Proxy: true, Header: 600}, once},
		"429":                         {localstack.BotFault{Status: 429, Description: "Too Many Requests: retry after 35", RetryAfter: 35}, once},
		"429 of a proxy":              {localstack.BotFault{Status: 429, Proxy: true}, once},
		"a connection that is reset":  {localstack.BotFault{Cut: true}, marked},
		"a reset after it was sent":   {localstack.BotFault{Cut: true, Accept: true}, copied},
		"half an answer":              {localstack.BotFault{HalfAnAnswer: true, Accept: true}, copied},
		"a page instead of an answer": {localstack.BotFault{Garbage: true}, marked},
		"a proxy that needs a login":  {localstack.BotFault{Status: 407, Proxy: true}, once},
		"a proxy's 413":               {localstack.BotFault{Status: 413, Proxy: true}, once},
		"409":                         {localstack.BotFault{Status: 409, Description: "Conflict: terminated by other getUpdates request"}, once},
		"a deleted message":           {localstack.BotFault{Status: 400, Description: "Bad Request: message to be replied not found"}, once},
		"moved":                       {localstack.BotFault{Status: 400, Description: "Bad Request: group chat was upgraded to a supergroup chat", MigrateTo: -100999}, once},
		"markup":                      {localstack.BotFault{Status: 400, Description: "Bad Request: can't parse entities: unsupported start tag"}, once},
		"a token that works again":    {localstack.BotFault{Status: 401, Description: "Unauthorized"}, once},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bot, err := localstack.NewBotAPI(localstack.BotAPIOptions{Token: token})
			if err != nil {
				t.Fatal(err)
			}
			defer bot.Close()
			synctest.Test(t, func(t *testing.T) {
				bot.Fail(tc.fault)
				w := build(t, newState(t, pending("a", "oncall")), compose(subject), outbox.Config{}, map[string]outbox.Channel{"oncall": topic(t, bot, "-100", 0)})
				w.run(15 * time.Minute)
				var got []string
				for _, m := range bot.Messages() {
					text := m.Plain
					if mark, rest, ok := strings.Cut(text, "\n"); ok && strings.Contains(mark, "可能重複") {
						text = "repeat " + rest
					}
					got = append(got, text)
				}
				if text := strings.Join(got, ", "); text != tc.want || w.delivery("a").State != reporter.DeliverySent {
					t.Errorf("arrived %q, want %q, and the delivery is %s", text, tc.want, w.delivery("a").State)
				}
			})
		})
	}
}
