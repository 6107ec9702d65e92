package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/reporter"
)

func incidentsCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "incidents", Short: "List incidents, acknowledge them and add notes"}
	var f reporter.IncidentFilter
	var state string
	list := &cobra.Command{
		Use:   "list",
		Short: "List the open incidents, and then the newest ones",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch f.State = reporter.IncidentState(state); f.State {
			case "", reporter.IncidentOpen, reporter.IncidentChronic, reporter.IncidentResolved:
			default:
				return fmt.Errorf("--state: is %q, want %s, %s or %s", state, reporter.IncidentOpen, reporter.IncidentChronic,
					reporter.IncidentResolved)
			}
			t, err := openTools(cmd, o, app.Needs{State: true})
			if err != nil {
				return err
			}
			defer t.Close()
			rows, err := t.Incidents(cmd.Context(), f)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tSTATE\tSEVERITY\tTITLE\tALERTS\tSTARTED\tENDED\tACKNOWLEDGED")
			for _, r := range rows {
				in, ended := r.Incident, "-"
				if in.Over() {
					ended = in.EndedAt.In(t.Zone()).Format(time.DateTime)
				}
				who := "-"
				if r.Acknowledgement.Active() {
					who = cell(r.Acknowledgement.By.Name) + " " + r.Acknowledgement.Since.In(t.Zone()).Format(time.DateTime)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", cell(in.ID), in.State, cell(string(r.Severity)), cell(r.Title), r.Count,
					in.StartedAt.In(t.Zone()).Format(time.DateTime), ended, who)
			}
			return w.Flush()
		},
	}
	list.Flags().IntVar(&f.Limit, "limit", 50, "how many")
	list.Flags().StringVar(&state, "state", "", "open, chronic or resolved (default all)")
	list.Flags().StringVar(&f.Text, "text", "", "only those with this text in the id, a label or an annotation")
	cmd.AddCommand(list)
	cmd.AddCommand(incidentActions(o)...)
	return cmd
}
