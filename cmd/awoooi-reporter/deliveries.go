package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/internal/app"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

func deliveriesCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "List, retry or cancel deliveries"}
	var limit int
	list := &cobra.Command{
		Use:   "list",
		Short: "List the newest deliveries",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := openTools(cmd, o, app.Needs{State: true})
			if err != nil {
				return err
			}
			defer t.Close()
			ds, err := t.Deliveries(cmd.Context(), limit)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tWHAT\tRECEIVER\tSTATE\tATTEMPTS\tCREATED\tREASON")
			for _, d := range ds {
				why, err := t.Why(d)
				if err != nil {
					return err
				}
				fmt.Fprintf(w, "%d\t%s %s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Kind, cell(d.Subject), cell(d.Receiver), d.State, d.Attempts,
					d.CreatedAt.In(t.Zone()).Format(time.DateTime), cell(why))
			}
			return w.Flush()
		},
	}
	list.Flags().IntVar(&limit, "limit", 50, "how many")
	change := func(use, short, done string, act func(cmd *cobra.Command, t *app.Tools, id int64) error) *cobra.Command {
		return &cobra.Command{
			Use: use + " ID", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				id, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("%q is not the id of a delivery", args[0])
				}
				t, err := openTools(cmd, o, app.Needs{State: true})
				if err != nil {
					return err
				}
				defer t.Close()
				if err := act(cmd, t, id); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "delivery %d %s\n", id, done)
				return nil
			},
		}
	}
	cmd.AddCommand(list,
		change("retry", "Try a delivery again that was given up or cancelled, or waits", "is due now",
			func(cmd *cobra.Command, t *app.Tools, id int64) error {
				return t.RetryDelivery(cmd.Context(), id)
			}),
		change("cancel", "Cancel a pending delivery", "is cancelled",
			func(cmd *cobra.Command, t *app.Tools, id int64) error {
				return t.CancelDelivery(cmd.Context(), id)
			}),
	)
	return cmd
}

// cell is text from others as it may stand in a table: on one line, and bounded.
func cell(s string) string { return safetext.Line(s, safetext.MaxError) }
