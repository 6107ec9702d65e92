package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/go-analyze/charts/chartdraw"
	"github.com/go-analyze/charts/chartdraw/drawing"
)

// maxBytes is what a picture may weigh, however noisy.
const maxBytes = 150_000

var nan = math.NaN()

// decode checks what holds for every picture.
func decode(t *testing.T, data []byte, err error) *image.Paletted {
	t.Helper()
	if err != nil {
		t.Fatalf("PNG() = %v", err)
	}
	if len(data) > maxBytes {
		t.Errorf("the picture has %d bytes, more than %d", len(data), maxBytes)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if got := img.Bounds(); got != image.Rect(0, 0, Width, Height) {
		t.Fatalf("bounds %v, want %d x %d", got, Width, Height)
	}
	paletted, ok := img.(*image.Paletted)
	if !ok {
		t.Fatalf("the picture is %T", img)
	}
	return paletted
}

// pixels calls f with each pixel of exactly this colour in a part of the picture.
func pixels(img *image.Paletted, c drawing.Color, part image.Rectangle, f func(x, y int)) {
	want := slices.Index(img.Palette, color.Color(color.RGBA{R: c.R, G: c.G, B: c.B, A: c.A}))
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if int(img.Pix[y*img.Stride+x]) == want {
				f(x, y)
			}
		}
	}
}

// count is how many pixels of exactly this colour there are in a part of the picture.
func count(img *image.Paletted, c drawing.Color, part image.Rectangle) int {
	n := 0
	pixels(img, c, part, func(int, int) { n++ })
	return n
}

// plot is below the legend of one row, so that its swatch is not counted.
var plot = image.Rect(0, 140, Width, Height)

// extent is the least rectangle with every pixel of the colour below the marks' labels.
func extent(img *image.Paletted, c drawing.Color) image.Rectangle {
	var r image.Rectangle
	pixels(img, c, image.Rect(0, 200, Width, Height), func(x, y int) { r = r.Union(image.Rect(x, y, x+1, y+1)) })
	return r
}

func week(series ...Series) Trend {
	return Trend{
		Title: "近 7 日趨勢", NoData: "無資料", Series: series,
		Days: []string{"04-16", "04-17", "04-18", "04-19", "04-20", "04-21", "04-22"},
	}
}

var start = time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC)

// hours is a window of two hours with one sample a minute, as f of the minute tells.
func hours(f func(minute int) float64) Window {
	s := TimeSeries{Name: "node"}
	for i := range 121 {
		s.Points = append(s.Points, Point{start.Add(time.Duration(i) * time.Minute), f(i)})
	}
	return Window{Title: "CPU", Start: start, End: start.Add(2 * time.Hour), Series: []TimeSeries{s}}
}

func TestDayWithoutDataIsAGapAndNotZero(t *testing.T) {
	t.Parallel()
	full, err := week(Series{"告警", []float64{45, 45, 45, 45, 45, 45, 45}}, Series{"other", []float64{9, 9, 9, 9, 9, 9, 9}}).PNG()
	fullImg := decode(t, full, err)
	gap, err := week(Series{"告警", []float64{45, 45, 45, nan, 45, 45, 45}}, Series{"other", []float64{9, 9, 9, 9, 9, 9, 9}}).PNG()
	gapImg := decode(t, gap, err)

	// The line spans from the first day's dot to the last day's, so the days' places follow from its extent.
	line := extent(fullImg, palette[0])
	day := func(n float64) int { return line.Min.X + dotRadius + int(n*float64(line.Dx()-2*dotRadius-60)/6) }
	between := image.Rect(day(2)+3*dotRadius, plot.Min.Y, day(4)-3*dotRadius, plot.Max.Y)
	if n := count(fullImg, palette[0], between); n < between.Dx()*lineWidth/2 {
		t.Errorf("with data: %d pixels of the line between the neighbours, want a line of %d pixels", n, between.Dx())
	}
	if n := count(gapImg, palette[0], between); n != 0 {
		t.Errorf("without data: %d pixels of the line between the neighbours, want none at any height", n)
	}
	if n := count(gapImg, palette[1], between); n < between.Dx()*lineWidth/2 {
		t.Errorf("the other series has %d pixels there, want a line of %d pixels", n, between.Dx())
	}
}

func TestZeroIsDrawnAndDiffersFromNoData(t *testing.T) {
	t.Parallel()
	zero, err := week(Series{"告警", []float64{5, 5, 5, 0, 5, 5, 5}}).PNG()
	decode(t, zero, err)
	none, err := week(Series{"告警", []float64{5, 5, 5, nan, 5, 5, 5}}).PNG()
	img := decode(t, none, err)
	if bytes.Equal(zero, none) {
		t.Error("a day of 0 and a day without data look the same")
	}
	// A day without any data is shaded.
	if count(img, hole, plot) < 10_000 {
		t.Error("the day without any data is not shaded")
	}
}

func TestWeekendsAreShaded(t *testing.T) {
	t.Parallel()
	w := week(Series{"告警", []float64{45, 45, 45, 45, 45, 45, 45}})
	plain, err := w.PNG()
	if n := count(decode(t, plain, err), rest, image.Rect(0, 0, Width, Height)); n != 0 {
		t.Errorf("%d pixels are shaded without a weekend", n)
	}
	w.Weekend, w.Weekends = []bool{false, false, true, true, false, false, false}, "週末"
	data, err := w.PNG()
	img := decode(t, data, err)
	if legend := count(img, rest, image.Rect(0, 0, Width, plot.Min.Y)); legend == 0 {
		t.Error("the legend does not name the shade")
	}
	others := image.Rect(plot.Min.X+plot.Dx()*2/3, plot.Min.Y, plot.Max.X, plot.Max.Y)
	if n, more := count(img, rest, plot), count(img, rest, others); n < plot.Dx()*plot.Dy()/5 || more > n/50 {
		t.Errorf("%d pixels are shaded, %d of them on other days, want two days of seven", n, more)
	}
}

// A series that is small next to the others is not a flat line at 0.
func TestSmallSeriesHaveTheirOwnPanel(t *testing.T) {
	t.Parallel()
	alerts := Series{"告警", []float64{110, 128, 90, 100, 120, 115, 128}}
	spread := func(failures ...float64) int {
		data, err := week(alerts, Series{"修復失敗", failures}).PNG()
		img := decode(t, data, err)
		return extent(img, palette[1]).Dy()
	}
	if low := spread(1, 6, 2, 4, 1, 3, 6); low < 50 {
		t.Errorf("failures of 1 to 6 are drawn within %d pixels of height", low)
	}
	if none := spread(0, 0, 0, 0, 0, 0, 0); none > 3*dotRadius {
		t.Errorf("failures of 0 are drawn within %d pixels of height", none)
	}
}

func TestWindowsShareTheirAxisOfTime(t *testing.T) {
	t.Parallel()
	end := func(scale float64) Window {
		w := hours(func(i int) float64 { return float64(i%7) * scale })
		w.Incident = Incident{Start: w.Start.Add(30 * time.Minute), End: w.Start.Add(time.Hour)}
		return w
	}
	empty := end(1)
	empty.Series = nil
	data, err := Windows(end(1), empty, end(1e5))
	if err != nil {
		t.Fatal(err)
	}
	all, err := png.Decode(bytes.NewReader(data))
	if err != nil || all.Bounds() != image.Rect(0, 0, Width, 2*Height) {
		t.Fatalf("bounds are %v: %v", all.Bounds(), err)
	}
	img := all.(*image.Paletted)
	edges := func(top int) (first, last int) {
		pixels(img, alarm, image.Rect(0, top+plot.Min.Y, Width, top+plot.Max.Y), func(x, _ int) {
			if first == 0 || x < first {
				first = x
			}
			last = max(last, x)
		})
		return first, last
	}
	first, last := edges(0)
	if a, b := edges(Height); a != first || b != last || first == last {
		t.Errorf("the incident is drawn from %d to %d and from %d to %d", first, last, a, b)
	}
	if _, err := Windows(empty); !errors.Is(err, ErrNoData) {
		t.Errorf("nothing to draw: %v", err)
	}
}

func TestTwoKnownDaysAroundGapsAreDots(t *testing.T) {
	t.Parallel()
	data, err := week(Series{"告警", []float64{nan, 3, nan, nan, nan, 4, nan}}).PNG()
	img := decode(t, data, err)
	n := count(img, palette[0], plot)
	dot := math.Pi * dotRadius * dotRadius
	if float64(n) < 1.6*dot || float64(n) > 2.1*dot {
		t.Errorf("%d pixels of the series, want those of two dots of %.0f", n, dot)
	}
}

func TestMissingSamplesAreAGap(t *testing.T) {
	t.Parallel()
	flat := func(int) float64 { return 50 }
	full := hours(flat)
	nans := hours(func(i int) float64 {
		if i > 40 && i < 80 {
			return nan
		}
		return 50
	})
	absent := hours(flat)
	absent.Series[0].Points = append(absent.Series[0].Points[:41:41], absent.Series[0].Points[80:]...)
	data, err := full.PNG()
	line := extent(decode(t, data, err), palette[0])
	middle := image.Rect(line.Min.X+line.Dx()*42/120, plot.Min.Y, line.Min.X+line.Dx()*78/120, plot.Max.Y)
	if n := count(decode(t, data, nil), palette[0], middle); n < middle.Dx()*lineWidth/2 {
		t.Errorf("%d pixels of the full line, want a line of %d pixels", n, middle.Dx())
	}
	for name, w := range map[string]Window{"NaN": nans, "absent": absent} {
		data, err := w.PNG()
		img := decode(t, data, err)
		if n := count(img, palette[0], middle); n != 0 {
			t.Errorf("%s: %d pixels of the line in the gap, want none", name, n)
		}
		if n := count(img, palette[0], plot); n < line.Dx()*lineWidth/3 {
			t.Errorf("%s: %d pixels of the line beside the gap", name, n)
		}
	}
	// A sample of NaN is a gap, even if the distance of its neighbours is within the step.
	nans.Step = time.Hour
	data, err = nans.PNG()
	if n := count(decode(t, data, err), palette[0], middle); n != 0 {
		t.Errorf("NaN and a long step: %d pixels of the line in the gap, want none", n)
	}
	// Samples within a longer step are not missing.
	every := hours(flat)
	every.Step = time.Hour
	every.Series[0].Points = append(every.Series[0].Points[:41:41], every.Series[0].Points[80:]...)
	data, err = every.PNG()
	if n := count(decode(t, data, err), palette[0], middle); n == 0 {
		t.Error("a gap shorter than the step is drawn as one")
	}
}

func TestSamplesInAnyOrderAreTheSamePicture(t *testing.T) {
	t.Parallel()
	w := hours(func(i int) float64 { return float64(i % 17) })
	want, err := w.PNG()
	decode(t, want, err)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(w.Series[0].Points), func(i, j int) {
		p := w.Series[0].Points
		p[i], p[j] = p[j], p[i]
	})
	got, err := w.PNG()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("shuffled samples make another picture (%v)", err)
	}
}

func TestIncidentIsShadedFromStartToEnd(t *testing.T) {
	t.Parallel()
	flat := func(int) float64 { return 50 }
	shaded := func(i Incident) image.Rectangle {
		w := hours(flat)
		w.Incident = i
		data, err := w.PNG()
		// The shade on white.
		return extent(decode(t, data, err), drawing.Color{R: 0xf7, G: 0xe6, B: 0xe8, A: 0xff})
	}
	w := hours(flat)
	data, err := w.PNG()
	line := extent(decode(t, data, err), palette[0])
	at := func(minute int) int { return line.Min.X + line.Dx()*minute/120 }
	tests := map[string]struct {
		incident    Incident
		left, right int
	}{
		"inside":          {Incident{start.Add(30 * time.Minute), start.Add(60 * time.Minute), "發生", "解決"}, at(30), at(60)},
		"began before":    {Incident{start.Add(-time.Hour), start.Add(60 * time.Minute), "發生", "解決"}, at(0), at(60)},
		"not ended":       {Incident{Start: start.Add(30 * time.Minute), StartLabel: "發生"}, at(30), at(120)},
		"ended after":     {Incident{start.Add(30 * time.Minute), start.Add(9 * time.Hour), "發生", "解決"}, at(30), at(120)},
		"none":            {Incident{}, 0, 0},
		"another day":     {Incident{start.Add(-9 * time.Hour), start.Add(-8 * time.Hour), "發生", "解決"}, 0, 0},
		"end before it":   {Incident{start.Add(60 * time.Minute), start.Add(30 * time.Minute), "發生", "解決"}, 0, 0},
		"centuries apart": {Incident{time.Time{}.Add(time.Hour), start.Add(60 * time.Minute), "發生", "解決"}, at(0), at(60)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := shaded(test.incident)
			// Marks of three pixels and the line's round ends cover a few at the borders.
			if math.Abs(float64(got.Min.X-test.left)) > 6 || math.Abs(float64(got.Max.X-test.right)) > 6 {
				t.Errorf("shaded from %d to %d, want %d to %d", got.Min.X, got.Max.X, test.left, test.right)
			}
		})
	}
}

func TestNothingKnownIsErrNoData(t *testing.T) {
	t.Parallel()
	outside := hours(func(int) float64 { return 1 })
	outside.Start, outside.End = start.Add(5*time.Hour), start.Add(6*time.Hour)
	tests := map[string]interface{ PNG() ([]byte, error) }{
		"trend of nothing":       Trend{},
		"days without series":    week(),
		"only NaN":               week(Series{"告警", []float64{nan, nan, nan, nan, nan, nan, nan}}),
		"only infinity":          week(Series{"告警", []float64{math.Inf(1), nan, nan, math.Inf(-1), nan, nan, nan}}),
		"series of no days":      Trend{Series: []Series{{Name: "告警"}}},
		"window without series":  Window{Start: start, End: start.Add(time.Hour)},
		"window of NaN":          hours(func(int) float64 { return nan }),
		"samples out of the way": outside,
	}
	for name, test := range tests {
		if data, err := test.PNG(); err != ErrNoData || data != nil { //nolint:errorlint // The bare error is the contract.
			t.Errorf("%s: %d bytes and %v, want ErrNoData", name, len(data), err)
		}
	}
}

func TestWrongInputIsAnError(t *testing.T) {
	t.Parallel()
	backwards := hours(func(int) float64 { return 1 })
	backwards.End = backwards.Start
	tests := map[string]struct {
		picture interface{ PNG() ([]byte, error) }
		want    string
	}{
		"fewer values than days": {week(Series{"告警", []float64{1, 2}}), `series "告警" has 2 values for 7 days`},
		"empty window":           {backwards, "not after its start"},
	}
	for name, test := range tests {
		if _, err := test.picture.PNG(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestExtremesAreDrawn(t *testing.T) {
	t.Parallel()
	values := map[string][]float64{
		"all zero":          {0, 0, 0, 0, 0, 0, 0},
		"huge":              {1e300, 1e299, 0, 1e300, 5, 1e12, 1},
		"huge both ways":    {1e300, -1e300, 0, 0, 0, 0, 0},
		"beyond":            {math.MaxFloat64, -math.MaxFloat64, 3, 4, 5, 6, 7},
		"tiny":              {5e-324, 1e-310, 0, 1e-299, 1e-7, 0, 0},
		"negative":          {-1, -2, -3, -4, -5, -6, -7},
		"infinite":          {math.Inf(1), 1, math.Inf(-1), 2, nan, 3, 4},
		"two points":        {nan, nan, nan, 7, nan, nan, 7},
		"fractions":         {0.1, 0.25, 0.3, 1.0 / 3, 0.5, 0.7, 0.9},
		"large and close":   {1e15, 1e15 + 1, 1e15 + 2, 1e15, 1e15, 1e15, 1e15},
		"negative and zero": {0, math.Copysign(0, -1), 0, 0, 0, 0, -1e-9},
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, err := week(Series{"告警", v}).PNG()
			if count(decode(t, data, err), palette[0], plot) == 0 {
				t.Error("the trend shows nothing of the series")
			}
			w := hours(func(i int) float64 { return v[i%7] })
			w.Threshold = &Threshold{Value: v[0], Label: "門檻"}
			data, err = w.PNG()
			if count(decode(t, data, err), palette[0], plot) == 0 {
				t.Error("the window shows nothing of the series")
			}
		})
	}
	t.Run("one day is no trend", func(t *testing.T) {
		t.Parallel()
		for _, values := range [][]float64{{3}, {nan, nan, 3}} {
			_, err := Trend{Title: "近 7 日趨勢", Days: make([]string, len(values)), Series: []Series{{"告警", values}}}.PNG()
			if !errors.Is(err, ErrNoData) {
				t.Errorf("a picture of %v: %v", values, err)
			}
		}
	})
	t.Run("one sample", func(t *testing.T) {
		t.Parallel()
		w := hours(func(int) float64 { return 3 })
		w.Series[0].Points = w.Series[0].Points[60:61]
		data, err := w.PNG()
		if count(decode(t, data, err), palette[0], plot) == 0 {
			t.Error("nothing is drawn")
		}
	})
	t.Run("a year of days", func(t *testing.T) {
		t.Parallel()
		year := Trend{Series: []Series{{Name: "告警"}}}
		for i := range 366 {
			year.Days = append(year.Days, strconv.Itoa(i))
			year.Series[0].Values = append(year.Series[0].Values, float64(i%50))
		}
		data, err := year.PNG()
		decode(t, data, err)
	})
	t.Run("all of time", func(t *testing.T) {
		t.Parallel()
		w := hours(func(int) float64 { return 3 })
		w.Start, w.End = time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		data, err := w.PNG()
		decode(t, data, err)
	})
}

func TestAnyTextIsDrawn(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", " ", "\x00\xff\xfe", "a\nb\tc", "😀👩‍👩‍👧", "ไทย العربية עברית देवनागरी", "\U0010ffff\ue000\ufffd", "<b>&amp;</b>",
		strings.Repeat("很", 100_000), strings.Repeat("W", 5000), strings.Repeat("\u0301", 400), "\u202eright to left",
	}
	for i := 0; i < len(texts); i += 3 { // Each text has its turn in one place of both pictures.
		a, b, c := texts[i], texts[i+1], texts[i+2]
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			trend := week(Series{a, []float64{1, 2, 3, nan, 5, 6, 7}}, Series{b, []float64{nan, nan, nan, nan, nan, nan, nan}})
			trend.Title, trend.NoData, trend.Days[1] = b, c, a
			data, err := trend.PNG()
			decode(t, data, err)
			w := hours(func(i int) float64 { return float64(i) })
			w.Title, w.Unit, w.NoData, w.Series[0].Name = c, b, a, c
			w.Incident = Incident{start.Add(time.Minute), start.Add(2 * time.Minute), a, b}
			w.Threshold = &Threshold{50, c}
			data, err = w.PNG()
			decode(t, data, err)
		})
	}
}

func TestLongTextIsCutWithAnEllipsis(t *testing.T) {
	t.Parallel()
	p, err := newPen()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{strings.Repeat("很長的名稱", 50), strings.Repeat("a long name ", 50)} {
		got := p.cut(text, labelSize, 300)
		if !strings.HasSuffix(got, "…") || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) {
			t.Errorf("cut = %q", got)
		}
		if width := p.width(got, labelSize); width > 300 || width < 240 {
			t.Errorf("cut is %d pixels wide, want just below 300", width)
		}
	}
	if got := p.cut("短", labelSize, 300); got != "短" {
		t.Errorf("cut = %q, want what fits untouched", got)
	}
	if got := p.cut("短", labelSize, 1); got != "…" {
		t.Errorf("cut = %q where nothing fits", got)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	t.Parallel()
	trend := week()
	w := hours(func(i int) float64 { return float64(i) })
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range 99 {
		s := Series{Name: fmt.Sprintf("series %d of quite some length", i)}
		for range trend.Days {
			s.Values = append(s.Values, noise.Float64()*100)
		}
		trend.Series = append(trend.Series, s)
		points := make([]Point, 0, 240)
		for j := range 240 {
			points = append(points, Point{start.Add(time.Duration(j) * 30 * time.Second), noise.Float64() * 100})
		}
		w.Series = append(w.Series, TimeSeries{s.Name, points})
	}
	data, err := trend.PNG()
	decode(t, data, err)
	data, err = w.PNG() // The largest window: its size is limited too.
	decode(t, data, err)

	p, err := newPen()
	if err != nil {
		t.Fatal(err)
	}
	rows := p.legend(picture{lines: w.lines(w.Series[:MaxSeries]), more: 93})
	if len(rows) > 3 {
		t.Errorf("the legend has %d rows, want at most 3", len(rows))
	}
	last := rows[len(rows)-1]
	if got := last[len(last)-1].text; got != "+93" {
		t.Errorf("the legend ends with %q, want +93", got)
	}
}

func TestSameInputIsTheSamePicture(t *testing.T) {
	t.Parallel()
	w := hours(func(i int) float64 { return math.Sin(float64(i)) })
	w.Incident = Incident{start.Add(time.Hour), start.Add(2 * time.Hour), "發生", "解決"}
	trend := week(Series{"告警", []float64{1, 2, 3, nan, 5, 6, 7}}, Series{"修復成功", []float64{1, 1, 0, nan, 3, 4, 4}})
	for name, picture := range map[string]interface{ PNG() ([]byte, error) }{"window": w, "trend": trend} {
		want, err := picture.PNG()
		decode(t, want, err)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if got, err := picture.PNG(); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: another picture for the same input (%v)", name, err)
				}
			})
		}
		wg.Wait()
	}
}

func TestFontHasEveryCharacterOfTheLocales(t *testing.T) {
	t.Parallel()
	font, err := loadFont()
	if err != nil {
		t.Fatal(err)
	}
	text := "近 7 日趨勢告警修復成功失敗無資料發生解決門檻事件影響服務延遲錯誤率記憶體使用磁碟網路佇列…–+°±µ×÷→←↑↓▲▼●■■≥≤「」『』，。：；？！（）％＋～"
	files, err := filepath.Glob("../../internal/i18n/locales/*/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("locales: %v, %v", files, err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(raw)
	}
	for r := rune(' '); r < 0x100; r++ {
		if unicode.IsPrint(r) {
			text += string(r)
		}
	}
	emoji := map[rune]bool{'✅': true, '👤': true, '✋': true, '🔕': true, '🔔': true, '↩': true, '\uFE0F': true} // of messages and buttons only
	for _, r := range text {
		if font.Index(r) == 0 && !emoji[r] && unicode.IsPrint(r) {
			t.Errorf("the font lacks %q (%U)", r, r)
		}
	}
	if font.Index('😀') != 0 {
		t.Error("the font has an emoji: this test can't fail")
	}
}

func TestScaleEndsOnRoundSteps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values span
		whole  bool
		want   string
		sparse string
	}{
		"counts":            {span{0, 128}, true, "0 50 100 150", "0 150"},
		"few":               {span{0, 2}, true, "0 1 2", "0 1 2"},
		"one":               {span{0, 1}, true, "0 1", "0 1"},
		"even":              {span{0, 7}, true, "0 2 4 6 8", "0 4 8"},
		"all zero":          {span{0, 0}, true, "0 1", "0 1"},
		"fractions":         {span{0, 0.9}, false, "0 0.2 0.4 0.6 0.8 1.0", "0 1.0"},
		"both signs":        {span{-7, 12}, true, "-10 -5 0 5 10 15", "-10 15"},
		"thousands":         {span{0, 43000}, true, "0 10k 20k 30k 40k 50k", "0 50k"},
		"millions":          {span{0, 2.4e6}, true, "0 0.5M 1.0M 1.5M 2.0M 2.5M", "0 2.5M"},
		"close together":    {span{8.02e9, 8.092e9}, false, "8.02G 8.04G 8.06G 8.08G 8.10G", "8.02G 8.06G 8.10G"},
		"smaller than 1e-3": {span{0, 5e-5}, false, "0 1e-05 2e-05 3e-05 4e-05 5e-05", "0 5e-05"},
	}
	for name, test := range tests {
		axis := newScale(test.values, test.whole)
		for want, ticks := range map[string][]chartdraw.Tick{test.want: axis.ticks(), test.sparse: axis.sparse().ticks()} {
			var labels []string
			for _, tick := range ticks {
				labels = append(labels, tick.Label)
			}
			if got := strings.Join(labels, " "); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
}

func TestWindowStartsAtZeroUnlessItsValuesLieCloseTogether(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ values, want span }{
		"far apart":            {span{10, 90}, span{0, 90}},
		"close together":       {span{8.0e9, 8.1e9}, span{8.0e9, 8.1e9}},
		"one value":            {span{5, 5}, span{0, 5}},
		"below any difference": {span{1e15, 1e15 + 1}, span{0, 1e15 + 1}},
		"negative":             {span{-9, -2}, span{-9, 0}},
		"zero":                 {span{0, 0}, span{0, 0}},
	}
	for name, test := range tests {
		if got := fromZero(test.values); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestTimeTicksAreRoundInTheZone(t *testing.T) {
	t.Parallel()
	taipei := time.FixedZone("", 8*3600)
	india := time.FixedZone("", 5*3600+1800)
	tests := map[string]struct {
		start  time.Time
		length time.Duration
		zone   *time.Location
		want   string
	}{
		"two hours":          {start.Add(7 * time.Minute), 2 * time.Hour, taipei, "08:30 09:00 09:30 10:00"},
		"half an hour":       {start, 30 * time.Minute, taipei, "08:00 08:05 08:10 08:15 08:20 08:25 08:30"},
		"over midnight":      {start.Add(13 * time.Hour), 6 * time.Hour, taipei, "21:00 22:00 23:00 04-23 01:00 02:00 03:00"},
		"half-hour zone":     {start, 4 * time.Hour, india, "06:00 07:00 08:00 09:00"},
		"a minute":           {start, time.Minute, taipei, "08:00:00 08:00:10 08:00:20 08:00:30 08:00:40 08:00:50 08:01:00"},
		"a week":             {start, 7 * 24 * time.Hour, taipei, "04-23 04-24 04-25 04-26 04-27 04-28 04-29"},
		"less than a second": {start, time.Millisecond, taipei, "08:00:00"},
	}
	for name, test := range tests {
		var labels []string
		for _, tick := range timeTicks(test.start, test.start.Add(test.length), test.zone) {
			labels = append(labels, tick.Label)
		}
		if got := strings.Join(labels, " "); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func BenchmarkTrend(b *testing.B) {
	trend := week(
		Series{"告警", []float64{92, 101, 88, nan, 120, 116, 128}},
		Series{"修復成功", []float64{30, 33, 31, nan, 41, nan, 40}},
		Series{"修復失敗", []float64{4, 6, 2, nan, 9, 3, 4}},
	)
	benchmark(b, trend.PNG)
}

func BenchmarkWindow(b *testing.B) {
	w := hours(func(i int) float64 { return 40 + 30*math.Sin(float64(i)/9) + 4*math.Sin(float64(i)*1.7) })
	w.Incident = Incident{start.Add(30 * time.Minute), start.Add(60 * time.Minute), "發生 08:30", "解決 09:00"}
	w.Threshold = &Threshold{65, "門檻"}
	benchmark(b, w.PNG)
}

func benchmark(b *testing.B, png func() ([]byte, error)) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		data, err := png()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data)), "B/picture")
	}
}
