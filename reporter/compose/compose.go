// Package compose makes messages: a due delivery or a page comes in, its message with picture and buttons goes out.
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
	// Report builds the report as of at. reporter.ErrNotFound: there is none of that name. Beside a
	// *reporter.UnreachableError the report may be sent nevertheless, without data.
	Report(ctx context.Context, name string, at time.Time) (reporter.Report, error)
	// Due builds a report that is due and was queued at queued. A *reporter.RetryAfterError: queries failed that may be
	// answered later.
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
	NoticeWriter
	// Heartbeats writes about one heartbeat or many that are missing, or are received again.
	Heartbeats(n reporter.HeartbeatNotice) (reporter.Message, error)
}

// ReportWriter writes reports.
type ReportWriter interface {
	Report(rep reporter.Report) (reporter.Message, error)
}

// IncidentWriter writes about incidents.
type IncidentWriter interface {
	Postmortem(p reporter.Postmortem) (reporter.Message, error)
	Firing(p reporter.Postmortem) (reporter.Message, error)
	Digest(d reporter.Digest) (reporter.Message, error)
	FiringDigest(d reporter.Digest) (reporter.Message, error)
	Markdown(p reporter.Postmortem) (string, error)
}

// NoticeWriter writes about deliveries that failed.
type NoticeWriter interface {
	Notice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error)
	StopNotice(of reporter.Delivery, locale string, zone *time.Location) (reporter.Message, error)
	Failures(f reporter.Failures, locale string, zone *time.Location) (reporter.Message, error)
	// Minimal needs no template and no query.
	Minimal(d reporter.Delivery, locale string, zone *time.Location) reporter.Message
}

// Pictures draws PNGs. reporter.ErrNotFound: there is nothing to draw.
type Pictures interface {
	Trend(rep reporter.Report) (reporter.Picture, error)
	// Incident draws the graphs around an incident. It may query what it draws.
	Incident(ctx context.Context, in reporter.Incident) (reporter.Picture, error)
}

// Store is what messages are about.
type Store interface {
	// IncidentExtract returns the incident with as many alerts as a message can show, or reporter.ErrNotFound.
	IncidentExtract(ctx context.Context, id string) (reporter.Incident, error)
	// MergedInto returns the subjects of the deliveries in a digest.
	MergedInto(ctx context.Context, delivery int64) ([]string, error)
	Delivery(ctx context.Context, id int64) (reporter.Delivery, error)
	// Updates says whether the receiver has had a postmortem of the incident that this delivery is about.
	Updates(ctx context.Context, d reporter.Delivery) (bool, error)
	// Failures returns what a notice is about, with the first few deliveries.
	Failures(ctx context.Context, notice int64, limit int) (reporter.Failures, error)
	// EntriesOf returns what people wrote about some incidents, by incident.
	EntriesOf(ctx context.Context, incidents []string) (map[string][]reporter.Entry, error)
	// ActionToken returns what names the incident and the receiver in the data of a button.
	ActionToken(ctx context.Context, incident, receiver string) (string, error)
	// HeartbeatOutage returns an outage of a heartbeat, or reporter.ErrNotFound.
	HeartbeatOutage(ctx context.Context, id string) (reporter.HeartbeatOutage, error)
}

// Set is what messages are made with. A reload replaces it as one, so that no message is made half by the old and half by the
// new configuration.
type Set struct {
	Reports     Reports
	Postmortems Postmortems
	Writer      Writer
	Pictures    Pictures
	Locale      string         // of notices
	Zone        *time.Location // of notices
	GiveUpAfter time.Duration  // how long a message is tried, for notices
	// Interactive are the receivers in whose chats the bot hears what people do: their notices have buttons of actions.
	Interactive map[string]bool
	// Silenceable says whether alerts of a cluster can be silenced; nil is of none.
	Silenceable func(cluster string) bool
	// RouteLocales are the locales of routes by their names, of messages about heartbeats; one that is missing is Locale.
	RouteLocales map[string]string
}

// Composer makes the messages of deliveries, by the Set of the moment.
type Composer struct {
	set   atomic.Pointer[Set]
	store Store
	now   func() time.Time
	log   *slog.Logger

	drawing  gate // one picture at a time, of messages and pages
	building gate // of reports for pages
	reports  *recent[pageKey, pageReport]
	pictures *recent[pageKey, reporter.Picture]
}

const drawingPatience = 30 * time.Second // of a message, which is sent without its picture then

// New makes a composer.
func New(st Store, set Set, now func() time.Time, log *slog.Logger) *Composer {
	t := &Composer{
		store: st, now: now, log: log, drawing: make(gate, 1), building: make(gate, pageReportsAtOnce),
		reports:  newRecent[pageKey, pageReport](keepReports, keepAtMost, now),
		pictures: newRecent[pageKey, reporter.Picture](keepPictures, keepAtMost, now),
	}
	t.Use(set)
	return t
}

// Use replaces what messages are made with. Messages that are being made keep the old set.
func (t *Composer) Use(set Set) { t.set.Store(&set) }

// Compose makes the message of a delivery when it is first tried.
func (t *Composer) Compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	msg, err := t.compose(ctx, d)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg, err
}

// about adds to a message what it is about. A document that cannot be JSON costs itself only.
func (t *Composer) about(msg reporter.Message, document any) reporter.Message {
	b, err := json.Marshal(document)
	if err != nil {
		t.log.Warn("message has no data", "title", msg.Title, "err", err)
		return msg
	}
	msg.Data = b
	return msg
}

func (t *Composer) compose(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	switch d.Kind {
	case reporter.DeliveryReport:
		subject, err := reporter.ParseSubject(d.Subject)
		if err != nil {
			return reporter.Message{}, err
		}
		return t.dueReport(ctx, d, subject)
	case reporter.DeliveryPostmortem:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		if !in.Over() { // It fires again; its postmortem is queued again at its end.
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
		}
		updates, err := t.store.Updates(ctx, d)
		if err != nil {
			return reporter.Message{}, err
		}
		r := t.set.Load()
		p := r.Postmortems.Build(ctx, in)
		p.Updated = updates
		msg, err := r.Writer.Postmortem(p)
		if err == nil {
			msg = t.about(msg, p.Document())
			t.draw(&msg, d, func() (reporter.Picture, error) { return t.incidentPicture(ctx, in, drawingPatience) })
		}
		return msg, err
	case reporter.DeliveryFiring:
		in, err := t.store.IncidentExtract(ctx, d.Subject)
		if errors.Is(err, reporter.ErrNotFound) || (err == nil && in.Over() && !d.Replaced) {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, reporter.ErrObsolete)
		}
		if err != nil {
			return reporter.Message{}, fmt.Errorf("incident %s: %w", d.Subject, err)
		}
		return t.firing(ctx, d, in)
	case reporter.DeliveryDigest, reporter.DeliveryFiringDigest:
		return t.digest(ctx, d, d.Replaced)
	case reporter.DeliveryHeartbeatMissing, reporter.DeliveryHeartbeatReturned, reporter.DeliveryHeartbeatsMissing,
		reporter.DeliveryHeartbeatsReturned:
		return t.heartbeats(ctx, d)
	case reporter.DeliveryAnswer:
		return t.answer(ctx, d)
	case reporter.DeliveryNotice:
		if d.Subject == reporter.SubjectFailures {
			return t.failures(ctx, d)
		}
		number, stop := strings.CutSuffix(d.Subject, reporter.NoticeOfStop)
		id, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("notice of %q: %w", d.Subject, err)
		}
		of, err := t.store.Delivery(ctx, id)
		if err != nil {
			return reporter.Message{}, fmt.Errorf("notice of delivery %d: %w", id, err)
		}
		r := t.set.Load()
		if stop {
			return r.Writer.StopNotice(of, r.Locale, r.Zone)
		}
		return r.Writer.Notice(of, r.Locale, r.Zone)
	}
	return reporter.Message{}, fmt.Errorf("delivery of kind %q cannot be composed", d.Kind)
}

// failuresNamed is how many of the deliveries that were not sent a notice names.
const failuresNamed = 10

// failures says what was not sent, and to whom nothing can be sent.
func (t *Composer) failures(ctx context.Context, d reporter.Delivery) (reporter.Message, error) {
	f, err := t.store.Failures(ctx, d.ID, failuresNamed)
	if err != nil {
		return reporter.Message{}, err
	}
	if f.Count == 0 && len(f.Suspended) == 0 { // All is well again.
		return reporter.Message{}, fmt.Errorf("notice %d: %w", d.ID, reporter.ErrObsolete)
	}
	r := t.set.Load()
	f.GiveUpAfter = r.GiveUpAfter
	return r.Writer.Failures(f, r.Locale, r.Zone)
}

// Minimal says what a delivery is about, from the delivery alone.
func (t *Composer) Minimal(d reporter.Delivery) reporter.Message {
	r := t.set.Load()
	msg := r.Writer.Minimal(d, r.Locale, r.Zone)
	msg.Kind, msg.Subject = d.Kind, d.Subject
	return msg
}

// dueReport waits for queries that may be answered later. The report is sent as well where none was answered at all.
func (t *Composer) dueReport(ctx context.Context, d reporter.Delivery, of reporter.Subject) (reporter.Message, error) {
	r := t.set.Load()
	rep, err := r.Reports.Due(ctx, of, d.CreatedAt)
	var unreachable *reporter.UnreachableError
	if err != nil && !errors.As(err, &unreachable) {
		return reporter.Message{}, err
	}
	msg, err := r.Writer.Report(rep)
	if err == nil {
		msg = t.about(msg, rep.Document())
		t.draw(&msg, d, func() (reporter.Picture, error) { return t.trendPicture(ctx, rep, drawingPatience) })
	}
	return msg, err
}

// Report builds a report and its message. Beside a *reporter.UnreachableError both are whole, without data.
func (t *Composer) Report(ctx context.Context, name string, at time.Time) (reporter.Report, reporter.Message, error) {
	r := t.set.Load()
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

// Postmortem builds the message of an incident: that of its begin, as it is now, while it is not over.
func (t *Composer) Postmortem(ctx context.Context, in reporter.Incident) (reporter.Message, error) {
	r := t.set.Load()
	pm := r.Postmortems.Build(ctx, in)
	if !in.Over() {
		return r.Writer.Firing(pm)
	}
	return r.Writer.Postmortem(pm)
}

// digest is about the incidents whose messages were merged into the delivery: all of them, or those that are still as those messages
// say. One that was deleted is left out.
func (t *Composer) digest(ctx context.Context, d reporter.Delivery, all bool) (reporter.Message, error) {
	ids, err := t.store.MergedInto(ctx, d.ID)
	if err != nil {
		return reporter.Message{}, err
	}
	var ins []reporter.Incident
	for _, id := range ids {
		in, err := t.store.IncidentExtract(ctx, id)
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
	r := t.set.Load()
	if d.Kind == reporter.DeliveryFiringDigest {
		digest := r.Postmortems.Digest(ins)
		written, err := t.store.EntriesOf(ctx, ids)
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

// draw adds a picture to a message, which goes without where there is none. A second attempt is made without: the picture may have
// ended the first one.
func (t *Composer) draw(to *reporter.Message, d reporter.Delivery, draw func() (reporter.Picture, error)) {
	if d.Attempts > 0 {
		return
	}
	picture, err := draw()
	if err != nil && !errors.Is(err, reporter.ErrNotFound) {
		t.log.Warn("picture was not drawn, the message is sent without it", "err", err)
	}
	to.Picture, to.PictureText = picture.PNG, picture.Text
}

// trendPicture draws the trend of a report, once it is its turn. reporter.ErrNotFound: it has no trend, or nothing is known.
func (t *Composer) trendPicture(ctx context.Context, rep reporter.Report, patience time.Duration) (reporter.Picture, error) {
	if rep.Trend == nil {
		return reporter.Picture{}, fmt.Errorf("trend of report %s: %w", rep.Name, reporter.ErrNotFound)
	}
	leave, err := t.drawing.enter(ctx, patience)
	if err != nil {
		return reporter.Picture{}, fmt.Errorf("trend of report %s: %w", rep.Name, err)
	}
	defer leave()
	return t.set.Load().Pictures.Trend(rep)
}

// incidentPicture draws the graphs around an incident, once it is its turn. reporter.ErrNotFound: nothing is known of them.
func (t *Composer) incidentPicture(ctx context.Context, in reporter.Incident, patience time.Duration) (reporter.Picture, error) {
	leave, err := t.drawing.enter(ctx, patience)
	if err != nil {
		return reporter.Picture{}, fmt.Errorf("graph of incident %s: %w", in.ID, err)
	}
	defer leave()
	return t.set.Load().Pictures.Incident(ctx, in)
}
