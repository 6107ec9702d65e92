package promexpr

import (
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// MaxValue is the maximum length of a label value in Select, in bytes.
const MaxValue = 1 << 10

// Parse checks an expression and parses it, with Prometheus's experimental functions. An error about a limit wraps ErrLimit; any other
// is the parser's, though a server with an extended PromQL may accept the expression.
func Parse(expr string) (parser.Expr, error) {
	if err := Check(expr); err != nil {
		return nil, err
	}
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(expr)
}

// CheckFigure refuses an expression that gives neither an instant vector nor a scalar. Errors are those of Parse.
func CheckFigure(expr string) error {
	e, err := Parse(expr)
	if err != nil {
		return fmt.Errorf("expr %s: %w", Quote(expr), err)
	}
	if t := e.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return fmt.Errorf("expr %s: gives a %s, want an instant vector or a scalar", Quote(expr), parser.DocumentedType(t))
	}
	return nil
}

// Quote quotes an expression for an error message or a log line, cut to its first 200 characters.
func Quote(expr string) string {
	const shown = 200
	n := 0
	for at := range expr {
		if n == shown {
			return strconv.Quote(expr[:at]) + "…"
		}
		n++
	}
	return strconv.Quote(expr)
}

// Select returns the selector METRIC{LABEL="VALUE"} for an untrusted value. It is an error if that is not UTF-8 or longer than
// MaxValue.
func Select(metric, label, value string) (string, error) {
	if len(value) > MaxValue || !utf8.ValidString(value) {
		return "", fmt.Errorf("label %s: value is not UTF-8 of at most %d bytes", label, MaxValue)
	}
	return metric + "{" + label + "=" + strconv.Quote(value) + "}", nil
}

// Metrics returns the names of the metrics that an expression selects, each once. It is an error if a selector has a pattern instead of
// a name. Other errors are those of Parse.
func Metrics(expr string) ([]string, error) {
	e, err := Parse(expr)
	if err != nil {
		return nil, err
	}
	var names []string
	var pattern error
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		v, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, m := range v.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual && m.Value != "" {
				if !slices.Contains(names, m.Value) {
					names = append(names, m.Value)
				}
				return nil
			}
		}
		pattern = fmt.Errorf("%s selects no metric by its name", v)
		return nil
	})
	return names, pattern
}

// Within adds matchers to the selectors of those metrics of an expression for which of returns true. An expression that cannot be
// parsed is returned unchanged.
func Within(expr string, of func(metric string) bool, matchers ...*labels.Matcher) string {
	e, err := Parse(expr)
	if err != nil {
		return expr
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok && v.Name != "" && of(v.Name) {
			v.LabelMatchers = append(v.LabelMatchers, matchers...)
		}
		return nil
	})
	return e.String()
}

// Measured removes the comparison from an alert's expression, because the expression has values only while the comparison holds. The
// threshold is the number of the comparison, nil if there is none. An expression that cannot be parsed is returned unchanged; the error
// always wraps ErrLimit.
func Measured(expr string) (shown string, threshold *float64, err error) {
	if err := Check(expr); err != nil {
		return "", nil, err
	}
	e, err := Parse(expr)
	if err != nil {
		return expr, nil, nil //nolint:nilerr // a server that extends PromQL may know it
	}
	b, ok := withoutParens(e).(*parser.BinaryExpr)
	if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool {
		return expr, nil, nil
	}
	if n, ok := number(b.RHS); ok {
		return b.LHS.String(), &n, nil
	}
	if n, ok := number(b.LHS); ok {
		return b.RHS.String(), &n, nil
	}
	return b.LHS.String(), nil, nil
}

func withoutParens(e parser.Expr) parser.Expr {
	for {
		paren, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = paren.Expr
	}
}

func number(e parser.Expr) (float64, bool) {
	switch e := withoutParens(e).(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.UnaryExpr:
		n, ok := number(e.Expr)
		if e.Op == parser.SUB {
			n = -n
		}
		return n, ok
	}
	return 0, false
}
