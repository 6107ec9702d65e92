package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
)

func checkConfigCommand(o *options) *cobra.Command {
	var route string
	cmd := &cobra.Command{
		Use:   "check-config [FILE]",
		Short: "Check the configuration and list all problems",
		Long: "check-config reads the configuration and builds every part of the program from it, as run does, but\n" +
			"connects to nothing and writes nothing. Each problem is one line: file, line, column, key, what is wrong,\n" +
			"and what to do.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.configFile = args[0]
			}
			c, log, err := o.begin(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			n, err := app.Summarize(c, log)
			if err != nil {
				return err
			}
			if route != "" {
				text, err := app.RouteOf(c, route)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), text)
				return nil
			}
			fmt.Fprintf(cmd.OutOrStdout(), "configuration is good: %d sources, %d queries, %d reports, %d receivers\n",
				n.Sources, n.Queries, n.Reports, n.Receivers)
			return nil
		},
	}
	cmd.Flags().StringVar(&route, "route", "", `print the route of an alert with these labels, such as '{team="db"}'`)
	return cmd
}
