package render

import (
	"fmt"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const reasonMax = 300

// Notice writes that a delivery was given up and why, which is its last error, for the fallback receiver. An empty
// locale and a nil zone are those of the options.
func (r *Renderer) Notice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error) {
	return r.notice("notice_failed", of, locale, zone)
}

// StopNotice writes that a delivery waits because its receiver refuses everything, and why.
func (r *Renderer) StopNotice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error) {
	return r.notice("notice_stopped", of, locale, zone)
}

func (r *Renderer) notice(word string, of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error) {
	l, err := r.language(locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("notice of delivery %d: %w", of.ID, err)
	}
	view := struct {
		Title, Receiver, Reason string
		Attempts                int
		ID                      int64
		Page                    *Link
	}{
		Title: l.T(word, l.what(of, r.zoneOr(zone))), Receiver: cut(clean(of.Receiver), shortMax),
		Reason: l.reason(of.LastError), Attempts: of.Attempts, ID: of.ID,
	}
	if r.externalURL != "" && of.ID != 0 {
		view.Page = pageLink(l, "delivery", fmt.Sprint(r.externalURL, "/deliveries/", of.ID))
	}
	m := reporter.Message{Title: view.Title, Buttons: button(view.Page)}
	if m.HTML, err = l.execute("notice.tmpl", view); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = m.HTML
	return m, nil
}

// reasons are what channels say of a send that failed, in lower case, with the key of its words. The first match wins.
var reasons = []struct{ contains, key string }{
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
	{"telegram: 404", "reason_token"},
	{"too many requests", "reason_limit"},
	{"retry after", "reason_limit"},
	{"telegram: 5", "reason_server"},
	{"connection refused", "reason_network"},
	{"no such host", "reason_network"},
	{"timeout", "reason_network"},
	{"deadline exceeded", "reason_network"},
	{"connection reset", "reason_network"},
}

// reason puts an error into the reader's words, with the error itself in brackets, to search for.
func (l language) reason(text string) string {
	text = cut(clean(text), reasonMax)
	lower := strings.ToLower(text)
	for _, r := range reasons {
		if strings.Contains(lower, r.contains) {
			return l.T(r.key) + " (" + text + ")"
		}
	}
	if text == "" {
		return l.T("no_data")
	}
	return text
}

// what names the message that could not be sent.
func (l language) what(of reporter.Delivery, zone *time.Location) string {
	subject := cut(clean(of.Subject), titleMax)
	if of.Message != nil && of.Message.Title != "" {
		title := cut(clean(of.Message.Title), titleMax)
		if of.Kind == reporter.DeliveryPostmortem { // people search for the incident's id
			title += " (" + subject + ")"
		}
		return title
	}
	switch of.Kind {
	case reporter.DeliveryReport:
		if s, err := reporter.ParseSubject(of.Subject); err == nil {
			return l.T("notice_report", cut(clean(s.Report), titleMax), s.Due.In(zone).Format(i18n.Minute))
		}
	case reporter.DeliveryPostmortem:
		return l.T("notice_postmortem", subject)
	case reporter.DeliveryNotice:
	}
	return subject
}
