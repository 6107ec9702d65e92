package postmortem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/postmortem"
)

// past is a journal with these incidents.
type past struct {
	incidents []reporter.Incident
	err       error
}

func (past) Earlier(context.Context, reporter.Incident) (reporter.Earlier, error) {
	return reporter.Earlier{}, nil
}

func (past) Entries(context.Context, string) ([]reporter.Entry, error) { return nil, nil }

func (past) Silences(context.Context, string) ([]reporter.Silence, error) { return nil, nil }

func (p past) Alike(_ context.Context, names []string, since, before time.Time, limit int) (out []reporter.Incident, err error) {
	for _, in := range p.incidents {
		if slices.Contains(names, in.Alerts[0].Labels["alertname"]) && !in.StartedAt.Before(since) && in.StartedAt.Before(before) && len(out) < limit {
			out = append(out, in)
		}
	}
	return out, p.err
}

func old(id string, daysAgo int, labels map[string]string) reporter.Incident {
	at := day.AddDate(0, 0, -daysAgo)
	return reporter.Incident{
		ID: id, State: reporter.IncidentResolved, StartedAt: at, EndedAt: at.Add(time.Hour),
		Alerts: []reporter.Alert{{StartsAt: at, EndsAt: at.Add(time.Hour), Labels: labels}},
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestSimilarIncidentsAreThoseWithTheMostInCommon(t *testing.T) {
	t.Parallel()
	labels := func(pairs ...string) map[string]string {
		m := map[string]string{"alertname": "CrashLoop"}
		for _, p := range pairs {
			k, v, _ := strings.Cut(p, "=")
			m[k] = v
		}
		return m
	}
	in := old("NOW", 0, labels("namespace=billing", "pod=a", "prometheus=p1"))
	all := []reporter.Incident{
		in, old("twin", 20, labels("namespace=billing", "pod=a", "prometheus=p2")), old("near", 3, labels("namespace=billing", "pod=b")),
		old("nearer", 2, labels("namespace=billing", "pod=c")), old("far", 1, labels("namespace=shop", "pod=z")),
		old("other", 1, map[string]string{"alertname": "DiskFull", "namespace": "billing", "pod": "a"}), old("too old", 31, labels("namespace=billing", "pod=a")),
	}
	for name, tc := range map[string]struct {
		past past
		want string
	}{
		"known":       {past{incidents: all}, "twin nearer near"},
		"first ever":  {past{incidents: []reporter.Incident{in}}, ""},
		"unreachable": {past{incidents: all, err: errors.New("down")}, ""},
	} {
		p := postmortem.New(postmortem.Config{ExternalURL: "https://r.example.org"}, nil, tc.past, nil, nil, quiet()).Build(t.Context(), in)
		var got []string
		for _, s := range p.Similar {
			got = append(got, s.ID)
			if s.Duration != time.Hour || s.Page != "https://r.example.org/incidents/"+s.ID || s.Title != "CrashLoop" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: similar are %v, want %s", name, got, tc.want)
		}
	}
}

func TestDigestHasTheMostSevereFirstThenTheLongest(t *testing.T) {
	t.Parallel()
	short, long := old("short", 1, map[string]string{"alertname": "A", "severity": "warning"}), old("long", 2, map[string]string{"alertname": "B", "severity": "warn"})
	long.EndedAt = long.StartedAt.Add(2 * time.Hour)
	long.Sample = true
	worst := old("worst", 3, map[string]string{"alertname": "C", "severity": "critical"})
	d := postmortem.New(postmortem.Config{ExternalURL: "https://r.example.org/x/", Locale: "en"}, nil, nil, nil, nil, quiet()).
		Digest([]reporter.Incident{short, long, worst})
	if len(d.Incidents) != 3 || d.Incidents[0].ID != "worst" || d.Incidents[1].ID != "long" || !d.Incidents[1].Sample ||
		d.Incidents[2].Severity != "warning" {
		t.Errorf("digest is %+v", d)
	}
	if d.Page != "https://r.example.org/x/incidents" || d.Locale != "en" {
		t.Errorf("digest is %+v", d)
	}
}

func TestAcknowledgementIsOnlyTakenWhereItIsOfThisIncident(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		annotation string
		details    time.Time
		want       time.Time
	}{
		"nobody":                {},
		"annotation":            {annotation: day.Add(3 * time.Minute).Format(time.RFC3339), want: day.Add(3 * time.Minute)},
		"not a time":            {annotation: "soon"},
		"the database wins":     {annotation: day.Add(3 * time.Minute).Format(time.RFC3339), details: day.Add(2 * time.Minute), want: day.Add(2 * time.Minute)},
		"of an earlier one":     {details: day.Add(-time.Hour)},
		"at its very beginning": {details: day, want: day},
	} {
		in := old("X", 0, map[string]string{"alertname": "A"})
		in.Alerts[0].Annotations = map[string]string{"acknowledged_at": tc.annotation}
		p := postmortem.New(postmortem.Config{}, details(func(string) (reporter.Details, error) {
			return reporter.Details{Acknowledged: tc.details}, nil
		}), nil, nil, nil, quiet()).Build(t.Context(), in)
		if !p.Acknowledged.Equal(tc.want) {
			t.Errorf("%s: acknowledged %v, want %v", name, p.Acknowledged, tc.want)
		}
	}
}

// prometheus answers by expression, and keeps what it was asked.
type prometheus struct {
	samples map[string][]reporter.Sample
	series  map[string][]reporter.Series
	rules   map[string][]reporter.AlertRule
	err     error
	asked   []string
}

func (p *prometheus) AlertRules(_ context.Context, name string) ([]reporter.AlertRule, error) {
	return slices.Clone(p.rules[name]), p.err
}

func (p *prometheus) Query(_ context.Context, expr string, at time.Time) ([]reporter.Sample, error) {
	p.asked = append(p.asked, expr+" @ "+at.Format(time.TimeOnly))
	return p.samples[expr], p.err
}

func (p *prometheus) QueryRange(_ context.Context, expr string, start, end time.Time, step time.Duration) ([]reporter.Series, error) {
	p.asked = append(p.asked, fmt.Sprintf("%s [%s %s] %v", expr, start.Format(time.TimeOnly), end.Format(time.TimeOnly), step))
	return p.series[expr], p.err
}

func TestTrueStartIsTheConditionsOwn(t *testing.T) {
	t.Parallel()
	const expr = `ALERTS_FOR_STATE{alertname="A"}`
	at := func(minutes int) float64 { return float64(day.Add(time.Duration(minutes) * time.Minute).Unix()) }
	sample := func(v float64, labels map[string]string) reporter.Sample {
		labels["__name__"], labels["alertname"] = "ALERTS_FOR_STATE", "A"
		return reporter.Sample{Labels: labels, Value: v}
	}
	for name, tc := range map[string]struct {
		samples []reporter.Sample
		err     error
		want    time.Time
	}{
		"earlier by the for":             {samples: []reporter.Sample{sample(at(-5), map[string]string{"pod": "a"})}, want: day.Add(-5 * time.Minute)},
		"without a for":                  {samples: []reporter.Sample{sample(at(0), map[string]string{"pod": "a"})}},
		"another pod's":                  {samples: []reporter.Sample{sample(at(-5), map[string]string{"pod": "b"})}},
		"a label that the alert has not": {samples: []reporter.Sample{sample(at(-5), map[string]string{"pod": "a", "zone": "z"})}},
		"of several the earliest":        {samples: []reporter.Sample{sample(at(-5), map[string]string{}), sample(at(-7), map[string]string{"pod": "a"})}, want: day.Add(-7 * time.Minute)},
		"nonsense":                       {samples: []reporter.Sample{sample(0, map[string]string{"pod": "a"})}},
		"Prometheus is down":             {err: errors.New("down")},
		"unknown":                        {},
	} {
		// The alert has an external label that the series has not.
		in := old("X", 0, map[string]string{"alertname": "A", "pod": "a", "cluster": "tpe"})
		q := &prometheus{samples: map[string][]reporter.Sample{expr: tc.samples}, err: tc.err}
		b := postmortem.New(postmortem.Config{Now: func() time.Time { return day }}, nil, nil, q, q, quiet())
		for range 3 { // Several views of a page cause one query.
			if p := b.Build(t.Context(), in); !p.TrueStart.Equal(tc.want) {
				t.Errorf("%s: true start is %v, want %v", name, p.TrueStart, tc.want)
			}
		}
		if diff := cmp.Diff([]string{expr + " @ 00:00:01"}, q.asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestGraphShowsWhatTheAlertMeasures(t *testing.T) {
	t.Parallel()
	series := func(pod string, n int) reporter.Series {
		s := reporter.Series{Labels: map[string]string{"__name__": "m", "pod": pod}}
		for i := range n {
			s.Points = append(s.Points, reporter.Point{At: day.Add(time.Duration(i) * time.Minute), Value: 1})
		}
		return s
	}
	of := func(s reporter.Series, name, value string) reporter.Series {
		s.Labels[name] = value
		return s
	}
	for name, tc := range map[string]struct {
		rule, asked string
		threshold   float64
		has         []reporter.Series
		want        string // pods of the graph
	}{
		"a comparison with a number": {rule: "m > 0.5", asked: "m", threshold: 0.5, has: []reporter.Series{series("a", 3), series("b", 3)}, want: "a"},
		"the number stands first":    {rule: "-3 < (m)", asked: "(m)", threshold: -3, has: []reporter.Series{series("a", 3)}, want: "a"},
		"brackets":                   {rule: "(rate(m[5m]) >= 2)", asked: "rate(m[5m])", threshold: 2, has: []reporter.Series{series("a", 3)}, want: "a"},
		"two series compared":        {rule: "m > n", asked: "m", has: []reporter.Series{series("a", 3)}, want: "a"},
		"no comparison":              {rule: "absent(m)", asked: "absent(m)", has: []reporter.Series{{Labels: map[string]string{}, Points: series("", 3).Points}}, want: ""},
		"a boolean one is shown":     {rule: "m > bool 1", asked: "m > bool 1", has: []reporter.Series{series("a", 3)}, want: "a"},
		"none of the incident's":     {rule: "m > 1", asked: "m", threshold: 1, has: []reporter.Series{series("x", 3), series("y", 3)}, want: "nothing"},
		"more labels than the alert": {rule: "m > on(pod) n", asked: "m", has: []reporter.Series{of(series("b", 3), "cpu", "1"), of(series("a", 3), "cpu", "1"), of(series("a", 3), "cpu", "2")}, want: "a a"},
		"MetricsQL":                  {rule: "median_over_time(m) default 0", asked: "median_over_time(m) default 0", has: []reporter.Series{series("a", 3)}, want: "a"},
		"a single point":             {rule: "m", asked: "m", has: []reporter.Series{series("a", 1)}, want: "nothing"},
		"no data":                    {rule: "m", asked: "m", want: "nothing"},
		"no expression":              {rule: "", want: "nothing"},
	} {
		in := old("X", 0, map[string]string{"alertname": "A", "pod": "a"})
		in.Alerts[0].GeneratorURL = "http://prom:9090/graph?g0.expr=of+the+alert"
		q := &prometheus{
			series: map[string][]reporter.Series{tc.asked: tc.has}, rules: map[string][]reporter.AlertRule{"A": {{Expr: tc.rule}}},
		}
		now := func() time.Time { return day.Add(65 * time.Minute) }
		g := postmortem.New(postmortem.Config{Now: now}, nil, nil, q, q, quiet()).Graph(t.Context(), in)
		if g == nil {
			if tc.want != "nothing" {
				t.Errorf("%s: no graph; asked %v", name, q.asked)
			}
			continue
		}
		if tc.want == "nothing" {
			t.Errorf("%s: a graph of %v", name, g.Series)
		}
		// A quarter of the hour before, and only until now after.
		if diff := cmp.Diff([]string{tc.asked + " [23:45:00 01:05:00] 20s"}, q.asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		var pods []string
		for _, s := range g.Series {
			pods = append(pods, s.Labels["pod"])
		}
		if strings.Join(pods, " ") != tc.want {
			t.Errorf("%s: series of %v, want %s", name, pods, tc.want)
		}
		if (g.Threshold == nil) != (tc.threshold == 0) || (g.Threshold != nil && *g.Threshold != tc.threshold) {
			t.Errorf("%s: threshold %v, want %v", name, g.Threshold, tc.threshold)
		}
	}
}

func TestGraphIsOfTheRuleThatGaveTheAlert(t *testing.T) {
	t.Parallel()
	rule := func(expr string, labels ...string) reporter.AlertRule {
		r := reporter.AlertRule{Expr: expr, Labels: map[string]string{}}
		for n := 0; n < len(labels); n += 2 {
			r.Labels[labels[n]] = labels[n+1]
		}
		return r
	}
	for name, tc := range map[string]struct {
		rules []reporter.AlertRule
		err   error
		want  string // what is asked; "" for no graph
	}{
		"one rule":                       {rules: []reporter.AlertRule{rule("m > 1", "severity", "page")}, want: "m"},
		"replicas of one rule":           {rules: []reporter.AlertRule{rule("m > 1"), rule("m > 1", "replica", "b")}, want: "m"},
		"of two the one whose labels":    {rules: []reporter.AlertRule{rule("a > 1", "severity", "warning"), rule("b > 1", "severity", "critical")}, want: "b"},
		"a template gives any value":     {rules: []reporter.AlertRule{rule("a > 1", "severity", "warning"), rule("b > 1", "severity", "{{ $labels.s }}")}, want: "b"},
		"a label that the alert has not": {rules: []reporter.AlertRule{rule("a > 1", "team", "db"), rule("b > 1")}, want: "b"},
		"two that may be":                {rules: []reporter.AlertRule{rule("a > 1"), rule("b > 1")}},
		"none of two":                    {rules: []reporter.AlertRule{rule("a > 1", "severity", "x"), rule("b > 1", "severity", "y")}},
		"none":                           {},
		"unknown":                        {err: errors.New("down")},
		"400 KB of parentheses":          {rules: []reporter.AlertRule{rule(strings.Repeat("(", 200_000) + "m" + strings.Repeat(")", 200_000))}},
		"10 MB of nested calls":          {rules: []reporter.AlertRule{rule(strings.Repeat("min(", 2_500_000))}},
	} {
		in := old("X", 0, map[string]string{"alertname": "A", "severity": "critical", "pod": "a"})
		q := &prometheus{rules: map[string][]reporter.AlertRule{"A": tc.rules}, err: tc.err}
		postmortem.New(postmortem.Config{Now: func() time.Time { return day }}, nil, nil, q, q, quiet()).Graph(t.Context(), in)
		var want []string
		if tc.want != "" {
			want = []string{tc.want}
		}
		var asked []string
		for _, a := range q.asked {
			asked = append(asked, strings.Fields(a)[0])
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Text in an alert is never evaluated.
func TestTextOfAlertsIsNeverEvaluated(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat("min(", 2_500_000)
	for name, change := range map[string]func(a *reporter.Alert){
		"generator URL":     func(a *reporter.Alert) { a.GeneratorURL = "http://p/graph?g0.expr=" + bomb + "&expr=m" },
		"annotation":        func(a *reporter.Alert) { a.Annotations = map[string]string{"expr": bomb, "query": "m"} },
		"label":             func(a *reporter.Alert) { a.Labels["expr"] = "m" },
		"name of 10 MB":     func(a *reporter.Alert) { a.Labels["alertname"] = bomb },
		"name is not UTF-8": func(a *reporter.Alert) { a.Labels["alertname"] = "\xff" },
		"no name":           func(a *reporter.Alert) { delete(a.Labels, "alertname") },
	} {
		in := old("X", 0, map[string]string{"alertname": "A"})
		change(&in.Alerts[0])
		q := &prometheus{}
		b := postmortem.New(postmortem.Config{Now: func() time.Time { return day }}, nil, nil, q, q, quiet())
		b.Build(t.Context(), in)
		b.Graph(t.Context(), in)
		for _, a := range q.asked {
			if a != `ALERTS_FOR_STATE{alertname="A"} @ 00:00:01` {
				t.Errorf("%s: asked %.100s", name, a)
			}
		}
	}
	in := old("X", 0, map[string]string{"alertname": `A"} or label_join({__name__=~".+"},"a","","a","a") #`})
	q := &prometheus{}
	postmortem.New(postmortem.Config{}, nil, nil, q, q, quiet()).Build(t.Context(), in)
	want := []string{`ALERTS_FOR_STATE{alertname="A\"} or label_join({__name__=~\".+\"},\"a\",\"\",\"a\",\"a\") #"} @ 00:00:01`}
	if diff := cmp.Diff(want, q.asked); diff != "" {
		t.Error(diff)
	}
}
