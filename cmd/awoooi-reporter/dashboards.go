package main

import (
	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
)

func dashboardsCommand(o *options) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "dashboards",
		Short: "Write Grafana dashboards and Prometheus rules for the configured KPIs",
		Long: "dashboards writes three Grafana dashboards (KPIs, health of the program, alert noise), Prometheus recording and\n" +
			"alerting rules, and the runbook that the alerts link to, for the KPIs and reports of the configuration. It replaces\n" +
			"existing files and connects to nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return app.WriteDashboards(c, out, cmd.OutOrStdout(), log)
		},
	}
	cmd.Flags().StringVar(&out, "out", "dashboards", "directory to write to; created if it does not exist")
	return cmd
}
