// Package kpi defines KPIs: queries and metrics of the configuration come in, validated definitions go out to the collector, the
// reports and the dashboards.
package kpi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/sqltext"
)

// The kinds of sources.
const (
	KindPostgres = "postgres"
	KindRedis    = "redis"
	KindHTTP     = "http"
	KindJournal  = "journal"
)

// OtherLabel is the label value of the sum of folded series.
const OtherLabel = "other"

// The ways to treat duplicate or overflowing series of one metric.
const (
	OnError = "error" // the query fails
	OnFold  = "fold"  // duplicates are summed; overflow is summed under the label value "other"
)

// Defaults of a query.
const (
	DefaultTimeout   = 5 * time.Second
	DefaultMaxSeries = 100
	DefaultValue     = "value" // of a metric
)

// Set is a named list of queries.
type Set struct {
	Name    string  `yaml:"name" mapstructure:"name"`
	Queries []Query `yaml:"queries" mapstructure:"queries"`
}

// Query reads one source once a scrape and gives one or more metrics. Exactly one of SQL, Redis, HTTP and Journal is set, as the
// kind of its source requires.
type Query struct {
	Name    string        `yaml:"name" mapstructure:"name"`
	Source  string        `yaml:"source" mapstructure:"source"`
	Timeout time.Duration `yaml:"timeout" mapstructure:"timeout"` // 0: DefaultTimeout

	// SQL is one SELECT, with @since and @until, both timestamptz, for the borders of the window: since <= t < until.
	SQL string `yaml:"sql" mapstructure:"sql"`
	// Redis is one command that reads, with its arguments, such as [SCARD, playbooks], or [COUNT_KEYS, "playbook:*"], which counts by
	// SCAN.
	Redis []string `yaml:"redis" mapstructure:"redis"`
	// HTTP is one GET with a JSON answer.
	HTTP HTTPQuery `yaml:"http" mapstructure:"http"`
	// Journal is the name of a count of the incident journal.
	Journal string `yaml:"journal" mapstructure:"journal"`

	MaxSeries   int      `yaml:"max_series" mapstructure:"max_series"`     // cap for each metric; 0: DefaultMaxSeries
	OnDuplicate string   `yaml:"on_duplicate" mapstructure:"on_duplicate"` // "error" (default) or "fold"
	OnOverflow  string   `yaml:"on_overflow" mapstructure:"on_overflow"`   // "error" (default) or "fold"
	Metrics     []Metric `yaml:"metrics" mapstructure:"metrics"`

	// Builtin means that the query is of a builtin set, whose author does not know the zone of the database's columns without time
	// zone.
	Builtin bool `yaml:"-" mapstructure:"-"`
}

// The names of the borders of the window in SQL; both are always timestamptz.
const (
	Since = "since"
	Until = "until"
)

// HTTPQuery is a path below the source's URL, and a jq expression over the decoded answer. Each result of the expression is a row:
// the keys of an object are columns, any other value is the one column "value". $since and $until are variables of the expression and
// of the path's query string, in RFC 3339 and whole seconds.
type HTTPQuery struct {
	Path string `yaml:"path" mapstructure:"path"`
	JQ   string `yaml:"jq" mapstructure:"jq"`
}

// Metric is one gauge family made from a query's rows.
type Metric struct {
	Name   string   `yaml:"name" mapstructure:"name"`
	Help   string   `yaml:"help" mapstructure:"help"`
	Value  string   `yaml:"value" mapstructure:"value"`   // column with the number; "": DefaultValue
	Labels []string `yaml:"labels" mapstructure:"labels"` // columns with label values, of the same names
	// Window is the time from @since to @until; 0 means a figure of now. All metrics of one query have the same.
	Window time.Duration `yaml:"window" mapstructure:"window"`
	// ZeroFill lists label values whose series always exists, with 0 if no row has them; for a metric with one label.
	ZeroFill []string `yaml:"zero_fill" mapstructure:"zero_fill"`
	// Optional leaves the series out if its value is NULL, as of an average over no rows. Otherwise NULL fails the query.
	Optional bool `yaml:"optional" mapstructure:"optional"`
}

// Window returns the window of the query's metrics.
func (q Query) Window() time.Duration {
	if len(q.Metrics) == 0 {
		return 0
	}
	return q.Metrics[0].Window
}

// Kind returns the kind of source that the query needs. It is an error if the query sets none or several of sql, redis, http and
// journal.
func (q Query) Kind() (string, error) {
	var kinds []string
	if strings.TrimSpace(q.SQL) != "" {
		kinds = append(kinds, KindPostgres)
	}
	if len(q.Redis) > 0 {
		kinds = append(kinds, KindRedis)
	}
	if q.HTTP != (HTTPQuery{}) {
		kinds = append(kinds, KindHTTP)
	}
	if q.Journal != "" {
		kinds = append(kinds, KindJournal)
	}
	if len(kinds) != 1 {
		return "", fmt.Errorf("needs exactly one of sql, redis, http and journal, has %d", len(kinds))
	}
	return kinds[0], nil
}

// ParseSet reads a set from YAML and sets the defaults. Unknown keys are errors.
func ParseSet(b []byte) (Set, error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	var s Set
	if err := d.Decode(&s); err != nil {
		return Set{}, fmt.Errorf("kpi set: %w", err)
	}
	for n := range s.Queries {
		s.Queries[n] = s.Queries[n].WithDefaults()
	}
	return s, nil
}

// WithDefaults returns the query with defaults for unset settings.
func (q Query) WithDefaults() Query {
	if q.Timeout == 0 {
		q.Timeout = DefaultTimeout
	}
	if q.MaxSeries == 0 {
		q.MaxSeries = DefaultMaxSeries
	}
	if q.OnDuplicate == "" {
		q.OnDuplicate = OnError
	}
	if q.OnOverflow == "" {
		q.OnOverflow = OnError
	}
	ms := make([]Metric, len(q.Metrics))
	for n, m := range q.Metrics {
		if m.Value == "" {
			m.Value = DefaultValue
		}
		ms[n] = m
	}
	q.Metrics = ms
	return q
}

// Statement parses the SQL. It is an error if it uses other names than Since and Until.
func (q Query) Statement() (sqltext.Statement, error) {
	s, err := sqltext.Parse(q.SQL)
	if err == nil {
		err = s.Check(Since, Until)
	}
	if err != nil {
		return sqltext.Statement{}, fmt.Errorf("sql: %w", err)
	}
	return s, nil
}

// Merge returns the base with each of the queries in the place of the one of the same name, or at the end.
func Merge(base []Query, over ...Query) []Query {
	out := append([]Query(nil), base...)
next:
	for _, q := range over {
		for n := range out {
			if out[n].Name == q.Name {
				out[n] = q
				continue next
			}
		}
		out = append(out, q)
	}
	return out
}

// Validate checks queries, with their defaults set, against the configured sources, which are kinds by name. It returns all faults,
// joined; each is a *fault.Error with the key.
func Validate(queries []Query, sources map[string]string) error {
	var errs []error
	names := map[string]bool{}
	metrics := map[string]string{} // query by metric
	for _, q := range queries {
		wrong := func(key, format string, a ...any) {
			errs = append(errs, fault.In("queries{"+q.Name+"}", fault.New(key, format, a...)))
		}
		if q.Name == "" {
			wrong("name", "name is missing")
		}
		if names[q.Name] {
			wrong("name", "a second query has this name")
		}
		names[q.Name] = true
		if err := q.validate(sources); err != nil {
			errs = append(errs, fault.In("queries{"+q.Name+"}", err))
		}
		for n, m := range q.Metrics {
			if other, ok := metrics[m.Name]; ok {
				wrong(fmt.Sprintf("metrics[%d].name", n), "metric %q is given by query %q too", m.Name, other)
			}
			metrics[m.Name] = q.Name
		}
	}
	return errors.Join(errs...)
}

// validate checks one query on its own.
func (q Query) validate(sources map[string]string) error {
	var errs []error
	wrong := func(key, format string, a ...any) { errs = append(errs, fault.New(key, format, a...)) }
	kind, err := q.Kind()
	if err != nil {
		wrong("", "%v", err)
	}
	switch have, ok := sources[q.Source]; {
	case !ok:
		wrong("source", "source %q is not configured (have %s)", q.Source, strings.Join(slices.Sorted(maps.Keys(sources)), ", "))
	case kind != "" && have != kind:
		wrong("source", "needs a source of kind %s, but %q is of kind %s", kind, q.Source, have)
	}
	var names []string
	if kind == KindPostgres {
		s, err := q.Statement()
		if err == nil {
			err = s.Reads()
		}
		if err != nil {
			wrong("sql", "%v", err)
		}
		names = s.Names()
	}
	if q.Timeout < 0 {
		wrong("timeout", "timeout %v is negative", q.Timeout)
	}
	if q.MaxSeries < 1 {
		wrong("max_series", "max_series %d is below 1", q.MaxSeries)
	}
	if q.OnDuplicate != OnError && q.OnDuplicate != OnFold {
		wrong("on_duplicate", "on_duplicate is %q, want error or fold", q.OnDuplicate)
	}
	if q.OnOverflow != OnError && q.OnOverflow != OnFold {
		wrong("on_overflow", "on_overflow is %q, want error or fold", q.OnOverflow)
	}
	if len(q.Metrics) == 0 {
		wrong("metrics", "has no metrics")
	}
	for n, m := range q.Metrics {
		at := fmt.Sprintf("metrics[%d]", n)
		if m.Window == 0 && slices.Contains(names, Since) {
			wrong(at+".window", "the query uses @since, but the metric has no window")
		}
		if err := m.validate(q); err != nil {
			errs = append(errs, fault.In(at, err))
		}
	}
	return errors.Join(errs...)
}

func (m Metric) validate(q Query) error {
	var errs []error
	wrong := func(key, format string, a ...any) { errs = append(errs, fault.New(key, format, a...)) }
	// Every Prometheus since 2.0 accepts these names.
	if !model.LegacyValidation.IsValidMetricName(m.Name) {
		wrong("name", "metric %q: not a valid metric name", m.Name)
	}
	for _, suffix := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(m.Name, suffix) {
			wrong("name", "a gauge must not end in %s", suffix)
		}
	}
	if strings.HasPrefix(m.Name, "awoooi_collector_") || strings.HasPrefix(m.Name, "awoooi_reporter_") {
		wrong("name", "the prefixes awoooi_collector_ and awoooi_reporter_ are taken by the program's own metrics")
	}
	if strings.TrimSpace(m.Help) == "" {
		wrong("help", "help is missing")
	}
	if m.Window < 0 {
		wrong("window", "window %v is negative", m.Window)
	}
	if m.Window != q.Window() {
		wrong("window", "window %v differs from the query's first metric's %v; use two queries", m.Window, q.Window())
	}
	seen := map[string]bool{}
	for _, l := range m.Labels {
		if !model.LegacyValidation.IsValidLabelName(l) || strings.HasPrefix(l, "__") {
			wrong("labels", "label %q is not a valid label name", l)
		}
		if seen[l] {
			wrong("labels", "label %q is given twice", l)
		}
		seen[l] = true
		if l == m.Value {
			wrong("labels", "column %q is both the value and a label", l)
		}
	}
	if len(m.ZeroFill) > 0 && len(m.Labels) != 1 {
		wrong("zero_fill", "zero_fill needs exactly one label, there are %d", len(m.Labels))
	}
	return errors.Join(errs...)
}

// Lint returns the problems that promlint finds in the metric's name and labels, such as `use base unit "seconds" instead of
// "milliseconds"`. They are warnings, because a metric of that name may be in use.
func (m Metric) Lint() []string {
	gauge, zero := dto.MetricType_GAUGE, 0.0
	one := &dto.Metric{Gauge: &dto.Gauge{Value: &zero}}
	for _, l := range m.Labels {
		one.Label = append(one.Label, &dto.LabelPair{Name: &l, Value: new(string)})
	}
	problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{
		{Name: &m.Name, Help: &m.Help, Type: &gauge, Metric: []*dto.Metric{one}},
	}).Lint()
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, p := range problems {
		out = append(out, p.Text)
	}
	return out
}
