package render

import (
	"fmt"
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
		Reason: cut(clean(of.LastError), reasonMax), Attempts: of.Attempts, ID: of.ID,
	}
	if r.externalURL != "" && of.ID != 0 {
		view.Page = pageLink(l, "delivery", fmt.Sprint(r.externalURL, "/deliveries/", of.ID))
	}
	if view.Reason == "" {
		view.Reason = l.T("no_data")
	}
	m := reporter.Message{Title: view.Title}
	if m.HTML, err = l.execute("notice.tmpl", view); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = m.HTML
	if view.Page != nil && view.Page.Clickable {
		m.Buttons = []reporter.Button{{Text: view.Page.Word, URL: view.Page.URL}}
	}
	return m, nil
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
