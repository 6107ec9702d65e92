package chart

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-analyze/charts/chartdraw"
)

// Point is a sample. A V of NaN or infinity means no data.
type Point struct {
	T time.Time
	V float64
}

// TimeSeries holds samples in any order.
type TimeSeries struct {
	Name   string
	Points []Point
}

// Incident is the incident of a window. Its time is shaded. A zero Start means none, a zero End that it has not ended.
type Incident struct {
	Start, End           time.Time
	StartLabel, EndLabel string // above the marks; "" leaves them out
}

// Threshold is a horizontal line.
type Threshold struct {
	Value float64
	Label string // on the line; "" leaves it out
}

// Window is a picture of series over time.
type Window struct {
	Title      string
	Start, End time.Time      // samples outside are not drawn
	Zone       *time.Location // of the labels; nil means UTC
	Step       time.Duration  // of the range query; 0 means the least distance of samples. A distance above 1.5 steps is a gap
	Unit       string         // above the vertical axis
	Series     []TimeSeries   // the first MaxSeries are drawn
	Incident   Incident
	Threshold  *Threshold
	NoData     string // words for a series without data; "" leaves them out
}

// maxUnit is the most width of the unit in pixels.
const maxUnit = 160

// PNG draws the window. The vertical axis starts at 0, unless the values differ little in comparison with their size. The error is
// ErrNoData if no series has a value between Start and End, or says that End is not after Start.
func (w Window) PNG() ([]byte, error) { return Windows(w) }

// Windows draws windows of the same time below each other, with aligned axes of time. Windows without data are left out. The error is
// ErrNoData if all are.
func Windows(all ...Window) ([]byte, error) {
	p, err := newPen()
	if err != nil {
		return nil, err
	}
	var drawn []picture
	for _, w := range all {
		pic, err := w.picture(p)
		if errors.Is(err, ErrNoData) {
			continue
		}
		if err != nil {
			return nil, err
		}
		drawn = append(drawn, pic)
	}
	if len(drawn) == 0 {
		return nil, ErrNoData
	}
	return stacked(p, drawn...)
}

// stacked draws pictures below each other, with aligned plot areas. The position of a plot area depends on its labels, so each picture is
// drawn once to find it.
func stacked(p *pen, all ...picture) ([]byte, error) {
	if len(all) == 1 {
		return all[0].png(p)
	}
	areas := make([]chartdraw.Box, len(all))
	left, right := 0, Width
	for n, pic := range all {
		_, area, err := pic.draw(p)
		if err != nil {
			return nil, err
		}
		areas[n] = area
		left, right = max(left, area.Left), min(right, area.Right)
	}
	var out [][]byte
	for n, pic := range all {
		pic.left, pic.right = pic.left+left-areas[n].Left, pic.right+areas[n].Right-right
		b, err := pic.png(p)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return stack(out...)
}

func (w Window) picture(p *pen) (picture, error) {
	if !w.End.After(w.Start) {
		return picture{}, fmt.Errorf("chart: window ends at %s, not after its start", w.End.UTC().Format(time.RFC3339))
	}
	if w.Zone == nil {
		w.Zone = time.UTC
	}
	drawn := w.Series[:min(len(w.Series), MaxSeries)]
	lines := w.lines(drawn)
	values, whole, ok := bounds(lines)
	if !ok {
		return picture{}, ErrNoData
	}
	threshold := w.Threshold != nil && known(w.Threshold.Value)
	if threshold {
		values = values.include(w.Threshold.Value)
	}
	pic := picture{
		title: w.Title, noData: w.NoData,
		unit:    p.cut(w.Unit, labelSize, maxUnit),
		caption: w.caption(),
		x:       span{0, w.End.Sub(w.Start).Seconds()},
		xTicks:  timeTicks(w.Start, w.End, w.Zone),
		y:       newScale(fromZero(values), whole),
		lines:   lines,
		more:    len(w.Series) - len(drawn),
		strip:   labelSize + 18,
		right:   20,
	}
	if !w.Incident.Start.IsZero() {
		pic.under = append(pic.under, w.incident)
	}
	if threshold {
		pic.under = append(pic.under, w.threshold)
	}
	return pic, nil
}

// lines returns the runs of the series between Start and End, in seconds after Start.
func (w Window) lines(drawn []TimeSeries) []line {
	kept := make([][]Point, len(drawn))
	step := w.Step
	for i, s := range drawn {
		points := make([]Point, 0, len(s.Points))
		for _, p := range s.Points {
			if !p.T.Before(w.Start) && !p.T.After(w.End) {
				points = append(points, p)
			}
		}
		slices.SortStableFunc(points, func(a, b Point) int { return a.T.Compare(b.T) })
		for j := 1; w.Step <= 0 && j < len(points); j++ {
			if d := points[j].T.Sub(points[j-1].T); d > 0 && (step <= 0 || d < step) {
				step = d
			}
		}
		kept[i] = points
	}
	lines := make([]line, len(drawn))
	for i, points := range kept {
		l := line{name: drawn[i].Name, color: palette[i]}
		gap := true
		var before time.Time
		for _, p := range points {
			if !known(p.V) {
				gap = true
				continue
			}
			if gap || float64(p.T.Sub(before)) > 1.5*float64(step) {
				l.runs, gap = append(l.runs, nil), false
			}
			last := len(l.runs) - 1
			l.runs[last] = append(l.runs[last], point{p.T.Sub(w.Start).Seconds(), p.V})
			before = p.T
		}
		lines[i] = l
	}
	return lines
}

// caption returns the dates and the UTC offset of the times below the axis.
func (w Window) caption() string {
	start, end := w.Start.In(w.Zone), w.End.In(w.Zone)
	days := start.Format(time.DateOnly)
	if last := end.Format(time.DateOnly); last != days {
		days += " – " + last
	}
	return days + " (UTC" + end.Format("-07:00") + ")"
}

// incident shades the time of the incident and marks its start and end, where they are in the window.
func (w Window) incident(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
	whole := w.End.Sub(w.Start).Seconds()
	from, to := w.Incident.Start.Sub(w.Start).Seconds(), math.Inf(1)
	if !w.Incident.End.IsZero() {
		to = w.Incident.End.Sub(w.Start).Seconds()
	}
	if from > whole || to < 0 || to < from {
		return
	}
	left, _ := at(math.Max(from, 0), 0)
	right, _ := at(math.Min(to, whole), 0)
	p.fill(left, area.Top, max(right, left+1), area.Bottom, shade)
	// The labels are outside of the shade, or inside if the picture ends there.
	base := area.Top - 20
	taken := max(area.Left, margin+p.width(p.cut(w.Unit, labelSize, maxUnit), labelSize)+20)
	endLabel := p.cut(w.Incident.EndLabel, labelSize, Width/3)
	endX := min(right-10, Width-margin-p.width(endLabel, labelSize))
	if from >= 0 {
		p.rule(left, area.Top-10, left, area.Bottom, alarm, 3, []float64{10, 6})
		label := p.cut(w.Incident.StartLabel, labelSize, Width/3)
		x := left - p.width(label, labelSize)/2
		if to <= whole {
			// Leaves space for the label of an end at the right border of the picture.
			x = min(left+10, endX-20) - p.width(label, labelSize)
		}
		x = max(x, taken)
		p.text(label, x, base, labelSize, alarm)
		taken = x + p.width(label, labelSize) + 20
	}
	if to <= whole {
		p.rule(right, area.Top-10, right, area.Bottom, alarm, 3, []float64{10, 6})
		x := max(taken, endX)
		p.text(p.cut(endLabel, labelSize, Width-x), x, base, labelSize, alarm)
	}
}

// threshold draws the line, with its label at the left.
func (w Window) threshold(p *pen, area chartdraw.Box, at func(x, y float64) (int, int)) {
	_, y := at(0, w.Threshold.Value)
	p.rule(area.Left, y, area.Right, y, alarm, 3, []float64{4, 8})
	label := p.cut(w.Threshold.Label, labelSize, area.Width()/2)
	base := y - 10
	if base-labelSize < area.Top {
		base = y + labelSize + 4
	}
	p.text(label, area.Left+12, base, labelSize, alarm)
}
