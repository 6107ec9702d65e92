package render_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/report"
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

// A user's figure needs no template, in any language.
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

// The weekly report reviews the noise of alerts, from the gauges of the set reporter.
func TestNoiseReview(t *testing.T) {
	t.Parallel()
	weekly, err := report.Builtin("weekly")
	if err != nil {
		t.Fatal(err)
	}
	noise := slices.DeleteFunc(weekly.Sections, func(s reporter.Section) bool { return !strings.HasPrefix(s.Name, "noise") })
	figures := func() map[string]reporter.Figure {
		all := figures(map[string]float64{"noise_names": 0, "noise_candidate_total": 0})
		for _, name := range []string{
			"noise_episodes", "noise_candidates", "noise_flaps", "noise_short", "noise_off_hours", "noise_firing", "noise_resolution",
			"noise_resolved", "noise_acknowledged_share", "noise_acknowledgement", "noise_acknowledged",
		} {
			all[name] = reporter.NoData(name, "", time.Time{}, "the query has an empty result")
		}
		return all
	}
	add := func(all map[string]reporter.Figure, figure string, value float64, labels ...string) {
		s := reporter.Sample{Labels: map[string]string{"name": labels[0]}, Value: value}
		if len(labels) > 1 {
			s.Labels["reason"] = labels[1]
		}
		f := all[figure]
		f.Samples = append(f.Samples, s)
		all[figure] = f
	}
	noisy := figures()
	noisy["noise_names"], noisy["noise_candidate_total"] = reporter.Figure{Samples: []reporter.Sample{{Value: 7}}}, reporter.Figure{Samples: []reporter.Sample{{Value: 3}}}
	for n, name := range []string{"HighErrorRate", "Disk <full>", "NodeDown", "C", "D", "E", "F"} {
		add(noisy, "noise_episodes", float64(70-10*n), name)
		add(noisy, "noise_flaps", float64(35-5*n), name)
		add(noisy, "noise_off_hours", float64(20-n), name)
		add(noisy, "noise_firing", float64(86_400+3600*n), name)
		add(noisy, "noise_resolved", float64(69-10*n), name)
		if n != 2 { // of which fewer than three ended
			add(noisy, "noise_short", 0.8, name)
			add(noisy, "noise_resolution", float64(240+n), name)
		}
	}
	add(noisy, "noise_candidates", 0.8, "HighErrorRate", "short")
	add(noisy, "noise_candidates", 0.5, "HighErrorRate", "flapping")
	add(noisy, "noise_candidates", 1, "Disk <full>", "standing")
	add(noisy, "noise_candidates", 0.95, "NodeDown", "off_hours")
	acknowledged := maps.Clone(noisy) // which has them for all names, and the mean where enough were acknowledged
	for n, name := range []string{"HighErrorRate", "Disk <full>", "NodeDown", "C", "D", "E", "F"} {
		add(acknowledged, "noise_acknowledged_share", float64(n)/10, name)
		add(acknowledged, "noise_acknowledged", float64(n), name)
		if n >= reporter.NoiseLeast {
			add(acknowledged, "noise_acknowledgement", float64(60*n), name)
		}
	}
	failed := figures()
	delete(failed, "noise_names")
	delete(failed, "noise_candidate_total")
	for name, all := range map[string]map[string]reporter.Figure{"noisy": noisy, "acknowledged": acknowledged, "quiet": figures(), "failed": failed} {
		for _, locale := range []string{"zh-TW", "en"} {
			golden(t, "noise_"+name+"."+locale+".html", only(t, locale, maps.Clone(all), noise...))
		}
	}
}

// The mean time to acknowledge of a week is the mean of its incidents, not of its days.
func TestMeanTimeToAcknowledge(t *testing.T) {
	t.Parallel()
	weekly, err := report.Builtin("weekly")
	if err != nil {
		t.Fatal(err)
	}
	s := weekly.Sections[0]
	s.Lines = slices.DeleteFunc(s.Lines, func(l reporter.Line) bool { return l.OnlyIf == "" })
	week := func(total, n, never float64) map[string]reporter.Figure {
		return figures(map[string]float64{
			"acknowledged_ever": 5, "acknowledgement_total": total, "incidents_acknowledged": n, "never_acknowledged": never,
		})
	}
	partial := week(5400, 9, 2)
	f := partial["acknowledgement_total"]
	f.Days, f.DaysKnown = 7, 6
	partial["acknowledgement_total"] = f
	for name, tc := range map[string]struct {
		figures map[string]reporter.Figure
		want    string
	}{
		"some":         {week(5400, 9, 2), "Mean time to acknowledge: 10m (n=9)\n  Never acknowledged: 2\n"},
		"none":         {week(0, 0, 11), "Mean time to acknowledge: — (n=0)\n  Never acknowledged: 11\n"},
		"some days":    {partial, "Mean time to acknowledge: 10m (data of 6 of 7 days) (n=9)\n  Never acknowledged: 2\n"},
		"without data": {nil, "Mean time to acknowledge: no data (n=no data)\n  Never acknowledged: no data\n"},
	} {
		if text := only(t, "en", tc.figures, s); !strings.Contains(text, tc.want) {
			t.Errorf("%s: %s", name, text)
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

// Rounding never shows a value as 0, as 100 % or as its target if it is not.
func TestRoundingKeepsWhatAValueIs(t *testing.T) {
	t.Parallel()
	text := only(t, "en", figures(map[string]float64{
		"errors": 0.0004, "errors_before": 0.0014, "availability": 0.99951, "success": 9994, "fault": 6, "latency": 0.35,
		"latency_before": 0.15, "expires": -5400, "size": 1048575, "sum": 0.3, "sum_before": 0.1 + 0.2,
	}), section(t, `
name: all
title: All
figures:
  - {name: errors, title: Errors, target: "<= 0.001"}
  - {name: availability, title: Availability, format: percent, target: ">= 0.9995"}
  - {name: rate, title: Rate, ratio: {part: success, of: [success, fault]}, target: ">= 0.9995"}
  - {name: latency, title: Latency, format: duration, target: "< 0.3"}
  - {name: expires, title: Expires in, format: duration}
  - {name: size, title: Size, format: bytes}
  - {name: sum, title: Sum}
`))
	for _, want := range []string{
		"Errors: 0.0004 (vs. day before ▼ 0.001) target ≤ 0.001 ✅",
		"Availability: 99.951% target ≥ 99.95% ✅",
		"Rate: 99.9% target ≥ 99.95% ⚠️",
		"Latency: 350 ms (vs. day before ▲ 200 ms) target &lt; 300 ms ⚠️",
		"Expires in: -1h 30m\n",
		"Size: 1.0 MiB\n",
		"Sum: 0.3 (vs. day before ± 0)\n",
	} {
		if !strings.Contains(text, "\n  "+want) {
			t.Errorf("misses %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
