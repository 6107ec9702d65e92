package main

import (
	"cmp"
	"fmt"
	"path/filepath"

	"github.com/prometheus/common/version"
	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/config"
)

func runCommand(o *options) *cobra.Command {
	var role string
	var sample bool
	var listen []string
	var webConfig string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the collector and the reporter",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("role", role, app.RoleAll, app.RoleCollector, app.RoleReporter); err != nil {
				return err
			}
			if sample && role != app.RoleAll {
				return fmt.Errorf("--sample: needs --role=%s", app.RoleAll)
			}
			flags := map[string]config.Flag{}
			if len(listen) > 0 {
				flags["web.listen_addresses"] = config.Flag{Name: "--web.listen-address", Value: listen}
			}
			if webConfig != "" {
				path, err := filepath.Abs(webConfig) // relative to the working directory, not to the configuration
				if err != nil {
					return fmt.Errorf("--web.config.file: %w", err)
				}
				flags["web.config_file"] = config.Flag{Name: "--web.config.file", Value: path}
			}
			if sample {
				// Postmortems of the sample are sent at once, without waiting for a digest.
				flags["incidents.digest_from"] = config.Flag{Name: "--sample", Value: 0}
			}
			load := func() (*config.Config, error) { return o.load(cmd.Context(), flags) }
			c, err := load()
			if err != nil {
				return err
			}
			log, err := app.NewLog(c, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			log.Info("starting awoooi-reporter", "version", version.Info(), "role", role, "config", cmp.Or(o.file(), "none"))
			a, err := app.New(cmd.Context(), c, app.Options{Role: role, Load: load, Stdout: cmd.OutOrStdout(), Sample: sample}, log)
			if err != nil {
				return err
			}
			defer a.ReloadOnHangup(cmd.Context())()
			return a.Serve(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&role, "role", app.RoleAll, "all, collector or reporter")
	f.StringArrayVar(&listen, "web.listen-address", nil, "address to listen on; can be repeated (default web.listen_addresses)")
	f.StringVar(&webConfig, "web.config.file", "", "file of exporter-toolkit with TLS and basic auth (default web.config_file)")
	f.BoolVar(&sample, "sample", false, "post the bundled sample alerts to this process's webhook, and send the daily report at once")
	return cmd
}
