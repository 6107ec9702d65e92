package markup

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits bound a part: its code points after parsing, and its bytes with tags and entities.
type Limits struct{ Chars, Bytes int }

const (
	// maxDepth and maxTags bound what has to be repeated in each part: how deep tags are nested, and the bytes of the start
	// tags open at one place. Text with more loses its tags.
	maxDepth = 16
	maxTags  = 4096
	// minBytes leaves a part bytes for its text.
	minBytes = 2 * maxTags
)

// Split divides marked-up text into parts within the limits. Each part is well-formed by itself: tags are closed at its end
// and opened again in the next. It cuts after line breaks, else after spaces, else within words, but never within a tag or
// an entity. Parts without any visible character are left out, since Telegram refuses them, so a blank text has no parts.
//
// The parts hold nothing that Telegram refuses: bytes that are not UTF-8 are replaced; of a text whose tags do not match, or
// are not of the subset, the parts are Plain; a link to an address that is not Linkable is text with the address behind it.
func Split(s string, l Limits) []string {
	l.Bytes = max(l.Bytes, minBytes)
	items, ok := items(valid(s))
	if !ok {
		items = []item{{text: Plain(s)}}
	}
	c := cutter{items: items, limits: l}
	var parts []string
	for c.at.item < len(c.items) {
		if part, visible := c.write(c.next()); visible {
			parts = append(parts, part)
		}
	}
	return parts
}

// item is a piece of well-formed text: a text, unescaped, or a tag as it is to be written.
type item struct {
	text string
	tag  string
	name string // of a start tag; "" for an end tag
}

// items returns false if the text is not well-formed.
func items(s string) ([]item, bool) {
	var out []item
	type element struct {
		name, href  string // href: to be written behind the text, since the link is not Linkable
		from, bytes int
	}
	var stack []element
	bytes := 0 // of the start tags in the stack
	for t := range tokens(s) {
		switch t.kind {
		case text:
			out = append(out, item{text: unescape(t.raw)})
		case other:
			return nil, false
		case start:
			tag := t.open()
			if bytes += len(tag); tag == "" || bytes > maxTags || len(stack) == maxDepth {
				return nil, false
			}
			e := element{name: t.name, from: len(out), bytes: len(tag)}
			if t.name == "a" {
				for _, outer := range stack {
					if outer.name == "a" {
						return nil, false
					}
				}
				if href := t.href(); !Linkable(href) && !isMention(href) {
					e.href = href
				}
			}
			if stack = append(stack, e); e.href == "" {
				out = append(out, item{tag: tag, name: t.name})
			}
		case end:
			if len(stack) == 0 || stack[len(stack)-1].name != t.name {
				return nil, false
			}
			e := stack[len(stack)-1]
			bytes -= e.bytes
			switch stack = stack[:len(stack)-1]; {
			case e.href != "":
			case len(out) == e.from+1: // no text, so no bound on how many there are
				out = out[:e.from]
				continue
			default:
				out = append(out, item{tag: "</" + t.name + ">"})
				continue
			}
			var written strings.Builder
			for _, i := range out[e.from:] {
				written.WriteString(i.text)
			}
			out = append(out, item{text: target(written.String(), e.href)})
		}
	}
	return out, len(stack) == 0
}

// place is a position in the items; byte counts within the item's text.
type place struct{ item, byte int }

// cutter goes through the items once; what lies between a cut and the limit is read twice.
type cutter struct {
	items  []item
	limits Limits
	at     place  // where the next part begins
	open   []item // start tags that are open there
}

// next returns where the part that begins at c.at ends.
func (c *cutter) next() place {
	chars, size := 0, 0
	depth := make([]int, 0, maxDepth) // bytes of the end tags that are to be written
	for _, i := range c.open {
		depth = append(depth, len(endTag(i)))
		size += len(i.tag) + len(endTag(i))
	}
	var line, space place
	for at := c.at; at.item < len(c.items); at = (place{at.item + 1, 0}) {
		i := c.items[at.item]
		switch {
		case i.name != "":
			if size += len(i.tag) + len(endTag(i)); size > c.limits.Bytes && chars > 0 {
				return best(line, space, at)
			}
			depth = append(depth, len(endTag(i)))
			continue
		case i.tag != "": // counted with its start tag
			depth = depth[:len(depth)-1]
			continue
		}
		for n, r := range i.text[at.byte:] {
			here := place{at.item, at.byte + n}
			bytes := escapedLen(r)
			if chars++; (chars > c.limits.Chars || size+bytes > c.limits.Bytes) && chars > 1 {
				return best(line, space, c.whole(here))
			}
			size += bytes
			after := place{at.item, here.byte + utf8.RuneLen(r)}
			switch r {
			case '\n':
				line = after
			case ' ':
				space = after
			}
		}
	}
	return place{len(c.items), 0}
}

// best prefers a line break to a space, and a space to any other place.
func best(line, space, anywhere place) place {
	switch zero := (place{}); {
	case line != zero:
		return line
	case space != zero:
		return space
	}
	return anywhere
}

// maxCluster bounds how far a cut within a word moves to keep what people see as one character.
const maxCluster = 16

// whole moves a cut before marks that belong to the character before them.
func (c *cutter) whole(at place) place {
	text := c.items[at.item].text
	from := 0
	if at.item == c.at.item {
		from = c.at.byte
	}
	for end, n := at.byte, 0; n < maxCluster; n++ {
		next, _ := utf8.DecodeRuneInString(text[end:])
		before, size := utf8.DecodeLastRuneInString(text[from:end])
		if size == 0 {
			break
		}
		if !extends(next) && before != zeroWidthJoiner {
			return place{at.item, end}
		}
		end -= size
	}
	return at
}

const zeroWidthJoiner = '\u200D'

// extends says whether r belongs to the character before it: a combining mark, a joiner or the colour of a skin.
func extends(r rune) bool {
	return r == zeroWidthJoiner || unicode.Is(unicode.M, r) || r >= 0x1F3FB && r <= 0x1F3FF
}

// write returns the text from c.at to end, and moves there.
func (c *cutter) write(end place) (part string, visible bool) {
	var b strings.Builder
	for _, i := range c.open {
		b.WriteString(i.tag)
	}
	for c.at != end {
		i := c.items[c.at.item]
		to, next := len(i.text), place{c.at.item + 1, 0}
		if c.at.item == end.item {
			to, next = end.byte, end
		}
		switch {
		case i.name != "":
			c.open = append(c.open, i)
		case i.tag != "":
			c.open = c.open[:len(c.open)-1]
		default:
			b.WriteString(textEscaper.Replace(i.text[c.at.byte:to]))
			visible = visible || strings.ContainsFunc(i.text[c.at.byte:to], isVisible)
		}
		b.WriteString(i.tag)
		c.at = next
	}
	for _, i := range slices.Backward(c.open) {
		b.WriteString(endTag(i))
	}
	return b.String(), visible
}

// isVisible leaves out zero-width characters, too.
func isVisible(r rune) bool { return !unicode.IsSpace(r) && !unicode.In(r, unicode.Cc, unicode.Cf) }

func endTag(i item) string { return "</" + i.name + ">" }

func escapedLen(r rune) int {
	switch r {
	case '&':
		return len("&amp;")
	case '<', '>':
		return len("&lt;")
	}
	return utf8.RuneLen(r)
}
