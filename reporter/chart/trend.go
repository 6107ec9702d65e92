package chart

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-analyze/charts/chartdraw"
)

// Series is one value a day, in the order of Trend.Days. NaN is no data; so is infinity, which has no place on an axis.
type Series struct {
	Name   string
	Values []float64
}

// Trend is a picture of one value a day for each series.
type Trend struct {
	Title  string
	Days   []string // Labels of the days, the oldest first.
	Series []Series // The first MaxSeries are drawn.
	NoData string   // Words for a day or a series without any data, e.g. 無資料; empty leaves them out.
}

// PNG draws the trend, from 0 and in whole numbers where the values are whole. A day without data is a gap. The value of
// the last day is written beside its point. The error is ErrNoData where no series has any value, or says which series
// has not as many values as there are days.
func (t Trend) PNG() ([]byte, error) {
	drawn := t.Series[:min(len(t.Series), MaxSeries)]
	lines := make([]line, 0, len(drawn))
	blank := slices.Repeat([]bool{true}, len(t.Days))
	for _, s := range t.Series {
		if len(s.Values) != len(t.Days) {
			return nil, fmt.Errorf("chart: series %.40q has %d values for %d days", s.Name, len(s.Values), len(t.Days))
		}
	}
	for _, s := range drawn {
		l := line{name: s.Name, dotted: true}
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
	values, whole, ok := bounds(lines)
	if !ok {
		return nil, ErrNoData
	}
	p, err := newPen()
	if err != nil {
		return nil, err
	}
	last := float64(len(t.Days) - 1)
	pic := picture{
		title: t.Title, noData: t.NoData,
		// Half a day at each end gives every day a column of its own, a single one too.
		x:     span{-0.5, last + 0.5},
		y:     newScale(values.include(0), whole),
		lines: lines,
		more:  len(t.Series) - len(drawn),
		strip: 14,
	}
	if len(t.Days) > 31 {
		for i := range lines {
			lines[i].dotted = false
		}
	}
	pic.xTicks = t.dayTicks(p)
	pic.under = []painter{func(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
		for day, empty := range blank {
			if empty {
				t.blankDay(p, area, at, float64(day))
			}
		}
	}}
	ends, width := lastValues(p, lines, last)
	// Half a column is there anyhow.
	column := (Width - 2*margin - 100) / len(t.Days)
	pic.right = max(0, width+dotRadius+10-column/2)
	pic.under = append(pic.under, func(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
		for i, y := range spread(ends, area, at) {
			x, _ := at(last, 0)
			p.text(ends[i].text, x+dotRadius+10, y+labelSize*3/8, labelSize, palette[ends[i].series])
		}
	})
	return pic.png(p)
}

// dayTicks leaves labels out where they would touch, never that of the last day.
func (t Trend) dayTicks(p *pen) []chartdraw.Tick {
	labels := make([]string, len(t.Days))
	widest := 1
	for i, day := range t.Days {
		labels[i] = p.cut(day, labelSize, Width/5)
		widest = max(widest, p.width(labels[i], labelSize))
	}
	room := max(1, (Width-2*margin-150)/(widest+16))
	stride := (len(labels) + room - 1) / room
	var ticks []chartdraw.Tick
	for i := (len(labels) - 1) % stride; i < len(labels); i += stride {
		ticks = append(ticks, chartdraw.Tick{Value: float64(i), Label: labels[i]})
	}
	return ticks
}

// blankDay shades a day of which nothing is known, and says so if there is room.
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

// lastValues are the labels of the last day's values, the highest value first, and the width of the widest.
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

// spread gives each label the height of its point, or as near as the labels beside it leave room.
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
