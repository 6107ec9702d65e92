package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
)

// stack combines PNGs into one, below each other. No PNG is an error.
func stack(pictures ...[]byte) ([]byte, error) {
	switch len(pictures) {
	case 0:
		return nil, errors.New("chart: nothing to stack")
	case 1:
		return pictures[0], nil
	}
	var parts []image.Image
	var size image.Rectangle
	for _, b := range pictures {
		p, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("chart: %w", err)
		}
		parts = append(parts, p)
		size.Max.X, size.Max.Y = max(size.Max.X, p.Bounds().Dx()), size.Max.Y+p.Bounds().Dy()
	}
	all := image.NewRGBA(size)
	draw.Draw(all, size, image.White, image.Point{}, draw.Src)
	top := 0
	for _, p := range parts {
		draw.Draw(all, image.Rect(0, top, p.Bounds().Dx(), top+p.Bounds().Dy()), p, p.Bounds().Min, draw.Src)
		top += p.Bounds().Dy()
	}
	var out bytes.Buffer
	if err := png.Encode(&out, paletted(all)); err != nil {
		return nil, fmt.Errorf("chart: %w", err)
	}
	return out.Bytes(), nil
}
