package markup

import (
	"regexp"
	"strings"
)

// lineBreak marks the end of a line that is followed by another, until it is known whether that one is blank. It is removed from
// texts first.
const lineBreak = "\u2028"

var beforeBlank = regexp.MustCompile(lineBreak + `(\n(?:> )*\n)`)

// marks are the Markdown marks of elements: https://spec.commonmark.org/ and, for s, https://github.github.com/gfm/.
var marks = map[string]string{
	"b": "**", "strong": "**", "i": "_", "em": "_", "s": "~~", "strike": "~~", "del": "~~",
}

// Markdown converts marked-up text to Markdown (CommonMark with strikethrough) with the same text and line breaks.
func Markdown(s string) string {
	var b strings.Builder
	href, from := "", 0
	code, pre, quote := false, false, 0
	mark := func(name string, opens bool) {
		switch {
		case code: // Markdown has no marks inside code.
		case name == "blockquote" && opens:
			quote++
			b.WriteString("> ")
		case name == "blockquote":
			quote = max(quote-1, 0)
			b.WriteString("\n\n")
		default:
			b.WriteString(marks[name])
		}
	}
	var within strings.Builder // text of a code or pre element
	for t := range tokens(strings.ReplaceAll(valid(s), lineBreak, " ")) {
		switch t.kind {
		case text, other:
			plain := t.raw
			if t.kind == text {
				plain = strings.ReplaceAll(unescape(t.raw), lineBreak, " ")
			}
			if code {
				within.WriteString(plain)
				continue
			}
			for n, line := range strings.Split(plain, "\n") {
				if n > 0 {
					b.WriteString(newLine(b.String(), quote))
				}
				b.WriteString(escapeLine(line, strings.HasSuffix(b.String(), "\n") || b.Len() == 0))
			}
		case start:
			switch t.name {
			case "a":
				href, from = t.href(), b.Len()
			case "code", "pre":
				code, pre = true, pre || t.name == "pre"
			default:
				mark(t.name, true)
			}
		case end:
			switch {
			case t.name == "a" && href != "" && !code:
				label := b.String()[from:]
				whole := b.String()[:from] + "[" + label + "](<" + address(href) + ">)"
				b.Reset()
				b.WriteString(whole)
				href = ""
			case t.name == "a":
			case t.name == "pre" && pre:
				b.WriteString("\n\n" + Fenced(within.String()) + "\n\n")
				within.Reset()
				code, pre = false, false
			case t.name == "code" && code && !pre:
				b.WriteString(inline(within.String()))
				within.Reset()
				code = false
			case t.name == "code", t.name == "pre":
			default:
				mark(t.name, false)
			}
		}
	}
	if code {
		b.WriteString(inline(within.String()))
	}
	whole := beforeBlank.ReplaceAllString(strings.TrimSpace(b.String()), "$1")
	return strings.ReplaceAll(whole, lineBreak, `\`) + "\n" // a backslash breaks a line, which a line end alone does not
}

// newLine ends a line that another one follows.
func newLine(before string, quote int) string {
	end := "\n"
	if before != "" && !strings.HasSuffix(before, "\n") {
		end = lineBreak + "\n"
	}
	return end + strings.Repeat("> ", quote)
}

// EscapeMarkdown escapes one line of plain text, so that Markdown shows it as it is.
func EscapeMarkdown(line string) string { return escapeLine(line, true) }

// escapeLine puts a backslash before the ASCII punctuation that could begin an element. Other punctuation is not escaped, so that
// the source stays readable. Begins means that s is at the start of a line.
func escapeLine(s string, begins bool) string {
	var b strings.Builder
	digits := begins
	trimmed := s
	if begins { // Leading blanks would be an indented code block.
		trimmed = strings.TrimLeft(s, " \t")
	}
	for n, r := range trimmed {
		starts := begins && n == 0 && strings.ContainsRune("-+=#>:", r)
		ends := digits && n > 0 && (r == '.' || r == ')')
		if starts || ends || strings.ContainsRune("\\`*_{}[]<>|&!~$#", r) {
			b.WriteByte('\\')
		}
		digits = digits && r >= '0' && r <= '9'
		b.WriteRune(r)
	}
	return b.String()
}

func address(href string) string {
	return strings.NewReplacer("<", "%3C", ">", "%3E", "\n", "", "\r", "", `\`, "%5C").Replace(href)
}

// ticks returns a run of at least so many backticks, longer than any run in s.
func ticks(s string, least int) string {
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	return strings.Repeat("`", max(least, longest+1))
}

// Fenced returns plain text as a fenced code block.
func Fenced(s string) string {
	fence := ticks(s, 3)
	return fence + "\n" + strings.Trim(s, "\n") + "\n" + fence
}

func inline(s string) string {
	if strings.TrimSpace(s) == "" {
		return s
	}
	fence := ticks(s, 1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + strings.ReplaceAll(s, "\n", " ") + fence
}
