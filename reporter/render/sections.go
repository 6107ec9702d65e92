package render

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/awoooi/awoooi-reporter/internal/i18n"
	"github.com/awoooi/awoooi-reporter/reporter"
)

// SectionView is a section of a report.
type SectionView struct {
	Name, Icon, Title string
	Rows              []RowView
}

// RowView is a row of a section: one or more lines side by side, or an item of a list.
type RowView struct {
	Bullet bool // an item of a list
	Lines  []LineView
}

// LineView is a line as text.
type LineView struct {
	Name, Title, Value string
	Unit               string // the counting word after the value, with a space before it
	Beside             string // share and changes in parentheses, with a space before them
	Note               string // age and sample size, with a separator before them
	Target             string // "目標 ≥ 20% ✅"; "" without a target
	Strong             bool
}

// Sections returns the sections of the report.
func (v ReportView) Sections() []SectionView {
	var out []SectionView
	for _, s := range v.Report.Sections {
		view := SectionView{Name: s.Name, Icon: clean(s.Icon), Title: v.wording(s.Title)}
		for _, l := range s.Lines {
			switch {
			case l.List != nil:
				view.Rows = append(view.Rows, v.list(l)...)
			case l.SameLine && len(view.Rows) > 0:
				last := &view.Rows[len(view.Rows)-1]
				last.Lines = append(last.Lines, v.line(l))
			default:
				view.Rows = append(view.Rows, RowView{Lines: []LineView{v.line(l)}})
			}
		}
		out = append(out, view)
	}
	return out
}

// Shows reports whether one of the report's sections has a line of that name.
func (v ReportView) Shows(name string) bool {
	_, ok := v.lineOf(name)
	return ok
}

func (v ReportView) lineOf(name string) (reporter.Line, bool) {
	for _, s := range v.Report.Sections {
		for _, l := range s.Lines {
			if l.Name == name {
				return l, true
			}
		}
	}
	return reporter.Line{}, false
}

// wording returns a builtin word, or the user's text in the report's language.
func (v ReportView) wording(w reporter.Words) string {
	text := w.In(v.words.Locale())
	if w.Text != "" {
		if word, err := v.words.Lookup(w.Text); err == nil {
			return word
		}
	}
	return cut(clean(text), shortMax)
}

func (v ReportView) list(l reporter.Line) []RowView {
	called := map[string]string{}
	for _, value := range l.List.Values {
		called[value.Value] = v.wording(value.Title)
	}
	shares := v.largest(l.Name, l.List.Top, called, func(value float64) string { return v.formatted(l.Format, value) })
	if !l.List.Rest {
		shares = shares[:min(len(shares), l.List.Top)]
	}
	if len(shares) == 0 {
		none := v.words.T("no_data")
		if l.List.Of != "" {
			none = v.NoneOf(l.List.Of)
		}
		return []RowView{{Bullet: true, Lines: []LineView{{Name: l.Name, Value: none}}}}
	}
	var rows []RowView
	for _, s := range shares {
		rows = append(rows, RowView{Bullet: true, Lines: []LineView{{
			Name: l.Name, Title: s.Name, Value: s.Number, Beside: v.besidePart(*l.List, s.labels),
		}}})
	}
	if days := v.partialDays(l.Name); days != "" {
		rows = append(rows, RowView{Lines: []LineView{{Name: l.Name, Value: "(" + days + ")"}}})
	}
	return rows
}

// besidePart writes the values of other figures for a part of a list, in parentheses. A figure without a sample of the part is left
// out.
func (v ReportView) besidePart(l reporter.List, labels map[string]string) string {
	sample := func(figure string) (float64, bool) {
		for _, s := range v.Report.Figure(figure).Samples {
			if labels != nil && maps.Equal(s.Labels, labels) && finite(s.Value) {
				return s.Value, true
			}
		}
		return 0, false
	}
	var parts []string
	for _, w := range l.With {
		value, ok := sample(w.Figure)
		if !ok {
			continue
		}
		text := v.wording(w.Title) + " " + v.formatted(w.Format, value)
		if n, ok := sample(w.SampleSize); ok {
			text += " n=" + i18n.Number(n)
		}
		parts = append(parts, strings.TrimSpace(text))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func (v ReportView) line(l reporter.Line) LineView {
	out := LineView{Name: l.Name, Title: v.wording(l.Title), Strong: l.Strong}
	if l.Ratio != nil {
		v.ratioLine(l, &out)
		return out
	}
	value, ok := v.Report.Figure(l.Name).Value()
	switch {
	case l.SampleSize != "" && v.Zero(l.SampleSize):
		out.Value = notApplicable
	case !ok:
		out.Value = v.words.T("no_data")
	case l.Format == reporter.FormatPercent && l.Target.Op != "":
		out.Value = i18n.Percent(value, l.Target.Value)
	default:
		out.Value = v.formatted(l.Format, value)
	}
	if ok && l.Format == reporter.FormatCount {
		out.Unit = v.words.T("unit")
	}
	if l.ShareOf != "" {
		out.Beside = v.Beside(l.Name, l.ShareOf)
	} else {
		out.Beside = v.Beside(l.Name)
	}
	if l.Oldest != "" {
		if age := v.Age(l.Oldest); age != "" {
			out.Note = v.words.T("oldest", age)
		}
	}
	if l.SampleSize != "" {
		out.Note += " (n=" + v.Number(l.SampleSize) + ")"
	}
	if ok {
		out.Target = v.target(l, value)
	}
	return out
}

// ratioLine fills in the line of a ratio: a percentage, or a mean of seconds where its format is a duration.
func (v ReportView) ratioLine(l reporter.Line, out *LineView) {
	names := append([]string{l.Ratio.Part}, l.Ratio.Of...)
	rate, ok := v.rate(l.Ratio.Part, l.Ratio.Of...)
	switch {
	case ok && l.Format == reporter.FormatDuration:
		out.Value = v.withDays(v.formatted(l.Format, rate), names...)
	case ok && l.Target.Op != "":
		out.Value = v.withDays(i18n.Percent(rate, l.Target.Value), names...)
	default:
		out.Value = v.Rate(l.Ratio.Part, l.Ratio.Of...)
	}
	if l.SampleSize != "" {
		out.Note = " (n=" + v.Number(l.SampleSize) + ")"
	}
	if ok {
		out.Target = v.target(l, rate)
	}
}

// formatted writes a value, or the words for no data if its format cannot show it.
func (v ReportView) formatted(f reporter.Format, value float64) string {
	switch f {
	case reporter.FormatPercent:
		return i18n.Percent(value)
	case reporter.FormatDuration:
		if math.Abs(value) > maxSeconds {
			return v.words.T("no_data")
		}
		return v.words.Precise(time.Duration(math.Round(value * float64(time.Second))))
	case reporter.FormatAge:
		if value < 0 || value > maxSeconds {
			return v.words.T("no_data")
		}
		return v.words.Precise(v.Report.Due.Sub(time.UnixMilli(int64(value * 1000))))
	case reporter.FormatBytes:
		return byteSize(value)
	case reporter.FormatNumber, reporter.FormatCount:
	}
	return i18n.Number(value)
}

// difference writes the size of a change of a figure, which is above 0.
func (v ReportView) difference(name string, size float64) string {
	l, _ := v.lineOf(name)
	switch l.Format {
	case reporter.FormatPercent: // percentage points
		return strings.TrimSuffix(i18n.Percent(size), "%")
	case reporter.FormatDuration, reporter.FormatBytes:
		return v.formatted(l.Format, size)
	case reporter.FormatNumber, reporter.FormatCount, reporter.FormatAge:
	}
	return i18n.Number(size)
}

// target writes the target of a line, and whether the value meets it; "" without a target.
func (v ReportView) target(l reporter.Line, value float64) string {
	if l.Target.Op == "" {
		return ""
	}
	sign := strings.NewReplacer(">=", "≥", "<=", "≤").Replace(l.Target.Op)
	mark := "⚠️"
	if l.Target.Met(value) {
		mark = "✅"
	}
	format := l.Format
	if l.Ratio != nil && format != reporter.FormatDuration {
		format = reporter.FormatPercent
	}
	at := v.formatted(format, l.Target.Value)
	if format == reporter.FormatPercent {
		at = i18n.ExactPercent(l.Target.Value)
	}
	return v.words.T("target", sign+" "+at, mark)
}

// targets counts the lines with a target: those that meet it, those that miss it, and those without data.
func (v ReportView) targets() (met, missed, unknown int) {
	for _, s := range v.Report.Sections {
		for _, l := range s.Lines {
			if l.Target.Op == "" {
				continue
			}
			value, ok := v.Report.Figure(l.Name).Value()
			if l.Ratio != nil {
				value, ok = v.rate(l.Ratio.Part, l.Ratio.Of...)
			}
			switch {
			case !ok:
				unknown++
			case l.Target.Met(value):
				met++
			default:
				missed++
			}
		}
	}
	return met, missed, unknown
}

// byteSize writes a number of bytes with a binary unit.
func byteSize(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	at := 0
	for math.Abs(n) >= 1023.95 && at+1 < len(units) { // which one decimal would show as 1024.0
		n /= 1024
		at++
	}
	if at == 0 {
		return i18n.Number(n) + " B"
	}
	return fmt.Sprintf("%.1f %s", n, units[at])
}
