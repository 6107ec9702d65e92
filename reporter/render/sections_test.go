package render_test

import (
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// ownSection is what a team writes for a figure of its own.
const ownSection = `
name: slo
title: {zh-TW: 服務水準, en: Service level}
icon: 🎯
figures:
  - name: error_budget
    title: {zh-TW: 錯誤預算, en: Error budget}
    expr: slo:error_budget_remaining:ratio{slo="checkout"}
    format: percent
    target: ">= 0.2"
    compare: [24h]
`

func section(t *testing.T, text string) reporter.Section {
	t.Helper()
	var s reporter.Section
	if err := yaml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func only(t *testing.T, locale string, figures map[string]reporter.Figure, s ...reporter.Section) string {
	t.Helper()
	rep := newReport(t, nil)
	rep.Figures, rep.Sections, rep.Locale = figures, s, locale
	for name, f := range rep.Figures {
		if f.At.IsZero() && len(name) > 7 && name[len(name)-7:] == "_before" {
			f.At = rep.Due.Add(-24 * time.Hour)
			rep.Figures[name] = f
		}
	}
	m, err := plainRenderer(t).Report(rep)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "text", m.HTML)
	return m.HTML
}

// A figure of one's own needs no template, in any language.
func TestAFigureOfOnesOwn(t *testing.T) {
	t.Parallel()
	for name, values := range map[string]map[string]float64{
		"met":     {"error_budget": 0.714, "error_budget_before": 0.726},
		"missed":  {"error_budget": 0.1, "error_budget_before": 0.1},
		"no_data": nil,
	} {
		for _, locale := range []string{"zh-TW", "en"} {
			golden(t, "section_"+name+"."+locale+".html", only(t, locale, figures(values), section(t, ownSection)))
		}
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	golden(t, "section_formats.en.html", only(t, "en", figures(map[string]float64{
		"n": 1234.5, "count": 3, "share": 0.25, "took": 5025, "took_before": 5000, "since": 1776729600, "size": 3 << 30, "size_before": 1 << 30,
		"bad_age": -1, "done": 9, "left": 1, "parts/a <b>": 5, "parts/b": 3, "parts/c": 1,
	}), section(t, `
name: all
title: All of <them>
figures:
  - {name: n, title: Number}
  - {name: count, title: Count, format: count, strong: true}
  - {name: share, title: Share, format: percent, same_line: true, target: "> 0.255"}
  - {name: took, title: Took, format: duration, target: "<= 5400"}
  - {name: since, title: Since, format: age}
  - {name: bad_age, title: Never, format: age}
  - {name: size, title: Size, format: bytes, target: "< 1073741824"}
  - {name: rate, title: Rate, ratio: {part: done, of: [done, left]}, target: ">= 0.9"}
  - {name: parts, list: {top: 2, rest: true}}
  - {name: missing, list: {top: 2}}
  - {name: gone, title: {zh-TW: 沒有}, target: ">= 1"}
`)))
}
