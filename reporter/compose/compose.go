// Package compose composes messages: a due delivery or a page comes in, its message with picture and buttons goes out.
package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// Reports builds reports by name.
type Reports interface {
	// Report builds the report as of at. reporter.ErrNotFound: there is none of that name. With a *reporter.UnreachableError the
	// report is complete, without data.
	Report(ctx context.Context, name string, at time.Time) (reporter.Report, error)
	// Due builds a due report that was queued at queued. A *reporter.RetryAfterError: failed queries may be answered later.
	Due(ctx context.Context, of reporter.Subject, queued time.Time) (reporter.Report, error)
}

// Postmortems builds postmortems of incidents.
type Postmortems interface {
	Build(ctx context.Context, in reporter.Incident) reporter.Postmortem
	Digest(ins []reporter.Incident) reporter.Digest
}

// Writer writes messages.
type Writer interface {
	ReportWriter
	IncidentWriter
	DigestWriter
	NoticeWriter
}

// ReportWriter writes reports, and messages about heartbeats.
type ReportWriter interface {
	Report(rep reporter.Report) (reporter.Message, error)
	Heartbeats(n reporter.HeartbeatNotice) (reporter.Message, error)
}

// IncidentWriter writes about an incident.
type IncidentWriter interface {
	Postmortem(p reporter.Postmortem) (reporter.Message, error)
	Firing(p reporter.Postmortem) (reporter.Message, error)
	Markdown(p reporter.Postmortem) (string, error)
}

// DigestWriter writes about many incidents, or many failures.
type DigestWriter interface {
	Digest(d reporter.Digest) (reporter.Message, error)
	FiringDigest(d reporter.Digest) (reporter.Message, error)
	Failures(f reporter.Failures, locale string, zone *time.Location) (reporter.Message, error)
}

// NoticeWriter writes about a single delivery.
type NoticeWriter interface {
	Notice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error)
	StopNotice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error)
	// Minimal needs no template and no query, and cannot fail.
	Minimal(d reporter.Delivery, locale string, zone *time.Location) reporter.Message
}

// Pictures draws PNGs. reporter.ErrNotFound: there is nothing to draw.
type Pictures interface {
	Trend(rep reporter.Report) (reporter.Picture, error)
	// Incident draws the graphs around an incident. It may query their values.
	Incident(ctx context.Context, in reporter.Incident) (reporter.Picture, error)
}

// Store reads the content of messages.
type Store interface {
	Incidents
	Deliveries
	Notices
}

// Incidents reads incidents.
type Incidents interface {
	// IncidentExtract returns the incident with as many alerts as a message can show, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// EntriesOf returns the entries of some incidents, by incident.
	EntriesOf(ctx context.Context, incidents []string) (map[string][]reporter.Entry, error)
	// ActionToken returns the text that identifies the incident and the receiver in the data of a button.
	ActionToken(ctx context.Context, incident, receiver string) (string, error)
}

// Deliveries reads deliveries.
type Deliveries interface {
	Delivery(ctx context.Context, id int64) (reporter.Delivery, error)
	// MergedInto returns the subjects of the deliveries in a digest.
	MergedInto(ctx context.Context, delivery int64) ([]string, error)
	// Updates reports whether an earlier postmortem of this delivery's incident was sent to its receiver.
	Updates(ctx context.Context, d reporter.Delivery) (bool, error)
}

// Notices reads the content of notices.
type Notices interface {
	// Failures returns the content of a notice, with at most limit deliveries of each kind.
	Failures(ctx context.Context, notice int64, limit int) (reporter.Failures, error)
	// HeartbeatOutage returns an outage of a heartbeat, or reporter.ErrNotFound.
	HeartbeatOutage(ctx context.Context, id string) (reporter.HeartbeatOutage, error)
}

// Set holds the parts and settings that depend on the configuration. A reload replaces all of it at once, so that no message is
// composed from two configurations.
type Set struct {
	Reports     Reports
	Postmortems Postmortems
	Writer      Writer
	Pictures    Pictures
	Locale      string         // of notices
	Zone        *time.Location // of notices
	GiveUpAfter time.Duration  // how long a message is retried, for notices
	// Interactive are the receivers with telegram.listen: their notices have buttons of actions.
	Interactive map[string]bool
	// Silenceable reports whether alerts of a cluster can be silenced; nil means of none.
	Silenceable func(cluster string) bool
	// RouteLocales are the locales of messages about heartbeats, by route; the default is Locale.
	RouteLocales map[string]string
}

// Composer composes the messages of deliveries with the current Set. It is safe for concurrent use.
type Composer struct {
	set   atomic.Pointer[Set]
	store Store
	now   func() time.Time
	log   *slog.Logger

	drawing  gate // one picture at a time, for messages and pages
	building gate // reports for pages
	reports  *recent[pageKey, pageReport]
	pictures *recent[pageKey, reporter.Picture]
}

// drawingPatience is how long a message waits for its picture to be drawn. After that it is sent without it.
const drawingPatience = 30 * time.Second

// New makes a composer.
func New(st Store, set Set, now func() time.Time, log *slog.Logger) *Composer {
	c := &Composer{
		store: st, now: now, log: log, drawing: make(gate, 1), building: make(gate, pageReportsAtOnce),
		reports:  newRecent[pageKey, pageReport](keepReports, keepAtMost, now),
		pictures: newRecent[pageKey, reporter.Picture](keepPictures, keepAtMost, now),
	}
	c.Use(set)
	return c
}

// Use replaces the set. Messages that are being composed keep the old one.
func (c *Composer) Use(set Set) { c.set.Store(&set) }

// Compose composes the message of a delivery.
func (c *Composer) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := c.compose(ctx, d)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg, err
}

// about sets the data of a message. A document that cannot be marshalled is left out.
func (c *Composer) about(msg reporter.Message, document any) reporter.Message {
	b, err := json.Marshal(document)
	if err != nil {
		c.log.Warn("message has no data", "title", msg.Title, "err", err)
		return msg
	}
	msg.Data = b
	return msg
}

func (c *Composer) compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryReport:
		subject, err := reporter.ParseSubject(d.Subject)
		if err != nil {
			return reporter.Message{}, err
		}
		return c.dueReport(ctx, d, subject)
	case reporter.DeliveryPostmortem:
		return c.postmortem(ctx, d)
	case reporter.DeliveryFiring:
		in, err := c.store.IncidentExtract(ctx, d.Subject)
		if errors.Is(err, reporter.ErrNotFound) || (err == nil && in.Over() && !d.Replaced) {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
		}
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		return c.firing(ctx, d, in)
	case reporter.DeliveryDigest, reporter.DeliveryFiringDigest:
		return c.digest(ctx, d, d.Replaced)
	case reporter.DeliveryHeartbeatMissing, reporter.DeliveryHeartbeatReturned, reporter.DeliveryHeartbeatsMissing,
		reporter.DeliveryHeartbeatsReturned:
		return c.heartbeats(ctx, d)
	case reporter.DeliveryAnswer:
		return c.answer(ctx, d)
	case reporter.DeliveryNotice:
		return c.notice(ctx, d)
	}
	return reporter.Message{}, fmt.Errorf("delivery of unknown kind %q", d.Kind)
}

// postmortem composes the postmortem of a resolved incident.
func (c *Composer) postmortem(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	in, err := c.store.IncidentExtract(ctx, d.Subject)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
	}
	if !in.Over() { // It fires again. Its postmortem is queued again at its end.
		return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
	}
	updates, err := c.store.Updates(ctx, d)
	if err != nil {
		return reporter.Message{}, err
	}
	r := c.set.Load()
	p := r.Postmortems.Build(ctx, in)
	p.Updated = updates
	msg, err := r.Writer.Postmortem(p)
	if err == nil {
		msg = c.about(msg, p.Document())
		c.draw(&msg, d, func() (reporter.Picture, error) { return c.incidentPicture(ctx, in, drawingPatience) })
	}
	return msg, err
}

// notice composes a notice about failures, or, of earlier versions, about one delivery.
func (c *Composer) notice(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	if d.Subject == reporter.SubjectFailures {
		return c.failures(ctx, d)
	}
	number, stop := strings.CutSuffix(d.Subject, reporter.NoticeOfStop)
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("notice of %q: %w", d.Subject, err)
	}
	of, err := c.store.Delivery(ctx, id)
	if err != nil {
		return reporter.Message{}, fmt.Errorf("notice of delivery %d: %w", id, err)
	}
	r := c.set.Load()
	if stop {
		return r.Writer.StopNotice(of, r.Locale, r.Zone)
	}
	return r.Writer.Notice(of, r.Locale, r.Zone)
}

// failuresNamed is the most failed deliveries that a notice lists.
const failuresNamed = 10

// failures composes a notice about failed deliveries and suspended receivers.
func (c *Composer) failures(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	f, err := c.store.Failures(ctx, d.ID, failuresNamed)
	if err != nil {
		return reporter.Message{}, err
	}
	if f.Count == 0 && len(f.Suspended) == 0 { // nothing fails any more
		return reporter.Message{}, fmt.Errorf("notice %d: %w", d.ID, reporter.ErrObsolete)
	}
	r := c.set.Load()
	f.GiveUpAfter = r.GiveUpAfter
	return r.Writer.Failures(f, r.Locale, r.Zone)
}

// Minimal composes a message that only names the subject of a delivery. It reads nothing, and cannot fail.
func (c *Composer) Minimal(d reporter.Delivery) reporter.Message {
	r := c.set.Load()
	msg := r.Writer.Minimal(d, r.Locale, r.Zone)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg
}

// dueReport composes a due report. It is sent even if no query was answered in time.
func (c *Composer) dueReport(ctx context.Context, d reporter.Delivery, of reporter.Subject) (reporter.Message, error) {
	r := c.set.Load()
	rep, err := r.Reports.Due(ctx, of, d.CreatedAt)
	var unreachable *reporter.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return reporter.Message{}, err
	}
	msg, err := r.Writer.Report(rep)
	if err == nil {
		msg = c.about(msg, rep.Document())
		c.draw(&msg, d, func() (reporter.Picture, error) { return c.trendPicture(ctx, rep, drawingPatience) })
	}
	return msg, err
}

// Report builds a report and its message. With a *reporter.UnreachableError both are complete, without data.
func (c *Composer) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	r := c.set.Load()
	rep, err := r.Reports.Report(ctx, name, at)
	var unreachable *reporter.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return rep, reporter.Message{}, err
	}
	msg, renderErr := r.Writer.Report(rep)
	if renderErr != nil {
		return rep, msg, renderErr
	}
	return rep, msg, err
}

// Postmortem composes the postmortem of a resolved incident, or the notice of another one, without picture and buttons of actions.
func (c *Composer) Postmortem(ctx context.Context, in reporter.Incident) (reporter.Message, error) {
	r := c.set.Load()
	pm := r.Postmortems.Build(ctx, in)
	if !in.Over() {
		return r.Writer.Firing(pm)
	}
	return r.Writer.Postmortem(pm)
}

// digest composes a message about the incidents whose messages were merged into the delivery: all of them, or only those still in the
// state of these messages. Deleted incidents are left out.
func (c *Composer) digest(ctx context.Context, d reporter.Delivery, all bool) (reporter.Message, error) {
	ids, err := c.store.MergedInto(ctx, d.ID)
	if err != nil {
		return reporter.Message{}, err
	}
	var ins []reporter.Incident
	for _, id := range ids {
		in, err := c.store.IncidentExtract(ctx, id)
		if err != nil && !errors.Is(err, reporter.ErrNotFound) {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", id, err)
		}
		if err == nil && (all || in.Over() == (d.Kind == reporter.DeliveryDigest)) {
			ins = append(ins, in)
		}
	}
	if len(ins) == 0 {
		return reporter.Message{}, fmt.Errorf("incidents of digest %d: %w", d.ID, reporter.ErrObsolete)
	}
	r := c.set.Load()
	if d.Kind == reporter.DeliveryFiringDigest {
		digest := r.Postmortems.Digest(ins)
		written, err := c.store.EntriesOf(ctx, ids)
		if err != nil {
			return reporter.Message{}, err
		}
		for n, e := range digest.Incidents {
			if a := reporter.AcknowledgementOf(written[e.ID]); a.Active() {
				digest.Incidents[n].Acknowledged = a.By.Name
			}
		}
		return r.Writer.FiringDigest(digest)
	}
	return r.Writer.Digest(r.Postmortems.Digest(ins))
}

// draw adds a picture to a message, if there is one. Only the first attempt draws: the picture may be the reason why it failed.
func (c *Composer) draw(to *reporter.Message, d reporter.Delivery, draw func() (reporter.Picture, error)) {
	if d.Attempts > 0 {
		return
	}
	picture, err := draw()
	if err != nil && !errors.Is(err, reporter.ErrNotFound) {
		c.log.Warn("picture was not drawn, sending the message without it", "delivery", d.ID, "subject", d.Subject, "err", err)
	}
	to.Picture, to.PictureText = picture.PNG, picture.Text
}

// trendPicture draws the trend of a report. reporter.ErrNotFound: it has none, or no data. reporter.ErrBusy: other pictures took too
// long.
func (c *Composer) trendPicture(ctx context.Context, rep reporter.Report, patience time.Duration) (reporter.Picture, error) {
	if rep.Trend == nil {
		return reporter.Picture{}, fmt.Errorf("trend of report %s: %w", rep.Name, reporter.ErrNotFound)
	}
	leave, err := c.drawing.enter(ctx, patience)
	if err != nil {
		return reporter.Picture{}, fmt.Errorf("trend of report %s: %w", rep.Name, err)
	}
	defer leave()
	return c.set.Load().Pictures.Trend(rep)
}

// incidentPicture draws the graphs around an incident. reporter.ErrNotFound: they have no data. reporter.ErrBusy: other pictures took
// too long.
func (c *Composer) incidentPicture(ctx context.Context, in reporter.Incident, patience time.Duration) (reporter.Picture, error) {
	leave, err := c.drawing.enter(ctx, patience)
	if err != nil {
		return reporter.Picture{}, fmt.Errorf("graph of incident %s: %w", in.ID, err)
	}
	defer leave()
	return c.set.Load().Pictures.Incident(ctx, in)
}
