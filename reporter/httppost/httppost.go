// Package httppost is the channel to programs: messages come in, signed POST requests with JSON or Markdown go out, and answers come
// back as verdicts.
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

// DefaultTimeout is the default timeout of one try.
const DefaultTimeout = 20 * time.Second

const (
	// maxBody is the most bytes of a request's body: a longer message is sent as its summary, without its data.
	maxBody = 256 << 10
	// maxAnswer is the most bytes of an answer that are read, so that its connection can be used again.
	maxAnswer         = 64 << 10
	defaultRetryAfter = 30 * time.Second // for a 429 without Retry-After
	maxRetryAfter     = 24 * time.Hour
	retries           = 2 // if the request could not be written
	// secretPrefix begins a secret in base64 in the format of Standard Webhooks.
	secretPrefix = "whsec_"
)

// The headers of a request: those of Standard Webhooks (https://www.standardwebhooks.com), and the id again as
// https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header.
const (
	HeaderID          = "Webhook-Id"
	HeaderTimestamp   = "Webhook-Timestamp"
	HeaderSignature   = "Webhook-Signature"
	HeaderIdempotency = "Idempotency-Key"
	HeaderKind        = "Awoooi-Kind"   // of the message, or KindPing
	HeaderRepeat      = "Awoooi-Repeat" // "true" if an earlier request with the same id may have arrived
)

// KindPing is the kind of a request without a message. The answer shows whether messages would be accepted.
const KindPing = "ping"

// Config holds the settings of a Channel.
type Config struct {
	URL        secret.Text      // http or https; a secret, because it may contain a token
	Secret     secret.Text      // signs the requests; empty leaves the signature out
	Format     string           // FormatJSON (default) or FormatMarkdown
	Timeout    time.Duration    // of one try; default DefaultTimeout
	HTTPClient *http.Client     // for authentication, a proxy or TLS settings; its timeout is not used
	Now        func() time.Time // default time.Now
}

// Channel posts to one address.
type Channel struct {
	url    *url.URL
	key    []byte // of the signature; nil means none
	format string
	http   *http.Client
	now    func() time.Time
	hidden []string // texts that are removed from errors
}

// New checks the configuration and makes the channel. It sends nothing. Its errors are fault.Errors with the keys of the file.
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
	// A redirect would send message, credentials and signature to another server.
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

// ParseURL parses an address to post to. Its error does not contain the address.
func ParseURL(text secret.Text) (*url.URL, error) {
	u, err := url.Parse(text.Reveal())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.Fragment != "" {
		return nil, errors.New("is not an http or https URL without a fragment")
	}
	return u, nil
}

// minSecret is the least length of a key in bytes, by Standard Webhooks.
const minSecret = 24

// signingKey returns the key of a secret: the base64 after secretPrefix, or the bytes of the secret; nil for an empty one.
func signingKey(text secret.Text) ([]byte, error) {
	if text.Empty() {
		return nil, nil
	}
	key := []byte(text.Reveal())
	if encoded, ok := strings.CutPrefix(text.Reveal(), secretPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("is not base64 after " + secretPrefix)
		}
	}
	if len(key) < minSecret {
		return nil, fmt.Errorf("has fewer than %d bytes", minSecret)
	}
	return key, nil
}

// perSecond limits the requests to one address, so that a storm of incidents does not overload it.
var perSecond = reporter.Limit{N: 10, Per: time.Second}

// Chat returns the server as the account, and a hash of the address, because that may contain a token.
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
	Subject  string                `json:"subject,omitempty"` // see reporter.Delivery, such as an incident's id
	Title    string                `json:"title,omitempty"`
	Text     string                `json:"text,omitempty"`     // as plain text
	Markdown string                `json:"markdown,omitempty"` // the same text as Markdown
	Data     json.RawMessage       `json:"data,omitempty"`     // reporter.IncidentDocument or ReportDocument
}

// Split returns one part with the body of the request, so that each repeat sends the same bytes.
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
		default: // title and subject only
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

// Send posts the part and returns its id. The error is a *reporter.SendError, or a network error from before the request was written.
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

// Probe posts a ping: a signed request without a message. HEAD and OPTIONS would not show whether messages are accepted: many servers
// answer them without the program, and many programs accept POST only.
func (c *Channel) Probe(ctx context.Context, _ string) error {
	id := "ping_" + rand.Text()
	text, err := json.Marshal(body{ID: id, Kind: KindPing})
	if err != nil {
		return fmt.Errorf("httppost: %w", err)
	}
	return c.post(ctx, id, KindPing, "application/json", text, false)
}

// Verify returns an error if messages would not be accepted.
func (c *Channel) Verify(ctx context.Context) error { return c.Probe(ctx, "") }

// sign returns the signature of a request by Standard Webhooks: the HMAC-SHA256 of id, timestamp and body.
func (c *Channel) sign(id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, c.key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (c *Channel) post(ctx context.Context, id, kind, contentType string, body []byte, repeat bool) error {
	// If the last try failed after its request was written, the outcome is unknown. Otherwise it is retried.
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
		HTTPClient: c.http, RetryMax: retries, RetryWaitMin: 200 * time.Millisecond, RetryWaitMax: time.Second,
		Backoff: retryablehttp.DefaultBackoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
		CheckRetry: func(ctx context.Context, _ *http.Response, err error) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return err != nil && !written.Load(), nil // the outbox retries after an answer
		},
		Logger: nil, // its texts contain the URL
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

// verdict classifies an answer; nil means sent. The first match wins.
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
		// The message may have been accepted. The other side can drop the repeat by its id.
		e.Verdict = reporter.VerdictUnknown
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusConflict || status == http.StatusTooEarly:
		// 409: the first request with this key is still in progress.
		e.Verdict = reporter.VerdictRetry
	case status >= 300 && status < 400:
		e.Verdict = reporter.VerdictReceiver
		e.Err = fmt.Errorf("%d: redirects are not followed; set url to the address that takes the messages", status)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound, status == http.StatusGone,
		status == http.StatusMethodNotAllowed:
		e.Verdict = reporter.VerdictReceiver
	case status >= 400:
		e.Verdict = reporter.VerdictRefused
	default: // 1xx is not a final answer
		e.Verdict = reporter.VerdictUnknown
	}
	return e
}

// retryAfter reads the header Retry-After: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
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

// safe removes the address and secrets from an error of the HTTP client.
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
