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
}

// Sample is one element of an instant vector; a scalar result is a sample without labels.
type Sample struct {
	Labels map[string]string
	Value  float64
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
