// Package httppost is the channel to programs: messages come in, signed POST requests with JSON or Markdown go out, and each
// answer comes back as a verdict.
package httppost

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/internal/secret"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The formats of a request's body.
const (
	FormatJSON     = "json"
	FormatMarkdown = "markdown"
)

// DefaultTimeout is how long one try may take.
const DefaultTimeout = 20 * time.Second

const (
	// maxBody bounds a request's body: a longer message is sent as its summary, without its data.
	maxBody = 256 << 10
	// maxAnswer is how much of an answer is read, so that its connection can be used again.
	maxAnswer         = 64 << 10
	defaultRetryAfter = 30 * time.Second // of a 429 that names none
	maxRetryAfter     = 24 * time.Hour
	tries             = 2 // after the first, while the request cannot be written
	// secretPrefix begins a secret in base64, as Standard Webhooks write it.
	secretPrefix = "whsec_"
)

// The headers of a request: those of Standard Webhooks (https://www.standardwebhooks.com), and the id again under the name of
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header.
const (
	HeaderID          = "Webhook-Id"
	HeaderTimestamp   = "Webhook-Timestamp"
	HeaderSignature   = "Webhook-Signature"
	HeaderIdempotency = "Idempotency-Key"
	HeaderKind        = "Awoooi-Kind"   // of the message, or KindPing
	HeaderRepeat      = "Awoooi-Repeat" // "true" where a request of the same id may have arrived
)

// KindPing is the kind of a request that holds no message: it asks whether a message would be taken.
const KindPing = "ping"

// Config is who is posted to.
type Config struct {
	URL        secret.Text // http or https; a secret, as it may hold a token
	Secret     secret.Text // signs the requests; empty leaves the signature out
	Format     string      // FormatJSON, the default, or FormatMarkdown
	Timeout    time.Duration
	HTTPClient *http.Client // for authentication, a proxy or TLS settings; its timeout is not used
	Now        func() time.Time
}

// Channel posts to one address.
type Channel struct {
	url    *url.URL
	key    []byte
	format string
	http   *http.Client
	now    func() time.Time
	hidden []string // what no error shows
}

// New checks the configuration and makes the channel; it sends nothing.
func New(c Config) (*Channel, error) {
	u, err := ParseURL(c.URL)
	if err != nil {
		return nil, &fault.Error{Key: "url", Text: err.Error(), Remedy: "write it like https://example.org/hooks/awoooi"}
	}
	key, err := signingKey(c.Secret)
	if err != nil {
		return nil, &fault.Error{Key: "secret", Text: err.Error(), Remedy: "make one with: openssl rand -base64 32"}
	}
	ch := &Channel{url: u, key: key, format: cmp.Or(c.Format, FormatJSON), now: c.Now}
	if ch.format != FormatJSON && ch.format != FormatMarkdown {
		return nil, fault.New("format", "unknown format %s (have %s, %s)", safetext.Quote(ch.format, 40), FormatJSON, FormatMarkdown)
	}
	if ch.now == nil {
		ch.now = time.Now
	}
	plain := http.Client{}
	if c.HTTPClient != nil {
		plain = *c.HTTPClient
	}
	plain.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	// A redirect would carry message, credentials and signature to another server.
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ch.http = &plain
	password, _ := u.User.Password()
	for _, s := range []string{c.URL.Reveal(), u.RequestURI(), u.RawQuery, strings.Trim(u.Path, "/"), password, c.Secret.Reveal()} {
		if len(s) > 3 {
			ch.hidden = append(ch.hidden, s)
		}
	}
	return ch, nil
}

// ParseURL reads an address that can be posted to. Its error does not show the address.
func ParseURL(text secret.Text) (*url.URL, error) {
	u, err := url.Parse(text.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Fragment != "" {
		return nil, errors.New("is not an http or https URL without a fragment")
	}
	return u, nil
}

// minSecret is the least length of a key: that of Standard Webhooks.
const minSecret = 24

// signingKey is the key of a secret: what follows secretPrefix in base64, or the secret's own bytes.
func signingKey(text secret.Text) ([]byte, error) {
	if text.Empty() {
		return nil, nil
	}
	key := []byte(text.Reveal())
	if encoded, ok := strings.CutPrefix(text.Reveal(), secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("is not base64 behind " + secretPrefix)
		}
	}
	if len(key) < minSecret {
		return nil, fmt.Errorf("has less than %d bytes", minSecret)
	}
	return key, nil
}

// perSecond bounds the requests to one address: a storm of incidents is no attack on its receiver.
var perSecond = reporter.Limit{N: 10, Per: time.Second}

// Chat names the server, and the address by its hash, as it may hold a token.
func (c *Channel) Chat() reporter.Chat {
	sum := sha256.Sum256([]byte(c.url.String()))
	return reporter.Chat{
		Account: "httppost:" + strings.ToLower(c.url.Host), Address: hex.EncodeToString(sum[:8]), Limits: []reporter.Limit{perSecond},
	}
}

// body is the JSON of a request.
type body struct {
	ID       string                `json:"id"`
	Kind     reporter.DeliveryKind `json:"kind"`
	Subject  string                `json:"subject,omitempty"` // what it is about, such as "daily@2026-04-22T00:00:00Z" or an incident's id
	Title    string                `json:"title,omitempty"`
	Text     string                `json:"text,omitempty"`     // plain
	Markdown string                `json:"markdown,omitempty"` // the same
	Data     json.RawMessage       `json:"data,omitempty"`     // reporter.IncidentDocument or ReportDocument
}

// Split makes one part, which holds the request's body: each repeat sends the same bytes.
func (c *Channel) Split(msg reporter.Message) []reporter.Part {
	part := reporter.Part{Key: "msg_" + rand.Text(), Document: "message.json", NoReply: true}
	if c.format == FormatMarkdown {
		part.Document = "message.md"
		if part.HTML = markdown(msg.Title, msg.Whole()); len(part.HTML) > maxBody {
			part.HTML = markdown(msg.Title, msg.Summary)
		}
		part.HTML = cut(part.HTML)
		return []reporter.Part{part}
	}
	b := body{ID: part.Key, Kind: msg.Kind, Subject: msg.Subject, Title: msg.Title, Data: msg.Data}
	html := msg.Whole()
	for {
		b.Text, b.Markdown = markup.Plain(html), markup.Markdown(html)
		text, err := json.Marshal(b)
		switch {
		case err == nil && len(text) <= maxBody:
			part.HTML = string(text)
			return []reporter.Part{part}
		case b.Data != nil:
			b.Data = nil
		case html != msg.Summary && len(msg.Summary) < len(html):
			html = msg.Summary
		default: // Nothing but what names it.
			b.Text, b.Markdown, b.Title, b.Subject = "", "", safetext.Line(b.Title, 1000), safetext.Line(b.Subject, 1000)
			text, _ = json.Marshal(b) // strings always marshal
			part.HTML = string(text)
			return []reporter.Part{part}
		}
	}
}

func markdown(title, html string) string {
	return "# " + strings.TrimSpace(markup.Markdown(markup.Escape(safetext.Line(title, 0)))) + "\n\n" + markup.Markdown(html)
}

func cut(s string) string {
	if len(s) <= maxBody {
		return s
	}
	return strings.ToValidUTF8(s[:maxBody], "")
}

// Send posts the part and returns its id, or a *reporter.SendError; an error of another type is one of the network before the
// request was sent.
func (c *Channel) Send(ctx context.Context, part reporter.Part, o reporter.SendOptions) (string, error) {
	contentType, kind := "text/markdown; charset=utf-8", ""
	if part.Document == "message.json" {
		contentType = "application/json"
		var b body
		if json.Unmarshal([]byte(part.HTML), &b) == nil {
			kind = string(b.Kind)
		}
	}
	if err := c.post(ctx, part.Key, kind, contentType, []byte(part.HTML), o.Repeat); err != nil {
		return "", err
	}
	return part.Key, nil
}

// Probe posts a ping: a signed request without a message. HEAD and OPTIONS are answered by many servers without the program
// behind them, or refused by a program that takes POST, and do not show whether a message would be taken.
func (c *Channel) Probe(ctx context.Context, _ string) error {
	id := "ping_" + rand.Text()
	text, err := json.Marshal(body{ID: id, Kind: KindPing})
	if err != nil {
		return fmt.Errorf("httppost: %w", err)
	}
	return c.post(ctx, id, KindPing, "application/json", text, false)
}

// Verify says whether a message would be taken.
func (c *Channel) Verify(ctx context.Context) error { return c.Probe(ctx, "") }

// sign is the signature of a request, as Standard Webhooks make it: the HMAC-SHA256 of id, timestamp and body.
func (c *Channel) sign(id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, c.key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *Channel) post(ctx context.Context, id, kind, contentType string, body []byte, repeat bool) error {
	// Whether the last try's request went out whole decides between "try again" and "it may have arrived".
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { written.Store(false) },
		WroteRequest: func(i httptrace.WroteRequestInfo) { written.Store(i.Err == nil) },
	})
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), body)
	if err != nil {
		return errors.New("httppost: the request cannot be made")
	}
	timestamp := strconv.FormatInt(c.now().Unix(), 10)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "awoooi-reporter")
	req.Header.Set(HeaderID, id)
	req.Header.Set(HeaderIdempotency, id)
	req.Header.Set(HeaderTimestamp, timestamp)
	if kind != "" {
		req.Header.Set(HeaderKind, kind)
	}
	if repeat {
		req.Header.Set(HeaderRepeat, "true")
	}
	if c.key != nil {
		req.Header.Set(HeaderSignature, c.sign(id, timestamp, body))
	}
	client := &retryablehttp.Client{
		HTTPClient: c.http, RetryMax: tries, RetryWaitMin: 200 * time.Millisecond, RetryWaitMax: time.Second,
		Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, _ *http.Response, err error) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return err != nil && !written.Load(), nil // an answer is the outbox's to judge
		},
		Logger: nil, // its texts hold the URL
	}
	resp, err := client.Do(req)
	if err != nil {
		if resp != nil {
			resp.Body.Close()
		}
		if err = c.safe(err); written.Load() {
			return &reporter.SendError{Verdict: reporter.VerdictUnknown, Err: err}
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // its status is the answer
	return verdict(resp, c.now())
}

// verdict classifies an answer; nil is sent. The order is that of the first match.
func verdict(resp *http.Response, now time.Time) error {
	status := resp.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	e := &reporter.SendError{Err: fmt.Errorf("%d %s", status, http.StatusText(status))}
	wait, asked := retryAfter(resp.Header, now)
	switch {
	case status == http.StatusTooManyRequests || asked && status >= 400:
		if !asked {
			wait = defaultRetryAfter
		}
		e.Verdict, e.After = reporter.VerdictWait, min(max(wait, time.Second), maxRetryAfter)
	case status == http.StatusInternalServerError || status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		// They may come after the message was taken; the id lets the other side drop the repeat.
		e.Verdict = reporter.VerdictUnknown
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly:
		// 409 is said to a key whose first request is still in work.
		e.Verdict = reporter.VerdictRetry
	case status >= 300 && status < 400:
		e.Verdict = reporter.VerdictReceiver
		e.Err = fmt.Errorf("%d: redirects are not followed; set url to the address that takes the messages", status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone,
		status == http.StatusMethodNotAllowed:
		e.Verdict = reporter.VerdictReceiver
	case status >= 400:
		e.Verdict = reporter.VerdictRefused
	default: // 1xx, which no server ends a request with
		e.Verdict = reporter.VerdictUnknown
	}
	return e
}

// retryAfter reads the header of that name: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, int(maxRetryAfter.Seconds()))) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// safe takes the address, and so its token, out of an error of the HTTP client.
func (c *Channel) safe(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	text := []byte(err.Error())
	for _, s := range c.hidden {
		text = bytes.ReplaceAll(text, []byte(s), []byte("[secret]"))
	}
	return safetext.Error(errors.New(string(text)))
}
