package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
)

func reportCommand(o *options) *cobra.Command {
	var at, format, template string
	var send bool
	cmd := &cobra.Command{
		Use:   "report NAME",
		Short: "Print a report as of now or of --at, or queue it with --send",
		Example: "  awoooi-reporter report daily --config.file config.yaml\n" +
			"  awoooi-reporter report daily --at 2026-04-22T08:00:00+08:00",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(func(_ *cobra.Command, c *config.Config) []string { return app.ReportNames(c) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, app.FormatText, app.FormatHTML); err != nil {
				return err
			}
			if send && (template != "" || cmd.Flags().Changed("format")) {
				return errors.New("--send: sends the report as it is configured, remove --template and --format")
			}
			return o.withTools(cmd, app.Needs{State: send, Figures: !send}, func(t *app.Tools) (err error) {
				q := app.ReportQuery{Name: args[0]}
				q.At, err = t.ReportMoment(cmd.Context(), q.Name, at, send)
				switch {
				case errors.Is(err, reporter.ErrNotFound): // the report
					return err
				case err != nil:
					return fmt.Errorf("--at: %w", err)
				}
				if template != "" {
					text, err := os.ReadFile(template)
					if err != nil {
						return fmt.Errorf("--template: %w", err)
					}
					q.Template = string(text)
				}
				var text string
				if send {
					text, err = t.SendReport(cmd.Context(), q)
				} else {
					text, err = t.ReportText(cmd.Context(), q, format)
				}
				fmt.Fprint(cmd.OutOrStdout(), text)
				return err // beside the text, it says why there is no data
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "time to evaluate at, RFC 3339 or \"2006-01-02 15:04\" in the report's zone (default now)")
	f.StringVar(&format, "format", app.FormatText, "text or html (as sent)")
	f.StringVar(&template, "template", "", "template file to use instead of the configured one")
	f.BoolVar(&send, "send", false, "queue the report for its receivers; the running process sends it")
	return cmd
}

func postmortemCommand(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:               "postmortem ID",
		Short:             "Print the postmortem of an incident",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(incidentIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, app.FormatText, app.FormatHTML, app.FormatMarkdown); err != nil {
				return err
			}
			return o.withTools(cmd, app.Needs{State: true}, func(t *app.Tools) error {
				text, err := t.PostmortemText(cmd.Context(), args[0], format)
				if err == nil {
					fmt.Fprint(cmd.OutOrStdout(), text)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", app.FormatText, "text, html (as sent) or markdown (with sections to fill in)")
	return cmd
}
