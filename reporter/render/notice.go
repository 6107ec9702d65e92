package render

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// reasonMax is the most characters of a server's answer.
const reasonMax = 300

// Notice writes for the fallback receiver that a delivery failed, and its last error. An empty locale and a nil zone mean those
// of Options.
func (r *Renderer) Notice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error) {
	return r.notice("notice_failed", of, locale, zone)
}

// StopNotice writes that a delivery waits because its receiver is suspended, and why.
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
		Reason: l.why(of.Reason, of.LastError), Attempts: of.Attempts, ID: of.ID,
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

// failuresView is the data of failures.tmpl.
type failuresView struct {
	Title     string
	Suspended []suspendedView
	Note      string
	Waiting   []failureLine
	MoreWait  int
	Lines     []failureLine
	More      int
	Page      *Link
}

// suspendedKeys are the keys of the words for a suspended gate, by the first word of its key.
var suspendedKeys = map[string]string{"account": "suspended_account", "receiver": "suspended_receiver"}

type suspendedView struct{ What, Reason, Since string }

type failureLine struct {
	What, Receiver, Reason string
	Attempts               int
	Page                   *Link
}

// Failures writes which messages were not sent and why, and which receivers are suspended. An empty locale and a nil zone mean
// those of Options.
func (r *Renderer) Failures(f reporter.Failures, locale string, zone *time.Location) (reporter.Message, error) {
	l, err := r.language(locale)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("notice: %w", err)
	}
	zone = r.zoneOr(zone)
	v := failuresView{More: f.Count - len(f.Deliveries)}
	for _, g := range f.Suspended {
		kind, name, _ := strings.Cut(g.Key, " ")
		if _, id, ok := strings.Cut(name, ":"); ok && kind == "account" { // CHANNEL:ID
			name = id
		}
		v.Suspended = append(v.Suspended, suspendedView{
			What: l.T(suspendedKeys[kind], cut(clean(name), shortMax)), Reason: l.why(g.Reason, g.Detail),
			Since: g.Since.In(zone).Format(i18n.Minute),
		})
	}
	for _, d := range f.Waiting {
		v.Waiting = append(v.Waiting, failureLine{What: l.what(d, zone), Receiver: cut(clean(d.Receiver), shortMax)})
	}
	v.MoreWait = f.WaitCount - len(f.Waiting)
	if v.Note = l.T("suspended_note"); f.GiveUpAfter > 0 {
		v.Note = l.T("suspended_until", l.Duration(f.GiveUpAfter))
	}
	for _, d := range f.Deliveries {
		line := failureLine{
			What: l.what(d, zone), Receiver: cut(clean(d.Receiver), shortMax), Reason: l.why(d.Reason, d.LastError),
			Attempts: d.Attempts,
		}
		if r.externalURL != "" {
			line.Page = pageLink(l, "delivery", fmt.Sprint(r.externalURL, "/deliveries/", d.ID))
		}
		v.Lines = append(v.Lines, line)
	}
	switch {
	case len(v.Lines) == 1 && f.Count == 1:
		v.Title = l.T("notice_failed", v.Lines[0].What)
	case f.Count > 0:
		v.Title = l.T("notice_failures", f.Count)
	case len(v.Suspended) > 1:
		v.Title = l.T("notice_suspended_many", len(v.Suspended))
	case len(v.Suspended) == 1:
		v.Title = l.T("notice_suspended", v.Suspended[0].What)
	}
	if f.WaitCount > 0 {
		v.Title = l.T("with_count", v.Title, l.T("waiting_count", f.WaitCount))
	}
	if r.externalURL != "" && f.Count > 1 {
		v.Page = pageLink(l, "deliveries", r.externalURL+"/deliveries?state=given_up")
	}
	m := reporter.Message{Title: v.Title}
	if m.HTML, err = l.execute("failures.tmpl", v); err != nil {
		return reporter.Message{}, err
	}
	m.Summary = "<b>" + template.HTMLEscapeString(v.Title) + "</b>"
	return m, nil
}

// why writes a reason in words, with the channel's answer.
func (l language) why(r reporter.Reason, detail string) string {
	return cmp.Or(l.Explain(string(r), cut(clean(detail), reasonMax)), l.T("no_data"))
}

// Minimal writes a message that only names the subject of a delivery. It uses no template, so it cannot fail.
func (r *Renderer) Minimal(d reporter.Delivery, locale string, zone *time.Location) reporter.Message {
	l, err := r.language(locale)
	if err != nil { // the configuration refuses such a locale
		return reporter.Message{Title: d.Subject, HTML: template.HTMLEscapeString(d.Subject)}
	}
	title := l.what(d, r.zoneOr(zone))
	m := reporter.Message{Title: title, HTML: "<b>⚠️ " + template.HTMLEscapeString(title) + "</b>\n" +
		template.HTMLEscapeString(l.T("minimal"))}
	if r.externalURL != "" {
		if page := pageLink(l, "delivery", fmt.Sprint(r.externalURL, "/deliveries/", d.ID)); page != nil && page.Clickable {
			m.HTML += "\n<a href=\"" + template.HTMLEscapeString(page.URL) + "\">🔗 " + template.HTMLEscapeString(page.Word) + "</a>"
		}
	}
	m.Summary = m.HTML
	return m
}

// what returns a name for the message of a delivery.
func (l language) what(of reporter.Delivery, zone *time.Location) string {
	subject := cut(clean(of.Subject), titleMax)
	if of.Message != nil && of.Message.Title != "" {
		title := cut(clean(of.Message.Title), titleMax)
		if of.Kind == reporter.DeliveryPostmortem { // so that people find it by the incident's id
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
	case reporter.DeliveryFiring:
		return l.T("notice_firing", subject)
	case reporter.DeliveryDigest, reporter.DeliveryFiringDigest:
		return l.T("notice_digest", subject)
	case reporter.DeliveryHeartbeatMissing:
		return l.T("notice_heartbeat_missing", subject)
	case reporter.DeliveryHeartbeatReturned:
		return l.T("notice_heartbeat_returned", subject)
	case reporter.DeliveryHeartbeatsMissing, reporter.DeliveryHeartbeatsReturned:
		return l.T("notice_digest", subject)
	case reporter.DeliveryNotice:
		return l.T("notice_notice")
	case reporter.DeliveryAnswer:
		return l.T("notice_answer", subject)
	}
	return subject
}
