package reporter

// Message is text for people, in the HTML subset that Telegram and browsers share: b, i, u, s, code, pre, a and
// blockquote, with every other <, > and & escaped, and lines ended by \n.
type Message struct {
	Title   string // one line of plain text, for notices, file names and pages
	HTML    string
	Summary string // HTML subset; stands for the text where the whole is too long for the channel
}
