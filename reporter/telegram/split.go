package telegram

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awoooi/awoooi-reporter/internal/markup"
	"github.com/awoooi/awoooi-reporter/reporter"
)

const (
	// maxText is Telegram's limit in code points after parsing. marks are reserved for "(1/4)", the mark of a possible repeat, and
	// "…".
	maxText = 4096
	marks   = 96
	// maxCaption is Telegram's limit of the text under a picture, in code points after parsing.
	maxCaption = 1024
	// maxRaw is a limit of this program, in bytes: Telegram refuses requests with far more markup than text.
	maxRaw = 30<<10 - 512
	// maxParts is the maximum number of messages for one text. A longer text becomes a summary and a document.
	maxParts = 4
)

var limits = markup.Limits{Chars: maxText - marks, Bytes: maxRaw}

// plain is the text without markup, with the addresses of its links unless it is too long then.
func plain(text string, limit int) string {
	if s := markup.Plain(text); utf8.RuneCountInString(s) <= limit {
		return s
	}
	return markup.Text(text)
}

// title is the message's title, cut to the limit of a caption; "—" if it has none.
func title(msg reporter.Message) string {
	if parts := markup.Split(markup.Escape(msg.Title), markup.Limits{Chars: maxCaption - marks, Bytes: maxRaw}); len(parts) > 0 {
		return parts[0]
	}
	return "—"
}

// Split makes the parts of a message. More than one are numbered; more than maxParts become a summary and a document.
func (c *Channel) Split(msg reporter.Message) []reporter.Part {
	pieces := markup.Split(msg.HTML, limits)
	if len(pieces) == 0 {
		pieces = []string{title(msg)}
	}
	if len(pieces) > maxParts {
		summary := "<b>" + title(msg) + "</b>"
		if first := markup.Split(msg.Summary, limits); len(first) > 0 {
			summary = first[0]
		}
		return withExtras(msg, []reporter.Part{{HTML: summary}, {HTML: document(msg), Document: fileName(msg.Title)}})
	}
	parts := make([]reporter.Part, len(pieces))
	for n, p := range pieces {
		if len(pieces) > 1 {
			p = fmt.Sprintf("<i>(%d/%d)</i>\n", n+1, len(pieces)) + p
		}
		parts[n].HTML = p
	}
	return withExtras(msg, parts)
}

// Revise makes the new parts of a sent message, as many as were sent. Text that does not fit is cut, and parts that are left over show
// "—"; a picture or a document after the text stays as it is.
func (c *Channel) Revise(msg reporter.Message, sent []reporter.Part) []reporter.Part {
	parts := slices.Clone(sent)
	texts := 0
	for texts < len(parts) && parts[texts].Document == "" && (texts == 0 || parts[texts].Picture == nil && !parts[texts].Caption) {
		texts++
	}
	l := limits
	if parts[0].Caption {
		l.Chars = maxCaption - marks
	}
	pieces := markup.Split(msg.HTML, l)
	if texts < len(parts) && parts[texts].Document != "" || len(pieces) == 0 {
		pieces = markup.Split(cmp.Or(msg.Summary, "<b>"+title(msg)+"</b>"), l)
	}
	for n := range texts {
		text := "—"
		switch {
		case n < len(pieces) && n == texts-1 && len(pieces) > texts:
			text = strings.TrimRight(pieces[n], "\n") + "\n…"
		case n < len(pieces):
			text = pieces[n]
		}
		if texts > 1 {
			text = fmt.Sprintf("<i>(%d/%d)</i>\n", n+1, texts) + text
		}
		parts[n].HTML, parts[n].Buttons = text, nil
	}
	parts[0].Buttons = shownButtons(msg)
	return parts
}

func shownButtons(msg reporter.Message) []reporter.Button {
	return slices.DeleteFunc(slices.Clone(msg.Buttons), func(b reporter.Button) bool { return !shown(b) })
}

// withExtras adds the buttons to the first part, and the picture above the text if that is short enough, else after it.
func withExtras(msg reporter.Message, parts []reporter.Part) []reporter.Part {
	parts[0].Buttons = shownButtons(msg)
	switch {
	case len(msg.Picture) == 0:
	case len(parts) == 1 && !msg.Grows && markup.Length(parts[0].HTML) <= maxCaption-marks:
		parts[0].Picture = msg.Picture
	default:
		parts = append(parts, reporter.Part{HTML: title(msg), Picture: msg.Picture})
	}
	return parts
}

// document is the whole text as an HTML file.
func document(msg reporter.Message) string {
	return "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>" + markup.Escape(msg.Title) +
		"</title></head>\n<body style=\"white-space: pre-wrap; font-family: sans-serif\">" + msg.Whole() + "</body></html>\n"
}

var notInFile = regexp.MustCompile(`[^\p{L}\p{N}._-]+`)

func fileName(title string) string {
	name := strings.Trim(notInFile.ReplaceAllString(title, "-"), "-.")
	if r := []rune(name); len(r) > 60 {
		name = string(r[:60])
	}
	if name == "" {
		name = "message"
	}
	return name + ".html"
}
