package i18n

import (
	"slices"
	"strings"
)

// details are what channels and databases say of a message that was not sent, in lower case, with the key of its words, which
// say more than those of its reason. The first match wins.
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
	{"can't parse entities", "reason_format"},
	{"is too long", "reason_long"},
	{"unauthorized", "reason_token"},
	{"404 not found", "reason_token"},
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

// answered are the reasons about which an answer says more.
var answered = []string{"", "not_answered", "wait", "account", "receiver", "refused"}

// Why says in words why a message was not sent, or waits: by what was answered, where that says more, else by the reason, which
// is a reporter.Reason. "" if there are no words for either.
func (w Words) Why(reason, detail string) string {
	lower := strings.ToLower(detail)
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
		return "" // of a newer version
	}
	return text
}
