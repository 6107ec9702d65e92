package render

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one line of an untrusted text: control and bidirectional characters are removed, invalid UTF-8 is replaced, and
// runs of white space become one space.
func clean(s string) string {
	var b strings.Builder
	blank := false
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r):
			blank = true
			continue
		case unicode.Is(unicode.Bidi_Control, r), r == '\uFEFF':
			continue
		}
		if blank && b.Len() > 0 {
			b.WriteByte(' ')
		}
		blank = false
		b.WriteRune(r)
	}
	return b.String()
}

const ellipsis = "…"

// cut shortens s to limit characters, including the ellipsis. It does not split what people see as one character.
func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	end := limit - 1
	for end > 0 && (continues(runes[end]) || runes[end-1] == zeroWidthJoiner || halvesFlag(runes, end)) {
		end--
	}
	if end == 0 {
		end = limit - 1 // one character longer than the limit
	}
	return strings.TrimRight(string(runes[:end]), " ") + ellipsis
}

const zeroWidthJoiner = '\u200D'

// continues reports whether r belongs to the character before it.
func continues(r rune) bool {
	skinTone, tag := r >= 0x1F3FB && r <= 0x1F3FF, r >= 0xE0020 && r <= 0xE007F
	return r == zeroWidthJoiner || unicode.Is(unicode.M, r) || skinTone || tag
}

// halvesFlag reports whether a cut before end splits the two letters of a flag.
func halvesFlag(runes []rune, end int) bool {
	letters := 0
	for n := end - 1; n >= 0 && unicode.Is(unicode.Regional_Indicator, runes[n]); n-- {
		letters++
	}
	return letters%2 == 1 && unicode.Is(unicode.Regional_Indicator, runes[end])
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
