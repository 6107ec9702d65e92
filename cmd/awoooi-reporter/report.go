package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/promql"
	"github.com/awoooi/awoooi-reporter/reporter/render"
	"github.com/awoooi/awoooi-reporter/reporter/report"
	"github.com/awoooi/awoooi-reporter/reporter/store"
)

// tools is what a command needs that looks into the state beside, or instead of, a running process.
type tools struct {
	cfg   *config.Config
	store *store.Store
	texts *texts
	log   *slog.Logger
	close func()
}

// openTools opens the state, and with figures whatever the reports are read from.
func openTools(ctx context.Context, cmd *cobra.Command, o *options, figures bool) (*tools, error) {
	c, log, err := o.begin(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	st, err := openState(ctx, c, log)
	if err != nil {
		return nil, err
	}
	var embedded *promql.Embedded
	if figures && c.Prometheus.URL == "" {
		embedded, err = promql.OpenEmbedded(promql.EmbeddedConfig{
			Dir: filepath.Join(c.State.Path, "tsdb"), Retention: c.Embedded.Retention, Timeout: c.Prometheus.Timeout, Log: log,
		})
		if err != nil {
			closeQuietly(log, st)
			return nil, fmt.Errorf("embedded database (while a process runs on it, ask that process: http://%s/reports/): %w",
				c.Web.ListenAddresses[0], err)
		}
	}
	r, err := newReading(c, st, embedded, log, time.Now)
	if err != nil {
		closeQuietly(log, st)
		if embedded != nil {
			closeQuietly(log, embedded)
		}
		return nil, err
	}
	t := &tools{cfg: c, store: st, texts: &texts{store: st, now: time.Now, log: log}, log: log}
	t.texts.reading.Store(r)
	t.close = func() {
		r.close()
		if embedded != nil {
			closeQuietly(log, embedded)
		}
		closeQuietly(log, st)
	}
	return t, nil
}

// closeQuietly closes what a command has read from; a fault there changes nothing of what was printed.
func closeQuietly(log *slog.Logger, c io.Closer) {
	if err := c.Close(); err != nil {
		log.Error("state was not closed well", "err", err)
	}
}

func reportCommand(o *options) *cobra.Command {
	var at, format, template string
	var send bool
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Print a report as of a moment, or queue it with --send",
		Example: "  awoooi-reporter report daily --config.file config.yaml\n" +
			"  awoooi-reporter report daily --at 2026-04-22T08:00:00+08:00",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := openTools(cmd.Context(), cmd, o, !send)
			if err != nil {
				return err
			}
			defer t.close()
			d, err := t.texts.reading.Load().definition(args[0])
			if err != nil {
				return err
			}
			due, err := moment(at, d.Zone)
			if err != nil {
				return fmt.Errorf("--at: %w", err)
			}
			if send {
				return t.sendReport(cmd, d, due)
			}
			if template != "" {
				if err := render.CheckTemplate(template); err != nil {
					return fmt.Errorf("--template: %w", err)
				}
				t.texts.reading.Load().setTemplate(d.Name, template)
			}
			_, msg, err := t.texts.Report(cmd.Context(), d.Name, due)
			var unreachable *report.UnreachableError
			if err != nil && !errors.As(err, &unreachable) {
				return err
			}
			if err := printMessage(cmd, msg, format); err != nil {
				return err
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "moment to evaluate at, RFC 3339 or \"2006-01-02 15:04\" in the report's zone (default now)")
	f.StringVar(&format, "format", "text", "text or html (as sent)")
	f.StringVar(&template, "template", "", "template file to try instead of the configured one")
	f.BoolVar(&send, "send", false, "queue it for the report's receivers, to be sent by the running process")
	return cmd
}

// sendReport queues the report once for a due time, however often it is asked for.
func (t *tools) sendReport(cmd *cobra.Command, d report.Definition, due time.Time) error {
	var ds []reporter.Delivery
	for _, r := range d.Receivers {
		ds = append(ds, reporter.NewDelivery(reporter.DeliveryReport, report.Subject(d.Name, due), r, time.Now()))
	}
	added, err := t.store.Enqueue(cmd.Context(), ds...)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d of %d deliveries queued; the others were queued before\n", added, len(ds))
	return nil
}

// moment reads a time as people write it.
func moment(s string, zone *time.Location) (time.Time, error) {
	if s == "" {
		return time.Now().Truncate(time.Second), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-04-22T08:00:00+08:00", s)
}

func printMessage(cmd *cobra.Command, msg reporter.Message, format string) error {
	switch format {
	case "text":
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(render.Plain(msg.HTML)))
	case "html":
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(msg.HTML))
	default:
		return fmt.Errorf("--format: is %q", format)
	}
	return nil
}
