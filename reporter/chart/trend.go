package chart

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-analyze/charts/chartdraw"
)

// Series holds one value for each of Trend.Days. NaN and infinity mean no data.
type Series struct {
	Name   string
	Values []float64
}

// Trend is a picture of series with one value a day.
type Trend struct {
	Title  string
	Days   []string // labels of the days, the oldest first
	Series []Series // the first MaxSeries are drawn
	NoData string   // words for a day or a series without data; "" leaves them out

	Weekend  []bool // of each day: it is on a weekend, and shaded; nil means none
	Weekends string // name of the shaded days in the legend
}

const (
	// leastDays is the least number of days with data.
	leastDays = 2
	// small is the part of the largest value below which a series is drawn in a second panel.
	small = 1.0 / 5
	// smallHeight is the height of the second panel.
	smallHeight = 270
)

// PNG draws the trend, from 0, with whole numbers on the axis if the values are whole. A day without data is a gap. The value of the last
// day is written next to its point. Series that are small in comparison have a second panel below. The error is ErrNoData if fewer than
// two days have a value, or names a series with a wrong number of values.
func (t Trend) PNG() ([]byte, error) {
	drawn := t.Series[:min(len(t.Series), MaxSeries)]
	lines := make([]line, 0, len(drawn))
	blank := slices.Repeat([]bool{true}, len(t.Days))
	for _, s := range t.Series {
		if len(s.Values) != len(t.Days) {
			return nil, fmt.Errorf("chart: series %.40q has %d values for %d days", s.Name, len(s.Values), len(t.Days))
		}
	}
	for n, s := range drawn {
		l := line{name: s.Name, color: palette[n], dotted: len(t.Days) <= 31}
		gap := true
		for day, v := range s.Values {
			if !known(v) {
				gap = true
				continue
			}
			if gap {
				l.runs, gap = append(l.runs, nil), false
			}
			last := len(l.runs) - 1
			l.runs[last] = append(l.runs[last], point{float64(day), v})
			blank[day] = false
		}
		lines = append(lines, l)
	}
	if len(t.Days)-countTrue(blank) < leastDays {
		return nil, ErrNoData
	}
	p, err := newPen()
	if err != nil {
		return nil, err
	}
	large, low := apart(lines)
	above := t.panel(p, large, blank)
	above.more = len(t.Series) - len(drawn)
	if len(low) == 0 {
		return above.png(p)
	}
	t.Title, t.Weekends = "", ""
	below := t.panel(p, low, blank)
	above.height, below.height = Height-smallHeight, smallHeight
	below.y = below.y.sparse()
	return stacked(p, above, below)
}

func countTrue(all []bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// apart separates lines that are small in comparison with the largest from the others. Lines of zeros stay with the large ones.
func apart(lines []line) (large, low []line) {
	largest := make([]float64, len(lines))
	for n, l := range lines {
		for _, run := range l.runs {
			for _, p := range run {
				largest[n] = math.Max(largest[n], math.Abs(p.y))
			}
		}
	}
	for n, l := range lines {
		if largest[n] > 0 && largest[n] < small*slices.Max(largest) {
			low = append(low, l)
		} else {
			large = append(large, l)
		}
	}
	return large, low
}

// panel returns the picture of some of the lines.
func (t Trend) panel(p *pen, lines []line, blank []bool) picture {
	values, whole, _ := bounds(lines)
	last := float64(len(t.Days) - 1)
	pic := picture{
		title: t.Title, noData: t.NoData,
		// Half a day at each end gives every day a column.
		x:     span{-0.5, last + 0.5},
		y:     newScale(values.include(0), whole),
		lines: lines,
		strip: 14,
	}
	if slices.Contains(t.Weekend, true) {
		pic.band = t.Weekends
	}
	pic.xTicks = t.dayTicks(p)
	pic.under = []painter{func(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
		for day, weekend := range t.Weekend {
			if weekend {
				left, _ := at(float64(day)-0.5, 0)
				right, _ := at(float64(day)+0.5, 0)
				p.fill(left, area.Top, right, area.Bottom, rest)
			}
		}
		for day, empty := range blank {
			if empty {
				t.blankDay(p, area, at, float64(day))
			}
		}
	}}
	ends, width := lastValues(p, lines, last)
	// The last column has half its width right of the point.
	column := (Width - 2*margin - 100) / len(t.Days)
	pic.right = max(0, width+dotRadius+10-column/2)
	pic.under = append(pic.under, func(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
		for i, y := range spread(ends, area, at) {
			x, _ := at(last, 0)
			p.text(ends[i].text, x+dotRadius+10, y+labelSize*3/8, labelSize, lines[ends[i].series].color)
		}
	})
	return pic
}

// dayTicks returns the labels of the days. It omits those that would overlap, but not that of the last day.
func (t Trend) dayTicks(p *pen) []chartdraw.Tick {
	labels := make([]string, len(t.Days))
	widest := 1
	for i, day := range t.Days {
		labels[i] = p.cut(day, labelSize, Width/5)
		widest = max(widest, p.width(labels[i], labelSize))
	}
	most := max(1, (Width-2*margin-150)/(widest+16))
	stride := (len(labels) + most - 1) / most
	var ticks []chartdraw.Tick
	for i := (len(labels) - 1) % stride; i < len(labels); i += stride {
		ticks = append(ticks, chartdraw.Tick{Value: float64(i), Label: labels[i]})
	}
	return ticks
}

// blankDay shades a day without data, with words if they fit.
func (t Trend) blankDay(p *pen, area chartdraw.Box, at func(x, y float64) (int, int), day float64) {
	left, _ := at(day-0.5, 0)
	right, _ := at(day+0.5, 0)
	p.fill(left, area.Top, right, area.Bottom, hole)
	words := p.cut(t.NoData, labelSize, Width)
	if width := p.width(words, labelSize); width > 0 && width <= right-left {
		p.text(words, (left+right-width)/2, (area.Top+area.Bottom+labelSize)/2, labelSize, muted)
	}
}

// ending is the value of the last day of a series.
type ending struct {
	series int
	value  float64
	text   string
}

// lastValues returns the labels of the last day's values, the highest value first, and the width of the widest.
func lastValues(p *pen, lines []line, last float64) ([]ending, int) {
	var ends []ending
	width := 0
	for i, l := range lines {
		if l.empty() {
			continue
		}
		run := l.runs[len(l.runs)-1]
		if end := run[len(run)-1]; end.x == last {
			ends = append(ends, ending{i, end.y, number(end.y)})
			width = max(width, p.width(number(end.y), labelSize))
		}
	}
	slices.SortStableFunc(ends, func(a, b ending) int {
		switch {
		case a.value > b.value:
			return -1
		case a.value < b.value:
			return 1
		}
		return 0
	})
	return ends, width
}

// spread returns the vertical position of each label: that of its point, moved so that labels do not overlap.
func spread(ends []ending, area chartdraw.Box, at func(x, y float64) (int, int)) []int {
	const apart = labelSize + 2
	ys := make([]int, len(ends))
	top := math.MinInt32
	for i, e := range ends {
		_, y := at(0, e.value)
		ys[i] = max(y, top+apart)
		top = ys[i]
	}
	bottom := area.Bottom + apart
	for i := len(ys) - 1; i >= 0; i-- {
		ys[i] = min(ys[i], bottom-apart)
		bottom = ys[i]
	}
	return ys
}
