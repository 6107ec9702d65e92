package chart

import (
	"math"
	"strconv"
	"time"

	"github.com/go-analyze/charts/chartdraw"
)

// span is a closed range of values.
type span struct{ min, max float64 }

func (s span) include(v float64) span { return span{math.Min(s.min, v), math.Max(s.max, v)} }

// scale is a vertical axis. Its ends are ticks.
type scale struct {
	span
	step  float64
	every int // number of steps between ticks; 0 means 1
}

// yTicksWanted is the approximate number of steps of a vertical axis.
const yTicksWanted = 5

// newScale returns an axis for a range of values, with steps of 1, 2 or 5 times a power of ten. With whole, steps are whole numbers, as
// for counts.
func newScale(values span, whole bool) scale {
	if values.max-values.min < 1/drawable {
		values.max = values.min + 1
	}
	rough := (values.max - values.min) / yTicksWanted
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step := 10 * power
	for _, n := range []float64{1, 2, 5} {
		if n*power >= rough*(1-1e-9) {
			step = n * power
			break
		}
	}
	if whole {
		step = math.Max(step, 1)
	}
	return scale{span: span{math.Floor(values.min/step+1e-9) * step, math.Ceil(values.max/step-1e-9) * step}, step: step}
}

// steps returns the number of steps.
func (s scale) steps() int { return int(math.Round((s.max - s.min) / s.step)) }

// sparse returns the axis with ticks at its ends, and in the middle if a step ends there. The labels of more ticks would overlap in a
// low picture.
func (s scale) sparse() scale {
	if s.every = s.steps(); s.every%2 == 0 {
		s.every /= 2
	}
	return s
}

// fromZero extends the range to 0, unless the curve would be a flat line then: unless the values differ by less than a fifth of their
// size, but enough for different labels.
func fromZero(values span) span {
	size := math.Max(math.Abs(values.min), math.Abs(values.max))
	apart := (values.max - values.min) / size
	if values.min*values.max > 0 && apart > 1e-3 && apart < 0.2 {
		return values
	}
	return values.include(0)
}

func (s scale) ticks() []chartdraw.Tick {
	var ticks []chartdraw.Tick
	for i := 0; i <= s.steps(); i += max(1, s.every) {
		v := s.min + float64(i)*s.step
		if math.Abs(v) < s.step/1e6 {
			v = 0 // not exact by floating point
		}
		ticks = append(ticks, chartdraw.Tick{Value: v, Label: s.label(v)})
	}
	return ticks
}

// label writes a value with the digits that the step needs, in thousands, millions and so on if the axis is that large.
func (s scale) label(v float64) string {
	size := math.Max(math.Abs(s.min), math.Abs(s.max))
	if size >= 1e15 || size != 0 && size < 1e-3 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	unit, suffix := 1.0, ""
	for _, u := range []struct {
		from, unit float64
		suffix     string
	}{{1e12, 1e12, "T"}, {1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}} {
		if size >= u.from {
			unit, suffix = u.unit, u.suffix
			break
		}
	}
	digits := 0
	if s.step > 0 {
		digits = int(math.Max(0, math.Min(6, -math.Floor(math.Log10(s.step/unit)+1e-9))))
	}
	if v == 0 {
		return "0"
	}
	return strconv.FormatFloat(v/unit, 'f', digits, 64) + suffix
}

// xRange is a horizontal axis whose ends need not be ticks.
type xRange struct {
	chartdraw.ContinuousRange
	ticks []chartdraw.Tick
}

// GetTicks implements the library's interface.
func (r *xRange) GetTicks(chartdraw.ValueFormatter) []chartdraw.Tick { return r.ticks }

func gridLines(ticks []chartdraw.Tick, style chartdraw.Style) []chartdraw.GridLine {
	var lines []chartdraw.GridLine
	for _, t := range ticks {
		lines = append(lines, chartdraw.GridLine{Value: t.Value, Style: style})
	}
	return lines
}

// maxTimeTicks is the most labels of five characters that fit below the horizontal axis.
const maxTimeTicks = 8

// timeSteps are the distances between ticks that people expect on an axis of time.
var timeSteps = []time.Duration{
	time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour,
}

// timeTicks returns ticks at the round times of the zone from start to end, in seconds after start. Midnight has the date as its label.
func timeTicks(start, end time.Time, zone *time.Location) []chartdraw.Tick {
	length := end.Sub(start)
	step := time.Duration(0)
	for _, step = range timeSteps {
		if length/step < maxTimeTicks {
			break
		}
	}
	for length/step >= maxTimeTicks {
		step *= 2
	}
	// Times are rounded by the zone's clock, so that a zone with +05:30 has ticks at full hours too.
	_, offset := start.In(zone).Zone()
	shift := time.Duration(offset) * time.Second
	var ticks []chartdraw.Tick
	for t := start.Add(shift).Truncate(step).Add(-shift); !t.After(end); t = t.Add(step) {
		if t.Before(start) {
			continue
		}
		local, layout := t.In(zone), "15:04"
		switch {
		case step >= 24*time.Hour, step >= time.Minute && local.Hour() == 0 && local.Minute() == 0:
			layout = "01-02"
		case step < time.Minute:
			layout = "15:04:05"
		}
		ticks = append(ticks, chartdraw.Tick{Value: t.Sub(start).Seconds(), Label: local.Format(layout)})
	}
	return ticks
}
