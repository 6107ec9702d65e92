package markup_test

import (
	"testing"

	"github.com/awoooi/awoooi-reporter/internal/markup"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ html, want string }{
		"nothing":                {"", "\n"},
		"marks":                  {"<b>a</b> <i>b</i> <s>c</s> <u>d</u>", "**a** _b_ ~~c~~ d\n"},
		"what looks like marks":  {"a*b_c`d`[e](f) &lt;g&gt; &amp; | ~ $ # !", "a\\*b\\_c\\`d\\`\\[e\\](f) \\<g\\> \\& \\| \\~ \\$ \\# \\!\n"},
		"a link":                 {`<a href="https://x.example/a?b=1&amp;c=2)">the &lt;page&gt;</a>`, "[the \\<page\\>](<https://x.example/a?b=1&c=2)>)\n"},
		"a link that leaves":     {`<a href="https://x.example/&gt;y">z</a>`, "[z](<https://x.example/%3Ey>)\n"},
		"lines":                  {"a\nb\n\nc", "a\\\nb\n\nc\n"},
		"a list by its look":     {"- a\n1. b\n+ c\n# d", "\\- a\\\n1\\. b\\\n\\+ c\\\n\\# d\n"},
		"blanks that would code": {"a\n\n    b", "a\n\nb\n"},
		"code":                   {"run <code>a*b `c`</code> now", "run `` a*b `c` `` now\n"},
		"code within bold":       {"<b><code>x</code></b>", "**`x`**\n"},
		"a block of code":        {"a<pre>b\n  c```d</pre>e", "a\n\n````\nb\n  c```d\n````\n\ne\n"},
		"code in a block":        {`<pre><code class="language-go">x</code></pre>`, "```\nx\n```\n"},
		"a quote":                {"<blockquote>a\nb</blockquote>c", "> a\\\n> b\n\nc\n"},
		"foreign tags":           {"<script>x</script>", "\\<script\\>x\\</script\\>\n"},
		"unclosed code":          {"<code>x", "`x`\n"},
	} {
		if got := markup.Markdown(tc.html); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
