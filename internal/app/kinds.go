package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/collector/httpjson"
	"github.com/awoooi/awoooi-reporter/collector/journal"
	"github.com/awoooi/awoooi-reporter/collector/postgres"
	"github.com/awoooi/awoooi-reporter/collector/redis"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/pg"
	"github.com/awoooi/awoooi-reporter/reporter/httppost"
	"github.com/awoooi/awoooi-reporter/reporter/outbox"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
	"github.com/awoooi/awoooi-reporter/reporter/terminal"
)

// sourceKind is one kind of source.
type sourceKind struct {
	name      string
	statement string                                          // key of a query's statement
	open      func(s config.Source) (collector.Source, error) // connects to nothing
	check     func(q kpi.Query) error                         // refuses a statement that can never work
	describe  func(s config.Source) string                    // its address, without credentials
}

// sourceKinds lists all kinds of sources. A new one is its package and one line here.
func sourceKinds() []sourceKind {
	return []sourceKind{
		{kpi.KindPostgres, "sql", openPostgres, checkedByKPI, describePostgres},
		{kpi.KindRedis, "redis", openRedis, redis.Check, describeURL},
		{kpi.KindHTTP, "http", openHTTP, httpjson.Check, describeURL},
		{kpi.KindJournal, "journal", openJournal, journal.Check, describeURL},
	}
}

func sourceKindOf(name string) (sourceKind, bool) {
	for _, k := range sourceKinds() {
		if k.name == name {
			return k, true
		}
	}
	return sourceKind{}, false
}

// checkedByKPI is the check of a kind whose statements kpi.Validate checks.
func checkedByKPI(kpi.Query) error { return nil }

func openPostgres(s config.Source) (collector.Source, error) {
	conns := int32(s.MaxConnections) //nolint:gosec // 1..3, as internal/config checks
	return postgres.Open(postgres.Config{Name: s.Name, DSN: s.DSN, MaxConns: conns, Timezone: s.Timezone})
}

func describePostgres(s config.Source) string {
	c, err := pg.Parse(s.DSN)
	if err != nil {
		return ""
	}
	to := c.Pool.ConnConfig
	return net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))) + "/" + to.Database
}

func openRedis(s config.Source) (collector.Source, error) {
	return redis.Open(redis.Config{Name: s.Name, URL: s.URL})
}

func openHTTP(s config.Source) (collector.Source, error) {
	client, err := httpClient(s.HTTPConfig, "source_"+s.Name, s.Timeout)
	if err != nil {
		return nil, err
	}
	return httpjson.Open(httpjson.Config{Name: s.Name, URL: s.URL, Client: client})
}

// openJournal refuses a journal in the configuration: statePart.journalSource opens the only one.
func openJournal(config.Source) (collector.Source, error) {
	return nil, errors.New("the journal is always there and cannot be configured: remove this source")
}

func describeURL(s config.Source) string { return withoutUser(s.URL.Reveal()) }

// withoutUser returns an address without user, password and query, which may hold a token; "" for one that cannot be parsed.
func withoutUser(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// channelKind is one kind of channel. Its package has its limits: what it can send, and how fast.
type channelKind struct {
	name     string
	is       func(r config.Receiver) bool // whether the receiver is of this kind
	open     func(r config.Receiver, stdout io.Writer, log *slog.Logger) (outbox.Channel, error)
	describe func(r config.Receiver) string // the kind and the chat, without credentials
}

// channelKinds lists all kinds of channels. A new one is its package and one line here.
func channelKinds() []channelKind {
	return []channelKind{
		{"telegram", isTelegram, openTelegram, describeTelegram},
		{"httppost", isHTTPPost, openHTTPPost, describeHTTPPost},
		{"terminal", isTerminal, openTerminal, describeTerminal},
	}
}

func channelKindOf(r config.Receiver) (channelKind, bool) {
	for _, k := range channelKinds() {
		if k.is(r) {
			return k, true
		}
	}
	return channelKind{}, false
}

func isTelegram(r config.Receiver) bool { return r.Telegram != nil }

func openTelegram(r config.Receiver, _ io.Writer, log *slog.Logger) (outbox.Channel, error) {
	conf, err := telegramConfig(r)
	if err != nil {
		return nil, err
	}
	return telegram.New(conf, log)
}

func telegramConfig(r config.Receiver) (telegram.Config, error) {
	client, err := httpClient(r.Telegram.HTTPConfig, "receiver_"+r.Name, 0)
	return telegram.Config{
		Token: r.Telegram.BotToken, ChatID: r.Telegram.ChatID, ThreadID: r.Telegram.ThreadID,
		Silent: r.Telegram.Silent, APIURL: r.Telegram.APIURL, HTTPClient: client,
	}, err
}

func describeTelegram(r config.Receiver) string {
	chat := "telegram " + r.Telegram.ChatID
	if r.Telegram.ThreadID != 0 {
		chat += fmt.Sprintf(", topic %d", r.Telegram.ThreadID)
	}
	return chat
}

func isHTTPPost(r config.Receiver) bool { return r.HTTPPost != nil }

func openHTTPPost(r config.Receiver, _ io.Writer, _ *slog.Logger) (outbox.Channel, error) {
	client, err := httpClient(r.HTTPPost.HTTPConfig, "receiver_"+r.Name, 0)
	if err != nil {
		return nil, err
	}
	ch, err := httppost.New(httppost.Config{
		URL: r.HTTPPost.URL, Secret: r.HTTPPost.Secret, Format: r.HTTPPost.Format, Timeout: r.HTTPPost.Timeout, HTTPClient: client,
	})
	if err != nil {
		return nil, fault.In("httppost", err)
	}
	return ch, nil
}

// describeHTTPPost names the server only: the path may be a secret.
func describeHTTPPost(r config.Receiver) string {
	u, err := httppost.ParseURL(r.HTTPPost.URL)
	if err != nil {
		return "httppost"
	}
	return "httppost " + u.Scheme + "://" + u.Host
}

func isTerminal(r config.Receiver) bool { return r.Terminal != nil }

func openTerminal(_ config.Receiver, stdout io.Writer, _ *slog.Logger) (outbox.Channel, error) {
	return terminal.New(stdout), nil
}

func describeTerminal(config.Receiver) string { return "terminal" }
