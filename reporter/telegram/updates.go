package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// pollAnswerMax bounds the answer to one poll, in bytes: pollAtMost messages, each with the one that it replies to, of 4096
	// characters with at most 6 bytes each, are 1 MiB.
	pollAnswerMax = 8 << 20
	pollAtMost    = 20
	// pollSlack is how much longer than its wait a poll may take.
	pollSlack = 20 * time.Second
	nameMax   = 64
	dataMax   = 128 // bytes; Telegram's buttons hold 64
)

// pollKinds are the kinds of updates that Telegram queues for this program.
var pollKinds = []string{"message", "edited_message", "callback_query", "my_chat_member"}

// Bot receives the updates of a bot's chats, and answers them.
type Bot struct {
	calls, polls *Channel
	id           int64
	wait         time.Duration
}

// NewBot makes the bot of a token; c.ChatID is not used, and wait is how long a poll waits for updates. It connects at the first call.
// The error is about the API's URL or the token.
func NewBot(c Config, wait time.Duration, log *slog.Logger) (*Bot, error) {
	calls, err := New(c, log)
	if err != nil {
		return nil, err
	}
	c.Timeout = wait + pollSlack
	polls, err := New(c, log)
	if err != nil {
		return nil, err
	}
	polls.answerMax = pollAnswerMax
	bot, _, _ := strings.Cut(c.Token.Reveal(), ":")
	id, err := strconv.ParseInt(bot, 10, 64)
	if err != nil {
		return nil, errors.New("telegram: the token does not begin with the bot's id, want ID:SECRET")
	}
	return &Bot{calls: calls, polls: polls, id: id, wait: wait}, nil
}

// Account is the account of the bot's chats, as in reporter.Chat.
func (b *Bot) Account() string { return b.calls.Chat().Account }

// Me returns the bot's user name without "@", and whether it receives all messages of groups, because its privacy mode is off.
func (b *Bot) Me(ctx context.Context) (name string, all bool, err error) {
	var me struct {
		Username string `json:"username"`
		All      bool   `json:"can_read_all_group_messages"`
	}
	if err := b.calls.get(ctx, "getMe", nil, &me); err != nil {
		return "", false, fmt.Errorf("bot: %w", err)
	}
	return safetext.Line(me.Username, nameMax), me.All, nil
}

// Webhook returns the address to which Telegram posts the bot's updates instead of answering polls; "" means none. Its path may have a
// secret.
func (b *Bot) Webhook(ctx context.Context) (string, error) {
	var info struct {
		URL string `json:"url"`
	}
	if err := b.calls.get(ctx, "getWebhookInfo", nil, &info); err != nil {
		return "", fmt.Errorf("webhook: %w", err)
	}
	return info.URL, nil
}

// Poll waits for updates with IDs from from on; 0 means the oldest that Telegram has. It returns a *reporter.SendError, with status 409
// if another program polls or a webhook is set (see Conflict).
func (b *Bot) Poll(ctx context.Context, from int64) (reporter.Updates, error) {
	params := map[string]any{
		"timeout": int(b.wait / time.Second), "limit": pollAtMost, "allowed_updates": pollKinds,
	}
	if from != 0 {
		params["offset"] = from
	}
	body, err := json.Marshal(params)
	if err != nil {
		return reporter.Updates{}, err
	}
	result, err := b.polls.call(ctx, "getUpdates", "application/json", body)
	if err != nil {
		return reporter.Updates{}, err
	}
	out, err := decodeUpdates(result, b.id, time.Now())
	if err != nil {
		return reporter.Updates{}, err
	}
	for n := range out.List {
		out.List[n].Account = b.Account()
	}
	if out.Next == 0 {
		out.Next = from
	}
	return out, nil
}

// Member returns the membership of a person in a chat. A *reporter.SendError with a verdict about the chat means that Telegram does not
// answer this bot, as in a chat that shows its members only to administrators.
func (b *Bot) Member(ctx context.Context, chat, person string) (reporter.Membership, error) {
	var member struct {
		Status  string `json:"status"`
		IsThere *bool  `json:"is_member"`
	}
	err := b.calls.get(ctx, "getChatMember", map[string]any{"chat_id": chat, "user_id": person}, &member)
	var answer *reporter.SendError
	if errors.As(err, &answer) {
		text := strings.ToLower(answer.Error())
		for _, unknown := range []string{"user not found", "participant", "invalid user_id", "user_id_invalid"} {
			if strings.Contains(text, unknown) {
				return reporter.MemberNone, nil
			}
		}
	}
	if err != nil {
		return reporter.MemberNone, fmt.Errorf("member of chat %s: %w", chat, err)
	}
	// https://core.telegram.org/bots/api#chatmember
	switch member.Status {
	case "creator", "administrator":
		return reporter.MemberAdmin, nil
	case "member":
		return reporter.MemberYes, nil
	case "restricted":
		if member.IsThere != nil && *member.IsThere {
			return reporter.MemberYes, nil
		}
	}
	return reporter.MemberNone, nil
}

// takenMarks are reactions that mark a message as accepted; the first one that the chat allows is used.
var takenMarks = []string{"✍", "👍"}

// Answer shows a person the result of an update. It may be repeated. It succeeds if Telegram does not accept an answer any more.
func (b *Bot) Answer(ctx context.Context, a reporter.UpdateAnswer) error {
	var method string
	params := map[string]any{}
	switch {
	case a.Tap != "":
		method = "answerCallbackQuery"
		params["callback_query_id"], params["show_alert"] = a.Tap, a.Alert
		if a.Text != "" {
			params["text"] = cutRunes(a.Text, reporter.UpdateAnswerMax)
		}
	case a.Mark:
		return b.mark(ctx, a)
	case a.Chat != "" && a.Text != "":
		method = "sendMessage"
		params["chat_id"], params["text"] = a.Chat, cutRunes(a.Text, maxText-marks)
		if id, err := strconv.ParseInt(a.Message, 10, 64); err == nil {
			params["reply_parameters"] = map[string]any{"message_id": id, "allow_sending_without_reply": true}
		}
	default:
		return nil
	}
	err := b.change(ctx, method, params)
	var answer *reporter.SendError
	if errors.As(err, &answer) && strings.Contains(answer.Error(), "query is too old") {
		return nil
	}
	return err
}

func (b *Bot) mark(ctx context.Context, a reporter.UpdateAnswer) (err error) {
	id, err := strconv.ParseInt(a.Message, 10, 64)
	if err != nil {
		return fmt.Errorf("message %.20q: %w", a.Message, err)
	}
	for _, emoji := range takenMarks {
		err = b.change(ctx, "setMessageReaction", map[string]any{
			"chat_id": a.Chat, "message_id": id, "reaction": []any{map[string]any{"type": "emoji", "emoji": emoji}},
		})
		var answer *reporter.SendError
		if !errors.As(err, &answer) || !strings.Contains(strings.ToLower(answer.Error()), "reaction") {
			return err
		}
	}
	return err
}

// Register shows the commands in the chat to people whose Telegram has the language, two letters; "" means all others.
func (b *Bot) Register(ctx context.Context, chat, language string, commands []reporter.ChatCommand) error {
	list := make([]any, 0, len(commands))
	for _, c := range commands {
		list = append(list, map[string]any{"command": c.Name, "description": c.Text})
	}
	return b.change(ctx, "setMyCommands", map[string]any{
		"commands": list, "language_code": language, "scope": map[string]any{"type": "chat", "chat_id": chat},
	})
}

func (b *Bot) change(ctx context.Context, method string, params map[string]any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if _, err = b.calls.call(ctx, method, "application/json", body); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// whole is an id or a date, which some Bot API servers write as text. One that cannot be read is 0, so that the rest is used.
type whole int64

// UnmarshalJSON never fails.
func (n *whole) UnmarshalJSON(b []byte) error {
	if i, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64); err == nil {
		*n = whole(i)
	}
	return nil
}

// The fields of updates that are used: https://core.telegram.org/bots/api#update
type (
	rawUpdate struct {
		ID      whole       `json:"update_id"`
		Message *rawMessage `json:"message"`
		Edited  *rawMessage `json:"edited_message"`
		Tap     *rawTap     `json:"callback_query"`
		Member  *rawMember  `json:"my_chat_member"`
	}
	rawChat struct {
		ID       whole  `json:"id"`
		Type     string `json:"type"`
		Username string `json:"username"`
	}
	rawUser struct {
		ID       whole  `json:"id"`
		IsBot    bool   `json:"is_bot"`
		First    string `json:"first_name"`
		Last     string `json:"last_name"`
		Username string `json:"username"`
	}
	rawMessage struct {
		ID        whole    `json:"message_id"`
		Date      whole    `json:"date"`
		EditDate  whole    `json:"edit_date"`
		Chat      rawChat  `json:"chat"`
		From      *rawUser `json:"from"`
		InName    *rawChat `json:"sender_chat"`
		Signature string   `json:"author_signature"`
		Topic     whole    `json:"message_thread_id"`
		IsTopic   bool     `json:"is_topic_message"`
		Text      string   `json:"text"`
		Caption   string   `json:"caption"`
		ReplyTo   *struct {
			ID      whole           `json:"message_id"`
			From    *rawUser        `json:"from"`
			Buttons json.RawMessage `json:"reply_markup"`
		} `json:"reply_to_message"`
		MigrateTo whole `json:"migrate_to_chat_id"`
		// Set in forwards: a text that was written elsewhere, or a post of the linked channel.
		ForwardOrigin json.RawMessage `json:"forward_origin"`
		ForwardDate   whole           `json:"forward_date"` // of Bot API servers before 7.0
		AutoForward   bool            `json:"is_automatic_forward"`
	}
	rawTap struct {
		ID      string      `json:"id"`
		From    rawUser     `json:"from"`
		Message *rawMessage `json:"message"`
		Data    string      `json:"data"`
	}
	rawMember struct {
		Chat rawChat `json:"chat"`
		Date whole   `json:"date"`
		New  struct {
			Status  string `json:"status"`
			IsThere *bool  `json:"is_member"`
		} `json:"new_chat_member"`
	}
)

var errNoUpdates = errors.New("the answer is not a list of updates")

// decodeUpdates reads the result of a poll by the bot of that id. Updates that are not used, or that cannot be read, are skipped and
// counted; their ids are confirmed with the others.
func decodeUpdates(result []byte, bot int64, now time.Time) (out reporter.Updates, err error) {
	var list []json.RawMessage
	if err := json.Unmarshal(result, &list); err != nil {
		return out, errNoUpdates
	}
	for _, raw := range list {
		var u rawUpdate
		err := json.Unmarshal(raw, &u)
		if u.ID > 0 {
			out.Next = int64(u.ID) + 1
		}
		update, ok := u.decode(bot, now)
		if err != nil || !ok || u.ID <= 0 {
			out.Skipped++
			continue
		}
		update.ID = int64(u.ID)
		out.List = append(out.List, update)
	}
	if len(list) > 0 && out.Next == 0 { // Without an id it cannot be confirmed, and would be sent for ever.
		return reporter.Updates{}, errNoUpdates
	}
	return out, nil
}

// decode returns the update, and false for one that is not used.
func (u rawUpdate) decode(bot int64, now time.Time) (reporter.Update, bool) {
	switch {
	case u.Tap != nil:
		return u.Tap.decode(now)
	case u.Message != nil:
		return u.Message.decode(reporter.UpdateText, bot)
	case u.Edited != nil:
		return u.Edited.decode(reporter.UpdateEdit, bot)
	case u.Member != nil:
		out := u.Member.Chat.update(reporter.UpdateMember)
		gone := u.Member.New.Status == "restricted" && u.Member.New.IsThere != nil && !*u.Member.New.IsThere
		out.Gone = gone || u.Member.New.Status == "left" || u.Member.New.Status == "kicked"
		out.SentAt = moment(u.Member.Date)
		return out, out.Chat != ""
	}
	return reporter.Update{}, false
}

func (c rawChat) update(kind reporter.UpdateKind) reporter.Update {
	u := reporter.Update{Kind: kind, Private: c.Type == "private", Channel: c.Type == "channel"}
	if c.ID != 0 {
		u.Chat = strconv.FormatInt(int64(c.ID), 10)
	}
	if c.Username != "" && !u.Private {
		u.ChatName = "@" + safetext.Line(c.Username, nameMax)
	}
	return u
}

func (u rawUser) person() reporter.Person {
	p := reporter.Person{Kind: reporter.AuthorTelegram, Name: safetext.Line(strings.TrimSpace(u.First+" "+u.Last), nameMax)}
	if u.ID > 0 {
		p.ID = strconv.FormatInt(int64(u.ID), 10)
	}
	if strings.TrimSpace(p.Name) == "" {
		p.Name = safetext.Line(u.Username, nameMax)
	}
	if strings.TrimSpace(p.Name) == "" {
		p.Name = p.ID
	}
	return p
}

func (t rawTap) decode(now time.Time) (reporter.Update, bool) {
	if t.ID == "" || len(t.ID) > nameMax || t.From.ID <= 0 {
		return reporter.Update{}, false
	}
	out := reporter.Update{Kind: reporter.UpdateTap}
	if t.Message != nil { // nil for a button of a message that was sent in the name of a person, as by inline bots
		out = t.Message.Chat.update(reporter.UpdateTap)
		out.Message = id(t.Message.ID)
	}
	out.From, out.Tap, out.SentAt = t.From.person(), t.ID, now.UTC()
	out.Data = data(t.Data)
	return out, true
}

// data is the data of a button; "" if it is too long to be of this program.
func data(s string) string {
	if len(s) > dataMax {
		return ""
	}
	return s
}

// firstData is the data of the first button with data of a keyboard: https://core.telegram.org/bots/api#inlinekeyboardmarkup
func firstData(keyboard []byte) string {
	var k struct {
		Rows [][]struct {
			Data string `json:"callback_data"`
		} `json:"inline_keyboard"`
	}
	if len(keyboard) == 0 || json.Unmarshal(keyboard, &k) != nil {
		return ""
	}
	for _, row := range k.Rows {
		for _, b := range row {
			if b.Data != "" {
				return data(b.Data)
			}
		}
	}
	return ""
}

// decode returns commands, and replies to messages of the bot, but no forwards, which another person wrote.
func (m rawMessage) decode(kind reporter.UpdateKind, bot int64) (reporter.Update, bool) {
	out := m.Chat.update(kind)
	out.Message, out.SentAt = id(m.ID), moment(max(m.Date, m.EditDate))
	if out.Chat == "" || out.Message == "" || m.AutoForward || m.ForwardDate != 0 || len(m.ForwardOrigin) > 0 {
		return out, false
	}
	if m.MigrateTo != 0 {
		out.Kind, out.To = reporter.UpdateMoved, strconv.FormatInt(int64(m.MigrateTo), 10)
		return out, kind == reporter.UpdateText
	}
	if m.IsTopic && m.Topic > 0 {
		out.Topic = int(m.Topic)
	}
	if m.ReplyTo != nil && m.ReplyTo.From != nil && int64(m.ReplyTo.From.ID) == bot {
		out.ReplyTo = id(m.ReplyTo.ID)
		out.Data = firstData(m.ReplyTo.Buttons)
	}
	out.Text = m.Text
	if out.Text == "" {
		out.Text = m.Caption
	}
	out.Text = cutRunes(strings.ToValidUTF8(out.Text, "\uFFFD"), reporter.UpdateTextMax)
	switch {
	case m.InName != nil && m.InName.ID == m.Chat.ID:
		out.InName = true
		out.From = reporter.Person{Kind: reporter.AuthorTelegram, Name: safetext.Line(m.Signature, nameMax)}
	case m.InName != nil: // another chat, such as the linked channel
		return out, false
	case m.From == nil || m.From.ID <= 0 || m.From.IsBot:
		return out, false
	default:
		out.From = m.From.person()
	}
	command := kind == reporter.UpdateText && strings.HasPrefix(out.Text, "/")
	return out, out.Text != "" && (command || out.ReplyTo != "")
}

// id is the text of a message's id; "" if there is none.
func id(n whole) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// latestDate is the end of the year 9999, the last one that time.Time writes as JSON.
const latestDate = 253402300799

func moment(n whole) time.Time { return time.Unix(min(max(int64(n), 0), latestDate), 0).UTC() }

// cutRunes cuts a text to limit characters.
func cutRunes(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// Conflict reports whether an error of Poll means that another program receives the updates.
func Conflict(err error) bool {
	var answer *reporter.SendError
	return errors.As(err, &answer) && answer.Status == http.StatusConflict
}
