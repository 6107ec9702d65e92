package chart

import (
	"cmp"
	"image"
	"image/color"
	"maps"
	"slices"
)

// maxColors is as many as the eye asks for; twice as many make the noisiest pictures a third larger.
const maxColors = 128

// paletted is the picture in its most frequent colours, half of the size as a PNG. Pictures of flat colours have few
// others, all of them shades at the edges of shapes: they become the nearest of those kept.
func paletted(img *image.RGBA) *image.Paletted {
	counts := map[color.RGBA]int{}
	eachRun(img, func(c color.RGBA, _, n int) { counts[c] += n })
	colors := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(
			cmp.Compare(counts[b], counts[a]),
			cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B), cmp.Compare(a.A, b.A),
		)
	})
	kept := make(color.Palette, min(len(colors), maxColors))
	index := make(map[color.RGBA]uint8, len(colors))
	for i, c := range colors {
		if i < len(kept) {
			kept[i], index[c] = c, uint8(i)
		}
	}
	for _, c := range colors[len(kept):] {
		index[c] = uint8(kept.Index(c))
	}
	out := image.NewPaletted(img.Rect, kept)
	eachRun(img, func(c color.RGBA, at, n int) {
		i := index[c]
		for j := range n {
			out.Pix[at+j] = i
		}
	})
	return out
}

// eachRun calls f for each n neighbouring pixels of one colour, the first of them the picture's pixel number at.
func eachRun(img *image.RGBA, f func(c color.RGBA, at, n int)) {
	pixel := func(i int) color.RGBA {
		p := img.Pix[4*i : 4*i+4 : 4*i+4]
		return color.RGBA{R: p[0], G: p[1], B: p[2], A: p[3]}
	}
	for i, all := 0, len(img.Pix)/4; i < all; {
		c, n := pixel(i), 1
		for i+n < all && pixel(i+n) == c {
			n++
		}
		f(c, i, n)
		i += n
	}
}
