package chart

import (
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
	"github.com/golang/freetype/truetype"
)

// dpi makes one point of the library one pixel.
const dpi = 72

// maxRunes is the most characters of a text that are measured. More do not fit into a picture.
const maxRunes = 200

// pen measures and draws text and rules with the embedded font.
type pen struct {
	chartdraw.Renderer
	font *truetype.Font
}

// newPen makes a pen that measures text. It draws on nothing.
func newPen() (*pen, error) {
	font, err := loadFont()
	if err != nil {
		return nil, err
	}
	r := chartdraw.PNG(1, 1)
	r.SetDPI(dpi)
	return &pen{Renderer: r, font: font}, nil
}

func (p *pen) width(s string, size float64) int {
	p.SetFont(p.font)
	p.SetFontSize(size)
	return p.MeasureText(s).Width()
}

// text draws a text that starts at x on the baseline y.
func (p *pen) text(s string, x, y int, size float64, color drawing.Color) {
	p.SetFont(p.font)
	p.SetFontSize(size)
	p.SetFontColor(color)
	p.Text(s, x, y)
}

func (p *pen) rule(x0, y0, x1, y1 int, color drawing.Color, width float64, dash []float64) {
	p.SetStrokeColor(color)
	p.SetStrokeWidth(width)
	p.SetStrokeDashArray(dash)
	p.MoveTo(x0, y0)
	p.LineTo(x1, y1)
	p.Stroke()
}

func (p *pen) fill(left, top, right, bottom int, color drawing.Color) {
	p.SetFillColor(color)
	p.MoveTo(left, top)
	p.LineTo(right, top)
	p.LineTo(right, bottom)
	p.LineTo(left, bottom)
	p.Close()
	p.Fill()
}

// cut shortens a text to one line of at most width pixels, with "…" at its end.
func (p *pen) cut(s string, size float64, width int) string {
	s = oneLine(s)
	if p.width(s, size) <= width {
		return s
	}
	runes := []rune(s)
	n := sort.Search(len(runes), func(n int) bool { return p.width(string(runes[:n+1])+"…", size) > width })
	return strings.TrimRight(string(runes[:n]), " ") + "…"
}

// oneLine returns a text with spaces for control characters, and without invisible characters for text shaping (joiners, directions,
// variation selectors).
func oneLine(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == maxRunes {
			b.WriteRune('…')
			break
		}
		switch {
		case unicode.IsControl(r), unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
			r = ' '
		case unicode.In(r, unicode.Cf, unicode.Variation_Selector):
			continue
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// entry is one entry of the legend.
type entry struct {
	x     int // pixels from the left
	text  string
	note  string // after the text, in grey
	noteX int
	color drawing.Color
	bare  bool // without a swatch
	block bool // the swatch is a block, for shaded columns
}

const swatch = 34

// legend arranges the names of the series in rows. With three or more series, a name has at most a third of the width, so there are at
// most three rows.
func (p *pen) legend(pic picture) [][]entry {
	const gap = 30
	if len(pic.lines) == 1 && pic.more == 0 && pic.band == "" && oneLine(pic.lines[0].name) == "" {
		return nil // the title names the only series
	}
	var all []entry
	for _, l := range pic.lines {
		e := entry{color: l.color}
		space := (Width-2*margin)/min(len(pic.lines), 3) - gap - swatch
		noteWidth := 0
		if l.empty() && pic.noData != "" {
			e.note = p.cut(pic.noData, labelSize, space/2)
			noteWidth = p.width(e.note, labelSize) + 10
		}
		e.text = p.cut(l.name, labelSize, space-noteWidth)
		all = append(all, e)
	}
	if pic.more > 0 {
		all = append(all, entry{text: "+" + strconv.Itoa(pic.more), color: muted, bare: true})
	}
	if pic.band != "" {
		all = append(all, entry{text: p.cut(pic.band, labelSize, Width/4), color: rest, block: true})
	}
	var rows [][]entry
	x := Width
	for _, e := range all {
		width := p.width(e.text, labelSize)
		e.noteX = width + 10
		if e.note != "" {
			width = e.noteX + p.width(e.note, labelSize)
		}
		if !e.bare {
			width += swatch
		}
		if x+width > Width-margin {
			rows, x = append(rows, nil), margin
		}
		e.x = x
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		x += width + gap
	}
	return rows
}

// entry draws one entry of the legend in the row with its top at y.
func (p *pen) entry(e entry, y int) {
	base := y + labelSize
	x := e.x
	if !e.bare {
		middle := base - labelSize*3/8
		if e.block {
			p.fill(x, middle-labelSize/2, x+swatch-10, middle+labelSize/2, e.color)
		} else {
			p.rule(x, middle, x+swatch-10, middle, e.color, lineWidth+3, nil)
		}
		x += swatch
	}
	color := ink
	if e.bare {
		color = muted
	}
	p.text(e.text, x, base, labelSize, color)
	p.text(e.note, x+e.noteX, base, labelSize, muted)
}
