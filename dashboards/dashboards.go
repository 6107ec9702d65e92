// Package dashboards makes files for Grafana and Prometheus: the configured KPIs and reports come in, dashboards, rules and their
// runbook go out.
package dashboards

import (
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// The names to which links between the dashboards, bookmarks and provisioned folders refer. They never change.
const (
	KPIUID    = "awoooi-kpi"
	NoiseUID  = "awoooi-alert-noise"
	HealthUID = "awoooi-reporter-health"
	// Tag is on all dashboards; each links to the others by it.
	Tag = "awoooi-reporter"
)

// RunbookURL is the page whose headings are the names of the alerts.
const RunbookURL = "https://github.com/awoooi/awoooi-reporter/blob/main/dashboards/runbook.md"

// Options is the configuration for which dashboards and rules are made.
type Options struct {
	// Queries are the configured ones, checked. KPIs of the builtin sets get their own panels, others a figure and a curve.
	Queries []kpi.Query
	// Zone is the IANA name of the zone in which times are shown; "" is reporter.DefaultZone, as people read it in the reports.
	Zone string
	// DueAt is the time of day, in UTC, at which the daily report reads its figures: the bar of a day is the same figure.
	// The default is 08:00 in Asia/Taipei, which is 0.
	DueAt time.Duration
	// Excellent and Good are the thresholds of the repair success rate, from 0 to 1; 0 is the default.
	Excellent, Good float64
	// ReportGap is the longest time between two reports. 0 means that no report is expected, and makes no alert.
	ReportGap time.Duration
	// Sections are those of the reports that users wrote, with titles that are texts and without ratios: a row of the KPI
	// dashboard for each, with a figure and a curve for each line.
	Sections []reporter.Section
	// ExternalURL is where people reach the reporter's own pages; "" makes no links to them.
	ExternalURL string
}

func (o Options) withDefaults() Options {
	if o.Zone == "" {
		o.Zone = reporter.DefaultZone
	}
	if o.Excellent == 0 {
		o.Excellent = reporter.DefaultHealth.Excellent
	}
	if o.Good == 0 {
		o.Good = reporter.DefaultHealth.Good
	}
	return o
}

// File is one file to write; its name has slashes and is relative.
type File struct {
	Name    string
	Content []byte
}

// builtin are the rules that do not depend on the configuration, and the page to which they link.
//
//go:embed rules/collector.yaml rules/reporter.yaml runbook.md
var builtin embed.FS

// Files makes the dashboards, the rules and their runbook. An error names the file that could not be made.
func Files(o Options) ([]File, error) {
	o = o.withDefaults()
	var files []File
	for _, d := range []struct {
		name string
		make func(Options) ([]byte, error)
	}{
		{KPIUID + ".json", KPI},
		{NoiseUID + ".json", Noise},
		{HealthUID + ".json", Health},
		{"rules/configured.yaml", ConfiguredRules},
	} {
		content, err := d.make(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		files = append(files, File{d.name, content})
	}
	err := fs.WalkDir(builtin, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := builtin.ReadFile(name)
		files = append(files, File{name, content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("builtin rules: %w", err)
	}
	return files, nil
}
