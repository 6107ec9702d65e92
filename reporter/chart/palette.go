package chart

import (
	"cmp"
	"encoding/binary"
	"image"
	"image/color"
	"maps"
	"slices"
)

// maxColors is enough for the eye. Twice as many would make the largest pictures a third larger.
const maxColors = 128

// paletted reduces a picture to its most frequent colours, which halves the size of the PNG. Other colours, which are shades at the edges
// of shapes, are replaced by the nearest one.
func paletted(img *image.RGBA) *image.Paletted {
	counts := map[uint32]int{}
	eachRun(img, func(pixel uint32, _, n int) { counts[pixel] += n })
	pixels := slices.SortedFunc(maps.Keys(counts), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	kept := make(color.Palette, 0, maxColors)
	index := make(map[uint32]uint8, len(pixels))
	for i, pixel := range pixels {
		c := color.RGBA{R: uint8(pixel), G: uint8(pixel >> 8), B: uint8(pixel >> 16), A: uint8(pixel >> 24)} //nolint:gosec // its bytes
		if i < maxColors {
			kept = append(kept, c)
		}
		index[pixel] = uint8(kept.Index(c)) //nolint:gosec // at most maxColors
	}
	out := image.NewPaletted(img.Rect, kept)
	eachRun(img, func(pixel uint32, at, n int) {
		i := index[pixel]
		for j := range out.Pix[at : at+n] {
			out.Pix[at+j] = i
		}
	})
	return out
}

// eachRun calls f for each run of n pixels of one colour, which begins at pixel number at. A pixel holds red, green, blue and alpha from
// the lowest byte up.
func eachRun(img *image.RGBA, f func(pixel uint32, at, n int)) {
	all := len(img.Pix) / 4
	for i := 0; i < all; {
		pixel, n := binary.LittleEndian.Uint32(img.Pix[4*i:]), 1
		for i+n < all && binary.LittleEndian.Uint32(img.Pix[4*(i+n):]) == pixel {
			n++
		}
		f(pixel, i, n)
		i += n
	}
}
