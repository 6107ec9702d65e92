package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
)

func incidentsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "incidents", Short: "List incidents, acknowledge them and add notes"}
	var f reporter.IncidentFilter
	var state string
	list := &cobra.Command{
		Use:   "list",
		Short: "List open incidents first, then the newest",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.State = reporter.IncidentState(state)
			if err := oneOf("state", f.State, "", reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved); err != nil {
				return err
			}
			return o.withTools(cmd, app.Needs{State: true}, func(t *app.Tools) error {
				return t.PrintIncidents(cmd.Context(), cmd.OutOrStdout(), f)
			})
		},
	}
	list.Flags().IntVar(&f.Limit, "limit", 50, "number of incidents to list")
	list.Flags().StringVar(&state, "state", "", "open, chronic or resolved (default all)")
	list.Flags().StringVar(&f.Text, "text", "", "only those with this text in the id, a label or an annotation")
	cmd.AddCommand(list)
	cmd.AddCommand(incidentActions(o)...)
	return cmd
}

func incidentIDs(cmd *cobra.Command, c *config.Config) []string {
	return app.IncidentIDs(cmd.Context(), c, cmd.ErrOrStderr())
}

// incidentActions returns the commands by which a person acts on an incident.
func incidentActions(o *options) []*cobra.Command {
	var as string
	// act makes a command from do, whose result is printed.
	act := func(
		use, short string, args cobra.PositionalArgs, do func(*app.Tools, context.Context, app.IncidentAction) (string, error),
	) *cobra.Command {
		cmd := &cobra.Command{
			Use: use, Short: short, Args: args, ValidArgsFunction: o.complete(incidentIDs),
			RunE: func(cmd *cobra.Command, args []string) (err error) {
				a := app.IncidentAction{ID: args[0], Person: as}
				if a.Person == "" {
					a.Person = app.UserName()
				}
				if cmd.Name() == "silence" {
					a.For, err = app.SilenceTime(args[1])
				} else {
					a.Text, err = app.NoteText(cmd.InOrStdin(), args[1:])
				}
				if err != nil {
					return err
				}
				return o.withTools(cmd, app.Needs{State: true}, func(t *app.Tools) error {
					text, err := do(t, cmd.Context(), a)
					if err == nil {
						fmt.Fprint(cmd.OutOrStdout(), text)
					}
					return err
				})
			},
		}
		cmd.Flags().StringVar(&as, "as", "", "name of the person who acts (default the user of the operating system)")
		return cmd
	}
	return []*cobra.Command{
		act("acknowledge ID", "Acknowledge an incident: you take care of it", cobra.ExactArgs(1), (*app.Tools).Acknowledge),
		act("release ID", "Take back the acknowledgement of an incident", cobra.ExactArgs(1), (*app.Tools).Release),
		act("silence ID DURATION", "Silence an incident's alerts in Alertmanager, such as for 1h", cobra.ExactArgs(2), (*app.Tools).Silence),
		act("unsilence ID", "End the silences of an incident that were made by awoooi-reporter", cobra.ExactArgs(1), (*app.Tools).Unsilence),
		act("note ID TEXT...", "Add a note to an incident; - reads the text from standard input", cobra.MinimumNArgs(2), (*app.Tools).Note),
	}
}
