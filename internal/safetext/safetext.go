// Package safetext cleans text from others: text of servers, alerts, chats and databases comes in, text of bounded length that cannot
// control a terminal or forge a line of output goes out.
package safetext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of text from others, in code points.
const (
	MaxError = 500   // an error that quotes a server
	MaxAttr  = 4_000 // one attribute of a log line
)

// Line returns s as one line of at most limit code points, the last of them … if s was cut; a limit of 0 means none. A run of line
// breaks and tabs becomes one space, invalid UTF-8 becomes U+FFFD, and what Text removes is removed too.
func Line(s string, limit int) string {
	return clean(s, limit, func(r rune) rune {
		switch r {
		case '\n', '\r', '\t', '\v', '\f', '\u0085', '\u2028', '\u2029':
			return ' '
		}
		return r
	})
}

// Text returns s without characters that could control a terminal: C0 and C1 control characters except line break and tab, and
// directional formatting characters (https://unicode.org/reports/tr9/#Directional_Formatting_Codes), which can make text look like
// another text. Invalid UTF-8 becomes U+FFFD.
func Text(s string) string { return clean(s, 0, func(r rune) rune { return r }) }

// Quote returns Line(s, limit) in double quotes, for errors that repeat a value.
func Quote(s string, limit int) string { return `"` + Line(s, limit) + `"` }

func clean(s string, limit int, replace func(rune) rune) string {
	if limit <= 0 {
		limit = len(s) + 1
	}
	var b strings.Builder
	b.Grow(min(len(s), limit*utf8.UTFMax))
	written, space := 0, false
	for _, r := range s { // range gives U+FFFD for invalid bytes
		out := replace(r)
		broken := out == ' ' && r != ' '
		if broken && space { // a run of line breaks is one space
			continue
		}
		space = broken
		if !visible(out) {
			continue
		}
		if written++; written > limit {
			return cutLast(b.String()) + "…"
		}
		b.WriteRune(out)
	}
	return b.String()
}

func cutLast(s string) string {
	_, size := utf8.DecodeLastRuneInString(s)
	return s[:len(s)-size]
}

// visible tells whether r is kept.
func visible(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return true
	case unicode.IsControl(r):
		return false
	}
	switch r {
	case '\u061c', '\u200e', '\u200f', '\u2028', '\u2029',
		'\u202a', '\u202b', '\u202c', '\u202d', '\u202e',
		'\u2066', '\u2067', '\u2068', '\u2069', '\ufeff':
		return false
	}
	return r < 0xe0000 || r > 0xe007f // tag characters: invisible copies of ASCII
}

// Error returns err with the text Line(err.Error(), MaxError); it wraps err if the text differs.
func Error(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if short := Line(text, MaxError); short != text {
		return &safeError{text: short, err: err}
	}
	return err
}

type safeError struct {
	text string
	err  error
}

func (e *safeError) Error() string { return e.text }
func (e *safeError) Unwrap() error { return e.err }
