package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/awoooi/awoooi-reporter/dashboards"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/reporter/report"
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
			c, log, err := o.begin(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			qs, err1 := queries(c, true, log)
			ds, err2 := definitions(c)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			opts, err := dashboardOptions(c, ds, time.Now())
			if err != nil {
				return err
			}
			opts.Queries = qs
			files, err := dashboards.Files(opts)
			if err != nil {
				return fmt.Errorf("dashboards: %w", err)
			}
			for _, f := range files {
				path := filepath.Join(out, filepath.FromSlash(f.Name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return fmt.Errorf("dashboards: %w", err)
				}
				// Grafana and Prometheus run as other users, and nothing in these files is secret.
				if err := os.WriteFile(path, f.Content, 0o644); err != nil {
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

// dashboardOptions is what the dashboards show beside the KPIs: the zone, and when and how often reports are due.
func dashboardOptions(c *config.Config, reports []report.Definition, now time.Time) (dashboards.Options, error) {
	o := dashboards.Options{Zone: c.Timezone, ExternalURL: c.ExternalURL}
	for _, d := range reports {
		s, err := report.ParseSchedule(d.Schedule, d.Zone)
		if err != nil {
			return o, fmt.Errorf("report %s: %w", d.Name, err)
		}
		due, gap := dueTimes(s, now)
		if gap > 0 && (o.ReportGap == 0 || gap < o.ReportGap) {
			o.ReportGap = gap
		}
		if d.Name == "daily" && !due.IsZero() {
			o.DueAt = due.Sub(due.Truncate(24 * time.Hour))
			o.Excellent, o.Good = d.Health.Excellent, d.Health.Good
		}
	}
	return o, nil
}

// dueTimesSeen bounds how far dueTimes looks: 27 years of a daily report, three and a half days of one a minute.
const dueTimesSeen = 10000

// dueTimes returns the next due time, and the longest time between two of those of the coming year; 0 where there is at
// most one.
func dueTimes(s report.Schedule, now time.Time) (next time.Time, gap time.Duration) {
	next, ok := s.Next(now)
	last := next
	if !ok {
		return time.Time{}, 0
	}
	for range dueTimesSeen {
		then, ok := s.Next(last)
		if !ok {
			break
		}
		gap, last = max(gap, then.Sub(last)), then
		if last.Sub(now) > 366*24*time.Hour {
			break
		}
	}
	return next, gap
}
