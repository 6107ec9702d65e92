package reporter

import (
	"math"
	"time"
)

// Figure is the result of one PromQL expression at one time. A figure without samples has no data, which is not zero: Reason
// then says why (an empty result, a refused query, a server that did not answer).
type Figure struct {
	Name    string
	Expr    string
	At      time.Time // evaluation time, UTC
	Samples []Sample
	Reason  string
	// Days and DaysKnown are set if the figure is a sum over days: the number of days, and of those with data. The sum over a
	// part of the days is too low, so it is shown with both numbers.
	Days, DaysKnown int
}

// Partial reports whether the figure is a sum over days of which some have no data.
func (f Figure) Partial() bool { return f.DaysKnown < f.Days }

// EmptyResult is the Reason of a figure whose query has an empty result.
const EmptyResult = "the query has an empty result"

// Sample is one element of an instant vector; a scalar result is a sample without labels.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Point is the value of a series at one time.
type Point struct {
	At    time.Time
	Value float64
}

// Series is one element of the result of a range query: its points in the order of time, without times that have no value.
type Series struct {
	Labels map[string]string
	Points []Point
}

// NoData returns a figure without data, for the given reason.
func NoData(name, expr string, at time.Time, reason string) Figure {
	return Figure{Name: name, Expr: expr, At: at, Reason: reason}
}

// Value returns the sum of the samples, and false if the figure has no data or the sum is not a finite number.
func (f Figure) Value() (float64, bool) {
	if len(f.Samples) == 0 {
		return 0, false
	}
	var sum float64
	for _, s := range f.Samples {
		sum += s.Value
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, false
	}
	return sum, true
}
