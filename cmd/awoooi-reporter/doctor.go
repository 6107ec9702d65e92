package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

func doctorCommand(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask everything that the configuration names whether it would work",
		Long: "doctor asks state, sources, Prometheus, Alertmanagers and receivers, and prints one line for each, with what to do.\n" +
			"It sends no message and changes nothing. It ends with 1 if something failed, within 10 seconds.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if format != "text" && format != "json" {
				return fmt.Errorf("--format: is %q, want text or json", format)
			}
			found := app.Doctor(cmd.Context(), c, log)
			wrong := false
			for _, f := range found {
				wrong = wrong || f.Result == app.FindingFail
				if format == "text" {
					line := fmt.Sprintf("%-4s  %s: %s", f.Result, f.What, f.Text)
					if f.Remedy != "" {
						line += "; " + f.Remedy
					}
					fmt.Fprintln(cmd.OutOrStdout(), safetext.Line(line, 0))
				}
			}
			if format == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(found); err != nil {
					return err
				}
			}
			if wrong {
				return errors.New("something failed")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func testCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "test RECEIVER",
		Short:             "Send a message that says it is a test to a receiver",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(func(_ *cobra.Command, c *config.Config) []string { return receiverNames(c) }),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			id, err := app.SendTest(cmd.Context(), c, args[0], log)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "sent to %s as message %s\n", args[0], id)
			return nil
		},
	}
}
