package terminal_test

import (
	"strings"
	"testing"

	"github.com/awoooi/awoooi-reporter/reporter"
	"github.com/awoooi/awoooi-reporter/reporter/terminal"
)

func TestTextIsPlainAndDrivesNoTerminal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		html, want string
		opts       reporter.SendOptions
	}{
		"markup":                {html: "<b>a &lt; b</b>\n<code>c</code>", want: "a < b\nc"},
		"a link":                {html: `  • <a href="https://x.example/?a=1&amp;b=2">page</a>`, want: "  • page (https://x.example/?a=1&b=2)"},
		"escape sequences":      {html: "a\x1b[31mb\u009b1m\rc", want: "a[31mb1mc"},
		"escaped ones":          {html: "a&#27;[31mb", want: "a[31mb"},
		"a possible repeat":     {html: "x", want: "🔁 possible repeat\nx", opts: reporter.SendOptions{Repeat: true}},
		"reversed text":         {html: "a\u202eb\u2066c\ufeff", want: "abc"},
		"what looks like a tag": {html: "&lt;script&gt;", want: "<script>"},
	} {
		var out strings.Builder
		id, err := terminal.New(&out).Send(t.Context(), reporter.Part{HTML: tc.html}, tc.opts)
		if err != nil || id != "1" {
			t.Errorf("%s: id %q, %v", name, id, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if got := strings.Join(lines[1:len(lines)-1], "\n"); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
