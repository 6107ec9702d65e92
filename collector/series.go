package collector

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// maxLabel bounds a label value in bytes, so that a column of free text cannot fill Prometheus.
const maxLabel = 512

// errTwice is for a column name that the rows have twice, so that it is ambiguous.
var errTwice = errors.New("two columns have this name, give each column its own")

// series is one sample of a metric: label values in the order of the metric's labels.
type series struct {
	labels []string
	value  float64
}

// seriesOf makes the samples of one metric from a query's rows. dropped counts rows that were folded into another series. Any
// error fails the whole query, because a part of a metric could be taken for all of it.
func seriesOf(q kpi.Query, m kpi.Metric, rows Rows) (out []series, dropped int, err error) {
	if len(rows.Columns) == 0 && len(rows.Values) == 0 { // without rows, some sources do not know their columns
		rows.Columns = append([]string{m.Value}, m.Labels...)
	}
	l, err := newLayout(m, rows)
	if err != nil {
		return nil, 0, err
	}
	at := map[string]int{}
	for _, row := range rows.Values {
		s, ok, err := l.series(row)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			continue
		}
		key := strings.Join(s.labels, "\xff")
		have, duplicate := at[key]
		switch {
		case !duplicate:
			at[key] = len(out)
			out = append(out, s)
		case q.OnDuplicate == kpi.OnFold:
			out[have].value += s.value
			dropped++
		default:
			return nil, 0, fmt.Errorf("two rows have the labels %q", s.labels)
		}
	}
	for _, known := range m.ZeroFill {
		if _, found := at[known]; !found {
			out = append(out, series{labels: []string{known}})
		}
	}
	if len(out) > q.MaxSeries {
		if q.OnOverflow != kpi.OnFold || len(m.Labels) == 0 {
			return nil, 0, fmt.Errorf("%d series, max_series is %d", len(out), q.MaxSeries)
		}
		var folded int
		out, folded = fold(out, q.MaxSeries, m)
		dropped += folded
	}
	for _, s := range out {
		if math.IsInf(s.value, 0) { // each row is finite, their sum may not be
			return nil, 0, fmt.Errorf("the sum for labels %q is not a finite number", s.labels)
		}
	}
	return out, dropped, nil
}

// layout is where the columns of a metric are in its rows.
type layout struct {
	metric kpi.Metric
	width  int // columns of each row
	value  int
	labels []int
}

func newLayout(m kpi.Metric, rows Rows) (l layout, err error) {
	l = layout{metric: m, width: len(rows.Columns), labels: make([]int, len(m.Labels))}
	if l.value, err = column(rows, m.Value); err != nil {
		return l, err
	}
	for n, name := range m.Labels {
		if l.labels[n], err = column(rows, name); err != nil {
			return l, err
		}
	}
	return l, nil
}

// series makes the sample of one row; ok is false if the row has no value and the metric is optional.
func (l layout) series(row []any) (s series, ok bool, err error) {
	if len(row) != l.width {
		return s, false, fmt.Errorf("a row has %d values for %d columns", len(row), l.width)
	}
	if row[l.value] == nil {
		if l.metric.Optional {
			return s, false, nil
		}
		return s, false, fmt.Errorf("column %q is NULL", l.metric.Value)
	}
	if s.value, err = number(row[l.value]); err != nil {
		return s, false, fmt.Errorf("column %q: %w", l.metric.Value, err)
	}
	s.labels = make([]string, len(l.labels))
	for n, c := range l.labels {
		if s.labels[n], err = labelText(row[c]); err != nil {
			return s, false, fmt.Errorf("label %q: %w", l.metric.Labels[n], err)
		}
	}
	return s, true, nil
}

// column returns the index of the one column of that name.
func column(rows Rows, name string) (int, error) {
	n := slices.Index(rows.Columns, name)
	if n < 0 {
		return 0, fmt.Errorf("no column %q (have %q)", name, rows.Columns)
	}
	if slices.Contains(rows.Columns[n+1:], name) {
		return 0, fmt.Errorf("column %q: %w", name, errTwice)
	}
	return n, nil
}

// fold keeps the zero-filled series and the largest of the others, and sums the rest under kpi.OtherLabel, so that at most limit
// series are left.
func fold(all []series, limit int, m kpi.Metric) (out []series, folded int) {
	isOther := func(s series) bool {
		return !slices.ContainsFunc(s.labels, func(l string) bool { return l != kpi.OtherLabel })
	}
	other := series{labels: slices.Repeat([]string{kpi.OtherLabel}, len(m.Labels))}
	var rest []series
	for _, s := range all {
		if isOther(s) {
			other.value += s.value
		} else {
			rest = append(rest, s)
		}
	}
	optional := func(s series) float64 { return boolValue(!slices.Contains(m.ZeroFill, s.labels[0])) }
	slices.SortStableFunc(rest, func(a, b series) int {
		return cmp.Or(cmp.Compare(optional(a), optional(b)), cmp.Compare(b.value, a.value), slices.Compare(a.labels, b.labels))
	})
	for _, s := range rest[limit-1:] {
		other.value += s.value
	}
	return append(rest[:limit-1:limit-1], other), len(rest) - (limit - 1)
}

// labelText returns the label value for a value of a row, cut to maxLabel bytes.
func labelText(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return "", errors.New("is NULL; use COALESCE in SQL, or // in jq")
	case Exact:
		s = v.Text
	case string:
		s = v
	case []byte:
		s = string(v)
	case bool:
		s = strconv.FormatBool(v)
	case time.Time:
		s = v.UTC().Format(time.RFC3339Nano)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		s = strconv.FormatFloat(float64(v), 'f', -1, 32)
	case json.Number:
		s = v.String()
	case *big.Int:
		s = v.String()
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, time.Duration:
		s = fmt.Sprint(v)
	default:
		return "", fmt.Errorf("a %T cannot be a label", v) // different values may have the same text
	}
	if !utf8.ValidString(s) {
		return "", errors.New("is not UTF-8")
	}
	return cut(s), nil
}

// cut shortens a label value to maxLabel bytes. A digest of the whole keeps two values distinct that begin with the same text.
func cut(s string) string {
	if len(s) <= maxLabel {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	mark := "… " + hex.EncodeToString(sum[:8])
	end := maxLabel - len(mark)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// number reads a value as a finite float64.
func number(v any) (float64, error) {
	var f float64
	switch v := v.(type) {
	case Exact:
		if v.NotNumber != nil {
			return 0, v.NotNumber
		}
		f = v.Number
	case time.Time:
		f = float64(v.UnixMicro()) / 1e6
	case time.Duration:
		f = v.Seconds()
	case *big.Int:
		f, _ = new(big.Float).SetInt(v).Float64()
	default: // json.Number has the kind String
		switch r := reflect.ValueOf(v); {
		case r.CanInt():
			f = float64(r.Int())
		case r.CanUint():
			f = float64(r.Uint())
		case r.CanFloat():
			f = r.Float()
		case r.Kind() == reflect.Bool:
			f = boolValue(r.Bool())
		case r.Kind() == reflect.String:
			return ParseNumber(r.String())
		default:
			return 0, fmt.Errorf("a %T is not a number", v)
		}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%v is not a finite number", f)
	}
	return f, nil
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

// zero matches a decimal whose digits are all 0, with any exponent.
var zero = regexp.MustCompile(`^[+-]?[0.]+([eE]|$)`)

// ParseNumber reads a finite decimal number. It refuses other notations, such as 0x10, 1_000 and Infinity, and numbers beyond the
// range of a float64.
func ParseNumber(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if !decimal.MatchString(s) {
		return 0, errors.New("the text is not a finite number")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || f == 0 && !zero.MatchString(s) { // such as 10^-400
		return 0, errors.New("the number is out of range")
	}
	return f, nil
}
