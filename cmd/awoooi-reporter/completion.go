package main

import (
	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// completedIDs is how many incidents a shell is offered.
const completedIDs = 50

// complete offers a shell the names of one argument. A configuration with a fault offers none.
func (o *options) complete(names func(cmd *cobra.Command, c *config.Config) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		c, err := o.load(cmd.Context(), nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(cmd, c), cobra.ShellCompDirectiveNoFileComp
	}
}

func receiverNames(c *config.Config) []string {
	var names []string
	for _, r := range c.Receivers {
		names = append(names, r.Name)
	}
	return names
}

func incidentIDs(cmd *cobra.Command, c *config.Config) []string {
	log, err := logger(c, cmd.ErrOrStderr())
	if err != nil {
		return nil
	}
	t, err := app.OpenTools(cmd.Context(), c, app.Needs{State: true}, log)
	if err != nil {
		return nil
	}
	defer t.Close()
	rows, err := t.Incidents(cmd.Context(), reporter.IncidentFilter{Limit: completedIDs})
	if err != nil {
		return nil
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.Incident.ID)
	}
	return ids
}
