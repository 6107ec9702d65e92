package render

import (
	"strings"
	"unicode"

	"github.com/awoooi/awoooi-reporter/internal/markup"
)

// escapeMarkdown escapes every text of the view for Markdown. The action keeps its lines, in a fenced block.
func (v *PostmortemView) escapeMarkdown(action string) {
	for _, s := range []*string{
		&v.ID, &v.Title, &v.Severity, &v.Affected, &v.Description, &v.RootCause, &v.Decision, &v.Product, &v.ZoneName,
		&v.AcknowledgedBy,
	} {
		*s = markup.EscapeMarkdown(*s)
	}
	for _, events := range [][]Event{v.Timeline, v.Events} {
		for n := range events {
			events[n].Alert, events[n].Text = markup.EscapeMarkdown(events[n].Alert), markup.EscapeMarkdown(events[n].Text)
		}
	}
	for n := range v.Notes {
		v.Notes[n] = markup.EscapeMarkdown(v.Notes[n])
	}
	for n := range v.Similar {
		s := &v.Similar[n]
		s.ID, s.Title = markup.EscapeMarkdown(s.ID), markup.EscapeMarkdown(s.Title)
	}
	for n := range v.Links {
		link := &v.Links[n]
		if link.Clickable {
			link.URL = "<" + strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", `\`, "%5C").Replace(link.URL) + ">"
		} else {
			link.URL = markup.EscapeMarkdown(link.URL)
		}
		link.Word = markup.EscapeMarkdown(link.Word)
	}
	if v.Action != "" {
		v.Action = markup.Fenced(cleanLines(strings.TrimSpace(action)))
	}
	for _, w := range []*Written{v.Owner, v.Impact, v.Cause, v.Lessons, v.Actions} {
		w.escapeMarkdown()
	}
	for n := range v.PeopleNotes {
		v.PeopleNotes[n].escapeMarkdown()
	}
}

// escapeMarkdown escapes the text of a person. Its line breaks are kept, its Markdown is not.
func (w *Written) escapeMarkdown() {
	if w == nil {
		return
	}
	lines := strings.Split(w.Text, "\n")
	for n := range lines { // Leading blanks could make a block of code.
		lines[n] = markup.EscapeMarkdown(strings.TrimSpace(lines[n]))
		if lines[n] != "" && n+1 < len(lines) && strings.TrimSpace(lines[n+1]) != "" {
			lines[n] += "\\" // a hard line break
		}
	}
	w.Text, w.Author = strings.Join(lines, "\n"), markup.EscapeMarkdown(w.Author)
}

// Item returns the text indented for an item of a list.
func (w Written) Item() string { return strings.ReplaceAll(w.Text, "\n", "\n  ") }

// cleanLines is cleanLine for each line of a text, without trailing spaces.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for n := range lines {
		lines[n] = strings.TrimRight(cleanLine(lines[n]), " ")
	}
	return strings.Join(lines, "\n")
}

// cleanLine is clean, but keeps spaces and tabs as they are.
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
