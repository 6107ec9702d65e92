package markup

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits are the limits of a part: code points after parsing, and bytes including tags and entities.
type Limits struct{ Chars, Bytes int }

const (
	// maxDepth and maxTags limit the tags that are repeated in each part: the depth of nesting, and the bytes of the start tags that
	// are open at one place. A text with more is split as plain text.
	maxDepth = 16
	maxTags  = 4096
	// minBytes is the least Limits.Bytes, so that a part has space for text.
	minBytes = 2 * maxTags
)

// Split divides marked-up text into parts within the limits. Each part is well-formed: tags are closed at its end and opened again in
// the next. It cuts after line breaks, else after spaces, else within words, but never within a tag or an entity. Parts without a
// visible character are left out, because Telegram refuses them; a blank text has no parts.
//
// The parts contain nothing that Telegram refuses: bytes that are not UTF-8 are replaced; a text with unbalanced or unknown tags is split
// as Plain; a link that is not Linkable becomes text with the address after it.
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

// item is a piece of well-formed text: an unescaped text or a tag.
type item struct {
	text string
	tag  string
	name string // of a start tag; "" for an end tag
}

// items returns the items of a text; false if it is not well-formed, or exceeds maxDepth or maxTags.
func items(s string) ([]item, bool) {
	var out []item
	type element struct {
		name, href  string // href is the address to write after the text, if the link is not Linkable
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
			case len(out) == e.from+1: // an empty element is left out: a text could have any number of them
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

// place is a position in the items: the index of an item, and a byte offset in its text.
type place struct{ item, byte int }

// cutter divides items into parts, one after the other.
type cutter struct {
	items  []item
	limits Limits
	at     place  // start of the next part
	open   []item // start tags that are open at at
}

// next returns the end of the part that begins at c.at.
func (c *cutter) next() place {
	chars, size := 0, 0
	depth := make([]int, 0, maxDepth) // bytes of the end tags of the open elements
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

// best returns the place after the last line break, else after the last space, else anywhere.
func best(line, space, anywhere place) place {
	switch zero := (place{}); {
	case line != zero:
		return line
	case space != zero:
		return space
	}
	return anywhere
}

// maxCluster is the most code points by which a cut moves back so as not to split what people see as one character.
const maxCluster = 16

// whole moves a cut back to the start of what people see as one character.
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

// extends reports whether r belongs to the character before it: a combining mark, a joiner or a skin tone.
func extends(r rune) bool {
	return r == zeroWidthJoiner || unicode.Is(unicode.M, r) || r >= 0x1F3FB && r <= 0x1F3FF
}

// write returns the part from c.at to end, and moves c.at to end.
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

// isVisible reports whether r has a shape: it is no white space, and no control or zero-width character.
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
