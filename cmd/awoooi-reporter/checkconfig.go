package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
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
			qs, err1 := queries(c, true, log)
			ss, err2 := sources(c, storeCounts{})
			for _, s := range ss {
				s.Source.Close()
			}
			_, err3 := channels(c, io.Discard, log)
			r, err4 := newReading(c, nil, nil, log, time.Now)
			if err4 == nil {
				r.close()
			}
			_, err5 := reconcileConfig(c)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "configuration is good: %d sources, %d queries, %d reports, %d receivers\n",
				len(c.Sources), len(qs), len(r.definitions), len(c.Receivers))
			return nil
		},
	}
}
