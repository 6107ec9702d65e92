package i18n

import (
	"slices"
	"strings"
)

// details maps answers of channels and servers, in lower case, to words that say more than those of the reason. The first match wins.
var details = []struct{ contains, key string }{
	{"answer lost", "reason_answer"},
	{"bot was kicked", "reason_removed"},
	{"bot is not a member", "reason_removed"},
	{"bot was blocked", "reason_blocked"},
	{"user is deactivated", "reason_blocked"},
	{"chat not found", "reason_chat"},
	{"peer_id_invalid", "reason_chat"},
	{"thread not found", "reason_chat"},
	{"not enough rights", "reason_rights"},
	{"have no rights", "reason_rights"},
	{"need administrator rights", "reason_rights"},
	{"chat_write_forbidden", "reason_rights"},
	{"topic_closed", "reason_rights"},
	{"can't parse entities", "reason_format"},
	{"is too long", "reason_long"},
	{"too many requests", "reason_limit"},
	{"retry after", "reason_limit"},
	{"telegram: 5", "reason_server"},
	{"internal server error", "reason_server"},
	{"bad gateway", "reason_server"},
	{"service unavailable", "reason_server"},
	{"gateway timeout", "reason_server"},
	{"connection refused", "reason_network"},
	{"no such host", "reason_network"},
	{"timeout", "reason_network"},
	{"deadline exceeded", "reason_network"},
	{"connection reset", "reason_network"},
}

// accountDetails are answers that are about the account only if it is what was refused: a program that a message is posted to may
// answer the same about its address.
var accountDetails = []string{"unauthorized", "404 not found"}

// answered are the reasons for which the answer says more.
var answered = []string{"", "not_answered", "wait", "account", "receiver", "refused"}

// Why writes why a message was not sent, or waits. It uses the words of the answer (detail) if they say more, else those of the reason,
// which is a reporter.Reason. "" if there are no words for either.
func (w Words) Why(reason, detail string) string {
	lower := strings.ToLower(detail)
	if reason == "" || reason == "account" {
		for _, text := range accountDetails {
			if strings.Contains(lower, text) {
				return w.T("reason_token")
			}
		}
	}
	for _, d := range details {
		if slices.Contains(answered, reason) && strings.Contains(lower, d.contains) {
			return w.T(d.key)
		}
	}
	if reason == "" {
		return ""
	}
	text, err := w.Lookup("reason_" + reason)
	if err != nil {
		return "" // a reason of a newer version
	}
	return text
}

// Explain is Why with the answer in parentheses, so that people can search for it. "" if nothing is known.
func (w Words) Explain(reason, detail string) string {
	switch words := w.Why(reason, detail); {
	case words == "":
		return detail
	case detail == "":
		return words
	default:
		return words + " (" + detail + ")"
	}
}
