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
	Summary string // HTML subset; stands for the text where the whole is too long for the channel
	// Picture is a PNG that belongs to the text; nil means none. The text is whole without it.
	Picture []byte `json:",omitempty"`
	// PictureText says what the picture shows, for those who do not see it.
	PictureText string   `json:",omitempty"`
	Buttons     []Button `json:",omitempty"` // links, which the text does not repeat
	// Grows says that the text is going to be edited to a longer one: it is not to be a caption, for which channels have little space.
	Grows bool `json:",omitempty"`
	// Kind and Subject are those of its delivery, and Data what it is about, as JSON, for channels to programs. Data is nil where
	// there is only the text.
	Kind    DeliveryKind    `json:",omitempty"`
	Subject string          `json:",omitempty"`
	Data    json.RawMessage `json:",omitempty"`
}

// Whole is the text with the buttons as links below it, for channels without buttons.
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

// Picture is a PNG, and what it shows in one line of plain text, with the values.
type Picture struct {
	PNG  []byte
	Text string
}

// Button is a link, or an action, with a caption. A link's URL is http or https, with a host that has a dot. Channels that receive
// nothing leave actions out.
type Button struct {
	Text   string
	URL    string     // of a link
	Action ActionKind `json:",omitempty"` // of an action, with its Token
	Token  string     `json:",omitempty"` // names the incident and the receiver, and cannot be guessed: see ActionTokenLen
}
