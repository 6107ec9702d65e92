package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// openTools opens the state, and with figures the database that reports are read from.
func openTools(cmd *cobra.Command, o *options, figures bool) (*app.Tools, error) {
	c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return app.OpenTools(cmd.Context(), c, figures, log)
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
			t, err := openTools(cmd, o, !send)
			if err != nil {
				return err
			}
			defer t.Close()
			zone, err := t.ReportZone(args[0])
			if err != nil {
				return err
			}
			due, err := moment(at, zone)
			if err != nil {
				return fmt.Errorf("--at: %w", err)
			}
			if send {
				added, of, err := t.SendReport(cmd.Context(), args[0], due)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d of %d deliveries queued; the others were queued before\n", added, of)
				return nil
			}
			if template != "" {
				if err := t.SetTemplate(args[0], template); err != nil {
					return fmt.Errorf("--template: %w", err)
				}
			}
			msg, err := t.Report(cmd.Context(), args[0], due)
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
