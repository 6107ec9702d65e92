package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/compose"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// Tools reads and changes the state for commands: through the running process if there is one, else in this process.
type Tools struct {
	cfg     *config.Config
	process *runningProcess // nil if none runs on the state
	box     *toolbox        // nil if there is a process
	log     *slog.Logger
	closers []func() error // closed in reverse
}

// Needs is what a command needs.
type Needs struct {
	State   bool // an existing state; none is ever created
	Figures bool // the database of the figures
}

// OpenTools finds the running process, or else opens the state and, for figures, the embedded database. It is an error if the
// command needs a state and there is none, or the state has another schema than this version.
func OpenTools(ctx context.Context, c *config.Config, needs Needs, log *slog.Logger) (_ *Tools, err error) {
	t := &Tools{cfg: c, log: log}
	if t.process, err = findProcess(ctx, c); err != nil || t.process != nil {
		return t, err
	}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	box := &toolbox{log: log, now: time.Now}
	if err := t.openState(ctx, box, needs.State); err != nil {
		return nil, err
	}
	var local postmortem.Querier = noFigures{}
	if needs.Figures && c.Prometheus.URL == "" && exists(filepath.Join(c.State.Path, "tsdb")) {
		db, err := openEmbedded(c, log)
		if err != nil {
			return nil, fmt.Errorf("embedded database (if a process uses it, open that process's page http://%s/reports/): %w",
				c.Web.ListenAddresses[0], err)
		}
		t.closers = append(t.closers, db.Close)
		local = db
	}
	var history postmortem.History
	if box.store != nil {
		history, box.now = box.store, box.store.Now // processes that share a state share its clock
	}
	r, err := newContent(c, history, local, log, box.now)
	if err != nil {
		return nil, err
	}
	t.closers = append(t.closers, func() error { r.close(); return nil })
	box.content = func() *content { return r }
	var composed compose.Store // nil without a state; a report needs none
	if box.store != nil {
		composed = box.store
	}
	box.texts = compose.New(composed, r.set(report.NewRetries(log, box.now, prometheus.NewRegistry())), box.now, log)
	t.box = box
	return t, nil
}

// openState opens the state if there is one. If needed, its absence is an error.
func (t *Tools) openState(ctx context.Context, box *toolbox, needed bool) error {
	c := t.cfg
	version, err := schemaVersion(ctx, c)
	switch {
	case err != nil:
		return err
	case version.Have == 0 && !needed:
		return nil
	case version.Have == 0:
		return noState(c)
	}
	if err := version.Err(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if box.store, err = openState(ctx, c, t.log); err != nil {
		return err
	}
	t.closers = append(t.closers, box.store.Close)
	return nil
}

func schemaVersion(ctx context.Context, c *config.Config) (store.SchemaVersion, error) {
	if !c.State.DSN.Empty() {
		return store.InspectPostgres(ctx, c.State.DSN)
	}
	return store.InspectSQLite(ctx, c.State.Path)
}

// noState is the error that there is no state, with what to do.
func noState(c *config.Config) error {
	if !c.State.DSN.Empty() {
		return fmt.Errorf("state: the database of state.dsn has no schema %s: start the program first, or correct state.dsn", store.Schema)
	}
	dir := c.State.Path
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return fmt.Errorf("state: not found in %s: start the program first, or run the command with the configuration and in the "+
		"working directory of the running process (state.path is relative to it)", dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Close closes what OpenTools has opened. It logs errors: what was printed is right nevertheless.
func (t *Tools) Close() {
	for _, closer := range slices.Backward(t.closers) {
		if err := closer(); err != nil {
			t.log.Error("state was not closed cleanly", "err", err)
		}
	}
}

// The operations of commands.
var (
	reportZone        = operation[string, string]{"report-zone", (*toolbox).reportZone}
	reportPreview     = operation[ReportQuery, reporter.Message]{"report", (*toolbox).report}
	reportSend        = operation[ReportQuery, queued]{"report-send", (*toolbox).sendReport}
	postmortemMessage = operation[string, reporter.Message]{"postmortem", (*toolbox).postmortem}
	postmortemText    = operation[string, string]{"postmortem-markdown", (*toolbox).markdown}
	incidentsList     = operation[reporter.IncidentFilter, []reporter.IncidentRow]{"incidents", (*toolbox).incidents}
	deliveriesList    = operation[int, []reporter.Delivery]{"deliveries", (*toolbox).deliveries}
	deliveryRetry     = operation[int64, struct{}]{"delivery-retry", (*toolbox).retryDelivery}
	deliveryCancel    = operation[int64, struct{}]{"delivery-cancel", (*toolbox).cancelDelivery}
)

func operations() []controlled {
	return []controlled{
		reportZone, reportPreview, reportSend, postmortemMessage, postmortemText, incidentsList, deliveriesList, deliveryRetry,
		deliveryCancel, incidentRemove, incidentAcknowledge, incidentRelease, incidentNote,
		incidentSilence, incidentUnsilence,
	}
}

// ReportQuery is a report as of a time.
type ReportQuery struct {
	Name     string
	At       time.Time
	Template string // text of a template to try instead of the configured one; "" means none
}

// queued counts the deliveries that a command has added, of those that the report has.
type queued struct{ Added, Of int }

// ReportText builds a preview of a report, as text or HTML. If figures cannot be read, it returns the text with "no data" for them,
// and an error that says why.
func (t *Tools) ReportText(ctx context.Context, q ReportQuery, format string) (string, error) {
	msg, err := reportPreview.run(ctx, t, q)
	if msg.HTML == "" {
		return "", err
	}
	return messageText(msg, format), err
}

// SendReport queues a report as of q.At for its receivers. Repeated calls queue nothing more. It returns a line of text.
func (t *Tools) SendReport(ctx context.Context, q ReportQuery) (string, error) {
	n, err := reportSend.run(ctx, t, q)
	text := fmt.Sprintf("%d of %d deliveries queued", n.Added, n.Of)
	if n.Added < n.Of {
		text += "; the others were queued before"
	}
	switch {
	case err != nil:
		return "", err
	case n.Of == 0:
		text = "nothing queued: the report has no receivers"
	case t.process == nil:
		text += "; no running process was found on this machine: they are sent once one runs"
	}
	return text + "\n", nil
}

// PostmortemText builds an incident's postmortem, as text, HTML or Markdown. reporter.ErrNotFound: there is no incident of that id.
func (t *Tools) PostmortemText(ctx context.Context, id, format string) (string, error) {
	if format == FormatMarkdown {
		text, err := postmortemText.run(ctx, t, id)
		return safetext.Text(text), err
	}
	msg, err := postmortemMessage.run(ctx, t, id)
	if err != nil {
		return "", err
	}
	return messageText(msg, format), nil
}

// RetryDelivery makes a delivery due now.
func (t *Tools) RetryDelivery(ctx context.Context, id int64) error {
	_, err := deliveryRetry.run(ctx, t, id)
	return err
}

// CancelDelivery cancels a pending delivery.
func (t *Tools) CancelDelivery(ctx context.Context, id int64) error {
	_, err := deliveryCancel.run(ctx, t, id)
	return err
}

// toolbox executes the operations of commands.
type toolbox struct {
	store   *store.Store // nil if there is no state and the command needs none
	content func() *content
	texts   *compose.Composer
	log     *slog.Logger
	now     func() time.Time
}

func (b *toolbox) reportZone(_ context.Context, name string) (string, error) {
	d, err := b.content().definition(name)
	if err != nil {
		return "", err
	}
	return d.Zone.String(), nil
}

func (b *toolbox) report(ctx context.Context, q ReportQuery) (reporter.Message, error) {
	rep, msg, err := b.texts.Report(ctx, q.Name, q.At)
	if msg.HTML == "" {
		return msg, err
	}
	rep.Preview = true
	if q.Template != "" {
		file, remove, templateErr := ownTemplate(q.Template)
		if templateErr != nil {
			return reporter.Message{}, templateErr
		}
		defer remove()
		rep.Template = file
	}
	msg, renderErr := b.content().render.Report(rep)
	if renderErr != nil {
		return msg, renderErr
	}
	return msg, err
}

// ownTemplate checks the text of a template and writes it to a temporary file, because the renderer reads files.
func ownTemplate(text string) (file string, remove func(), err error) {
	f, err := os.CreateTemp("", "awoooi-reporter-*.tmpl")
	if err != nil {
		return "", nil, fmt.Errorf("template: %w", err)
	}
	remove = func() { _ = os.Remove(f.Name()) }
	_, err = f.WriteString(text)
	if err = cmp.Or(err, f.Close()); err == nil {
		err = render.CheckTemplate(f.Name())
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("template: %w", err)
	}
	return f.Name(), remove, nil
}

func (b *toolbox) sendReport(ctx context.Context, q ReportQuery) (queued, error) {
	d, err := b.content().definition(q.Name)
	if err != nil {
		return queued{}, err
	}
	ds := d.Deliveries(q.At, b.now())
	added, err := b.store.Enqueue(ctx, ds...)
	return queued{Added: added, Of: len(ds)}, err
}

func (b *toolbox) postmortem(ctx context.Context, id string) (reporter.Message, error) {
	in, err := b.store.IncidentExtract(ctx, id)
	if err != nil {
		return reporter.Message{}, err
	}
	return b.texts.Postmortem(ctx, in)
}

func (b *toolbox) markdown(ctx context.Context, id string) (string, error) {
	in, err := b.store.IncidentExtract(ctx, id)
	if err != nil {
		return "", err
	}
	r := b.content()
	return r.render.Markdown(r.postmortem.Build(ctx, in))
}

func (b *toolbox) incidents(ctx context.Context, f reporter.IncidentFilter) ([]reporter.IncidentRow, error) {
	page, err := b.store.ListIncidents(ctx, f)
	return page.Rows, err
}

func (b *toolbox) deliveries(ctx context.Context, limit int) ([]reporter.Delivery, error) {
	return b.store.Deliveries(ctx, limit)
}

func (b *toolbox) retryDelivery(ctx context.Context, id int64) (struct{}, error) {
	return struct{}{}, b.store.RetryDelivery(ctx, id, b.now())
}

func (b *toolbox) cancelDelivery(ctx context.Context, id int64) (struct{}, error) {
	return struct{}{}, b.store.CancelDelivery(ctx, id, b.now())
}
