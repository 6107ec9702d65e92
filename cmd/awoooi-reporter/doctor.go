package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
)

func doctorCommand(o *options) *cobra.Command {
	var format string
	var endToEnd bool
	var through app.EndToEndOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask everything that the configuration names whether it would work",
		Long: "doctor asks state, sources, Prometheus, Alertmanagers and receivers, and prints one line for each, with what to do.\n" +
			"It sends no message and changes nothing. It ends with 1 if something failed, within 10 seconds.\n\n" +
			"With --end-to-end it posts an alert that says it is a test to the running program, follows it to the chat, and prints\n" +
			"the time of each hop. With --through-alertmanager the alert takes the way of a real one: which receivers it reaches\n" +
			"is printed, and it is posted with --yes only. The test incident is removed in the end, so that no figure counts it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := oneOf("format", format, app.FormatText, app.FormatJSON); err != nil {
				return err
			}
			hops := endToEnd || through.ThroughAlertmanager
			if !hops && (through.Yes || through.Cluster != "") {
				return errors.New("--yes and --cluster are for --through-alertmanager")
			}
			wrong, err := app.PrintFindings(cmd.OutOrStdout(), format, func(found func(app.Finding)) {
				if hops {
					app.EndToEnd(cmd.Context(), c, through, log, found)
					return
				}
				for _, f := range app.Doctor(cmd.Context(), c, log) {
					found(f)
				}
			})
			if err != nil {
				return err
			}
			if wrong {
				return errors.New("something failed")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", app.FormatText, "text or json")
	f.BoolVar(&endToEnd, "end-to-end", false, "post a test alert to the running program, and follow it to the chat")
	f.BoolVar(&through.ThroughAlertmanager, "through-alertmanager", false, "post it to the cluster's Alertmanagers (with --yes)")
	f.StringVar(&through.Cluster, "cluster", "", "which of alertmanagers (default the only one, or the one without a name)")
	f.BoolVar(&through.Yes, "yes", false, "post the alert to the Alertmanagers, whose other receivers may get it too")
	return cmd
}

func testCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "test RECEIVER",
		Short:             "Send a message that says it is a test to a receiver",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(func(_ *cobra.Command, c *config.Config) []string { return app.ReceiverNames(c) }),
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
