package promexpr_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/promexpr"
)

func TestCheckRefusesWhatIsBeyondALimit(t *testing.T) {
	t.Parallel()
	repeat := strings.Repeat
	for name, c := range map[string]struct{ expr, want string }{
		"too long":                         {"a" + repeat(" ", promexpr.MaxLength), "bytes, at most"},
		"10 MB of nested calls":            {repeat("min(", 2_500_000), "bytes, at most"},
		"400 KB of parentheses":            {repeat("(", 200_000) + "1" + repeat(")", 200_000), "bytes, at most"},
		"parentheses":                      {repeat("(", 65) + "1" + repeat(")", 65), "nested deeper"},
		"parentheses that stay open":       {repeat("(", 65), "nested deeper"},
		"calls":                            {repeat("min(", 65) + "a" + repeat(")", 65), "nested deeper"},
		"calls behind strings":             {repeat(`label_replace(")))", `, 65), "nested deeper"},
		"calls behind raw strings":         {repeat("label_replace(a, `))))`,", 65), "nested deeper"},
		"calls behind escaped quotes":      {repeat(`f("\")))))", `, 65), "nested deeper"},
		"calls behind comments":            {repeat("min( # ))))\n", 65), "nested deeper"},
		"subqueries":                       {repeat("max_over_time(", 65) + "a" + repeat("[1m:1s])", 65), "nested deeper"},
		"a row of signs":                   {repeat("-", 65) + "1", "nested deeper"},
		"a row of signs, commented":        {repeat("-#\n", 65) + "1", "nested deeper"},
		"a chain of operators":             {"1" + repeat("+1", 1001), "tokens"},
		"a chain of powers":                {"1" + repeat("^1", 1001), "tokens"},
		"a chain of subqueries":            {"a" + repeat("[1m:]", 501), "tokens"},
		"a chain of modifiers":             {"a" + repeat(" offset 1m", 1001), "tokens"},
		"a list of labels":                 {"a{" + repeat(`b="",`, 501) + "}", "tokens"},
		"a repetition of a long text":      {`a{b=~"(` + repeat("x", 2000) + `){1000}"}`, "instructions"},
		"many repetitions":                 {`a{b=~"` + repeat(`a{1000}`, 21) + `"}`, "instructions"},
		"repetitions in many strings":      {repeat(`a{b=~"a{1000}"} or `, 21) + "a", "instructions"},
		"a repetition of escaped text":     {`label_replace(a, "b", "", "c", "\x28[\x61-z]` + repeat("y", 99) + `\x29{500}")`, "instructions"},
		"a repetition without upper limit": {`a{b=~"(` + repeat("xyz", 10) + `){1000,}"}`, "instructions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := promexpr.Check(c.expr)
			if !errors.Is(err, promexpr.ErrLimit) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("Check: %v, want a limit error with %q", err, c.want)
			}
			_, parse := promexpr.Parse(c.expr)
			_, _, measured := promexpr.Measured(c.expr)
			figure := promexpr.CheckFigure(c.expr)
			for _, err := range []error{parse, measured, figure} {
				if !errors.Is(err, promexpr.ErrLimit) {
					t.Errorf("%v, want a limit error", err)
				}
			}
			if n := len(figure.Error()); n > 1200 {
				t.Errorf("the error has %d bytes, want the expression cut", n)
			}
		})
	}
}

func TestCheckTakesWhatPeopleWrite(t *testing.T) {
	t.Parallel()
	for _, expr := range []string{
		`up == 0`,
		``,
		`not PromQL at all {{`,
		strings.Repeat("(", promexpr.MaxNesting) + "1" + strings.Repeat(")", promexpr.MaxNesting),
		"1" + strings.Repeat(" + 1", 900),
		`a{b=~"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"}`,
		`a{b=~"(([0-9]{1,3}\\.){3}[0-9]{1,3}):[0-9]{1,5}"}`,
		`a{b!~"` + strings.Repeat("namespace-of-some-team|", 400) + `z"}`,
		`WITH (commonFilters = {job="a"}) sum(rate(m{commonFilters}))`,
		`label_replace(up, "host", "$1", "instance", "([^:]+)(?::\\d+)?")`,
	} {
		if err := promexpr.Check(expr); err != nil {
			t.Errorf("%s: %v", promexpr.Quote(expr), err)
		}
	}
}

// The rules of the dashboards are long expressions.
func TestCheckTakesOurOwnRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../dashboards/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var y struct {
			Groups []struct{ Rules []struct{ Expr string } }
		}
		if err := yaml.Unmarshal(b, &y); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, g := range y.Groups {
			for _, r := range g.Rules {
				if _, err := promexpr.Parse(r.Expr); err != nil {
					t.Errorf("%s: %v", r.Expr, err)
				}
				count++
			}
		}
	}
	if count < 10 {
		t.Errorf("%d rules, want all of them", count)
	}
}

func TestCheckFigure(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		"sum(up)":                      "",
		"1 + 1":                        "",
		"up[5m]":                       `expr "up[5m]": gives a range vector, want an instant vector or a scalar`,
		"sum(":                         `expr "sum(": 1:5: parse error: unclosed left parenthesis`,
		strings.Repeat("a", 300) + "(": `expr "` + strings.Repeat("a", 200) + `"…: 1:302: parse error: unclosed left parenthesis`,
	} {
		err := promexpr.CheckFigure(expr)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", expr, err)
		case want != "" && (err == nil || err.Error() != want || errors.Is(err, promexpr.ErrLimit)):
			t.Errorf("%s: %v, want %s", expr, err, want)
		}
	}
}

func TestMeasured(t *testing.T) {
	t.Parallel()
	n := func(v float64) *float64 { return &v }
	for expr, want := range map[string]struct {
		shown     string
		threshold *float64
	}{
		`up`:                     {`up`, nil},
		`up == 0`:                {`up`, n(0)},
		`((up)) == bool 0`:       {`((up)) == bool 0`, nil},
		`(rate(a[5m]) > (-0.5))`: {`rate(a[5m])`, n(-0.5)},
		`3 < a`:                  {`a`, n(3)},
		`a > b`:                  {`a`, nil},
		`a > 1 or b > 2`:         {`a > 1 or b > 2`, nil},
		`a > WITH (x) x`:         {`a > WITH (x) x`, nil},
		`a > +Inf`:               {`a`, n(math.Inf(1))},
	} {
		shown, threshold, err := promexpr.Measured(expr)
		if diff := cmp.Diff(want.threshold, threshold); err != nil || shown != want.shown || diff != "" {
			t.Errorf("%s: %q, %v; want %q\n%s", expr, shown, err, want.shown, diff)
		}
	}
}

func TestSelectIsOneSelectorOfThatValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "HostDown", `a"} or vector(1) #`, `\`, "line\nbreak", "\x00\x7f\u2028", "磁碟將滿", "`", `'`} {
		requireSelects(t, value)
	}
	for _, value := range []string{"\xff", strings.Repeat("a", promexpr.MaxValue+1)} {
		if expr, err := promexpr.Select("ALERTS_FOR_STATE", "alertname", value); err == nil {
			t.Errorf("%q gives %s, want an error", value, expr)
		}
	}
}

func requireSelects(t *testing.T, value string) {
	t.Helper()
	expr, err := promexpr.Select("ALERTS_FOR_STATE", "alertname", value)
	if err != nil {
		t.Fatalf("%q: %v", value, err)
	}
	e, err := promexpr.Parse(expr)
	if err != nil {
		t.Fatalf("%s: %v", expr, err)
	}
	v, ok := e.(*parser.VectorSelector)
	if !ok || len(v.LabelMatchers) != 2 {
		t.Fatalf("%s is not one selector", expr)
	}
	for _, m := range v.LabelMatchers {
		want := map[string]string{model.MetricNameLabel: "ALERTS_FOR_STATE", "alertname": value}[m.Name]
		if m.Type != labels.MatchEqual || m.Value != want {
			t.Errorf("%s matches %s", expr, m)
		}
	}
}

// FuzzCheck looks for a text that passes and needs much stack or time in the parser, and for one whose result of Measured or Select is
// wrong.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"up == 0", "sum by (a) (rate(b[5m])) > 1.5", `a{b=~"(x{3}){4}"}`, "min(min(min(", "-+-+1", "a[5m:1m] offset -1d @ end()",
		`label_replace(a, "b", "$1", "c", "(.*)")`, "# comment\n1", "`raw`", `"\"`, "a > WITH (x) x", "{\"utf8.name\", b='c'}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if promexpr.Check(s) == nil {
			if e, err := promexpr.Parse(s); err == nil && depth(e) > promexpr.MaxTokens {
				t.Errorf("%q is nested too deeply to be taken", s)
			}
			if _, _, err := promexpr.Measured(s); err != nil {
				t.Errorf("%q: %v", s, err)
			}
		}
		if _, err := promexpr.Select("m", "l", s); err == nil {
			requireSelects(t, s)
		}
	})
}

func depth(n parser.Node) int {
	deepest := 0
	for c := range parser.ChildrenIter(n) {
		deepest = max(deepest, depth(c))
	}
	return deepest + 1
}

// The cost of the longest and deepest expressions within the limits.
func BenchmarkAtTheLimits(b *testing.B) {
	for name, expr := range map[string]string{
		"chain":       "1" + strings.Repeat("+1", 990) + " > 1",
		"powers":      "1" + strings.Repeat("^1", 990) + " > 1",
		"nested":      strings.Repeat("min(", 64) + "a" + strings.Repeat(")", 64) + " > 1",
		"length":      `a{b="` + strings.Repeat("x", promexpr.MaxLength-20) + `"} > 1`,
		"alternation": `a{b=~"` + strings.Repeat("x|y|", promexpr.MaxLength/4-10) + `z"} > 1`,
		"repetition":  `a{b=~"` + strings.Repeat("x", 19) + "(" + strings.Repeat("y", 16) + `){1000}"} > 1`,
		"classes":     `a{b=~"` + strings.Repeat(`\\pL`, 30) + `"} > 1`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := promexpr.Measured(expr); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("10MB", func(b *testing.B) {
		expr := strings.Repeat("min(", 2_500_000)
		b.ReportAllocs()
		for b.Loop() {
			if promexpr.Check(expr) == nil {
				b.Fatal("passes")
			}
		}
	})
}
