package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/awoooi/awoooi-reporter/internal/fault"
	"github.com/awoooi/awoooi-reporter/internal/safetext"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Source       string // the file's path, an environment variable or a flag
	Line, Column int    // from 1; 0 if the value is not in the file
	Key          string // dotted, with the index of list entries: receivers[0].telegram.chat_id; "" for the file as a whole
	Text         string // what is wrong
	Remedy       string // what to do
}

// String gives FILE:LINE:COLUMN: KEY: TEXT; REMEDY, on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Source)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	for _, part := range []string{p.Key, p.Text} {
		if part != "" {
			b.WriteString(": " + part)
		}
	}
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return safetext.Line(b.String(), 2*safetext.MaxError)
}

// Error is every problem of a configuration, in the order of the file.
type Error struct {
	Problems []Problem
}

// maxShown is the number of problems that are printed; a file with more is hardly a configuration.
const maxShown = 100

func (e *Error) Error() string {
	var lines []string
	if len(e.Problems) > 1 {
		lines = append(lines, fmt.Sprintf("%d problems in the configuration", len(e.Problems)))
	}
	for n, p := range e.Problems {
		if n == maxShown {
			lines = append(lines, fmt.Sprintf("and %d more", len(e.Problems)-n))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Problems collects what is wrong with one configuration.
type Problems struct {
	file   string
	at     map[string]position // of each key in the file
	named  map[string]string   // of each entry of a list with a name, list{name}: list[index]
	from   map[string]string   // of each key that the environment or a flag set: its source
	list   []Problem
	broken map[string]bool // keys whose value could not be read, so that nothing else is said about them
	given  map[string]bool // keys with a problem of their own
	// emptied are the lists that the file sets to []; for some settings that differs from a list that is not set.
	emptied map[string]bool
}

type position struct{ line, column int }

func newProblems(file string) *Problems {
	return &Problems{
		file: file, at: map[string]position{}, named: map[string]string{}, from: map[string]string{},
		broken: map[string]bool{}, given: map[string]bool{}, emptied: map[string]bool{},
	}
}

// Add reports that the value of key is wrong, and what to do. Only the first problem of a key counts, and none of a key whose
// value could not be read: one cause gives one problem.
func (p *Problems) Add(key, text, remedy string) {
	key = p.resolve(key)
	if p.given[key] || p.Broken(key) {
		return
	}
	p.given[key] = true
	p.list = append(p.list, p.locate(key, text, remedy))
}

// AddError adds every fault.Error in err, with its key below key; nil adds nothing. Quotes of YAML's parser are not shown, because
// they may contain secrets.
func (p *Problems) AddError(key string, err error) {
	fault.Each(err, func(e *fault.Error) {
		at := key
		if e.Key != "" {
			at = join(key, e.Key)
		}
		text := backquoted.ReplaceAllString(e.Text, "…")
		last := at[strings.LastIndex(at, ".")+1:] // the text need not repeat it
		text = strings.TrimPrefix(strings.TrimPrefix(text, last+": "), last+" ")
		p.Add(at, safetext.Line(text, safetext.MaxError), e.Remedy)
	})
}

var backquoted = regexp.MustCompile("`[^`]*`")

var namedEntry = regexp.MustCompile(`^([^{]*)\{([^}]*)\}`)

// resolve replaces list{name} in a key by list[index], if the file has such an entry.
func (p *Problems) resolve(key string) string {
	for {
		m := namedEntry.FindString(key)
		entry, ok := p.named[m]
		if m == "" || !ok {
			return key
		}
		key = entry + key[len(m):]
	}
}

// Given tells whether there is a problem of the value of key, or of a part of it.
func (p *Problems) Given(key string) bool {
	key = p.resolve(key)
	if p.Broken(key) || p.given[key] {
		return true
	}
	for g := range p.given {
		if strings.HasPrefix(g, key+".") || strings.HasPrefix(g, key+"[") {
			return true
		}
	}
	return false
}

// Any tells whether there is a problem so far.
func (p *Problems) Any() bool { return len(p.list) > 0 }

// isSet tells whether the file, the environment or a flag has the setting.
func (p *Problems) isSet(key string) bool {
	_, file := p.at[key]
	return file || p.from[key] != ""
}

// Broken tells whether the value of any of the keys could not be read, as a whole or in part.
func (p *Problems) Broken(keys ...string) bool {
	for _, key := range keys {
		key = p.resolve(key)
		for up := key; up != ""; up = parent(up) {
			if p.broken[up] {
				return true
			}
		}
		for b := range p.broken {
			if strings.HasPrefix(b, key+".") || strings.HasPrefix(b, key+"[") {
				return true
			}
		}
	}
	return false
}

// unreadable reports a value that could not be read, at a position of its own.
func (p *Problems) unreadable(key string, at position, text, remedy string) {
	p.broken[key] = true
	p.list = append(p.list, Problem{Source: p.file, Line: at.line, Column: at.column, Key: key, Text: text, Remedy: remedy})
}

// locate makes the problem of a key, at the position of the key, or of the block in which the key is missing.
func (p *Problems) locate(key, text, remedy string) Problem {
	out := Problem{Source: p.file, Key: key, Text: text, Remedy: remedy}
	if from, ok := p.from[key]; ok {
		out.Source = from
		return out
	}
	for up := key; up != ""; up = parent(up) {
		if at, ok := p.at[up]; ok {
			out.Line, out.Column = at.line, at.column
			return out
		}
	}
	if out.Source == "" {
		out.Source = "configuration"
	}
	return out
}

// parent returns the key of the block that contains a key: for a.b[0].c it is a.b[0], then a.b, then a, then "".
func parent(key string) string {
	return key[:max(strings.LastIndexAny(key, ".[{"), 0)]
}

// err returns all problems, sorted by position, or nil.
func (p *Problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Key, b.Key))
	})
	return &Error{Problems: p.list}
}

// suggest returns at most two names that are similar to the wrong one, the most similar first.
func suggest(wrong string, names []string) []string {
	type candidate struct {
		name string
		far  int
	}
	fold := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
	}
	w := fold(wrong)
	var near []candidate
	for _, name := range names {
		n := fold(name)
		d := distance(w, n)
		switch {
		case d <= max(1, min(len(w), len(n))/3) && d < len(n):
			near = append(near, candidate{name, d})
		case len(w) >= 4 && strings.Contains(n, w), len(n) >= 4 && strings.Contains(w, n):
			near = append(near, candidate{name, max(d, 4)})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.far, b.far) })
	var out []string
	for _, c := range near {
		if len(out) < 2 && c.far <= near[0].far+1 {
			out = append(out, c.name)
		}
	}
	return out
}

// distance is the number of edits (insert, delete, replace, swap of neighbours) between a and b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	x, y := []rune(a), []rune(b)
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}

// didYouMean returns the remedy for a wrong name: similar names, or all names if none is similar and there are few.
func didYouMean(wrong string, names []string) string {
	if near := suggest(wrong, names); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	if len(names) > 0 && len(names) <= 12 {
		return "have " + strings.Join(names, ", ")
	}
	return ""
}
