package markup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/localstack"
	"github.com/awoooi/awoooi-reporter/internal/markup"
)

func TestTextAndPlain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, text, plain string }{
		"entities":                      {"<b>a</b> &lt;b&gt; &#34;&amp;&#43;&quot;&#x41;", `a <b> "&+"A`, ""},
		"a link":                        {`<a href="https://x.y/?a=1&amp;b=2">來源</a>.`, "來源.", "來源 (https://x.y/?a=1&b=2)."},
		"a link that shows its address": {`<a href="https://x.y/">https://x.y/</a>`, "https://x.y/", ""},
		"lines":                         {"line\n  • <code>rm -rf &lt;dir&gt;</code>\n", "line\n  • rm -rf <dir>\n", ""},
		"an escaped entity":             {"&amp;lt;b&amp;gt;", "&lt;b&gt;", ""},
		"a bare <":                      {"a < b; so is <", "a < b; so is <", ""},
		"an unfinished tag":             {`x <a href="y`, `x <a href="y`, ""},
		"tags of others":                {"<service> <!-- c --> <br/> </x> <title>a<b>c</b></title>", "<service> <!-- c --> <br/> </x> <title>ac</title>", ""},
		"entities of others":            {"&nbsp;&copy;&lt &#; &#x; &#xg; &;", "&nbsp;&copy;&lt &#; &#x; &#xg; &;", ""},
		"no characters":                 {"&#0;&#xD800;&#9999999;", "\uFFFD\uFFFD\uFFFD", ""},
		"invalid UTF-8":                 {"a\xffb\xed\xa0\x80", "a\uFFFDb\uFFFD", ""},
		"upper case":                    {`<B>x</B> <A HREF="https://x.y/">z</A>`, "x z", "x z (https://x.y/)"},
	} {
		if tc.plain == "" {
			tc.plain = tc.text
		}
		if got := markup.Text(tc.in); got != tc.text {
			t.Errorf("%s: text is %q, want %q", name, got, tc.text)
		}
		if got := markup.Plain(tc.in); got != tc.plain {
			t.Errorf("%s: plain is %q, want %q", name, got, tc.plain)
		}
		if got := markup.Text(markup.Escape(tc.in)); got != strings.ToValidUTF8(tc.in, "\uFFFD") {
			t.Errorf("%s: escaped, it reads %q", name, got)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<b>a &amp; b</b>\n<i><u>x</u></i>":                                        "",
		`<a href="https://example.org/">x</a> <a href="tg://user?id=1">Ann</a>`:    "",
		"<pre><code class=\"language-sh\">ls</code></pre>":                         "",
		"<blockquote expandable>x</blockquote><span class=\"tg-spoiler\">x</span>": "",
		"<strong>a</strong><em>b</em><ins>c</ins><del>d</del><tg-spoiler/>":        `line 1: "<tg-spoiler/>" is not supported`,
		" \n":                                 "the text is empty",
		"a\nb & c":                            "line 2: & must be written &amp;",
		"a\n\n&nbsp;":                         "line 3: & must be written &amp;",
		"a > b":                               "line 1: > must be written &gt;",
		"a\na < b":                            "line 2: < must be written &lt;",
		"a\n<h1>x</h1>":                       `line 2: "<h1>" is not supported`,
		"<b>x</b>\n<!-- c -->":                `line 2: "<!-- c -->" is not supported`,
		"a\nb\n<b>x":                          "line 3: <b> is not closed",
		"<b><i>x</b></i>":                     "line 1: </b> stands before </i>: close <i> first",
		"</b>":                                "line 1: </b> has no <b> before it",
		"<a>x</a>":                            "line 1: <a> needs a href",
		`<span class="x">x</span>`:            `line 1: <span> needs class="tg-spoiler"`,
		`<b class="x">x</b>`:                  `line 1: <b> has no attribute "class"`,
		`<a href="javascript:alert(1)">x</a>`: `line 1: href: the scheme "javascript" is not supported`,
		"<code><b>x</b></code>":               "line 1: <b> inside <code>",
		"<pre>\n<i>x</i></pre>":               "line 2: <i> inside <pre>",
		"a\n\xff":                             "line 2: the text is not UTF-8",
		"<a href=https://x.y/>x</a>":          `line 1: "<a href=https://x.y/>" is not a tag as in`,
		"<b>x</b a=1>":                        `line 1: "</b a=1>" is not a tag as in`,
		"<b\n>x</b>\n<":                       "line 3: < must be written &lt;",
	} {
		err := markup.Validate(in)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// The rules are those of tdlib's URL parser.
func TestLinkable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"https://example.org":                true,
		"HTTP://Example.ORG:8080/a?b=c#d":    true,
		"http://10.0.0.5:9093/#/alerts":      true,
		"https://監控.example.org/":            true,
		"http://example.org:00080/":          true,
		"http://example.org:65535/":          true,
		"http://localhost:9090/":             false,
		"http://prometheus-0:9090/":          false,
		"http://localhost./":                 false,
		"http://.example/":                   false,
		"http://a..b/":                       false,
		"http://example.org:0/":              false,
		"http://example.org:000/":            false,
		"http://example.org:/":               false,
		"http://example.org:65536/":          false,
		"http://example.org:99999999999999/": false,
		"http://example.org:-1/":             false,
		"http://example.org:80a/":            false,
		"http://user:pw@example.org/":        false,
		"http://[2001:db8::1]/":              false,
		"http://exa mple.org/":               false,
		"http://a%2eb/":                      false,
		"http://a.b\\c/":                     false,
		"ftp://example.org/":                 false,
		"tg://user?id=1":                     false,
		"tel:+886.2":                         false,
		"mailto:a@example.org":               false,
		"javascript:alert(1.5)":              false,
		"//example.org/":                     false,
		"example.org":                        false,
		"http:example.org":                   false,
		"http://example.org/\n":              false,
		"":                                   false,
	} {
		if got := markup.Linkable(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
		if got := localstack.DottedHost(address); want && !got {
			t.Errorf("%q: the fake Bot API drops it", address)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	small := func(s string) []string { return markup.Split(s, markup.Limits{Chars: 10, Bytes: 1 << 20}) }
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"short":                     {"<b>x</b>", []string{"<b>x</b>"}},
		"exactly the limit":         {"0123456789", []string{"0123456789"}},
		"after a line break":        {"12345\n12 456\n12345", []string{"12345\n", "12 456\n", "12345"}},
		"after a space":             {"one two three four", []string{"one two ", "three four"}},
		"within a word":             {"0123456789abc", []string{"0123456789", "abc"}},
		"tags are opened again":     {"<b>one <i>two three</i> four</b>", []string{"<b>one <i>two </i></b>", "<b><i>three</i> four</b>"}},
		"entities are whole":        {strings.Repeat("&lt;", 11), []string{strings.Repeat("&lt;", 10), "&lt;"}},
		"characters are whole":      {"0123456789\u0301a", []string{"012345678", "9\u0301a"}},
		"families are whole":        {"01234567👨\u200D👩\u200D👧", []string{"01234567", "👨\u200D👩\u200D👧"}},
		"endless marks":             {strings.Repeat("\u0301", 12), []string{strings.Repeat("\u0301", 10), strings.Repeat("\u0301", 2)}},
		"blank parts are left out":  {"a" + strings.Repeat(" ", 30) + "b", []string{"a         ", " b"}},
		"nothing but blanks":        {" \n\u200B\u200D", nil},
		"nothing":                   {"", nil},
		"unknown tags are text":     {"<b>x</b><h1>", []string{"x&lt;h1&gt;"}},
		"tags that do not match":    {"<b>x</i>", []string{"x"}},
		"a tag left open":           {"<b>x", []string{"x"}},
		"a link without an address": {"<a>x</a>", []string{"x"}},
		"a bare <":                  {"a < b", []string{"a &lt; b"}},
		"superfluous attributes":    {`<b class="x" onclick='y'>x</b>`, []string{"<b>x</b>"}},
		"a language":                {`<pre><code class="language-go">x</code></pre>`, []string{`<pre><code class="language-go">x</code></pre>`}},
		"an address that Telegram drops": {
			`<a href="http://n/">x</a>`, []string{"x ", "(http://n/", ")"},
		},
		"an address that is its own text": {`<a href="http://n/">http://n/</a>`, []string{"http://n/"}},
		"a mention":                       {`<a href="tg://user?id=7">Ann</a>`, []string{`<a href="tg://user?id=7">Ann</a>`}},
		"a quote in an address":           {`<a href='http://n.x/?"&#39;'>x</a>`, []string{`<a href="http://n.x/?&#34;&#39;">x</a>`}},
		"invalid UTF-8":                   {"<b>\xff</b>", []string{"<b>\uFFFD</b>"}},
	} {
		if got := small(tc.in); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestSplitBoundsMarkup(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"deep tags":             strings.Repeat("<b>", 20000) + "x" + strings.Repeat("</b>", 20000),
		"deep tags, left open":  strings.Repeat("<blockquote>", 20000) + strings.Repeat("long text ", 3000),
		"a long address":        `<a href="https://example.org/` + strings.Repeat("x", 50000) + `">x</a>`,
		"many long addresses":   strings.Repeat(`<a href="https://example.org/`+strings.Repeat("x", 4000)+`">x</a>`, 50),
		"links within links":    strings.Repeat(`<a href="https://example.org/">`, 10) + "x" + strings.Repeat("</a>", 10),
		"long attributes":       strings.Repeat(`<code class="language-`+strings.Repeat("x", 2000)+`">x`, 10) + strings.Repeat("</code>", 10),
		"empty tags":            "x" + strings.Repeat("<b></b>", 20000) + "y",
		"an endless comment":    "<!--" + strings.Repeat("<!--", 20000),
		"angle brackets":        strings.Repeat("<", 20000),
		"entities cut short":    strings.Repeat("&#", 20000),
		"a raw text element":    "<script>" + strings.Repeat("<b>", 10000),
		"a word of 100,000":     strings.Repeat("長", 100_000),
		"combining marks":       "a" + strings.Repeat("\u0301", 50000),
		"escaped angle bracket": strings.Repeat("&lt;", 50000),
	} {
		checkParts(t, name, in, markup.Limits{Chars: 4000, Bytes: 30 << 10})
	}
}

// checkParts says whether the fake Bot API, which has a parser of its own, takes the parts and reads all of the text in them.
func checkParts(t *testing.T, name, in string, l markup.Limits) {
	t.Helper()
	var all strings.Builder
	for n, part := range markup.Split(in, l) {
		text, err := localstack.ParseHTML(part)
		if err != nil {
			t.Fatalf("%s: part %d is refused: %v\n%.300q", name, n, err, part)
		}
		if chars := utf8.RuneCountInString(text); chars > l.Chars || len(part) > max(l.Bytes, 8192) || strings.TrimSpace(text) == "" {
			t.Fatalf("%s: part %d has %d code points and %d bytes: %.300q", name, n, chars, len(part), part)
		}
		if got := markup.Text(part); got != text {
			t.Fatalf("%s: part %d reads %q, and to the Bot API %q", name, n, got, text)
		}
		if err := markup.Validate(part); err != nil && !strings.Contains(err.Error(), "inside <") && !strings.Contains(err.Error(), "href") {
			t.Fatalf("%s: part %d: %v\n%.300q", name, n, err, part)
		}
		all.WriteString(text)
	}
	want := markup.Text(in)
	if got := all.String(); visible(got) != visible(want) && visible(got) != visible(markup.Plain(in)) && !strings.Contains(in, "href") {
		t.Fatalf("%s: the parts read %.300q, want %.300q", name, got, want)
	}
}

// visible leaves out what a part without visible characters may consist of.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) {
			return -1
		}
		return r
	}, s)
}

// Text that the program writes is well-formed, so its whole text and formatting must be kept.
func FuzzSplit(f *testing.F) {
	f.Add("a\nb", 3000, uint(2), 1)
	f.Add("<&>\"'", 900, uint(5), 4000)
	f.Add("日本語 ", 2500, uint(1), 100)
	f.Add("e\u0301👨\u200D👩\u200D👧🇹🇼", 40, uint(3), 7)
	f.Add("\xff\x00\u200B", 3, uint(0), 1)
	around := [][2]string{
		{"", ""}, {"<b>", "</b>"}, {"<code>", "</code>"}, {`<a href="https://x.example/?a=1&amp;b=2">`, "</a>"}, {"<i><u>", "</u></i>"},
		{"<pre>", "</pre>"}, {"<blockquote expandable>", "</blockquote>"},
	}
	f.Fuzz(func(t *testing.T, text string, times int, tag uint, chars int) {
		if times < 0 || times > 3000 || len(text)*times > 20_000 || chars < 1 || len(text)*times > 100*chars || chars > 4096 {
			return
		}
		tags := around[tag%uint(len(around))]
		in := tags[0] + strings.Repeat(markup.Escape(text)+"<s>"+markup.Escape(text)+"</s>", times) + tags[1]
		if strings.TrimSpace(markup.Text(in)) != "" {
			if err := markup.Validate(in); err != nil && !strings.Contains(err.Error(), "inside <") {
				t.Fatalf("%q: %v", in, err)
			}
		}
		checkParts(t, "", in, markup.Limits{Chars: chars, Bytes: 30 << 10})
	})
}

// The parts of any input are accepted. A text that Validate accepts is accepted by the Bot API, which reads it as Text does.
func FuzzMarkup(f *testing.F) {
	for _, seed := range []string{
		"<b>x</b>", "<b><i>x</b></i>", `<a href="http://localhost/">x</a>`, "<title><b>", "<!-- -->", "a < b &lt &#x41; &nbsp;", "<b/>", "</>", "<a href=",
		"<textarea>x", "<plaintext>x<b>", "<![CDATA[x]]>", "<?x?>", "\x00<b\x00>", "<A HREF='x'>y</A>", "&#1114111;&#1114112;", "<b\fa=b>x</b>", "<svg><title>x",
	} {
		f.Add(seed, 10)
	}
	f.Add("\x10\u0094\uFEFF", 1)
	f.Fuzz(func(t *testing.T, in string, chars int) {
		if chars < 1 || chars > 4096 || len(in) > 200*chars {
			return
		}
		checkParts(t, "", in, markup.Limits{Chars: chars, Bytes: 30 << 10})
		if markup.Validate(in) != nil {
			return
		}
		text, err := localstack.ParseHTML(in)
		if err != nil {
			t.Fatalf("%q is valid, and refused: %v", in, err)
		}
		if got := markup.Text(in); got != text {
			t.Fatalf("%q reads %q, and to the Bot API %q", in, got, text)
		}
	})
}

// If the work grew faster than the text, the test would not end before its timeout.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	for name, piece := range map[string]string{
		"lines": "line <b>of</b> text\n", "a word": "長", "brackets": "<", "open tags": "<b>", "unclosed links": `<a href="http://n/">`,
		"links": `<a href="http://n/">x</a>`, "comments": "<!--", "entities": "&", "end tags": "</a>", "marks": "\u0301",
		"short lines before long ones": "x\n" + strings.Repeat("y", 3999),
	} {
		in := strings.Repeat(piece, 1<<17/len(piece))
		if markup.Text(in) != "" && markup.Split(in, markup.Limits{Chars: 4000, Bytes: 30 << 10}) == nil {
			t.Errorf("%s: no parts", name)
		}
		_ = markup.Validate(in)
	}
}

func BenchmarkSplit(b *testing.B) {
	for _, kb := range []int{4, 64, 1024} {
		in := strings.Repeat("  • <code>node-7</code> HighErrorRate &lt;5xx&gt; 觸發\n", kb<<10/64)
		b.Run(fmt.Sprintf("%dkB", kb), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for range b.N {
				markup.Split(in, markup.Limits{Chars: 4000, Bytes: 30 << 10})
			}
		})
	}
}
