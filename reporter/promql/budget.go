package promql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
)

// maxLabelBytes is the most memory for the labels of a query's series. The engine limits samples only, but nested calls of label_join
// and label_replace multiply the length of a label with each call.
const maxLabelBytes = 32 << 20

const (
	subqueryStep  = time.Minute // of a subquery without a step
	longestNumber = 32          // bytes of a sample's value as text
)

// ErrLabels is wrapped by the error of a query whose labels would take more than maxLabelBytes.
var ErrLabels = errors.New("labels of the result would take too much memory")

// maxAtOnce is the most queries that run at once, each within maxSamples and maxLabelBytes. Others wait, within their timeout.
const maxAtOnce = 4

// growth is an upper bound for the labels of one series of a result, in bytes: factor times the labels of the largest selected series,
// plus constant.
type growth struct{ factor, constant float64 }

func larger(a, b growth) growth {
	return growth{max(a.factor, b.factor), max(a.constant, b.constant)}
}

// labelBudget limits the memory for the labels of one query. It is not safe for concurrent use: the engine selects the series of a
// query sequentially.
type labelBudget struct {
	growth  growth  // the largest of any part of the expression
	times   float64 // the most series of a result for one selected series
	series  int     // selected so far
	largest int     // bytes of the labels of the largest selected series
}

// newLabelBudget returns the budget of an expression that is evaluated at the given times. An error wraps ErrLabels.
func newLabelBudget(e parser.Expr, at moments) (*labelBudget, error) {
	b := &labelBudget{times: 1, series: 1}
	b.visit(e, at)
	return b, b.check()
}

// moments are the times at which a part of an expression is evaluated: each step of a time span, or one time if step is 0.
type moments struct{ span, step time.Duration }

func (m moments) count() float64 {
	if m.step <= 0 {
		return 1
	}
	return float64(m.span/m.step) + 1
}

// visit returns the growth of a part of the expression, and updates the largest.
func (b *labelBudget) visit(n parser.Node, at moments) growth {
	inner := at
	if s, ok := n.(*parser.SubqueryExpr); ok {
		inner = moments{at.span + s.Range, cmp.Or(s.Step, subqueryStep)}
	}
	out := growth{factor: 1}
	var parts []growth
	for c := range parser.ChildrenIter(n) {
		parts = append(parts, b.visit(c, inner))
		out = larger(out, parts[len(parts)-1])
	}
	switch e := n.(type) {
	case *parser.Call:
		b.series++ // vector(1) and similar functions create a series without selecting one
		switch e.Func.Name {
		case "absent", "absent_over_time": // their labels are those of the selector
			out.constant += promexpr.MaxLength
		case "label_replace": // (v, dst, replacement, src, regex)
			out = grown(e, parts[0], strings.Count(literal(e.Args[2]), "$"))
		case "label_join": // (v, dst, separator, src...)
			out = grown(e, parts[0], len(e.Args)-3)
		}
	case *parser.BinaryExpr:
		if m := e.VectorMatching; m != nil && len(m.Include) > 0 { // group_left and group_right copy labels of the other side
			out = growth{parts[0].factor + parts[1].factor, parts[0].constant + parts[1].constant}
			b.times = max(b.times, at.count())
		}
	case *parser.AggregateExpr:
		if e.Op == parser.COUNT_VALUES {
			out.constant += float64(len(literal(e.Param))) + longestNumber
			b.times = max(b.times, at.count())
		}
	}
	b.growth = larger(b.growth, out)
	return out
}

// grown returns the growth of a call that adds a label made of the literal arguments and of copies of existing labels.
func grown(e *parser.Call, of growth, copies int) growth {
	texts := 0
	for _, a := range e.Args[1:] {
		texts += len(literal(a))
	}
	n := float64(copies)
	return growth{of.factor * (1 + n), of.constant*(1+n) + float64(texts)*max(n, 1)}
}

// literal returns the text of a string, which in PromQL is always a literal; "" for other expressions.
func literal(e parser.Expr) string {
	for {
		switch of := e.(type) {
		case *parser.ParenExpr:
			e = of.Expr
		case *parser.StringLiteral:
			return of.Val
		default:
			return ""
		}
	}
}

// add counts a selected series. The error wraps ErrLabels.
func (b *labelBudget) add(ls labels.Labels) error {
	b.series++
	b.largest = max(b.largest, int(ls.ByteSize())) //nolint:gosec // a length in memory
	return b.check()
}

func (b *labelBudget) check() error {
	each := b.growth.factor*float64(b.largest) + b.growth.constant
	if need := each * b.times * float64(b.series); need > maxLabelBytes {
		return fmt.Errorf("%w: up to %.0f bytes for each of %.0f series", ErrLabels, each, b.times*float64(b.series))
	}
	return nil
}

// queryable selects series within a budget.
type queryable struct {
	storage.Queryable
	budget *labelBudget
}

func (q queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	inner, err := q.Queryable.Querier(mint, maxt)
	return querier{inner, q.budget}, err
}

type querier struct {
	storage.Querier
	budget *labelBudget
}

func (q querier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return &seriesSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, ms...), budget: q.budget}
}

type seriesSet struct {
	storage.SeriesSet
	budget *labelBudget
	err    error
}

func (s *seriesSet) Next() bool {
	if s.err != nil || !s.SeriesSet.Next() {
		return false
	}
	s.err = s.budget.add(s.At().Labels())
	return s.err == nil
}

func (s *seriesSet) Err() error { return errors.Join(s.err, s.SeriesSet.Err()) }
