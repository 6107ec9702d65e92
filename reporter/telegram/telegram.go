// Package telegram is the channel into Telegram: messages come in and are split into parts, sends to the Bot API go
// out, and each answer comes back as a verdict.
package telegram

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// DefaultAPIURL is Telegram's own server.
const DefaultAPIURL = "https://api.telegram.org"

const (
	maxAnswer         = 1 << 20
	defaultRetryAfter = 30 * time.Second // of a 429 that names none
	maxRetryAfter     = 7 * 24 * time.Hour
)

// Config is a bot and the chat that it talks in.
type Config struct {
	Token        secret.Text
	ChatID       string
	ThreadID     int // topic of a group; 0 is none
	Silent       bool
	APIURL       string
	HTTPClient   *http.Client  // for a proxy or TLS settings; its timeout is not used
	RetryMax     int           // tries after the first while the request cannot be written; default 2
	RetryWaitMin time.Duration // default 200 ms
	RetryWaitMax time.Duration // default 1 s
	Timeout      time.Duration // of one try; default 20 s
}

// Channel sends to one chat.
type Channel struct {
	cfg  Config
	base *url.URL
	http *http.Client
	log  *slog.Logger

	answerMax int64 // bytes
}

// New checks the configuration and makes the channel; it does not talk to Telegram.
func New(c Config, log *slog.Logger) (*Channel, error) {
	if c.APIURL == "" {
		c.APIURL = DefaultAPIURL
	}
	base, err := url.Parse(c.APIURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, errors.New("telegram: api_url: want an http or https URL")
	}
	if c.RetryMax == 0 {
		c.RetryMax = 2
	}
	if c.RetryWaitMin == 0 {
		c.RetryWaitMin = 200 * time.Millisecond
	}
	if c.RetryWaitMax == 0 {
		c.RetryWaitMax = time.Second
	}
	if c.Timeout == 0 {
		c.Timeout = 20 * time.Second
	}
	plain := http.Client{}
	if c.HTTPClient != nil {
		plain = *c.HTTPClient
	}
	plain.Timeout = c.Timeout
	// A redirect would carry the token to another server.
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Channel{cfg: c, base: base, http: &plain, log: log, answerMax: maxAnswer}, nil
}

// limits lie below Telegram's, 30/s, 1/s and 20/min: clocks differ.
// https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
var (
	perBot   = reporter.Limit{Account: true, N: 28, Per: time.Second}
	perChat  = reporter.Limit{N: 1, Per: time.Second + 50*time.Millisecond}
	perGroup = reporter.Limit{N: 20, Per: time.Minute + 500*time.Millisecond}
)

// Chat names the bot by its id, which is the public half of its token. A group's id is negative; a name such as @team is a
// group's or a channel's.
func (c *Channel) Chat() reporter.Chat {
	bot, _, _ := strings.Cut(c.cfg.Token.Reveal(), ":")
	chat := reporter.Chat{Account: "telegram:" + bot, Address: c.cfg.ChatID, Limits: []reporter.Limit{perBot, perChat}}
	if strings.HasPrefix(c.cfg.ChatID, "-") || strings.HasPrefix(c.cfg.ChatID, "@") {
		chat.Limits = append(chat.Limits, perGroup)
	}
	return chat
}

// Probe shows for a moment that the bot is typing, which is refused where a message would be. To is where the chat has moved
// to.
func (c *Channel) Probe(ctx context.Context, to string) error {
	params := map[string]any{"chat_id": cmp.Or(to, c.cfg.ChatID), "action": "typing"}
	if c.cfg.ThreadID != 0 {
		params["message_thread_id"] = c.cfg.ThreadID
	}
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("chat action: %w", err)
	}
	_, err = c.call(ctx, "sendChatAction", "application/json", body)
	return err
}

// Check asks Telegram who the bot is, which says whether the token is good.
func (c *Channel) Check(ctx context.Context) error {
	_, err := c.call(ctx, "getMe", "application/json", []byte("{}"))
	return err
}

// Send sends one part and returns the message's id, or a *reporter.SendError; an error of another type is one of the network
// before the request was sent.
func (c *Channel) Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	method, contentType, body, err := c.request(part, cmp.Or(o.To, c.cfg.ChatID), o)
	if err != nil {
		return "", &reporter.SendError{Verdict: reporter.VerdictRefused, Err: err}
	}
	result, err := c.call(ctx, method, contentType, body)
	if err != nil {
		return "", err
	}
	var sent struct {
		MessageID int64 `json:"message_id"`
	}
	if err := json.Unmarshal(result, &sent); err != nil || sent.MessageID == 0 {
		return "", unknown(errNoMessage)
	}
	return strconv.FormatInt(sent.MessageID, 10), nil
}

// Edit replaces the text and the buttons of a message that was sent: what is the same is no error. An edit that is made twice does no harm.
// https://core.telegram.org/bots/api#editmessagetext, https://core.telegram.org/bots/api#editmessagecaption
func (c *Channel) Edit(ctx context.Context, part reporter.Part, o reporter.SendOptions) error {
	id, err := strconv.ParseInt(part.MessageID, 10, 64)
	if err != nil {
		return &reporter.SendError{Verdict: reporter.VerdictGone, Err: errNoMessage}
	}
	params := map[string]any{"chat_id": cmp.Or(o.To, c.cfg.ChatID), "message_id": id}
	// A message that is edited without buttons loses those that it has.
	if rows := keyboard(part.Buttons); rows != nil {
		params["reply_markup"] = map[string]any{"inline_keyboard": rows}
	}
	method, limit, field := "editMessageText", maxText, "text"
	if part.Caption {
		method, limit, field = "editMessageCaption", maxCaption, "caption"
	} else {
		params["link_preview_options"] = map[string]any{"is_disabled": true}
	}
	params[field] = written(params, part, limit, o.Repeat)
	body, err := json.Marshal(params)
	if err != nil {
		return &reporter.SendError{Verdict: reporter.VerdictRefused, Err: err}
	}
	_, err = c.call(ctx, method, "application/json", body)
	var answer *reporter.SendError
	if errors.As(err, &answer) && answer.Verdict == reporter.VerdictRefused && strings.Contains(answer.Error(), notModified) {
		return nil
	}
	return err
}

// notModified is in the answer to an edit that changes nothing.
const notModified = "message is not modified"

// written is the text of a part within the limit, and how it is to be parsed.
func written(params map[string]any, part reporter.Part, limit int, repeat bool) string {
	text := part.HTML
	if part.Plain {
		text = plain(text, limit-marks)
	} else {
		params["parse_mode"] = "HTML"
	}
	if repeat {
		text = repeatMark + "\n" + text
	}
	return text
}

const repeatMark = "🔁 可能重複 / possible repeat"

// request makes the call of a part. Structured parameters are JSON within JSON, and text in a form:
// https://core.telegram.org/bots/api#making-requests
func (c *Channel) request(part reporter.Part, chat string, o reporter.SendOptions) (method, contentType string, body []byte, err error) {
	params := map[string]any{"chat_id": chat}
	if c.cfg.ThreadID != 0 {
		params["message_thread_id"] = c.cfg.ThreadID
	}
	if c.cfg.Silent {
		params["disable_notification"] = true
	}
	if id, err := strconv.ParseInt(o.ReplyTo, 10, 64); err == nil {
		// A chat that has moved no longer has that message, which must not keep this one back.
		params["reply_parameters"] = map[string]any{"message_id": id, "allow_sending_without_reply": true}
	}
	if rows := keyboard(part.Buttons); rows != nil {
		params["reply_markup"] = map[string]any{"inline_keyboard": rows}
	}
	limit := maxText
	if part.Picture != nil {
		limit = maxCaption
	}
	text := written(params, part, limit, o.Repeat)
	switch {
	case part.Document != "":
		delete(params, "parse_mode")
		if o.Repeat {
			params["caption"] = repeatMark
		}
		contentType, body, err = form(params, "document", part.Document, []byte(part.HTML))
		return "sendDocument", contentType, body, err
	case part.Picture != nil:
		params["caption"] = text
		contentType, body, err = form(params, "photo", "picture.png", part.Picture)
		return "sendPhoto", contentType, body, err
	}
	params["text"] = text
	params["link_preview_options"] = map[string]any{"is_disabled": true}
	body, err = json.Marshal(params)
	return "sendMessage", "application/json", body, err
}

// actionsInARow is how many buttons of actions stand side by side, so that their captions can be read on a phone.
const actionsInARow = 3

// keyboard makes the rows of an inline keyboard: actions side by side, each link in a row of its own. One that Telegram would refuse is
// left out, because it would take the message with it. https://core.telegram.org/bots/api#inlinekeyboardbutton
func keyboard(buttons []reporter.Button) [][]map[string]any {
	var rows [][]map[string]any
	beside := false // the last row is of actions and has a place
	for _, b := range buttons {
		if !shown(b) {
			continue
		}
		if b.Action == "" {
			rows, beside = append(rows, []map[string]any{{"text": b.Text, "url": b.URL}}), false
			continue
		}
		button := map[string]any{"text": b.Text, "callback_data": CallbackData(b.Action, b.Token)}
		if beside {
			rows[len(rows)-1] = append(rows[len(rows)-1], button)
		} else {
			rows = append(rows, []map[string]any{button})
		}
		beside = len(rows[len(rows)-1]) < actionsInARow
	}
	return rows
}

// CallbackData is what Telegram gives back when a person presses the button of an action: the action, a colon and the token, of at most
// maxCallback bytes.
func CallbackData(action reporter.ActionKind, token string) string {
	return string(action) + ":" + token
}

// maxCallback is Telegram's limit of a button's data, in bytes.
const maxCallback = 64

// shown says whether Telegram takes the button.
func shown(b reporter.Button) bool {
	switch {
	case b.Text == "":
		return false
	case b.Action != "":
		return b.Token != "" && len(CallbackData(b.Action, b.Token)) <= maxCallback
	}
	return markup.Linkable(b.URL)
}

// form makes a call that holds a file.
func form(params map[string]any, field, name string, content []byte) (contentType string, body []byte, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for k, v := range params {
		text, ok := v.(string)
		if !ok {
			j, err := json.Marshal(v)
			if err != nil {
				return "", nil, err
			}
			text = string(j)
		}
		if err := w.WriteField(k, text); err != nil {
			return "", nil, err
		}
	}
	f, err := w.CreateFormFile(field, name)
	if err != nil {
		return "", nil, err
	}
	if _, err := f.Write(content); err != nil {
		return "", nil, err
	}
	if err := w.Close(); err != nil {
		return "", nil, err
	}
	return w.FormDataContentType(), b.Bytes(), nil
}

// call makes one call, with brief faults retried, and returns the result, or a verdict.
func (c *Channel) call(ctx context.Context, method, contentType string, body []byte) (json.RawMessage, error) {
	// Whether the last try's request went out whole decides between "try again" and "it may have arrived". Until that is
	// known it counts as gone out.
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { written.Store(false) },
		WroteHeaders: func() { written.Store(true) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { written.Store(i.Err == nil) },
	})
	u := c.base.JoinPath("bot"+c.cfg.Token.Reveal(), method)
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, errors.New("telegram: the request cannot be made")
	}
	req.Header.Set("Content-Type", contentType)
	client := &retryablehttp.Client{
		HTTPClient: c.http, RetryMax: c.cfg.RetryMax, RetryWaitMin: c.cfg.RetryWaitMin, RetryWaitMax: c.cfg.RetryWaitMax,
		Backoff:      retryablehttp.DefaultBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return err != nil && !written.Load(), nil // an answer is the outbox's to judge
		},
		Logger: nil, // its texts hold the URL, and the URL the token
	}
	resp, err := client.Do(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		if written.Load() {
			return nil, unknown(c.safe(err))
		}
		return nil, c.safe(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, c.answerMax))
	if err != nil {
		if resp.StatusCode < 300 {
			return nil, unknown(c.safe(err))
		}
		b = nil
	}
	return verdict(resp.StatusCode, resp.Header, c.clean(b), time.Now())
}

// safe takes the URL, and so the token, out of an error of the HTTP client.
func (c *Channel) safe(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return safetext.Error(errors.New(string(c.clean([]byte(err.Error())))))
}

// clean takes the token out of what others say: a proxy's error may name the URL that it was asked for.
func (c *Channel) clean(text []byte) []byte {
	token := c.cfg.Token.Reveal()
	_, password, _ := strings.Cut(token, ":")
	for _, s := range []string{token, url.PathEscape(token), url.QueryEscape(token), password} {
		if s != "" {
			text = bytes.ReplaceAll(text, []byte(s), []byte("[secret]"))
		}
	}
	return text
}
