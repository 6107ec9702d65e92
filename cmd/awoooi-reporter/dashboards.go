package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
)

func dashboardsCommand(o *options) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "dashboards",
		Short: "Write Grafana dashboards and Prometheus rules for the configured KPIs",
		Long: "dashboards writes the KPI dashboard and the program's health dashboard in Grafana's JSON, Prometheus' recording and\n" +
			"alerting rules, and the runbook that the alerts point to, for the KPIs and reports of the configuration. Files that\n" +
			"are there are replaced. It connects to nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			files, err := app.Dashboards(c, log)
			if err != nil {
				return err
			}
			for _, f := range files {
				path := filepath.Join(out, filepath.FromSlash(f.Name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // see below
					return fmt.Errorf("dashboards: %w", err)
				}
				// Grafana and Prometheus run as other users, and nothing in these files is secret.
				if err := os.WriteFile(path, f.Content, 0o644); err != nil { //nolint:gosec // as the comment says
					return fmt.Errorf("dashboards: %w", err)
				}
				fmt.Fprintln(cmd.OutOrStdout(), path)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "dashboards", "directory to write to; it is made if it is missing")
	return cmd
}
