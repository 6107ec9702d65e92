package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/dashboards"
	"github.com/awoooi/awoooi-reporter/internal/config"
	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
)

// Dashboards returns the files of dashboards, rules and runbook for the KPIs and reports of a configuration.
func Dashboards(c *config.Config, log *slog.Logger) ([]dashboards.File, error) {
	qs, err1 := queries(c, ownSources(), log)
	ds, err2 := definitions(c)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	opts, err := dashboardOptions(c, ds, time.Now())
	if err != nil {
		return nil, err
	}
	opts.Queries = qs
	if opts.Sections, err = ownSections(c, ds); err != nil {
		return nil, err
	}
	files, err := dashboards.Files(opts)
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	return files, nil
}

// WriteDashboards writes these files below dir, which it creates if necessary, and prints their paths.
func WriteDashboards(c *config.Config, dir string, printed io.Writer, log *slog.Logger) error {
	files, err := Dashboards(c, log)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // see below
			return fmt.Errorf("dashboards: %w", err)
		}
		// Grafana and Prometheus run as other users, and nothing in these files is secret.
		if err := os.WriteFile(path, f.Content, 0o644); err != nil { //nolint:gosec // as the comment says
			return fmt.Errorf("dashboards: %w", err)
		}
		fmt.Fprintln(printed, path)
	}
	return nil
}

// ownSections returns the report lines that users wrote, by section and without duplicates. Titles are texts of the configured
// locale, ratios are PromQL expressions.
func ownSections(c *config.Config, reports []report.Definition) ([]reporter.Section, error) {
	bundle, err := i18n.New()
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	words, err := bundle.Words(c.Locale, i18n.Messages)
	if err != nil {
		return nil, fmt.Errorf("dashboards: %w", err)
	}
	text := func(w reporter.Words) reporter.Words {
		if word, err := words.Lookup(w.Text); err == nil && w.Text != "" {
			return reporter.Words{Text: word}
		}
		return reporter.Words{Text: w.In(c.Locale)}
	}
	var out []reporter.Section
	seen := map[string]bool{}
	for _, d := range reports {
		exprs := map[string]string{}
		for _, f := range d.Asked() {
			exprs[f.Name] = f.Expr
		}
		for _, s := range d.Sections {
			own := reporter.Section{Name: s.Name, Title: text(s.Title)}
			for _, l := range s.Lines {
				if s.Hide || l.Hide || l.Builtin || seen[s.Name+"/"+l.Name] {
					continue
				}
				seen[s.Name+"/"+l.Name] = true
				if l.Title = text(l.Title); l.Ratio != nil {
					l.Expr, l.Format, l.Ratio = ratioExpr(*l.Ratio, exprs), reporter.FormatPercent, nil
				}
				own.Lines = append(own.Lines, l)
			}
			if len(own.Lines) > 0 {
				out = append(out, own)
			}
		}
	}
	return out, nil
}

// ratioExpr writes a ratio in PromQL; it has no value while the whole is 0.
func ratioExpr(r reporter.Ratio, exprs map[string]string) string {
	whole := make([]string, len(r.Of))
	for n, of := range r.Of {
		whole[n] = "(" + exprs[of] + ")"
	}
	return "(" + exprs[r.Part] + ") / ((" + strings.Join(whole, " + ") + ") > 0)"
}

// dashboardOptions returns what dashboards and rules need beside the KPIs: the zone, and when and how often reports are due.
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

// maxDueTimes bounds the due times that dueTimes reads: a schedule of every hour has 8,760 a year, one of every minute is read
// for a week.
const maxDueTimes = 10000

// dueTimes returns the next due time, and the longest time between two due times of the coming year; 0 if there is at most
// one.
func dueTimes(s report.Schedule, now time.Time) (next time.Time, gap time.Duration) {
	next, ok := s.Next(now)
	last := next
	if !ok {
		return time.Time{}, 0
	}
	for range maxDueTimes {
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
