// Package telegram is the channel to Telegram: messages and edits come in, calls of the Bot API go out, and their answers come back as
// verdicts and updates.
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

// Config is a bot and a chat of it.
type Config struct {
	Token        secret.Text
	ChatID       string
	ThreadID     int // topic of a group; 0 means none
	Silent       bool
	APIURL       string
	HTTPClient   *http.Client  // for a proxy or TLS settings; its timeout is not used
	RetryMax     int           // retries while the request cannot be written; default 2, below 0 is none
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

// New makes a channel; it connects at the first call. The error is about the API's URL.
func New(c Config, log *slog.Logger) (*Channel, error) {
	if c.APIURL == "" {
		c.APIURL = DefaultAPIURL
	}
	base, err := url.Parse(c.APIURL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, errors.New("telegram: api_url cannot be used, want http://host or https://host")
	}
	c.RetryMax = cmp.Or(c.RetryMax, 2)
	c.RetryWaitMin = cmp.Or(c.RetryWaitMin, 200*time.Millisecond)
	c.RetryWaitMax = cmp.Or(c.RetryWaitMax, time.Second)
	c.Timeout = cmp.Or(c.Timeout, 20*time.Second)
	plain := http.Client{}
	if c.HTTPClient != nil {
		plain = *c.HTTPClient
	}
	plain.Timeout = c.Timeout
	// A redirect would send the token to another server.
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Channel{cfg: c, base: base, http: &plain, log: log, answerMax: maxAnswer}, nil
}

// The limits are below Telegram's (30/s, 1/s and 20/min), because its clock is another one.
// https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this
var (
	perBot   = reporter.Limit{Account: true, N: 28, Per: time.Second}
	perChat  = reporter.Limit{N: 1, Per: time.Second + 50*time.Millisecond}
	perGroup = reporter.Limit{N: 20, Per: time.Minute + 500*time.Millisecond}
)

// Chat returns the bot's id as the account, which is the public half of its token, and the limits of the chat. A negative id is a
// group's, a name such as @team that of a group or a channel.
func (c *Channel) Chat() reporter.Chat {
	bot, _, _ := strings.Cut(c.cfg.Token.Reveal(), ":")
	chat := reporter.Chat{Account: "telegram:" + bot, Address: c.cfg.ChatID, Limits: []reporter.Limit{perBot, perChat}}
	if strings.HasPrefix(c.cfg.ChatID, "-") || strings.HasPrefix(c.cfg.ChatID, "@") {
		chat.Limits = append(chat.Limits, perGroup)
	}
	return chat
}

// Probe shows for a moment that the bot is typing, which is refused if a message would be. to is the new address of a chat that has
// moved, or "". Errors are those of Send.
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

// Send sends one part and returns the message's id, or a *reporter.SendError. An error of another type means that the request could not
// be sent.
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

// Edit replaces the text and the buttons of a sent message, or returns an error as Send. An edit that changes nothing succeeds, so that
// it may be repeated.
// https://core.telegram.org/bots/api#editmessagetext, https://core.telegram.org/bots/api#editmessagecaption
func (c *Channel) Edit(ctx context.Context, part reporter.Part, o reporter.SendOptions) error {
	id, err := strconv.ParseInt(part.MessageID, 10, 64)
	if err != nil {
		return &reporter.SendError{Verdict: reporter.VerdictGone, Err: errNoMessage}
	}
	params := map[string]any{"chat_id": cmp.Or(o.To, c.cfg.ChatID), "message_id": id}
	// An edit without reply_markup removes the buttons.
	if rows := keyboard(part.Buttons); rows != nil {
		params["reply_markup"] = map[string]any{"inline_keyboard": rows}
	}
	method, limit, field := "editMessageText", maxText, "text"
	if part.Caption {
		method, limit, field = "editMessageCaption", maxCaption, "caption"
	} else {
		params["link_preview_options"] = map[string]any{"is_disabled": true}
	}
	params[field] = textOf(params, part, limit, o.Repeat)
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

// textOf returns the text of a part, at most limit characters if it is plain, and sets how it is parsed in params.
func textOf(params map[string]any, part reporter.Part, limit int, repeat bool) string {
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

// request makes the call that sends a part. Structured parameters are JSON objects in JSON, and JSON texts in a form:
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
		// A chat that has moved does not have that message, which must not fail this one.
		params["reply_parameters"] = map[string]any{"message_id": id, "allow_sending_without_reply": true}
	}
	if rows := keyboard(part.Buttons); rows != nil {
		params["reply_markup"] = map[string]any{"inline_keyboard": rows}
	}
	limit := maxText
	if part.Picture != nil {
		limit = maxCaption
	}
	text := textOf(params, part, limit, o.Repeat)
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

// actionsInARow is the number of action buttons in one row, so that their texts can be read on a phone.
const actionsInARow = 3

// keyboard makes the rows of an inline keyboard: several actions in a row, each link in its own row. Buttons that Telegram would refuse
// are left out, because they would fail the message. https://core.telegram.org/bots/api#inlinekeyboardbutton
func keyboard(buttons []reporter.Button) [][]map[string]any {
	var rows [][]map[string]any
	open := false // the last row has actions, and space for one more
	for _, b := range buttons {
		if !shown(b) {
			continue
		}
		if b.Action == "" {
			rows, open = append(rows, []map[string]any{{"text": b.Text, "url": b.URL}}), false
			continue
		}
		button := map[string]any{"text": b.Text, "callback_data": CallbackData(b.Action, b.Token)}
		if open {
			rows[len(rows)-1] = append(rows[len(rows)-1], button)
		} else {
			rows = append(rows, []map[string]any{button})
		}
		open = len(rows[len(rows)-1]) < actionsInARow
	}
	return rows
}

// CallbackData is the data of an action's button, which Telegram returns when a person presses it: the action, a colon and the token.
func CallbackData(action reporter.ActionKind, token string) string {
	return string(action) + ":" + token
}

// maxCallback is Telegram's limit of CallbackData, in bytes.
const maxCallback = 64

// shown reports whether Telegram accepts the button.
func shown(b reporter.Button) bool {
	switch {
	case b.Text == "":
		return false
	case b.Action != "":
		return b.Token != "" && len(CallbackData(b.Action, b.Token)) <= maxCallback
	}
	return markup.Linkable(b.URL)
}

// form makes the multipart body of a call with a file.
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

// call makes one call and returns its result, or a *reporter.SendError. Errors before the request was written are retried.
func (c *Channel) call(ctx context.Context, method, contentType string, body []byte) (json.RawMessage, error) {
	// After an error, a request that was written may have been handled. Until that is known it counts as written.
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
			return err != nil && !written.Load(), nil // the outbox handles answers
		},
		Logger: nil, // its lines would show the URL, which has the token
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

// safe removes the URL, which has the token, from an error of the HTTP client.
func (c *Channel) safe(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return safetext.Error(errors.New(string(c.clean([]byte(err.Error())))))
}

// clean removes the token from text of others: the error page of a proxy may quote the requested URL.
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
