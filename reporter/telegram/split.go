package telegram

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// maxText is Telegram's limit in code points after parsing, less the room for our marks.
	maxText = 4096 - 96
	// maxCaption is Telegram's limit of the text under a picture, likewise.
	maxCaption = 1024 - 96
	// maxRaw is ours: Telegram refuses requests with far more markup than text.
	maxRaw = 30<<10 - 512
	// maxParts is how many messages one text may be; beyond, the chat gets a summary and a document.
	maxParts = 4
)

// atom is the smallest piece that must not be cut: a tag, an entity or a character.
type atom struct {
	raw   string
	text  string // what it reads as; "" for a tag
	open  string // an opening tag: the closing one that belongs to it
	close bool
}

var (
	tagPattern    = regexp.MustCompile(`^<(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*>`)
	entityPattern = regexp.MustCompile(`^&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]+);`)
)

func atoms(s string) []atom {
	var out []atom
	for len(s) > 0 {
		a := atom{}
		switch {
		case s[0] == '<':
			m := tagPattern.FindStringSubmatch(s)
			if m == nil {
				// Not ours to judge here: Telegram refuses it, and the text is sent plain.
				a = atom{raw: s[:1], text: s[:1]}
				break
			}
			a = atom{raw: m[0], close: m[1] == "/"}
			if !a.close {
				a.open = "</" + m[2] + ">"
			}
		case s[0] == '&' && entityPattern.MatchString(s):
			raw := entityPattern.FindString(s)
			a = atom{raw: raw, text: html.UnescapeString(raw)}
		default:
			_, size := utf8.DecodeRuneInString(s)
			a = atom{raw: s[:size], text: s[:size]}
		}
		out = append(out, a)
		s = s[len(a.raw):]
	}
	return out
}

// plain is what markup reads as.
func plain(markup string) string {
	var b strings.Builder
	for _, a := range atoms(markup) {
		b.WriteString(a.text)
	}
	return b.String()
}

// cut divides markup into pieces of at most maxText code points and maxRaw bytes, each well-formed by itself: at line
// borders, else at spaces, else anywhere but within a tag or an entity. Tags are closed at the end of a piece and opened
// again in the next.
func cut(markup string) []string {
	all := atoms(markup)
	var pieces []string
	var open []atom // tags that are open where the piece begins
	for start := 0; start < len(all); {
		end, tags := fit(all[start:], open)
		end += start
		var b strings.Builder
		for _, t := range open {
			b.WriteString(t.raw)
		}
		for _, a := range all[start:end] {
			b.WriteString(a.raw)
		}
		for n := len(tags) - 1; n >= 0; n-- {
			b.WriteString(tags[n].open)
		}
		pieces = append(pieces, b.String())
		start, open = end, tags
	}
	return pieces
}

// fit returns how many atoms make the next piece, and the tags that are open at its end.
func fit(all, open []atom) (n int, tags []atom) {
	text, raw := 0, 0
	stack := append([]atom(nil), open...)
	for _, t := range stack {
		raw += len(t.raw) + len(t.open)
	}
	type border struct {
		at   int
		tags []atom
	}
	var line, space border
	here := func(at int) border { return border{at, append([]atom(nil), stack...)} }
	for at, a := range all {
		add := len(a.raw) + len(a.open)
		over := raw+add > maxRaw || text+utf8.RuneCountInString(a.text) > maxText
		// A closing tag needs no room: it was counted when its tag was opened.
		if over && !a.close && at > 0 {
			switch {
			case line.at > 0:
				return line.at, line.tags
			case space.at > 0:
				return space.at, space.tags
			}
			return at, here(at).tags
		}
		text += utf8.RuneCountInString(a.text)
		if !a.close {
			raw += add
		}
		switch {
		case a.open != "":
			stack = append(stack, a)
		case a.close && len(stack) > 0:
			stack = stack[:len(stack)-1]
		case a.text == "\n":
			line = here(at + 1)
		case a.text == " ":
			space = here(at + 1)
		}
	}
	return len(all), stack
}

// Split makes the parts of a message. More than one are numbered; more than maxParts become a summary and a document.
func (c *Channel) Split(msg reporter.Message) []reporter.Part {
	var pieces []string
	for _, p := range cut(msg.HTML) {
		if strings.TrimFunc(plain(p), unicode.IsSpace) != "" { // Telegram refuses blank messages
			pieces = append(pieces, p)
		}
	}
	if len(pieces) == 0 {
		pieces = []string{html.EscapeString(msg.Title)}
	}
	if len(pieces) > maxParts {
		summary := msg.Summary
		if summary == "" {
			summary = "<b>" + html.EscapeString(msg.Title) + "</b>"
		}
		return withExtras(msg, []reporter.Part{{HTML: cut(summary)[0]}, {HTML: document(msg), Document: fileName(msg.Title)}})
	}
	parts := make([]reporter.Part, len(pieces))
	for n, p := range pieces {
		if len(pieces) > 1 {
			p = fmt.Sprintf("<i>(%d/%d)</i>\n", n+1, len(pieces)) + p
		}
		parts[n].HTML = p
	}
	return withExtras(msg, parts)
}

// withExtras puts the buttons under the first part, and the picture above the text if that is short enough, else behind it.
func withExtras(msg reporter.Message, parts []reporter.Part) []reporter.Part {
	parts[0].Buttons = msg.Buttons
	switch {
	case len(msg.Picture) == 0:
	case len(parts) == 1 && utf8.RuneCountInString(plain(parts[0].HTML)) <= maxCaption:
		parts[0].Picture = msg.Picture
	default:
		parts = append(parts, reporter.Part{HTML: html.EscapeString(msg.Title), Picture: msg.Picture})
	}
	return parts
}

// document is the whole text as a file that a browser shows.
func document(msg reporter.Message) string {
	return "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>" + html.EscapeString(msg.Title) +
		"</title></head>\n<body style=\"white-space: pre-wrap; font-family: sans-serif\">" + msg.HTML + "</body></html>\n"
}

var notInFile = regexp.MustCompile(`[^\p{L}\p{N}._-]+`)

func fileName(title string) string {
	name := strings.Trim(notInFile.ReplaceAllString(title, "-"), "-.")
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60])
	}
	if name == "" {
		name = "message"
	}
	return name + ".html"
}
