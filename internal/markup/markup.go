// Package markup reads the HTML subset of messages: marked-up text comes in; errors, plain text, Markdown and parts that a chat accepts
// go out.
//
// The subset is Telegram's: https://core.telegram.org/bots/api#html-style.
package markup

import (
	"html"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	xhtml "golang.org/x/net/html"
)

// kind is the kind of a token.
type kind int

const (
	text  kind = iota
	start      // a start tag of the subset
	end        // an end tag of the subset
	other      // a tag that is not in the subset, a comment or a doctype
)

// token is a piece of marked-up text. Concatenated, the raw texts of all tokens are the input.
type token struct {
	kind kind
	raw  string
	name string      // of a tag, lower case
	attr []attribute // of a start tag
}

type attribute struct{ name, value string }

// tags are the elements of the subset. Telegram has tg-emoji too, but refuses it from most bots.
var tags = map[string]bool{
	"b": true, "strong": true, "i": true, "em": true, "u": true, "ins": true, "s": true, "strike": true, "del": true,
	"code": true, "pre": true, "a": true, "blockquote": true, "span": true, "tg-spoiler": true,
}

// tokens returns the tokens of s, in linear time. s must be valid UTF-8.
func tokens(s string) iter.Seq[token] {
	return func(yield func(token) bool) {
		z := xhtml.NewTokenizer(strings.NewReader(s))
		for s != "" {
			t := token{kind: text, raw: s}
			if next := z.Next(); next != xhtml.ErrorToken { // else the rest is an unfinished tag
				t = newToken(z, next, s[:len(z.Raw())])
			}
			if t.raw == "" {
				continue
			}
			s = s[len(t.raw):]
			if !yield(t) {
				return
			}
		}
	}
}

func newToken(z *xhtml.Tokenizer, next xhtml.TokenType, raw string) token {
	t := token{kind: other, raw: raw}
	switch next {
	case xhtml.TextToken:
		return token{kind: text, raw: raw}
	case xhtml.StartTagToken:
		t.kind = start
	case xhtml.EndTagToken:
		t.kind = end
	case xhtml.ErrorToken, xhtml.CommentToken, xhtml.DoctypeToken, xhtml.SelfClosingTagToken:
	}
	name, more := z.TagName()
	t.name = string(name)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		t.attr = append(t.attr, attribute{string(key), string(value)})
	}
	z.NextIsNotRawText() // HTML has raw text in <title> and others, the subset has not
	if !tags[t.name] {
		t.kind = other
	}
	return t
}

// open returns the start tag with the attributes that Telegram reads; "" if a required one is missing.
func (t token) open() string {
	value := func(name string) (string, bool) {
		for _, a := range t.attr {
			if a.name == name {
				return a.value, true
			}
		}
		return "", false
	}
	switch t.name {
	case "a":
		href, ok := value("href")
		if !ok {
			return ""
		}
		return `<a href="` + escapeValue(href) + `">`
	case "span":
		if class, _ := value("class"); class != "tg-spoiler" {
			return ""
		}
		return `<span class="tg-spoiler">`
	case "code":
		if class, _ := value("class"); strings.HasPrefix(class, "language-") {
			return `<code class="` + escapeValue(class) + `">`
		}
	case "blockquote":
		if _, ok := value("expandable"); ok {
			return "<blockquote expandable>"
		}
	}
	return "<" + t.name + ">"
}

func (t token) href() string {
	for _, a := range t.attr {
		if a.name == "href" {
			return a.value
		}
	}
	return ""
}

// entities are the named entities of the subset. Others are text.
var entities = map[string]rune{"lt": '<', "gt": '>', "amp": '&', "quot": '"'}

// maxEntity is the length of the longest entity, &#1114111;.
const maxEntity = 10

// entity returns the length of the entity that s begins with, and its character; length 0 if s begins with none.
func entity(s string) (length int, r rune) {
	end := strings.IndexByte(s[:min(len(s), maxEntity)], ';')
	if end < 2 || s[0] != '&' {
		return 0, 0
	}
	name := s[1:end]
	if r, ok := entities[name]; ok {
		return end + 1, r
	}
	if name[0] != '#' {
		return 0, 0
	}
	digits, base := name[1:], 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	} else if hex, ok := strings.CutPrefix(digits, "X"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return 0, 0
	}
	if n == 0 || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) { // not a character
		n = utf8.RuneError
	}
	return end + 1, rune(n) //nolint:gosec // checked above to be a code point
}

// unescape replaces the entities of a text by their characters.
func unescape(s string) string {
	at := strings.IndexByte(s, '&')
	if at < 0 {
		return s
	}
	var b strings.Builder
	for at >= 0 {
		b.WriteString(s[:at])
		if n, r := entity(s[at:]); n > 0 {
			b.WriteRune(r)
			s = s[at+n:]
		} else {
			b.WriteByte('&')
			s = s[at+1:]
		}
		at = strings.IndexByte(s, '&')
	}
	b.WriteString(s)
	return b.String()
}

var textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// Escape returns plain text as marked-up text. Bytes that are not UTF-8 are replaced.
func Escape(s string) string { return textEscaper.Replace(valid(s)) }

// escapeValue writes an attribute's value.
func escapeValue(s string) string { return html.EscapeString(s) }

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Text returns the plain text of marked-up text: tags of the subset are removed, entities are replaced by their characters. Anything
// else that looks like a tag stays as it is.
func Text(s string) string {
	var b strings.Builder
	for t := range tokens(valid(s)) {
		switch t.kind {
		case text:
			b.WriteString(unescape(t.raw))
		case other:
			b.WriteString(t.raw)
		case start, end:
		}
	}
	return b.String()
}

// Plain is Text with the address of each link after its text.
func Plain(s string) string {
	var b strings.Builder
	href, from := "", 0
	for t := range tokens(valid(s)) {
		switch t.kind {
		case text:
			b.WriteString(unescape(t.raw))
		case other:
			b.WriteString(t.raw)
		case start:
			if t.name == "a" {
				href, from = t.href(), b.Len()
			}
		case end:
			if t.name == "a" {
				b.WriteString(target(b.String()[from:], href))
				href = ""
			}
		}
	}
	return b.String()
}

// target returns the address that is written after a link's text; "" if the text is the address.
func target(text, href string) string {
	if href == "" || text == href {
		return ""
	}
	return " (" + href + ")"
}

// Length counts the code points of Text, as Telegram does for its limits.
func Length(s string) int { return utf8.RuneCountInString(Text(s)) }
