package telegram

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// answer is an answer of the Bot API: https://core.telegram.org/bots/api#making-requests
type answer struct {
	OK          *bool           `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Description string          `json:"description"`
	ErrorCode   number          `json:"error_code"`
	Parameters  parameters      `json:"parameters"`
}

type parameters struct {
	RetryAfter number `json:"retry_after"`
	MigrateTo  number `json:"migrate_to_chat_id"`
}

// UnmarshalJSON never fails: parameters that are not an object are ignored, and the rest of the answer is used.
func (p *parameters) UnmarshalJSON(b []byte) error {
	type plain parameters
	var read plain
	if json.Unmarshal(b, &read) == nil {
		*p = parameters(read)
	}
	return nil
}

// number is a whole number that some proxies and Bot API servers write as text or with a fraction. One that cannot be read is 0, so
// that the rest of the answer is used.
type number int64

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = number(whole)
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && f > 0 {
		*n = number(math.Ceil(min(f, maxRetryAfter.Seconds())))
	}
	return nil
}

// refusals are texts in the descriptions of answers with status 400 and 403, in lower case, with their verdicts; the first match counts.
// Sentences are those of tdlib and of the Bot API server; names in capitals come from Telegram's own servers, and the Bot API server
// passes them on as 400. https://github.com/tdlib/telegram-bot-api (fail_query_with_error, check_chat_access),
// https://core.telegram.org/method/messages.sendMessage, messages.sendMedia and messages.setTyping.
var refusals = []struct {
	text    string
	verdict reporter.Verdict
}{
	{"can't parse entities", reporter.VerdictMarkup},
	{"entity_", reporter.VerdictMarkup},
	{"entities_too_long", reporter.VerdictMarkup},

	{"message to be replied not found", reporter.VerdictReply},
	{"message to reply not found", reporter.VerdictReply},
	{"replied message not found", reporter.VerdictReply},
	{"reply_message_id_invalid", reporter.VerdictReply},
	{"reply_to_invalid", reporter.VerdictReply},
	{"reply parameters", reporter.VerdictReply},

	{"message to edit not found", reporter.VerdictGone},
	{"message can't be edited", reporter.VerdictGone},
	{"message_id_invalid", reporter.VerdictGone},
	{"message_author_required", reporter.VerdictGone},
	{"message_edit_time_expired", reporter.VerdictGone},
	{"there is no text in the message to edit", reporter.VerdictGone},
	{"there is no caption in the message to edit", reporter.VerdictGone},
	{notModified, reporter.VerdictRefused}, // before "reply markup", which is in the same text; for Edit it is a success

	{"button", reporter.VerdictButtons},
	{"keyboard", reporter.VerdictButtons},
	{"reply markup", reporter.VerdictButtons},
	{"reply_markup", reporter.VerdictButtons},

	{"not enough rights to send photos", reporter.VerdictPicture},
	{"not enough rights to send documents", reporter.VerdictPicture},
	{"not enough rights to send media", reporter.VerdictPicture},
	{"chat_send_photos_forbidden", reporter.VerdictPicture},
	{"chat_send_docs_forbidden", reporter.VerdictPicture},
	{"chat_send_media_forbidden", reporter.VerdictPicture},
	{"image_process_failed", reporter.VerdictPicture},
	{"photo_", reporter.VerdictPicture},
	{"media_", reporter.VerdictPicture},
	{"file_", reporter.VerdictPicture},
	{"wrong file", reporter.VerdictPicture},
	{"wrong remote file", reporter.VerdictPicture},
	{"invalid file", reporter.VerdictPicture},
	{"can't use file of type", reporter.VerdictPicture},
	{"failed to upload file", reporter.VerdictPicture},
	{"file is too big", reporter.VerdictPicture},
	{"file must be non-empty", reporter.VerdictPicture},
	{"photo must be", reporter.VerdictPicture},
	{"document must be", reporter.VerdictPicture},
	{"failed to get http url content", reporter.VerdictPicture},
	{"wrong type of the web page content", reporter.VerdictPicture},
	{"there is no photo", reporter.VerdictPicture},
	{"there is no document", reporter.VerdictPicture},
	{"can't upload file", reporter.VerdictPicture},
	{"message caption is too long", reporter.VerdictPicture},
	{"request entity too large", reporter.VerdictPicture},

	{"frozen_method_invalid", reporter.VerdictAccount},
	{"user_deactivated_ban", reporter.VerdictAccount},
	{"logged out", reporter.VerdictAccount},

	{"chat not found", reporter.VerdictReceiver},
	{"empty chat_id", reporter.VerdictReceiver},
	{"invalid chat identifier", reporter.VerdictReceiver},
	{"user not found", reporter.VerdictReceiver},
	{"user is deactivated", reporter.VerdictReceiver},
	{"bot was kicked", reporter.VerdictReceiver},
	{"bot was blocked", reporter.VerdictReceiver},
	{"not a member of the", reporter.VerdictReceiver},
	{"group chat was upgraded", reporter.VerdictReceiver},
	{"group chat was deactivated", reporter.VerdictReceiver},
	{"chat is deactivated", reporter.VerdictReceiver},
	{"chat is not accessible", reporter.VerdictReceiver},
	{"chat was deleted", reporter.VerdictReceiver},
	{"can't access the chat", reporter.VerdictReceiver},
	{"can't access the topic", reporter.VerdictReceiver},
	{"no access to the chat", reporter.VerdictReceiver},
	{"message thread not found", reporter.VerdictReceiver},
	{"message thread identifier", reporter.VerdictReceiver},
	{"topic identifier", reporter.VerdictReceiver},
	{"topic is closed", reporter.VerdictReceiver},
	{"topic not found", reporter.VerdictReceiver},
	{"chat is not a forum", reporter.VerdictReceiver},
	{"chat doesn't have t", reporter.VerdictReceiver}, // topics, threads
	{"chat can't have message threads", reporter.VerdictReceiver},
	{"not enough rights", reporter.VerdictReceiver},
	{"have no rights to send a message", reporter.VerdictReceiver},
	{"have no write access", reporter.VerdictReceiver},
	{"need administrator rights", reporter.VerdictReceiver},
	{"right_forbidden", reporter.VerdictReceiver},
	{"privacy_premium_required", reporter.VerdictReceiver},
	{"allow_payment_required", reporter.VerdictReceiver},
	// All other errors about these are not about the message.
	{"topic_", reporter.VerdictReceiver},
	{"chat_", reporter.VerdictReceiver},
	{"channel_", reporter.VerdictReceiver},
	{"peer_", reporter.VerdictReceiver},
	{"user_", reporter.VerdictReceiver},
}

// refusedURL is the address in an answer about a button: "inline keyboard button URL 'http://x' is invalid: …".
var refusedURL = regexp.MustCompile(`(?i)url '([^']*)'`)

// verdict returns the result of an answer, or a *reporter.SendError. The first matching case counts.
func verdict(status int, header http.Header, body []byte, now time.Time) (json.RawMessage, error) {
	var a answer
	// An answer without "ok" is not that of the Bot API, but of a proxy.
	theirs := json.Unmarshal(body, &a) == nil && a.OK != nil
	if !theirs {
		a = answer{}
	}
	if status >= 200 && status < 300 {
		switch {
		case theirs && *a.OK:
			return a.Result, nil
		case theirs && a.ErrorCode >= 400 && a.ErrorCode < 600: // a proxy changed the status
			status = int(a.ErrorCode)
		default:
			return nil, &reporter.SendError{
				Verdict: reporter.VerdictUnknown, Err: fmt.Errorf("status %d with an answer that is not that of the Bot API", status),
			}
		}
	}
	text := http.StatusText(status)
	if theirs && a.Description != "" {
		text = a.Description
	}
	e := &reporter.SendError{Status: status, Err: safetext.Error(fmt.Errorf("%d %s", status, text))}
	wait, asked := a.wait(header, now)
	switch {
	case theirs && a.Parameters.MigrateTo != 0:
		e.Verdict, e.To = reporter.VerdictMoved, strconv.FormatInt(int64(a.Parameters.MigrateTo), 10)
	case status == http.StatusTooManyRequests || asked:
		e.Verdict, e.After = reporter.VerdictWait, cmp.Or(wait, defaultRetryAfter)
	case slices.Contains(mayHaveArrived, status):
		e.Verdict = reporter.VerdictUnknown
	case status >= 500 || !theirs || status < 400 || slices.Contains(notHandled, status):
		e.Verdict = reporter.VerdictRetry
	case status == http.StatusUnauthorized || status == http.StatusNotFound || status == http.StatusMisdirectedRequest:
		e.Verdict = reporter.VerdictAccount
	default:
		e.Verdict = refusal(status, text)
		if m := refusedURL.FindStringSubmatch(text); m != nil {
			e.URL = m[1]
		}
	}
	return nil, e
}

// refusal is the verdict of a refused request, by the description of the answer, or by its status if that is unknown.
func refusal(status int, description string) reporter.Verdict {
	lower := strings.ToLower(description)
	for _, r := range refusals {
		if strings.Contains(lower, r.text) {
			return r.verdict
		}
	}
	switch status {
	case http.StatusForbidden:
		return reporter.VerdictReceiver
	case http.StatusRequestEntityTooLarge:
		return reporter.VerdictPicture
	}
	return reporter.VerdictRefused
}

// wait returns how long the answer asks to wait, by its header, parameters or description. asked is false if only the description, or
// nothing, has a wait.
func (a answer) wait(header http.Header, now time.Time) (wait time.Duration, asked bool) {
	wait, asked = retryAfter(header, now)
	if a.Parameters.RetryAfter > 0 {
		wait, asked = max(wait, seconds(int64(a.Parameters.RetryAfter))), true
	}
	if m := retryAfterText.FindStringSubmatch(a.Description); wait == 0 && m != nil {
		if n, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			wait = seconds(n)
		}
	}
	return wait, asked
}

var (
	// mayHaveArrived are statuses that may come after the message was sent: of the Bot API, of gateways (502, 504) and of
	// content delivery networks (520, 522, 524, 598, 599).
	mayHaveArrived = []int{
		http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, 520, 522, 524, 598, 599,
	}
	// notHandled are statuses below 500 of requests that were not handled, and may be handled later.
	notHandled = []int{http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly}
	// retryAfterText is the wait in a description of the Bot API.
	retryAfterText = regexp.MustCompile(`(?i)retry after ([0-9]{1,18})\b`)
)

// seconds is a requested wait, at most maxRetryAfter, so that a wrong answer does not silence a chat for years.
func seconds(n int64) time.Duration {
	return time.Duration(min(n, int64(maxRetryAfter/time.Second))) * time.Second
}

// retryAfter reads the header Retry-After, whose date is relative to the server's own clock:
// https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if n, err := strconv.ParseFloat(value, 64); err == nil && n >= 0 {
		return seconds(int64(math.Ceil(min(n, maxRetryAfter.Seconds())))), true
	}
	if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			now = date
		}
		return min(max(at.Sub(now), 0), maxRetryAfter), true
	}
	return 0, false
}

// unknown is the error of a send whose answer was lost.
func unknown(err error) error {
	return &reporter.SendError{Verdict: reporter.VerdictUnknown, Err: err}
}

var errNoMessage = errors.New("the answer has no message id")
