package chat

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/reporter"
)

// FuzzPieces takes replies apart: nothing is made up, each kind is there once, and what a command is said to be is one.
func FuzzPieces(f *testing.F) {
	f.Add("seen\n#cause disk\n#影響：慢\n#cause more")
	f.Add("/ack@demo_bot I-1")
	f.Add("#cause\r\n\x00\u202e")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		seen := map[reporter.EntryKind]bool{}
		size := 0
		for _, p := range pieces(text) {
			if seen[p.kind] || p.text == "" || p.text != p.kind.Tidy(p.text) {
				t.Errorf("%q gives %q", text, p)
			}
			seen[p.kind] = true
			size += utf8.RuneCountInString(p.text)
		}
		if size > utf8.RuneCountInString(text)+len(seen) {
			t.Errorf("%d characters of %q", size, text)
		}
		if m := commandText.FindStringSubmatch(text); m != nil && !strings.HasPrefix(text, "/"+m[1]) {
			t.Errorf("%q is the command %q", text, m)
		}
		if _, rest, _ := about(reporter.ChatMessage{Incidents: []string{"A", "B"}}, text); len(rest) > len(text)+1 {
			t.Errorf("%q leaves %q", text, rest)
		}
	})
}
