package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// Limits of a configuration file, far above any real one: a hostile or broken file must not use much time or memory.
const (
	maxFile   = 1 << 20  // bytes
	maxDepth  = 50       // nested mappings and lists; a real file has about 8
	maxValues = 100_000  // values, with every alias replaced
	maxSecret = 64 << 10 // bytes of a file with a secret
)

// pipeTimeout bounds reading a file that is a pipe, such as a shell's <(command).
const pipeTimeout = 10 * time.Second

var errPipe = fmt.Errorf("nothing was written to it within %v", pipeTimeout)

// readFile reads a file of at most limit bytes. It ends with ctx, even if the file is a pipe to which nothing is written.
func readFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, pipeTimeout, errPipe)
		defer cancel()
	}
	type read struct {
		b   []byte
		err error
	}
	done := make(chan read, 1)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			done <- read{err: err}
			return
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err == nil && int64(len(b)) > limit {
			err = fmt.Errorf("is longer than %d bytes", limit)
		}
		done <- read{b, err}
	}()
	select {
	case r := <-done:
		return r.b, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// parseFile returns the file's only document as a tree without aliases and merge keys, or nil if the file is empty. It adds what is
// wrong to p.
func parseFile(text []byte, p *Problems) *yaml.Node {
	if !utf8.Valid(text) && !bytes.HasPrefix(text, []byte("\xff\xfe")) && !bytes.HasPrefix(text, []byte("\xfe\xff")) {
		line := 1
		for rest := text; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			rest = rest[size:]
		}
		p.unreadable("", position{line, 1}, "the file is not UTF-8 text", "save it as UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, next yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		p.syntax(err)
		return nil
	}
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		p.syntax(err)
		return nil
	default:
		p.unreadable("", position{max(next.Line, 1), max(next.Column, 1)}, "a second document begins here",
			"remove the line ---, a configuration is one document")
	}
	root := doc.Content[0]
	x := expander{left: maxValues, problems: p}
	root = x.expand(root, 0)
	if x.refused != "" {
		p.unreadable("", x.at, x.refused, "")
		return nil
	}
	if isNull(root) {
		return nil
	}
	return root
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)
	quoted   = regexp.MustCompile("`[^`]*`|'[^']*'|\"[^\"]*\"")
)

// syntaxRemedies are what to do about errors of the parser, by a part of their text; the first that fits.
var syntaxRemedies = []struct{ part, remedy string }{
	{"cannot start any token", "indent with spaces, not tabs, and quote text that begins with @, % or a backquote"},
	{"mapping values are not", "quote text that holds a colon and a space, and check the indentation"},
	{"did not find expected ',", "close the bracket"},
	{"did not find expected", "check indentation, brackets and quotes in this line and above"},
	{"unexpected end of", "close the quote"},
	{"could not find expected", "write key: value, with a space behind the colon"},
	{"unknown anchor", "quote text that begins with *"},
}

// syntax reports an error of the YAML parser, without the text that it quotes, which may be a secret.
func (p *Problems) syntax(err error) {
	line, text := 1, err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	remedy := ""
	for _, r := range syntaxRemedies {
		if strings.Contains(text, r.part) {
			remedy = r.remedy
			break
		}
	}
	p.unreadable("", position{line, 1}, "YAML: "+quoted.ReplaceAllString(text, "…"), remedy)
}

// expander replaces aliases and merge keys by the values that they refer to, within the limits.
type expander struct {
	left     int // values until the limit
	problems *Problems
	refused  string // which limit the file exceeds; "" if none
	at       position
}

// knownTags are YAML's own tags. Others, such as !env or !vault, are instructions to a program that reads the value from elsewhere.
var knownTags = []string{"!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!binary", "!!timestamp", "!!merge"}

func (x *expander) expand(n *yaml.Node, depth int) *yaml.Node {
	at := position{n.Line, n.Column}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	x.left--
	switch {
	case x.refused != "":
		return n
	case x.left < 0:
		x.refused, x.at = fmt.Sprintf("more than %d values, with aliases replaced", maxValues), at
		return n
	case depth > maxDepth:
		x.refused, x.at = fmt.Sprintf("mappings and lists are nested deeper than %d", maxDepth), at
		return n
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains(knownTags, n.ShortTag()) {
		x.problems.unreadable(safetext.Line(n.Tag, 60), at, "is a tag that has no meaning here",
			"write the value itself, or use the _file key of a secret")
	}
	out := *n
	out.Content, out.Anchor = nil, ""
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			out.Content = append(out.Content, x.expand(c, depth+1))
		}
		return &out
	}
	own := map[string]bool{}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content) && x.refused == ""; i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" || (key.Value == "<<" && key.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0) {
			merged = append(merged, x.merge(value, depth)...)
			continue
		}
		key = x.expand(key, depth+1)
		own[key.Value] = own[key.Value] || key.Kind == yaml.ScalarNode
		out.Content = append(out.Content, key, x.expand(value, depth+1))
	}
	for i := 0; i+1 < len(merged); i += 2 { // the first of equal keys wins
		if key := merged[i]; !own[key.Value] {
			own[key.Value] = true
			out.Content = append(out.Content, key, merged[i+1])
		}
	}
	return &out
}

// merge returns the keys and values of a merge key's value: a mapping, or a list of mappings.
func (x *expander) merge(value *yaml.Node, depth int) []*yaml.Node {
	v := x.expand(value, depth+1)
	switch v.Kind {
	case yaml.MappingNode:
		return v.Content
	case yaml.SequenceNode:
		var all []*yaml.Node
		for _, c := range v.Content {
			if c.Kind == yaml.MappingNode {
				all = append(all, c.Content...)
				continue
			}
			x.problems.unreadable("<<", position{c.Line, c.Column}, "can merge mappings only", "")
		}
		return all
	}
	if x.refused == "" {
		x.problems.unreadable("<<", position{value.Line, value.Column}, "can merge mappings only", "write <<: *anchor of a mapping")
	}
	return nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
