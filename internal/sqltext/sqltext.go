// Package sqltext reads one PostgreSQL statement: SQL with @names comes in, its names, its identifiers and the same SQL with numbered
// parameters go out.
package sqltext

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Statement is one statement with named parameters. Names are case-sensitive.
type Statement struct {
	text string
	// marks are the @names, in order.
	marks []mark
	// doubtful are names right after an operator that ends in @: "range<@until" is <@ before a column called until, or
	// < before a parameter.
	doubtful    []mark
	identifiers []string
}

type mark struct {
	name       string
	start, end int // of "@name" in text
}

// operatorCharacters are those that PostgreSQL's lexer puts into operators (PostgreSQL documentation, 4.1.3).
const operatorCharacters = "+-*/<>=~!@#%^&|`?"

// endingInAt are the operators of PostgreSQL and its extensions that end in @. After any other operator, an @ before a
// name begins a parameter.
var endingInAt = []string{"@@", "@@@", "<@", "^@", "@-@", "^<@", "?@", "?<@"}

// Parse reads a statement. Text that is not exactly one complete statement, and numbered parameters, are errors. Strings are read as
// with standard_conforming_strings = on.
func Parse(text string) (Statement, error) {
	l := lexer{s: Statement{text: text}}
	if err := l.run(); err != nil {
		return Statement{}, err
	}
	return l.s, nil
}

// Names returns the parameters' names, without @, each once, in the order of their first use.
func (s Statement) Names() []string {
	var out []string
	for _, m := range s.marks {
		if !slices.Contains(out, m.name) {
			out = append(out, m.name)
		}
	}
	return out
}

// Identifiers returns the identifiers and key words, each once: those without quotes in lower case, those in quotes as they stand,
// without the quotes.
func (s Statement) Identifiers() []string { return s.identifiers }

// writing are the first words of statements that give no rows, or that change something.
var writing = []string{
	"insert", "update", "delete", "merge", "truncate", "copy", "create", "alter", "drop", "grant", "revoke", "comment", "do", "call",
	"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "lock", "set", "reset", "discard", "vacuum", "analyze",
	"analyse", "cluster", "reindex", "refresh", "notify", "listen", "unlisten", "prepare", "execute", "deallocate", "declare", "fetch",
}

// Reads refuses a statement that cannot be a SELECT by its first word, and an empty one. The server decides about
// all others: it runs the statement in a read-only transaction.
func (s Statement) Reads() error {
	if len(s.identifiers) == 0 {
		return errors.New("has no statement, want one SELECT")
	}
	if slices.Contains(writing, s.identifiers[0]) {
		return fmt.Errorf("begins with %s, want one SELECT", strings.ToUpper(s.identifiers[0]))
	}
	return nil
}

// Check refuses a parameter that is not one of names, and an @ before one of them that may belong to an operator.
func (s Statement) Check(names ...string) error {
	for _, d := range s.doubtful {
		if slices.Contains(names, d.name) {
			return fmt.Errorf("%q may be an operator or a parameter, put a space before or after the last @", s.text[d.start:d.end])
		}
	}
	for _, have := range s.Names() {
		if !slices.Contains(names, have) {
			return fmt.Errorf("unknown name @%s (have %s); a space after @ makes it an operator", have, list(names))
		}
	}
	return nil
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "@" + strings.Join(names, ", @")
}

// Numbered returns the statement with $1 for the first of names, $2 for the second, and so on. Errors are those of Check.
func (s Statement) Numbered(names ...string) (string, error) { return s.Cast(nil, names...) }

// Cast is Numbered with casts of parameters to the given types, by name. Without a cast, the server gives a parameter the type of the
// column that it is compared with, and a timestamp ignores the zone in its text.
func (s Statement) Cast(types map[string]string, names ...string) (string, error) {
	if err := s.Check(names...); err != nil {
		return "", err
	}
	var b strings.Builder
	at := 0
	for _, m := range s.marks {
		b.WriteString(s.text[at:m.start])
		// "AND@until" is a key word and a name, but "AND$1" is one identifier.
		if m.start > 0 && inWord(s.text[m.start-1]) {
			b.WriteByte(' ')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(slices.Index(names, m.name) + 1))
		if t, ok := types[m.name]; ok {
			b.WriteString("::" + t)
		}
		at = m.end
		// "@until1" is one name, but "$21" would be another parameter than "$2" followed by 1.
		if at < len(s.text) && s.text[at] >= '0' && s.text[at] <= '9' {
			b.WriteByte(' ')
		}
	}
	b.WriteString(s.text[at:])
	return b.String(), nil
}

type lexer struct {
	s    Statement
	at   int
	done bool // a semicolon has ended the statement
}

var (
	errString     = errors.New("a string has no end")
	errIdentifier = errors.New("a quoted identifier has no end")
	errComment    = errors.New("a comment has no end")
	errSeveral    = errors.New("there is more than one statement")
	errNumbered   = errors.New("numbered parameters such as $1 are not supported, use names such as @name")
)

func (l *lexer) rest() string { return l.s.text[l.at:] }

func (l *lexer) run() error {
	for l.at < len(l.s.text) {
		if err := l.token(); err != nil {
			return err
		}
	}
	return nil
}

// token reads one token; white space and comments are tokens too.
func (l *lexer) token() error {
	rest := l.rest()
	c := rest[0]
	switch {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		l.at++
		return nil
	case strings.HasPrefix(rest, "--"):
		l.at += lineLength(rest)
		return nil
	case strings.HasPrefix(rest, "/*"):
		return l.comment()
	case c == ';':
		l.done = true
		l.at++
		return nil
	}
	if l.done {
		return errSeveral
	}
	switch {
	case c == '\'':
		return l.quoted(rest, '\'', false, errString)
	case c == '"':
		start := l.at + 1
		if err := l.quoted(rest, '"', false, errIdentifier); err != nil {
			return err
		}
		l.identifier(strings.ReplaceAll(l.s.text[start:l.at-1], `""`, `"`))
		return nil
	case c == '$':
		return l.dollar()
	case isLetter(c):
		return l.word()
	case c >= '0' && c <= '9':
		l.number()
		return nil
	case strings.IndexByte(operatorCharacters, c) >= 0:
		return l.operator()
	}
	l.at++
	return nil
}

func lineLength(s string) int {
	if n := strings.IndexAny(s, "\r\n"); n >= 0 {
		return n
	}
	return len(s)
}

// comment reads a block comment; they nest.
func (l *lexer) comment() error {
	depth := 0
	for l.at < len(l.s.text) {
		switch rest := l.rest(); {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.at += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.at += 2
			if depth == 0 {
				return nil
			}
		default:
			l.at++
		}
	}
	return errComment
}

// quoted reads a string or identifier in quotes; two quotes stand for one. With escapes, a backslash escapes the next character.
func (l *lexer) quoted(rest string, quote byte, escapes bool, unclosed error) error {
	for n := 1; n < len(rest); n++ {
		switch {
		case escapes && rest[n] == '\\':
			n++
		case rest[n] == quote && n+1 < len(rest) && rest[n+1] == quote:
			n++
		case rest[n] == quote:
			l.at += n + 1
			return nil
		}
	}
	return unclosed
}

// continued reads the rest of a string with escapes that continues on a further line, where it has escapes too (PostgreSQL
// documentation, 4.1.2.1).
func (l *lexer) continued() error {
	for {
		rest := l.rest()
		next := strings.TrimLeft(rest, " \t\r\n\f\v")
		between := len(rest) - len(next)
		if !strings.HasPrefix(next, "'") || !strings.ContainsAny(rest[:between], "\r\n") {
			return nil
		}
		l.at += between
		if err := l.quoted(next, '\'', true, errString); err != nil {
			return err
		}
	}
}

// dollar reads a string in dollar quotes.
func (l *lexer) dollar() error {
	rest := l.rest()
	end := 1
	for end < len(rest) && (isLetter(rest[end]) || (end > 1 && rest[end] >= '0' && rest[end] <= '9')) {
		end++
	}
	if end < len(rest) && rest[end] == '$' {
		tag := rest[:end+1]
		closing := strings.Index(rest[len(tag):], tag)
		if closing < 0 {
			return errString
		}
		l.at += 2*len(tag) + closing
		return nil
	}
	if end == 1 && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9' {
		return errNumbered
	}
	l.at++
	return nil
}

// word reads an identifier, a key word, or the prefix of a string with its string.
func (l *lexer) word() error {
	rest := l.rest()
	n := wordLength(rest)
	word := rest[:n]
	if n < len(rest) && rest[n] == '\'' && len(word) == 1 {
		switch word {
		case "e", "E", "b", "B", "x", "X", "n", "N":
			l.at += n
			escapes := word == "e" || word == "E"
			if err := l.quoted(rest[n:], '\'', escapes, errString); err != nil || !escapes {
				return err
			}
			return l.continued()
		}
	}
	l.at += n
	l.identifier(strings.ToLower(word))
	return nil
}

func (l *lexer) identifier(name string) {
	if !slices.Contains(l.s.identifiers, name) {
		l.s.identifiers = append(l.s.identifiers, name)
	}
}

// number reads a number with its exponent, so that the e of 1e5 is not read as a word.
func (l *lexer) number() {
	rest := l.rest()
	n := 0
	for n < len(rest) && (rest[n] == '.' || rest[n] == '_' || isLetter(rest[n]) || rest[n] >= '0' && rest[n] <= '9') {
		n++
	}
	l.at += n
}

// operator reads a run of operator characters. A run ends before a comment.
func (l *lexer) operator() error {
	rest := l.rest()
	n := 0
	for n < len(rest) && strings.IndexByte(operatorCharacters, rest[n]) >= 0 {
		if n > 0 && (strings.HasPrefix(rest[n:], "--") || strings.HasPrefix(rest[n:], "/*")) {
			break
		}
		n++
	}
	run := rest[:n]
	if !strings.HasSuffix(run, "@") || n == len(rest) || !isLetter(rest[n]) {
		l.at += n
		return nil
	}
	name := rest[n : n+wordLength(rest[n:])]
	if slices.Contains(endingInAt, run) {
		l.s.doubtful = append(l.s.doubtful, mark{name: name, start: l.at, end: l.at + n + len(name)})
		l.at += n
		return nil
	}
	l.s.marks = append(l.s.marks, mark{name: name, start: l.at + n - 1, end: l.at + n + len(name)})
	l.at += n + len(name)
	return nil
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

func inWord(c byte) bool { return isLetter(c) || c == '$' || c >= '0' && c <= '9' }

func wordLength(s string) int {
	n := 1
	for n < len(s) && inWord(s[n]) {
		n++
	}
	return n
}
