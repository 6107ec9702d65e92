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
			if q.At, err = moment(at, zone); err != nil {
				return fmt.Errorf("--at: %w", err)
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
	f.StringVar(&format, "format", "text", "text or html (as sent)")
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
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(markup.Plain(msg.Whole())))
	case "html":
		fmt.Fprintln(cmd.OutOrStdout(), safetext.Text(msg.Whole()))
	default:
		return fmt.Errorf("--format: is %q", format)
	}
	return nil
}
