package telegram

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// answer is what the Bot API says: https://core.telegram.org/bots/api#making-requests
type answer struct {
	OK          *bool           `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int   `json:"retry_after"`
		MigrateTo  int64 `json:"migrate_to_chat_id"`
	} `json:"parameters"`
}

// refusals are the descriptions of answers of 400 and 403 that say what is at fault, in lower case, first match. Sentences
// are those of tdlib and of the Bot API server; names in capitals come from Telegram's own servers, and the Bot API server
// passes them on as 400. https://github.com/tdlib/telegram-bot-api (fail_query_with_error, check_chat_access),
// https://core.telegram.org/method/messages.sendMessage, messages.sendMedia and messages.setTyping.
var refusals = []struct {
	text    string
	verdict reporter.Verdict
}{
	{"can't parse entities", reporter.VerdictMarkup},
	{"entity_", reporter.VerdictMarkup},
	{"entities_too_long", reporter.VerdictMarkup},
	{"entity_bounds_invalid", reporter.VerdictMarkup},

	{"message to be replied not found", reporter.VerdictReply},
	{"message to reply not found", reporter.VerdictReply},
	{"replied message not found", reporter.VerdictReply},
	{"reply_message_id_invalid", reporter.VerdictReply},
	{"reply_to_invalid", reporter.VerdictReply},
	{"reply parameters", reporter.VerdictReply},

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
	{"file_part", reporter.VerdictPicture},
	{"wrong file", reporter.VerdictPicture},
	{"file is too big", reporter.VerdictPicture},
	{"file must be non-empty", reporter.VerdictPicture},
	{"failed to get http url content", reporter.VerdictPicture},
	{"wrong type of the web page content", reporter.VerdictPicture},
	{"there is no photo", reporter.VerdictPicture},
	{"can't upload file", reporter.VerdictPicture},
	{"message caption is too long", reporter.VerdictPicture},

	{"frozen_method_invalid", reporter.VerdictAccount},
	{"user_deactivated_ban", reporter.VerdictAccount},

	{"chat not found", reporter.VerdictReceiver},
	{"chat_id is empty", reporter.VerdictReceiver},
	{"user not found", reporter.VerdictReceiver},
	{"group chat was upgraded", reporter.VerdictReceiver},
	{"group chat was deactivated", reporter.VerdictReceiver},
	{"chat is deactivated", reporter.VerdictReceiver},
	{"chat was deleted", reporter.VerdictReceiver},
	{"message thread not found", reporter.VerdictReceiver},
	{"topic_", reporter.VerdictReceiver},
	{"topic is closed", reporter.VerdictReceiver},
	{"topic not found", reporter.VerdictReceiver},
	{"not enough rights", reporter.VerdictReceiver},
	{"have no rights to send a message", reporter.VerdictReceiver},
	{"have no write access", reporter.VerdictReceiver},
	{"need administrator rights", reporter.VerdictReceiver},
	{"chat_write_forbidden", reporter.VerdictReceiver},
	{"chat_restricted", reporter.VerdictReceiver},
	{"chat_forbidden", reporter.VerdictReceiver},
	{"chat_action_forbidden", reporter.VerdictReceiver},
	{"chat_admin_required", reporter.VerdictReceiver},
	{"chat_guest_send_forbidden", reporter.VerdictReceiver},
	{"chat_send_plain_forbidden", reporter.VerdictReceiver},
	{"chat_id_invalid", reporter.VerdictReceiver},
	{"chat_type_invalid", reporter.VerdictReceiver},
	{"channel_private", reporter.VerdictReceiver},
	{"channel_invalid", reporter.VerdictReceiver},
	{"channel_public_group_na", reporter.VerdictReceiver},
	{"right_forbidden", reporter.VerdictReceiver},
	{"peer_id_invalid", reporter.VerdictReceiver},
	{"peer_id_not_supported", reporter.VerdictReceiver},
	{"user_banned_in_channel", reporter.VerdictReceiver},
	{"user_is_blocked", reporter.VerdictReceiver},
	{"user_kicked", reporter.VerdictReceiver},
	{"user_not_participant", reporter.VerdictReceiver},
	{"user_deactivated", reporter.VerdictReceiver},
	{"input_user_deactivated", reporter.VerdictReceiver},
	{"privacy_premium_required", reporter.VerdictReceiver},
	{"allow_payment_required", reporter.VerdictReceiver},
}

// refusedURL is the address in an answer about a button: "inline keyboard button URL 'http://x' is invalid: …".
var refusedURL = regexp.MustCompile(`(?i)url '([^']*)'`)

// verdict classifies an answer, and returns its result or a *reporter.SendError. The order is that of the first match.
func verdict(status int, header http.Header, body []byte, now time.Time) (json.RawMessage, error) {
	var a answer
	// An answer without "ok" is not the Bot API's, but a proxy's.
	theirs := json.Unmarshal(body, &a) == nil && a.OK != nil
	if status >= 200 && status < 300 {
		if theirs && *a.OK {
			return a.Result, nil
		}
		return nil, &reporter.SendError{
			Verdict: reporter.VerdictUnknown, Err: fmt.Errorf("status %d with an answer that is not the Bot API's", status),
		}
	}
	text := http.StatusText(status)
	if theirs && a.Description != "" {
		text = a.Description
	}
	e := &reporter.SendError{Err: safetext.Error(fmt.Errorf("%d %s", status, text))}
	wait, asked := retryAfter(header, now)
	if theirs && a.Parameters.RetryAfter > 0 {
		wait, asked = max(wait, time.Duration(a.Parameters.RetryAfter)*time.Second), true
	}
	switch {
	case theirs && a.Parameters.MigrateTo != 0:
		e.Verdict, e.To = reporter.VerdictMoved, strconv.FormatInt(a.Parameters.MigrateTo, 10)
	case status == http.StatusTooManyRequests || asked:
		e.Verdict, e.After = reporter.VerdictWait, cmp.Or(wait, defaultRetryAfter)
	case status == http.StatusInternalServerError || status == http.StatusBadGateway || status == http.StatusGatewayTimeout:
		// They may come after the message was sent.
		e.Verdict = reporter.VerdictUnknown
	case status >= 500 || !theirs || status < 400:
		e.Verdict = reporter.VerdictRetry
	case status == http.StatusUnauthorized || status == http.StatusNotFound:
		e.Verdict = reporter.VerdictAccount
	default:
		e.Verdict = reporter.VerdictRefused
		if status == http.StatusForbidden {
			e.Verdict = reporter.VerdictReceiver
		}
		lower := strings.ToLower(text)
		for _, r := range refusals {
			if strings.Contains(lower, r.text) {
				e.Verdict = r.verdict
				break
			}
		}
		if m := refusedURL.FindStringSubmatch(text); m != nil {
			e.URL = m[1]
		}
	}
	return nil, e
}

// retryAfter reads the header of that name: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
func retryAfter(header http.Header, now time.Time) (time.Duration, bool) {
	value := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), 0), true
	}
	return 0, false
}

// unknown is the verdict of a send whose answer was lost.
func unknown(err error) error {
	return &reporter.SendError{Verdict: reporter.VerdictUnknown, Err: err}
}

var errNoMessage = errors.New("the answer names no message")
