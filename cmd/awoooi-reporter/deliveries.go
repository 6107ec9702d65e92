package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
)

func deliveriesCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "List, retry or cancel deliveries"}
	var limit int
	list := &cobra.Command{
		Use:   "list",
		Short: "List the newest deliveries",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withTools(cmd, app.Needs{State: true}, func(t *app.Tools) error {
				return t.PrintDeliveries(cmd.Context(), cmd.OutOrStdout(), limit)
			})
		},
	}
	list.Flags().IntVar(&limit, "limit", 50, "number of deliveries to list")
	change := func(use, short, done string, act func(*app.Tools, context.Context, int64) error) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				id, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("%q is not the id of a delivery, a number; deliveries list prints them", args[0])
				}
				return o.withTools(cmd, app.Needs{State: true}, func(t *app.Tools) error {
					err := act(t, cmd.Context(), id)
					if err == nil {
						fmt.Fprintf(cmd.OutOrStdout(), "delivery %d %s\n", id, done)
					}
					return err
				})
			},
		}
	}
	cmd.AddCommand(list,
		change("retry", "Send a failed, cancelled or pending delivery now", "is due now", (*app.Tools).RetryDelivery),
		change("cancel", "Cancel a pending delivery", "is cancelled", (*app.Tools).CancelDelivery),
	)
	return cmd
}
