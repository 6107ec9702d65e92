package chat

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// maxOpen is how many incidents /open lists.
const maxOpen = 20

// command is a command that people can send.
type command struct {
	name string
	does string // key of its description
	run  func(a *accountWork, ctx context.Context, q question) (effect, string, error)
}

// commands returns all commands, in the order in which people see them.
func commands() []command {
	return []command{
		{"status", "chat_does_status", (*accountWork).status},
		{"open", "chat_does_open", (*accountWork).open},
		{"report", "chat_does_report", (*accountWork).report},
		{"incident", "chat_does_incident", (*accountWork).incident},
		{"ack", "chat_does_ack", (*accountWork).ack},
		{"help", "chat_does_help", (*accountWork).help},
	}
}

// question is a command with its arguments.
type question struct {
	u        reporter.UpdateState
	name     string // of the command
	args     string
	here     scope
	receiver string // of the answer
	w        words
}

var commandText = regexp.MustCompile(`^/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+([\s\S]*))?$`)

// text decides the effect of a text: a command, or a reply to a message of the bot.
func (a *accountWork) text(ctx context.Context, u reporter.UpdateState) (effect, string, error) {
	here, err := a.scope(ctx, u.Update)
	if err != nil {
		return nil, "", err
	}
	w := a.words(here)
	if u.From.Name == "" { // an anonymous administrator, who writes in the name of the chat
		u.From.Name = w.T("chat_administrator")
	}
	m := commandText.FindStringSubmatch(u.Text)
	switch {
	case m != nil && m[2] != "" && !strings.EqualFold(m[2], a.name):
		return nil, resultIgnored, nil // for another bot
	case len(here.places) == 0:
		if m == nil || (!u.Private && m[2] == "") {
			return nil, resultIgnored, nil
		}
		return a.elsewhere(u, w)
	case m != nil && u.Kind == reporter.UpdateText:
		return a.command(ctx, u, here, w, m)
	case m == nil && u.ReplyTo != "":
		return a.note(ctx, u, here, w)
	}
	return nil, resultIgnored, nil
}

// elsewhere answers a command in a chat that is not configured, for people who set the bot up.
func (a *accountWork) elsewhere(u reporter.UpdateState, w words) (effect, string, error) {
	if ok, warn := a.within(u); !ok && !warn {
		return nil, resultLimited, nil
	}
	return func(context.Context, reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		return reporter.UpdateAnswer{Chat: u.Chat, Message: u.Message, Text: w.T("chat_elsewhere", u.Chat)}, nil
	}, resultRefused, nil
}

func (a *accountWork) command(ctx context.Context, u reporter.UpdateState, here scope, w words, m []string) (effect, string, error) {
	receiver, ok := here.answerIn(u.Topic)
	if !ok {
		return nil, resultIgnored, nil
	}
	name := strings.ToLower(m[1])
	if name == "start" {
		name = "help"
	}
	list := commands()
	n := slices.IndexFunc(list, func(c command) bool { return c.name == name })
	if n < 0 {
		if !u.Private && m[2] == "" {
			return nil, resultIgnored, nil // it may be for another bot
		}
		n = len(list) - 1
	}
	if ok, warn := a.within(u); !ok {
		if !warn {
			return nil, resultLimited, nil
		}
		return a.say(u, receiver, w.T("chat_limited")), resultLimited, nil
	}
	return list[n].run(a, ctx, question{u, list[n].name, strings.TrimSpace(m[3]), here, receiver, w})
}

// say is the effect of an answer with a plain text.
func (a *accountWork) say(u reporter.UpdateState, receiver, text string) effect {
	return a.send(a.answerText(u, receiver, text))
}

// send is the effect of a delivery.
func (a *accountWork) send(d reporter.Delivery) effect {
	return func(ctx context.Context, work reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		return reporter.UpdateAnswer{}, work.Enqueue(ctx, d)
	}
}

// answerText is the delivery of a plain text to a receiver, as the answer to an update.
func (a *accountWork) answerText(u reporter.UpdateState, receiver, text string) reporter.Delivery {
	return a.answerHTML(u, receiver, cut(text, titleMax), markup.Escape(text))
}

func (a *accountWork) answerHTML(u reporter.UpdateState, receiver, title, html string) reporter.Delivery {
	d := a.delivery(u, receiver, reporter.AnswerText)
	d.Message = &reporter.Message{Title: title, HTML: html, Summary: html}
	return d
}

// delivery is the answer to an update. Its key is that of the update, which gets one answer.
func (a *accountWork) delivery(u reporter.UpdateState, receiver, subject string) reporter.Delivery {
	d := reporter.NewDelivery(reporter.DeliveryAnswer, subject, receiver, a.l.state.Now())
	d.Key = fmt.Sprintf("%s/%s/%d/%d", reporter.DeliveryAnswer, u.Account, u.ID, u.Seq)
	d.ReplyTo = u.Message
	return d
}

func (a *accountWork) help(_ context.Context, q question) (effect, string, error) {
	var b strings.Builder
	b.WriteString("<b>" + markup.Escape(q.w.T("chat_help")) + "</b>")
	for _, c := range commands() {
		b.WriteString("\n/" + c.name + " – " + markup.Escape(q.w.T(c.does)))
	}
	b.WriteString("\n\n" + markup.Escape(q.w.T("chat_help_notes")))
	return a.send(a.answerHTML(q.u, q.receiver, q.w.T("chat_help"), b.String())), resultDone, nil
}

func (a *accountWork) status(ctx context.Context, q question) (effect, string, error) {
	list, counts, err := a.l.state.OpenOf(ctx, q.here.routes(), maxOpen)
	if err != nil {
		return nil, "", err
	}
	var b strings.Builder
	title := q.w.T("chat_status", q.w.at(a.l.state.Now()))
	b.WriteString("<b>" + markup.Escape(title) + "</b>")
	row := func(key string, value any) {
		b.WriteString("\n" + markup.Escape(q.w.T(key)) + ": " + markup.Escape(fmt.Sprint(value)))
	}
	row("open", counts[reporter.IncidentOpen])
	row("chronic", counts[reporter.IncidentChronic])
	if total := counts[reporter.IncidentOpen] + counts[reporter.IncidentChronic]; total == len(list) && total > 0 {
		n := 0
		for _, in := range list {
			if in.By != "" {
				n++
			}
		}
		row("chat_acknowledged_count", n)
	}
	if names := q.here.reports(); len(names) > 0 {
		row("chat_reports", strings.Join(names, ", "))
	}
	return a.send(a.answerHTML(q.u, q.receiver, title, b.String())), resultDone, nil
}

func (a *accountWork) open(ctx context.Context, q question) (effect, string, error) {
	list, counts, err := a.l.state.OpenOf(ctx, q.here.routes(), maxOpen)
	if err != nil {
		return nil, "", err
	}
	total := counts[reporter.IncidentOpen] + counts[reporter.IncidentChronic]
	if total == 0 {
		return a.say(q.u, q.receiver, q.w.T("chat_open_none")), resultDone, nil
	}
	slices.SortStableFunc(list, func(x, y reporter.OpenIncident) int { return x.Severity.Rank() - y.Severity.Rank() })
	title := q.w.T("chat_open", total)
	var b strings.Builder
	b.WriteString("<b>" + markup.Escape(title) + "</b>")
	for _, in := range list {
		b.WriteString("\n• " + q.w.incident(in, a.cfg.ExternalURL))
	}
	if more := total - len(list); more > 0 {
		b.WriteString("\n" + markup.Escape(q.w.T("chat_more", more)))
	}
	return a.send(a.answerHTML(q.u, q.receiver, title, b.String())), resultDone, nil
}

// incidentPage is the address of an incident's page; "" if the base is unknown.
func incidentPage(base, id string) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/incidents/" + url.PathEscape(id)
}

// incident is the line of an open or chronic incident, as HTML.
func (w words) incident(in reporter.OpenIncident, base string) string {
	id := "<code>" + esc(in.ID, idMax) + "</code>"
	if page := incidentPage(base, in.ID); markup.Linkable(page) {
		id = `<a href="` + markup.Escape(page) + `">` + esc(in.ID, idMax) + "</a>"
	}
	line := "<b>" + esc(in.Title, titleMax) + "</b> " + id
	if in.Severity != "" {
		line = "[" + esc(string(in.Severity), nameMax) + "] " + line
	}
	line += ", " + markup.Escape(w.T("chat_since", w.at(in.StartedAt)))
	if in.State == reporter.IncidentChronic {
		line += ", " + markup.Escape(w.T("chronic"))
	}
	if in.By != "" {
		line += " ✋ " + esc(in.By, nameMax)
	}
	return line
}

func (a *accountWork) report(_ context.Context, q question) (effect, string, error) {
	names := q.here.reports()
	name := q.args
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	if !slices.Contains(names, name) {
		text := q.w.T("chat_reports_none")
		if len(names) > 0 {
			text = q.w.T("chat_report_which", strings.Join(names, ", "))
		}
		return a.say(q.u, q.receiver, text), resultRefused, nil
	}
	// The report as of now does not replace the one of a due time.
	at := a.l.state.Now().UTC().Truncate(time.Second)
	return a.send(a.delivery(q.u, q.receiver, reporter.AnswerReport+reporter.Subject{Report: name, Due: at}.String())), resultDone, nil
}

// find returns the incident of that id, or reporter.ErrNotFound if there is none that the chat may see.
func (a *accountWork) find(ctx context.Context, here scope, id string) (reporter.Incident, error) {
	if id == "" || strings.ContainsRune(id, 0) {
		return reporter.Incident{}, reporter.ErrNotFound
	}
	in, err := a.l.state.IncidentExtract(ctx, id)
	if err != nil {
		return in, err
	}
	if slices.Contains(here.routes(), in.Route) {
		return in, nil
	}
	sent, err := a.l.state.WasSentTo(ctx, id, here.receivers())
	if err == nil && !sent {
		err = reporter.ErrNotFound
	}
	return in, err
}

// named returns the id in the command, or that of the incident of the message that it replies to; "" if there is none.
func (a *accountWork) named(ctx context.Context, q question) (string, error) {
	if q.args != "" || q.u.ReplyTo == "" {
		return q.args, nil
	}
	m, err := a.repliedTo(ctx, q.u.Update, q.here)
	id, _, _ := about(m, "")
	return id, err
}

// asked returns the incident of a command. refusal is the answer if there is none.
func (a *accountWork) asked(ctx context.Context, q question, name string) (in reporter.Incident, refusal string, err error) {
	id, err := a.named(ctx, q)
	switch {
	case err != nil:
		return in, "", err
	case id == "":
		return in, q.w.T("chat_which", name), nil
	}
	in, err = a.find(ctx, q.here, id)
	if errors.Is(err, reporter.ErrNotFound) {
		return in, q.w.T("chat_incident_unknown", cut(id, idMax)), nil
	}
	return in, "", err
}

func (a *accountWork) incident(ctx context.Context, q question) (effect, string, error) {
	in, refusal, err := a.asked(ctx, q, "/incident")
	switch {
	case err != nil:
		return nil, "", err
	case refusal != "":
		return a.say(q.u, q.receiver, refusal), resultRefused, nil
	}
	return a.send(a.delivery(q.u, q.receiver, reporter.AnswerIncident+in.ID)), resultDone, nil
}

func (a *accountWork) ack(ctx context.Context, q question) (effect, string, error) {
	in, refusal, err := a.asked(ctx, q, "/ack")
	switch {
	case err != nil:
		return nil, "", err
	case refusal != "":
		return a.say(q.u, q.receiver, refusal), resultRefused, nil
	}
	switch p, err := a.may(ctx, q.u.Update); {
	case err != nil:
		return nil, "", err
	case p != permitted:
		return a.say(q.u, q.receiver, q.w.refusal(p, q.u.From)), resultRefused, nil
	}
	return func(ctx context.Context, work reporter.UpdateWork) (reporter.UpdateAnswer, error) {
		text, err := acknowledged(ctx, work, q.u, q.receiver, in.ID, reporter.ActionAcknowledge, q.w)
		if err != nil {
			return reporter.UpdateAnswer{}, err
		}
		return reporter.UpdateAnswer{}, work.Enqueue(ctx, a.answerText(q.u, q.receiver, text))
	}, resultDone, nil
}

// register offers the commands in the chats of the account, in each language, and in that of the chat for all other languages.
func (a *accountWork) register(ctx context.Context) {
	a.registered = a.l.state.Now().Add(a.pace.register)
	places, err := a.addresses(ctx)
	if err != nil {
		a.log.Warn("commands were not registered", "err", err)
		return
	}
	done := true
	for _, p := range places {
		here := scope{cfg: &a.cfg, places: []Place{p}}
		languages := map[string]string{"": here.locale()}
		for _, locale := range i18n.Locales() {
			language, _, _ := strings.Cut(locale, "-")
			languages[language] = locale
		}
		for language, locale := range languages {
			w, err := a.l.bundle.Words(locale, i18n.Messages)
			if err != nil {
				continue
			}
			var list []reporter.ChatCommand
			for _, c := range commands() {
				list = append(list, reporter.ChatCommand{Name: c.name, Text: w.T(c.does)})
			}
			if err := a.bot.Register(ctx, p.Address, language, list); err != nil && ctx.Err() == nil {
				a.log.Warn("commands were not registered in a chat", "receiver", p.Receiver, "err", err)
				var answer *reporter.SendError
				done = done && errors.As(err, &answer) && !temporary(answer)
				break
			}
		}
	}
	if done && ctx.Err() == nil {
		a.registered = a.registered.Add(365 * 24 * time.Hour)
	}
}
