package kpi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/kpi"
)

var sources = map[string]string{"db": kpi.KindPostgres, "api": kpi.KindHTTP, "cache": kpi.KindRedis, "journal": kpi.KindJournal}

// query is a good query, changed by each of the given edits.
func query(edits ...func(*kpi.Query)) kpi.Query {
	q := kpi.Query{
		Name: "alerts", Source: "db", SQL: "SELECT c, count(*) AS n FROM t WHERE at >= @since AND at < @until GROUP BY 1",
		Metrics: []kpi.Metric{{Name: "acme_alerts", Help: "Alerts.", Value: "n", Labels: []string{"c"}, Window: time.Hour}},
	}.WithDefaults()
	for _, e := range edits {
		e(&q)
	}
	return q
}

func TestValidateNamesEachFault(t *testing.T) {
	t.Parallel()
	metric := func(edit func(*kpi.Metric)) kpi.Query { return query(func(q *kpi.Query) { edit(&q.Metrics[0]) }) }
	tests := map[string]struct {
		queries []kpi.Query
		want    string // "" is a good one
	}{
		"good":                       {[]kpi.Query{query()}, ""},
		"no name":                    {[]kpi.Query{query(func(q *kpi.Query) { q.Name = "" })}, "name is missing"},
		"two of a name":              {[]kpi.Query{query(), query(func(q *kpi.Query) { q.Metrics[0].Name = "acme_x" })}, "a second query has this name"},
		"no statement":               {[]kpi.Query{query(func(q *kpi.Query) { q.SQL = " " })}, "needs exactly one of sql, redis, http and journal, has 0"},
		"two statements":             {[]kpi.Query{query(func(q *kpi.Query) { q.Journal = "alerts" })}, "has 2"},
		"unknown source":             {[]kpi.Query{query(func(q *kpi.Query) { q.Source = "x" })}, `source "x" is not configured`},
		"source of another kind":     {[]kpi.Query{query(func(q *kpi.Query) { q.Source = "api" })}, `needs a source of kind postgres, but "api" is of kind http`},
		"negative timeout":           {[]kpi.Query{query(func(q *kpi.Query) { q.Timeout = -1 })}, "is negative"},
		"cap below one":              {[]kpi.Query{query(func(q *kpi.Query) { q.MaxSeries = -1 })}, "max_series -1 is below 1"},
		"unknown way with duplicate": {[]kpi.Query{query(func(q *kpi.Query) { q.OnDuplicate = "sum" })}, `on_duplicate is "sum"`},
		"unknown way with overflow":  {[]kpi.Query{query(func(q *kpi.Query) { q.OnOverflow = "drop" })}, `on_overflow is "drop"`},
		"no metrics":                 {[]kpi.Query{query(func(q *kpi.Query) { q.Metrics = nil })}, "has no metrics"},
		"metric of two queries":      {[]kpi.Query{query(), query(func(q *kpi.Query) { q.Name = "b" })}, `metric "acme_alerts" is given by query "alerts" too`},
		"bad metric name":            {[]kpi.Query{metric(func(m *kpi.Metric) { m.Name = "a-b" })}, "not a valid metric name"},
		"counter's suffix":           {[]kpi.Query{metric(func(m *kpi.Metric) { m.Name = "a_total" })}, "must not end in _total"},
		"the program's own prefix":   {[]kpi.Query{metric(func(m *kpi.Metric) { m.Name = "awoooi_collector_x" })}, "taken by the program's own metrics"},
		"no help":                    {[]kpi.Query{metric(func(m *kpi.Metric) { m.Help = "" })}, "help is missing"},
		"window without @since":      {[]kpi.Query{metric(func(m *kpi.Metric) { m.Window = 0 })}, "uses @since, but the metric has no window"},
		"windows that differ": {[]kpi.Query{query(func(q *kpi.Query) {
			q.Metrics = append(q.Metrics, kpi.Metric{Name: "acme_b", Help: "b", Value: "n", Window: time.Minute})
		})}, "differs from the query's first metric"},
		"bad label name":            {[]kpi.Query{metric(func(m *kpi.Metric) { m.Labels = []string{"a-b"} })}, `label "a-b" is not a valid label name`},
		"reserved label name":       {[]kpi.Query{metric(func(m *kpi.Metric) { m.Labels = []string{"__name__"} })}, "not a valid label name"},
		"label twice":               {[]kpi.Query{metric(func(m *kpi.Metric) { m.Labels = []string{"c", "c"} })}, "given twice"},
		"value as a label":          {[]kpi.Query{metric(func(m *kpi.Metric) { m.Labels = []string{"n"} })}, "both the value and a label"},
		"zero_fill without a label": {[]kpi.Query{metric(func(m *kpi.Metric) { m.Labels, m.ZeroFill = nil, []string{"x"} })}, "zero_fill needs exactly one label"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := kpi.Validate(tc.queries, sources)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("was refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v does not say %q", err, tc.want)
			}
		})
	}
}

func TestParseSetFillsDefaultsAndRefusesUnknownKeys(t *testing.T) {
	t.Parallel()
	const good = "name: s\nqueries:\n- name: q\n  source: cache\n  redis: [SCARD, x]\n  metrics: [{name: a, help: b}]\n"
	s, err := kpi.ParseSet([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	q := s.Queries[0]
	if q.Timeout != kpi.DefaultTimeout || q.MaxSeries != kpi.DefaultMaxSeries || q.OnDuplicate != kpi.OnError ||
		q.OnOverflow != kpi.OnError || q.Metrics[0].Value != "value" {
		t.Errorf("defaults are missing: %+v", q)
	}
	if err := kpi.Validate(s.Queries, sources); err != nil {
		t.Error(err)
	}
	if _, err := kpi.ParseSet([]byte(good + "  sqll: x\n")); err == nil || !strings.Contains(err.Error(), "sqll") {
		t.Errorf("unknown key: %v", err)
	}
}

func TestMergeReplacesByName(t *testing.T) {
	t.Parallel()
	base := []kpi.Query{{Name: "a", SQL: "1"}, {Name: "b", SQL: "2"}}
	got := kpi.Merge(base, kpi.Query{Name: "c", SQL: "3"}, kpi.Query{Name: "a", SQL: "4"})
	if len(got) != 3 || got[0].SQL != "4" || got[1].SQL != "2" || got[2].Name != "c" || base[0].SQL != "1" {
		t.Errorf("merged %+v over %+v", got, base)
	}
}

func TestLintAdvisesOnNames(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"acme_tickets":        "",
		"acme_oldest_seconds": "",
		"acme_latency_hours":  `use base unit "seconds" instead of "hours"`,
		"acme:tickets":        "should not contain ':'",
		"acmeTickets":         "snake_case",
		"acme_tickets_gauge":  "should not include type 'gauge'",
	} {
		got := strings.Join(kpi.Metric{Name: name, Help: "Help."}.Lint(), "; ")
		if (says == "") != (got == "") || !strings.Contains(got, says) {
			t.Errorf("%s: %q, want %q", name, got, says)
		}
	}
	if got := strings.Join(kpi.Metric{Name: "acme_tickets", Help: "Help.", Labels: []string{"team", "le"}}.Lint(), "; "); !strings.Contains(got, "le") {
		t.Errorf("a label le: %q", got)
	}
}
