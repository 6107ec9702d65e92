package app

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/chat"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

// pollWait is how long a poll waits for updates: shorter than the idle timeout of common proxies.
const pollWait = 25 * time.Second

// chatConfig returns the chats in which people may act: none unless telegram.listen is set.
func chatConfig(c *config.Config, definitions []report.Definition, log *slog.Logger) (chat.Config, error) {
	out := chat.Config{
		Locale: c.Locale, Zone: c.Zone, ExternalURL: c.ExternalURL, Fallback: c.Delivery.FallbackReceiver,
		Bots: map[string]chat.Bot{}, Routes: map[string][]string{"": c.Incidents.Receivers}, RouteLocales: map[string]string{},
	}
	if !c.Telegram.Listen {
		return out, nil
	}
	for _, r := range c.Receivers {
		if r.Telegram == nil {
			continue
		}
		conf, err := telegramConfig(r)
		if err != nil {
			return out, fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		bot, err := telegram.NewBot(conf, pollWait, log)
		if err != nil {
			return out, fmt.Errorf("receiver %s: %w", r.Name, err)
		}
		account := bot.Account()
		if out.Bots[account] == nil { // receivers of one bot share its client
			out.Bots[account] = bot
		}
		out.Places = append(out.Places, chat.Place{
			Receiver: r.Name, Account: account, Address: r.Telegram.ChatID, Topic: r.Telegram.ThreadID,
		})
	}
	for _, u := range c.Telegram.Users {
		out.Users = append(out.Users, strconv.FormatInt(u.ID, 10))
	}
	for _, r := range c.Routes {
		if r.Ignore || r.Heartbeat != nil {
			continue
		}
		out.Routes[r.Name] = r.Receivers
		if r.Locale != "" {
			out.RouteLocales[r.Name] = r.Locale
		}
	}
	for _, d := range definitions {
		out.Reports = append(out.Reports, chat.Report{Name: d.Name, Receivers: d.Receivers})
	}
	return out, nil
}
