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
		Short: "Check the connection to every configured server, and how it is set up",
		Long: "doctor connects to the state, sources, Prometheus, Alertmanagers and receivers, and prints one line for each check,\n" +
			"with what to do. It sends no message and changes nothing. It takes at most 10 seconds, and exits with 1 if a check failed.\n\n" +
			"With --end-to-end it posts a test alert to the running program, follows it to the chat, and prints the time of each\n" +
			"step. With --through-alertmanager it posts the alert to Alertmanager instead: it prints which receivers the alert\n" +
			"reaches, and posts only if --yes is given. The test incident is removed at the end, so that no figure counts it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := oneOf("format", format, app.FormatText, app.FormatJSON); err != nil {
				return err
			}
			follow := endToEnd || through.ThroughAlertmanager
			if !follow && (through.Yes || through.Cluster != "") {
				return errors.New("--yes and --cluster need --through-alertmanager")
			}
			wrong, err := app.PrintFindings(cmd.OutOrStdout(), format, func(found func(app.Finding)) {
				if follow {
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
				return errors.New("a check failed")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", app.FormatText, "text or json")
	f.BoolVar(&endToEnd, "end-to-end", false, "post a test alert to the running program, and follow it to the chat")
	f.BoolVar(&through.ThroughAlertmanager, "through-alertmanager", false, "post the test alert to Alertmanager instead; needs --yes")
	f.StringVar(&through.Cluster, "cluster", "", "name in alertmanagers to post to (default the only one, or the one without a name)")
	f.BoolVar(&through.Yes, "yes", false, "post to Alertmanager, whose other receivers may get the test alert too")
	return cmd
}

func testCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:               "test RECEIVER",
		Short:             "Send a test message to a receiver",
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
