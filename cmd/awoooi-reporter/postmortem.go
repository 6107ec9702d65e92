package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

func postmortemCommand(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:               "postmortem ID",
		Short:             "Print the postmortem of an incident",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.complete(incidentIDs),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := openTools(cmd, o, app.Needs{State: true})
			if err != nil {
				return err
			}
			defer t.Close()
			if format == formatMarkdown {
				text, err := t.PostmortemMarkdown(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				fmt.Fprint(cmd.OutOrStdout(), safetext.Text(text))
				return nil
			}
			msg, err := t.Postmortem(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printMessage(cmd, msg, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", formatText, "text, html (as sent) or markdown (to be filled in by people)")
	return cmd
}
