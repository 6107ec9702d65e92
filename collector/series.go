package collector

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

// longestLabel bounds a label's text in bytes, so that a column of free text cannot fill Prometheus.
const longestLabel = 512

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
	value := slices.Index(rows.Columns, m.Value)
	if value < 0 {
		return nil, 0, fmt.Errorf("metric %s: no column %q, there are %q", m.Name, m.Value, rows.Columns)
	}
	columns := make([]int, len(m.Labels))
	for n, l := range m.Labels {
		if columns[n] = slices.Index(rows.Columns, l); columns[n] < 0 {
			return nil, 0, fmt.Errorf("metric %s: no column %q, there are %q", m.Name, l, rows.Columns)
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
		out, folded = fold(out, q.MaxSeries, len(m.Labels))
		dropped += folded
	}
	for _, s := range out {
		if math.IsInf(s.value, 0) { // each row was finite, a sum need not be
			return nil, 0, fmt.Errorf("metric %s: the sum for labels %q is not a finite number", m.Name, s.labels)
		}
	}
	return out, dropped, nil
}

// fold keeps the largest series and sums the others under "other", so that at most limit series are left.
func fold(all []series, limit, labels int) (out []series, folded int) {
	isOther := func(s series) bool {
		return !slices.ContainsFunc(s.labels, func(l string) bool { return l != kpi.OtherLabel })
	}
	other := series{labels: slices.Repeat([]string{kpi.OtherLabel}, labels)}
	var rest []series
	for _, s := range all {
		if isOther(s) {
			other.value += s.value
		} else {
			rest = append(rest, s)
		}
	}
	slices.SortStableFunc(rest, func(a, b series) int {
		return cmp.Or(cmp.Compare(b.value, a.value), slices.Compare(a.labels, b.labels))
	})
	for _, s := range rest[limit-1:] {
		other.value += s.value
	}
	return append(rest[:limit-1:limit-1], other), len(rest) - (limit - 1)
}

func labelText(v any) (string, error) {
	var s string
	switch v := v.(type) {
	case nil:
		return "", errors.New("is NULL; use COALESCE")
	case string:
		s = v
	case []byte:
		s = string(v)
	case bool:
		s = strconv.FormatBool(v)
	case time.Time:
		s = v.UTC().Format(time.RFC3339)
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	default:
		s = fmt.Sprint(v)
	}
	if !utf8.ValidString(s) {
		return "", errors.New("is not UTF-8")
	}
	if len(s) > longestLabel {
		return "", fmt.Errorf("has %d bytes, %d are allowed", len(s), longestLabel)
	}
	return s, nil
}

// number reads a value as a finite float64.
func number(v any) (float64, error) {
	var f float64
	switch v := v.(type) {
	case time.Time:
		f = float64(v.UnixMicro()) / 1e6
	case time.Duration:
		f = v.Seconds()
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
			return parse(r.String())
		default:
			return 0, fmt.Errorf("a %T is not a number", v)
		}
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%v is not a finite number", f)
	}
	return f, nil
}

func parse(s string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, errors.New("the text is not a finite number")
	}
	return f, nil
}
