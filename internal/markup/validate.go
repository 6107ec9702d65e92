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

// Validate returns an error if a chat would refuse the text or show it otherwise than it is written, and where:
// "line 3: <b> is not closed". It is stricter than Telegram, which takes & and > for themselves.
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
				"as text, < is written &lt;", t.raw)
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
			if len(stack) == 0 || stack[len(stack)-1].name != t.name {
				err = fmt.Errorf("</%s> closes what is not open", t.name)
				break
			}
			stack = stack[:len(stack)-1]
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

// wellFormed is the form of a tag that all parsers read alike.
var wellFormed = regexp.MustCompile(`^</?[a-zA-Z][a-zA-Z-]*(?:\s+[a-zA-Z-]+(?:="[^"<>]*"|='[^'<>]*')?)*\s*>$`)

// validateText returns where the first fault is.
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

// attributes are those that a tag may have. One that is required is in open's result.
var attributes = map[string][]string{
	"a": {"href"}, "code": {"class"}, "span": {"class"}, "blockquote": {"expandable"},
}

// schemes of links. tg is a mention of a user, which Telegram documents.
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

// Linkable says whether Telegram takes the URL for a link's or a button's address: it is http or https, its host has a dot,
// and its port, if any, is in 1..65535. Telegram drops a link to any other silently, and refuses the message of a button.
// The rules are those of parse_url and LinkManager::check_link in https://github.com/tdlib/td. Users and passwords, IPv6
// addresses and percent signs in the host are refused although some of these would pass.
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

// isMention says whether the address names a user of Telegram, which a link in a text may do.
func isMention(address string) bool {
	id, ok := strings.CutPrefix(address, "tg://user?id=")
	return ok && id != "" && strings.Trim(id, "0123456789") == ""
}
