package markup

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Validate returns an error with the line, such as "line 3: <b> is not closed", if a chat would refuse the text or show it differently.
// It is stricter than Telegram, which accepts & and > as text.
func Validate(s string) error {
	if strings.TrimSpace(s) == "" {
		return errors.New("the text is empty")
	}
	line := 1
	type open struct {
		name string
		line int
	}
	var stack []open
	for t := range tokens(s) {
		var err error
		switch t.kind {
		case text:
			var at int
			if at, err = validateText(t.raw); err != nil {
				line += strings.Count(t.raw[:at], "\n")
			}
		case other:
			err = fmt.Errorf("%.40q is not supported in messages (have <b>, <i>, <u>, <s>, <code>, <pre>, <a>, <blockquote>); "+
				"write &lt; for < in text", t.raw)
		case start, end:
			if !wellFormed.MatchString(t.raw) || !utf8.ValidString(t.raw) {
				err = fmt.Errorf("%.40q is not a tag as in <b>, </b> or <a href=\"https://example.org\">", t.raw)
			}
		}
		switch {
		case err != nil:
		case t.kind == start:
			parent := ""
			if len(stack) > 0 {
				parent = stack[len(stack)-1].name
			}
			err = validateStart(t, parent)
			stack = append(stack, open{t.name, line})
		case t.kind == end:
			switch {
			case !slices.ContainsFunc(stack, func(o open) bool { return o.name == t.name }):
				err = fmt.Errorf("</%s> has no <%s> before it", t.name, t.name)
			case stack[len(stack)-1].name != t.name:
				err = fmt.Errorf("</%s> stands before </%s>: close <%[2]s> first", t.name, stack[len(stack)-1].name)
			default:
				stack = stack[:len(stack)-1]
			}
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		line += strings.Count(t.raw, "\n")
	}
	if n := len(stack); n > 0 {
		return fmt.Errorf("line %d: <%s> is not closed", stack[n-1].line, stack[n-1].name)
	}
	return nil
}

// wellFormed matches tags that all parsers read in the same way.
var wellFormed = regexp.MustCompile(`^</?[a-zA-Z][a-zA-Z-]*(?:\s+[a-zA-Z-]+(?:="[^"<>]*"|='[^'<>]*')?)*\s*>$`)

// validateText returns the byte offset of the first fault, and the fault.
func validateText(raw string) (at int, err error) {
	for at < len(raw) {
		r, size := utf8.DecodeRuneInString(raw[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at, errors.New("the text is not UTF-8")
		case r == '<':
			return at, errors.New("< must be written &lt;")
		case r == '>':
			return at, errors.New("> must be written &gt;")
		case r == '&':
			if size, _ = entity(raw[at:]); size == 0 {
				return at, errors.New("& must be written &amp; (messages have the entities lt, gt, amp, quot and numbers)")
			}
		}
		at += size
	}
	return 0, nil
}

// attributes are the attributes that an element may have. token.open checks those that are required.
var attributes = map[string][]string{
	"a": {"href"}, "code": {"class"}, "span": {"class"}, "blockquote": {"expandable"},
}

// schemes are the URL schemes of links. tg://user?id= mentions a user in Telegram.
var schemes = []string{"", "http", "https", "tg", "mailto"}

func validateStart(t token, parent string) error {
	switch {
	case t.name == "a" && t.href() == "":
		return errors.New("<a> needs a href")
	case t.open() == "":
		return fmt.Errorf("<%s> needs class=\"tg-spoiler\"", t.name)
	case parent == "code", parent == "pre" && t.name != "code":
		return fmt.Errorf("<%s> inside <%s>", t.name, parent)
	}
	for _, a := range t.attr {
		if !slices.Contains(attributes[t.name], a.name) {
			return fmt.Errorf("<%s> has no attribute %.40q in messages", t.name, a.name)
		}
	}
	if t.name == "a" {
		if u, err := url.Parse(t.href()); err == nil && !slices.Contains(schemes, u.Scheme) {
			return fmt.Errorf("href: the scheme %.40q is not supported (have http, https, mailto, tg)", u.Scheme)
		}
	}
	return nil
}

// Linkable reports whether Telegram accepts the URL in a link or a button: it is http or https, its host has a dot, and its port, if
// any, is in 1..65535. Telegram silently drops other links, and refuses messages with other buttons. The rules are those of parse_url
// and LinkManager::check_link in https://github.com/tdlib/td. URLs with a user, an IPv6 address or a percent sign in the host are not
// linkable, although Telegram accepts some of them.
func Linkable(address string) bool {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Opaque != "" {
		return false
	}
	host, port := u.Hostname(), strings.TrimLeft(u.Port(), "0")
	if strings.Contains(u.Host, ":") && (port == "" || len(port) > 5 || len(port) == 5 && port > "65535") {
		return false
	}
	if strings.ContainsFunc(host, func(r rune) bool {
		return r < utf8.RuneSelf && (r < '0' || r > '9') && (r|0x20 < 'a' || r|0x20 > 'z') && r != '.' && r != '-' && r != '_'
	}) {
		return false
	}
	return strings.Contains(strings.Trim(host, "."), ".") && !strings.Contains(host, "..")
}

// isMention reports whether the address is a mention of a Telegram user, which links in a text may have.
func isMention(address string) bool {
	id, ok := strings.CutPrefix(address, "tg://user?id=")
	return ok && id != "" && strings.Trim(id, "0123456789") == ""
}
