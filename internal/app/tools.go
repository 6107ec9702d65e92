package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// Tools reads and changes the state for commands, beside or instead of a running process.
type Tools struct {
	cfg     *config.Config
	store   *store.Store
	texts   *compose.Composer
	reading *reading
	log     *slog.Logger
	closers []func() error // closed in reverse
}

// OpenTools opens the state, and with figures the database that reports are read from.
func OpenTools(ctx context.Context, c *config.Config, figures bool, log *slog.Logger) (_ *Tools, err error) {
	t := &Tools{cfg: c, log: log}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	if t.store, err = openState(ctx, c, log); err != nil {
		return nil, err
	}
	t.closers = append(t.closers, t.store.Close)
	var local postmortem.Querier = noFigures{}
	if figures && c.Prometheus.URL == "" {
		db, err := openEmbedded(c, log)
		if err != nil {
			return nil, fmt.Errorf("embedded database (while a process runs on it, ask that process: http://%s/reports/): %w",
				c.Web.ListenAddresses[0], err)
		}
		t.closers = append(t.closers, db.Close)
		local = db
	}
	r, err := newReading(c, t.store, local, log, time.Now)
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, func() error { r.close(); return nil })
	t.reading = r
	t.texts = compose.New(t.store, r.set(report.NewRetries(log, time.Now, prometheus.NewRegistry())), time.Now, log)
	return t, nil
}

// Close closes what OpenTools opened. An error changes nothing of what was printed, and is logged.
func (t *Tools) Close() {
	for _, closer := range slices.Backward(t.closers) {
		if err := closer(); err != nil {
			t.log.Error("state was not closed cleanly", "err", err)
		}
	}
}

// ReportZone is the time zone of a report. reporter.ErrNotFound: there is no report of that name.
func (t *Tools) ReportZone(name string) (*time.Location, error) {
	d, err := t.reading.definition(name)
	return d.Zone, err
}

// SetTemplate makes a report use another template file.
func (t *Tools) SetTemplate(name, file string) error {
	if err := render.CheckTemplate(file); err != nil {
		return err
	}
	t.reading.setTemplate(name, file)
	return nil
}

// Report builds a report as of at, to look at it. If the figures cannot be read, the message is whole, without data, beside the error.
func (t *Tools) Report(ctx context.Context, name string, at time.Time) (reporter.Message, error) {
	rep, msg, err := t.texts.Report(ctx, name, at)
	if msg.HTML == "" {
		return msg, err
	}
	rep.Preview = true
	msg, renderErr := t.reading.render.Report(rep)
	if renderErr != nil {
		return msg, renderErr
	}
	return msg, err
}

// SendReport queues a report as of due for its receivers: once, however often it is called. It returns how many
// deliveries were added, and how many receivers the report has.
func (t *Tools) SendReport(ctx context.Context, name string, due time.Time) (added, of int, err error) {
	d, err := t.reading.definition(name)
	if err != nil {
		return 0, 0, err
	}
	var ds []reporter.Delivery
	for _, r := range d.Receivers {
		ds = append(ds, reporter.NewDelivery(reporter.DeliveryReport, reporter.Subject{Report: d.Name, Due: due}.String(), r, time.Now()))
	}
	added, err = t.store.Enqueue(ctx, ds...)
	return added, len(ds), err
}

// Postmortem builds the message of an incident's postmortem. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) Postmortem(ctx context.Context, id string) (reporter.Message, error) {
	in, err := t.store.IncidentExtract(ctx, id)
	if err != nil {
		return reporter.Message{}, err
	}
	return t.texts.Postmortem(ctx, in)
}

// PostmortemMarkdown writes an incident's postmortem as a document for people to fill in.
func (t *Tools) PostmortemMarkdown(ctx context.Context, id string) (string, error) {
	in, err := t.store.IncidentExtract(ctx, id)
	if err != nil {
		return "", err
	}
	return t.reading.render.Markdown(t.reading.postmortem.Build(ctx, in))
}

// Deliveries lists the newest deliveries, at most limit.
func (t *Tools) Deliveries(ctx context.Context, limit int) ([]reporter.Delivery, error) {
	return t.store.Deliveries(ctx, limit)
}

// RetryDelivery makes a delivery due now.
func (t *Tools) RetryDelivery(ctx context.Context, id int64) error {
	return t.store.RetryDelivery(ctx, id, time.Now())
}

// CancelDelivery cancels a pending delivery.
func (t *Tools) CancelDelivery(ctx context.Context, id int64) error {
	return t.store.CancelDelivery(ctx, id, time.Now())
}

// Zone is the time zone in which times are shown.
func (t *Tools) Zone() *time.Location { return t.cfg.Zone }
