package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
)

func checkConfigCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and say by name what is wrong",
		Long: "check-config reads the configuration and builds every part of the program from it, as a start would, but\n" +
			"connects to nothing and writes nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, log, err := o.begin(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			n, err := app.Check(c, log)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "configuration is good: %d sources, %d queries, %d reports, %d receivers\n",
				n.Sources, n.Queries, n.Reports, n.Receivers)
			return nil
		},
	}
}
