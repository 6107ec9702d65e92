package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/awoooi/awoooi-reporter/collector"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/store"
	"github.com/awoooi/awoooi-reporter/reporter/telegram"
)

// The results of a check.
const (
	FindingOK   = "ok"
	FindingWarn = "warn" // works, but not as it is likely meant
	FindingFail = "fail"
)

// Finding is what one check of Doctor found.
type Finding struct {
	Result string `json:"result"`
	What   string `json:"what"` // what was checked, such as: receiver oncall
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// doctorTime bounds Doctor.
const doctorTime = 9 * time.Second

// Doctor asks everything that a configuration names whether it would work, and changes nothing. The findings have the order of the
// configuration: state, sources, Prometheus, Alertmanagers, receivers.
func Doctor(ctx context.Context, c *config.Config, log *slog.Logger) []Finding {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	checks := []func() []Finding{
		func() []Finding { return doctorState(ctx, c) },
		func() []Finding { return doctorSources(ctx, c, log) },
		func() []Finding { return doctorFigures(ctx, c) },
		func() []Finding { return doctorAlertmanagers(ctx, c) },
		func() []Finding { return doctorReceivers(ctx, c, log) },
	}
	found := make([][]Finding, len(checks))
	var wait sync.WaitGroup
	for n, check := range checks {
		wait.Go(func() { found[n] = check() })
	}
	wait.Wait()
	return slices.Concat(found...)
}

func failed(what string, err error, remedy string) Finding {
	return Finding{Result: FindingFail, What: what, Text: safetext.Line(err.Error(), safetext.MaxError), Remedy: remedy}
}

func doctorState(ctx context.Context, c *config.Config) []Finding {
	if !c.State.DSN.Empty() {
		if err := store.PingPostgres(ctx, c.State.DSN); err != nil {
			return []Finding{failed("state", err, "check state.dsn, the server and the user's rights")}
		}
		return []Finding{{Result: FindingOK, What: "state", Text: "PostgreSQL answers"}}
	}
	dir, err := filepath.Abs(c.State.Path)
	if err != nil {
		return []Finding{failed("state", err, "")}
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{
			Result: FindingWarn, What: "state", Text: dir + " does not exist", Remedy: "the first run creates it; check state.path",
		}}
	case err != nil:
		return []Finding{failed("state", err, "check state.path and its permissions")}
	case !info.IsDir():
		return []Finding{failed("state", fmt.Errorf("%s is not a directory", dir), "check state.path")}
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return []Finding{failed("state", fmt.Errorf("cannot write: %w", err), "give the program's user the directory "+dir)}
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return []Finding{failed("state", err, "check the permissions of "+dir)}
	}
	return []Finding{{Result: FindingOK, What: "state", Text: dir + " can be written"}}
}

// doctorSources asks every query once.
func doctorSources(ctx context.Context, c *config.Config, log *slog.Logger) []Finding {
	qs, err := queries(c, ownSources(), log)
	if err != nil {
		return []Finding{failed("queries", err, "run check-config")}
	}
	opened, err := sources(c, nil)
	if err != nil {
		return []Finding{failed("sources", err, "run check-config")}
	}
	found := make([][]Finding, len(opened))
	var wait sync.WaitGroup
	for n, s := range opened {
		wait.Go(func() {
			defer s.Source.Close()
			found[n] = doctorSource(ctx, s, slices.DeleteFunc(slices.Clone(qs), func(q kpi.Query) bool { return q.Source != s.Name }))
		})
	}
	wait.Wait()
	return slices.Concat(found...)
}

func doctorSource(ctx context.Context, s collector.NamedSource, qs []kpi.Query) []Finding {
	what := "source " + s.Name
	if len(qs) == 0 {
		return []Finding{{Result: FindingWarn, What: what, Text: "no query asks it", Remedy: "remove it, or add queries or kpi_sets"}}
	}
	var mu sync.Mutex
	wrong := map[string][]string{} // error: queries
	answered := 0
	s.Source.Read(ctx, time.Now(), qs, func(n int, r collector.Result) {
		mu.Lock()
		defer mu.Unlock()
		if answered++; r.Err != nil {
			text := safetext.Line(r.Err.Error(), safetext.MaxError)
			wrong[text] = append(wrong[text], qs[n].Name)
		}
	})
	mu.Lock()
	defer mu.Unlock()
	var out []Finding
	if missing := len(qs) - answered; missing > 0 {
		out = append(out, failed(what, fmt.Errorf("%d of %d queries did not answer in time", missing, len(qs)), "make them faster"))
	}
	for text, names := range wrong {
		slices.Sort(names)
		shown := what + " query " + names[0]
		if len(names) > 1 {
			shown = fmt.Sprintf("%s %d of %d queries", what, len(names), len(qs))
		}
		out = append(out, Finding{Result: FindingFail, What: shown, Text: text, Remedy: sourceRemedy(text)})
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.What+a.Text, b.What+b.Text) })
	if len(out) == 0 {
		out = []Finding{{Result: FindingOK, What: what, Text: fmt.Sprintf("%d queries answered", len(qs))}}
	}
	return out
}

// sourceRemedy is what to do about an error of a source, by its class.
func sourceRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"refused", "start the server, or correct host and port"},
		{"host not found", "correct the host name"},
		{"no such host", "correct the host name"},
		{"authentication", "correct user and password"},
		{"permission denied", "GRANT SELECT on the table to the user"},
		{"database missing", "correct the database's name"},
		{"does not exist", "correct the query, or the search_path"},
		{"certificate", "correct tls_config or sslrootcert"},
		{"timezone", "set the source's timezone"},
		{"401", "correct the credentials"},
		{"404", "correct url and path"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "ask it by hand with the same user"
}

// doctorFigures asks every figure of every report for a value now.
func doctorFigures(ctx context.Context, c *config.Config) []Finding {
	if c.Prometheus.URL == "" {
		return []Finding{{Result: FindingOK, What: "prometheus", Text: "the embedded database is used"}}
	}
	q, err := promql.NewHTTP(c.Prometheus.URL, c.Prometheus.HTTPConfig.Value(), c.Prometheus.Timeout)
	if err != nil {
		return []Finding{failed("prometheus", err, "check prometheus.url")}
	}
	now := time.Now()
	if _, err := q.Query(ctx, "vector(1)", now); err != nil {
		return []Finding{failed("prometheus", err, "check prometheus.url and its http_config")}
	}
	out := []Finding{{Result: FindingOK, What: "prometheus", Text: "answers"}}
	if s, err := q.Query(ctx, "awoooi_reporter_time_seconds", now); err == nil && len(s) == 0 {
		out = append(out, Finding{Result: FindingWarn, What: "prometheus", Text: "has no series of this program",
			Remedy: "add it to scrape_configs; docs and `dashboards` have a snippet"})
	}
	ds, err := definitions(c)
	if err != nil {
		return append(out, failed("reports", err, "run check-config"))
	}
	for _, d := range ds {
		var empty []string
		for _, f := range d.Asked() {
			samples, err := q.Query(ctx, f.Expr, now)
			switch {
			case err != nil:
				out = append(out, failed("report "+d.Name+" figure "+f.Name, err, "correct its expr"))
			case len(samples) == 0:
				empty = append(empty, f.Name)
			}
		}
		if len(empty) > 0 {
			out = append(out, Finding{Result: FindingWarn, What: "report " + d.Name,
				Text:   "no series now for " + safetext.Line(strings.Join(empty, ", "), safetext.MaxError),
				Remedy: "wait for the first scrape, or check the collector's queries"})
		}
	}
	return out
}

func doctorAlertmanagers(ctx context.Context, c *config.Config) []Finding {
	rc, err := reconcileConfig(c)
	if err != nil {
		return []Finding{failed("alertmanagers", err, "run check-config")}
	}
	var out []Finding
	for name, api := range rc.Clusters {
		what := "alertmanager " + name
		if _, _, err := api.Known(ctx); err != nil {
			out = append(out, failed(what, err, "check its url and http_config"))
		} else {
			out = append(out, Finding{Result: FindingOK, What: what, Text: "answers"})
		}
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.What, b.What) })
	return out
}

func doctorReceivers(ctx context.Context, c *config.Config, log *slog.Logger) []Finding {
	chans, err := channels(c, os.Stdout, log)
	if err != nil {
		return []Finding{failed("receivers", err, "run check-config")}
	}
	found := make([]Finding, len(c.Receivers))
	var wait sync.WaitGroup
	for n, r := range c.Receivers {
		what := "receiver " + r.Name
		ch, ok := chans[r.Name].(*telegram.Channel)
		if !ok {
			found[n] = Finding{Result: FindingOK, What: what, Text: "prints to the terminal"}
			continue
		}
		wait.Go(func() {
			bot, chat, err := ch.Inspect(ctx)
			if err == nil {
				found[n] = Finding{Result: FindingOK, What: what, Text: fmt.Sprintf("%s may write to %s", bot, chat)}
				return
			}
			found[n] = failed(what, err, receiverRemedy(err.Error()))
		})
	}
	wait.Wait()
	if c.Delivery.FallbackReceiver == "" && len(c.Receivers) > 0 && c.Receivers[0].Telegram != nil {
		found = append(found, Finding{Result: FindingWarn, What: "delivery", Text: "no fallback receiver",
			Remedy: "set delivery.fallback_receiver, so that somebody learns of messages that cannot be sent"})
	}
	return found
}

func receiverRemedy(text string) string {
	for _, r := range []struct{ part, remedy string }{
		{"401 Unauthorized", "the token is wrong or revoked: copy it from @BotFather"},
		{"404 Not Found", "the token is wrong: copy it from @BotFather"},
		{"chat not found", "add the bot to the chat, and check chat_id; groups have a negative id"},
		{"not a member", "add the bot to the chat"},
		{"may not", "give the bot the right to send messages"},
		{"no topics", "remove thread_id, or turn topics on"},
		{"refused", "check api_url, or the proxy in http_config"},
		{"no such host", "check api_url and DNS"},
	} {
		if strings.Contains(text, r.part) {
			return r.remedy
		}
	}
	return "check token, chat_id and the way to api.telegram.org"
}

// SendTest sends a message to a receiver that says it is a test, past the outbox, and returns the channel's id of it.
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
