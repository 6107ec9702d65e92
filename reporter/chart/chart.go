// Package chart draws pictures: values by day or by time come in, a PNG goes out.
//
// Every picture is Width by Height pixels on white, has the same bytes for the same input, and a gap where there is no data. The font
// is parsed at the first picture, in place in the binary's read-only pages.
package chart

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"strconv"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
	"github.com/golang/freetype/raster"
	"golang.org/x/image/math/fixed"
)

// The size of every picture in pixels. Telegram shows photos up to 1,280 pixels wide unscaled.
const (
	Width  = 1200
	Height = 720
)

// MaxSeries is the most series in one picture, and the number of colours that people can distinguish. The legend shows the number of
// the others as "+n".
const MaxSeries = 7

// ErrNoData means that no series has a value that can be drawn.
var ErrNoData = errors.New("chart: no data")

// Font sizes and distances in pixels. The smallest text is readable on a phone, which shows the picture at about a third of its width.
const (
	titleSize  = 40
	labelSize  = 28
	margin     = 28
	lineWidth  = 5
	dotRadius  = 8
	legendStep = labelSize + 16
)

// drawable is the largest magnitude that is drawn. The difference of two larger values may be infinite.
const drawable = 1e300

var (
	ink   = drawing.Color{R: 0x22, G: 0x22, B: 0x22, A: 0xff}
	muted = drawing.Color{R: 0x66, G: 0x66, B: 0x66, A: 0xff}
	grid  = drawing.Color{R: 0xe2, G: 0xe2, B: 0xe2, A: 0xff}
	hole  = drawing.Color{R: 0xf1, G: 0xf1, B: 0xf1, A: 0xff}
	alarm = drawing.Color{R: 0xb2, G: 0x18, B: 0x2b, A: 0xff}
	shade = drawing.Color{R: 0xb2, G: 0x18, B: 0x2b, A: 0x1c}
	rest  = drawing.Color{R: 0xdc, G: 0xe8, B: 0xf5, A: 0xff}
)

// palette is the palette of Okabe and Ito, which people with any colour vision can distinguish, without its yellow (unreadable on
// white). Blue, green and vermilion come first, because reports show a total, successes and failures in that order.
var palette = [MaxSeries]drawing.Color{
	{R: 0x00, G: 0x72, B: 0xb2, A: 0xff},
	{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
	{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
	{R: 0x33, G: 0x33, B: 0x33, A: 0xff},
	{R: 0xe6, G: 0x9f, B: 0x00, A: 0xff},
	{R: 0x56, G: 0xb4, B: 0xe9, A: 0xff},
}

// point is a place in a picture, in the units of its axes.
type point struct{ x, y float64 }

// line is one series.
type line struct {
	name   string
	color  drawing.Color
	runs   [][]point // consecutive known values, with a gap between two runs
	dotted bool      // with a dot on every value, instead of only on runs of one value
}

func (l line) empty() bool { return len(l.runs) == 0 }

// painter draws on the plot area. at converts a point in units of the axes to a pixel.
type painter func(p *pen, area chartdraw.Box, at func(x, y float64) (int, int))

// picture is a chart with its layout. Trend and Window are drawn as pictures.
type picture struct {
	title   string
	noData  string // words for a series without values
	unit    string
	caption string
	x       span
	xTicks  []chartdraw.Tick
	y       scale
	lines   []line
	more    int       // number of series that are not drawn
	strip   int       // height kept free above the plot area
	left    int       // width kept free left of the vertical axis
	right   int       // width kept free right of the plot area
	under   []painter // draw below the lines
	height  int       // 0 means Height
	band    string    // name of shaded columns in the legend; "" leaves them out
}

// known reports whether a value can be drawn. NaN means no data, and infinity has no place on an axis.
func known(v float64) bool { return math.Abs(v) <= drawable }

// bounds returns the range of all values, whether all are whole numbers, and whether there are any.
func bounds(lines []line) (s span, whole, ok bool) {
	s, whole = span{math.Inf(1), math.Inf(-1)}, true
	for _, l := range lines {
		for _, run := range l.runs {
			for _, p := range run {
				s = s.include(p.y)
				whole = whole && p.y == math.Trunc(p.y)
				ok = true
			}
		}
	}
	return s, whole, ok
}

// png draws the picture.
func (pic picture) png(p *pen) ([]byte, error) {
	img, _, err := pic.draw(p)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := png.Encode(&out, paletted(img)); err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	return out.Bytes(), nil
}

// draw returns the picture, and where its plot area is.
func (pic picture) draw(p *pen) (*image.RGBA, chartdraw.Box, error) {
	rows := p.legend(pic)
	top := margin
	if pic.title != "" {
		top += titleSize + 16
	}
	top += len(rows)*legendStep + 14 + pic.strip

	x := &xRange{ContinuousRange: chartdraw.ContinuousRange{Min: pic.x.min, Max: pic.x.max}, ticks: pic.xTicks}
	y := &chartdraw.ContinuousRange{Min: pic.y.min, Max: pic.y.max}
	text := chartdraw.Style{
		FontStyle:   chartdraw.FontStyle{Font: p.font, FontSize: labelSize, FontColor: muted},
		StrokeColor: grid, StrokeWidth: 1,
	}
	rule := chartdraw.Style{StrokeColor: grid, StrokeWidth: 2}
	yTicks := pic.y.ticks()
	c := chartdraw.Chart{
		Width: Width, Height: cmp.Or(pic.height, Height), DPI: dpi, Font: p.font,
		Background: chartdraw.Style{FillColor: drawing.ColorWhite, Padding: chartdraw.Box{
			Top: top, Left: margin + pic.left, Right: margin + pic.right, Bottom: margin, IsSet: true,
		}},
		Canvas: chartdraw.Style{FillColor: drawing.ColorWhite},
		XAxis: chartdraw.XAxis{
			Style: text, Range: x, GridMajorStyle: chartdraw.Hidden(), GridMinorStyle: chartdraw.Hidden(),
			Name: pic.caption, NameStyle: text,
		},
		// The library's primary axis is on the right. It is hidden, but the library requires its range.
		YAxis: chartdraw.YAxis{Style: chartdraw.Hidden(), Range: y},
		YAxisSecondary: chartdraw.YAxis{
			Style: text, Range: y, Ticks: yTicks, GridMajorStyle: rule, GridLines: gridLines(yTicks, rule),
		},
	}
	var area chartdraw.Box // the plot area, set when the library has placed the axes
	at := func(vx, vy float64) (int, int) { return area.Left + x.Translate(vx), area.Bottom - y.Translate(vy) }
	c.Series = []chartdraw.Series{layer{func(r chartdraw.Renderer, box chartdraw.Box) {
		area = box
		p := &pen{Renderer: r, font: p.font}
		for _, paint := range pic.under {
			paint(p, area, at)
		}
		pic.frame(p, area, at, rows)
	}}}
	var drawn canvas
	if err := c.Render(chartdraw.PNG, &drawn); err != nil {
		return nil, area, fmt.Errorf("chart: %w", err)
	}
	// The first series is the most important one, so it is drawn last, above the others.
	for i := len(pic.lines) - 1; i >= 0; i-- {
		pic.lines[i].stroke(drawn.img, pic.lines[i].color, func(v point) fixed.Point26_6 {
			return fixed.Point26_6{
				X: fixed.I(area.Left) + fixed.Int26_6((v.x-pic.x.min)/(pic.x.max-pic.x.min)*float64(area.Width()*64)),
				Y: fixed.I(area.Bottom) - fixed.Int26_6((v.y-pic.y.min)/(pic.y.max-pic.y.min)*float64(area.Height()*64)),
			}
		})
	}
	return drawn.img, area, nil
}

// frame draws the zero line, the title, the legend and the unit.
func (pic picture) frame(p *pen, area chartdraw.Box, at func(x, y float64) (int, int), rows [][]entry) {
	if pic.y.min <= 0 && pic.y.max >= 0 {
		_, zero := at(pic.x.min, 0)
		p.rule(area.Left, zero, area.Right, zero, muted, 2, nil)
	}
	y := margin
	if pic.title != "" {
		y += titleSize
		p.text(p.cut(pic.title, titleSize, Width-2*margin), margin, y-4, titleSize, ink)
		y += 16
	}
	for _, row := range rows {
		for _, e := range row {
			p.entry(e, y)
		}
		y += legendStep
	}
	if pic.unit != "" && pic.strip > 0 {
		p.text(pic.unit, margin, area.Top-20, labelSize, muted)
	}
}

// stroke draws the runs onto the picture with subpixel precision. The library draws its series at whole pixels, so that gentle slopes
// become stairs.
func (l line) stroke(img *image.RGBA, color drawing.Color, at func(p point) fixed.Point26_6) {
	r := raster.NewRasterizer(img.Rect.Dx(), img.Rect.Dy())
	r.UseNonZeroWinding = true
	painter := raster.NewRGBAPainter(img)
	painter.SetColor(color)
	draw := func(width int, points ...point) {
		var path raster.Path
		path.Start(at(points[0]))
		for _, p := range points[1:] {
			path.Add1(at(p))
		}
		if len(points) == 1 {
			path.Add1(at(points[0]).Add(fixed.Point26_6{X: 1})) // the caps of a line without length make a dot
		}
		r.AddStroke(path, fixed.I(width), raster.RoundCapper, raster.RoundJoiner)
		r.Rasterize(painter)
		r.Clear()
	}
	for _, run := range l.runs {
		if len(run) == 1 {
			draw(2*lineWidth, run...)
		}
		// The rasterizer's time is quadratic in the segments that cross one row of pixels, so long runs are drawn in pieces.
		const piece = 32
		for first := 0; first < len(run)-1; first += piece {
			draw(lineWidth, run[first:min(first+piece+1, len(run))]...)
		}
		for _, p := range run {
			if l.dotted {
				draw(2*dotRadius, p)
			}
		}
	}
}

// canvas receives the library's picture before it is encoded.
type canvas struct{ img *image.RGBA }

// SetRGBA implements the library's interface.
func (c *canvas) SetRGBA(img *image.RGBA) { c.img = img }

// Write would be called by renderers that encode pictures themselves, which this package does not use.
func (c *canvas) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// layer is a series of the library without values, which draws on the plot area.
type layer struct {
	draw func(r chartdraw.Renderer, area chartdraw.Box)
}

func (layer) GetName() string               { return "" }
func (layer) GetYAxis() chartdraw.YAxisType { return chartdraw.YAxisSecondary }
func (layer) GetStyle() chartdraw.Style     { return chartdraw.Style{} }
func (layer) Validate() error               { return nil }
func (l layer) Render(r chartdraw.Renderer, area chartdraw.Box, _, _ chartdraw.Range, _ chartdraw.Style) {
	l.draw(r, area)
}

// number writes a value for a label: whole numbers below a million in full, others in three digits with a unit.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return scale{span: span{v, v}, step: math.Abs(v) / 100}.label(v)
}
