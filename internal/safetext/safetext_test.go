package safetext_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

func TestTextCannotControlATerminal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, line, text string }{
		"plain":                 {"連線 ok 🚨 👩‍💻", "連線 ok 🚨 👩‍💻", "連線 ok 🚨 👩‍💻"},
		"colour":                {"a\x1b[31mb", "a[31mb", "a[31mb"},
		"window title":          {"a\x1b]0;pwned\x07b", "a]0;pwnedb", "a]0;pwnedb"},
		"C1 introducer":         {"a\u009b31mb\u0090c", "a31mbc", "a31mbc"},
		"bare C1 bytes":         {"a\x9b31mb", "a\ufffd31mb", "a\ufffd31mb"},
		"backspaces":            {"rm\b\bls\x7f", "rmls", "rmls"},
		"carriage return":       {"bad\rgood", "bad good", "badgood"},
		"line breaks":           {"a\r\n\n  b\tc", "a   b c", "a\n\n  b\tc"},
		"line separators":       {"a\u2028b\u2029c\u0085d", "a b c d", "abcd"},
		"right to left":         {"a\u202etxt.exe\u202c\u2067b\u2069\u200f", "atxt.exeb", "atxt.exeb"},
		"byte order mark":       {"\ufeffa", "a", "a"},
		"tag characters":        {"a\U000e0041b", "ab", "ab"},
		"null":                  {"a\x00b", "ab", "ab"},
		"invalid UTF-8":         {"a\xff\xfeb", "a\ufffd\ufffdb", "a\ufffd\ufffdb"},
		"nothing":               {"", "", ""},
		"nothing but a control": {"\x1b", "", ""},
	} {
		if got := safetext.Line(tc.in, 0); got != tc.line {
			t.Errorf("%s: line %q, want %q", name, got, tc.line)
		}
		if got := safetext.Text(tc.in); got != tc.text {
			t.Errorf("%s: text %q, want %q", name, got, tc.text)
		}
	}
}

func TestLineIsCutAtCodePoints(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in    string
		limit int
		want  string
	}{
		{"一二三四", 4, "一二三四"},
		{"一二三四五", 4, "一二三…"},
		{"ab\x1b\x1b\x1b", 2, "ab"},
		{"ab", 1, "…"},
	} {
		if got := safetext.Line(tc.in, tc.limit); got != tc.want {
			t.Errorf("%q cut at %d is %q, want %q", tc.in, tc.limit, got, tc.want)
		}
	}
}

func TestErrorIsShortAndStillTheSame(t *testing.T) {
	t.Parallel()
	long := fmt.Errorf("server said %s: %w", strings.Repeat("9", 10<<20), fs.ErrNotExist)
	got := safetext.Error(long)
	if n := utf8.RuneCountInString(got.Error()); n != safetext.MaxError {
		t.Errorf("is %d characters long", n)
	}
	if !errors.Is(got, fs.ErrNotExist) {
		t.Error("errors.Is does not find the cause")
	}
	if short := errors.New("short"); safetext.Error(short).Error() != "short" || safetext.Error(nil) != nil {
		t.Error("an error that is short and safe does not stay as it is")
	}
}

func TestLogLinesAreSafeAndBounded(t *testing.T) {
	t.Parallel()
	hostile := "x\x1b[2J\u009b2J\u202e" + strings.Repeat("9", 10<<20)
	for name, next := range map[string]func(*bytes.Buffer) slog.Handler{
		"logfmt": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json":   func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		log := slog.New(safetext.NewHandler(next(&out)))
		log.With("with", hostile).WithGroup("g").Error(hostile, "err", errors.New(hostile), "s", hostile,
			slog.Group("in", "s", hostile), "list", []string{hostile}, "n", 5)
		text := strings.TrimSuffix(out.String(), "\n")
		if len(text) > 7*safetext.MaxAttr {
			t.Errorf("%s: line of %d bytes", name, len(text))
		}
		if n := strings.IndexFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }); n >= 0 {
			t.Errorf("%s: has the control character %q", name, text[n])
		}
		if !strings.Contains(text, "n") || strings.Contains(text, `u001b`) {
			t.Errorf("%s: %.200s", name, text)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[31m\u202eb", 5)
	f.Add("\xff\u009b", 0)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := safetext.Line(s, limit)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", s, got)
		}
		if limit > 0 && utf8.RuneCountInString(got) > limit {
			t.Errorf("%q is longer than %d", got, limit)
		}
		if again := safetext.Line(got, limit); again != got {
			t.Errorf("%q became %q when it was cleaned again", got, again)
		}
	})
}
