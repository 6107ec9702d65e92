package app

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

// doctorReceivers checks with Telegram that each bot may write to its chat, and with other channels that they would take a message.
// It sends none.
func doctorReceivers(c *config.Config, log *slog.Logger) []check {
	chans, err := channels(c, os.Stdout, log)
	if err != nil {
		return fixed(failed("receivers", err, "run check-config"))
	}
	var out []check
	for _, r := range c.Receivers {
		what := "receiver " + r.Name
		ch, isTelegram := chans[r.Name].(*telegram.Channel)
		if !isTelegram {
			out = append(out, doctorReceiver(what, r, chans[r.Name])...)
			continue
		}
		out = append(out, check{what, func(ctx context.Context) []Finding {
			bot, chat, err := ch.Inspect(ctx)
			if err == nil && r.Telegram.ThreadID > 0 {
				err = ch.Probe(ctx, "") // only a probe shows whether the topic exists
			}
			if err != nil {
				return []Finding{failed(what, err, receiverRemedy(err.Error()))}
			}
			return []Finding{ok(what, "%s may write to %s", bot, chat)}
		}})
	}
	out = append(out, doctorChats(c, log)...)
	if c.Delivery.FallbackReceiver == "" && slices.ContainsFunc(c.Receivers, func(r config.Receiver) bool { return r.Telegram != nil }) {
		out = append(out, fixed(warned("delivery", "no fallback receiver",
			"set delivery.fallback_receiver, which is notified of messages that cannot be sent"))...)
	}
	return out
}

// doctorReceiver checks a channel that is not Telegram, if its kind can be checked.
func doctorReceiver(what string, r config.Receiver, ch outbox.Channel) []check {
	k, _ := channelKindOf(r)
	v, can := ch.(verifiable)
	if !can {
		return fixed(ok(what, "is of kind %s, which doctor does not check", k.name))
	}
	return []check{{what, func(ctx context.Context) []Finding {
		if err := v.Verify(ctx); err != nil {
			return []Finding{failed(what, err, "check the receiver's settings, and the program that takes its messages")}
		}
		return []Finding{ok(what, "%s takes messages", k.describe(r))}
	}}}
}

// doctorChats checks with Telegram that the updates of each bot can be received. It receives none, because that would end the
// poll of the running process.
func doctorChats(c *config.Config, log *slog.Logger) (out []check) {
	const what = "telegram.listen"
	chats, err := chatConfig(c, nil, log)
	if err != nil {
		return fixed(failed(what, err, "run check-config"))
	}
	for _, account := range slices.Sorted(maps.Keys(chats.Bots)) {
		bot, ok := chats.Bots[account].(*telegram.Bot)
		if !ok {
			continue
		}
		out = append(out, check{what, func(ctx context.Context) []Finding { return doctorBot(ctx, what, bot) }})
	}
	if len(out) > 0 && len(c.Telegram.Users) == 0 {
		for _, r := range c.Receivers {
			if r.Telegram != nil && strings.HasPrefix(r.Telegram.ChatID, "@") {
				out = append(out, fixed(warned(what, "receiver "+r.Name+" is a public chat: everyone can join it and act",
					"list who may act under telegram.users"))...)
			}
		}
	}
	return out
}

// doctorBot checks that the bot answers and has no webhook, which would get its updates.
func doctorBot(ctx context.Context, what string, bot *telegram.Bot) []Finding {
	name, all, err := bot.Me(ctx)
	if err != nil {
		return []Finding{failed(what, err, receiverRemedy(err.Error()))}
	}
	hook, err := bot.Webhook(ctx)
	if err != nil {
		return []Finding{failed(what, err, receiverRemedy(err.Error()))}
	}
	if hook != "" {
		return []Finding{failed(what, fmt.Errorf("the updates of @%s go to a webhook at %s", name, withoutSecrets(hook)),
			"give that program another bot, or remove its webhook by the method deleteWebhook")}
	}
	received := "commands and replies to its messages, because its privacy mode is on"
	if all {
		received = "all messages of its groups, of which it uses commands and replies to its own"
	}
	return []Finding{ok(what, "@%s can be polled; it receives %s", name, received)}
}

// withoutSecrets returns only the host of an address, because the path may be a secret.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an unknown address"
	}
	return u.Host
}

func receiverRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"401 Unauthorized", "the token is wrong or revoked: copy it from @BotFather"},
		{"404 Not Found", "the token is wrong: copy it from @BotFather"},
		{"chat not found", "add the bot to the chat, and check chat_id; groups have a negative id"},
		{"not a member", "add the bot to the chat"},
		{"kicked", "add the bot to the chat again"},
		{"blocked by the user", "open the chat with the bot, and press Start"},
		{"may not", "give the bot the right to send messages"},
		{"no topics", "remove thread_id, or turn topics on"},
		{"thread not found", "correct thread_id: it is the first number after the chat in the topic's link"},
		{"upgraded to a supergroup", "set chat_id to the group's new id"},
		{"refused", "check api_url, or the proxy in http_config"},
		{"no such host", "check api_url and DNS"},
		{"deadline", "check the firewall, or set http_config.proxy_url"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "check token, chat_id and the connection to api.telegram.org"
}

// SendTest sends a test message to a receiver, without the outbox, and returns the channel's id of the message.
func SendTest(ctx context.Context, c *config.Config, name string, log *slog.Logger) (id string, err error) {
	at := slices.IndexFunc(c.Receivers, func(r config.Receiver) bool { return r.Name == name })
	if at < 0 {
		var names []string
		for _, r := range c.Receivers {
			names = append(names, r.Name)
		}
		return "", fmt.Errorf("unknown receiver %q (have %s)", name, strings.Join(names, ", "))
	}
	one := *c
	one.Receivers = c.Receivers[at : at+1]
	chans, err := channels(&one, os.Stdout, log)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	html := "<b>🧪 TEST</b> awoooi-reporter\n" + time.Now().In(c.Zone).Format("2006-01-02 15:04:05 MST")
	for _, part := range chans[name].Split(reporter.Message{Title: "TEST", HTML: html}) {
		if id, err = chans[name].Send(ctx, part, reporter.SendOptions{}); err != nil {
			return "", err
		}
	}
	return id, nil
}
