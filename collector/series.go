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

// longestLabel bounds a label's text in bytes, so that a column of free text cannot fill Prometheus.
const longestLabel = 512

// errTwice is a column that the rows have twice: which of them is meant is not clear.
var errTwice = errors.New("the rows have it twice, give each column a name of its own")

// series is one sample of a metric: label values in the order of the metric's labels.
type series struct {
	labels []string
	value  float64
}

// seriesOf makes the samples of one metric out of a query's rows. dropped counts rows that were folded into another
// series. Any fault makes the whole query fail, because half a metric would pass for the whole.
func seriesOf(q kpi.Query, m kpi.Metric, rows Rows) (out []series, dropped int, err error) {
	if len(rows.Columns) == 0 && len(rows.Values) == 0 { // a source that only knows its columns by its rows had none
		rows.Columns = append([]string{m.Value}, m.Labels...)
	}
	value, err := column(rows, m.Value)
	if err != nil {
		return nil, 0, fmt.Errorf("metric %s: %w", m.Name, err)
	}
	columns := make([]int, len(m.Labels))
	for n, l := range m.Labels {
		if columns[n], err = column(rows, l); err != nil {
			return nil, 0, fmt.Errorf("metric %s: %w", m.Name, err)
		}
	}
	at := map[string]int{}
	for _, row := range rows.Values {
		if len(row) != len(rows.Columns) {
			return nil, 0, fmt.Errorf("metric %s: a row has %d values for %d columns", m.Name, len(row), len(rows.Columns))
		}
		if row[value] == nil {
			if m.Optional {
				continue
			}
			return nil, 0, fmt.Errorf("metric %s: column %q is NULL", m.Name, m.Value)
		}
		v, err := number(row[value])
		if err != nil {
			return nil, 0, fmt.Errorf("metric %s: column %q: %w", m.Name, m.Value, err)
		}
		s := series{value: v, labels: make([]string, len(columns))}
		for n, c := range columns {
			if s.labels[n], err = labelText(row[c]); err != nil {
				return nil, 0, fmt.Errorf("metric %s: label %q: %w", m.Name, m.Labels[n], err)
			}
		}
		key := strings.Join(s.labels, "\xff")
		have, duplicate := at[key]
		switch {
		case !duplicate:
			at[key] = len(out)
			out = append(out, s)
		case q.OnDuplicate == kpi.OnFold:
			out[have].value += v
			dropped++
		default:
			return nil, 0, fmt.Errorf("metric %s: two rows have the labels %q", m.Name, s.labels)
		}
	}
	for _, known := range m.ZeroFill {
		if _, there := at[known]; !there {
			out = append(out, series{labels: []string{known}})
		}
	}
	if len(out) > q.MaxSeries {
		if q.OnOverflow != kpi.OnFold || len(m.Labels) == 0 {
			return nil, 0, fmt.Errorf("metric %s: %d series, max_series is %d", m.Name, len(out), q.MaxSeries)
		}
		var folded int
		out, folded = fold(out, q.MaxSeries, m)
		dropped += folded
	}
	for _, s := range out {
		if math.IsInf(s.value, 0) { // each row was finite, a sum need not be
			return nil, 0, fmt.Errorf("metric %s: the sum for labels %q is not a finite number", m.Name, s.labels)
		}
	}
	return out, dropped, nil
}

// column finds the one column of that name.
func column(rows Rows, name string) (int, error) {
	n := slices.Index(rows.Columns, name)
	if n < 0 {
		return 0, fmt.Errorf("no column %q, there are %q", name, rows.Columns)
	}
	if slices.Contains(rows.Columns[n+1:], name) {
		return 0, fmt.Errorf("column %q: %w", name, errTwice)
	}
	return n, nil
}

// fold keeps those that are always there and the largest series, and sums the others under "other", so that at most limit
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
	optional := func(s series) float64 { return truth(!slices.Contains(m.ZeroFill, s.labels[0])) }
	slices.SortStableFunc(rest, func(a, b series) int {
		return cmp.Or(cmp.Compare(optional(a), optional(b)), cmp.Compare(b.value, a.value), slices.Compare(a.labels, b.labels))
	})
	for _, s := range rest[limit-1:] {
		other.value += s.value
	}
	return append(rest[:limit-1:limit-1], other), len(rest) - (limit - 1)
}

// labelText is the label of a value; a text that is too long is cut.
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
		return "", fmt.Errorf("a %T is no label", v) // its text might be the same for different values
	}
	if !utf8.ValidString(s) {
		return "", errors.New("is not UTF-8")
	}
	return cut(s), nil
}

// cut shortens a label that is too long. A digest of the whole keeps two that begin alike distinct.
func cut(s string) string {
	if len(s) <= longestLabel {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	mark := "… " + hex.EncodeToString(sum[:8])
	end := longestLabel - len(mark)
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
	default: // json.Number is a string
		switch r := reflect.ValueOf(v); {
		case r.CanInt():
			f = float64(r.Int())
		case r.CanUint():
			f = float64(r.Uint())
		case r.CanFloat():
			f = r.Float()
		case r.Kind() == reflect.Bool:
			f = truth(r.Bool())
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

// zero is a decimal that is 0, whatever its exponent.
var zero = regexp.MustCompile(`^[+-]?[0.]+([eE]|$)`)

// ParseNumber reads a finite decimal number, and nothing that other notations might mean: neither 0x10 nor 1_000, neither
// Infinity nor 10^400.
func ParseNumber(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if !decimal.MatchString(s) {
		return 0, errors.New("the text is not a finite number")
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || f == 0 && !zero.MatchString(s) { // 10^-400 is no 0
		return 0, errors.New("the number is out of range")
	}
	return f, nil
}
