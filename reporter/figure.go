package reporter

import (
	"math"
	"time"
)

// Figure is the answer to one PromQL expression at one moment. A figure without samples has no data, which is not the
// same as zero: Reason then says why (an empty result, a refused query, a server that did not answer).
type Figure struct {
	Name    string
	Expr    string
	At      time.Time // evaluation time, UTC
	Samples []Sample
	Reason  string
	// Days and DaysKnown are set where the figure is the sum of so many days: how many were asked for, and how many had
	// data. A sum of a part of the days is less than the truth, and is shown with both.
	Days, DaysKnown int
}

// Partial says that the figure is a sum in which days are missing.
func (f Figure) Partial() bool { return f.DaysKnown < f.Days }

// EmptyResult is why a figure has no data whose query was answered with nothing.
const EmptyResult = "the query has an empty result"

// Sample is one element of an instant vector; a scalar result is a sample without labels.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Point is the value of a series at one moment.
type Point struct {
	At    time.Time
	Value float64
}

// Series is one element of a range query's answer: its points are in order of time, and where it had no value there is
// no point.
type Series struct {
	Labels map[string]string
	Points []Point
}

// NoData builds the figure of a query that gave nothing, for the given reason.
func NoData(name, expr string, at time.Time, reason string) Figure {
	return Figure{Name: name, Expr: expr, At: at, Reason: reason}
}

// Value returns the sum over the samples, and false where the figure has no data or is not a finite number.
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
