package render

import (
	"strings"
	"unicode"
)

// escapeMarkdown makes every text of the view show as it is written. The action keeps its lines, in a fenced block.
func (v *PostmortemView) escapeMarkdown(action string) {
	for _, s := range []*string{
		&v.ID, &v.Title, &v.Severity, &v.Affected, &v.Description, &v.RootCause, &v.Decision, &v.Product, &v.ZoneName,
		&v.AcknowledgedBy,
	} {
		*s = escapeMarkdown(*s)
	}
	for _, events := range [][]Event{v.Timeline, v.Events} {
		for n := range events {
			events[n].Alert, events[n].Text = escapeMarkdown(events[n].Alert), escapeMarkdown(events[n].Text)
		}
	}
	for n := range v.Notes {
		v.Notes[n] = escapeMarkdown(v.Notes[n])
	}
	for n := range v.Similar {
		s := &v.Similar[n]
		s.ID, s.Title = escapeMarkdown(s.ID), escapeMarkdown(s.Title)
	}
	for n := range v.Links {
		link := &v.Links[n]
		if link.Clickable {
			link.URL = "<" + strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", `\`, "%5C").Replace(link.URL) + ">"
		} else {
			link.URL = escapeMarkdown(link.URL)
		}
		link.Word = escapeMarkdown(link.Word)
	}
	if v.Action != "" {
		v.Action = fenced(action)
	}
	for _, w := range []*Written{v.Owner, v.Impact, v.Cause, v.Lessons, v.Actions} {
		w.escapeMarkdown()
	}
	for n := range v.PeopleNotes {
		v.PeopleNotes[n].escapeMarkdown()
	}
}

// escapeMarkdown keeps the lines of what a person wrote, and nothing else of its form.
func (w *Written) escapeMarkdown() {
	if w == nil {
		return
	}
	lines := strings.Split(w.Text, "\n")
	for n := range lines { // Leading blanks could make a block of code.
		lines[n] = escapeMarkdown(strings.TrimSpace(lines[n]))
		if lines[n] != "" && n+1 < len(lines) && strings.TrimSpace(lines[n+1]) != "" {
			lines[n] += "\\" // which breaks the line
		}
	}
	w.Text, w.Author = strings.Join(lines, "\n"), escapeMarkdown(w.Author)
}

// Item is the text within an item of a list.
func (w Written) Item() string { return strings.ReplaceAll(w.Text, "\n", "\n  ") }

// escapeMarkdown escapes as CommonMark allows: a backslash before any ASCII punctuation. Only the marks that can begin
// something are escaped, so that the source stays readable.
func escapeMarkdown(s string) string {
	var b strings.Builder
	digits := true // only digits so far: "1." would begin a list
	for n, r := range s {
		begins := n == 0 && strings.ContainsRune("-+#=~:", r)
		ends := digits && n > 0 && (r == '.' || r == ')')
		if begins || ends || strings.ContainsRune("\\`*_{}[]<>|&!~#$", r) {
			b.WriteByte('\\')
		}
		digits = digits && unicode.IsDigit(r)
		b.WriteRune(r)
	}
	return b.String()
}

// fenced makes a code block, with a fence longer than any run of backticks within.
func fenced(s string) string {
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
		} else {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", max(3, longest+1))
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for n := range lines {
		lines[n] = strings.TrimRight(cleanLine(lines[n]), " ")
	}
	return fence + "\n" + strings.Join(lines, "\n") + "\n" + fence
}

// cleanLine is clean, but keeps blanks as they are.
func cleanLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
