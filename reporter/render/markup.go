package render

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
)

// The HTML subset of messages, as Telegram's Bot API documents it under "HTML style", less what we do not use.
var (
	tagToken    = regexp.MustCompile(`^<(/?)(b|i|u|s|code|pre|a|blockquote)( href="([^"<>]*)")?>`)
	entityToken = regexp.MustCompile(`^&(lt|gt|amp|quot|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});`)
	anyTag      = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9-]*)(?:\s+href="([^"]*)")?[^<>]*>`)
)

// checkMarkup returns an error where a channel would refuse the text, with the line of the fault.
func checkMarkup(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("the text is empty")
	}
	line := 1
	type open struct {
		tag  string
		line int
	}
	var stack []open
	for len(s) > 0 {
		next := 1
		switch s[0] {
		case '\n':
			line++
		case '&':
			entity := entityToken.FindString(s)
			if entity == "" {
				return fmt.Errorf("line %d: & must be written &amp;", line)
			}
			next = len(entity)
		case '>':
			return fmt.Errorf("line %d: > must be written &gt;", line)
		case '<':
			m := tagToken.FindStringSubmatch(s)
			if m == nil {
				return fmt.Errorf("line %d: %.20q is no tag that a message may have, and < must be written &lt;", line, s)
			}
			next = len(m[0])
			closing, tag, hasHref := m[1] != "", m[2], m[3] != ""
			switch {
			case closing && (len(stack) == 0 || stack[len(stack)-1].tag != tag):
				return fmt.Errorf("line %d: </%s> closes what is not open", line, tag)
			case closing:
				stack = stack[:len(stack)-1]
			case hasHref != (tag == "a"):
				return fmt.Errorf("line %d: <a> needs a href, and no other tag has one", line)
			case len(stack) > 0 && (stack[len(stack)-1].tag == "code" || stack[len(stack)-1].tag == "pre"):
				return fmt.Errorf("line %d: <%s> inside <%s>", line, tag, stack[len(stack)-1].tag)
			default:
				stack = append(stack, open{tag, line})
			}
		}
		s = s[next:]
	}
	if n := len(stack); n > 0 {
		return fmt.Errorf("line %d: <%s> is not closed", stack[n-1].line, stack[n-1].tag)
	}
	return nil
}

// Plain turns a message's HTML into text for terminals: tags go, entities become characters, and links show where they
// lead.
func Plain(markup string) string {
	var b strings.Builder
	var href string
	var linkText int
	rest := 0
	for _, m := range anyTag.FindAllStringSubmatchIndex(markup, -1) {
		b.WriteString(html.UnescapeString(markup[rest:m[0]]))
		rest = m[1]
		closing, tag := m[2] != m[3], markup[m[4]:m[5]]
		switch {
		case tag != "a":
		case !closing && m[6] >= 0:
			href, linkText = html.UnescapeString(markup[m[6]:m[7]]), b.Len()
		case closing && href != "":
			if b.String()[linkText:] != href {
				b.WriteString(" (" + href + ")")
			}
			href = ""
		}
	}
	b.WriteString(html.UnescapeString(markup[rest:]))
	return b.String()
}
