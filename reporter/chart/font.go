package chart

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/golang/freetype/truetype"
)

// notoSansTC is made by font/make; font/OFL.txt is its licence.
//
//go:embed font/noto-sans-tc.ttf
var notoSansTC []byte

// loadFont parses the font at the first picture. The outlines are not copied: they stay in the binary's pages, which
// the kernel reads when a glyph is drawn and may drop again.
var loadFont = sync.OnceValues(func() (*truetype.Font, error) {
	font, err := truetype.Parse(notoSansTC)
	if err != nil {
		return nil, fmt.Errorf("chart font: %w", err)
	}
	return font, nil
})
