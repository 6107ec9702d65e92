package reporter

import (
	"fmt"
	"time"
)

// Report is one inspection report: every figure evaluated at Due, whatever the hour it was built.
type Report struct {
	Name    string
	Title   string // product name in the headline
	Locale  string // "zh-TW", "en"
	Due     time.Time
	Since   time.Time // start of the lookback, UTC
	Built   time.Time
	Preview bool // evaluated for a look at it, so it is not late
	Zone    *time.Location
	Figures map[string]Figure
	// Unanswered names the figures of which a query failed by a fault that may pass, so that it may be answered later.
	Unanswered []string
	Trend      *Trend // nil where the report shows none
	Health     HealthThresholds
	Sections   []Section // those that are shown, with the lines that are
	// Template is the path of a user's own template file; empty means the builtin of the report's kind.
	Template string
}

// Trend is how figures went over the days up to the due time, the oldest first.
type Trend struct {
	Days    []time.Time // when each day's value was asked for, UTC
	Figures []TrendFigure
}

// TrendFigure is one line of a trend; NaN is a day without data.
type TrendFigure struct {
	Name   string
	Values []float64 // one for each day
}

// HealthThresholds grades the repair success rate: at or above Excellent and Good, both within 0..1.
type HealthThresholds struct {
	Excellent float64 `yaml:"excellent"`
	Good      float64 `yaml:"good"`
}

// Late says how long after its due time the report was built, rounded down to the minute.
func (r Report) Late() time.Duration {
	if d := r.Built.Sub(r.Due).Truncate(time.Minute); d > 0 {
		return d
	}
	return 0
}

// Figure returns the named figure; one that the report never asked for has no data, with that as its reason.
func (r Report) Figure(name string) Figure {
	if f, ok := r.Figures[name]; ok {
		return f
	}
	return NoData(name, "", r.Due, "the report has no figure of this name")
}

// UnreachableError means that not one query of a report was answered, so that asking again later may well help. The
// report that comes with it is whole, all of it without data.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return fmt.Sprintf("no query was answered: %v", e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }
