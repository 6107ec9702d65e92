package compose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// parts is a Set and a Store in one, whose fields say what it answers.
type parts struct {
	reportErr  error
	picture    []byte
	pictureErr error
	drawing    func()
	incidents  map[string]reporter.Incident
	merged     []string
	entries    []reporter.Entry
	silences   []reporter.Silence
	failed     reporter.Delivery
	outages    map[string]reporter.HeartbeatOutage
}

func (p *parts) Report(_ context.Context, name string, at time.Time) (reporter.Report, error) {
	if name != "daily" {
		return reporter.Report{}, fmt.Errorf("report %q: %w", name, reporter.ErrNotFound)
	}
	return reporter.Report{Name: name, Due: at, Built: at, Trend: &reporter.Trend{}}, p.reportErr
}

func (p *parts) Due(ctx context.Context, of reporter.Subject, _ time.Time) (reporter.Report, error) {
	return p.Report(ctx, of.Report, of.Due)
}

func (p *parts) Build(_ context.Context, in reporter.Incident) reporter.Postmortem {
	return reporter.Postmortem{Incident: in, Acknowledgement: reporter.AcknowledgementOf(p.entries), Silences: p.silences}
}

func (p *parts) Digest(ins []reporter.Incident) reporter.Digest {
	d := reporter.Digest{Incidents: make([]reporter.DigestEntry, len(ins))}
	for n, in := range ins {
		d.Incidents[n].ID, d.Incidents[n].State = in.ID, in.State
	}
	return d
}

func (p *parts) Trend(reporter.Report) (reporter.Picture, error) {
	if p.drawing != nil {
		p.drawing()
	}
	return reporter.Picture{PNG: p.picture, Text: "0 to 1"}, p.pictureErr
}

func (p *parts) Incident(context.Context, reporter.Incident) (reporter.Picture, error) {
	return reporter.Picture{PNG: p.picture, Text: "0 to 1"}, p.pictureErr
}

func (p *parts) IncidentExtract(_ context.Context, id string) (reporter.Incident, error) {
	in, ok := p.incidents[id]
	if !ok {
		return reporter.Incident{}, reporter.ErrNotFound
	}
	return in, nil
}

func (p *parts) EntriesOf(_ context.Context, ids []string) (map[string][]reporter.Entry, error) {
	out := map[string][]reporter.Entry{}
	for _, id := range ids {
		out[id] = p.entries
	}
	return out, nil
}

func (p *parts) ActionToken(_ context.Context, incident, receiver string) (string, error) {
	return incident + "@" + receiver, nil
}

func (p *parts) MergedInto(context.Context, int64) ([]string, error) { return p.merged, nil }

func (p *parts) Updates(_ context.Context, d reporter.Delivery) (bool, error) { return d.ID > 1, nil }

func (p *parts) Failures(context.Context, int64, int) (reporter.Failures, error) {
	return reporter.Failures{Count: len(p.merged)}, nil
}

func (p *parts) HeartbeatOutage(_ context.Context, id string) (reporter.HeartbeatOutage, error) {
	o, ok := p.outages[id]
	if !ok {
		return o, reporter.ErrNotFound
	}
	return o, nil
}

func (p *parts) Delivery(_ context.Context, id int64) (reporter.Delivery, error) {
	if p.failed.ID != id {
		return reporter.Delivery{}, reporter.ErrNotFound
	}
	return p.failed, nil
}

// writer writes what it was called with.
type writer struct{ mark string }

func (w writer) message(format string, a ...any) (reporter.Message, error) {
	return reporter.Message{HTML: w.mark + fmt.Sprintf(format, a...)}, nil
}

func (w writer) Report(r reporter.Report) (reporter.Message, error) {
	return w.message("report %s", r.Name)
}

func (w writer) Postmortem(p reporter.Postmortem) (reporter.Message, error) {
	if p.Updated {
		return w.message("updated postmortem %s", p.Incident.ID)
	}
	return w.message("postmortem %s", p.Incident.ID)
}

func (w writer) Firing(p reporter.Postmortem) (reporter.Message, error) {
	if len(p.Actions) > 0 {
		return w.message("firing %s %v %s", p.Incident.ID, p.Actions, p.Token)
	}
	return w.message("firing %s", p.Incident.ID)
}

func (w writer) Digest(d reporter.Digest) (reporter.Message, error) {
	return w.message("digest of %d", len(d.Incidents))
}

func (w writer) Heartbeats(n reporter.HeartbeatNotice) (reporter.Message, error) {
	return w.message("%d heartbeats, returned %v, in %s", len(n.Outages), n.Returned, n.Locale)
}

func (w writer) Markdown(reporter.Postmortem) (string, error) { return "", nil }

func (w writer) Notice(of reporter.Delivery, _ string, _ *time.Location) (reporter.Message, error) {
	return w.message("not sent: %s", of.Subject)
}

func (w writer) Failures(f reporter.Failures, _ string, _ *time.Location) (reporter.Message, error) {
	return reporter.Message{Title: fmt.Sprint(w.mark, "failures ", f.Count)}, nil
}

func (w writer) Minimal(d reporter.Delivery, _ string, _ *time.Location) reporter.Message {
	return reporter.Message{Title: w.mark + "minimal " + d.Subject}
}

func (w writer) FiringDigest(d reporter.Digest) (reporter.Message, error) {
	text := fmt.Sprint(w.mark, "firing digest")
	for _, e := range d.Incidents {
		text += " " + e.ID + string(e.State) + e.Acknowledged
	}
	return reporter.Message{HTML: text}, nil
}

func (w writer) StopNotice(of reporter.Delivery, _ string, _ *time.Location) (reporter.Message, error) {
	return w.message("stopped: %s", of.Receiver)
}

func composer(p *parts) *Composer {
	return New(p, p.set(""), time.Now, slog.New(slog.DiscardHandler))
}

func (p *parts) set(mark string) Set {
	return Set{
		Reports: p, Postmortems: p, Writer: writer{mark}, Pictures: p, Locale: "en", Zone: time.UTC,
		RouteLocales: map[string]string{"tw": "zh-TW", "none": ""},
	}
}

func TestComposeByKind(t *testing.T) {
	t.Parallel()
	unreachable := &reporter.UnreachableError{Err: errors.New("connection refused")}
	const daily = "daily@2026-04-22T00:00:00Z"
	type delivery = reporter.Delivery
	for name, tc := range map[string]struct {
		d       delivery
		parts   parts
		want    string
		picture bool
		err     error         // that the error wraps
		retry   time.Duration // of a *reporter.RetryAfterError
	}{
		"report":                     {d: delivery{Kind: reporter.DeliveryReport, Subject: daily}, want: "report daily", picture: true},
		"report, second attempt":     {d: delivery{Kind: reporter.DeliveryReport, Subject: daily, Attempts: 1}, want: "report daily"},
		"report whose picture fails": {d: delivery{Kind: reporter.DeliveryReport, Subject: daily}, parts: parts{pictureErr: errors.New("x")}, want: "report daily"},
		"report without Prometheus":  {d: delivery{Kind: reporter.DeliveryReport, Subject: daily}, parts: parts{reportErr: unreachable}, want: "report daily", picture: true},
		"report that may get answers later": {d: delivery{Kind: reporter.DeliveryReport, Subject: daily},
			parts: parts{reportErr: &reporter.RetryAfterError{After: time.Minute, Err: unreachable.Err}}, err: unreachable.Err, retry: time.Minute},
		"report that does not exist":         {d: delivery{Kind: reporter.DeliveryReport, Subject: "gone@2026-04-22T00:00:00Z"}, err: reporter.ErrNotFound},
		"postmortem":                         {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "I"}, want: "postmortem I", picture: true},
		"postmortem, an update":              {d: delivery{ID: 2, Kind: reporter.DeliveryPostmortem, Subject: "I"}, want: "updated postmortem I", picture: true},
		"postmortem, second attempt":         {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "I", Attempts: 1}, want: "postmortem I"},
		"postmortem of one that fires again": {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "O"}, err: reporter.ErrObsolete},
		"postmortem of nothing":              {d: delivery{Kind: reporter.DeliveryPostmortem, Subject: "X"}, err: reporter.ErrNotFound},
		"firing":                             {d: delivery{Kind: reporter.DeliveryFiring, Subject: "O"}, want: "firing O"},
		"firing that is over":                {d: delivery{Kind: reporter.DeliveryFiring, Subject: "I"}, err: reporter.ErrObsolete},
		"firing of nothing":                  {d: delivery{Kind: reporter.DeliveryFiring, Subject: "X"}, err: reporter.ErrObsolete},
		"digest":                             {d: delivery{Kind: reporter.DeliveryDigest}, parts: parts{merged: []string{"I", "X", "O"}}, want: "digest of 1"},
		"heartbeat missing":                  {d: delivery{Kind: reporter.DeliveryHeartbeatMissing, Subject: "H"}, want: "1 heartbeats, returned false, in zh-TW"},
		"heartbeat returned":                 {d: delivery{Kind: reporter.DeliveryHeartbeatReturned, Subject: "N"}, want: "1 heartbeats, returned true, in en"},
		"heartbeat of a removed route":       {d: delivery{Kind: reporter.DeliveryHeartbeatMissing, Subject: "R"}, want: "1 heartbeats, returned false, in en"},
		"heartbeat of nothing":               {d: delivery{Kind: reporter.DeliveryHeartbeatMissing, Subject: "X"}, err: reporter.ErrObsolete},
		"heartbeats missing":                 {d: delivery{Kind: reporter.DeliveryHeartbeatsMissing}, parts: parts{merged: []string{"H", "X", "N"}}, want: "2 heartbeats, returned false, in zh-TW"},
		"heartbeats returned":                {d: delivery{Kind: reporter.DeliveryHeartbeatsReturned}, parts: parts{merged: []string{"N", "H"}}, want: "2 heartbeats, returned true, in en"},
		"digest of nothing":                  {d: delivery{Kind: reporter.DeliveryDigest}, parts: parts{merged: []string{"X", "O"}}, err: reporter.ErrObsolete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := tc.parts
				p.incidents = map[string]reporter.Incident{
					"I": {ID: "I", State: reporter.IncidentResolved}, "O": {ID: "O", State: reporter.IncidentOpen},
				}
				p.outages = map[string]reporter.HeartbeatOutage{"H": {Route: "tw"}, "N": {Route: "none"}, "R": {Route: "removed"}}
				if p.pictureErr == nil {
					p.picture = []byte("png")
				}
				msg, err := composer(&p).Compose(t.Context(), tc.d)
				if tc.err != nil {
					var retry *reporter.RetryAfterError
					if !errors.Is(err, tc.err) || errors.As(err, &retry) != (tc.retry > 0) || (retry != nil && retry.After != tc.retry) {
						t.Errorf("error %v, want %v", err, tc.err)
					}
					return
				}
				if err != nil || msg.HTML != tc.want || bytes.Equal(msg.Picture, []byte("png")) != tc.picture {
					t.Errorf("%q with picture %q, %v; want %q", msg.HTML, msg.Picture, err, tc.want)
				}
			})
		})
	}
}

// The message of an open incident is not a postmortem.
func TestPostmortemsAreOfIncidentsThatAreOver(t *testing.T) {
	t.Parallel()
	for state, want := range map[reporter.IncidentState]string{
		reporter.IncidentOpen: "firing A", reporter.IncidentChronic: "firing A", reporter.IncidentResolved: "postmortem A",
	} {
		msg, err := composer(&parts{}).Postmortem(t.Context(), reporter.Incident{ID: "A", State: state})
		if err != nil || msg.HTML != want {
			t.Errorf("of one that is %s: %q, %v, want %q", state, msg.HTML, err, want)
		}
	}
}

func TestComposeRefusesAnUnknownKind(t *testing.T) {
	t.Parallel()
	if _, err := composer(&parts{}).Compose(t.Context(), reporter.Delivery{Kind: "fax"}); err == nil {
		t.Error("it was composed")
	}
}

// Messages that are composed after a reload use the new set.
func TestUse(t *testing.T) {
	t.Parallel()
	p := &parts{}
	c := composer(p)
	c.Use(p.set("new "))
	_, msg, err := c.Report(t.Context(), "daily", time.Now())
	if err != nil || msg.HTML != "new report daily" {
		t.Errorf("%q, %v", msg.HTML, err)
	}
}

// A picture that is never finished delays another one by a limited time.
func TestOnePictureAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		p := &parts{picture: []byte("png"), drawing: func() { <-end }}
		c := composer(p)
		go Pages{c}.ReportPicture(t.Context(), "daily", time.Now())
		synctest.Wait()
		start := time.Now()
		msg, err := c.Compose(t.Context(), reporter.Delivery{Kind: reporter.DeliveryReport, Subject: "daily@2026-04-22T00:00:00Z"})
		if err != nil || msg.HTML != "report daily" || msg.Picture != nil || time.Since(start) != drawingPatience {
			t.Errorf("%q with picture %q after %v, %v", msg.HTML, msg.Picture, time.Since(start), err)
		}
		if _, err := (Pages{c}).ReportPicture(t.Context(), "daily", time.Now().Add(time.Hour)); !errors.Is(err, reporter.ErrBusy) {
			t.Errorf("a page's picture: %v, want %v", err, reporter.ErrBusy)
		}
		close(end)
	})
}
