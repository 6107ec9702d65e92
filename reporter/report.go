package reporter

import (
	"fmt"
	"time"
)

// Report is one inspection report. All figures are evaluated as of Due, also if it is built later.
type Report struct {
	Name    string
	Title   string // product name in the headline
	Locale  string // "zh-TW", "en"
	Due     time.Time
	Since   time.Time // start of the lookback, UTC
	Built   time.Time
	Preview bool // built for display only, and never shown as late
	Zone    *time.Location
	Figures map[string]Figure
	// Unanswered names the figures with a query that failed by a transient fault, and may be answered later.
	Unanswered []string
	Trend      *Trend // nil if the report has none
	Health     HealthThresholds
	Sections   []Section // without hidden and omitted sections and lines
	// Template is the path of a user's template file; "" means the builtin template.
	Template string
}

// Trend holds the values of figures on the days up to the due time, the oldest first.
type Trend struct {
	Days    []time.Time // evaluation time of each day, UTC
	Figures []TrendFigure
}

// TrendFigure is one line of a trend.
type TrendFigure struct {
	Name   string
	Values []float64 // one for each day; NaN means no data
}

// HealthThresholds are the least repair success rates, from 0 to 1, of the grades.
type HealthThresholds struct {
	Excellent float64 `yaml:"excellent"`
	Good      float64 `yaml:"good"`
}

// Late returns how long after its due time the report was built, rounded down to the minute.
func (r Report) Late() time.Duration {
	if d := r.Built.Sub(r.Due).Truncate(time.Minute); d > 0 {
		return d
	}
	return 0
}

// Figure returns the named figure. If the report has none of this name, the result has no data, with that as its reason.
func (r Report) Figure(name string) Figure {
	if f, ok := r.Figures[name]; ok {
		return f
	}
	return NoData(name, "", r.Due, "the report has no figure of this name")
}

// UnreachableError means that no query of a report was answered. The report that is returned with it is complete, and all its
// figures are without data.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return fmt.Sprintf("no query was answered: %v", e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }
