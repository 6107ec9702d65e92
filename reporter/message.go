package reporter

import (
	"encoding/json"
	"fmt"
	"html"
	"strings"
)

// Message is text for people, in the HTML subset that Telegram and browsers share: b, i, u, s, code, pre, a and
// blockquote, with every other <, > and & escaped, and lines ended by \n.
type Message struct {
	Title   string // one line of plain text, for notices, file names and pages
	HTML    string
	Summary string // HTML subset; replaces HTML if that is too long for the channel
	// Picture is a PNG that illustrates the text; nil means none. The text is complete without it.
	Picture []byte `json:",omitempty"`
	// PictureText describes the picture for people who cannot see it.
	PictureText string   `json:",omitempty"`
	Buttons     []Button `json:",omitempty"` // links that the text does not repeat, and actions
	// Grows means that later edits make the text longer, so it must not be sent as a caption, which has a lower limit.
	Grows bool `json:",omitempty"`
	// Kind and Subject are those of the delivery. Data is the content as JSON, for channels to programs; nil if there is only text.
	Kind    DeliveryKind    `json:",omitempty"`
	Subject string          `json:",omitempty"`
	Data    json.RawMessage `json:",omitempty"`
}

// Whole returns the text with the link buttons as links below it, for channels without buttons.
func (m Message) Whole() string {
	var b strings.Builder
	b.WriteString(m.HTML)
	first := true
	for _, button := range m.Buttons {
		if button.URL == "" {
			continue
		}
		if first {
			b.WriteString("\n")
			first = false
		}
		fmt.Fprintf(&b, "\n🔗 <a href=\"%s\">%s</a>", html.EscapeString(button.URL), html.EscapeString(button.Text))
	}
	return b.String()
}

// Picture is a PNG with a description.
type Picture struct {
	PNG  []byte
	Text string // one line of plain text, with the values
}

// Button is a link or an action with a caption. A link's URL is http or https, with a host that has a dot. Channels that cannot
// receive updates leave actions out.
type Button struct {
	Text   string
	URL    string     // of a link
	Action ActionKind `json:",omitempty"` // of an action, with its Token
	Token  string     `json:",omitempty"` // random text that identifies the incident and the receiver, see ActionTokenLen
}
