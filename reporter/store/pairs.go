package store

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// encodePairs is labels or annotations as encoding/json writes them, in which form they are searched: an object in the order of
// their names; nil is null.
func encodePairs(m map[string]string) string {
	if m == nil {
		return "null"
	}
	size := 2
	for k, v := range m {
		size += len(k) + len(v) + 6
	}
	b := append(make([]byte, 0, size), '{')
	for n, k := range slices.Sorted(maps.Keys(m)) {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(appendQuoted(b, k), ':')
		b = appendQuoted(b, m[k])
	}
	return string(append(b, '}'))
}

// appendQuoted appends a text as JSON. Most need no escapes.
func appendQuoted(b []byte, s string) []byte {
	if strings.ContainsFunc(s, escaped) {
		quoted, _ := json.Marshal(s) // a string can always be written
		return append(b, quoted...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// escaped says whether encoding/json may write a character in another way.
func escaped(r rune) bool {
	switch r {
	case '"', '\\', '<', '>', '&', '\u2028', '\u2029', utf8.RuneError, '\x7f':
		return true
	}
	return r < ' '
}

// decodePairs reads a JSON object of strings, or null.
func decodePairs(text string) (map[string]string, error) {
	if m, ok := plainPairs(text); ok {
		return m, nil
	}
	var m map[string]string
	err := json.Unmarshal([]byte(text), &m)
	return m, err
}

// plainPairs reads what encodePairs writes of texts that need no escapes, which most alerts have only: a webhook may be about
// thousands of alerts that are stored.
func plainPairs(text string) (map[string]string, bool) {
	if strings.IndexByte(text, '\\') >= 0 || !utf8.ValidString(text) {
		return nil, false
	}
	rest, ok := strings.CutPrefix(text, "{")
	if rest == "}" || !ok {
		return map[string]string{}, ok
	}
	m := make(map[string]string, strings.Count(text, `"`)/4)
	for {
		var name, value string
		if rest, ok = strings.CutPrefix(rest, `"`); !ok {
			return nil, false
		}
		if name, rest, ok = strings.Cut(rest, `":"`); !ok || strings.IndexByte(name, '"') >= 0 {
			return nil, false
		}
		if value, rest, ok = strings.Cut(rest, `"`); !ok {
			return nil, false
		}
		m[name] = value
		if rest == "}" {
			return m, true
		}
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, false
		}
	}
}
