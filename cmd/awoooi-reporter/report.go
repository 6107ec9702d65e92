package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// openTools finds the running process, or opens what the command needs.
func openTools(cmd *cobra.Command, o *options, needs app.Needs) (*app.Tools, error) {
	c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return app.OpenTools(cmd.Context(), c, needs, log)
}

func reportCommand(o *options) *cobra.Command {
	var at, format, template string
	var send bool
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Print a report as of a moment, or queue it with --send",
		Example: "  awoooi-reporter report daily --config.file config.yaml\n" +
			"  awoooi-reporter report daily --at 2026-04-22T08:00:00+08:00",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(func(_ *cobra.Command, c *config.Config) []string { return app.ReportNames(c) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != formatText && format != formatHTML {
				return fmt.Errorf("--format: is %q, want %s or %s", format, formatText, formatHTML)
			}
			t, err := openTools(cmd, o, app.Needs{State: send, Figures: !send})
			if err != nil {
				return err
			}
			defer t.Close()
			q := app.ReportQuery{Name: args[0]}
			zone, err := t.ReportZone(cmd.Context(), q.Name)
			if err != nil {
				return err
			}
			now := time.Now().Truncate(time.Second)
			if q.At, err = moment(at, zone, now); err != nil {
				return fmt.Errorf("--at: %w", err)
			}
			if send && q.At.After(now.Add(futureFrom)) {
				return fmt.Errorf("--at: %s is in the future, of which there are no figures to send", q.At.Format(time.RFC3339))
			}
			if send {
				n, err := t.SendReport(cmd.Context(), q)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), queued(n, t.Running()))
				return nil
			}
			if template != "" {
				text, err := os.ReadFile(template)
				if err != nil {
					return fmt.Errorf("--template: %w", err)
				}
				q.Template = string(text)
			}
			msg, err := t.Report(cmd.Context(), q)
			if msg.HTML == "" {
				return err
			}
			if err := printMessage(cmd, msg, format); err != nil {
				return err
			}
			return err // why there is no data
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "moment to evaluate at, RFC 3339 or \"2006-01-02 15:04\" in the report's zone (default now)")
	f.StringVar(&format, "format", formatText, "text or html (as sent)")
	f.StringVar(&template, "template", "", "template file to try instead of the configured one")
	f.BoolVar(&send, "send", false, "queue it for the report's receivers, to be sent by the running process")
	return cmd
}

// queued says what becomes of a report that was queued.
func queued(n app.Queued, running bool) string {
	text := fmt.Sprintf("%d of %d deliveries queued; the others were queued before", n.Added, n.Of)
	switch {
	case n.Of == 0:
		return "the report has no receivers"
	case !running:
		text += "; no process runs on this state here: they are sent when one does"
	}
	return text
}

// futureFrom is how far ahead of this machine's clock a report that is sent may lie: the clock may be wrong by so much.
const futureFrom = time.Minute

// moment reads a time as people write it; "" is now.
func moment(s string, zone *time.Location, now time.Time) (time.Time, error) {
	if s == "" {
		return now, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"} {
		t, err := time.ParseInLocation(layout, s, zone)
		switch {
		case err != nil:
		case t.Unix() < 0:
			return time.Time{}, fmt.Errorf("%q is before 1970", s)
		default:
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-04-22T08:00:00+08:00", s)
}

// How a message is printed.
const (
	formatText     = "text"
	formatHTML     = "html"
	formatMarkdown = "markdown" // of postmortems
)

func printMessage(cmd *cobra.Command, msg reporter.Message, format string) error {
	switch format {
	case formatText:
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(markup.Plain(msg.Whole())))
	case formatHTML:
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(msg.Whole()))
	default:
		return fmt.Errorf("--format: is %q, want %s, %s or %s", format, formatText, formatHTML, formatMarkdown)
	}
	return nil
}
